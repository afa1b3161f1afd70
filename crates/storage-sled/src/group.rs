//! Group commit: one `fdatasync` for all who wait, and the word on whether the store takes writes.

use crate::log::Log;
use crate::options::Observer;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;
use tokio::sync::watch;

/// How far the log is durable, and who waits for more.
pub(crate) struct Group {
    relaxed_sync: Duration,
    demand: Mutex<Demand>,
    /// Wakes the sync thread.
    wake: Condvar,
    /// Wakes threads that wait for it.
    settled: Condvar,
    /// Set when a deadline for relaxed commits is running.
    armed: AtomicBool,
    failed: AtomicBool,
    durable: AtomicU64,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct Demand {
    /// The highest sequence somebody waits for.
    wanted: u64,
    /// When to sync although nobody waits.
    deadline: Option<Instant>,
    stop: bool,
}

#[derive(Clone, Default)]
struct State {
    durable: u64,
    failed: Option<Arc<str>>,
}

impl Group {
    /// A group for a log that is durable up to `durable`.
    pub(crate) fn new(relaxed_sync: Duration, durable: u64) -> Self {
        Self {
            relaxed_sync,
            demand: Mutex::default(),
            wake: Condvar::new(),
            settled: Condvar::new(),
            armed: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            durable: AtomicU64::new(durable),
            state: watch::Sender::new(State {
                durable,
                failed: None,
            }),
        }
    }

    /// Everything up to this sequence is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Says that a record was written: it will be synced soon even if nobody asks.
    pub(crate) fn wrote(&self) {
        if !self.armed.swap(true, Ordering::SeqCst) {
            let mut demand = self.lock();
            demand.deadline = Some(Instant::now() + self.relaxed_sync);
            drop(demand);
            self.wake.notify_one();
        }
    }

    /// Resolves once everything up to `sequence` is durable. The sync is asked for when first
    /// polled.
    pub(crate) fn wait(
        self: &Arc<Self>,
        sequence: u64,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
        let group = Arc::clone(self);
        async move {
            if group.durable() >= sequence {
                return Ok(());
            }
            let mut state = group.state.subscribe();
            group.want(sequence);
            match state
                .wait_for(|s| s.durable >= sequence || s.failed.is_some())
                .await
            {
                Ok(state) => state.outcome(sequence),
                Err(_) => Err(StorageError::unavailable("the store is gone")),
            }
        }
    }

    /// The same for a thread that may block.
    pub(crate) fn wait_blocking(&self, sequence: u64) -> Result<(), StorageError> {
        self.want(sequence);
        let waiting = |_: &mut Demand| {
            let state = self.state.borrow();
            state.durable < sequence && state.failed.is_none()
        };
        let demand = self.settled.wait_while(self.lock(), waiting);
        drop(demand.unwrap_or_else(PoisonError::into_inner));
        self.state.borrow().outcome(sequence)
    }

    /// Makes the store read-only for good; the first reason stays.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(reason, "the metadata store is read-only");
        self.end(reason);
        self.failed.store(true, Ordering::SeqCst);
    }

    /// Why the store is read-only, if it is.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.state.borrow().failed.clone()
    }

    /// Makes the sync thread return; those who still wait are told that it will not happen.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_one();
    }

    /// Syncs the log whenever somebody waits, or a deadline passes, until stopped or until a sync
    /// fails.
    pub(crate) fn run(&self, log: &Log, observer: &dyn Observer) {
        while self.await_demand() {
            let start = Instant::now();
            match log.sync() {
                Ok(reached) => {
                    observer.on_fsync(start.elapsed());
                    self.durable.store(reached, Ordering::Release);
                    self.settle(|s| s.durable = reached);
                }
                Err(error) => {
                    self.fail(format!("fdatasync of the commit log failed: {error}"));
                    return;
                }
            }
        }
        self.end("the store was closed".to_owned());
    }

    fn want(&self, sequence: u64) {
        let mut demand = self.lock();
        if demand.wanted < sequence {
            demand.wanted = sequence;
            drop(demand);
            self.wake.notify_one();
        }
    }

    /// Blocks until a sync is due; `false` when there is to be none any more.
    fn await_demand(&self) -> bool {
        let mut demand = self.lock();
        loop {
            if demand.stop {
                return false;
            }
            let now = Instant::now();
            let due = demand.deadline.is_some_and(|deadline| deadline <= now);
            if due || demand.wanted > self.durable() {
                demand.deadline = None;
                // Before the log is asked how far it reaches: a record written later arms again.
                self.armed.store(false, Ordering::SeqCst);
                return true;
            }
            demand = match demand.deadline {
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(now);
                    let waited = self.wake.wait_timeout(demand, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .wake
                    .wait(demand)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn end(&self, reason: String) {
        self.settle(|s| {
            s.failed.get_or_insert_with(|| reason.into());
        });
    }

    fn settle(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
        // Whoever is between looking at the state and going to sleep holds the lock.
        drop(self.lock());
        self.settled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn outcome(&self, sequence: u64) -> Result<(), StorageError> {
        match &self.failed {
            Some(reason) if self.durable < sequence => {
                Err(StorageError::unavailable(format!("not durable: {reason}")))
            }
            _ => Ok(()),
        }
    }
}
