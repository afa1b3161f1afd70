//! What is there after the store was closed, or ended, and opened again.

use crate::conformance::harness::origin;
use crate::conformance::support::{assert_kind, bytes, noise};
use crate::conformance::{BlobCase, BlobHarness};
use crate::{BlobStore, ErrorKind};

pub async fn references_from_before_a_reopen_read<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut blobs = Vec::new();
    for number in 0..100u64 {
        let content = noise(number, number as usize * 100);
        blobs.push((case.put(content.clone()).await, content));
        if number % 30 == 29 {
            case.reopen().await;
        }
    }
    case.reopen().await;
    for (blob, content) in blobs {
        assert_eq!(case.get(&blob).await.expect("get"), content);
    }
}

pub async fn an_unused_store_reopens_empty<H: BlobHarness>(case: &mut BlobCase<H>) {
    case.reopen().await;
    case.reopen().await;
    case.put("the first").await;
}

pub async fn a_put_is_on_stable_storage<H: BlobHarness>(case: &mut BlobCase<H>) {
    for number in 0..20 {
        case.put(noise(number, 2_000)).await;
    }
    case.crash().await;
    case.check().await;
    case.put("the store takes more").await;
    case.crash().await;
    case.check().await;
}

pub async fn puts_at_once_are_all_on_stable_storage<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut putting = Vec::new();
    for number in 0..64u64 {
        let store = case.store();
        putting.push(tokio::spawn(async move {
            let content = noise(number, 1_000 + number as usize);
            let blob = store.put(content.clone(), &origin()).await;
            (blob.expect("put"), content)
        }));
    }
    for put in putting {
        let (blob, content) = put.await.expect("the task ends");
        case.remember(&blob, content);
    }
    case.crash().await;
    case.check().await;
}

pub async fn a_second_put_of_the_same_bytes_is_durable_too<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("same").await;
    case.release(&blob).await;
    case.put("same").await;
    case.crash().await;
    case.collect().await;
    assert_eq!(case.get(&blob).await.expect("get"), bytes("same"));
}

pub async fn a_closed_store_answers_unavailable<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("something").await;
    let closed = case.store();
    case.reopen().await;
    let gone = ErrorKind::Unavailable;
    assert_kind(closed.get(&blob, 0..1).await, gone);
    assert_kind(closed.stat(&blob.hash).await, gone);
    assert_kind(closed.verify(&blob.hash).await, gone);
    assert_kind(closed.release(&blob.hash).await, gone);
    assert_kind(closed.put(bytes("new"), &origin()).await, gone);
    for answer in closed.get_many(&[blob, blob]).await {
        assert_kind(answer, gone);
    }
}

pub async fn closing_twice_succeeds<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("something").await;
    let closed = case.store();
    closed.close().await.expect("the first close");
    closed.close().await.expect("the second close");
    case.reopen().await;
    // The old handle has no hold on the new store.
    closed.close().await.expect("the third close");
    assert_eq!(case.get(&blob).await.expect("get"), bytes("something"));
    case.put("more").await;
}
