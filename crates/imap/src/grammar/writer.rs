//! Values in their wire form, appended to whatever buffer the connection writes from.

use super::cursor::is_astring_char;
use super::dates;
use super::mailbox::Names;
use mail::View;
use types::{Flags, Keyword, MailboxName, UidSet};

/// The longest text written as a quoted string; longer ones are literals.
const MAX_QUOTED: usize = 1024;

/// A buffer that takes protocol text.
pub trait Emit {
    /// Appends bytes as they are.
    fn raw(&mut self, bytes: &[u8]) -> &mut Self;

    /// Appends text as it is.
    fn text(&mut self, text: &str) -> &mut Self {
        self.raw(text.as_bytes())
    }

    /// Appends a number.
    fn num(&mut self, n: impl Into<u64>) -> &mut Self {
        let mut digits = itoa::Buffer::new();
        self.raw(digits.format(n.into()).as_bytes())
    }

    /// Ends a line.
    fn crlf(&mut self) -> &mut Self {
        self.raw(b"\r\n")
    }

    /// `{n}` and CRLF: the caller appends exactly `n` bytes.
    fn literal_head(&mut self, n: u64) -> &mut Self {
        self.raw(b"{").num(n).raw(b"}\r\n")
    }

    /// `string`: quoted if it can be, a literal otherwise.
    fn string(&mut self, bytes: &[u8]) -> &mut Self {
        let plain = bytes.len() <= MAX_QUOTED && bytes.iter().all(|&c| (b' '..=b'~').contains(&c));
        if !plain {
            return self.literal_head(bytes.len() as u64).raw(bytes);
        }
        self.quoted(bytes)
    }

    /// `quoted`, of bytes that can be that.
    fn quoted(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw(b"\"");
        let mut rest = bytes;
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            let (head, tail) = rest.split_at(at);
            let (special, tail) = tail.split_at(1);
            self.raw(head).raw(b"\\").raw(special);
            rest = tail;
        }
        self.raw(rest).raw(b"\"")
    }

    /// `astring`: without quotes if it can be, for what clients do not expect quotes around.
    fn astring(&mut self, bytes: &[u8]) -> &mut Self {
        let is_atom = !bytes.is_empty()
            && bytes.iter().all(|&c| is_astring_char(c))
            && !bytes.eq_ignore_ascii_case(b"NIL");
        if is_atom {
            self.raw(bytes)
        } else {
            self.string(bytes)
        }
    }

    /// `nstring`.
    fn nstring(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.string(bytes),
            None => self.raw(b"NIL"),
        }
    }

    /// `mailbox`, as the client reads names. Always a string: clients are more at ease with quotes
    /// than without.
    fn mailbox(&mut self, name: &MailboxName, names: Names) -> &mut Self {
        match name.is_inbox() {
            true => self.raw(b"INBOX"),
            false => self.mailbox_text(name.as_str(), names),
        }
    }

    /// The same for what a client called a mailbox.
    fn mailbox_text(&mut self, text: &str, names: Names) -> &mut Self {
        let encoded = names.encode(text);
        match encoded.len() <= MAX_QUOTED && !text.contains(char::is_control) {
            true => self.quoted(&encoded),
            false => self.string(&encoded),
        }
    }

    /// `uid-set`; the set must not be empty.
    fn uids(&mut self, uids: &UidSet) -> &mut Self {
        for (i, (a, b)) in uids.ranges().enumerate() {
            if i > 0 {
                self.raw(b",");
            }
            self.num(a.get());
            if a != b {
                self.raw(b":").num(b.get());
            }
        }
        self
    }

    /// `sequence-set` of numbers as they come; nothing is written for none.
    fn number_set(&mut self, numbers: impl Iterator<Item = u32>) -> &mut Self {
        let mut run: Option<(u32, u32)> = None;
        let mut is_first = true;
        for n in numbers {
            match run {
                Some((first, last)) if last.checked_add(1) == Some(n) => run = Some((first, n)),
                _ => {
                    self.number_range(run.replace((n, n)), &mut is_first);
                }
            }
        }
        self.number_range(run, &mut is_first);
        self
    }

    /// One range of [`Emit::number_set`].
    fn number_range(&mut self, run: Option<(u32, u32)>, is_first: &mut bool) {
        let Some((first, last)) = run else { return };
        if !std::mem::take(is_first) {
            self.raw(b",");
        }
        self.num(first);
        if first != last {
            self.raw(b":").num(last);
        }
    }

    /// `date-time`.
    fn date_time(&mut self, seconds: i64) -> &mut Self {
        let mut text = Vec::with_capacity(28);
        dates::write_date_time(&mut text, seconds);
        self.raw(&text)
    }

    /// A parenthesised list of flags: those of a row of `view`, and `\Recent`.
    fn flags(&mut self, flags: Flags, keywords: u64, recent: bool, view: &View) -> &mut Self {
        self.raw(
            SYSTEM_FLAGS
                .get(usize::from(flags.0 & Flags::ALL.0))
                .copied()
                .unwrap_or_default(),
        );
        let mut more = flags != Flags::NONE;
        if recent {
            self.raw(if more { b" \\Recent" } else { b"\\Recent" });
            more = true;
        }
        if keywords != 0 {
            for keyword in view.keywords_of(keywords) {
                if more {
                    self.raw(b" ");
                }
                self.text(keyword.as_str());
                more = true;
            }
        }
        self.raw(b")")
    }

    /// A parenthesised list: all system flags and the keywords.
    fn all_flags(&mut self, keywords: &[Keyword]) -> &mut Self {
        self.raw(b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft");
        for keyword in keywords {
            self.raw(b" ").text(keyword.as_str());
        }
        self.raw(b")")
    }
}

impl Emit for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.extend_from_slice(bytes);
        self
    }
}

impl Emit for bytes::BytesMut {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.extend_from_slice(bytes);
        self
    }
}

/// `(` and the names of each combination of system flags: FETCH FLAGS copies instead of building.
static SYSTEM_FLAGS: [&[u8]; 32] = {
    const fn build<const N: usize>(set: u8) -> ([u8; N], usize) {
        let mut out = [0; N];
        out[0] = b'(';
        let (mut len, mut i) = (1, 0);
        while i < Flags::NAMES.len() {
            let (flag, name) = Flags::NAMES[i];
            if set & flag.0 != 0 {
                if len > 1 {
                    out[len] = b' ';
                    len += 1;
                }
                let (name, mut j) = (name.as_bytes(), 0);
                while j < name.len() {
                    out[len] = name[j];
                    len += 1;
                    j += 1;
                }
            }
            i += 1;
        }
        (out, len)
    }
    const BUILT: [([u8; 48], usize); 32] = {
        let mut all = [([0; 48], 0); 32];
        let mut set = 0;
        while set < 32 {
            all[set as usize] = build::<48>(set);
            set += 1;
        }
        all
    };
    let mut slices: [&[u8]; 32] = [&[]; 32];
    let mut i = 0;
    while i < 32 {
        slices[i] = BUILT[i].0.split_at(BUILT[i].1).0;
        i += 1;
    }
    slices
};

#[cfg(test)]
mod tests {
    use super::*;

    fn written(f: impl FnOnce(&mut Vec<u8>) -> &mut Vec<u8>) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_that_cannot_be_quoted_are_literals() {
        assert_eq!(written(|o| o.string(b"a\r\nb")), "{4}\r\na\r\nb");
        assert_eq!(written(|o| o.string("\u{e4}".as_bytes())), "{2}\r\n\u{e4}");
        assert_eq!(written(|o| o.string(b"a\"\\b")), "\"a\\\"\\\\b\"");
        assert_eq!(written(|o| o.nstring(None)), "NIL");
        for (text, want) in [
            ("bob@x.org", "bob@x.org"),
            ("nil", "\"nil\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("\u{e4}", "{2}\r\n\u{e4}"),
        ] {
            assert_eq!(written(|o| o.astring(text.as_bytes())), want);
        }
    }

    #[test]
    fn names_are_encoded() {
        let name = MailboxName::new("Entw\u{fc}rfe/\"x\"").unwrap();
        for (names, want) in [
            (Names::Utf7, "\"Entw&APw-rfe/\\\"x\\\"\""),
            (Names::Utf8, "\"Entw\u{fc}rfe/\\\"x\\\"\""),
        ] {
            assert_eq!(written(|o| o.mailbox(&name, names)), want);
            assert_eq!(
                written(|o| o.mailbox(&MailboxName::inbox(), names)),
                "INBOX"
            );
        }
    }

    #[test]
    fn every_combination_of_system_flags_is_listed() {
        for set in 0..32u8 {
            let names: Vec<_> = Flags::NAMES
                .iter()
                .filter(|(f, _)| Flags(set).contains(*f))
                .map(|(_, n)| *n)
                .collect();
            assert_eq!(
                SYSTEM_FLAGS[usize::from(set)],
                format!("({}", names.join(" ")).as_bytes()
            );
        }
    }
}
