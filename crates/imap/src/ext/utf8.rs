//! UTF8=ACCEPT (RFC 9755, RFC 6855): quoted strings and mailbox names in UTF-8, in both
//! directions. [`Enabled::names`](crate::session::Enabled::names) says how names are written; what
//! SEARCH may be told of charsets stands there.
// RFC 6855 4: an APPEND of raw 8-bit headers is taken from everybody: docs/decisions/0031.

use super::*;
use bytes::Bytes;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9755",
    file: file!(),
    capabilities: &[Capability::always("UTF8=ACCEPT")],
    on_enable: Some(|enabled| enabled.utf8 = true),
    // RFC 6855 3: valid in the authenticated state only.
    enable_in: States::AUTHENTICATED,
    ..Extension::EMPTY
};

/// `utf8-literal = "UTF8" SP "(" literal8 ")"`, if that word is next: a message, or a part of one
/// that is put together.
// RFC 6855 4: RFC 9755 has it no more, but Thunderbird sends every message in it once UTF8=ACCEPT
// is enabled.
pub(crate) fn try_literal(c: &mut Cursor<'_>) -> Parsed<Option<Bytes>> {
    if !c.eat_word(b"UTF8") {
        return Ok(None);
    }
    c.expect(b" (~", "expected a literal8 in parentheses")?;
    let octets = c.literal()?;
    c.expect(b")", "expected a closing parenthesis")?;
    Ok(Some(octets))
}
