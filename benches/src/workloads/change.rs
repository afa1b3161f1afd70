//! Changing flags, and messages that move.

use std::time::Instant;

use crate::bench::{Bench, expect};
use crate::imap::Imap;
use crate::stats::median;
use crate::wire::{BULK, Result};

/// Sets, then takes back, so that every command changes something.
fn signs() -> impl FnMut() -> char {
    let mut plus = false;
    move || {
        plus = !plus;
        if plus { '+' } else { '-' }
    }
}

pub(super) fn store_one(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = bench.reader()?;
    let mut signs = signs();
    let mut sign = '+';
    bench.rate("store-one", bench.count, |index| {
        if index == 0 {
            sign = signs();
        }
        let number = index + 1;
        imap.run(&format!("STORE {number} {sign}FLAGS (\\Flagged)"))?;
        Ok(())
    })
}

pub(super) fn store_all(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = bench.reader()?;
    let count = bench.count;
    let mut sign = signs();
    imap.run("STORE 1:* -FLAGS.SILENT (\\Flagged)")?;
    let seconds = bench.seconds("store-all", || {
        let sign = sign();
        let answer = imap.run(&format!("STORE 1:* {sign}FLAGS (\\Flagged)"))?;
        expect("STORE", answer.untagged, count)
    })?;
    bench.report("store-all", count as f64 / seconds);
    Ok(())
}

/// Everything copied, the copies moved on, the moved ones expunged; three rounds.
pub(super) fn copy_move_expunge(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = Imap::login(&bench.imap_door(), BULK)?;
    imap.run("CREATE gatepost-bench-copied")?;
    imap.run("CREATE gatepost-bench-moved")?;
    let open = bench.open();
    let count = bench.count;
    let mut copy = Vec::new();
    let mut moved = Vec::new();
    let mut expunge = Vec::new();
    for _ in 0..3 {
        imap.run(&open)?;
        copy.push(timed(&mut imap, "COPY 1:* gatepost-bench-copied", 0)?);
        imap.run("SELECT gatepost-bench-copied")?;
        moved.push(timed(&mut imap, "MOVE 1:* gatepost-bench-moved", count)?);
        imap.run("SELECT gatepost-bench-moved")?;
        imap.run("STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
        expunge.push(timed(&mut imap, "EXPUNGE", count)?);
    }
    imap.run("UNSELECT")?;
    imap.run("DELETE gatepost-bench-copied")?;
    imap.run("DELETE gatepost-bench-moved")?;
    let count = count as f64;
    bench.report("copy", count / median(&mut copy));
    bench.report("move", count / median(&mut moved));
    bench.report("expunge", count / median(&mut expunge));
    Ok(())
}

fn timed(imap: &mut Imap, command: &str, least: usize) -> Result<f64> {
    let from = Instant::now();
    let answer = imap.run(command)?;
    let seconds = from.elapsed().as_secs_f64();
    expect(command, answer.untagged, least)?;
    Ok(seconds)
}
