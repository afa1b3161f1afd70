//! What is known of many messages without looking at each of them: counted once for a chunk and
//! once for a view, when somebody asks, and shared by all sessions that have them. Opening a
//! mailbox and polling it cost the same whatever its size (DESIGN 10), and after a change the
//! chunks that changed are counted again, the others only added up.

use crate::View;
use crate::chunk::Chunk;
use std::sync::OnceLock;
use types::{Flags, UidSet};

/// Something that is counted when it is asked for first. A copy counts anew: copies are made to be
/// changed.
#[derive(Debug)]
pub(crate) struct Counted<T>(OnceLock<T>);

impl<T> Counted<T> {
    pub(crate) fn get(&self, count: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(count)
    }

    /// What was counted is about to change.
    pub(crate) fn forget(&mut self) {
        self.0.take();
    }
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Whether it was counted already makes no difference.
impl<T> PartialEq for Counted<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Counted<T> {}

/// The messages of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Those without `\Seen`.
    pub(crate) unseen: u32,
    /// Those that POP3 shows.
    pub(crate) shown: u32,
    /// Their octets as RETR sends them.
    pub(crate) octets: u64,
    /// The largest modseq.
    pub(crate) newest: u64,
}

/// The messages of a view.
#[derive(Debug)]
pub(crate) struct Sums {
    /// The first chunk that has one without `\Seen`.
    unseen: Option<usize>,
    /// Those that POP3 shows.
    pub(crate) shown: u32,
    /// Their octets.
    pub(crate) octets: u64,
    /// Of these, how many are before each chunk; nothing when POP3 shows all.
    pub(crate) shown_before: Vec<u32>,
}

impl Sums {
    fn of(view: &View) -> Self {
        let mut sums = Self {
            unseen: None,
            shown: 0,
            octets: 0,
            shown_before: Vec::new(),
        };
        for (i, chunk) in view.chunks.iter().enumerate() {
            let totals = chunk.totals();
            if sums.unseen.is_none() && totals.unseen > 0 {
                sums.unseen = Some(i);
            }
            sums.shown_before.push(sums.shown);
            sums.shown += totals.shown;
            sums.octets += totals.octets;
        }
        if sums.shown == view.messages {
            sums.shown_before = Vec::new();
        }
        sums
    }
}

impl View {
    pub(crate) fn sums(&self) -> &Sums {
        self.sums.get(|| Sums::of(self))
    }

    /// The position of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<usize> {
        let chunk = self.sums().unseen?;
        let flags = &self.chunks.get(chunk)?.flags;
        let i = flags.iter().position(|have| !have.contains(Flags::SEEN))?;
        Some(*self.starts.get(chunk)? as usize + i)
    }

    /// The uids whose row changed after `since` (CONDSTORE's CHANGEDSINCE). Costs in proportion to
    /// the chunks that changed.
    pub fn changed_after(&self, since: u64) -> UidSet {
        let mut uids = UidSet::new();
        let changed = |chunk: &&Chunk| chunk.totals().newest > since;
        for chunk in self.chunks.iter().map(|chunk| &**chunk).filter(changed) {
            for (i, modseq) in chunk.modseqs.iter().enumerate() {
                if modseq.get() > since {
                    uids.push(chunk.uids[i]);
                }
            }
        }
        uids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{CHUNK, Hidden};
    use crate::journal::{Change, FlagChange, NewRow};
    use crate::{Listed, Row};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use types::{EmailId, FlagOp, ModSeq, Uid, UidValidity};

    impl<T> Counted<T> {
        fn is_counted(&self) -> bool {
            self.0.get().is_some()
        }
    }

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    fn came(n: u32) -> NewRow {
        let row = Row {
            uid: uid(n),
            flags: Flags::NONE,
            keywords: 0,
            modseq: ModSeq::FIRST,
            size: 4_000_000_000 + n,
            crlf_extra: n % 3,
            internal_date: 0,
            saved: 0,
            email: EmailId(u64::from(n)),
            uidl: u64::from(n),
            hidden: Hidden::NO,
        };
        let keywords = Vec::new();
        NewRow { row, keywords }
    }

    fn flagged(uids: UidSet, op: FlagOp) -> Change {
        let (flags, keywords) = (Flags::SEEN, Vec::new());
        Change::Flagged(
            uids,
            FlagChange {
                op,
                flags,
                keywords,
            },
        )
    }

    /// What the view says, against a look at every row.
    fn assert_right(view: &View) {
        let rows: Vec<Row> = view.rows().collect();
        let unseen = |row: &Row| !row.flags.contains(Flags::SEEN);
        assert_eq!(view.first_unseen(), rows.iter().position(unseen));
        let hidden = |row: &&Row| !row.hidden.is_hidden();
        let shown: Vec<Row> = rows.iter().filter(hidden).copied().collect();
        assert_eq!(view.pop3_len(), shown.len());
        let octets: u64 = shown.iter().map(Row::pop3_size).sum();
        assert_eq!(view.pop3_octets(), octets);
        let listed = shown.iter().map(|row| Listed {
            octets: row.pop3_size(),
            uidl: row.uidl,
        });
        assert!(view.pop3_listing().eq(listed));
        for i in (0..shown.len() + 2).step_by(7) {
            assert_eq!(view.pop3_get(i), shown.get(i).copied());
        }
        for since in [0, view.modseq().get() / 2, view.modseq().get() - 1] {
            let after = rows.iter().filter(|row| row.modseq.get() > since);
            assert_eq!(
                view.changed_after(since),
                after.map(|row| row.uid).collect()
            );
        }
    }

    /// One change: of which kind, of which messages.
    fn change((kind, from, count): (u8, u32, u32), next: u32) -> Change {
        let from = 1 + from % next;
        let some = UidSet::range(uid(from), uid(from + count % (next / 4 + 2)));
        match kind {
            0..=2 => Change::Appended((next..next + count).map(came).collect()),
            3 => flagged(some, FlagOp::Add),
            4 => flagged(UidSet::range(Uid::FIRST, uid(from)), FlagOp::Add),
            5 => flagged(some, FlagOp::Remove),
            6 => Change::Hidden(some, Hidden::FOREVER),
            _ => Change::Expunged(some),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Over many chunks, asked or not between changes, made in place or beside a session that
        /// keeps what was.
        #[test]
        fn what_was_counted_before_a_change_is_counted_again(
            changes in vec(((0..8u8, any::<u32>(), 0..1500u32), 0..4u8), 1..40),
        ) {
            let mut view = View::empty(UidValidity::MIN);
            let mut kept = Vec::new();
            for (what, then) in changes {
                let change = change(what, view.uid_next());
                let modseq = view.modseq().advance(1).unwrap();
                view.apply(modseq, &change).unwrap();
                match then {
                    0 => assert_right(&view),
                    1 => kept.push((view.clone(), view.rows().collect::<Vec<_>>())),
                    _ => {}
                }
            }
            assert_right(&view);
            for (old, rows) in kept {
                assert!(old.rows().eq(rows));
                assert_right(&old);
            }
        }
    }

    /// DESIGN 10: what a poll costs does not grow with the mailbox.
    #[test]
    fn only_chunks_that_changed_are_counted_again() {
        let many = 100 * CHUNK as u32;
        let mut before = View::empty(UidValidity::MIN);
        let all = Change::Appended((1..=many).map(came).collect());
        before.apply(ModSeq::FIRST, &all).unwrap();
        let counted = |view: &View| {
            let counted = view.chunks.iter().filter(|c| c.totals.is_counted());
            (counted.count(), view.sums.is_counted())
        };
        assert_eq!(counted(&before), (0, false));
        before.first_unseen();
        assert_eq!(counted(&before), (100, true));

        let next = |change: &Change| {
            let mut view = before.clone();
            let modseq = before.modseq().advance(1).unwrap();
            view.apply(modseq, change).unwrap();
            view
        };
        let delivered = next(&Change::Appended(vec![came(many + 1)]));
        assert_eq!(counted(&delivered), (100, false));
        assert_eq!(delivered.chunks.len(), 101);
        let one = UidSet::range(uid(777), uid(777));
        for change in [
            flagged(one.clone(), FlagOp::Add),
            Change::Hidden(one.clone(), Hidden::FOREVER),
            Change::Expunged(one),
        ] {
            let view = next(&change);
            assert_eq!(counted(&view), (99, false), "{change:?}");
            view.pop3_octets();
            assert_eq!(counted(&view), (100, true));
        }
        assert_eq!(counted(&before), (100, true));
    }
}
