//! Reading an encoded digest without copying it.

use std::fmt;

use crate::digest::{
    Area, DIGEST_VERSION, HAS_8BIT, HAS_DATE, HAS_MESSAGE_ID, HAS_NUL, HEADER_ONLY, Head,
    REPLY_OR_FORWARD,
};
use crate::fieldset::{self, FieldSet};
use crate::firsts::{FirstAddresses, first_addresses};
use crate::header::{Field, fields};

/// An encoded digest, checked and ready to be read. Damage that the check cannot see gives wrong or
/// empty answers, never a panic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest<'a> {
    bytes: &'a [u8],
}

impl fmt::Debug for Digest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl<'a> Digest<'a> {
    /// Checks the version and all bounds; None when the digest is damaged or of another version.
    pub fn parse(encoded: &'a [u8]) -> Option<Self> {
        let head = encoded.first_chunk::<{ Head::LEN }>()?;
        if head[0] != DIGEST_VERSION {
            return None;
        }
        let mut last = Head::LEN;
        let mut ordered = true;
        for end in head[Head::ENDS..].as_chunks().0 {
            let end = u32::from_le_bytes(*end) as usize;
            ordered &= last <= end;
            last = end;
        }
        let digest = Self { bytes: encoded };
        ordered &= digest.header_len() <= digest.size();
        (ordered && last == encoded.len()).then_some(digest)
    }

    /// The same of bytes that [`Digest::parse`] has taken before: they are not checked again.
    pub fn parsed_before(encoded: &'a [u8]) -> Self {
        Self { bytes: encoded }
    }

    /// Octets of the message.
    pub fn size(&self) -> u32 {
        self.u32(Head::SIZE)
    }

    /// Octets of the header, the blank line included: RFC822.HEADER is `0..header_len`.
    pub fn header_len(&self) -> u32 {
        self.u32(Head::HEADER_LEN)
    }

    /// How many octets longer the message is once every bare LF is CRLF and its last line is ended:
    /// what POP3 sends (before dot-stuffing) is `size + crlf_extra`. An empty message stays empty.
    pub fn crlf_extra(&self) -> u32 {
        self.u32(Head::CRLF_EXTRA)
    }

    /// Whether the message holds octets above 127.
    pub fn has_8bit(&self) -> bool {
        self.flag(HAS_8BIT)
    }

    /// Whether the message holds NULs, which IMAP literals other than BINARY may not (RFC 3501
    /// 4.3).
    pub fn has_nul(&self) -> bool {
        self.flag(HAS_NUL)
    }

    /// The rendered ENVELOPE, `(...)`.
    pub fn envelope(&self) -> &'a [u8] {
        self.area(Area::Envelope)
    }

    /// The first addresses of [`Digest::envelope`].
    pub fn first_addresses(&self) -> FirstAddresses {
        first_addresses(self.envelope())
    }

    /// The rendered BODY, without extension data.
    pub fn body(&self) -> &'a [u8] {
        self.area(Area::Body)
    }

    /// The rendered BODYSTRUCTURE.
    pub fn bodystructure(&self) -> &'a [u8] {
        self.area(Area::BodyStructure)
    }

    /// Up to 200 characters of the text (RFC 8970), white space folded.
    pub fn preview(&self) -> &'a str {
        self.text(Area::Preview)
    }

    /// The Date field in seconds since 1970-01-01 UTC; None when it is missing or unreadable.
    pub fn sent_date(&self) -> Option<i64> {
        let seconds = self.bytes.get(Head::SENT..)?.first_chunk()?;
        self.flag(HAS_DATE).then_some(i64::from_le_bytes(*seconds))
    }

    /// The day of the Date field as written, without regard to time and zone (RFC 3501 6.4.4:
    /// SENTON, SENTBEFORE, SENTSINCE), in days since 1970-01-01.
    pub fn sent_day(&self) -> Option<i32> {
        self.flag(HAS_DATE)
            .then_some(self.u32(Head::SENT_DAY) as i32)
    }

    /// The decoded subject on one line, runs of spaces folded; empty when there is none.
    pub fn subject(&self) -> &'a str {
        self.text(Area::Subject)
    }

    /// The base subject (RFC 5256 2.1), in its original case.
    pub fn base_subject(&self) -> &'a str {
        let range = self.u32(Head::BASE_START) as usize..self.u32(Head::BASE_END) as usize;
        self.subject().get(range).unwrap_or_default()
    }

    /// Whether the subject was that of a reply or forward (RFC 5256 3, REFERENCES step 5).
    pub fn is_reply_or_forward(&self) -> bool {
        self.flag(REPLY_OR_FORWARD)
    }

    /// The Message-ID without angle brackets, normalised (RFC 5256 3).
    pub fn message_id(&self) -> Option<&'a [u8]> {
        self.flag(HAS_MESSAGE_ID)
            .then(|| self.area(Area::MessageId))
    }

    /// The identifiers of In-Reply-To, like [`Digest::message_id`].
    pub fn in_reply_to(&self) -> Ids<'a> {
        Ids {
            rest: self.area(Area::InReplyTo),
        }
    }

    /// The identifiers of References, oldest first; of more than [`crate::MAX_IDS`], the first and
    /// the last ones.
    pub fn references(&self) -> Ids<'a> {
        Ids {
            rest: self.area(Area::References),
        }
    }

    /// Whether every field in `set` that the message has is kept here.
    pub fn keeps(&self, set: FieldSet) -> bool {
        !self.left_out().intersects(set)
    }

    /// The lines of the fields in `set`, in message order, and the blank line: all of them together
    /// are what [`crate::filter_header`] would give. None when a field asked for was too long to
    /// keep.
    pub fn lines_of(&self, set: FieldSet) -> Option<KeptLines<'a>> {
        self.keeps(set).then(|| KeptLines {
            set,
            index: self.area(Area::LineIndex).as_chunks().0,
            lines: self.area(Area::Lines),
            at: 0,
            blank: !self.flag(HEADER_ONLY),
        })
    }

    /// Appends [`Digest::lines_of`]; None, with nothing appended, when there are none.
    pub fn header_fields(&self, set: FieldSet, out: &mut Vec<u8>) -> Option<()> {
        self.lines_of(set)?
            .for_each(|lines| out.extend_from_slice(lines));
        Some(())
    }

    /// Calls `f` with each kept field in `set`, in message order, as it stands in the message.
    /// None, with no call, when a field asked for was too long to keep.
    pub fn each_field(&self, set: FieldSet, mut f: impl FnMut(Field<'a>)) -> Option<()> {
        if self.left_out().intersects(set) {
            return None;
        }
        let lines = self.area(Area::Lines);
        let mut at = 0;
        for word in self.area(Area::LineIndex).as_chunks().0 {
            let (index, len) = split_word(*word);
            if set.has(index) {
                fields(crate::slice(lines, at, at + len)).for_each(&mut f);
            }
            at += len;
        }
        Some(())
    }

    pub(crate) fn parts(&self) -> &'a [u8] {
        self.area(Area::Parts)
    }

    fn left_out(&self) -> FieldSet {
        let bits = self
            .bytes
            .get(Head::LEFT_OUT..)
            .and_then(|rest| rest.first_chunk());
        FieldSet::from_bits(bits.map_or(u64::MAX, |bits| u64::from_le_bytes(*bits)))
    }

    fn area(&self, area: Area) -> &'a [u8] {
        let end = self.u32(Head::ENDS + 4 * area as usize) as usize;
        let start = match area as usize {
            0 => Head::LEN,
            at => self.u32(Head::ENDS + 4 * (at - 1)) as usize,
        };
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn text(&self, area: Area) -> &'a str {
        std::str::from_utf8(self.area(area)).unwrap_or_default()
    }

    fn flag(&self, flag: u8) -> bool {
        self.bytes
            .get(Head::FLAGS)
            .is_some_and(|flags| flags & flag != 0)
    }

    fn u32(&self, at: usize) -> u32 {
        let word = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        word.map_or(0, |word| u32::from_le_bytes(*word))
    }
}

fn split_word(word: [u8; 4]) -> (u8, usize) {
    let word = u32::from_le_bytes(word);
    ((word >> 24) as u8, (word & 0x00ff_ffff) as usize)
}

/// Header lines of a digest, those that follow each other together.
#[derive(Debug, Clone)]
pub struct KeptLines<'a> {
    set: FieldSet,
    /// Of the lines that come next.
    index: &'a [[u8; 4]],
    lines: &'a [u8],
    at: usize,
    /// The blank line is still to come.
    blank: bool,
}

impl<'a> Iterator for KeptLines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut from = self.at;
        while let Some((word, rest)) = self.index.split_first() {
            let (index, len) = split_word(*word);
            let end = self.at;
            (self.index, self.at) = (rest, end + len);
            if !self.set.has(index) {
                if from < end {
                    return Some(crate::slice(self.lines, from, end));
                }
                from = self.at;
            }
        }
        if from < self.at {
            return Some(crate::slice(self.lines, from, self.at));
        }
        std::mem::take(&mut self.blank).then_some(b"\r\n")
    }
}

/// Message identifiers of a digest, in the order of the field.
#[derive(Debug, Clone)]
pub struct Ids<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Ids<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.rest.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        self.rest = rest;
        Some(id)
    }
}

// A place in the list of kept names fits the six bits `FieldSet::has` looks at.
const _: () = assert!(fieldset::COUNT <= 64);
