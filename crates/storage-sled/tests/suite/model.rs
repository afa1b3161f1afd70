//! Random operations, with reopens of all kinds between them, against an ordered map.

use crate::support::{Content, Place, content};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use storage::{Batch, MetaStore, Scan};
use storage_sled::SledStore;
use types::{AccountId, BlobHash, EmailId};

/// A small generator, so that a seed tells the whole story.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Default)]
struct Model {
    rows: Content,
    links: BTreeSet<(u64, u64)>,
}

const BLOB: BlobHash = BlobHash([0xff; 32]);

fn random_batch(rng: &mut Rng, account: u64, model: &mut Model) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..1 + rng.below(6) {
        let key = Bytes::from(vec![b'k'; 1 + rng.below(30) as usize]);
        let key = if rng.below(2) == 0 {
            key
        } else {
            rng.below(300).to_string().into()
        };
        match rng.below(8) {
            0 | 1 => {
                batch.delete(key.clone());
                model.rows.remove(&(account, key));
            }
            2 => {
                let email = rng.below(20);
                batch.link(BLOB, EmailId(email));
                model.links.insert((account, email));
            }
            3 => {
                let email = rng.below(20);
                batch.unlink(BLOB, EmailId(email));
                model.links.remove(&(account, email));
            }
            _ => {
                let value = Bytes::from(vec![rng.below(256) as u8; rng.below(900) as usize]);
                batch.put(key.clone(), value.clone());
                model.rows.insert((account, key), value);
            }
        }
    }
    batch
}

async fn compare(store: &SledStore, model: &Model, what: &str) {
    assert_eq!(content(store).await, model.rows, "{what}");
    let links = store.links(&BLOB, 1000).await.unwrap();
    let links: BTreeSet<_> = links.iter().map(|l| (l.account.0, l.email.0)).collect();
    assert_eq!(links, model.links, "{what}");
}

async fn compare_page(store: &SledStore, model: &Model, rng: &mut Rng) {
    let account = rng.below(4);
    let bounds = [rng.below(400).to_string(), rng.below(400).to_string()].map(Bytes::from);
    let [start, end] = bounds;
    let limit = 1 + rng.below(400) as usize;
    let mut scan = Scan::range(start.clone(), end.clone(), limit);
    let in_range = |key: &Bytes| *key >= start && *key < end;
    let rows = model
        .rows
        .iter()
        .filter(|((a, k), _)| *a == account && in_range(k));
    let mut expected: Vec<_> = rows.map(|((_, k), v)| (k.clone(), v.clone())).collect();
    if rng.below(2) == 0 {
        scan = scan.reversed();
        expected.reverse();
    }
    let page = store.scan(AccountId(account), scan).await.unwrap();
    assert_eq!(page.more, expected.len() > limit);
    expected.truncate(limit);
    assert_eq!(page.entries, expected);
}

/// Ends the store in one of many ways and opens it again.
async fn reopen(place: &mut Place, store: Arc<SledStore>, rng: &mut Rng) -> Arc<SledStore> {
    let generation = store.generation();
    let mut rises = false;
    match rng.below(5) {
        0 => store.close().await.unwrap(),
        1 => {
            drop(store);
            fs::remove_dir_all(place.path("index")).unwrap();
        }
        2 => {
            // A reboot without a close; all that was written happens to have reached the disk.
            drop(store);
            place.options.boot_id = Some(rng.below(u64::MAX).to_string());
            rises = true;
        }
        3 => {
            store.close().await.unwrap();
            place.options.boot_id = Some(rng.below(u64::MAX).to_string());
        }
        _ => drop(store),
    }
    let store = place.open();
    assert_eq!(store.generation(), generation + u64::from(rises));
    store
}

async fn run(seed: u64) {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut place = Place::new();
    place.options.segment_bytes = 1 << (10 + rng.below(6));
    if rng.below(2) == 0 {
        place.export_always();
    }
    let mut store = place.open();
    let mut model = Model::default();
    for step in 0..1500 {
        let account = rng.below(4);
        let batch = random_batch(&mut rng, account, &mut model);
        let commit = store.commit(AccountId(account), batch).await.unwrap();
        match rng.below(20) {
            0 => commit.durable().await.unwrap(),
            1 => compare_page(&store, &model, &mut rng).await,
            _ => commit.relax(),
        }
        if rng.below(150) == 0 {
            compare(&store, &model, &format!("seed {seed}, step {step}, before")).await;
            store = reopen(&mut place, store, &mut rng).await;
            compare(&store, &model, &format!("seed {seed}, step {step}, after")).await;
        }
    }
    compare(&store, &model, &format!("seed {seed}, at the end")).await;
}

#[tokio::test]
async fn random_operations_and_reopens_match_a_map() {
    for seed in 1..=6 {
        run(seed).await;
    }
}
