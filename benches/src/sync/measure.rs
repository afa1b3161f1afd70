//! One cell: near, for octets, round trips and processor time; and from afar, for the clock.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::cpu::Cpu;
use super::grid::{Grid, Wanted, repeat, visit};
use super::result::{Cell, Change, Wall, millis};
use super::strategy::Strategy;
use super::visit::{Known, Seen, Visit};
use crate::clients::Door;
use crate::delay::Delay;
use crate::stats::median;
use crate::wire::{Result, Traffic};

/// How long and how often.
#[derive(Debug)]
pub(crate) struct Timing {
    /// Least time of repeated visits without distance.
    pub(crate) least: Duration,
    /// Least number of these visits.
    pub(crate) least_visits: usize,
    /// A visit that would take longer is predicted.
    pub(crate) limit: Duration,
    /// Visits that wait for the network at the same time.
    pub(crate) parallel: usize,
}

/// Visits slower than this without distance are not run beside others.
const HEAVY_MS: f64 = 30.0;

fn cell(strategy: &Strategy, size: usize, wanted: &Wanted, traffic: &Traffic) -> Cell {
    Cell {
        strategy: strategy.name.to_owned(),
        size,
        change: wanted.change,
        changes: wanted.changes,
        found: wanted.found(),
        bytes_up: traffic.up,
        bytes_down: traffic.down,
        round_trips: traffic.turns as f64 + traffic.pushes as f64 / 2.0,
        server_cpu_ms: None,
        walls: Vec::new(),
        scaled: false,
    }
}

fn near_wall(seen: &mut [Seen]) -> Wall {
    let mut walls: Vec<f64> = seen.iter().map(|seen| millis(seen.wall)).collect();
    let mut firsts: Vec<f64> = seen
        .iter()
        .filter_map(|seen| seen.first)
        .map(millis)
        .collect();
    Wall {
        rtt_ms: 0,
        ms: median(&mut walls),
        first_ms: (!firsts.is_empty()).then(|| median(&mut firsts)),
        predicted: false,
    }
}

/// Repeated visits over loopback.
pub(crate) fn near(
    grid: &Grid<'_>,
    strategy: &'static Strategy,
    known: &Known,
    size: usize,
    wanted: &Wanted,
) -> Result<Cell> {
    let this = Visit {
        door: door(grid, strategy)?,
        known,
    };
    // The first one is not counted: it finds the server's caches cold.
    wanted.check(strategy, &visit(strategy, &this)?)?;
    let mut all = Vec::new();
    let before = grid.target.root.map(Cpu::read).transpose()?;
    let count = repeat(&grid.plan.timing, || {
        let seen = visit(strategy, &this)?;
        wanted.check(strategy, &seen)?;
        all.push(seen);
        Ok(())
    })?;
    let spent = spent(grid, before.as_ref())?;
    let traffic = all.last().map(|seen| seen.traffic).unwrap_or_default();
    let mut cell = cell(strategy, size, wanted, &traffic);
    cell.server_cpu_ms = spent.map(|spent| millis(spent) / count as f64);
    cell.walls.push(near_wall(&mut all));
    Ok(cell)
}

/// The server's processor time since `before`, with what it does after a client has gone.
pub(crate) fn spent(grid: &Grid<'_>, before: Option<&Cpu>) -> Result<Option<Duration>> {
    let (Some(root), Some(before)) = (grid.target.root, before) else {
        return Ok(None);
    };
    thread::sleep(Duration::from_millis(3));
    Ok(Some(Cpu::read(root)?.since(before)))
}

pub(crate) fn door<'a>(grid: &Grid<'a>, strategy: &Strategy) -> Result<&'a Door> {
    let target = grid.target;
    let door = if strategy.is_imap() {
        &target.imap
    } else {
        &target.pop3
    };
    let door = door.as_ref();
    door.ok_or_else(|| format!("{}: no address", strategy.name).into())
}

/// A visit through a proxy, and whether both counted the same round trips.
fn proxied(
    grid: &Grid<'_>,
    strategy: &Strategy,
    known: &Known,
    rtt_ms: u64,
) -> Result<(Seen, bool)> {
    let near = door(grid, strategy)?;
    let delay = Delay::start(near.address, Duration::from_millis(rtt_ms))?;
    let this = Visit {
        door: &near.at(delay.address()),
        known,
    };
    let seen = visit(strategy, &this)?;
    let same = delay.passed().turns == seen.traffic.turns;
    Ok((seen, same))
}

/// Adds the times at all distances to cells whose time without distance is known.
pub(crate) fn far(
    grid: &mut Grid<'_>,
    strategies: &[&'static Strategy],
    known: &Known,
    cells: &mut [Cell],
) -> Result<()> {
    let limit = millis(grid.plan.timing.limit);
    let mut light = VecDeque::new();
    let mut heavy = VecDeque::new();
    for (index, cell) in cells.iter_mut().enumerate() {
        for &rtt_ms in grid.plan.rtts.iter().filter(|rtt| **rtt > 0) {
            if cell.predicted_ms(rtt_ms) > limit {
                cell.walls.push(predicted(cell, rtt_ms));
            } else if cell.predicted_ms(0) > HEAVY_MS {
                heavy.push_back((index, rtt_ms));
            } else {
                light.push_back((index, rtt_ms));
            }
        }
    }
    let measured = Mutex::new(Vec::new());
    for (work, threads) in [(light, grid.plan.timing.parallel), (heavy, 1)] {
        let work = Mutex::new(work);
        let (work, measured, grid) = (&work, &measured, &*grid);
        let cells = &*cells;
        let one = || -> Result<()> {
            loop {
                let next = work.lock().map_err(|_| "a visit panicked")?.pop_front();
                let Some((index, rtt_ms)) = next else {
                    return Ok(());
                };
                let strategy = strategies[index];
                let (seen, same) = proxied(grid, strategy, known, rtt_ms)?;
                let wanted =
                    Wanted::new(strategy, known, cells[index].change, cells[index].changes);
                wanted.check(strategy, &seen)?;
                let done = (index, rtt_ms, seen, same);
                measured.lock().map_err(|_| "a visit panicked")?.push(done);
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| "a visit panicked")?)
        })?;
    }
    for (index, rtt_ms, seen, same) in measured.into_inner().map_err(|_| "a visit panicked")? {
        grid.measured.proxied += 1;
        grid.measured.miscounted += usize::from(!same);
        cells[index].walls.push(wall(&seen, rtt_ms));
    }
    for cell in cells {
        cell.walls.sort_by_key(|wall| wall.rtt_ms);
        cell.walls
            .retain(|wall| grid.plan.rtts.contains(&wall.rtt_ms));
    }
    Ok(())
}

fn wall(seen: &Seen, rtt_ms: u64) -> Wall {
    Wall {
        rtt_ms,
        ms: millis(seen.wall),
        first_ms: seen.first.map(millis),
        predicted: false,
    }
}

fn predicted(cell: &Cell, rtt_ms: u64) -> Wall {
    Wall {
        rtt_ms,
        ms: cell.predicted_ms(rtt_ms),
        first_ms: None,
        predicted: true,
    }
}

/// A visit that takes everything away, into an INBOX that is filled anew each time.
pub(crate) fn drain(
    grid: &mut Grid<'_>,
    strategy: &'static Strategy,
    changes: usize,
) -> Result<Cell> {
    let known = Known::default();
    let wanted = Wanted::new(strategy, &known, Change::New, changes);
    let here = Visit {
        door: door(grid, strategy)?,
        known: &known,
    };
    let mut all = Vec::new();
    let mut spent_all = Duration::ZERO;
    let plan = grid.plan;
    let count = repeat(&plan.timing, || {
        grid.deliver(changes)?;
        let before = grid.target.root.map(Cpu::read).transpose()?;
        let seen = visit(strategy, &here)?;
        spent_all += spent(grid, before.as_ref())?.unwrap_or_default();
        wanted.check(strategy, &seen)?;
        all.push(seen);
        Ok(())
    })?;
    let traffic = all.last().map(|seen| seen.traffic).unwrap_or_default();
    let mut cell = cell(strategy, 0, &wanted, &traffic);
    let cpu = millis(spent_all) / count as f64;
    cell.server_cpu_ms = grid.target.root.map(|_| cpu);
    cell.walls.push(near_wall(&mut all));
    for &rtt_ms in plan.rtts.iter().filter(|rtt| **rtt > 0) {
        if cell.predicted_ms(rtt_ms) > millis(plan.timing.limit) {
            cell.walls.push(predicted(&cell, rtt_ms));
            continue;
        }
        grid.deliver(changes)?;
        let (seen, same) = proxied(grid, strategy, &known, rtt_ms)?;
        wanted.check(strategy, &seen)?;
        grid.measured.proxied += 1;
        grid.measured.miscounted += usize::from(!same);
        cell.walls.push(wall(&seen, rtt_ms));
    }
    Ok(cell)
}
