//! The power goes, the server is killed or runs out of memory, at random moments of a busy life:
//! what was acknowledged is there, what was deleted stays deleted, no UID, MODSEQ or UIDL means two
//! things.
//!
//! A few rounds here; `cargo xtask torture` for as long as wanted.

use crate::support::{BINARY, disks};
use std::cell::Cell;
use std::time::{Duration, Instant};
use testkit::torture::{End, Rig, Tally};

const SEED: u64 = 7;
/// Of each kind; about half as many again happen during the starts that follow.
const ENDS: u64 = 8;

fn assert_nothing_wrong(end: End, tally: &Tally) {
    println!("{end:?}: {}", line(tally));
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.acknowledged > 0, "nothing happened");
}

fn line(tally: &Tally) -> String {
    format!(
        "{} ends ({} by the server itself), {} more during the start that followed, {} messages \
         acknowledged, {} wrong",
        tally.ends,
        tally.aborted,
        tally.in_starts,
        tally.acknowledged,
        tally.wrong.len()
    )
}

#[test]
fn what_was_acknowledged_outlives_power_cuts_under_ext4() {
    if disks() {
        let tally = Rig::new(BINARY, End::BlockCut).run(SEED, &|tally| tally.ends >= ENDS);
        assert_nothing_wrong(End::BlockCut, &tally);
    }
}

#[test]
fn what_was_acknowledged_outlives_a_disk_that_loses_what_was_not_synced() {
    if disks() {
        let tally = Rig::new(BINARY, End::FuseCut).run(SEED, &|tally| tally.ends >= ENDS);
        assert_nothing_wrong(End::FuseCut, &tally);
    }
}

#[test]
fn what_was_acknowledged_outlives_kills() {
    let tally = Rig::new(BINARY, End::Kill).run(SEED, &|tally| tally.ends >= ENDS);
    assert_nothing_wrong(End::Kill, &tally);
}

#[test]
fn what_was_acknowledged_outlives_want_of_memory() {
    let tally = Rig::new(BINARY, End::Memory).run(SEED, &|tally| tally.ends >= ENDS);
    assert_nothing_wrong(End::Memory, &tally);
    assert!(tally.aborted > 0, "there was memory enough");
}

#[test]
#[ignore = "cargo xtask torture runs it"]
fn as_long_as_wanted() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let minutes = number("TORTURE_MINUTES").unwrap_or(1);
    let seed = number("TORTURE_SEED").unwrap_or(SEED);
    let only = std::env::var("TORTURE_ONLY").unwrap_or_default();
    let ends = [
        ("block", End::BlockCut),
        ("fuse", End::FuseCut),
        ("kill", End::Kill),
        ("memory", End::Memory),
    ];
    let ends: Vec<_> = ends
        .into_iter()
        .filter(|(name, _)| only.is_empty() || only == *name)
        .collect();
    println!("torture: {minutes} minutes, seed {seed}");
    let each = Duration::from_secs(minutes * 60) / ends.len() as u32;
    let mut all = Vec::new();
    for (_, end) in ends {
        let until = Instant::now() + each;
        let told = Cell::new(0);
        let tally = Rig::new(BINARY, end).run(seed, &|tally| {
            if tally.ends >= told.get() + 50 {
                told.set(tally.ends);
                println!("{end:?}: {}", line(tally));
            }
            Instant::now() > until
        });
        all.push((end, tally));
    }
    println!(
        "| how it ended | ends | more during the next start | messages acknowledged | lost or contradicted |"
    );
    println!("|---|---|---|---|---|");
    for (end, tally) in &all {
        let (ends, starts) = (tally.ends, tally.in_starts);
        let (messages, wrong) = (tally.acknowledged, tally.wrong.len());
        println!("| {end:?} | {ends} | {starts} | {messages} | {wrong} |");
    }
    let wrong: Vec<&str> = all
        .iter()
        .flat_map(|(_, tally)| &tally.wrong)
        .map(String::as_str)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
