//! `release` and what the collector may do.

use crate::conformance::harness::origin;
use crate::conformance::support::{assert_kind, bytes, hash, noise};
use crate::conformance::{BlobCase, BlobHarness};
use crate::{BlobRef, BlobStore, ErrorKind};
use bytes::Bytes;

async fn gone<H: BlobHarness>(case: &BlobCase<H>, blob: &BlobRef) {
    assert_kind(case.get(blob).await, ErrorKind::NotFound);
    let stat = case.store().stat(&blob.hash).await;
    assert_eq!(stat.expect("stat"), None);
    let verified = case.store().verify(&blob.hash).await;
    assert_kind(verified, ErrorKind::NotFound);
}

pub async fn releasing_what_is_not_there_succeeds<H: BlobHarness>(case: &mut BlobCase<H>) {
    case.store().release(&hash(1)).await.expect("release");
    let blob = case.put("something").await;
    case.store().release(&hash(1)).await.expect("release");
    case.collect().await;
    assert_eq!(case.get(&blob).await.expect("get"), bytes("something"));
}

pub async fn a_released_blob_is_collected<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put(noise(1, 1_000)).await;
    case.release(&blob).await;
    case.collect().await;
    gone(case, &blob).await;
    case.reopen().await;
    gone(case, &blob).await;
    // Releasing it once more, and collecting nothing, are no errors.
    case.release(&blob).await;
    case.collect().await;
}

pub async fn what_is_not_released_is_kept<H: BlobHarness>(case: &mut BlobCase<H>) {
    for number in 0..50 {
        case.put(noise(number, 3_000)).await;
    }
    for _ in 0..2 {
        case.collect().await;
        case.check().await;
        case.reopen().await;
    }
}

pub async fn collecting_leaves_the_neighbours<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut blobs = Vec::new();
    for number in 0..200u64 {
        let content = noise(number, 100 + number as usize * 31);
        blobs.push((case.put(content.clone()).await, content));
    }
    for (blob, _) in blobs.iter().step_by(3) {
        case.release(blob).await;
    }
    case.collect().await;
    for _ in 0..2 {
        for (number, (blob, content)) in blobs.iter().enumerate() {
            if number % 3 == 0 {
                gone(case, blob).await;
            } else {
                // By the reference from before, wherever the bytes lie now.
                assert_eq!(case.get(blob).await.expect("get"), *content);
            }
        }
        case.reopen().await;
    }
}

pub async fn many_tell_the_collected_from_the_kept<H: BlobHarness>(case: &mut BlobCase<H>) {
    let kept = case.put("kept").await;
    let released = case.put("released").await;
    let last = case.put("last").await;
    case.release(&released).await;
    case.collect().await;
    let mut answers = case.store().get_many(&[last, released, kept]).await;
    assert_eq!(answers.len(), 3);
    assert_eq!(answers.remove(2).expect("kept"), bytes("kept"));
    assert_kind(answers.remove(1), ErrorKind::NotFound);
    assert_eq!(answers.remove(0).expect("last"), bytes("last"));
}

pub async fn a_put_after_the_release_keeps_the_blob<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("again").await;
    case.release(&blob).await;
    let again = case.put("again").await;
    for _ in 0..2 {
        case.collect().await;
        assert_eq!(case.get(&again).await.expect("get"), bytes("again"));
        assert_eq!(case.get(&blob).await.expect("get"), bytes("again"));
        case.reopen().await;
    }
}

pub async fn a_put_after_a_reopen_keeps_the_blob<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("again").await;
    case.release(&blob).await;
    case.reopen().await;
    case.put("again").await;
    case.collect().await;
    case.reopen().await;
    case.collect().await;
    assert_eq!(case.get(&blob).await.expect("get"), bytes("again"));
}

pub async fn a_clean_close_keeps_a_release<H: BlobHarness>(case: &mut BlobCase<H>) {
    let small = case.put("s").await;
    let large = case.put(noise(1, 9_000)).await;
    case.put(noise(2, 9_000)).await;
    case.release(&small).await;
    case.release(&large).await;
    case.reopen().await;
    case.collect().await;
    gone(case, &small).await;
    gone(case, &large).await;
}

pub async fn a_release_after_the_last_put_counts<H: BlobHarness>(case: &mut BlobCase<H>) {
    for _ in 0..3 {
        case.put("content").await;
    }
    let blob = case.put("content").await;
    case.release(&blob).await;
    case.put("content").await;
    case.release(&blob).await;
    case.collect().await;
    gone(case, &blob).await;
}

pub async fn a_collected_blob_can_be_put_again<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 5_000);
    for _ in 0..3 {
        let blob = case.put(content.clone()).await;
        assert_eq!(case.get(&blob).await.expect("get"), content);
        case.release(&blob).await;
        case.collect().await;
        gone(case, &blob).await;
    }
    case.put(content).await;
}

pub async fn an_empty_blob_is_collected_too<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put("").await;
    case.put("beside it").await;
    case.release(&blob).await;
    case.collect().await;
    gone(case, &blob).await;
    assert_eq!(case.put("").await.hash, blob.hash);
}

pub async fn a_released_blob_reads_until_it_is_collected<H: BlobHarness>(case: &mut BlobCase<H>) {
    // Other sessions still see the message (DESIGN 3.5): gone or whole, nothing between.
    let content = noise(1, 5_000);
    let blob = case.put(content.clone()).await;
    case.release(&blob).await;
    match case.get(&blob).await {
        Ok(found) => assert_eq!(found, content),
        answer => assert_kind(answer, ErrorKind::NotFound),
    }
}

pub async fn puts_win_against_the_collector<H: BlobHarness>(case: &mut BlobCase<H>) {
    const TASKS: u64 = 4;
    let mut running = Vec::new();
    for task in 0..TASKS {
        let store = case.store();
        running.push(tokio::spawn(async move {
            let content = noise(task, 2_000);
            for _ in 0..40 {
                let blob = store.put(content.clone(), &origin()).await.expect("put");
                store.release(&blob.hash).await.expect("release");
                // The collector may take it here, or the put may find it: both must end the same
                // way.
                let blob = store.put(content.clone(), &origin()).await.expect("put");
                tokio::task::yield_now().await;
                let found: Bytes = store.get(&blob, 0..blob.size).await.expect("get");
                assert!(found == content, "task {task}");
            }
        }));
    }
    let mut running = futures::future::join_all(running);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut running => break ended,
            () = async { case.collect().await; tokio::task::yield_now().await } => {}
        }
    };
    for task in ended {
        task.expect("the task ends");
    }
    case.collect().await;
    for task in 0..TASKS {
        case.put(noise(task, 2_000)).await;
    }
}
