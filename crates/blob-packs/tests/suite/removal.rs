//! What a power cut leaves of packs that were being removed is neither taken for damage nor for
//! loss.

use crate::common::*;
use blob_packs::{Collected, Options, PackStore, Step};
use bytes::Bytes;
use std::path::Path;
use std::sync::{Arc, Mutex};
use storage::{BlobRef, BlobStore};
use testkit::corpus::Chance;
use testkit::disk::{Fault, Faults, FuseDisk, Shelf, unavailable};

/// Removes everything from a store but each `keep`-th blob; 0: everything.
async fn emptied(store: &PackStore, keep: usize) -> (Vec<Bytes>, Vec<BlobRef>) {
    let (mut bodies, mut blobs) = (Vec::new(), Vec::new());
    for seed in 0..24 {
        let body = noise(seed, 1500);
        let blob = put(store, &body).await;
        if keep > 0 && (seed as usize).is_multiple_of(keep) {
            bodies.push(body);
            blobs.push(blob);
        } else {
            store.release(&blob.hash).await.expect("release");
        }
    }
    store.seal_active().await.expect("sealed");
    (bodies, blobs)
}

/// Nothing is missing or damaged, and what lives can be read wherever it is looked for.
async fn assert_whole(what: &str, dir: &Path, bodies: &[Bytes], blobs: &[BlobRef]) {
    for _ in 0..2 {
        let store = open_with(dir, eager());
        assert_eq!(store.missing(), [], "{what}");
        assert_eq!(store.stats().damaged_bytes, 0, "{what}");
        for (blob, body) in blobs.iter().zip(bodies) {
            for hint in [blob.hint, 0] {
                let found = get(&store, &BlobRef { hint, ..*blob }).await;
                assert!(found.expect(what) == *body, "{what}");
            }
        }
        // A delivery of the same bytes does not rely on what is not there.
        let again = noise(1, 1500);
        let blob = put(&store, &again).await;
        assert!(get(&store, &blob).await.expect(what) == again, "{what}");
    }
}

/// The packs and indexes as they are when the first is about to go.
async fn about_to_go(dir: &Path, copied: &Path, keep: usize) -> (Vec<Bytes>, Vec<BlobRef>) {
    let (from, to) = (dir.to_owned(), copied.to_owned());
    let options = Options {
        on_step: Some(Arc::new(move |step| {
            if step == Step::CompactIndexed && !to.exists() {
                copy(&from, &to);
            }
            Ok(())
        })),
        pack_bytes: 1 << 20,
        ..eager()
    };
    let store = open_with(dir, options);
    let alive = emptied(&store, keep).await;
    let collected = store.collect(async |_| Ok(false)).await.expect("collect");
    assert_eq!(collected.packs, 1);
    alive
}

#[tokio::test]
async fn a_replaced_pack_may_come_back_in_any_part() {
    let root = tempfile::tempdir().expect("dir");
    let copied = root.path().join("copy");
    let (bodies, blobs) = about_to_go(&root.path().join("live"), &copied, 3).await;
    for (pack, index) in [(true, true), (true, false), (false, true), (false, false)] {
        let what = format!("pack {pack}, index {index}");
        let dir = root.path().join(&what);
        copy(&copied, &dir);
        for (there, name) in [(pack, "pack-000001.pack"), (index, "pack-000001.idx")] {
            if !there {
                std::fs::remove_file(dir.join(name)).expect("remove");
            }
        }
        assert_whole(&what, &dir, &bodies, &blobs).await;
        for name in ["pack-000001.pack", "pack-000001.idx"] {
            assert!(!dir.join(name).exists(), "{what}: {name} is left");
        }
    }
}

/// Nothing takes the place of a pack in which everything is dead: what comes back of it is garbage,
/// which goes again.
#[tokio::test]
async fn a_dead_pack_may_come_back_with_its_index_or_without() {
    let root = tempfile::tempdir().expect("dir");
    let copied = root.path().join("copy");
    about_to_go(&root.path().join("live"), &copied, 0).await;
    for index in [true, false] {
        let what = format!("index {index}");
        let dir = root.path().join(&what);
        copy(&copied, &dir);
        if !index {
            std::fs::remove_file(dir.join("pack-000001.idx")).expect("remove");
        }
        assert_whole(&what, &dir, &[], &[]).await;
        let store = open_with(&dir, eager());
        let released = store.release_unlinked(async |_| Ok(false)).await;
        released.expect("release");
        assert_ne!(
            store.collect(async |_| Ok(false)).await.expect("collect"),
            Collected::default()
        );
        assert!(!dir.join("pack-000001.pack").exists());
    }
}

/// That an index without its pack, which means a loss, cannot be what a power cut leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_power_cut_leaves_an_index_without_its_pack() {
    if let Some(reason) = unavailable() {
        assert!(std::env::var_os("CI").is_none(), "not tested: {reason}");
        eprintln!("!!! NOT TESTED: {reason} !!!");
        return;
    }
    let shelf = Shelf::new().expect("a directory for disks");
    for keep in [0, 3] {
        let disk = FuseDisk::new(&shelf.dir().join(format!("disk{keep}"))).expect("a disk");
        let disk = Arc::new(Mutex::new(disk));
        let dir = disk.lock().expect("lock").dir().join("packs");
        let hook = disk.clone();
        let options = Options {
            on_step: Some(Arc::new(move |step| {
                if step == Step::CompactHalfRemoved {
                    // What follows is done, and never becomes durable.
                    hook.lock().expect("lock").set_faults(Faults {
                        sync: Some(Fault::Broken),
                        ..Faults::default()
                    });
                }
                Ok(())
            })),
            pack_bytes: 1 << 20,
            ..eager()
        };
        let store = open_with(&dir, options);
        let (bodies, blobs) = emptied(&store, keep).await;
        let failed = store.collect(async |_| Ok(false)).await;
        failed.expect_err("a directory that cannot be synced");
        let mut chance = Chance::new(11);
        for round in 0..24 {
            let at = shelf.dir().join(format!("cut{keep}-{round}"));
            let (cut, how) = {
                let disk = disk.lock().expect("lock");
                disk.cut(&at, &mut chance).expect("a cut")
            };
            assert_whole(&how, &cut.dir().join("packs"), &bodies, &blobs).await;
        }
        drop(store);
    }
}
