//! FUZZY (RFC 6203): keys that match what is nearly right, and how near it is. Which they are is
//! decided by the keys themselves ([`Key::to_fuzzy`]); flags, sets of messages, identifiers,
//! modification sequences and ages stay exact.

use super::key::{Candidate, Cost, Key};
use super::text::Fields;
use crate::spec::{Capability, Extension};
use mail::Row;
use message::{FuzzyHits, FuzzyNeedle};
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// RFC 6203: FUZZY, in the parser of keys; RELEVANCY, in the options and in the keys of SORT.
pub(crate) static FUZZY: Extension = Extension {
    rfc: "RFC 6203",
    file: file!(),
    capabilities: &[Capability::always("SEARCH=FUZZY")],
    ..Extension::EMPTY
};

/// How much less, in percent, it means to be found in the body than in the header.
const IN_BODY: u32 = 60;
/// How far off a day may be.
const DAYS: i64 = 7;
/// How far off a size may be, as a part of itself.
const PART: i64 = 5;

/// How well a message matches, 1 to 100; the inner `None`: not at all, the outer one: more of it
/// must be loaded to know.
type Closeness = Option<Option<u8>>;

/// What a fuzzy key looks at.
trait Near: Send + Sync {
    fn cost(&self) -> Cost;
    fn closeness(&self, m: &Candidate<'_>) -> Closeness;
}

/// A key that is fuzzy.
struct Fuzzy<N>(N);

impl<N: Near> Key for Fuzzy<N> {
    fn cost(&self) -> Cost {
        self.0.cost()
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some(self.0.closeness(m)?.is_some())
    }

    fn score(&self, m: &Candidate<'_>) -> Closeness {
        self.0.closeness(m)
    }

    fn is_fuzzy(&self) -> bool {
        true
    }
}

/// SUBJECT.
pub(super) fn subject(text: &str) -> Box<dyn Key> {
    Box::new(Fuzzy(Subject(FuzzyNeedle::new(text))))
}

/// HEADER, and what looks at one field.
pub(super) fn field(fields: Fields, text: &str) -> Box<dyn Key> {
    let needle = FuzzyNeedle::new(text);
    Box::new(Fuzzy(InField { fields, needle }))
}

/// BODY and TEXT.
pub(super) fn body(text: &str, with_header: bool) -> Box<dyn Key> {
    Box::new(Fuzzy(Body {
        needle: FuzzyNeedle::new(text),
        with_header,
    }))
}

/// A day of the message, `None` for that of its Date field.
pub(super) fn day(of: Option<fn(&Row) -> i64>, than: i64, holds: Holds) -> Box<dyn Key> {
    Box::new(Fuzzy(Number {
        of,
        than,
        holds,
        slack: DAYS,
    }))
}

/// The size.
pub(super) fn size(of: fn(&Row) -> i64, than: i64, holds: Holds) -> Box<dyn Key> {
    Box::new(Fuzzy(Number {
        of: Some(of),
        than,
        holds,
        slack: than / PART,
    }))
}

struct Subject(FuzzyNeedle);

impl Near for Subject {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn closeness(&self, m: &Candidate<'_>) -> Closeness {
        let mut hits = FuzzyHits::default();
        self.0.look_in(m.email?.digest()?.subject(), &mut hits);
        Some(self.0.score(&hits))
    }
}

struct InField {
    fields: Fields,
    needle: FuzzyNeedle,
}

impl Near for InField {
    fn cost(&self) -> Cost {
        self.fields.cost()
    }

    fn closeness(&self, m: &Candidate<'_>) -> Closeness {
        let (mut hits, mut is_there) = (FuzzyHits::default(), false);
        self.fields.any(m, &mut |text| {
            is_there = true;
            self.needle.look_in(text, &mut hits);
            self.needle.is_done(&hits)
        })?;
        Some(self.needle.score(&hits).filter(|_| is_there))
    }
}

struct Body {
    needle: FuzzyNeedle,
    /// TEXT, as opposed to BODY.
    with_header: bool,
}

impl Near for Body {
    fn cost(&self) -> Cost {
        Cost::Body
    }

    fn closeness(&self, m: &Candidate<'_>) -> Closeness {
        let email = m.email?;
        let all = m.whole()?;
        let mut hits = FuzzyHits::default();
        let mut look = |text: &str| {
            self.needle.look_in(text, &mut hits);
            match self.needle.is_done(&hits) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        if self.with_header {
            message::header_texts(email.prefix(), &mut look);
            message::header_texts(m.header()?, &mut look);
        }
        let in_header = self.needle.score(&hits).filter(|_| self.with_header);
        email.digest()?.each_body_text(all, &mut |text| {
            self.needle.look_in(text, &mut hits);
            match self.needle.is_done(&hits) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let everywhere = self.needle.score(&hits).map(|score| {
            let less = (u32::from(score) * IN_BODY / 100).max(1);
            u8::try_from(less).unwrap_or(score)
        });
        Some(in_header.max(everywhere))
    }
}

/// Which orders of a value and what it is compared with are asked for.
type Holds = fn(Ordering) -> bool;

struct Number {
    of: Option<fn(&Row) -> i64>,
    than: i64,
    holds: Holds,
    slack: i64,
}

impl Near for Number {
    fn cost(&self) -> Cost {
        match self.of {
            Some(_) => Cost::Row,
            None => Cost::Digest,
        }
    }

    fn closeness(&self, m: &Candidate<'_>) -> Closeness {
        let value = match self.of {
            Some(of) => of(m.row),
            // A message that does not say was not sent on any day.
            None => match m.email?.digest()?.sent_day() {
                Some(day) => i64::from(day),
                None => return Some(None),
            },
        };
        if (self.holds)(value.cmp(&self.than)) {
            return Some(Some(100));
        }
        let off = value.saturating_sub(self.than).saturating_abs().max(1);
        let rest = self.slack.saturating_sub(off);
        let score =
            rest.saturating_add(1).saturating_mul(100) / self.slack.saturating_add(1).max(1);
        let score = u8::try_from(score.clamp(1, 100)).unwrap_or(100);
        Some((rest >= 0).then_some(score))
    }
}
