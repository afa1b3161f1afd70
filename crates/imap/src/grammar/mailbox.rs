//! Mailbox names on the wire.

use super::cursor::{BadSyntax, Cursor, Parsed, is_list_char};
use super::patterns::Pattern;
use super::utf7;
use std::borrow::Cow;
use types::{InvalidName, MailboxName, SEPARATOR};

/// How mailbox names are written on a connection, in both directions. The one place that knows;
/// [`Enabled::names`](crate::session::Enabled::names) says which it is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Names {
    /// In modified UTF-7 (RFC 3501 5.1.3).
    #[default]
    Utf7,
    /// As they are (RFC 9051 5.1, RFC 9755 3).
    Utf8,
}

impl Names {
    /// The text of a name or a pattern.
    ///
    /// # Errors
    /// What is wrong with the encoding.
    pub fn decode(self, raw: &[u8]) -> Result<Cow<'_, str>, InvalidName> {
        // RFC 6855 3: UTF-8 is taken from everybody. Nothing is ambiguous: no octet of modified
        // UTF-7 is above 0x7f.
        if self == Self::Utf8 || !raw.is_ascii() {
            let text = std::str::from_utf8(raw);
            return text
                .map(Cow::Borrowed)
                .map_err(|_| InvalidName("mailbox name is not valid UTF-8"));
        }
        let text = utf7::decode(raw).map_err(|BadSyntax(why)| InvalidName(why))?;
        Ok(Cow::Owned(text))
    }

    /// A name as it is sent, without quotes.
    pub fn encode(self, name: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(name.as_bytes()),
            Self::Utf7 => {
                let mut encoded = Vec::with_capacity(name.len());
                utf7::encode(name, &mut encoded);
                Cow::Owned(encoded)
            }
        }
    }
}

/// A mailbox name as a client wrote it. Syntax is the parser's business; whether a mailbox may be
/// called that is found out when the command runs, and is a NO, not a BAD.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawName {
    /// The name, or what is wrong with it.
    pub name: Result<MailboxName, InvalidName>,
    /// What the client calls it, where that is not the name (RFC 9051 6.3.9.7).
    pub old_name: Option<Box<str>>,
    /// Whether it ended in the separator (RFC 9051 6.3.4: names will be created below).
    pub wants_children: bool,
}

impl RawName {
    /// A name that does not come as an argument of its own.
    pub fn of(name: Result<MailboxName, InvalidName>) -> Self {
        Self {
            name,
            old_name: None,
            wants_children: false,
        }
    }
}

impl Cursor<'_> {
    /// `mailbox = "INBOX" / astring`.
    pub fn mailbox(&mut self) -> Parsed<RawName> {
        let raw = self.astring()?;
        Ok(raw_name(self.names(), &raw))
    }

    /// `mailbox`, or `None` for an empty string.
    pub fn mailbox_or_nothing(&mut self) -> Parsed<Option<RawName>> {
        let raw = self.astring()?;
        Ok((!raw.is_empty()).then(|| raw_name(self.names(), &raw)))
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
        let names = self.names();
        let raw = self.list_mailbox()?;
        Ok(Pattern::new(names, reference, &raw))
    }
}

fn raw_name(names: Names, raw: &[u8]) -> RawName {
    let text = names.decode(raw);
    let name = text
        .as_ref()
        .map_err(|why| *why)
        .and_then(|text| MailboxName::new(text));
    let old_name = match (&text, &name) {
        (Ok(text), Ok(name)) => {
            let text = text.strip_suffix(SEPARATOR).unwrap_or(text);
            (text != name.as_str()).then(|| text.into())
        }
        _ => None,
    };
    RawName {
        name,
        old_name,
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
        let inbox = read("inbox");
        assert_eq!(inbox.name, Ok(MailboxName::inbox()));
        assert_eq!(inbox.old_name.as_deref(), Some("inbox"));
        let drafts = read("\"Entw&APw-rfe\"");
        assert_eq!(drafts.name.unwrap().as_str(), "Entw\u{fc}rfe");
        assert_eq!(drafts.old_name, None);
        let parent = read("a/b/");
        assert!(parent.wants_children);
        assert_eq!(parent.name.unwrap().as_str(), "a/b");
        assert_eq!(parent.old_name, None);
    }

    #[test]
    fn utf8_is_taken_in_either_way_and_an_ampersand_means_two_things() {
        for names in [Names::Utf7, Names::Utf8] {
            let name = raw_name(names, "a&b\u{fc}".as_bytes()).name.unwrap();
            assert_eq!(name.as_str(), "a&b\u{fc}");
            assert!(raw_name(names, b"a\xfc").name.is_err());
        }
        let name = raw_name(Names::Utf8, b"&APw-").name.unwrap();
        assert_eq!(name.as_str(), "&APw-");
        assert_eq!(&*Names::Utf7.encode("&APw-"), b"&-APw-");
    }

    #[test]
    fn names_that_are_not_normalised_are_known_by_both() {
        let name = raw_name(Names::Utf8, "u\u{308}".as_bytes());
        assert_eq!(name.name.unwrap().as_str(), "\u{fc}");
        assert_eq!(name.old_name.as_deref(), Some("u\u{308}"));
    }
}
