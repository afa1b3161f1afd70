//! Mail coming in.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use crate::bench::Bench;
use crate::clients::Lmtp;
use crate::imap::Imap;
use crate::wire::{Result, SMALL};

/// APPENDs all messages to the reader's mailbox, one command after the other.
pub(super) fn append(bench: &mut Bench<'_>) -> Result<()> {
    let mut imap = Imap::login(&bench.imap_door(), SMALL)?;
    let waits = !imap.capabilities()?.contains("LITERAL+");
    let mailbox = bench.peer.mailbox();
    let mut each = Vec::with_capacity(bench.plan.messages.len());
    let from = Instant::now();
    for message in &bench.plan.messages {
        let start = Instant::now();
        imap.append(&mailbox, message, waits)?;
        each.push(start.elapsed().as_secs_f64());
    }
    let seconds = from.elapsed().as_secs_f64();
    bench.count = bench.plan.messages.len();
    bench.report("append", bench.count as f64 / seconds);
    bench.report_latency("append", &mut each);
    Ok(())
}

pub(super) fn lmtp_one(bench: &mut Bench<'_>) -> Result<()> {
    deliver(bench, "lmtp-1", 1, bench.plan.messages.len().div_ceil(5))
}

/// Connections that each deliver to an account of their own.
pub(super) fn lmtp_many(bench: &mut Bench<'_>) -> Result<()> {
    let all = bench.plan.messages.len();
    deliver(bench, "lmtp-4", 4, all.div_ceil(2))?;
    deliver(bench, "lmtp-16", 16, all)?;
    deliver(bench, "lmtp-64", 64, all)
}

fn deliver(
    bench: &mut Bench<'_>,
    name: &'static str,
    connections: usize,
    count: usize,
) -> Result<()> {
    let stuffed = stuffed(bench, name, count);
    let address = bench.peer.lmtp();
    let share = stuffed.len().div_ceil(connections);
    let peer = &*bench.peer;
    let from = Instant::now();
    let mut each = thread::scope(|scope| {
        let shares = stuffed.chunks(share).enumerate();
        let threads: Vec<_> = shares
            .map(|(index, share)| {
                let user = peer.receiver(index);
                scope.spawn(move || deliver_all(address, &user, share))
            })
            .collect();
        let mut each = Vec::with_capacity(count);
        for thread in threads {
            each.extend(
                thread
                    .join()
                    .map_err(|_| "a delivering thread panicked")??,
            );
        }
        Result::Ok(each)
    })?;
    let seconds = from.elapsed().as_secs_f64();
    bench.report(name, stuffed.len() as f64 / seconds);
    bench.report_latency(name, &mut each);
    Ok(())
}

/// Seconds of each delivery.
fn deliver_all(address: SocketAddr, user: &str, messages: &[Vec<u8>]) -> Result<Vec<f64>> {
    let mut lmtp = Lmtp::connect(address)?;
    let deliver = |message: &Vec<u8>| {
        let start = Instant::now();
        lmtp.deliver(user, message)?;
        Ok(start.elapsed().as_secs_f64())
    };
    messages.iter().map(deliver).collect()
}

/// Messages as DATA carries them. They differ from the appended ones and between rows, so that a
/// store which keeps one copy of equal bytes has as much to write as one that does not.
fn stuffed(bench: &Bench<'_>, row: &str, count: usize) -> Vec<Vec<u8>> {
    let messages = bench.plan.messages.iter().take(count).enumerate();
    messages
        .map(|(index, message)| stuff(&format!("{row}.{index}"), message))
        .collect()
}

/// Dot-stuffed (RFC 5321 4.5.2) and ended, with a field of its own before the others.
pub(crate) fn stuff(mark: &str, message: &[u8]) -> Vec<u8> {
    let field = format!("X-Delivery: {mark}\r\n");
    testkit::dot_stuffed(&[field.as_bytes(), message].concat())
}
