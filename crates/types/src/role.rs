//! Special uses of a mailbox (RFC 6154).

/// What a mailbox is for; a mailbox has at most one role, an account at most one mailbox per role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// Virtual: all messages.
    All = 1,
    /// Archived messages.
    Archive = 2,
    /// Draft messages.
    Drafts = 3,
    /// Messages marked important by someone or something.
    Flagged = 4,
    /// Spam.
    Junk = 5,
    /// Copies of sent messages.
    Sent = 6,
    /// Messages about to be deleted.
    Trash = 7,
    /// Important messages (RFC 8457).
    Important = 8,
}

impl Role {
    /// Every role, in the order of its stored number.
    pub const ALL: [Self; 8] = [
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Flagged,
        Self::Junk,
        Self::Sent,
        Self::Trash,
        Self::Important,
    ];

    /// The attribute without its backslash, as IMAP prints it (RFC 6154 2, RFC 8457 3).
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Archive => "Archive",
            Self::Drafts => "Drafts",
            Self::Flagged => "Flagged",
            Self::Junk => "Junk",
            Self::Sent => "Sent",
            Self::Trash => "Trash",
            Self::Important => "Important",
        }
    }

    /// The role of an attribute name (no backslash), in any letter case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(name))
    }

    /// The role of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }
}
