//! `Mail`: the engine over one store, and its accounts.

use crate::{Account, Email, Ingested, MailError};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use storage::{BlobStore, MetaStore, Provenance};
use types::{AccountId, Role};

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest message taken, in bytes.
    pub max_message_bytes: u32,
    /// Memory for views that no session uses, in bytes.
    pub view_cache_bytes: usize,
    /// Mailboxes made with every new account.
    pub default_mailboxes: Vec<(String, Role)>,
    /// Quota of accounts that have none of their own, in bytes; `None` is unlimited.
    pub default_quota_bytes: Option<u64>,
    /// Whether STORE waits for stable storage too (`durability = "strict"`).
    pub strict: bool,
}

/// An account as the directory kept in the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its id, never given twice.
    pub id: AccountId,
    /// Its name, unique, in the spelling it was made with.
    pub name: String,
    /// Password hash with its `{SCHEME}`; `None` when another directory knows the password.
    pub password: Option<String>,
    /// Quota in bytes, if it has one of its own.
    pub quota_bytes: Option<u64>,
}

/// The mail engine over one MetaStore and one BlobStore. Cloning is cheap.
#[derive(Clone)]
pub struct Mail(Arc<()>);

impl Mail {
    /// Opens the engine.
    pub async fn open(
        meta: Arc<dyn MetaStore>,
        blobs: Arc<dyn BlobStore>,
        options: Options,
    ) -> Result<Self, MailError> {
        todo!()
    }

    /// Makes an account; `Exists` when the name is taken (names differ only by letter case count as the same).
    pub async fn create_account(&self, name: &str, password: Option<&str>) -> Result<AccountInfo, MailError> {
        todo!()
    }

    /// The account of a name; `None` when there is none.
    pub async fn find_account(&self, name: &str) -> Result<Option<AccountInfo>, MailError> {
        todo!()
    }

    /// The account of a name known to some directory; made (without password) when the store has none yet.
    pub async fn ensure_account(&self, name: &str) -> Result<AccountInfo, MailError> {
        todo!()
    }

    /// Replaces the password hash.
    pub async fn set_password(&self, name: &str, password: Option<&str>) -> Result<(), MailError> {
        todo!()
    }

    /// Sets or clears the account's own quota.
    pub async fn set_quota(&self, name: &str, bytes: Option<u64>) -> Result<(), MailError> {
        todo!()
    }

    /// Removes an account with all its mail.
    pub async fn remove_account(&self, name: &str) -> Result<(), MailError> {
        todo!()
    }

    /// All accounts, by name.
    pub async fn list_accounts(&self) -> Result<Vec<AccountInfo>, MailError> {
        todo!()
    }

    /// Opens an account: one object per account and process, shared by all its sessions.
    pub async fn account(&self, id: AccountId) -> Result<Account, MailError> {
        todo!()
    }

    /// Stores and parses the bytes of a message. Returns once they are on stable storage.
    pub async fn ingest(&self, bytes: Bytes, origin: &Provenance) -> Result<Ingested, MailError> {
        todo!()
    }

    /// The shared bytes (without [`Email::prefix`]) of each email, in order. The caller bounds the sum of
    /// the sizes (aim at 1 to 4 MB per call for bulk reading).
    pub async fn contents(&self, emails: &[&Email]) -> Vec<Result<Bytes, MailError>> {
        todo!()
    }

    /// A range of the shared bytes of one email, cut to its size.
    pub async fn content_range(&self, email: &Email, range: Range<u32>) -> Result<Bytes, MailError> {
        todo!()
    }

    /// Settings.
    pub fn options(&self) -> &Options {
        todo!()
    }

    /// Finishes commits and closes both stores.
    pub async fn close(&self) -> Result<(), MailError> {
        todo!()
    }
}
