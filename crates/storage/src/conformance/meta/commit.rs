//! `commit`: atomicity and preconditions.

use crate::conformance::support::{A, B, bytes};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind};

pub async fn a_batch_is_applied_whole<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["old", "stays"]).await;
    let mut batch = Batch::new();
    batch.put("new", "1").put("stays", "2").delete("old");
    case.commit(A, batch).await;
    let expected = [("new", "1"), ("stays", "2")].map(|(key, value)| (bytes(key), bytes(value)));
    assert_eq!(case.all(A).await, expected);
}

pub async fn a_large_batch_is_applied_whole<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut batch = Batch::new();
    for number in 0..20_000u32 {
        batch.put(number.to_be_bytes().to_vec(), "value");
    }
    case.commit(A, batch.clone()).await;
    assert_eq!(case.all(A).await.len(), 20_000);
    let mut second = Batch::new();
    for number in (0..20_000u32).step_by(2) {
        second.delete(number.to_be_bytes().to_vec());
    }
    case.commit(A, second).await;
    assert_eq!(case.all(A).await.len(), 10_000);
}

pub async fn an_empty_batch_changes_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.commit(A, Batch::new()).await;
    case.put_keys(A, &["a"]).await;
    let before = case.dump().await;
    case.commit(A, Batch::new()).await;
    assert_eq!(case.dump().await, before);
}

pub async fn a_batch_of_preconditions_alone_is_a_check<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let before = case.dump().await;
    let mut holds = Batch::new();
    holds.require("key", "value").require_absent("other");
    case.commit(A, holds).await;
    let mut fails = Batch::new();
    fails.require("key", "other");
    case.refused(A, fails, ErrorKind::Conflict).await;
    assert_eq!(case.dump().await, before);
}

pub async fn require_absent_holds_on_an_absent_key<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut batch = Batch::new();
    batch.require_absent("key").put("key", "1");
    case.commit(A, batch.clone()).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("1")));
    let mut delete = Batch::new();
    delete.delete("key");
    case.commit(A, delete).await;
    case.commit(A, batch).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("1")), "once deleted");
}

pub async fn require_absent_fails_on_a_present_key<H: MetaHarness>(case: &mut MetaCase<H>) {
    for value in ["", "value"] {
        case.put(A, "key", value).await;
        let mut batch = Batch::new();
        batch.require_absent("key").put("key", "mine");
        case.refused(A, batch, ErrorKind::Conflict).await;
        assert_eq!(case.get(A, "key").await, Some(bytes(value)));
    }
}

pub async fn require_holds_on_the_same_value<H: MetaHarness>(case: &mut MetaCase<H>) {
    for (old, new) in [("1", "2"), ("2", ""), ("", "3")] {
        case.put(A, "key", old).await;
        let mut batch = Batch::new();
        batch.require("key", old).put("key", new);
        case.commit(A, batch).await;
        assert_eq!(case.get(A, "key").await, Some(bytes(new)));
    }
}

pub async fn require_fails_on_another_value<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    for other in ["", "valu", "values", "VALUE"] {
        let mut batch = Batch::new();
        batch.require("key", other).put("key", "mine");
        case.refused(A, batch, ErrorKind::Conflict).await;
    }
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
}

pub async fn require_fails_on_an_absent_key<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["kez"]).await;
    // The empty value too: nothing is not the same as empty.
    for value in ["", "value"] {
        let mut batch = Batch::new();
        batch.require("key", value).put("key", "mine");
        case.refused(A, batch, ErrorKind::Conflict).await;
        assert_eq!(case.get(A, "key").await, None);
    }
}

pub async fn preconditions_see_the_state_before_the_batch<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "old").await;
    let mut batch = Batch::new();
    batch.require("key", "old").require_absent("new");
    batch.delete("key").put("key", "newer").put("new", "value");
    case.commit(A, batch).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("newer")));
    // What the batch itself writes does not make a precondition true.
    let mut batch = Batch::new();
    batch.put("made", "1").require("made", "1");
    case.refused(A, batch, ErrorKind::Conflict).await;
    let mut batch = Batch::new();
    batch.delete("key").require_absent("key");
    case.refused(A, batch, ErrorKind::Conflict).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("newer")));
}

pub async fn every_precondition_must_hold<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b", "c"]).await;
    let before = case.dump().await;
    for failing in 0..4 {
        let mut batch = Batch::new();
        for (index, key) in ["a", "b", "c"].into_iter().enumerate() {
            batch.require(key, if index == failing { "another" } else { key });
        }
        batch.require_absent(if failing == 3 { "a" } else { "d" });
        batch.put("d", "1");
        case.refused(A, batch, ErrorKind::Conflict).await;
        assert_eq!(
            case.dump().await,
            before,
            "the failing one is number {failing}"
        );
    }
}

pub async fn preconditions_look_at_their_own_account<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let mut batch = Batch::new();
    batch.require("key", "value").put("other", "1");
    case.refused(B, batch, ErrorKind::Conflict).await;
    let mut batch = Batch::new();
    batch.require_absent("key").put("key", "mine");
    case.commit(B, batch).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
    assert_eq!(case.get(B, "key").await, Some(bytes("mine")));
}

pub async fn a_failed_precondition_changes_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b"]).await;
    let before = case.dump().await;
    let mut batch = Batch::new();
    batch.require_absent("c").require("a", "not a");
    batch.put("c", "1").put("a", "1").delete("b");
    case.refused(A, batch, ErrorKind::Conflict).await;
    assert_eq!(case.dump().await, before);
    case.reopen().await;
    assert_eq!(case.dump().await, before, "after a reopen");
}

pub async fn a_conflict_can_be_retried<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "theirs").await;
    let mut batch = Batch::new();
    batch.require_absent("key").put("key", "mine");
    case.refused(A, batch, ErrorKind::Conflict).await;
    let mut retry = Batch::new();
    retry.require("key", "theirs").put("key", "mine");
    case.commit(A, retry).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("mine")));
}

pub async fn a_later_write_of_the_batch_wins<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["deleted then put", "put then deleted"])
        .await;
    let mut batch = Batch::new();
    batch.put("put twice", "1").put("put twice", "2");
    batch
        .put("put then deleted", "1")
        .delete("put then deleted");
    batch
        .delete("deleted then put")
        .put("deleted then put", "2");
    case.commit(A, batch).await;
    // Once as applied, once as replayed.
    for _ in 0..2 {
        assert_eq!(case.get(A, "put twice").await, Some(bytes("2")));
        assert_eq!(case.get(A, "put then deleted").await, None);
        assert_eq!(case.get(A, "deleted then put").await, Some(bytes("2")));
        case.reopen().await;
    }
}

pub async fn deleting_an_absent_key_succeeds<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut batch = Batch::new();
    batch.delete("key");
    case.commit(A, batch.clone()).await;
    case.put_keys(A, &["kex", "kez"]).await;
    batch.delete("key").put("new", "1");
    case.commit(A, batch).await;
    assert_eq!(case.all(A).await.len(), 3);
}
