//! A place for a store, what is in it, and ways to damage its files.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use storage::{Batch, MetaStore, Scan, StorageError};
use storage_sled::{Observer, Options, SledStore};
use types::AccountId;

pub const A: AccountId = AccountId(7);

/// Rows by account and key.
pub type Content = BTreeMap<(u64, Bytes), Bytes>;

/// A directory for one store, and its settings: small files, so that little data makes many.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub options: Options,
    pub seen: Arc<Seen>,
}

impl Place {
    pub fn new() -> Self {
        let seen = Arc::new(Seen::default());
        let options = Options {
            cache_bytes: 4 << 20,
            segment_bytes: 4096,
            checkpoint_every: Duration::from_secs(3600),
            checkpoint_bytes: u64::MAX,
            export_every: u64::MAX,
            boot_id: Some("this boot".to_owned()),
            observer: Arc::clone(&seen) as Arc<dyn Observer>,
            ..Options::default()
        };
        let dir = tempfile::tempdir().unwrap();
        Self { dir, options, seen }
    }

    pub fn open(&self) -> Arc<SledStore> {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Arc<SledStore>, StorageError> {
        SledStore::open(self.dir.path(), self.options.clone(), &|_| ())
    }

    /// From the next start on the store checkpoints after every commit.
    pub fn checkpoint_always(&mut self) {
        self.options.checkpoint_bytes = 1;
    }

    /// From the next start on the store exports after every commit as well.
    pub fn export_always(&mut self) {
        self.checkpoint_always();
        self.options.export_every = 1;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The log's files, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        sorted(&self.path("log"), "log")
    }

    /// The exports, oldest first.
    pub fn exports(&self) -> Vec<PathBuf> {
        sorted(&self.path("export"), "export")
    }

    /// All records of the log: file, offset and bytes.
    pub fn records(&self) -> Vec<(PathBuf, u64, u64)> {
        let mut records = Vec::new();
        for path in self.segments() {
            let bytes = fs::read(&path).unwrap();
            let mut at = 64;
            while let Some(length) = bytes.get(at + 8..at + 12) {
                let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
                if length == 0 {
                    break;
                }
                let extent = (40 + length).next_multiple_of(8);
                records.push((path.clone(), at as u64, extent as u64));
                at += extent;
            }
        }
        records
    }
}

fn sorted(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    paths
}

/// Counts what the store reports, and lets tests wait for it.
#[derive(Default)]
pub struct Seen {
    counts: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Seen {
    pub fn checkpoints(&self) -> u64 {
        self.counts.lock().unwrap().0
    }

    pub fn exports(&self) -> u64 {
        self.counts.lock().unwrap().1
    }

    pub fn wait_for_checkpoint(&self, count: u64) {
        let counts = self.counts.lock().unwrap();
        drop(self.changed.wait_while(counts, |c| c.0 < count).unwrap());
    }

    pub fn wait_for_export(&self, count: u64) {
        let counts = self.counts.lock().unwrap();
        drop(self.changed.wait_while(counts, |c| c.1 < count).unwrap());
    }
}

impl Observer for Seen {
    fn on_checkpoint(&self, _took: Duration) {
        self.counts.lock().unwrap().0 += 1;
        self.changed.notify_all();
    }

    fn on_export(&self, _bytes: u64, _took: Duration) {
        self.counts.lock().unwrap().1 += 1;
        self.changed.notify_all();
    }
}

/// A key and a value that both tell their number.
pub fn entry(number: u64) -> (Bytes, Bytes) {
    let value = format!("value {number} ").repeat(1 + number as usize % 30);
    (Bytes::from(format!("key{number:08}")), value.into())
}

/// Puts entry `number` and does not wait.
pub async fn put_relaxed(store: &SledStore, number: u64) {
    let (key, value) = entry(number);
    let mut batch = Batch::new();
    batch.put(key, value);
    store.commit(A, batch).await.unwrap().relax();
}

/// Puts entry `number` durably.
pub async fn put(store: &SledStore, number: u64) {
    let (key, value) = entry(number);
    let mut batch = Batch::new();
    batch.put(key, value);
    let commit = store.commit(A, batch).await.unwrap();
    commit.durable().await.unwrap();
}

/// Everything in the store.
pub async fn content(store: &SledStore) -> Content {
    let mut all = Content::new();
    for account in store.accounts(None, 1000).await.unwrap() {
        let scan = Scan::prefix(Bytes::new(), 1 << 20);
        let page = store.scan(account, scan).await.unwrap();
        assert!(!page.more);
        let rows = page.entries.into_iter();
        all.extend(rows.map(|(key, value)| ((account.0, key), value)));
    }
    all
}

/// Entries 0 to `count`, as `content` gives them.
pub fn entries(count: u64) -> Content {
    (0..count)
        .map(|number| {
            let (key, value) = entry(number);
            ((A.0, key), value)
        })
        .collect()
}

pub fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

pub fn flip(path: &Path, offset: u64) {
    let byte = fs::read(path).unwrap()[offset as usize];
    overwrite(path, offset, &[byte ^ 0x10]);
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            match fs::copy(&path, &target) {
                // A file being replaced under a living store: its successor is copied under its
                // name.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => drop(result.unwrap()),
            }
        }
    }
}
