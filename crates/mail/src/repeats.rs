//! Messages that are delivered twice: a sender that did not hear our 250 sends again. Where the
//! operator wants it, the second one is not put into the mailbox (Cyrus: duplicate suppression).
//!
//! One row for each delivery, `d` + day + hash of mailbox and Message-ID, written with the commit
//! that delivers: whatever is lost in a crash, both are or neither. Each delivery forgets a few
//! rows that are too old.

use crate::account::AccountInner;
use crate::edit::Transaction;
use crate::{Account, Appended, MailError, NewMessage, keys};
use message::Digest;
use storage::Scan;
use types::MailboxId;

/// Rows one delivery forgets at most: more than it writes, so they never pile up.
const FORGET: usize = 16;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is in the mailbox.
    Appended(Appended),
    /// A message with its Message-ID was delivered there before.
    Repeated,
}

/// How to tell that a message has been delivered before.
#[derive(Clone, Copy)]
pub(crate) struct Once {
    name: [u8; 16],
    days: u16,
}

impl Once {
    /// `None`: the message has no Message-ID, or no days are to be remembered.
    fn of(message: &NewMessage, mailbox: MailboxId, days: u16) -> Option<Self> {
        let digest = Digest::parse(&message.content.digest)?;
        let id = digest.message_id().filter(|_| days > 0)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&mailbox.0.to_be_bytes()).update(id);
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        Some(Self { name, days })
    }
}

impl Account {
    /// Appends a message unless one with its Message-ID was delivered into this mailbox by this
    /// method within the last `days`; 0: always. As [`Account::append`].
    ///
    /// # Errors
    /// As [`Account::append`].
    pub async fn deliver(
        &self,
        mailbox: MailboxId,
        message: NewMessage,
        days: u16,
    ) -> Result<Delivered, MailError> {
        let once = Once::of(&message, mailbox, days);
        let appended = self.append_once(mailbox, vec![message], once).await?;
        Ok(appended.map_or(Delivered::Repeated, Delivered::Appended))
    }
}

impl AccountInner {
    /// Whether the delivery is the first of its name; then that is noted in its transaction. The
    /// caller holds the writer's lock.
    pub(crate) async fn is_first(
        &self,
        once: Option<Once>,
        tx: &mut Transaction<'_>,
    ) -> Result<bool, MailError> {
        let Some(Once { name, days }) = once else {
            return Ok(true);
        };
        let (meta, today) = (self.mail.meta(), day(tx.now()));
        let oldest = today.saturating_sub(u32::from(days));
        for day in oldest..=today {
            if meta
                .get(self.id, &keys::delivered(day, &name))
                .await?
                .is_some()
            {
                return Ok(false);
            }
        }
        let old = Scan {
            end: Some(keys::delivered(oldest, &[])),
            ..Scan::prefix(&b"d"[..], FORGET)
        };
        for (key, _) in meta.scan(self.id, old).await?.entries {
            tx.batch.delete(key);
        }
        let key = keys::delivered(today, &name);
        // Another process may deliver the same message.
        tx.batch.require_absent(key.clone());
        tx.batch.put(key, &b""[..]);
        Ok(true)
    }
}

/// Days since 1970. A clock before that has no days.
fn day(seconds: i64) -> u32 {
    u32::try_from(seconds.div_euclid(DAY)).unwrap_or(0)
}
