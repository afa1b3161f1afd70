//! The IMAP BODY and BODYSTRUCTURE (RFC 3501 7.4.2) of a scanned message.

use crate::content::{Disposition, MediaType, languages, token};
use crate::envelope::envelope;
use crate::header::unfold;
use crate::params::Param;
use crate::scan::{Kind, Node, Tree};
use crate::wire::{nstring, number, string};

/// Which of the two forms to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// BODY: without extension data.
    Body,
    /// BODYSTRUCTURE: with extension data.
    BodyStructure,
}

/// Writes the structure of the whole tree. Containers stay on a stack until their children are
/// written.
pub(crate) fn structure(tree: &Tree<'_>, form: Form, budget: &mut usize, out: &mut Vec<u8>) {
    let mut open: Vec<u32> = Vec::new();
    for (index, node) in tree.nodes.iter().enumerate() {
        while open.last().copied() != node.parent {
            let Some(done) = open.pop() else { break };
            finish(tree, done, form, out);
        }
        out.push(b'(');
        if node.kind != Kind::Multipart {
            single(node, out);
        }
        match node.kind {
            Kind::Leaf => {
                if node.media.is_kind("text") {
                    number(out, node.lines);
                }
                extension(node, form, out);
                out.push(b')');
            }
            Kind::Message => {
                out.push(b' ');
                if let Some(child) = node.first_child.and_then(|at| tree.nodes.get(at as usize)) {
                    envelope(tree.header(child), budget, out);
                }
                out.push(b' ');
            }
            Kind::Multipart => {}
        }
        if node.kind != Kind::Leaf {
            // Fewer nodes than 2^32: `scan` bounds them.
            open.push(index as u32);
        }
    }
    while let Some(done) = open.pop() {
        finish(tree, done, form, out);
    }
}

/// What follows the children of a container.
fn finish(tree: &Tree<'_>, index: u32, form: Form, out: &mut Vec<u8>) {
    let Some(node) = tree.nodes.get(index as usize) else {
        return;
    };
    match node.kind {
        Kind::Multipart => {
            out.push(b' ');
            string(out, node.media.subtype);
            if form == Form::BodyStructure {
                out.push(b' ');
                params(&node.media.params, false, out);
                disposition_to_location(node, out);
            }
        }
        Kind::Message | Kind::Leaf => {
            number(out, node.lines);
            extension(node, form, out);
        }
    }
    out.push(b')');
}

/// `media-type SP body-fields` of anything but a multipart.
fn single(node: &Node<'_>, out: &mut Vec<u8>) {
    let MediaType {
        kind,
        subtype,
        params: list,
    } = &node.media;
    string(out, kind);
    out.push(b' ');
    string(out, subtype);
    out.push(b' ');
    // RFC 2045 5.2: text without a charset is US-ASCII.
    let default_charset = node.media.is_kind("text") && node.media.charset().is_none();
    params(list, default_charset, out);
    for field in [node.mime.id, node.mime.description] {
        out.push(b' ');
        text(field, out);
    }
    out.push(b' ');
    // RFC 2045 6.1: the default is 7bit.
    string(out, node.mime.encoding.and_then(token).unwrap_or(b"7bit"));
    number(out, node.octets());
}

/// ` md5 disposition language location`
fn extension(node: &Node<'_>, form: Form, out: &mut Vec<u8>) {
    if form == Form::BodyStructure {
        out.push(b' ');
        text(node.mime.md5, out);
        disposition_to_location(node, out);
    }
}

fn disposition_to_location(node: &Node<'_>, out: &mut Vec<u8>) {
    out.push(b' ');
    match node.mime.disposition.and_then(Disposition::parse) {
        Some(disposition) => {
            out.push(b'(');
            string(out, disposition.kind);
            out.push(b' ');
            params(&disposition.params, false, out);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    match node
        .mime
        .language
        .map(languages)
        .unwrap_or_default()
        .as_slice()
    {
        [] => out.extend_from_slice(b"NIL"),
        tags => {
            for (i, tag) in tags.iter().enumerate() {
                out.push(if i == 0 { b'(' } else { b' ' });
                string(out, tag);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    text(node.mime.location, out);
}

fn params(list: &[Param<'_>], default_charset: bool, out: &mut Vec<u8>) {
    let start = out.len();
    let pair = |name: &[u8], value: &[u8], out: &mut Vec<u8>| {
        out.push(if out.len() == start { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, value);
    };
    for param in list {
        pair(&param.name, &param.value, out);
    }
    if default_charset {
        pair(b"charset", b"us-ascii", out);
    }
    out.extend_from_slice(if out.len() == start {
        &b"NIL"[..]
    } else {
        b")"
    });
}

fn text(value: Option<&[u8]>, out: &mut Vec<u8>) {
    nstring(out, value.map(unfold).as_deref());
}
