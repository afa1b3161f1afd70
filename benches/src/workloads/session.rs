//! Coming and going: logins, selections, resynchronisation.

use std::time::Instant;

use crate::bench::{Bench, expect};
use crate::clients::Door;
use crate::imap::{Imap, needed};
use crate::stats::median;
use crate::wire::{BULK, Result, SMALL};

/// Operations per timed run: enough that reading the clock costs nothing.
const BATCH: usize = 50;

/// One client that connects, logs in and out, again and again.
pub(super) fn login(bench: &mut Bench<'_>) -> Result<()> {
    let door = bench.imap_door();
    bench.rate("login", BATCH, |_| login_once(&door))
}

pub(super) fn login_once(door: &Door) -> Result<()> {
    Imap::login(door, SMALL)?.run("LOGOUT")?;
    Ok(())
}

pub(super) fn select(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = bench.reader()?;
    let open = bench.open();
    bench.rate("select", BATCH, |_| imap.run(&open).map(drop))
}

/// SELECT with QRESYNC from before 100 flag changes spread over the mailbox.
pub(super) fn qresync(bench: &mut Bench<'_>) -> Result<()> {
    let mut away = Imap::login(&bench.imap_door(), BULK)?;
    away.run("ENABLE QRESYNC")?;
    let opened = away.run_noting(&bench.open(), "[")?.noted;
    let validity = needed(&opened, "UIDVALIDITY")?;
    let known = needed(&opened, "HIGHESTMODSEQ")?;
    away.run("UNSELECT")?;

    let count = bench.count;
    let changed = 100.min(count);
    let numbers: Vec<String> = (0..changed)
        .map(|index| (1 + index * count / changed).to_string())
        .collect();
    let mut other = bench.reader()?;
    other.run(&format!(
        "STORE {} +FLAGS.SILENT (\\Answered)",
        numbers.join(",")
    ))?;

    let command = format!("{} (QRESYNC ({validity} {known}))", bench.open());
    let mut times = Vec::new();
    let from = Instant::now();
    while times.len() < 10 || (from.elapsed() < bench.plan.least && times.len() < 2_000) {
        let start = Instant::now();
        let answer = away.run(&command)?;
        times.push(start.elapsed().as_secs_f64());
        expect("QRESYNC", answer.untagged, changed)?;
        away.run("UNSELECT")?;
    }
    bench.report("qresync", median(&mut times) * 1e3);
    bench.report_latency("qresync", &mut times);
    Ok(())
}
