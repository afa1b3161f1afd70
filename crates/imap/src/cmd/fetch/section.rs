//! BODY[section]<partial> and its older forms RFC822, RFC822.HEADER, RFC822.TEXT (RFC 3501 6.4.5).
//!
//! A message is served as its prefix (lines of this delivery alone) and its blob. Offsets in the
//! digest count from the start of the blob, so the prefix is put in front wherever the outermost
//! header is.

use super::FetchItem;
use super::plan::{Item, Message, Needs};
use crate::grammar::{BadSyntax, Cursor, Emit, Parsed};
use bytes::{Bytes, BytesMut};
use mail::Email;
use message::{FieldSet, Part, Section};
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

/// Deepest section number: deeper parts than a digest lists do not exist.
const MAX_PATH: usize = 200;
/// Field names in one HEADER.FIELDS.
const MAX_FIELDS: usize = 256;

/// Which fields of a header are wanted.
struct Fields {
    names: Vec<Vec<u8>>,
    /// HEADER.FIELDS, as opposed to HEADER.FIELDS.NOT.
    keep: bool,
    /// The names as digests know them, if they know them all.
    kept: Option<FieldSet>,
}

/// BODY[...] of one form.
struct Body {
    name: String,
    section: Section,
    fields: Option<Fields>,
    /// First octet and how many.
    partial: Option<(u32, u32)>,
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
    c.eat(b"[");
    let (section, fields) = parse_section(c)?;
    if !c.eat(b"]") {
        return Err(BadSyntax("expected ]"));
    }
    let partial = parse_partial(c)?;
    let mut name = b"BODY[".to_vec();
    write_section(&section, fields.as_ref(), &mut name);
    name.raw(b"]");
    if let Some((first, _)) = partial {
        name.raw(b"<").num(first).raw(b">");
    }
    // Field names are written in ASCII or refused, so the name is text.
    let name = String::from_utf8(name).map_err(|_| BadSyntax("not a field name"))?;
    Ok(Box::new(Body {
        name,
        section,
        fields,
        partial,
        seen,
    }))
}

/// `section-spec = section-msgtext / (section-part ["." section-text])`
fn parse_section(c: &mut Cursor<'_>) -> Parsed<(Section, Option<Fields>)> {
    let (path, whole) = parse_numbers(c)?;
    if whole {
        let part = Part::Whole;
        return Ok((Section { path, part }, None));
    }
    // The longest words first: HEADER is the beginning of the others.
    if c.eat_word(b"HEADER.FIELDS.NOT") {
        return Ok((
            Section {
                path,
                part: Part::Header,
            },
            Some(parse_fields(c, false)?),
        ));
    }
    if c.eat_word(b"HEADER.FIELDS") {
        return Ok((
            Section {
                path,
                part: Part::Header,
            },
            Some(parse_fields(c, true)?),
        ));
    }
    let part = if c.eat_word(b"HEADER") {
        Part::Header
    } else if c.eat_word(b"TEXT") {
        Part::Text
    } else if !path.is_empty() && c.eat_word(b"MIME") {
        Part::Mime
    } else {
        return Err(BadSyntax("unknown section"));
    };
    Ok((Section { path, part }, None))
}

/// `section-part = nz-number *("." nz-number)`, or nothing; and whether that is all of the section.
pub(crate) fn parse_numbers(c: &mut Cursor<'_>) -> Parsed<(Vec<u32>, bool)> {
    let mut path = Vec::new();
    while c.peek().is_some_and(|b| b.is_ascii_digit()) {
        path.push(c.nz_number()?);
        if path.len() > MAX_PATH {
            return Err(BadSyntax("section number is too deep"));
        }
        if !c.eat(b".") {
            return Ok((path, true));
        }
    }
    let whole = path.is_empty() && c.peek() == Some(b']');
    Ok((path, whole))
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn parse_fields(c: &mut Cursor<'_>, keep: bool) -> Parsed<Fields> {
    c.sp()?;
    let names: Vec<Vec<u8>> = c.list(false, |c| Ok(c.astring()?.to_vec()))?;
    let is_name = |name: &Vec<u8>| name.iter().all(|b| (0x20..0x7f).contains(b) && *b != b':');
    if names.len() > MAX_FIELDS || !names.iter().all(is_name) {
        return Err(BadSyntax("not a list of field names"));
    }
    let kept = if keep {
        FieldSet::resolve(&names)
    } else {
        None
    };
    Ok(Fields { names, keep, kept })
}

/// `partial = "<" number "." nz-number ">"`
pub(crate) fn parse_partial(c: &mut Cursor<'_>) -> Parsed<Option<(u32, u32)>> {
    if !c.eat(b"<") {
        return Ok(None);
    }
    let first = c.number()?;
    if !c.eat(b".") {
        return Err(BadSyntax("expected ."));
    }
    let count = c.nz_number()?;
    if !c.eat(b">") {
        return Err(BadSyntax("expected >"));
    }
    Ok(Some((first, count)))
}

fn write_section(section: &Section, fields: Option<&Fields>, out: &mut Vec<u8>) {
    for (i, number) in section.path.iter().enumerate() {
        if i > 0 {
            out.raw(b".");
        }
        out.num(*number);
    }
    let dot: &[u8] = if section.path.is_empty() { b"" } else { b"." };
    match (section.part, fields) {
        (Part::Whole, _) => return,
        (Part::Header, Some(fields)) => {
            let not: &[u8] = if fields.keep { b"" } else { b".NOT" };
            out.raw(dot).raw(b"HEADER.FIELDS").raw(not).raw(b" (");
            for (i, name) in fields.names.iter().enumerate() {
                if i > 0 {
                    out.raw(b" ");
                }
                let atom = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                if !name.is_empty() && name.iter().all(atom) {
                    out.raw(name);
                } else {
                    out.string(name);
                }
            }
            out.raw(b")")
        }
        (Part::Header, None) => out.raw(dot).raw(b"HEADER"),
        (Part::Text, _) => out.raw(dot).raw(b"TEXT"),
        (Part::Mime, _) => out.raw(dot).raw(b"MIME"),
    };
}

impl Body {
    fn old(name: &str, part: Part, seen: bool) -> Self {
        let section = Section {
            path: Vec::new(),
            part,
        };
        Self {
            name: name.to_owned(),
            section,
            fields: None,
            partial: None,
            seen,
        }
    }

    /// Whether the prefix stands in front of the section.
    fn has_prefix(&self) -> bool {
        self.section.path.is_empty() && matches!(self.section.part, Part::Whole | Part::Header)
    }

    /// Whether the section is the message, or nearly.
    fn is_large(&self) -> bool {
        self.section.path.is_empty()
            && self.partial.is_none()
            && matches!(self.section.part, Part::Whole | Part::Text)
    }

    /// The octets of the blob the section consists of; `None` when there is no such section.
    fn located(&self, email: &Email) -> Option<Range<u32>> {
        email
            .digest()?
            .locate(&self.section)
            .map(|located| located.range)
    }

    /// The octets of the blob that must be read: the section, cut to what is asked for of it.
    fn read_range(&self, email: &Email) -> Range<u32> {
        let Some(section) = self.located(email) else {
            return 0..0;
        };
        match self.partial {
            Some((first, count)) if self.fields.is_none() => {
                let prefix = if self.has_prefix() {
                    email.prefix().len() as u32
                } else {
                    0
                };
                let skip = first.saturating_sub(prefix);
                let start = section.start.saturating_add(skip).min(section.end);
                let taken = count.saturating_sub(prefix.saturating_sub(first));
                start..start.saturating_add(taken).min(section.end)
            }
            _ => section,
        }
    }

    /// What was read for this item.
    fn bytes(&self, m: &Message<'_>, email: &Email, at: usize) -> Bytes {
        let content = m.content;
        content.map_or_else(Bytes::new, |content| {
            content.bytes(at, self.read_range(email))
        })
    }

    /// The filtered header, blank line included.
    fn filtered(&self, fields: &Fields, m: &Message<'_>, email: &Email, at: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let names: Vec<&[u8]> = fields.names.iter().map(Vec::as_slice).collect();
        if self.has_prefix() && !email.prefix().is_empty() {
            message::filter_header(email.prefix(), &names, fields.keep, &mut out);
        }
        let kept = fields.kept.filter(|_| self.section.path.is_empty());
        let from_digest = kept.and_then(|set| email.digest()?.header_fields(set, &mut out));
        if from_digest.is_none() {
            let header = self.bytes(m, email, at);
            message::filter_header(&header, &names, fields.keep, &mut out);
        }
        out
    }

    /// Whether the digest alone can answer for this email.
    fn is_in_digest(&self, email: &Email) -> bool {
        let Some(set) = self.fields.as_ref().and_then(|fields| fields.kept) else {
            return false;
        };
        self.section.path.is_empty() && email.digest().is_some_and(|digest| digest.keeps(set))
    }

    fn cut<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[span(self.partial, bytes.len())]
    }
}

/// The octets of `len` that a partial means.
pub(crate) fn span(partial: Option<(u32, u32)>, len: usize) -> Range<usize> {
    let Some((first, count)) = partial else {
        return 0..len;
    };
    let start = (first as usize).min(len);
    start..start.saturating_add(count as usize).min(len)
}

impl Item for Body {
    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Needs {
        let needs = if self.is_large() {
            Needs::WHOLE
        } else {
            Needs::RANGE
        };
        let seen = if self.seen { Needs::SEEN } else { Needs::ROW };
        Needs::EMAIL.and(needs).and(seen)
    }

    fn wants(&self, email: &Email) -> Range<u32> {
        if self.is_in_digest(email) {
            0..0
        } else {
            self.read_range(email)
        }
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
        wire.buffer().text(&self.name).raw(b" ");
        if self.located(email).is_none() {
            wire.buffer().raw(b"NIL");
            return;
        }
        if let Some(fields) = &self.fields {
            let header = self.filtered(fields, m, email, at);
            let header = self.cut(&header);
            wire.buffer().literal_head(header.len() as u64).raw(header);
            return;
        }
        let prefix: &[u8] = if self.has_prefix() {
            self.cut(email.prefix())
        } else {
            b""
        };
        let bytes = self.bytes(m, email, at);
        wire.buffer()
            .literal_head((prefix.len() + bytes.len()) as u64)
            .raw(prefix);
        wire.write_bytes(bytes);
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
