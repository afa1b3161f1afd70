//! The rows of the report: what is measured, in which unit, and what it must reach.

use crate::limits::Bound;

/// How a row's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Per second: more is better.
    Messages,
    Operations,
    MegabytesPerSecond,
    /// Less is better.
    Milliseconds,
    Kibibytes,
    Mebibytes,
}

impl Unit {
    pub(crate) fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::Messages | Self::Operations | Self::MegabytesPerSecond
        )
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Messages => "msg/s",
            Self::Operations => "op/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Milliseconds => "ms",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
        }
    }
}

/// One measured number.
#[derive(Debug)]
pub(crate) struct Row {
    /// For `--only` and JSON.
    pub(crate) name: &'static str,
    /// For the table.
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    /// What DESIGN 10 asks of us, for 10 000 messages.
    pub(crate) budget: Option<f64>,
    /// The limit of the machine that binds it.
    pub(crate) bound: Bound,
}

const fn row(name: &'static str, what: &'static str, unit: Unit, budget: f64) -> Row {
    Row {
        budget: Some(budget),
        ..more(name, what, unit)
    }
}

/// A row without a budget.
const fn more(name: &'static str, what: &'static str, unit: Unit) -> Row {
    Row {
        name,
        what,
        unit,
        budget: None,
        bound: Bound::None,
    }
}

impl Row {
    const fn bound(self, bound: Bound) -> Self {
        Self { bound, ..self }
    }
}

/// In the order of the report.
pub(crate) const ROWS: &[Row] = &[
    row("memory-start", "memory at start", Unit::Mebibytes, 20.0),
    row("append", "APPEND, 1 connection", Unit::Messages, 2_500.0).bound(Bound::Sync),
    row(
        "lmtp-1",
        "LMTP delivery, 1 connection",
        Unit::Messages,
        1_600.0,
    )
    .bound(Bound::Sync),
    more("lmtp-4", "LMTP delivery, 4 connections", Unit::Messages),
    row(
        "lmtp-16",
        "LMTP delivery, 16 connections",
        Unit::Messages,
        8_500.0,
    )
    .bound(Bound::GroupSync),
    more("lmtp-64", "LMTP delivery, 64 connections", Unit::Messages),
    row(
        "fetch-cold",
        "FETCH ENVELOPE BODYSTRUCTURE, cold process",
        Unit::Messages,
        300e3,
    ),
    more(
        "fetch-cold-cache",
        "the same, cold page cache too",
        Unit::Messages,
    ),
    more(
        "fetch-body-cold-cache",
        "then BODY.PEEK[] of all",
        Unit::MegabytesPerSecond,
    ),
    row(
        "fetch-warm",
        "FETCH ENVELOPE BODYSTRUCTURE, warm",
        Unit::Messages,
        600e3,
    )
    .bound(Bound::Loopback),
    row(
        "fetch-fields",
        "FETCH HEADER.FIELDS, 9 fields",
        Unit::Messages,
        800e3,
    )
    .bound(Bound::Loopback),
    row("fetch-flags", "FETCH FLAGS", Unit::Messages, 6e6).bound(Bound::Loopback),
    more(
        "fetch-flags-4",
        "FETCH FLAGS, 4 connections",
        Unit::Messages,
    ),
    more(
        "fetch-flags-16",
        "FETCH FLAGS, 16 connections",
        Unit::Messages,
    ),
    more(
        "fetch-flags-64",
        "FETCH FLAGS, 64 connections",
        Unit::Messages,
    ),
    row(
        "fetch-body-all",
        "FETCH BODY.PEEK[] of all",
        Unit::MegabytesPerSecond,
        2_000.0,
    )
    .bound(Bound::Loopback),
    more(
        "fetch-body-all-tls",
        "FETCH BODY.PEEK[] of all, TLS",
        Unit::MegabytesPerSecond,
    )
    .bound(Bound::Loopback),
    row(
        "fetch-body-one",
        "FETCH BODY.PEEK[] one by one",
        Unit::Messages,
        23e3,
    )
    .bound(Bound::RoundTrip),
    row("login", "login + logout", Unit::Operations, 9_000.0).bound(Bound::Session(3)),
    more("login-4", "login + logout, 4 connections", Unit::Operations),
    more(
        "login-16",
        "login + logout, 16 connections",
        Unit::Operations,
    ),
    more(
        "login-64",
        "login + logout, 64 connections",
        Unit::Operations,
    ),
    more("login-tls", "login + logout, TLS", Unit::Operations),
    row("select", "SELECT, warm", Unit::Operations, 30e3).bound(Bound::RoundTrip),
    more("select-4", "SELECT, 4 connections", Unit::Operations),
    more("select-16", "SELECT, 16 connections", Unit::Operations),
    more("select-64", "SELECT, 64 connections", Unit::Operations),
    row("store-one", "STORE one by one", Unit::Operations, 19e3).bound(Bound::RoundTrip),
    row("store-all", "STORE 1:*", Unit::Messages, 7e6),
    row(
        "search-subject",
        "SEARCH SUBJECT without a hit",
        Unit::Milliseconds,
        4.0,
    ),
    row(
        "search-body",
        "SEARCH BODY without a hit",
        Unit::Milliseconds,
        25.0,
    )
    .bound(Bound::Memcpy),
    row(
        "search-text",
        "SEARCH TEXT without a hit",
        Unit::Milliseconds,
        15.0,
    )
    .bound(Bound::Memcpy),
    row("qresync", "QRESYNC, 100 changes", Unit::Milliseconds, 0.4),
    row("copy", "COPY of all", Unit::Messages, 500e3),
    row("move", "MOVE of all", Unit::Messages, 500e3),
    row("expunge", "EXPUNGE of all", Unit::Messages, 1.2e6),
    row(
        "pop3-poll",
        "POP3 login, STAT, QUIT",
        Unit::Operations,
        8_000.0,
    )
    .bound(Bound::Session(5)),
    more("pop3-poll-4", "POP3 poll, 4 connections", Unit::Operations),
    more(
        "pop3-poll-16",
        "POP3 poll, 16 connections",
        Unit::Operations,
    ),
    more(
        "pop3-poll-64",
        "POP3 poll, 64 connections",
        Unit::Operations,
    ),
    more("pop3-poll-tls", "POP3 poll, TLS", Unit::Operations),
    row(
        "pop3-uidl-list",
        "POP3 UIDL + LIST",
        Unit::Milliseconds,
        1.0,
    ),
    row(
        "pop3-retr-pipelined",
        "POP3 RETR of all, pipelined",
        Unit::Messages,
        100e3,
    )
    .bound(Bound::Loopback),
    row(
        "pop3-retr-lockstep",
        "POP3 RETR of all, lockstep",
        Unit::Messages,
        30e3,
    )
    .bound(Bound::RoundTrip),
    row(
        "idle-memory",
        "memory per idle IMAP connection",
        Unit::Kibibytes,
        16.0,
    ),
    row(
        "idle-memory-tls",
        "the same with TLS",
        Unit::Kibibytes,
        40.0,
    ),
    row(
        "idle-exists",
        "delivery to EXISTS on 500 idle",
        Unit::Milliseconds,
        10.0,
    ),
    row(
        "memory-after",
        "memory after this list",
        Unit::Mebibytes,
        100.0,
    ),
];

#[cfg(test)]
mod tests {
    use super::ROWS;

    #[test]
    fn names_are_unique() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[..index].iter().all(|other| other.name != row.name),
                "{}",
                row.name
            );
        }
    }
}
