//! Link rows: part of a batch, read by blob.

use crate::conformance::support::{A, B, hash};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, Link, MetaStore};
use types::{AccountId, EmailId};

fn row(account: AccountId, email: u64) -> Link {
    let email = EmailId(email);
    Link { account, email }
}

async fn rows<H: MetaHarness>(case: &MetaCase<H>, blob: u8) -> Vec<Link> {
    let rows = case.store().links(&hash(blob), 1000).await;
    rows.expect("links")
}

async fn link<H: MetaHarness>(case: &MetaCase<H>, account: AccountId, blob: u8, email: u64) {
    let mut batch = Batch::new();
    batch.link(hash(blob), EmailId(email));
    case.commit(account, batch).await;
}

async fn unlink<H: MetaHarness>(case: &MetaCase<H>, account: AccountId, blob: u8, email: u64) {
    let mut batch = Batch::new();
    batch.unlink(hash(blob), EmailId(email));
    case.commit(account, batch).await;
}

pub async fn a_link_row_is_found<H: MetaHarness>(case: &mut MetaCase<H>) {
    assert_eq!(rows(case, 1).await, [], "before");
    link(case, A, 1, 7).await;
    assert_eq!(rows(case, 1).await, [row(A, 7)]);
}

pub async fn a_link_added_twice_is_one_row<H: MetaHarness>(case: &mut MetaCase<H>) {
    link(case, A, 1, 7).await;
    link(case, A, 1, 7).await;
    let mut batch = Batch::new();
    batch.link(hash(1), EmailId(7)).link(hash(1), EmailId(7));
    case.commit(A, batch).await;
    assert_eq!(rows(case, 1).await, [row(A, 7)]);
    unlink(case, A, 1, 7).await;
    assert_eq!(rows(case, 1).await, [], "rows are not counted");
}

pub async fn an_unlinked_row_is_gone<H: MetaHarness>(case: &mut MetaCase<H>) {
    for email in [1, 2, 3] {
        link(case, A, 1, email).await;
    }
    unlink(case, A, 1, 2).await;
    assert_eq!(rows(case, 1).await, [row(A, 1), row(A, 3)]);
}

pub async fn unlinking_what_is_not_there_succeeds<H: MetaHarness>(case: &mut MetaCase<H>) {
    unlink(case, A, 1, 7).await;
    link(case, A, 1, 8).await;
    unlink(case, A, 1, 7).await;
    unlink(case, A, 2, 8).await;
    assert_eq!(rows(case, 1).await, [row(A, 8)]);
}

pub async fn rows_come_in_order_of_account_and_email<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut expected = Vec::new();
    for account in [0, 1, 2, 255, 256, u64::MAX].map(AccountId) {
        for email in [0, 1, 255, 256, 1 << 33, u64::MAX] {
            expected.push(row(account, email));
        }
    }
    for at in expected.iter().rev() {
        link(case, at.account, 1, at.email.0).await;
    }
    assert_eq!(rows(case, 1).await, expected);
}

pub async fn the_limit_bounds_the_rows<H: MetaHarness>(case: &mut MetaCase<H>) {
    let expected = [row(A, 1), row(A, 2), row(B, 1), row(B, 2)];
    for at in expected {
        link(case, at.account, 1, at.email.0).await;
    }
    for limit in 0..6 {
        let rows = case.store().links(&hash(1), limit).await.expect("links");
        assert_eq!(rows, expected[..limit.min(4)], "limit {limit}");
    }
}

pub async fn blobs_have_rows_of_their_own<H: MetaHarness>(case: &mut MetaCase<H>) {
    // Neighbouring hashes: one row too many would be found at either end.
    for blob in [3, 4, 5] {
        link(case, A, blob, u64::from(blob)).await;
        link(case, AccountId(u64::MAX), blob, u64::MAX).await;
    }
    unlink(case, A, 4, 4).await;
    let last = row(AccountId(u64::MAX), u64::MAX);
    assert_eq!(rows(case, 3).await, [row(A, 3), last]);
    assert_eq!(rows(case, 4).await, [last]);
    assert_eq!(rows(case, 5).await, [row(A, 5), last]);
    assert_eq!(rows(case, 2).await, []);
    assert_eq!(rows(case, 0xff).await, []);
}

pub async fn an_account_unlinks_only_its_own_row<H: MetaHarness>(case: &mut MetaCase<H>) {
    link(case, A, 1, 7).await;
    link(case, B, 1, 7).await;
    unlink(case, A, 1, 7).await;
    assert_eq!(rows(case, 1).await, [row(B, 7)]);
}

pub async fn the_later_of_link_and_unlink_wins<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut batch = Batch::new();
    batch.link(hash(1), EmailId(1)).unlink(hash(1), EmailId(1));
    batch.unlink(hash(1), EmailId(2)).link(hash(1), EmailId(2));
    case.commit(A, batch).await;
    assert_eq!(rows(case, 1).await, [row(A, 2)]);
    case.reopen().await;
    assert_eq!(rows(case, 1).await, [row(A, 2)], "after a reopen");
}

pub async fn links_and_writes_are_one_batch<H: MetaHarness>(case: &mut MetaCase<H>) {
    link(case, A, 1, 1).await;
    let mut batch = Batch::new();
    batch.require_absent("key").put("key", "value");
    batch.link(hash(2), EmailId(2)).unlink(hash(1), EmailId(1));
    case.commit(A, batch.clone()).await;
    assert!(case.get(A, "key").await.is_some());
    assert_eq!(
        (rows(case, 1).await, rows(case, 2).await),
        (vec![], vec![row(A, 2)])
    );
}

pub async fn a_failed_precondition_links_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    link(case, A, 1, 1).await;
    let before = case.dump().await;
    let mut batch = Batch::new();
    batch.require_absent("key");
    batch.link(hash(1), EmailId(2)).unlink(hash(1), EmailId(1));
    case.refused(A, batch, ErrorKind::Conflict).await;
    let mut batch = Batch::new();
    batch.link(hash(1), EmailId(2)).put("", "an invalid write");
    case.refused(A, batch, ErrorKind::Invalid).await;
    assert_eq!(case.dump().await, before);
    assert_eq!(rows(case, 1).await, [row(A, 1)]);
}

pub async fn link_rows_are_no_keys<H: MetaHarness>(case: &mut MetaCase<H>) {
    link(case, A, 1, 7).await;
    assert_eq!(case.all(A).await, []);
    assert_eq!(case.all(AccountId::SYSTEM).await, []);
    assert_eq!(case.store().accounts(None, 9).await.expect("accounts"), []);
    // Emptying an account of its keys leaves its rows.
    case.put_keys(A, &["a"]).await;
    let mut batch = Batch::new();
    batch.delete("a");
    case.commit(A, batch).await;
    assert_eq!(rows(case, 1).await, [row(A, 7)]);
}

pub async fn link_rows_survive_a_reopen<H: MetaHarness>(case: &mut MetaCase<H>) {
    for email in 0..200 {
        link(case, A, 1, email).await;
    }
    for email in (0..200).step_by(2) {
        unlink(case, A, 1, email).await;
    }
    case.reopen().await;
    let expected: Vec<Link> = (0..200)
        .filter(|email| email % 2 == 1)
        .map(|email| row(A, email))
        .collect();
    assert_eq!(rows(case, 1).await, expected);
}
