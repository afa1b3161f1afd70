//! Making a mailbox of its journal, as the first SELECT after a start does.

use std::hint::black_box;

use mail::bench::Journal;

use crate::{Amount, Piece, Ready};

pub(crate) const PIECES: &[Piece] = &[Piece {
    name: "replay a journal",
    prepare,
}];

fn prepare() -> Ready {
    let journal = Journal::new(10_000);
    Ready {
        amount: Amount::Items(journal.entries(), "entry"),
        run: Box::new(move || {
            black_box(black_box(&journal).replay().unwrap());
        }),
    }
}
