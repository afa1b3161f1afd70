//! The base subject (RFC 5256 2.1).

use std::ops::Range;

/// The base subject of a decoded subject, and whether it was that of a reply or forward.
pub fn base_subject(subject: &str) -> (String, bool) {
    let text = collapse(subject);
    let (range, reply_or_forward) = base_range(&text);
    (
        text.get(range).unwrap_or_default().to_owned(),
        reply_or_forward,
    )
}

/// Step 1: tabs and line ends become spaces, runs of spaces become one; none at the ends (steps 2,
/// 3).
pub(crate) fn collapse(subject: &str) -> String {
    let mut text = String::with_capacity(subject.len());
    for word in subject
        .split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
    {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Where the base subject lies in a collapsed subject.
pub(crate) fn base_range(text: &str) -> (Range<usize>, bool) {
    let mut base = Base {
        text: text.as_bytes(),
        start: 0,
        end: text.len(),
        touched: false,
    };
    loop {
        base.trailers();
        base.leaders();
        if !base.forwarded() {
            return (base.start..base.end, base.touched);
        }
    }
}

struct Base<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
    touched: bool,
}

impl Base<'_> {
    fn at(&self, pos: usize) -> &[u8] {
        crate::slice(self.text, pos, self.end)
    }

    /// Step 2: `(fwd)` and white space at the end.
    fn trailers(&mut self) {
        loop {
            let text = self.at(self.start);
            if let [.., b' '] = text {
                self.end -= 1;
            } else if text.len() >= 5 && text[text.len() - 5..].eq_ignore_ascii_case(b"(fwd)") {
                self.end -= 5;
                self.touched = true;
            } else {
                return;
            }
        }
    }

    /// Steps 3 to 5: leaders, and blobs that leave something behind.
    // Blobs that no `re:` follows can be removed all at once: what follows them stays the same, so
    // a leader cannot appear before they are gone. Going one by one would make the loop quadratic.
    fn leaders(&mut self) {
        loop {
            while self.at(self.start).first() == Some(&b' ') {
                self.start += 1;
            }
            let mut after = self.start;
            let mut before_last = self.start;
            while let Some(len) = blob(self.at(after)) {
                before_last = after;
                after += len;
            }
            if let Some(len) = refwd(self.at(after)) {
                self.start = after + len;
                self.touched = true;
            } else if after == self.start {
                return;
            } else if after < self.end {
                self.start = after;
            } else {
                // The last blob is the base when there is nothing else.
                self.start = before_last;
                return;
            }
        }
    }

    /// Step 6: `[fwd: ... ]` around the rest.
    fn forwarded(&mut self) -> bool {
        let text = self.at(self.start);
        let found =
            text.len() > 5 && text[..5].eq_ignore_ascii_case(b"[fwd:") && text.ends_with(b"]");
        if found {
            self.start += 5;
            self.end -= 1;
            self.touched = true;
        }
        found
    }
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`: its length.
fn blob(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'[') {
        return None;
    }
    let inside = crate::slice(text, 1, text.len());
    let close = memchr::memchr2(b'[', b']', inside)?;
    if inside.get(close) != Some(&b']') {
        return None;
    }
    Some(with_space(text, close + 2))
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`: its length.
fn refwd(text: &[u8]) -> Option<usize> {
    let word = [&b"re"[..], b"fwd", b"fw"].into_iter().find(|word| {
        text.get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word))
    })?;
    let mut len = with_space(text, word.len());
    len += blob(crate::slice(text, len, text.len())).unwrap_or(0);
    (text.get(len) == Some(&b':')).then_some(len + 1)
}

fn with_space(text: &[u8], mut len: usize) -> usize {
    while text.get(len) == Some(&b' ') {
        len += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (subject, base, touched) in [
            ("", "", false),
            (" \t\r\n ", "", false),
            ("Hello", "Hello", false),
            ("Re: Hello", "Hello", true),
            ("RE : Hello", "Hello", true),
            ("re[2]: Hello", "Hello", true),
            ("Re [a] : Hello", "Hello", true),
            ("Fwd: fw: Re:Hello", "Hello", true),
            ("Hello (fwd) (FWD) ", "Hello", true),
            ("Hello(fwd)", "Hello", true),
            ("[list] Hello", "Hello", false),
            ("[list] Re: [other] Hello", "Hello", true),
            ("[a] [b]  Re: Hello", "Hello", true),
            ("[blob]", "[blob]", false),
            ("[a] [b]", "[b]", false),
            ("Re: [blob]", "[blob]", true),
            ("[a [b] c", "[a [b] c", false),
            ("[fwd: Hello]", "Hello", true),
            ("[Fwd: Re: [x] Hello (fwd)] (fwd)", "Hello", true),
            ("[Fwd: [Fwd: a]]", "a", true),
            ("[Fwd: ]", "", true),
            ("re", "re", false),
            ("re:", "", true),
            ("Re: re", "re", true),
            ("Regarding: x", "Regarding: x", false),
            ("a   b\t\tc", "a b c", false),
            ("Ré: x", "Ré: x", false),
            ("(fwd)", "", true),
            ("AW: x", "AW: x", false),
        ] {
            assert_eq!(
                base_subject(subject),
                (base.to_owned(), touched),
                "{subject:?}"
            );
        }
    }

    #[test]
    fn long_runs_take_linear_time() {
        for piece in [
            "[a]", "[fwd:", "re:", "(fwd)", "[", "[fwd:]", "re[", "re [a]:",
        ] {
            base_subject(&piece.repeat(300_000));
        }
    }
}
