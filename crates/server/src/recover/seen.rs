//! What the packs remember, read from front to back.

use crate::progress::Progress;
use blob_packs::{PackStore, ScannedRecord};
use bytes::Bytes;
use mail::Remembered;
use std::collections::{HashMap, HashSet};
use std::ops::{ControlFlow, Range};
use storage::{BlobRef, StorageError};
use types::{AccountId, BlobHash};

/// Stands for the owner of messages whose owner cannot be read.
pub(super) const UNOWNED: AccountId = AccountId(u64::MAX);

/// One message of one owner.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) account: AccountId,
    /// See [`Seen::name`].
    pub(super) mailbox: u32,
    pub(super) blob: BlobRef,
    internal_date: i64,
    lines: Bytes,
    /// Pack and offset.
    place: (u32, u64),
}

impl Message {
    pub(super) fn remembered(&self) -> Remembered {
        Remembered {
            blob: self.blob,
            internal_date: self.internal_date,
            prefix: self.lines.clone(),
        }
    }
}

/// Everything that was found.
#[derive(Default)]
pub(super) struct Seen {
    /// By account, mailbox and INTERNALDATE; those of one second by their places.
    pub(super) messages: Vec<Message>,
    /// Account notes.
    pub(super) notes: Vec<BlobRef>,
    /// Stretches of packs in which nothing can be recognised.
    pub(super) unreadable: Vec<(u32, Range<u64>)>,
    /// Blobs that nobody released: some mailbox had them.
    wanted: HashSet<BlobHash>,
    /// Packs in which later messages lie behind earlier ones.
    delivered: HashSet<u32>,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Seen {
    /// Reads all packs.
    pub(super) fn read(packs: &PackStore, progress: &Progress) -> Result<Self, StorageError> {
        let mut seen = Self::default();
        let (mut done, total) = (0, packs.stats().bytes);
        packs.scan_records(|record| {
            done += record.bytes.end - record.bytes.start;
            progress.bytes("reading the mail", done, total);
            seen.note(record);
            ControlFlow::Continue(())
        })?;
        seen.sort();
        Ok(seen)
    }

    fn note(&mut self, record: ScannedRecord) {
        let Some(blob) = record.blob else {
            self.unreadable.push((record.pack, record.bytes));
            return;
        };
        let mut owners = record.origin.owners;
        if owners.is_empty() && !record.is_note {
            owners.push((UNOWNED, "INBOX".to_owned()));
        }
        if !record.is_note && !record.released {
            self.wanted.insert(blob.hash);
        }
        if !record.compacted {
            self.delivered.insert(record.pack);
        }
        let mut lines = record.origin.lines.into_iter();
        for (account, mailbox) in owners {
            let lines = lines.next().unwrap_or_default();
            if account == AccountId::SYSTEM {
                self.notes.push(blob);
                continue;
            }
            let mailbox = self.number(mailbox);
            self.messages.push(Message {
                account,
                mailbox,
                blob,
                internal_date: record.origin.internal_date,
                lines,
                place: (record.pack, record.bytes.start),
            });
        }
    }

    fn number(&mut self, name: String) -> u32 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    /// Whether a message was delivered after a moment at which the packs had got to `newest`, or
    /// not so long before that: what is stored first may be committed last.
    pub(super) fn may_be_newer(&self, message: &Message, newest: u64) -> bool {
        let (pack, _) = message.place;
        self.delivered.contains(&pack) && u64::from(pack) + 1 >= newest >> 40
    }

    /// Whether the place that a hint names tells when something was delivered.
    pub(super) fn tells_time(&self, hint: u64) -> bool {
        u32::try_from(hint >> 40).is_ok_and(|pack| self.delivered.contains(&pack))
    }

    /// Whether some mailbox had the blob when the packs heard of it last.
    pub(super) fn is_wanted(&self, blob: &BlobHash) -> bool {
        self.wanted.contains(blob)
    }

    /// The name of a mailbox.
    pub(super) fn name(&self, mailbox: u32) -> &str {
        self.names
            .get(mailbox as usize)
            .map_or("INBOX", |name| name)
    }

    /// Gives the messages without an owner to an account.
    pub(super) fn give_unowned(&mut self, to: AccountId) {
        for message in &mut self.messages {
            if message.account == UNOWNED {
                message.account = to;
            }
        }
        self.sort();
    }

    fn sort(&mut self) {
        // INTERNALDATE is the time of delivery, unless a client that moved its mail here said
        // something else; places are no order any more once packs were compacted.
        self.messages.sort_unstable_by_key(|message| {
            let Message {
                account, mailbox, ..
            } = message;
            (*account, *mailbox, message.internal_date, message.place)
        });
    }
}
