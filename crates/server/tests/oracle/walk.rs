//! The places of an ENVELOPE and of a BODY.

use testkit::Value;

/// What is found at a place, ours and theirs.
pub(crate) type Found<'a> = (String, &'a Value, &'a Value);

/// RFC 3501 7.4.2: the order of an envelope.
const ENVELOPE: [&str; 10] = [
    "date",
    "subject",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "in-reply-to",
    "message-id",
];
/// The order of what all parts but multiparts have.
const FIELDS: [&str; 7] = [
    "type",
    "subtype",
    "params",
    "id",
    "description",
    "encoding",
    "octets",
];
/// What stands last in BODYSTRUCTURE.
const EXTENSION: [&str; 4] = ["md5", "disposition", "language", "location"];

/// Every place of an item at which two values are not the same.
pub(crate) fn differences<'a>(item: &str, ours: &'a Value, theirs: &'a Value) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    match item {
        _ if ours == theirs => {}
        "ENVELOPE" => envelope(item, ours, theirs, &mut found),
        "BODY" | "BODYSTRUCTURE" => body(item, "", ours, theirs, &mut found),
        _ => found.push((item.to_owned(), ours, theirs)),
    }
    found
}

fn envelope<'a>(place: &str, ours: &'a Value, theirs: &'a Value, found: &mut Vec<Found<'a>>) {
    named(place, &ENVELOPE, list(ours), list(theirs), found);
}

/// Values that have names.
fn named<'a>(
    place: &str,
    names: &[&str],
    ours: &'a [Value],
    theirs: &'a [Value],
    found: &mut Vec<Found<'a>>,
) {
    assert_eq!(ours.len(), names.len(), "{place}: {ours:?}");
    assert_eq!(theirs.len(), names.len(), "{place}: {theirs:?}");
    for (name, (ours, theirs)) in names.iter().zip(ours.iter().zip(theirs)) {
        if ours != theirs {
            found.push((format!("{place} {name}"), ours, theirs));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(list) => list,
        other => panic!("{other:?} is no list"),
    }
}

/// How many bodies stand in front: none, unless it is a multipart.
fn parts(body: &[Value]) -> usize {
    let is_body = |value: &&Value| matches!(value, Value::List(_));
    body.iter().take_while(is_body).count()
}

/// Whether the body is a message with an envelope.
fn is_message(body: &[Value]) -> bool {
    let is = |at: usize, text: &str| match &body[at] {
        Value::Bytes(bytes) => bytes.eq_ignore_ascii_case(text.as_bytes()),
        _ => false,
    };
    parts(body) == 0 && is(0, "message") && is(1, "rfc822")
}

fn body<'a>(
    item: &str,
    number: &str,
    ours: &'a Value,
    theirs: &'a Value,
    found: &mut Vec<Found<'a>>,
) {
    let place = format!("{item} {number}").trim_end().to_owned();
    let (a, b) = (list(ours), list(theirs));
    let count = parts(a);
    if parts(b) != count || a.len() != b.len() || is_message(a) != is_message(b) {
        return found.push((format!("{place} shape"), ours, theirs));
    }
    let inside = |n: usize| match number {
        "" => n.to_string(),
        number => format!("{number}.{n}"),
    };
    for at in 0..count {
        body(item, &inside(at + 1), &a[at], &b[at], found);
    }
    let mut names: Vec<&str> = match count {
        0 => FIELDS.to_vec(),
        // What follows the parts of a multipart.
        _ => vec!["subtype"],
    };
    let mut rest = count;
    if is_message(a) {
        named(&place, &names, &a[..7], &b[..7], found);
        envelope(&format!("{place} ENVELOPE"), &a[7], &b[7], found);
        // The numbers of what is in a message that is no multipart begin with a 1 of its own.
        let within = if parts(list(&a[8])) == 0 {
            inside(1)
        } else {
            number.to_owned()
        };
        body(item, &within, &a[8], &b[8], found);
        names = vec!["lines"];
        rest = 9;
    } else if count == 0
        && matches!(&a[0], Value::Bytes(kind) if kind.eq_ignore_ascii_case(b"text"))
    {
        names.push("lines");
    }
    if item == "BODYSTRUCTURE" {
        match count {
            0 => names.extend(EXTENSION),
            _ => names.extend(["params", "disposition", "language", "location"]),
        }
    }
    named(&place, &names, &a[rest..], &b[rest..], found);
}
