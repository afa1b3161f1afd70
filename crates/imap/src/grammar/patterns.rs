//! LIST patterns (RFC 9051 6.3.9): `*` matches anything, `%` anything within one level.

use super::mailbox::Names;
use types::{MailboxName, SEPARATOR};

/// A pattern, ready to match names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    tokens: Vec<Token>,
    /// Whether reference and pattern were both empty: the client asks for the separator.
    is_empty: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Char(char),
    Any,
    AnyInLevel,
}

impl Pattern {
    /// Reads `raw` in the context of `reference`. What is no name or longer than any name matches
    /// nothing.
    pub fn new(names: Names, reference: &[u8], raw: &[u8]) -> Self {
        let is_empty = raw.is_empty();
        // RFC 9051 6.3.9: how the reference is used is up to the server; a rooted pattern stands
        // alone.
        let whole = match raw.strip_prefix(b"/") {
            Some(rooted) => rooted.to_vec(),
            None => [reference, raw].concat(),
        };
        let mut tokens = Vec::new();
        let text = names.decode(&whole).ok();
        let text = text.filter(|text| text.len() <= MailboxName::MAX_LEN + 1);
        let Some(text) = text else {
            // A NUL is in no name.
            return Self {
                tokens: vec![Token::Char('\0')],
                is_empty,
            };
        };
        // RFC 9051 5.1: names that are not normalised are taken wherever names are.
        for c in MailboxName::normalise(&text).chars() {
            let token = match c {
                '*' => Token::Any,
                '%' => Token::AnyInLevel,
                c => Token::Char(c),
            };
            // Neighbouring wildcards are as good as the widest of them.
            match (tokens.last_mut(), token) {
                (Some(Token::Any), Token::Any | Token::AnyInLevel)
                | (Some(Token::AnyInLevel), Token::AnyInLevel) => {}
                (Some(last @ Token::AnyInLevel), Token::Any) => *last = Token::Any,
                _ => tokens.push(token),
            }
        }
        Self { tokens, is_empty }
    }

    /// RFC 9051 6.3.9: an empty pattern asks for the hierarchy separator and the root of the
    /// reference.
    pub fn asks_for_separator(&self) -> bool {
        self.is_empty
    }

    /// Whether the name matches. Costs at most the product of both lengths.
    pub fn matches(&self, name: &MailboxName) -> bool {
        self.matches_text(name.as_str())
    }

    fn matches_text(&self, name: &str) -> bool {
        // INBOX has no letter case, at the first level.
        let inbox = name
            .strip_prefix("INBOX")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR));
        // at[i]: the tokens before i match what was read so far.
        let mut at = vec![false; self.tokens.len() + 1];
        let mut next = at.clone();
        if let Some(first) = at.first_mut() {
            *first = true;
        }
        self.skip_wildcards(&mut at);
        for (position, c) in name.chars().enumerate() {
            next.fill(false);
            for (i, token) in self.tokens.iter().enumerate() {
                if !at.get(i).copied().unwrap_or(false) {
                    continue;
                }
                let (stays, moves) = match *token {
                    Token::Any => (true, false),
                    Token::AnyInLevel => (c != SEPARATOR, false),
                    Token::Char(t) => (
                        false,
                        t == c || (inbox && position < 5 && t.eq_ignore_ascii_case(&c)),
                    ),
                };
                if let Some(here) = next.get_mut(i) {
                    *here |= stays;
                }
                if let Some(after) = next.get_mut(i + 1) {
                    *after |= moves;
                }
            }
            self.skip_wildcards(&mut next);
            std::mem::swap(&mut at, &mut next);
        }
        at.last().copied().unwrap_or(false)
    }

    /// Wildcards also match nothing.
    fn skip_wildcards(&self, at: &mut [bool]) {
        for (i, token) in self.tokens.iter().enumerate() {
            if matches!(token, Token::Any | Token::AnyInLevel)
                && at.get(i) == Some(&true)
                && let Some(after) = at.get_mut(i + 1)
            {
                *after = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(reference: &str, pattern: &str, name: &str) -> bool {
        Pattern::new(Names::Utf7, reference.as_bytes(), pattern.as_bytes())
            .matches(&MailboxName::new(name).unwrap())
    }

    #[test]
    fn what_must_not_match_does_not() {
        for (reference, pattern, name) in [
            ("", "%", "a/b"),
            ("", "a%", "a/b"),
            ("", "a/%", "a"),
            ("", "a/%", "a/b/c"),
            ("", "", "a"),
            ("", "A", "a"),
            ("x/", "a", "a"),
            ("", "&bad*", "a"),
            ("", "%/inbox", "a/INBOX"),
            ("", "inboxe*", "INBOX"),
        ] {
            assert!(
                !matches(reference, pattern, name),
                "{reference} {pattern} {name}"
            );
        }
    }

    #[test]
    fn what_must_match_does() {
        for (reference, pattern, name) in [
            ("", "*", "a/b/c"),
            ("", "%", "INBOX"),
            ("", "inbox", "INBOX"),
            ("", "iNb%", "INBOX"),
            ("", "inbox/*", "INBOX/a"),
            ("a/", "%", "a/b"),
            ("zz", "/a", "a"),
            ("", "%/%", "a/b"),
            ("", "a*c", "a/b/c"),
            ("", "*%*b", "a/b"),
            ("", "Entw&APw-%", "Entw\u{fc}rfe"),
            ("", "Entwu\u{308}%", "Entw\u{fc}rfe"),
        ] {
            assert!(
                matches(reference, pattern, name),
                "{reference} {pattern} {name}"
            );
        }
    }

    #[test]
    fn many_wildcards_take_no_long_time() {
        let pattern = "*a%".repeat(260) + "c";
        assert!(!matches("", &pattern, &format!("{}b", "a".repeat(700))));
    }
}
