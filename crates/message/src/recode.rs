//! Messages and parts with their bodies in another transfer encoding: decoded for BINARY, encoded
//! where a part holds what other literals may not (RFC 3516).

use std::borrow::Cow;
use std::ops::Range;

use crate::header::{ends_with_blank, fields, push_lines};
use crate::section::{ENTRY, Entry};
use crate::transfer::{TransferEncoding, to_base64};
use crate::view::Digest;
use crate::{Part, Section, slice};

const ENCODING: &[u8] = b"Content-Transfer-Encoding";

/// A part is encoded in a way nobody here knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEncoding;

/// The part that section numbers name, and what BINARY makes of it.
#[derive(Debug, Clone)]
pub struct Recoding {
    /// Where it lies in the message.
    pub range: Range<u32>,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    /// The body of a part without parts.
    Body(TransferEncoding),
    /// A message or a multipart: its parts without parts, in the order they stand.
    Parts(Vec<Entry>),
}

impl Digest<'_> {
    /// How the section of these part numbers is decoded (none: the message); `None` when there is
    /// no such section.
    pub fn recoding(&self, path: &[u32]) -> Option<Recoding> {
        let section = Section {
            path: path.to_vec(),
            part: Part::Whole,
        };
        let range = self.locate(&section)?.range;
        let top = self.resolve(path)?;
        let how = match path.is_empty() || top.is(Entry::MULTIPART | Entry::MESSAGE) {
            true => How::Parts(self.leaves(top)),
            false => How::Body(top.encoding()),
        };
        Some(Recoding { range, how })
    }

    /// The message with the bodies encoded in base64 that hold NUL though they are not encoded;
    /// `None` when there are none.
    // RFC 3516 6: the encoding may be modified "when it is absolutely necessary": a literal of
    // FETCH BODY cannot hold NUL (RFC 3501 9). NUL elsewhere cannot be encoded, and stays.
    pub fn without_nul(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut parts = self.leaves(self.entry(0)?);
        parts.retain(|part| {
            let body = slice(message, part.body as usize, part.end as usize);
            part.encoding() == TransferEncoding::Identity && memchr::memchr(0, body).is_some()
        });
        (!parts.is_empty()).then(|| {
            let name = b"base64";
            rewritten(message, 0..message.len(), &parts, name, |_, body| {
                Cow::Owned(to_base64(body))
            })
        })
    }

    /// The parts of an entity that have no parts themselves, itself among them.
    fn leaves(&self, top: Entry) -> Vec<Entry> {
        let mut leaves = Vec::new();
        let mut open = vec![top];
        // Each entry has one parent; a damaged table must not make this endless.
        let mut left = self.parts().len() / ENTRY;
        while let Some(entry) = open.pop() {
            if !entry.is(Entry::MULTIPART | Entry::MESSAGE) {
                leaves.push(entry);
                continue;
            }
            // The first one is looked at first.
            for child in (0..entry.children).rev() {
                let child = entry.first_child.checked_add(child);
                let Some(child) = child.and_then(|index| self.entry(index)) else {
                    continue;
                };
                let Some(fewer) = left.checked_sub(1) else {
                    return leaves;
                };
                left = fewer;
                open.push(child);
            }
        }
        leaves
    }
}

impl Recoding {
    /// Whether every encoding in it is known.
    pub fn is_known(&self) -> bool {
        let unknown = TransferEncoding::Unknown;
        match &self.how {
            How::Body(encoding) => *encoding != unknown,
            How::Parts(parts) => parts.iter().all(|part| part.encoding() != unknown),
        }
    }

    /// What BINARY answers, from the octets of [`Self::range`]. In messages and multiparts the
    /// parts that were encoded are labelled `binary`.
    ///
    /// # Errors
    /// One of the encodings is not known.
    pub fn decode<'a>(&self, octets: &'a [u8]) -> Result<Cow<'a, [u8]>, UnknownEncoding> {
        if !self.is_known() {
            return Err(UnknownEncoding);
        }
        let parts = match &self.how {
            How::Body(encoding) => return encoding.decode(octets).ok_or(UnknownEncoding),
            How::Parts(parts) => parts,
        };
        let encoded = |part: &&Entry| part.encoding() != TransferEncoding::Identity;
        let base = self.range.start;
        let inside: Vec<Entry> = parts
            .iter()
            .filter(encoded)
            .map(|part| Entry {
                header: part.header.saturating_sub(base),
                body: part.body.saturating_sub(base),
                end: part.end.saturating_sub(base),
                ..*part
            })
            .collect();
        if inside.is_empty() {
            return Ok(Cow::Borrowed(octets));
        }
        let all = 0..octets.len();
        let decoded = rewritten(octets, all, &inside, b"binary", |encoding, body| {
            encoding.decode(body).unwrap_or_default()
        });
        Ok(Cow::Owned(decoded))
    }
}

/// A range of the message in which the bodies of `parts`, in the order they stand, are what
/// `recode` makes of them, with that encoding in their headers.
fn rewritten(
    message: &[u8],
    range: Range<usize>,
    parts: &[Entry],
    name: &[u8],
    recode: impl for<'a> Fn(TransferEncoding, &'a [u8]) -> Cow<'a, [u8]>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(range.len());
    let mut at = range.start;
    for part in parts {
        let [header, body, end] = [part.header, part.body, part.end].map(|n| n as usize);
        if header < at {
            continue;
        }
        out.extend_from_slice(slice(message, at, header));
        relabelled(slice(message, header, body), name, &mut out);
        out.extend_from_slice(&recode(part.encoding(), slice(message, body, end)));
        at = end;
    }
    out.extend_from_slice(slice(message, at, range.end));
    out
}

/// A header with another transfer encoding.
fn relabelled(header: &[u8], encoding: &[u8], out: &mut Vec<u8>) {
    for field in fields(header) {
        if !field.is(ENCODING) {
            push_lines(field.raw, out);
        }
    }
    for piece in [ENCODING, b": ", encoding, b"\r\n"] {
        out.extend_from_slice(piece);
    }
    if ends_with_blank(header) {
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    const NESTED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
        pre\r\n--x\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\n\
        SGVsbG8=\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=00b\r\n\r\n\
        --x\r\nContent-Transfer-Encoding: uuencode\r\n\r\nbegin\r\n--x--\r\n";

    fn binary(message: &str, path: &[u32]) -> Option<Result<String, UnknownEncoding>> {
        let digest = digest(message.as_bytes());
        let recoding = Digest::parse(&digest).unwrap().recoding(path)?;
        let (start, end) = (recoding.range.start as usize, recoding.range.end as usize);
        let decoded = recoding.decode(&message.as_bytes()[start..end]);
        Some(decoded.map(|octets| String::from_utf8(octets.into_owned()).unwrap()))
    }

    #[test]
    fn parts_are_decoded() {
        for (path, want) in [
            (&[1][..], Some(Ok("Hello"))),
            (&[2, 1], Some(Ok("a\0b\r\n"))),
            (
                &[2],
                Some(Ok(
                    "Subject: in\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b\r\n",
                )),
            ),
            (&[3], Some(Err(UnknownEncoding))),
            (&[], Some(Err(UnknownEncoding))),
            (&[4], None),
            (&[1, 1], None),
        ] {
            let got = binary(NESTED, path);
            let want = want.map(|want| want.map(str::to_owned));
            assert_eq!(got, want, "{path:?}");
        }
    }

    #[test]
    fn a_message_is_decoded_with_its_parts() {
        let known = NESTED.replace("uuencode", "7bit");
        let want = known
            .replace("Content-Transfer-Encoding: base64\r\n", "")
            .replace(
                "text/plain\r\n\r\nSGVsbG8=",
                "text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello",
            )
            .replace("quoted-printable", "binary")
            .replace("a=00b", "a\0b");
        assert_eq!(binary(&known, &[]), Some(Ok(want)));
        let plain = "Subject: x\r\n\r\nplain\r\n";
        assert_eq!(binary(plain, &[]), Some(Ok(plain.to_owned())));
        assert_eq!(binary(plain, &[1]), Some(Ok("plain\r\n".to_owned())));
    }

    #[test]
    fn nul_is_encoded_where_that_is_possible() {
        let without = |message: &str| {
            let digest = digest(message.as_bytes());
            let made = Digest::parse(&digest)?.without_nul(message.as_bytes())?;
            Some(String::from_utf8(made).unwrap())
        };
        // In the header, between parts, in what is encoded already.
        for message in [
            "Subject: \0\r\n\r\nx\r\n",
            "Content-Transfer-Encoding: base64\r\n\r\nAA\0==\r\n",
            "Content-Transfer-Encoding: nonsense\r\n\r\n\0\r\n",
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n\0\r\n--x\r\n\r\na\r\n--x--\r\n",
        ] {
            assert_eq!(without(message), None, "{message:?}");
        }
        let message = "Content-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b";
        let made = without(message).unwrap();
        assert_eq!(
            made,
            "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBi\r\n"
        );
        assert_eq!(binary(&made, &[1]), Some(Ok("a\0b".to_owned())));
        assert_eq!(without(&made), None);
    }
}
