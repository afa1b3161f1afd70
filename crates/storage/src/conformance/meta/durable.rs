//! The handle a commit returns.

use crate::conformance::support::{A, B, bytes};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, Commit, MetaStore};
use std::time::Duration;
use types::AccountId;

/// Applies a numbered entry, and leaves waiting to the caller.
async fn applied<H: MetaHarness>(case: &MetaCase<H>, account: AccountId, number: u32) -> Commit {
    let mut batch = Batch::new();
    batch.put(number.to_be_bytes().to_vec(), "value");
    let commit = case.store().commit(account, batch).await;
    commit.expect("commit")
}

pub async fn durable_resolves<H: MetaHarness>(case: &mut MetaCase<H>) {
    for number in 0..50 {
        let commit = applied(case, A, number).await;
        commit.durable().await.expect("durable");
    }
    assert_eq!(case.all(A).await.len(), 50);
}

pub async fn durable_resolves_for_many_waiters<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut waiting = Vec::new();
    for number in 0..500 {
        let commit = applied(case, AccountId(u64::from(number % 7)), number).await;
        waiting.push(tokio::spawn(commit.durable()));
    }
    for waiter in waiting {
        waiter.await.expect("the waiter ends").expect("durable");
    }
}

pub async fn handles_may_be_awaited_in_any_order<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut commits = Vec::new();
    for number in 0..30 {
        commits.push(applied(case, A, number).await);
    }
    for commit in commits.into_iter().rev() {
        commit.durable().await.expect("durable");
    }
}

pub async fn a_handle_may_be_awaited_late<H: MetaHarness>(case: &mut MetaCase<H>) {
    let early = applied(case, A, 0).await;
    for number in 1..100 {
        let later = applied(case, A, number).await;
        later.durable().await.expect("durable");
    }
    early.durable().await.expect("durable");
}

pub async fn a_handle_resolves_after_the_close<H: MetaHarness>(case: &mut MetaCase<H>) {
    let commit = applied(case, A, 1).await;
    let racing = tokio::spawn(applied(case, A, 2).await.durable());
    case.reopen().await;
    commit.durable().await.expect("close has made it durable");
    racing.await.expect("the waiter ends").expect("durable");
    assert_eq!(case.all(A).await.len(), 2);
}

pub async fn a_dropped_handle_undoes_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    drop(applied(case, A, 1).await);
    applied(case, A, 2).await.relax();
    // Polled once and then given up, as by a client that goes away.
    let commit = applied(case, A, 3).await;
    let _ = tokio::time::timeout(Duration::ZERO, commit.durable()).await;
    assert_eq!(case.all(A).await.len(), 3);
    case.reopen().await;
    assert_eq!(case.all(A).await.len(), 3, "after a reopen");
}

pub async fn a_dropped_commit_becomes_durable_by_itself<H: MetaHarness>(case: &mut MetaCase<H>) {
    for number in 0..10 {
        applied(case, A, number).await.relax();
    }
    // The one sleep of the suite: the contract names a time (100 ms), and nothing else tells of it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    case.crash().await;
    assert_eq!(case.all(A).await.len(), 10);
}

pub async fn durable_covers_every_earlier_commit<H: MetaHarness>(case: &mut MetaCase<H>) {
    for number in 0..200 {
        let account = if number % 2 == 0 { A } else { B };
        applied(case, account, number).await.relax();
    }
    let last = applied(case, A, 200).await;
    last.durable().await.expect("durable");
    case.crash().await;
    assert_eq!(case.all(A).await.len(), 101, "the account of the last");
    assert_eq!(
        case.all(B).await.len(),
        100,
        "every batch, not just its own"
    );
}

pub async fn a_durable_check_covers_what_it_saw<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut batch = Batch::new();
    batch.put("key", "value");
    case.store().commit(A, batch).await.expect("commit").relax();
    let mut check = Batch::new();
    check.require("key", "value");
    // It writes nothing, yet what it judged by may not be lost once it is durable.
    case.commit(A, check).await;
    case.crash().await;
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
}
