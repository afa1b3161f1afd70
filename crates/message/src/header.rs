//! Header fields of one header block: splitting, unfolding, subsetting.

use std::borrow::Cow;

use memchr::memchr;

use crate::slice;

/// One header field as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field name, without the colon. Empty for a line that is no field (an mbox `From ` line,
    /// a line without colon).
    pub name: &'a [u8],
    /// What stands between the colon and the end of the last line, folds and all. The whole line
    /// when `name` is empty.
    pub value: &'a [u8],
    /// All lines of the field with their line ends.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the field is called `name` (ASCII case-insensitive, else exact: RFC 3501 6.4.5).
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value on one line: each fold, with the white space around it, becomes one space; white
    /// space at both ends is removed.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }
}

/// The fields of a header block, in order. Stops at the blank line or at the end; never fails.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// Iterator of [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let first = line_len(self.rest);
        if first == 0 || is_blank(self.rest) {
            return None;
        }
        let mut end = first;
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end += line_len(slice(self.rest, end, self.rest.len()));
        }
        let (raw, rest) = self.rest.split_at(end.min(self.rest.len()));
        self.rest = rest;
        Some(split_field(raw, first))
    }
}

/// Octets of the header block at the start of `message`, the blank line included.
pub fn header_len(message: &[u8]) -> usize {
    let mut pos = 0;
    while pos < message.len() {
        let rest = slice(message, pos, message.len());
        pos += line_len(rest);
        if is_blank(rest) {
            break;
        }
    }
    pos
}

/// Copies the fields called one of `names` (`keep`: HEADER.FIELDS) or none of them
/// (HEADER.FIELDS.NOT), in message order with their own line ends, and the blank line if `header`
/// ends with one. A last line that was cut off is ended.
// RFC 3501 6.4.5: subsetting does not exclude the delimiting blank line, "except in the case of a
// message which has no body and no blank line".
pub fn filter_header<N: AsRef<[u8]>>(header: &[u8], names: &[N], keep: bool, out: &mut Vec<u8>) {
    for field in fields(header) {
        let named = !field.name.is_empty() && names.iter().any(|name| field.is(name.as_ref()));
        if named == keep {
            push_lines(field.raw, out);
        }
    }
    if ends_with_blank(header) {
        out.extend_from_slice(b"\r\n");
    }
}

/// Copies whole lines, ending the last one if it is not.
pub(crate) fn push_lines(raw: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(raw);
    match raw {
        [.., b'\n'] => {}
        [.., b'\r'] => out.push(b'\n'),
        _ => out.extend_from_slice(b"\r\n"),
    }
}

/// One line of text: each fold, with the white space around it, becomes one space; ends are
/// trimmed.
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut line = Vec::with_capacity(value.len());
    for piece in value.split(|&b| b == b'\n') {
        let piece = piece.trim_ascii();
        if !line.is_empty() && !piece.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(piece);
    }
    Cow::Owned(line)
}

/// Octets of the first line of `bytes`, its LF included; 0 only when there is nothing.
pub(crate) fn line_len(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |lf| lf + 1)
}

/// Whether a header block ends with an empty line.
pub(crate) fn ends_with_blank(header: &[u8]) -> bool {
    let rest = header
        .strip_suffix(b"\r\n")
        .or_else(|| header.strip_suffix(b"\n"));
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(b"\n"))
}

/// Whether `bytes` begin with an empty line.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\n', ..] | [b'\r', b'\n', ..])
}

fn split_field(raw: &[u8], first_line: usize) -> Field<'_> {
    let body = raw.strip_suffix(b"\n").unwrap_or(raw);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let no_field = Field {
        name: &[],
        value: body,
        raw,
    };
    let Some(colon) = memchr(b':', slice(raw, 0, first_line)) else {
        return no_field;
    };
    // RFC 5322 4.5.8: obsolete syntax allows white space before the colon.
    let name = slice(raw, 0, colon).trim_ascii_end();
    if name.is_empty() || name.iter().any(|&b| b <= b' ' || b == 0x7f) {
        return no_field;
    }
    Field {
        name,
        value: slice(body, colon + 1, body.len()),
        raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(header: &[u8]) -> Vec<(String, String)> {
        fields(header)
            .map(|f| {
                (
                    String::from_utf8_lossy(f.name).into_owned(),
                    String::from_utf8_lossy(&f.unfolded()).into_owned(),
                )
            })
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn malformed_lines_are_nameless() {
        let header =
            b"From foo@bar Thu Jan  1 00:00:00 1970\r\nno colon\r\n: empty\r\nA b: c\r\nOk: 1\r\n";
        let got = listed(header);
        assert_eq!(got.iter().filter(|(name, _)| name.is_empty()).count(), 4);
        assert_eq!(got.last(), Some(&("Ok".to_owned(), "1".to_owned())));
    }

    #[test]
    fn folds_and_line_ends() {
        for (header, expected) in [
            (&b""[..], &[][..]),
            (b"\r\nA: b\r\n", &[]),
            (b"A: b", &[("A", "b")]),
            (b"A: b\nB:c\n\nC: d", &[("A", "b"), ("B", "c")]),
            (
                b"A:\r\n b\r\n\t  c\r\nB : d \r\n",
                &[("A", "b c"), ("B", "d")],
            ),
            (b"A: b\r\n  \r\n c\r\n\r\n", &[("A", "b c")]),
            (b" lost\r\nA: b\r\r\n", &[("", "lost"), ("A", "b")]),
        ] {
            assert_eq!(listed(header), pairs(expected), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn header_ends_after_the_blank_line() {
        for (message, len) in [
            (&b""[..], 0),
            (b"\r\nbody", 2),
            (b"\nbody", 1),
            (b"A: b\r\n\r\nbody", 8),
            (b"A: b\n\nbody", 6),
            (b"A: b\r\nno end", 12),
            (b"A: b\r\n\r", 7),
        ] {
            assert_eq!(header_len(message), len, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn subset_keeps_order_and_ends_with_a_blank_line() {
        let header = b"From x\r\nTo: a\r\nSubject: s\r\n t\r\nto: b\r\n\r\n";
        let mut out = Vec::new();
        filter_header(header, &["DATE", "TO", ""], true, &mut out);
        assert_eq!(out, b"To: a\r\nto: b\r\n\r\n");
        out.clear();
        filter_header(header, &["DATE", "TO"], false, &mut out);
        assert_eq!(out, b"From x\r\nSubject: s\r\n t\r\n\r\n");
        out.clear();
        filter_header(b"\r\n", &[b"DATE"], true, &mut out);
        assert_eq!(out, b"\r\n");
        for (header, subset) in [
            (&b"Date: d"[..], &b"Date: d\r\n"[..]),
            (b"Date: d\nTo: x\n", b"Date: d\n"),
            (b"Date: d\nTo: x\n\n", b"Date: d\n\r\n"),
            (b"", b""),
        ] {
            out.clear();
            filter_header(header, &[b"DATE"], true, &mut out);
            assert_eq!(out, subset, "{}", header.escape_ascii());
        }
    }
}
