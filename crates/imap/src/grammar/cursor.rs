//! The reading head over one assembled command.

use super::mailbox::Names;
use bytes::Bytes;
use std::borrow::Cow;

/// The client broke the grammar; the text says where, for the tagged BAD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadSyntax(pub &'static str);

/// What every rule of the grammar answers.
pub type Parsed<T> = Result<T, BadSyntax>;

/// A command as it was read: its text with the `{n}` of each literal still in it, followed by CRLF,
/// and the literals beside it. No CRLF can stand anywhere else in the text.
#[derive(Clone, Default, Debug)]
pub struct Command {
    /// The text, without the CRLF that ended the command.
    pub text: Bytes,
    /// The literals, in order.
    pub literals: Vec<Bytes>,
}

/// Reads a command from left to right. All rules either consume what they return or fail; a failed
/// rule leaves the position undefined, except those whose name begins with `eat`, `peek` or `try`.
pub struct Cursor<'a> {
    rest: &'a [u8],
    literals: &'a [Bytes],
    names: Names,
    numbers: bool,
    starved: bool,
}

/// What is left of a command at some place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// Octets of text.
    pub text: usize,
    /// Literals.
    pub literals: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `command`, of a client that writes mailbox names so.
    pub fn new(command: &'a Command, names: Names) -> Self {
        Self::over(&command.text, &command.literals, names)
    }

    /// Over text without literals.
    pub fn of(text: &'a [u8]) -> Self {
        Self::over(text, &[], Names::default())
    }

    /// Over the parts of a command, of which the last literals may not be there yet.
    pub fn over(text: &'a [u8], literals: &'a [Bytes], names: Names) -> Self {
        Self {
            rest: text,
            literals,
            names,
            numbers: false,
            starved: false,
        }
    }

    /// Whether a rule failed because a literal is not there yet.
    pub fn is_starved(&self) -> bool {
        self.starved
    }

    /// Where the reading head stands.
    pub fn left(&self) -> Left {
        Left {
            text: self.rest.len(),
            literals: self.literals.len(),
        }
    }

    /// How the client writes mailbox names.
    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// What was read names messages by sequence number.
    pub(super) fn set_names_numbers(&mut self) {
        self.numbers = true;
    }

    /// Whether anything read so far names messages by sequence number.
    pub fn names_numbers(&self) -> bool {
        self.numbers
    }

    /// What is left of the text.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Whether the text is used up.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may follow.
    pub fn end(&self) -> Parsed<()> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(BadSyntax("unexpected text after the command"))
        }
    }

    /// Consumes `token` if it is next, letters in any case.
    pub fn eat(&mut self, token: &[u8]) -> bool {
        match self.rest.split_at_checked(token.len()) {
            Some((head, tail)) if head.eq_ignore_ascii_case(token) => {
                self.rest = tail;
                true
            }
            _ => false,
        }
    }

    /// Consumes `word` if it is the whole next atom.
    pub fn eat_word(&mut self, word: &[u8]) -> bool {
        let len = self.rest.iter().take_while(|&&c| is_atom_char(c)).count();
        len == word.len() && self.eat(word)
    }

    /// `token` must be next.
    pub fn expect(&mut self, token: &'static [u8], otherwise: &'static str) -> Parsed<()> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(BadSyntax(otherwise))
        }
    }

    /// One space. Some clients send several; RFC 9051 9 (1) does not allow that and neither do we.
    pub fn sp(&mut self) -> Parsed<()> {
        self.expect(b" ", "expected a space")
    }

    /// The longest run of bytes that satisfy `class`, at least one.
    pub fn take_while1(
        &mut self,
        class: fn(u8) -> bool,
        otherwise: &'static str,
    ) -> Parsed<&'a [u8]> {
        let len = self.rest.iter().take_while(|&&c| class(c)).count();
        if len == 0 {
            return Err(BadSyntax(otherwise));
        }
        self.take(len, otherwise)
    }

    /// Exactly `len` bytes of text.
    pub fn take(&mut self, len: usize, otherwise: &'static str) -> Parsed<&'a [u8]> {
        let (head, tail) = self
            .rest
            .split_at_checked(len)
            .ok_or(BadSyntax(otherwise))?;
        self.rest = tail;
        Ok(head)
    }

    /// `1*` of items between parentheses, separated by single spaces; with `EMPTY`, possibly none.
    pub fn list<T>(
        &mut self,
        may_be_empty: bool,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.expect(b"(", "expected a parenthesised list")?;
        let mut items = Vec::new();
        if may_be_empty && self.eat(b")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(b")") {
                return Ok(items);
            }
            self.expect(
                b" ",
                "expected a space or a closing parenthesis in the list",
            )?;
        }
    }

    /// The literal whose `{n}` is next, if one is next. `literal8` (`~{n}`) is for the caller to
    /// ask for.
    pub fn try_literal(&mut self) -> Parsed<Option<Bytes>> {
        if self.peek() != Some(b'{') {
            return Ok(None);
        }
        // The assembler has checked form and length: a `{n}` that is followed by CRLF has its
        // literal.
        let close = memchr::memchr(b'}', self.rest).ok_or(BadSyntax("malformed literal"))?;
        let tail = self
            .rest
            .get(close + 1..)
            .and_then(|t| t.strip_prefix(b"\r\n"));
        match (tail, self.literals.split_first()) {
            (Some(tail), Some((literal, others))) => {
                self.rest = tail;
                self.literals = others;
                Ok(Some(literal.clone()))
            }
            (Some(_), None) => {
                self.starved = true;
                Err(BadSyntax("the literal is missing"))
            }
            _ => Err(BadSyntax("malformed literal")),
        }
    }

    /// `quoted`, if a quote is next. 8-bit text is let through: passwords and search strings have
    /// it. From a client that may quote UTF-8 it must be that.
    pub fn try_quoted(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        let Some(inner) = self.rest.strip_prefix(b"\"") else {
            return Ok(None);
        };
        let end =
            memchr::memchr2(b'"', b'\\', inner).ok_or(BadSyntax("unterminated quoted string"))?;
        if inner.get(end) == Some(&b'"') {
            let text = inner.get(..end).unwrap_or_default();
            self.rest = inner.get(end + 1..).unwrap_or_default();
            return self.quotable(text).map(|()| Some(Cow::Borrowed(text)));
        }
        let mut text = Vec::new();
        let mut bytes = inner.iter().enumerate();
        while let Some((i, &c)) = bytes.next() {
            match c {
                b'"' => {
                    self.rest = inner.get(i + 1..).unwrap_or_default();
                    return self.quotable(&text).map(|()| Some(Cow::Owned(text)));
                }
                // RFC 9051 9: quoted-specials are the only characters a backslash may stand before.
                b'\\' => match bytes.next() {
                    Some((_, &escaped @ (b'"' | b'\\'))) => text.push(escaped),
                    _ => return Err(BadSyntax("invalid escape in quoted string")),
                },
                _ => text.push(c),
            }
        }
        Err(BadSyntax("unterminated quoted string"))
    }

    fn quotable(&self, text: &[u8]) -> Parsed<()> {
        // RFC 9051 9: TEXT-CHAR is neither CR nor LF (nor NUL).
        if memchr::memchr3(0, b'\r', b'\n', text).is_some() {
            return Err(BadSyntax("control character in quoted string"));
        }
        // RFC 6855 3: what is not UTF-8 is a BAD.
        if self.names == Names::Utf8 && std::str::from_utf8(text).is_err() {
            return Err(BadSyntax("quoted string is not valid UTF-8"));
        }
        Ok(())
    }
}

/// RFC 9051 9: `ATOM-CHAR`.
pub fn is_atom_char(c: u8) -> bool {
    c.is_ascii_graphic() && !matches!(c, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// RFC 9051 9: `ASTRING-CHAR`.
pub fn is_astring_char(c: u8) -> bool {
    is_atom_char(c) || c == b']'
}

/// RFC 9051 9: `list-char`.
pub fn is_list_char(c: u8) -> bool {
    is_astring_char(c) || matches!(c, b'%' | b'*')
}

/// RFC 9051 9: `tag`.
pub fn is_tag_char(c: u8) -> bool {
    is_astring_char(c) && c != b'+'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_strings_are_refused() {
        for raw in ["\"", "\"abc", "\"a\\n\"", "\"a\\", "\"a\0b\"", "\"a\\\"b"] {
            assert!(Cursor::of(raw.as_bytes()).try_quoted().is_err(), "{raw:?}");
        }
        for raw in ["{", "{3", "{3}", "{3}\r\nabc"] {
            assert!(Cursor::of(raw.as_bytes()).try_literal().is_err(), "{raw:?}");
        }
        for raw in ["(", "()", "( a)", "(a", "(a  b)", "(a b "] {
            let list = Cursor::of(raw.as_bytes())
                .list(false, |c| c.take_while1(is_atom_char, "atom").map(drop));
            assert!(list.is_err(), "{raw:?}");
        }
    }

    #[test]
    fn quoted_strings_and_literals_are_read() {
        let mut c = Cursor::of(b"\"a \\\"b\\\\\" rest");
        assert_eq!(c.try_quoted().unwrap().unwrap(), b"a \"b\\".as_slice());
        assert_eq!(c.rest(), b" rest");
        let command = Command {
            text: Bytes::from_static(b"{3+}\r\n {0}\r\n"),
            literals: vec!["a}c".into(), "".into()],
        };
        let mut c = Cursor::new(&command, Names::Utf7);
        assert_eq!(c.try_literal().unwrap().unwrap(), "a}c");
        c.sp().unwrap();
        let (text, literals) = (5, 1);
        assert_eq!(c.left(), Left { text, literals });
        assert_eq!(c.try_literal().unwrap().unwrap(), "");
        c.end().unwrap();
    }

    #[test]
    fn who_may_quote_utf8_quotes_nothing_else() {
        for (raw, utf7, utf8) in [
            ("\"\u{e4}\"".as_bytes(), true, true),
            (b"\"\xe4\"", true, false),
            (b"\"\\\\\xe4\"", true, false),
            (b"\"\xed\xa0\x80\"", true, false),
        ] {
            let command = Command {
                text: Bytes::copy_from_slice(raw),
                literals: Vec::new(),
            };
            let read = |names| Cursor::new(&command, names).try_quoted().is_ok();
            assert_eq!(read(Names::Utf7), utf7, "{raw:?}");
            assert_eq!(read(Names::Utf8), utf8, "{raw:?}");
        }
    }

    #[test]
    fn a_literal_that_is_to_come_is_told_from_a_broken_one() {
        for (text, starved) in [("{3}\r\n", true), ("{3}", false), ("(", false)] {
            let mut c = Cursor::of(text.as_bytes());
            assert!(c.literal().is_err());
            assert_eq!(c.is_starved(), starved, "{text:?}");
        }
    }

    #[test]
    fn words_are_whole_atoms() {
        let mut c = Cursor::of(b"uidvalidity");
        assert!(!c.eat_word(b"UID"));
        assert!(c.eat_word(b"UIDVALIDITY"));
    }
}
