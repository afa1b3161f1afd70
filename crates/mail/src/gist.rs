//! What SEARCH looks at before it loads anything of an email: kept in memory once a search has
//! read it, so that the next ones need not.
//!
//! It is made of what never changes of an email, and dropped at any time: it cannot be stale.

use crate::kept::{Kept, Weighed};
use crate::{Account, Email};
use message::{Needle, TextFilter};
use std::sync::{Arc, PoisonError, RwLock};
use types::{AccountId, EmailId};

/// Longer subjects are not kept.
const MAX_SUBJECT: usize = 1024;

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
}

impl Weighed for Arc<Gist> {
    fn memory(&self) -> usize {
        // The places in the table and in the list, the counters of the Arc, what allocations lose.
        const AROUND: usize = 144;
        let subject = self.subject.as_ref().map_or(0, |subject| subject.len());
        let filter = self.filter.as_ref().map_or(0, TextFilter::memory);
        AROUND + size_of::<Gist>() + subject + filter
    }
}

/// The gists in memory.
pub(crate) type Gists = Kept<(AccountId, EmailId), Arc<Gist>>;

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
        lock(self.mail().gists()).wants_more(max)
    }

    /// Keeps gists in memory, as far as there is room.
    pub fn keep_gists(&self, new: Vec<(EmailId, Gist)>) {
        let mail = self.mail();
        let max = mail.options().search_cache_bytes;
        let mut gists = lock(mail.gists());
        for (id, gist) in new {
            gists.put((self.id(), id), Arc::new(gist), max);
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
        gists.unwrap_or_else(PoisonError::into_inner).memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gist(message: &str) -> Arc<Gist> {
        let digest = message::digest(message.as_bytes());
        let digest = message::Digest::parse(&digest).unwrap();
        Arc::new(Gist {
            subject: Some(digest.subject().into()),
            filter: Some(TextFilter::new(b"", &digest, message.as_bytes())),
        })
    }

    #[test]
    fn a_newer_gist_takes_the_place_of_the_older_one() {
        let key = (AccountId(1), EmailId(1));
        let mut gists = Gists::default();
        let without = Arc::new(Gist {
            subject: None,
            filter: None,
        });
        gists.put(key, without, usize::MAX);
        gists.put(key, gist("Subject: x\r\n\r\nbody"), usize::MAX);
        let kept = gists.get(key).unwrap();
        assert!(kept.has_filter() && kept.rules_out(&Needle::new("absent")));
        assert_eq!(gists.memory(), kept.memory());
    }
}
