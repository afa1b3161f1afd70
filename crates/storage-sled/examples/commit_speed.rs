//! How fast the store commits, reads and rebuilds on this machine, next to a bare `fdatasync` loop.
//!
//! `cargo run --release -p storage-sled --example commit_speed -- DIR [seconds] [keys to rebuild]`
#![allow(
    clippy::unwrap_used,
    reason = "a measurement may stop at the first error"
)]

use bytes::Bytes;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Batch, MetaStore, Scan};
use storage_sled::{Options, SledStore};
use types::AccountId;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().expect("a directory to work in");
    let dir = Path::new(&dir).join("commit_speed");
    let seconds = args.next().map_or(3, |s| s.parse().unwrap());
    let keys = args.next().map_or(0, |s| s.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let time = Duration::from_secs(seconds);
    fs::create_dir_all(&dir).unwrap();
    let bare = bare_syncs(&dir.join("bare"), time);
    println!("bare 2 KB write + fdatasync, zero-filled file: {bare:.0}/s");
    for writers in [1, 4, 16, 64] {
        let rate = runtime.block_on(commits(&dir.join("store"), writers, time, true));
        println!(
            "{writers:3} writers, durable: {rate:.0}/s ({:.2} of bare)",
            rate / bare
        );
    }
    for writers in [1, 2] {
        let rate = runtime.block_on(commits(&dir.join("store"), writers, time, false));
        println!("{writers:3} writers, relaxed: {rate:.0}/s");
    }
    if keys > 0 {
        runtime.block_on(rebuild(&dir.join("big"), keys));
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// Processor time of this process so far: what counts on a machine that does other things too.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// What the disk can do: one record after the other, each synced.
fn bare_syncs(path: &Path, time: Duration) -> f64 {
    let file = File::create(path).unwrap();
    let zeros = vec![0; 1 << 20];
    let record = [7; 2048];
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < time {
        let at = count * 2048;
        if at.is_multiple_of(1 << 20) {
            file.write_all_at(&zeros, at).unwrap();
        }
        file.write_all_at(&record, at).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / start.elapsed().as_secs_f64()
}

/// What a delivery commits, about 2 KB: an email record, a journal entry, the mailbox record, a
/// link.
fn delivery(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch
        .require_absent(format!("journal{number:012}"))
        .put(format!("journal{number:012}"), vec![1; 120])
        .put(format!("email{number:012}"), vec![2; 1700])
        .put(&b"mailbox"[..], vec![3; 100])
        .link(types::BlobHash([number as u8; 32]), types::EmailId(number));
    batch
}

async fn commits(dir: &Path, writers: u64, time: Duration, durable: bool) -> f64 {
    let _ = fs::remove_dir_all(dir);
    let store = SledStore::open(dir, Options::default(), &|_| ()).unwrap();
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut count = 0;
                while start.elapsed() < time {
                    let commit = store.commit(AccountId(writer), delivery(count)).await;
                    if durable {
                        commit.unwrap().durable().await.unwrap();
                    } else {
                        commit.unwrap().relax();
                        tokio::task::yield_now().await;
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    let rate = total as f64 / start.elapsed().as_secs_f64();
    store.close().await.unwrap();
    rate
}

/// Loads `keys` keys, measures reads, then loses the index.
async fn rebuild(dir: &Path, keys: u64) {
    let _ = fs::remove_dir_all(dir);
    let options = Options {
        cache_bytes: 256 << 20,
        checkpoint_every: Duration::from_secs(1),
        ..Options::default()
    };
    let store = SledStore::open(dir, options.clone(), &|_| ()).unwrap();
    let start = Instant::now();
    for first in (0..keys).step_by(100) {
        let mut batch = Batch::new();
        for number in first..first + 100 {
            batch.put(key(number), vec![number as u8; 60 + (number % 80) as usize]);
        }
        store
            .commit(AccountId(1 + first % 977), batch)
            .await
            .unwrap()
            .relax();
    }
    println!("{keys} keys written in {:.1?}", start.elapsed());
    reads(&store, keys).await;
    store.close().await.unwrap();
    drop(store);
    for round in 0..2 {
        fs::remove_dir_all(dir.join("index")).unwrap();
        let (start, before) = (Instant::now(), processor_seconds());
        let store = SledStore::open(dir, options.clone(), &|_| ()).unwrap();
        let exports = fs::read_dir(dir.join("export")).unwrap().count();
        println!(
            "rebuilt in {:.1?}, {:.1} s of all processors, {exports} exports there",
            start.elapsed(),
            processor_seconds() - before
        );
        if round == 0 {
            let start = Instant::now();
            store.close().await.unwrap();
            drop(store);
            let store = SledStore::open(
                dir,
                Options {
                    export_every: 1,
                    ..options.clone()
                },
                &|_| (),
            );
            let _store = store.unwrap();
            println!("closed and opened again in {:.1?}", start.elapsed());
            // The export has until the next line is printed.
            while fs::read_dir(dir.join("export")).unwrap().count() < exports.max(1)
                || fs::read_dir(dir.join("export"))
                    .unwrap()
                    .any(|e| e.unwrap().path().extension().is_some_and(|e| e == "tmp"))
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            println!("exported by {:.1?}", start.elapsed());
        }
    }
}

async fn reads(store: &SledStore, keys: u64) {
    let start = Instant::now();
    let count = 200_000;
    for i in 0..count {
        let number = i * 7919 % keys;
        let account = AccountId(1 + number / 100 * 100 % 977);
        assert!(
            store
                .get(account, key(number).as_ref())
                .await
                .unwrap()
                .is_some()
        );
    }
    println!("get: {:.0}/s", count as f64 / start.elapsed().as_secs_f64());
    for limit in [256, 10_000] {
        let start = Instant::now();
        let mut seen = 0;
        for account in 1..200 {
            let page = store
                .scan(AccountId(account), Scan::prefix(Bytes::new(), limit))
                .await;
            seen += page.unwrap().entries.len();
        }
        println!(
            "scan by {limit}: {:.0} entries/s",
            seen as f64 / start.elapsed().as_secs_f64()
        );
    }
}

fn key(number: u64) -> String {
    format!("{number:016}")
}
