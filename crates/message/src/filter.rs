//! A small set of the trigrams of texts, which tells without reading them that a string is in none.
//!
//! Texts and strings are folded by i;unicode-casemap whatever collation compares them: what is
//! equal by i;ascii-casemap is equal by that too, so nothing that matches is ever ruled out.
//! Letters are made capitals once more, since what `ﬁ` is folded to has small ones.

use std::ops::ControlFlow;

use crate::fold::fold;
use crate::needle::Needle;
use crate::texts::header_texts;
use crate::view::Digest;

/// Words of the set while it is made, a power of two: the most a filter can have.
const WORDS: usize = 1024;

/// Texts with more octets than this together have no filter: it would be large, and seldom rule
/// anything out.
const MAX_TEXT: usize = 256 << 10;

/// Bits for each trigram, at least: of such a filter 40 % of the bits are set at most, and a string
/// with `n` trigrams that is not there passes by chance in one of `2.5^n` cases.
const BITS_EACH: usize = 2;

/// The trigrams of all texts of a message that SEARCH TEXT looks at, and so of those BODY does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFilter {
    /// One bit for all trigrams that share a hash; a power of two of words, or none at all when
    /// nothing can be ruled out.
    words: Box<[u64]>,
}

impl TextFilter {
    /// Of a message that is made of `prefix` and `message`, which was digested; the first
    /// [`Digest::searched_len`] octets of it are enough.
    pub fn new(prefix: &[u8], digest: &Digest<'_>, message: &[u8]) -> Self {
        let mut trigrams = Trigrams::default();
        let mut add = |text: &str| trigrams.add(text);
        header_texts(prefix, &mut add);
        let header = crate::slice(message, 0, digest.header_len() as usize);
        header_texts(header, &mut add);
        digest.each_body_text(message, &mut add);
        trigrams.into_filter()
    }

    /// Whether what `needle` looks for is certainly in none of the texts. `false` decides nothing.
    pub fn rules_out(&self, needle: &Needle) -> bool {
        let Some(mask) = self.words.len().checked_sub(1) else {
            return false;
        };
        let is_in = |&hash: &u16| {
            let (word, bit) = place(hash);
            let word = self.words.get(word & mask);
            word.is_none_or(|word| word & bit != 0)
        };
        !needle.trigrams().iter().all(is_in)
    }

    /// Octets of memory, without the struct itself.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.words)
    }
}

/// Which bit of which word stands for a hash. Half as many words are the two halves joined.
fn place(hash: u16) -> (usize, u64) {
    (usize::from(hash >> 6), 1 << (hash & 63))
}

/// The trigrams of a string, as hashes; none for a string of less than three octets.
pub(crate) fn trigrams_of(text: &str) -> Box<[u16]> {
    let mut hashes = Vec::new();
    each_trigram(fold(text).as_bytes(), |hash| hashes.push(hash));
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into()
}

fn each_trigram(folded: &[u8], mut f: impl FnMut(u16)) {
    let Some((&[a, b], rest)) = folded.split_first_chunk() else {
        return;
    };
    let shift = |last: u64, b: u8| last << 8 & 0xff_ffff | u64::from(b.to_ascii_uppercase());
    let mut last = shift(shift(0, a), b);
    for &b in rest {
        last = shift(last, b);
        // Fibonacci hashing: bits from the middle of the product depend on all of the trigram.
        let hash = last.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        f(hash as u16);
    }
}

/// A filter that is being made.
struct Trigrams {
    words: Box<[u64; WORDS]>,
    /// Bits that are set.
    count: usize,
    octets: usize,
}

impl Default for Trigrams {
    fn default() -> Self {
        Self {
            words: Box::new([0; WORDS]),
            count: 0,
            octets: 0,
        }
    }
}

impl Trigrams {
    fn add(&mut self, text: &str) -> ControlFlow<()> {
        self.octets = self.octets.saturating_add(text.len());
        if self.octets > MAX_TEXT {
            return ControlFlow::Break(());
        }
        let (words, count) = (&mut *self.words, &mut self.count);
        let note = |hash| {
            let (word, bit) = place(hash);
            if let Some(word) = words.get_mut(word) {
                *count += usize::from(*word & bit == 0);
                *word |= bit;
            }
        };
        match text.is_ascii() {
            true => each_trigram(text.as_bytes(), note),
            false => each_trigram(fold(text).as_bytes(), note),
        }
        ControlFlow::Continue(())
    }

    /// Folded to the size it needs.
    fn into_filter(self) -> TextFilter {
        let len = (self.count * BITS_EACH).div_ceil(64).next_power_of_two();
        if self.octets > MAX_TEXT || len > WORDS {
            return TextFilter {
                words: Box::default(),
            };
        }
        let mut words = vec![0; len];
        for part in self.words.chunks_exact(len) {
            for (word, other) in words.iter_mut().zip(part) {
                *word |= other;
            }
        }
        TextFilter {
            words: words.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Collation, digest};

    fn filter(message: &[u8]) -> TextFilter {
        let digest = digest(message);
        TextFilter::new(b"", &Digest::parse(&digest).unwrap(), message)
    }

    #[test]
    fn what_is_nowhere_is_ruled_out_and_nothing_else() {
        let message = "Subject: =?utf-8?q?Caf=C3=A9?= au lait\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nHello world \u{fb01}x\r\n--x\r\n\
            Content-Type: text/html; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            8NLJ18XU\r\n--x\r\nContent-Type: image/png; name=\"picture\"\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nQUFBQUFB\r\n--x--\r\n";
        let filter = filter(message.as_bytes());
        for (needle, out) in [
            ("", false),
            ("q", false),
            ("zq", false),
            ("hello WORLD", false),
            ("hello moon", true),
            ("cafe", false),
            ("CAF\u{c9}", false),
            ("caff", true),
            ("fix", false),
            ("\u{fb01}x", false),
            ("\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}", false),
            ("\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}", true),
            ("PICTURE", false),
            ("QUFBQUFB", true),
            ("hello\0", true),
        ] {
            for collation in Collation::ALL {
                let needle = Needle::by(collation, needle);
                assert_eq!(filter.rules_out(&needle), out, "{needle:?}");
            }
        }
        assert!(filter.memory() <= 256, "{}", filter.memory());
    }

    #[test]
    fn filters_are_no_larger_than_their_texts_need() {
        let words = |range: std::ops::Range<u32>| {
            let words = range.map(|n| format!("{:x} ", n.wrapping_mul(0x9e37_79b9)));
            format!("\r\n{}", words.collect::<String>())
        };
        let absent = Needle::new("xyzzy plugh");
        let mut memory = 0;
        for count in [0, 1, 10, 100, 1000, 10_000] {
            let text = words(0..count);
            let filter = filter(text.as_bytes());
            assert!(filter.rules_out(&absent) && filter.memory() >= memory);
            memory = filter.memory();
            assert!(memory <= 8.max(text.len()), "{memory} of {}", text.len());
        }
        let much = filter(words(0..40_000).as_bytes());
        assert!(!much.rules_out(&absent) && much.memory() == 0);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]

        #[test]
        fn nothing_that_is_there_is_ruled_out(
            needle in "[abeEfFiIéﬁßǆᾳ½ \u{301}я한\0]{0,6}",
            body in "[abeEfFiIéÉﬁßǅᾼ½ \u{301}яЯ…한\0\r\n=]{0,60}",
            charset in "utf-8|iso-8859-1|us-ascii|iso-2022-jp|utf-16|gb18030|none",
            encoding in "8bit|quoted-printable|base64|other",
        ) {
            let message = format!(
                "Subject: {needle}x\r\nContent-Type: text/plain; charset={charset}\r\n\
                Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"
            );
            let message = message.as_bytes();
            let digest = digest(message);
            let digest = Digest::parse(&digest).unwrap();
            let filter = TextFilter::new(b"X: prefix\r\n", &digest, message);
            let (header, body) = message.split_at(digest.header_len() as usize);
            let decoded = String::from_utf8_lossy(body);
            let chars: Vec<char> = decoded.chars().collect();
            let pieces = chars.windows(4).map(String::from_iter).chain([needle, "prefix".into()]);
            for piece in pieces {
                for collation in Collation::ALL {
                    let needle = Needle::by(collation, &piece);
                    if crate::header_contains(b"X: prefix\r\n", &needle)
                        || crate::header_contains(header, &needle)
                        || digest.body_contains(message, &needle)
                    {
                        proptest::prop_assert!(!filter.rules_out(&needle), "{:?}", piece);
                    }
                }
            }
        }
    }
}
