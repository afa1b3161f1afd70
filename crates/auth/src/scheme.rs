//! Password schemes.

use std::fmt;

/// Hashing failed: no randomness, or no memory.
#[derive(Debug)]
pub struct HashError(String);

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HashError {}

/// A new `$argon2id$` string. Takes tens of milliseconds: keep it off async threads.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let _ = password;
    todo!()
}
