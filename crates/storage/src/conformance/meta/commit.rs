//! `commit`: atomicity and preconditions.

use crate::conformance::support::{A, bytes};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind};

pub async fn a_batch_is_applied_whole<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["old", "stays"]).await;
    let mut batch = Batch::new();
    batch.put("new", "1").put("stays", "2").delete("old");
    case.commit(A, batch).await;
    assert_eq!(
        case.all(A).await,
        [(bytes("new"), bytes("1")), (bytes("stays"), bytes("2")),]
    );
}

pub async fn require_absent_fails_on_a_present_key<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "").await;
    let mut batch = Batch::new();
    batch.require_absent("key").put("key", "mine");
    case.refused(A, batch, ErrorKind::Conflict).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("")));
}

pub async fn a_failed_precondition_changes_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b"]).await;
    let before = case.dump().await;
    let mut batch = Batch::new();
    batch.require_absent("c").require("a", "not a");
    batch.put("c", "1").put("a", "1").delete("b");
    case.refused(A, batch, ErrorKind::Conflict).await;
    assert_eq!(case.dump().await, before);
}

pub async fn a_later_write_of_the_batch_wins<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["deleted then put"]).await;
    let mut batch = Batch::new();
    batch.put("put twice", "1").put("put twice", "2");
    batch
        .put("put then deleted", "1")
        .delete("put then deleted");
    batch
        .delete("deleted then put")
        .put("deleted then put", "2");
    case.commit(A, batch).await;
    assert_eq!(case.get(A, "put twice").await, Some(bytes("2")));
    assert_eq!(case.get(A, "put then deleted").await, None);
    assert_eq!(case.get(A, "deleted then put").await, Some(bytes("2")));
}
