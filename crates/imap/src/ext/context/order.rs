//! The results of a SORT that are kept: where each message stands, and where one that comes or goes
//! stands, in far less time than looking at them all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use types::Uid;

/// Uids in one chunk, about.
const CHUNK: usize = 512;
/// What is kept of a result beside its key, in octets.
const AROUND: usize = 64;

/// Neighbours in a list of results.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    /// The place of the first, from 1.
    pub(super) at: usize,
    pub(super) uids: Vec<Uid>,
}

/// Uids in the order of keys, all of which differ.
#[derive(Default)]
pub(super) struct Order {
    keys: HashMap<Uid, Box<[u8]>>,
    /// None is empty.
    chunks: Vec<Vec<Uid>>,
    octets: usize,
}

impl Order {
    /// Of uids that are in order.
    pub(super) fn new(sorted: Vec<(Uid, Box<[u8]>)>) -> Self {
        let uids: Vec<Uid> = sorted.iter().map(|(uid, _)| *uid).collect();
        Self {
            octets: sorted.iter().map(|(_, key)| weight(key)).sum(),
            keys: sorted.into_iter().collect(),
            chunks: uids.chunks(CHUNK).map(<[Uid]>::to_vec).collect(),
        }
    }

    /// Octets it takes, about.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn contains(&self, uid: Uid) -> bool {
        self.keys.contains_key(&uid)
    }

    /// Whether the uid is there with this key.
    pub(super) fn has(&self, uid: Uid, key: &[u8]) -> bool {
        self.keys.get(&uid).is_some_and(|known| **known == *key)
    }

    /// The chunk and the place in it where a key is or would be.
    fn locate(&self, key: &[u8]) -> (usize, usize) {
        let is_before = |uid: &Uid| self.keys.get(uid).is_some_and(|known| **known < *key);
        let is_all_before = |chunk: &Vec<Uid>| chunk.last().is_some_and(is_before);
        let chunk = self.chunks.partition_point(is_all_before);
        let within = self.chunks.get(chunk);
        (
            chunk,
            within.map_or(0, |uids| uids.partition_point(is_before)),
        )
    }

    /// Places before a chunk.
    fn before(&self, chunk: usize) -> usize {
        self.chunks.iter().take(chunk).map(Vec::len).sum()
    }

    /// Takes out those of `uids` that are there. The runs are the last first, so that none moves
    /// the next.
    pub(super) fn remove(&mut self, uids: impl Iterator<Item = Uid>) -> Vec<Stretch> {
        let mut gone: Vec<(usize, Uid)> = Vec::new();
        let mut spots = Vec::new();
        for uid in uids {
            let Some(key) = self.keys.get(&uid) else {
                continue;
            };
            let (chunk, at) = self.locate(key);
            gone.push((self.before(chunk) + at + 1, uid));
            spots.push((chunk, at));
        }
        spots.sort_unstable();
        for (chunk, at) in spots.into_iter().rev() {
            if let Some(uids) = self.chunks.get_mut(chunk)
                && at < uids.len()
            {
                uids.remove(at);
            }
        }
        self.chunks.retain(|uids| !uids.is_empty());
        for (_, uid) in &gone {
            if let Some(key) = self.keys.remove(uid) {
                self.octets -= weight(&key);
            }
        }
        gone.sort_unstable();
        let mut runs = runs(gone);
        runs.reverse();
        runs
    }

    /// Puts in new ones, with their keys. The runs are in order: each place is that after the runs
    /// before it were put in.
    pub(super) fn insert(&mut self, mut new: Vec<(Uid, Box<[u8]>)>) -> Vec<Stretch> {
        new.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
        let mut come = Vec::with_capacity(new.len());
        for (uid, key) in new {
            let (chunk, at) = self.locate(&key);
            let Entry::Vacant(vacant) = self.keys.entry(uid) else {
                continue;
            };
            self.octets += weight(&key);
            vacant.insert(key);
            // Behind the last one it goes into the last chunk.
            let (chunk, at) = match self.chunks.get(chunk) {
                Some(_) => (chunk, at),
                None => {
                    let last = self.chunks.len().saturating_sub(1);
                    (last, self.chunks.last().map_or(0, Vec::len))
                }
            };
            come.push((self.before(chunk) + at + 1, uid));
            match self.chunks.get_mut(chunk) {
                Some(uids) => {
                    uids.insert(at.min(uids.len()), uid);
                    if uids.len() > 2 * CHUNK {
                        let tail = uids.split_off(CHUNK);
                        self.chunks.insert(chunk + 1, tail);
                    }
                }
                None => self.chunks.push(vec![uid]),
            }
        }
        runs(come)
    }
}

/// Octets it takes to keep a key, about.
pub(super) fn weight(key: &[u8]) -> usize {
    key.len() + AROUND
}

/// Puts neighbours together.
fn runs(places: Vec<(usize, Uid)>) -> Vec<Stretch> {
    let mut runs: Vec<Stretch> = Vec::new();
    for (at, uid) in places {
        match runs.last_mut() {
            Some(run) if run.at + run.uids.len() == at => run.uids.push(uid),
            _ => runs.push(Stretch {
                at,
                uids: vec![uid],
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    fn key(rank: u32, uid: u32) -> Box<[u8]> {
        [rank.to_be_bytes(), uid.to_be_bytes()].concat().into()
    }

    fn apart(new: &[(u32, u32)]) -> Vec<(Uid, Box<[u8]>)> {
        let unique: BTreeMap<u32, u32> = new.iter().map(|&(uid, rank)| (uid, rank)).collect();
        unique
            .into_iter()
            .map(|(n, rank)| (uid(n), key(rank, n)))
            .collect()
    }

    /// What a client does (RFC 5267 4.3.3, 4.3.4).
    fn obey(list: &mut Vec<Uid>, removed: &[Stretch], added: &[Stretch]) {
        for run in removed {
            let at = run.at - 1;
            let gone: Vec<Uid> = list.drain(at..at + run.uids.len()).collect();
            assert_eq!(gone, run.uids);
        }
        for run in added {
            let at = run.at - 1;
            list.splice(at..at, run.uids.iter().copied());
        }
    }

    #[test]
    fn neighbours_are_told_together() {
        let mut order = Order::new(vec![(uid(7), key(1, 7)), (uid(3), key(2, 3))]);
        let come = order.insert(apart(&[(5, 0), (6, 0), (4, 2), (9, 3)]));
        let stretch = |at, uids: &[u32]| Stretch {
            at,
            uids: uids.iter().map(|&n| uid(n)).collect(),
        };
        assert_eq!(come, [stretch(1, &[5, 6]), stretch(5, &[4, 9])]);
        let gone = order.remove([9, 8, 6, 7].map(uid).into_iter());
        assert_eq!(gone, [stretch(6, &[9]), stretch(2, &[6, 7])]);
        assert!(order.has(uid(4), &key(2, 4)) && !order.has(uid(4), &key(1, 4)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_client_that_obeys_has_the_list(
            first in prop::collection::vec((1u32..4000, 0u32..50), 0..2500),
            steps in prop::collection::vec(
                (
                    prop::collection::vec(1u32..4000, 0..200),
                    prop::collection::vec((1u32..4000, 0u32..50), 0..200),
                ),
                1..6,
            ),
        ) {
            let mut sorted = apart(&first);
            sorted.sort_by(|(_, a), (_, b)| a.cmp(b));
            let mut list: Vec<Uid> = sorted.iter().map(|(uid, _)| *uid).collect();
            let mut naive: BTreeMap<Box<[u8]>, Uid> =
                sorted.iter().map(|(uid, key)| (key.clone(), *uid)).collect();
            let mut order = Order::new(sorted);
            for (gone, new) in steps {
                let gone: std::collections::BTreeSet<Uid> = gone.into_iter().map(uid).collect();
                let removed = order.remove(gone.iter().copied());
                naive.retain(|_, uid| !gone.contains(uid));
                let new: Vec<_> =
                    apart(&new).into_iter().filter(|(uid, _)| !order.contains(*uid)).collect();
                naive.extend(new.iter().map(|(uid, key)| (key.clone(), *uid)));
                let added = order.insert(new);
                obey(&mut list, &removed, &added);
                prop_assert_eq!(&list, &naive.values().copied().collect::<Vec<_>>());
                let octets: usize = naive.keys().map(|key| weight(key)).sum();
                prop_assert_eq!(order.octets(), octets);
            }
        }
    }
}
