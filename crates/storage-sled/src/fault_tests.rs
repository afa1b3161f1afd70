//! What the store does when the disk fails: calls of the log's file fail on purpose.

use crate::{Observer, Options, SledStore};
use std::io::ErrorKind as Io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::{Batch, Commit, ErrorKind, Health, MetaStore, StorageError};
use types::AccountId;

const A: AccountId = AccountId(1);

/// Nothing is synced unless somebody waits for it.
fn options() -> Options {
    Options {
        relaxed_sync: Duration::from_secs(3600),
        boot_id: Some("this boot".to_owned()),
        ..Options::default()
    }
}

fn open(dir: &Path, options: &Options) -> Arc<SledStore> {
    SledStore::open(dir, options.clone(), &|_| ()).unwrap()
}

async fn put(store: &SledStore, key: &'static str) -> Result<Commit, StorageError> {
    let mut batch = Batch::new();
    batch.put(key, key);
    store.commit(A, batch).await
}

async fn has(store: &SledStore, key: &str) -> bool {
    store.get(A, key.as_bytes()).await.unwrap().is_some()
}

fn is_read_only(store: &SledStore) -> bool {
    matches!(store.health(), Health::ReadOnly(_))
}

#[tokio::test]
async fn a_full_disk_refuses_the_batch_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let options = options();
    let store = open(dir.path(), &options);
    put(&store, "before")
        .await
        .unwrap()
        .durable()
        .await
        .unwrap();
    options.faults.write.arm(Io::StorageFull);
    let error = put(&store, "refused").await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(store.health(), Health::Ready);
    assert!(!has(&store, "refused").await);
    put(&store, "after").await.unwrap().durable().await.unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = open(dir.path(), &options);
    assert!(has(&store, "before").await && has(&store, "after").await);
    assert!(!has(&store, "refused").await);
}

#[tokio::test]
async fn a_record_that_cannot_be_taken_back_ends_all_writing() {
    let dir = tempfile::tempdir().unwrap();
    let options = options();
    let store = open(dir.path(), &options);
    put(&store, "before")
        .await
        .unwrap()
        .durable()
        .await
        .unwrap();
    options.faults.write.arm(Io::StorageFull);
    options.faults.set_len.arm(Io::Other);
    assert!(put(&store, "refused").await.is_err());
    assert!(is_read_only(&store));
    assert!(put(&store, "later").await.is_err());
    assert!(has(&store, "before").await);
    drop(store);
    let store = open(dir.path(), &options);
    assert!(has(&store, "before").await);
    assert!(!has(&store, "refused").await && !has(&store, "later").await);
    put(&store, "refused")
        .await
        .unwrap()
        .durable()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_write_error_other_than_a_full_disk_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let options = options();
    let store = open(dir.path(), &options);
    options.faults.write.arm(Io::Other);
    // The very first write is of zeros ahead of the records: nothing is at stake yet.
    assert!(put(&store, "zeros").await.is_err());
    assert_eq!(store.health(), Health::Ready);
    put(&store, "good").await.unwrap().relax();
    options.faults.write.arm(Io::Other);
    assert!(put(&store, "bad").await.is_err());
    assert!(is_read_only(&store));
}

#[tokio::test]
async fn a_failed_sync_fails_all_who_wait_and_is_never_repeated() {
    failed_sync().await;
}

/// The same where who waits makes the sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_in_place_fails_all_who_wait_and_is_never_repeated() {
    failed_sync().await;
}

async fn failed_sync() {
    let dir = tempfile::tempdir().unwrap();
    let options = options();
    let store = open(dir.path(), &options);
    put(&store, "durable")
        .await
        .unwrap()
        .durable()
        .await
        .unwrap();
    let first = put(&store, "first").await.unwrap();
    let second = put(&store, "second").await.unwrap();
    options.faults.sync.arm(Io::Other);
    let (first, second) = futures::join!(first.durable(), second.durable());
    for outcome in [first, second] {
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::Unavailable);
    }
    // The fault was for one call: a second sync would have succeeded.
    assert!(is_read_only(&store));
    let error = put(&store, "later").await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!has(&store, "later").await);
    assert!(has(&store, "durable").await);
    assert!(store.close().await.is_err());
    // What the kernel still shows may not be on disk: the next start believes in a power loss.
    let store = open(dir.path(), &options);
    assert_eq!(store.generation(), 1);
    assert!(has(&store, "durable").await);
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_commits() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.min_free_bytes = u64::MAX;
    let store = open(dir.path(), &options);
    let error = put(&store, "refused").await.err().unwrap();
    assert!(error.context.contains("nearly full"), "{error}");
    assert_eq!(store.health(), Health::Ready);
    assert!(!has(&store, "refused").await);
}

#[tokio::test]
async fn a_dropped_handle_becomes_durable_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.relaxed_sync = Duration::from_millis(1);
    let store = open(dir.path(), &options);
    let synced = Arc::clone(&store.core().group);
    for sequence in 1..=3 {
        put(&store, "key").await.unwrap().relax();
        // Nobody asks for it; a store that does not sync by itself hangs here.
        while synced.durable() < sequence {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Notes which threads sync.
#[derive(Default)]
struct Threads(Mutex<Vec<String>>);

impl Observer for Threads {
    fn on_fsync(&self, _took: Duration) {
        let name = std::thread::current().name().unwrap_or("").to_owned();
        self.0.lock().unwrap().push(name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_alone_syncs_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let threads = Arc::new(Threads::default());
    let options = Options {
        observer: threads.clone(),
        ..options()
    };
    let store = open(dir.path(), &options);
    for _ in 0..3 {
        put(&store, "key").await.unwrap().durable().await.unwrap();
    }
    let synced = threads.0.lock().unwrap().clone();
    assert!(
        synced.len() == 3 && synced.iter().all(|name| name != "meta-sync"),
        "{synced:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_together_is_never_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let threads = Arc::new(Threads::default());
    let options = Options {
        observer: threads.clone(),
        ..options()
    };
    let store = open(dir.path(), &options);
    // Every round ends with a moment in which nobody waits, and the next begins with it.
    for _ in 0..50 {
        let writers = (0..8).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..4 {
                    put(&store, "key").await.unwrap().durable().await.unwrap();
                }
            })
        });
        for writer in futures::future::join_all(writers).await {
            writer.unwrap();
        }
    }
    let synced = threads.0.lock().unwrap().len();
    assert!(synced < 50 * 8 * 4, "{synced}");
}
