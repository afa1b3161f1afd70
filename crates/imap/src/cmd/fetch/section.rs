//! BODY[section]<partial> and its older forms RFC822, RFC822.HEADER, RFC822.TEXT (RFC 3501 6.4.5).

use super::FetchItem;
use super::content::Content;
use super::passage::Passage;
use super::plan::{Item, Message, Needs};
use crate::grammar::{BadSyntax, Cursor, Emit, Parsed};
use bytes::{Bytes, BytesMut};
use mail::Email;
use message::Part;
use net::Wire;
use std::ops::Range;

pub(crate) static ITEMS: &[FetchItem] = &[
    FetchItem {
        name: "BODY",
        rfc: "RFC 3501 6.4.5",
        parse: |c| parse_body(c, true),
    },
    FetchItem {
        name: "BODY.PEEK",
        rfc: "RFC 3501 6.4.5",
        parse: |c| parse_body(c, false),
    },
    FetchItem {
        name: "RFC822",
        rfc: "RFC 3501 6.4.5",
        parse: |_| Ok(Box::new(Body::old("RFC822", Part::Whole, true))),
    },
    FetchItem {
        name: "RFC822.HEADER",
        rfc: "RFC 3501 6.4.5",
        parse: |_| Ok(Box::new(Body::old("RFC822.HEADER", Part::Header, false))),
    },
    FetchItem {
        name: "RFC822.TEXT",
        rfc: "RFC 3501 6.4.5",
        parse: |_| Ok(Box::new(Body::old("RFC822.TEXT", Part::Text, true))),
    },
];

/// BODY[...] of one form.
struct Body {
    name: String,
    passage: Passage,
    seen: bool,
}

/// `BODY`, `BODY[section]<partial>`.
fn parse_body(c: &mut Cursor<'_>, seen: bool) -> Parsed<Box<dyn Item>> {
    if c.peek() != Some(b'[') {
        if seen {
            return Ok(super::digest::body());
        }
        return Err(BadSyntax("BODY.PEEK needs a section"));
    }
    let passage = Passage::parse(c)?;
    let mut name = b"BODY".to_vec();
    passage.write_name(&mut name);
    // Field names are written in ASCII or refused, so the name is text.
    let name = String::from_utf8(name).map_err(|_| BadSyntax("not a field name"))?;
    Ok(Box::new(Body {
        name,
        passage,
        seen,
    }))
}

impl Body {
    fn old(name: &str, part: Part, seen: bool) -> Self {
        Self {
            name: name.to_owned(),
            passage: Passage::of_message(part),
            seen,
        }
    }

    /// What was read for this item.
    fn bytes(&self, m: &Message<'_>, email: &Email, at: usize) -> Bytes {
        let content = m.content;
        content.map_or_else(Bytes::new, |content| {
            content.bytes(at, self.passage.read_range(email))
        })
    }
}

impl Item for Body {
    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Needs {
        let needs = if self.passage.is_large() {
            Needs::WHOLE
        } else {
            Needs::RANGE
        };
        let seen = if self.seen { Needs::SEEN } else { Needs::ROW };
        let text = match self.passage.is_text() {
            true => Needs::TEXT,
            false => Needs::ROW,
        };
        Needs::EMAIL.and(needs).and(seen).and(text)
    }

    fn wants(&self, email: &Email) -> Range<u32> {
        if self.passage.is_in_digest(email) {
            0..0
        } else {
            self.passage.read_range(email)
        }
    }

    fn in_pieces(&self, email: &Email) -> Option<Range<u32>> {
        let whole = self.passage.is_verbatim() && self.passage.exists(email);
        whole.then(|| self.passage.read_range(email))
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        // Only a message without an email record comes here, and such a message is not answered.
        debug_assert!(m.email.is_none());
        out.text(&self.name).raw(b" NIL");
    }

    fn send(&self, m: &Message<'_>, at: usize, wire: &mut Wire) {
        let Some(email) = m.email else {
            return self.write(m, wire.buffer());
        };
        let out = wire.buffer().text(&self.name).raw(b" ");
        if let Some((prefix, lines)) = self.passage.kept_lines(email) {
            let len = lines.clone().map(<[u8]>::len).sum::<usize>() + prefix.len();
            out.literal_head(len as u64).raw(&prefix);
            lines.for_each(|lines| {
                out.raw(lines);
            });
            return;
        }
        if !self.passage.exists(email) {
            out.raw(b"NIL");
            return;
        }
        let (front, rest) = self.passage.value(email, || self.bytes(m, email, at));
        let later = match m.content {
            Some(Content::Long(..)) => self.in_pieces(email).unwrap_or(0..0).len(),
            _ => 0,
        };
        wire.buffer()
            .literal_head((front.len() + rest.len() + later) as u64)
            .raw(&front);
        wire.write_bytes(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed<String> {
        let mut c = Cursor::of(text.as_bytes());
        let item = parse_body(&mut c, true)?;
        match c.peek() {
            None => Ok(item.name().to_owned()),
            Some(_) => Err(BadSyntax("left over")),
        }
    }

    #[test]
    fn malformed_sections_are_refused() {
        for text in [
            "[",
            "[0]",
            "[1",
            "[1.]",
            "[.1]",
            "[MIME]",
            "[1.0]",
            "[HEADER.FIELDS]",
            "[TEXT.1]",
            "[HEADER.FIELDS ()]",
            "[HEADER.FIELDS (a:b)]",
            "[FOO]",
            "[]<0>",
            "[]<1.0>",
            "[]<.1>",
            "[]<0.1",
            "[4294967296]",
            "[1 ]",
            "[]<0.4294967296>",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parse_body(&mut Cursor::of(b""), false).is_err());
    }

    #[test]
    fn sections_are_answered_by_the_name_they_were_asked_by() {
        for (text, name) in [
            ("", "BODY"),
            ("[]", "BODY[]"),
            ("[]<0.10>", "BODY[]<0>"),
            ("[1.2.mime]", "BODY[1.2.MIME]"),
            ("[3.header]", "BODY[3.HEADER]"),
            (
                "[Header.Fields (From \"X Y\")]",
                "BODY[HEADER.FIELDS (From \"X Y\")]",
            ),
            (
                "[2.HEADER.FIELDS.NOT (To)]<5.7>",
                "BODY[2.HEADER.FIELDS.NOT (To)]<5>",
            ),
            ("[text]", "BODY[TEXT]"),
        ] {
            assert_eq!(parsed(text).unwrap(), name);
        }
    }
}
