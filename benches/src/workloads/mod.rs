//! The workloads, in the order they run: deliveries first, then reading, then changing.

mod change;
mod deliver;
mod fetch;
mod idle;
mod pop3;
mod session;

use crate::bench::Bench;
use crate::wire::Result;

/// One function that measures one or more rows.
pub(crate) struct Workload {
    /// Rows of [`crate::rows::ROWS`].
    pub(crate) names: &'static [&'static str],
    pub(crate) run: fn(&mut Bench<'_>) -> Result<()>,
}

/// The order matters: `append` fills the mailbox that all later ones read, and `fetch-cold` must
/// come before anything else has fetched.
pub(crate) const ALL: &[Workload] = &[
    Workload {
        names: &["memory-start"],
        run: idle::memory_start,
    },
    Workload {
        names: &["append"],
        run: deliver::append,
    },
    Workload {
        names: &["lmtp-1"],
        run: deliver::lmtp_one,
    },
    Workload {
        names: &["lmtp-16"],
        run: deliver::lmtp_many,
    },
    Workload {
        names: &["fetch-cold"],
        run: fetch::cold,
    },
    Workload {
        names: &["fetch-warm"],
        run: fetch::warm,
    },
    Workload {
        names: &["fetch-fields"],
        run: fetch::fields,
    },
    Workload {
        names: &["fetch-flags"],
        run: fetch::flags,
    },
    Workload {
        names: &["fetch-body-all"],
        run: fetch::body_all,
    },
    Workload {
        names: &["fetch-body-one"],
        run: fetch::body_one,
    },
    Workload {
        names: &["login"],
        run: session::login,
    },
    Workload {
        names: &["select"],
        run: session::select,
    },
    Workload {
        names: &["store-one"],
        run: change::store_one,
    },
    Workload {
        names: &["store-all"],
        run: change::store_all,
    },
    Workload {
        names: &["search-subject"],
        run: fetch::search_subject,
    },
    Workload {
        names: &["search-body"],
        run: fetch::search_body,
    },
    Workload {
        names: &["search-text"],
        run: fetch::search_text,
    },
    Workload {
        names: &["qresync"],
        run: session::qresync,
    },
    Workload {
        names: &["copy", "move", "expunge"],
        run: change::copy_move_expunge,
    },
    Workload {
        names: &["pop3-poll"],
        run: pop3::poll,
    },
    Workload {
        names: &["pop3-uidl-list"],
        run: pop3::uidl_list,
    },
    Workload {
        names: &["pop3-retr-pipelined"],
        run: pop3::retr_pipelined,
    },
    Workload {
        names: &["pop3-retr-lockstep"],
        run: pop3::retr_lockstep,
    },
    Workload {
        names: &["idle-memory", "idle-exists"],
        run: idle::idle,
    },
    Workload {
        names: &["memory-after"],
        run: idle::memory_after,
    },
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
