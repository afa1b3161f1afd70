//! A writer killed at a random moment: everything it acknowledged is there, byte for byte.

use crate::common::*;
use blob_packs::{Options, PackStore};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use storage::{BlobStore, ErrorKind};

const DIRECTORY: &str = "BLOB_PACKS_KILL_DIR";
const FIRST: &str = "BLOB_PACKS_KILL_FIRST";
const PER_ROUND: u64 = 100_000;

fn options() -> Options {
    Options {
        pack_bytes: 300_000,
        ..eager()
    }
}

fn body(seed: u64) -> bytes::Bytes {
    let len = (seed * 7919 % 9000) as usize;
    if seed.is_multiple_of(2) {
        noise(seed, len)
    } else {
        text(seed, len)
    }
}

/// Not a test of its own: what the killed process runs. Without the variables it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writer_process() {
    let (Ok(dir), Ok(first)) = (std::env::var(DIRECTORY), std::env::var(FIRST)) else {
        return;
    };
    let first: u64 = first.parse().expect("a number");
    let store = open_with(Path::new(&dir), options());
    let say = |word: &str, seed: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{word} {seed}")
            .and_then(|()| out.flush())
            .expect("parent listens");
    };
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for i in 0..PER_ROUND / 8 {
                let seed = first + i * 8 + writer;
                put(&store, &body(seed)).await;
                say("ack", seed);
                if seed.is_multiple_of(3) {
                    say("release", seed);
                    store.release(&hash(&body(seed))).await.expect("release");
                }
            }
        })
    });
    let collector = store.clone();
    tokio::spawn(async move {
        loop {
            collector
                .collect(async |_| Ok(false))
                .await
                .expect("collect");
        }
    });
    futures::future::join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_blobs_survive_kill() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut acknowledged, mut released) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "kill::writer_process", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .env(FIRST, (round * PER_ROUND).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("spawn");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut left = 20 + std::process::id() as u64 * (round + 7) % 1500;
        for line in lines {
            let line = line.expect("read");
            let (word, seed) = line.split_once(' ').unwrap_or_default();
            match (word, seed.parse::<u64>()) {
                ("ack", Ok(seed)) => acknowledged.insert(seed),
                ("release", Ok(seed)) => released.insert(seed),
                _ => continue,
            };
            if left == 10 {
                let refused = PackStore::open(dir.path(), options(), |_| ()).err();
                assert_eq!(refused.map(|e| e.kind), Some(ErrorKind::InUse));
            }
            if left == 0 {
                // Only our own child; lines it wrote before it died are still read.
                let _ = child.kill();
            }
            left = left.saturating_sub(1);
        }
        child.wait().expect("wait");
        let store = open_with(dir.path(), options());
        for seed in acknowledged.difference(&released) {
            let content = body(*seed);
            let found = store.stat(&hash(&content)).await.expect("stat");
            let found = found.unwrap_or_else(|| panic!("{seed} is lost in round {round}"));
            assert!(get(&store, &found).await.expect("get") == content, "{seed}");
        }
        assert_eq!(store.stats().damaged_bytes, 0);
    }
    assert!(acknowledged.len() > 500, "{} puts", acknowledged.len());
}
