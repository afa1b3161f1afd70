//! Memory, and many connections that wait.

use std::time::Instant;

use crate::bench::Bench;
use crate::clients::Lmtp;
use crate::imap::Imap;
use crate::peers::READER;
use crate::stats::median;
use crate::wire::Result;

const MEBI: f64 = 1024.0 * 1024.0;

pub(super) fn memory_start(bench: &mut Bench<'_>) -> Result<()> {
    let memory = bench.memory()?;
    bench.report("memory-start", memory as f64 / MEBI);
    Ok(())
}

pub(super) fn memory_after(bench: &mut Bench<'_>) -> Result<()> {
    let memory = bench.memory()?;
    bench.report("memory-after", memory as f64 / MEBI);
    Ok(())
}

/// Many connections in IDLE on one INBOX: what each costs, and how soon all hear of a delivery.
pub(super) fn idle(bench: &mut Bench<'_>) -> Result<()> {
    let count = bench.plan.idle;
    // The mailbox is open and everything that is shared is there before the counting starts.
    let door = bench.imap_door();
    let _first = Imap::idling(&door)?;
    let before = bench.memory()?;
    let mut waiting = Vec::with_capacity(count);
    for _ in 0..count {
        waiting.push(Imap::idling(&door)?);
    }
    let after = bench.memory()?;
    let each = after.saturating_sub(before) as f64 / count as f64;
    bench.report("idle-memory", each / 1024.0);

    if let Some(trouble) = bench.peer.idle_trouble(count) {
        return Err(trouble.into());
    }
    let mut lmtp = Lmtp::connect(bench.peer.lmtp())?;
    let mut times = Vec::new();
    for round in 0..5 {
        let message = format!("Subject: round {round}\r\n\r\nwake up\r\n.\r\n");
        let from = Instant::now();
        lmtp.deliver(READER, message.as_bytes())?;
        for imap in &mut waiting {
            imap.wait_exists()?;
        }
        times.push(from.elapsed().as_secs_f64());
    }
    bench.report("idle-exists", median(&mut times) * 1e3);
    Ok(())
}

/// The same cost with TLS.
pub(super) fn idle_tls(bench: &mut Bench<'_>) -> Result<()> {
    let count = bench.plan.idle.min(200);
    let door = bench.peer.tls_imap()?;
    let _first = Imap::idling(&door)?;
    let before = bench.memory()?;
    let waiting = (0..count)
        .map(|_| Imap::idling(&door))
        .collect::<Result<Vec<_>>>()?;
    let after = bench.memory()?;
    drop(waiting);
    let each = after.saturating_sub(before) as f64 / count as f64;
    bench.report("idle-memory-tls", each / 1024.0);
    Ok(())
}
