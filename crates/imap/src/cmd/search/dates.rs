//! Keys that compare numbers: dates, ages and sizes.

use super::fuzzy;
use super::key::{Binding, Candidate, Cost, Key};
use super::{Cursor, Parsed, SearchKey};
use crate::grammar::dates::DAY;
use crate::spec::{Capability, Extension};
use mail::Row;
use std::cmp::Ordering;
use types::UidSet;

/// RFC 5032: OLDER and YOUNGER.
pub(crate) static WITHIN: Extension = Extension {
    rfc: "RFC 5032",
    file: file!(),
    capabilities: &[Capability::always("WITHIN")],
    search_keys: &[&[
        SearchKey {
            name: "OLDER",
            rfc: "RFC 5032 2",
            parse: |c, _| age(c, Ordering::Less),
        },
        SearchKey {
            name: "YOUNGER",
            rfc: "RFC 5032 2",
            parse: |c, _| age(c, Ordering::Greater),
        },
    ]],
    ..Extension::EMPTY
};

pub(crate) static KEYS: &[SearchKey] = &[
    SearchKey {
        name: "BEFORE",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| received(c, Ordering::is_lt),
    },
    SearchKey {
        name: "ON",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| received(c, Ordering::is_eq),
    },
    SearchKey {
        name: "SINCE",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| received(c, Ordering::is_ge),
    },
    SearchKey {
        name: "SENTBEFORE",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| sent(c, Ordering::is_lt),
    },
    SearchKey {
        name: "SENTON",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| sent(c, Ordering::is_eq),
    },
    SearchKey {
        name: "SENTSINCE",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| sent(c, Ordering::is_ge),
    },
    SearchKey {
        name: "LARGER",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| size(c, Ordering::is_gt),
    },
    SearchKey {
        name: "SMALLER",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| size(c, Ordering::is_lt),
    },
];

fn received(c: &mut Cursor<'_>, holds: fn(Ordering) -> bool) -> Parsed<Box<dyn Key>> {
    // RFC 3501 6.4.4: time and zone are disregarded. INTERNALDATE is told in UTC, and so is its
    // day.
    day(c, |row| row.internal_date.div_euclid(DAY), holds)
}

/// `SP date`: compared with a day of the message, in days since 1970-01-01.
pub(crate) fn day(
    c: &mut Cursor<'_>,
    of: fn(&Row) -> i64,
    holds: fn(Ordering) -> bool,
) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    let than = c.date()?;
    Ok(Box::new(Number {
        is_day: true,
        of,
        than,
        holds,
    }))
}

fn size(c: &mut Cursor<'_>, holds: fn(Ordering) -> bool) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    Ok(Box::new(Number {
        is_day: false,
        of: |row| i64::from(row.size),
        than: i64::from(c.number()?),
        holds,
    }))
}

fn sent(c: &mut Cursor<'_>, holds: fn(Ordering) -> bool) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    Ok(Box::new(Sent {
        day: c.date()?,
        holds,
    }))
}

/// `( "OLDER" / "YOUNGER" ) SP nz-number`
fn age(c: &mut Cursor<'_>, side: Ordering) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    Ok(Box::new(Age {
        interval: i64::from(c.nz_number()?),
        side,
        target: 0,
    }))
}

struct Number {
    /// A day, as opposed to a size.
    is_day: bool,
    of: fn(&Row) -> i64,
    than: i64,
    holds: fn(Ordering) -> bool,
}

impl Key for Number {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some((self.holds)((self.of)(m.row).cmp(&self.than)))
    }

    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        Some(match self.is_day {
            true => fuzzy::day(Some(self.of), self.than, self.holds),
            false => fuzzy::size(self.of, self.than, self.holds),
        })
    }
}

struct Sent {
    day: i64,
    holds: fn(Ordering) -> bool,
}

impl Key for Sent {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        // A message that does not say was not sent on any day.
        let day = m.email?.digest()?.sent_day();
        Some(day.is_some_and(|day| (self.holds)(i64::from(day).cmp(&self.day))))
    }

    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        Some(fuzzy::day(None, self.day, self.holds))
    }
}

/// How often ages are looked at anew where results are kept up to date, in seconds.
const PERIOD: i64 = 60;

struct Age {
    interval: i64,
    side: Ordering,
    target: i64,
}

impl Key for Age {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn bind(&mut self, to: &Binding<'_>) {
        self.target = to.now - self.interval;
    }

    fn is_timed(&self) -> bool {
        true
    }

    fn rebind(&mut self, to: &Binding<'_>, affected: &mut UidSet) {
        // RFC 5032 2: the evaluation may be periodical.
        let target = to.now - self.interval;
        if target < self.target + PERIOD {
            return;
        }
        let passed = self.target..=target;
        let rows = to.view.rows();
        let crossing = rows.filter(|row| passed.contains(&row.internal_date));
        *affected = affected.union(&crossing.map(|row| row.uid).collect());
        self.target = target;
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        // RFC 5032 2: both include the target time itself.
        let order = m.row.internal_date.cmp(&self.target);
        Some(order.is_eq() || order == self.side)
    }
}
