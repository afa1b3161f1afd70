//! App passwords of an account, kept in its own partition.

use crate::codec::{Decoder, Encoder};
use crate::edit::ATTEMPTS;
use crate::messages::contention;
use crate::snapshot::each;
use crate::{Account, Mail, MailError, MailErrorKind, keys};
use bytes::Bytes;
use storage::{Batch, ErrorKind};
use types::{AccountId, CredentialId, Doors, Pop3Policy};

const VERSION: u8 = 1;

/// App passwords one account can have: a login may have to try them all.
pub const MAX_CREDENTIALS: usize = 64;

/// Longest label, in bytes.
const MAX_LABEL: usize = 64;

/// An app password as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// Its number, never given twice in the account.
    pub id: CredentialId,
    /// What its owner calls it; unique in the account, letter case aside.
    pub label: String,
    /// Its hash with `{SCHEME}`.
    pub hash: String,
    /// Where it may be used.
    pub doors: Doors,
    /// When it was made, in seconds since 1970 UTC.
    pub made: i64,
}

impl StoredCredential {
    fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        e.bytes(self.label.as_bytes());
        e.bytes(self.hash.as_bytes());
        e.byte(self.doors.0);
        e.int(self.made);
        e.0.into()
    }

    fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "credential");
        let id = keys::id_of(key).ok_or_else(|| d.damaged())?;
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        let (label, hash) = (d.str()?.to_owned(), d.str()?.to_owned());
        let (doors, made) = (Doors(d.byte()?), d.int()?);
        Ok(Self {
            id: CredentialId(id),
            label,
            hash,
            doors,
            made,
        })
    }
}

impl Mail {
    /// The app passwords of the account with this name, oldest first; none when there is no such
    /// account. Does not open it.
    pub async fn credentials(&self, name: &str) -> Result<Vec<StoredCredential>, MailError> {
        match self.find_account(name).await? {
            Some(info) => self.credentials_of(info.id).await,
            None => Ok(Vec::new()),
        }
    }

    async fn credentials_of(&self, id: AccountId) -> Result<Vec<StoredCredential>, MailError> {
        let mut found = Vec::new();
        each(self.meta(), id, keys::credentials(), |(key, value)| {
            found.push(StoredCredential::decode(key, value)?);
            Ok(())
        })
        .await?;
        Ok(found)
    }
}

impl Account {
    /// The app passwords of the account, oldest first.
    pub async fn credentials(&self) -> Result<Vec<StoredCredential>, MailError> {
        self.0.mail.credentials_of(self.0.id).await
    }

    /// Keeps a new app password, with a POP3 policy of its own if one is given. `Exists` when the
    /// label is taken, `Invalid` when it is none, `Limit`.
    pub async fn add_credential(
        &self,
        label: &str,
        hash: &str,
        doors: Doors,
        policy: Option<&Pop3Policy>,
    ) -> Result<StoredCredential, MailError> {
        if label.trim() != label
            || !(1..=MAX_LABEL).contains(&label.len())
            || label.contains(char::is_control)
        {
            let text = "a label has 1 to 64 octets, no control characters, no blank at its ends";
            return Err(MailError::new(MailErrorKind::Invalid, text));
        }
        if let Some(policy) = policy {
            self.mail().announce_pop3_policy(policy).await?;
        }
        let account = &*self.0;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let known = self.credentials().await?;
            if known.iter().any(|other| same_label(&other.label, label)) {
                let text = "an app password with that label exists";
                return Err(MailError::new(MailErrorKind::Exists, text));
            }
            if known.len() >= MAX_CREDENTIALS {
                let text = "the account has as many app passwords as it may";
                return Err(MailError::new(MailErrorKind::Limit, text));
            }
            writer.ids.begin();
            let mut batch = Batch::new();
            let new = StoredCredential {
                id: CredentialId(writer.ids.take(1, &mut batch)),
                label: label.to_owned(),
                hash: hash.to_owned(),
                doors,
                made: crate::engine::now(),
            };
            batch.require_absent(keys::credential(new.id));
            batch.put(keys::credential(new.id), new.encode());
            if let Some(policy) = policy {
                batch.put(keys::pop3_policy(new.id), policy.to_string().into_bytes());
            }
            match account.mail.meta().commit(account.id, batch).await {
                Ok(commit) => commit.durable().await?,
                Err(error) if error.kind == ErrorKind::Conflict => {
                    account.refresh(&mut writer).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            writer.ids.committed();
            return Ok(new);
        }
        Err(contention())
    }

    /// The app password of a label. `NotFound`.
    pub async fn credential(&self, label: &str) -> Result<StoredCredential, MailError> {
        let mut all = self.credentials().await?.into_iter();
        all.find(|known| same_label(&known.label, label))
            .ok_or_else(|| MailError::not_found("no app password has that label"))
    }

    /// Forgets an app password; `NotFound`. Logins by it fail from now on, open sessions are the
    /// caller's business.
    pub async fn revoke_credential(&self, label: &str) -> Result<StoredCredential, MailError> {
        let account = &*self.0;
        let _writer = account.writer.lock().await;
        let found = self.credential(label).await?;
        let mut batch = Batch::new();
        batch.delete(keys::credential(found.id));
        batch.delete(keys::pop3_policy(found.id));
        for use_ in self.last_uses().await? {
            if use_.credential == found.id {
                batch.delete(keys::last_use(found.id, use_.door));
            }
        }
        let commit = account.mail.meta().commit(account.id, batch).await?;
        commit.durable().await?;
        account.mail.forget_uses(account.id, Some(found.id));
        Ok(found)
    }
}

fn same_label(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
