//! Encoded words (RFC 2047), decoded.

use memchr::memmem;

use crate::charset;
use crate::header::unfold;
use crate::lex::is_space;
use crate::slice;
use crate::transfer::{base64, q_encoding};

/// The text of an unstructured field value: folds undone, encoded words decoded. Raw 8-bit octets
/// are taken as UTF-8 when that is valid, else as windows-1252.
pub fn decode_words(value: &[u8]) -> String {
    let value = unfold(value);
    let mut out = String::with_capacity(value.len());
    let mut pending = Pending::default();
    let mut done = 0;
    // Looking for an end where none can follow would make the pass quadratic.
    let last_end = memmem::rfind(&value, b"?=").unwrap_or(0);
    for start in memmem::find_iter(&value, b"=?") {
        if start > last_end {
            break;
        }
        if start < done {
            continue;
        }
        let Some(word) = EncodedWord::parse(slice(&value, start, value.len())) else {
            continue;
        };
        let between = slice(&value, done, start);
        // RFC 2047 6.2: white space between adjacent encoded words is not shown.
        if pending.is_empty() || !between.iter().all(|&b| is_space(b)) {
            pending.flush(&mut out);
            out.push_str(&charset::guess(between));
        }
        pending.add(&word, &mut out);
        done = start + word.len;
    }
    pending.flush(&mut out);
    out.push_str(&charset::guess(slice(&value, done, value.len())));
    out
}

/// `=?charset*language?encoding?text?=`
struct EncodedWord<'a> {
    charset: &'a [u8],
    bytes: Vec<u8>,
    len: usize,
}

impl<'a> EncodedWord<'a> {
    /// Reads the encoded word at the start of `bytes`.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        // RFC 2047 2: an encoded word has at most 75 octets; senders write longer ones. Charset
        // names have at most 40 characters (RFC 2978), plus a language tag.
        const MAX_CHARSET: usize = 80;
        let label = slice(bytes, 2, bytes.len().min(2 + MAX_CHARSET));
        let label_len = label.iter().position(|&b| b == b'?')?;
        let label = slice(label, 0, label_len);
        if label.is_empty() || label.iter().any(|&b| is_space(b)) {
            return None;
        }
        let decode = match bytes.get(label_len + 3..label_len + 5)? {
            b"q?" | b"Q?" => q_encoding,
            b"b?" | b"B?" => base64,
            _ => return None,
        };
        let text_at = label_len + 5;
        let text = slice(bytes, text_at, bytes.len());
        let text = slice(text, 0, memmem::find(text, b"?=")?);
        // RFC 2231 5: a language may follow the charset.
        let charset = label.split(|&b| b == b'*').next().unwrap_or(label);
        Some(Self {
            charset,
            bytes: decode(text),
            len: text_at + text.len() + 2,
        })
    }
}

/// Adjacent encoded words of one charset, decoded together: senders cut characters in two.
#[derive(Default)]
struct Pending<'a> {
    charset: &'a [u8],
    bytes: Vec<u8>,
    words: usize,
}

impl<'a> Pending<'a> {
    fn is_empty(&self) -> bool {
        self.words == 0
    }

    fn add(&mut self, word: &EncodedWord<'a>, out: &mut String) {
        if !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush(out);
        }
        self.charset = word.charset;
        self.bytes.extend_from_slice(&word.bytes);
        self.words += 1;
    }

    fn flush(&mut self, out: &mut String) {
        out.push_str(&charset::decode(&self.bytes, Some(self.charset)));
        self.bytes.clear();
        self.words = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_words_stay_as_they_are() {
        for text in [
            "=?",
            "=??=",
            "=?a?=",
            "=?a?b?=",
            "=?a?x?y?=",
            "=?a b?q?c?=",
            "=?utf-8?q?open",
            "=?utf-8?qq?a?=",
            "=??q?a?=",
        ] {
            assert_eq!(decode_words(text.as_bytes()), text);
        }
    }

    #[test]
    fn rfc_2047_8_examples() {
        for (encoded, shown) in [
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            (
                "=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
                "Keith Moore <moore@cs.utk.edu>",
            ),
            (
                "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=",
                "Keld Jørn Simonsen",
            ),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            // RFC 2231 5.
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
            // A character cut in two.
            ("=?utf-8?Q?=E2=82?= =?UTF-8?Q?=AC?= x", "€ x"),
            ("a =?utf-8?q?b?=c=?utf-8?q?d?=", "a bcd"),
        ] {
            assert_eq!(decode_words(encoded.as_bytes()), shown, "{encoded}");
        }
        assert_eq!(decode_words(b"caf\xe9"), "café");
        assert_eq!(decode_words("café".as_bytes()), "café");
    }
}
