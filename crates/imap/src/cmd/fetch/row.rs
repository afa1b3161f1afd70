//! Items that the mailbox itself knows: FLAGS UID INTERNALDATE RFC822.SIZE MODSEQ.

use super::FetchItem;
use super::plan::{Item, Message, Needs};
use crate::grammar::Emit;
use bytes::BytesMut;

pub(crate) static ITEMS: &[FetchItem] = &[
    FetchItem {
        name: "FLAGS",
        rfc: "RFC 9051 6.4.5.1",
        parse: |_| Ok(flags()),
    },
    FetchItem {
        name: "UID",
        rfc: "RFC 9051 6.4.5.1",
        parse: |_| Ok(uid()),
    },
    FetchItem {
        name: "INTERNALDATE",
        rfc: "RFC 9051 6.4.5.1",
        parse: |_| Ok(Box::new(InternalDate)),
    },
    FetchItem {
        name: "RFC822.SIZE",
        rfc: "RFC 9051 6.4.5.1",
        parse: |_| Ok(Box::new(Size)),
    },
    FetchItem {
        name: "MODSEQ",
        rfc: "RFC 7162 3.1.4.2",
        parse: |_| Ok(modseq()),
    },
];

/// FLAGS, when fetching changed them.
pub(crate) fn flags() -> Box<dyn Item> {
    Box::new(Flags)
}

/// UID, for UID FETCH.
pub(crate) fn uid() -> Box<dyn Item> {
    Box::new(Uid)
}

/// MODSEQ, for CHANGEDSINCE.
pub(crate) fn modseq() -> Box<dyn Item> {
    Box::new(ModSeq)
}

struct Flags;

impl Item for Flags {
    fn name(&self) -> &str {
        "FLAGS"
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"FLAGS ")
            .flags(m.row.flags, m.row.keywords, m.recent, m.view);
    }
}

struct Uid;

impl Item for Uid {
    fn name(&self) -> &str {
        "UID"
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"UID ").num(m.row.uid.get());
    }
}

struct InternalDate;

impl Item for InternalDate {
    fn name(&self) -> &str {
        "INTERNALDATE"
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"INTERNALDATE ").date_time(m.row.internal_date);
    }
}

struct Size;

impl Item for Size {
    fn name(&self) -> &str {
        "RFC822.SIZE"
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"RFC822.SIZE ").num(m.row.size);
    }
}

struct ModSeq;

impl Item for ModSeq {
    fn name(&self) -> &str {
        "MODSEQ"
    }

    fn needs(&self) -> Needs {
        Needs::MODSEQ
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"MODSEQ (").num(m.row.modseq.get()).raw(b")");
    }
}
