//! The same through TLS from the first octet (RFC 8314).

use crate::bench::Bench;
use crate::wire::Result;
use crate::workloads::{fetch, pop3, session};

/// Operations per timed run.
const BATCH: usize = 10;

pub(super) fn login(bench: &mut Bench<'_>) -> Result<()> {
    let door = bench.peer.tls_imap()?;
    bench.rate("login-tls", BATCH, |_| session::login_once(&door))
}

pub(super) fn body_all(bench: &mut Bench<'_>) -> Result<()> {
    let door = bench.peer.tls_imap()?;
    fetch::body_all_through(bench, "fetch-body-all-tls", &door)
}

pub(super) fn poll(bench: &mut Bench<'_>) -> Result<()> {
    let door = bench.peer.tls_pop3()?;
    bench.rate("pop3-poll-tls", BATCH, |_| pop3::poll_once(&door))
}
