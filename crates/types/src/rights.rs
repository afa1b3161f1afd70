//! What somebody may do with a mailbox (RFC 4314 2.1).

use std::fmt;

/// A set of rights to a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Rights(u16);

/// The standard rights, in the order they are written.
const LETTERS: [(char, Rights); 11] = [
    ('l', Rights::LOOKUP),
    ('r', Rights::READ),
    ('s', Rights::SEEN),
    ('w', Rights::WRITE),
    ('i', Rights::INSERT),
    ('p', Rights::POST),
    ('k', Rights::CREATE),
    ('x', Rights::DELETE),
    ('t', Rights::DELETE_MESSAGES),
    ('e', Rights::EXPUNGE),
    ('a', Rights::ADMINISTER),
];

/// RFC 4314 2.1.1: what the two rights of RFC 2086 stand for that were split.
const VIRTUAL: [(char, Rights); 2] = [
    ('c', Rights::CREATE.and(Rights::DELETE)),
    ('d', Rights::DELETE_MESSAGES.and(Rights::EXPUNGE)),
];

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// `l`: the mailbox is visible.
    pub const LOOKUP: Self = Self(1);
    /// `r`: it can be opened, and its counts be asked for.
    pub const READ: Self = Self(1 << 1);
    /// `s`: `\Seen` can be changed.
    pub const SEEN: Self = Self(1 << 2);
    /// `w`: all other flags but `\Deleted` can.
    pub const WRITE: Self = Self(1 << 3);
    /// `i`: messages can be put into it.
    pub const INSERT: Self = Self(1 << 4);
    /// `p`: mail may be sent to it; IMAP does not enforce that.
    pub const POST: Self = Self(1 << 5);
    /// `k`: mailboxes can be made below it.
    pub const CREATE: Self = Self(1 << 6);
    /// `x`: it can be deleted and renamed.
    pub const DELETE: Self = Self(1 << 7);
    /// `t`: `\Deleted` can be changed.
    pub const DELETE_MESSAGES: Self = Self(1 << 8);
    /// `e`: messages can be expunged.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// `a`: rights can be given and taken.
    pub const ADMINISTER: Self = Self(1 << 10);
    /// All.
    pub const ALL: Self = Self((1 << 11) - 1);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These but not those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is among these.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as a number, for storing it.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set of a number; bits without a meaning are dropped.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The rights that letters stand for, with `c` and `d` of RFC 2086; `Err` is the first letter
    /// that stands for none.
    pub fn from_letters(letters: &str) -> Result<Self, char> {
        let known = || LETTERS.iter().chain(&VIRTUAL);
        letters.chars().try_fold(Self::NONE, |all, letter| {
            let right = known().find(|(known, _)| *known == letter);
            right.map(|(_, right)| all.and(*right)).ok_or(letter)
        })
    }

    /// Each single one.
    pub fn each(self) -> impl Iterator<Item = Self> {
        LETTERS
            .into_iter()
            .map(|(_, right)| right)
            .filter(move |right| self.contains(*right))
    }
}

/// The letters, with `c` and `d` behind them where any right is set that they stand for (RFC 4314
/// 2.1.1).
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS
            .iter()
            .chain(&VIRTUAL)
            .filter(|(_, rights)| self.any(*rights))
            .try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_letters_stand_for_what_they_were_split_into() {
        for (letters, written) in [
            ("", ""),
            ("lrs", "lrs"),
            ("d", "ted"),
            ("c", "kxc"),
            ("k", "kc"),
            ("lrswipkxtea", "lrswipkxteacd"),
            ("lrswida", "lrswitead"),
        ] {
            let rights = Rights::from_letters(letters).unwrap();
            assert_eq!(rights.to_string(), written, "{letters}");
            assert_eq!(Rights::from_bits(rights.bits()), rights);
        }
        assert_eq!(Rights::from_letters("lrq"), Err('q'));
        assert_eq!(Rights::from_letters("lR"), Err('R'));
        assert_eq!(Rights::ALL.to_string(), "lrswipkxteacd");
        assert_eq!(Rights::from_bits(u16::MAX), Rights::ALL);
    }

    #[test]
    fn sets_are_sets() {
        let some = Rights::READ.and(Rights::LOOKUP);
        assert!(some.contains(Rights::READ) && !some.contains(Rights::ALL));
        assert!(some.any(Rights::READ.and(Rights::SEEN)) && !some.any(Rights::SEEN));
        assert_eq!(some.without(Rights::READ), Rights::LOOKUP);
        assert_eq!(some.each().count(), 2);
        assert!(Rights::NONE.is_empty());
    }
}
