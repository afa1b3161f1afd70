//! Parsing the commands that clients send most.

use std::hint::black_box;

use imap::grammar::{Command, Cursor, Names};
use imap::registry;

use crate::{Amount, Piece, Ready};

pub(crate) const PIECES: &[Piece] = &[
    Piece {
        name: "parse FETCH",
        prepare: || {
            let items = " 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
            parse("FETCH", items)
        },
    },
    Piece {
        name: "parse STORE",
        prepare: || parse("STORE", " 4711 +FLAGS.SILENT (\\Seen $Forwarded)"),
    },
    Piece {
        name: "parse SELECT",
        prepare: || parse("SELECT", " INBOX"),
    },
    Piece {
        name: "parse SEARCH",
        prepare: || {
            let keys = " OR FROM alice SUBJECT invoice UNSEEN SINCE 1-Oct-2026";
            parse("SEARCH", keys)
        },
    },
];

/// Commands of one run: as many as make the run's own cost nothing.
const COUNT: usize = 100;

fn parse(name: &str, arguments: &'static str) -> Ready {
    let spec = registry::find(name.as_bytes()).unwrap();
    let command = Command {
        text: arguments.as_bytes().into(),
        literals: Vec::new(),
    };
    let run = move || {
        for _ in 0..COUNT {
            let mut cursor = Cursor::new(black_box(&command), Names::Utf7);
            assert!((spec.parse)(&mut cursor, false).is_ok());
        }
    };
    Ready {
        amount: Amount::Items(COUNT, "command"),
        run: Box::new(run),
    }
}
