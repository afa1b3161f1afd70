//! IMAP strings (RFC 3501 4.3), written so that every client can read them.

use std::borrow::Cow;

use crate::lex::is_space;

/// Longer strings go out as literals: some clients read lines into small buffers.
const MAX_QUOTED: usize = 1024;

/// Writes `text` as a quoted string, or as a literal when it holds 8-bit octets or is long. NUL,
/// which no string may hold, is dropped; line breaks become spaces.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    let text = clean(text);
    if text.len() > MAX_QUOTED || !text.is_ascii() {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(&text);
        return;
    }
    out.push(b'"');
    for &b in text.iter() {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// Writes `NIL` or a string.
pub(crate) fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes a space and a number.
pub(crate) fn number(out: &mut Vec<u8>, n: u32) {
    let mut digits = [0u8; 10];
    let mut at = digits.len();
    let mut n = n;
    for digit in digits.iter_mut().rev() {
        // `n % 10` is below 10.
        *digit = b'0' + (n % 10) as u8;
        at -= 1;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push(b' ');
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

fn clean(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut after_break = false;
    for &b in text {
        match b {
            0 => continue,
            b'\r' | b'\n' => {
                if !after_break && out.last() != Some(&b' ') {
                    out.push(b' ');
                }
                after_break = true;
            }
            b if after_break && is_space(b) => {}
            b => {
                after_break = false;
                out.push(b);
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hold_nothing_a_client_could_choke_on() {
        let long = [b'x'; MAX_QUOTED + 1];
        for (text, expected) in [
            (&b""[..], &b"\"\""[..]),
            (b"a\"b\\c", b"\"a\\\"b\\\\c\""),
            (b"a\0b\r\n\tc", b"\"ab c\""),
            (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
            (b"\xff\0\xfe", b"{2}\r\n\xff\xfe"),
        ] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert_eq!(out, expected, "{}", text.escape_ascii());
        }
        let mut out = Vec::new();
        string(&mut out, &long);
        assert!(out.starts_with(b"{1025}\r\nx"));
    }

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        for n in [0, 7, 10, u32::MAX] {
            number(&mut out, n);
        }
        assert_eq!(out, b" 0 7 10 4294967295");
    }
}
