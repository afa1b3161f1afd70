//! Verified passwords, remembered for a while, and hashes being computed, shared.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A keyed hash of name, password and stored hash: worthless outside this process, and different as
/// soon as the stored hash is.
pub(crate) type Proof = [u8; 32];

pub(crate) struct Cache {
    key: [u8; 32],
    ttl: Duration,
    size: usize,
    verified: Mutex<Verified>,
    running: Mutex<HashMap<Proof, Arc<OnceCell<bool>>>>,
}

#[derive(Default)]
struct Verified {
    until: HashMap<Proof, Instant>,
    /// Oldest first; every proof of `until` once.
    order: VecDeque<(Proof, String)>,
}

impl Cache {
    pub(crate) fn new(ttl: Duration, size: usize) -> Self {
        let mut key = [0; 32];
        // Without randomness proofs would be guessable from a memory dump only; but then TLS does
        // not work either. Nothing is remembered in that case.
        let size = if getrandom::fill(&mut key).is_ok() {
            size
        } else {
            0
        };
        Self {
            key,
            ttl,
            size,
            verified: Mutex::default(),
            running: Mutex::default(),
        }
    }

    pub(crate) fn proof(&self, account: &str, password: &[u8], stored: &str) -> Proof {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [account.as_bytes(), password, stored.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    pub(crate) fn contains(&self, proof: &Proof) -> bool {
        let now = Instant::now();
        self.verified()
            .until
            .get(proof)
            .is_some_and(|until| now < *until)
    }

    pub(crate) fn insert(&self, proof: Proof, account: &str) {
        if self.size == 0 {
            return;
        }
        let now = Instant::now();
        let mut verified = self.verified();
        let verified = &mut *verified;
        if verified.until.contains_key(&proof) {
            // Expired, or verified twice at once: the newer time counts, at the end of the queue.
            verified.order.retain(|(other, _)| *other != proof);
        }
        verified.until.insert(proof, now + self.ttl);
        verified.order.push_back((proof, account.to_owned()));
        while let Some((oldest, _)) = verified.order.front() {
            let expired = verified.until.get(oldest).is_none_or(|until| *until <= now);
            if !expired && verified.order.len() <= self.size {
                break;
            }
            verified.until.remove(oldest);
            verified.order.pop_front();
        }
    }

    pub(crate) fn invalidate(&self, account: &str) {
        let mut verified = self.verified();
        let Verified { until, order } = &mut *verified;
        order.retain(|(proof, name)| {
            let keep = name != account;
            if !keep {
                until.remove(proof);
            }
            keep
        });
    }

    /// The slot in which the outcome of one hash appears, for all who want the same one now.
    pub(crate) fn share(&self, proof: Proof) -> Shared<'_> {
        let cell = Arc::clone(self.running().entry(proof).or_default());
        Shared {
            cache: self,
            proof,
            cell,
        }
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Proof, Arc<OnceCell<bool>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Shared<'a> {
    cache: &'a Cache,
    proof: Proof,
    pub(crate) cell: Arc<OnceCell<bool>>,
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let mut running = self.cache.running();
        // The table's and ours: nobody else is waiting.
        if Arc::strong_count(&self.cell) <= 2 {
            running.remove(&self.proof);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn proofs_expire_and_the_oldest_give_way() {
        let cache = Cache::new(Duration::from_secs(10), 2);
        let proofs: Vec<Proof> = ["a", "b", "c"]
            .iter()
            .map(|name| cache.proof(name, b"p", "h"))
            .collect();
        for (proof, name) in proofs.iter().zip(["a", "b", "c"]) {
            cache.insert(*proof, name);
        }
        let held: Vec<bool> = proofs.iter().map(|proof| cache.contains(proof)).collect();
        assert_eq!(held, [false, true, true]);
        cache.invalidate("b");
        assert!(!cache.contains(&proofs[1]));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!cache.contains(&proofs[2]));
        cache.insert(proofs[0], "a");
        let verified = cache.verified();
        assert_eq!((verified.until.len(), verified.order.len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn verifying_again_renews() {
        let cache = Cache::new(Duration::from_secs(10), 2);
        let proof = cache.proof("a", b"p", "h");
        cache.insert(proof, "a");
        tokio::time::advance(Duration::from_secs(9)).await;
        cache.insert(proof, "a");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(cache.contains(&proof));
        assert_eq!(cache.verified().order.len(), 1);
    }

    #[test]
    fn a_proof_depends_on_every_part_and_its_border() {
        let cache = Cache::new(Duration::ZERO, 1);
        let all = [
            ("a", "b", "c"),
            ("ab", "", "c"),
            ("a", "", "bc"),
            ("a", "b", "d"),
        ];
        let proofs: std::collections::HashSet<Proof> = all
            .iter()
            .map(|(a, b, c)| cache.proof(a, b.as_bytes(), c))
            .collect();
        assert_eq!(proofs.len(), all.len());
    }
}
