//! The tokens of structured header fields (RFC 5322 3.2), read tolerantly: every byte string has a
//! reading, and every step moves forward.

use std::borrow::Cow;

use crate::slice;

/// A position in the raw value of a structured field.
#[derive(Debug, Clone)]
pub(crate) struct Lex<'a> {
    input: &'a [u8],
    pos: usize,
}

pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

impl<'a> Lex<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, pos: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    pub(crate) fn bump(&mut self) {
        self.pos = (self.pos + 1).min(self.input.len());
    }

    pub(crate) fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.bump();
        }
        found
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// What was read since `start`.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        slice(self.input, start, self.pos)
    }

    /// Skips white space and comments; the inside of the last comment that is not empty.
    pub(crate) fn cfws(&mut self) -> Option<&'a [u8]> {
        let mut last = None;
        loop {
            match self.peek() {
                Some(b) if is_space(b) => self.bump(),
                Some(b'(') => {
                    let inside = self.comment();
                    if !inside.trim_ascii().is_empty() {
                        last = Some(inside);
                    }
                }
                _ => return last,
            }
        }
    }

    /// A comment, its parentheses nested to any depth; one left open reaches to the end.
    fn comment(&mut self) -> &'a [u8] {
        self.bump();
        let start = self.pos;
        let mut depth = 1u32;
        while let Some(b) = self.peek() {
            match b {
                b'\\' => self.bump(),
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let inside = self.since(start);
                self.bump();
                return inside;
            }
            self.bump();
        }
        self.since(start)
    }

    /// The bytes up to the first that `stop` accepts.
    pub(crate) fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.pos;
        while self.peek().is_some_and(|b| !stop(b)) {
            self.bump();
        }
        self.since(start)
    }

    /// A quoted string, at its opening quote; one left open reaches to the end. Quoting is removed.
    pub(crate) fn quoted(&mut self) -> Cow<'a, [u8]> {
        self.bump();
        let start = self.pos;
        let mut escaped = false;
        loop {
            match self.peek() {
                None | Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.bump();
                }
                _ => {}
            }
            self.bump();
        }
        let inside = self.since(start);
        self.bump();
        if escaped {
            Cow::Owned(unescape(inside))
        } else {
            Cow::Borrowed(inside)
        }
    }
}

/// Removes the backslashes of quoted pairs.
pub(crate) fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter().copied();
    while let Some(b) = bytes.next() {
        match b {
            b'\\' => out.extend(bytes.next()),
            b => out.push(b),
        }
    }
    out
}
