//! One error type for everything below the mail engine: it says what went wrong and whether to try
//! again.

use std::fmt;

/// What kind of trouble, as a caller must tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// A precondition of a batch did not hold: read again, decide again, retry.
    Conflict,
    /// The named thing is not there.
    NotFound,
    /// The request itself is wrong (a key too long, a range upside down): a bug of the caller.
    Invalid,
    /// The store cannot serve now: disk full, I/O error, service away, read-only after a failed
    /// fsync.
    Unavailable,
    /// Stored bytes are not what was written: quarantine and report.
    Corrupt,
    /// Written by a newer Gatepost, or by something else altogether.
    Incompatible,
    /// Another process holds this store.
    InUse,
}

/// An error of a storage backend.
#[derive(Debug, Clone)]
pub struct StorageError {
    /// What kind of trouble.
    pub kind: ErrorKind,
    /// What the store was doing and what it met, for the operator's log; never shown to mail
    /// clients.
    pub context: String,
}

impl StorageError {
    /// An error of `kind`; `context` names the operation and the object.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
        }
    }

    /// A precondition did not hold.
    pub fn conflict(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, context)
    }

    /// The named thing is not there.
    pub fn not_found(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, context)
    }

    /// The caller asked for something no store does.
    pub fn invalid(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, context)
    }

    /// Stored bytes are damaged.
    pub fn corrupt(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, context)
    }

    /// The store cannot serve now.
    pub fn unavailable(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, context)
    }

    /// An operating system error met while doing `context`.
    pub fn io(context: impl fmt::Display, source: &std::io::Error) -> Self {
        Self::new(ErrorKind::Unavailable, format!("{context}: {source}"))
    }

    /// Whether the same request may succeed later without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, ErrorKind::Conflict | ErrorKind::Unavailable)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.context)
    }
}

impl std::error::Error for StorageError {}
