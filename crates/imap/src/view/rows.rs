//! The messages FETCH and SEARCH answer about.

use super::{MsgSeq, Selection};
use mail::{Row, View};
use std::ops::Range;
use std::sync::Arc;
use types::{Flags, ModSeq, Uid, UidSet};

/// Messages to be answered about, handed out in batches; holds no borrow of the session.
pub struct Rows {
    told: Arc<View>,
    latest: Arc<View>,
    recent: UidSet,
    /// Ranges of positions in `told` still to come.
    positions: Vec<(usize, usize)>,
    next: usize,
    descending: bool,
}

impl Rows {
    pub(super) fn new(
        told: Arc<View>,
        latest: Arc<View>,
        recent: UidSet,
        positions: Vec<(usize, usize)>,
    ) -> Self {
        Self {
            told,
            latest,
            recent,
            positions,
            next: 0,
            descending: false,
        }
    }

    /// The view the rows' keywords belong to.
    pub fn view(&self) -> &Arc<View> {
        &self.latest
    }

    /// Whether a message is `\Recent`.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// Replaces the content of `batch` by the next messages, at most `max`; `false` when none are
    /// left.
    pub fn next_batch(&mut self, max: usize, batch: &mut Vec<(MsgSeq, Row)>) -> bool {
        batch.clear();
        if self.descending {
            return self.last_batch(max, batch);
        }
        while let Some((from, to)) = self.positions.get_mut(self.next) {
            let until = (*to).min(*from + (max - batch.len()));
            batch.extend(
                self.told
                    .rows_at(*from, until)
                    .map(|(index, row)| (MsgSeq::at(index), newest(&self.told, &self.latest, row))),
            );
            *from = until;
            if *from < *to {
                break;
            }
            self.next += 1;
            if batch.len() >= max {
                break;
            }
        }
        !batch.is_empty()
    }

    /// The same from the other end.
    fn last_batch(&mut self, max: usize, batch: &mut Vec<(MsgSeq, Row)>) -> bool {
        while let Some((from, to)) = self.positions.last_mut() {
            let start = (*from).max(to.saturating_sub(max - batch.len()));
            let first = batch.len();
            batch.extend(
                self.told
                    .rows_at(start, *to)
                    .map(|(index, row)| (MsgSeq::at(index), newest(&self.told, &self.latest, row))),
            );
            if let Some(added) = batch.get_mut(first..) {
                added.reverse();
            }
            *to = start;
            if *from < *to {
                break;
            }
            self.positions.pop();
            if batch.len() >= max {
                break;
            }
        }
        !batch.is_empty()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.positions.iter().map(|(from, to)| to - from).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps only those messages, counted from 0.
    pub fn keep(&mut self, places: Range<usize>) {
        let mut before = 0;
        self.positions.retain_mut(|(from, to)| {
            let (start, len) = (*from, *to - *from);
            *from = start + places.start.saturating_sub(before).min(len);
            *to = start + places.end.saturating_sub(before).min(len);
            before += len;
            *from < *to
        });
    }

    /// Keeps only the newest, at most `max`. Returns the lowest uid among them if there were more.
    pub fn keep_newest(&mut self, max: usize) -> Option<Uid> {
        let len = self.len();
        let first = len.checked_sub(max).filter(|first| *first > 0)?;
        self.keep(first..len);
        let (at, _) = self.positions.first()?;
        self.told.get(*at).map(|row| row.uid)
    }

    /// Hands them out from the newest to the oldest.
    pub fn newest_first(&mut self) {
        self.descending = true;
    }

    /// Keeps only messages changed after `since` (CHANGEDSINCE, RFC 7162 3.1.4.1).
    pub fn changed_since(&mut self, since: u64) {
        let changed = self.latest.changed_after(since);
        let spans = changed.ranges().map(|(first, last)| {
            let to = last
                .next()
                .map_or(self.told.len(), |end| self.told.rank(end));
            (self.told.rank(first), to)
        });
        self.positions = intersection(&self.positions, spans);
    }

    /// The uids of messages that lack one of `flags`.
    pub fn without_flags(&self, flags: Flags) -> UidSet {
        self.all()
            .filter(|row| !row.flags.contains(flags))
            .map(|row| row.uid)
            .collect()
    }

    /// The same messages with their newest flags.
    pub fn refreshed(mut self, selection: &Selection) -> Self {
        self.latest = selection.mailbox().view();
        self
    }

    fn all(&self) -> impl Iterator<Item = Row> + '_ {
        let rows = self
            .positions
            .iter()
            .flat_map(|&(from, to)| self.told.rows_at(from, to));
        rows.map(|(_, row)| newest(&self.told, &self.latest, row))
    }

    /// The largest modseq among all of the messages, `None` when there are none.
    pub fn max_modseq(&self) -> Option<ModSeq> {
        let rows = self
            .positions
            .iter()
            .flat_map(|&(from, to)| self.told.rows_at(from, to));
        rows.map(|(_, row)| newest(&self.told, &self.latest, row).modseq)
            .max()
    }
}

/// The row of a message in `latest`; the one in `told` if it is gone there.
fn newest(told: &View, latest: &View, row: Row) -> Row {
    if told.modseq() == latest.modseq() {
        row
    } else {
        latest.find(row.uid).unwrap_or(row)
    }
}

/// What two ascending lists of ranges, ends excluded, have in common.
fn intersection(
    a: &[(usize, usize)],
    b: impl Iterator<Item = (usize, usize)>,
) -> Vec<(usize, usize)> {
    let mut common = Vec::new();
    let mut rest = a;
    for (from, to) in b {
        while let Some((&(start, end), tail)) = rest.split_first() {
            if start.max(from) < end.min(to) {
                common.push((start.max(from), end.min(to)));
            }
            if end > to {
                break;
            }
            rest = tail;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::intersection;

    #[test]
    fn ranges_are_cut_to_what_they_share() {
        let a = [(0, 3), (5, 9), (12, 20)];
        for (b, want) in [
            (vec![], vec![]),
            (vec![(3, 5), (9, 12), (20, 30)], vec![]),
            (vec![(0, 30)], a.to_vec()),
            (
                vec![(1, 2), (2, 6), (8, 13), (19, 20)],
                vec![(1, 2), (2, 3), (5, 6), (8, 9), (12, 13), (19, 20)],
            ),
            (vec![(4, 4), (5, 6)], vec![(5, 6)]),
        ] {
            assert_eq!(intersection(&a, b.into_iter()), want);
        }
    }
}
