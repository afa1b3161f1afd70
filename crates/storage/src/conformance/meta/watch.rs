//! `watch`: no commit goes without a tick.

use crate::conformance::support::{A, B, bytes};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, MetaStore};
use futures::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use types::AccountId;

pub async fn a_commit_ticks_a_waiting_watch<H: MetaHarness>(case: &mut MetaCase<H>) {
    for round in 0..50u8 {
        let mut watch = case.store().watch(A);
        let waiting = tokio::spawn(async move { watch.tick().await });
        tokio::task::yield_now().await;
        case.put(A, [round], "value").await;
        waiting.await.expect("the tick comes");
    }
}

pub async fn a_commit_right_after_the_call_ticks<H: MetaHarness>(case: &mut MetaCase<H>) {
    for round in 0..50u8 {
        let mut watch = case.store().watch(A);
        case.put(A, [round], "value").await;
        watch.tick().await;
    }
}

pub async fn every_commit_after_a_tick_ticks_again<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut watch = case.store().watch(A);
    for round in 0..100u8 {
        case.put(A, [round], "value").await;
        watch.tick().await;
    }
}

pub async fn deletes_and_links_tick_too<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let mut watch = case.store().watch(A);
    let mut batch = Batch::new();
    batch.delete("key");
    case.commit(A, batch).await;
    watch.tick().await;
    let mut batch = Batch::new();
    batch.put("key", "again");
    case.commit(A, batch).await;
    watch.tick().await;
}

pub async fn every_watch_of_an_account_ticks<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut watches: Vec<_> = (0..500).map(|_| case.store().watch(A)).collect();
    case.put(A, "key", "value").await;
    for watch in &mut watches {
        watch.tick().await;
    }
    watches.truncate(250);
    case.put(A, "key", "value").await;
    for watch in &mut watches {
        watch.tick().await;
    }
}

pub async fn many_accounts_are_watched_apart<H: MetaHarness>(case: &mut MetaCase<H>) {
    let store = case.store();
    let accounts = (0..200).map(AccountId);
    let mut watches: Vec<_> = accounts
        .clone()
        .map(|account| store.watch(account))
        .collect();
    for account in accounts {
        case.put(account, "key", "value").await;
    }
    for watch in &mut watches {
        watch.tick().await;
    }
    // Watches that went away must not take others of their account along.
    drop(watches);
    let (mut left, gone) = (store.watch(B), store.watch(B));
    drop(gone);
    drop(store.watch(A));
    case.put(B, "key", "value").await;
    left.tick().await;
}

pub async fn a_burst_of_commits_loses_no_last_tick<H: MetaHarness>(case: &mut MetaCase<H>) {
    const LAST: u32 = 300;
    let store = case.store();
    let watchers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(follow(Arc::clone(&store), LAST)))
        .collect();
    for number in 0..=LAST {
        commit_number(&*store, number).await;
    }
    for watcher in watchers {
        let seen = timeout(PATIENCE, watcher).await;
        seen.expect("a tick was missed").expect("the watcher ends");
    }
}

pub async fn what_was_committed_is_visible_at_the_tick<H: MetaHarness>(case: &mut MetaCase<H>) {
    // Every commit is the last one for a while: a tick that comes before the commit can be seen,
    // and none after it, leaves the watcher waiting.
    for number in 0..300 {
        let watcher = tokio::spawn(follow(case.store(), number));
        commit_number(&*case.store(), number).await;
        let seen = timeout(PATIENCE, watcher).await;
        seen.expect("a tick came too early")
            .expect("the watcher ends");
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

async fn commit_number(store: &impl MetaStore, number: u32) {
    let mut batch = Batch::new();
    batch.put("number", number.to_string());
    store.commit(A, batch).await.expect("commit").relax();
}

/// Looks at the number after every tick, as a session in IDLE does, until it is `last`.
async fn follow(store: Arc<impl MetaStore>, last: u32) {
    let mut watch = store.watch(A);
    let mut seen = 0;
    loop {
        if let Some(value) = store.get(A, b"number").await.expect("get") {
            let text = std::str::from_utf8(&value).expect("a number");
            let number: u32 = text.parse().expect("a number");
            assert!(number >= seen, "{number} after {seen}");
            seen = number;
        }
        if seen == last {
            return;
        }
        watch.tick().await;
    }
}

pub async fn ticks_end_with_the_store<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut idle = case.store().watch(A);
    let mut due = case.store().watch(B);
    case.put(B, "key", "value").await;
    let closed = case.store();
    case.reopen().await;
    due.tick().await;
    // The new store's commits are none of the old watches' business.
    case.put(A, "key", "value").await;
    case.put(B, "key", "value").await;
    let mut late = closed.watch(A);
    for watch in [&mut idle, &mut due, &mut late] {
        let mut ticks = 0;
        while watch.tick().now_or_never().is_some() {
            ticks += 1;
            assert!(ticks < 10, "a closed store ticks on and on");
        }
    }
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
}

pub async fn a_watch_of_the_reopened_store_ticks<H: MetaHarness>(case: &mut MetaCase<H>) {
    drop(case.store().watch(A));
    case.reopen().await;
    let mut watch = case.store().watch(A);
    case.put(A, "key", "value").await;
    watch.tick().await;
}
