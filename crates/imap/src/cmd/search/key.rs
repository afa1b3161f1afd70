//! What a search key is, and what it can look at.

use crate::ext::filters::FilterName;
use crate::view::Selection;
use bytes::Bytes;
use mail::{Email, Gist, Row, View};
use message::Collation;
use types::UidSet;

/// One search key with its arguments.
pub trait Key: Send + Sync {
    /// What must be loaded of a message before the key can always be decided.
    fn cost(&self) -> Cost;

    /// Takes in what depends on the mailbox and the moment; called before any test, for each
    /// mailbox that is searched.
    fn bind(&mut self, _to: &Binding<'_>) {}

    /// Takes in what has changed since [`Key::bind`] or this beside the messages: time, new uids.
    /// Adds to `affected` those for which the answer may be another now though they have not
    /// changed.
    fn rebind(&mut self, _to: &Binding<'_>, _affected: &mut UidSet) {}

    /// Whether time alone can change what matches.
    fn is_timed(&self) -> bool {
        false
    }

    /// Whether the gists of messages can decide the key.
    fn reads_gists(&self) -> bool {
        false
    }

    /// Whether the message matches; `None` when that takes more than what is loaded.
    fn test(&self, m: &Candidate<'_>) -> Option<bool>;

    /// No other messages match than these, as far as that is known without looking at any; asked
    /// before [`Key::bind`].
    fn within(&self, _selection: &Selection) -> Option<UidSet> {
        None
    }

    /// Whether the key is MODSEQ (RFC 7162 3.1.5).
    fn is_modseq(&self) -> bool {
        false
    }

    /// Whether the key names sequence numbers.
    fn is_by_number(&self) -> bool {
        false
    }

    /// The key that matches what is nearly right (RFC 6203); `None` when it is this one.
    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        None
    }

    /// Whether it is such a key.
    fn is_fuzzy(&self) -> bool {
        false
    }

    /// How well a message that matches does so, 1 to 100; the inner `None` when the key has no say
    /// in that, the outer one when it takes more than what is loaded.
    fn score(&self, _m: &Candidate<'_>) -> Option<Option<u8>> {
        Some(None)
    }

    /// The stored search this key stands for (RFC 5466); it is put in place of it before anything
    /// else is asked.
    fn refers_to(&self) -> Option<&FilterName> {
        None
    }
}

/// What has to be loaded, each step including those before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cost {
    /// What the mailbox knows.
    Row,
    /// The email record with its digest.
    Digest,
    /// The header.
    Header,
    /// All bytes.
    Body,
}

/// What keys are bound to.
pub struct Binding<'a> {
    /// The mailbox as the client knows it.
    pub selection: &'a Selection,
    /// The view the rows are of.
    pub view: &'a View,
    /// How texts are compared (RFC 5255 4.2).
    pub collation: Collation,
    /// Seconds since 1970 UTC.
    pub now: i64,
}

/// A message and what is loaded of it.
pub struct Candidate<'a> {
    /// What the mailbox knows.
    pub row: &'a Row,
    /// Whether it is `\Recent`.
    pub recent: bool,
    /// What earlier searches have kept of it.
    pub gist: Option<&'a Gist>,
    /// Its email record.
    pub email: Option<&'a Email>,
    /// Its header, or all of it, without the prefix.
    pub content: Option<&'a Content>,
}

/// Bytes of a message's blob.
pub enum Content {
    /// The header.
    Header(Bytes),
    /// All of it that body searches look at.
    Whole(Bytes),
}

impl Candidate<'_> {
    /// The header, without the prefix; `None` when it is not loaded.
    pub fn header(&self) -> Option<&[u8]> {
        match self.content? {
            Content::Header(header) => Some(header),
            Content::Whole(all) => {
                let len = self.email?.digest()?.header_len() as usize;
                Some(all.get(..len).unwrap_or(all))
            }
        }
    }

    /// All bytes that body searches look at, without the prefix; `None` when they are not loaded.
    pub fn whole(&self) -> Option<&[u8]> {
        match self.content? {
            Content::Header(_) => None,
            Content::Whole(all) => Some(all),
        }
    }
}
