//! A section of a message, or some octets of it: what `BODY[section]<partial>` and IMAP URLs name
//! (RFC 3501 6.4.5, RFC 5092 6).
//!
//! A message is served as its prefix (lines of this delivery alone) and its blob. Offsets in the
//! digest count from the start of the blob, so the prefix is put in front wherever the outermost
//! header is.

use crate::grammar::{BadSyntax, Cursor, Emit, Parsed};
use bytes::Bytes;
use mail::{Email, Mail, MailError, MailErrorKind};
use message::{FieldSet, KeptLines, Part, Section, TransferEncoding};
use std::borrow::Cow;
use std::ops::Range;

/// Deepest section number: deeper parts than a digest lists do not exist.
const MAX_PATH: usize = 200;
/// Field names in one HEADER.FIELDS.
const MAX_FIELDS: usize = 256;
/// Parts of messages from this size on are decoded off the async threads.
const LARGE: u32 = 1 << 20;

/// Which fields of a header are wanted.
struct Fields {
    names: Vec<Vec<u8>>,
    /// HEADER.FIELDS, as opposed to HEADER.FIELDS.NOT.
    keep: bool,
    /// The names as digests know them, if they know them all.
    kept: Option<FieldSet>,
}

impl Fields {
    fn filter(&self, header: &[u8], out: &mut Vec<u8>) {
        message::filter_header(header, &self.names, self.keep, out);
    }
}

/// What is named.
pub(crate) struct Passage {
    section: Section,
    fields: Option<Fields>,
    /// First octet and how many.
    partial: Option<(u32, u32)>,
}

impl Passage {
    /// Whether it is more than a header.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.section.part, Part::Whole | Part::Text)
    }

    /// A part of the message itself.
    pub(crate) fn of_message(part: Part) -> Self {
        Self {
            section: Section {
                path: Vec::new(),
                part,
            },
            fields: None,
            partial: None,
        }
    }

    /// `"[" [section-spec] "]" ["<" number "." nz-number ">"]`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        c.expect(b"[", "expected a section")?;
        let (section, fields) = parse_section(c)?;
        c.expect(b"]", "expected ]")?;
        Ok(Self {
            section,
            fields,
            partial: parse_partial(c)?,
        })
    }

    /// What `;SECTION=` and `;PARTIAL=` of a URL name.
    pub(crate) fn of_url(
        section: Option<&[u8]>,
        partial: Option<(u32, Option<std::num::NonZeroU32>)>,
    ) -> Parsed<Self> {
        let mut this = Self::of_message(Part::Whole);
        if let Some(text) = section {
            let mut c = Cursor::of(text);
            (this.section, this.fields) = parse_section(&mut c)?;
            c.end()?;
        }
        // RFC 5092 11: without a length, up to the end.
        this.partial = partial.map(|(first, count)| (first, count.map_or(u32::MAX, |n| n.get())));
        Ok(this)
    }

    /// Writes `[section]<first>`, as answers name it.
    pub(crate) fn write_name(&self, out: &mut Vec<u8>) {
        out.raw(b"[");
        write_section(&self.section, self.fields.as_ref(), out);
        out.raw(b"]");
        if let Some((first, _)) = self.partial {
            out.raw(b"<").num(first).raw(b">");
        }
    }

    /// Whether the prefix stands in front of the section.
    fn has_prefix(&self) -> bool {
        self.section.path.is_empty() && matches!(self.section.part, Part::Whole | Part::Header)
    }

    /// Whether the section is the message, or nearly.
    pub(crate) fn is_large(&self) -> bool {
        self.section.path.is_empty()
            && self.partial.is_none()
            && matches!(self.section.part, Part::Whole | Part::Text)
    }

    /// Whether it ends with octets of the blob as they are.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.fields.is_none()
    }

    /// The octets of the blob the section consists of; `None` when there is no such section.
    fn located(&self, email: &Email) -> Option<Range<u32>> {
        email
            .digest()?
            .locate(&self.section)
            .map(|located| located.range)
    }

    /// The octets of the blob that must be read: the section, cut to what is asked for of it.
    pub(crate) fn read_range(&self, email: &Email) -> Range<u32> {
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

    /// Whether there is such a section.
    pub(crate) fn exists(&self, email: &Email) -> bool {
        self.located(email).is_some()
    }

    /// The value, in two pieces. `read` gives what is in the blob at [`Self::read_range`].
    pub(crate) fn value<'a>(
        &self,
        email: &'a Email,
        read: impl FnOnce() -> Bytes,
    ) -> (Cow<'a, [u8]>, Bytes) {
        if let Some(fields) = &self.fields {
            let mut header = self.filtered(fields, email, read);
            let wanted = span(self.partial, header.len());
            header.truncate(wanted.end);
            header.drain(..wanted.start);
            return (Cow::Owned(header), Bytes::new());
        }
        let prefix: &[u8] = match self.has_prefix() {
            true => self.cut(email.prefix()),
            false => b"",
        };
        (Cow::Borrowed(prefix), read())
    }

    /// The value, read from the store; `None` when there is no such section.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read(
        &self,
        mail: &Mail,
        email: &Email,
    ) -> Result<Option<Bytes>, MailError> {
        if !self.exists(email) {
            return Ok(None);
        }
        let read = match self.is_in_digest(email) {
            true => Bytes::new(),
            false => mail.content_range(email, self.read_range(email)).await?,
        };
        let (front, rest) = self.value(email, || read);
        Ok(Some(match front.is_empty() {
            true => rest,
            false => [&front[..], &rest].concat().into(),
        }))
    }

    /// The same without its transfer encoding, which `;PARTIAL=` then counts without; `None` when
    /// that is not known to us.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read_decoded(
        &self,
        mail: &Mail,
        email: &Email,
    ) -> Result<Option<Bytes>, MailError> {
        let encoding = match email.digest().and_then(|d| d.locate(&self.section)) {
            Some(located) => located.encoding,
            None => return Ok(None),
        };
        if encoding == TransferEncoding::Identity {
            return self.read(mail, email).await;
        }
        let all = self.located(email).unwrap_or(0..0);
        let read = mail.content_range(email, all).await?;
        let decode = move || {
            encoding
                .decode(&read)
                .map(|content| Bytes::from(content.into_owned()))
        };
        let content = match email.blob.size < LARGE {
            true => decode(),
            false => tokio::task::spawn_blocking(decode).await.map_err(|_| {
                MailError::new(MailErrorKind::Unavailable, "decoding the part failed")
            })?,
        };
        Ok(content.map(|content| content.slice_ref(self.cut(&content))))
    }

    /// The octets of its section in the blob.
    pub(crate) fn whole_len(&self, email: &Email) -> usize {
        self.located(email).map_or(0, |range| range.len())
    }

    /// Whether it has a transfer encoding to be taken off.
    pub(crate) fn is_encoded(&self, email: &Email) -> bool {
        let located = email.digest().and_then(|d| d.locate(&self.section));
        located.is_some_and(|located| located.encoding != TransferEncoding::Identity)
    }

    /// Its BODYSTRUCTURE; `None` for a header, which has none.
    pub(crate) fn structure<'a>(&self, email: &'a Email) -> Option<&'a [u8]> {
        let digest = email.digest()?;
        match self.section.part {
            Part::Whole => digest.part_structure(&self.section.path),
            Part::Text => digest.inner_structure(&self.section.path),
            Part::Header | Part::Mime => None,
        }
    }

    /// The filtered header, blank line included, where the digest has all of it: lines of the
    /// prefix, and of the message. `None` too when a part of it is wanted.
    pub(crate) fn kept_lines<'a>(&self, email: &'a Email) -> Option<(Vec<u8>, KeptLines<'a>)> {
        let fields = self.fields.as_ref()?;
        let lines = self.digest_lines(fields, email)?;
        let prefix = || self.prefix_lines(fields, email);
        self.partial.is_none().then(|| (prefix(), lines))
    }

    fn digest_lines<'a>(&self, fields: &Fields, email: &'a Email) -> Option<KeptLines<'a>> {
        let kept = fields.kept.filter(|_| self.section.path.is_empty())?;
        email.digest()?.lines_of(kept)
    }

    fn prefix_lines(&self, fields: &Fields, email: &Email) -> Vec<u8> {
        let mut lines = Vec::new();
        if self.has_prefix() && !email.prefix().is_empty() {
            fields.filter(email.prefix(), &mut lines);
        }
        lines
    }

    /// The filtered header, blank line included.
    fn filtered(&self, fields: &Fields, email: &Email, read: impl FnOnce() -> Bytes) -> Vec<u8> {
        let mut out = self.prefix_lines(fields, email);
        match self.digest_lines(fields, email) {
            Some(lines) => lines.for_each(|lines| out.extend_from_slice(lines)),
            None => fields.filter(&read(), &mut out),
        }
        out
    }

    /// Whether the digest alone can answer for this email.
    pub(crate) fn is_in_digest(&self, email: &Email) -> bool {
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
