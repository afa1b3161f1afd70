//! [`Auth`]: from a login to a principal.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Directory, Secret};

/// What a client claims.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name as typed, possibly `user+Folder`.
    pub name: String,
    /// The password as typed.
    pub password: Secret,
    /// Where from, for the penalty after failures; `None` for local callers without an address.
    pub peer: Option<IpAddr>,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account's canonical name.
    pub account_name: String,
    /// The folder of a `user+Folder` login (DESIGN 5.6), as typed after the `+`.
    pub folder: Option<String>,
}

/// Why there is no principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// Wrong name or password; which of the two is never told.
    Invalid,
    /// Our fault: a directory is out of reach. The client may try again later.
    Temporary(String),
    /// Name and password may be right, but this login is not granted; the text may be shown.
    Refused(String),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("invalid credentials"),
            Self::Temporary(reason) | Self::Refused(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for AuthError {}

/// Settings of [`Auth`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a verified password needs no new hash.
    pub cache_ttl: Duration,
    /// How many verified logins are remembered.
    pub cache_size: usize,
    /// How many hashes may be computed at once.
    pub max_concurrent_hashes: usize,
    /// The delay after the first failure of a peer; doubles with each further one.
    pub failure_delay: Duration,
    /// The longest delay.
    pub max_failure_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_ttl: Duration::from_secs(300),
            cache_size: 10_000,
            max_concurrent_hashes: std::thread::available_parallelism().map_or(2, usize::from),
            failure_delay: Duration::from_millis(250),
            max_failure_delay: Duration::from_secs(4),
        }
    }
}

/// Verifies logins against directories, in order; the first that knows the name decides.
pub struct Auth {
    directories: Vec<Arc<dyn Directory>>,
    options: Options,
}

impl Auth {
    /// With the directories in the order they are asked.
    pub fn new(directories: Vec<Arc<dyn Directory>>, options: Options) -> Self {
        Self {
            directories,
            options,
        }
    }

    /// Checks a login. Takes as long for unknown names as for known ones, and longer for peers that
    /// keep failing. Dropping the future is harmless.
    pub async fn verify(&self, login: &Login) -> Result<Principal, AuthError> {
        let _ = (&self.directories, &self.options, login);
        todo!()
    }

    /// Forgets verified passwords of an account, after its password changed or it was removed.
    pub fn invalidate(&self, account_name: &str) {
        let _ = account_name;
    }
}
