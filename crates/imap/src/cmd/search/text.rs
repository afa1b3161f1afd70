//! Keys that look for text: SUBJECT FROM TO CC BCC HEADER BODY TEXT. All compare decoded text by
//! the active comparator (RFC 5255 4.2), which disregards case unless the client chose otherwise
//! (RFC 3501 6.4.4).

use super::fuzzy;
use super::key::{Binding, Candidate, Cost, Key};
use super::{Charset, Cursor, Parsed, SearchKey};
use crate::grammar::BadSyntax;
use mail::Gist;
use message::{Field, FieldSet, Needle};

pub(crate) static KEYS: &[SearchKey] = &[
    SearchKey {
        name: "SUBJECT",
        rfc: "RFC 3501 6.4.4",
        parse: subject,
    },
    SearchKey {
        name: "FROM",
        rfc: "RFC 3501 6.4.4",
        parse: |c, charset| addresses(c, charset, b"From"),
    },
    SearchKey {
        name: "TO",
        rfc: "RFC 3501 6.4.4",
        parse: |c, charset| addresses(c, charset, b"To"),
    },
    SearchKey {
        name: "CC",
        rfc: "RFC 3501 6.4.4",
        parse: |c, charset| addresses(c, charset, b"Cc"),
    },
    SearchKey {
        name: "BCC",
        rfc: "RFC 3501 6.4.4",
        parse: |c, charset| addresses(c, charset, b"Bcc"),
    },
    SearchKey {
        name: "HEADER",
        rfc: "RFC 3501 6.4.4",
        parse: header,
    },
    SearchKey {
        name: "BODY",
        rfc: "RFC 3501 6.4.4",
        parse: |c, charset| body(c, charset, false),
    },
    SearchKey {
        name: "TEXT",
        rfc: "RFC 3501 6.4.4",
        parse: |c, charset| body(c, charset, true),
    },
];

fn subject(c: &mut Cursor<'_>, charset: &Charset) -> Parsed<Box<dyn Key>> {
    let text = charset.string(c)?;
    if text.is_empty() {
        return Ok(InField::boxed(b"Subject".to_vec(), "", |_| String::new()));
    }
    Ok(Box::new(Subject(Needle::new(&one_line(&text)))))
}

fn addresses(c: &mut Cursor<'_>, charset: &Charset, name: &'static [u8]) -> Parsed<Box<dyn Key>> {
    let text = charset.string(c)?;
    Ok(InField::boxed(name.to_vec(), &one_line(&text), |field| {
        message::address_texts(field.value)
    }))
}

/// `"HEADER" SP header-fld-name SP astring`
fn header(c: &mut Cursor<'_>, charset: &Charset) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    let name = c.astring()?.to_vec();
    if name.is_empty() {
        return Err(BadSyntax("empty field name"));
    }
    let text = charset.string(c)?;
    Ok(InField::boxed(name, &text, |field| {
        message::decode_words(field.value)
    }))
}

fn body(c: &mut Cursor<'_>, charset: &Charset, with_header: bool) -> Parsed<Box<dyn Key>> {
    let text = charset.string(c)?;
    if text.is_empty() {
        return Ok(super::sets::all());
    }
    Ok(Box::new(Body {
        needle: Needle::new(&text),
        with_header,
    }))
}

/// What is looked for as the text it is looked for in is stored: runs of white space are one space.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if matches!(c, '\t' | '\r' | '\n') {
            ' '
        } else {
            c
        };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}

struct Subject(Needle);

impl Key for Subject {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn bind(&mut self, to: &Binding<'_>) {
        self.0.collate(to.collation);
    }

    fn reads_gists(&self) -> bool {
        true
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        let subject = match m.gist.and_then(Gist::subject) {
            Some(subject) => subject,
            None => m.email?.digest()?.subject(),
        };
        Some(self.0.is_in(subject))
    }

    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        Some(fuzzy::subject(self.0.text()))
    }
}

/// The fields of some name.
#[derive(Clone)]
pub(super) struct Fields {
    name: Vec<u8>,
    /// The name as digests know it, if they keep such fields.
    kept: Option<FieldSet>,
    text: fn(&Field<'_>) -> String,
}

impl Fields {
    pub(super) fn cost(&self) -> Cost {
        match self.kept {
            Some(_) => Cost::Digest,
            None => Cost::Header,
        }
    }

    /// Whether `is_it` says so of the text of one of them; `None` when more must be loaded.
    pub(super) fn any(
        &self,
        m: &Candidate<'_>,
        is_it: &mut dyn FnMut(&str) -> bool,
    ) -> Option<bool> {
        self.any_field(m, &mut |field| is_it(&(self.text)(field)))
    }

    fn any_field(
        &self,
        m: &Candidate<'_>,
        is_it: &mut dyn FnMut(&Field<'_>) -> bool,
    ) -> Option<bool> {
        let email = m.email?;
        if self.any_in(email.prefix(), is_it) {
            return Some(true);
        }
        let mut found = false;
        let in_digest = self.kept.and_then(|set| {
            email
                .digest()?
                .each_field(set, |field| found = found || is_it(&field))
        });
        match in_digest {
            Some(()) => Some(found),
            None => Some(self.any_in(m.header()?, is_it)),
        }
    }

    fn any_in(&self, header: &[u8], is_it: &mut dyn FnMut(&Field<'_>) -> bool) -> bool {
        message::fields(header).any(|field| field.is(&self.name) && is_it(&field))
    }
}

/// One of the fields; if `needle` is not empty, with that in its text.
struct InField {
    fields: Fields,
    needle: Option<Needle>,
}

impl InField {
    fn boxed(name: Vec<u8>, needle: &str, text: fn(&Field<'_>) -> String) -> Box<dyn Key> {
        // RFC 3501 6.4.4, HEADER: a zero-length string asks for the field only.
        Box::new(Self {
            fields: Fields {
                kept: FieldSet::resolve([&name]),
                name,
                text,
            },
            needle: (!needle.is_empty()).then(|| Needle::new(needle)),
        })
    }

    fn matches(&self, field: &Field<'_>) -> bool {
        self.needle.as_ref().is_none_or(|needle| {
            !needle.is_ruled_out(field.value) && needle.is_in(&(self.fields.text)(field))
        })
    }
}

impl Key for InField {
    fn cost(&self) -> Cost {
        self.fields.cost()
    }

    fn bind(&mut self, to: &Binding<'_>) {
        if let Some(needle) = &mut self.needle {
            needle.collate(to.collation);
        }
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        self.fields.any_field(m, &mut |field| self.matches(field))
    }

    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        let needle = self.needle.as_ref()?;
        Some(fuzzy::field(self.fields.clone(), needle.text()))
    }
}

struct Body {
    needle: Needle,
    /// TEXT, as opposed to BODY.
    with_header: bool,
}

impl Key for Body {
    fn cost(&self) -> Cost {
        Cost::Body
    }

    fn bind(&mut self, to: &Binding<'_>) {
        self.needle.collate(to.collation);
    }

    fn reads_gists(&self) -> bool {
        true
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        if m.gist.is_some_and(|gist| gist.rules_out(&self.needle)) {
            return Some(false);
        }
        let email = m.email?;
        let all = m.whole()?;
        let in_header = self.with_header
            && (message::header_contains(email.prefix(), &self.needle)
                || message::header_contains(m.header()?, &self.needle));
        Some(in_header || email.digest()?.body_contains(all, &self.needle))
    }

    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        Some(fuzzy::body(self.needle.text(), self.with_header))
    }
}
