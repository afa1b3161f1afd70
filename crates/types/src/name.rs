//! Mailbox names: UTF-8 paths separated by `/`.

use std::borrow::Cow;
use std::fmt;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The hierarchy separator of every mailbox name.
pub const SEPARATOR: char = '/';

/// A mailbox name as UTF-8 in Normalization Form C (RFC 9051 5.1). INBOX is spelled in capitals
/// whatever its writer used, also as the first level of a path; no empty level, no control
/// character, bounded length and depth.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Box<str>);

/// Why a string is no mailbox name; a sentence a client may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidName(pub &'static str);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidName {}

impl MailboxName {
    /// Longest name, in bytes of UTF-8.
    pub const MAX_LEN: usize = 800;
    /// Deepest path, in levels.
    pub const MAX_DEPTH: usize = 64;

    /// The one mailbox every account has.
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    /// Checks and normalises `raw`. One trailing separator is dropped (RFC 9051 6.3.4: a client may
    /// say that it means to create names below this one).
    pub fn new(raw: &str) -> Result<Self, InvalidName> {
        let raw = raw.strip_suffix(SEPARATOR).unwrap_or(raw);
        // RFC 5198 2: two spellings of one text are one name.
        let raw = &*Self::normalise(raw);
        if raw.is_empty() {
            return Err(InvalidName("mailbox name is empty"));
        }
        if raw.len() > Self::MAX_LEN {
            return Err(InvalidName("mailbox name is too long"));
        }
        // RFC 5198 2: no control characters in network text, nor the line separators that act as
        // such.
        if raw
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
        {
            return Err(InvalidName("mailbox name contains a control character"));
        }
        if raw.starts_with('\u{feff}') {
            return Err(InvalidName("mailbox name begins with a byte order mark"));
        }
        let mut depth = 0;
        for level in raw.split(SEPARATOR) {
            depth += 1;
            if level.is_empty() {
                return Err(InvalidName("mailbox name has an empty hierarchy level"));
            }
        }
        if depth > Self::MAX_DEPTH {
            return Err(InvalidName("mailbox name has too many hierarchy levels"));
        }
        let first = raw.split(SEPARATOR).next().unwrap_or(raw);
        if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
            return Ok(Self(format!("INBOX{}", &raw[first.len()..]).into()));
        }
        Ok(Self(raw.into()))
    }

    /// Text as it is in names: in Normalization Form C.
    pub fn normalise(text: &str) -> Cow<'_, str> {
        match is_nfc(text) {
            true => Cow::Borrowed(text),
            false => Cow::Owned(text.nfc().collect()),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// Whether there can be names below this one.
    pub fn may_have_children(&self) -> bool {
        self.0.len() + 1 < Self::MAX_LEN && self.0.split(SEPARATOR).count() < Self::MAX_DEPTH
    }

    /// The name one level up; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once(SEPARATOR)
            .map(|(parent, _)| Self(parent.into()))
    }

    /// All names above this one, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether `self` lies below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(&*other.0)
            .is_some_and(|rest| rest.starts_with(SEPARATOR))
    }

    /// This name with the prefix `from` replaced by `to`; `None` when it is neither `from` nor
    /// below it, or when the result would not be a valid name.
    pub fn rebase(&self, from: &Self, to: &Self) -> Option<Self> {
        if self == from {
            return Some(to.clone());
        }
        if !self.is_below(from) {
            return None;
        }
        Self::new(&format!("{}{}", to.0, &self.0[from.0.len()..])).ok()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_is_spelled_in_capitals_at_the_first_level_only() {
        for (raw, want) in [
            ("inbox", "INBOX"),
            ("InBox/a", "INBOX/a"),
            ("a/inbox", "a/inbox"),
            ("inboxes", "inboxes"),
            ("a/", "a"),
        ] {
            assert_eq!(MailboxName::new(raw).unwrap().as_str(), want);
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for raw in ["", "/", "/a", "a//b", "a\nb", "a\u{2028}b", "\u{feff}a"] {
            assert!(MailboxName::new(raw).is_err(), "{raw:?}");
        }
        assert!(MailboxName::new(&"x".repeat(801)).is_err());
        assert!(MailboxName::new(&"x/".repeat(65)).is_err());
    }

    #[test]
    fn spellings_of_one_text_are_one_name() {
        let name = |s| MailboxName::new(s).unwrap();
        assert_eq!(name("u\u{308}/e\u{301}").as_str(), "\u{fc}/\u{e9}");
        assert_eq!(name("\u{212b}"), name("\u{c5}"));
        // What grows by it is measured afterwards.
        assert!(MailboxName::new(&"\u{1d160}".repeat(200)).is_err());
    }

    #[test]
    fn the_deepest_and_the_longest_have_no_children() {
        let name = |s: &str| MailboxName::new(s).unwrap();
        assert!(!name(&vec!["a"; MailboxName::MAX_DEPTH].join("/")).may_have_children());
        assert!(name(&vec!["a"; MailboxName::MAX_DEPTH - 1].join("/")).may_have_children());
        let long = |n| "x".repeat(MailboxName::MAX_LEN - n);
        assert!(!name(&long(1)).may_have_children());
        assert!(name(&long(2)).may_have_children());
        assert!(MailboxName::new(&format!("{}/a", long(2))).is_ok());
    }

    #[test]
    fn rebase_moves_a_subtree() {
        let name = |s| MailboxName::new(s).unwrap();
        assert_eq!(
            name("a/b/c").rebase(&name("a"), &name("z/y")),
            Some(name("z/y/b/c"))
        );
        assert_eq!(name("ab").rebase(&name("a"), &name("z")), None);
    }
}
