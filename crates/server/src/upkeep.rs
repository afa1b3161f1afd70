//! What the operator should know of the store's state beside whether it serves: damage that was
//! met, and how returning space fares.

use blob_packs::{Collected, PackStore, Stats};
use net::Metrics;
use prometheus::{IntCounter, IntGauge, Registry};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use storage::{ErrorKind, StorageError};
use types::BlobHash;

/// Damaged blobs that are told apart; beyond this many the number is a lower bound.
const MAX_KNOWN: usize = 100_000;

/// See the module.
pub(crate) struct Upkeep {
    damaged: Mutex<HashSet<BlobHash>>,
    /// Why the last compaction gave up.
    trouble: Mutex<Option<String>>,
    damaged_blobs: IntGauge,
    damaged_bytes: IntGauge,
    pack_bytes: IntGauge,
    dead_bytes: IntGauge,
    returned: IntCounter,
    failures: IntCounter,
    failing: IntGauge,
}

impl Upkeep {
    pub(crate) fn new(metrics: &Metrics) -> Arc<Self> {
        let registry = metrics.registry();
        Arc::new(Self {
            damaged: Mutex::default(),
            trouble: Mutex::default(),
            damaged_blobs: gauge(
                registry,
                "gatepost_damaged_blobs",
                "Messages whose bytes were found damaged or lost since the start.",
            ),
            damaged_bytes: gauge(
                registry,
                "gatepost_pack_damaged_bytes",
                "Bytes of packs in which no message can be recognised.",
            ),
            pack_bytes: gauge(registry, "gatepost_pack_bytes", "Bytes of all packs."),
            dead_bytes: gauge(
                registry,
                "gatepost_pack_dead_bytes",
                "Bytes of packs that compaction can give back, now or after the grace period.",
            ),
            returned: counter(
                registry,
                "gatepost_compaction_returned_bytes_total",
                "Bytes that compaction gave back to the file system.",
            ),
            failures: counter(
                registry,
                "gatepost_compaction_failures_total",
                "Compactions that gave up.",
            ),
            failing: gauge(
                registry,
                "gatepost_compaction_failing",
                "1 while the last compaction gave up.",
            ),
        })
    }

    /// Looks at the outcome of reading a blob.
    pub(crate) fn read<T>(&self, hash: &BlobHash, result: &Result<T, StorageError>) {
        let Err(error) = result else { return };
        // A blob that somebody asks for and that is not there was lost.
        if !matches!(error.kind, ErrorKind::Corrupt | ErrorKind::NotFound) {
            return;
        }
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged.len() < MAX_KNOWN && damaged.insert(*hash) {
            tracing::error!(%hash, %error, "a message is damaged");
            self.damaged_blobs.set(number(damaged.len() as u64));
        }
    }

    /// Looks at the outcome of a compaction.
    pub(crate) fn collected(&self, result: &Result<Collected, StorageError>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(collected) => {
                self.returned.inc_by(collected.returned);
                *trouble = None;
                tracing::debug!(?collected, "collected");
            }
            Err(error) => {
                self.failures.inc();
                *trouble = Some(error.context.clone());
                tracing::warn!(%error, "compaction gave up; it will be tried again");
            }
        }
        self.failing.set(i64::from(trouble.is_some()));
    }

    /// Brings the gauges up to date.
    pub(crate) fn measure(&self, packs: &PackStore) {
        let Stats {
            bytes,
            dead_bytes,
            damaged_bytes,
            ..
        } = packs.stats();
        self.pack_bytes.set(number(bytes));
        self.dead_bytes.set(number(dead_bytes));
        self.damaged_bytes.set(number(damaged_bytes));
    }

    /// What the operator should look at although mail is served; one line each.
    pub(crate) fn warnings(&self, packs: &PackStore) -> Vec<String> {
        let mut lines = Vec::new();
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if !damaged.is_empty() {
            let n = damaged.len();
            lines.push(format!("{n} messages are damaged: see gatepost verify"));
        }
        let missing = packs.missing().len();
        if missing > 0 {
            lines.push(format!("{missing} pack files are missing"));
        }
        let bytes = packs.stats().damaged_bytes;
        if bytes > 0 {
            lines.push(format!("{bytes} bytes of packs are unreadable"));
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = &*trouble {
            lines.push(format!("space is not given back: {trouble}"));
        }
        lines
    }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A family that is there already goes on by itself: there is one store in a process.
fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::new(name, help).expect("a name of letters and underscores");
    let _ = registry.register(Box::new(gauge.clone()));
    gauge
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = IntCounter::new(name, help).expect("a name of letters and underscores");
    let _ = registry.register(Box::new(counter.clone()));
    counter
}
