//! Messages kept for some days (policy `keep-days`): which POP3 shows no more, and their removal.

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::disposal::require;
use crate::edit::{ATTEMPTS, Transaction};
use crate::mailbox::Mailbox;
use crate::messages::contention;
use crate::{Account, Mail, MailError, MailErrorKind, View, keys};
use bytes::Bytes;
use std::sync::Arc;
use types::{AccountId, MailboxId, UidSet};

/// Messages removed in one commit.
const REMOVED_AT_ONCE: usize = 4096;

impl Mail {
    /// Removes the messages of an account whose days are over at `now` (seconds since 1970 UTC).
    /// Each commit removes some and notes when the next are due, so that a crash only delays.
    /// Returns how many were removed.
    pub async fn remove_due(&self, id: AccountId, now: i64) -> Result<u64, MailError> {
        let mut due = Vec::new();
        crate::snapshot::each(self.meta(), id, keys::dues(), |(key, value)| {
            if decode_due(value)? <= now {
                due.extend(keys::id_of(key).map(MailboxId));
            }
            Ok(())
        })
        .await?;
        let mut removed = 0;
        for mailbox in due {
            match self.account(id).await?.remove_due(mailbox, now).await {
                Ok(count) => removed += count,
                // Deleted meanwhile; its keys go with it.
                Err(error)
                    if matches!(error.kind, MailErrorKind::NotFound | MailErrorKind::Gone) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

impl Account {
    async fn remove_due(&self, mailbox: MailboxId, now: i64) -> Result<u64, MailError> {
        let selected = self.select(mailbox).await?;
        let (account, mailbox) = (&self.0, selected.mailbox());
        let (mut removed, mut attempts) = (0, 0);
        while attempts < ATTEMPTS {
            let mut writer = account.writer.lock().await;
            mailbox.live()?;
            account.load(mailbox).await?;
            let mut tx = Transaction::new(account, &mut writer);
            let (uids, next) = tx.view(mailbox)?.due(now, REMOVED_AT_ONCE);
            let key = keys::due(mailbox.id);
            let old = account.read(&key).await?;
            require(&mut tx.batch, &key, old);
            match next {
                Some(at) => tx.batch.put(key, encode_due(at)),
                None => tx.batch.delete(key),
            };
            let (count, is_last) = (uids.len(), next.is_none_or(|at| at > now));
            if count > 0 {
                tx.remove(&writer, mailbox, &uids, self.actor())?;
            }
            match tx.commit(&mut writer, true).await? {
                Some(pending) => {
                    drop(writer);
                    pending.shown().await?;
                    removed += count;
                    if is_last {
                        return Ok(removed);
                    }
                }
                None => {
                    account.refresh(&mut writer).await?;
                    attempts += 1;
                }
            }
        }
        Err(contention())
    }
}

impl AccountInner {
    /// Whether the removal of every message that is to be removed is noted.
    pub(crate) async fn notes_due(
        &self,
        mailbox: &Arc<Mailbox>,
        view: &View,
    ) -> Result<bool, MailError> {
        let (_, first) = view.due(i64::MIN, 0);
        let Some(first) = first else { return Ok(true) };
        let noted = self.read(&keys::due(mailbox.id)).await?;
        let noted = noted.map(|noted| decode_due(&noted)).transpose()?;
        Ok(noted.is_some_and(|noted| noted <= first))
    }
}

impl View {
    /// At most `limit` messages to be removed by `now`, and when the first of the others is.
    pub(crate) fn due(&self, now: i64, limit: usize) -> (UidSet, Option<i64>) {
        let (mut due, mut next) = (UidSet::new(), None::<i64>);
        for chunk in self.chunks.iter().filter(|chunk| chunk.has_hidden()) {
            for i in 0..chunk.len() {
                let Some(at) = chunk.hidden(i).removed_at() else {
                    continue;
                };
                if at <= now && due.len() < limit as u64 {
                    due.push(chunk.uids[i]);
                } else {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
        }
        (due, next)
    }
}

impl Transaction<'_> {
    /// Notes that messages of a mailbox are to be removed at a time, if none is sooner.
    pub(crate) async fn note_due(
        &mut self,
        mailbox: &Arc<Mailbox>,
        at: i64,
    ) -> Result<(), MailError> {
        let key = keys::due(mailbox.id);
        let old = self.account().read(&key).await?;
        if let Some(old) = &old
            && decode_due(old)? <= at
        {
            return Ok(());
        }
        require(&mut self.batch, &key, old);
        self.batch.put(key, encode_due(at));
        Ok(())
    }
}

fn encode_due(at: i64) -> Bytes {
    let mut e = Encoder::default();
    e.int(at);
    e.0.into()
}

fn decode_due(bytes: &[u8]) -> Result<i64, MailError> {
    Decoder::new(bytes, "time of removal").int()
}
