//! The POP3 front: RFC 1939 with CAPA, STLS, SASL, pipelining, response codes, UTF8 and LANG.
//!
//! A session is a snapshot of one mailbox at login (DESIGN 5): numbers, sizes and contents stay
//! until QUIT whatever IMAP does meanwhile, nothing is locked, and only QUIT changes anything, in
//! one durable commit.
//!
//! [`Pop3`] is the [`net::Front`]; [`registry`] is the list of commands everything else is derived
//! from.
#![forbid(unsafe_code)]

mod admission;
mod bodies;
mod capa;
mod commands;
mod language;
mod lists;
mod login;
mod maildrop;
mod refusal;
mod registry;
mod retrieve;
mod session;
mod stuff;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use auth::{Auth, CleartextPolicy};
use bytes::Bytes;
use mail::Mail;
use net::{Context, Front, FrontMetrics, Metrics, Refused, Room, Served, Wire};
use prometheus::IntCounter;
use types::Pop3Policy;

use crate::admission::{Exclusive, LoginDelay};
#[doc(hidden)]
pub use crate::stuff::Stuffer;
pub use crate::texts::Language;

/// Settings of the front.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the greeting.
    pub hostname: String,
    /// When passwords may cross without TLS.
    pub cleartext: CleartextPolicy,
    /// Whether a message retrieved with RETR is `\Seen` after QUIT (DESIGN 5.6).
    pub mark_seen: bool,
    /// What DELE means for accounts and credentials without a policy of their own (DESIGN 5.4).
    pub policy: Pop3Policy,
    /// How long an account must wait between logins; zero: not at all.
    pub login_delay: Duration,
    /// Whether a maildrop is open in one session at most (RFC 1939 4 asks for a lock; a snapshot
    /// needs none).
    pub exclusive_sessions: bool,
    /// Whether a message with UTF-8 in its header is refused to clients that did not say UTF8
    /// (RFC 6856 2.1), rather than sent as it is.
    pub refuse_utf8: bool,
    /// The language of `LANG *`.
    pub language: Language,
    /// How long a client may take for a command before it has logged in.
    pub login_timeout: Duration,
    /// The same afterwards; RFC 1939 3 asks for at least 10 minutes.
    pub idle_timeout: Duration,
    /// Failed logins before the connection is closed.
    pub max_login_failures: u32,
    /// Commands in a row that make no sense before the connection is closed.
    pub max_bad_commands: u32,
    /// Octets of messages being sent at once, over all connections; beyond them each goes in small
    /// pieces.
    pub memory_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            cleartext: CleartextPolicy::default(),
            mark_seen: true,
            policy: Pop3Policy::default(),
            login_delay: Duration::ZERO,
            exclusive_sessions: false,
            refuse_utf8: false,
            language: Language::default(),
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(10 * 60),
            max_login_failures: 5,
            max_bad_commands: 50,
            memory_bytes: 128 << 20,
        }
    }
}

/// What all sessions share.
pub struct Deps {
    /// The engine.
    pub mail: Mail,
    /// Who may log in.
    pub auth: Arc<Auth>,
    /// Settings.
    pub settings: Settings,
    /// This front's metrics, from [`front_metrics`].
    pub metrics: Arc<FrontMetrics>,
}

/// The metrics of this front, with its commands by name.
pub fn front_metrics(metrics: &Arc<Metrics>) -> Arc<FrontMetrics> {
    metrics.front("pop3", registry::COMMANDS.iter().map(|spec| spec.name))
}

/// Name, states and RFC sections of each command, for documentation and fuzzing.
pub fn command_table() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    registry::COMMANDS
        .iter()
        .map(|spec| (spec.name, spec.states.label(), spec.rfc))
}

/// The front.
pub struct Pop3 {
    deps: Deps,
    counters: Counters,
    login_delay: LoginDelay,
    exclusive: Exclusive,
    room: Room,
}

/// Series that are hot, or count something else than commands.
struct Counters {
    retrieved: IntCounter,
    deleted: IntCounter,
    trashed: IntCounter,
    archived: IntCounter,
    hidden: IntCounter,
    uidl_bytes: IntCounter,
    retr_bytes: IntCounter,
}

impl Pop3 {
    /// Over an engine, with settings.
    pub fn new(deps: Deps) -> Arc<Self> {
        let counters = Counters {
            retrieved: deps.metrics.messages("retrieved"),
            deleted: deps.metrics.messages("deleted"),
            trashed: deps.metrics.messages("trashed"),
            archived: deps.metrics.messages("archived"),
            hidden: deps.metrics.messages("hidden"),
            uidl_bytes: deps.metrics.sync_bytes("uidl"),
            retr_bytes: deps.metrics.sync_bytes("retr"),
        };
        let room = Room::new(deps.settings.memory_bytes);
        let login_delay = LoginDelay::new(deps.settings.login_delay);
        Arc::new(Self {
            deps,
            counters,
            login_delay,
            exclusive: Exclusive::default(),
            room,
        })
    }

    /// What messages being sent may take in memory.
    pub fn room(&self) -> &Room {
        &self.room
    }
}

impl Counters {
    /// The counter of messages deleted under a policy.
    fn disposed(&self, policy: &Pop3Policy) -> &IntCounter {
        match policy {
            Pop3Policy::Delete => &self.deleted,
            Pop3Policy::Trash => &self.trashed,
            Pop3Policy::Archive(_) => &self.archived,
            Pop3Policy::Keep | Pop3Policy::KeepDays(_) => &self.hidden,
        }
    }
}

impl Front for Pop3 {
    fn metrics(&self) -> &Arc<FrontMetrics> {
        &self.deps.metrics
    }

    fn refusal(&self, _reason: Refused) -> Bytes {
        Bytes::from_static(b"-ERR [SYS/TEMP] too many connections\r\n")
    }

    fn serve(self: Arc<Self>, wire: Wire, context: Context) -> Served {
        Box::pin(session::Session::new(self, wire, context).run())
    }
}
