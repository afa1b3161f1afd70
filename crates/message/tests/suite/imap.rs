//! What several tests share: a reader of IMAP values that is as strict as the grammar of RFC 3501
//! 9.

use message::{Digest, digest};

/// An IMAP value: NIL, a number, a string or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Number(u32),
    Text(Vec<u8>),
    List(Vec<Self>),
}

/// Reads exactly one value.
pub(crate) fn value(bytes: &[u8]) -> Value {
    let mut reader = Reader { rest: bytes };
    let value = reader.value();
    assert!(
        reader.rest.is_empty(),
        "left over: {}",
        reader.rest.escape_ascii()
    );
    value
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().expect("a value is cut off");
        self.rest = rest;
        *first
    }

    fn value(&mut self) -> Value {
        match self.rest.first() {
            Some(b'(') => self.list(),
            Some(b'"') => Value::Text(self.quoted()),
            Some(b'{') => Value::Text(self.literal()),
            Some(b'0'..=b'9') => Value::Number(self.number()),
            _ => {
                self.rest = self.rest.strip_prefix(b"NIL").unwrap_or_else(|| {
                    panic!("no value: {}", self.rest.escape_ascii());
                });
                Value::Nil
            }
        }
    }

    fn list(&mut self) -> Value {
        self.byte();
        let mut list = Vec::new();
        while self.rest.first() != Some(&b')') {
            // Lists within lists may adjoin: addresses and parts do.
            let adjoin = matches!(list.last(), Some(Value::List(_))) && self.rest[0] == b'(';
            if !list.is_empty() && !adjoin {
                assert_eq!(self.byte(), b' ', "before {}", self.rest.escape_ascii());
            }
            list.push(self.value());
        }
        self.byte();
        assert!(!list.is_empty(), "no list is empty");
        Value::List(list)
    }

    fn quoted(&mut self) -> Vec<u8> {
        self.byte();
        let mut text = Vec::new();
        loop {
            match self.byte() {
                b'"' => return text,
                b'\\' => {
                    let b = self.byte();
                    assert!(matches!(b, b'"' | b'\\'));
                    text.push(b);
                }
                b => {
                    assert!(
                        b.is_ascii() && !matches!(b, 0 | b'\r' | b'\n'),
                        "quoted {b}"
                    );
                    text.push(b);
                }
            }
        }
    }

    fn literal(&mut self) -> Vec<u8> {
        self.byte();
        let len = self.number() as usize;
        for expected in b"}\r\n" {
            assert_eq!(self.byte(), *expected);
        }
        let (text, rest) = self.rest.split_at(len);
        assert!(!text.contains(&0), "no literal holds a NUL");
        self.rest = rest;
        text.to_vec()
    }

    fn number(&mut self) -> u32 {
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        std::str::from_utf8(number).unwrap().parse().unwrap()
    }
}

/// Checks `envelope` of RFC 3501 9.
pub(crate) fn check_envelope(value: &Value) {
    let Value::List(members) = value else {
        panic!("no envelope: {value:?}")
    };
    assert_eq!(members.len(), 10);
    for (i, member) in members.iter().enumerate() {
        match i {
            0 | 1 | 8 | 9 => check_nstring(member),
            _ => check_addresses(member),
        }
    }
}

fn check_addresses(value: &Value) {
    let Value::List(addresses) = value else {
        assert_eq!(*value, Value::Nil);
        return;
    };
    let mut in_group = false;
    for address in addresses {
        let Value::List(address) = address else {
            panic!("no address: {address:?}")
        };
        assert_eq!(address.len(), 4);
        address.iter().for_each(check_nstring);
        match (&address[2], &address[3]) {
            (Value::Text(_), Value::Nil) => {
                assert!(!in_group);
                in_group = true;
            }
            (Value::Nil, Value::Nil) => {
                assert!(in_group);
                in_group = false;
            }
            (Value::Text(_), Value::Text(_)) => {}
            other => panic!("no address: {other:?}"),
        }
    }
    assert!(!in_group);
}

/// Checks `body` of RFC 3501 9, with extension data or without.
pub(crate) fn check_body(value: &Value, extended: bool) {
    let Value::List(members) = value else {
        panic!("no body: {value:?}")
    };
    let extension = if matches!(members[0], Value::List(_)) {
        let parts = members
            .iter()
            .take_while(|member| matches!(member, Value::List(_)))
            .count();
        members[..parts]
            .iter()
            .for_each(|part| check_body(part, extended));
        check_string(&members[parts]);
        let extension = &members[parts + 1..];
        if let Some(params) = extension.first() {
            check_params(params);
        }
        extension
    } else {
        check_single(members, extended)
    };
    if !extended {
        assert!(extension.is_empty());
        return;
    }
    let [first, disposition, language, location] = extension else {
        panic!("no extension data: {extension:?}");
    };
    if !matches!(first, Value::List(_)) {
        check_nstring(first);
    }
    if let Value::List(disposition) = disposition {
        let [kind, params] = &disposition[..] else {
            panic!("{disposition:?}")
        };
        check_string(kind);
        check_params(params);
    }
    if let Value::List(tags) = language {
        tags.iter().for_each(check_string);
    }
    check_nstring(location);
}

fn check_single(members: &[Value], extended: bool) -> &[Value] {
    let is = |at: usize, name: &str| {
        let name = name.as_bytes();
        matches!(&members[at], Value::Text(t) if t.eq_ignore_ascii_case(name))
    };
    check_string(&members[0]);
    check_string(&members[1]);
    check_params(&members[2]);
    check_nstring(&members[3]);
    check_nstring(&members[4]);
    check_string(&members[5]);
    assert!(matches!(members[6], Value::Number(_)));
    if is(0, "message") && (is(1, "rfc822") || is(1, "global")) {
        check_envelope(&members[7]);
        check_body(&members[8], extended);
        assert!(matches!(members[9], Value::Number(_)));
        return &members[10..];
    }
    if is(0, "text") {
        assert!(matches!(members[7], Value::Number(_)));
        return &members[8..];
    }
    &members[7..]
}

fn check_params(value: &Value) {
    if let Value::List(params) = value {
        assert!(params.len().is_multiple_of(2));
        params.iter().for_each(check_string);
    } else {
        assert_eq!(*value, Value::Nil);
    }
}

fn check_nstring(value: &Value) {
    assert!(matches!(value, Value::Nil | Value::Text(_)), "{value:?}");
}

fn check_string(value: &Value) {
    assert!(matches!(value, Value::Text(_)), "{value:?}");
}

/// Digests `message`, checks that the rendered parts obey the grammar, and hands out the digest.
pub(crate) fn with_digest<T>(message: &[u8], f: impl FnOnce(&Digest<'_>) -> T) -> T {
    let encoded = digest(message);
    let digest = Digest::parse(&encoded).expect("what was just encoded is sound");
    check_envelope(&value(digest.envelope()));
    check_body(&value(digest.body()), false);
    check_body(&value(digest.bodystructure()), true);
    f(&digest)
}
