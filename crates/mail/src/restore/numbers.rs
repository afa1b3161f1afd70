//! Numbers that may have been given after a backup was taken are never given again: to a client
//! they would name what it knows as something else (decision 0036).

use crate::account::TreeRecord;
use crate::journal::{Change, JournalEntry};
use crate::record::MailboxRecord;
use crate::snapshot::each;
use crate::{Boxed, Mail, MailError, keys};
use bytes::Bytes;
use storage::{Batch, MetaStore};
use types::{AccountId, MailboxId, Uid, UidSet};

/// How far the ids of an account jump: mailboxes, emails, POP3 unique ids, app passwords. So many
/// more for each second the state is old let a second restore of the same state jump over what
/// was given after the first.
const JUMP: u64 = 1 << 32;
const IDS_A_SECOND: u64 = 1 << 10;

/// Mailboxes of one batch.
const MAILBOXES: usize = 512;

impl Mail {
    /// After everything was put back as it was at `taken` (seconds since 1970 UTC), and before
    /// anybody has an account open: makes sure that no number is given twice.
    pub fn resume_restored(&self, taken: i64) -> Boxed<'_, ()> {
        Box::pin(async move {
            let mut after = None;
            loop {
                let page = self.meta().accounts(after, keys::PAGE).await?;
                for id in page.iter().filter(|id| **id != AccountId::SYSTEM) {
                    jump(self.meta(), *id, taken).await?;
                }
                match page.last() {
                    Some(last) => after = Some(*last),
                    None => return Ok(()),
                }
            }
        })
    }
}

/// Lets the numbers of an account that nobody has open jump ahead. Durable when it returns.
pub(super) async fn jump(
    meta: &dyn MetaStore,
    account: AccountId,
    taken: i64,
) -> Result<(), MailError> {
    let now = crate::engine::now();
    // A clock that was wrong counts as no time at all.
    let age = u32::try_from(now.saturating_sub(taken).max(0)).unwrap_or(u32::MAX);
    let mut batch = Batch::new();
    if let Some(old) = meta.get(account, keys::NEXT_ID).await? {
        let number = <[u8; 8]>::try_from(&old[..]).map(u64::from_be_bytes);
        let step = JUMP + u64::from(age) * IDS_A_SECOND;
        let next = number.ok().and_then(|next| next.checked_add(step));
        let next = next.ok_or_else(|| MailError::corrupt("damaged id counter"))?;
        batch.put(keys::NEXT_ID, Bytes::copy_from_slice(&next.to_be_bytes()));
    }
    let mut tree = TreeRecord::reload(meta.get(account, keys::TREE).await?)?;
    // UIDVALIDITY is the time: what was made since has a lower one than what will be made.
    let mut mailboxes = Vec::new();
    each(meta, account, keys::mailboxes(), |(key, value)| {
        let id = keys::id_of(key).ok_or_else(|| MailError::corrupt("damaged mailbox key"))?;
        mailboxes.push((MailboxId(id), MailboxRecord::decode(value)?));
        Ok(())
    })
    .await?;
    tree.next_uid_validity();
    for (mailbox, record) in &mut mailboxes {
        let before = record.uid_next;
        record.restore(age, meta.generation(), || tree.next_uid_validity())?;
        let uid_next = record.uid_next;
        let lost = Uid::new(before).zip(Uid::new(uid_next.wrapping_sub(1)));
        let lost = lost.filter(|_| before != uid_next);
        let lost = lost.map_or_else(UidSet::new, |(from, to)| UidSet::range(from, to));
        let change = Change::Restored { lost, uid_next };
        let entry = JournalEntry { at: now, change };
        entry.write(&mut batch, *mailbox, record.modseq);
        batch.put(keys::mailbox(*mailbox), record.encode());
        if batch.writes.len() >= 2 * MAILBOXES {
            meta.commit(account, std::mem::take(&mut batch))
                .await?
                .relax();
        }
    }
    tree.write(&mut batch);
    meta.commit(account, batch).await?.durable().await?;
    Ok(())
}
