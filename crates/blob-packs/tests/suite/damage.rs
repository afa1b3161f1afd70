//! Files that are torn, damaged or lost: exactly their blobs are reported, everything else works.

use crate::common::*;
use blob_packs::{Options, PackStore};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use storage::{BlobRef, BlobStore, ErrorKind};

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("read");
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).expect("write");
}

/// Where the record of a blob lies, and its pack's number.
fn place(blob: &BlobRef) -> (u64, usize) {
    (blob.hint >> 40, (blob.hint & ((1 << 40) - 1)) as usize)
}

fn pack_of(dir: &Path, blob: &BlobRef) -> std::path::PathBuf {
    dir.join(format!("pack-{:06}.pack", place(blob).0))
}

fn index_of(dir: &Path, blob: &BlobRef) -> std::path::PathBuf {
    dir.join(format!("pack-{:06}.idx", place(blob).0))
}

async fn kind(store: &PackStore, blob: &BlobRef) -> Option<ErrorKind> {
    get(store, blob).await.err().map(|error| error.kind)
}

/// Five blobs in `dir`, as a killed process leaves them.
async fn five(dir: &Path, options: Options) -> (Vec<Bytes>, Vec<BlobRef>) {
    let bodies: Vec<Bytes> = (0..5).map(|seed| noise(seed, 90 + seed as usize)).collect();
    let live = tempfile::tempdir().expect("tempdir");
    let store = open_with(live.path(), options);
    let mut blobs = Vec::new();
    for body in &bodies {
        blobs.push(put(&store, body).await);
    }
    copy(live.path(), dir);
    (bodies, blobs)
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut() {
    let good = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = five(good.path(), Options::default()).await;
    let bytes = std::fs::read(&packs(good.path())[0]).expect("read");
    let (_, start) = place(&blobs[4]);
    for cut in start..bytes.len() {
        for zeros in [false, true] {
            let dir = tempfile::tempdir().expect("tempdir");
            copy(good.path(), dir.path());
            let mut torn = bytes[..cut].to_vec();
            if zeros {
                // What a power cut leaves of an append that grew the file.
                torn.resize(bytes.len(), 0);
            }
            std::fs::write(&packs(dir.path())[0], &torn).expect("write");
            let store = open(dir.path());
            for i in 0..4 {
                assert!(get(&store, &blobs[i]).await.expect("before the tear") == bodies[i]);
            }
            match get(&store, &blobs[4]).await {
                // Only padding was missing.
                Ok(found) => assert!(zeros && found == bodies[4]),
                Err(error) => assert_eq!(error.kind, ErrorKind::Corrupt, "cut at {cut}"),
            }
            let unhinted = BlobRef {
                hint: 0,
                ..blobs[4]
            };
            if !zeros {
                assert_eq!(kind(&store, &unhinted).await, Some(ErrorKind::NotFound));
                assert_eq!(store.stats().bytes as usize, start);
            }
            let again = put(&store, &bodies[4]).await;
            assert!(get(&store, &again).await.expect("put again") == bodies[4]);
            drop(store);
            let store = open(dir.path());
            assert!(get(&store, &unhinted).await.expect("put again") == bodies[4]);
            assert_eq!(store.stats().blobs, 5);
        }
    }
}

/// Between the birth of the next pack and the last sync of this one.
#[tokio::test]
async fn a_pack_torn_while_its_successor_is_born_is_cut_and_not_called_damaged() {
    let good = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = five(good.path(), Options::default()).await;
    let bytes = std::fs::read(&packs(good.path())[0]).expect("read");
    open(good.path()).seal_active().await.expect("sealed");
    std::fs::remove_file(index_of(good.path(), &blobs[0])).expect("an index");
    assert_eq!(packs(good.path()).len(), 2);
    let (_, start) = place(&blobs[4]);
    for zeros in [false, true] {
        let dir = tempfile::tempdir().expect("tempdir");
        copy(good.path(), dir.path());
        let mut torn = bytes[..start + 40].to_vec();
        if zeros {
            torn.truncate(start);
            torn.resize(start + 912, 0);
        }
        std::fs::write(pack_of(dir.path(), &blobs[0]), &torn).expect("write");
        let store = open(dir.path());
        assert_eq!(store.stats().damaged_bytes, 0);
        let again = put(&store, &bodies[4]).await;
        for (blob, body) in blobs[..4].iter().chain([&again]).zip(&bodies) {
            assert!(get(&store, blob).await.expect("before the tear") == *body);
        }
        drop(store);
        // Now mail has come after it: what is torn had been durable.
        std::fs::remove_file(index_of(dir.path(), &blobs[0])).expect("an index");
        std::fs::write(pack_of(dir.path(), &blobs[0]), &torn).expect("write");
        let torn = torn.len() - start;
        assert_eq!(open(dir.path()).stats().damaged_bytes as usize, torn);
    }
}

/// Flips each byte of the third blob's record before the store is opened.
async fn flips_of_the_third(options: fn() -> Options, prepare: fn(&Path, &BlobRef)) {
    let good = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = five(good.path(), options()).await;
    prepare(good.path(), &blobs[2]);
    let (pack, start) = place(&blobs[2]);
    let end = match place(&blobs[3]) {
        (next, end) if next == pack => end,
        _ => std::fs::metadata(pack_of(good.path(), &blobs[2]))
            .expect("metadata")
            .len() as usize,
    };
    let owners = start + 80..start + 80 + 15;
    let body = owners.end..owners.end + bodies[2].len();
    for at in start..end {
        let dir = tempfile::tempdir().expect("tempdir");
        copy(good.path(), dir.path());
        flip(&pack_of(dir.path(), &blobs[2]), at);
        let store = open_with(dir.path(), options());
        let many = store.get_many(&blobs).await;
        for (i, (blob, many)) in blobs.iter().zip(many).enumerate() {
            let harmless = i != 2 || owners.contains(&at) || at >= body.end;
            for found in [get(&store, blob).await, many] {
                match found {
                    Ok(found) => assert!(harmless && found == bodies[i], "{i}, flip at {at}"),
                    Err(error) => {
                        assert!(!harmless, "{i}, flip at {at}: {error}");
                        assert_eq!(error.kind, ErrorKind::Corrupt);
                    }
                }
            }
        }
        let mut unreadable = 0;
        store
            .scan_records(|record| {
                unreadable += usize::from(!record.whole);
                ControlFlow::Continue(())
            })
            .expect("scan");
        assert_eq!(unreadable, usize::from(at < body.end), "flip at {at}");
        // Putting the same bytes again heals.
        let healed = put(&store, &bodies[2]).await;
        for blob in [healed, blobs[2]] {
            assert!(get(&store, &blob).await.expect("healed") == bodies[2]);
        }
        store.verify(&healed.hash).await.expect("verify");
        drop(store);
        let store = open_with(dir.path(), options());
        assert!(get(&store, &blobs[2]).await.expect("healed") == bodies[2]);
    }
}

fn tiny() -> Options {
    Options {
        pack_bytes: 700,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_flip_in_the_active_pack_damages_one_blob() {
    flips_of_the_third(Options::default, |_, _| ()).await;
}

#[tokio::test]
async fn a_flip_in_a_sealed_pack_damages_one_blob() {
    flips_of_the_third(tiny, |dir, blob| assert!(index_of(dir, blob).exists())).await;
}

#[tokio::test]
async fn a_flip_in_a_pack_without_index_damages_one_blob() {
    flips_of_the_third(tiny, |dir, blob| {
        std::fs::remove_file(index_of(dir, blob)).expect("remove");
    })
    .await;
}

/// A store of many small sealed packs, closed.
async fn sealed(dir: &Path) -> (Vec<Bytes>, Vec<BlobRef>) {
    let bodies: Vec<Bytes> = (0..60).map(|seed| noise(seed, 600)).collect();
    let store = open_with(dir, eager());
    let mut blobs = Vec::new();
    for body in &bodies {
        blobs.push(put(&store, body).await);
    }
    store.close().await.expect("close");
    (bodies, blobs)
}

async fn all_there(store: &PackStore, bodies: &[Bytes], blobs: &[BlobRef]) {
    for (blob, body) in blobs.iter().zip(bodies) {
        for hint in [blob.hint, 0] {
            let asked = BlobRef { hint, ..*blob };
            assert!(get(store, &asked).await.expect("get") == *body);
        }
    }
}

#[tokio::test]
async fn a_missing_or_damaged_index_is_rebuilt_at_start() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = sealed(dir.path()).await;
    let indexes = files(dir.path(), "idx");
    assert!(indexes.len() > 3);
    std::fs::remove_file(&indexes[0]).expect("remove");
    flip(&indexes[1], 90); // the bloom filter
    std::fs::write(&indexes[2], b"").expect("write");
    let store = open_with(dir.path(), eager());
    all_there(&store, &bodies, &blobs).await;
    drop(store);
    assert!(std::fs::metadata(&indexes[2]).expect("rebuilt").len() > 0);
    assert_eq!(files(dir.path(), "idx").len(), indexes.len());
}

#[tokio::test]
async fn an_index_damaged_while_the_store_is_open_is_rebuilt() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = sealed(dir.path()).await;
    let store = open_with(dir.path(), eager());
    for index in files(dir.path(), "idx") {
        if std::fs::metadata(&index).expect("metadata").len() > 4096 {
            flip(&index, 4096 + 50); // an entry
        }
    }
    all_there(&store, &bodies, &blobs).await;
    std::fs::remove_file(&files(dir.path(), "idx")[1]).expect("remove");
    drop(store);
    all_there(&open_with(dir.path(), eager()), &bodies, &blobs).await;
}

#[tokio::test]
async fn a_lost_or_shortened_pack_costs_its_own_blobs_only() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = sealed(dir.path()).await;
    let (lost, short) = (place(&blobs[0]).0, place(&blobs[20]).0);
    std::fs::remove_file(pack_of(dir.path(), &blobs[0])).expect("remove");
    std::fs::write(pack_of(dir.path(), &blobs[20]), b"").expect("write");
    let store = open_with(dir.path(), eager());
    for (blob, body) in blobs.iter().zip(&bodies) {
        if [lost, short].contains(&place(blob).0) {
            assert_eq!(kind(&store, blob).await, Some(ErrorKind::Corrupt));
            let error = store.verify(&blob.hash).await.expect_err("corrupt");
            assert_eq!(error.kind, ErrorKind::Corrupt);
        } else {
            assert!(get(&store, blob).await.expect("get") == *body);
        }
    }
    for body in &bodies {
        put(&store, body).await;
    }
    all_there(&store, &bodies, &blobs).await;
}

#[tokio::test]
async fn an_active_pack_shorter_than_its_checkpoint_answers_corrupt() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let bodies: Vec<Bytes> = (0..9).map(|seed| noise(seed, 400)).collect();
    let mut blobs = Vec::new();
    for body in &bodies {
        blobs.push(put(&store, body).await);
    }
    store.close().await.expect("close");
    let pack = packs(dir.path()).remove(0);
    let bytes = std::fs::read(&pack).expect("read");
    std::fs::write(&pack, &bytes[..place(&blobs[5]).1 + 60]).expect("write");
    for _ in 0..2 {
        let store = open(dir.path());
        for (i, blob) in blobs.iter().enumerate() {
            let found = kind(&store, blob).await;
            assert_eq!(found, (i >= 5).then_some(ErrorKind::Corrupt), "blob {i}");
        }
        drop(store);
    }
    let store = open(dir.path());
    for body in &bodies {
        put(&store, body).await;
    }
    all_there(&store, &bodies, &blobs).await;
}

#[tokio::test]
async fn a_damaged_file_header_costs_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (bodies, blobs) = five(dir.path(), Options::default()).await;
    flip(&packs(dir.path())[0], 13);
    for _ in 0..2 {
        let store = open(dir.path());
        all_there(&store, &bodies, &blobs).await;
        put(&store, &noise(77, 10)).await;
    }
}

#[tokio::test]
async fn a_blob_that_looks_like_another_stores_pack_is_only_bytes() {
    let other = tempfile::tempdir().expect("tempdir");
    five(other.path(), Options::default()).await;
    let forged: Bytes = std::fs::read(&packs(other.path())[0]).expect("read").into();
    let dir = tempfile::tempdir().expect("tempdir");
    let store = open(dir.path());
    let blob = put(&store, &forged).await;
    let after = put(&store, &noise(50, 50)).await;
    drop(store);
    flip(&packs(dir.path())[0], place(&blob).1 + 20);
    let store = open(dir.path());
    assert_eq!(kind(&store, &blob).await, Some(ErrorKind::Corrupt));
    assert!(get(&store, &after).await.expect("after") == noise(50, 50));
    assert_eq!(store.stats().blobs, 1);
}

#[tokio::test]
async fn a_full_read_of_the_whole_store_tells_progress() {
    let dir = tempfile::tempdir().expect("tempdir");
    five(dir.path(), Options::default()).await;
    let mut seen = Vec::new();
    let store: Arc<PackStore> =
        PackStore::open(dir.path(), Options::default(), |step| seen.push(step)).expect("open");
    let last = seen.last().expect("told");
    assert!(last.done == last.total && last.total == store.stats().bytes);
}
