//! `accounts`: who holds keys.

use crate::conformance::support::{A, B, hash};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, MetaStore};
use types::{AccountId, EmailId};

async fn accounts<H: MetaHarness>(
    case: &MetaCase<H>,
    after: Option<u64>,
    limit: usize,
) -> Vec<u64> {
    let answer = case.store().accounts(after.map(AccountId), limit).await;
    let accounts = answer.expect("accounts").into_iter();
    accounts.map(|account| account.0).collect()
}

const IDS: [u64; 8] = [0, 1, 2, 255, 256, 65_536, 1 << 56, u64::MAX];

pub async fn accounts_with_keys_are_listed_ascending<H: MetaHarness>(case: &mut MetaCase<H>) {
    for id in IDS.iter().rev() {
        case.put_keys(AccountId(*id), &["a", "b", "c"]).await;
    }
    assert_eq!(accounts(case, None, 100).await, IDS);
    case.reopen().await;
    assert_eq!(accounts(case, None, 100).await, IDS, "after a reopen");
}

pub async fn after_is_exclusive_and_the_limit_bounds<H: MetaHarness>(case: &mut MetaCase<H>) {
    for id in IDS {
        case.put_keys(AccountId(id), &["a", "b", "c"]).await;
    }
    for limit in 0..10 {
        let first = accounts(case, None, limit).await;
        assert_eq!(first, IDS[..limit.min(8)], "limit {limit}");
    }
    for (index, id) in IDS.into_iter().enumerate() {
        let rest = &IDS[index + 1..];
        assert_eq!(accounts(case, Some(id), 100).await, rest, "after {id}");
        let two = accounts(case, Some(id), 2).await;
        assert_eq!(two, rest[..rest.len().min(2)], "two after {id}");
    }
    assert_eq!(accounts(case, Some(3), 2).await, [255, 256], "after nobody");
}

pub async fn an_account_without_keys_is_not_listed<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b"]).await;
    case.put_keys(B, &["a"]).await;
    let mut batch = Batch::new();
    batch.delete("a");
    case.commit(A, batch.clone()).await;
    case.commit(B, batch).await;
    assert_eq!(
        accounts(case, None, 9).await,
        [A.0],
        "B's last key is deleted"
    );
    case.put_keys(B, &["c"]).await;
    assert_eq!(accounts(case, None, 9).await, [A.0, B.0], "B is back");
}

pub async fn what_stores_no_key_makes_no_account<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.commit(AccountId(3), Batch::new()).await;
    let mut batch = Batch::new();
    batch.link(hash(1), EmailId(1));
    case.commit(AccountId(4), batch).await;
    let mut batch = Batch::new();
    batch.require("absent", "value").put("key", "value");
    case.refused(AccountId(5), batch, ErrorKind::Conflict).await;
    let mut batch = Batch::new();
    batch.put("key", "value").delete("key");
    case.commit(AccountId(6), batch).await;
    case.get(AccountId(7), "key").await;
    drop(case.store().watch(AccountId(8)));
    assert_eq!(accounts(case, None, 9).await, [0; 0]);
}

pub async fn thousands_of_accounts_are_paged<H: MetaHarness>(case: &mut MetaCase<H>) {
    for id in 0..2_000u64 {
        let mut batch = Batch::new();
        batch.put("key", "value");
        let commit = case.store().commit(AccountId(id * 3), batch).await;
        commit.expect("commit").relax();
    }
    let mut found = Vec::new();
    loop {
        let some = accounts(case, found.last().copied(), 300).await;
        assert!(some.len() <= 300);
        if some.is_empty() {
            break;
        }
        found.extend(some);
    }
    assert!(found.into_iter().eq((0..2_000).map(|id| id * 3)));
}
