//! Emails that were read many at once, kept in memory: bulk reading asks for the same ones again,
//! and a scan of the index costs several times what looking here does.
//!
//! The record of an email never changes, and its id is never given to another one: what is here is
//! right as long as the record is there. Who removes records says so ([`EmailCache::forget`]), and
//! what was read before that is not kept after it. Only a process that alone can commit keeps any.

use crate::Email;
use crate::kept::{Kept, Weighed};
use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use types::{AccountId, EmailId};

/// Ids of a block: emails with neighbouring ids are asked for together, and found by one look-up.
const BLOCK: u64 = 32;

/// How many blocks are known to have been read: copying what is read once and never again would
/// cost as much as reading it.
const READ_BEFORE: usize = 4096;

/// The emails in memory.
#[derive(Default)]
pub(crate) struct EmailCache(RwLock<Blocks>);

#[derive(Default)]
struct Blocks {
    blocks: Kept<(AccountId, u64), Arc<Block>>,
    /// How often records were removed.
    removals: u64,
    /// Blocks read before, as hashes, of which each displaces others by chance.
    read_before: Vec<u64>,
}

/// Those emails of [`BLOCK`] ids that were read, by id; they share their bytes.
struct Block {
    emails: Vec<Email>,
    octets: usize,
}

/// What may be kept of what is read from now on.
pub(crate) struct Reading {
    removals: u64,
}

impl Block {
    /// With all bytes in memory of their own: what they were read into holds more than them.
    fn new<'a>(emails: impl Iterator<Item = &'a Email> + Clone) -> Self {
        let octets = |email: &Email| email.prefix.len() + email.digest.len();
        let octets = emails.clone().map(octets).sum();
        let mut bytes = Vec::with_capacity(octets);
        for email in emails.clone() {
            bytes.extend_from_slice(&email.prefix);
            bytes.extend_from_slice(&email.digest);
        }
        let mut bytes = Bytes::from(bytes);
        let own = |email: &Email| Email {
            prefix: bytes.split_to(email.prefix.len()),
            digest: bytes.split_to(email.digest.len()),
            ..*email
        };
        Self {
            emails: emails.map(own).collect(),
            octets,
        }
    }
}

impl Weighed for Arc<Block> {
    fn memory(&self) -> usize {
        // The places in the table and in the list, the counters, what allocations lose.
        const AROUND: usize = 256;
        AROUND + self.octets + self.emails.capacity() * size_of::<Email>()
    }
}

impl Blocks {
    fn was_read_before(&mut self, (account, number): (AccountId, u64)) -> bool {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let hash = (account.0.wrapping_mul(MIX) ^ number).wrapping_mul(MIX);
        self.read_before.resize(READ_BEFORE, 0);
        let slot = self
            .read_before
            .get_mut((hash >> 32) as usize % READ_BEFORE);
        slot.is_some_and(|slot| std::mem::replace(slot, hash) == hash)
    }
}

impl EmailCache {
    /// Before emails are read that may be kept.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            removals: self.read().removals,
        }
    }

    /// Fills in those of `ids` that are here; `order` has the places of `ids`, ascending by id.
    pub(crate) fn find(
        &self,
        account: AccountId,
        ids: &[EmailId],
        order: &[usize],
        found: &mut [Option<Email>],
    ) {
        for wanted in order.chunk_by(|&a, &b| block_of(ids[a]) == block_of(ids[b])) {
            let Some(number) = wanted.first().map(|&i| block_of(ids[i])) else {
                continue;
            };
            let Some(block) = self.read().blocks.get((account, number)) else {
                continue;
            };
            let mut emails = block.emails.iter().peekable();
            for &i in wanted {
                while emails.next_if(|email| email.id < ids[i]).is_some() {}
                found[i] = emails
                    .peek()
                    .filter(|email| email.id == ids[i])
                    .copied()
                    .cloned();
            }
        }
    }

    /// Keeps emails, given by ascending id, in `max` octets of memory: those of blocks that are
    /// read a second time.
    pub(crate) fn keep(
        &self,
        account: AccountId,
        emails: &[&Email],
        reading: &Reading,
        max: usize,
    ) {
        if max == 0 {
            return;
        }
        for new in emails.chunk_by(|a, b| block_of(a.id) == block_of(b.id)) {
            let Some(number) = new.first().map(|email| block_of(email.id)) else {
                continue;
            };
            let key = (account, number);
            let mut blocks = self.write();
            if !blocks.was_read_before(key) || !blocks.blocks.wants_more(max) {
                continue;
            }
            let old = blocks.blocks.get(key);
            drop(blocks);
            let old = old.iter().flat_map(|block| &block.emails);
            let mut all: Vec<&Email> = old.chain(new.iter().copied()).collect();
            all.sort_by_key(|email| email.id);
            all.dedup_by_key(|email| email.id);
            let block = Arc::new(Block::new(all.iter().copied()));
            let mut blocks = self.write();
            if blocks.removals == reading.removals {
                blocks.blocks.put(key, block, max);
            }
        }
    }

    /// The records of these emails are gone.
    pub(crate) fn forget(&self, account: AccountId, ids: &[EmailId]) {
        let mut blocks = self.write();
        blocks.removals += 1;
        for id in ids {
            blocks.blocks.remove((account, block_of(*id)));
        }
    }

    /// Octets of memory, by an estimate.
    pub(crate) fn memory(&self) -> usize {
        self.read().blocks.memory()
    }

    fn read(&self) -> RwLockReadGuard<'_, Blocks> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Blocks> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn block_of(id: EmailId) -> u64 {
    id.0 / BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::BlobRef;
    use types::BlobHash;

    const ACCOUNT: AccountId = AccountId(1);

    fn email(id: u64) -> Email {
        Email {
            id: EmailId(id),
            blob: BlobRef {
                hash: BlobHash([id as u8; 32]),
                size: id as u32,
                hint: id,
            },
            prefix: format!("X-Prefix: {id}\r\n").into(),
            thread: None,
            digest: vec![id as u8; 1000].into(),
        }
    }

    fn keep(cache: &EmailCache, ids: impl Iterator<Item = u64>, max: usize) {
        let emails: Vec<Email> = ids.map(email).collect();
        let emails: Vec<&Email> = emails.iter().collect();
        // What is read once is not kept.
        for _ in 0..2 {
            cache.keep(ACCOUNT, &emails, &cache.reading(), max);
        }
    }

    /// Which of `ids` are there.
    fn found(cache: &EmailCache, account: AccountId, ids: &[u64]) -> Vec<u64> {
        let ids: Vec<EmailId> = ids.iter().copied().map(EmailId).collect();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_unstable_by_key(|&i| ids[i]);
        let mut found = vec![None; ids.len()];
        cache.find(account, &ids, &order, &mut found);
        for (id, email_found) in ids.iter().zip(&found) {
            if let Some(found) = email_found {
                let kept = email(id.0);
                assert_eq!((found.id, found.blob), (*id, kept.blob));
                assert_eq!((&found.prefix, &found.digest), (&kept.prefix, &kept.digest));
            }
        }
        found.iter().flatten().map(|email| email.id.0).collect()
    }

    #[test]
    fn what_was_kept_is_found_in_the_order_it_is_asked_for() {
        let cache = EmailCache::default();
        keep(&cache, (1..100).filter(|id| id % 3 > 0), usize::MAX);
        assert_eq!(
            found(&cache, ACCOUNT, &[70, 3, 64, 1, 64, 100, 31, 32]),
            [70, 64, 1, 64, 31, 32]
        );
        assert!(found(&cache, AccountId(2), &[1, 2]).is_empty());
        // What comes to a block later joins what is there.
        keep(&cache, 65..67, usize::MAX);
        keep(&cache, 66..68, usize::MAX);
        assert_eq!(
            found(&cache, ACCOUNT, &[64, 65, 66, 67, 68]),
            [64, 65, 66, 67, 68]
        );
    }

    #[test]
    fn what_was_removed_is_not_found_though_it_was_read_before() {
        let cache = EmailCache::default();
        keep(&cache, 1..100, usize::MAX);
        let reading = cache.reading();
        let emails: Vec<Email> = (1..100).map(email).collect();
        cache.forget(ACCOUNT, &[EmailId(40)]);
        cache.keep(
            ACCOUNT,
            &emails.iter().collect::<Vec<_>>(),
            &reading,
            usize::MAX,
        );
        assert_eq!(found(&cache, ACCOUNT, &[1, 40, 41, 99]), [1, 99]);
    }

    #[test]
    fn memory_is_bounded_and_counted() {
        let cache = EmailCache::default();
        keep(&cache, 1..1000, 0);
        assert_eq!(cache.memory(), 0);
        for first in (0..10_000).step_by(100) {
            keep(&cache, first..first + 100, 200_000);
            assert!(cache.memory() <= 200_000);
        }
        assert!(cache.memory() > 100_000);
        let ids: Vec<u64> = (0..10_000).collect();
        let kept = found(&cache, ACCOUNT, &ids).len();
        assert!((90..200).contains(&kept), "{kept}");
    }
}
