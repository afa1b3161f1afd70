//! Background work: snapshots, emails that are in no mailbox any more, and what deleted mailboxes
//! leave.

use crate::account::{AccountInner, Writer};
use crate::edit::Transaction;
use crate::mailbox::Mailbox;
use crate::snapshot::{self, after, each};
use crate::{Boxed, Email, Mail, MailError, Recoverable, keys};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use storage::{Batch, ErrorKind, Scan};
use types::{AccountId, BlobHash, EmailId};

/// Emails found in no mailbox, and since when: they are removed once every session that could still
/// see them is gone. Lost at a restart, which only delays the removal.
pub(crate) type Dead = HashMap<AccountId, HashMap<EmailId, i64>>;

/// Journal bytes after which a snapshot is written in any case.
const SNAPSHOT_BYTES: usize = 256 * 1024;

/// Writes of one background batch.
const BATCH: usize = 4096;

impl Transaction<'_> {
    /// Notes, with the commit that may orphan emails, that the account should be swept.
    pub(crate) fn mark_garbage(&mut self, writer: &Writer) {
        if !writer.garbage {
            self.batch.put(keys::GARBAGE, &b""[..]);
            self.marks_garbage = true;
        }
    }
}

impl AccountInner {
    /// Starts writing a snapshot if the journal behind the last one has grown large against it.
    pub(crate) fn consider_snapshot(self: &Arc<Self>, mailbox: &Arc<Mailbox>) {
        let mut state = mailbox.state();
        let Some(view) = &state.head.view else { return };
        let enough = SNAPSHOT_BYTES.min(16 * 1024 + view.len() * 4);
        if state.disk.saving || state.disk.journal_bytes < enough || mailbox.is_gone() {
            return;
        }
        state.disk.saving = true;
        drop(state);
        let (account, mailbox) = (self.clone(), mailbox.clone());
        tokio::spawn(async move {
            if let Err(error) = account.write_snapshot(&mailbox).await {
                tracing::warn!(account = %account.id, mailbox = %mailbox.id, %error, "no snapshot");
            }
            mailbox.state().disk.saving = false;
        });
    }

    async fn write_snapshot(&self, mailbox: &Arc<Mailbox>) -> Result<(), MailError> {
        let (view, saved, covered) = {
            let state = mailbox.state();
            // What is shown is durable or a flag change; what is pending stays in the journal.
            let Some(view) = state.shown.view.clone() else {
                return Ok(());
            };
            (view, state.disk.saved.clone(), state.disk.journal_bytes)
        };
        let keep = crate::engine::now() - self.mail.options().remember_expunged_seconds;
        let saved =
            snapshot::save(self.mail.meta(), self.id, mailbox.id, &view, &saved, keep).await?;
        let mut state = mailbox.state();
        state.disk.saved = saved;
        state.disk.journal_bytes = state.disk.journal_bytes.saturating_sub(covered);
        Ok(())
    }

    /// One round of cleaning. Returns how many emails were removed.
    async fn clean(&self, now: i64) -> Result<usize, MailError> {
        self.bury_mailboxes().await?;
        let dead = self.find_dead().await?;
        let grace = self.mail.options().grace_seconds;
        let due: Vec<EmailId> = {
            let mut all = self
                .mail
                .dead()
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let known = all.entry(self.id).or_default();
            known.retain(|id, _| dead.contains(id));
            for id in &dead {
                known.entry(*id).or_insert(now);
            }
            known
                .iter()
                .filter(|(_, since)| now - **since >= grace)
                .map(|(id, _)| *id)
                .collect()
        };
        for ids in due.chunks(BATCH) {
            self.remove_emails(ids).await?;
        }
        let mut all = self
            .mail
            .dead()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(&self.id) {
            due.iter().for_each(|id| {
                known.remove(id);
            });
        }
        Ok(due.len())
    }

    /// The emails that no mailbox holds and undelete cannot bring back. The writer's lock keeps
    /// messages from moving meanwhile.
    async fn find_dead(&self) -> Result<HashSet<EmailId>, MailError> {
        let mut writer = self.writer.lock().await;
        if !self.mail.meta().is_exclusive() {
            self.refresh(&mut writer).await?;
        }
        let mut live = HashSet::new();
        for mailbox in self.all_mailboxes() {
            mailbox.wait_settled().await?;
            let head = mailbox.state().head.clone();
            let view = match head.view {
                Some(view) => view,
                None => {
                    let validity = head.record.uid_validity;
                    let meta = self.mail.meta();
                    Arc::new(
                        snapshot::load(meta, self.id, mailbox.id, validity)
                            .await?
                            .view,
                    )
                }
            };
            live.extend(view.rows().map(|row| row.email));
        }
        for (id, removal) in self.removals().await? {
            let (rows, _) = self.rows_of_removal(id, &removal).await?;
            live.extend(rows.iter().map(|new| new.row.email));
        }
        let mut dead = HashSet::new();
        each(
            self.mail.meta(),
            self.id,
            Scan::prefix(&b"e"[..], keys::PAGE),
            |(key, _)| {
                if let Some(id) = keys::id_of(key).map(EmailId)
                    && !live.contains(&id)
                {
                    dead.insert(id);
                }
                Ok(())
            },
        )
        .await?;
        if dead.is_empty() && writer.garbage {
            // Still under the lock: an expunge after this look sets the mark anew.
            let mut batch = Batch::new();
            batch.delete(keys::GARBAGE);
            self.mail.meta().commit(self.id, batch).await?.relax();
            writer.garbage = false;
        }
        Ok(dead)
    }

    /// Removes email records. Nothing can bring a dead email back: only a mailbox holding it could
    /// be copied from, only a removal holding it be undone, and sessions older than the grace
    /// period may only miss its content.
    async fn remove_emails(&self, ids: &[EmailId]) -> Result<(), MailError> {
        let meta = self.mail.meta();
        let mut batch = Batch::new();
        let mut hashes = HashSet::new();
        let emails = self.emails(ids).await?;
        // A delivery that joins a conversation writes the rows of the thread index that go here.
        let writer = self.writer.lock().await;
        for (id, email) in ids.iter().zip(emails) {
            if let Some(email) = email
                && let Some(record) = meta.get(self.id, &keys::email(*id)).await?
            {
                self.forget_thread(&email, &mut batch).await?;
                batch.require(keys::email(*id), record);
                batch.delete(keys::email(*id));
                batch.unlink(email.blob.hash, *id);
                hashes.insert(email.blob.hash);
            }
        }
        let committed = meta.commit(self.id, batch).await;
        drop(writer);
        self.mail.email_cache().forget(self.id, ids);
        match committed {
            Ok(commit) => commit.durable().await?,
            // Another process cleans the same account.
            Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.mail.release(hashes).await
    }

    /// Removes the keys of deleted mailboxes.
    async fn bury_mailboxes(&self) -> Result<(), MailError> {
        let meta = self.mail.meta();
        let mut buried = Vec::new();
        each(meta, self.id, keys::tombstones(), |(key, _)| {
            buried.extend(keys::id_of(key).map(types::MailboxId));
            Ok(())
        })
        .await?;
        for mailbox in buried {
            for scan in keys::of_mailbox(mailbox) {
                self.mail.delete_range(self.id, scan).await?;
            }
            let mut batch = Batch::new();
            batch.delete(keys::tombstone(mailbox));
            meta.commit(self.id, batch).await?.durable().await?;
        }
        Ok(())
    }

    /// Whether a round is worth its cost: while emails wait for the end of their grace period, the
    /// next round is when the first of them may go.
    fn is_due(&self, now: i64) -> bool {
        let all = self
            .mail
            .dead()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let oldest = all.get(&self.id).and_then(|known| known.values().min());
        oldest.is_none_or(|since| now - since >= self.mail.options().grace_seconds)
    }

    /// Whether anything waits to be cleaned.
    async fn needs_cleaning(&self) -> Result<bool, MailError> {
        Ok(self
            .mail
            .meta()
            .get(self.id, keys::GARBAGE)
            .await?
            .is_some())
    }
}

impl Mail {
    /// One round of background cleaning over all accounts: messages kept long enough, removals that
    /// undelete does not bring back any more, old entries of the history, keys of deleted
    /// mailboxes, emails in no mailbox once the grace period has passed, blobs without links. Meant
    /// to be called every few minutes. Returns how many emails were removed.
    ///
    /// # Errors
    /// The first trouble of the store; what was done stays done.
    pub fn sweep(&self) -> Boxed<'_, usize> {
        Box::pin(async move {
            let (mut removed, mut after) = (0, None);
            let (mut recoverable, mut mixed) = (Recoverable::default(), 0);
            loop {
                let page = self.meta().accounts(after, keys::PAGE).await?;
                let Some(last) = page.last().copied() else {
                    *self.recoverable_slot() = recoverable;
                    self.mixed_accounts().store(mixed, Ordering::Relaxed);
                    return Ok(removed);
                };
                for id in page.into_iter().filter(|id| *id != AccountId::SYSTEM) {
                    if !self.finish_restore(id).await? || self.finish_removal(id).await? {
                        continue;
                    }
                    self.remove_due(id, crate::engine::now()).await?;
                    self.forget_old(id, &mut recoverable).await?;
                    mixed += u64::from(self.is_mixed(id, crate::engine::now()).await?);
                    if self.meta().get(id, keys::GARBAGE).await?.is_some() {
                        removed += self.sweep_account(id).await?;
                    }
                }
                after = Some(last);
            }
        })
    }

    /// Lets go of what is kept for a time that is over, and counts what is left. Opens the account
    /// only if there is something to do.
    async fn forget_old(&self, id: AccountId, sum: &mut Recoverable) -> Result<(), MailError> {
        let now = crate::engine::now();
        self.prune_history(id, now).await?;
        let here = crate::removal::count(self.meta(), id).await?;
        let until = now.saturating_sub(self.options().undelete_seconds);
        if here.oldest.is_some_and(|oldest| oldest <= until) {
            self.account(id).await?.0.prune_removals(now).await?;
        }
        sum.messages += here.messages;
        sum.bytes += here.bytes;
        Ok(())
    }

    async fn sweep_account(&self, id: AccountId) -> Result<usize, MailError> {
        let account = self.account(id).await?;
        let account = &account.0;
        if !account.needs_cleaning().await? || !account.is_due(crate::engine::now()) {
            return Ok(0);
        }
        account.clean(crate::engine::now()).await
    }

    /// Releases blobs that no link row names any more.
    pub(crate) async fn release(&self, hashes: HashSet<BlobHash>) -> Result<(), MailError> {
        for hash in hashes {
            if self.meta().links(&hash, 1).await?.is_empty() {
                self.blobs().release(&hash).await?;
            }
        }
        Ok(())
    }

    /// Removes everything an account holds.
    pub(crate) async fn purge_account(&self, id: AccountId) -> Result<(), MailError> {
        loop {
            let page = self
                .meta()
                .scan(id, Scan::prefix(&b"e"[..], keys::PAGE))
                .await?;
            if page.entries.is_empty() {
                break;
            }
            let (mut batch, mut hashes) = (Batch::new(), HashSet::new());
            for (key, record) in &page.entries {
                batch.delete(key.clone());
                if let Some(email) = keys::id_of(key).map(EmailId)
                    && let Ok(decoded) = Email::decode(email, record)
                {
                    batch.unlink(decoded.blob.hash, email);
                    hashes.insert(decoded.blob.hash);
                }
            }
            self.meta().commit(id, batch).await?.durable().await?;
            self.release(hashes).await?;
        }
        // Last the mark of what is not finished: it says that the rest is to go.
        for scan in keys::around(keys::UNFINISHED) {
            self.delete_range(id, scan).await?;
        }
        self.delete_range(id, keys::everything()).await
    }

    pub(crate) async fn delete_range(
        &self,
        id: AccountId,
        mut scan: Scan,
    ) -> Result<(), MailError> {
        loop {
            let page = self.meta().scan(id, scan.clone()).await?;
            let mut batch = Batch::new();
            for (key, _) in &page.entries {
                batch.delete(key.clone());
            }
            self.meta().commit(id, batch).await?.durable().await?;
            match page.entries.last() {
                Some((last, _)) if page.more => scan.start = after(last),
                _ => return Ok(()),
            }
        }
    }
}
