//! Dialogue scripts: what clients say, what servers must answer, line by line.
//!
//! ```text
//! # A comment; blank lines are ignored too.
//! ! append alice INBOX (\Seen)
//! | Subject: a body for the set-up line above
//! |
//! | Each line is sent with CRLF.
//! S: * OK{{.*}}
//! C: a1 LOGIN alice pass
//! S: a1 OK{{.*}}
//! C: a2 SELECT INBOX
//! S*: * OK [UIDVALIDITY {{v=\d+}}]{{.*}}
//! S*: a2 OK{{.*}}
//! C: a3 APPEND INBOX (\Seen) {@+}
//! | Subject: the literal of the command above
//! |
//! S: * 2 EXISTS
//! S: a3 OK [APPENDUID ${v} {{\d+}}]{{.*}}
//! C[b]: b1 NOOP
//! EOF:
//! ```
//!
//! - `C: text`: send `text` and CRLF. `\r`, `\n` and `\xHH` are bytes; any other backslash
//!   is itself.
//! - `C-: text`: the same without the CRLF.
//! - `S: text`: the next line of the server is `text`; `{{regex}}` matches, the rest is literal.
//! - `S*: text`: lines may come before the one that matches; they are skipped.
//! - `U: text`: neighbouring `U:` lines are the next lines in any order.
//! - `EOF:`: the server closes the connection, and sends nothing more.
//! - `! verb args`: set-up or an event beside the sessions, carried out by the [`Host`].
//! - `| text`: body: of a `!`, joined by CRLF; of a `C:`, sent after it (`{@` gets its length).
//!
//! `C[b]:`, `S[b]:` and so on speak of session `b`; without brackets the session is `1`. A session
//! connects when it is first named. `{{name=regex}}` keeps what it matched and `${name}` gives it
//! back, in `S:` and in `C:` lines and in set-up lines. A literal in an answer is simply more
//! lines. At the end no session may hold an answer that no line expected.

mod parse;
mod run;

use std::fmt;
use std::path::{Path, PathBuf};

pub use run::{Duplex, Host, Stream, TcpHost, run};

/// A parsed script, ready to be run any number of times.
#[derive(Debug, Clone)]
pub struct Script {
    name: String,
    steps: Vec<Step>,
}

/// One line of a script, with the body that follows it.
#[derive(Debug, Clone)]
struct Step {
    line: usize,
    session: String,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Send {
        text: String,
        crlf: bool,
        body: Option<Vec<String>>,
    },
    Expect {
        pattern: Pattern,
        skip: bool,
    },
    ExpectAnyOrder {
        patterns: Vec<Pattern>,
    },
    Eof,
    SetUp {
        verb: String,
        args: String,
        body: Option<Vec<String>>,
    },
}

/// A server line: literal pieces, expressions, and references to what was kept before.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Kept(String),
    Regex {
        keep: Option<String>,
        source: String,
    },
}

impl Script {
    /// Parses `text`; `name` appears in failures.
    ///
    /// # Errors
    /// The first line that is none of the forms above.
    pub fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        parse::script(name, text)
    }

    /// Reads and parses a file.
    ///
    /// # Errors
    /// The file cannot be read, or its first bad line.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Failure {
            script: name.clone(),
            line: 0,
            reason: error.to_string(),
            transcript: Vec::new(),
        })?;
        Self::parse(&name, &text)
    }

    /// The name it was parsed under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// All files ending in `.test` below `dir`, sorted.
///
/// # Panics
/// When `dir` or a folder in it cannot be read: a test without its scripts must not pass.
#[must_use]
pub fn scripts_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "test")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Why a script failed: the line, the reason, and the last lines that were said.
#[derive(Debug, Clone)]
pub struct Failure {
    script: String,
    line: usize,
    reason: String,
    transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.script, self.line, self.reason)?;
        for line in &self.transcript {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
