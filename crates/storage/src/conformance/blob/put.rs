//! `put`: bytes by their content.

use crate::conformance::support::{bytes, noise};
use crate::conformance::{BlobCase, BlobHarness};
use bytes::Bytes;

pub async fn bytes_read_back_as_they_were_put<H: BlobHarness>(case: &mut BlobCase<H>) {
    for length in [1, 2, 511, 4096, 17_001] {
        let content = noise(length as u64, length);
        let blob = case.put(content.clone()).await;
        assert_eq!(blob.size as usize, length);
        assert_eq!(case.get(&blob).await.expect("get"), content);
    }
}

pub async fn an_empty_blob_reads_back<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("").await;
    assert_eq!(blob.size, 0);
    assert_eq!(case.get(&blob).await.expect("get"), Bytes::new());
    case.reopen().await;
    assert_eq!(case.get(&blob).await.expect("get"), Bytes::new());
}

pub async fn the_same_bytes_twice_are_one_blob<H: BlobHarness>(case: &mut BlobCase<H>) {
    let first = case.put(bytes("same")).await;
    let second = case.put(bytes("same")).await;
    assert_eq!((first.hash, first.size), (second.hash, second.size));
}
