//! A message -> its digest: everything FETCH, SEARCH, SORT and THREAD ask for again and again,
//! parsed once at delivery.
//!
//! Encoded form: [`Head`], then the variable parts one after the other, in the order of [`Area`].
//! All numbers are little-endian.

use memchr::memchr;

use crate::charset;
use crate::content::token;
use crate::date::{SentDate, sent_date};
use crate::envelope::{MAX_ADDRESSES, envelope};
use crate::fieldset::{self, FieldSet};
use crate::header::{Field, ends_with_blank, fields, push_lines};
use crate::ids::{message_id, message_ids};
use crate::preview::preview;
use crate::scan::{Kind, Node, Tree, scan};
use crate::section::Entry;
use crate::structure::{Form, structure};
use crate::subject::{base_range, collapse};
use crate::transfer::TransferEncoding;
use crate::words::decode_words;

/// The form of digest this crate writes and reads. A digest of another version is not read; the
/// message must be digested again.
pub const DIGEST_VERSION: u8 = 1;

/// Digests longer than this are better made again from the message than stored.
pub const MAX_DIGEST: usize = 12 * 1024;

/// Octets of header lines a digest keeps. When a message has more of the names that are kept, those
/// with the longest lines are left out.
pub const MAX_KEPT_LINES: usize = 6 * 1024;

/// Longer lists of identifiers are cut: the first one and the last ones are kept, which name the
/// root of a thread and its youngest members.
pub const MAX_IDS: usize = 1000;

/// The variable parts of a digest, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Area {
    Envelope,
    Body,
    BodyStructure,
    Preview,
    Subject,
    MessageId,
    InReplyTo,
    References,
    LineIndex,
    Lines,
    Parts,
}

pub(crate) const AREAS: usize = Area::Parts as usize + 1;

/// Offsets of the fixed fields.
pub(crate) struct Head;

impl Head {
    pub(crate) const FLAGS: usize = 1;
    pub(crate) const SIZE: usize = 4;
    pub(crate) const HEADER_LEN: usize = 8;
    pub(crate) const CRLF_EXTRA: usize = 12;
    pub(crate) const SENT: usize = 16;
    pub(crate) const SENT_DAY: usize = 24;
    pub(crate) const BASE_START: usize = 28;
    pub(crate) const BASE_END: usize = 32;
    /// One word that is zero.
    pub(crate) const LEFT_OUT: usize = 40;
    /// Where each area ends, counted from the start of the digest.
    pub(crate) const ENDS: usize = 48;
    pub(crate) const LEN: usize = Self::ENDS + 4 * AREAS;
}

/// Bits of the flags octet.
pub(crate) const HAS_DATE: u8 = 1;
pub(crate) const HAS_8BIT: u8 = 1 << 1;
pub(crate) const HAS_NUL: u8 = 1 << 2;
pub(crate) const REPLY_OR_FORWARD: u8 = 1 << 3;
pub(crate) const HAS_MESSAGE_ID: u8 = 1 << 4;
/// There is no blank line after the header, and so no body.
pub(crate) const HEADER_ONLY: u8 = 1 << 5;

/// Digests a message; never fails. `message` are the exact stored bytes (of more than 4 GiB, the
/// first 4 are seen). The result can be longer than [`MAX_DIGEST`]; it grows with the header and
/// the number of parts, not with the size of bodies.
pub fn digest(message: &[u8]) -> Vec<u8> {
    let tree = scan(message);
    let message = tree.message;
    let Some(root) = tree.nodes.first() else {
        return Vec::new();
    };
    let header = Summary::of(tree.header(root));
    let subject = header
        .subject
        .map(|raw| collapse(&decode_words(raw)))
        .unwrap_or_default();
    let (base, reply_or_forward) = base_range(&subject);
    let message_id = header.message_id.and_then(message_id);
    let mut flags = 0;
    for (flag, set) in [
        (HAS_DATE, header.date.is_some()),
        (HAS_8BIT, !message.is_ascii()),
        (HAS_NUL, memchr(0, message).is_some()),
        (REPLY_OR_FORWARD, reply_or_forward),
        (HAS_MESSAGE_ID, message_id.is_some()),
        (HEADER_ONLY, !ends_with_blank(tree.header(root))),
    ] {
        flags |= if set { flag } else { 0 };
    }
    let date = header.date.unwrap_or(SentDate { seconds: 0, day: 0 });

    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(&[DIGEST_VERSION, flags, 0, 0]);
    for n in [message.len() as u32, root.body, crlf_extra(&tree)] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    out.extend_from_slice(&date.seconds.to_le_bytes());
    out.extend_from_slice(&date.day.to_le_bytes());
    for n in [base.start as u32, base.end as u32, 0] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    out.extend_from_slice(&header.left_out.bits().to_le_bytes());
    out.resize(Head::LEN, 0);

    envelope(tree.header(root), &mut { MAX_ADDRESSES }, &mut out);
    end(Area::Envelope, &mut out);
    structure(&tree, Form::Body, &mut { MAX_ADDRESSES }, &mut out);
    end(Area::Body, &mut out);
    structure(&tree, Form::BodyStructure, &mut { MAX_ADDRESSES }, &mut out);
    end(Area::BodyStructure, &mut out);
    out.extend_from_slice(preview(&tree).as_bytes());
    end(Area::Preview, &mut out);
    out.extend_from_slice(subject.as_bytes());
    end(Area::Subject, &mut out);
    out.extend_from_slice(message_id.as_deref().unwrap_or_default());
    end(Area::MessageId, &mut out);
    id_list(header.in_reply_to, &mut out);
    end(Area::InReplyTo, &mut out);
    id_list(header.references, &mut out);
    end(Area::References, &mut out);
    header.line_index(&mut out);
    end(Area::LineIndex, &mut out);
    header.lines(&mut out);
    end(Area::Lines, &mut out);
    part_table(&tree, &mut out);
    end(Area::Parts, &mut out);
    out
}

/// Notes that `area` ends here.
fn end(area: Area, out: &mut [u8]) {
    let end = (out.len() as u32).to_le_bytes();
    let at = Head::ENDS + 4 * area as usize;
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&end);
    }
}

/// The fields of the message's header that are kept or read.
struct Summary<'a> {
    kept: Vec<(u8, &'a [u8])>,
    left_out: FieldSet,
    subject: Option<&'a [u8]>,
    date: Option<SentDate>,
    message_id: Option<&'a [u8]>,
    in_reply_to: Option<&'a [u8]>,
    references: Option<&'a [u8]>,
}

impl<'a> Summary<'a> {
    fn of(header: &'a [u8]) -> Self {
        let mut kept = Vec::with_capacity(16);
        let mut octets = [0usize; fieldset::COUNT];
        let mut left_out = FieldSet::default();
        let first = |slot: &mut Option<&'a [u8]>, value| {
            slot.get_or_insert(value);
        };
        let (mut subject, mut date, mut id, mut reply, mut references) =
            (None, None, None, None, None);
        for field in fields(header) {
            let Field { value, raw, .. } = field;
            let Some(index) = fieldset::index(field.name) else {
                continue;
            };
            match field.name.to_ascii_lowercase().as_slice() {
                b"subject" => first(&mut subject, value),
                b"date" => first(&mut date, value),
                b"message-id" => first(&mut id, value),
                b"in-reply-to" => first(&mut reply, value),
                b"references" => first(&mut references, value),
                _ => {}
            }
            let Some(octets) = octets.get_mut(usize::from(index)) else {
                continue;
            };
            *octets = octets.saturating_add(raw.len() + 2);
            if *octets > MAX_KEPT_LINES {
                left_out = left_out.with(index);
            } else {
                kept.push((index, raw));
            }
        }
        let mut total = 0;
        for (octets, index) in octets.iter_mut().zip(0..) {
            if left_out.has(index) {
                *octets = 0;
            }
            total += *octets;
        }
        while total > MAX_KEPT_LINES {
            let Some((longest, index)) = octets.iter_mut().zip(0u8..).max_by_key(|(n, _)| **n)
            else {
                break;
            };
            total -= std::mem::take(longest);
            left_out = left_out.with(index);
        }
        kept.retain(|&(index, _)| !left_out.has(index));
        Self {
            kept,
            left_out,
            subject,
            date: date.and_then(sent_date),
            message_id: id,
            in_reply_to: reply,
            references,
        }
    }

    /// One word per kept field: the place of its name above, the length of its lines below.
    fn line_index(&self, out: &mut Vec<u8>) {
        let mut lines = Vec::new();
        for &(index, raw) in &self.kept {
            lines.clear();
            push_lines(raw, &mut lines);
            // Below MAX_KEPT_LINES.
            let word = u32::from(index) << 24 | lines.len() as u32;
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn lines(&self, out: &mut Vec<u8>) {
        for (_, raw) in &self.kept {
            push_lines(raw, out);
        }
    }
}

/// Each identifier with its length in 16 bits before it.
fn id_list(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let ids = value.map(message_ids).unwrap_or_default();
    let cut = ids.len().saturating_sub(MAX_IDS);
    for (i, id) in ids.iter().enumerate() {
        if i > 0 && i <= cut {
            continue;
        }
        // `message_ids` bounds identifiers to a line.
        out.extend_from_slice(&(id.len() as u16).to_le_bytes());
        out.extend_from_slice(id);
    }
}

/// What POP3 adds: a CR for each bare LF, and a line end when the last line has none.
fn crlf_extra(tree: &Tree<'_>) -> u32 {
    let unended = !tree.message.is_empty() && !tree.message.ends_with(b"\n");
    tree.bare_lfs.saturating_add(if unended { 2 } else { 0 })
}

/// The part table, breadth-first.
fn part_table(tree: &Tree<'_>, out: &mut Vec<u8>) {
    let mut order: Vec<u32> = vec![0];
    let mut at = 0;
    while let Some(node) = order
        .get(at)
        .and_then(|&index| tree.nodes.get(index as usize))
    {
        let first_child = order.len() as u32;
        let mut child = node.first_child;
        while let Some(index) = child {
            order.push(index);
            child = tree
                .nodes
                .get(index as usize)
                .and_then(|node| node.next_sibling);
        }
        let Node {
            header,
            body,
            end,
            children,
            ..
        } = *node;
        Entry {
            header,
            body,
            end,
            first_child,
            children,
            flags: flags(node),
        }
        .encode(out);
        at += 1;
    }
}

fn flags(node: &Node<'_>) -> u32 {
    let kind = match node.kind {
        Kind::Leaf => 0,
        Kind::Multipart => Entry::MULTIPART,
        Kind::Message => Entry::MESSAGE,
    };
    let text = match is_text(node) {
        true if charset::is_ascii_superset(node.media.charset().as_deref()) => {
            Entry::TEXT | Entry::ASCII_SUPERSET
        }
        true => Entry::TEXT,
        false => 0,
    };
    kind | text | (encoding(node) as u32) << Entry::ENCODING
}

/// Whether a node has text of its own that people look for.
// RFC 3501 6.4.4: other media types than TEXT and MESSAGE may be left out. What is a message but
// not read as one, such as a delivery status, is text too.
pub(crate) fn is_text(node: &Node<'_>) -> bool {
    node.kind == Kind::Leaf && (node.media.is_kind("text") || node.media.is_kind("message"))
}

/// The transfer encoding of a node; Identity where none is given.
pub(crate) fn encoding(node: &Node<'_>) -> TransferEncoding {
    let named = node.mime.encoding.and_then(token);
    named.map_or(TransferEncoding::Identity, TransferEncoding::from_token)
}
