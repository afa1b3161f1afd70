//! Sets of uids as sorted ranges.

use crate::Uid;
use std::fmt;

/// A set of uids: sorted, disjoint, non-adjacent inclusive ranges. Its text form is the `uid-set`
/// of RFC 9051 9 (`1:3,7`).
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct UidSet(Vec<(u32, u32)>);

impl UidSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The set of one range, both ends included, in either order.
    pub fn range(a: Uid, b: Uid) -> Self {
        Self(vec![(a.get().min(b.get()), a.get().max(b.get()))])
    }

    /// Normalises ranges given in any order, overlapping or not; the ends of a range may be
    /// swapped.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (Uid, Uid)>) -> Self {
        let mut all: Vec<(u32, u32)> = ranges
            .into_iter()
            .map(|(a, b)| (a.get().min(b.get()), a.get().max(b.get())))
            .collect();
        all.sort_unstable();
        let mut set = Self(Vec::with_capacity(all.len()));
        for (a, b) in all {
            set.extend_end(a, b);
        }
        set
    }

    /// Appends a uid that is larger than every uid in the set (or inside the last range).
    pub fn push(&mut self, uid: Uid) {
        debug_assert!(self.0.last().is_none_or(|&(a, _)| a <= uid.get()));
        self.extend_end(uid.get(), uid.get());
    }

    fn extend_end(&mut self, a: u32, b: u32) {
        match self.0.last_mut() {
            Some(last) if a <= last.1.saturating_add(1) => last.1 = last.1.max(b),
            _ => self.0.push((a, b)),
        }
    }

    /// Adds any uid, wherever it belongs.
    pub fn insert(&mut self, uid: Uid) {
        let v = uid.get();
        match self.0.last() {
            Some(&(a, _)) if v < a => {
                let ranges = std::mem::take(&mut self.0);
                *self = Self::from_ranges(
                    ranges
                        .into_iter()
                        .chain([(v, v)])
                        .filter_map(|(a, b)| Some((Uid::new(a)?, Uid::new(b)?))),
                );
            }
            _ => self.extend_end(v, v),
        }
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many uids the set holds.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|&(a, b)| u64::from(b - a) + 1).sum()
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (Uid, Uid)> + ExactSizeIterator + '_ {
        self.0.iter().map(|&(a, b)| {
            // Ranges are only ever built from uids, so neither end is 0.
            (
                Uid::new(a).unwrap_or(Uid::FIRST),
                Uid::new(b).unwrap_or(Uid::FIRST),
            )
        })
    }

    /// Every uid, ascending. The caller bounds the set first: `1:4294967295` is a legal set.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.0
            .iter()
            .flat_map(|&(a, b)| (a..=b).filter_map(Uid::new))
    }

    /// Whether `uid` is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let v = uid.get();
        let i = self.0.partition_point(|&(_, b)| b < v);
        self.0.get(i).is_some_and(|&(a, _)| a <= v)
    }

    /// How many uids of the set are below `uid`; `None` when it is not in the set.
    pub fn position(&self, uid: Uid) -> Option<u64> {
        let v = uid.get();
        let mut before = 0;
        for &(a, b) in &self.0 {
            if v < a {
                return None;
            }
            if v <= b {
                return Some(before + u64::from(v - a));
            }
            before += u64::from(b - a) + 1;
        }
        None
    }

    /// The uid with so many below it: the inverse of [`position`](Self::position).
    pub fn nth(&self, mut n: u64) -> Option<Uid> {
        for &(a, b) in &self.0 {
            let len = u64::from(b - a) + 1;
            if n < len {
                return u32::try_from(n).ok().and_then(|n| Uid::new(a + n));
            }
            n -= len;
        }
        None
    }

    /// The smallest uid.
    pub fn first(&self) -> Option<Uid> {
        self.0.first().and_then(|&(a, _)| Uid::new(a))
    }

    /// The largest uid.
    pub fn last(&self) -> Option<Uid> {
        self.0.last().and_then(|&(_, b)| Uid::new(b))
    }

    /// The uids in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut i, mut j, mut out) = (0, 0, Self::new());
        while let (Some(&(a, b)), Some(&(c, d))) = (self.0.get(i), other.0.get(j)) {
            let (lo, hi) = (a.max(c), b.min(d));
            if lo <= hi {
                out.extend_end(lo, hi);
            }
            if b < d { i += 1 } else { j += 1 }
        }
        out
    }

    /// The uids of this set that are not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        let mut outside = Self(Vec::with_capacity(other.0.len() + 1));
        let mut next = Some(1);
        for &(a, b) in &other.0 {
            if let Some(next) = next.filter(|&next| next < a) {
                outside.extend_end(next, a - 1);
            }
            next = b.checked_add(1);
        }
        if let Some(next) = next {
            outside.extend_end(next, u32::MAX);
        }
        self.intersection(&outside)
    }

    /// The uids in either set.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges().chain(other.ranges()))
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(iter: I) -> Self {
        let mut uids: Vec<Uid> = iter.into_iter().collect();
        if !uids.is_sorted() {
            uids.sort_unstable();
        }
        let mut set = Self::new();
        for uid in uids {
            set.push(uid);
        }
        set
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(a, b)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if a == b {
                write!(f, "{a}")?;
            } else {
                write!(f, "{a}:{b}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UidSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn uid(v: u32) -> Uid {
        Uid::new(v).unwrap()
    }

    #[test]
    fn ranges_are_merged_and_printed_as_uid_set() {
        let set = UidSet::from_ranges([(uid(7), uid(7)), (uid(3), uid(1)), (uid(4), uid(5))]);
        assert_eq!(set.to_string(), "1:5,7");
        assert_eq!(set.len(), 6);
        let all = UidSet::range(Uid::FIRST, Uid::MAX);
        assert_eq!(all.len(), u64::from(u32::MAX));
        assert!(all.contains(Uid::MAX));
        assert!(all.difference(&all).is_empty());
        assert_eq!(all.difference(&set).to_string(), "6,8:4294967295");
    }

    proptest! {
        #[test]
        fn behaves_like_a_btree_set(a in prop::collection::vec(1u32..60, 0..30),
                                    b in prop::collection::vec(1u32..60, 0..30)) {
            let sa: BTreeSet<u32> = a.iter().copied().collect();
            let sb: BTreeSet<u32> = b.iter().copied().collect();
            let mut ua = UidSet::new();
            for v in &a { ua.insert(uid(*v)); }
            let ub: UidSet = b.iter().map(|v| uid(*v)).collect();
            let flat = |s: &UidSet| s.iter().map(Uid::get).collect::<Vec<_>>();
            prop_assert_eq!(flat(&ua), sa.iter().copied().collect::<Vec<_>>());
            let both: Vec<u32> = sa.intersection(&sb).copied().collect();
            prop_assert_eq!(flat(&ua.intersection(&ub)), both);
            prop_assert_eq!(flat(&ua.union(&ub)), sa.union(&sb).copied().collect::<Vec<_>>());
            let first: Vec<u32> = sa.difference(&sb).copied().collect();
            prop_assert_eq!(flat(&ua.difference(&ub)), first);
            for v in 1..61 {
                prop_assert_eq!(ua.contains(uid(v)), sa.contains(&v));
                let place = sa.iter().position(|have| *have == v).map(|place| place as u64);
                prop_assert_eq!(ua.position(uid(v)), place);
                prop_assert_eq!(place.and_then(|n| ua.nth(n)), place.map(|_| uid(v)));
            }
            prop_assert_eq!(ua.nth(ua.len()), None);
        }
    }
}
