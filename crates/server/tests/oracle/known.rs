//! Differences that several families know, and words to describe differences with.

use crate::different::{Difference, Known};
use testkit::Value;

/// Lines that end in LF alone: Dovecot serves CRLF in their place, and counts that.
pub(crate) const BARE_LF: Known = Known {
    row: "lines that end in LF alone",
    explains: |d| {
        let count = bare_lfs(d.message).len();
        match (d.ours, d.theirs) {
            (Value::Word(a), Value::Word(b)) => match (a.parse::<usize>(), b.parse::<usize>()) {
                (Ok(a), Ok(b)) => b > a && b - a <= count,
                _ => false,
            },
            (Value::Bytes(a), Value::Bytes(b)) => with_crlf(a) == *b,
            _ => false,
        }
    },
};

/// CRs before the CR of a line end, and one at the very end of a message: Dovecot loses them.
pub(crate) const LOST_CR: Known = Known {
    row: "CR that is no line end",
    explains: |d| match (d.ours, d.theirs) {
        (Value::Word(a), Value::Word(b)) => match (a.parse::<usize>(), b.parse::<usize>()) {
            (Ok(a), Ok(b)) => a > b && a - b <= d.message.len() - without_lost(d.message).len(),
            _ => false,
        },
        (Value::Bytes(a), Value::Bytes(b)) => a != b && without_lost(a) == *b,
        _ => false,
    },
};

/// Without the CRs that Dovecot loses.
fn without_lost(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let is_lost = |at: usize| bytes[at..].starts_with(b"\r\r\n");
    let kept = (0..bytes.len()).filter(|at| !is_lost(*at));
    kept.map(|at| bytes[at]).collect()
}

/// The end of a message/rfc822 part whose message ends in its header, or with the close delimiter
/// of its own multipart: Dovecot counts a line end more.
pub(crate) const END_OF_MESSAGE_PART: Known = Known {
    row: "message part that ends in a header or with a close delimiter: its size",
    explains: |d| {
        let number = |value: &Value| match value {
            Value::Word(word) => word.parse::<u32>().ok(),
            _ => None,
        };
        let text = String::from_utf8_lossy(d.message);
        let has_message = text.contains("message/rfc822") || text.contains("multipart/digest");
        let more = match is_at(d, &["octets"]) {
            true => 2,
            false => 1,
        };
        is_at(d, &["octets", "lines"])
            && has_message
            && number(d.theirs) == number(d.ours).map(|n| n + more)
    },
};

/// Containers in containers: both have an end, at other places.
pub(crate) const TOO_DEEP: Known = Known {
    row: "deeper than 100 levels",
    explains: |d| {
        let message = String::from_utf8_lossy(d.message);
        let containers = ["Content-Type: multipart/", "Content-Type: message/rfc822"];
        let counts = containers.map(|of| message.matches(of).count());
        counts[0] + counts[1] > 98 && (is_at(d, &["shape"]) || d.place.contains("1.1.1.1.1.1"))
    },
};

/// Where the LFs without a CR before them are.
pub(crate) fn bare_lfs(bytes: &[u8]) -> Vec<usize> {
    let is_bare = |at: &usize| bytes[*at] == b'\n' && (*at == 0 || bytes[at - 1] != b'\r');
    (0..bytes.len()).filter(is_bare).collect()
}

/// With CRLF for each of them.
pub(crate) fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

/// Whether the place has one of these names.
pub(crate) fn is_at(difference: &Difference<'_>, names: &[&str]) -> bool {
    let name = difference.place.rsplit(' ').next().unwrap_or_default();
    names.contains(&name)
}

/// The text of a string; empty for anything else.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

/// The names and values of parameters, names in lower case.
pub(crate) fn pairs(value: &Value) -> Vec<(String, String)> {
    let Value::List(list) = value else {
        return Vec::new();
    };
    let pairs = list.chunks(2).map(|pair| {
        let value = pair.get(1).map(text).unwrap_or_default();
        (text(&pair[0]).to_ascii_lowercase(), value)
    });
    pairs.collect()
}

/// The parameters of a list of them, or of a disposition.
pub(crate) fn parameters(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::List(list) if matches!(list[..], [_, Value::List(_)]) => pairs(&list[1]),
        value => pairs(value),
    }
}

/// The words of a text.
pub(crate) fn words(value: &Value) -> Vec<String> {
    text(value).split_whitespace().map(str::to_owned).collect()
}

/// The values of all fields of this name, of the message and of its parts, unfolded.
pub(crate) fn fields(message: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let text = text.replace("\n ", " ").replace("\n\t", " ");
    let fields = text.lines().filter_map(|line| {
        let (field, value) = line.split_once(':')?;
        let same = field.trim().eq_ignore_ascii_case(name);
        same.then(|| value.trim().to_owned())
    });
    fields.collect()
}
