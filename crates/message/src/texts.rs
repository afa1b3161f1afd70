//! The decoded text of a message, for SEARCH and for text indexes.

use std::ops::ControlFlow;

use crate::charset;
use crate::digest::encoding;
use crate::header::fields;
use crate::scan::{Kind, scan};
use crate::words::decode_words;

/// Calls `f` with each piece of text in the body of a message (RFC 3501 6.4.4, SEARCH BODY), until it
/// breaks: the text parts, decoded to UTF-8 (HTML with its tags), and each header field of parts and of
/// messages within, decoded on one line as `Name: value`. The message's own header is left to
/// [`header_texts`].
pub fn body_texts(message: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) {
    let tree = scan(message);
    for (index, node) in tree.nodes.iter().enumerate() {
        if index > 0 && each_field(tree.header(node), f).is_break() {
            return;
        }
        if node.kind != Kind::Leaf || !node.media.is_kind("text") {
            continue;
        }
        let body = tree.body(node);
        let Some(bytes) = encoding(node).decode(body) else {
            continue;
        };
        if !bytes.is_empty()
            && f(&charset::decode(&bytes, node.media.charset().as_deref())).is_break()
        {
            return;
        }
    }
}

/// Calls `f` with each field of a header block, decoded on one line as `Name: value`, until it breaks.
pub fn header_texts(header: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) {
    // Stopping early is all a break asks for.
    let _ = each_field(header, f);
}

fn each_field(header: &[u8], f: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    fields(header).try_for_each(|field| {
        // Most fields are one plain line and need no copy.
        let line = field.raw.trim_ascii();
        match std::str::from_utf8(line) {
            Ok(text) if !text.contains("=?") && !text.contains('\n') => f(text),
            _ => f(&decode_words(line)),
        }
    })
}
