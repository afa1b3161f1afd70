//! Encoded words (RFC 2047) and extended parameters (RFC 2231), decoded.

use memchr::memmem;

use crate::charset;
use crate::content::{self, Param};
use crate::header::unfold;
use crate::lex::{Lex, is_space};
use crate::slice;
use crate::transfer::{base64, hex, q_encoding};

/// The text of an unstructured field value: folds undone, encoded words decoded. Raw 8-bit octets are
/// taken as UTF-8 when that is valid, else as windows-1252.
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

/// A structured value and its parameters, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedParams {
    /// What stands before the first semicolon, in lower case: `attachment`, `text/plain`.
    pub value: String,
    /// Names in lower case without `*` marks; values decoded and joined.
    pub params: Vec<(String, String)>,
}

/// The value and parameters of a raw Content-Type or Content-Disposition field. Continuations and
/// charsets (RFC 2231) are resolved; encoded words in values, which no RFC allows but many senders
/// write, are decoded too.
pub fn decode_params(value: &[u8]) -> DecodedParams {
    let mut lex = Lex::new(value);
    lex.cfws();
    let start = lex.pos();
    lex.until(|b| matches!(b, b';' | b'('));
    let main = charset::guess(lex.since(start).trim_ascii()).to_ascii_lowercase();
    DecodedParams {
        value: main,
        params: join(&content::params(&mut lex)),
    }
}

/// One piece of an extended parameter: `name*7*=...` is (name, 7, encoded).
struct Piece<'a> {
    name: String,
    section: u32,
    encoded: bool,
    value: &'a [u8],
}

fn join(params: &[Param<'_>]) -> Vec<(String, String)> {
    let mut pieces: Vec<Piece<'_>> = params.iter().map(piece).collect();
    // RFC 2231 3: the order of the pieces in the field does not matter. Sorting is stable: of pieces
    // with the same number the first stays first.
    pieces.sort_by(|a, b| (&a.name, a.section).cmp(&(&b.name, b.section)));
    let mut joined = Vec::new();
    for group in pieces.chunk_by(|a, b| a.name == b.name) {
        let mut label = None;
        let mut bytes = Vec::new();
        let mut extended = false;
        for piece in group.iter().scan(None, |last, piece| {
            let repeated = last.replace(piece.section) == Some(piece.section);
            Some((!repeated).then_some(piece))
        }) {
            let Some(piece) = piece else { continue };
            let mut value = piece.value;
            if piece.encoded {
                if !extended && let Some((charset, rest)) = split_charset(value) {
                    label = Some(charset);
                    value = rest;
                }
                extended = true;
                percent_decode(value, &mut bytes);
            } else {
                bytes.extend_from_slice(value);
            }
        }
        let value = match (extended, label) {
            (true, label) => charset::decode(&bytes, label).into_owned(),
            (false, _) => decode_words(&bytes),
        };
        if let Some(first) = group.first() {
            joined.push((first.name.clone(), value));
        }
    }
    joined
}

fn piece<'a>(param: &'a Param<'_>) -> Piece<'a> {
    let name = charset::guess(param.name).to_ascii_lowercase();
    let (stem, encoded) = match name.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (&*name, false),
    };
    let numbered = stem
        .rsplit_once('*')
        .and_then(|(stem, n)| Some((stem, n.parse().ok()?)));
    let (stem, section) = numbered.unwrap_or((stem, 0));
    Piece {
        name: stem.to_owned(),
        section,
        encoded,
        value: &param.value,
    }
}

/// `charset'language'text`.
fn split_charset(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = value.splitn(3, |&b| b == b'\'');
    let charset = parts.next()?;
    parts.next()?;
    Some((charset, parts.next()?))
}

fn percent_decode(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let [first, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
        }
    }
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
        // RFC 2047 2: an encoded word has at most 75 octets; senders write longer ones. Charset names
        // have at most 40 characters (RFC 2978), plus a language tag.
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

    #[test]
    fn rfc_2231_examples() {
        for (value, main, params) in [
            (
                "message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
                "message/external-body",
                &[
                    ("access-type", "URL"),
                    (
                        "url",
                        "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar",
                    ),
                ][..],
            ),
            (
                "application/x-stuff;\r\n title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
                "application/x-stuff",
                &[("title", "This is ***fun***")],
            ),
            (
                "application/x-stuff;\r\n title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n title*2=\"isn't it!\"",
                "application/x-stuff",
                &[("title", "This is even more ***fun*** isn't it!")],
            ),
            (
                "Attachment; filename*=UTF-8''na%C3%AFve%zz",
                "attachment",
                &[("filename", "naïve%zz")],
            ),
            ("a; n=\"=?utf-8?B?w6k=?=\"", "a", &[("n", "é")]),
            ("a; n*99999999999=x", "a", &[("n*99999999999", "x")]),
        ] {
            let got = decode_params(value.as_bytes());
            assert_eq!(got.value, main);
            let got: Vec<_> = got.params.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(got, params, "{value}");
        }
    }
}
