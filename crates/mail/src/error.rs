//! Errors of the mail engine: each kind is one thing a front must be able to tell its client.

use std::fmt;
use storage::{ErrorKind as StorageKind, StorageError};

/// What kind of trouble, named after what a client is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MailErrorKind {
    /// No such account, mailbox or message.
    NotFound,
    /// The name is taken.
    Exists,
    /// The account's quota would be exceeded.
    OverQuota,
    /// The message is larger than this server takes.
    TooBig,
    /// The operation is never allowed on this object (deleting INBOX).
    NotAllowed,
    /// Whoever asks has not been given the right (RFC 4314).
    Denied,
    /// A limit of this server: keywords per mailbox, mailboxes per account, uids used up.
    Limit,
    /// The request makes no sense; a client's mistake.
    Invalid,
    /// The mailbox was deleted while in use.
    Gone,
    /// Storage cannot serve now; try again later.
    Unavailable,
    /// Stored bytes are damaged; an operator must look.
    Corrupt,
}

/// An error of the mail engine.
#[derive(Clone, Debug)]
pub struct MailError {
    /// What kind of trouble.
    pub kind: MailErrorKind,
    /// For kinds that are the client's business, a sentence it may be shown; otherwise for the log
    /// only.
    pub text: String,
}

impl MailError {
    /// An error of `kind`.
    pub fn new(kind: MailErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(MailErrorKind::NotFound, text)
    }

    pub(crate) fn corrupt(text: impl Into<String>) -> Self {
        Self::new(MailErrorKind::Corrupt, text)
    }

    /// Whether the text describes the server's trouble rather than the client's request, so that it
    /// belongs into the log and not onto the wire.
    pub fn is_internal(&self) -> bool {
        matches!(
            self.kind,
            MailErrorKind::Unavailable | MailErrorKind::Corrupt
        )
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl std::error::Error for MailError {}

impl From<StorageError> for MailError {
    fn from(error: StorageError) -> Self {
        let kind = match error.kind {
            StorageKind::Corrupt | StorageKind::NotFound => MailErrorKind::Corrupt,
            StorageKind::Invalid => MailErrorKind::Limit,
            StorageKind::Conflict
            | StorageKind::Unavailable
            | StorageKind::Incompatible
            | StorageKind::InUse => MailErrorKind::Unavailable,
        };
        Self::new(kind, error.context)
    }
}
