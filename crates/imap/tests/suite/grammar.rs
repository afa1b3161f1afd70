//! Every parser of the registry, fed with anything: it answers, and never panics.

use imap::grammar::{Assembler, Bounds, Command, Cursor, Names, Next};
use proptest::prelude::*;

/// What commands are made of.
const TOKENS: &[&str] = &[
    " ",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    "\"",
    "\\",
    "*",
    "%",
    ":",
    ",",
    "$",
    "~",
    "{",
    "}",
    "+",
    "-",
    ".",
    "0",
    "1",
    "9",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "NIL",
    "INBOX",
    "a/b",
    "&",
    "&AOQ-",
    "\\Seen",
    "\\Recent",
    "$Junk",
    "FLAGS",
    "+FLAGS.SILENT",
    "UNCHANGEDSINCE",
    "CHANGEDSINCE",
    "VANISHED",
    "QRESYNC",
    "CONDSTORE",
    "BODY",
    "BODY.PEEK[",
    "HEADER.FIELDS",
    "TEXT",
    "MIME",
    "<0.10>",
    "ALL",
    "UID",
    "OR",
    "NOT",
    "SINCE",
    "1-Jan-2020",
    "\" 1-Jan-2020 00:00:00 +0000\"",
    "RETURN",
    "STATUS",
    "MESSAGES",
    "SUBSCRIBED",
    "RECURSIVEMATCH",
    "USE",
    "CHARSET",
    "UTF-8",
    "HEADER",
    "KEYWORD",
    "FILTER",
    "FUZZY",
    "UPDATE",
    "CONTEXT",
    "RELEVANCY",
    "PARTIAL",
    "1:2",
    "IN",
    "subtree-one",
    "mailboxes",
    "selected",
    "1:*",
    "*:1",
    "1,2,3",
    "PLAIN",
    "=",
    "{3}\r\n",
    "~{3}\r\n",
    "BINARY[",
    "BINARY.SIZE[1.2]",
    "{0+}\r\n",
    "\u{e4}",
    "\0",
    "\r",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::collection::vec(prop::sample::select(TOKENS), 0..24);
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![4 => tokens.prop_map(|t| t.concat().into_bytes()), 1 => bytes]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_parser_survives_anything(text in text(), uid in any::<bool>()) {
        let text = [b" ".as_slice(), &text].concat();
        let literals = vec!["abc".into(), "".into(), "a\0b".into()];
        let command = Command { text: text.into(), literals };
        for spec in imap::registry::commands() {
            let mut cursor = Cursor::new(&command, Names::Utf7);
            let _ = (spec.parse)(&mut cursor, uid).is_ok();
        }
    }

    #[test]
    fn the_assembler_survives_any_lines(lines in prop::collection::vec(text(), 0..6)) {
        let mut assembler = Assembler::new(Bounds { line: 200, literals: 10, skip: 20 });
        for line in lines {
            match assembler.line(line.into()) {
                Next::Literal { len, .. } => {
                    prop_assert!(len <= 10);
                    assembler.literal(vec![b'x'; len].into());
                }
                Next::Skip(len) => prop_assert!(len <= 20),
                Next::Done(_) | Next::Refused(_) | Next::HangUp => break,
            }
        }
    }
}
