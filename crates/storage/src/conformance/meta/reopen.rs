//! What is there after the store was closed, or ended, and opened again.

use crate::conformance::support::{A, B, assert_kind, bytes, hash};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, MetaStore, Scan};
use types::{AccountId, EmailId};

pub async fn durable_commits_survive_a_reopen<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "a").await;
    case.put(B, "key", "b").await;
    case.reopen().await;
    assert_eq!(case.get(A, "key").await, Some(bytes("a")));
    assert_eq!(case.get(B, "key").await, Some(bytes("b")));
}

pub async fn close_makes_everything_durable<H: MetaHarness>(case: &mut MetaCase<H>) {
    for number in 0..1_000u32 {
        let mut batch = Batch::new();
        batch.put(number.to_be_bytes().to_vec(), "value");
        let account = AccountId(u64::from(number % 5));
        let commit = case.store().commit(account, batch).await;
        commit.expect("commit").relax();
    }
    case.reopen().await;
    for account in 0..5 {
        assert_eq!(case.all(AccountId(account)).await.len(), 200);
    }
}

pub async fn an_unused_store_reopens_empty<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.reopen().await;
    case.reopen().await;
    assert_eq!(case.store().accounts(None, 9).await.expect("accounts"), []);
    case.put(A, "key", "value").await;
}

pub async fn deleted_and_replaced_stay_so<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["deleted", "replaced", "kept"]).await;
    case.reopen().await;
    let mut batch = Batch::new();
    batch.delete("deleted").put("replaced", "new");
    case.commit(A, batch).await;
    for _ in 0..3 {
        case.reopen().await;
        assert_eq!(case.get(A, "deleted").await, None);
        assert_eq!(case.get(A, "replaced").await, Some(bytes("new")));
        assert_eq!(case.get(A, "kept").await, Some(bytes("kept")));
    }
}

pub async fn every_generation_of_writes_survives<H: MetaHarness>(case: &mut MetaCase<H>) {
    for round in 0..10u8 {
        case.put(A, [round], [round]).await;
        case.put(A, "latest", [round]).await;
        if round % 3 == 2 {
            case.crash().await;
        } else {
            case.reopen().await;
        }
        let expected: Vec<_> = (0..=round)
            .map(|number| (vec![number].into(), vec![number].into()))
            .chain([(bytes("latest"), vec![round].into())])
            .collect();
        assert_eq!(case.all(A).await, expected, "round {round}");
    }
}

pub async fn preconditions_hold_across_a_reopen<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    case.reopen().await;
    let mut batch = Batch::new();
    batch.require_absent("key").put("key", "mine");
    case.refused(A, batch, ErrorKind::Conflict).await;
    let mut batch = Batch::new();
    batch.require("key", "value").put("key", "mine");
    case.commit(A, batch).await;
    assert_eq!(case.get(A, "key").await, Some(bytes("mine")));
}

pub async fn a_closed_store_answers_unavailable<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let closed = case.store();
    case.reopen().await;
    let gone = ErrorKind::Unavailable;
    assert_kind(closed.get(A, b"key").await, gone);
    assert_kind(closed.get_many(A, &[bytes("key")]).await, gone);
    assert_kind(closed.scan(A, Scan::prefix("", 9)).await, gone);
    assert_kind(closed.links(&hash(1), 9).await, gone);
    assert_kind(closed.accounts(None, 9).await, gone);
    let mut batch = Batch::new();
    batch.put("key", "from the closed handle");
    let answer = closed.commit(A, batch).await;
    assert_kind(answer.map(|_| "a commit"), gone);
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
}

pub async fn closing_twice_succeeds<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let closed = case.store();
    closed.close().await.expect("the first close");
    closed.close().await.expect("the second close");
    case.reopen().await;
    // The old handle has no hold on the new store.
    closed.close().await.expect("the third close");
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
    case.put(A, "key", "value").await;
}

pub async fn what_runs_while_closing_is_whole_or_refused<H: MetaHarness>(case: &mut MetaCase<H>) {
    let store = case.store();
    let (started, first) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn(async move {
        let mut started = Some(started);
        for number in 0u32.. {
            let mut batch = Batch::new();
            batch.put(number.to_be_bytes().to_vec(), "one");
            batch.put([b"second", &number.to_be_bytes()[..]].concat(), "two");
            match store.commit(A, batch).await {
                Ok(commit) => commit.durable().await.expect("what was applied is durable"),
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Unavailable);
                    return number;
                }
            }
            if let Some(started) = started.take() {
                started.send(()).expect("the case waits");
            }
        }
        unreachable!("the store is closed before the numbers end")
    });
    first.await.expect("the writer has begun");
    case.reopen().await;
    let acknowledged = writer.await.expect("the writer ends");
    assert_eq!(case.all(A).await.len(), acknowledged as usize * 2);
}

pub async fn generation_stays_over_a_clean_close<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    let before = case.store().generation();
    case.reopen().await;
    assert_eq!(case.store().generation(), before);
}

pub async fn generation_never_falls<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut last = case.store().generation();
    for round in 0..4u8 {
        case.put(A, [round], "value").await;
        case.crash().await;
        let now = case.store().generation();
        assert!(now == last || now == last + 1, "from {last} to {now}");
        last = now;
        case.reopen().await;
        assert_eq!(case.store().generation(), last);
    }
}

pub async fn durable_commits_survive_a_crash<H: MetaHarness>(case: &mut MetaCase<H>) {
    for number in 0..100u32 {
        let mut batch = Batch::new();
        batch.put(number.to_be_bytes().to_vec(), number.to_string());
        batch.link(hash(1), EmailId(u64::from(number)));
        case.commit(A, batch).await;
    }
    let before = case.dump().await;
    case.crash().await;
    assert_eq!(case.dump().await, before);
    case.put(A, "the store takes commits", "again").await;
}

pub async fn a_crash_leaves_whole_commits_in_order<H: MetaHarness>(case: &mut MetaCase<H>) {
    const COMMITS: u32 = 300;
    let accounts = [1, 2, 3].map(AccountId);
    let mut durable = [0; 3];
    for number in 1..=COMMITS {
        for (account, durable) in accounts.into_iter().zip(&mut durable) {
            let mut batch = Batch::new();
            for part in 0..4u8 {
                let key = [&number.to_be_bytes()[..], &[part]].concat();
                batch.put(key, vec![part; 100]);
            }
            batch.link(hash(account.0 as u8), EmailId(u64::from(number)));
            let commit = case.store().commit(account, batch).await;
            let commit = commit.expect("commit");
            // Durable now and then, and not for the last ones.
            if number % 50 == 0 && number < COMMITS {
                commit.durable().await.expect("durable");
                *durable = number;
            }
        }
    }
    case.crash().await;
    for (account, durable) in accounts.into_iter().zip(durable) {
        let entries = case.all(account).await;
        assert_eq!(
            entries.len() % 4,
            0,
            "a commit of {account} is there in part"
        );
        let commits = entries.len() as u32 / 4;
        assert!(
            commits >= durable,
            "{account}: {commits} of {durable} durable commits"
        );
        let expected = (1..=commits).flat_map(|number| {
            (0..4u8).map(move |part| [&number.to_be_bytes()[..], &[part]].concat())
        });
        assert!(
            entries.into_iter().map(|(key, _)| key).eq(expected),
            "{account}: a gap"
        );
        let links = case.store().links(&hash(account.0 as u8), usize::MAX).await;
        assert_eq!(
            links.expect("links").len() as u32,
            commits,
            "rows of {account}"
        );
    }
}

pub async fn nothing_comes_back_after_a_crash<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["deleted", "replaced"]).await;
    let mut batch = Batch::new();
    batch.link(hash(1), EmailId(1));
    case.commit(A, batch).await;
    case.reopen().await;
    let mut batch = Batch::new();
    batch
        .delete("deleted")
        .put("replaced", "new")
        .unlink(hash(1), EmailId(1));
    case.commit(A, batch).await;
    for _ in 0..3 {
        case.crash().await;
        assert_eq!(case.all(A).await, [(bytes("replaced"), bytes("new"))]);
        assert_eq!(case.store().links(&hash(1), 9).await.expect("links"), []);
    }
}
