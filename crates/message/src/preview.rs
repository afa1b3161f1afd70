//! The preview (RFC 8970): the beginning of what a reader would see.

use crate::charset;
use crate::content::Disposition;
use crate::digest::encoding;
use crate::html;
use crate::scan::{Kind, Node, Tree};
use crate::slice;

/// Characters of a preview. RFC 8970 3.2: at most 256; 200 are recommended.
const MAX_CHARS: usize = 200;

/// Encoded octets of the text that are looked at. HTML begins with pages of styles.
const MAX_PLAIN: usize = 16 * 1024;
const MAX_HTML: usize = 256 * 1024;

/// How an encrypted text begins by OpenPGP.
const ARMOUR: &str = "-----BEGIN PGP MESSAGE-----";

/// The preview of a scanned message; empty when it has no text.
pub(crate) fn preview(tree: &Tree<'_>) -> String {
    let mut html = None;
    for node in tree.nodes.iter().filter(|node| is_shown_text(node)) {
        if node.media.is("text", "plain") {
            let text = decoded(tree, node, MAX_PLAIN);
            // RFC 8970 3.2: what is encrypted has no preview.
            if text.trim_start().starts_with(ARMOUR) {
                continue;
            }
            let text = plain(&text);
            if !text.is_empty() {
                return text;
            }
        } else if node.media.is("text", "html") {
            html = html.or(Some(node));
        }
    }
    html.map(|node| plain(&html::text(&decoded(tree, node, MAX_HTML))))
        .unwrap_or_default()
}

fn is_shown_text(node: &Node<'_>) -> bool {
    let attached = || {
        let disposition = node.mime.disposition.and_then(Disposition::parse);
        disposition.is_some_and(|disposition| disposition.kind.eq_ignore_ascii_case(b"attachment"))
    };
    node.kind == Kind::Leaf && node.media.is_kind("text") && node.octets() > 0 && !attached()
}

fn decoded(tree: &Tree<'_>, node: &Node<'_>, max: usize) -> String {
    let body = tree.body(node);
    let body = slice(body, 0, max.min(body.len()));
    let Some(bytes) = encoding(node).decode(body) else {
        return String::new();
    };
    let cut = body.len() < node.octets() as usize;
    let mut text = charset::decode(&bytes, node.media.charset().as_deref()).into_owned();
    // The cut may have gone through a character.
    if cut && text.ends_with('\u{fffd}') {
        text.pop();
    }
    text
}

/// The first characters of a text, without what it quotes unless it has nothing of its own.
fn plain(text: &str) -> String {
    let own = text.lines().filter(|line| !line.starts_with('>'));
    let own = fold(own.flat_map(str::split_whitespace));
    if own.is_empty() {
        fold(text.split_whitespace())
    } else {
        own
    }
}

fn fold<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    let mut room = MAX_CHARS;
    for word in words {
        if !out.is_empty() {
            out.push(' ');
            room -= 1;
        }
        for c in word.chars().filter(|c| !c.is_control()) {
            if room == 0 {
                break;
            }
            out.push(c);
            room -= 1;
        }
        if room == 0 {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}
