//! Bytes in some charset -> UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Decodes a string of a client that says it is in charset `label`; None for a charset nobody
/// knows. Text labelled ASCII is a guess: UTF-8 when it is valid, else windows-1252.
pub fn decode_labelled<'a>(bytes: &'a [u8], label: &[u8]) -> Option<Cow<'a, str>> {
    match known(label) {
        None if !is_ascii_label(label) => None,
        _ => Some(decode(bytes, Some(label))),
    }
}

/// Decodes text labelled `label`. A missing, unknown or ASCII label is a guess: UTF-8 when it is
/// valid, else windows-1252. What a charset does not define becomes U+FFFD.
pub(crate) fn decode<'a>(bytes: &'a [u8], label: Option<&[u8]>) -> Cow<'a, str> {
    match label.and_then(known) {
        Some(encoding) if encoding == UTF_8 => encoding.decode_with_bom_removal(bytes).0,
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0,
        None => guess(bytes),
    }
}

/// UTF-8 when it is valid, else windows-1252.
pub(crate) fn guess(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Whether octets below 128 always mean ASCII in text labelled so, and cannot be part of another
/// character. True of missing, unknown and ASCII labels, since the guess is between two such
/// charsets.
pub(crate) fn is_ascii_superset(label: Option<&[u8]>) -> bool {
    match label.and_then(known) {
        Some(encoding) => encoding.is_single_byte() || encoding == UTF_8,
        None => true,
    }
}

fn known(label: &[u8]) -> Option<&'static Encoding> {
    let label = label.trim_ascii();
    if is_ascii_label(label) {
        return None;
    }
    // The replacement encoding would turn the whole text into one U+FFFD.
    Encoding::for_label_no_replacement(label)
}

/// WHATWG makes ASCII a name of windows-1252; in mail it is what senders of UTF-8 forget to change.
fn is_ascii_label(label: &[u8]) -> bool {
    const ASCII: [&[u8]; 3] = [b"us-ascii", b"ascii", b"ansi_x3.4-1968"];
    ASCII.iter().any(|name| name.eq_ignore_ascii_case(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_clients() {
        for label in ["", "utf-9", "iso-2022-cn", "replacement"] {
            assert_eq!(decode_labelled(b"x", label.as_bytes()), None, "{label}");
        }
        for (bytes, label, text) in [
            (&b"caf\xe9"[..], "us-ascii", "café"),
            (b"caf\xc3\xa9", "US-ASCII", "café"),
            (b"caf\xe9", "ISO-8859-1", "café"),
            (b"caf\xc3\xa9", "utf-8", "café"),
        ] {
            let got = decode_labelled(bytes, label.as_bytes());
            assert_eq!(got.as_deref(), Some(text), "{label}");
        }
    }

    #[test]
    fn labels() {
        for (bytes, label, text) in [
            (&b"caf\xe9"[..], None, "café"),
            (b"caf\xc3\xa9", None, "café"),
            (b"caf\xc3\xa9", Some("US-ASCII"), "café"),
            (b"caf\xe9", Some("no-such-charset"), "café"),
            (b"caf\xe9", Some("utf-8"), "caf\u{fffd}"),
            (b"\xef\xbb\xbfx", Some("utf-8"), "x"),
            (b"caf\xe9", Some(" ISO-8859-1 "), "café"),
            (b"\xf0\xd2\xc9\xd7\xc5\xd4", Some("koi8-r"), "Привет"),
            (b"\x1b$B%F%9%H\x1b(B", Some("iso-2022-jp"), "テスト"),
            (b"x", Some("hz-gb-2312"), "x"),
        ] {
            assert_eq!(decode(bytes, label.map(str::as_bytes)), text, "{label:?}");
        }
    }
}
