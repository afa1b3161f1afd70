//! SAVEDATE (RFC 8514): when a message came into the mailbox it is in.

use super::*;
use crate::cmd::fetch::{FetchItem, Item, Message};
use crate::cmd::search::{SearchKey, all, day};
use crate::grammar::dates::DAY;
use bytes::BytesMut;
use mail::Row;
use std::cmp::Ordering;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8514",
    file: file!(),
    capabilities: &[Capability::always("SAVEDATE")],
    fetch_items: &[&[FetchItem {
        name: "SAVEDATE",
        rfc: "RFC 8514 4.2",
        parse: |_| Ok(Box::new(SaveDate)),
    }]],
    search_keys: &[&[
        SearchKey {
            name: "SAVEDBEFORE",
            rfc: "RFC 8514 4.3",
            parse: |c, _| day(c, saved_day, Ordering::is_lt),
        },
        SearchKey {
            name: "SAVEDON",
            rfc: "RFC 8514 4.3",
            parse: |c, _| day(c, saved_day, Ordering::is_eq),
        },
        SearchKey {
            name: "SAVEDSINCE",
            rfc: "RFC 8514 4.3",
            parse: |c, _| day(c, saved_day, Ordering::is_ge),
        },
        SearchKey {
            name: "SAVEDATESUPPORTED",
            rfc: "RFC 8514 4.3",
            // Every mailbox here has it.
            parse: |_, _| Ok(all()),
        },
    ]],
    ..Extension::EMPTY
};

/// RFC 8514 4.3: without time and zone; SAVEDATE is told in UTC.
fn saved_day(row: &Row) -> i64 {
    row.saved.div_euclid(DAY)
}

struct SaveDate;

impl Item for SaveDate {
    fn name(&self) -> &str {
        "SAVEDATE"
    }

    fn write(&self, m: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"SAVEDATE ").date_time(m.row.saved);
    }
}
