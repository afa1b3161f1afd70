//! The workloads, in the order they run: deliveries first, then reading, then changing.

mod change;
pub(crate) mod deliver;
mod fetch;
mod idle;
mod many;
mod pop3;
mod session;
mod tls;

use crate::bench::Bench;
use crate::peers::Need::{self, Imap, Imaps, Lmtp, Pop3, Pop3s, Process, Receivers, Write};
use crate::wire::Result;

/// One function that measures one or more rows.
pub(crate) struct Workload {
    /// Rows of [`crate::rows::ROWS`].
    pub(crate) names: &'static [&'static str],
    /// Without one of these it does not run.
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&mut Bench<'_>) -> Result<()>,
}

const fn work(
    names: &'static [&'static str],
    needs: &'static [Need],
    run: fn(&mut Bench<'_>) -> Result<()>,
) -> Workload {
    Workload { names, needs, run }
}

/// The order matters: `append` fills the mailbox that all later ones read, and `fetch-cold` must
/// come before anything else has fetched.
pub(crate) const ALL: &[Workload] = &[
    work(&["memory-start"], &[Process], idle::memory_start),
    work(&["append"], &[Imap, Write], deliver::append),
    work(&["lmtp-1"], &[Lmtp], deliver::lmtp_one),
    work(
        &["lmtp-4", "lmtp-16", "lmtp-64"],
        &[Lmtp, Receivers],
        deliver::lmtp_many,
    ),
    work(&["fetch-cold"], &[Imap, Process], fetch::cold),
    work(
        &["fetch-cold-cache", "fetch-body-cold-cache"],
        &[Imap, Process],
        fetch::cold_cache,
    ),
    work(&["fetch-warm"], &[Imap], fetch::warm),
    work(&["fetch-fields"], &[Imap], fetch::fields),
    work(&["fetch-flags"], &[Imap], fetch::flags),
    work(&many::FLAGS, &[Imap], many::flags),
    work(&["fetch-body-all"], &[Imap], fetch::body_all),
    work(&["fetch-body-all-tls"], &[Imaps], tls::body_all),
    work(&["fetch-body-one"], &[Imap], fetch::body_one),
    work(&["login"], &[Imap], session::login),
    work(&many::LOGIN, &[Imap], many::login),
    work(&["login-tls"], &[Imaps], tls::login),
    work(&["select"], &[Imap], session::select),
    work(&many::SELECT, &[Imap], many::select),
    work(&["store-one"], &[Imap, Write], change::store_one),
    work(&["store-all"], &[Imap, Write], change::store_all),
    work(&["search-subject"], &[Imap], fetch::search_subject),
    work(&["search-body"], &[Imap], fetch::search_body),
    work(&["search-text"], &[Imap], fetch::search_text),
    work(&["qresync"], &[Imap, Write], session::qresync),
    work(
        &["copy", "move", "expunge"],
        &[Imap, Write],
        change::copy_move_expunge,
    ),
    work(&["pop3-poll"], &[Pop3], pop3::poll),
    work(&many::POLL, &[Pop3, Receivers], many::poll),
    work(&["pop3-poll-tls"], &[Pop3s], tls::poll),
    work(&["pop3-uidl-list"], &[Pop3], pop3::uidl_list),
    work(
        &["pop3-retr-pipelined"],
        &[Pop3, Write],
        pop3::retr_pipelined,
    ),
    work(&["pop3-retr-lockstep"], &[Pop3, Write], pop3::retr_lockstep),
    work(
        &["idle-memory", "idle-exists"],
        &[Imap, Lmtp, Process],
        idle::idle,
    ),
    work(&["idle-memory-tls"], &[Imaps, Process], idle::idle_tls),
    work(&["memory-after"], &[Process], idle::memory_after),
];

#[cfg(test)]
mod tests {
    use crate::rows::ROWS;

    #[test]
    fn every_row_has_its_workload_and_the_other_way_round() {
        let mut rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        let mut run: Vec<_> = super::ALL
            .iter()
            .flat_map(|workload| workload.names)
            .collect();
        rows.sort_unstable();
        run.sort_unstable();
        assert!(rows.iter().eq(run.iter().copied()), "{rows:?} {run:?}");
    }
}
