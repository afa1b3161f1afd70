//! The rows of the report: what is measured, in which unit, and what it must reach.

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
    pub(crate) budget: f64,
}

const fn row(name: &'static str, what: &'static str, unit: Unit, budget: f64) -> Row {
    Row {
        name,
        what,
        unit,
        budget,
    }
}

/// In the order of the report.
pub(crate) const ROWS: &[Row] = &[
    row("memory-start", "memory at start", Unit::Mebibytes, 20.0),
    row("append", "APPEND, 1 connection", Unit::Messages, 2_500.0),
    row(
        "lmtp-1",
        "LMTP delivery, 1 connection",
        Unit::Messages,
        1_600.0,
    ),
    row(
        "lmtp-16",
        "LMTP delivery, 16 connections",
        Unit::Messages,
        8_500.0,
    ),
    row(
        "fetch-cold",
        "FETCH ENVELOPE BODYSTRUCTURE, cold process",
        Unit::Messages,
        300e3,
    ),
    row(
        "fetch-warm",
        "FETCH ENVELOPE BODYSTRUCTURE, warm",
        Unit::Messages,
        600e3,
    ),
    row(
        "fetch-fields",
        "FETCH HEADER.FIELDS, 9 fields",
        Unit::Messages,
        800e3,
    ),
    row("fetch-flags", "FETCH FLAGS", Unit::Messages, 6e6),
    row(
        "fetch-body-all",
        "FETCH BODY.PEEK[] of all",
        Unit::MegabytesPerSecond,
        2_000.0,
    ),
    row(
        "fetch-body-one",
        "FETCH BODY.PEEK[] one by one",
        Unit::Messages,
        23e3,
    ),
    row("login", "login + logout", Unit::Operations, 9_000.0),
    row("select", "SELECT, warm", Unit::Operations, 30e3),
    row("store-one", "STORE one by one", Unit::Operations, 19e3),
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
    ),
    row(
        "search-text",
        "SEARCH TEXT without a hit",
        Unit::Milliseconds,
        15.0,
    ),
    row("qresync", "QRESYNC, 100 changes", Unit::Milliseconds, 0.4),
    row("copy", "COPY of all", Unit::Messages, 500e3),
    row("move", "MOVE of all", Unit::Messages, 500e3),
    row("expunge", "EXPUNGE of all", Unit::Messages, 1.2e6),
    row(
        "pop3-poll",
        "POP3 login, STAT, QUIT",
        Unit::Operations,
        8_000.0,
    ),
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
    ),
    row(
        "pop3-retr-lockstep",
        "POP3 RETR of all, lockstep",
        Unit::Messages,
        30e3,
    ),
    row(
        "idle-memory",
        "memory per idle IMAP connection",
        Unit::Kibibytes,
        16.0,
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
