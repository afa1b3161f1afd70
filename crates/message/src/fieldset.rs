//! The header fields a digest keeps, and sets of them.

/// Names of the fields whose lines a digest keeps: those that Thunderbird, Outlook, mutt, K-9,
/// Roundcube and Apple Mail ask for in their message lists. The place in this list is stored in
/// digests: add at the end, remove nothing, or raise [`crate::DIGEST_VERSION`].
const KEPT: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "MIME-Version",
    "Priority",
    "X-Priority",
    "X-MSMail-Priority",
    "Importance",
    "Newsgroups",
    "Followup-To",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Precedence",
    "User-Agent",
    "X-Mailer",
    "Delivered-To",
    "X-Original-To",
    "Return-Path",
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
    "Auto-Submitted",
    "X-Spam-Status",
    "X-Spam-Flag",
    "X-Spam-Level",
    "X-Label",
    "X-Keywords",
    "Mail-Followup-To",
    "Mail-Reply-To",
    "Content-Language",
    "Content-Description",
    "Content-ID",
    "Lines",
    "X-Draft-Info",
    "X-Uniform-Type-Identifier",
    "X-Universally-Unique-Identifier",
    "X-Mozilla-Draft-Info",
    "X-Forwarded-Message-Id",
    "Chat-Version",
    "Autocrypt-Setup-Message",
    "Secure-Join",
];

/// A set of field names that digests keep, resolved once per command and then tested per message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u64);

impl FieldSet {
    /// The set of `names` (ASCII case-insensitive). None when one of them is not kept, so that the
    /// message itself must be read.
    pub fn resolve<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>) -> Option<Self> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            Some(Self(set.0 | 1 << index(name.as_ref())?))
        })
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn has(self, index: u8) -> bool {
        self.0 >> (index & 63) & 1 == 1
    }

    pub(crate) fn with(self, index: u8) -> Self {
        Self(self.0 | 1 << (index & 63))
    }

    pub(crate) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The place of a kept field name.
pub(crate) fn index(name: &[u8]) -> Option<u8> {
    let place = KEPT
        .iter()
        .position(|kept| kept.as_bytes().eq_ignore_ascii_case(name))?;
    u8::try_from(place).ok()
}

/// How many names are kept; below 64, so that a set is one word.
pub(crate) const COUNT: usize = KEPT.len();
const _: () = assert!(COUNT <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolve() {
        assert_eq!(FieldSet::resolve([&b"From"[..], b"X-Unheard-Of"]), None);
        assert_eq!(FieldSet::resolve([""]), None);
        let set = FieldSet::resolve(["FROM", "to", "From"]).unwrap();
        assert!(set.has(index(b"from").unwrap()) && set.has(index(b"To").unwrap()));
        assert!(!set.has(index(b"cc").unwrap()));
        assert_eq!(FieldSet::resolve([""; 0]), Some(FieldSet::default()));
    }
}
