//! One server under all workloads: what they share.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use testkit::corpus::Corpus;

use crate::clients::{Door, Pop3};
use crate::imap::Imap;
use crate::peers::{self, Peer};
use crate::report::Round;
use crate::stats::{Latency, median};
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
    /// Mail as people have it, 17 KB on average.
    pub(crate) fn new(messages: usize, quick: bool, only: BTreeSet<String>) -> Self {
        Self::of(Corpus::messages(17, messages), quick, only)
    }

    /// Small messages, all different, so that a million of them fit into memory here.
    pub(crate) fn small(messages: usize, quick: bool, only: BTreeSet<String>) -> Self {
        let message = |number| {
            let text = format!(
                "From: Sender {number} <sender{number}@example.org>\r\n\
                 To: bench@example.org\r\n\
                 Date: Thu, 1 Oct 2026 08:00:00 +0000\r\n\
                 Message-ID: <{number}@example.org>\r\n\
                 Subject: small message {number}\r\n\r\n\
                 This is message {number}.\r\n"
            );
            text.into_bytes()
        };
        Self::of((0..messages).map(message).collect(), quick, only)
    }

    fn of(messages: Vec<Vec<u8>>, quick: bool, only: BTreeSet<String>) -> Self {
        Self {
            messages,
            least: if quick {
                Duration::from_millis(200)
            } else {
                Duration::from_secs(2)
            },
            idle: if quick { 100 } else { 500 },
            only,
        }
    }

    /// Octets of all messages.
    pub(crate) fn octets(&self) -> usize {
        self.messages.iter().map(Vec::len).sum()
    }

    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || names.iter().any(|name| self.only.contains(*name))
    }
}

/// A server, and what has been measured of it.
pub(crate) struct Bench<'a> {
    pub(crate) peer: &'a mut dyn Peer,
    pub(crate) plan: &'a Plan,
    /// Messages in the reader's mailbox, as far as they are read.
    pub(crate) count: usize,
    round: Round,
}

/// Runs the wanted workloads that this server can be put under.
pub(crate) fn run(peer: &mut dyn Peer, plan: &Plan) -> Result<Round> {
    eprintln!("== {}", peer.name());
    let mut bench = Bench {
        count: peer.prepare(plan.messages.len())?,
        peer,
        plan,
        round: Round::default(),
    };
    for workload in workloads::ALL {
        let offered = workload.needs.iter().all(|need| bench.peer.offers(*need));
        // Every other workload reads what `append` has stored.
        let fills = workload.names == ["append"];
        if !offered || !(fills || plan.wants(workload.names)) {
            continue;
        }
        let from = Instant::now();
        eprint!("{:<56}", workload.names.join(" "));
        let done = (workload.run)(&mut bench);
        eprintln!("{:>8.1} s", from.elapsed().as_secs_f64());
        if let Err(error) = done {
            eprintln!("  failed: {error}");
            // What it measured before it failed counts.
            for name in workload.names {
                if !bench.round.values.contains_key(name) {
                    bench.round.failures.insert(name, error.to_string());
                }
            }
            if fills {
                break;
            }
        }
    }
    let mut round = bench.round;
    round.values.retain(|name, _| plan.wants(&[name]));
    round.latency.retain(|name, _| plan.wants(&[name]));
    peer.finish()?;
    Ok(round)
}

impl Bench<'_> {
    pub(crate) fn report(&mut self, name: &'static str, value: f64) {
        self.round.values.insert(name, value);
    }

    /// Seconds that single operations of a row took.
    pub(crate) fn report_latency(&mut self, name: &'static str, seconds: &mut [f64]) {
        if let Some(latency) = Latency::of(seconds) {
            self.round.latency.insert(name, latency);
        }
    }

    /// Octets that one operation in the row's unit brought over the wire.
    pub(crate) fn report_answer(&mut self, name: &'static str, octets: f64) {
        self.round.answers.insert(name, octets);
    }

    pub(crate) fn imap_door(&self) -> Door {
        self.peer.door(self.peer.imap())
    }

    pub(crate) fn pop3_door(&self) -> Door {
        self.peer.door(self.peer.pop3())
    }

    /// Opens the reader's mailbox; a command without its end.
    pub(crate) fn open(&self) -> String {
        let command = if self.peer.offers(peers::Need::Write) {
            "SELECT"
        } else {
            "EXAMINE"
        };
        format!("{command} {}", self.peer.mailbox())
    }

    /// The reader's mailbox, opened.
    pub(crate) fn reader(&self) -> Result<Imap> {
        self.reader_through(&self.imap_door())
    }

    pub(crate) fn reader_through(&self, door: &Door) -> Result<Imap> {
        let mut imap = Imap::login(door, BULK)?;
        imap.run(&self.open())?;
        Ok(imap)
    }

    /// The reader's maildrop and the messages of it that are read.
    pub(crate) fn maildrop(&self) -> Result<(Pop3, usize)> {
        let mut pop3 = Pop3::login(&self.pop3_door(), BULK)?;
        let found = pop3.stat()?;
        Ok((pop3, found.min(self.plan.messages.len())))
    }

    /// PSS of the server in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let root = self.peer.root().ok_or("no process of ours")?;
        peers::memory(root)
    }

    /// Median seconds of one call, after one that does not count; each call's are the row's
    /// latency. `work` runs at least three times and at least the plan's least time.
    pub(crate) fn seconds(
        &mut self,
        name: &'static str,
        mut work: impl FnMut() -> Result<()>,
    ) -> Result<f64> {
        work()?;
        let mut times = Vec::new();
        let from = Instant::now();
        while times.len() < 3 || (from.elapsed() < self.plan.least && times.len() < 10_000) {
            let start = Instant::now();
            work()?;
            times.push(start.elapsed().as_secs_f64());
        }
        self.report_latency(name, &mut times);
        Ok(median(&mut times))
    }

    /// Operations per second: the median over runs of `batch` operations, after one run that does
    /// not count; each operation's seconds are the row's latency.
    pub(crate) fn rate(
        &mut self,
        name: &'static str,
        batch: usize,
        mut work: impl FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let mut each = Vec::new();
        let seconds = self.seconds(name, || {
            for index in 0..batch {
                let start = Instant::now();
                work(index)?;
                each.push(start.elapsed().as_secs_f64());
            }
            Ok(())
        })?;
        self.report_latency(name, each.get_mut(batch..).unwrap_or_default());
        self.report(name, batch as f64 / seconds);
        Ok(())
    }
}

/// Fails unless the server sent as many untagged responses as there are messages.
pub(crate) fn expect(what: &str, found: usize, least: usize) -> Result<()> {
    if found < least {
        return Err(format!("{what}: {found} responses for {least} messages").into());
    }
    Ok(())
}
