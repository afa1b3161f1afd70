//! Cells of the pushes: what happens on a connection that is kept while changes happen.

use std::error::Error;
use std::io;
use std::thread;
use std::time::Duration;

use super::cpu::Cpu;
use super::grid::Grid;
use super::measure::{door, spent};
use super::push::{Listener, Push, Pushed};
use super::result::{Cell, Change, Wall, millis};
use super::strategy::Strategy;
use super::target::Flagger;
use super::visit::{Known, Visit};
use crate::clients::Door;
use crate::delay::Delay;
use crate::stats::median;
use crate::wire::Result;

/// Deliveries that are really waited for; more changes are a multiple of these.
const EVENTS: usize = 5;

/// Messages that are delivered one after the other, each waited for.
pub(crate) fn new_messages(grid: &mut Grid<'_>, size: usize) -> Result<()> {
    let changes: Vec<usize> = grid.plan.changes.clone();
    let events = EVENTS.min(changes.iter().copied().max().unwrap_or(0));
    for strategy in grid.pushes() {
        let Some(push) = strategy.push() else {
            continue;
        };
        grid.bar
            .set_message(format!("{size} messages: {}", strategy.name));
        if events == 0 {
            grid.measured.cells.push(nothing(grid, strategy, size));
            continue;
        }
        let alone = delivered(grid, events, None)?;
        let near = match delivered(grid, events, Some((strategy, push, 0))) {
            Ok(near) => near,
            Err(error) => {
                silent(grid, strategy, error)?;
                continue;
            }
        };
        let mut walls = vec![(0, near.pushed)];
        for &rtt_ms in grid.plan.rtts.iter().filter(|rtt| **rtt > 0) {
            let far = delivered(grid, events, Some((strategy, push, rtt_ms)))?;
            walls.push((rtt_ms, far.pushed));
        }
        // What the delivery itself costs is not the push's.
        let cpu = near.cpu.zip(alone.cpu);
        let cpu = cpu.map(|(with, without)| (with - without).max(0.0) / events as f64);
        for &count in &changes {
            if count == 0 {
                grid.measured.cells.push(nothing(grid, strategy, size));
            } else {
                let cell = scaled(grid, strategy, size, count, events, &walls, cpu);
                grid.measured.cells.push(cell);
            }
        }
        grid.bar.inc(changes.len() as u64);
    }
    Ok(())
}

/// Notes that a server which offers a push tells nothing; any other error ends the run.
fn silent(
    grid: &mut Grid<'_>,
    strategy: &Strategy,
    error: Box<dyn Error + Send + Sync>,
) -> Result<()> {
    let waited = error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    if !waited {
        return Err(format!("{}: {error}", strategy.name).into());
    }
    let why = "offered, but nothing was told within 10 seconds of a change".to_owned();
    let name = strategy.name.to_owned();
    grid.measured.cells.retain(|cell| cell.strategy != name);
    grid.measured.absent.push((name, why));
    Ok(())
}

struct Delivered {
    pushed: Pushed,
    cpu: Option<f64>,
}

/// `events` deliveries, with or without a listener, expunged afterwards.
fn delivered(
    grid: &Grid<'_>,
    events: usize,
    listener: Option<(&Strategy, Push, u64)>,
) -> Result<Delivered> {
    let known = grid.target.known()?;
    let mut pushed = Pushed::default();
    let mut sender = grid.target.sender()?;
    let mut messages = grid.news.iter();
    let mut one = || match messages.next() {
        Some(message) => sender.deliver(message),
        None => Ok(()),
    };
    let cpu = match listener {
        None => {
            let before = grid.target.root.map(Cpu::read).transpose()?;
            for _ in 0..events {
                one()?;
            }
            spent(grid, before.as_ref())?
        }
        Some((strategy, push, rtt_ms)) => {
            let near = door(grid, strategy)?;
            let far = Delay::start(near.address, Duration::from_millis(rtt_ms))?;
            let door = if rtt_ms == 0 {
                near.clone()
            } else {
                near.at(far.address())
            };
            let mut listener = listen(strategy, push, &known, &door)?;
            let before = grid.target.root.map(Cpu::read).transpose()?;
            for _ in 0..events {
                let_it_watch(grid, push);
                if let Err(error) = listener.new_message(&mut pushed, &mut one) {
                    grid.target.expunge(known.uid_next)?;
                    return Err(error);
                }
            }
            spent(grid, before.as_ref())?
        }
    };
    grid.target.expunge(known.uid_next)?;
    let cpu = cpu.map(millis);
    Ok(Delivered { pushed, cpu })
}

fn listen(strategy: &Strategy, push: Push, known: &Known, door: &Door) -> Result<Listener> {
    let visit = Visit { door, known };
    Listener::start(push, &visit, strategy.compress)
        .map_err(|error| format!("{}: {error}", strategy.name).into())
}

/// Until the server certainly tells of the next change.
fn let_it_watch(grid: &Grid<'_>, push: Push) {
    if push == Push::Notify {
        thread::sleep(grid.target.notify_begins);
    }
}

fn scaled(
    grid: &Grid<'_>,
    strategy: &Strategy,
    size: usize,
    count: usize,
    events: usize,
    walls: &[(u64, Pushed)],
    cpu: Option<f64>,
) -> Cell {
    let mut cell = nothing(grid, strategy, size);
    let times = count as f64 / events as f64;
    if let Some((_, near)) = walls.first() {
        let traffic = near.traffic;
        cell.bytes_up = (traffic.up as f64 * times).round() as u64;
        cell.bytes_down = (traffic.down as f64 * times).round() as u64;
        cell.round_trips = (traffic.turns as f64 + traffic.pushes as f64 / 2.0) * times;
    }
    cell.changes = count;
    cell.found = count;
    cell.scaled = count != events;
    cell.server_cpu_ms = cpu.map(|cpu| cpu * count as f64);
    cell.walls = walls
        .iter()
        .map(|(rtt_ms, pushed)| {
            let mut each: Vec<f64> = pushed.times.iter().copied().map(millis).collect();
            let each = median(&mut each);
            Wall {
                rtt_ms: *rtt_ms,
                ms: each * count as f64,
                first_ms: Some(each),
                predicted: false,
            }
        })
        .collect();
    cell
}

/// While nothing happens, nothing is said: IDLE is renewed once in half an hour.
fn nothing(grid: &Grid<'_>, strategy: &Strategy, size: usize) -> Cell {
    let wall = |rtt_ms: &u64| Wall {
        rtt_ms: *rtt_ms,
        ms: 0.0,
        first_ms: None,
        predicted: true,
    };
    Cell {
        strategy: strategy.name.to_owned(),
        size,
        change: Change::New,
        changes: 0,
        found: 0,
        bytes_up: 0,
        bytes_down: 0,
        round_trips: 0.0,
        server_cpu_ms: grid.target.root.map(|_| 0.0),
        walls: grid.plan.rtts.iter().map(wall).collect(),
        scaled: false,
    }
}

/// Flags of many messages that another client changes by one command.
pub(crate) fn flags(
    grid: &mut Grid<'_>,
    size: usize,
    changes: usize,
    flagger: &mut Flagger,
) -> Result<()> {
    for strategy in grid.pushes() {
        let Some(push) = strategy.push() else {
            continue;
        };
        let known = grid.target.known()?;
        let before = grid.target.root.map(Cpu::read).transpose()?;
        flagger.set(true)?;
        flagger.set(false)?;
        let alone = spent(grid, before.as_ref())?;

        let mut pushed = Pushed::default();
        let mut listener = listen(strategy, push, &known, door(grid, strategy)?)?;
        let before = grid.target.root.map(Cpu::read).transpose()?;
        let told = [true, false].into_iter().try_for_each(|on| {
            let_it_watch(grid, push);
            listener.flags(&mut pushed, changes, || flagger.set(on))
        });
        if let Err(error) = told {
            flagger.set(false)?;
            silent(grid, strategy, error)?;
            continue;
        }
        let with = spent(grid, before.as_ref())?;
        let mut cell = nothing(grid, strategy, size);
        cell.change = Change::Flags;
        cell.changes = changes;
        cell.found = changes;
        cell.bytes_up = pushed.traffic.up / 2;
        cell.bytes_down = pushed.traffic.down / 2;
        cell.round_trips = 0.5;
        cell.server_cpu_ms = with
            .zip(alone)
            .map(|(with, alone)| millis(with.saturating_sub(alone)) / 2.0);
        let mut times: Vec<f64> = pushed.times.iter().copied().map(millis).collect();
        let near = median(&mut times);
        for wall in &mut cell.walls {
            wall.ms = near + wall.rtt_ms as f64 / 2.0;
            wall.first_ms = Some(wall.ms);
            wall.predicted = wall.rtt_ms > 0;
        }
        grid.measured.cells.push(cell);
        grid.bar.inc(1);
    }
    Ok(())
}
