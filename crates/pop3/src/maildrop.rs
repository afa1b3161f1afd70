//! The maildrop: one mailbox as it was at login. Message numbers exist only here.

use std::sync::Arc;

use mail::{Listed, MailError, MailErrorKind, Row, Selected, UniqueIds, Update, View};
use types::{Flags, Pop3Policy, UidSet};

use crate::refusal::Refusal;
use crate::texts::{Language, Text};

/// Where a message stands in the snapshot, from 0. Only [`Maildrop`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(usize);

impl Place {
    /// The message number on the wire.
    pub(crate) fn number(self) -> u64 {
        self.0 as u64 + 1
    }

    pub(crate) fn is_right_after(self, other: Self) -> bool {
        other.0.checked_add(1) == Some(self.0)
    }
}

/// The snapshot a session works on (DESIGN 5.1): numbers, sizes and content stay until QUIT.
pub(crate) struct Maildrop {
    selected: Selected,
    view: Arc<View>,
    ids: UniqueIds,
    /// What DELE means.
    policy: Pop3Policy,
    /// DELE.
    deleted: Marks,
    /// RETR.
    retrieved: Marks,
    /// Messages not deleted, and their octets.
    messages: u64,
    octets: u64,
}

impl Maildrop {
    pub(crate) fn new(selected: Selected, ids: UniqueIds, policy: Pop3Policy) -> Self {
        let view = selected.view();
        let mut maildrop = Self {
            messages: 0,
            octets: 0,
            policy,
            deleted: Marks::default(),
            retrieved: Marks::default(),
            ids,
            selected,
            view,
        };
        maildrop.reset();
        maildrop
    }

    /// What DELE means here.
    pub(crate) fn policy(&self) -> &Pop3Policy {
        &self.policy
    }

    /// Messages, deleted ones too.
    fn len(&self) -> usize {
        self.view.pop3_len()
    }

    fn row(&self, place: Place) -> Option<Row> {
        self.view.pop3_get(place.0)
    }

    /// How many messages are not deleted.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Their octets as RETR sends them, without stuffing.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The unique ids of all messages.
    pub(crate) fn unique_ids(&self) -> &UniqueIds {
        &self.ids
    }

    /// Both as the answer to PASS and LIST says them.
    pub(crate) fn in_words(&self, language: Language) -> String {
        let [messages, octets] = [Text::Messages, Text::Octets].map(|text| text.say(language));
        format!(
            "+OK {} {messages} ({} {octets})\r\n",
            self.messages, self.octets
        )
    }

    /// The message of an argument; refused when it is not a number, or names no message, or one
    /// that is deleted.
    pub(crate) fn find(&self, argument: &[u8]) -> Result<(Place, Row), Refusal> {
        let number = number(argument)?;
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let (place, row) = index
            .and_then(|index| Some((Place(index), self.row(Place(index))?)))
            .ok_or(Refusal::NO_MESSAGE)?;
        // RFC 1939 5: any future reference to the message number generates an error.
        if self.deleted.contains(place) {
            return Err(Refusal::DELETED);
        }
        Ok((place, row))
    }

    /// What is to be listed of all messages that are not deleted, in order.
    pub(crate) fn listing(&self) -> impl Iterator<Item = (Place, Listed)> + '_ {
        let all = self.view.pop3_listing().enumerate();
        all.map(|(index, listed)| (Place(index), listed))
            .filter(|(place, _)| !self.deleted.contains(*place))
    }

    /// The messages from `place` on that are not deleted: the first in any case, then as many as
    /// fit into `octets`, at most `limit`.
    pub(crate) fn run(&self, place: Place, octets: u64, limit: usize) -> Vec<(Place, Row)> {
        let mut sum = 0u64;
        let to = place.0.saturating_add(limit).min(self.len());
        (place.0..to)
            .map(Place)
            .filter(|place| !self.deleted.contains(*place))
            .filter_map(|place| Some((place, self.row(place)?)))
            .take_while(|(_, row)| {
                let fits = sum == 0 || sum.saturating_add(u64::from(row.size)) <= octets;
                sum = sum.saturating_add(u64::from(row.size).max(1));
                fits
            })
            .collect()
    }

    /// The place behind this one, whether or not a message is there.
    pub(crate) fn after(&self, place: Place) -> Place {
        Place(place.0.saturating_add(1))
    }

    /// DELE.
    pub(crate) fn delete(&mut self, place: Place, row: &Row) {
        if self.deleted.insert(place, self.len()) {
            self.messages = self.messages.saturating_sub(1);
            self.octets = self.octets.saturating_sub(row.pop3_size());
        }
    }

    /// RSET: nothing is deleted any more. What was retrieved stays so.
    pub(crate) fn reset(&mut self) {
        self.deleted = Marks::default();
        self.messages = self.len() as u64;
        self.octets = self.view.pop3_octets();
    }

    /// Remembers that the client has the message.
    pub(crate) fn mark_retrieved(&mut self, place: Place, row: &Row) {
        if !row.flags.contains(Flags::SEEN) {
            self.retrieved.insert(place, self.len());
        }
    }

    /// Tells the history that the text of a message was sent.
    pub(crate) fn note_retrieved(&self, row: &Row) {
        self.selected.note_retrieved(std::iter::once(row.uid));
    }

    /// QUIT (RFC 1939 6): disposes and marks in one durable commit. Returns how many messages were
    /// disposed of.
    pub(crate) async fn update(&self) -> Result<u64, MailError> {
        let (seen, delete) = (self.uids(&self.retrieved), self.uids(&self.deleted));
        if delete.is_empty() && seen.is_empty() {
            return Ok(0);
        }
        let update = Update {
            seen: &seen,
            delete: &delete,
            policy: &self.policy,
        };
        match self.selected.update(update).await {
            Ok(updated) => Ok(updated.deleted.len()),
            // Somebody deleted the folder: what the client wanted gone is gone.
            Err(error) if error.kind == MailErrorKind::Gone => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn uids(&self, marks: &Marks) -> UidSet {
        let mut uids = UidSet::new();
        for row in marks.iter().filter_map(|place| self.row(place)) {
            uids.push(row.uid);
        }
        uids
    }
}

/// A decimal number of any length that a client sent (RFC 1939 3: no sign, no blanks).
pub(crate) fn number(argument: &[u8]) -> Result<u64, Refusal> {
    if argument.is_empty() || !argument.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::NOT_A_NUMBER);
    }
    // Too large for us is just a number that names nothing, or more lines than any message has.
    Ok(argument.iter().fold(0u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// A set of places; costs nothing while empty.
#[derive(Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn contains(&self, place: Place) -> bool {
        self.0
            .get(place.0 / 64)
            .is_some_and(|word| word >> (place.0 % 64) & 1 == 1)
    }

    /// Whether it was not there before; `len` is the size of the maildrop.
    fn insert(&mut self, place: Place, len: usize) -> bool {
        if self.0.is_empty() {
            self.0 = vec![0; len.div_ceil(64)];
        }
        let Some(word) = self.0.get_mut(place.0 / 64) else {
            return false;
        };
        let bit = 1 << (place.0 % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| Place(i * 64 + bit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_never_overflow() {
        for bad in [
            &b""[..],
            b"-1",
            b"+1",
            b" 1",
            b"1 ",
            b"1.0",
            b"0x1",
            b"\xd9\xa1",
            b"1\0",
        ] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
        for (good, value) in [
            (&b"0"[..], 0),
            (b"1", 1),
            (b"007", 7),
            (b"18446744073709551615", u64::MAX),
            (b"99999999999999999999999999", u64::MAX),
        ] {
            assert_eq!(number(good).unwrap(), value);
        }
    }

    #[test]
    fn marks_hold_what_was_inserted() {
        let mut marks = Marks::default();
        assert!(!marks.contains(Place(0)) && marks.iter().next().is_none());
        for i in [0, 63, 64, 129] {
            assert!(marks.insert(Place(i), 130) && !marks.insert(Place(i), 130));
        }
        assert!(!marks.insert(Place(1000), 130));
        let places: Vec<usize> = marks.iter().map(|place| place.0).collect();
        assert_eq!(places, [0, 63, 64, 129]);
    }
}
