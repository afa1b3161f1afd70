//! How a change turns one view into the next: used alike by the writer, by replay and by other
//! processes.

use crate::chunk::{CHUNK, Chunk, Hidden};
use crate::journal::{Change, FlagChange, NewRow};
use crate::{MAX_KEYWORDS, MailError, MailErrorKind, View};
use std::sync::Arc;
use types::{FlagOp, Keyword, ModSeq, Uid, UidSet};

impl View {
    /// Applies the journal entry numbered `modseq`. `Limit` when the mailbox would know too many
    /// keywords; the view is then unusable, so writers apply to a clone.
    pub(crate) fn apply(&mut self, modseq: ModSeq, change: &Change) -> Result<(), MailError> {
        self.sums.forget();
        match change {
            Change::Appended(rows) => self.append(modseq, rows)?,
            Change::Flagged(uids, change) => self.flag(modseq, uids, change)?,
            Change::Expunged(uids) => self.expunge(uids),
            Change::Restored { uid_next, .. } => self.uid_next = *uid_next,
            Change::Hidden(uids, hidden) => {
                for (chunk, from, to) in self.overlapping(uids) {
                    Arc::make_mut(&mut self.chunks[chunk]).hide(from..to, *hidden);
                }
            }
        }
        self.modseq = modseq;
        Ok(())
    }

    fn append(&mut self, modseq: ModSeq, rows: &[NewRow]) -> Result<(), MailError> {
        for NewRow { row, keywords } in rows {
            let mut row = *row;
            row.modseq = modseq;
            // As the journal has it: every message comes in visible, whatever it was elsewhere.
            row.hidden = Hidden::NO;
            row.keywords = self.bits(keywords)?;
            if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
                self.starts.push(self.messages);
                self.chunks.push(Arc::default());
            }
            if let Some(chunk) = self.chunks.last_mut() {
                Arc::make_mut(chunk).push(&row);
            }
            self.messages += 1;
            self.uid_next = row.uid.next().map_or(0, Uid::get);
        }
        Ok(())
    }

    fn flag(
        &mut self,
        modseq: ModSeq,
        uids: &UidSet,
        change: &FlagChange,
    ) -> Result<(), MailError> {
        let bits = match change.op {
            // Taking away a keyword nobody has must not use up one of the mailbox's bits.
            FlagOp::Remove => change
                .keywords
                .iter()
                .filter_map(|k| self.keyword_bit(k))
                .fold(0, |all, bit| all | bit),
            FlagOp::Add | FlagOp::Replace => self.bits(&change.keywords)?,
        };
        for (chunk, from, to) in self.overlapping(uids) {
            let chunk = Arc::make_mut(&mut self.chunks[chunk]);
            chunk.flag(from..to, modseq, change.op, (change.flags, bits));
        }
        Ok(())
    }

    /// The runs of positions inside chunks that `uids` covers, as (chunk, from, to).
    pub(crate) fn overlapping(&self, uids: &UidSet) -> Vec<(usize, usize, usize)> {
        let mut runs = Vec::new();
        for (a, b) in uids.ranges() {
            let first = self
                .chunks
                .partition_point(|c| c.last().is_some_and(|last| last < a));
            for (i, chunk) in self.chunks.iter().enumerate().skip(first) {
                if chunk.first().is_some_and(|first| first > b) {
                    break;
                }
                let from = chunk.uids.partition_point(|&uid| uid < a);
                let to = chunk.uids.partition_point(|&uid| uid <= b);
                if from < to {
                    runs.push((i, from, to));
                }
            }
        }
        runs
    }

    fn expunge(&mut self, uids: &UidSet) {
        let mut touched: Vec<usize> = self.overlapping(uids).iter().map(|run| run.0).collect();
        touched.dedup();
        for &i in &touched {
            let chunk = self.chunks[i].without(|uid| uids.contains(uid));
            self.chunks[i] = Arc::new(chunk);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        // Many thin chunks cost more than they save; gather them once they could fit in half as
        // many.
        let messages: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        if self.chunks.len() > 2 * messages.div_ceil(CHUNK) + 4 {
            self.repack();
        }
        self.recount();
    }

    fn repack(&mut self) {
        let mut packed: Vec<Chunk> = Vec::new();
        for row in self.rows() {
            match packed.last_mut() {
                Some(chunk) if chunk.len() < CHUNK => chunk.push(&row),
                _ => {
                    let mut chunk = Chunk::default();
                    chunk.push(&row);
                    packed.push(chunk);
                }
            }
        }
        self.chunks = packed.into_iter().map(Arc::new).collect();
    }

    pub(crate) fn recount(&mut self) {
        let mut messages = 0u32;
        self.starts.clear();
        for chunk in &self.chunks {
            self.starts.push(messages);
            messages += chunk.len() as u32;
        }
        self.messages = messages;
    }

    /// The bits of keywords, giving new ones a place.
    fn bits(&mut self, keywords: &[Keyword]) -> Result<u64, MailError> {
        let mut bits = 0;
        for keyword in keywords {
            bits |= match self.keyword_bit(keyword) {
                Some(bit) => bit,
                None if self.keywords.len() < MAX_KEYWORDS => {
                    Arc::make_mut(&mut self.keywords).push(keyword.clone());
                    1 << (self.keywords.len() - 1)
                }
                None => {
                    return Err(MailError::new(
                        MailErrorKind::Limit,
                        "the mailbox has no room for another keyword",
                    ));
                }
            };
        }
        Ok(bits)
    }
}
