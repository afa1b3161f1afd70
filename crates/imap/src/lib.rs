//! The IMAP front (DESIGN 4): one file per command or extension, one row each in [`registry`].
//!
//! A command's way: [`session`] reads it within [`Limits`], finds its [`spec::Spec`], gates and
//! parses it; the command resolves the client's message set to uids by [`view`] and asks the
//! engine; `view` tells what changed; `session` answers.
//!
//! Laws: sequence numbers exist in `view` alone. `grammar` and every `parse` are pure. Errors
//! become text in [`refusal`] alone. What a client can make us keep is bounded by [`Limits`],
//! before login narrowly.
//!
//! A new extension is a file in `ext/` (the shape of `ext/unselect.rs`), a row in
//! [`registry::EXTENSIONS`], and a dialogue in `tests/dialogues/rfcNNNN/` named after its section:
//! malformed forms, read-only, success, and what a second session sees. What it adds to FETCH,
//! SEARCH, STATUS or ENABLE stands in its row too.
#![forbid(unsafe_code)]

mod cmd;
mod ext;
pub mod grammar;
mod limits;
pub mod refusal;
pub mod registry;
pub mod session;
pub mod spec;
pub mod view;

use auth::{Auth, CleartextPolicy};
use bytes::Bytes;
use net::{Context, Front, FrontMetrics, Metrics, Refused, Served, Wire};
use prometheus::IntCounter;
use std::sync::Arc;

#[doc(hidden)]
pub use cmd::fetch::plan::Message as FetchMessage;
pub use limits::{Limits, Memory};
pub use session::serve;

/// What all sessions share.
pub struct Deps {
    /// The engine.
    pub mail: mail::Mail,
    /// Who may log in.
    pub auth: Arc<Auth>,
    /// Where commands and octets are counted; made by [`metrics`].
    pub metrics: Arc<FrontMetrics>,
    /// Counters of this front, looked up once; made by [`Counters::new`].
    pub counters: Counters,
    /// What a client may send.
    pub limits: Limits,
    /// What messages take in memory, over all sessions.
    pub memory: Memory,
    /// Who runs the server.
    pub operators: Operators,
    /// The server's name.
    pub hostname: String,
    /// When passwords may cross without TLS.
    pub cleartext: CleartextPolicy,
}

/// Who runs the server, as far as clients may know.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// Accounts that may set quota (RFC 9208 4.1.3) and annotations of the server (RFC 5464 3.3).
    pub administrators: Vec<String>,
    /// Accounts of submission servers, which may fetch what was authorised for them (RFC 4467 3).
    pub submitters: Vec<String>,
    /// How to reach them: a URI (RFC 5464 6.2.2).
    pub contact: Option<String>,
    /// Whether they let users know, once, that a POP3 client deletes from their INBOX.
    pub warn_of_mixed_use: bool,
}

/// Seconds since 1970 UTC.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Counters of what was done to messages.
pub struct Counters {
    /// Messages of which a body was fetched.
    pub retrieved: IntCounter,
    /// Messages appended.
    pub appended: IntCounter,
    /// Messages copied.
    pub copied: IntCounter,
    /// Messages moved.
    pub moved: IntCounter,
    /// Messages expunged.
    pub deleted: IntCounter,
    /// Octets sent to synchronise a whole mailbox.
    pub sync_full: IntCounter,
    /// Octets sent to synchronise by CHANGEDSINCE.
    pub sync_condstore: IntCounter,
    /// Octets sent to synchronise by QRESYNC.
    pub sync_qresync: IntCounter,
}

impl Counters {
    /// In `metrics`.
    pub fn new(metrics: &FrontMetrics) -> Self {
        Self {
            retrieved: metrics.messages("retrieved"),
            appended: metrics.messages("appended"),
            copied: metrics.messages("copied"),
            moved: metrics.messages("moved"),
            deleted: metrics.messages("deleted"),
            sync_full: metrics.sync_bytes("full"),
            sync_condstore: metrics.sync_bytes("condstore"),
            sync_qresync: metrics.sync_bytes("qresync"),
        }
    }
}

/// This front's metrics: one label per command of the registry.
pub fn metrics(all: &Arc<Metrics>) -> Arc<FrontMetrics> {
    all.front("imap", registry::commands().map(|spec| spec.name))
}

/// The front, for a [`net::Listener`].
pub struct Imap(pub Arc<Deps>);

impl Front for Imap {
    fn metrics(&self) -> &Arc<FrontMetrics> {
        &self.0.metrics
    }

    fn refusal(&self, _reason: Refused) -> Bytes {
        // RFC 5530 3: LIMIT would be for a command; the greeting may be BYE (RFC 9051 7.1.5).
        Bytes::from_static(b"* BYE [UNAVAILABLE] too many connections, try again later\r\n")
    }

    fn serve(self: Arc<Self>, wire: Wire, context: Context) -> Served {
        Box::pin(serve(wire, context, Arc::clone(&self.0)))
    }
}
