//! The other door.

use std::fmt::Write as _;

use crate::bench::Bench;
use crate::clients::{Door, Pop3};
use crate::wire::{Result, SMALL};

/// Operations per timed run.
const BATCH: usize = 20;

/// What a client does every few minutes: log in, ask how much there is, leave.
pub(super) fn poll(bench: &mut Bench<'_>) -> Result<()> {
    let door = bench.pop3_door();
    bench.rate("pop3-poll", BATCH, |_| poll_once(&door))
}

pub(super) fn poll_once(door: &Door) -> Result<()> {
    let mut pop3 = Pop3::login(door, SMALL)?;
    pop3.run("STAT")?;
    pop3.run("QUIT")
}

pub(super) fn uidl_list(bench: &mut Bench<'_>) -> Result<()> {
    let (mut pop3, _) = bench.maildrop()?;
    let seconds = bench.seconds("pop3-uidl-list", || {
        pop3.run_multiline("UIDL")?;
        pop3.run_multiline("LIST")
    })?;
    pop3.run("QUIT")?;
    bench.report("pop3-uidl-list", seconds * 1e3);
    Ok(())
}

/// All commands are sent without waiting for an answer (RFC 2449 6.6).
pub(super) fn retr_pipelined(bench: &mut Bench<'_>) -> Result<()> {
    let (mut pop3, count) = bench.maildrop()?;
    let mut commands = String::new();
    for number in 1..=count {
        let _ = write!(commands, "RETR {number}\r\n");
    }
    let mut octets = 0;
    let seconds = bench.seconds("pop3-retr-pipelined", || {
        let before = pop3.wire.received();
        pop3.run_pipelined(commands.as_bytes(), |pop3| {
            (0..count).try_for_each(|_| pop3.multiline("RETR"))
        })?;
        octets = pop3.wire.received() - before;
        Ok(())
    })?;
    pop3.run("QUIT")?;
    bench.report("pop3-retr-pipelined", count as f64 / seconds);
    bench.report_answer("pop3-retr-pipelined", octets as f64 / count as f64);
    Ok(())
}

pub(super) fn retr_lockstep(bench: &mut Bench<'_>) -> Result<()> {
    let (mut pop3, count) = bench.maildrop()?;
    bench.rate("pop3-retr-lockstep", count, |index| {
        pop3.run_multiline(&format!("RETR {}", index + 1))
    })?;
    pop3.run("QUIT")
}
