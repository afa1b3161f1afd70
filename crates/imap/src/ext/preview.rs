//! PREVIEW (RFC 8970): the beginning of the text, made at delivery.

use super::*;
use crate::cmd::fetch::{FetchItem, Item, Message, Needs};
use bytes::BytesMut;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8970",
    file: file!(),
    capabilities: &[Capability::always("PREVIEW")],
    fetch_items: &[&[FetchItem {
        name: "PREVIEW",
        rfc: "RFC 8970 3",
        parse,
    }]],
    ..Extension::EMPTY
};

/// `"PREVIEW" [SP "(" "LAZY" *(SP "LAZY") ")"]`
fn parse(c: &mut Cursor<'_>) -> Parsed<Box<dyn Item>> {
    // The parenthesis may also begin the modifiers of FETCH itself.
    let lazy = c
        .rest()
        .get(..6)
        .is_some_and(|next| next.eq_ignore_ascii_case(b" (LAZY"));
    if lazy {
        c.sp()?;
        c.list(false, |c| match c.eat_word(b"LAZY") {
            true => Ok(()),
            false => Err(BadSyntax("unknown modifier of PREVIEW")),
        })?;
    }
    // RFC 8970 4.1: previews are there already, so LAZY never has to be answered by NIL.
    Ok(Box::new(Preview))
}

struct Preview;

impl Item for Preview {
    fn name(&self) -> &str {
        "PREVIEW"
    }

    fn needs(&self) -> Needs {
        Needs::EMAIL
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        let digest = m.email.and_then(|email| email.digest());
        // RFC 8970 3.2: a message without text has an empty preview, not NIL.
        let text = digest.map_or("", |digest| digest.preview());
        out.raw(b"PREVIEW ").string(text.as_bytes());
    }
}
