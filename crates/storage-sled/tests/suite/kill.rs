//! `kill -9` at any moment: what was acknowledged is there, and every batch is there whole.
//!
//! The test runs its own binary as the writer, which prints each number once it is durable.

use crate::support::Place;
use bytes::Bytes;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use storage::{Batch, MetaStore};
use storage_sled::{Options, SledStore};
use types::AccountId;

const DIR: &str = "GATEPOST_TEST_KILL_DIR";
const WRITERS: u64 = 6;
const ROUNDS: u64 = 12;

/// Small segments, and a checkpoint and an export at every opportunity: something is always being
/// renamed or removed.
fn options() -> Options {
    let mut place = Place::new();
    place.export_always();
    Options {
        segment_bytes: 32 << 10,
        boot_id: None,
        ..place.options
    }
}

/// Entry `number` of a writer: two keys that belong together, and a counter.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    let value = format!("{number} ").repeat(number as usize % 40);
    batch
        .require_absent(format!("a{number:08}"))
        .put(format!("a{number:08}"), value.clone())
        .put(format!("b{number:08}"), value)
        .put("count", number.to_be_bytes().to_vec());
    batch
}

async fn count(store: &SledStore, account: AccountId) -> u64 {
    let count = store.get(account, b"count").await.unwrap();
    count.map_or(0, |c| u64::from_be_bytes(c.as_ref().try_into().unwrap()))
}

/// The writer. Does nothing when it runs as a test of its own.
#[tokio::test(flavor = "multi_thread")]
async fn child_writer() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let store = SledStore::open(dir.as_ref(), options(), &|_| ()).unwrap();
    let writers = (1..=WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let account = AccountId(writer);
            for number in count(&store, account).await + 1.. {
                let commit = store.commit(account, batch(number)).await.unwrap();
                // Some are left to become durable by themselves.
                if number % 3 > 0 {
                    commit.durable().await.unwrap();
                    println!("durable {writer} {number}");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

fn spawn_writer(dir: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::child_writer",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the writer run until it has acknowledged `enough`, kills it, and gives the highest number
/// each writer acknowledged.
fn run_and_kill(dir: &std::path::Path, enough: u64) -> Vec<u64> {
    let mut child = spawn_writer(dir);
    let mut highest = vec![0; WRITERS as usize + 1];
    let mut seen = 0;
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness prints its own words in front of the first line.
        let Some((_, numbers)) = line.split_once("durable ") else {
            continue;
        };
        let mut numbers = numbers.split(' ').map(|n| n.parse::<u64>());
        // The last line may be cut short by the kill.
        if let (Some(Ok(writer)), Some(Ok(number))) = (numbers.next(), numbers.next()) {
            highest[writer as usize] = highest[writer as usize].max(number);
            seen += 1;
        }
        if seen >= enough && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the writer ended by itself");
    highest
}

#[tokio::test]
async fn every_acknowledged_batch_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut exports = 0;
    for round in 0..ROUNDS {
        // From a kill during start-up to one after many exports.
        let highest = run_and_kill(dir.path(), 1 + round * round * 17);
        let store = SledStore::open(dir.path(), options(), &|_| ()).unwrap();
        assert_eq!(store.generation(), 0);
        for writer in 1..=WRITERS {
            let account = AccountId(writer);
            let count = count(&store, account).await;
            let acknowledged = highest[writer as usize];
            assert!(
                count >= acknowledged,
                "{count} of {acknowledged} in round {round}"
            );
            for number in 1..=count {
                for key in ["a", "b"] {
                    let value = format!("{number} ").repeat(number as usize % 40);
                    let key = format!("{key}{number:08}");
                    let stored = store.get(account, key.as_bytes()).await.unwrap();
                    assert_eq!(stored, Some(Bytes::from(value)), "{key} in round {round}");
                }
            }
            let next = format!("b{:08}", count + 1);
            assert_eq!(store.get(account, next.as_bytes()).await.unwrap(), None);
        }
        exports = std::fs::read_dir(dir.path().join("export"))
            .unwrap()
            .count();
        if round % 4 == 3 {
            drop(store);
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
    }
    assert!(exports >= 2, "the kills never met an export");
}
