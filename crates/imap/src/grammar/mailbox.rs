//! Mailbox names on the wire.

use super::cursor::{BadSyntax, Cursor, Parsed, is_list_char};
use super::patterns::Pattern;
use super::utf7;
use std::borrow::Cow;
use types::{InvalidName, MailboxName, SEPARATOR};

/// A mailbox name as a client wrote it. Syntax is the parser's business; whether a mailbox may be
/// called that is found out when the command runs, and is a NO, not a BAD.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawName {
    /// The name, or what is wrong with it.
    pub name: Result<MailboxName, InvalidName>,
    /// Whether it ended in the separator (RFC 9051 6.3.4: names will be created below).
    pub wants_children: bool,
}

impl Cursor<'_> {
    /// `mailbox = "INBOX" / astring`.
    pub fn mailbox(&mut self) -> Parsed<RawName> {
        let raw = self.astring()?;
        Ok(raw_name(&raw))
    }

    /// `mailbox`, or `None` for an empty string.
    pub fn mailbox_or_nothing(&mut self) -> Parsed<Option<RawName>> {
        let raw = self.astring()?;
        Ok((!raw.is_empty()).then(|| raw_name(&raw)))
    }

    /// `list-mailbox = 1*list-char / string`.
    pub fn list_mailbox(&mut self) -> Parsed<Cow<'_, [u8]>> {
        match self.try_string()? {
            Some(string) => Ok(string),
            None => self
                .take_while1(is_list_char, "expected a mailbox pattern")
                .map(Cow::Borrowed),
        }
    }

    /// `list-mailbox` behind the reference name it is to be read in.
    pub fn pattern(&mut self, reference: &[u8]) -> Parsed<Pattern> {
        let raw = self.list_mailbox()?;
        Ok(Pattern::new(reference, &raw))
    }
}

fn raw_name(raw: &[u8]) -> RawName {
    let name = match utf7::decode(raw) {
        Ok(text) => MailboxName::new(&text),
        Err(BadSyntax(why)) => Err(InvalidName(why)),
    };
    RawName {
        name,
        wants_children: raw.last() == Some(&(SEPARATOR as u8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_and_normalised() {
        let read = |raw: &str| Cursor::of(raw.as_bytes()).mailbox().unwrap();
        assert!(read("\"&bad\"").name.is_err());
        assert!(read("\"\"").name.is_err());
        assert!(read("a//b").name.is_err());
        assert_eq!(read("inbox").name, Ok(MailboxName::inbox()));
        assert_eq!(
            read("\"Entw&APw-rfe\"").name.unwrap().as_str(),
            "Entw\u{fc}rfe"
        );
        let parent = read("a/b/");
        assert!(parent.wants_children);
        assert_eq!(parent.name.unwrap().as_str(), "a/b");
    }
}
