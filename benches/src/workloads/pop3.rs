//! The other door.

use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;

use crate::bench::Bench;
use crate::clients::Pop3;
use crate::peers::READER;
use crate::wire::{BULK, Result, SMALL};

/// Operations per timed run.
const BATCH: usize = 20;

/// What a client does every few minutes: log in, ask how much there is, leave.
pub(super) fn poll(bench: &mut Bench<'_>) -> Result<()> {
    let address = bench.peer.pop3();
    let seconds = bench.seconds(|| {
        for _ in 0..BATCH {
            let mut pop3 = Pop3::login(address, READER, SMALL)?;
            pop3.run("STAT")?;
            pop3.run("QUIT")?;
        }
        Ok(())
    })?;
    bench.report("pop3-poll", BATCH as f64 / seconds);
    Ok(())
}

pub(super) fn uidl_list(bench: &mut Bench<'_>) -> Result<()> {
    let mut pop3 = Pop3::login(bench.peer.pop3(), READER, BULK)?;
    let seconds = bench.seconds(|| {
        pop3.run_multiline("UIDL")?;
        pop3.run_multiline("LIST")
    })?;
    pop3.run("QUIT")?;
    bench.report("pop3-uidl-list", seconds * 1e3);
    Ok(())
}

/// All commands are sent without waiting for an answer (RFC 2449 6.6).
pub(super) fn retr_pipelined(bench: &mut Bench<'_>) -> Result<()> {
    let mut pop3 = Pop3::login(bench.peer.pop3(), READER, BULK)?;
    let count = bench.count();
    let mut commands = String::new();
    for number in 1..=count {
        let _ = write!(commands, "RETR {number}\r\n");
    }
    let seconds = bench.seconds(|| {
        let mut writer = pop3.wire.writer()?;
        thread::scope(|scope| {
            let writing = scope.spawn(|| writer.write_all(commands.as_bytes()));
            for _ in 0..count {
                pop3.status("RETR")?;
                pop3.wire.skip_multiline()?;
            }
            match writing.join() {
                Ok(written) => Ok(written?),
                Err(_) => Err("the writing thread panicked".into()),
            }
        })
    })?;
    pop3.run("QUIT")?;
    bench.report("pop3-retr-pipelined", count as f64 / seconds);
    Ok(())
}

pub(super) fn retr_lockstep(bench: &mut Bench<'_>) -> Result<()> {
    let mut pop3 = Pop3::login(bench.peer.pop3(), READER, BULK)?;
    let count = bench.count();
    let seconds = bench.seconds(|| {
        (1..=count).try_for_each(|number| pop3.run_multiline(&format!("RETR {number}")))
    })?;
    pop3.run("QUIT")?;
    bench.report("pop3-retr-lockstep", count as f64 / seconds);
    Ok(())
}
