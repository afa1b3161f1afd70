//! What SEARCH looks at before it loads anything of an email: kept in memory once a search has
//! read it, so that the next ones need not.
//!
//! It is made of what never changes of an email, and dropped at any time: it cannot be stale.

use crate::{Account, Email};
use message::{Needle, TextFilter};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};
use types::{AccountId, EmailId};

/// Longer subjects are not kept.
const MAX_SUBJECT: usize = 1024;

/// How seldom gists are made while there is no room.
const SELDOM: usize = 8;

/// The gist of an email.
#[derive(Debug)]
pub struct Gist {
    subject: Option<Box<str>>,
    filter: Option<TextFilter>,
}

impl Gist {
    /// Of an email whose bytes are not at hand; `None` when it could not be parsed.
    pub fn of(email: &Email) -> Option<Self> {
        let digest = email.digest()?;
        // One that stands in for what could not be read says nothing about the email.
        let is_of_email = digest.size() == email.blob.size;
        let subject = digest.subject();
        is_of_email.then(|| Self {
            subject: (subject.len() <= MAX_SUBJECT).then(|| subject.into()),
            filter: None,
        })
    }

    /// Of an email with its bytes, as far as a search for text reads them.
    pub fn of_content(email: &Email, content: &[u8]) -> Option<Self> {
        let gist = Self::of(email)?;
        let filter = TextFilter::new(email.prefix(), &email.digest()?, content);
        Some(Self {
            filter: Some(filter),
            ..gist
        })
    }

    /// The decoded subject; `None` when it is too long to be kept.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether the texts of the email were looked at.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether what is looked for is certainly in no text of the email (SEARCH TEXT, and so BODY).
    pub fn rules_out(&self, needle: &Needle) -> bool {
        let filter = self.filter.as_ref();
        filter.is_some_and(|filter| filter.rules_out(needle))
    }

    fn memory(&self) -> usize {
        // The places in the table and in the list, the counters of the Arc, what allocations lose.
        const AROUND: usize = 144;
        let subject = self.subject.as_ref().map_or(0, |subject| subject.len());
        let filter = self.filter.as_ref().map_or(0, TextFilter::memory);
        AROUND + size_of::<Self>() + subject + filter
    }
}

type Key = (AccountId, EmailId);

/// The gists in memory. When there is no room, any of them goes: a search looks at a mailbox from
/// one end to the other, and dropping what was not asked for lately would drop all of a mailbox
/// that is a little too large.
#[derive(Default)]
pub(crate) struct Gists {
    places: HashMap<Key, usize>,
    list: Vec<(Key, Arc<Gist>)>,
    memory: usize,
    chance: u64,
}

impl Gists {
    fn get(&self, key: Key) -> Option<Arc<Gist>> {
        let (_, gist) = self.list.get(*self.places.get(&key)?)?;
        Some(Arc::clone(gist))
    }

    fn put(&mut self, key: Key, gist: Gist, max: usize) {
        self.memory += gist.memory();
        let gist = Arc::new(gist);
        match self.places.entry(key) {
            Entry::Vacant(place) => {
                place.insert(self.list.len());
                self.list.push((key, gist));
            }
            Entry::Occupied(place) => {
                if let Some((_, old)) = self.list.get_mut(*place.get()) {
                    self.memory -= old.memory();
                    *old = gist;
                }
            }
        }
        while self.memory > max && !self.list.is_empty() {
            self.drop_any();
        }
    }

    /// Whether gists are worth making. Without room, one time in [`SELDOM`]: a mailbox far larger
    /// than the memory is not digested anew by every search, and what is searched now still
    /// replaces what was searched once.
    fn are_wanted(&mut self, max: usize) -> bool {
        max > 0 && (self.memory < max - max / 16 || self.chance(SELDOM) == 0)
    }

    /// A number below `below`. Nothing depends on how good this chance is.
    fn chance(&mut self, below: usize) -> usize {
        self.chance = self
            .chance
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        (self.chance >> 33) as usize % below
    }

    fn drop_any(&mut self) {
        let place = self.chance(self.list.len());
        let (key, gist) = self.list.swap_remove(place);
        self.memory -= gist.memory();
        self.places.remove(&key);
        if let Some((moved, _)) = self.list.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

impl Account {
    /// The gists of the emails `ids` that are in memory, in their order.
    pub fn gists(&self, ids: &[EmailId]) -> Vec<Option<Arc<Gist>>> {
        let gists = self.mail().gists().read();
        let gists = gists.unwrap_or_else(PoisonError::into_inner);
        ids.iter().map(|&id| gists.get((self.id(), id))).collect()
    }

    /// Whether it is worth making gists of the next emails, as far as they are missing.
    pub fn wants_gists(&self) -> bool {
        let max = self.mail().options().search_cache_bytes;
        lock(self.mail().gists()).are_wanted(max)
    }

    /// Keeps gists in memory, as far as there is room.
    pub fn keep_gists(&self, new: Vec<(EmailId, Gist)>) {
        let mail = self.mail();
        let max = mail.options().search_cache_bytes;
        let mut gists = lock(mail.gists());
        for (id, gist) in new {
            gists.put((self.id(), id), gist, max);
        }
    }
}

fn lock(gists: &RwLock<Gists>) -> std::sync::RwLockWriteGuard<'_, Gists> {
    gists.write().unwrap_or_else(PoisonError::into_inner)
}

impl crate::Mail {
    /// Memory of what searches have kept of emails, in bytes, by an estimate.
    pub fn search_cache_bytes(&self) -> usize {
        let gists = self.gists().read();
        gists.unwrap_or_else(PoisonError::into_inner).memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gist(message: &str) -> Gist {
        let digest = message::digest(message.as_bytes());
        let digest = message::Digest::parse(&digest).unwrap();
        Gist {
            subject: Some(digest.subject().into()),
            filter: Some(TextFilter::new(b"", &digest, message.as_bytes())),
        }
    }

    #[test]
    fn memory_is_bounded_and_a_part_of_what_does_not_fit_stays() {
        let key = |n: u64| (AccountId(n % 3 + 1), EmailId(n));
        let message = |n: u64| format!("Subject: message {n}\r\n\r\nhello {n}");
        let max = 100 * gist(&message(1000)).memory();
        let mut gists = Gists::default();
        let (mut found, mut looked) = (0, 0);
        for round in 0..20 {
            for n in 0..200 {
                match gists.get(key(n)) {
                    Some(gist) => {
                        let subject = format!("message {n}");
                        assert_eq!(gist.subject(), Some(subject.as_str()));
                        found += i32::from(round > 0);
                    }
                    None => gists.put(key(n), gist(&message(n)), max),
                }
                looked += i32::from(round > 0);
                assert!(gists.memory <= max && gists.list.len() == gists.places.len());
            }
        }
        assert!(found * 5 > looked, "{found} of {looked}");
        let memory: usize = gists.list.iter().map(|(_, gist)| gist.memory()).sum();
        assert_eq!(gists.memory, memory);
    }

    #[test]
    fn without_room_gists_are_made_seldom_and_without_memory_never() {
        let mut gists = Gists::default();
        let wanted = |gists: &mut Gists, max| (0..800).filter(|_| gists.are_wanted(max)).count();
        assert_eq!(wanted(&mut gists, 0), 0);
        assert_eq!(wanted(&mut gists, 10_000), 800);
        let mut n = 0;
        while gists.memory <= 9_500 {
            gists.put(
                (AccountId(1), EmailId(n)),
                gist("Subject: x\r\n\r\n"),
                10_000,
            );
            n += 1;
        }
        let seldom = wanted(&mut gists, 10_000);
        assert!((50..200).contains(&seldom), "{seldom}");
    }

    #[test]
    fn a_newer_gist_takes_the_place_of_the_older_one() {
        let key = (AccountId(1), EmailId(1));
        let mut gists = Gists::default();
        let without = Gist {
            subject: None,
            filter: None,
        };
        gists.put(key, without, usize::MAX);
        gists.put(key, gist("Subject: x\r\n\r\nbody"), usize::MAX);
        let kept = gists.get(key).unwrap();
        assert!(kept.has_filter() && kept.rules_out(&Needle::new("absent")));
        assert_eq!((gists.list.len(), gists.memory), (1, kept.memory()));
        gists.put((AccountId(2), EmailId(1)), gist(""), 0);
        assert!(gists.get(key).is_none() && gists.memory == 0);
    }
}
