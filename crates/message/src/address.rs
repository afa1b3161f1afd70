//! Address lists (RFC 5322 3.4, with its obsolete forms), read tolerantly.

use std::borrow::Cow;

use crate::lex::{Lex, is_space, unescape};
use crate::slice;
use crate::words::decode_words;

/// Stands for a mailbox name a sender left out: a NIL there would mean the end of a group.
pub(crate) const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";
/// Stands for a host name a sender left out: a NIL there would mean the start of a group.
pub(crate) const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";

/// One member of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address<'a> {
    /// A mailbox. Encoded words are left as they are, quoting is removed.
    Mailbox {
        /// The display name, or the comment that stands in for one.
        name: Option<Cow<'a, [u8]>>,
        /// The source route, `@a,@b`.
        route: Option<Cow<'a, [u8]>>,
        /// The local part; None when missing.
        local: Option<Cow<'a, [u8]>>,
        /// The domain; None when missing.
        domain: Option<Cow<'a, [u8]>>,
    },
    /// The start of a group, with its name.
    GroupStart(Cow<'a, [u8]>),
    /// The end of a group.
    GroupEnd,
}

/// Longer address fields are read this far, so that a stranger's field costs bounded memory.
const MAX_FIELD: usize = 1 << 20;

/// The addresses of a raw field value (of its first MiB), in order; never fails.
pub fn addresses(value: &[u8]) -> Vec<Address<'_>> {
    let value = slice(value, 0, MAX_FIELD.min(value.len()));
    let mut parser = Parser {
        lex: Lex::new(value),
        out: Vec::new(),
        in_group: false,
    };
    while parser.member() {}
    if parser.in_group {
        parser.out.push(Address::GroupEnd);
    }
    parser.out
}

/// What SEARCH FROM, TO, CC and BCC look at: every address of the raw value as `Name
/// <route:local@domain>`, decoded, separated by `, `.
pub fn address_texts(value: &[u8]) -> String {
    let mut text = String::new();
    for address in addresses(value) {
        let separator = if text.is_empty() { "" } else { ", " };
        match address {
            Address::Mailbox {
                name,
                route,
                local,
                domain,
            } => {
                text.push_str(separator);
                let name = name.map(|name| decode_words(&name)).unwrap_or_default();
                // The route is part of the envelope too: addr-adl (RFC 9051 7.5.2).
                let route = route.map(|route| format!("{}:", decode_words(&route)));
                let local = route.unwrap_or_default() + &decode_words(&local.unwrap_or_default());
                let domain = domain.map(|domain| format!("@{}", decode_words(&domain)));
                let address = local + &domain.unwrap_or_default();
                match (name.is_empty(), address.is_empty()) {
                    (true, _) => text.push_str(&address),
                    (false, true) => text.push_str(&name),
                    (false, false) => text.push_str(&format!("{name} <{address}>")),
                }
            }
            Address::GroupStart(name) => {
                text.push_str(separator);
                text.push_str(&decode_words(&name));
                text.push(':');
            }
            Address::GroupEnd => {}
        }
    }
    text
}

/// A word of a phrase or of a local part.
struct Word<'a> {
    text: Cow<'a, [u8]>,
    /// White space or a comment stood before it.
    spaced: bool,
}

struct Parser<'a> {
    lex: Lex<'a>,
    out: Vec<Address<'a>>,
    in_group: bool,
}

impl<'a> Parser<'a> {
    /// Reads one member and its separator; false at the end.
    fn member(&mut self) -> bool {
        let start = self.lex.pos();
        let (words, comment) = self.words();
        match self.lex.peek() {
            Some(b'<') => {
                let name = phrase(words);
                self.angle(name, comment);
                self.rest_of_member();
            }
            Some(b'@') => {
                self.bare(start, words, comment);
                self.rest_of_member();
            }
            Some(b':') => {
                self.lex.bump();
                if self.in_group {
                    self.out.push(Address::GroupEnd);
                }
                self.in_group = true;
                self.out
                    .push(Address::GroupStart(phrase(words).unwrap_or_default()));
            }
            Some(b';') => {
                self.lex.bump();
                self.no_at(words, comment);
                if std::mem::take(&mut self.in_group) {
                    self.out.push(Address::GroupEnd);
                }
            }
            Some(_) => {
                self.lex.bump();
                self.no_at(words, comment);
            }
            None => {
                self.no_at(words, comment);
                return false;
            }
        }
        true
    }

    /// Words up to one of `< @ : ; ,` or the end, and the last comment among them.
    fn words(&mut self) -> (Vec<Word<'a>>, Option<&'a [u8]>) {
        let mut words = Vec::new();
        let mut comment = None;
        loop {
            let before = self.lex.pos();
            comment = self.lex.cfws().or(comment);
            let spaced = self.lex.pos() > before;
            let text = match self.lex.peek() {
                None | Some(b'<' | b'@' | b':' | b';' | b',') => return (words, comment),
                Some(b'"') => self.lex.quoted(),
                Some(_) => Cow::Borrowed(self.lex.until(|b| {
                    is_space(b) || matches!(b, b'<' | b'@' | b':' | b';' | b',' | b'"' | b'(')
                })),
            };
            words.push(Word { text, spaced });
        }
    }

    /// A phrase where an address was expected.
    fn no_at(&mut self, mut words: Vec<Word<'a>>, comment: Option<&'a [u8]>) {
        let (name, local) = match words.as_slice() {
            [] => return,
            [word] if !word.text.iter().any(|&b| is_space(b)) => {
                (comment_name(comment), words.pop().map(|word| word.text))
            }
            _ => (phrase(words), None),
        };
        self.out.push(Address::Mailbox {
            name,
            route: None,
            local,
            domain: None,
        });
    }

    /// `local@domain` without angle brackets, at the `@`.
    fn bare(&mut self, member: usize, mut words: Vec<Word<'a>>, comment: Option<&'a [u8]>) {
        // RFC 5322 4.4: white space may stand around the dots of a local part; without a dot it
        // separates a name that lost its angle brackets.
        let mut start = words.len().saturating_sub(1);
        while let [before, word, ..] = words.get(start.saturating_sub(1)..).unwrap_or_default() {
            let dotted = before.text.ends_with(b".") || word.text.starts_with(b".");
            if start == 0 || (word.spaced && !dotted) {
                break;
            }
            start -= 1;
        }
        let local = joined(words.split_off(start));
        self.lex.bump();
        let domain = self.domain();
        let all = self.lex.since(member);
        let after = self.lex.cfws();
        if self.lex.peek() == Some(b'<') {
            // `a@b <a@b>`: an unquoted address as the display name.
            return self.angle(Some(one_line(Cow::Borrowed(all))), None);
        }
        let name = phrase(words).or_else(|| comment_name(after.or(comment)));
        self.out.push(Address::Mailbox {
            name,
            route: None,
            local,
            domain,
        });
    }

    /// `<route:local@domain>`, at the `<`.
    fn angle(&mut self, name: Option<Cow<'a, [u8]>>, comment: Option<&'a [u8]>) {
        self.lex.bump();
        self.lex.cfws();
        let route = if self.lex.peek() == Some(b'@') {
            self.route()
        } else {
            None
        };
        let mut words = Vec::new();
        loop {
            self.lex.cfws();
            match self.lex.peek() {
                None | Some(b'@' | b'>' | b'<') => break,
                Some(b'"') => words.push(Word {
                    text: self.lex.quoted(),
                    spaced: false,
                }),
                Some(_) => {
                    let text = self
                        .lex
                        .until(|b| is_space(b) || matches!(b, b'@' | b'<' | b'>' | b'"' | b'('));
                    words.push(Word {
                        text: Cow::Borrowed(text),
                        spaced: false,
                    });
                }
            }
        }
        let local = joined(words);
        let domain = if self.lex.eat(b'@') {
            self.domain()
        } else {
            None
        };
        self.lex.until(|b| matches!(b, b'>' | b',' | b'<'));
        self.lex.eat(b'>');
        let after = self.lex.cfws();
        let name = name.or_else(|| comment_name(after.or(comment)));
        self.out.push(Address::Mailbox {
            name,
            route,
            local,
            domain,
        });
    }

    /// `@a,@b:`, at the first `@`; when no colon follows, nothing is taken.
    fn route(&mut self) -> Option<Cow<'a, [u8]>> {
        let back = self.lex.clone();
        let start = self.lex.pos();
        self.lex
            .until(|b| matches!(b, b':' | b'>' | b'<' | b'"' | b'('));
        let route = self.lex.since(start);
        if self.lex.eat(b':') {
            return Some(route.iter().copied().filter(|&b| !is_space(b)).collect());
        }
        self.lex = back;
        None
    }

    /// A domain or domain literal, after the `@`.
    fn domain(&mut self) -> Option<Cow<'a, [u8]>> {
        let mut words = Vec::new();
        loop {
            let before = self.lex.clone();
            self.lex.cfws();
            let text = match self.lex.peek() {
                Some(b'[') => {
                    let start = self.lex.pos();
                    self.lex.until(|b| matches!(b, b']' | b'>'));
                    self.lex.eat(b']');
                    self.lex.since(start)
                }
                Some(b) if !is_domain_end(b) => self.lex.until(|b| b == b'[' || is_domain_end(b)),
                _ => {
                    self.lex = before;
                    break;
                }
            };
            // A second word belongs to the domain only around a dot (RFC 5322 4.4).
            let spaced = self.lex.pos() > before.pos() + text.len();
            let joins = words.last().is_none_or(|last: &Word<'a>| {
                !spaced || last.text.ends_with(b".") || text.starts_with(b".")
            });
            if !joins {
                self.lex = before;
                break;
            }
            words.push(Word {
                text: Cow::Borrowed(text),
                spaced: false,
            });
        }
        joined(words)
    }

    /// Drops what follows an address up to and with the next comma; a semicolon is left to end a
    /// group.
    fn rest_of_member(&mut self) {
        loop {
            self.lex.cfws();
            match self.lex.peek() {
                Some(b',') => return self.lex.bump(),
                Some(b'"') => drop(self.lex.quoted()),
                // An address that begins without a comma is still an address.
                None | Some(b';' | b'<') => return,
                Some(_) => self.lex.bump(),
            }
        }
    }
}

fn is_domain_end(b: u8) -> bool {
    is_space(b) || matches!(b, b'>' | b'<' | b',' | b';' | b'(' | b'"' | b'@' | b':')
}

/// A display name: words with one space between those that were apart.
fn phrase(words: Vec<Word<'_>>) -> Option<Cow<'_, [u8]>> {
    let mut all = Cow::Borrowed(&[][..]);
    for (i, word) in words.into_iter().enumerate() {
        if i == 0 {
            all = word.text;
            continue;
        }
        let all = all.to_mut();
        if word.spaced {
            all.push(b' ');
        }
        all.extend_from_slice(&word.text);
    }
    Some(one_line(all)).filter(|name| !name.is_empty())
}

/// White space at the ends removed, runs of it made one space.
fn one_line(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let mut before = b' ';
    let tidy = |&b: &u8| {
        let spaces = is_space(before) && is_space(b);
        before = b;
        !spaces && !matches!(b, b'\t' | b'\r' | b'\n')
    };
    if text.iter().all(tidy) && text.last() != Some(&b' ') {
        return text;
    }
    let words = text.split(|&b| is_space(b)).filter(|word| !word.is_empty());
    Cow::Owned(words.collect::<Vec<_>>().join(&b' '))
}

/// Words that belong together; None when there is none. `""@host` has a local part, an empty one.
fn joined(words: Vec<Word<'_>>) -> Option<Cow<'_, [u8]>> {
    let mut words = words.into_iter();
    let mut all = words.next()?.text;
    for word in words {
        all.to_mut().extend_from_slice(&word.text);
    }
    Some(all)
}

fn comment_name(comment: Option<&[u8]>) -> Option<Cow<'_, [u8]>> {
    let comment = comment?;
    Some(one_line(if comment.contains(&b'\\') {
        Cow::Owned(unescape(comment))
    } else {
        Cow::Borrowed(comment)
    }))
}
