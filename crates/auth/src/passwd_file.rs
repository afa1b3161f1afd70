//! Dovecot's passwd-file format.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::scheme::Stored;
use crate::{Directory, DirectoryError, Entry};

/// How often the file's time is looked at, at most.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A directory in a file: `name:{SCHEME}hash[:ignored...]` lines, `#` comments. Read again when the
/// file changes; if it cannot be read then, what was known stays.
pub struct PasswdFile {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

struct State {
    table: Arc<Table>,
    stamp: Option<Stamp>,
    checked: Instant,
}

/// Time and length: what tells a changed file.
type Stamp = (SystemTime, u64);

#[derive(Default)]
struct Table {
    users: HashMap<String, Option<String>>,
    problems: Vec<Problem>,
}

/// A line that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it; never quotes a password.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl PasswdFile {
    /// Reads the file; an unreadable file is an error now, malformed lines are logged and skipped.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        let (table, stamp) = read(&path)?;
        let state = State {
            table: Arc::new(table),
            stamp,
            checked: Instant::now(),
        };
        Ok(Self {
            path,
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// Reads the file again now.
    pub fn reload(&self) -> Result<(), DirectoryError> {
        reload(&self.path, &self.state)
    }

    /// The lines that were skipped when the file was last read.
    pub fn problems(&self) -> Vec<Problem> {
        self.table().problems.clone()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(
            &self
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .table,
        )
    }

    /// Whether it is time to look at the file; only one caller is told so.
    fn is_due(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state.checked.elapsed() >= CHECK_EVERY;
        if due {
            state.checked = Instant::now();
        }
        due
    }
}

#[async_trait]
impl Directory for PasswdFile {
    fn kind(&self) -> &'static str {
        "passwd-file"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        if self.is_due() {
            let (path, state) = (self.path.clone(), Arc::clone(&self.state));
            let checked = tokio::task::spawn_blocking(move || {
                let known = state.lock().unwrap_or_else(PoisonError::into_inner).stamp;
                if stamp(&path) == known {
                    Ok(())
                } else {
                    reload(&path, &state)
                }
            });
            if let Ok(Err(error)) = checked.await {
                tracing::error!(%error, "passwd-file not reloaded, what was known stays in use");
            }
        }
        Ok(self.table().users.get(name).map(|password| Entry {
            account_name: name.to_owned(),
            password: password.clone(),
        }))
    }
}

fn reload(path: &Path, state: &Mutex<State>) -> Result<(), DirectoryError> {
    let (table, stamp) = read(path)?;
    tracing::info!(path = %path.display(), users = table.users.len(), "passwd-file reloaded");
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    (state.table, state.stamp) = (Arc::new(table), stamp);
    Ok(())
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn read(path: &Path) -> Result<(Table, Option<Stamp>), DirectoryError> {
    // The stamp first: a file that changes between the two is read again later.
    let stamp = stamp(path);
    let octets = fs::read(path)
        .map_err(|error| DirectoryError::new(format!("cannot read {}: {error}", path.display())))?;
    let table = Table::parse(&octets);
    for problem in &table.problems {
        tracing::warn!(path = %path.display(), line = problem.line, problem = problem.what,
            "line skipped");
    }
    Ok((table, stamp))
}

impl Table {
    fn parse(octets: &[u8]) -> Self {
        let mut table = Self::default();
        for (number, line) in octets.split(|&octet| octet == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if let Err(what) = table.add(line) {
                table.problems.push(Problem {
                    line: number + 1,
                    what,
                });
            }
        }
        table
    }

    /// One line: `user:password[:uid:gid:gecos:home:shell:extra]`; all after the password is
    /// Dovecot's business.
    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
        let (name, rest) = line.split_once(':').ok_or("no colon after the name")?;
        if name.is_empty() {
            return Err("empty name".to_owned());
        }
        let password = rest.split(':').next().unwrap_or_default();
        if !password.is_empty() {
            Stored::parse(password).map_err(|error| error.to_string())?;
        }
        match self.users.entry(name.to_owned()) {
            Slot::Occupied(_) => Err(format!("a second line for {name}; the first one counts")),
            Slot::Vacant(slot) => {
                slot.insert((!password.is_empty()).then(|| password.to_owned()));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_lines_are_named_and_skipped() {
        let table = Table::parse(
            b"# users\n\nno-colon\n:{PLAIN}x\nbad:{ROT13}x\nhash:{SHA256}short\n\xff:{PLAIN}x\n\
              plain-without-scheme:secret\na:{PLAIN}x\na:{PLAIN}y\n \t\nb:{PLAIN}y:1:1::/home/b::\r\n\
              locked:\nblf:{BLF-CRYPT}$2y$05$short\n",
        );
        let lines: Vec<usize> = table.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 10, 14]);
        assert!(
            !table
                .problems
                .iter()
                .any(|problem| problem.what.contains("secret"))
        );
        let mut users: Vec<_> = table
            .users
            .iter()
            .map(|(name, hash)| (name.as_str(), hash.as_deref()))
            .collect();
        users.sort_unstable();
        let want = [
            ("a", Some("{PLAIN}x")),
            ("b", Some("{PLAIN}y")),
            ("locked", None),
        ];
        assert_eq!(users, want);
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_vanished_one_is_remembered() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("users");
        assert!(PasswdFile::open(&path).is_err());
        fs::write(&path, "a:{PLAIN}x\n").expect("written");
        let file = PasswdFile::open(&path).expect("readable");
        assert!(file.lookup("b").await.expect("answers").is_none());

        tokio::time::pause();
        fs::write(&path, "a:{PLAIN}x\nb:{PLAIN}y\n").expect("written");
        assert!(
            file.lookup("b").await.expect("answers").is_none(),
            "not looked at that often"
        );
        tokio::time::advance(CHECK_EVERY).await;
        let entry = file.lookup("b").await.expect("answers").expect("known now");
        assert_eq!(entry.password.as_deref(), Some("{PLAIN}y"));

        fs::remove_file(&path).expect("removed");
        tokio::time::advance(CHECK_EVERY).await;
        assert!(file.lookup("b").await.expect("answers").is_some());
        assert!(file.reload().is_err());
    }
}
