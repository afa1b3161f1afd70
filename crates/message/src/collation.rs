//! How texts are compared: the collations of RFC 4790 that IMAP may offer.
//!
//! RFC 5255 4.4 wants equality, order and substrings of a collation, which `i;ascii-numeric` has
//! not; `i;octet` is for texts that are not valid (RFC 5255 4.6).

use crate::fold::fold;

/// A collation of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Collation {
    /// RFC 5051: letter case is ignored in every script.
    #[default]
    UnicodeCasemap,
    /// RFC 4790 9.2: letter case is ignored in ASCII.
    AsciiCasemap,
}

/// Begins the sort keys of texts that are not valid: no UTF-8 has this octet.
const INVALID: u8 = 0xff;

impl Collation {
    /// All of them, the more widely useful ones first.
    pub const ALL: [Self; 2] = [Self::UnicodeCasemap, Self::AsciiCasemap];

    /// The name in the registry.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnicodeCasemap => "i;unicode-casemap",
            Self::AsciiCasemap => "i;ascii-casemap",
        }
    }

    /// The text as this collation compares it, octet by octet.
    pub(crate) fn prepare(self, text: &str) -> String {
        match self {
            Self::UnicodeCasemap => fold(text),
            Self::AsciiCasemap => text.to_ascii_uppercase(),
        }
    }

    /// Appends octets that order texts. A text with U+FFFD in it, where a charset was not kept to,
    /// comes after all valid ones.
    // RFC 5255 4.6 (c): texts that failed the conversion are put behind the others, by i;octet.
    pub fn sort_key(self, text: &str, out: &mut Vec<u8>) {
        if text.is_ascii() {
            out.extend(text.bytes().map(|b| b.to_ascii_uppercase()));
        } else if text.contains(char::REPLACEMENT_CHARACTER) {
            out.push(INVALID);
            out.extend_from_slice(text.as_bytes());
        } else {
            out.extend_from_slice(self.prepare(text).as_bytes());
        }
    }

    /// Whether a sort key is that of a text that is not valid.
    pub fn is_invalid(key: &[u8]) -> bool {
        key.first() == Some(&INVALID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(collation: Collation, mut texts: Vec<&str>) -> Vec<&str> {
        texts.sort_by_cached_key(|text| {
            let mut key = Vec::new();
            collation.sort_key(text, &mut key);
            key
        });
        texts
    }

    #[test]
    fn order() {
        let texts = vec![
            "b\u{fffd}",
            "\u{e9}",
            "F",
            "e",
            "A\u{fffd}",
            "",
            "[",
            "\u{431}",
            "\u{410}",
        ];
        assert_eq!(
            sorted(Collation::UnicodeCasemap, texts.clone()),
            [
                "",
                "e",
                "\u{e9}",
                "F",
                "[",
                "\u{410}",
                "\u{431}",
                "A\u{fffd}",
                "b\u{fffd}"
            ]
        );
        assert_eq!(
            sorted(Collation::AsciiCasemap, texts),
            [
                "",
                "e",
                "F",
                "[",
                "\u{e9}",
                "\u{410}",
                "\u{431}",
                "A\u{fffd}",
                "b\u{fffd}"
            ]
        );
    }

    #[test]
    fn rfc_5255_4_6_example() {
        let words: [&[u8]; 4] = [
            b"=?utf-8?q?=D0=C0=D0=BD=D0=B4=D1=80=D0=B5=D0=B9?=",
            b"=?utf-8?q?=D1=81=D0=95=D0=A0=D0=93=D0=95=D0=99?=",
            b"=?utf-8?q?=D0=92=D0=B0=D1=81=D0=B8=D0=BB=D0=B8=FF=B9?=",
            b"=?koi8-r?q?=E1=CC=C5=CB=D3=C5=CA?=",
        ];
        let texts = words.map(crate::decode_words);
        let [one, two, three, four] = texts.each_ref().map(String::as_str);
        assert_eq!(
            sorted(Collation::UnicodeCasemap, vec![one, two, three, four]),
            [four, two, three, one]
        );
    }
}
