//! Delays for peers that keep failing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Networks remembered at most.
const MAX_PEERS: usize = 20_000;
/// How long after its last failure a peer is forgotten.
const MEMORY: Duration = Duration::from_secs(600);
/// How often a full table is gone through at most.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Who failed how often of late. Only failures are delayed: behind one address there may be others
/// who know their passwords.
pub(crate) struct Penalties {
    first: Duration,
    longest: Duration,
    table: Mutex<Table>,
}

struct Table {
    failures: HashMap<IpAddr, Failures>,
    /// When the forgotten were last removed.
    swept: Instant,
}

struct Failures {
    count: u32,
    last: Instant,
}

impl Penalties {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let table = Table {
            failures: HashMap::new(),
            swept: Instant::now(),
        };
        Self {
            first,
            longest,
            table: Mutex::new(table),
        }
    }

    /// Notes a failure and says how long to keep its author waiting.
    pub(crate) fn failed(&self, peer: Option<IpAddr>) -> Duration {
        let Some(peer) = peer.map(network) else {
            return self.first.min(self.longest);
        };
        let now = Instant::now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { failures, swept } = &mut *table;
        if failures.len() >= MAX_PEERS && !failures.contains_key(&peer) {
            if now.duration_since(*swept) >= SWEEP_EVERY {
                failures.retain(|_, failures| now.duration_since(failures.last) < MEMORY);
                *swept = now;
            }
            if failures.len() >= MAX_PEERS {
                // Too many to tell apart: all newcomers count as old acquaintances.
                return self.longest;
            }
        }
        let entry = failures.entry(peer).or_insert(Failures {
            count: 0,
            last: now,
        });
        if now.duration_since(entry.last) >= MEMORY {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        let factor = 1_u32.checked_shl(entry.count - 1).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// One customer of IPv6 holds a /64 and all its addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_double_up_to_a_limit_and_are_forgotten() {
        let seconds = Duration::from_secs;
        let penalties = Penalties::new(seconds(1), seconds(5));
        let peer: Option<IpAddr> = "192.0.2.1".parse().ok();
        let delays: Vec<_> = (0..40).map(|_| penalties.failed(peer)).collect();
        assert_eq!(
            delays[..4],
            [seconds(1), seconds(2), seconds(4), seconds(5)]
        );
        assert_eq!(delays[39], seconds(5));
        assert_eq!(penalties.failed("192.0.2.2".parse().ok()), seconds(1));
        assert_eq!(penalties.failed(None), seconds(1));
        tokio::time::advance(MEMORY).await;
        assert_eq!(penalties.failed(peer), seconds(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let penalties = Penalties::new(Duration::from_secs(1), Duration::from_secs(5));
        for i in 0..30_000_u32 {
            penalties.failed(Some(IpAddr::V4((0x0a00_0000 + i).into())));
        }
        assert_eq!(
            penalties.table.lock().expect("unpoisoned").failures.len(),
            MAX_PEERS
        );
        tokio::time::advance(MEMORY).await;
        penalties.failed("192.0.2.2".parse().ok());
        assert_eq!(
            penalties.table.lock().expect("unpoisoned").failures.len(),
            1
        );
    }
}
