//! All cells of one server, one mailbox size after the other.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use testkit::corpus::Corpus;

use super::cpu;
use super::measure::{self, Timing};
use super::pushing;
use super::result::{Cell, Change, Measured};
use super::strategy::{How, Strategy};
use super::target::Target;
use super::visit::{Known, Seen, Visit};
use crate::wire::Result;

/// RETR of everything is measured up to this mailbox size.
const RETRIEVE_ALL: usize = 10_000;

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) sizes: Vec<usize>,
    pub(crate) changes: Vec<usize>,
    pub(crate) rtts: Vec<u64>,
    pub(crate) strategies: Vec<&'static Strategy>,
    pub(crate) timing: Timing,
}

impl Plan {
    /// New messages for the largest number of changes.
    fn news(&self) -> Vec<Vec<u8>> {
        Corpus::messages(18, self.changes.iter().copied().max().unwrap_or(0))
    }

    /// Cells and fillings of one server, for the progress bar.
    pub(crate) fn steps(&self) -> u64 {
        let each = self.strategies.len() * self.changes.len() * 2 * self.sizes.len();
        each as u64
    }
}

/// One server while it is measured.
pub(crate) struct Grid<'a> {
    pub(crate) target: &'a Target,
    pub(crate) plan: &'a Plan,
    pub(crate) news: Vec<Vec<u8>>,
    pub(crate) measured: Measured,
    pub(crate) bar: &'a ProgressBar,
    strategies: Vec<&'static Strategy>,
}

impl<'a> Grid<'a> {
    pub(crate) fn new(target: &'a Target, plan: &'a Plan, bar: &'a ProgressBar) -> Result<Self> {
        let mut grid = Self {
            target,
            plan,
            news: plan.news(),
            measured: Measured {
                server: target.name.clone(),
                cells: Vec::new(),
                absent: Vec::new(),
                proxied: 0,
                miscounted: 0,
            },
            bar,
            strategies: Vec::new(),
        };
        grid.look()?;
        Ok(grid)
    }

    /// Keeps the strategies that the server offers.
    fn look(&mut self) -> Result<()> {
        let mut offered = String::new();
        if self.target.imap.is_some() {
            offered = self.target.login()?.capabilities()?;
        }
        for strategy in &self.plan.strategies {
            let missing = strategy.needs().into_iter().find(|word| {
                let has = |name: &str| name.eq_ignore_ascii_case(word);
                !offered.split_ascii_whitespace().any(has)
            });
            let door = if strategy.is_imap() {
                &self.target.imap
            } else {
                &self.target.pop3
            };
            let why = match (door, missing) {
                (None, _) => "no address was given".to_owned(),
                (_, Some(word)) => format!("not offered: {word}"),
                _ if !self.target.may_write && (strategy.drains() || strategy.push().is_some()) => {
                    "needs --may-write".to_owned()
                }
                _ => {
                    self.strategies.push(strategy);
                    continue;
                }
            };
            let name = strategy.name.to_owned();
            self.measured.absent.push((name, why));
        }
        Ok(())
    }

    fn those(&self, wanted: impl Fn(&Strategy) -> bool) -> Vec<&'static Strategy> {
        let all = self.strategies.iter().copied();
        all.filter(|strategy| wanted(strategy)).collect()
    }

    fn say(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Everything; `after` is called with what is there whenever a mailbox size is done.
    pub(crate) fn run(mut self, after: &dyn Fn(&Measured)) -> Result<Measured> {
        if !self.target.may_write {
            self.look_only()?;
            return Ok(self.measured);
        }
        if self.target.known()?.messages != 0 {
            return Err(
                "INBOX is not empty: this benchmark fills and empties the INBOX of its \
                        account, so give it an account of its own"
                    .into(),
            );
        }
        self.drains()?;
        let mut there = 0;
        for &size in &self.plan.sizes {
            self.say(format!("filling INBOX to {size}"));
            let bar = self.bar;
            self.target.fill(size - there, &|count| {
                bar.set_message(format!("filling INBOX to {size}: {count} more"));
            })?;
            there = size;
            for &changes in &self.plan.changes {
                self.new_messages(size, changes)?;
                if changes > 0 && changes <= size {
                    self.flags(size, changes)?;
                }
            }
            pushing::new_messages(&mut self, size)?;
            after(&self.measured);
        }
        self.target.expunge(1)?;
        Ok(self.measured)
    }

    /// An account that may only be looked at: what a visit costs that finds nothing new.
    fn look_only(&mut self) -> Result<()> {
        let known = self.target.known()?;
        let polls = self.those(|strategy| !strategy.fetches_all());
        self.polls(&polls, &known, known.messages, Change::New, 0)
    }

    /// Visits that leave nothing behind: the size of the mailbox plays no part, so each is measured
    /// once and stands for all sizes.
    fn drains(&mut self) -> Result<()> {
        for strategy in self.those(Strategy::drains) {
            for &changes in &self.plan.changes {
                self.say(format!("{} with {changes} new", strategy.name));
                let cell = measure::drain(self, strategy, changes)?;
                for &size in &self.plan.sizes {
                    let cell = cell.clone();
                    self.measured.cells.push(Cell { size, ..cell });
                }
                self.bar.inc(2 * self.plan.sizes.len() as u64);
            }
        }
        Ok(())
    }

    fn new_messages(&mut self, size: usize, changes: usize) -> Result<()> {
        self.say(format!("{size} messages, {changes} new: delivering"));
        let known = self.target.known()?;
        self.deliver(changes)?;
        let polls = self.those(|strategy| {
            strategy.push().is_none()
                && !strategy.drains()
                && (size <= RETRIEVE_ALL || !strategy.fetches_all())
        });
        self.polls(&polls, &known, size, Change::New, changes)?;
        if changes > 0 {
            self.target.expunge(known.uid_next)?;
        }
        Ok(())
    }

    pub(crate) fn deliver(&self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let mut sender = self.target.sender()?;
        let news = self.news.iter().take(count);
        news.into_iter()
            .try_for_each(|message| sender.deliver(message))
    }

    fn flags(&mut self, size: usize, changes: usize) -> Result<()> {
        self.say(format!("{size} messages, {changes} flags"));
        let known = self.target.known()?;
        let mut flagger = self.target.flagger(changes, size)?;
        flagger.set(true)?;
        let polls = self.those(|strategy| strategy.is_imap() && strategy.push().is_none());
        self.polls(&polls, &known, size, Change::Flags, changes)?;
        flagger.set(false)?;
        pushing::flags(self, size, changes, &mut flagger)
    }

    pub(crate) fn pushes(&self) -> Vec<&'static Strategy> {
        let silent = |strategy: &Strategy| {
            let mut absent = self.measured.absent.iter();
            absent.any(|(name, _)| name == strategy.name)
        };
        self.those(|strategy| strategy.push().is_some() && !silent(strategy))
    }

    /// Visits that change nothing and so can be repeated from the same memory.
    fn polls(
        &mut self,
        strategies: &[&'static Strategy],
        known: &Known,
        size: usize,
        change: Change,
        changes: usize,
    ) -> Result<()> {
        if let Some(root) = self.target.root {
            cpu::wait_until_quiet(root)?;
        }
        let mut cells = Vec::new();
        for &strategy in strategies {
            self.say(format!(
                "{size} messages, {changes} changes: {}",
                strategy.name
            ));
            let wanted = Wanted::new(strategy, known, change, changes);
            cells.push(measure::near(self, strategy, known, size, &wanted)?);
            self.bar.inc(1);
        }
        self.say(format!("{size} messages, {changes} changes: from afar"));
        measure::far(self, strategies, known, &mut cells)?;
        self.measured.cells.append(&mut cells);
        Ok(())
    }
}

/// What a visit must find.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) change: Change,
    pub(crate) changes: usize,
    new: usize,
    flagged: usize,
    bodies: usize,
}

impl Wanted {
    pub(crate) fn new(strategy: &Strategy, known: &Known, change: Change, changes: usize) -> Self {
        let new = if change == Change::New { changes } else { 0 };
        let flagged = match change {
            Change::Flags if strategy.sees_flags() => changes,
            _ => 0,
        };
        let bodies = if strategy.fetches_all() {
            known.messages + new
        } else if strategy.only_counts() {
            0
        } else {
            new
        };
        Self {
            change,
            changes,
            new,
            flagged,
            bodies,
        }
    }

    pub(crate) fn found(&self) -> usize {
        self.new + self.flagged
    }

    /// A wrong answer fails the run.
    pub(crate) fn check(&self, strategy: &Strategy, seen: &Seen) -> Result<()> {
        let found = (seen.new, seen.flagged, seen.bodies);
        if found == (self.new, self.flagged, self.bodies) {
            return Ok(());
        }
        Err(format!(
            "{}: found (new, flagged, bodies) {found:?}, but it must be {:?}",
            strategy.name,
            (self.new, self.flagged, self.bodies)
        )
        .into())
    }
}

/// One visit by a strategy that is none of the pushes.
pub(crate) fn visit(strategy: &Strategy, visit: &Visit<'_>) -> Result<Seen> {
    let seen = match strategy.how {
        How::Scan(scan) => scan.run(visit, strategy.compress),
        How::Pop3 { fetch, pipelined } => fetch.run(visit, pipelined),
        How::Push(_) => Err("a push is no visit".into()),
    };
    seen.map_err(|error| format!("{}: {error}", strategy.name).into())
}

/// Repeats `work` until it has taken the least time.
pub(crate) fn repeat(timing: &Timing, mut work: impl FnMut() -> Result<()>) -> Result<usize> {
    let from = Instant::now();
    let mut count = 0;
    while count < timing.least_visits || (from.elapsed() < timing.least && count < 200) {
        work()?;
        count += 1;
        if from.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    Ok(count)
}
