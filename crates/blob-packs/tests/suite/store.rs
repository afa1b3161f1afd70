//! What a caller of the store sees when nothing is damaged.

use crate::common::*;
use blob_packs::{Options, PackStore, Step};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use storage::{BlobRef, BlobStore, ErrorKind, Health};
use types::AccountId;

#[tokio::test]
async fn a_range_outside_the_blob_is_invalid() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let blob = put(&store, &noise(1, 1000)).await;
    for range in [0..1001, 1001..1001, std::ops::Range { start: 7, end: 3 }] {
        let error = store.get(&blob, range).await.expect_err("invalid");
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    assert!(
        store
            .get(&blob, 1000..1000)
            .await
            .expect("empty")
            .is_empty()
    );
}

#[tokio::test]
async fn what_was_never_put_is_not_found() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let known = put(&store, &noise(1, 100)).await;
    for hint in [0, 1, known.hint, known.hint + 8, u64::MAX] {
        let stranger = BlobRef {
            hash: hash(b"never"),
            size: 5,
            hint,
        };
        if hint != known.hint + 8 {
            let error = get(&store, &stranger).await.expect_err("absent");
            assert_eq!(error.kind, ErrorKind::NotFound, "hint {hint}");
        }
    }
    assert_eq!(store.stat(&hash(b"never")).await.expect("stat"), None);
    store.release(&hash(b"never")).await.expect("release");
    let error = store.verify(&hash(b"never")).await.expect_err("absent");
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn blobs_of_all_sizes_come_back_with_any_hint_also_after_reopening() {
    let dir = tempfile::tempdir().expect("tempdir");
    let sizes = [0, 1, 7, 8, 4096, 70_000, 300_000, (1 << 20) + 5, 20 << 20];
    let bodies: Vec<Bytes> = (0..).zip(sizes).map(|(i, size)| noise(i, size)).collect();
    let mut store = open(dir.path());
    let mut blobs = Vec::new();
    for body in &bodies {
        blobs.push(put(&store, body).await);
    }
    for round in 0..3 {
        for (blob, body) in blobs.iter().zip(&bodies) {
            for hint in [blob.hint, 0, blobs[0].hint, 99 << 40 | 512] {
                let asked = BlobRef { hint, ..*blob };
                assert!(get(&store, &asked).await.expect("get") == *body);
                if body.len() > 4 {
                    let end = blob.size - 1;
                    let part = store.get(&asked, 2..end).await.expect("range");
                    assert!(part == body.slice(2..end as usize));
                    let part = store.get(&asked, end - 2..end).await.expect("range");
                    assert!(part == body.slice(end as usize - 2..end as usize));
                }
            }
            assert_eq!(store.stat(&blob.hash).await.expect("stat"), Some(*blob));
            store.verify(&blob.hash).await.expect("verify");
        }
        let mut asked = blobs.clone();
        asked.reverse();
        asked[1].hint = 0;
        asked.push(blobs[3]);
        let answers = store.get_many(&asked).await;
        for (answer, blob) in answers.into_iter().zip(&asked) {
            assert_eq!(hash(&answer.expect("get_many")), blob.hash);
        }
        if round == 0 {
            store.close().await.expect("close"); // with a checkpoint
        }
        drop(store);
        store = open(dir.path());
    }
}

#[tokio::test]
async fn get_many_answers_each_blob_on_its_own() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let mut blobs = Vec::new();
    for seed in 0..50 {
        blobs.push(put(&store, &noise(seed, 3000)).await);
    }
    blobs[20].hash = hash(b"never");
    let answers = store.get_many(&blobs).await;
    for (i, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(bytes) => assert!(bytes == noise(i as u64, 3000)),
            Err(error) => assert_eq!((i, error.kind), (20, ErrorKind::NotFound)),
        }
    }
    assert!(store.get_many(&[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_bytes_at_once_are_stored_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    for (seed, len) in [(1, 17_000), (2, 3 << 20)] {
        let body = noise(seed, len);
        let before = store.stats().bytes;
        let puts = (0..32).map(|_| {
            let (store, body) = (store.clone(), body.clone());
            tokio::spawn(async move { store.put(body, &origin(1)).await.expect("put") })
        });
        let blobs = futures::future::join_all(puts).await;
        let first = *blobs[0].as_ref().expect("task");
        for blob in blobs {
            assert_eq!(blob.expect("task"), first);
        }
        let grown = store.stats().bytes - before;
        assert!(
            grown < len as u64 + 200,
            "{grown} bytes for one blob of {len}"
        );
    }
}

#[tokio::test]
async fn packs_are_sealed_and_found_again() {
    let dir = tempfile::tempdir().expect("tempdir");
    let bodies: Vec<Bytes> = (0..100).map(|seed| noise(seed, 700)).collect();
    let mut store = open_with(dir.path(), eager());
    let mut blobs = Vec::new();
    for body in &bodies {
        blobs.push(put(&store, body).await);
    }
    assert!(packs(dir.path()).len() > 10);
    for _ in 0..2 {
        for (blob, body) in blobs.iter().zip(&bodies) {
            assert!(get(&store, blob).await.expect("hinted") == *body);
            let unhinted = BlobRef { hint: 0, ..*blob };
            assert!(get(&store, &unhinted).await.expect("by hash") == *body);
            assert_eq!(put(&store, body).await, *blob, "no second copy");
        }
        store.close().await.expect("close");
        store = open_with(dir.path(), eager());
    }
    assert_eq!(store.stats().blobs, 100);
}

#[tokio::test]
async fn further_owners_are_noted_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let body = noise(1, 500);
    for account in [1, 1, 2] {
        store
            .put(body.clone(), &origin(account))
            .await
            .expect("put");
    }
    store.close().await.expect("close");
    let store = open(dir.path());
    let mut seen = Vec::new();
    store
        .scan_records(|record| {
            let blob = record.blob.expect("a record");
            assert!(record.whole && blob.hash == hash(&body) && blob.size == 500);
            seen.push((record.is_note, record.origin.owners));
            ControlFlow::Continue(())
        })
        .expect("scan");
    let owner = |account| vec![(AccountId(account), "INBOX".to_owned())];
    assert_eq!(seen, [(false, owner(1)), (true, owner(2))]);
}

#[tokio::test]
async fn a_second_opener_is_told_in_use_until_the_first_closes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let blob = put(&store, &noise(1, 10)).await;
    let kind = |dir| {
        PackStore::open(dir, Options::default(), |_| ())
            .err()
            .map(|e| e.kind)
    };
    assert_eq!(kind(dir.path()), Some(ErrorKind::InUse));
    store.close().await.expect("close");
    assert_eq!(kind(dir.path()), None);
    let error = get(&store, &blob).await.expect_err("closed");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let error = store
        .put(noise(2, 10), &origin(1))
        .await
        .expect_err("closed");
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn newer_and_foreign_stores_are_incompatible() {
    let dir = tempfile::tempdir().expect("tempdir");
    put(&open(dir.path()), &noise(1, 10)).await;
    let path = dir.path().join("store");
    let text = std::fs::read_to_string(&path).expect("read");
    let refusal = |dir| PackStore::open(dir, Options::default(), |_| ()).err();
    std::fs::write(&path, text.replacen(" 1 ", " 2 ", 1)).expect("write");
    let error = refusal(dir.path()).expect("newer");
    assert_eq!(error.kind, ErrorKind::Incompatible);
    assert!(error.context.contains("newer Gatepost"), "{error}");
    // A lost or damaged file is restored from the packs.
    for damaged in ["", "no sense"] {
        std::fs::write(&path, damaged).expect("write");
        assert!(refusal(dir.path()).is_none());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
    }
    // Another store's pack.
    let other = tempfile::tempdir().expect("tempdir");
    drop(open(other.path()));
    let pack = &packs(dir.path())[0];
    std::fs::copy(pack, other.path().join("pack-000007.pack")).expect("copy");
    assert_eq!(
        refusal(other.path()).map(|e| e.kind),
        Some(ErrorKind::Incompatible)
    );
    let nothing = tempfile::tempdir().expect("tempdir");
    std::fs::write(nothing.path().join("store"), "diary").expect("write");
    assert_eq!(
        refusal(nothing.path()).map(|e| e.kind),
        Some(ErrorKind::Incompatible)
    );
}

#[tokio::test]
async fn a_failing_fsync_makes_the_store_read_only() {
    failing_fsync().await;
}

/// The same where who puts makes the sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_fsync_in_place_makes_the_store_read_only() {
    failing_fsync().await;
}

async fn failing_fsync() {
    let dir = tempfile::tempdir().expect("tempdir");
    let broken = Arc::new(AtomicBool::new(false));
    let hook = broken.clone();
    let options = Options {
        on_step: Some(Arc::new(move |step| {
            if step == Step::Sync && hook.load(Ordering::SeqCst) {
                return Err(std::io::Error::other("the disk is gone"));
            }
            Ok(())
        })),
        ..Options::default()
    };
    let store = open_with(dir.path(), options);
    let blob = put(&store, &noise(1, 100)).await;
    broken.store(true, Ordering::SeqCst);
    let error = store
        .put(noise(2, 100), &origin(1))
        .await
        .expect_err("fsync failed");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    broken.store(false, Ordering::SeqCst);
    // Never retry and hope.
    let error = store
        .put(noise(3, 100), &origin(1))
        .await
        .expect_err("read-only");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(matches!(store.health(), Health::ReadOnly(_)));
    assert!(get(&store, &blob).await.expect("reads work") == noise(1, 100));
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.health(), Health::Ready);
    put(&store, &noise(3, 100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_puts_alone_syncs_in_place_and_full_packs_are_sealed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let threads: Arc<Mutex<Vec<_>>> = Arc::default();
    let hook = threads.clone();
    let options = Options {
        pack_bytes: 10_000,
        on_step: Some(Arc::new(move |step| {
            if matches!(step, Step::Sync | Step::Seal) {
                let name = std::thread::current().name().unwrap_or("").to_owned();
                hook.lock().expect("lock").push((step, name));
            }
            Ok(())
        })),
        ..Options::default()
    };
    let store = open_with(dir.path(), options);
    put(&store, &noise(1, 100)).await;
    put(&store, &noise(2, 100)).await;
    let seen = threads.lock().expect("lock").clone();
    assert!(
        seen.len() == 2 && seen.iter().all(|(_, name)| name != "blob-sync"),
        "{seen:?}"
    );
    for seed in 3..9 {
        put(&store, &noise(seed, 12_000)).await;
    }
    store.close().await.expect("close");
    let seen = threads.lock().expect("lock").clone();
    let sealed = seen.iter().filter(|(step, _)| *step == Step::Seal);
    let by: Vec<_> = sealed.map(|(_, name)| name.as_str()).collect();
    assert!(
        !by.is_empty() && by.iter().all(|name| *name == "blob-sync"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_full_disk_refuses_the_put_and_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let full = Arc::new(AtomicBool::new(false));
    let hook = full.clone();
    let options = Options {
        on_step: Some(Arc::new(move |step| {
            if step == Step::Append && hook.load(Ordering::SeqCst) {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })),
        ..Options::default()
    };
    let store = open_with(dir.path(), options);
    let before = put(&store, &noise(1, 100)).await;
    full.store(true, Ordering::SeqCst);
    let error = store
        .put(noise(2, 100), &origin(1))
        .await
        .expect_err("full");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(store.stat(&hash(&noise(2, 100))).await.expect("stat"), None);
    full.store(false, Ordering::SeqCst);
    let after = put(&store, &noise(3, 100)).await;
    drop(store);
    let store = open(dir.path());
    assert!(get(&store, &before).await.expect("before") == noise(1, 100));
    assert!(get(&store, &after).await.expect("after") == noise(3, 100));
    assert_eq!(store.stats().damaged_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_puts_share_an_fdatasync() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (syncs, puts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, sum) = (syncs.clone(), puts.clone());
    let options = Options {
        on_sync: Some(Arc::new(move |_, group| {
            count.fetch_add(1, Ordering::SeqCst);
            sum.fetch_add(group, Ordering::SeqCst);
        })),
        ..Options::default()
    };
    let store = open_with(dir.path(), options);
    let all = (0..64).map(|seed| {
        let store = store.clone();
        tokio::spawn(async move { put(&store, &noise(seed, 2000)).await })
    });
    futures::future::join_all(all).await;
    drop(store);
    assert_eq!(puts.load(Ordering::SeqCst), 64);
    assert!(syncs.load(Ordering::SeqCst) < 60, "{syncs:?}");
}

#[tokio::test]
async fn blocks_reserved_ahead_are_given_back() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    put(&store, &noise(1, 100)).await;
    drop(store); // as a killed process leaves it
    let reserved = disk_use(dir.path());
    let store = open(dir.path());
    let reopened = disk_use(dir.path());
    assert!(reopened <= 16 << 10, "{reserved} -> {reopened} bytes");
    put(&store, &noise(2, 100)).await;
    store.close().await.expect("close");
    assert!(disk_use(dir.path()) <= 16 << 10);
}
