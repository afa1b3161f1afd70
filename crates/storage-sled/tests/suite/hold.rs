//! A moment that is copied away while commits, exports and segments go on.

use crate::support::{A, Place};
use std::fs;
use std::path::Path;
use storage::{Batch, MetaStore};
use storage_sled::{Held, SledStore};
use types::AccountId;

fn put(key: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(key.to_be_bytes().to_vec(), vec![7; 300]);
    batch
}

/// Copies what is held, as a backup does.
fn copy(from: &Path, to: &Path, held: &Held) {
    for file in &held.files {
        let target = to.join(&file.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = fs::read(from.join(&file.path)).unwrap();
        bytes.truncate(usize::try_from(file.length).unwrap());
        fs::write(target, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_held_moment_opens_elsewhere_with_every_commit_up_to_it_and_none_behind() {
    for export in [false, true] {
        let mut place = Place::new();
        if export {
            place.export_always();
        }
        let store = place.open();
        for key in 0..200u32 {
            let account = if key % 2 == 0 { A } else { AccountId(8) };
            store.commit(account, put(key)).await.unwrap().relax();
        }
        let held = store.hold().unwrap();
        assert_eq!(held.sequence, 200);
        for key in 200..400u32 {
            store
                .commit(A, put(key))
                .await
                .unwrap()
                .durable()
                .await
                .unwrap();
        }
        let elsewhere = Place::new();
        copy(place.dir.path(), elsewhere.dir.path(), &held);
        drop(held);
        let copied = elsewhere.open();
        assert_eq!(copied.id(), store.id());
        // As after a power loss: what was not in the copy may have been told to somebody.
        assert_eq!(copied.generation(), store.generation() + 1);
        for key in 0..400u32 {
            let account = if key % 2 == 0 || key >= 200 {
                A
            } else {
                AccountId(8)
            };
            let value = copied.get(account, &key.to_be_bytes()).await.unwrap();
            assert_eq!(value.is_some(), key < 200, "key {key}");
        }
        copied.close().await.unwrap();
        store.close().await.unwrap();
    }
}

/// Commits until there were two more exports: the first has dropped what it makes superfluous.
async fn two_exports(place: &Place, store: &SledStore) {
    let until = place.seen.exports() + 2;
    for key in 0u32.. {
        store
            .commit(A, put(key % 50))
            .await
            .unwrap()
            .durable()
            .await
            .unwrap();
        if place.seen.exports() >= until {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_held_stays_and_goes_with_a_later_export() {
    let mut place = Place::new();
    place.export_always();
    let store = place.open();
    two_exports(&place, &store).await;
    let held = store.hold().unwrap();
    for _ in 0..3 {
        two_exports(&place, &store).await;
    }
    for file in &held.files {
        assert!(place.path("").join(&file.path).exists(), "{:?}", file.path);
    }
    assert!(place.exports().len() > 4);
    drop(held);
    two_exports(&place, &store).await;
    store.close().await.unwrap();
    assert_eq!(place.exports().len(), 2);
    assert!(store.hold().is_err());
}
