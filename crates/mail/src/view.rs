//! A mailbox at one modification sequence, in memory: immutable, shared, copied per chunk on write.

use crate::chunk::{Chunk, Row};
use crate::totals::{Counted, Sums};
use std::sync::Arc;
use types::{Flags, Keyword, ModSeq, Uid, UidSet, UidValidity};

/// Keywords one mailbox can hold: they are bits of a `u64` per message.
pub const MAX_KEYWORDS: usize = 64;

/// A mailbox as it was at [`modseq`](View::modseq). Cheap to keep and to compare: views share every
/// chunk that did not change between them.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: u32,
    pub(crate) modseq: ModSeq,
    pub(crate) keywords: Arc<Vec<Keyword>>,
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// Messages before each chunk.
    pub(crate) starts: Vec<u32>,
    pub(crate) messages: u32,
    /// Forgotten by every change.
    pub(crate) sums: Counted<Sums>,
}

/// What lies between two views of one mailbox; see [`View::changes_since`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// In the old view, not in the new one.
    pub expunged: UidSet,
    /// In both, with another modseq: flags or keywords changed.
    pub flagged: UidSet,
    /// In the new view only.
    pub added: UidSet,
}

impl Changes {
    /// Whether the views hold the same messages with the same flags.
    pub fn is_empty(&self) -> bool {
        self.expunged.is_empty() && self.flagged.is_empty() && self.added.is_empty()
    }
}

impl View {
    pub(crate) fn empty(uid_validity: UidValidity) -> Self {
        Self {
            uid_validity,
            uid_next: 1,
            modseq: ModSeq::FIRST,
            keywords: Arc::default(),
            chunks: Vec::new(),
            starts: Vec::new(),
            messages: 0,
            sums: Counted::default(),
        }
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }

    /// UIDNEXT; `u32::MAX` also once the uids are used up.
    pub fn uid_next(&self) -> u32 {
        self.uid_next
    }

    /// HIGHESTMODSEQ: the number of the last journal entry this view includes.
    pub fn modseq(&self) -> ModSeq {
        self.modseq
    }

    /// The mailbox's keywords; bit `i` of [`Row::keywords`] is the `i`-th of them. Grows only.
    pub fn keywords(&self) -> &[Keyword] {
        &self.keywords
    }

    /// How many messages (EXISTS).
    pub fn len(&self) -> usize {
        self.messages as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// The message at position `index` (0-based: sequence number minus one).
    pub fn get(&self, index: usize) -> Option<Row> {
        let (chunk, i) = self.locate(index)?;
        Some(self.chunks.get(chunk)?.row(i))
    }

    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len() {
            return None;
        }
        let chunk = self
            .starts
            .partition_point(|&s| s as usize <= index)
            .checked_sub(1)?;
        Some((chunk, index - self.starts[chunk] as usize))
    }

    /// The position of a uid, if the view holds it.
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        let chunk = self
            .chunks
            .partition_point(|c| c.last().is_some_and(|last| last < uid));
        let i = self.chunks.get(chunk)?.uids.binary_search(&uid).ok()?;
        Some(self.starts[chunk] as usize + i)
    }

    /// The message with this uid.
    pub fn find(&self, uid: Uid) -> Option<Row> {
        self.get(self.index_of(uid)?)
    }

    /// How many messages have a uid below this one: the position it has or would have.
    pub fn rank(&self, uid: Uid) -> usize {
        let chunk = self
            .chunks
            .partition_point(|c| c.last().is_some_and(|last| last < uid));
        match self.chunks.get(chunk) {
            Some(c) => self.starts[chunk] as usize + c.uids.partition_point(|&u| u < uid),
            None => self.len(),
        }
    }

    /// All messages in order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.chunks
            .iter()
            .flat_map(|c| (0..c.len()).map(move |i| c.row(i)))
    }

    /// The messages at positions `from..to` with their positions.
    pub fn rows_at(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, Row)> + '_ {
        let to = to.min(self.len());
        let first = self
            .locate(from)
            .map_or(self.chunks.len(), |(chunk, _)| chunk);
        self.chunks[first..]
            .iter()
            .zip(&self.starts[first..])
            .take_while(move |(_, start)| (**start as usize) < to)
            .flat_map(move |(c, start)| {
                let start = *start as usize;
                let range = from.saturating_sub(start)..c.len().min(to.saturating_sub(start));
                range.map(move |i| (start + i, c.row(i)))
            })
    }

    /// The messages of `uids` that exist, with their positions, in order.
    pub fn rows_in<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (usize, Row)> + 'a {
        uids.ranges().flat_map(|(a, b)| {
            let to = b.next().map_or(self.len(), |after| self.rank(after));
            self.rows_at(self.rank(a), to)
        })
    }

    /// The uids of `uids` that exist here.
    pub fn existing(&self, uids: &UidSet) -> UidSet {
        let mut found = UidSet::new();
        for (_, row) in self.rows_in(uids) {
            found.push(row.uid);
        }
        found
    }

    /// Sum of the sizes of the messages with `\\Deleted`.
    pub fn deleted_octets(&self) -> u64 {
        let deleted = |row: &Row| row.flags.contains(Flags::DELETED);
        self.rows()
            .filter(deleted)
            .map(|row| u64::from(row.size))
            .sum()
    }

    /// The bit of a keyword, if the mailbox knows it.
    pub fn keyword_bit(&self, keyword: &Keyword) -> Option<u64> {
        self.keywords
            .iter()
            .position(|k| k == keyword)
            .map(|i| 1 << i)
    }

    /// The keywords of a row.
    pub fn keywords_of(&self, bits: u64) -> impl Iterator<Item = &Keyword> + '_ {
        self.keywords
            .iter()
            .enumerate()
            .filter(move |(i, _)| bits & (1 << i) != 0)
            .map(|(_, keyword)| keyword)
    }

    /// What happened between `old` and this newer view of the same mailbox. Costs in proportion to
    /// the chunks that changed.
    pub fn changes_since(&self, old: &Self) -> Changes {
        let mut changes = Changes::default();
        if self.modseq == old.modseq {
            return changes;
        }
        let (mut a, mut b) = (Cursor::new(old), Cursor::new(self));
        loop {
            // Chunks shared by both views hold no change; skip them whole.
            while a.skip_shared(&mut b) || a.skip_same(&mut b) {}
            match (a.peek(), b.peek()) {
                (None, None) => return changes,
                (Some((uid, _)), None) => {
                    changes.expunged.push(uid);
                    a.advance(1);
                }
                (None, Some((uid, _))) => {
                    changes.added.push(uid);
                    b.advance(1);
                }
                (Some((x, _)), Some((y, _))) if x < y => {
                    changes.expunged.push(x);
                    a.advance(1);
                }
                (Some((x, _)), Some((y, _))) if y < x => {
                    changes.added.push(y);
                    b.advance(1);
                }
                (Some((uid, m)), Some((_, n))) => {
                    if m != n {
                        changes.flagged.push(uid);
                    }
                    a.advance(1);
                    b.advance(1);
                }
            }
        }
    }

    /// Bytes this view occupies, counting shared chunks as its own.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.chunks.iter().map(|c| c.memory() + 24).sum::<usize>()
    }
}

/// Walks the messages of a view and can leap over whole chunks.
struct Cursor<'a> {
    chunks: &'a [Arc<Chunk>],
    i: usize,
}

impl<'a> Cursor<'a> {
    fn new(view: &'a View) -> Self {
        Self {
            chunks: &view.chunks,
            i: 0,
        }
    }

    fn peek(&self) -> Option<(Uid, ModSeq)> {
        let chunk = self.chunks.first()?;
        Some((*chunk.uids.get(self.i)?, *chunk.modseqs.get(self.i)?))
    }

    /// Within the chunk.
    fn advance(&mut self, messages: usize) {
        self.i += messages;
        if self.chunks.first().is_some_and(|c| self.i >= c.len()) {
            self.chunks = &self.chunks[1..];
            self.i = 0;
        }
    }

    /// Steps over what is the same in both from here on, within a chunk: nearly all of one that
    /// changed.
    fn skip_same(&mut self, other: &mut Self) -> bool {
        let (a, b) = (self.chunk_from_here(), other.chunk_from_here());
        let rows = a.0.iter().zip(b.0).zip(a.1.iter().zip(b.1));
        let same = rows.take_while(|((x, y), (m, n))| x == y && m == n).count();
        if same > 0 {
            self.advance(same);
            other.advance(same);
        }
        same > 0
    }

    fn chunk_from_here(&self) -> (&'a [Uid], &'a [ModSeq]) {
        let chunk = self.chunks.first();
        let uids = chunk.and_then(|chunk| chunk.uids.get(self.i..));
        let modseqs = chunk.and_then(|chunk| chunk.modseqs.get(self.i..));
        (uids.unwrap_or_default(), modseqs.unwrap_or_default())
    }

    fn skip_shared(&mut self, other: &mut Self) -> bool {
        match (self.chunks.split_first(), other.chunks.split_first()) {
            (Some((a, rest)), Some((b, others)))
                if self.i == 0 && other.i == 0 && Arc::ptr_eq(a, b) =>
            {
                self.chunks = rest;
                other.chunks = others;
                true
            }
            _ => false,
        }
    }
}
