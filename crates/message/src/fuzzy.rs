//! Words that are looked for though they may be misspelt (RFC 6203).
//!
//! Texts and what is looked for are taken apart into words, in small letters and without accents. A
//! word is found in another that is equal, begins with it, contains it, or differs by a few
//! keystrokes: letters that are missing, too many, wrong, or swapped with their neighbour.

use memchr::memmem;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words that are looked for; what comes after them is not.
const MAX_WORDS: usize = 16;
/// Letters of a word that may be misspelt; longer ones are only found as they are.
const MAX_LETTERS: usize = 64;

/// How well a word is found, from 100 (equal).
const BEGINS: u8 = 85;
const CONTAINS: u8 = 60;
const ONE_SLIP: u8 = 50;
const TWO_SLIPS: u8 = 20;

/// Words to be looked for, prepared once.
#[derive(Debug, Clone)]
pub struct FuzzyNeedle {
    words: Vec<Word>,
}

/// How well each word has been found so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct FuzzyHits([u8; MAX_WORDS]);

#[derive(Debug, Clone)]
struct Word {
    text: String,
    letters: Vec<char>,
    /// Which letters there are, by their last six bits.
    set: u64,
    /// Keystrokes that may be wrong.
    slips: u32,
    finder: memmem::Finder<'static>,
}

impl FuzzyNeedle {
    /// Prepares a search for the words of `text`. Without any, every text has them.
    pub fn new(text: &str) -> Self {
        let mut words: Vec<Word> = Vec::new();
        each_word(text, &mut |word| {
            if words.len() < MAX_WORDS && !words.iter().any(|known| known.text == word) {
                words.push(Word::new(word));
            }
        });
        Self { words }
    }

    /// Looks for the words in one more text.
    pub fn look_in(&self, text: &str, hits: &mut FuzzyHits) {
        each_word(text, &mut |found| {
            let mut set = None;
            for (word, best) in self.words.iter().zip(&mut hits.0) {
                if *best < 100 {
                    let set = *set.get_or_insert_with(|| letter_set(found));
                    *best = word.match_with(found, set, *best).max(*best);
                }
            }
        });
    }

    /// How well the words have been found, from 1 to 100; `None` when one of them has not been.
    pub fn score(&self, hits: &FuzzyHits) -> Option<u8> {
        let found = || self.words.iter().zip(&hits.0).map(|(_, best)| *best);
        if found().any(|best| best == 0) {
            return None;
        }
        let sum: u32 = found().map(u32::from).sum();
        let count = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        Some(match sum.checked_div(count) {
            Some(mean) => u8::try_from(mean.clamp(1, 100)).unwrap_or(100),
            None => 100,
        })
    }

    /// Whether nothing more can be found.
    pub fn is_done(&self, hits: &FuzzyHits) -> bool {
        self.words.iter().zip(&hits.0).all(|(_, best)| *best == 100)
    }
}

impl Word {
    fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().collect();
        Self {
            set: letter_set(text),
            // One slip makes too many words of a short one.
            slips: match letters.len() {
                0..4 => 0,
                4..8 => 1,
                8..=MAX_LETTERS => 2,
                _ => 0,
            },
            letters,
            finder: memmem::Finder::new(text.as_bytes()).into_owned(),
            text: text.to_owned(),
        }
    }

    /// How well it is found in a word of a text, if that is better than `least`.
    fn match_with(&self, found: &str, set: u64, least: u8) -> u8 {
        let missing = (self.set & !set).count_ones();
        if missing > self.slips {
            return 0;
        }
        if missing == 0 && found.len() >= self.text.len() {
            match self.finder.find(found.as_bytes()) {
                Some(0) if found.len() == self.text.len() => return 100,
                Some(0) => return BEGINS,
                Some(_) => return CONTAINS,
                None => {}
            }
        }
        let is_too_short = found.len() + (self.slips as usize) < self.letters.len();
        if self.slips == 0 || least >= ONE_SLIP || is_too_short {
            return 0;
        }
        match self.distance(found) {
            Some(0) => 100,
            Some(1) => ONE_SLIP,
            Some(2) if self.slips > 1 => TWO_SLIPS,
            _ => 0,
        }
    }

    /// Keystrokes between the two; `None` when their lengths say that they are too many.
    // Hyyrö's bit-parallel algorithm for optimal string alignment: a bit for each letter.
    fn distance(&self, found: &str) -> Option<u32> {
        let length = self.letters.len();
        let count = found.chars().take(length + 3).count();
        if count.abs_diff(length) > self.slips as usize {
            return None;
        }
        let last = 1u64.checked_shl(u32::try_from(length.checked_sub(1)?).ok()?)?;
        let mut distance = u32::try_from(length).ok()?;
        let (mut more, mut less) = (u64::MAX, 0u64);
        let (mut diagonal, mut matched_before) = (0u64, 0u64);
        for c in found.chars() {
            let mut matched = 0u64;
            for (i, letter) in self.letters.iter().enumerate() {
                matched |= u64::from(*letter == c) << i;
            }
            let swapped = ((!diagonal & matched) << 1) & matched_before;
            diagonal = ((matched & more).wrapping_add(more) ^ more) | matched | less | swapped;
            let up = less | !(diagonal | more);
            let down = diagonal & more;
            distance += u32::from(up & last != 0);
            distance -= u32::from(down & last != 0);
            let (up, down) = (up << 1 | 1, down << 1);
            more = down | !(diagonal | up);
            less = up & diagonal;
            matched_before = matched;
        }
        Some(distance)
    }
}

/// Calls `f` with each word of `text`, in small letters and without accents.
fn each_word(text: &str, f: &mut dyn FnMut(&str)) {
    let is_part = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    let mut folded = String::new();
    for word in text.split(|c| !is_part(c)).filter(|word| !word.is_empty()) {
        folded.clear();
        match word.is_ascii() {
            true => {
                folded.push_str(word);
                folded.make_ascii_lowercase();
            }
            false => {
                let letters = word.nfkd().filter(|c| !is_combining_mark(*c));
                folded.extend(letters.flat_map(char::to_lowercase));
            }
        }
        if !folded.is_empty() {
            f(&folded);
        }
    }
}

fn letter_set(word: &str) -> u64 {
    word.chars()
        .fold(0, |set, c| set | 1 << (u32::from(c) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(needle: &str, texts: &[&str]) -> Option<u8> {
        let needle = FuzzyNeedle::new(needle);
        let mut hits = FuzzyHits::default();
        texts
            .iter()
            .for_each(|text| needle.look_in(text, &mut hits));
        needle.score(&hits)
    }

    #[test]
    fn words_are_found_though_misspelt() {
        for (needle, text, want) in [
            // RFC 6203 3 and 4.
            ("IMAP break", "broken IMAP", None),
            ("IMAP brok", "IMAP is broken", Some(92)),
            ("Helo", "hello", Some(50)),
            ("Helo", "help", Some(50)),
            ("helo", "to hold", None),
            ("Muller", "M\u{fc}ller", Some(100)),
            ("m\u{fc}ller", "MULLER", Some(100)),
            ("caf\u{e9}", "cafe\u{301}s", Some(85)),
            ("recieve", "I receive it", Some(50)),
            ("acommodation", "accomodation", Some(20)),
            ("cat", "cut", None),
            ("cat", "concatenation", Some(60)),
            ("a-b", "b, a", Some(100)),
            ("", "anything", Some(100)),
            ("?!", "", Some(100)),
            ("a", "", None),
            (
                "\u{4f1a}\u{8bae}",
                "\u{660e}\u{5929}\u{4f1a}\u{8bae}",
                Some(60),
            ),
            (
                "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}",
                "\u{41f}\u{440}\u{435}\u{432}\u{435}\u{442}",
                Some(50),
            ),
        ] {
            assert_eq!(score(needle, &[text]), want, "{needle} in {text}");
        }
        assert_eq!(score("one two", &["two", "1"]), None);
        assert_eq!(score("one two", &["two", "ones"]), Some(92));
    }

    #[test]
    fn long_words_and_many_words_are_bounded() {
        let long = "ab".repeat(200);
        assert_eq!(score(&long, &[&long]), Some(100));
        assert_eq!(score(&long, &[&long[1..]]), None);
        assert_eq!(score(&long[..64], &[&long[1..64]]), Some(50));
        let many: Vec<String> = (0..100).map(|n| format!("w{n}x")).collect();
        assert_eq!(FuzzyNeedle::new(&many.join(" ")).words.len(), MAX_WORDS);
    }

    /// By the book.
    fn naive(a: &[char], b: &[char]) -> u32 {
        let mut d = vec![vec![0u32; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                d[i][j] = match (i, j) {
                    (0, n) | (n, 0) => n as u32,
                    _ => {
                        let cost = u32::from(a[i - 1] != b[j - 1]);
                        let mut best = (d[i - 1][j] + 1).min(d[i][j - 1] + 1);
                        best = best.min(d[i - 1][j - 1] + cost);
                        let is_swap =
                            i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                        match is_swap {
                            true => best.min(d[i - 2][j - 2] + 1),
                            false => best,
                        }
                    }
                };
            }
        }
        d[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn distance_is_what_it_should_be(a in "[a-c\u{e9}]{1,20}", b in "[a-c\u{e9}]{1,20}") {
            let mut word = Word::new(&a);
            word.slips = 64;
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let want = naive(&letters(&a), &letters(&b));
            if b.chars().count() <= a.chars().count() + 3 {
                prop_assert_eq!(word.distance(&b), Some(want));
            }
        }

        #[test]
        fn what_is_there_is_found(text in "[a-eA-E0-2 .-]{1,80}", at in 0usize..80, len in 1usize..40) {
            let at = at.min(text.len() - 1);
            let part = &text[at..(at + len).min(text.len())];
            prop_assert!(score(part, &[&text]).is_some(), "{}", part);
        }

        #[test]
        fn anything_is_looked_for_in_anything(a in ".{0,80}", b in ".{0,300}") {
            let found = score(&a, &[&b]);
            prop_assert!(found.is_none_or(|score| (1..=100).contains(&score)));
            prop_assert_eq!(score(&a, &[&a]), Some(100));
        }
    }
}
