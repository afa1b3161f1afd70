//! How fast the packs are here: `cargo run --release -p blob-packs --example pack_speed -- [DIR]`.
//!
//! DIR is on the disk to measure (the temporary directory by default); what is written there is
//! removed.

use blob_packs::{Options, PackStore};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use storage::{BlobRef, BlobStore, Provenance, StorageError};
use types::AccountId;

const SIZE: usize = 17 * 1024;
const BLOBS: u64 = 10_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let base = arguments.next();
    if let Some(dir) = arguments.next() {
        return memory(&dir);
    }
    let dir = base
        .unwrap_or_else(std::env::temp_dir)
        .join(format!("pack-speed-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(measure(&dir));
    std::fs::remove_dir_all(&dir)?;
    result
}

/// Run in a process of its own: `pack_speed - DIR`.
fn memory(dir: &Path) -> Outcome<()> {
    let before = resident();
    let store = PackStore::open(dir, Options::default(), |_| ())?;
    println!(
        "memory of {} blobs, open: {} KiB",
        store.stats().blobs,
        resident() - before
    );
    Ok(())
}

fn body(seed: u64) -> Bytes {
    let mut out = vec![0; SIZE];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut out);
    out.into()
}

async fn measure(dir: &Path) -> Outcome<()> {
    let syncs = Arc::new(AtomicU64::new(0));
    let count = syncs.clone();
    let options = Options {
        on_sync: Some(Arc::new(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        })),
        ..Options::default()
    };
    let store = PackStore::open(dir, options.clone(), |_| ())?;
    let bodies: Vec<Bytes> = (0..BLOBS).map(body).collect();
    let mut next = 0;
    let mut blobs = Vec::new();
    for (writers, puts) in [(1, 2000), (16, 8000)] {
        let before = syncs.load(Ordering::Relaxed);
        let clock = Instant::now();
        blobs.extend(put(&store, &bodies[next..next + puts], writers).await?);
        let rate = puts as f64 / clock.elapsed().as_secs_f64();
        let share = puts as f64 / (syncs.load(Ordering::Relaxed) - before) as f64;
        println!("put, {writers:2} writers: {rate:8.0} /s   ({share:.1} puts per fdatasync)");
        next += puts;
    }
    drop(bodies);
    store.close().await?;
    drop(store);

    for (what, clean) in [("after close", true), ("after a kill", false)] {
        if !clean {
            for index in std::fs::read_dir(dir)? {
                let path = index?.path();
                if path.extension().is_some_and(|extension| extension == "idx") {
                    std::fs::remove_file(path)?;
                }
            }
        }
        let clock = Instant::now();
        let store = PackStore::open(dir, options.clone(), |_| ())?;
        println!("open {what}: {:.1} ms", clock.elapsed().as_secs_f64() * 1e3);
        drop(store);
    }
    std::process::Command::new(std::env::current_exe()?)
        .arg("-")
        .arg(dir)
        .status()?;
    let store = PackStore::open(dir, options, |_| ())?;
    read_all(&store, &blobs).await?;
    compacted(&store, &blobs).await
}

async fn put(store: &Arc<PackStore>, bodies: &[Bytes], writers: usize) -> Outcome<Vec<BlobRef>> {
    let mut tasks = Vec::new();
    for chunk in bodies.chunks(bodies.len().div_ceil(writers)) {
        let (store, chunk) = (store.clone(), chunk.to_vec());
        tasks.push(tokio::spawn(async move {
            let origin = Provenance {
                owners: vec![(AccountId(1), "INBOX".into())],
                internal_date: 1_700_000_000,
                ..Provenance::default()
            };
            let mut blobs = Vec::new();
            for body in chunk {
                blobs.push(store.put(body, &origin).await?);
            }
            Ok::<_, StorageError>(blobs)
        }));
    }
    let mut blobs = Vec::new();
    for task in tasks {
        blobs.extend(task.await??);
    }
    Ok(blobs)
}

/// Reads as a server does that streams a mailbox: some blobs at a time, in pack order, then let go.
async fn read_all(store: &Arc<PackStore>, blobs: &[BlobRef]) -> Outcome<()> {
    let mut ordered = blobs.to_vec();
    ordered.sort_unstable_by_key(|blob| blob.hint);
    for batch in [10, 64, 256, 1024, 10_000] {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let clock = Instant::now();
            for part in ordered.chunks(batch) {
                for answer in store.get_many(part).await {
                    std::hint::black_box(answer?);
                }
            }
            best = best.min(clock.elapsed().as_secs_f64());
        }
        let rate = (ordered.len() * SIZE) as f64 / best / 1e9;
        println!("get_many of {batch:5} at a time: {rate:.2} GB/s");
    }
    for (what, range) in [("whole", 0..SIZE as u32), ("first 2 KB", 0..2048)] {
        let clock = Instant::now();
        for blob in blobs {
            std::hint::black_box(store.get(blob, range.clone()).await?);
        }
        let each = clock.elapsed().as_secs_f64() * 1e6 / blobs.len() as f64;
        println!("get {what}: {each:.2} us each");
    }
    let clock = Instant::now();
    for blob in blobs {
        std::hint::black_box(store.stat(&blob.hash).await?);
    }
    let each = clock.elapsed().as_secs_f64() * 1e6 / blobs.len() as f64;
    println!("stat by hash: {each:.2} us each");
    Ok(())
}

async fn compacted(store: &Arc<PackStore>, blobs: &[BlobRef]) -> Outcome<()> {
    store.seal_active().await?;
    let clock = Instant::now();
    for blob in blobs {
        std::hint::black_box(store.stat(&blob.hash).await?);
    }
    let each = clock.elapsed().as_secs_f64() * 1e6 / blobs.len() as f64;
    println!("stat by hash, sealed: {each:.2} us each");
    let clock = Instant::now();
    for blob in blobs.iter().step_by(2) {
        store.release(&blob.hash).await?;
    }
    let each = clock.elapsed().as_secs_f64() * 1e6 / (blobs.len() / 2) as f64;
    println!("release: {each:.2} us each");
    Ok(())
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
