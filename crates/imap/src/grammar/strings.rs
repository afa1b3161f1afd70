//! Atoms, strings, numbers and flags.

use super::cursor::{BadSyntax, Cursor, Parsed, is_astring_char, is_atom_char};
use bytes::Bytes;
use std::borrow::Cow;
use types::{Flags, Keyword};

/// The flags of a `flag-list`: system flags and keywords.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlagList {
    /// System flags.
    pub flags: Flags,
    /// Keywords, each once.
    pub keywords: Vec<Keyword>,
}

impl<'a> Cursor<'a> {
    /// `atom`.
    pub fn atom(&mut self) -> Parsed<&'a [u8]> {
        self.take_while1(is_atom_char, "expected an atom")
    }

    /// `string = quoted / literal`.
    pub fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.try_string()? {
            Some(string) => Ok(string),
            None => Err(BadSyntax("expected a quoted string or a literal")),
        }
    }

    /// `string`, if one begins here.
    pub fn try_string(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if let Some(quoted) = self.try_quoted()? {
            return Ok(Some(quoted));
        }
        let Some(literal) = self.try_literal()? else {
            return Ok(None);
        };
        // RFC 9051 9: literal is *CHAR8, and CHAR8 excludes NUL.
        if memchr::memchr(0, &literal).is_some() {
            return Err(BadSyntax("NUL in literal"));
        }
        Ok(Some(Cow::Owned(literal.into())))
    }

    /// `astring = 1*ASTRING-CHAR / string`.
    pub fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.try_string()? {
            Some(string) => Ok(string),
            None => self
                .take_while1(is_astring_char, "expected a string")
                .map(Cow::Borrowed),
        }
    }

    /// `nstring = string / nil`.
    pub fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.eat_word(b"NIL") {
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// `literal`; any octet is let through.
    pub fn literal(&mut self) -> Parsed<Bytes> {
        self.try_literal()?.ok_or(BadSyntax("expected a literal"))
    }

    /// `literal / literal8`, and whether it was the latter (RFC 3516 7, RFC 4466 3).
    pub fn literal_or_literal8(&mut self) -> Parsed<(Bytes, bool)> {
        let binary = self.eat(b"~");
        Ok((self.literal()?, binary))
    }

    /// `number`: 0 to 2^32 - 1.
    pub fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| BadSyntax("number too large"))
    }

    /// `number64`, `mod-sequence-valzer`: 0 to 2^63 - 1.
    pub fn number64(&mut self) -> Parsed<u64> {
        let digits = self.take_while1(|c| c.is_ascii_digit(), "expected a number")?;
        digits
            .iter()
            .try_fold(0u64, |n, &d| {
                n.checked_mul(10)?.checked_add(u64::from(d - b'0'))
            })
            .filter(|&n| n < 1 << 63)
            .ok_or(BadSyntax("number too large"))
    }

    /// `nz-number`.
    pub fn nz_number(&mut self) -> Parsed<u32> {
        match self.number()? {
            0 => Err(BadSyntax("number must not be zero")),
            n => Ok(n),
        }
    }

    /// `flag-list`: `(` flags `)`.
    pub fn flag_list(&mut self) -> Parsed<FlagList> {
        let mut found = FlagList::default();
        self.list(true, |c| c.flag_into(&mut found))?;
        Ok(found)
    }

    /// `store-att-flags` takes `flag-list / (flag *(SP flag))`.
    pub fn flags_with_or_without_list(&mut self) -> Parsed<FlagList> {
        if self.peek() == Some(b'(') {
            return self.flag_list();
        }
        let mut found = FlagList::default();
        self.flag_into(&mut found)?;
        while self.eat(b" ") {
            self.flag_into(&mut found)?;
        }
        Ok(found)
    }

    fn flag_into(&mut self, found: &mut FlagList) -> Parsed<()> {
        if self.eat(b"\\") {
            let name = text(self.atom()?)?;
            let flag = Flags::NAMES
                .into_iter()
                .find(|(_, n)| n.trim_start_matches('\\').eq_ignore_ascii_case(name));
            match flag {
                Some((flag, _)) => found.flags = found.flags.union(flag),
                // RFC 3501 2.3.2: clients cannot alter \Recent. Those that copy flags send it; it
                // means nothing.
                None if name.eq_ignore_ascii_case("Recent") => {}
                None => return Err(BadSyntax("unknown system flag")),
            }
            return Ok(());
        }
        let raw = self.take_while1(is_atom_char, "expected a flag")?;
        let keyword = Keyword::new(text(raw)?).map_err(|_| BadSyntax("keyword too long"))?;
        if !found.keywords.contains(&keyword) {
            found.keywords.push(keyword);
        }
        Ok(())
    }
}

/// Atoms are ASCII.
fn text(atom: &[u8]) -> Parsed<&str> {
    std::str::from_utf8(atom).map_err(|_| BadSyntax("expected ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        for raw in ["", "-1", "4294967296", "99999999999999999999999"] {
            assert!(Cursor::of(raw.as_bytes()).number().is_err(), "{raw}");
        }
        assert!(Cursor::of(b"0").nz_number().is_err());
        assert!(Cursor::of(b"9223372036854775808").number64().is_err());
        assert_eq!(
            Cursor::of(b"9223372036854775807").number64(),
            Ok(i64::MAX.cast_unsigned())
        );
    }

    #[test]
    fn flags_are_told_apart() {
        assert!(Cursor::of(b"(\\Nonsense)").flag_list().is_err());
        assert!(Cursor::of(b"(a b").flag_list().is_err());
        let list = Cursor::of(b"(\\seen $Junk \\Recent $junk)")
            .flag_list()
            .unwrap();
        assert_eq!(list.flags, Flags::SEEN);
        assert_eq!(list.keywords, [Keyword::new("$Junk").unwrap()]);
        let list = Cursor::of(b"\\Seen \\Deleted")
            .flags_with_or_without_list()
            .unwrap();
        assert_eq!(list.flags, Flags::SEEN.union(Flags::DELETED));
    }

    #[test]
    fn strings_are_read() {
        assert_eq!(Cursor::of(b"a]b c").astring().unwrap(), b"a]b".as_slice());
        assert_eq!(Cursor::of(b"\"\"").astring().unwrap(), b"".as_slice());
        assert_eq!(Cursor::of(b"nil").nstring().unwrap(), None);
        assert!(Cursor::of(b"nila").nstring().is_err());
    }
}
