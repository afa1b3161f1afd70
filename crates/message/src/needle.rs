//! Substring search (RFC 3501 6.4.4) by a collation: that of RFC 5051 unless another is active (RFC
//! 5255 4.2).

use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr, memchr2_iter, memmem};

use crate::collation::Collation;
use crate::filter::trigrams_of;
use crate::fold::{ascii_len, fold_char, is_foreign};

/// A search string, prepared once and looked for in many texts.
#[derive(Debug, Clone)]
pub struct Needle {
    text: String,
    collation: Collation,
    /// The string as the collation compares it.
    folded: String,
    finder: memmem::Finder<'static>,
    /// How it is found without folding what it is looked for in; None when it can only be found in
    /// text that is folded.
    ascii: Option<Ascii>,
    /// What a filter must have to let it through.
    trigrams: Box<[u16]>,
}

/// What a search in ASCII text looks for.
#[derive(Debug, Clone)]
struct Ascii {
    whole: Pattern,
    /// The longest run of letters and digits; None when there are none.
    word: Option<Pattern>,
}

/// A piece of the folded string.
#[derive(Debug, Clone)]
struct Pattern {
    range: Range<usize>,
    /// The places of its two rarest bytes.
    rare: (usize, usize),
}

/// How encoded words begin.
static ENCODED: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"=?"));

impl Needle {
    /// Prepares a search for `text` by i;unicode-casemap. An empty string is in every text.
    pub fn new(text: &str) -> Self {
        Self::by(Collation::default(), text)
    }

    /// Prepares a search for `text` by some collation.
    pub fn by(collation: Collation, text: &str) -> Self {
        let folded = collation.prepare(text);
        let finder = memmem::Finder::new(folded.as_bytes()).into_owned();
        let is_plain = match collation {
            // ASCII text, folded, has no small letters; what `ﬁ` is folded to has.
            Collation::UnicodeCasemap => {
                folded.is_ascii() && !folded.bytes().any(|b| b.is_ascii_lowercase())
            }
            Collation::AsciiCasemap => true,
        };
        let ascii = is_plain.then(|| Ascii::new(folded.as_bytes()));
        Self {
            text: text.to_owned(),
            collation,
            folded,
            finder,
            ascii,
            trigrams: trigrams_of(text),
        }
    }

    /// What is looked for, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Makes it a search by another collation.
    pub fn collate(&mut self, collation: Collation) {
        if self.collation != collation {
            *self = Self::by(collation, &self.text);
        }
    }

    /// Whether the string is in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        match (&self.ascii, self.collation) {
            (Some(_), Collation::UnicodeCasemap) => {
                self.is_in_ascii(text.as_bytes()) || !text.is_ascii() && self.is_across(text)
            }
            (Some(_), Collation::AsciiCasemap) => self.is_in_ascii(text.as_bytes()),
            (None, collation) => {
                !text.is_ascii()
                    && self
                        .finder
                        .find(collation.prepare(text).as_bytes())
                        .is_some()
            }
        }
    }

    /// Whether the string, being ASCII, is in `text` with a part of it folded from characters that
    /// are not: `offe` in `Offé`, `1` in `½`.
    fn is_across(&self, text: &str) -> bool {
        let needle = self.folded.as_bytes();
        let Some((last, head)) = needle.split_last() else {
            return true;
        };
        let mut folded = String::new();
        let mut at = 0;
        loop {
            at += ascii_len(text, at);
            let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                return false;
            };
            let here = at;
            at += c.len_utf8();
            if is_foreign(c) {
                continue;
            }
            folded.clear();
            fold_char(c, &mut folded);
            let found = match folded.as_bytes() {
                // A letter and its accents: what is looked for can only end with the letter.
                [letter, marks @ ..] if !marks.is_empty() && !marks.iter().any(u8::is_ascii) => {
                    let before = text.as_bytes().get(here.saturating_sub(head.len())..here);
                    letter == last && before.is_some_and(|before| before.eq_ignore_ascii_case(head))
                }
                _ => self.is_around(text, here),
            };
            if found {
                return true;
            }
        }
    }

    /// The same around the character at `at`.
    fn is_around(&self, text: &str, at: usize) -> bool {
        let reach = self.folded.len();
        let (before, after) = text.split_at_checked(at).unwrap_or_default();
        let start = before.char_indices().rev().take(reach).last();
        let end = after.char_indices().nth(reach);
        let start = start.map_or(at, |(start, _)| start);
        let end = end.map_or(text.len(), |(end, _)| at + end);
        let around = text.get(start..end).unwrap_or_default();
        let around = self.collation.prepare(around);
        self.finder.find(around.as_bytes()).is_some()
    }

    /// Whether the string is certainly not in what `raw`, a piece of a header, says once it is
    /// unfolded, unquoted and decoded. `false` decides nothing.
    pub fn is_ruled_out(&self, raw: &[u8]) -> bool {
        let word = match &self.ascii {
            Some(Ascii { word: None, .. }) => return false,
            Some(Ascii { word, .. }) => word.as_ref(),
            None => None,
        };
        // Letters and digits that follow each other do so in `raw` too, if nothing is encoded or
        // escaped.
        raw.is_ascii()
            && word.is_none_or(|word| !word.is_in(self.folded.as_bytes(), raw))
            && ENCODED.find(raw).is_none()
            && memchr(b'\\', raw).is_none()
    }

    pub(crate) fn trigrams(&self) -> &[u16] {
        &self.trigrams
    }

    /// Whether the string is in `text`, of which only ASCII letters are folded.
    pub(crate) fn is_in_ascii(&self, text: &[u8]) -> bool {
        self.ascii
            .as_ref()
            .is_some_and(|ascii| ascii.whole.is_in(self.folded.as_bytes(), text))
    }
}

impl Ascii {
    fn new(folded: &[u8]) -> Self {
        let mut longest = 0..0;
        let mut start = 0;
        for run in folded.split(|b| !b.is_ascii_alphanumeric()) {
            if run.len() > longest.len() {
                longest = start..start + run.len();
            }
            start += run.len() + 1;
        }
        Self {
            whole: Pattern::new(folded, 0..folded.len()),
            word: (!longest.is_empty()).then(|| Pattern::new(folded, longest)),
        }
    }
}

impl Pattern {
    fn new(folded: &[u8], range: Range<usize>) -> Self {
        let rare = rarest(crate::slice(folded, range.start, range.end));
        Self { range, rare }
    }

    fn is_in(&self, folded: &[u8], text: &[u8]) -> bool {
        let needle = crate::slice(folded, self.range.start, self.range.end);
        if needle.is_empty() {
            return true;
        }
        let Some(starts) = (text.len() + 1).checked_sub(needle.len()) else {
            return false;
        };
        let (first, second) = self.rare;
        let (Some(&a), Some(&b)) = (needle.get(first), needle.get(second)) else {
            return false;
        };
        let at_a = crate::slice(text, first, first + starts);
        let is_at = |at| crate::slice(text, at, at + needle.len()).eq_ignore_ascii_case(needle);
        if rank(a) >= RARE {
            return memchr2_iter(a, a.to_ascii_lowercase(), at_a).any(is_at);
        }
        let at_b = crate::slice(text, second, second + starts);
        candidates(at_a, at_b, a, b, is_at)
    }
}

/// Whether `check` accepts a place where `a` is at `at_a` and `b` at `at_b`. Both are folded to
/// upper case; setting the case bit of both sides lets through a few other bytes, which `check`
/// refuses.
fn candidates(at_a: &[u8], at_b: &[u8], a: u8, b: u8, check: impl Fn(usize) -> bool) -> bool {
    const BLOCK: usize = 64;
    const CASE: u8 = 0x20;
    let (a, b) = (a | CASE, b | CASE);
    let hit = |x: u8, y: u8| u8::from(x | CASE == a) & u8::from(y | CASE == b);
    let mut base = 0;
    let (blocks_a, rest_a) = at_a.as_chunks::<BLOCK>();
    let (blocks_b, rest_b) = at_b.as_chunks::<BLOCK>();
    for (xs, ys) in blocks_a.iter().zip(blocks_b) {
        // Without branches, so that the compiler makes vector code of it.
        let any = xs.iter().zip(ys).fold(0, |any, (&x, &y)| any | hit(x, y));
        if any != 0
            && xs
                .iter()
                .zip(ys)
                .zip(base..)
                .any(|((&x, &y), at)| hit(x, y) != 0 && check(at))
        {
            return true;
        }
        base += BLOCK;
    }
    rest_a
        .iter()
        .zip(rest_b)
        .zip(base..)
        .any(|((&x, &y), at)| hit(x, y) != 0 && check(at))
}

/// Bytes in the order of how common they are in mail (text, markup and base64), common ones first.
const COMMON: &[u8] = b" ETAOINSRLHDCUMPFGYWBV/=-.:0,12K3>\"<;5489X67J@Q_Z";

/// From this rank on a byte is rare enough to be looked for alone.
const RARE: usize = 20;

fn rank(b: u8) -> usize {
    COMMON.iter().position(|&c| c == b).unwrap_or(COMMON.len())
}

fn rarest(folded: &[u8]) -> (usize, usize) {
    let mut places: Vec<usize> = (0..folded.len()).collect();
    places.sort_by_key(|&at| std::cmp::Reverse(folded.get(at).map_or(0, |&b| rank(b))));
    let first = places.first().copied().unwrap_or(0);
    let other = |&&at: &&usize| folded.get(at) != folded.get(first);
    let second = places
        .iter()
        .find(other)
        .or(places.get(1))
        .copied()
        .unwrap_or(first);
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_or_not() {
        for (needle, text, found) in [
            ("", "", true),
            ("", "x", true),
            ("x", "", false),
            ("abc", "ab", false),
            ("abc", "xxABC", true),
            ("abc", "abxabc", true),
            ("@b", "A@B", true),
            ("`b", "A@B", false),
            ("[x]", "{X}", false),
            ("aaa", "aabaa", false),
            ("aaa", "baaA", true),
            ("É", "caFé", true),
            ("é", "cafe\u{301}", true),
            ("cafe", "CAFÉ", true),
            ("ß", "STRAßE", true),
            ("σ", "ΟΔΟΣ", true),
            ("ς", "οδος Σ", true),
            ("k", "\u{212a}", true),
            ("привет", "ПРИВЕТ", true),
            ("ä", "abc", false),
            // RFC 5051 2: `ﬁ` has no title case and becomes `fi`, `fish` becomes `FISH`.
            ("ﬁ", "fish", false),
            ("fish", "a ﬁsh", false),
            ("ﬁ", "a ﬁsh", true),
            ("xﬁy", "Xﬁy", true),
            ("xﬁz", "xﬁy", false),
            ("ﬁﬁ F", "ﬁﬁ ﬁ", false),
            ("ǆ", "Ǆ", true),
            ("ǆ", "dž", false),
            ("ᾳ", "ᾼ", true),
            ("offe", "Wir hoffé", true),
            ("offen", "hofféN", false),
            ("e", "É", true),
            ("e", "\u{10d}É", true),
            ("c", "\u{10d}", true),
            ("1", "½", true),
            ("2x", "½X", true),
            ("12", "½", false),
            ("a b", "A\u{a0}B", true),
            ("...", "…", true),
            ("привет", "Привет, café", true),
        ] {
            assert_eq!(
                Needle::new(needle).is_in(text),
                found,
                "{needle:?} in {text:?}"
            );
        }
    }

    #[test]
    fn i_ascii_casemap_folds_ascii_alone() {
        let mut needle = Needle::new("caf\u{e9}");
        assert!(needle.is_in("CAF\u{c9}"));
        needle.collate(Collation::AsciiCasemap);
        assert!(!needle.is_in("CAF\u{c9}") && needle.is_in("CAF\u{e9}"));
        assert!(!needle.is_ruled_out(b"CAF=?utf-8?q?=C3=A9?="));
        let needle = Needle::by(Collation::AsciiCasemap, "e");
        assert!(!needle.is_in("\u{c9}") && needle.is_in("E\u{c9}"));
    }

    #[test]
    fn what_may_be_there_is_not_ruled_out() {
        for (needle, raw, out) in [
            ("", "", false),
            ("@", "x", false),
            ("a b", "A\r\n b", false),
            ("joe@x", "joe (c) @ x", false),
            ("joe", "=?utf-8?b?am9l?=", false),
            ("joe", "\"j\\oe\"", false),
            ("joe", "j\u{f6}e", false),
            ("joe", "j oe", true),
            ("a joe b", "a x b", true),
            ("j\u{f6}e", "joe", true),
            ("j\u{f6}e", "=?utf-8?b?am9l?=", false),
        ] {
            assert_eq!(
                Needle::new(needle).is_ruled_out(raw.as_bytes()),
                out,
                "{needle:?} in {raw:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn short_cuts_change_nothing(
            needle in "[abeEfFiIéﬁß½ \u{301}я]{0,4}",
            text in "[abeEfFiIéÉﬁß½ \u{301}яЯ…]{0,12}",
        ) {
            for collation in Collation::ALL {
                let plainly = collation.prepare(&text).contains(&collation.prepare(&needle));
                proptest::prop_assert_eq!(Needle::by(collation, &needle).is_in(&text), plainly);
            }
        }
    }

    #[test]
    fn every_place_in_a_long_text() {
        let needle = Needle::new("Quasar!");
        for len in 7..300 {
            for at in [0, 1, len / 2, len - 7].map(|at| at.min(len - 7)) {
                let mut text = "q".repeat(len);
                assert!(!needle.is_in(&text));
                text.replace_range(at..at + 7, "qUaSAR!");
                assert!(needle.is_in(&text), "{at} of {len}");
            }
        }
    }
}
