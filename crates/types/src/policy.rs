//! What deleting over POP3 means.

use crate::MailboxName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What becomes of a message that a POP3 client deletes (DESIGN 5.4). Settable for the server, for
/// an account and for a credential; the narrowest setting counts.
///
/// As text, in the configuration and on the command line: `delete`, `trash`, `archive:<mailbox>`,
/// `keep`, `keep-days:<days>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pop3Policy {
    /// It is removed (RFC 1939 6).
    #[default]
    Delete,
    /// It moves to the mailbox whose special use is Trash.
    Trash,
    /// It moves to this mailbox.
    Archive(MailboxName),
    /// It stays for IMAP and is not shown over POP3 any more.
    Keep,
    /// The same, and is removed after so many days.
    KeepDays(KeepDays),
}

/// A number of days that messages are kept: 1 to [`KeepDays::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeepDays(u16);

/// Why a text is no policy: a sentence for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy(pub String);

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPolicy {}

impl KeepDays {
    /// Some 27 years.
    pub const MAX: u16 = 9999;

    /// `None` for 0 and for more than [`KeepDays::MAX`].
    pub fn new(days: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&days).then_some(Self(days))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Pop3Policy {
    /// After how many days the server removes a message by itself; `None`: never.
    pub fn keep_days(&self) -> Option<KeepDays> {
        match self {
            Self::KeepDays(days) => Some(*days),
            Self::Delete | Self::Trash | Self::Archive(_) | Self::Keep => None,
        }
    }
}

impl fmt::Display for Pop3Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete => f.write_str("delete"),
            Self::Trash => f.write_str("trash"),
            Self::Archive(mailbox) => write!(f, "archive:{mailbox}"),
            Self::Keep => f.write_str("keep"),
            Self::KeepDays(days) => write!(f, "keep-days:{}", days.0),
        }
    }
}

impl FromStr for Pop3Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let (word, argument) = match text.split_once(':') {
            Some((word, argument)) => (word, Some(argument)),
            None => (text, None),
        };
        match (word, argument) {
            ("delete", None) => Ok(Self::Delete),
            ("trash", None) => Ok(Self::Trash),
            ("keep", None) => Ok(Self::Keep),
            ("archive", Some(name)) => MailboxName::new(name)
                .map(Self::Archive)
                .map_err(|error| InvalidPolicy(format!("`{text}`: {error}"))),
            ("keep-days", Some(days)) => Some(days)
                .filter(|days| days.bytes().all(|digit| digit.is_ascii_digit()))
                .and_then(|days| KeepDays::new(days.parse().ok()?))
                .map(Self::KeepDays)
                .ok_or_else(|| {
                    let max = KeepDays::MAX;
                    InvalidPolicy(format!("`{text}`: days are a number from 1 to {max}"))
                }),
            _ => Err(InvalidPolicy(format!(
                "`{text}` is no policy: `delete`, `trash`, `archive:<mailbox>`, `keep` and \
                 `keep-days:<days>` are"
            ))),
        }
    }
}

impl TryFrom<String> for Pop3Policy {
    type Error = InvalidPolicy;

    fn try_from(text: String) -> Result<Self, InvalidPolicy> {
        text.parse()
    }
}

impl From<Pop3Policy> for String {
    fn from(policy: Pop3Policy) -> Self {
        policy.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_read_as_it_is_written() {
        for text in [
            "delete",
            "trash",
            "archive:Archive",
            "archive:POP3/2026: old",
            "keep",
            "keep-days:1",
            "keep-days:9999",
        ] {
            let policy: Pop3Policy = text.parse().unwrap();
            assert_eq!(policy.to_string(), text);
        }
        assert_eq!(Pop3Policy::default(), Pop3Policy::Delete);
    }

    #[test]
    fn what_is_no_policy_is_explained() {
        for text in [
            "",
            "Delete",
            "delete:",
            "trash:Trash",
            "archive",
            "archive:",
            "archive:a//b",
            "archive:a\nb",
            "keep:3",
            "keep-days",
            "keep-days:",
            "keep-days:0",
            "keep-days:+3",
            "keep-days:-3",
            "keep-days:10000",
            "keep-days:99999999999",
        ] {
            let error = text.parse::<Pop3Policy>().unwrap_err();
            assert!(error.0.starts_with(&format!("`{text}`")), "{error}");
        }
    }
}
