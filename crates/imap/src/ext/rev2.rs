//! IMAP4rev2 (RFC 9051). What it has from extensions is announced as those; this is the row, and
//! [`Enabled::rev2`](crate::session::Enabled::rev2) tells its differences from RFC 3501.
// RFC 9051 A: with both announced, what is obsolete stays: LSUB, CHECK, RFC822 and its kin, RECENT
// in STATUS and SEARCH are answered for who asks for them; only RECENT, \Recent and SEARCH, which
// come unasked, end with ENABLE.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9051",
    file: file!(),
    capabilities: &[Capability::always("IMAP4rev2")],
    on_enable: Some(|enabled| enabled.rev2 = true),
    ..Extension::EMPTY
};
