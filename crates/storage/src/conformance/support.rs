//! Small things many cases need.

use crate::rng::Rng;
use crate::{Entry, ErrorKind, MetaStore, Scan, StorageError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use types::{AccountId, BlobHash};

/// The accounts cases use by name.
pub(super) const A: AccountId = AccountId(1);
pub(super) const B: AccountId = AccountId(2);

/// The blobs that link cases name; the check after a case looks at the rows of all of them.
pub(super) const LINKED: u8 = 16;

pub(super) fn hash(number: u8) -> BlobHash {
    BlobHash([number; 32])
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Bytes that compress badly and differ for every seed.
pub(super) fn noise(seed: u64, length: usize) -> Bytes {
    let mut rng = Rng::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&rng.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The seed of a random case: `GATEPOST_SEED` to repeat a failure, otherwise a new one. Printed,
/// and shown by the test runner when the case fails.
pub(super) fn seed() -> u64 {
    let seed = match std::env::var("GATEPOST_SEED") {
        Ok(text) => text.parse().expect("GATEPOST_SEED is a number"),
        Err(_) => RandomState::new().hash_one("seed"),
    };
    println!("repeat with GATEPOST_SEED={seed}");
    seed
}

#[track_caller]
pub(super) fn assert_kind<T: Debug>(result: Result<T, StorageError>, kind: ErrorKind) {
    match result {
        Err(error) if error.kind == kind => {}
        other => panic!("expected an error of kind {kind:?}, got {other:?}"),
    }
}

/// All entries of an account, read in pages small enough that most cases need several.
pub(super) async fn all_entries(store: &impl MetaStore, account: AccountId) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut scan = Scan::prefix("", 97);
    loop {
        let page = store.scan(account, scan.clone()).await.expect("scan");
        entries.extend(page.entries);
        match entries.last() {
            Some((last, _)) if page.more => scan = scan.after(last),
            _ => return entries,
        }
    }
}

/// A store's whole content, as far as its contract shows it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Dump {
    accounts: BTreeMap<AccountId, Vec<Entry>>,
    links: Vec<(u8, Vec<crate::Link>)>,
}

/// Reads everything, and checks on the way that the ways to read agree with each other.
pub(super) async fn dump(store: &impl MetaStore) -> Dump {
    let mut accounts = BTreeMap::new();
    let mut after = None;
    loop {
        let some = store.accounts(after, 100).await.expect("accounts");
        let Some(last) = some.last() else { break };
        after = Some(*last);
        for account in some {
            let entries = all_entries(store, account).await;
            assert!(!entries.is_empty(), "account {account} is listed but empty");
            check_reads_agree(store, account, &entries).await;
            let known = accounts.insert(account, entries);
            assert!(known.is_none(), "account {account} is listed twice");
        }
    }
    let mut links = Vec::new();
    for number in 0..LINKED {
        let rows = store.links(&hash(number), usize::MAX).await.expect("links");
        assert!(rows.is_sorted_by(|a, b| a < b), "rows ascend: {rows:?}");
        links.push((number, rows));
    }
    Dump { accounts, links }
}

async fn check_reads_agree(store: &impl MetaStore, account: AccountId, entries: &[Entry]) {
    let ascending = entries.is_sorted_by(|(a, _), (b, _)| a < b);
    assert!(ascending, "keys of account {account} ascend");
    let keys: Vec<Bytes> = entries.iter().map(|(key, _)| key.clone()).collect();
    let values = store.get_many(account, &keys).await.expect("get_many");
    let found: Vec<Entry> = keys
        .into_iter()
        .zip(values)
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    assert_eq!(entries, found, "scan and get agree on account {account}");
    let last = entries.last().expect("the account is not empty");
    let page = store.scan(account, Scan::prefix("", 1).reversed()).await;
    assert_eq!(
        page.expect("scan").entries.first(),
        Some(last),
        "the last key"
    );
}
