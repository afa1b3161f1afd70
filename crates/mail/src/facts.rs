//! What SORT and THREAD compare of an email: little, and asked for again and again, so it is kept
//! in memory once it was read.

use crate::{Account, Email, MailError};
use message::Digest;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, PoisonError};
use types::{AccountId, EmailId};

/// Octets of facts kept in memory, by an estimate; those not asked for lately go first.
const MAX_BYTES: usize = 32 << 20;

/// Texts are compared by so many octets: longer ones would let a stranger's mail cost us memory.
/// A line of mail has at most 998 (RFC 5322 2.1.1).
const MAX_TEXT: usize = 1024;

/// Facts of one email; they never change.
#[derive(Debug, Default)]
pub struct Facts {
    /// The Date field in seconds since 1970 UTC; `None` when it is missing or unreadable.
    pub sent: Option<i64>,
    /// Whether the subject is that of a reply or forward (RFC 5256 3).
    pub is_reply_or_forward: bool,
    /// The Message-ID.
    pub message_id: Option<ThreadId>,
    /// Whom it answers, the root of the thread first (RFC 5256 3: References, or the first
    /// identifier of In-Reply-To).
    pub references: Box<[ThreadId]>,
    texts: Box<str>,
    ends: [u16; TEXTS],
}

/// Stands for a message identifier: equal for equal identifiers, in this process.
// Two hashes with random keys: nobody can look for identifiers that share both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ThreadId(u64, u64);

/// A text of a message that is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Text {
    /// The base subject (RFC 5256 2.1).
    BaseSubject,
    /// The addr-mailbox of the first From address.
    From,
    /// The addr-mailbox of the first To address.
    To,
    /// The addr-mailbox of the first Cc address.
    Cc,
    /// What is shown of the first From address (RFC 5957 3).
    DisplayFrom,
    /// What is shown of the first To address.
    DisplayTo,
}

const TEXTS: usize = Text::DisplayTo as usize + 1;

impl ThreadId {
    fn of(id: &[u8]) -> Self {
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
        let [a, b] = KEYS.each_ref().map(|key| key.hash_one(id));
        Self(a, b)
    }
}

impl Facts {
    /// The facts of a message.
    pub fn of_message(message: &[u8]) -> Self {
        let digest = message::digest(message);
        Digest::parse(&digest).map_or_else(Self::default, |digest| Self::of(&digest))
    }

    fn of(digest: &Digest<'_>) -> Self {
        let firsts = digest.first_addresses();
        let mut texts = String::new();
        let mut ends = [0; TEXTS];
        for (text, end) in [
            digest.base_subject(),
            &firsts.from.mailbox,
            &firsts.to.mailbox,
            &firsts.cc.mailbox,
            &firsts.from.display,
            &firsts.to.display,
        ]
        .into_iter()
        .zip(&mut ends)
        {
            texts.push_str(
                text.get(..text.floor_char_boundary(MAX_TEXT))
                    .unwrap_or(text),
            );
            // All texts together are below 64 KiB.
            *end = u16::try_from(texts.len()).unwrap_or(u16::MAX);
        }
        let mut references: Vec<ThreadId> = digest.references().map(ThreadId::of).collect();
        if references.is_empty() {
            references.extend(digest.in_reply_to().next().map(ThreadId::of));
        }
        Self {
            sent: digest.sent_date(),
            is_reply_or_forward: digest.is_reply_or_forward(),
            message_id: digest.message_id().map(ThreadId::of),
            references: references.into(),
            texts: texts.into(),
            ends,
        }
    }

    /// One of the texts; empty when the message has none.
    pub fn text(&self, text: Text) -> &str {
        let index = text as usize;
        let end = |index: usize| self.ends.get(index).map_or(0, |&end| usize::from(end));
        let start = index.checked_sub(1).map_or(0, end);
        self.texts.get(start..end(index)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        // The maps and the counters of the Arc.
        const AROUND: usize = 64;
        AROUND + size_of::<Self>() + self.texts.len() + size_of_val(&*self.references)
    }
}

/// Facts in memory: those asked for lately, and those asked for before. When the first half is
/// full, the second is forgotten and the first takes its place.
#[derive(Default)]
pub(crate) struct FactsCache {
    recent: HashMap<(AccountId, EmailId), Arc<Facts>>,
    older: HashMap<(AccountId, EmailId), Arc<Facts>>,
    recent_bytes: usize,
}

impl FactsCache {
    fn get(&mut self, key: (AccountId, EmailId)) -> Option<Arc<Facts>> {
        if let Some(facts) = self.recent.get(&key) {
            return Some(Arc::clone(facts));
        }
        let facts = self.older.remove(&key)?;
        self.put(key, Arc::clone(&facts));
        Some(facts)
    }

    fn put(&mut self, key: (AccountId, EmailId), facts: Arc<Facts>) {
        if self.recent_bytes >= MAX_BYTES / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.recent_bytes = 0;
        }
        self.recent_bytes += facts.bytes();
        self.recent.insert(key, facts);
    }
}

impl Account {
    /// The facts of the emails `ids`, in their order; `None` for one that was expunged long ago.
    /// Call it with a few hundred at once, like [`Account::emails`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn facts(&self, ids: &[EmailId]) -> Result<Vec<Option<Arc<Facts>>>, MailError> {
        let cache = self.mail().facts_cache();
        let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = {
            let mut cache = lock();
            ids.iter().map(|&id| cache.get((self.id(), id))).collect()
        };
        let slots = || ids.iter().zip(0..);
        let missing: Vec<(EmailId, usize)> = slots()
            .filter(|&(_, at)| matches!(found.get(at), Some(None)))
            .map(|(&id, at)| (id, at))
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let unknown: Vec<EmailId> = missing.iter().map(|&(id, _)| id).collect();
        let emails: Vec<Option<Email>> = self.emails(&unknown).await?;
        let facts: Vec<_> = emails
            .iter()
            .map(|email| Some(Arc::new(Facts::of(&email.as_ref()?.digest()?))))
            .collect();
        let mut cache = lock();
        for ((id, at), facts) in missing.into_iter().zip(facts) {
            if let Some(facts) = &facts {
                cache.put((self.id(), id), Arc::clone(facts));
            }
            if let Some(slot) = found.get_mut(at) {
                *slot = facts;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(message: &str) -> Facts {
        Facts::of_message(message.as_bytes())
    }

    #[test]
    fn facts_of_messages() {
        let all = [
            Text::BaseSubject,
            Text::From,
            Text::To,
            Text::Cc,
            Text::DisplayFrom,
            Text::DisplayTo,
        ];
        let empty = facts("");
        assert_eq!(all.map(|text| empty.text(text)), [""; 6]);
        assert!(empty.sent.is_none() && empty.message_id.is_none() && empty.references.is_empty());
        let one = facts(
            "Subject: Re: Caf\u{e9}\r\nFrom: Joe <j@x>\r\nTo: t@y\r\nDate: 1 Jan 1970 00:01 +0000\r\n\
             Message-ID: <a@b>\r\nReferences: <r@b>\r\nIn-Reply-To: <p@b> <q@b>\r\n\r\n",
        );
        assert_eq!(
            all.map(|text| one.text(text)),
            ["Caf\u{e9}", "j", "t", "", "Joe", "t@y"]
        );
        assert_eq!((one.sent, one.is_reply_or_forward), (Some(60), true));
        let two =
            facts("Message-ID: <p@b>\r\nReferences: none\r\nIn-Reply-To: <a@b> <c@d>\r\n\r\n");
        assert_eq!(*two.references, [one.message_id.unwrap()]);
        assert_eq!(*one.references, [ThreadId::of(b"r@b")]);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let long = facts(&format!(
            "Subject: x{}\r\nFrom: a@b\r\n\r\n",
            "\u{e9}".repeat(3000)
        ));
        assert_eq!(long.text(Text::BaseSubject).len(), MAX_TEXT - 1);
        assert_eq!(long.text(Text::From), "a");
    }

    #[test]
    fn what_was_not_asked_for_lately_is_forgotten() {
        let mut cache = FactsCache::default();
        let key = |n: u64| (AccountId(1), EmailId(n));
        let big = Arc::new(facts(&format!("Subject: {}\r\n\r\n", "x".repeat(2000))));
        let rounds = u64::try_from(MAX_BYTES / big.bytes()).unwrap();
        for n in 0..3 * rounds {
            cache.put(key(n), Arc::clone(&big));
            assert!(cache.get(key(0)).is_some(), "{n}");
        }
        assert!(cache.get(key(1)).is_none() && cache.get(key(3 * rounds - 1)).is_some());
        let kept = cache.recent.len() + cache.older.len();
        assert!(kept <= 2 + usize::try_from(rounds).unwrap(), "{kept}");
    }
}
