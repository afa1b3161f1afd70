//! System flags, keywords, and what STORE does to them.

use std::fmt;

/// The system flags of RFC 9051 2.3.2, as a bit set. `\Recent` is not stored: it belongs to a
/// session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `\Seen`
    pub const SEEN: Self = Self(1);
    /// `\Answered`
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`
    pub const DELETED: Self = Self(8);
    /// `\Draft`
    pub const DRAFT: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    /// Each flag with its name, in the order IMAP servers usually print them.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// Whether every flag of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags of `self` that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flag of a name such as `\Seen`, in any letter case; `None` for any other name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .find(|(_, n)| n.eq_ignore_ascii_case(name))
            .map(|(flag, _)| flag)
    }
}

/// What a STORE does with the flags it names (RFC 9051 6.4.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagOp {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

/// A user-defined flag (RFC 9051 2.3.2): an atom, compared without regard to letter case, shown in
/// the case it was first written in.
#[derive(Clone)]
pub struct Keyword(Box<str>);

/// The string cannot be a keyword.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidKeyword;

impl fmt::Display for InvalidKeyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid keyword")
    }
}

impl std::error::Error for InvalidKeyword {}

impl Keyword {
    /// Longest keyword, in bytes.
    pub const MAX_LEN: usize = 128;

    /// RFC 9051 9: `flag-keyword` is an atom: printable ASCII without the specials.
    pub fn new(raw: &str) -> Result<Self, InvalidKeyword> {
        let special = |c: u8| {
            matches!(
                c,
                b'(' | b')' | b'{' | b' ' | b'%' | b'*' | b'"' | b'\\' | b']'
            )
        };
        if raw.is_empty()
            || raw.len() > Self::MAX_LEN
            || raw
                .bytes()
                .any(|c| !(0x21..0x7f).contains(&c) || special(c))
        {
            return Err(InvalidKeyword);
        }
        Ok(Self(raw.into()))
    }

    /// The keyword as first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}
