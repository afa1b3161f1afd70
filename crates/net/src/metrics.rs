//! The metric families of all doors (DESIGN 7): seconds and octets, bounded labels.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// 50 microseconds to half a minute.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The label of commands no table knows.
const UNRECOGNIZED: &str = "(unrecognized)";

/// All families, over one registry. Shared as `Arc<Metrics>`.
pub struct Metrics {
    registry: Registry,
    commands: IntCounterVec,
    command_seconds: HistogramVec,
    bytes: IntCounterVec,
    connections: IntGaugeVec,
    accepted: IntCounterVec,
    refused: IntCounterVec,
    panics: IntCounterVec,
    logins: IntCounterVec,
    messages: IntCounterVec,
    sync_bytes: IntCounterVec,
    /// From LMTP 250 to the push to an idle session.
    pub delivery_visible_seconds: Histogram,
    /// Store operations, by `op`, `backend`, `result`.
    pub store_seconds: HistogramVec,
    /// Waits for stable storage.
    pub store_fsync_seconds: Histogram,
    /// Memory of open mailbox views.
    pub mailbox_view_bytes: IntGauge,
    /// Memory of what bulk reading has kept of messages.
    pub email_cache_bytes: IntGauge,
    /// Memory of what searches have kept of messages.
    pub search_cache_bytes: IntGauge,
    /// Accounts whose INBOX a deleting POP3 client and an IMAP client share.
    pub mixed_use_accounts: IntGauge,
    /// Removed messages that can still be brought back.
    pub undelete_messages: IntGauge,
    /// Their sizes.
    pub undelete_bytes: IntGauge,
}

impl Metrics {
    /// All families registered, with build info of `version` and, on Linux, process metrics.
    pub fn new(version: &str) -> Arc<Self> {
        let registry = Registry::new();
        let build = gauges(&registry, "build_info", "Always 1.", &["version"]);
        build.with_label_values(&[version]).set(1);
        #[cfg(target_os = "linux")]
        register(
            &registry,
            prometheus::process_collector::ProcessCollector::for_self(),
        );
        let by = |labels: &[&'static str]| [&["protocol"], labels].concat();
        Arc::new(Self {
            commands: counters(
                &registry,
                "commands_total",
                "Commands by outcome.",
                &by(&["command", "result"]),
            ),
            command_seconds: histograms(
                &registry,
                "command_seconds",
                "Time from a command's last octet to its answer being written.",
                &by(&["command"]),
            ),
            bytes: counters(
                &registry,
                "bytes_total",
                "Octets of protocol, without TLS.",
                &by(&["direction"]),
            ),
            connections: gauges(
                &registry,
                "connections",
                "Open connections.",
                &by(&["tls", "state"]),
            ),
            accepted: counters(
                &registry,
                "connections_total",
                "Accepted connections.",
                &by(&[]),
            ),
            refused: counters(
                &registry,
                "connections_refused_total",
                "Connections turned away by a limit.",
                &by(&["reason"]),
            ),
            panics: counters(
                &registry,
                "panics_total",
                "Sessions ended by a bug.",
                &by(&[]),
            ),
            logins: counters(
                &registry,
                "logins_total",
                "Logins.",
                &by(&["mechanism", "result"]),
            ),
            messages: counters(
                &registry,
                "messages_total",
                "Messages by what was done to them.",
                &by(&["action"]),
            ),
            sync_bytes: counters(
                &registry,
                "sync_bytes_total",
                "Octets sent to bring a client up to date, by how it asked.",
                &by(&["method"]),
            ),
            delivery_visible_seconds: histogram(
                &registry,
                "delivery_visible_seconds",
                "From the acceptance of a delivery to its push to an idle session.",
            ),
            store_seconds: histograms(
                &registry,
                "store_seconds",
                "Store operations.",
                &["op", "backend", "result"],
            ),
            store_fsync_seconds: histogram(
                &registry,
                "store_fsync_seconds",
                "Waits for stable storage.",
            ),
            mailbox_view_bytes: gauge(&registry, "mailbox_view_bytes", "Memory of open views."),
            email_cache_bytes: gauge(
                &registry,
                "email_cache_bytes",
                "Memory of what bulk reading has kept of messages.",
            ),
            search_cache_bytes: gauge(
                &registry,
                "search_cache_bytes",
                "Memory of what searches have kept of messages.",
            ),
            mixed_use_accounts: gauge(
                &registry,
                "mixed_use_accounts",
                "Accounts whose INBOX a deleting POP3 client and an IMAP client share.",
            ),
            undelete_messages: gauge(
                &registry,
                "undelete_messages",
                "Removed messages that can be brought back, as counted every ten minutes.",
            ),
            undelete_bytes: gauge(
                &registry,
                "undelete_bytes",
                "Sizes of removed messages that can be brought back; beside any quota.",
            ),
            registry,
        })
    }

    /// Where others may register collectors of their own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        text
    }

    /// The metrics of one front, whose commands are named by `commands` (upper case).
    pub fn front(
        self: &Arc<Self>,
        protocol: &'static str,
        commands: impl IntoIterator<Item = &'static str>,
    ) -> Arc<FrontMetrics> {
        let mut names: Vec<&'static str> = commands.into_iter().collect();
        names.push(UNRECOGNIZED);
        let index = names
            .iter()
            .enumerate()
            .map(|(i, name)| (*name, i))
            .collect();
        let connections = [false, true].map(|tls| {
            ConnState::ALL.map(|state| {
                let tls = if tls { "yes" } else { "no" };
                self.connections
                    .with_label_values(&[protocol, tls, state.label()])
            })
        });
        Arc::new(FrontMetrics {
            protocol,
            index,
            commands: names.into_iter().map(Command::new).collect(),
            bytes_in: self.bytes.with_label_values(&[protocol, "in"]),
            bytes_out: self.bytes.with_label_values(&[protocol, "out"]),
            connections,
            accepted: self.accepted.with_label_values(&[protocol]),
            panics: self.panics.with_label_values(&[protocol]),
            all: Arc::clone(self),
        })
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics(..)")
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done: OK, +OK, 2xx.
    Ok,
    /// Understood and declined: NO, -ERR, 5xx for a reason the client can mend.
    Refused,
    /// Not understood or out of place: BAD.
    Bad,
    /// Our fault: the store is in trouble.
    Error,
    /// The connection ended first.
    Aborted,
}

impl Outcome {
    const COUNT: usize = 5;

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Bad => "bad",
            Self::Error => "error",
            Self::Aborted => "aborted",
        }
    }
}

/// What a connection is doing, for `gatepost_connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnState {
    /// Nobody has logged in yet.
    Login,
    /// Logged in, no mailbox open.
    Authenticated,
    /// A mailbox is open.
    Selected,
    /// Waiting to be told of changes.
    Idle,
}

impl ConnState {
    const ALL: [Self; 4] = [Self::Login, Self::Authenticated, Self::Selected, Self::Idle];

    fn label(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Authenticated => "authenticated",
            Self::Selected => "selected",
            Self::Idle => "idle",
        }
    }
}

/// One front's view of the metrics, with what is hot looked up beforehand.
pub struct FrontMetrics {
    protocol: &'static str,
    index: HashMap<&'static str, usize>,
    commands: Vec<Command>,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    connections: [[IntGauge; 4]; 2],
    accepted: IntCounter,
    panics: IntCounter,
    all: Arc<Metrics>,
}

/// Series appear when a command is first used.
struct Command {
    name: &'static str,
    seconds: OnceLock<Histogram>,
    results: [OnceLock<IntCounter>; Outcome::COUNT],
}

impl Command {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            seconds: OnceLock::new(),
            results: Default::default(),
        }
    }
}

impl FrontMetrics {
    /// The label, as `imap`.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The families of all doors.
    pub fn all(&self) -> &Arc<Metrics> {
        &self.all
    }

    /// Begins a command; `name` is upper case, and any stranger's word is allowed.
    pub fn start(self: &Arc<Self>, name: &str) -> CommandTimer {
        let unrecognized = self.commands.len() - 1;
        let index = self.index.get(name).copied().unwrap_or(unrecognized);
        CommandTimer {
            front: Arc::clone(self),
            index,
            since: Instant::now(),
            done: false,
        }
    }

    /// Counts a finished command by name.
    pub fn command(&self, name: &str, outcome: Outcome, took: Duration) {
        let unrecognized = self.commands.len() - 1;
        self.observe(
            self.index.get(name).copied().unwrap_or(unrecognized),
            outcome,
            took,
        );
    }

    fn observe(&self, index: usize, outcome: Outcome, took: Duration) {
        let command = &self.commands[index];
        command
            .seconds
            .get_or_init(|| {
                self.all
                    .command_seconds
                    .with_label_values(&[self.protocol, command.name])
            })
            .observe(took.as_secs_f64());
        command.results[outcome as usize]
            .get_or_init(|| {
                let labels = [self.protocol, command.name, outcome.label()];
                self.all.commands.with_label_values(&labels)
            })
            .inc();
    }

    /// Counts a login attempt; `mechanism` and `result` come from the front's own tables.
    pub fn login(&self, mechanism: &'static str, result: &'static str) {
        self.all
            .logins
            .with_label_values(&[self.protocol, mechanism, result])
            .inc();
    }

    /// The counter of messages something was done to (`retrieved`, `appended`, `deleted`); keep it.
    pub fn messages(&self, action: &'static str) -> IntCounter {
        self.all
            .messages
            .with_label_values(&[self.protocol, action])
    }

    /// The counter of octets sent to synchronise (`full`, `condstore`, `qresync`, `uidl`, `retr`);
    /// keep it.
    pub fn sync_bytes(&self, method: &'static str) -> IntCounter {
        self.all
            .sync_bytes
            .with_label_values(&[self.protocol, method])
    }

    pub(crate) fn count_in(&self, octets: u64) {
        self.bytes_in.inc_by(octets);
    }

    pub(crate) fn count_out(&self, octets: u64) {
        self.bytes_out.inc_by(octets);
    }

    pub(crate) fn count_accepted(&self) {
        self.accepted.inc();
    }

    pub(crate) fn count_refused(&self, reason: &'static str) {
        self.all
            .refused
            .with_label_values(&[self.protocol, reason])
            .inc();
    }

    pub(crate) fn count_panic(&self) {
        self.panics.inc();
    }
}

impl std::fmt::Debug for FrontMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrontMetrics({})", self.protocol)
    }
}

/// A command being carried out; dropped without an outcome it counts as aborted.
#[must_use]
pub struct CommandTimer {
    front: Arc<FrontMetrics>,
    index: usize,
    since: Instant,
    done: bool,
}

impl CommandTimer {
    /// Counts the command and its time.
    pub fn finish(mut self, outcome: Outcome) {
        self.done = true;
        self.front
            .observe(self.index, outcome, self.since.elapsed());
    }
}

impl Drop for CommandTimer {
    fn drop(&mut self) {
        if !self.done {
            self.front
                .observe(self.index, Outcome::Aborted, self.since.elapsed());
        }
    }
}

/// Keeps one connection counted under its present state.
pub(crate) struct OpenConn {
    metrics: Arc<FrontMetrics>,
    tls: bool,
    state: ConnState,
}

impl OpenConn {
    pub(crate) fn new(metrics: Arc<FrontMetrics>, tls: bool) -> Self {
        let this = Self {
            metrics,
            tls,
            state: ConnState::Login,
        };
        this.gauge().inc();
        this
    }

    pub(crate) fn metrics(&self) -> &FrontMetrics {
        &self.metrics
    }

    pub(crate) fn set_state(&mut self, state: ConnState) {
        self.change(|this| this.state = state);
    }

    pub(crate) fn encrypted(&mut self) {
        self.change(|this| this.tls = true);
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        self.gauge().dec();
        change(self);
        self.gauge().inc();
    }

    fn gauge(&self) -> &IntGauge {
        &self.metrics.connections[usize::from(self.tls)][self.state as usize]
    }
}

impl Drop for OpenConn {
    fn drop(&mut self) {
        self.gauge().dec();
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("gatepost")
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let made = IntCounterVec::new(opts(name, help), labels).expect("a valid constant description");
    register(registry, made.clone());
    made
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let made = IntGaugeVec::new(opts(name, help), labels).expect("a valid constant description");
    register(registry, made.clone());
    made
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let made = IntGauge::with_opts(opts(name, help)).expect("a valid constant description");
    register(registry, made.clone());
    made
}

fn histogram_opts(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help)
        .namespace("gatepost")
        .buckets(SECONDS.to_vec())
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let made = HistogramVec::new(histogram_opts(name, help), labels)
        .expect("a valid constant description");
    register(registry, made.clone());
    made
}

fn histogram(registry: &Registry, name: &str, help: &str) -> Histogram {
    let made =
        Histogram::with_opts(histogram_opts(name, help)).expect("a valid constant description");
    register(registry, made.clone());
    made
}

fn register(registry: &Registry, collector: impl prometheus::core::Collector + 'static) {
    registry
        .register(Box::new(collector))
        .expect("every family has a name of its own");
}
