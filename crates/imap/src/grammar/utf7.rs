//! Modified UTF-7 (RFC 3501 5.1.3): how IMAP4rev1 writes mailbox names.

use super::cursor::BadSyntax;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

const INVALID: BadSyntax = BadSyntax("mailbox name is not valid modified UTF-7");

/// Appends `name` in modified UTF-7.
pub fn encode(name: &str, out: &mut Vec<u8>) {
    let mut rest = name;
    while !rest.is_empty() {
        let plain = rest
            .find(|c: char| c == '&' || !(' '..='~').contains(&c))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head.as_bytes());
        rest = tail;
        if let Some(tail) = rest.strip_prefix('&') {
            out.extend_from_slice(b"&-");
            rest = tail;
            continue;
        }
        let shifted = rest
            .find(|c: char| (' '..='~').contains(&c))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(shifted);
        if !head.is_empty() {
            encode_shifted(head, out);
        }
        rest = tail;
    }
}

fn encode_shifted(text: &str, out: &mut Vec<u8>) {
    out.push(b'&');
    let (mut bits, mut count) = (0u32, 0);
    for unit in text.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            out.push(sextet(bits >> count));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        out.push(sextet(bits << (6 - count)));
    }
    out.push(b'-');
}

fn sextet(bits: u32) -> u8 {
    ALPHABET.get((bits & 63) as usize).copied().unwrap_or(b'A')
}

/// Reads modified UTF-7.
///
/// # Errors
/// Octets outside printable ASCII, and anything an encoder would not have written: unfinished
/// shifts, stray bits, shifted printable characters (two spellings of one name would be two
/// mailboxes to a client).
pub fn decode(raw: &[u8]) -> Result<String, BadSyntax> {
    let mut name = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut after_shift = false;
    while let Some((&c, tail)) = rest.split_first() {
        if !(b' '..=b'~').contains(&c) {
            return Err(INVALID);
        }
        if c != b'&' {
            name.push(char::from(c));
            rest = tail;
            after_shift = false;
            continue;
        }
        let end = memchr::memchr(b'-', tail).ok_or(INVALID)?;
        let (shifted, tail) = tail.split_at(end);
        if shifted.is_empty() {
            name.push('&');
            after_shift = false;
        } else if after_shift {
            // Neighbouring shifts belong into one.
            return Err(INVALID);
        } else {
            decode_shifted(shifted, &mut name)?;
            after_shift = true;
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    Ok(name)
}

fn decode_shifted(shifted: &[u8], name: &mut String) -> Result<(), BadSyntax> {
    let mut units = Vec::with_capacity(shifted.len() * 6 / 16);
    let (mut bits, mut count) = (0u32, 0);
    for c in shifted {
        let value = ALPHABET
            .iter()
            .position(|a| a == c)
            .and_then(|v| u32::try_from(v).ok())
            .ok_or(INVALID)?;
        bits = bits << 6 | value;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count).map_err(|_| INVALID)?);
            bits &= (1 << count) - 1;
        }
    }
    if bits != 0 || count >= 6 {
        return Err(INVALID);
    }
    for c in char::decode_utf16(units) {
        let c = c.map_err(|_| INVALID)?;
        if (' '..='~').contains(&c) {
            return Err(INVALID);
        }
        name.push(c);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(name: &str) -> String {
        let mut out = Vec::new();
        encode(name, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn malformed_names_are_refused() {
        for raw in [
            "&",
            "&Jjo",
            "&AGE-",
            "&Jj-",
            "&Jjo!-",
            "&2D0-",
            "a\tb",
            "a\u{e4}b",
            "&Jjr-",
            "&Jjo-&Jjo-",
            "&AMQ-&AOQ-",
        ] {
            assert!(decode(raw.as_bytes()).is_err(), "{raw}");
        }
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (name, raw) in [
            (
                "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}",
                "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
            ),
            ("Hi Mom -\u{263a}-!", "Hi Mom -&Jjo--!"),
            ("a&b", "a&-b"),
            ("Entw\u{fc}rfe", "Entw&APw-rfe"),
            ("\u{1f600}", "&2D3eAA-"),
        ] {
            assert_eq!(encoded(name), raw);
            assert_eq!(decode(raw.as_bytes()).unwrap(), name);
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC*") {
            prop_assert_eq!(decode(encoded(&name).as_bytes()), Ok(name));
        }

        #[test]
        fn every_accepted_spelling_is_the_only_one(raw in "[&A-D,+a/-]{0,12}") {
            if let Ok(name) = decode(raw.as_bytes()) {
                prop_assert_eq!(encoded(&name), raw);
            }
        }
    }
}
