//! `put` and `stat`: bytes by their content.

use crate::conformance::harness::origin;
use crate::conformance::support::{assert_kind, bytes, noise};
use crate::conformance::{BlobCase, BlobHarness};
use crate::{BlobStore, ErrorKind, Provenance};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Barrier;
use types::{AccountId, BlobHash};

pub async fn a_fresh_store_is_empty<H: BlobHarness>(case: &mut BlobCase<H>) {
    assert!(!case.store().backend().is_empty(), "the backend has a name");
    let hash = BlobHash(*blake3::hash(b"").as_bytes());
    assert_eq!(case.store().stat(&hash).await.expect("stat"), None);
}

pub async fn bytes_read_back_as_they_were_put<H: BlobHarness>(case: &mut BlobCase<H>) {
    for length in [
        1, 2, 3, 511, 512, 4_095, 4_096, 4_097, 17_001, 65_536, 300_000,
    ] {
        let content = noise(length as u64, length);
        let blob = case.put(content.clone()).await;
        assert_eq!(blob.size as usize, length);
        assert_eq!(case.get(&blob).await.expect("get"), content);
    }
}

pub async fn an_empty_blob_reads_back<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("").await;
    assert_eq!(blob.size, 0);
    for _ in 0..2 {
        assert_eq!(case.get(&blob).await.expect("get"), Bytes::new());
        let stat = case.store().stat(&blob.hash).await.expect("stat");
        assert_eq!(stat.map(|stat| stat.size), Some(0));
        let many = case.store().get_many(&[blob]).await;
        assert!(matches!(&many[..], [Ok(bytes)] if bytes.is_empty()));
        case.reopen().await;
    }
}

pub async fn the_hash_is_blake3_of_the_bytes<H: BlobHarness>(case: &mut BlobCase<H>) {
    for content in [bytes(""), bytes("a"), noise(1, 100_000)] {
        let blob = case.put(content.clone()).await;
        assert_eq!(blob.hash.0, *blake3::hash(&content).as_bytes());
    }
}

pub async fn any_byte_is_kept<H: BlobHarness>(case: &mut BlobCase<H>) {
    let every: Vec<u8> = (0..=255).cycle().take(2_560).collect();
    case.put(every).await;
    for byte in 0..=255u8 {
        case.put(vec![byte]).await;
        case.put(vec![byte; 1_000]).await;
    }
    case.put("line\r\nline\nline\r\r\n.\r\n\0\x1a\r\n").await;
    case.check().await;
}

pub async fn similar_blobs_stay_apart<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 5_000);
    case.put(content.clone()).await;
    case.put(content.slice(..4_999)).await;
    case.put(content.slice(1..)).await;
    case.put([&content[..], &content[..]].concat()).await;
    for at in [0, 2_500, 4_999] {
        let mut changed = content.to_vec();
        changed[at] ^= 1;
        case.put(changed).await;
    }
    case.check().await;
}

pub async fn the_same_bytes_twice_are_one_blob<H: BlobHarness>(case: &mut BlobCase<H>) {
    let first = case.put("same").await;
    let second = case.put("same").await;
    assert_eq!((first.hash, first.size), (second.hash, second.size));
    case.reopen().await;
    let third = case.put("same").await;
    assert_eq!((first.hash, first.size), (third.hash, third.size));
    for blob in [first, second, third] {
        assert_eq!(case.get(&blob).await.expect("get"), bytes("same"));
    }
    // One blob, not three: one release gives it up.
    case.release(&second).await;
    case.collect().await;
    assert_kind(case.get(&first).await, ErrorKind::NotFound);
}

pub async fn the_same_bytes_at_once_are_one_blob<H: BlobHarness>(case: &mut BlobCase<H>) {
    for round in 0..20 {
        let content = noise(round, 20_000);
        let barrier = Arc::new(Barrier::new(8));
        let mut putting = Vec::new();
        for _ in 0..8 {
            let (store, content) = (case.store(), content.clone());
            let barrier = Arc::clone(&barrier);
            putting.push(tokio::spawn(async move {
                barrier.wait().await;
                store.put(content, &origin()).await
            }));
        }
        for put in putting {
            let blob = put.await.expect("the task ends").expect("put");
            assert_eq!(blob.hash.0, *blake3::hash(&content).as_bytes());
            assert_eq!(case.get(&blob).await.expect("get"), content);
            case.remember(&blob, content.clone());
        }
    }
}

pub async fn a_put_is_visible_to_every_task<H: BlobHarness>(case: &mut BlobCase<H>) {
    for round in 0..50 {
        let content = noise(round, 1_000);
        let blob = case.put(content.clone()).await;
        let store = case.store();
        let elsewhere = tokio::spawn(async move { store.get(&blob, 0..blob.size).await });
        let found = elsewhere.await.expect("the reader ends");
        assert_eq!(found.expect("get"), content);
    }
}

pub async fn a_big_blob_reads_back<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 20 * 1024 * 1024);
    let blob = case.put(content.clone()).await;
    case.put("a small one behind it").await;
    assert!(case.get(&blob).await.expect("get") == content);
    let part = case.store().get(&blob, 19_000_000..19_000_100).await;
    assert_eq!(part.expect("get"), content.slice(19_000_000..19_000_100));
    case.store().verify(&blob.hash).await.expect("verify");
}

pub async fn thousands_of_small_blobs_read_back<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut putting = Vec::new();
    for task in 0..30u64 {
        let store = case.store();
        putting.push(tokio::spawn(async move {
            let mut blobs = Vec::new();
            for number in 0..100 {
                let content = noise(task * 100 + number, 200 + number as usize);
                let blob = store.put(content.clone(), &origin()).await.expect("put");
                blobs.push((blob, content));
            }
            blobs
        }));
    }
    for task in putting {
        for (blob, content) in task.await.expect("the task ends") {
            assert_eq!(case.get(&blob).await.expect("get"), content);
            case.remember(&blob, content);
        }
    }
}

pub async fn any_origin_is_taken<H: BlobHarness>(case: &mut BlobCase<H>) {
    let owner = |number: u64| (AccountId(number), format!("Ordner/ümläut {number}"));
    let many = (0..5_000).map(owner).collect();
    let long = vec![
        (AccountId(u64::MAX), "x".repeat(1_000)),
        (AccountId(0), String::new()),
    ];
    let owners = [Vec::new(), many, long];
    let dates = [0, i64::MIN, i64::MAX];
    for (number, (owners, internal_date)) in owners.into_iter().zip(dates).enumerate() {
        let origin = Provenance {
            lines: owners
                .iter()
                .map(|_| Bytes::from_static(b"X: y\r\n"))
                .collect(),
            owners,
            internal_date,
        };
        let content = noise(number as u64, 3_000);
        let blob = case
            .store()
            .put(content.clone(), &origin)
            .await
            .expect("put");
        case.remember(&blob, content);
    }
    // The origin is no part of a blob's name.
    let content = noise(0, 3_000);
    let again = case.store().put(content.clone(), &origin()).await;
    assert_eq!(
        again.expect("put").hash.0,
        *blake3::hash(&content).as_bytes()
    );
    case.check().await;
}

pub async fn stat_gives_the_current_reference<H: BlobHarness>(case: &mut BlobCase<H>) {
    for length in [0, 1, 70_000] {
        let content = noise(1, length);
        let put = case.put(content.clone()).await;
        let stat = case.store().stat(&put.hash).await.expect("stat");
        let stat = stat.expect("it is there");
        assert_eq!((stat.hash, stat.size), (put.hash, put.size));
        assert_eq!(case.get(&stat).await.expect("get"), content);
    }
}

pub async fn over_4_gib_is_invalid<H: BlobHarness>(case: &mut BlobCase<H>) {
    // Zeroed pages that nobody touches take no memory: a store looks at the length first.
    let huge = Bytes::from(vec![0; u32::MAX as usize + 1]);
    let answer = case.store().put(huge, &origin()).await;
    assert_kind(answer, ErrorKind::Invalid);
    case.put("the store still works").await;
}
