//! The index: what was written lately, in memory, in front of sled.
//!
//! A mailbox's record is written with every commit, and sled rewrites a page for each. Here the
//! last few megabytes are kept in a sorted table and go to sled together, in key order, by one
//! thread: each key once, however often it changed. Nothing is at risk: the commit log is the
//! truth, and a start replays it from what sled holds. The rows that say how far that is
//! (`keys::META`) are written after all others.

use crate::db::Disk;
use crate::keys;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use storage::StorageError;

/// Bytes in memory at which a table goes to sled.
const FULL: usize = 4 << 20;
/// The same while the index is filled from the log or an export: the more rows go to sled in key
/// order at once, the fewer of its pages are written more than once. 5 million keys in 54 s, not
/// 60 (`commit_speed`).
const FULL_WHILE_FILLING: usize = 16 << 20;
/// Bytes in memory, beside the table on its way, at which writers wait for sled.
const TOO_FULL: usize = 4 * FULL;
/// Rows a scan takes from memory at once.
const CHUNK: usize = 512;
/// What a row costs beside its bytes.
const OVERHEAD: usize = 96;

/// Rows by key; `None` is a removed key.
type Table = BTreeMap<Box<[u8]>, Option<Bytes>>;

/// Some rows of tables, in the order asked for.
type Rows = Vec<(Box<[u8]>, Option<Bytes>)>;

/// An open index.
pub(crate) struct Index {
    shared: Arc<Shared>,
    drainer: Option<JoinHandle<()>>,
}

struct Shared {
    disk: Disk,
    tables: RwLock<Tables>,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Tables {
    /// Takes writes.
    active: Table,
    bytes: usize,
    /// On its way to sled.
    frozen: Option<Arc<Table>>,
    /// How many tables were frozen so far.
    frozen_count: u64,
    filling: bool,
}

#[derive(Default)]
struct Work {
    /// How many frozen tables have reached sled.
    drained: u64,
    failure: Option<StorageError>,
    stop: bool,
}

impl Index {
    /// Opens the index in `dir`, or makes an empty one.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        let shared = Arc::new(Shared {
            disk: Disk::open(dir, cache_bytes)?,
            tables: RwLock::default(),
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        let drainer = std::thread::Builder::new()
            .name("meta-index".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.drain()
            })
            .map_err(|e| StorageError::io("start the index thread", &e))?;
        Ok(Self {
            shared,
            drainer: Some(drainer),
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        // The lock is let go before sled is asked: a slow read must not hold up commits.
        let known = self.shared.read().find(key);
        match known {
            Some(value) => Ok(value),
            None => self.shared.disk.get(key),
        }
    }

    /// Whether `key` holds exactly `expected`; `None` means that it must be absent.
    pub(crate) fn holds(&self, key: &[u8], expected: Option<&[u8]>) -> Result<bool, StorageError> {
        let known = self.shared.read().find(key);
        match known {
            Some(value) => Ok(value.as_deref() == expected),
            None => self.shared.disk.holds(key, expected),
        }
    }

    /// Stores a value, or removes the key. Waits when sled cannot keep up.
    ///
    /// # Errors
    /// Once sled has refused something, always.
    pub(crate) fn set(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StorageError> {
        let value = value.map(Bytes::copy_from_slice);
        let mut tables = self.shared.write();
        tables.bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + OVERHEAD;
        tables.active.insert(key.into(), value);
        if tables.bytes < tables.full() {
            return Ok(());
        }
        if tables.freeze() {
            drop(tables);
            self.shared.changed.notify_all();
            return Ok(());
        }
        let too_full = tables.bytes >= TOO_FULL.max(tables.full());
        let waiting_for = tables.frozen_count;
        drop(tables);
        if too_full {
            self.shared.wait_drained(waiting_for)
        } else {
            Ok(())
        }
    }

    /// Says whether many rows are about to come one after the other, which nobody reads meanwhile.
    pub(crate) fn filling(&self, filling: bool) {
        self.shared.write().filling = filling;
    }

    /// Shows the entries of `start..end` to `visit`, in key order or backwards, until it breaks.
    pub(crate) fn scan(
        &self,
        mut start: Vec<u8>,
        mut end: Vec<u8>,
        reverse: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        while start < end {
            let (rows, whole) = self.shared.read().copy(&start, &end, reverse);
            // Beyond the last row that was copied memory may hold more: the disk is read up to it.
            let (from, to) = match (whole, rows.last(), reverse) {
                (true, ..) | (_, None, _) => (start.clone(), end.clone()),
                (false, Some((last, _)), false) => (start.clone(), successor(last)),
                (false, Some((last, _)), true) => (last.to_vec(), end.clone()),
            };
            if self
                .merge(&rows, from.clone(), to.clone(), reverse, &mut visit)?
                .is_break()
                || whole
            {
                return Ok(());
            }
            (start, end) = if reverse { (start, from) } else { (to, end) };
        }
        Ok(())
    }

    fn merge(
        &self,
        rows: &[(Box<[u8]>, Option<Bytes>)],
        start: Vec<u8>,
        end: Vec<u8>,
        reverse: bool,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        let mut rows = rows.iter().peekable();
        let mut flow = ControlFlow::Continue(());
        self.shared.disk.scan(start, end, reverse, |key, value| {
            let before = |row: &[u8]| if reverse { row > key } else { row < key };
            while let Some((row, newer)) = rows.next_if(|(row, _)| before(row)) {
                if let Some(newer) = newer {
                    flow = visit(row, newer);
                    if flow.is_break() {
                        return flow;
                    }
                }
            }
            flow = match rows.next_if(|(row, _)| **row == *key) {
                Some((_, Some(newer))) => visit(key, newer),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            flow
        })?;
        for (row, newer) in rows {
            if flow.is_break() {
                break;
            }
            if let Some(newer) = newer {
                flow = visit(row, newer);
            }
        }
        Ok(flow)
    }

    /// Makes everything set so far durable.
    pub(crate) fn checkpoint(&self) -> Result<(), StorageError> {
        let number = loop {
            let mut tables = self.shared.write();
            if tables.active.is_empty() || tables.freeze() {
                break tables.frozen_count;
            }
            let before = tables.frozen_count;
            drop(tables);
            self.shared.wait_drained(before)?;
        };
        self.shared.changed.notify_all();
        self.shared.wait_drained(number)?;
        self.shared.disk.checkpoint()
    }

    /// Closes the index with all its files durable, so that it can be trusted after a power loss.
    pub(crate) fn close(mut self) -> Result<(), StorageError> {
        self.checkpoint()?;
        self.stop();
        let shared = Arc::clone(&self.shared);
        drop(self);
        match Arc::try_unwrap(shared) {
            Ok(shared) => shared.disk.close(),
            Err(_) => Err(StorageError::unavailable("the index is still in use")),
        }
    }

    fn stop(&mut self) {
        self.shared.work().stop = true;
        self.shared.changed.notify_all();
        if self
            .drainer
            .take()
            .is_some_and(|drainer| drainer.join().is_err())
        {
            tracing::error!("the index thread panicked");
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the `number`-th frozen table is in sled.
    fn wait_drained(&self, number: u64) -> Result<(), StorageError> {
        let mut work = self.work();
        loop {
            if let Some(failure) = &work.failure {
                return Err(failure.clone());
            }
            if work.drained >= number {
                return Ok(());
            }
            work = self.wait(work);
        }
    }

    /// Notifications are sent without the lock, so nobody relies on one alone.
    fn wait<'a>(&self, work: std::sync::MutexGuard<'a, Work>) -> std::sync::MutexGuard<'a, Work> {
        let patience = std::time::Duration::from_millis(20);
        self.changed
            .wait_timeout(work, patience)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Brings frozen tables to sled until stopped.
    fn drain(&self) {
        loop {
            let frozen = self.read().frozen.clone();
            let Some(frozen) = frozen else {
                let work = self.work();
                if work.stop {
                    return;
                }
                drop(self.wait(work));
                continue;
            };
            let is_meta = |key: &[u8]| key.first() == Some(&keys::META);
            let rows = |meta: bool| {
                let rows = frozen.iter().map(|(key, value)| (&**key, value.as_deref()));
                rows.filter(move |(key, _)| is_meta(key) == meta)
            };
            let result = self
                .disk
                .write(rows(false))
                .and_then(|()| self.disk.write(rows(true)));
            if let Err(error) = result {
                self.work().failure = Some(error);
                self.changed.notify_all();
                return;
            }
            let mut tables = self.write();
            tables.frozen = None;
            let drained = tables.frozen_count;
            if tables.bytes >= tables.full() {
                tables.freeze();
            }
            drop(tables);
            self.work().drained = drained;
            self.changed.notify_all();
        }
    }
}

impl Tables {
    /// Bytes at which a table goes to sled.
    fn full(&self) -> usize {
        match self.filling {
            true => FULL_WHILE_FILLING,
            false => FULL,
        }
    }

    /// The newest row of a key: outer `None` when memory does not know it.
    fn find(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let frozen = || self.frozen.as_ref().and_then(|frozen| frozen.get(key));
        self.active.get(key).or_else(frozen).cloned()
    }

    /// Starts a new table; `false` while the one before is still on its way.
    fn freeze(&mut self) -> bool {
        if self.frozen.is_some() {
            return false;
        }
        self.frozen = Some(Arc::new(std::mem::take(&mut self.active)));
        self.frozen_count += 1;
        self.bytes = 0;
        true
    }

    /// The first rows of a range in the order asked for, and whether those are all.
    fn copy(&self, start: &[u8], end: &[u8], reverse: bool) -> (Rows, bool) {
        let range = (Bound::Included(start), Bound::Excluded(end));
        let mut newer = self.active.range::<[u8], _>(range);
        let mut older = self
            .frozen
            .as_ref()
            .map(|frozen| frozen.range::<[u8], _>(range));
        let mut step_newer = || {
            if reverse {
                newer.next_back()
            } else {
                newer.next()
            }
        };
        let mut step_older = || {
            older.as_mut().and_then(|older| {
                if reverse {
                    older.next_back()
                } else {
                    older.next()
                }
            })
        };
        let (mut a, mut b) = (step_newer(), step_older());
        let mut rows = Vec::new();
        while rows.len() < CHUNK {
            let take_newer = match (a, b) {
                (None, None) => return (rows, true),
                (Some((x, _)), Some((y, _))) if x == y => {
                    b = step_older();
                    true
                }
                (Some((x, _)), Some((y, _))) => (x < y) != reverse,
                (newer, _) => newer.is_some(),
            };
            let next = if take_newer {
                std::mem::replace(&mut a, step_newer())
            } else {
                std::mem::replace(&mut b, step_older())
            };
            rows.extend(next.map(|(key, value)| (key.clone(), value.clone())));
        }
        (rows, a.is_none() && b.is_none())
    }
}

fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn all(index: &Index, reverse: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        index
            .scan(vec![1], vec![3], reverse, |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    /// Random writes, removals, freezes and checkpoints beside a plain map.
    #[test]
    fn memory_and_sled_together_are_one_map() {
        for seed in 1..6u64 {
            println!("seed {seed}");
            let dir = tempfile::tempdir().unwrap();
            let index = Index::open(dir.path(), 1 << 20).unwrap();
            let mut model = BTreeMap::new();
            let mut random = seed;
            let mut next = |below: u64| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (random >> 33) % below
            };
            for step in 0..6000 {
                let key = [&[1 + next(2) as u8][..], &next(1500).to_be_bytes()].concat();
                if next(4) == 0 {
                    index.set(&key, None).unwrap();
                    model.remove(&key);
                } else {
                    let value = vec![next(256) as u8; next(20) as usize];
                    index.set(&key, Some(&value)).unwrap();
                    model.insert(key.clone(), value);
                }
                assert_eq!(
                    index.get(&key).unwrap().as_deref(),
                    model.get(&key).map(Vec::as_slice)
                );
                match next(500) {
                    0 => index.checkpoint().unwrap(),
                    1 => {
                        index.shared.write().freeze();
                    }
                    _ => {}
                }
                if step % 700 == 0 {
                    let want: Vec<_> = model.clone().into_iter().collect();
                    assert_eq!(all(&index, false), want);
                    assert_eq!(
                        all(&index, true),
                        want.into_iter().rev().collect::<Vec<_>>()
                    );
                }
            }
            index.close().unwrap();
            let index = Index::open(dir.path(), 1 << 20).unwrap();
            assert_eq!(all(&index, false), model.into_iter().collect::<Vec<_>>());
        }
    }
}
