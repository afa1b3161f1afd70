//! What is done to the octets of a message: digest, search, POP3's line ends and dots.

use std::hint::black_box;
use std::ops::ControlFlow;

use message::{Needle, body_texts, digest};
use pop3::Stuffer;
use testkit::corpus::Corpus;

use crate::{Amount, Piece, Ready};

/// Messages of one run.
pub(crate) const COUNT: usize = 100;

pub(crate) const PIECES: &[Piece] = &[
    Piece {
        name: "digest",
        prepare: || {
            each(|message| {
                black_box(digest(message));
            })
        },
    },
    Piece {
        name: "search body",
        prepare: || {
            let absent = Needle::new("zqxjkvwpy");
            each(move |message| assert!(!contains(message, &absent)))
        },
    },
    Piece {
        name: "pass a message without dots",
        prepare: || {
            each(|message| {
                black_box(Stuffer::default().passes(message, true));
            })
        },
    },
    Piece {
        name: "stuff dots and line ends",
        prepare: || {
            let mut out = Vec::new();
            each(move |message| {
                out.clear();
                let mut stuffer = Stuffer::default();
                stuffer.push(message, &mut out);
                stuffer.finish(&mut out);
            })
        },
    },
];

pub(crate) fn corpus() -> Vec<Vec<u8>> {
    Corpus::messages(17, COUNT)
}

fn each(mut work: impl FnMut(&[u8]) + 'static) -> Ready {
    let messages = corpus();
    Ready {
        amount: Amount::Octets(messages.iter().map(Vec::len).sum()),
        run: Box::new(move || messages.iter().for_each(|message| work(black_box(message)))),
    }
}

fn contains(message: &[u8], needle: &Needle) -> bool {
    let mut found = false;
    body_texts(message, &mut |text| {
        found = needle.is_in(text);
        if found {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found
}
