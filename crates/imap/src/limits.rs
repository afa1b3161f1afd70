//! How much a client can make us keep, and for how long.

use net::Room;
use std::num::NonZeroU32;
use std::time::Duration;

/// Bounds of every session. Sizes are in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Text of one command, without literals, once logged in. RFC 7162 4 wants at least 8192.
    pub line: usize,
    /// Sum of the literals of one command, except messages.
    pub literals: usize,
    /// Messages of one APPEND (RFC 3502).
    pub messages: usize,
    /// Text of one command before login; SASL lines have their own limit.
    pub line_before_login: usize,
    /// Sum of the literals of one command before login.
    pub literals_before_login: usize,
    /// Messages one command works on (RFC 9738); `None`: any number.
    pub message_limit: Option<NonZeroU32>,
    /// Messages one command may add to a mailbox, all or none; `None`: any number.
    pub save_limit: Option<NonZeroU32>,
    /// Longest non-synchronising literal that is refused and yet read to its end, so that the
    /// client gets a tagged answer; beyond it the connection ends. Before login `line` takes its
    /// place.
    pub skip: u64,
    /// How long a client may be silent before it logs in.
    pub idle_before_login: Duration,
    /// The same afterwards. RFC 9051 5.4: at least 30 minutes.
    pub idle: Duration,
    /// How often something is said in IDLE when nothing happens, so that network gear between us
    /// and the client does not forget the connection.
    pub keep_alive: Duration,
    /// How often a client that waits for a long command is told how far it is. RFC 9585 3: every 10
    /// to 15 seconds.
    pub progress: Duration,
}

/// What messages take in memory, over all sessions.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Messages being received: beyond it APPEND is told to come back.
    pub receiving: Room,
    /// Messages being sent: beyond it FETCH reads less at once.
    pub sending: Room,
}

impl Memory {
    /// For so many octets, and a quarter as much again for what is being sent.
    pub fn new(octets: usize) -> Self {
        Self {
            receiving: Room::new(octets),
            sending: Room::new(octets / 4),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(512 << 20)
    }
}

impl Limits {
    /// Messages one command may add: the smaller of both limits.
    pub fn saved_at_once(&self) -> Option<NonZeroU32> {
        let limits = [self.message_limit, self.save_limit];
        limits.into_iter().flatten().min()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 64 << 10,
            literals: 256 << 10,
            messages: 20_000,
            line_before_login: 2 << 10,
            literals_before_login: 2 << 10,
            message_limit: NonZeroU32::new(10_000_000),
            save_limit: NonZeroU32::new(1_000_000),
            skip: 256 << 20,
            idle_before_login: Duration::from_secs(180),
            idle: Duration::from_secs(31 * 60),
            keep_alive: Duration::from_secs(4 * 60),
            progress: Duration::from_secs(10),
        }
    }
}
