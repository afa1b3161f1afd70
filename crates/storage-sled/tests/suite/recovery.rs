//! What start-up makes of files that a crash, a power loss or a mistake left.

use crate::support::{Place, content, copy_tree, entries, flip, overwrite, put, put_relaxed};
use std::fs;
use storage::{ErrorKind, Health, MetaStore};

#[tokio::test]
async fn a_second_opener_is_told_that_the_store_is_in_use() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(place.try_open().err().unwrap().kind, ErrorKind::InUse);
    store.close().await.unwrap();
    let again = place.open();
    assert_eq!(again.health(), Health::Ready);
}

#[tokio::test]
async fn a_newer_format_is_refused_in_words() {
    let place = Place::new();
    drop(place.open());
    fs::write(place.path("FORMAT"), "gatepost-meta 2\n").unwrap();
    let error = place.try_open().err().unwrap();
    assert_eq!(error.kind, ErrorKind::Incompatible);
    assert!(error.context.contains("newer Gatepost"), "{error}");
    fs::remove_file(place.path("FORMAT")).unwrap();
    assert_eq!(
        place.try_open().err().unwrap().kind,
        ErrorKind::Incompatible
    );
}

#[tokio::test]
async fn a_closed_store_answers_unavailable_and_reopens_unchanged() {
    let place = Place::new();
    for round in 0..3 {
        let store = place.open();
        assert_eq!(store.generation(), 0);
        put(&store, round).await;
        store.close().await.unwrap();
        store.close().await.unwrap();
        let error = store.get(crate::support::A, b"k").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
    }
    assert_eq!(content(&place.open()).await, entries(3));
}

#[tokio::test]
async fn a_lost_index_comes_back_from_the_log() {
    for close in [false, true] {
        let place = Place::new();
        let store = place.open();
        for number in 0..100 {
            put_relaxed(&store, number).await;
        }
        if close {
            store.close().await.unwrap();
        }
        drop(store);
        assert!(place.segments().len() > 3);
        fs::remove_dir_all(place.path("index")).unwrap();
        assert_eq!(content(&place.open()).await, entries(100));
    }
}

#[tokio::test]
async fn an_old_copy_of_the_index_is_set_aside() {
    let mut place = Place::new();
    place.export_always();
    let store = place.open();
    for number in 0..10 {
        put(&store, number).await;
    }
    store.close().await.unwrap();
    copy_tree(&place.path("index"), &place.path("month-old"));
    let store = place.open();
    let enough = place.seen.exports() + 3;
    let mut number = 10;
    while place.seen.exports() < enough {
        put(&store, number).await;
        number += 1;
    }
    drop(store);
    fs::remove_dir_all(place.path("index")).unwrap();
    fs::rename(place.path("month-old"), place.path("index")).unwrap();
    assert_eq!(content(&place.open()).await, entries(number));
    assert!(place.path("index.bad-1").is_dir());
}

#[tokio::test]
async fn an_index_of_another_store_is_set_aside() {
    let (place, other) = (Place::new(), Place::new());
    for (place, count) in [(&place, 20), (&other, 10)] {
        let store = place.open();
        for number in 0..count {
            put(&store, number).await;
        }
        store.close().await.unwrap();
    }
    fs::remove_dir_all(other.path("index")).unwrap();
    copy_tree(&place.path("index"), &other.path("index"));
    assert_eq!(content(&other.open()).await, entries(10));
    // Log segments of another store are no torn tail.
    let foreign = place.segments().pop().unwrap();
    let own = other.segments().pop().unwrap();
    fs::copy(foreign, own).unwrap();
    assert_eq!(
        other.try_open().err().unwrap().kind,
        ErrorKind::Incompatible
    );
}

#[tokio::test]
async fn an_unreadable_index_is_rebuilt_and_one_bad_one_kept() {
    let place = Place::new();
    let store = place.open();
    for number in 0..50 {
        put(&store, number).await;
    }
    store.close().await.unwrap();
    for round in 1..3 {
        let db = place.path("index/db");
        let length = fs::metadata(&db).unwrap().len() as usize;
        overwrite(&db, 0, &vec![0x5a; length]);
        assert_eq!(content(&place.open()).await, entries(50));
        assert!(place.path(&format!("index.bad-{round}")).is_dir());
        assert!(!place.path(&format!("index.bad-{}", round - 1)).exists());
    }
}

#[tokio::test]
async fn an_index_ahead_of_the_log_is_rebuilt() {
    let (place, later) = (Place::new(), Place::new());
    let store = place.open();
    for number in 0..19 {
        put(&store, number).await;
    }
    drop(store);
    copy_tree(place.dir.path(), later.dir.path());
    let store = later.open();
    put(&store, 19).await;
    store.close().await.unwrap();
    // Nothing in the log shows the last record, but the index knows it.
    fs::remove_dir_all(place.path("index")).unwrap();
    copy_tree(&later.path("index"), &place.path("index"));
    assert_eq!(content(&place.open()).await, entries(19));
    assert!(place.path("index.bad-1").is_dir());
}

#[tokio::test]
async fn a_record_torn_at_any_byte_is_cut_off() {
    let place = Place::new();
    let store = place.open();
    for number in 0..31 {
        put(&store, number).await;
    }
    drop(store);
    let (path, offset, extent) = place.records().pop().unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy_tree(place.dir.path(), kept.path());
    for torn in 0..extent {
        for zeroed in [false, true] {
            fs::remove_dir_all(place.path("log")).unwrap();
            fs::remove_dir_all(place.path("index")).unwrap();
            copy_tree(kept.path(), place.dir.path());
            if zeroed {
                overwrite(&path, offset + torn, &vec![0; (extent - torn) as usize]);
            } else {
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(offset + torn).unwrap();
            }
            let store = place.open();
            let all = content(&store).await;
            // The last few bytes may be padding.
            let whole = extent - torn < 8 && all == entries(31);
            assert!(whole || all == entries(30), "torn at {torn}");
            if torn % 8 == 0 {
                put(&store, 30).await;
                drop(store);
                assert_eq!(content(&place.open()).await, entries(31));
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_last_record_cuts_it_off() {
    let place = Place::new();
    let store = place.open();
    for number in 0..5 {
        put(&store, number).await;
    }
    drop(store);
    let (path, offset, extent) = place.records().pop().unwrap();
    flip(&path, offset + extent / 2);
    assert_eq!(content(&place.open()).await, entries(4));
}

#[tokio::test]
async fn damage_in_front_of_durable_records_is_reported_with_its_place() {
    let place = Place::new();
    let store = place.open();
    for number in 0..40 {
        put(&store, number).await;
    }
    drop(store);
    fs::remove_dir_all(place.path("index")).unwrap();
    let records = place.records();
    for damaged in [0, records.len() / 2, records.len() - 2] {
        let (path, offset, extent) = &records[damaged];
        for at in [0, 8, 16, 24, 32, 40, extent / 2] {
            flip(path, offset + at);
            let error = place.try_open().err().unwrap();
            assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(error.context.contains(name), "{error}");
            assert!(
                error.context.contains(&format!("offset {offset}")),
                "{error}"
            );
            flip(path, offset + at);
        }
    }
    assert_eq!(content(&place.open()).await, entries(40));
}

#[tokio::test]
async fn a_lost_segment_is_reported() {
    for lost in [0, 1] {
        let place = Place::new();
        let store = place.open();
        for number in 0..100 {
            put(&store, number).await;
        }
        drop(store);
        fs::remove_dir_all(place.path("index")).unwrap();
        assert!(place.segments().len() > 2);
        fs::remove_file(&place.segments()[lost]).unwrap();
        assert_eq!(place.try_open().err().unwrap().kind, ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_lost_log_is_reported() {
    let place = Place::new();
    let store = place.open();
    put(&store, 0).await;
    store.close().await.unwrap();
    for segment in place.segments() {
        fs::remove_file(segment).unwrap();
    }
    assert_eq!(place.try_open().err().unwrap().kind, ErrorKind::Corrupt);
}

#[tokio::test]
async fn after_a_power_loss_unsynced_records_go_and_the_generation_rises() {
    let mut place = Place::new();
    place.options.relaxed_sync = std::time::Duration::from_secs(3600);
    let store = place.open();
    for number in 0..20 {
        put(&store, number).await;
    }
    for number in 20..60 {
        put_relaxed(&store, number).await;
    }
    drop(store);
    // The disk got all of the unsynced records but one, which happens to be in an older segment.
    let records = place.records();
    let (path, offset, extent) = &records[21];
    assert_ne!(*path, records[59].0);
    overwrite(path, *offset, &vec![0; *extent as usize]);
    place.options.boot_id = Some("another boot".to_owned());
    let store = place.open();
    assert_eq!(store.generation(), 1);
    assert_eq!(content(&store).await, entries(21));
    for number in 21..40 {
        put(&store, number).await;
    }
    drop(store);
    // The same boot: nothing was lost, nothing rises.
    let store = place.open();
    assert_eq!(store.generation(), 1);
    assert_eq!(content(&store).await, entries(40));
    store.close().await.unwrap();
    // A closed store does not mind a reboot either.
    place.options.boot_id = Some("third boot".to_owned());
    let store = place.open();
    assert_eq!(store.generation(), 1);
    assert_eq!(content(&store).await, entries(40));
    assert!(place.path("index.bad-1").is_dir());
    assert!(!place.path("index.bad-2").exists());
}

#[tokio::test]
async fn a_lost_manifest_counts_as_a_power_loss() {
    let mut place = Place::new();
    for round in 1..3 {
        let store = place.open();
        put(&store, round - 1).await;
        store.close().await.unwrap();
        fs::write(place.path("MANIFEST"), "nonsense").unwrap();
        let store = place.open();
        assert_eq!(store.generation(), round);
        assert_eq!(content(&store).await, entries(round));
        place.options.boot_id = Some(format!("boot {round}"));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn exports_replace_old_log_and_survive_each_others_damage() {
    let mut place = Place::new();
    place.export_always();
    let store = place.open();
    let mut number = 0;
    while place.seen.exports() < 4 {
        put(&store, number).await;
        number += 1;
    }
    drop(store);
    assert_eq!(place.exports().len(), 2);
    assert_ne!(
        place.segments()[0].file_name().unwrap(),
        "0000000000000001.log"
    );
    place.options.export_every = u64::MAX;
    let newest = place.exports().pop().unwrap();
    for damage in [20, 50, fs::metadata(&newest).unwrap().len() - 3] {
        fs::remove_dir_all(place.path("index")).unwrap();
        assert_eq!(content(&place.open()).await, entries(number));
        fs::remove_dir_all(place.path("index")).unwrap();
        let kept = fs::read(&newest).unwrap();
        flip(&newest, damage);
        assert_eq!(
            content(&place.open()).await,
            entries(number),
            "flip at {damage}"
        );
        fs::remove_file(newest.with_extension("damaged")).unwrap();
        fs::write(&newest, kept).unwrap();
    }
    // Without any export the log does not reach back to the beginning.
    for export in place.exports() {
        fs::remove_file(export).unwrap();
    }
    fs::remove_dir_all(place.path("index")).unwrap();
    assert_eq!(place.try_open().err().unwrap().kind, ErrorKind::Corrupt);
}

#[tokio::test]
async fn an_index_that_is_mostly_free_space_is_made_anew() {
    let mut place = Place::new();
    place.options.segment_bytes = 1 << 20;
    let store = place.open();
    put(&store, 0).await;
    for round in 0..2 {
        for first in (0..4000u32).step_by(100) {
            let mut batch = storage::Batch::new();
            for number in first..first + 100 {
                let key = format!("many {number}");
                match round {
                    0 => batch.put(key, vec![7; 1000]),
                    _ => batch.delete(key),
                };
            }
            store
                .commit(crate::support::A, batch)
                .await
                .unwrap()
                .relax();
        }
    }
    store.trim().await.unwrap();
    store.close().await.unwrap();
    let db = place.path("index/db");
    let size = || fs::metadata(&db).unwrap().len();
    let before = size();
    // Not worth it by itself.
    assert_eq!(content(&place.open()).await, entries(1));
    assert!(size() >= before);
    place.options.bloat_bytes = 1 << 20;
    let store = place.open();
    assert_eq!(content(&store).await, entries(1));
    assert!(size() < before / 2, "{before} -> {}", size());
    assert!(!place.path("index.new").exists());
    put(&store, 1).await;
    store.close().await.unwrap();
    assert_eq!(content(&place.open()).await, entries(2));
}

#[tokio::test]
async fn progress_reaches_its_total() {
    let place = Place::new();
    let store = place.open();
    for number in 0..50 {
        put_relaxed(&store, number).await;
    }
    drop(store);
    fs::remove_dir_all(place.path("index")).unwrap();
    let last = std::sync::Mutex::new(None);
    let progress = |p| *last.lock().unwrap() = Some(p);
    let opened = storage_sled::SledStore::open(place.dir.path(), place.options.clone(), &progress);
    assert!(opened.is_ok());
    let last = last.lock().unwrap().unwrap();
    assert_eq!(last.done, last.total);
    assert!(last.total > 1000);
}
