//! The decoded text of a message, for SEARCH and for text indexes.

use std::ops::ControlFlow;

use crate::charset;
use crate::content::MediaType;
use crate::digest::{encoding, is_text};
use crate::header::fields;
use crate::needle::Needle;
use crate::scan::{mime_fields, scan};
use crate::section::Entry;
use crate::slice;
use crate::transfer::TransferEncoding;
use crate::view::Digest;
use crate::words::decode_words;

/// Calls `f` with each piece of text in the body of a message (RFC 3501 6.4.4, SEARCH BODY), until
/// it breaks: the text parts, decoded to UTF-8 (HTML with its tags), and each header field of parts
/// and of messages within, decoded on one line as `Name: value`. The message's own header is left
/// to [`header_texts`].
pub fn body_texts(message: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) {
    let tree = scan(message);
    for (index, node) in tree.nodes.iter().enumerate() {
        if index > 0 && each_field(tree.header(node), f).is_break() {
            return;
        }
        if is_text(node) && part_text(tree.body(node), encoding(node), &node.media, f).is_break() {
            return;
        }
    }
}

/// Calls `f` with each field of a header block, decoded on one line as `Name: value`, until it
/// breaks.
pub fn header_texts(header: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) {
    // Stopping early is all a break asks for.
    let _ = each_field(header, f);
}

/// Whether `needle` is in one of the pieces [`header_texts`] gives for `header`.
pub fn header_contains(header: &[u8], needle: &Needle) -> bool {
    !needle.is_ruled_out(header)
        && fields(header).any(|field| {
            !needle.is_ruled_out(field.raw)
                && field_text(field.raw, &mut |text| found(needle, text)).is_break()
        })
}

impl Digest<'_> {
    /// How many octets from the start of the message [`Digest::body_contains`] looks at, at most:
    /// attachments at the end need not be read.
    pub fn searched_len(&self) -> u32 {
        let entries = (0..).map_while(|index| self.entry(index));
        let looked_at = entries.map(|entry| match entry.is(Entry::TEXT) {
            true => entry.end,
            false => entry.body,
        });
        looked_at.max().unwrap_or(0)
    }

    /// Calls `f` with the pieces [`body_texts`] gives for `message`, the message that was digested
    /// or its first [`Digest::searched_len`] octets, until it breaks. The parts need not be found
    /// again.
    pub fn each_body_text(&self, message: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) {
        for (index, entry) in (0..).map_while(|index| Some((index, self.entry(index)?))) {
            let header = slice(message, entry.header as usize, entry.body as usize);
            if index > 0 && each_field(header, f).is_break() {
                return;
            }
            if entry.is(Entry::TEXT) && entry.body < entry.end {
                let body = slice(message, entry.body as usize, entry.end as usize);
                let media = mime_fields(header).content_type.map(MediaType::parse);
                let media = media.unwrap_or_else(MediaType::text_plain);
                if part_text(body, entry.encoding(), &media, f).is_break() {
                    return;
                }
            }
        }
    }

    /// Whether `needle` is in one of the pieces [`body_texts`] gives for `message`, the message
    /// that was digested or its first [`Digest::searched_len`] octets. Faster, since the parts need
    /// not be found again, and ASCII text is not looked at twice.
    pub fn body_contains(&self, message: &[u8], needle: &Needle) -> bool {
        let check = &mut |text: &str| found(needle, text);
        let entries = (0..).map_while(|index| Some((index, self.entry(index)?)));
        entries.into_iter().any(|(index, entry)| {
            let header = slice(message, entry.header as usize, entry.body as usize);
            if index > 0 && header_contains(header, needle) {
                return true;
            }
            if !entry.is(Entry::TEXT) || entry.body == entry.end {
                return false;
            }
            let body = slice(message, entry.body as usize, entry.end as usize);
            let encoding = entry.encoding();
            if encoding == TransferEncoding::Identity
                && entry.is(Entry::ASCII_SUPERSET)
                && (!self.has_8bit() || body.is_ascii())
            {
                return needle.is_in_ascii(body);
            }
            let media = mime_fields(header).content_type.map(MediaType::parse);
            let media = media.unwrap_or_else(MediaType::text_plain);
            part_text(body, encoding, &media, check).is_break()
        })
    }
}

fn part_text(
    body: &[u8],
    encoding: TransferEncoding,
    media: &MediaType<'_>,
    f: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match encoding.decode(body) {
        Some(bytes) if !bytes.is_empty() => f(&charset::decode(&bytes, media.charset().as_deref())),
        _ => ControlFlow::Continue(()),
    }
}

fn each_field(header: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    fields(header).try_for_each(|field| field_text(field.raw, f))
}

fn field_text(raw: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    // Most fields are one plain line and need no copy.
    let line = raw.trim_ascii();
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains("=?") && !text.contains('\n') => f(text),
        _ => f(&decode_words(line)),
    }
}

fn found(needle: &Needle, text: &str) -> ControlFlow<()> {
    match needle.is_in(text) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
