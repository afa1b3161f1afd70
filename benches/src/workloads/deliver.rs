//! Mail coming in.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use crate::bench::Bench;
use crate::clients::{Imap, Lmtp};
use crate::peers::{READER, RECEIVERS, receiver};
use crate::wire::{Result, SMALL};

/// APPENDs all messages to the reader's INBOX, one command after the other.
pub(super) fn append(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = Imap::login(bench.peer.imap(), READER, SMALL)?;
    let from = Instant::now();
    for message in &bench.plan.messages {
        imap.append("INBOX", message)?;
    }
    let seconds = from.elapsed().as_secs_f64();
    bench.report("append", bench.count() as f64 / seconds);
    Ok(())
}

pub(super) fn lmtp_one(bench: &mut Bench<'_>) -> Result<()> {
    let stuffed = stuffed(bench, bench.count().div_ceil(5));
    let mut lmtp = Lmtp::connect(bench.peer.lmtp())?;
    let from = Instant::now();
    for message in &stuffed {
        lmtp.deliver(&receiver(0), message)?;
    }
    let seconds = from.elapsed().as_secs_f64();
    bench.report("lmtp-1", stuffed.len() as f64 / seconds);
    Ok(())
}

/// Sixteen connections, each delivering to an account of its own.
pub(super) fn lmtp_many(bench: &mut Bench<'_>) -> Result<()> {
    let stuffed = stuffed(bench, bench.count());
    let address = bench.peer.lmtp();
    let share = stuffed.len().div_ceil(RECEIVERS);
    let from = Instant::now();
    thread::scope(|scope| {
        let shares = stuffed.chunks(share).enumerate();
        let threads: Vec<_> = shares
            .map(|(index, share)| scope.spawn(move || deliver_all(address, index, share)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => Err("a delivering thread panicked".into()),
            })
    })?;
    let seconds = from.elapsed().as_secs_f64();
    bench.report("lmtp-16", stuffed.len() as f64 / seconds);
    Ok(())
}

fn deliver_all(address: SocketAddr, index: usize, messages: &[Vec<u8>]) -> Result<()> {
    let mut lmtp = Lmtp::connect(address)?;
    let user = receiver(index);
    messages
        .iter()
        .try_for_each(|message| lmtp.deliver(&user, message))
}

/// Messages as DATA carries them. They differ from the appended ones, so that a store which keeps
/// one copy of equal bytes has as much to write as one that does not.
fn stuffed(bench: &Bench<'_>, count: usize) -> Vec<Vec<u8>> {
    let distinct = |(index, message): (usize, &Vec<u8>)| {
        let mut out = format!("X-Delivery: {count}.{index}\r\n").into_bytes();
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b".\r\n");
        out
    };
    bench
        .plan
        .messages
        .iter()
        .take(count)
        .enumerate()
        .map(distinct)
        .collect()
}
