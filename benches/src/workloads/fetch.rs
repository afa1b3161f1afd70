//! Reading over IMAP.

use crate::bench::{Bench, expect};
use crate::clients::Door;
use crate::wire::Result;

/// The fields a mail client shows in its list.
const FIELDS: &str = "DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES IN-REPLY-TO CONTENT-TYPE";
/// Occurs in no message of the corpus.
const ABSENT: &str = "zqxjkvwpy";

/// The first FETCH of a process that has just started.
pub(super) fn cold(bench: &mut Bench<'_>) -> Result<()> {
    bench.peer.restart()?;
    let mut imap = bench.reader()?;
    let from = std::time::Instant::now();
    let answer = imap.run("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")?;
    let seconds = from.elapsed().as_secs_f64();
    expect("FETCH", answer.untagged, bench.count)?;
    bench.report("fetch-cold", bench.count as f64 / seconds);
    Ok(())
}

/// The same, and then all bodies, when the kernel has nothing of the data in memory either.
pub(super) fn cold_cache(bench: &mut Bench<'_>) -> Result<()> {
    bench.peer.restart_cold()?;
    let mut imap = bench.reader()?;
    let from = std::time::Instant::now();
    let answer = imap.run("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")?;
    let seconds = from.elapsed().as_secs_f64();
    expect("FETCH", answer.untagged, bench.count)?;
    bench.report("fetch-cold-cache", bench.count as f64 / seconds);
    let before = imap.wire.received();
    let from = std::time::Instant::now();
    let answer = imap.run("FETCH 1:* BODY.PEEK[]")?;
    let seconds = from.elapsed().as_secs_f64();
    expect("FETCH", answer.untagged, bench.count)?;
    let octets = imap.wire.received() - before;
    bench.report("fetch-body-cold-cache", octets as f64 / 1e6 / seconds);
    Ok(())
}

pub(super) fn warm(bench: &mut Bench<'_>) -> Result<()> {
    fetch(bench, "fetch-warm", "(ENVELOPE BODYSTRUCTURE)")
}

pub(super) fn fields(bench: &mut Bench<'_>) -> Result<()> {
    fetch(
        bench,
        "fetch-fields",
        &format!("BODY.PEEK[HEADER.FIELDS ({FIELDS})]"),
    )
}

pub(super) fn flags(bench: &mut Bench<'_>) -> Result<()> {
    fetch(bench, "fetch-flags", "FLAGS")
}

fn fetch(bench: &mut Bench<'_>, name: &'static str, items: &str) -> Result<()> {
    let mut imap = bench.reader()?;
    let count = bench.count;
    let mut octets = 0;
    let seconds = bench.seconds(name, || {
        let before = imap.wire.received();
        let answer = imap.run(&format!("FETCH 1:{count} {items}"))?;
        octets = imap.wire.received() - before;
        expect("FETCH", answer.untagged, count)
    })?;
    bench.report(name, count as f64 / seconds);
    bench.report_answer(name, octets as f64 / count as f64);
    Ok(())
}

pub(super) fn body_all(bench: &mut Bench<'_>) -> Result<()> {
    let door = bench.imap_door();
    body_all_through(bench, "fetch-body-all", &door)
}

pub(super) fn body_all_through(
    bench: &mut Bench<'_>,
    name: &'static str,
    door: &Door,
) -> Result<()> {
    let mut imap = bench.reader_through(door)?;
    let count = bench.count;
    let mut octets = 0;
    let seconds = bench.seconds(name, || {
        let before = imap.wire.received();
        let answer = imap.run(&format!("FETCH 1:{count} BODY.PEEK[]"))?;
        octets = imap.wire.received() - before;
        expect("FETCH", answer.untagged, count)
    })?;
    bench.report(name, octets as f64 / 1e6 / seconds);
    bench.report_answer(name, 1e6);
    Ok(())
}

pub(super) fn body_one(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = bench.reader()?;
    bench.rate("fetch-body-one", bench.count, |index| {
        let answer = imap.run(&format!("FETCH {} BODY.PEEK[]", index + 1))?;
        expect("FETCH", answer.untagged, 1)
    })
}

pub(super) fn search_subject(bench: &mut Bench<'_>) -> Result<()> {
    search(bench, "search-subject", "SUBJECT")
}

pub(super) fn search_body(bench: &mut Bench<'_>) -> Result<()> {
    search(bench, "search-body", "BODY")
}

pub(super) fn search_text(bench: &mut Bench<'_>) -> Result<()> {
    search(bench, "search-text", "TEXT")
}

fn search(bench: &mut Bench<'_>, name: &'static str, key: &str) -> Result<()> {
    let mut imap = bench.reader()?;
    let seconds = bench.seconds(name, || {
        let answer = imap.run_noting(&format!("SEARCH {key} {ABSENT}"), "SEARCH")?;
        // `* SEARCH` without a number, directly followed by the tagged answer.
        if answer.noted.contains("SEARCH 1") {
            return Err(format!("SEARCH found what is not there: {}", answer.noted).into());
        }
        Ok(())
    })?;
    bench.report(name, seconds * 1e3);
    Ok(())
}
