//! All ways to look for mail that are compared.

use super::pop::Fetch;
use super::push::Push;
use super::scan::Scan;

/// How a strategy works.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Scan(Scan),
    Push(Push),
    Pop3 { fetch: Fetch, pipelined: bool },
}

#[derive(Debug)]
pub(crate) struct Strategy {
    /// For `--strategies`, JSON and tables.
    pub(crate) name: &'static str,
    /// For the report.
    pub(crate) what: &'static str,
    pub(crate) how: How,
    pub(crate) compress: bool,
}

impl Strategy {
    pub(crate) fn is_imap(&self) -> bool {
        !matches!(self.how, How::Pop3 { .. })
    }

    pub(crate) fn sees_flags(&self) -> bool {
        match self.how {
            How::Scan(scan) => scan.sees_flags(),
            How::Push(_) => true,
            How::Pop3 { .. } => false,
        }
    }

    /// Fetches every message, known or not.
    pub(crate) fn fetches_all(&self) -> bool {
        let How::Pop3 { fetch, .. } = self.how else {
            return false;
        };
        fetch == Fetch::All
    }

    /// Fetches no message at all.
    pub(crate) fn only_counts(&self) -> bool {
        let How::Pop3 { fetch, .. } = self.how else {
            return false;
        };
        fetch == Fetch::Stat
    }

    /// Capabilities of the server that it uses.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let word = match self.how {
            How::Scan(Scan::Condstore) => Some("CONDSTORE"),
            How::Scan(Scan::Qresync) => Some("QRESYNC"),
            How::Push(Push::Idle) => Some("IDLE"),
            How::Push(Push::Notify) => Some("NOTIFY"),
            _ => None,
        };
        let compress = self.compress.then_some("COMPRESS=DEFLATE");
        word.into_iter().chain(compress).collect()
    }

    /// Leaves nothing behind.
    pub(crate) fn drains(&self) -> bool {
        let How::Pop3 { fetch, .. } = self.how else {
            return false;
        };
        fetch == Fetch::Drain
    }

    pub(crate) fn push(&self) -> Option<Push> {
        match self.how {
            How::Push(push) => Some(push),
            _ => None,
        }
    }
}

const fn imap(name: &'static str, what: &'static str, how: How, compress: bool) -> Strategy {
    Strategy {
        name,
        what,
        how,
        compress,
    }
}

const fn pop3(name: &'static str, what: &'static str, fetch: Fetch, pipelined: bool) -> Strategy {
    Strategy {
        name,
        what,
        how: How::Pop3 { fetch, pipelined },
        compress: false,
    }
}

/// In the order of the report.
pub(crate) const ALL: &[Strategy] = &[
    imap(
        "imap-full",
        "FETCH 1:* (UID FLAGS), then the bodies of the new",
        How::Scan(Scan::Full),
        false,
    ),
    imap(
        "imap-full+compress",
        "the same, COMPRESS=DEFLATE",
        How::Scan(Scan::Full),
        true,
    ),
    imap(
        "imap-uidnext",
        "STATUS; if UIDNEXT has grown, SELECT and UID FETCH n:*",
        How::Scan(Scan::UidNext),
        false,
    ),
    imap(
        "imap-uidnext+compress",
        "the same, COMPRESS=DEFLATE",
        How::Scan(Scan::UidNext),
        true,
    ),
    imap(
        "imap-condstore",
        "SELECT (CONDSTORE); if HIGHESTMODSEQ has grown, FETCH CHANGEDSINCE and the bodies",
        How::Scan(Scan::Condstore),
        false,
    ),
    imap(
        "imap-condstore+compress",
        "the same, COMPRESS=DEFLATE",
        How::Scan(Scan::Condstore),
        true,
    ),
    imap(
        "imap-qresync",
        "ENABLE QRESYNC, SELECT (QRESYNC), then the bodies of the new",
        How::Scan(Scan::Qresync),
        false,
    ),
    imap(
        "imap-qresync+compress",
        "the same, COMPRESS=DEFLATE",
        How::Scan(Scan::Qresync),
        true,
    ),
    imap(
        "imap-idle",
        "connection kept; EXISTS, then DONE, UID FETCH and IDLE at once",
        How::Push(Push::Idle),
        false,
    ),
    imap(
        "imap-idle+compress",
        "the same, COMPRESS=DEFLATE",
        How::Push(Push::Idle),
        true,
    ),
    imap(
        "imap-notify",
        "connection kept; the server sends the new message by itself",
        How::Push(Push::Notify),
        false,
    ),
    imap(
        "imap-notify+compress",
        "the same, COMPRESS=DEFLATE",
        How::Push(Push::Notify),
        true,
    ),
    pop3(
        "pop3-stat",
        "STAT: only whether there is something",
        Fetch::Stat,
        false,
    ),
    pop3(
        "pop3-uidl",
        "UIDL, RETR of the new, one after the other",
        Fetch::New,
        false,
    ),
    pop3(
        "pop3-uidl-pipelined",
        "UIDL, RETR of the new, pipelined",
        Fetch::New,
        true,
    ),
    pop3(
        "pop3-all",
        "RETR of everything, known or not, without DELE",
        Fetch::All,
        false,
    ),
    pop3(
        "pop3-all-pipelined",
        "the same, pipelined",
        Fetch::All,
        true,
    ),
    pop3(
        "pop3-dele",
        "RETR and DELE of everything: only what came since is there",
        Fetch::Drain,
        false,
    ),
    pop3(
        "pop3-dele-pipelined",
        "the same, pipelined",
        Fetch::Drain,
        true,
    ),
];
