//! RFC822.SIZE, ENVELOPE, BODY, BODYSTRUCTURE and RFC822.HEADER.

use crate::different::{Difference, Known, Tally};
use crate::known::{self, is_at, pairs, text, words};
use crate::mail;
use crate::pair::Pair;
use crate::walk::differences;
use testkit::Value;

const ITEMS: [&str; 5] = [
    "RFC822.SIZE",
    "ENVELOPE",
    "BODY",
    "BODYSTRUCTURE",
    "RFC822.HEADER",
];

const KNOWN: &[Known] = &[
    known::BARE_LF,
    known::LOST_CR,
    Known {
        row: "types, and charsets that say us-ascii, in lower case",
        explains: |d| {
            let (ours, theirs) = (pairs(d.ours), pairs(d.theirs));
            let same_pairs = ours
                .iter()
                .zip(&theirs)
                .all(|(a, b)| a == b || b.1 == "us-ascii");
            let fine = is_at(d, &["type", "subtype"]) || is_at(d, &["params"]) && same_pairs;
            fine && text(d.ours).eq_ignore_ascii_case(&text(d.theirs))
                && lower_texts(d.ours) == lower_texts(d.theirs)
        },
    },
    Known {
        row: "Subject with runs of spaces",
        explains: |d| is_at(d, &["subject"]) && words(d.ours) == words(d.theirs),
    },
    Known {
        row: "folds in Date, In-Reply-To, Message-ID, Content-Description",
        explains: |d| {
            let places = ["date", "in-reply-to", "message-id", "description"];
            is_at(d, &places) && words(d.ours) == words(d.theirs)
        },
    },
    Known {
        row: "fields twice that may be there once",
        explains: |d| {
            let name = d.place.rsplit(' ').next().unwrap_or_default();
            let twice = |name: &str| known::fields(d.message, name).len() > 1;
            let places = [
                "date",
                "subject",
                "from",
                "sender",
                "reply-to",
                "message-id",
            ];
            // Sender and Reply-To fall back on From.
            is_at(d, &places) && (twice(name) || twice("from"))
        },
    },
    Known {
        row: "addresses that are none, and those after them",
        explains: |d| {
            let theirs = lower_texts(d.theirs);
            let made_up = ["missing_mailbox", "missing_domain", "syntax_error"];
            is_at(d, &ADDRESSES)
                && made_up
                    .iter()
                    .any(|word| theirs.contains(&(*word).to_owned()))
        },
    },
    Known {
        row: "names that are no phrase, addresses after what is none",
        explains: |d| {
            let (ours, theirs) = (mailboxes(d.ours), mailboxes(d.theirs));
            is_at(d, &ADDRESSES) && ours.starts_with(&theirs)
        },
    },
    Known {
        row: "Content-Transfer-Encoding without MIME-Version",
        explains: |d| {
            let standard = ["8bit", "binary", "base64", "quoted-printable"];
            let ours = text(d.ours).to_ascii_lowercase();
            let mime = !known::fields(d.message, "MIME-Version").is_empty();
            is_at(d, &["encoding"])
                && text(d.theirs) == "7bit"
                && standard.contains(&&*ours)
                && !mime
        },
    },
    Known {
        row: "unknown Content-Transfer-Encoding, or more than one word",
        explains: |d| {
            let ours = text(d.ours);
            let fields = known::fields(d.message, "Content-Transfer-Encoding");
            let named = fields.iter().any(|value| value.starts_with(&ours));
            is_at(d, &["encoding"]) && text(d.theirs) == "7bit" && named
        },
    },
    Known {
        row: "Content-Type that nobody can read, none of the subtype",
        explains: |d| match d.theirs {
            Value::List(theirs) => is_at(d, &["shape"]) && theirs.iter().take(2).all(is_empty),
            theirs => is_at(d, &["type", "subtype"]) && is_empty(theirs),
        },
    },
    Known {
        row: "multipart with an empty or no boundary",
        explains: |d| {
            let (Value::List(ours), Value::List(theirs)) = (d.ours, d.theirs) else {
                return false;
            };
            let one_part = matches!(theirs[..], [Value::List(_), Value::Bytes(_), ..]);
            is_at(d, &["shape"]) && text(&ours[0]) == "text" && one_part
        },
    },
    known::TOO_DEEP,
    known::END_OF_MESSAGE_PART,
    Known {
        row: "parameters in another order",
        explains: |d| {
            let (mut ours, mut theirs) = (known::parameters(d.ours), known::parameters(d.theirs));
            ours.sort();
            theirs.sort();
            is_at(d, &["params", "disposition"]) && ours == theirs
        },
    },
    Known {
        row: "RFC 2231 pieces out of order, or not all there",
        explains: |d| {
            let theirs = known::parameters(d.theirs);
            let is_piece = |(name, _): &(String, String)| {
                let (_, number) = name.split_once('*').unwrap_or_default();
                number.starts_with(|c: char| c.is_ascii_digit())
            };
            is_at(d, &["params", "disposition"]) && theirs.iter().any(is_piece)
        },
    },
    Known {
        row: "parameter that is not `name=value`, or without quotes that it needs",
        explains: |d| {
            let (ours, theirs) = (known::parameters(d.ours), known::parameters(d.theirs));
            // Ours has all that theirs has, and more of it.
            let within = |(name, value): &(String, String)| {
                name.is_empty() || ours.iter().any(|(n, v)| n == name && v.starts_with(value))
            };
            is_at(d, &["params", "disposition"]) && theirs.iter().all(within)
        },
    },
    Known {
        row: "Content-Disposition without a type",
        explains: |d| {
            let Value::List(theirs) = d.theirs else {
                return false;
            };
            is_at(d, &["disposition"]) && *d.ours == Value::Nil && is_empty(&theirs[0])
        },
    },
];

/// The lists of addresses in an envelope.
const ADDRESSES: [&str; 6] = ["from", "sender", "reply-to", "to", "cc", "bcc"];

/// Local part and domain of each address.
fn mailboxes(value: &Value) -> Vec<(String, String)> {
    let Value::List(list) = value else {
        return Vec::new();
    };
    let parts = list.iter().filter_map(|address| match address {
        Value::List(parts) => Some((text(parts.get(2)?), text(parts.get(3)?))),
        _ => None,
    });
    parts.collect()
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Bytes(bytes) if bytes.is_empty())
}

/// All strings in a value, in lower case.
fn lower_texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(list) => list.iter().flat_map(lower_texts).collect(),
        Value::Bytes(_) => vec![text(value).to_ascii_lowercase()],
        _ => Vec::new(),
    }
}

#[test]
fn items_are_the_same() {
    let messages = mail::everything(6);
    let mut pair = Pair::with(&mail::dated(messages.clone()));
    let mut tally = Tally::new(KNOWN);
    for (uid, message) in (1..).zip(&messages) {
        let [ours, theirs] = pair.fetch(uid, &ITEMS.map(str::to_owned));
        assert!(ours.keys().eq(theirs.keys()), "{uid}: {ours:?} {theirs:?}");
        for (name, ours) in &ours {
            let found = differences(name, ours, &theirs[name]);
            tally.compared(found.into_iter().map(|(place, ours, theirs)| Difference {
                message,
                place,
                ours,
                theirs,
            }));
        }
    }
    tally.finish(messages.len() * 5);
}
