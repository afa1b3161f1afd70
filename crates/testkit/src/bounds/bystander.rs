//! Somebody who has nothing to do with it, and how long they wait.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::{ImapClient, PASSWORD, Server};

/// How long a NOOP takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    /// Half of them at most.
    pub p50: Duration,
    /// All but one in a hundred at most.
    pub p99: Duration,
}

impl Wait {
    /// Sends NOOPs for so long, five hundred a second.
    #[must_use]
    pub fn watch(server: &Server, length: Duration) -> Self {
        let mut imap = ImapClient::login(server.imap(), "bob", PASSWORD);
        imap.ok("SELECT INBOX");
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < length {
            let start = Instant::now();
            imap.ok("NOOP");
            took.push(start.elapsed());
            // Not as fast as can be: then its own load would be measured.
            thread::sleep(Duration::from_millis(2));
        }
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).copied();
        Self {
            p50: at(50).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0?} / {:.0?}", self.p50, self.p99)
    }
}
