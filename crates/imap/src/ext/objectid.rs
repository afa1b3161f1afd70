//! OBJECTID (RFC 8474): names for mailboxes, messages and conversations that outlive UIDs. CREATE
//! and SELECT tell MAILBOXID in their own files.
//!
//! Every identifier begins with a letter of its kind and goes on in lower-case hexadecimal (RFC
//! 8474 8.1), so no two differ by letter case alone.

use super::*;
use crate::cmd::fetch::{FetchItem, Item, Message, Needs};
use crate::cmd::search::{Candidate, Cost, Key, SearchKey};
use bytes::BytesMut;
use mail::Email;
use types::{AccountId, MailboxId};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8474",
    file: file!(),
    capabilities: &[Capability::always("OBJECTID")],
    status_items: &[StatusItem::new("MAILBOXID", |status, out| {
        let id = mailbox_id(status.account.id(), status.id);
        out.raw(b"(").text(&id).raw(b")");
    })],
    fetch_items: &[&[
        FetchItem {
            name: "EMAILID",
            rfc: "RFC 8474 5.3",
            parse: |_| Ok(Box::new(EmailIdItem)),
        },
        FetchItem {
            name: "THREADID",
            rfc: "RFC 8474 5.3",
            parse: |_| Ok(Box::new(ThreadIdItem)),
        },
    ]],
    search_keys: &[&[
        SearchKey {
            name: "EMAILID",
            rfc: "RFC 8474 6",
            parse: |c, _| Ok(Box::new(HasEmailId(wanted(c, b'M', 32)?))),
        },
        SearchKey {
            name: "THREADID",
            rfc: "RFC 8474 6",
            parse: |c, _| Ok(Box::new(HasThreadId(wanted(c, b'T', 16)?))),
        },
    ]],
    ..Extension::EMPTY
};

/// Longest identifier (RFC 8474 7).
const MAX_OBJECT_ID: usize = 255;

/// A mailbox's identifier. It holds for all that one login sees (RFC 8474 8.2), so the mailboxes
/// others share need the account in it.
pub(crate) fn mailbox_id(account: AccountId, mailbox: MailboxId) -> String {
    format!("F{:x}-{:x}", account.0, mailbox.0)
}

/// `SP objectid`: the number in an identifier of a kind; `None` when this server gives no such
/// identifier, so that nothing matches.
fn wanted(c: &mut Cursor<'_>, kind: u8, digits: usize) -> Parsed<Option<u128>> {
    c.sp()?;
    let is_object_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let id = c.take_while1(is_object_id, "expected an object identifier")?;
    if id.len() > MAX_OBJECT_ID {
        return Err(BadSyntax("object identifier too long"));
    }
    // RFC 8474 7: identifiers are case sensitive.
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let hex = id
        .strip_prefix(&[kind])
        .filter(|hex| hex.len() == digits && hex.iter().all(is_digit));
    let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
    Ok(hex.and_then(|hex| u128::from_str_radix(hex, 16).ok()))
}

struct EmailIdItem;

impl Item for EmailIdItem {
    fn name(&self) -> &str {
        "EMAILID"
    }

    fn needs(&self) -> Needs {
        Needs::EMAIL
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"EMAILID ");
        match m.email {
            Some(email) => out.text(&format!(
                "(M{:032x})",
                email.content_id(m.row.internal_date)
            )),
            None => out.raw(b"NIL"),
        };
    }
}

struct ThreadIdItem;

impl Item for ThreadIdItem {
    fn name(&self) -> &str {
        "THREADID"
    }

    fn needs(&self) -> Needs {
        Needs::EMAIL
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"THREADID ");
        match m.email.map(Email::thread) {
            Some(thread) => out.text(&format!("(T{:016x})", thread.0)),
            None => out.raw(b"NIL"),
        };
    }
}

struct HasEmailId(Option<u128>);

impl Key for HasEmailId {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        let Some(wanted) = self.0 else {
            return Some(false);
        };
        Some(m.email?.content_id(m.row.internal_date) == wanted)
    }
}

struct HasThreadId(Option<u128>);

impl Key for HasThreadId {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        let Some(wanted) = self.0 else {
            return Some(false);
        };
        Some(u128::from(m.email?.thread().0) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_identifiers_are_looked_for() {
        let read = |raw: &str| wanted(&mut Cursor::of(raw.as_bytes()), b'T', 4);
        assert_eq!(read(" T00ff"), Ok(Some(255)));
        for raw in [" T00FF", " M00ff", " T0ff", " T+0ff", " nil"] {
            assert!(!matches!(read(raw), Ok(Some(_))), "{raw}");
        }
        for raw in [
            "",
            " ",
            "T00ff",
            " \"T00ff\"",
            &format!(" {}", "a".repeat(256)),
        ] {
            assert!(read(raw).is_err(), "{raw}");
        }
    }
}
