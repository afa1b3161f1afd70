//! What the tests share.
#![allow(dead_code, unreachable_pub)]

use blob_packs::{Options, PackStore};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use storage::{BlobRef, BlobStore, Provenance};
use types::{AccountId, BlobHash};

pub fn open(dir: &Path) -> Arc<PackStore> {
    open_with(dir, Options::default())
}

pub fn open_with(dir: &Path, options: Options) -> Arc<PackStore> {
    PackStore::open(dir, options, |_| ()).expect("open")
}

/// Small packs, no waiting, every dead byte is worth a compaction.
pub fn eager() -> Options {
    Options {
        pack_bytes: 4096,
        grace: Duration::ZERO,
        dead_share: 0.0,
        cold_after: None,
        ..Options::default()
    }
}

/// A clock that tests move.
#[derive(Clone, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn set(self, options: Options) -> Options {
        Options {
            now: Arc::new(move || {
                UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.0.load(Ordering::SeqCst))
            }),
            ..options
        }
    }
}

pub fn origin(account: u64) -> Provenance {
    Provenance {
        owners: vec![(AccountId(account), "INBOX".into())],
        internal_date: 1_700_000_000 + account as i64,
        ..Provenance::default()
    }
}

/// Bytes that zstd cannot shrink, different for each `seed`.
pub fn noise(seed: u64, len: usize) -> Bytes {
    let mut out = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut out);
    out.into()
}

/// Mail-like text, different for each `seed`.
pub fn text(seed: u64, len: usize) -> Bytes {
    let line = format!("Line of message {seed}, much like the one before it.\r\n");
    line.bytes().cycle().take(len).collect::<Vec<u8>>().into()
}

pub fn hash(bytes: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(bytes).as_bytes())
}

pub async fn put(store: &PackStore, bytes: &Bytes) -> BlobRef {
    let blob = store.put(bytes.clone(), &origin(1)).await.expect("put");
    assert_eq!(blob.hash, hash(bytes));
    assert_eq!(blob.size as usize, bytes.len());
    blob
}

pub async fn get(store: &PackStore, blob: &BlobRef) -> Result<Bytes, storage::StorageError> {
    store.get(blob, 0..blob.size).await
}

pub fn packs(dir: &Path) -> Vec<PathBuf> {
    files(dir, "pack")
}

pub fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("list")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

/// Bytes of blocks the packs occupy.
pub fn disk_use(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let size = |path: PathBuf| path.metadata().expect("metadata").blocks() * 512;
    packs(dir).into_iter().map(size).sum()
}

/// A copy of a store as a crash would leave it: without what only the process knows.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create");
    for entry in std::fs::read_dir(from).expect("list") {
        let entry = entry.expect("entry");
        match std::fs::copy(entry.path(), to.join(entry.file_name())) {
            // A temporary file got its name meanwhile; a crash just before leaves the same.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.expect("copy")),
        }
    }
}
