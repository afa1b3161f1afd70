//! The accounts themselves: names, password hashes and quotas, kept in the store's own partition.

use crate::codec::{Decoder, Encoder};
use crate::edit::ATTEMPTS;
use crate::messages::contention;
use crate::snapshot::each;
use crate::{Boxed, Mail, MailError, MailErrorKind, QuotaLimits, keys};
use bytes::Bytes;
use storage::Batch;
use types::AccountId;

/// Version 1 lacks the limits of messages and mailboxes.
const VERSION: u8 = 2;

/// Longest account name, in bytes.
const MAX_NAME: usize = 320;

/// An account as the directory kept in the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its id, never given twice.
    pub id: AccountId,
    /// Its name, unique, in the spelling it was made with.
    pub name: String,
    /// Password hash with its `{SCHEME}`; `None` when another directory knows the password.
    pub password: Option<String>,
    /// Its own limits.
    pub quota: QuotaLimits,
}

impl AccountInfo {
    pub(crate) fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        // A record that is required to be unchanged must be encoded as it was read.
        let is_old = self.quota.messages.is_none() && self.quota.mailboxes.is_none();
        e.byte(if is_old { 1 } else { VERSION });
        e.uint(self.id.0);
        e.bytes(self.name.as_bytes());
        e.byte(u8::from(self.password.is_some()));
        e.bytes(self.password.as_deref().unwrap_or_default().as_bytes());
        e.byte(u8::from(self.quota.bytes.is_some()));
        e.uint(self.quota.bytes.unwrap_or_default());
        if !is_old {
            self.quota.encode_more(&mut e);
        }
        e.0.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "account record");
        let version = d.byte()?;
        if !(1..=VERSION).contains(&version) {
            return Err(d.damaged());
        }
        let id = AccountId(d.uint()?);
        let name = d.str()?.to_owned();
        let has_password = d.byte()? != 0;
        let password = d.str()?.to_owned();
        let has_quota = d.byte()? != 0;
        let mut quota = QuotaLimits {
            bytes: Some(d.uint()?).filter(|_| has_quota),
            ..QuotaLimits::default()
        };
        if version > 1 {
            quota.decode_more(&mut d)?;
        }
        Ok(Self {
            id,
            name,
            password: has_password.then_some(password),
            quota,
        })
    }
}

/// `Invalid` when an account cannot be called so.
pub(crate) fn check_name(name: &str) -> Result<(), MailError> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(odd) {
        return Err(MailError::new(
            MailErrorKind::Invalid,
            "not a usable account name",
        ));
    }
    Ok(())
}

impl Mail {
    /// Makes an account; `Exists` when the name is taken (letter case does not tell names apart).
    pub fn create_account<'a>(
        &'a self,
        name: &'a str,
        password: Option<&'a str>,
    ) -> Boxed<'a, AccountInfo> {
        Box::pin(async move {
            check_name(name)?;
            for _ in 0..ATTEMPTS {
                if self.find_account(name).await?.is_some() {
                    return Err(MailError::new(
                        MailErrorKind::Exists,
                        "an account of that name exists",
                    ));
                }
                let mut batch = Batch::new();
                let id = self.next_account(&mut batch).await?;
                let info = AccountInfo {
                    id,
                    name: name.to_owned(),
                    password: password.map(str::to_owned),
                    quota: QuotaLimits::default(),
                };
                batch.require_absent(keys::account(name));
                batch.put(keys::account(name), info.encode());
                batch.put(keys::account_name(info.id), name.as_bytes().to_vec());
                if self.commit_noted(&info, false, batch).await? {
                    return Ok(info);
                }
            }
            Err(contention())
        })
    }

    /// A number no account has had, taken by the commit of `batch`.
    pub(crate) async fn next_account(&self, batch: &mut Batch) -> Result<AccountId, MailError> {
        let counter = self.meta().get(AccountId::SYSTEM, keys::NEXT_ID).await?;
        let id = match &counter {
            Some(old) => {
                batch.require(keys::NEXT_ID, old.clone());
                let bytes = <[u8; 8]>::try_from(&old[..]);
                u64::from_be_bytes(bytes.map_err(|_| MailError::corrupt("account counter"))?)
            }
            None => {
                batch.require_absent(keys::NEXT_ID);
                1
            }
        };
        batch.put(keys::NEXT_ID, (id + 1).to_be_bytes().to_vec());
        Ok(AccountId(id))
    }

    /// The account of a name; `None` when there is none.
    pub async fn find_account(&self, name: &str) -> Result<Option<AccountInfo>, MailError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Ok(None);
        }
        let record = self
            .meta()
            .get(AccountId::SYSTEM, &keys::account(name))
            .await?;
        record.map(|bytes| AccountInfo::decode(&bytes)).transpose()
    }

    /// The account of a name known to some directory; made (without password) when the store has
    /// none yet.
    pub async fn ensure_account(&self, name: &str) -> Result<AccountInfo, MailError> {
        if let Some(info) = self.find_account(name).await? {
            return Ok(info);
        }
        match self.create_account(name, None).await {
            Err(error) if error.kind == MailErrorKind::Exists => {
                self.find_account(name).await?.ok_or_else(contention)
            }
            other => other,
        }
    }

    /// Replaces the password hash. `NotFound`.
    pub async fn set_password(&self, name: &str, password: Option<&str>) -> Result<(), MailError> {
        self.update_account(name, |info| info.password = password.map(str::to_owned))
            .await
    }

    pub(crate) async fn update_account(
        &self,
        name: &str,
        change: impl Fn(&mut AccountInfo),
    ) -> Result<(), MailError> {
        for _ in 0..ATTEMPTS {
            let old = self.find_account(name).await?;
            let old = old.ok_or_else(|| MailError::not_found("no such account"))?;
            let mut new = old.clone();
            change(&mut new);
            let mut batch = Batch::new();
            batch.require(keys::account(name), old.encode());
            batch.put(keys::account(name), new.encode());
            if self.commit_noted(&new, false, batch).await? {
                return Ok(());
            }
        }
        Err(contention())
    }

    /// Commits a change of an account together with its note.
    pub(crate) async fn commit_noted(
        &self,
        info: &AccountInfo,
        removed: bool,
        mut batch: Batch,
    ) -> Result<bool, MailError> {
        let change = self.note_account(info, removed, &mut batch).await?;
        let committed = self.commit_durably(AccountId::SYSTEM, batch).await?;
        self.noted(change, committed).await;
        Ok(committed)
    }

    /// Removes an account with all its mail: first its name, so that nobody can reach it any more,
    /// then its keys. After an error or a crash it is there whole, or the sweep removes what is
    /// left. `NotFound`.
    pub fn remove_account<'a>(&'a self, name: &'a str) -> Boxed<'a, ()> {
        Box::pin(async move {
            let info = self.find_account(name).await?;
            let info = info.ok_or_else(|| MailError::not_found("no such account"))?;
            let mut batch = Batch::new();
            batch.require(keys::account(name), info.encode());
            batch.delete(keys::account(name));
            batch.delete(keys::account_name(info.id));
            if !self.commit_noted(&info, true, batch).await? {
                return Err(contention());
            }
            if let Some(account) = self.open_account(info.id) {
                let _writer = account.writer.lock().await;
                for mailbox in account.all_mailboxes() {
                    account.forget(&mailbox);
                }
                self.close_account(info.id);
            }
            self.forget_uses(info.id, None);
            self.purge_account(info.id).await
        })
    }

    /// Removes what is left of an account that was removed: by a crash, or written since by a
    /// session that was open then. `true`: there is no such account.
    pub(crate) async fn finish_removal(&self, id: AccountId) -> Result<bool, MailError> {
        if !self.was_removed(id).await? {
            return Ok(false);
        }
        tracing::warn!(account = %id, "what is left of a removed account is removed");
        self.close_account(id);
        self.purge_account(id).await?;
        Ok(true)
    }

    /// All accounts, by name.
    pub async fn list_accounts(&self) -> Result<Vec<AccountInfo>, MailError> {
        let mut accounts = Vec::new();
        each(
            self.meta(),
            AccountId::SYSTEM,
            keys::accounts(),
            |(_, value)| {
                accounts.push(AccountInfo::decode(value)?);
                Ok(())
            },
        )
        .await?;
        Ok(accounts)
    }

    /// The name of an account; `None` when it is gone.
    pub async fn account_name(&self, id: AccountId) -> Result<Option<String>, MailError> {
        let key = keys::account_name(id);
        let name = self.meta().get(AccountId::SYSTEM, &key).await?;
        Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
    }
}
