//! One server under all workloads: what they share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use testkit::corpus::Corpus;

use crate::clients::Imap;
use crate::peers::{self, Peer, READER};
use crate::report::Measured;
use crate::wire::{BULK, Result};
use crate::workloads;

/// The same for every server of a run.
pub(crate) struct Plan {
    pub(crate) messages: Vec<Vec<u8>>,
    /// Least time a repeated workload runs.
    pub(crate) least: Duration,
    /// Connections of the idle workloads.
    pub(crate) idle: usize,
    /// Row names; empty means all.
    pub(crate) only: BTreeSet<String>,
}

impl Plan {
    pub(crate) fn new(messages: usize, quick: bool, only: BTreeSet<String>) -> Self {
        Self {
            messages: Corpus::messages(17, messages),
            least: if quick {
                Duration::from_millis(300)
            } else {
                Duration::from_secs(2)
            },
            idle: if quick { 100 } else { 500 },
            only,
        }
    }

    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || names.iter().any(|name| self.only.contains(*name))
    }
}

/// A server, and what has been measured of it.
pub(crate) struct Bench<'a> {
    pub(crate) peer: &'a mut dyn Peer,
    pub(crate) plan: &'a Plan,
    values: BTreeMap<&'static str, f64>,
}

/// Runs the wanted workloads against a freshly started server.
pub(crate) fn run(peer: &mut dyn Peer, plan: &Plan) -> Measured {
    let server = peer.name();
    eprintln!("== {server}");
    let mut bench = Bench {
        peer,
        plan,
        values: BTreeMap::new(),
    };
    let mut failures = BTreeMap::new();
    let mut filled = false;
    for workload in workloads::ALL {
        let wanted = plan.wants(workload.names);
        // Every other workload reads what `append` has stored.
        let fills = workload.names == ["append"];
        if !wanted && !fills {
            continue;
        }
        let from = Instant::now();
        eprint!("{:<40}", workload.names.join(" "));
        let done = (workload.run)(&mut bench);
        eprintln!("{:>8.1} s", from.elapsed().as_secs_f64());
        if let Err(error) = done {
            eprintln!("  failed: {error}");
            // What it measured before it failed counts.
            for name in workload
                .names
                .iter()
                .filter(|name| !bench.values.contains_key(*name))
            {
                failures.insert(*name, error.to_string());
            }
        } else if fills {
            filled = true;
        }
        if fills && !filled {
            break;
        }
    }
    let mut values = bench.values;
    values.retain(|name, _| plan.wants(&[name]));
    Measured {
        server,
        values,
        failures,
    }
}

impl Bench<'_> {
    pub(crate) fn report(&mut self, name: &'static str, value: f64) {
        self.values.insert(name, value);
    }

    /// Number of messages in the reader's INBOX.
    pub(crate) fn count(&self) -> usize {
        self.plan.messages.len()
    }

    /// The reader's INBOX, selected.
    pub(crate) fn reader(&self) -> Result<Imap> {
        Imap::select(self.peer.imap(), READER, BULK)
    }

    /// PSS of the server in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        peers::memory(self.peer.root())
    }

    /// Median seconds of one call, after one that does not count. `work` runs at least three times
    /// and at least the plan's least time.
    pub(crate) fn seconds(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        work()?;
        let mut times = Vec::new();
        let from = Instant::now();
        while times.len() < 3 || (from.elapsed() < self.plan.least && times.len() < 10_000) {
            let start = Instant::now();
            work()?;
            times.push(start.elapsed().as_secs_f64());
        }
        Ok(median(&mut times))
    }
}

pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Fails unless the server sent as many untagged responses as there are messages.
pub(crate) fn expect(what: &str, found: usize, least: usize) -> Result<()> {
    if found < least {
        return Err(format!("{what}: {found} responses for {least} messages").into());
    }
    Ok(())
}
