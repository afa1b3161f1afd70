//! The messages FETCH and SEARCH answer about.

use super::{MsgSeq, Selection};
use mail::{Row, View};
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

    /// Replaces the content of `batch` by the next messages, at most `max`; `false` when none are left.
    pub fn next_batch(&mut self, max: usize, batch: &mut Vec<(MsgSeq, Row)>) -> bool {
        batch.clear();
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

    /// Keeps only messages changed after `since` (CHANGEDSINCE, RFC 7162 3.1.4.1).
    pub fn changed_since(&mut self, since: u64) {
        let mut kept = Vec::new();
        for &(from, to) in &self.positions {
            for (index, row) in self.told.rows_at(from, to) {
                let row = newest(&self.told, &self.latest, row);
                if row.modseq.get() <= since {
                    continue;
                }
                match kept.last_mut() {
                    Some((_, end)) if *end == index => *end = index + 1,
                    _ => kept.push((index, index + 1)),
                }
            }
        }
        self.positions = kept;
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
