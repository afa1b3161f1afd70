//! Packs held while they are copied, and read where they were copied to.

use crate::common::*;
use blob_packs::{Archive, ArchivedPack, HeldFile, PackStore, ReadAt};
use bytes::Bytes;
use std::fs::File;
use std::path::Path;
use storage::{BlobRef, BlobStore, ErrorKind, Provenance};

/// The archive of copied packs; `with_indexes`: and of their indexes.
fn archive(dir: &Path, with_indexes: bool) -> Archive {
    let packs = packs(dir).into_iter().map(|path| {
        let name = path.file_stem().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("pack-")?.parse().ok());
        let file = File::open(&path).expect("open");
        ArchivedPack {
            number: number.expect("a pack's name"),
            length: file.metadata().expect("metadata").len(),
            bytes: Box::new(file) as Box<dyn ReadAt>,
            index: Some(path.with_extension("idx")).filter(|_| with_indexes),
        }
    });
    Archive::open(packs.collect()).expect("archive")
}

/// Copies what is held, as a backup does.
fn copy_held(from: &Path, to: &Path, files: &[HeldFile]) {
    std::fs::create_dir_all(to).expect("create");
    for file in files {
        let mut bytes = std::fs::read(from.join(&file.path)).expect("read");
        bytes.truncate(file.length.map_or(usize::MAX, |length| length as usize));
        std::fs::write(to.join(&file.path), bytes).expect("write");
    }
}

async fn filled(store: &PackStore, from: u64, to: u64) -> Vec<(BlobRef, Bytes)> {
    let mut blobs = Vec::new();
    for seed in from..to {
        let body = if seed % 2 == 0 {
            noise(seed, 900)
        } else {
            text(seed, 900)
        };
        blobs.push((put(store, &body).await, body));
    }
    blobs
}

#[tokio::test]
async fn what_was_put_before_the_list_is_in_the_copy() {
    let (dir, copy) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let store = open_with(dir.path(), eager());
    let blobs = filled(&store, 0, 40).await;
    let held = store.hold().await;
    let files = held.files().expect("list");
    filled(&store, 100, 140).await;
    copy_held(dir.path(), copy.path(), &files);
    for with_indexes in [true, false] {
        let archive = archive(copy.path(), with_indexes);
        for (blob, body) in &blobs {
            let unhinted = BlobRef { hint: 0, ..*blob };
            for blob in [*blob, unhinted] {
                assert_eq!(archive.get(&blob, 0..900).await.expect("get"), *body);
            }
            assert_eq!(archive.get(blob, 5..9).await.expect("get"), body[5..9]);
            archive.verify(&blob.hash).await.expect("verify");
            let stat = archive
                .stat(&blob.hash)
                .await
                .expect("stat")
                .expect("there");
            assert_eq!(stat.size, 900);
        }
        let refs: Vec<BlobRef> = blobs.iter().map(|(blob, _)| *blob).collect();
        let many = archive.get_many(&refs).await;
        assert!(
            many.into_iter()
                .zip(&blobs)
                .all(|(got, (_, body))| got.expect("get") == body)
        );
        let other = hash(b"never put");
        assert_eq!(
            archive.verify(&other).await.expect_err("absent").kind,
            ErrorKind::NotFound
        );
        let refused = archive.put(text(1, 5), &Provenance::default()).await;
        assert_eq!(refused.expect_err("read only").kind, ErrorKind::Unavailable);
    }
    // The copy is a store of its own, too.
    let again = open_with(copy.path(), eager());
    for (blob, body) in &blobs {
        assert_eq!(get(&again, blob).await.expect("get"), *body);
    }
}

#[tokio::test]
async fn nothing_is_collected_while_it_is_held() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open_with(dir.path(), eager());
    let blobs = filled(&store, 0, 40).await;
    for (blob, _) in &blobs[1..] {
        store.release(&blob.hash).await.expect("release");
    }
    let before = packs(dir.path());
    let (first, second) = (store.hold().await, store.hold().await);
    for held in [first, second] {
        let collected = store.collect(async |_| Ok(false)).await.expect("collect");
        assert_eq!(collected, blob_packs::Collected::default());
        assert_eq!(packs(dir.path()), before);
        drop(held);
    }
    let collected = store.collect(async |_| Ok(false)).await.expect("collect");
    assert_eq!(collected.blobs, 39);
    assert!(packs(dir.path()).len() < before.len());
}

#[tokio::test]
async fn damage_in_a_copy_is_of_one_blob() {
    let (dir, copy) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let store = open(dir.path());
    let blobs = filled(&store, 0, 10).await;
    let files = store.hold().await.files().expect("list");
    copy_held(dir.path(), copy.path(), &files);
    let path = packs(copy.path()).remove(0);
    let mut bytes = std::fs::read(&path).expect("read");
    let body = &blobs[4].1;
    let at = bytes
        .windows(body.len())
        .position(|window| window == body)
        .expect("there");
    bytes[at + 50] ^= 8;
    std::fs::write(&path, bytes).expect("write");
    let archive = archive(copy.path(), true);
    for (i, (blob, body)) in blobs.iter().enumerate() {
        match archive.get(blob, 0..900).await {
            Ok(got) => assert!(i != 4 && got == *body),
            Err(error) => assert!(i == 4 && error.kind == ErrorKind::Corrupt, "{i}: {error}"),
        }
    }
}
