//! The IMAP ENVELOPE (RFC 3501 7.4.2) of a header block.

use crate::address::{Address, MISSING_DOMAIN, MISSING_MAILBOX, addresses};
use crate::header::{Field, fields};
use crate::wire::{nstring, string};

/// Addresses that the envelopes of one message may show in all; what comes later is left out. A
/// stranger could otherwise make an envelope many times as big as the message.
pub(crate) const MAX_ADDRESSES: usize = 65_536;

/// The values of the fields an envelope is made of, raw.
#[derive(Debug, Default)]
struct Fields<'a> {
    date: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    from: Option<&'a [u8]>,
    sender: Option<&'a [u8]>,
    in_reply_to: Option<&'a [u8]>,
    message_id: Option<&'a [u8]>,
    // A header may have each of these once (RFC 5322 3.6), but nobody must be lost from view when
    // it has several. Who wrote the mail is what the first From says.
    reply_to: Vec<&'a [u8]>,
    to: Vec<&'a [u8]>,
    cc: Vec<&'a [u8]>,
    bcc: Vec<&'a [u8]>,
}

enum Slot<'s, 'a> {
    First(&'s mut Option<&'a [u8]>),
    All(&'s mut Vec<&'a [u8]>),
}

impl<'a> Fields<'a> {
    fn collect(header: &'a [u8]) -> Self {
        let mut all = Self::default();
        for Field { name, value, .. } in fields(header) {
            let slot = match name.to_ascii_lowercase().as_slice() {
                b"date" => Slot::First(&mut all.date),
                b"subject" => Slot::First(&mut all.subject),
                b"from" => Slot::First(&mut all.from),
                b"sender" => Slot::First(&mut all.sender),
                b"reply-to" => Slot::All(&mut all.reply_to),
                b"to" => Slot::All(&mut all.to),
                b"cc" => Slot::All(&mut all.cc),
                b"bcc" => Slot::All(&mut all.bcc),
                b"in-reply-to" => Slot::First(&mut all.in_reply_to),
                b"message-id" => Slot::First(&mut all.message_id),
                _ => continue,
            };
            match slot {
                Slot::First(slot) => {
                    slot.get_or_insert(value);
                }
                Slot::All(slot) => slot.push(value),
            }
        }
        all
    }
}

/// Writes the envelope of a header block. `budget` is the number of addresses that may still be
/// shown.
pub(crate) fn envelope(header: &[u8], budget: &mut usize, out: &mut Vec<u8>) {
    let all = Fields::collect(header);
    out.push(b'(');
    text(all.date, out);
    out.push(b' ');
    text(all.subject, out);
    let mut from = Vec::new();
    if !list(all.from.as_slice(), budget, &mut from) {
        from.extend_from_slice(b"NIL");
    }
    out.push(b' ');
    out.extend_from_slice(&from);
    for fields in [all.sender.as_slice(), &all.reply_to] {
        out.push(b' ');
        // RFC 3501 7.4.2: absent or empty Sender and Reply-To are the same as From.
        if !list(fields, budget, out) {
            out.extend_from_slice(&from);
        }
    }
    for fields in [&all.to, &all.cc, &all.bcc] {
        out.push(b' ');
        if !list(fields, budget, out) {
            out.extend_from_slice(b"NIL");
        }
    }
    out.push(b' ');
    text(all.in_reply_to, out);
    out.push(b' ');
    text(all.message_id, out);
    out.push(b')');
}

fn text(value: Option<&[u8]>, out: &mut Vec<u8>) {
    nstring(out, value.map(crate::header::unfold).as_deref());
}

/// Writes an address list; false, with nothing written, when there is no address.
// RFC 3501 9: `env-to = "(" 1*address ")"`, no spaces between.
fn list(values: &[&[u8]], budget: &mut usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for value in values {
        for address in addresses(value) {
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            if out.len() == start {
                out.push(b'(');
            }
            one(&address, out);
        }
    }
    let any = out.len() > start;
    if any {
        out.push(b')');
    }
    any
}

fn one(address: &Address<'_>, out: &mut Vec<u8>) {
    match address {
        Address::Mailbox {
            name,
            route,
            local,
            domain,
        } => {
            out.push(b'(');
            nstring(out, name.as_deref());
            out.push(b' ');
            nstring(out, route.as_deref());
            out.push(b' ');
            string(out, local.as_deref().unwrap_or(MISSING_MAILBOX));
            out.push(b' ');
            string(out, domain.as_deref().unwrap_or(MISSING_DOMAIN));
            out.push(b')');
        }
        Address::GroupStart(name) => {
            out.extend_from_slice(b"(NIL NIL ");
            string(out, name);
            out.extend_from_slice(b" NIL)");
        }
        Address::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
    }
}
