//! What the micro-benchmarks of `benches/` need of the inside, and nobody else: replay of a journal
//! without a store around it.

use bytes::Bytes;
use types::{EmailId, FlagOp, Flags, ModSeq, Uid, UidSet, UidValidity};

use crate::chunk::{Hidden, Row};
use crate::journal::{Change, FlagChange, JournalEntry, NewRow};
use crate::{MailError, View};

/// A mailbox's journal as the store holds it, one value for each entry.
pub struct Journal(Vec<(ModSeq, Bytes)>);

impl Journal {
    /// Of so many messages that came one by one; each second was read, each tenth expunged.
    pub fn new(messages: u32) -> Self {
        let mut modseq = ModSeq::FIRST;
        let mut entries = Vec::new();
        for uid in (1..=messages).filter_map(Uid::new) {
            let here = || UidSet::range(uid, uid);
            let seen = FlagChange {
                op: FlagOp::Add,
                flags: Flags::SEEN,
                keywords: Vec::new(),
            };
            let flagged = (uid.get() % 2 == 0).then(|| Change::Flagged(here(), seen));
            let expunged = (uid.get() % 10 == 0).then(|| Change::Expunged(here()));
            let all = [Some(Change::Appended(vec![came(uid)])), flagged, expunged];
            for change in all.into_iter().flatten() {
                modseq = modseq.advance(1).unwrap_or(ModSeq::MAX);
                let at = 1_780_000_000 + i64::from(uid.get());
                entries.push((modseq, JournalEntry { at, change }.encode()));
            }
        }
        Self(entries)
    }

    /// How many entries it has.
    pub fn entries(&self) -> usize {
        self.0.len()
    }

    /// The mailbox they make of an empty one.
    ///
    /// # Errors
    /// When an entry cannot be read.
    pub fn replay(&self) -> Result<View, MailError> {
        let mut view = View::empty(UidValidity::MIN);
        for (modseq, bytes) in &self.0 {
            view.apply(*modseq, &JournalEntry::decode(bytes, *modseq)?.change)?;
        }
        Ok(view)
    }
}

fn came(uid: Uid) -> NewRow {
    let row = Row {
        uid,
        flags: Flags::NONE,
        keywords: 0,
        modseq: ModSeq::FIRST,
        size: 17_000 + uid.get() % 1_000,
        crlf_extra: 0,
        internal_date: 1_780_000_000 + i64::from(uid.get()),
        saved: 1_780_000_000 + i64::from(uid.get()),
        email: EmailId(uid.get().into()),
        uidl: uid.get().into(),
        hidden: Hidden::NO,
    };
    let keywords = Vec::new();
    NewRow { row, keywords }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_replayed_whole() {
        let journal = Journal::new(40);
        assert_eq!(journal.entries(), 40 + 20 + 4);
        let view = journal.replay().unwrap();
        assert_eq!((view.len(), view.uid_next()), (36, 41));
        let seen = view.rows().filter(|row| row.flags == Flags::SEEN);
        assert_eq!(seen.count(), 16);
    }
}
