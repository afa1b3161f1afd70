//! Putting messages into an order: a column of values for each criterion, the first one that tells
//! two messages apart decides.

use super::Found;
use super::keys::{Criterion, Source};
use crate::ext::comparator::Comparator;
use crate::refusal::Refusal;
use mail::{Facts, MailError, MailErrorKind, Row, Text};
use message::Collation;
use std::cmp::Ordering;

/// From so many messages on, sorting is left to another thread.
const OFFLOAD: usize = 10_000;

/// The values of all messages for one criterion, in the order of the mailbox.
pub(super) struct Column {
    values: Values,
    reverse: bool,
}

enum Values {
    Row(fn(&Row) -> i64, Vec<i64>),
    Facts(fn(&Row, Option<&Facts>) -> i64, Vec<i64>),
    Text(Text, Texts),
    Scores(Vec<i64>),
}

/// Texts, prepared for comparison.
struct Texts {
    comparator: Comparator,
    octets: Vec<u8>,
    ends: Vec<usize>,
    /// The first octets of each, which decide most comparisons.
    heads: Vec<u64>,
}

impl Column {
    pub(super) fn new(by: &Criterion, comparator: Comparator) -> Self {
        let values = match by.source() {
            Source::Row(of) => Values::Row(of, Vec::new()),
            Source::Facts(of) => Values::Facts(of, Vec::new()),
            Source::Text(which) => Values::Text(which, Texts::new(comparator)),
            Source::Score => Values::Scores(Vec::new()),
        };
        Self {
            values,
            reverse: by.reverse,
        }
    }

    /// Adds the value of the next message.
    pub(super) fn push(&mut self, row: &Row, facts: Option<&Facts>, score: u8) {
        match &mut self.values {
            Values::Row(of, numbers) => numbers.push(of(row)),
            Values::Facts(of, numbers) => numbers.push(of(row, facts)),
            // Without facts the message was expunged long ago.
            Values::Text(which, texts) => texts.push(facts.map_or("", |facts| facts.text(*which))),
            Values::Scores(numbers) => numbers.push(best_first(score)),
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let order = match &self.values {
            Values::Row(_, numbers) | Values::Facts(_, numbers) | Values::Scores(numbers) => {
                numbers.get(a).cmp(&numbers.get(b))
            }
            Values::Text(_, texts) => texts.compare(a, b),
        };
        if self.reverse { order.reverse() } else { order }
    }
}

impl Texts {
    fn new(comparator: Comparator) -> Self {
        Self {
            comparator,
            octets: Vec::new(),
            ends: Vec::new(),
            heads: Vec::new(),
        }
    }

    fn push(&mut self, text: &str) {
        let start = self.octets.len();
        self.comparator.collation.sort_key(text, &mut self.octets);
        self.ends.push(self.octets.len());
        let mut head = [0; 8];
        let key = self.octets.get(start..).unwrap_or_default();
        for (to, from) in head.iter_mut().zip(key) {
            *to = *from;
        }
        self.heads.push(u64::from_be_bytes(head));
    }

    fn key(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or(0);
        let start = at.checked_sub(1).map_or(0, end);
        self.octets.get(start..end(at)).unwrap_or_default()
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let heads = self.heads.get(a).cmp(&self.heads.get(b));
        let order = heads.then_with(|| self.key(a).cmp(self.key(b)));
        // RFC 5255 4.6 (c): what is not valid comes last whatever the direction of the comparator.
        let by_octets = || Collation::is_invalid(self.key(a)) || Collation::is_invalid(self.key(b));
        if self.comparator.inverted && !by_octets() {
            order.reverse()
        } else {
            order
        }
    }
}

/// Octets that order messages as the columns of `by` do, and equal ones by uid: for orders that
/// are kept and change a little at a time.
pub(super) fn key(
    by: &[Criterion],
    comparator: Comparator,
    row: &Row,
    facts: Option<&Facts>,
    score: u8,
) -> Box<[u8]> {
    let mut key = Vec::new();
    for by in by {
        let start = key.len();
        match by.source() {
            Source::Row(of) => key.extend(ordered(of(row))),
            Source::Facts(of) => key.extend(ordered(of(row, facts))),
            Source::Text(which) => {
                let text = facts.map_or("", |facts| facts.text(which));
                put_text(text, comparator, &mut key);
            }
            Source::Score => key.extend(ordered(best_first(score))),
        }
        if by.reverse {
            invert(&mut key, start);
        }
    }
    key.extend(row.uid.get().to_be_bytes());
    key.into()
}

/// A message and what orders it.
pub(crate) type Keyed = (Box<[u8]>, Found);

/// Puts messages into the order of their keys.
///
/// # Errors
/// When the server is stopping.
pub(super) async fn by_key(mut keyed: Vec<Keyed>) -> Result<Vec<Keyed>, Refusal> {
    let sort = |keyed: &mut Vec<Keyed>| keyed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if keyed.len() < OFFLOAD {
        sort(&mut keyed);
        return Ok(keyed);
    }
    let sorted = tokio::task::spawn_blocking(move || {
        sort(&mut keyed);
        keyed
    });
    sorted.await.map_err(|_| stopping())
}

fn stopping() -> Refusal {
    MailError::new(MailErrorKind::Unavailable, "sorting the messages failed").into()
}

/// RFC 6203 6: the highest score comes first.
fn best_first(score: u8) -> i64 {
    -i64::from(score)
}

/// Octets that are ordered like numbers.
fn ordered(number: i64) -> [u8; 8] {
    number.wrapping_add(i64::MIN).to_be_bytes()
}

/// A text with an end that is below whatever other texts go on with.
fn put_text(text: &str, comparator: Comparator, key: &mut Vec<u8>) {
    let mut octets = Vec::new();
    comparator.collation.sort_key(text, &mut octets);
    // RFC 5255 4.6 (c): what is not valid comes last whatever the direction of the comparator.
    let invalid = Collation::is_invalid(&octets);
    key.push(u8::from(invalid));
    let start = key.len();
    for octet in octets {
        key.push(octet);
        if octet == 0 {
            key.push(1);
        }
    }
    key.extend([0, 0]);
    if comparator.inverted && !invalid {
        invert(key, start);
    }
}

fn invert(key: &mut [u8], start: usize) {
    let tail = key.get_mut(start..).unwrap_or_default();
    tail.iter_mut().for_each(|octet| *octet = !*octet);
}

/// By several columns, the most important first.
pub(super) struct Order(Vec<Column>);

impl Order {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self(columns)
    }

    /// Sorts messages that are in the order of the columns.
    ///
    /// # Errors
    /// When the server is stopping.
    pub(super) async fn sort(self, found: Vec<Found>) -> Result<Vec<Found>, Refusal> {
        if found.len() < OFFLOAD {
            return Ok(self.sorted(&found));
        }
        let sorted = tokio::task::spawn_blocking(move || self.sorted(&found)).await;
        sorted.map_err(|_| stopping())
    }

    fn sorted(&self, found: &[Found]) -> Vec<Found> {
        let places = self.places(found.len()).into_iter();
        places.filter_map(|at| found.get(at).copied()).collect()
    }

    fn places(&self, count: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).collect();
        // RFC 5256 3: equal messages stay in the order of the mailbox, REVERSE or not.
        places.sort_by(|&a, &b| self.compare(a, b));
        places
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let orders = self.0.iter().map(|column| column.compare(a, b));
        orders
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;
    use crate::grammar::Cursor;
    use types::{EmailId, Flags, ModSeq, Uid};

    fn row(uid: u32) -> Row {
        Row {
            uid: Uid::new(uid).unwrap(),
            flags: Flags::NONE,
            keywords: 0,
            modseq: ModSeq::FIRST,
            size: uid % 3,
            crlf_extra: 0,
            internal_date: i64::from(uid % 5) - 2,
            saved: 0,
            email: EmailId(1),
            uidl: 1,
            hidden: mail::Hidden::NO,
        }
    }

    #[test]
    fn keys_order_as_columns_do() {
        let subjects = [
            "",
            "a",
            "A",
            "ab",
            "a\0b",
            "a\0",
            "b",
            "\u{e9}",
            "e",
            "\u{fffd}x",
            "\u{fffd}",
            "z\u{fffd}",
            "\u{10ffff}",
            "a b",
        ];
        let messages: Vec<(Row, Facts)> = (1..=60)
            .map(|uid| {
                let subject = subjects[uid as usize * 7 % subjects.len()];
                let from = subjects[uid as usize * 5 % subjects.len()].replace('\0', "");
                let text = format!("Subject: {subject}\r\nFrom: \"{from}\" <x@y>\r\n\r\n");
                (row(uid), Facts::of_message(text.as_bytes()))
            })
            .collect();
        for by in [
            "(SUBJECT)",
            "(REVERSE SUBJECT)",
            "(SIZE REVERSE SUBJECT)",
            "(REVERSE SIZE DISPLAYFROM)",
            "(REVERSE DISPLAYFROM ARRIVAL SUBJECT)",
            "(REVERSE ARRIVAL)",
            "(DATE)",
            "(REVERSE UID)",
            "(RELEVANCY REVERSE SUBJECT)",
            "(SIZE REVERSE RELEVANCY)",
        ] {
            let by = keys::parse(&mut Cursor::of(by.as_bytes())).unwrap();
            for inverted in [false, true] {
                for collation in Collation::ALL {
                    let comparator = Comparator {
                        collation,
                        inverted,
                    };
                    let mut columns: Vec<Column> =
                        by.iter().map(|by| Column::new(by, comparator)).collect();
                    for (row, facts) in &messages {
                        columns
                            .iter_mut()
                            .for_each(|c| c.push(row, Some(facts), (row.uid.get() % 7) as u8));
                    }
                    let places = Order::new(columns).places(messages.len());
                    let mut keyed: Vec<_> = messages
                        .iter()
                        .map(|(row, facts)| {
                            (
                                key(&by, comparator, row, Some(facts), (row.uid.get() % 7) as u8),
                                row.uid,
                            )
                        })
                        .collect();
                    keyed.sort();
                    let by_key: Vec<Uid> = keyed.into_iter().map(|(_, uid)| uid).collect();
                    let by_column: Vec<Uid> = places.iter().map(|&at| messages[at].0.uid).collect();
                    assert_eq!(by_key, by_column);
                }
            }
        }
    }
}
