//! Content transfer encodings (RFC 2045 6), decoded tolerantly and in one pass.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter};

use crate::slice;

/// How the octets of a part are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary or absent: the octets are the content.
    Identity = 0,
    /// quoted-printable.
    QuotedPrintable = 1,
    /// base64.
    Base64 = 2,
    /// Named, but unknown to us.
    Unknown = 3,
}

impl TransferEncoding {
    /// From the token of a Content-Transfer-Encoding field.
    pub fn from_token(token: &[u8]) -> Self {
        const NAMES: [(&[u8], TransferEncoding); 5] = [
            (b"7bit", TransferEncoding::Identity),
            (b"8bit", TransferEncoding::Identity),
            (b"binary", TransferEncoding::Identity),
            (b"quoted-printable", TransferEncoding::QuotedPrintable),
            (b"base64", TransferEncoding::Base64),
        ];
        let named = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(token));
        named.map_or(Self::Unknown, |(_, encoding)| *encoding)
    }

    /// The decoded octets; None for an unknown encoding. Damage is skipped, never refused.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Identity => Some(Cow::Borrowed(bytes)),
            Self::QuotedPrintable => Some(Cow::Owned(quoted_printable(bytes))),
            Self::Base64 => Some(Cow::Owned(base64(bytes))),
            Self::Unknown => None,
        }
    }
}

const SKIP: u8 = 0xff;
const PAD: u8 = 0xfe;

static BASE64: [u8; 256] = base64_table();

const fn base64_table() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [SKIP; 256];
    let mut i = 0;
    while i < 64 {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table[b'=' as usize] = PAD;
    table
}

/// Decodes base64. RFC 2045 6.8: octets outside the alphabet are ignored; padding ends a run of
/// characters, and what follows it starts a new one (concatenated encodings).
pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
    let mut rest = bytes;
    while let Some(after) = base64_quads(rest, &mut out) {
        rest = base64_slow(after, &mut out);
    }
    out
}

/// Whole groups of four as long as nothing else comes; the rest, None at the end.
fn base64_quads<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = bytes;
    while let [a, b, c, d, after @ ..] = rest {
        let [a, b, c, d] = [a, b, c, d].map(|&x| BASE64[usize::from(x)]);
        if (a | b | c | d) & 0xc0 != 0 {
            break;
        }
        out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
        rest = after;
    }
    (!rest.is_empty()).then_some(rest)
}

/// One group, with whatever stands in or around it.
fn base64_slow<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut bits = 0u32;
    let mut count = 0;
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        match BASE64[usize::from(*first)] {
            SKIP if count == 0 => {
                // Line ends stand between groups: back to whole groups after them.
                if *first == b'\n' {
                    return rest;
                }
            }
            SKIP => {}
            PAD => break,
            value => {
                bits = bits << 6 | u32::from(value);
                count += 1;
                if count == 4 {
                    break;
                }
            }
        }
    }
    let bits = bits << (6 * (4 - count));
    let [_, group @ ..] = bits.to_be_bytes();
    // n characters hold n * 6 / 8 whole octets.
    out.extend(group.into_iter().take(count * 6 / 8));
    rest
}

/// Encodes in base64, in lines of 76 characters (RFC 2045 6.8), each with CRLF.
pub(crate) fn to_base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len() / 57 * 78 + 80);
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let mut three = [0; 4];
            for (slot, byte) in three.iter_mut().skip(1).zip(group) {
                *slot = *byte;
            }
            let bits = u32::from_be_bytes(three);
            for at in 0..4 {
                out.push(match at <= group.len() {
                    true => ALPHABET[(bits >> (18 - 6 * at) & 63) as usize],
                    false => b'=',
                });
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Decodes quoted-printable (RFC 2045 6.7). A `=` that begins no code stays as it is.
pub(crate) fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    // What is not copied yet.
    let mut from = 0;
    for at in memchr2_iter(b'=', b'\n', bytes) {
        if at < from {
            continue;
        }
        let after = slice(bytes, at + 1, bytes.len());
        if bytes.get(at) == Some(&b'\n') {
            let line = slice(bytes, from, at);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // Rule 3: white space at the end of a line was added in transport.
            if line.last().is_some_and(|&b| is_padding(b)) {
                let ending = if bytes.get(at - 1) == Some(&b'\r') {
                    1
                } else {
                    0
                };
                out.extend_from_slice(trim_padding(line));
                from = at - ending;
            }
        } else if let [high, low, ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.extend_from_slice(slice(bytes, from, at));
            out.push(high << 4 | low);
            from = at + 3;
        } else {
            let padding = after.iter().take_while(|&&b| is_padding(b)).count();
            // Rule 5: a soft line break.
            if matches!(after.get(padding), Some(b'\n') | None) {
                out.extend_from_slice(slice(bytes, from, at));
                from = (at + padding + 2).min(bytes.len());
            }
        }
    }
    out.extend_from_slice(trim_padding(slice(bytes, from, bytes.len())));
    out
}

fn is_padding(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\x0c')
}

fn trim_padding(line: &[u8]) -> &[u8] {
    let padding = line.iter().rev().take_while(|&&b| is_padding(b)).count();
    slice(line, 0, line.len() - padding)
}

/// Decodes the Q encoding of RFC 2047 4.2.
pub(crate) fn q_encoding(bytes: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = bytes
        .iter()
        .map(|&b| if b == b'_' { b' ' } else { b })
        .collect();
    let mut out = Vec::with_capacity(bytes.len());
    codes(&spaced, &mut out);
    out
}

/// Resolves the `=XX` of one line.
fn codes(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr(b'=', rest) {
        let (plain, code) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match code {
            [_, high, low, after @ ..] if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                out.push(high << 4 | low);
                after
            }
            _ => {
                out.push(b'=');
                code.split_first().map_or(&[][..], |(_, after)| after)
            }
        };
    }
    out.extend_from_slice(rest);
}

pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_cases() {
        for (encoded, decoded) in [
            ("", ""),
            ("=", ""),
            ("A", ""),
            ("!!!!", ""),
            ("SGVsbG8=", "Hello"),
            ("SGVsbG8", "Hello"),
            ("SGVs\r\nbG8h\r\n", "Hello!"),
            ("SG Vs*bG8=", "Hello"),
            ("SGk=SGk=", "HiHi"),
            ("SGk=\r\n\r\n--", "Hi"),
        ] {
            assert_eq!(base64(encoded.as_bytes()), decoded.as_bytes(), "{encoded}");
        }
    }

    #[test]
    fn quoted_printable_cases() {
        for (encoded, decoded) in [
            ("", ""),
            ("=", ""),
            ("=4", "=4"),
            ("=ZZ", "=ZZ"),
            ("=3D=3d", "=="),
            ("a =\r\nb", "a b"),
            ("a=  \r\nb", "ab"),
            ("a  \r\nb\nc", "a\r\nb\nc"),
            ("=20\r\n", " \r\n"),
            ("a_b", "a_b"),
        ] {
            assert_eq!(
                quoted_printable(encoded.as_bytes()),
                decoded.as_bytes(),
                "{encoded}"
            );
        }
        assert_eq!(q_encoding(b"a_b=5F"), b"a b_");
    }

    #[test]
    fn base64_is_written_in_lines() {
        for (plain, encoded) in [
            ("", ""),
            ("a", "YQ==\r\n"),
            ("ab", "YWI=\r\n"),
            ("abc", "YWJj\r\n"),
        ] {
            assert_eq!(to_base64(plain.as_bytes()), encoded.as_bytes());
        }
        let long = to_base64(&[0xff; 58]);
        assert!(long.ends_with(b"////\r\n/w==\r\n"));
        assert_eq!(long.len(), 78 + 6);
        assert_eq!(base64(&long), [0xff; 58]);
    }

    /// Line by line, as the rules are written.
    fn plainly(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let content = line.trim_ascii_end();
            if let [content @ .., b'='] = content {
                codes(content, &mut out);
                continue;
            }
            codes(content, &mut out);
            match line {
                [.., b'\r', b'\n'] => out.extend_from_slice(b"\r\n"),
                [.., b'\n'] => out.push(b'\n'),
                _ => {}
            }
        }
        out
    }

    proptest::proptest! {
        #[test]
        fn quoted_printable_is_the_same_line_by_line(text in "[=aA40 \\t\\r\\n]{0,40}") {
            proptest::prop_assert_eq!(quoted_printable(text.as_bytes()), plainly(text.as_bytes()));
        }
    }

    #[test]
    fn names() {
        assert_eq!(
            TransferEncoding::from_token(b"BASE64"),
            TransferEncoding::Base64
        );
        assert_eq!(
            TransferEncoding::from_token(b"x-uuencode"),
            TransferEncoding::Unknown
        );
        assert!(TransferEncoding::Unknown.decode(b"x").is_none());
    }
}
