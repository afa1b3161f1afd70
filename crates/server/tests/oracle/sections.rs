//! `BODY[...]`: every section of every part, and what is cut out of it.

use crate::different::{Difference, Known, Tally};
use crate::known::{self, text};
use crate::mail;
use crate::pair::{DISCONNECTED, Pair};
use std::collections::BTreeMap;
use testkit::Value;
use testkit::corpus::Chance;

/// Parts of one message that are asked about.
const MAX_PARTS: usize = 24;
/// Names for HEADER.FIELDS: what most mail has, and what it has not.
const FIELDS: &str = "Subject From DATE x-nope Content-Type Received";

const KNOWN: &[Known] = &[
    known::BARE_LF,
    known::LOST_CR,
    known::TOO_DEEP,
    Known {
        row: "section that does not exist",
        explains: |d| *d.ours == Value::Nil && *d.theirs == Value::Bytes(Vec::new()),
    },
    Known {
        row: "partial of some HEADER.FIELDS with 8-bit text",
        explains: |d| *d.theirs == Value::Word(DISCONNECTED.to_owned()),
    },
    Known {
        row: "partial that is not cut out of the whole",
        explains: |d| d.place.ends_with('>'),
    },
    Known {
        row: "message without a blank line: HEADER.FIELDS",
        explains: |d| {
            let ours = bytes(d.ours);
            d.place.contains("HEADER.FIELDS") && [ours, b"\r\n"].concat() == bytes(d.theirs)
        },
    },
    Known {
        row: "part that ends in a header or with a close delimiter",
        explains: |d| {
            let ours = bytes(d.ours);
            [ours, b"\r\n"].concat() == bytes(d.theirs)
                && (ours.ends_with(b"--") || !ours.windows(4).any(|at| at == b"\r\n\r\n"))
        },
    },
    Known {
        row: "delimiter read as a line of the header",
        explains: |d| bytes(d.ours).is_empty() && bytes(d.theirs).starts_with(b"--"),
    },
    Known {
        row: "multipart with an empty or no boundary",
        explains: |d| {
            let types = known::fields(d.message, "Content-Type");
            let first = types.first().map(String::as_str);
            matches!(
                first,
                Some("multipart/mixed" | "multipart/mixed; boundary=\"\"")
            )
        },
    },
];

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        _ => b"",
    }
}

#[test]
fn sections_are_the_same() {
    let messages = mail::everything(20);
    let mut pair = Pair::with(&mail::dated(messages.clone()));
    let mut tally = Tally::new(KNOWN);
    let mut chance = Chance::new(20_261_125);
    for (uid, message) in (1..).zip(&messages) {
        let [body, _] = pair.fetch(uid, &["BODY".to_owned()]);
        let mut sections = sections(&body["BODY"]);
        while sections.len() > MAX_PARTS {
            sections.swap_remove(chance.between(0, sections.len()));
        }
        let whole = compare(&mut pair, &mut tally, uid, message, &sections);
        partials(&mut pair, &mut tally, &mut chance, uid, message, &whole);
    }
    tally.finish(messages.len() * 10);
}

/// Asks about sections of a message; what each server says of them, by their names.
fn compare(
    pair: &mut Pair,
    tally: &mut Tally,
    uid: u32,
    message: &[u8],
    sections: &[String],
) -> [BTreeMap<String, Value>; 2] {
    let items: Vec<String> = sections.iter().map(|s| format!("BODY.PEEK[{s}]")).collect();
    let [ours, theirs] = pair.fetch(uid, &items);
    assert!(ours.keys().eq(theirs.keys()), "{uid}: {ours:?} {theirs:?}");
    for (place, ours) in &ours {
        let theirs = &theirs[place];
        let place = place.clone();
        tally.compared((ours != theirs).then_some(Difference {
            message,
            place,
            ours,
            theirs,
        }));
    }
    [ours, theirs]
}

/// Cuts something at random out of each section. Ours is what it is of the whole; theirs is what it
/// is of their whole, which need not be ours.
fn partials(
    pair: &mut Pair,
    tally: &mut Tally,
    chance: &mut Chance,
    uid: u32,
    message: &[u8],
    [ours, theirs]: &[BTreeMap<String, Value>; 2],
) {
    let mut cuts = BTreeMap::new();
    let mut items = Vec::new();
    for (name, whole) in ours {
        let length = bytes(whole).len();
        let from = chance.between(0, length + 3);
        let count = chance.between(1, length + 4);
        items.push(format!(
            "{}<{from}.{count}>",
            name.replacen("BODY[", "BODY.PEEK[", 1)
        ));
        cuts.insert(format!("{name}<{from}>"), (name, from, count));
    }
    let [our_cuts, their_cuts] = pair.fetch(uid, &items);
    assert_eq!(our_cuts.len(), cuts.len(), "{uid}");
    for (place, (name, from, count)) in cuts {
        let (wanted, expected) = (
            cut(&ours[name], from, count),
            cut(&theirs[name], from, count),
        );
        assert_eq!(our_cuts[&place], wanted, "{uid}: {place}");
        let theirs = &their_cuts[&place];
        tally.compared((*theirs != expected).then_some(Difference {
            message,
            place,
            ours: &expected,
            theirs,
        }));
    }
}

/// RFC 3501 6.4.5: "as many octets as possible are returned", which may be none.
fn cut(whole: &Value, from: usize, count: usize) -> Value {
    let Value::Bytes(bytes) = whole else {
        return whole.clone();
    };
    let from = from.min(bytes.len());
    Value::Bytes(bytes[from..bytes.len().min(from + count)].to_vec())
}

/// Every section of a message with this BODY, and some that it has not.
fn sections(body: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for part in ["".to_owned()].into_iter().chain(numbers("", body)) {
        let dot = if part.is_empty() { "" } else { "." };
        let of = |what: &str| format!("{part}{dot}{what}");
        all.push(part.clone());
        all.extend(["HEADER", "TEXT"].map(of));
        if !part.is_empty() {
            all.extend(["MIME", "9"].map(of));
        }
        all.push(of(&format!("HEADER.FIELDS ({FIELDS})")));
        all.push(of(&format!("HEADER.FIELDS.NOT ({FIELDS})")));
    }
    all
}

/// The numbers of all parts of a message, or of a part, with this BODY.
fn numbers(of: &str, body: &Value) -> Vec<String> {
    let dot = if of.is_empty() { "" } else { "." };
    let inside = |n: usize| format!("{of}{dot}{n}");
    let Value::List(values) = body else {
        panic!("{body:?} is no body")
    };
    let parts = values
        .iter()
        .take_while(|value| matches!(value, Value::List(_)));
    let parts: Vec<_> = parts.collect();
    let mut all = Vec::new();
    if parts.is_empty() {
        all.push(inside(1));
        all.extend(inside_message(&inside(1), values));
    }
    for (n, part) in (1..).zip(parts) {
        all.push(inside(n));
        let Value::List(values) = part else { continue };
        match values[0] {
            Value::List(_) => all.extend(numbers(&inside(n), part)),
            _ => all.extend(inside_message(&inside(n), values)),
        }
    }
    all
}

/// The numbers within a message part: RFC 3501 6.4.5.
fn inside_message(number: &str, values: &[Value]) -> Vec<String> {
    match values.get(8) {
        Some(body @ Value::List(_)) if text(&values[1]).eq_ignore_ascii_case("rfc822") => {
            numbers(number, body)
        }
        _ => Vec::new(),
    }
}
