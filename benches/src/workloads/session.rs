//! Coming and going: logins, selections, resynchronisation.

use std::time::Instant;

use crate::bench::{Bench, expect, median};
use crate::clients::{Imap, code};
use crate::peers::READER;
use crate::wire::{BULK, Result, SMALL};

/// Operations per timed run: enough that reading the clock costs nothing.
const BATCH: usize = 50;

/// One client that connects, logs in and out, again and again.
pub(super) fn login(bench: &mut Bench<'_>) -> Result<()> {
    let address = bench.peer.imap();
    let seconds = bench.seconds(|| {
        for _ in 0..BATCH {
            Imap::login(address, READER, SMALL)?.run("LOGOUT")?;
        }
        Ok(())
    })?;
    bench.report("login", BATCH as f64 / seconds);
    Ok(())
}

pub(super) fn select(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = bench.reader()?;
    let seconds = bench.seconds(|| {
        for _ in 0..BATCH {
            imap.run("SELECT INBOX")?;
        }
        Ok(())
    })?;
    bench.report("select", BATCH as f64 / seconds);
    Ok(())
}

/// SELECT with QRESYNC from before 100 flag changes spread over the mailbox.
pub(super) fn qresync(bench: &mut Bench<'_>) -> Result<()> {
    let mut away = Imap::login(bench.peer.imap(), READER, BULK)?;
    away.run("ENABLE QRESYNC")?;
    let opened = away.run_noting("SELECT INBOX", "[")?.noted;
    let validity = code(&opened, "UIDVALIDITY")?;
    let known = code(&opened, "HIGHESTMODSEQ")?;
    away.run("UNSELECT")?;

    let count = bench.count();
    let changed = 100.min(count);
    let numbers: Vec<String> = (0..changed)
        .map(|index| (1 + index * count / changed).to_string())
        .collect();
    let mut other = bench.reader()?;
    other.run(&format!(
        "STORE {} +FLAGS.SILENT (\\Answered)",
        numbers.join(",")
    ))?;

    let command = format!("SELECT INBOX (QRESYNC ({validity} {known}))");
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
    Ok(())
}
