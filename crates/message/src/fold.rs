//! The preparation of strings by i;unicode-casemap (RFC 5051).

use std::sync::LazyLock;

use unicode_normalization::char::decompose_compatible;

/// RFC 5051 2: each character to its simple title case, then decomposed. What comes out of the
/// decomposition keeps its case: `ﬁ`, which has no title case, is `fi` and not `FI`.
pub(crate) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (ascii, others) = rest
            .split_at_checked(ascii_len(rest, 0))
            .unwrap_or((rest, ""));
        let start = out.len();
        out.push_str(ascii);
        if let Some(copied) = out.get_mut(start..) {
            copied.make_ascii_uppercase();
        }
        let mut chars = others.chars();
        let Some(c) = chars.next() else {
            return out;
        };
        fold_char(c, &mut out);
        rest = chars.as_str();
    }
}

/// The characters most texts use beside ASCII, folded in advance.
static LATIN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folded = (0x80..0x250).filter_map(char::from_u32).map(|c| {
        let mut out = String::new();
        decompose(c, &mut out);
        out
    });
    folded.collect()
});

/// One bit for each character of the basic plane: whether folding it gives nothing that is ASCII.
static FOREIGN: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut bits = vec![0; 0x1_0000 / 64];
    let mut folded = String::new();
    for c in '\u{80}'..='\u{ffff}' {
        folded.clear();
        fold_char(c, &mut folded);
        if !folded.bytes().any(|b| b.is_ascii())
            && let Some(word) = bits.get_mut(c as usize / 64)
        {
            *word |= 1u64 << (c as usize % 64);
        }
    }
    bits
});

/// Whether folding `c` gives nothing that is ASCII. `false` decides nothing.
pub(crate) fn is_foreign(c: char) -> bool {
    let word = FOREIGN.get(c as usize / 64);
    word.is_some_and(|word| word >> (c as usize % 64) & 1 == 1)
}

/// Appends one character, folded.
pub(crate) fn fold_char(c: char, out: &mut String) {
    match (c as usize).checked_sub(0x80).and_then(|at| LATIN.get(at)) {
        Some(folded) => out.push_str(folded),
        None => decompose(c, out),
    }
}

fn decompose(c: char, out: &mut String) {
    decompose_compatible(title(c), |c| out.push(c));
}

/// The simple title case of a character (UnicodeData.txt, field 14).
fn title(c: char) -> char {
    match c {
        // Letter pairs, of which only the first is a capital.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian writes whole words in capitals or none.
        '\u{10d0}'..='\u{10ff}' => c,
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.len(), upper.next()) {
                (1, Some(upper)) => upper,
                _ => with_iota(c),
            }
        }
    }
}

/// Greek letters with an iota below: upper case makes two letters of them, title case one. All
/// else that becomes several letters (`ß`) has no simple mapping.
fn with_iota(c: char) -> char {
    let offset = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(c as u32 + offset).unwrap_or(c)
}

/// Octets of the ASCII text from `at` on.
pub(crate) fn ascii_len(text: &str, at: usize) -> usize {
    const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let (words, tail) = rest.as_chunks();
    let mut len = 0;
    for word in words {
        let bits = u64::from_le_bytes(*word) & NOT_ASCII;
        if bits != 0 {
            return len + bits.trailing_zeros() as usize / 8;
        }
        len += word.len();
    }
    len + tail.iter().take_while(|b| b.is_ascii()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_case_then_decomposition() {
        for (text, folded) in [
            ("", ""),
            ("aZ[`{", "AZ[`{"),
            // RFC 5051 2: the example.
            ("\u{1c4}", "Dz\u{30c}"),
            ("\u{1c6}", "Dz\u{30c}"),
            ("\u{1c5}", "Dz\u{30c}"),
            ("\u{e9}", "E\u{301}"),
            ("\u{df}", "\u{df}"),
            ("\u{fb01}", "fi"),
            ("\u{aa}", "a"),
            ("\u{149}", "\u{2bc}n"),
            ("\u{131}", "I"),
            ("\u{b5}", "\u{39c}"),
            ("\u{1f80}", "\u{391}\u{313}\u{345}"),
            ("\u{1f88}", "\u{391}\u{313}\u{345}"),
            ("\u{1fb3}", "\u{391}\u{345}"),
            ("\u{1fbc}", "\u{391}\u{345}"),
            ("\u{345}", "\u{399}"),
            ("\u{10d0}", "\u{10d0}"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
            ("\u{ff41}\u{24d0}", "AA"),
            ("\u{10428}", "\u{10400}"),
            // Marks stay in their order.
            ("a\u{301}\u{323}", "A\u{301}\u{323}"),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_string_is_folded_character_by_character(text in "\\PC{0,20}") {
            let mut out = String::new();
            text.chars().for_each(|c| fold_char(c.to_ascii_uppercase(), &mut out));
            proptest::prop_assert_eq!(fold(&text), out);
        }
    }
}
