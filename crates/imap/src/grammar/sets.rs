//! Message sets as the client wrote them. What they mean is known only where sequence numbers are:
//! `view.rs`.

use super::cursor::{BadSyntax, Cursor, Parsed};
use std::num::NonZeroU32;

/// `seq-number = nz-number / "*"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// A number.
    Number(NonZeroU32),
    /// `*`: the last one.
    Last,
}

/// `sequence-set`: ranges in the order written, ends in the order written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SequenceSet(pub Vec<(Bound, Bound)>);

/// The messages a command names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageSet {
    /// By sequence number.
    Seq(SequenceSet),
    /// By uid.
    Uid(SequenceSet),
    /// `$`: what the last SEARCH has saved (RFC 5182).
    Saved,
}

impl SequenceSet {
    /// The ranges of a set without `*` (RFC 7162 7: `known-uids`), as numbers; `None` if there is a
    /// `*`.
    pub fn numbers(&self) -> Option<Vec<(u32, u32)>> {
        self.0
            .iter()
            .map(|range| match *range {
                (Bound::Number(a), Bound::Number(b)) => Some((a.get(), b.get())),
                _ => None,
            })
            .collect()
    }
}

impl Cursor<'_> {
    /// `sequence-set`, of sequence numbers.
    pub fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        self.set_names_numbers();
        self.uid_set()
    }

    /// `sequence-set`, of uids.
    pub fn uid_set(&mut self) -> Parsed<SequenceSet> {
        let mut ranges = Vec::new();
        loop {
            let from = self.bound()?;
            let to = if self.eat(b":") { self.bound()? } else { from };
            ranges.push((from, to));
            if !self.eat(b",") {
                return Ok(SequenceSet(ranges));
            }
        }
    }

    /// `sequence-set`, of uids if the command has its UID form, or `seq-last-command`.
    // RFC 5182 1: `$` takes the place of a set; within one it does not stand.
    pub fn message_set(&mut self, uid: bool) -> Parsed<MessageSet> {
        if self.eat(b"$") {
            return Ok(MessageSet::Saved);
        }
        Ok(if uid {
            MessageSet::Uid(self.uid_set()?)
        } else {
            MessageSet::Seq(self.sequence_set()?)
        })
    }

    /// `seq-number`, or `uniqueid` if the command has its UID form: one message.
    pub fn one_message(&mut self, uid: bool) -> Parsed<MessageSet> {
        let bound = self.bound()?;
        let one = SequenceSet(vec![(bound, bound)]);
        if uid {
            return Ok(MessageSet::Uid(one));
        }
        self.set_names_numbers();
        Ok(MessageSet::Seq(one))
    }

    fn bound(&mut self) -> Parsed<Bound> {
        if self.eat(b"*") {
            return Ok(Bound::Last);
        }
        let number = self
            .number()
            .map_err(|_| BadSyntax("invalid message set"))?;
        NonZeroU32::new(number)
            .map(Bound::Number)
            .ok_or(BadSyntax("zero in a message set"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_sets_are_refused() {
        for raw in ["", "0", "1:", ":1", ",", "4294967296", "a", "1:0"] {
            assert!(Cursor::of(raw.as_bytes()).sequence_set().is_err(), "{raw}");
        }
        // The trailing comma wants another range.
        assert!(Cursor::of(b"1,").sequence_set().is_err());
    }

    #[test]
    fn the_saved_result_stands_alone() {
        for uid in [false, true] {
            let mut c = Cursor::of(b"$ 1");
            assert_eq!(c.message_set(uid), Ok(MessageSet::Saved));
            assert_eq!(c.rest(), b" 1");
        }
        for raw in ["1,$", "$:1"] {
            let mut c = Cursor::of(raw.as_bytes());
            assert!(c.message_set(true).and_then(|_| c.end()).is_err(), "{raw}");
        }
    }

    #[test]
    fn numbers_are_noticed() {
        for (uid, raw, want) in [(false, "1", true), (true, "1", false), (false, "$", false)] {
            let mut c = Cursor::of(raw.as_bytes());
            c.message_set(uid).unwrap();
            assert_eq!(c.names_numbers(), want, "{raw}");
        }
    }

    #[test]
    fn order_is_kept() {
        let set = Cursor::of(b"5:1,*,7:*").sequence_set().unwrap();
        let n = |v| Bound::Number(NonZeroU32::new(v).unwrap());
        assert_eq!(
            set.0,
            [
                (n(5), n(1)),
                (Bound::Last, Bound::Last),
                (n(7), Bound::Last)
            ]
        );
        assert_eq!(set.numbers(), None);
        assert_eq!(
            Cursor::of(b"1:3,9").sequence_set().unwrap().numbers(),
            Some(vec![(1, 3), (9, 9)])
        );
    }
}
