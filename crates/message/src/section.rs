//! Where the sections of a message lie (RFC 3501 6.4.5), found in the part table of its digest.

use std::ops::Range;

use crate::transfer::TransferEncoding;
use crate::view::Digest;

/// What of a message or part is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Everything: `BODY[]`, `BODY[2]`.
    Whole,
    /// `BODY[HEADER]`, `BODY[2.HEADER]`: also the base of HEADER.FIELDS.
    Header,
    /// `BODY[TEXT]`, `BODY[2.TEXT]`.
    Text,
    /// `BODY[2.MIME]`; there is none for the message itself.
    Mime,
}

/// A section of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Section {
    /// Part numbers from the outermost, each from 1; empty for the message itself.
    pub path: Vec<u32>,
    /// What of that part.
    pub part: Part,
}

/// Where a section lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Offsets into the message; within the size the digest names.
    pub range: Range<u32>,
    /// How the octets of the part's body are encoded (for BINARY, RFC 3516); Identity for headers,
    /// for the text of messages and for the message itself.
    pub encoding: TransferEncoding,
}

/// Octets of one entry of the part table.
pub(crate) const ENTRY: usize = 24;

/// One entity of the part table. Entities stand in breadth-first order, so that siblings adjoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) header: u32,
    pub(crate) body: u32,
    pub(crate) end: u32,
    pub(crate) first_child: u32,
    pub(crate) children: u32,
    pub(crate) flags: u32,
}

impl Entry {
    pub(crate) const MULTIPART: u32 = 1;
    pub(crate) const MESSAGE: u32 = 1 << 1;
    pub(crate) const TEXT: u32 = 1 << 2;
    /// The charset of the text is a superset of ASCII.
    pub(crate) const ASCII_SUPERSET: u32 = 1 << 3;
    /// Where the transfer encoding stands.
    pub(crate) const ENCODING: u32 = 8;

    pub(crate) fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn encoding(&self) -> TransferEncoding {
        match self.flags >> Self::ENCODING & 3 {
            0 => TransferEncoding::Identity,
            1 => TransferEncoding::QuotedPrintable,
            2 => TransferEncoding::Base64,
            _ => TransferEncoding::Unknown,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Self {
            header,
            body,
            end,
            first_child,
            children,
            flags,
        } = *self;
        for n in [header, body, end, first_child, children, flags] {
            out.extend_from_slice(&n.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let words = bytes.first_chunk::<ENTRY>()?.as_chunks::<4>().0;
        let [header, body, end, first_child, children, flags] = <[[u8; 4]; 6]>::try_from(words)
            .ok()?
            .map(u32::from_le_bytes);
        Some(Self {
            header,
            body,
            end,
            first_child,
            children,
            flags,
        })
    }
}

impl<'a> Digest<'a> {
    /// Where `section` lies in the message; None when there is no such section.
    pub fn locate(&self, section: &Section) -> Option<Located> {
        let part = self.resolve(&section.path)?;
        if section.path.is_empty() {
            return located(&part, section.part, true);
        }
        match section.part {
            Part::Whole | Part::Mime => located(&part, section.part, false),
            // RFC 3501 6.4.5: "unless the section-part refers to a part of type MESSAGE/RFC822".
            Part::Header | Part::Text if part.is(Entry::MESSAGE) => {
                located(&self.entry(part.first_child)?, section.part, true)
            }
            Part::Header | Part::Text => None,
        }
    }

    /// The part that section numbers name; the message if there are none.
    pub(crate) fn resolve(&self, path: &[u32]) -> Option<Entry> {
        let message = self.entry(0)?;
        let Some((&last, path)) = path.split_last() else {
            return Some(message);
        };
        // The message around the parts being counted.
        let mut around = message;
        for &number in path {
            let part = self.part(&around, number)?;
            around = if part.is(Entry::MESSAGE) {
                self.entry(part.first_child)?
            } else {
                part
            };
            if !part.is(Entry::MESSAGE | Entry::MULTIPART) {
                return None;
            }
        }
        self.part(&around, last)
    }

    /// Part `number` of a message or multipart.
    // RFC 3501 6.4.5: "Every message has at least one part number. Non-[MIME-IMB] messages, and
    // non-multipart [MIME-IMB] messages with no encapsulated message, only have a part 1."
    fn part(&self, around: &Entry, number: u32) -> Option<Entry> {
        if !around.is(Entry::MULTIPART) {
            return (number == 1).then_some(*around);
        }
        let index = number
            .checked_sub(1)
            .filter(|&index| index < around.children)?;
        self.entry(around.first_child.checked_add(index)?)
    }

    pub(crate) fn entry(&self, index: u32) -> Option<Entry> {
        let at = (index as usize).checked_mul(ENTRY)?;
        Entry::decode(self.parts().get(at..)?)
    }
}

fn located(entry: &Entry, part: Part, is_message: bool) -> Option<Located> {
    let identity = TransferEncoding::Identity;
    let (range, encoding) = match (part, is_message) {
        (Part::Whole, true) => (entry.header..entry.end, identity),
        (Part::Whole, false) => (entry.body..entry.end, entry.encoding()),
        (Part::Text, _) => (entry.body..entry.end, identity),
        (Part::Header, _) | (Part::Mime, false) => (entry.header..entry.body, identity),
        (Part::Mime, true) => return None,
    };
    Some(Located { range, encoding })
}
