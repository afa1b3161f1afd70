//! Case folding for comparison: i;unicode-casemap (RFC 5051).

use std::sync::LazyLock;

use unicode_normalization::char::decompose_compatible;

/// RFC 5051 2: each character to its simple title case, then decomposed. Titlecase differs from
/// upper case only for letter pairs, which decompose; so upper case does as well on both sides.
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
    let mut upper = c.to_uppercase();
    // A mapping to several characters (`ß`) is no simple one.
    let simple = if upper.len() == 1 {
        upper.next().unwrap_or(c)
    } else {
        c
    };
    decompose_compatible(simple, |c| {
        let mut upper = c.to_uppercase();
        out.push(if upper.len() == 1 {
            upper.next().unwrap_or(c)
        } else {
            c
        });
    });
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
