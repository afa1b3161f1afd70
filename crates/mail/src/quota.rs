//! Quota: how much an account may hold, of what (RFC 9208 5).

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::{Account, Mail, MailError, MailErrorKind};
use std::sync::PoisonError;
use types::AccountId;

/// How much an account may hold. `None` is unlimited where limits are in force, and "what the
/// settings say" in an account's own record, where [`UNLIMITED`] says that there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Bytes of all messages.
    pub bytes: Option<u64>,
    /// Messages in all mailboxes.
    pub messages: Option<u64>,
    /// Mailboxes.
    pub mailboxes: Option<u64>,
}

/// In an account's own limits: no limit, whatever the settings say.
pub const UNLIMITED: u64 = u64::MAX;

/// What an account holds and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Their sizes.
    pub bytes: u64,
    /// Mailboxes, INBOX among them.
    pub mailboxes: u64,
    /// The limits in force.
    pub limits: QuotaLimits,
}

impl QuotaLimits {
    /// These limits where they say something, the others where they do not.
    fn in_force(self, otherwise: Self) -> Self {
        let choose = |own: Option<u64>, otherwise| own.or(otherwise).filter(|n| *n != UNLIMITED);
        Self {
            bytes: choose(self.bytes, otherwise.bytes),
            messages: choose(self.messages, otherwise.messages),
            mailboxes: choose(self.mailboxes, otherwise.mailboxes),
        }
    }

    pub(crate) fn encode_more(&self, e: &mut Encoder) {
        for limit in [self.messages, self.mailboxes] {
            e.byte(u8::from(limit.is_some()));
            e.uint(limit.unwrap_or_default());
        }
    }

    pub(crate) fn decode_more(&mut self, d: &mut Decoder<'_>) -> Result<(), MailError> {
        for limit in [&mut self.messages, &mut self.mailboxes] {
            let is_there = d.byte()? != 0;
            *limit = Some(d.uint()?).filter(|_| is_there);
        }
        Ok(())
    }
}

/// So many messages of so many octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages.
    pub messages: u64,
    /// Sum of their sizes.
    pub bytes: u64,
}

impl Load {
    /// One message.
    pub const fn one(bytes: u64) -> Self {
        Self { messages: 1, bytes }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AccountInner {
    pub(crate) fn limits(&self) -> QuotaLimits {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_limits(&self, limits: QuotaLimits) {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// `OverQuota` when that much more, and so much less, would exceed a limit.
    // RFC 8508 3.4: "only the net quota consumption is considered".
    pub(crate) fn check_room(&self, more: Load, less: Load) -> Result<(), MailError> {
        let usage = self.usage();
        let over = |used: u64, more: u64, less: u64, limit: Option<u64>| {
            let net = more.saturating_sub(less);
            net > 0 && limit.is_some_and(|limit| used.saturating_add(net) > limit)
        };
        if over(usage.bytes, more.bytes, less.bytes, usage.limits.bytes) {
            return Err(over_quota("the account is over its quota"));
        }
        let limit = usage.limits.messages;
        if over(usage.messages, more.messages, less.messages, limit) {
            return Err(over_quota("the account has as many messages as it may"));
        }
        Ok(())
    }
}

pub(crate) fn over_quota(text: &str) -> MailError {
    MailError::new(MailErrorKind::OverQuota, text)
}

impl Account {
    /// What the account holds.
    pub fn usage(&self) -> Usage {
        self.0.usage()
    }

    /// `OverQuota` when one message more of `bytes` bytes would exceed the quota.
    pub fn check_quota(&self, bytes: u64) -> Result<(), MailError> {
        self.check_room(Load::one(bytes), Load::default())
    }

    /// `OverQuota` when `more` would exceed the quota, though `less` goes away with it.
    pub fn check_room(&self, more: Load, less: Load) -> Result<(), MailError> {
        self.0.check_room(more, less)
    }
}

impl Mail {
    /// Sets or clears the account's own quota of bytes. `NotFound`.
    pub async fn set_quota(&self, name: &str, bytes: Option<u64>) -> Result<(), MailError> {
        self.change_limits(name, |limits| limits.bytes = bytes)
            .await
    }

    /// Changes the account's own limits. `NotFound`.
    pub async fn change_limits(
        &self,
        name: &str,
        change: impl Fn(&mut QuotaLimits),
    ) -> Result<(), MailError> {
        self.update_account(name, |info| change(&mut info.quota))
            .await?;
        if let Some(info) = self.find_account(name).await?
            && let Some(account) = self.open_account(info.id)
        {
            account.set_limits(info.quota.in_force(self.options().default_limits));
        }
        Ok(())
    }

    /// The limits that apply to an account.
    pub(crate) async fn limits_of(&self, id: AccountId) -> Result<QuotaLimits, MailError> {
        let own = match self.account_name(id).await? {
            Some(name) => self.find_account(&name).await?.map(|info| info.quota),
            None => None,
        };
        Ok(own
            .unwrap_or_default()
            .in_force(self.options().default_limits))
    }
}
