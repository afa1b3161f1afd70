//! Releasing, collecting, and crashes in the middle of it.

use crate::common::*;
use blob_packs::{Options, PackStore, Step};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::{BlobRef, BlobStore, ErrorKind, StorageError};

async fn collect(store: &PackStore) -> blob_packs::Collected {
    store.collect(async |_| Ok(false)).await.expect("collect")
}

async fn fill(store: &PackStore, bodies: &[Bytes]) -> Vec<BlobRef> {
    let mut blobs = Vec::new();
    for body in bodies {
        blobs.push(put(store, body).await);
    }
    blobs
}

async fn is_gone(store: &PackStore, blob: &BlobRef) -> bool {
    match get(store, blob).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::NotFound);
            true
        }
    }
}

#[tokio::test]
async fn space_returns_and_old_references_work() {
    let dir = tempfile::tempdir().expect("tempdir");
    let options = Options {
        pack_bytes: 200_000,
        ..eager()
    };
    let store = open_with(dir.path(), options.clone());
    let bodies: Vec<Bytes> = (0..200).map(|seed| noise(seed, 9000)).collect();
    let blobs = fill(&store, &bodies).await;
    let before = disk_use(dir.path());
    for blob in blobs.iter().filter(|blob| blob.hash.0[0] % 10 > 0) {
        store.release(&blob.hash).await.expect("release");
    }
    let collected = collect(&store).await;
    let gone = blobs.iter().filter(|blob| blob.hash.0[0] % 10 > 0).count();
    assert_eq!(collected.blobs, gone as u64);
    let after = disk_use(dir.path());
    assert!(after * 5 < before, "{before} -> {after} bytes on disk");
    let mut store = store;
    for _ in 0..2 {
        for (blob, body) in blobs.iter().zip(&bodies) {
            if blob.hash.0[0] % 10 > 0 {
                assert!(is_gone(&store, blob).await);
                assert_eq!(store.stat(&blob.hash).await.expect("stat"), None);
            } else {
                assert!(get(&store, blob).await.expect("alive") == *body);
                assert!(store.get(blob, 100..200).await.expect("range") == body.slice(100..200));
            }
        }
        for (answer, body) in store.get_many(&blobs).await.into_iter().zip(&bodies) {
            assert!(answer.is_err() || answer.expect("bytes") == *body);
        }
        assert_eq!(collect(&store).await, blob_packs::Collected::default());
        store.close().await.expect("close");
        store = open_with(dir.path(), options.clone());
    }
}

#[tokio::test]
async fn everything_dead_leaves_no_pack_behind() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open_with(dir.path(), eager());
    for blob in fill(&store, &(0..50).map(|i| noise(i, 900)).collect::<Vec<_>>()).await {
        store.release(&blob.hash).await.expect("release");
    }
    store.seal_active().await.expect("seal");
    assert_eq!(collect(&store).await.blobs, 50);
    assert_eq!(packs(dir.path()).len(), 1);
    assert_eq!(store.stats().blobs, 0);
}

#[tokio::test]
async fn cold_packs_are_compressed_and_read_the_same() {
    let dir = tempfile::tempdir().expect("tempdir");
    let clock = Clock::default();
    let options = clock.clone().set(Options {
        pack_bytes: 100_000,
        cold_after: Some(Duration::from_secs(1000)),
        ..Options::default()
    });
    let store = open_with(dir.path(), options);
    let bodies: Vec<Bytes> = (0..40)
        .map(|i| {
            if i % 4 == 0 {
                noise(i, 8000)
            } else {
                text(i, 8000)
            }
        })
        .collect();
    let blobs = fill(&store, &bodies).await;
    store.seal_active().await.expect("seal");
    let before = disk_use(dir.path());
    assert_eq!(collect(&store).await.packs, 0);
    clock.advance(1001);
    assert!(collect(&store).await.packs > 1);
    assert!(disk_use(dir.path()) < before / 2);
    assert_eq!(collect(&store).await.packs, 0, "once is enough");
    for (blob, body) in blobs.iter().zip(&bodies) {
        assert!(get(&store, blob).await.expect("get") == *body);
        assert!(store.get(blob, 7000..8000).await.expect("range") == body.slice(7000..8000));
        let error = store.get(blob, 0..8001).await.expect_err("outside");
        assert_eq!(error.kind, ErrorKind::Invalid);
        store.verify(&blob.hash).await.expect("verify");
        put(&store, body).await;
        assert_eq!(store.stats().blobs, 40);
    }
    let fresh: Vec<BlobRef> = blobs
        .iter()
        .map(|blob| BlobRef { hint: 0, ..*blob })
        .collect();
    for (answer, body) in store.get_many(&fresh).await.into_iter().zip(&bodies) {
        assert!(answer.expect("get_many") == *body);
    }
}

#[tokio::test]
async fn a_released_blob_stays_for_the_grace_period() {
    let dir = tempfile::tempdir().expect("tempdir");
    let clock = Clock::default();
    let options = || {
        clock.clone().set(Options {
            grace: Duration::from_secs(100),
            ..eager()
        })
    };
    let store = open_with(dir.path(), options());
    let blobs = fill(&store, &[noise(1, 5000), noise(2, 5000), noise(3, 5000)]).await;
    store.release(&blobs[0].hash).await.expect("release");
    clock.advance(60);
    store.release(&blobs[1].hash).await.expect("release");
    store
        .release(&blobs[0].hash)
        .await
        .expect("the first one counts");
    assert_eq!(collect(&store).await.blobs, 0);
    store.close().await.expect("close");
    clock.advance(50);
    let store = open_with(dir.path(), options());
    assert_eq!(collect(&store).await.blobs, 1);
    assert!(is_gone(&store, &blobs[0]).await);
    clock.advance(60);
    assert_eq!(collect(&store).await.blobs, 1);
    assert!(is_gone(&store, &blobs[1]).await);
    assert!(!is_gone(&store, &blobs[2]).await);
}

#[tokio::test]
async fn a_release_moves_with_its_record() {
    let dir = tempfile::tempdir().expect("tempdir");
    let clock = Clock::default();
    let options = clock.clone().set(Options {
        grace: Duration::from_secs(100),
        pack_bytes: 1 << 20,
        ..eager()
    });
    let store = open_with(dir.path(), options.clone());
    let blobs = fill(
        &store,
        &[noise(1, 50_000), noise(2, 50_000), noise(3, 50_000)],
    )
    .await;
    store.release(&blobs[0].hash).await.expect("release");
    clock.advance(60);
    store.release(&blobs[1].hash).await.expect("release");
    clock.advance(60);
    assert_eq!(collect(&store).await.blobs, 1);
    assert!(get(&store, &blobs[1]).await.expect("in its grace period") == noise(2, 50_000));
    store.close().await.expect("close");
    let store = open_with(dir.path(), options);
    clock.advance(60);
    assert_eq!(collect(&store).await.blobs, 1);
    assert!(is_gone(&store, &blobs[1]).await && !is_gone(&store, &blobs[2]).await);
}

#[tokio::test]
async fn a_put_takes_the_release_back_for_good() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open_with(dir.path(), eager());
    let bodies: Vec<Bytes> = (0..20).map(|seed| noise(seed, 1500)).collect();
    let blobs = fill(&store, &bodies).await;
    for blob in &blobs {
        store.release(&blob.hash).await.expect("release");
    }
    fill(&store, &bodies[..10]).await;
    // Neither the running store nor one opened after a crash may collect what was put again.
    let crashed = tempfile::tempdir().expect("tempdir");
    copy(dir.path(), crashed.path());
    for store in [store, open_with(crashed.path(), eager())] {
        store.seal_active().await.expect("seal");
        assert_eq!(collect(&store).await.blobs, 10);
        for (i, (blob, body)) in blobs.iter().zip(&bodies).enumerate() {
            if i < 10 {
                assert!(get(&store, blob).await.expect("put again") == *body);
            } else {
                assert!(is_gone(&store, blob).await);
            }
        }
    }
}

#[tokio::test]
async fn what_is_linked_is_not_collected_whatever_was_released() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open_with(dir.path(), eager());
    let blobs = fill(&store, &[noise(1, 5000), noise(2, 5000)]).await;
    for blob in &blobs {
        store.release(&blob.hash).await.expect("release");
    }
    let kept = blobs[0].hash;
    let collected = store.collect(|hash| async move { Ok(hash == kept) }).await;
    assert_eq!(collected.expect("collect").blobs, 1);
    assert_eq!(collect(&store).await.blobs, 0, "the release was taken back");
    assert!(!is_gone(&store, &blobs[0]).await && is_gone(&store, &blobs[1]).await);
    let failed = store.release(&kept).await;
    failed.expect("release");
    let error = StorageError::unavailable("links cannot be read");
    let failed = store
        .collect(|_| std::future::ready(Err(error.clone())))
        .await;
    assert_eq!(failed.expect_err("told").kind, ErrorKind::Unavailable);
    assert!(!is_gone(&store, &blobs[0]).await);
}

type Copies = Arc<Mutex<Vec<(Step, PathBuf)>>>;

/// Copies the directory at every step of a compaction.
fn copying(dir: PathBuf, root: PathBuf, copies: Copies) -> Options {
    Options {
        on_step: Some(Arc::new(move |step| {
            if !matches!(step, Step::Append | Step::Sync) {
                let mut copies = copies.lock().expect("lock");
                let to = root.join(copies.len().to_string());
                copy(&dir, &to);
                copies.push((step, to));
            }
            Ok(())
        })),
        pack_bytes: 20_000,
        ..eager()
    }
}

async fn check_copy(
    dir: &Path,
    bodies: &[Bytes],
    blobs: &[BlobRef],
    alive: impl Fn(usize) -> bool,
) {
    let options = Options {
        pack_bytes: 20_000,
        ..eager()
    };
    for round in 0..3 {
        let store = open_with(dir, options.clone());
        for (i, (blob, body)) in blobs.iter().zip(bodies).enumerate() {
            for hint in [blob.hint, 0] {
                let asked = BlobRef { hint, ..*blob };
                match get(&store, &asked).await {
                    Ok(found) => assert!(found == *body),
                    Err(error) => {
                        assert!(!alive(i), "blob {i} is lost: {error}");
                        assert_eq!(error.kind, ErrorKind::NotFound);
                    }
                }
            }
        }
        if round == 1 {
            // What is dead goes in the end, what is not stays.
            collect(&store).await;
        }
        if round == 2 {
            let left = store.stats().blobs as usize;
            let expected = (0..blobs.len()).filter(|i| alive(*i)).count();
            assert!(left >= expected);
            assert!(files(dir, "tmp").is_empty());
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_step_loses_nothing() {
    let (dir, root) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let copies = Copies::default();
    let options = copying(dir.path().into(), root.path().into(), copies.clone());
    let store = open_with(dir.path(), options);
    let bodies: Vec<Bytes> = (0..60)
        .map(|i| {
            if i % 2 == 0 {
                noise(i, 2000)
            } else {
                text(i, 2000)
            }
        })
        .collect();
    let blobs = fill(&store, &bodies).await;
    let alive = |i: usize| i.is_multiple_of(3);
    copies.lock().expect("lock").clear();
    for (i, blob) in blobs.iter().enumerate() {
        if !alive(i) {
            store.release(&blob.hash).await.expect("release");
        }
    }
    assert!(collect(&store).await.packs > 3);
    drop(store);
    let copies = std::mem::take(&mut *copies.lock().expect("lock"));
    for step in [
        Step::Seal,
        Step::CompactWritten,
        Step::CompactNamed,
        Step::CompactIndexed,
        Step::CompactHalfRemoved,
        Step::CompactDone,
    ] {
        assert!(copies.iter().any(|(seen, _)| *seen == step), "{step:?}");
    }
    for (_, copy) in copies {
        check_copy(&copy, &bodies, &blobs, alive).await;
    }
}

#[tokio::test]
async fn a_disk_error_at_any_step_loses_nothing() {
    for fail in [
        Step::Seal,
        Step::CompactWritten,
        Step::CompactNamed,
        Step::CompactIndexed,
        Step::CompactHalfRemoved,
        Step::CompactDone,
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let armed = Arc::new(AtomicBool::new(false));
        let hook = armed.clone();
        let options = Options {
            on_step: Some(Arc::new(move |step| {
                if step == fail && hook.load(Ordering::SeqCst) {
                    return Err(std::io::Error::other("the disk says no"));
                }
                Ok(())
            })),
            pack_bytes: 20_000,
            ..eager()
        };
        let store = open_with(dir.path(), options);
        let bodies: Vec<Bytes> = (0..30).map(|i| noise(i, 2000)).collect();
        let blobs = fill(&store, &bodies).await;
        for blob in &blobs[..20] {
            store.release(&blob.hash).await.expect("release");
        }
        // No pack is being sealed behind our back, and the active one holds something to be sealed.
        store.seal_active().await.expect("sealed");
        put(&store, &noise(98, 50)).await;
        armed.store(true, Ordering::SeqCst);
        let failed = if fail == Step::Seal {
            store.seal_active().await
        } else {
            store.collect(async |_| Ok(false)).await.map(|_| ())
        };
        assert!(failed.is_err(), "{fail:?}");
        for (blob, body) in blobs.iter().zip(&bodies).skip(20) {
            assert!(get(&store, blob).await.expect("alive") == *body, "{fail:?}");
        }
        put(&store, &noise(99, 50)).await;
        armed.store(false, Ordering::SeqCst);
        collect(&store).await;
        drop(store);
        check_copy(dir.path(), &bodies, &blobs, |i| i >= 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_during_a_compaction_keeps_what_was_about_to_go() {
    let dir = tempfile::tempdir().expect("dir");
    let store: Arc<Mutex<Option<Arc<PackStore>>>> = Arc::default();
    let (inner, rounds) = (store.clone(), Arc::new(AtomicUsize::new(0)));
    let (runtime, count) = (tokio::runtime::Handle::current(), rounds.clone());
    let options = Options {
        on_step: Some(Arc::new(move |step| {
            let store = inner.lock().expect("lock").clone();
            if let (Step::CompactWritten, Some(store)) = (step, store) {
                let seed = count.fetch_add(1, Ordering::SeqCst) as u64;
                if seed < 3 {
                    runtime.block_on(put(&store, &noise(seed, 3000)));
                }
            }
            Ok(())
        })),
        pack_bytes: 1 << 20,
        ..eager()
    };
    let opened = open_with(dir.path(), options);
    let bodies: Vec<Bytes> = (0..20).map(|i| noise(i, 3000)).collect();
    let blobs = fill(&opened, &bodies).await;
    for blob in &blobs {
        opened.release(&blob.hash).await.expect("release");
    }
    opened.seal_active().await.expect("seal");
    *store.lock().expect("lock") = Some(opened.clone());
    assert_eq!(collect(&opened).await.blobs, 17);
    assert_eq!(rounds.load(Ordering::SeqCst), 4);
    for (i, (blob, body)) in blobs.iter().zip(&bodies).enumerate() {
        if i < 3 {
            assert!(get(&opened, blob).await.expect("put again") == *body);
        } else {
            assert!(is_gone(&opened, blob).await);
        }
    }
    store.lock().expect("lock").take();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deliveries_releases_and_the_collector_never_race() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open_with(dir.path(), eager());
    let done = Arc::new(AtomicBool::new(false));
    let collector = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut collected = 0;
            while !done.load(Ordering::SeqCst) {
                let _ = store.collect(async |_| Ok(false)).await.expect("collect");
                collected += 1;
                tokio::task::yield_now().await;
            }
            collected
        }
    });
    let workers = (0..6u64).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..60u64 {
                let body = noise(worker * 10 + round % 3, 1500);
                let blob = put(&store, &body).await;
                assert!(get(&store, &blob).await.expect("just put") == body);
                let unhinted = BlobRef { hint: 0, ..blob };
                assert!(get(&store, &unhinted).await.expect("just put") == body);
                if round % 3 > 0 {
                    store.release(&blob.hash).await.expect("release");
                }
            }
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker.expect("worker");
    }
    done.store(true, Ordering::SeqCst);
    assert!(collector.await.expect("collector") > 1);
    for worker in 0..6 {
        let body = noise(worker * 10, 1500);
        let blob = store
            .stat(&hash(&body))
            .await
            .expect("stat")
            .expect("never released");
        assert!(get(&store, &blob).await.expect("alive") == body);
    }
}

#[tokio::test]
async fn damaged_records_stay_damaged_when_they_are_moved() {
    for in_header in [false, true] {
        let dir = tempfile::tempdir().expect("dir");
        let store = open_with(
            dir.path(),
            Options {
                pack_bytes: 1 << 20,
                ..eager()
            },
        );
        let bodies: Vec<Bytes> = (0..10).map(|i| text(i, 3000)).collect();
        let blobs = fill(&store, &bodies).await;
        store.seal_active().await.expect("seal");
        let offset = (blobs[4].hint & ((1 << 40) - 1)) as usize;
        let path = packs(dir.path()).remove(0);
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[offset + if in_header { 20 } else { 500 }] ^= 1;
        std::os::unix::fs::FileExt::write_all_at(
            &std::fs::File::options()
                .write(true)
                .open(&path)
                .expect("open"),
            &bytes,
            0,
        )
        .expect("write");
        for dead in [&blobs[0], &blobs[5], &blobs[9]] {
            store.release(&dead.hash).await.expect("release");
        }
        assert_eq!(collect(&store).await.blobs, 3);
        for (i, (blob, body)) in blobs.iter().zip(&bodies).enumerate() {
            match (i, get(&store, blob).await) {
                (0 | 5 | 9, found) => {
                    assert_eq!(found.expect_err("gone").kind, ErrorKind::NotFound);
                }
                (4, found) => assert_eq!(found.expect_err("bad").kind, ErrorKind::Corrupt),
                (_, found) => assert!(found.expect("sound") == *body),
            }
        }
        put(&store, &bodies[4]).await;
        assert!(get(&store, &blobs[4]).await.expect("healed") == bodies[4]);
    }
}

/// Options of a file system with as many bytes free as `free` says.
fn with_free(free: &Arc<AtomicUsize>, options: Options) -> Options {
    let free = free.clone();
    Options {
        min_free_bytes: 10_000,
        free: Arc::new(move |_| Ok(free.load(Ordering::SeqCst) as u64)),
        ..options
    }
}

#[tokio::test]
async fn with_too_little_room_a_compaction_gives_up_and_is_tried_again() {
    let dir = tempfile::tempdir().expect("tempdir");
    let free = Arc::new(AtomicUsize::new(usize::MAX));
    let store = open_with(dir.path(), with_free(&free, eager()));
    let bodies: Vec<Bytes> = (0..60).map(|seed| noise(seed, 1000)).collect();
    let blobs = fill(&store, &bodies).await;
    store.seal_active().await.expect("seal");
    for blob in blobs.iter().step_by(2) {
        store.release(&blob.hash).await.expect("release");
    }
    let names = files(dir.path(), "pack");
    let before = disk_use(dir.path());
    // Less than one pack more than what is to stay free.
    free.store(11_000, Ordering::SeqCst);
    let error = store.collect(async |_| Ok(false)).await.expect_err("room");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.context.contains("too little room"), "{error}");
    assert_eq!(files(dir.path(), "pack"), names);
    let is_pack = |path: &PathBuf| path.to_string_lossy().ends_with(".pack.tmp");
    // An index may just be being written.
    assert!(!files(dir.path(), "tmp").iter().any(is_pack));
    // Deliveries go on.
    let more = put(&store, &noise(1000, 500)).await;
    // Room for one pack, not for all: they are rewritten one by one.
    free.store(16_000, Ordering::SeqCst);
    let collected = collect(&store).await;
    assert_eq!(collected.blobs, 30);
    assert!(disk_use(dir.path()) < before);
    for (i, blob) in blobs.iter().enumerate() {
        if i % 2 == 0 {
            assert!(is_gone(&store, blob).await);
        } else {
            assert!(get(&store, blob).await.expect("alive") == bodies[i]);
        }
    }
    assert!(get(&store, &more).await.expect("alive") == noise(1000, 500));
}

#[tokio::test]
async fn what_nobody_links_to_and_nobody_released_is_found() {
    let dir = tempfile::tempdir().expect("tempdir");
    let clock = Clock::default();
    let options = Options {
        grace: Duration::from_secs(100),
        ..eager()
    };
    let store = open_with(dir.path(), clock.clone().set(options));
    let bodies: Vec<Bytes> = (0..40).map(|seed| noise(seed, 1000)).collect();
    let blobs = fill(&store, &bodies).await;
    let linked = |hash: types::BlobHash| async move { Ok(hash.0[0].is_multiple_of(2)) };
    let unlinked = blobs.iter().filter(|blob| blob.hash.0[0] % 2 == 1).count() as u64;
    assert_eq!(
        store.release_unlinked(linked).await.expect("look"),
        unlinked
    );
    assert_eq!(store.release_unlinked(linked).await.expect("look"), 0);
    assert_eq!(store.collect(linked).await.expect("collect").blobs, 0);
    clock.advance(101);
    store.seal_active().await.expect("seal");
    assert_eq!(
        store.collect(linked).await.expect("collect").blobs,
        unlinked
    );
    for (blob, body) in blobs.iter().zip(&bodies) {
        if blob.hash.0[0].is_multiple_of(2) {
            assert!(get(&store, blob).await.expect("alive") == *body);
        } else {
            assert!(is_gone(&store, blob).await);
        }
    }
}

/// Parts of a long compressed blob are read without all of it.
#[tokio::test]
async fn parts_of_long_compressed_blobs() {
    let dir = tempfile::tempdir().expect("tempdir");
    let clock = Clock::default();
    let options = || {
        let cold_after = Some(Duration::from_secs(1000));
        clock.clone().set(Options {
            cold_after,
            ..eager()
        })
    };
    let store = open_with(dir.path(), options());
    let body: Bytes = [text(1, 3 << 20), noise(2, 100_000), text(3, 100_000)]
        .concat()
        .into();
    let blob = put(&store, &body).await;
    store.seal_active().await.expect("sealed");
    clock.advance(2000);
    store.collect(async |_| Ok(true)).await.expect("collected");
    assert!(store.stats().bytes < 1 << 20, "compressed");
    let size = body.len() as u32;
    let mut parts = vec![(0, 1), (0, size - 1), (1, size), (size - 1, size), (7, 7)];
    parts.extend(
        (0..size)
            .step_by(300_001)
            .map(|at| (at, (at + 300_001).min(size))),
    );
    for (from, to) in parts {
        let part = store.get(&blob, from..to).await.expect("a part");
        assert!(part == body[from as usize..to as usize], "{from}..{to}");
    }
    store.verify(&blob.hash).await.expect("whole");
    // Damage in the middle is found by who reads all of it.
    drop(store);
    let long = |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.len() > 50_000);
    let path = packs(dir.path()).into_iter().find(long).expect("a pack");
    let mut bytes = std::fs::read(&path).expect("read");
    let middle = bytes.len() - 60_000;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let store = open_with(dir.path(), options());
    let error = store.verify(&blob.hash).await.expect_err("damaged");
    assert_eq!(error.kind, ErrorKind::Corrupt);
}
