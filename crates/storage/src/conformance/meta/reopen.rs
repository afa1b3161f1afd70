//! What is there after the store was closed, or ended, and opened again.

use crate::conformance::support::{A, B, bytes};
use crate::conformance::{MetaCase, MetaHarness};

pub async fn durable_commits_survive_a_reopen<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "a").await;
    case.put(B, "key", "b").await;
    case.reopen().await;
    assert_eq!(case.get(A, "key").await, Some(bytes("a")));
    assert_eq!(case.get(B, "key").await, Some(bytes("b")));
}
