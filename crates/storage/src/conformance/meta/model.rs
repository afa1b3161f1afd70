//! Random operations on the store and on a naive model of it; they must agree all along.

use crate::conformance::support::{LINKED, assert_kind, hash, seed};
use crate::conformance::{MetaCase, MetaHarness};
use crate::rng::Rng;
use crate::{Batch, ErrorKind, Link, MetaStore, Page, Scan};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use types::{AccountId, EmailId};

const ACCOUNTS: [AccountId; 4] = [
    AccountId(0),
    AccountId(1),
    AccountId(256),
    AccountId(u64::MAX),
];

/// One ordered map for everything, which is what the contract says in other words.
#[derive(Default)]
struct Model {
    entries: BTreeMap<(AccountId, Bytes), Bytes>,
    links: BTreeSet<(u8, Link)>,
}

impl Model {
    fn of(&self, account: AccountId) -> impl DoubleEndedIterator<Item = (Bytes, Bytes)> {
        let all = self.entries.iter();
        all.filter(move |((owner, _), _)| *owner == account)
            .map(|((_, key), value)| (key.clone(), value.clone()))
    }

    fn scan(&self, account: AccountId, scan: &Scan) -> Page {
        let mut entries: Vec<_> = self
            .of(account)
            .filter(|(key, _)| *key >= scan.start)
            .filter(|(key, _)| scan.end.as_ref().is_none_or(|end| key < end))
            .collect();
        if scan.reverse {
            entries.reverse();
        }
        let more = entries.len() > scan.limit;
        entries.truncate(scan.limit);
        Page { entries, more }
    }
}

/// A key of a small alphabet, so that the same ones come again, prefixes of each other among them.
fn key(rng: &mut Rng) -> Bytes {
    let length = 1 + rng.below(3);
    let letters = (0..length).map(|_| [0, b'a', b'b', 0x7f, 0xff][rng.below(5) as usize]);
    letters.collect()
}

fn value(rng: &mut Rng) -> Bytes {
    let length = [0, 1, 10, 300][rng.below(4) as usize];
    vec![rng.next() as u8; length].into()
}

fn account(rng: &mut Rng) -> AccountId {
    ACCOUNTS[rng.below(ACCOUNTS.len() as u64) as usize]
}

struct Walk<'a, H: MetaHarness> {
    case: &'a mut MetaCase<H>,
    model: Model,
    rng: Rng,
    /// Whether every commit is awaited, so that even a crash may lose none.
    durable: bool,
}

impl<H: MetaHarness> Walk<'_, H> {
    /// A random batch, which the model takes over if its preconditions hold in the model.
    async fn commit(&mut self) {
        let account = account(&mut self.rng);
        let mut batch = Batch::new();
        let mut holds = true;
        for _ in 0..self.rng.below(3) {
            holds &= self.add_precondition(account, &mut batch);
        }
        let (mut entries, mut links) = (self.model.entries.clone(), self.model.links.clone());
        for _ in 0..self.rng.below(6) {
            let key = key(&mut self.rng);
            let email = EmailId(self.rng.below(5));
            let blob = self.rng.below(u64::from(LINKED)) as u8;
            let row = (blob, Link { account, email });
            match self.rng.below(6) {
                0..3 => {
                    let value = value(&mut self.rng);
                    batch.put(key.clone(), value.clone());
                    entries.insert((account, key), value);
                }
                3 => {
                    batch.delete(key.clone());
                    entries.remove(&(account, key));
                }
                4 => {
                    batch.link(hash(blob), email);
                    links.insert(row);
                }
                _ => {
                    batch.unlink(hash(blob), email);
                    links.remove(&row);
                }
            }
        }
        let answer = self.case.store().commit(account, batch).await;
        if !holds {
            return assert_kind(answer.map(|_| "a commit"), ErrorKind::Conflict);
        }
        let commit = answer.expect("commit");
        if self.durable {
            commit.durable().await.expect("durable");
        }
        (self.model.entries, self.model.links) = (entries, links);
    }

    /// Adds a precondition that is usually true; whether it is.
    fn add_precondition(&mut self, account: AccountId, batch: &mut Batch) -> bool {
        let key = key(&mut self.rng);
        let stored = self.model.entries.get(&(account, key.clone()));
        match (stored.cloned(), self.rng.below(8)) {
            (Some(_), 0) | (None, 1..) => {
                batch.require_absent(key);
                stored.is_none()
            }
            (Some(value), 1..) => {
                batch.require(key, value);
                true
            }
            (None, 0) => {
                batch.require(key, "");
                false
            }
        }
    }

    async fn read(&mut self) {
        let account = account(&mut self.rng);
        let (start, end) = (key(&mut self.rng), key(&mut self.rng));
        let value = self.case.get(account, &start).await;
        let expected = self.model.entries.get(&(account, start.clone()));
        assert_eq!(value.as_ref(), expected, "{account:?} {start:?}");
        let limit = 1 + self.rng.below(12) as usize;
        let mut scan = match self.rng.below(3) {
            0 => Scan::prefix("", limit),
            1 => Scan::prefix(start, limit),
            _ => Scan::range(start, end, limit),
        };
        scan.reverse = self.rng.below(2) == 0;
        let page = self.case.scan(account, scan.clone()).await;
        assert_eq!(
            page,
            self.model.scan(account, &scan),
            "{account:?} {scan:?}"
        );
    }

    /// Compares everything.
    async fn compare(&self) {
        for account in ACCOUNTS {
            let expected: Vec<_> = self.model.of(account).collect();
            assert_eq!(self.case.all(account).await, expected, "{account:?}");
        }
        let store = self.case.store();
        for blob in 0..LINKED {
            let rows = self.model.links.iter().filter(|(of, _)| *of == blob);
            let expected: Vec<Link> = rows.map(|(_, row)| *row).collect();
            assert_eq!(
                store.links(&hash(blob), 1000).await.expect("links"),
                expected
            );
        }
        let keys = self.model.entries.keys();
        let expected: BTreeSet<AccountId> = keys.map(|(account, _)| *account).collect();
        let accounts = store.accounts(None, 100).await.expect("accounts");
        assert!(accounts.into_iter().eq(expected));
    }

    async fn run(mut self, rounds: usize, crash: bool) {
        for _ in 0..rounds {
            for _ in 0..60 {
                self.commit().await;
                self.read().await;
            }
            self.compare().await;
            if crash {
                self.case.crash().await;
            } else {
                self.case.reopen().await;
            }
            self.compare().await;
        }
    }
}

pub async fn random_operations_agree_with_a_model<H: MetaHarness>(case: &mut MetaCase<H>) {
    let walk = Walk {
        case,
        model: Model::default(),
        rng: Rng::new(seed()),
        durable: false,
    };
    walk.run(12, false).await;
}

pub async fn random_durable_operations_survive_crashes<H: MetaHarness>(case: &mut MetaCase<H>) {
    let walk = Walk {
        case,
        model: Model::default(),
        rng: Rng::new(seed()),
        durable: true,
    };
    walk.run(8, true).await;
}
