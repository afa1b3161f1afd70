//! Removing messages: for good, or so that undelete can bring them back for a while.
//!
//! A removal is one record, however many messages it took: a header that can be counted and pruned
//! by time, and the rows as they were, each with its POP3 unique id, flags and keywords. The emails
//! behind them live as long as the record. Of a deleted mailbox there is only the header: its own
//! keys stay as they are.

use crate::account::{AccountInner, Writer};
use crate::actor::{decode_actor, encode_actor};
use crate::chunk::Row;
use crate::codec::{Decoder, Encoder};
use crate::edit::Transaction;
use crate::history::{Deed, Event, Messages};
use crate::journal::{Change, NewRow, decode_rows, decode_uids, encode_rows, encode_uids, parts};
use crate::mailbox::Mailbox;
use crate::record::MailboxRecord;
use crate::snapshot::{self, each};
use crate::{Account, Actor, MailError, View, keys};
use bytes::Bytes;
use std::sync::Arc;
use storage::{Batch, ErrorKind, MetaStore};
use types::{AccountId, Door, MailboxId, ModSeq, Role, Uid, UidSet, UidValidity};

const VERSION: u8 = 1;

/// Messages of one removal that can be brought back; of more, none can.
const MAX_ROWS: u64 = 1_000_000;

/// Which removal: when, in which mailbox, under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RemovalId {
    pub(crate) at: i64,
    pub(crate) mailbox: MailboxId,
    pub(crate) modseq: u64,
}

/// What a removal took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Messages; their rows are kept beside.
    Messages,
    /// A whole mailbox. Of its messages these have been brought back.
    Mailbox {
        role: Option<Role>,
        uid_validity: UidValidity,
        restored: UidSet,
    },
}

/// The header of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) by: Actor,
    /// What the mailbox was called.
    pub(crate) name: String,
    /// Messages that can be brought back, and their sizes.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) taken: Taken,
}

/// What undelete could bring back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recoverable {
    /// Messages.
    pub messages: u64,
    /// Their sizes.
    pub bytes: u64,
    /// When the oldest were removed, in seconds since 1970 UTC.
    pub oldest: Option<i64>,
}

impl Removal {
    pub(crate) fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        encode_actor(&mut e, &self.by);
        e.bytes(self.name.as_bytes());
        e.uint(self.messages);
        e.uint(self.bytes);
        match &self.taken {
            Taken::Messages => e.byte(0),
            Taken::Mailbox {
                role,
                uid_validity,
                restored,
            } => {
                e.byte(1);
                e.byte(role.map_or(0, |role| role as u8));
                e.uint(uid_validity.get().into());
                encode_uids(&mut e, restored);
            }
        }
        e.0.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "removal");
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        Ok(Self {
            by: decode_actor(&mut d)?,
            name: d.str()?.to_owned(),
            messages: d.uint()?,
            bytes: d.uint()?,
            taken: match d.byte()? {
                0 => Taken::Messages,
                _ => Taken::Mailbox {
                    role: Role::from_number(d.byte()?),
                    uid_validity: {
                        let raw = d.u32()?;
                        d.checked(UidValidity::new, raw)?
                    },
                    restored: decode_uids(&mut d)?,
                },
            },
        })
    }
}

/// The rows of a removal, as they are to be put back: with their keywords by name.
pub(crate) fn rows_of<'a>(view: &'a View, uids: &'a UidSet) -> impl Iterator<Item = NewRow> + 'a {
    view.rows_in(uids).map(|(_, row)| NewRow {
        keywords: view.keywords_of(row.keywords).cloned().collect(),
        row: Row { keywords: 0, ..row },
    })
}

/// Writes the rows of a removal, in place of `old` parts.
pub(crate) fn write_rows(batch: &mut Batch, id: RemovalId, rows: &[NewRow], old: usize) {
    let mut e = Encoder::default();
    encode_rows(&mut e, rows);
    let new = parts(&e.0, |part| keys::removed_rows(id, part));
    let count = new.len();
    for (part, key) in new {
        batch.put(key, part);
    }
    delete_rows(batch, id, count..old);
}

pub(crate) fn delete_rows(batch: &mut Batch, id: RemovalId, parts: std::ops::Range<usize>) {
    for part in parts {
        batch.delete(keys::removed_rows(
            id,
            u16::try_from(part).unwrap_or(u16::MAX),
        ));
    }
}

impl Transaction<'_> {
    /// Takes messages out of a mailbox, and nowhere else. Undelete can bring them back if the
    /// settings say so; the history knows who did it. The view must be loaded.
    pub(crate) fn remove(
        &mut self,
        writer: &Writer,
        mailbox: &Arc<Mailbox>,
        uids: &UidSet,
        by: &Actor,
    ) -> Result<ModSeq, MailError> {
        let messages = self.messages(mailbox, uids);
        // More would not fit into one commit.
        let keeps = self.account().mail.options().undelete_seconds > 0 && uids.len() <= MAX_ROWS;
        if !keeps {
            self.mark_garbage(writer);
        }
        let rows: Vec<NewRow> = match &self.edit(mailbox).view {
            Some(view) if keeps => rows_of(view, uids).collect(),
            _ => Vec::new(),
        };
        if by.door == Door::Pop3 && self.edit(mailbox).record.name.is_inbox() {
            self.account().pop3_removed(&mut self.batch);
        }
        let modseq = self.change(mailbox, Change::Expunged(uids.clone()))?;
        if keeps {
            let id = RemovalId {
                at: self.now(),
                mailbox: mailbox.id,
                modseq: modseq.get(),
            };
            let removal = Removal {
                by: by.clone(),
                name: messages.name.clone(),
                messages: rows.len() as u64,
                bytes: rows.iter().map(|new| u64::from(new.row.size)).sum(),
                taken: Taken::Messages,
            };
            self.batch.put(keys::removal(id), removal.encode());
            write_rows(&mut self.batch, id, &rows, 0);
        }
        self.note(by, Deed::Removed, messages, None);
        Ok(modseq)
    }
}

impl AccountInner {
    /// What the deletion of a whole mailbox leaves behind, in the batch that deletes it. Returns
    /// whether emails may be in no mailbox now.
    pub(crate) fn note_mailbox_removed(
        &self,
        id: MailboxId,
        record: &MailboxRecord,
        by: &Actor,
        batch: &mut Batch,
    ) -> bool {
        let at = crate::engine::now();
        let last = Uid::new(record.uid_next.wrapping_sub(1)).unwrap_or(Uid::FIRST);
        if record.uid_next != 1 {
            let event = Event {
                at,
                by: by.clone(),
                deed: Deed::MailboxDeleted,
                messages: Messages {
                    mailbox: id,
                    name: record.name.to_string(),
                    uids: UidSet::range(Uid::FIRST, last),
                },
                other: None,
            };
            self.mail.note_event(self.id, &event, batch);
        }
        if self.mail.options().undelete_seconds == 0 || record.messages == 0 {
            batch.put(keys::tombstone(id), &b""[..]);
            return record.messages > 0;
        }
        let removal = Removal {
            by: by.clone(),
            name: record.name.to_string(),
            messages: record.messages.into(),
            bytes: record.bytes,
            taken: Taken::Mailbox {
                role: record.role,
                uid_validity: record.uid_validity,
                restored: UidSet::new(),
            },
        };
        let removal_id = RemovalId {
            at,
            mailbox: id,
            // One more than any removal from it has.
            modseq: record.modseq.get().saturating_add(1),
        };
        batch.put(keys::removal(removal_id), removal.encode());
        false
    }

    /// All removals, oldest first.
    pub(crate) async fn removals(&self) -> Result<Vec<(RemovalId, Removal)>, MailError> {
        let mut found = Vec::new();
        each(
            self.mail.meta(),
            self.id,
            keys::removals(),
            |(key, value)| {
                let id = keys::removal_of(key).ok_or_else(|| MailError::corrupt("damaged key"))?;
                found.push((id, Removal::decode(value)?));
                Ok(())
            },
        )
        .await?;
        Ok(found)
    }

    /// The rows a removal can bring back, ascending by uid, and how many parts they lie in.
    pub(crate) async fn rows_of_removal(
        &self,
        id: RemovalId,
        removal: &Removal,
    ) -> Result<(Vec<NewRow>, usize), MailError> {
        let meta = self.mail.meta();
        match &removal.taken {
            Taken::Messages => {
                let (mut whole, mut count) = (Vec::new(), 0);
                each(meta, self.id, keys::all_removed_rows(id), |(_, part)| {
                    whole.extend_from_slice(part.get(1..).unwrap_or_default());
                    count += 1;
                    Ok(())
                })
                .await?;
                let mut d = Decoder::new(&whole, "removed rows");
                Ok((decode_rows(&mut d, ModSeq::FIRST)?, count))
            }
            Taken::Mailbox {
                uid_validity,
                restored,
                ..
            } => {
                let view = snapshot::load(meta, self.id, id.mailbox, *uid_validity)
                    .await?
                    .view;
                let all = UidSet::range(Uid::FIRST, Uid::MAX);
                let rows = rows_of(&view, &all).filter(|new| !restored.contains(new.row.uid));
                Ok((rows.collect(), 0))
            }
        }
    }

    /// Lets go of removals that are older than undelete goes back. What is left comes back.
    pub(crate) async fn prune_removals(&self, now: i64) -> Result<(), MailError> {
        let until = now.saturating_sub(self.mail.options().undelete_seconds);
        for (id, removal) in self.removals().await? {
            if id.at > until {
                return Ok(());
            }
            // An undelete that is under way must see all of it or nothing.
            let mut writer = self.writer.lock().await;
            let mut batch = Batch::new();
            batch.require(keys::removal(id), removal.encode());
            batch.delete(keys::removal(id));
            match removal.taken {
                Taken::Messages => {
                    let (_, parts) = self.rows_of_removal(id, &removal).await?;
                    delete_rows(&mut batch, id, 0..parts);
                }
                Taken::Mailbox { .. } => {
                    batch.put(keys::tombstone(id.mailbox), &b""[..]);
                }
            }
            batch.put(keys::GARBAGE, &b""[..]);
            match self.mail.meta().commit(self.id, batch).await {
                Ok(commit) => commit.durable().await?,
                // Another process sweeps the same account, or brings it back.
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            writer.garbage = true;
        }
        Ok(())
    }
}

impl Account {
    /// What undelete could bring back.
    pub async fn recoverable(&self) -> Result<Recoverable, MailError> {
        count(self.0.mail.meta(), self.0.id).await
    }
}

/// What undelete could bring back in an account, which need not be open.
pub(crate) async fn count(
    meta: &dyn MetaStore,
    account: AccountId,
) -> Result<Recoverable, MailError> {
    let mut sum = Recoverable::default();
    each(meta, account, keys::removals(), |(key, value)| {
        let id = keys::removal_of(key).ok_or_else(|| MailError::corrupt("damaged key"))?;
        let removal = Removal::decode(value)?;
        sum.messages += removal.messages;
        sum.bytes += removal.bytes;
        sum.oldest = sum.oldest.or(Some(id.at));
        Ok(())
    })
    .await?;
    Ok(sum)
}
