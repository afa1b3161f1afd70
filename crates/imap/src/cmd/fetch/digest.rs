//! Items answered from the digest made at delivery: ENVELOPE BODY BODYSTRUCTURE. Their bytes are
//! stored as they are sent.

use super::FetchItem;
use super::plan::{Item, Message, Needs};
use crate::grammar::Emit;
use bytes::BytesMut;
use message::Digest;

pub(crate) static ITEMS: &[FetchItem] = &[
    FetchItem {
        name: "ENVELOPE",
        rfc: "RFC 3501 7.4.2",
        parse: |_| {
            Ok(Box::new(Rendered {
                name: "ENVELOPE",
                area: |digest| digest.envelope(),
            }))
        },
    },
    FetchItem {
        name: "BODYSTRUCTURE",
        rfc: "RFC 3501 7.4.2",
        parse: |_| {
            Ok(Box::new(Rendered {
                name: "BODYSTRUCTURE",
                area: |digest| digest.bodystructure(),
            }))
        },
    },
];

/// BODY without a section: BODYSTRUCTURE without extension data.
pub(crate) fn body() -> Box<dyn Item> {
    Box::new(Rendered {
        name: "BODY",
        area: |digest| digest.body(),
    })
}

struct Rendered {
    name: &'static str,
    area: for<'a> fn(&Digest<'a>) -> &'a [u8],
}

impl Item for Rendered {
    fn name(&self) -> &str {
        self.name
    }

    fn needs(&self) -> Needs {
        Needs::EMAIL
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.text(self.name).raw(b" ");
        match m.email.and_then(|email| email.digest()) {
            Some(digest) => out.raw((self.area)(&digest)),
            None => out.raw(b"NIL"),
        };
    }
}
