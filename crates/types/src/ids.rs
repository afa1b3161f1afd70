//! Identifiers as newtypes: a mailbox id can never be passed where a uid is meant.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id!(
    /// One account: the unit of sharding, export and deletion. 0 is the store's own partition.
    AccountId(u64)
);
id!(
    /// One mailbox of an account; survives renames, never given twice.
    MailboxId(u64)
);
id!(
    /// One delivered message of an account, shared by all its copies; never given twice.
    EmailId(u64)
);
id!(
    /// One conversation of an account: messages that answer each other (RFC 8474 5.2).
    ThreadId(u64)
);

id!(
    /// One of the secrets of an account; never given twice. See [`CredentialId::PASSWORD`].
    CredentialId(u64)
);

impl CredentialId {
    /// The account's password, wherever it is kept; all others are app passwords.
    pub const PASSWORD: Self = Self(0);
}

impl AccountId {
    /// The partition of the store itself: the account directory and other global records.
    pub const SYSTEM: Self = Self(0);
}

/// A unique identifier of a message in one mailbox (RFC 9051 2.3.1.1): ascending, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The first uid of a mailbox.
    pub const FIRST: Self = Self(NonZeroU32::MIN);
    /// The largest uid the protocol can express.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// `None` for 0, which no message may carry.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }

    /// The number as the protocols print it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The uid after this one; `None` when the mailbox has used up its numbers.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.0)
    }
}

/// Tells incarnations of a mailbox name apart (RFC 9051 2.3.1.1): rises when uids start anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// The smallest value.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// `None` for 0.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }

    /// The number as the protocols print it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UidValidity({})", self.0)
    }
}

/// A modification sequence (RFC 7162 3.1.1): 1 ..= 2^63 - 1. A mailbox's HIGHESTMODSEQ is the
/// number of the last entry of its journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(NonZeroU64);

impl ModSeq {
    /// The modification sequence of a mailbox to which nothing has happened yet.
    pub const FIRST: Self = Self(NonZeroU64::MIN);
    /// The largest value of the grammar (RFC 7162 7: mod-sequence-value is 63 bits wide).
    pub const MAX: Self = match Self::new((1 << 63) - 1) {
        Some(v) => v,
        None => Self::FIRST,
    };

    /// `None` outside 1 ..= 2^63 - 1.
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(v) if value < 1 << 63 => Some(Self(v)),
            _ => None,
        }
    }

    /// The number as the protocols print it.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// This many steps later; `None` past the end of the range.
    pub const fn advance(self, steps: u64) -> Option<Self> {
        match self.0.get().checked_add(steps) {
            Some(v) => Self::new(v),
            None => None,
        }
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModSeq({})", self.0)
    }
}
