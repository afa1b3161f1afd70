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
        };
        Self {
            values,
            reverse: by.reverse,
        }
    }

    /// Adds the value of the next message.
    pub(super) fn push(&mut self, row: &Row, facts: Option<&Facts>) {
        match &mut self.values {
            Values::Row(of, numbers) => numbers.push(of(row)),
            Values::Facts(of, numbers) => numbers.push(of(row, facts)),
            // Without facts the message was expunged long ago.
            Values::Text(which, texts) => texts.push(facts.map_or("", |facts| facts.text(*which))),
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let order = match &self.values {
            Values::Row(_, numbers) | Values::Facts(_, numbers) => {
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
        sorted.map_err(|_| {
            MailError::new(MailErrorKind::Unavailable, "sorting the messages failed").into()
        })
    }

    fn sorted(&self, found: &[Found]) -> Vec<Found> {
        let mut places: Vec<usize> = (0..found.len()).collect();
        // RFC 5256 3: equal messages stay in the order of the mailbox, REVERSE or not.
        places.sort_by(|&a, &b| self.compare(a, b));
        let sorted = places.into_iter().filter_map(|at| found.get(at).copied());
        sorted.collect()
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let orders = self.0.iter().map(|column| column.compare(a, b));
        orders
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}
