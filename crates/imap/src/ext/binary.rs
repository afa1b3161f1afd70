//! BINARY (RFC 3516): parts without their transfer encoding. Messages with NUL are taken by
//! [`append`](crate::cmd::append), as `literal8`.

use super::*;
use crate::cmd::fetch::{FetchItem, Item, Message, Needs, parse_numbers, parse_partial, span};
use bytes::{Bytes, BytesMut};
use mail::Email;
use message::Recoding;
use net::Wire;
use std::ops::Range;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 3516",
    file: file!(),
    capabilities: &[Capability::always("BINARY")],
    fetch_items: &[&[
        FetchItem {
            name: "BINARY",
            rfc: "RFC 3516 4.2",
            parse: |c| parse(c, Asked::Octets { seen: true }),
        },
        FetchItem {
            name: "BINARY.PEEK",
            rfc: "RFC 3516 4.2",
            parse: |c| parse(c, Asked::Octets { seen: false }),
        },
        FetchItem {
            name: "BINARY.SIZE",
            rfc: "RFC 3516 4.2",
            parse: |c| parse(c, Asked::Size),
        },
    ]],
    ..Extension::EMPTY
};

/// What is asked of a section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Octets { seen: bool },
    Size,
}

struct Binary {
    name: String,
    /// Empty: the message, with its header.
    path: Vec<u32>,
    /// First octet and how many, of what is decoded.
    partial: Option<(u32, u32)>,
    asked: Asked,
}

/// `section-binary [partial]`, without partial for BINARY.SIZE.
fn parse(c: &mut Cursor<'_>, asked: Asked) -> Parsed<Box<dyn Item>> {
    c.expect(b"[", "expected a section")?;
    let (path, whole) = parse_numbers(c)?;
    if !whole || !c.eat(b"]") {
        return Err(BadSyntax("expected numbers of a part and ]"));
    }
    let (word, partial) = match asked {
        Asked::Octets { .. } => ("BINARY", parse_partial(c)?),
        Asked::Size => ("BINARY.SIZE", None),
    };
    let numbers: Vec<String> = path.iter().map(u32::to_string).collect();
    let mut name = format!("{word}[{}]", numbers.join("."));
    if let Some((first, _)) = partial {
        name += &format!("<{first}>");
    }
    Ok(Box::new(Binary {
        name,
        path,
        partial,
        asked,
    }))
}

impl Binary {
    fn recoding(&self, email: &Email) -> Option<Recoding> {
        email.digest()?.recoding(&self.path)
    }

    /// What stands in front of the decoded octets: the lines of this delivery.
    fn prefix<'a>(&self, email: &'a Email) -> &'a [u8] {
        match self.path.is_empty() {
            true => email.prefix(),
            false => b"",
        }
    }

    /// The decoded octets without the prefix; `None` when there is no such section.
    fn decoded(&self, m: &Message<'_>, email: &Email, at: usize) -> Option<Bytes> {
        let recoding = self.recoding(email)?;
        let octets = m.content?.bytes(at, recoding.range.clone());
        match recoding.decode(&octets) {
            Ok(std::borrow::Cow::Owned(decoded)) => Some(decoded.into()),
            // As they are; the plan does not send what cannot be decoded.
            Ok(std::borrow::Cow::Borrowed(_)) | Err(_) => Some(octets),
        }
    }
}

impl Item for Binary {
    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Needs {
        let needs = match self.path.is_empty() {
            true => Needs::WHOLE,
            false => Needs::RANGE,
        };
        let seen = match self.asked {
            Asked::Octets { seen: true } => Needs::SEEN,
            _ => Needs::ROW,
        };
        Needs::EMAIL.and(Needs::DECODED).and(needs).and(seen)
    }

    fn wants(&self, email: &Email) -> Range<u32> {
        self.recoding(email).map_or(0..0, |recoding| recoding.range)
    }

    fn answers(&self, m: &Message<'_>) -> bool {
        let recoding = m.email.and_then(|email| self.recoding(email));
        recoding.is_none_or(|recoding| recoding.is_known())
    }

    fn write(&self, _: &Message<'_>, out: &mut BytesMut) {
        // As of a section that does not exist.
        out.text(&self.name).raw(match self.asked {
            Asked::Octets { .. } => b" NIL",
            Asked::Size => b" 0",
        });
    }

    fn send(&self, m: &Message<'_>, at: usize, wire: &mut Wire) {
        let found = m
            .email
            .and_then(|email| Some((email, self.decoded(m, email, at)?)));
        let Some((email, decoded)) = found else {
            return self.write(m, wire.buffer());
        };
        let prefix = self.prefix(email);
        let out = wire.buffer();
        out.text(&self.name).raw(b" ");
        if self.asked == Asked::Size {
            out.num((prefix.len() + decoded.len()) as u64);
            return;
        }
        let wanted = span(self.partial, prefix.len() + decoded.len());
        let first = |n: usize| n.min(prefix.len());
        let rest = |n: usize| n.saturating_sub(prefix.len());
        let prefix = &prefix[first(wanted.start)..first(wanted.end)];
        let decoded = decoded.slice(rest(wanted.start)..rest(wanted.end));
        // RFC 3516 4.3: a literal8 tells that there is NUL.
        if memchr::memchr(0, &decoded).is_some() {
            out.raw(b"~");
        }
        out.literal_head((prefix.len() + decoded.len()) as u64)
            .raw(prefix);
        wire.write_bytes(decoded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_numbers() {
        let read = |text: &str, asked| {
            let mut c = Cursor::of(text.as_bytes());
            let item = parse(&mut c, asked)?;
            c.end().map(|()| item.name().to_owned())
        };
        let octets = Asked::Octets { seen: true };
        for text in [
            "", "[", "[0]", "[1.]", "[1", "[TEXT]", "[1.MIME]", "[1]<0>", "[1]<0.0>",
        ] {
            assert!(read(text, octets).is_err(), "{text}");
        }
        assert!(read("[1]<0.1>", Asked::Size).is_err());
        assert_eq!(read("[]", octets).unwrap(), "BINARY[]");
        assert_eq!(read("[1.2]<3.4>", octets).unwrap(), "BINARY[1.2]<3>");
        assert_eq!(read("[1.2]", Asked::Size).unwrap(), "BINARY.SIZE[1.2]");
    }
}
