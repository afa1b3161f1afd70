//! The longest keys, the largest values and batches, and what lies just above.

use crate::conformance::support::{A, noise};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, MAX_BATCH, MAX_KEY, MAX_VALUE};
use bytes::Bytes;

/// Must be refused as `Invalid`, and leave no trace.
async fn invalid<H: MetaHarness>(case: &MetaCase<H>, mut batch: Batch) {
    let before = case.dump().await;
    batch.put("beside", "a good write");
    case.refused(A, batch, ErrorKind::Invalid).await;
    assert_eq!(case.dump().await, before);
}

pub async fn keys_of_all_lengths_are_taken<H: MetaHarness>(case: &mut MetaCase<H>) {
    let lengths = [1, 2, 127, 128, 255, 256, MAX_KEY - 1, MAX_KEY];
    for length in lengths {
        case.put(A, vec![b'k'; length], length.to_string()).await;
    }
    for length in lengths {
        let value = case.get(A, vec![b'k'; length]).await;
        assert_eq!(value, Some(length.to_string().into()));
    }
    let mut batch = Batch::new();
    let longest = vec![b'k'; MAX_KEY];
    batch
        .require(longest.clone(), MAX_KEY.to_string())
        .delete(longest.clone());
    case.commit(A, batch).await;
    assert_eq!(case.get(A, longest).await, None);
}

pub async fn the_largest_value_is_taken<H: MetaHarness>(case: &mut MetaCase<H>) {
    let value = noise(1, MAX_VALUE);
    case.put(A, "key", value.clone()).await;
    assert_eq!(case.get(A, "key").await, Some(value.clone()));
    let mut batch = Batch::new();
    batch.require("key", value.clone()).put("other", value);
    case.commit(A, batch).await;
    assert_eq!(case.get(A, "other").await, case.get(A, "key").await);
}

pub async fn an_empty_key_is_invalid<H: MetaHarness>(case: &mut MetaCase<H>) {
    for batch in everywhere(&Bytes::new()) {
        invalid(case, batch).await;
    }
}

pub async fn a_key_that_is_too_long_is_invalid<H: MetaHarness>(case: &mut MetaCase<H>) {
    for length in [MAX_KEY + 1, 64 * 1024] {
        for batch in everywhere(&vec![b'k'; length].into()) {
            invalid(case, batch).await;
        }
    }
}

/// The key in each place where a batch names one.
fn everywhere(key: &Bytes) -> [Batch; 4] {
    let mut batches: [Batch; 4] = Default::default();
    let [put, delete, absent, equals] = &mut batches;
    put.put(key.clone(), "value");
    delete.delete(key.clone());
    absent.require_absent(key.clone());
    equals.require(key.clone(), "value");
    batches
}

pub async fn a_value_that_is_too_large_is_invalid<H: MetaHarness>(case: &mut MetaCase<H>) {
    for length in [MAX_VALUE + 1, 1024 * 1024] {
        let mut batch = Batch::new();
        batch.put("key", vec![0; length]);
        invalid(case, batch).await;
        let mut batch = Batch::new();
        batch.require("key", vec![0; length]);
        invalid(case, batch).await;
    }
}

/// Entries of 16 KiB, key and value together, that sum up to the limit exactly.
fn batch_at_the_limit() -> Batch {
    let entry = MAX_VALUE;
    let value = noise(2, entry - 4);
    let mut batch = Batch::new();
    for number in 0..(MAX_BATCH / entry) as u32 {
        batch.put(number.to_be_bytes().to_vec(), value.clone());
    }
    assert_eq!(batch.size(), MAX_BATCH);
    batch
}

pub async fn the_largest_batch_is_taken<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.commit(A, batch_at_the_limit()).await;
    let first = case.get(A, 0u32.to_be_bytes()).await;
    assert_eq!(first, Some(noise(2, MAX_VALUE - 4)));
    let last = (MAX_BATCH / MAX_VALUE) as u32 - 1;
    assert_eq!(case.get(A, last.to_be_bytes()).await, first);
}

pub async fn a_batch_that_is_too_large_is_invalid<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    invalid(case, batch_at_the_limit()).await;
    let mut with_a_precondition = batch_at_the_limit();
    with_a_precondition.require_absent("one byte more");
    let before = case.dump().await;
    case.refused(A, with_a_precondition, ErrorKind::Invalid)
        .await;
    assert_eq!(case.dump().await, before);
}

pub async fn limits_count_before_preconditions<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let mut batch = Batch::new();
    batch.require_absent("key").put("", "");
    invalid(case, batch).await;
}
