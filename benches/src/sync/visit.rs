//! A visit: what it starts from, and what came of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::clients::Door;
use crate::wire::Traffic;

/// What a client remembers of its last visit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) messages: usize,
    pub(crate) uid_validity: u64,
    pub(crate) uid_next: u64,
    /// Absent where the server has no CONDSTORE.
    pub(crate) mod_seq: Option<u64>,
    /// Unique ids of POP3.
    pub(crate) unique_ids: HashSet<Vec<u8>>,
}

/// Where to go, as whom, knowing what.
pub(crate) struct Visit<'a> {
    pub(crate) door: &'a Door,
    pub(crate) known: &'a Known,
}

/// What was seen on the way.
#[derive(Debug)]
pub(crate) struct Seen {
    from: Instant,
    /// New messages whose bodies are here; with STAT, those the client knows to be there.
    pub(crate) new: usize,
    /// Messages that turned out to be flagged; none was before.
    pub(crate) flagged: usize,
    /// Messages whose bodies were fetched, new or not.
    pub(crate) bodies: usize,
    /// When the first new body, or the first changed flag, was here.
    pub(crate) first: Option<Duration>,
    /// When it was over.
    pub(crate) wall: Duration,
    pub(crate) traffic: Traffic,
}

impl Seen {
    pub(crate) fn start() -> Self {
        Self {
            from: Instant::now(),
            new: 0,
            flagged: 0,
            bodies: 0,
            first: None,
            wall: Duration::ZERO,
            traffic: Traffic::default(),
        }
    }

    /// A new message or a changed flag is here.
    pub(crate) fn news(&mut self) {
        self.first.get_or_insert(self.from.elapsed());
    }

    pub(crate) fn new_body(&mut self) {
        self.new += 1;
        self.bodies += 1;
        self.news();
    }

    pub(crate) fn end(mut self, traffic: Traffic) -> Self {
        self.wall = self.from.elapsed();
        self.traffic = traffic;
        self
    }
}
