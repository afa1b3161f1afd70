//! Message identifiers (RFC 5322 3.6.4), normalised for comparison.

use memchr::memchr;

use crate::lex::{is_space, unescape};
use crate::slice;

/// Identifiers that are longer than a line may be are no identifiers.
const MAX_ID: usize = 998;

/// The identifiers in a raw Message-ID, In-Reply-To or References value, without angle brackets,
/// white space and quoting. Text between them is skipped.
// RFC 5256 3 (REFERENCES): identifiers are compared in normalised form: `<"a"@b>` equals `<a@b>`.
pub fn message_ids(value: &[u8]) -> Vec<Vec<u8>> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(open) = memchr(b'<', rest) {
        rest = slice(rest, open + 1, rest.len());
        let Some(close) = memchr(b'>', rest) else {
            break;
        };
        let inside = slice(rest, 0, close);
        // `<` within: the earlier one was never closed.
        let start = inside
            .iter()
            .rposition(|&b| b == b'<')
            .map_or(0, |at| at + 1);
        ids.extend(normalised(slice(inside, start, inside.len())));
        rest = slice(rest, close + 1, rest.len());
    }
    ids
}

/// The identifier of a raw Message-ID value; also one that lacks its angle brackets.
pub fn message_id(value: &[u8]) -> Option<Vec<u8>> {
    let bracketed = message_ids(value).into_iter().next();
    bracketed.or_else(|| {
        let bare = value.trim_ascii();
        let one_word = !bare.iter().any(|&b| is_space(b) || b == b'<');
        if one_word { normalised(bare) } else { None }
    })
}

fn normalised(inside: &[u8]) -> Option<Vec<u8>> {
    if inside.len() > MAX_ID {
        return None;
    }
    let id: Vec<u8> = inside
        .iter()
        .copied()
        .filter(|&b| !is_space(b) && b != 0)
        .collect();
    let id = match (id.strip_prefix(b"\""), memchr::memmem::rfind(&id, b"\"@")) {
        (Some(_), Some(close)) if close > 0 => {
            let mut plain = unescape(slice(&id, 1, close));
            plain.extend_from_slice(slice(&id, close + 1, id.len()));
            plain
        }
        _ => id,
    };
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (value, ids) in [
            ("", &[][..]),
            ("no id", &[]),
            ("<>", &[]),
            ("<open", &[]),
            ("<a@b>", &["a@b"]),
            (
                "<a@b>\r\n\t<c@d> text <e@f><g@h>",
                &["a@b", "c@d", "e@f", "g@h"],
            ),
            ("Your message of Monday <a@b>", &["a@b"]),
            ("<lost <a@b>", &["a@b"]),
            ("<a\r\n @b>", &["a@b"]),
            // RFC 5256 3.
            (
                "<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>",
                &["01KF8JCEOCBS0045PS@xxx.yyy.com"],
            ),
            ("<\"a\\\"b\"@c>", &["a\"b@c"]),
        ] {
            let got = message_ids(value.as_bytes());
            let got: Vec<_> = got.iter().map(|id| String::from_utf8_lossy(id)).collect();
            assert_eq!(got, ids, "{value}");
        }
        assert_eq!(message_id(b" a@b "), Some(b"a@b".to_vec()));
        assert_eq!(message_id(b"a b"), None);
        assert_eq!(message_id(&[b'a'; MAX_ID + 1]), None);
    }
}
