//! Dovecot's passwd-file format.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::{Directory, DirectoryError, Entry};

/// A directory in a file: `name:{SCHEME}hash[:ignored...]` lines, `#` comments. Read again when the
/// file changes.
pub struct PasswdFile {
    path: PathBuf,
}

impl PasswdFile {
    /// Reads the file; an unreadable file is an error now, malformed lines are logged and skipped.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        Ok(Self { path: path.into() })
    }
}

#[async_trait]
impl Directory for PasswdFile {
    fn kind(&self) -> &'static str {
        "passwd-file"
    }

    async fn lookup(&self, _name: &str) -> Result<Option<Entry>, DirectoryError> {
        let _ = &self.path;
        todo!()
    }
}
