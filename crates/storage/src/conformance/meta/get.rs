//! `get` and `get_many`.

use crate::conformance::support::{A, B, assert_kind, bytes};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, Health, MAX_KEY, MetaStore};
use bytes::Bytes;
use types::AccountId;

pub async fn a_fresh_store_is_ready_and_empty<H: MetaHarness>(case: &mut MetaCase<H>) {
    let store = case.store();
    assert!(!store.backend().is_empty(), "the backend has a name");
    assert_eq!(store.health(), Health::Ready);
    assert_eq!(store.accounts(None, 10).await.expect("accounts"), []);
}

pub async fn absent_key_has_no_value<H: MetaHarness>(case: &mut MetaCase<H>) {
    assert_eq!(case.get(A, "key").await, None, "in an empty store");
    case.put_keys(A, &["kex", "ke", "key ", "kez"]).await;
    assert_eq!(case.get(A, "key").await, None, "between others");
}

pub async fn a_value_reads_back<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
}

pub async fn any_byte_is_kept<H: MetaHarness>(case: &mut MetaCase<H>) {
    let every: Vec<u8> = (0..=255).collect();
    case.put(A, every.clone(), every.clone()).await;
    for byte in 0..=255u8 {
        case.put(A, vec![byte], vec![byte]).await;
    }
    assert_eq!(case.get(A, &every).await, Some(every.clone().into()));
    for byte in 0..=255u8 {
        let value = case.get(A, [byte]).await;
        assert_eq!(value, Some(vec![byte].into()), "{byte}");
    }
    assert_eq!(case.all(A).await.len(), 257);
}

pub async fn an_empty_value_is_not_an_absent_one<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "").await;
    assert_eq!(case.get(A, "key").await, Some(Bytes::new()));
    case.reopen().await;
    assert_eq!(case.get(A, "key").await, Some(Bytes::new()));
}

pub async fn a_put_replaces_the_value<H: MetaHarness>(case: &mut MetaCase<H>) {
    for value in ["short", "a longer one", "", "last"] {
        case.put(A, "key", value).await;
        assert_eq!(case.get(A, "key").await, Some(bytes(value)));
    }
    assert_eq!(case.all(A).await, [(bytes("key"), bytes("last"))]);
}

pub async fn a_deleted_key_has_no_value<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b", "c"]).await;
    let mut batch = Batch::new();
    batch.delete("b");
    case.commit(A, batch).await;
    assert_eq!(case.get(A, "b").await, None);
    assert_eq!(case.get(A, "a").await, Some(bytes("a")));
    assert_eq!(case.get(A, "c").await, Some(bytes("c")));
}

pub async fn many_values_come_in_the_order_of_their_keys<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b", "c"]).await;
    let keys = ["c", "missing", "a", "c", "b"].map(bytes);
    let values = case.store().get_many(A, &keys).await.expect("get_many");
    let expected = [Some("c"), None, Some("a"), Some("c"), Some("b")];
    assert_eq!(values, expected.map(|value| value.map(bytes)));
    assert_eq!(case.store().get_many(A, &[]).await.expect("get_many"), []);
}

pub async fn the_same_key_in_two_accounts_names_two_values<H: MetaHarness>(case: &mut MetaCase<H>) {
    // 1 and 256, or 0 and u64::MAX: where an encoding of ids is cut short or of varying length.
    let accounts = [0, 1, 2, 255, 256, 1 << 32, u64::MAX].map(AccountId);
    for account in accounts {
        case.put(account, "key", account.to_string()).await;
    }
    let mut batch = Batch::new();
    batch.delete("key");
    case.commit(B, batch).await;
    for account in accounts {
        let value = (account != B).then(|| bytes(&account.to_string()));
        assert_eq!(case.get(account, "key").await, value, "{account:?}");
    }
}

pub async fn a_key_outside_the_limits_cannot_be_asked_for<H: MetaHarness>(case: &mut MetaCase<H>) {
    for key in [Bytes::new(), vec![b'k'; MAX_KEY + 1].into()] {
        assert_kind(case.store().get(A, &key).await, ErrorKind::Invalid);
        let answer = case.store().get_many(A, &[bytes("good"), key]).await;
        assert_kind(answer, ErrorKind::Invalid);
    }
    assert_eq!(case.get(A, vec![b'k'; MAX_KEY]).await, None);
}

pub async fn a_commit_is_seen_by_every_later_read<H: MetaHarness>(case: &mut MetaCase<H>) {
    for number in 0..100u32 {
        let value = number.to_be_bytes();
        let mut batch = Batch::new();
        batch.put("key", value.to_vec());
        // Applied is enough: what is read may not wait for stable storage.
        let commit = case.store().commit(A, batch).await.expect("commit");
        assert_eq!(case.get(A, "key").await.as_deref(), Some(&value[..]));
        let store = case.store();
        let elsewhere = tokio::spawn(async move { store.get(A, b"key").await });
        let seen = elsewhere.await.expect("the reader ends").expect("get");
        assert_eq!(seen.as_deref(), Some(&value[..]), "in another task");
        assert_eq!(case.all(A).await, [(bytes("key"), value.to_vec().into())]);
        commit.relax();
    }
}
