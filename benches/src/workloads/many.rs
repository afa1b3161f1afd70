//! Many clients at once, each as fast as the server answers.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, expect};
use crate::imap::Imap;
use crate::wire::{Result, SMALL};
use crate::workloads::{pop3, session};

/// Names and numbers of connections of one family of rows.
type Family = [(&'static str, usize); 3];

pub(super) const FLAGS: [&str; 3] = ["fetch-flags-4", "fetch-flags-16", "fetch-flags-64"];
pub(super) const SELECT: [&str; 3] = ["select-4", "select-16", "select-64"];
pub(super) const LOGIN: [&str; 3] = ["login-4", "login-16", "login-64"];
pub(super) const POLL: [&str; 3] = ["pop3-poll-4", "pop3-poll-16", "pop3-poll-64"];

const fn family(names: [&'static str; 3]) -> Family {
    [(names[0], 4), (names[1], 16), (names[2], 64)]
}

pub(super) fn flags(bench: &mut Bench<'_>) -> Result<()> {
    let count = bench.count;
    let command = format!("FETCH 1:{count} FLAGS");
    for (name, connections) in family(FLAGS) {
        let clients = readers(bench, connections)?;
        let rate = together(bench, name, clients, |imap| {
            let answer = imap.run(&command)?;
            expect("FETCH", answer.untagged, count)
        })?;
        bench.report(name, rate * count as f64);
    }
    Ok(())
}

pub(super) fn select(bench: &mut Bench<'_>) -> Result<()> {
    let open = bench.open();
    for (name, connections) in family(SELECT) {
        let clients = readers(bench, connections)?;
        let rate = together(bench, name, clients, |imap| imap.run(&open).map(drop))?;
        bench.report(name, rate);
    }
    Ok(())
}

pub(super) fn login(bench: &mut Bench<'_>) -> Result<()> {
    for (name, connections) in family(LOGIN) {
        let clients = vec![bench.imap_door(); connections];
        let rate = together(bench, name, clients, |door| session::login_once(door))?;
        bench.report(name, rate);
    }
    Ok(())
}

/// Each polls a maildrop of its own: a maildrop has one session at a time (RFC 1939 4).
pub(super) fn poll(bench: &mut Bench<'_>) -> Result<()> {
    let enough = |(_, connections): &(_, usize)| *connections <= bench.peer.receivers();
    let rows: Vec<_> = family(POLL).into_iter().filter(enough).collect();
    for (name, connections) in rows {
        let door = bench.pop3_door();
        let clients = (0..connections)
            .map(|index| door.of(bench.peer.receiver(index)))
            .collect();
        let rate = together(bench, name, clients, |door| pop3::poll_once(door))?;
        bench.report(name, rate);
    }
    Ok(())
}

fn readers(bench: &Bench<'_>, connections: usize) -> Result<Vec<Imap>> {
    let door = bench.imap_door();
    let open = bench.open();
    (0..connections)
        .map(|_| {
            let mut imap = Imap::login(&door, SMALL)?;
            imap.run(&open)?;
            Ok(imap)
        })
        .collect()
}

/// Every client repeats `work` for the plan's least time, all at once. Operations per second of
/// all together.
fn together<C: Send>(
    bench: &mut Bench<'_>,
    name: &'static str,
    clients: Vec<C>,
    work: impl Fn(&mut C) -> Result<()> + Sync,
) -> Result<f64> {
    let least = bench.plan.least;
    let start = Arc::new(Barrier::new(clients.len()));
    let work = &work;
    let (mut each, longest) = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let start = Arc::clone(&start);
                scope.spawn(move || {
                    start.wait();
                    repeat(least, || work(&mut client))
                })
            })
            .collect();
        let mut each = Vec::new();
        let mut longest = Duration::ZERO;
        for thread in threads {
            let (times, took) = thread.join().map_err(|_| "a client panicked")??;
            each.extend(times);
            longest = longest.max(took);
        }
        Result::Ok((each, longest))
    })?;
    bench.report_latency(name, &mut each);
    Ok(each.len() as f64 / longest.as_secs_f64())
}

/// Seconds of each operation, and the time of all.
fn repeat(least: Duration, mut work: impl FnMut() -> Result<()>) -> Result<(Vec<f64>, Duration)> {
    let mut times = Vec::new();
    let from = Instant::now();
    while from.elapsed() < least {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok((times, from.elapsed()))
}
