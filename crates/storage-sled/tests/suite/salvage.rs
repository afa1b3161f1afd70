//! What can still be made of damaged files, and damage that nobody needs to know of yet.

use crate::support::{Place, content, entries, flip, put};
use std::fs;
use storage::{ErrorKind, MetaStore};
use storage_sled::SledStore;

/// A closed store of so many entries.
async fn closed(count: u64) -> Place {
    let place = Place::new();
    let store = place.open();
    for number in 0..count {
        put(&store, number).await;
    }
    store.close().await.unwrap();
    place
}

#[tokio::test]
async fn a_damaged_log_gives_what_lies_before_the_damage() {
    let mut place = closed(40).await;
    let records = place.records();
    for damaged in [30, 17, 1] {
        let (path, offset, _) = &records[damaged];
        flip(path, offset + 8);
        let _ = fs::remove_dir_all(place.path("index"));
        assert_eq!(place.try_open().err().unwrap().kind, ErrorKind::Corrupt);
        place.options.salvage = true;
        let store = place.open();
        assert!(store.generation() > 0);
        assert_eq!(content(&store).await, entries(damaged as u64));
        store.close().await.unwrap();
        place.options.salvage = false;
        let store = place.open();
        assert_eq!(content(&store).await, entries(damaged as u64));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_whole_index_needs_no_log() {
    for lost in ["all", "end"] {
        let mut place = closed(40).await;
        match lost {
            "all" => place
                .segments()
                .iter()
                .for_each(|path| fs::remove_file(path).unwrap()),
            _ => {
                let (path, offset, _) = place.records().pop().unwrap();
                flip(&path, offset + 8);
            }
        }
        assert_eq!(place.try_open().err().unwrap().kind, ErrorKind::Corrupt);
        place.options.salvage = true;
        let store = place.open();
        assert_eq!(content(&store).await, entries(40));
        put(&store, 40).await;
        store.trim().await.unwrap();
        store.close().await.unwrap();
        place.options.salvage = false;
        // The exports that were written lead to all of it.
        fs::remove_dir_all(place.path("index")).unwrap();
        assert_eq!(content(&place.open()).await, entries(41), "{lost}");
    }
}

#[tokio::test]
async fn an_old_index_does_not_stand_for_a_lost_log() {
    let mut place = closed(20).await;
    crate::support::copy_tree(&place.path("index"), &place.path("old"));
    let store = place.open();
    for number in 20..40 {
        put(&store, number).await;
    }
    store.close().await.unwrap();
    fs::remove_dir_all(place.path("index")).unwrap();
    fs::rename(place.path("old"), place.path("index")).unwrap();
    for path in place.segments() {
        fs::remove_file(path).unwrap();
    }
    place.options.salvage = true;
    assert_eq!(content(&place.open()).await, entries(0));
}

#[tokio::test]
async fn silent_damage_is_told_and_a_new_export_mends_it() {
    let mut place = Place::new();
    place.export_always();
    let store = place.open();
    let mut number = 0;
    while place.seen.exports() < 3 {
        put(&store, number).await;
        number += 1;
    }
    store.close().await.unwrap();
    place.options.export_every = u64::MAX / 2;
    let store = place.open();
    assert_eq!(store.damaged_files().await.unwrap(), Vec::<String>::new());
    let newest = place.exports().pop().unwrap();
    flip(&newest, 60);
    let told = store.damaged_files().await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(newest.file_name().unwrap().to_str().unwrap()));
    store.trim().await.unwrap();
    assert_eq!(store.damaged_files().await.unwrap(), Vec::<String>::new());
    assert_eq!(place.exports().len(), 2);
    drop(store);
    fs::remove_dir_all(place.path("index")).unwrap();
    assert_eq!(content(&place.open()).await, entries(number));
}

#[tokio::test]
async fn a_store_exists_while_anything_of_it_is_there() {
    let place = closed(5).await;
    assert!(SledStore::exists(place.dir.path()));
    fs::remove_file(place.path("MANIFEST")).unwrap();
    assert!(SledStore::exists(place.dir.path()));
    fs::remove_dir_all(place.path("log")).unwrap();
    assert!(!SledStore::exists(place.dir.path()));
    assert!(!SledStore::exists(&place.path("nowhere")));
}
