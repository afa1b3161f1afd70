//! Mixed use: a POP3 client that deletes and an IMAP client share an INBOX. Mail then vanishes from
//! the one because of the other, and nobody knows why.

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::{Account, Mail, MailError, keys};
use bytes::Bytes;
use std::sync::{Arc, MutexGuard, PoisonError};
use storage::Batch;
use types::AccountId;

const VERSION: u8 = 1;

/// Both uses within this time are mixed use, in seconds.
const WINDOW: i64 = 7 * 86_400;

/// How far what is written may lag behind, in seconds: no session waits for it.
const COARSE: i64 = 3600;

/// How long the user is not told again, in seconds.
const ALERT_AGAIN: i64 = 90 * 86_400;

/// When an INBOX was used how, in seconds since 1970 UTC; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MixedUse {
    /// An IMAP client selected it.
    pub imap: i64,
    /// A POP3 client removed messages from it.
    pub pop3_removed: i64,
    /// It was written into the log.
    reported: i64,
    /// An IMAP client was told.
    alerted: i64,
}

/// What is known of an account and what of it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    now: MixedUse,
    written: MixedUse,
}

impl MixedUse {
    /// Whether both happened of late.
    pub fn is_mixed(&self, now: i64) -> bool {
        self.imap.min(self.pop3_removed) > now.saturating_sub(WINDOW)
    }

    fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        for at in [self.imap, self.pop3_removed, self.reported, self.alerted] {
            e.int(at);
        }
        e.0.into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "record of mixed use");
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        Ok(Self {
            imap: d.int()?,
            pop3_removed: d.int()?,
            reported: d.int()?,
            alerted: d.int()?,
        })
    }
}

impl Known {
    pub(crate) fn new(stored: Option<&Bytes>) -> Result<Self, MailError> {
        let stored = stored.map(|bytes| MixedUse::decode(bytes)).transpose()?;
        let written = stored.unwrap_or_default();
        Ok(Self {
            now: written,
            written,
        })
    }

    /// What is to be written, if it is time.
    fn due(&mut self) -> Option<Bytes> {
        let (now, written) = (self.now, self.written);
        let moved = |a: i64, b: i64| a.saturating_sub(b) >= COARSE;
        let due = moved(now.imap, written.imap)
            || moved(now.pop3_removed, written.pop3_removed)
            || now.reported != written.reported
            || now.alerted != written.alerted;
        due.then(|| {
            self.written = now;
            now.encode()
        })
    }
}

impl AccountInner {
    pub(crate) fn mixed(&self) -> MutexGuard<'_, Known> {
        self.mixed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A POP3 client removes messages from INBOX: adds what is to be noted to the batch that does.
    pub(crate) fn pop3_removed(self: &Arc<Self>, batch: &mut Batch) {
        self.mixed().now.pop3_removed = crate::engine::now();
        self.report_mixed();
        if let Some(record) = self.mixed().due() {
            batch.put(keys::MIXED, record);
        }
    }

    /// An IMAP client selects INBOX.
    pub(crate) async fn imap_selected(self: &Arc<Self>) {
        self.mixed().now.imap = crate::engine::now();
        self.report_mixed();
        self.write_mixed().await;
    }

    async fn write_mixed(&self) {
        let due = self.mixed().due();
        let Some(record) = due else { return };
        let mut batch = Batch::new();
        batch.put(keys::MIXED, record);
        match self.mail.meta().commit(self.id, batch).await {
            Ok(commit) => commit.relax(),
            // The next use writes it; nothing depends on it.
            Err(error) => tracing::debug!(account = %self.id, %error, "mixed use not noted"),
        }
    }

    /// Tells the operator, once for each time it begins.
    fn report_mixed(self: &Arc<Self>) {
        let now = crate::engine::now();
        {
            let mut known = self.mixed();
            let is_news = known.now.reported <= now.saturating_sub(WINDOW);
            if !known.now.is_mixed(now) {
                return;
            }
            // As long as it goes on, that counts as told.
            if !is_news {
                if now.saturating_sub(known.now.reported) >= COARSE {
                    known.now.reported = now;
                }
                return;
            }
            known.now.reported = now;
        }
        self.mail
            .mixed_accounts()
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let account = self.clone();
        tokio::spawn(async move {
            let name = account.mail.account_name(account.id).await.ok().flatten();
            tracing::warn!(
                account = name.unwrap_or_default(),
                hint = "gatepost policy set",
                "a POP3 client deletes from an INBOX that an IMAP client uses"
            );
        });
    }
}

impl Account {
    /// How INBOX was used of late.
    pub fn mixed_use(&self) -> MixedUse {
        self.0.mixed().now
    }

    /// Whether the IMAP client is to be told of mixed use now: once, and not again for months.
    pub async fn alert_mixed_use(&self) -> bool {
        let now = crate::engine::now();
        {
            let mut known = self.0.mixed();
            let told = known.now.alerted > now.saturating_sub(ALERT_AGAIN);
            if told || !known.now.is_mixed(now) {
                return false;
            }
            known.now.alerted = now;
        }
        self.0.write_mixed().await;
        true
    }
}

impl Mail {
    /// Whether an account, which need not be open, is in mixed use.
    pub(crate) async fn is_mixed(&self, id: AccountId, now: i64) -> Result<bool, MailError> {
        if let Some(account) = self.open_account(id) {
            return Ok(account.mixed().now.is_mixed(now));
        }
        let stored = self.meta().get(id, keys::MIXED).await?;
        Ok(Known::new(stored.as_ref())?.now.is_mixed(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_uses_within_a_week_are_mixed_use() {
        let day = 86_400;
        let used = |imap, pop3_removed| MixedUse {
            imap: imap * day,
            pop3_removed: pop3_removed * day,
            ..MixedUse::default()
        };
        let now = 100 * day;
        for (imap, pop3, mixed) in [(100, 100, true), (94, 99, true), (93, 99, false)] {
            assert_eq!(used(imap, pop3).is_mixed(now), mixed);
            assert_eq!(used(pop3, imap).is_mixed(now), mixed);
        }
        assert!(!used(100, 0).is_mixed(now) && !MixedUse::default().is_mixed(now));
    }

    #[test]
    fn it_is_written_at_most_once_an_hour() {
        let mut known = Known::new(None).expect("nothing stored");
        assert_eq!(known.due(), None);
        known.now.imap = 10_000;
        let stored = known.due().expect("the first time");
        known.now.imap += COARSE - 1;
        assert_eq!(known.due(), None);
        known.now.imap += 1;
        assert!(known.due().is_some());
        assert_eq!(Known::new(Some(&stored)).expect("sound").now.imap, 10_000);
        assert!(Known::new(Some(&Bytes::from_static(b"\x02"))).is_err());
    }
}
