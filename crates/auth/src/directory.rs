//! The trait behind which users are kept.

use std::fmt;

use async_trait::async_trait;

/// What a directory knows about one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The account's canonical name, which may differ from what was typed (letter case, an alias).
    pub account_name: String,
    /// The stored password: `{SCHEME}hash`, or a bare crypt string (`$argon2id$...`, `$6$...`).
    /// `None`: this user exists but cannot log in with a password.
    pub password: Option<String>,
}

/// Somewhere users are listed: the store, a passwd file.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Short name for logs and errors, as `store` or `passwd-file`.
    fn kind(&self) -> &'static str;

    /// The user of that name; `Ok(None)` when this directory does not know it, so that the next
    /// one is asked. `name` is as typed and comes from a stranger.
    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError>;
}

/// The directory could not answer: nobody can tell whether the user exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryError {
    /// For the operator's log; never shown to clients.
    pub reason: String,
}

impl DirectoryError {
    /// With a reason for the operator.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for DirectoryError {}
