//! UTF8=ACCEPT (RFC 9755, RFC 6855): quoted strings and mailbox names in UTF-8, in both
//! directions. [`Enabled::names`](crate::session::Enabled::names) says how names are written; what
//! SEARCH may be told of charsets stands there.
// RFC 6855 4: an APPEND of raw 8-bit headers is taken from everybody: docs/decisions/0031.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9755",
    file: file!(),
    capabilities: &[Capability::always("UTF8=ACCEPT")],
    on_enable: Some(|enabled| enabled.utf8 = true),
    // RFC 6855 3: valid in the authenticated state only.
    enable_in: States::AUTHENTICATED,
    ..Extension::EMPTY
};
