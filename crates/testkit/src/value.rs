//! The values of a FETCH response.

use crate::imap::Response;

/// A value as IMAP writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `NIL`.
    Nil,
    /// Anything without quotes: a number, a flag.
    Word(String),
    /// A string, quoted or a literal.
    Bytes(Vec<u8>),
    /// Values in parentheses, with or without spaces between.
    List(Vec<Self>),
}

impl Response {
    /// The items of `* n FETCH (...)`, each with its value.
    ///
    /// # Panics
    /// When the response is none, or not well-formed.
    #[must_use]
    pub fn items(&self) -> Vec<(String, Value)> {
        let open = self.text.find("FETCH (").expect("a FETCH response") + 7;
        let mut reader = Reader {
            rest: &self.text[open..],
            literals: self.literals.iter(),
        };
        let mut items = Vec::new();
        loop {
            // A section may hold spaces and parentheses.
            let end = match reader.rest.find([' ', '[']) {
                Some(at) if reader.rest[at..].starts_with('[') => {
                    let close = at + reader.rest[at..].find(']').expect("]");
                    close + reader.rest[close..].find(' ').expect("a space")
                }
                Some(at) => at,
                None => panic!("no value: {}", reader.rest),
            };
            let name = reader.rest[..end].to_owned();
            reader.rest = &reader.rest[end + 1..];
            items.push((name, reader.value()));
            if reader.rest == ")" {
                let more = reader.literals.next();
                assert!(more.is_none(), "a literal without its place");
                return items;
            }
            reader.rest = reader.rest.strip_prefix(' ').expect("a space");
        }
    }
}

/// Reads one response from its text and its literals.
struct Reader<'a> {
    rest: &'a str,
    literals: std::slice::Iter<'a, Vec<u8>>,
}

impl Reader<'_> {
    /// The next value. Lists are not read by recursion: real structures nest hundreds deep.
    fn value(&mut self) -> Value {
        let mut open: Vec<Vec<Value>> = Vec::new();
        loop {
            let done = if self.eat('(') {
                open.push(Vec::new());
                None
            } else if !open.is_empty() && self.eat(')') {
                open.pop().map(Value::List)
            } else {
                Some(self.scalar())
            };
            let Some(done) = done else { continue };
            let Some(list) = open.last_mut() else {
                return done;
            };
            list.push(done);
            // Addresses and parts follow each other without a space.
            self.eat(' ');
        }
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn scalar(&mut self) -> Value {
        match self.rest.chars().next() {
            Some('"') => self.quoted(),
            Some('{') => {
                let close = self.rest.find('}').expect("}");
                let len: usize = self.rest[1..close].parse().expect("a length");
                self.rest = &self.rest[close + 1..];
                let literal = self.literals.next().expect("a literal");
                assert_eq!(literal.len(), len);
                Value::Bytes(literal.clone())
            }
            _ => {
                let end = self.rest.find([' ', ')', '(']).unwrap_or(self.rest.len());
                let word = &self.rest[..end];
                self.rest = &self.rest[end..];
                assert!(!word.is_empty(), "no value: {}", self.rest);
                match word {
                    "NIL" => Value::Nil,
                    word => Value::Word(word.to_owned()),
                }
            }
        }
    }

    fn quoted(&mut self) -> Value {
        let mut bytes = Vec::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Value::Bytes(bytes);
                }
                '\\' => {
                    let (_, escaped) = chars.next().expect("a character");
                    assert!(matches!(escaped, '"' | '\\'), "\\{escaped}");
                    bytes.push(escaped as u8);
                }
                // RFC 3501 9: `TEXT-CHAR`.
                '\x01'..='\x7f' if c != '\n' && c != '\r' => bytes.push(c as u8),
                _ => panic!("{c:?} in a quoted string"),
            }
        }
        panic!("unterminated: {}", self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::Value;
    use crate::Response;

    #[test]
    fn values_of_every_kind_are_read() {
        let response = Response {
            text:
                r#"* 3 FETCH (UID 7 BODY[HEADER.FIELDS (A B)]<2> {2} X ((("a\"")(NIL {1})) "c"))"#
                    .to_owned(),
            literals: vec![b"\r\n".to_vec(), b"\xff".to_vec()],
        };
        let bytes = |text: &[u8]| Value::Bytes(text.to_vec());
        let list = |values: &[Value]| Value::List(values.to_vec());
        let inner = list(&[bytes(b"a\"")]);
        let pair = list(&[Value::Nil, bytes(b"\xff")]);
        let wanted = [
            ("UID", Value::Word("7".to_owned())),
            ("BODY[HEADER.FIELDS (A B)]<2>", bytes(b"\r\n")),
            ("X", list(&[list(&[inner, pair]), bytes(b"c")])),
        ];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(response.items(), wanted);
    }
}
