//! The structure of one part, cut out of the BODYSTRUCTURE of its message (RFC 5259 9.2's
//! BODYPARTSTRUCTURE).

use crate::Digest;
use crate::wire::number;
use std::ops::Range;

/// Where the fields of `body-fields` stand in a structure that is no multipart.
const ENCODING: usize = 5;
const OCTETS: usize = 6;
/// RFC 3501 9, body-type-msg: the envelope, and the structure of the message inside.
const ENVELOPE: usize = 7;
const INNER: usize = 8;
/// RFC 3501 9, body-type-text: in place of an envelope.
const LINES: usize = 7;

impl<'a> Digest<'a> {
    /// The BODYSTRUCTURE of a part; of the message for an empty path. `None` when there is no such
    /// part.
    pub fn part_structure(&self, path: &[u32]) -> Option<&'a [u8]> {
        let mut around = self.bodystructure();
        let Some((&last, path)) = path.split_last() else {
            return Some(around);
        };
        for &number in path {
            let part = part(around, number)?;
            around = match inner(part) {
                Some(inner) => inner,
                None if is_multipart(part) => part,
                None => return None,
            };
        }
        part(around, last)
    }

    /// The BODYSTRUCTURE of the message that a part is; of the message for an empty path. `None`
    /// when there is no such part or it is no message.
    pub fn inner_structure(&self, path: &[u32]) -> Option<&'a [u8]> {
        let structure = self.part_structure(path)?;
        match path {
            [] => Some(structure),
            _ => inner(structure),
        }
    }
}

/// The structure of a part that is `content` once its transfer encoding is taken off. Unchanged
/// when it has no encoding of its own (multiparts).
pub fn decoded_structure(structure: &[u8], content: &[u8]) -> Vec<u8> {
    let (encoding, size) = (element(structure, ENCODING), element(structure, OCTETS));
    let (Some(encoding), Some(size), false) = (encoding, size, is_multipart(structure)) else {
        return structure.to_vec();
    };
    let piece = |range: Range<usize>| structure.get(range).unwrap_or_default();
    let mut out = piece(0..encoding.start).to_vec();
    out.extend_from_slice(b"\"BINARY\"");
    number(&mut out, u32::try_from(content.len()).unwrap_or(u32::MAX));
    let mut end = size.end;
    // RFC 3501 9, body-type-text: there the number of lines follows.
    let lines =
        element(structure, LINES).filter(|at| piece(at.clone()).iter().all(u8::is_ascii_digit));
    if let Some(at) = lines {
        number(&mut out, memchr::memchr_iter(b'\n', content).count() as u32);
        end = at.end;
    }
    out.extend_from_slice(piece(end..structure.len()));
    out
}

fn is_multipart(structure: &[u8]) -> bool {
    // A multipart without parts begins with a space.
    matches!(structure.get(1), Some(b'(' | b' '))
}

/// Part `number` of a message or multipart, as in `Digest::locate`.
fn part(around: &[u8], number: u32) -> Option<&[u8]> {
    if !is_multipart(around) {
        return (number == 1).then_some(around);
    }
    // The parts are lists. Behind them stands the subtype, a string.
    let mut rest = around.get(1..)?;
    for _ in 1..number {
        rest = rest.get(list_len(rest)?..)?;
    }
    rest.get(..list_len(rest)?).filter(|_| number > 0)
}

fn list_len(text: &[u8]) -> Option<usize> {
    len(text).filter(|_| text.starts_with(b"("))
}

/// The structure of the message that a part is.
fn inner(structure: &[u8]) -> Option<&[u8]> {
    if is_multipart(structure) {
        return None;
    }
    let list = |index| {
        let found = structure.get(element(structure, index)?)?;
        found.starts_with(b"(").then_some(found)
    };
    list(ENVELOPE).and_then(|_| list(INNER))
}

/// Where the element of that index stands in a list, counted from 0.
fn element(list: &[u8], index: usize) -> Option<Range<usize>> {
    let mut at = 1;
    for n in 0.. {
        while list.get(at) == Some(&b' ') {
            at += 1;
        }
        let len = len(list.get(at..)?)?;
        if n == index {
            return Some(at..at + len);
        }
        at += len;
    }
    None
}

/// The length of the element `text` begins with; `None` at the end of a list.
fn len(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        let rest = text.get(at..)?;
        at += match rest.first()? {
            b'(' => {
                depth += 1;
                1
            }
            b')' => {
                depth = depth.checked_sub(1)?;
                1
            }
            b' ' => 1,
            b'"' => quoted(rest)?,
            b'{' => literal(rest)?,
            _ => rest
                .iter()
                .take_while(|b| !matches!(b, b' ' | b')'))
                .count(),
        };
        if depth == 0 {
            return Some(at);
        }
    }
}

fn quoted(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `{n}`, CRLF and n octets.
fn literal(text: &[u8]) -> Option<usize> {
    let digits = text.iter().skip(1).take_while(|b| b.is_ascii_digit());
    let (mut count, mut len) = (0usize, 0usize);
    for digit in digits {
        count += 1;
        len = len
            .checked_mul(10)?
            .checked_add(usize::from(digit - b'0'))?;
    }
    let all = len.checked_add(count)?.checked_add(4)?;
    (all <= text.len()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] = b"MIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=a\r\n\r\n\
        --a\r\n\r\none\r\n\
        --a\r\nContent-Type: image/png; name=\"caf\xc3\xa9 \\\"(\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n\
        --a\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: s (\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n\
        --a\r\nContent-Type: message/rfc822\r\n\r\nSubject: t\r\n\r\ntext\r\n\
        --a--\r\n";

    fn structures(raw: &[u8], path: &[u32]) -> (Option<String>, Option<String>) {
        let stored = crate::digest(raw);
        let digest = Digest::parse(&stored).unwrap();
        let text = |found: Option<&[u8]>| found.map(|s| String::from_utf8_lossy(s).into_owned());
        let inner = text(digest.inner_structure(path));
        (text(digest.part_structure(path)), inner)
    }

    #[test]
    fn parts_have_the_structure_they_have_in_their_message() {
        let (all, inner) = structures(NESTED, &[]);
        let all = all.unwrap();
        assert_eq!(inner.as_ref(), Some(&all));
        for (path, start) in [
            (&[1][..], "(\"text\" \"plain\""),
            (&[2], "(\"image\" \"png\""),
            (&[3], "(\"message\" \"rfc822\""),
            (&[3, 1], "(\"text\" \"plain\""),
            (&[3, 2], "(\"text\" \"html\""),
            (&[4], "(\"message\" \"rfc822\""),
            (&[4, 1], "(\"text\" \"plain\""),
        ] {
            let (found, inner) = structures(NESTED, path);
            let found = found.unwrap_or_else(|| panic!("{path:?} of {all}"));
            assert!(found.to_lowercase().starts_with(start), "{path:?}: {found}");
            assert!(all.contains(&found), "{path:?}: {found}");
            assert_eq!(inner.is_some(), path.len() == 1 && path[0] > 2, "{path:?}");
        }
        for path in [
            &[0][..],
            &[5],
            &[1, 1],
            &[2, 1],
            &[3, 3],
            &[3, 1, 1],
            &[4, 2],
            &[6],
        ] {
            assert_eq!(structures(NESTED, path).0, None, "{path:?}");
        }
        let single = structures(b"Subject: x\r\n\r\ny\r\n", &[1]);
        assert_eq!(single.0, structures(b"Subject: x\r\n\r\ny\r\n", &[]).0);
        assert_eq!(single.1, None);
        let empty = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n\r\n";
        assert_eq!(structures(empty, &[2]).0, None);
    }

    #[test]
    fn a_decoded_part_has_no_encoding() {
        let (structure, _) = structures(NESTED, &[2]);
        let decoded = decoded_structure(structure.unwrap().as_bytes(), b"\0\x01\x02");
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        assert!(decoded.contains(" \"BINARY\" 3 "), "{decoded}");
        assert!(!decoded.to_lowercase().contains("base64"), "{decoded}");
        let (all, _) = structures(NESTED, &[]);
        let all = all.unwrap();
        assert_eq!(decoded_structure(all.as_bytes(), b"x"), all.as_bytes());
        let (text, _) = structures(
            b"Content-Transfer-Encoding: base64\r\n\r\nYQpi\r\nCg==",
            &[1],
        );
        let decoded = decoded_structure(text.unwrap().as_bytes(), b"a\nb\n");
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        assert!(decoded.contains(" NIL NIL \"BINARY\" 4 2 "), "{decoded}");
    }

    #[test]
    fn what_is_no_structure_has_no_parts() {
        for text in [
            &b""[..],
            b"(",
            b"(\"",
            b"(\"\\",
            b"({",
            b"({9}\r\nx",
            b"(((((",
            b"()",
            b")",
        ] {
            assert_eq!(part(text, 2), None);
            assert_eq!(inner(text), None);
            assert_eq!(decoded_structure(text, b"x"), text);
        }
    }
}
