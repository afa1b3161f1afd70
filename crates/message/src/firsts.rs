//! The first addresses of a rendered ENVELOPE: what SORT orders by (RFC 5256, RFC 5957).

use std::borrow::Cow;

use crate::lex::unescape;
use crate::slice;
use crate::words::decode_words;

/// The first address of each list SORT looks at; what is missing is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirstAddresses {
    /// Of From.
    pub from: FirstAddress,
    /// Of To.
    pub to: FirstAddress,
    /// Of Cc.
    pub cc: FirstAddress,
}

/// An address as ENVELOPE shows it, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirstAddress {
    /// The addr-mailbox; of a group, its name.
    pub mailbox: String,
    /// The display name; without one the whole address (RFC 5957 3).
    pub display: String,
}

/// Reads the lists of an envelope this crate has rendered.
pub(crate) fn first_addresses(envelope: &[u8]) -> FirstAddresses {
    let mut reader = Reader { rest: envelope };
    reader.eat(b"(");
    // Date and Subject.
    reader.nstring();
    reader.nstring();
    let from = reader.list();
    // Sender and Reply-To.
    reader.skip_list();
    reader.skip_list();
    let to = reader.list();
    let cc = reader.list();
    FirstAddresses { from, to, cc }
}

/// Reads rendered text from left to right; what is not of the form gives nothing.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn eat(&mut self, token: &[u8]) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = tail;
        head
    }

    /// `nstring`, and the space behind it.
    fn nstring(&mut self) -> Option<Cow<'a, [u8]>> {
        let text = match self.rest.first() {
            Some(b'"') => Some(self.quoted()),
            Some(b'{') => Some(Cow::Borrowed(self.literal())),
            _ => {
                self.eat(b"NIL");
                None
            }
        };
        self.eat(b" ");
        text
    }

    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let inside = slice(self.rest, 1, self.rest.len());
        let mut escaped = false;
        let mut len = 0;
        while let Some(at) = memchr::memchr2(b'"', b'\\', slice(inside, len, inside.len())) {
            len += at;
            if inside.get(len) == Some(&b'"') {
                break;
            }
            escaped = true;
            len += 2;
        }
        self.take(len + 2);
        let text = slice(inside, 0, len);
        if escaped {
            Cow::Owned(unescape(text))
        } else {
            Cow::Borrowed(text)
        }
    }

    fn literal(&mut self) -> &'a [u8] {
        let digits = self.rest.iter().skip(1).take_while(|b| b.is_ascii_digit());
        let (count, len) = digits.fold((0, 0usize), |(count, n), digit| {
            (
                count + 1,
                n.saturating_mul(10)
                    .saturating_add(usize::from(digit - b'0')),
            )
        });
        // The braces and CRLF.
        self.take(count + 4);
        self.take(len)
    }

    /// The first address of a list, which is read to its end.
    fn list(&mut self) -> FirstAddress {
        if !self.eat(b"((") {
            self.skip_list();
            return FirstAddress::default();
        }
        let name = self.nstring();
        self.nstring();
        let mailbox = self.nstring();
        let host = self.nstring();
        self.eat(b")");
        self.skip_addresses();
        let decode = |text: Option<Cow<'_, [u8]>>| text.map(|text| decode_words(&text));
        let (name, mailbox, host) = (decode(name), decode(mailbox), decode(host));
        let mailbox = mailbox.unwrap_or_default();
        let display = match (name, host) {
            (Some(name), _) if !name.is_empty() => name,
            (_, Some(host)) => format!("{mailbox}@{host}"),
            (_, None) => mailbox.clone(),
        };
        FirstAddress { mailbox, display }
    }

    fn skip_list(&mut self) {
        if self.eat(b"(") {
            self.skip_addresses();
        } else {
            self.nstring();
        }
    }

    /// The addresses up to the end of the list, and the space behind it.
    fn skip_addresses(&mut self) {
        while self.eat(b"(") {
            for _ in 0..4 {
                self.nstring();
            }
            self.eat(b")");
        }
        self.eat(b")");
        self.eat(b" ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::envelope;

    fn firsts(header: &str) -> FirstAddresses {
        let mut out = Vec::new();
        envelope(header.as_bytes(), &mut { 1000 }, &mut out);
        first_addresses(&out)
    }

    fn address(mailbox: &str, display: &str) -> FirstAddress {
        FirstAddress {
            mailbox: mailbox.to_owned(),
            display: display.to_owned(),
        }
    }

    #[test]
    fn any_bytes_give_some_answer() {
        for text in [
            "",
            "(",
            "((",
            "(\"",
            "(\"\\",
            "({",
            "({9",
            "({9}\r\nx",
            "({99999999999999999999999}\r\n",
            "(NIL NIL ((",
            "(NIL NIL ((NIL NIL \"a",
            "(NIL NIL (((((",
            "(((((((",
        ] {
            let _ = first_addresses(text.as_bytes());
        }
        assert_eq!(firsts(""), FirstAddresses::default());
    }

    #[test]
    fn the_first_of_each_list() {
        let long = "x".repeat(2000);
        for (value, expected) in [
            ("", address("", "")),
            ("a@b", address("a", "a@b")),
            ("Joe <a@b>, c@d", address("a", "Joe")),
            (
                "\"J \\\"o\\\" \\\\e\" <\"a b\"@b>",
                address("a b", "J \"o\" \\e"),
            ),
            (
                "=?utf-8?q?=C3=89a?= =?utf-8?q?b?= <a@b>",
                address("a", "Éab"),
            ),
            ("Éa <é@b>", address("é", "Éa")),
            ("\"\" <a@b>", address("a", "a@b")),
            // RFC 3501 7.4.2: the start of a group has no host; its name stands for the mailbox.
            ("Friends: a@b;", address("Friends", "Friends")),
            ("a@b (Joe)", address("a", "Joe")),
        ] {
            let header = format!(
                "Subject: x (\"y\r\nSender: s@t\r\nReply-To: r@t, r2@t\r\nFrom: {value}\r\nTo: {long} <t@u>, {value}\r\nCc: {value}\r\n\r\n"
            );
            let got = firsts(&header);
            assert_eq!(got.from, expected, "{value}");
            assert_eq!(got.cc, expected, "{value}");
            assert_eq!(got.to, address("t", &long));
        }
    }
}
