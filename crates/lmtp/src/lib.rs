//! The LMTP front (RFC 2033): mail comes in, one reply per recipient, one stored copy for all.
//!
//! A 250 after the data means that the message is on stable storage in that recipient's mailbox.
//! What one recipient meets disturbs no other. [`Lmtp`] is the [`net::Front`]; [`registry`] lists
//! the commands.
#![forbid(unsafe_code)]

mod address;
mod commands;
mod data;
mod deliver;
mod envelope;
mod recipient;
mod registry;
mod reply;
mod session;

use std::sync::Arc;
use std::time::Duration;

use auth::Auth;
use bytes::Bytes;
use mail::Mail;
use net::{Context, Front, FrontMetrics, Metrics, Refused, Room, Served, Wire};
use prometheus::IntCounter;

/// Settings of the front.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the greeting; also a domain whose recipients are accounts by their local part.
    pub hostname: String,
    /// More such domains.
    pub domains: Vec<String>,
    /// Whether a recipient over quota is told to try again (452) instead of bounced (552).
    pub over_quota_temporary: bool,
    /// Whether `user+Folder` makes a folder that does not exist; otherwise the message goes to
    /// INBOX.
    pub create_folders: bool,
    /// For how many days a message with a Message-ID is not delivered into the same mailbox again;
    /// 0: it is.
    pub duplicate_days: u16,
    /// Octets of messages that may be on their way at once, over all connections; beyond them the
    /// answer is 452.
    pub memory_bytes: usize,
    /// Recipients in one transaction.
    pub max_recipients: usize,
    /// How long a client may take for a command (RFC 5321 4.5.3.2: 5 minutes).
    pub idle_timeout: Duration,
    /// Commands in a row that make no sense before the connection is closed.
    pub max_bad_commands: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            domains: Vec::new(),
            over_quota_temporary: false,
            create_folders: false,
            duplicate_days: 0,
            memory_bytes: 512 << 20,
            max_recipients: 1000,
            idle_timeout: Duration::from_secs(5 * 60),
            max_bad_commands: 20,
        }
    }
}

/// What all sessions share.
pub struct Deps {
    /// The engine.
    pub mail: Mail,
    /// Knows which accounts exist.
    pub auth: Arc<Auth>,
    /// Settings.
    pub settings: Settings,
    /// This front's metrics, from [`front_metrics`].
    pub metrics: Arc<FrontMetrics>,
}

/// The metrics of this front, with its commands by name.
pub fn front_metrics(metrics: &Arc<Metrics>) -> Arc<FrontMetrics> {
    metrics.front("lmtp", registry::COMMANDS.iter().map(|spec| spec.name))
}

/// Name, states and RFC sections of each command, for documentation and fuzzing.
pub fn command_table() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    registry::COMMANDS
        .iter()
        .map(|spec| (spec.name, spec.state.label(), spec.rfc))
}

/// The front.
pub struct Lmtp {
    deps: Deps,
    room: Room,
    /// Copies in mailboxes, and copies that could not be made after the data was taken.
    delivered: IntCounter,
    rejected: IntCounter,
}

impl Lmtp {
    /// Over an engine, with settings.
    pub fn new(deps: Deps) -> Arc<Self> {
        let delivered = deps.metrics.messages("delivered");
        let rejected = deps.metrics.messages("rejected");
        Arc::new(Self {
            room: Room::new(deps.settings.memory_bytes),
            deps,
            delivered,
            rejected,
        })
    }

    /// What messages on their way may take.
    pub fn room(&self) -> &Room {
        &self.room
    }
}

impl Front for Lmtp {
    fn metrics(&self) -> &Arc<FrontMetrics> {
        &self.deps.metrics
    }

    fn refusal(&self, _reason: Refused) -> Bytes {
        Bytes::from_static(b"421 4.7.0 too many connections\r\n")
    }

    fn serve(self: Arc<Self>, wire: Wire, context: Context) -> Served {
        Box::pin(session::Session::new(self, wire, context).run())
    }
}
