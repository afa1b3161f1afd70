//! Group commit: one `fdatasync` for all who wait, and the word on whether the store takes writes.
//!
//! Who waits first syncs on their own thread. Those who come meanwhile wait for the sync after
//! that, which the sync thread makes, and so on until nobody waits: groups are as large as the disk
//! is slow, and a single writer waits for the disk and for no thread.

use crate::log::Log;
use crate::options::Observer;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;
use tokio::sync::oneshot;

/// How far the log is durable, and who waits for more.
pub(crate) struct Group {
    log: Arc<Log>,
    observer: Arc<dyn Observer>,
    relaxed_sync: Duration,
    demand: Mutex<Demand>,
    /// Wakes the sync thread.
    wake: Condvar,
    /// Wakes threads that wait for it.
    settled: Condvar,
    /// A record was written since the last sync began.
    armed: AtomicBool,
    /// The sync thread looks whether `armed` is set when `Demand::look` comes.
    looking: AtomicBool,
    failed: AtomicBool,
    durable: AtomicU64,
}

#[derive(Default)]
struct Demand {
    /// Those who wait, and for which sequence.
    waiters: Vec<(u64, oneshot::Sender<()>)>,
    /// The highest sequence somebody waits for.
    wanted: u64,
    /// When to look whether there is something to sync although nobody waits.
    look: Option<Instant>,
    /// Somebody has the [`Turn`].
    syncing: bool,
    /// Why nobody is promised anything any more.
    failure: Option<Arc<str>>,
    /// A sync failed: there must never be another one.
    lost: bool,
    stop: bool,
}

/// The turn to sync, which one thread has at a time.
struct Turn<'a>(&'a Group);

impl Group {
    /// A group for a log that is durable to its end.
    pub(crate) fn new(log: Arc<Log>, observer: Arc<dyn Observer>, relaxed_sync: Duration) -> Self {
        Self {
            durable: AtomicU64::new(log.written()),
            log,
            observer,
            relaxed_sync,
            demand: Mutex::default(),
            wake: Condvar::new(),
            settled: Condvar::new(),
            armed: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// Everything up to this sequence is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Says that a record was written: it will be synced soon even if nobody asks.
    pub(crate) fn wrote(&self) {
        let first = !self.armed.swap(true, Ordering::SeqCst);
        if first && !self.looking.swap(true, Ordering::SeqCst) {
            self.lock().look = Some(Instant::now() + self.relaxed_sync);
            self.wake.notify_one();
        }
    }

    /// Resolves once everything up to `sequence` is durable. The sync is asked for, or made, when
    /// first polled.
    pub(crate) fn wait(
        self: &Arc<Self>,
        sequence: u64,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
        let group = Arc::clone(self);
        async move {
            if let Some(settled) = group.join(sequence) {
                group.sync_soon();
                // Dropped or sent: there is an outcome.
                let _ = settled.await;
            }
            group.outcome(sequence)
        }
    }

    /// The same for a thread that may block.
    pub(crate) fn wait_blocking(&self, sequence: u64) -> Result<(), StorageError> {
        let mut demand = self.lock();
        demand.wanted = demand.wanted.max(sequence);
        self.wake.notify_one();
        let waiting = |demand: &mut Demand| self.durable() < sequence && demand.failure.is_none();
        let demand = self.settled.wait_while(demand, waiting);
        drop(demand.unwrap_or_else(PoisonError::into_inner));
        self.outcome(sequence)
    }

    /// Makes the store read-only for good; the first reason stays.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(reason, "the metadata store is read-only");
        let reason: Arc<str> = reason.into();
        self.lock().failure.get_or_insert_with(|| reason.clone());
        // Whoever is told that it failed must find the store read-only.
        self.failed.store(true, Ordering::SeqCst);
        self.end(reason);
    }

    /// Why the store is read-only, if it is.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.lock().failure.clone()
    }

    /// Makes the sync thread return; those who still wait are told that it will not happen.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_one();
    }

    /// The sync thread: syncs whenever somebody waits, or something was written a while ago, until
    /// stopped or until a sync fails.
    pub(crate) fn run(&self) {
        while let Some(_turn) = self.next_turn() {
            self.sync();
        }
        self.end("the store was closed".into());
    }

    /// Enters who waits; `None` when there is an outcome already.
    fn join(&self, sequence: u64) -> Option<oneshot::Receiver<()>> {
        let mut demand = self.lock();
        if self.durable() >= sequence || demand.failure.is_some() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        demand.waiters.push((sequence, sender));
        demand.wanted = demand.wanted.max(sequence);
        Some(receiver)
    }

    /// Syncs for those who wait: here and now if nobody is at it, otherwise whoever has the turn
    /// next.
    fn sync_soon(&self) {
        let mut demand = self.lock();
        if demand.syncing || !demand.is_due(self) {
            return;
        }
        if !storage::may_wait_in_place() {
            drop(demand);
            self.wake.notify_one();
            return;
        }
        let _turn = Turn::take(self, &mut demand);
        drop(demand);
        storage::in_place(|| self.sync());
    }

    /// Syncs the log, and tells those who waited. The caller has the turn.
    fn sync(&self) {
        // Before the log is asked how far it reaches: a record written later arms again.
        self.armed.store(false, Ordering::SeqCst);
        let start = Instant::now();
        match self.log.sync() {
            Ok(reached) => {
                self.observer.on_fsync(start.elapsed());
                self.settle(reached);
            }
            Err(error) => {
                self.lock().lost = true;
                self.fail(format!("fdatasync of the commit log failed: {error}"));
            }
        }
    }

    /// Blocks until a sync is due and nobody else makes it; `None` when there is to be none any
    /// more.
    fn next_turn(&self) -> Option<Turn<'_>> {
        let mut demand = self.lock();
        loop {
            let now = Instant::now();
            let look = demand.look.is_some_and(|look| look <= now);
            if demand.syncing {
                // Whoever has the turn wakes this thread if it is to go on.
                let left = demand.look.filter(|_| !look);
                demand = self.sleep(demand, left.map(|look| look - now));
                continue;
            }
            if demand.stop || demand.lost {
                return None;
            }
            let mut due = demand.is_due(self);
            if look {
                demand.look = self.look_again(now);
                due |= demand.look.is_some();
            }
            if due {
                return Some(Turn::take(self, &mut demand));
            }
            let left = demand.look.map(|look| look - now);
            demand = self.sleep(demand, left);
        }
    }

    /// When to look next: not before somebody writes, if nobody wrote of late.
    fn look_again(&self, now: Instant) -> Option<Instant> {
        if !self.armed.load(Ordering::SeqCst) {
            self.looking.store(false, Ordering::SeqCst);
            // Who wrote in between has not woken this thread.
            if !self.armed.load(Ordering::SeqCst) {
                return None;
            }
            self.looking.store(true, Ordering::SeqCst);
        }
        Some(now + self.relaxed_sync)
    }

    fn sleep<'a>(
        &self,
        demand: MutexGuard<'a, Demand>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Demand> {
        match at_most {
            Some(time) => {
                let woken = self.wake.wait_timeout(demand, time);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let woken = self.wake.wait(demand);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    fn settle(&self, reached: u64) {
        let mut demand = self.lock();
        self.durable.store(reached, Ordering::Release);
        let settled = demand.waiters.extract_if(.., |waiter| waiter.0 <= reached);
        let settled: Vec<_> = settled.collect();
        drop(demand);
        for (_, waiter) in settled {
            let _ = waiter.send(());
        }
        self.settled.notify_all();
    }

    /// Nothing more will be durable: all who wait are told.
    fn end(&self, reason: Arc<str>) {
        let mut demand = self.lock();
        demand.failure.get_or_insert(reason);
        let waiters = std::mem::take(&mut demand.waiters);
        drop(demand);
        drop(waiters);
        self.settled.notify_all();
    }

    fn outcome(&self, sequence: u64) -> Result<(), StorageError> {
        if self.durable() >= sequence {
            return Ok(());
        }
        let failure = self.lock().failure.clone();
        let reason = failure.as_deref().unwrap_or("the store is gone");
        Err(StorageError::unavailable(format!("not durable: {reason}")))
    }

    fn lock(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Demand {
    /// Whether somebody waits for what can still become durable.
    fn is_due(&self, group: &Group) -> bool {
        self.wanted > group.durable() && !self.lost && !self.stop
    }
}

impl<'a> Turn<'a> {
    fn take(group: &'a Group, demand: &mut Demand) -> Self {
        demand.syncing = true;
        Self(group)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut demand = self.0.lock();
        demand.syncing = false;
        // The thread goes on for those who came meanwhile; it may have slept over the time to look,
        // and it ends.
        let late = |look| look <= Instant::now();
        let more = demand.is_due(self.0) || demand.look.is_some_and(late);
        let over = demand.lost || demand.stop;
        drop(demand);
        if more || over {
            self.0.wake.notify_one();
        }
    }
}
