//! Gives memory that nobody uses back to the system.
//!
//! The allocator of glibc keeps what was freed in the arena of the thread that had it, and gives
//! back only what lies at an arena's end. After a quarter of an hour of every kind of load more
//! than half of a server's memory was such (`docs/reliability.md`, Bounds). Another allocator
//! would take more: decision 0048.

use blob_packs::PackStore;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often. What a burst has freed is kept for so long at most.
const EVERY: Duration = Duration::from_secs(60);

/// Never returns.
pub(crate) async fn now_and_then(packs: Arc<PackStore>) {
    let mut pause = tokio::time::interval(EVERY);
    pause.tick().await;
    loop {
        pause.tick().await;
        let packs = packs.clone();
        let give_back = move || {
            packs.give_up_buffers();
            trim();
        };
        // It holds one arena after the other for some milliseconds: not on a thread of sessions.
        if tokio::task::spawn_blocking(give_back).await.is_err() {
            return;
        }
    }
}

fn trim() {
    let begun = Instant::now();
    let released = release();
    tracing::debug!(released, took = ?begun.elapsed(), "freed memory given back");
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn release() -> bool {
    // SAFETY: takes a number and no pointer; may be called at any time, from any thread
    // (malloc_trim(3): MT-Safe). What is in use stays where it is.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn release() -> bool {
    false
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::hint::black_box;

    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn memory_freed_between_what_is_kept_goes_back() {
        // 64 MiB in pieces of 2 KiB; one in a hundred stays, so that no arena can shrink.
        let mut pieces: Vec<_> = (0..32 * 1024).map(|i| vec![i as u8; 2048]).collect();
        let mut i = 0;
        pieces.retain(|_| {
            i += 1;
            i % 100 == 0
        });
        let before = resident_kib();
        assert!(super::release());
        let after = resident_kib();
        assert!(after + 32 * 1024 < before, "{before} KiB, then {after}");
        black_box(pieces);
    }
}
