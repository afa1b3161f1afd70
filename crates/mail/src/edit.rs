//! Writing: the changes of one operation become one batch over one or several mailboxes.

use crate::account::{AccountInner, Writer};
use crate::chunk::{Chunk, Row};
use crate::journal::{Change, JournalEntry, NewRow};
use crate::mailbox::{Committed, Mailbox};
use crate::record::MailboxRecord;
use crate::{MailError, View, keys};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use storage::{Batch, ErrorKind, StorageError};
use types::{Flags, ModSeq, UidSet};

/// How often an operation is tried again when another process was faster. Who lost once must read
/// what the other wrote, and is likely to lose again while that one goes on: it takes patience.
pub(crate) const ATTEMPTS: usize = 128;

/// What becomes of one mailbox in a transaction.
pub(crate) struct Edit {
    pub(crate) mailbox: Arc<Mailbox>,
    base: Committed,
    pub(crate) record: MailboxRecord,
    /// The view after the changes so far, if it is loaded.
    pub(crate) view: Option<View>,
    journal_bytes: usize,
}

/// The batch of one operation while it is put together. Dropped, it changes nothing.
pub(crate) struct Transaction<'a> {
    account: &'a Arc<AccountInner>,
    pub(crate) batch: Batch,
    edits: Vec<Edit>,
    now: i64,
    pub(crate) marks_garbage: bool,
}

impl Edit {
    pub(crate) fn new(mailbox: &Arc<Mailbox>) -> Self {
        let state = mailbox.state();
        let base = state.head.clone();
        let record = MailboxRecord {
            recent_from: state.recent_from,
            ..(*base.record).clone()
        };
        drop(state);
        let mut edit = Self {
            mailbox: mailbox.clone(),
            record,
            view: base.view.as_deref().cloned(),
            base,
            journal_bytes: 0,
        };
        if edit.record.deleted_bytes.is_none() {
            edit.record.deleted_bytes = edit.view.as_ref().map(View::deleted_octets);
        }
        edit
    }

    /// Keeps the record's counts right for a change that is about to be applied.
    fn count_new(&mut self, rows: &[NewRow]) {
        let counts = Counts::of(rows.iter().map(|new| new.row));
        self.record.uid_next = rows.last().map_or(self.record.uid_next, |new| {
            // 0: the uids are used up.
            new.row.uid.next().map_or(0, types::Uid::get)
        });
        counts.add_to(&mut self.record);
    }

    /// The counts of `uids` as the view has them now.
    fn counts(&self, uids: &UidSet) -> Counts {
        let mut counts = Counts::default();
        if let Some(view) = &self.view {
            for (chunk, from, to) in view.overlapping(uids) {
                let Chunk { flags, sizes, .. } = &*view.chunks[chunk];
                let messages = flags[from..to].iter().zip(&sizes[from..to]);
                messages.for_each(|(flags, size)| counts.add(*flags, *size));
            }
        }
        counts
    }
}

/// What some messages contribute to a mailbox record.
#[derive(Default)]
struct Counts {
    messages: u32,
    unseen: u32,
    deleted: u32,
    bytes: u64,
    deleted_bytes: u64,
}

impl Counts {
    fn of(rows: impl Iterator<Item = Row>) -> Self {
        let mut counts = Self::default();
        rows.for_each(|row| counts.add(row.flags, row.size));
        counts
    }

    fn add(&mut self, flags: Flags, size: u32) {
        let is_deleted = flags.contains(Flags::DELETED);
        self.messages += 1;
        self.unseen += u32::from(!flags.contains(Flags::SEEN));
        self.deleted += u32::from(is_deleted);
        self.bytes += u64::from(size);
        self.deleted_bytes += u64::from(is_deleted) * u64::from(size);
    }

    fn add_to(&self, record: &mut MailboxRecord) {
        record.messages += self.messages;
        record.unseen += self.unseen;
        record.deleted += self.deleted;
        record.bytes += self.bytes;
        if let Some(bytes) = &mut record.deleted_bytes {
            *bytes += self.deleted_bytes;
        }
    }

    fn take_from(&self, record: &mut MailboxRecord) {
        record.messages = record.messages.saturating_sub(self.messages);
        record.unseen = record.unseen.saturating_sub(self.unseen);
        record.deleted = record.deleted.saturating_sub(self.deleted);
        record.bytes = record.bytes.saturating_sub(self.bytes);
        if let Some(bytes) = &mut record.deleted_bytes {
            *bytes = bytes.saturating_sub(self.deleted_bytes);
        }
    }
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(account: &'a Arc<AccountInner>, writer: &mut Writer) -> Self {
        writer.ids.begin();
        Self {
            account,
            batch: Batch::new(),
            edits: Vec::new(),
            now: crate::engine::now(),
            marks_garbage: false,
        }
    }

    /// The account it works on.
    pub(crate) fn account(&self) -> &'a Arc<AccountInner> {
        self.account
    }

    /// Whether it would write nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.writes.is_empty()
    }

    /// The time this operation is recorded under.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// The edit of a mailbox; the same one when asked twice.
    pub(crate) fn edit(&mut self, mailbox: &Arc<Mailbox>) -> &mut Edit {
        let at = match self
            .edits
            .iter()
            .position(|edit| edit.mailbox.id == mailbox.id)
        {
            Some(at) => at,
            None => {
                self.edits.push(Edit::new(mailbox));
                self.edits.len() - 1
            }
        };
        &mut self.edits[at]
    }

    /// Adds a change to a mailbox under its next modseq. All but `Appended` need the view loaded.
    pub(crate) fn change(
        &mut self,
        mailbox: &Arc<Mailbox>,
        change: Change,
    ) -> Result<ModSeq, MailError> {
        let generation = self.account.mail.meta().generation();
        let now = self.now;
        let edit = self.edit(mailbox);
        let modseq = edit.record.next_modseq(generation)?;
        match &change {
            Change::Appended(rows) => edit.count_new(rows),
            Change::Flagged(uids, _) | Change::Expunged(uids) => {
                edit.counts(uids).take_from(&mut edit.record);
            }
            Change::Hidden(..) | Change::Restored { .. } => {}
        }
        if let Some(view) = &mut edit.view {
            view.apply(modseq, &change)?;
        }
        if let Change::Flagged(uids, _) = &change {
            edit.counts(uids).add_to(&mut edit.record);
        }
        let id = edit.mailbox.id;
        let before = self.batch.writes.len();
        JournalEntry { at: now, change }.write(&mut self.batch, id, modseq);
        let written: usize = self.batch.writes[before..]
            .iter()
            .map(|write| {
                if let storage::Write::Put(_, value) = write {
                    value.len()
                } else {
                    0
                }
            })
            .sum();
        self.edit(mailbox).journal_bytes += written;
        Ok(modseq)
    }

    /// Commits. `Ok(None)` means that another process was faster: refresh and start over. With
    /// `durable`, others see the changes once they are on stable storage; without, at once.
    pub(crate) async fn commit(
        mut self,
        writer: &mut Writer,
        durable: bool,
    ) -> Result<Option<Pending>, MailError> {
        for edit in &self.edits {
            let key = keys::mailbox(edit.mailbox.id);
            self.batch.require(key.clone(), edit.base.record.encode());
            self.batch.put(key, edit.record.encode());
        }
        let commit = match self
            .account
            .mail
            .meta()
            .commit(self.account.id, self.batch)
            .await
        {
            Ok(commit) => commit,
            Err(error) if error.kind == ErrorKind::Conflict => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        writer.ids.committed();
        writer.garbage |= self.marks_garbage;
        let durable = (durable || self.account.mail.options().strict) && !commit.is_durable();
        let mut news = Vec::with_capacity(self.edits.len());
        let mut hidden = Vec::new();
        for edit in self.edits {
            self.account.add_usage(
                i64::from(edit.record.messages) - i64::from(edit.base.record.messages),
                edit.record.bytes as i64 - edit.base.record.bytes as i64,
            );
            let new = Committed {
                record: Arc::new(edit.record),
                view: edit.view.map(Arc::new),
            };
            if durable {
                edit.mailbox
                    .advance_pending(new.clone(), edit.journal_bytes);
            } else if !edit.mailbox.advance(new.clone(), edit.journal_bytes) {
                hidden.push((edit.mailbox.clone(), new.record.modseq));
            }
            self.account.consider_snapshot(&edit.mailbox);
            news.push((edit.mailbox, new));
        }
        if !durable {
            commit.relax();
            return Ok(Some(Pending::Hidden(hidden)));
        }
        Ok(Some(Pending::Durable(Settling {
            durable: Some(Box::pin(commit.durable())),
            news,
            account: self.account.clone(),
        })))
    }
}

/// A committed transaction on its way to being shown.
#[must_use = "await shown() before answering"]
pub(crate) enum Pending {
    /// Being made durable.
    Durable(Settling),
    /// Waiting behind earlier commits of these mailboxes.
    Hidden(Vec<(Arc<Mailbox>, ModSeq)>),
}

impl Pending {
    /// Resolves once the changes are shown (and durable, if that was asked for).
    pub(crate) async fn shown(self) -> Result<(), MailError> {
        match self {
            Self::Durable(mut settling) => settling.finish().await,
            Self::Hidden(behind) => {
                for (mailbox, modseq) in behind {
                    mailbox.wait_shown(modseq).await?;
                }
                Ok(())
            }
        }
    }
}

type Durable = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send>>;

/// A commit on its way to the disk, and the mailboxes that must learn the outcome. Whoever made it
/// waits for it, without a change of threads; if they go away a task does.
pub(crate) struct Settling {
    durable: Option<Durable>,
    news: Vec<(Arc<Mailbox>, Committed)>,
    account: Arc<AccountInner>,
}

impl Settling {
    async fn finish(&mut self) -> Result<(), MailError> {
        let Some(durable) = &mut self.durable else {
            return Ok(());
        };
        let result = durable.await;
        self.durable = None;
        settle(&self.news, result.is_ok());
        Ok(result?)
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let Some(durable) = self.durable.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (news, account) = (std::mem::take(&mut self.news), self.account.clone());
            runtime.spawn(async move {
                settle(&news, durable.await.is_ok());
                drop(account);
            });
        }
    }
}

fn settle(news: &[(Arc<Mailbox>, Committed)], durable: bool) {
    for (mailbox, new) in news {
        mailbox.settle(new, durable);
    }
}
