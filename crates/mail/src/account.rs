//! An account: its mailbox tree, its emails, and the operations that touch several mailboxes.

use crate::{Email, Ingested, Mail, MailError, Selected, Summary, Tree};
use bytes::Bytes;
use std::sync::Arc;
use types::{AccountId, EmailId, Flags, Keyword, MailboxId, MailboxName, ModSeq, Role, Uid, UidSet, UidValidity};

/// A message to append.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its bytes, already stored.
    pub content: Ingested,
    /// Per-recipient header lines, each with CRLF, served in front of the bytes; at most 2 KiB.
    pub prefix: Bytes,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE, seconds since 1970 UTC; `None` is now.
    pub internal_date: Option<i64>,
}

/// Where appended messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: UidValidity,
    /// Their uids, ascending, in the order given.
    pub uids: UidSet,
    /// The modseq they carry.
    pub modseq: ModSeq,
}

/// Where copied or moved messages are. The n-th of `from` became the n-th of `to`; messages that no longer
/// existed are in neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the destination.
    pub uid_validity: UidValidity,
    /// Uids in the source.
    pub from: UidSet,
    /// Uids in the destination, ascending.
    pub to: UidSet,
}

/// What an account holds and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Their sizes.
    pub bytes: u64,
    /// Quota in bytes; `None` is unlimited.
    pub quota_bytes: Option<u64>,
}

/// An open account, shared by all its sessions. Cloning is cheap.
#[derive(Clone)]
pub struct Account(Arc<()>);

impl Account {
    /// Its id.
    pub fn id(&self) -> AccountId { todo!() }

    /// The engine.
    pub fn mail(&self) -> &Mail { todo!() }

    /// The mailboxes and subscriptions now.
    pub fn tree(&self) -> Arc<Tree> { todo!() }

    /// Ticks whenever the tree changed.
    pub fn watch_tree(&self) -> tokio::sync::watch::Receiver<u64> { todo!() }

    /// Counts of a mailbox without opening it (STATUS); `NotFound` when it is gone.
    pub fn summary(&self, id: MailboxId) -> Result<Summary, MailError> { todo!() }

    /// What the account holds.
    pub fn usage(&self) -> Usage { todo!() }

    /// `OverQuota` when `bytes` more would exceed the quota.
    pub fn check_quota(&self, bytes: u64) -> Result<(), MailError> { todo!() }

    /// Makes a mailbox, and those above it that do not exist (RFC 9051 6.3.4). `Exists`, `Limit`.
    pub async fn create(&self, name: &MailboxName, role: Option<Role>) -> Result<MailboxId, MailError> { todo!() }

    /// Deletes a mailbox and its messages; those below it stay (RFC 9051 6.3.5). `NotFound`; `NotAllowed` for INBOX.
    pub async fn delete(&self, name: &MailboxName) -> Result<(), MailError> { todo!() }

    /// Renames a mailbox and all below it; INBOX keeps existing and gives its messages away (RFC 9051 6.3.6). `NotFound`, `Exists`.
    pub async fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<(), MailError> { todo!() }

    /// Subscribes to a name, or takes the subscription back; both succeed when nothing changes.
    pub async fn subscribe(&self, name: &MailboxName, subscribed: bool) -> Result<(), MailError> { todo!() }

    /// Opens a mailbox for a session: its view is loaded and stays so while the handle lives.
    pub async fn select(&self, id: MailboxId) -> Result<Selected, MailError> { todo!() }

    /// Appends messages, all or none (MULTIAPPEND). Does not load the view. `NotFound`, `OverQuota`, `Limit`.
    pub async fn append(&self, mailbox: MailboxId, messages: Vec<NewMessage>) -> Result<Appended, MailError> { todo!() }

    /// Copies messages, all that still exist or none.
    pub async fn copy(&self, from: &Selected, uids: &UidSet, to: MailboxId) -> Result<Copied, MailError> { todo!() }

    /// Moves messages in one commit (RFC 6851 3.3); within one mailbox they get new uids.
    pub async fn move_messages(&self, from: &Selected, uids: &UidSet, to: MailboxId) -> Result<Copied, MailError> { todo!() }

    /// The emails of `ids`, in their order; `None` for one that was expunged long ago. Reads whole ranges where
    /// ids are close to each other: call it with a few hundred at once.
    pub async fn emails(&self, ids: &[EmailId]) -> Result<Vec<Option<Email>>, MailError> { todo!() }
}
