//! A run of messages of one mailbox, struct-of-arrays, shared by every view that contains it.

use crate::MailError;
use crate::codec::{Decoder, Encoder};
use crate::totals::{Counted, Totals};
use std::ops::Range;
use types::{EmailId, FlagOp, Flags, ModSeq, Uid};

/// Messages per chunk when full. Small enough that copying one on write is microseconds and that
/// its snapshot stays below the store's value limit, large enough that a million messages are 2 000
/// chunks.
pub(crate) const CHUNK: usize = 512;

/// One message as a mailbox knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its uid in this mailbox.
    pub uid: Uid,
    /// System flags.
    pub flags: Flags,
    /// Keywords, as bits into [`View::keywords`](crate::View::keywords).
    pub keywords: u64,
    /// When its row last changed.
    pub modseq: ModSeq,
    /// RFC822.SIZE: exact octets as IMAP serves them.
    pub size: u32,
    /// How many octets more POP3 sends: bare LF becomes CRLF, a missing last CRLF is added.
    pub crlf_extra: u32,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub internal_date: i64,
    /// When it came into this mailbox, seconds since 1970 UTC.
    pub saved: i64,
    /// Its content.
    pub email: EmailId,
    /// Number behind its POP3 unique id: kept by MOVE, fresh for every copy.
    pub uidl: u64,
    /// Whether POP3 shows it.
    pub hidden: Hidden,
}

/// Whether POP3 shows a message: not any more after a DELE under the policies `keep` and
/// `keep-days`. IMAP never knows. Ends when the message is copied or moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hidden(pub(crate) u32);

impl Hidden {
    /// It is shown.
    pub const NO: Self = Self(0);
    /// It is hidden for good.
    pub const FOREVER: Self = Self(u32::MAX);

    /// Hidden, and to be removed at this time, in seconds since 1970 UTC; times after 2106 never
    /// come.
    pub fn until(seconds: i64) -> Self {
        Self(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX))
    }

    /// Whether POP3 does not show it.
    pub fn is_hidden(self) -> bool {
        self != Self::NO
    }

    /// When it is to be removed, in seconds since 1970 UTC.
    pub fn removed_at(self) -> Option<i64> {
        (self.is_hidden() && self != Self::FOREVER).then_some(i64::from(self.0))
    }
}

impl Row {
    /// Octets POP3 sends for RETR, without dot-stuffing and terminator.
    pub fn pop3_size(&self) -> u64 {
        u64::from(self.size) + u64::from(self.crlf_extra)
    }

    /// The POP3 unique id as text (RFC 1939 7: 1 to 70 characters 0x21 to 0x7E): 16 hexadecimal
    /// digits.
    pub fn uidl_text(&self) -> [u8; 16] {
        crate::uidls::native_text(self.uidl)
    }
}

/// Columns of equal length, ascending by uid.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    pub(crate) uids: Vec<Uid>,
    pub(crate) flags: Vec<Flags>,
    pub(crate) keywords: Vec<u64>,
    pub(crate) modseqs: Vec<ModSeq>,
    pub(crate) sizes: Vec<u32>,
    pub(crate) dates: Vec<i64>,
    pub(crate) emails: Vec<EmailId>,
    // Each empty while every value equals the obvious one, which most messages have.
    /// Obvious: 0.
    crlf_extras: Vec<u32>,
    /// Obvious: the internal date. Seconds since 1970 as our own clock tells them, until 2106.
    saved: Vec<u32>,
    /// Obvious: the email's id.
    uidls: Vec<u64>,
    /// Obvious: shown.
    hidden: Vec<u32>,
    /// Forgotten by everything that changes a column.
    pub(crate) totals: Counted<Totals>,
}

/// Appends to a column that is empty as long as all its values are the obvious ones.
fn push_rare<T>(column: &mut Vec<T>, value: T, is_obvious: bool, earlier: impl Iterator<Item = T>) {
    if column.is_empty() {
        if is_obvious {
            return;
        }
        column.extend(earlier);
    }
    column.push(value);
}

fn clock(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.uids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    pub(crate) fn first(&self) -> Option<Uid> {
        self.uids.first().copied()
    }

    pub(crate) fn last(&self) -> Option<Uid> {
        self.uids.last().copied()
    }

    /// The row at `i`; the caller keeps `i < len`.
    pub(crate) fn row(&self, i: usize) -> Row {
        Row {
            uid: self.uids[i],
            flags: self.flags[i],
            keywords: self.keywords[i],
            modseq: self.modseqs[i],
            size: self.sizes[i],
            crlf_extra: self.crlf_extras.get(i).copied().unwrap_or(0),
            internal_date: self.dates[i],
            saved: self.saved(i),
            email: self.emails[i],
            uidl: self.uidl(i),
            hidden: self.hidden(i),
        }
    }

    #[inline]
    pub(crate) fn hidden(&self, i: usize) -> Hidden {
        Hidden(self.hidden.get(i).copied().unwrap_or(0))
    }

    /// Whether POP3 does not show all of it.
    pub(crate) fn has_hidden(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// The places of the messages that POP3 shows.
    pub(crate) fn shown(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|i| !self.hidden(*i).is_hidden())
    }

    /// Hides the messages at these places; the caller keeps them below `len`.
    pub(crate) fn hide(&mut self, places: Range<usize>, hidden: Hidden) {
        self.totals.forget();
        if self.hidden.is_empty() {
            self.hidden = vec![0; self.len()];
        }
        self.hidden[places].fill(hidden.0);
    }

    /// Changes the flags of the messages at these places; the caller keeps them below `len`.
    pub(crate) fn flag(
        &mut self,
        places: Range<usize>,
        modseq: ModSeq,
        op: FlagOp,
        changed: (Flags, u64),
    ) {
        self.totals.forget();
        let (named, bits) = changed;
        for i in places {
            let (flags, keywords) = (&mut self.flags[i], &mut self.keywords[i]);
            (*flags, *keywords) = match op {
                FlagOp::Add => (flags.union(named), *keywords | bits),
                FlagOp::Remove => (flags.without(named), *keywords & !bits),
                FlagOp::Replace => (named, bits),
            };
            self.modseqs[i] = modseq;
        }
    }

    #[inline]
    pub(crate) fn pop3_size(&self, i: usize) -> u64 {
        let extra = self.crlf_extras.get(i).copied().unwrap_or(0);
        u64::from(self.sizes[i]) + u64::from(extra)
    }

    fn saved(&self, i: usize) -> i64 {
        let saved = self.saved.get(i).map(|saved| i64::from(*saved));
        saved.unwrap_or_else(|| self.dates[i])
    }

    #[inline]
    pub(crate) fn uidl(&self, i: usize) -> u64 {
        let uidl = self.uidls.get(i).copied();
        uidl.unwrap_or_else(|| self.emails[i].0)
    }

    pub(crate) fn push(&mut self, row: &Row) {
        self.totals.forget();
        let zeros = std::iter::repeat_n(0, self.len());
        push_rare(
            &mut self.crlf_extras,
            row.crlf_extra,
            row.crlf_extra == 0,
            zeros,
        );
        let dates = self.dates.iter().map(|date| clock(*date));
        let is_obvious = row.saved == row.internal_date;
        push_rare(&mut self.saved, clock(row.saved), is_obvious, dates);
        let emails = self.emails.iter().map(|email| email.0);
        push_rare(&mut self.uidls, row.uidl, row.uidl == row.email.0, emails);
        let zeros = std::iter::repeat_n(0, self.len());
        push_rare(&mut self.hidden, row.hidden.0, row.hidden.0 == 0, zeros);
        self.uids.push(row.uid);
        self.flags.push(row.flags);
        self.keywords.push(row.keywords);
        self.modseqs.push(row.modseq);
        self.sizes.push(row.size);
        self.dates.push(row.internal_date);
        self.emails.push(row.email);
    }

    /// What its messages are together.
    pub(crate) fn totals(&self) -> &Totals {
        self.totals.get(|| Totals {
            unseen: self.count(|i| !self.flags[i].contains(Flags::SEEN)),
            shown: self.count(|i| !self.hidden(i).is_hidden()),
            octets: self.pop3_octets(),
            newest: self.modseqs.iter().max().map_or(0, |modseq| modseq.get()),
        })
    }

    fn count(&self, counts: impl Fn(usize) -> bool) -> u32 {
        (0..self.len()).map(|i| u32::from(counts(i))).sum()
    }

    fn pop3_octets(&self) -> u64 {
        if self.has_hidden() {
            return self.shown().map(|i| self.pop3_size(i)).sum();
        }
        let sum = |column: &[u32]| column.iter().map(|&octets| u64::from(octets)).sum::<u64>();
        sum(&self.sizes) + sum(&self.crlf_extras)
    }

    /// The same messages without those for which `drop` holds.
    pub(crate) fn without(&self, mut drop: impl FnMut(Uid) -> bool) -> Self {
        let mut kept = Self::default();
        for i in 0..self.len() {
            if !drop(self.uids[i]) {
                kept.push(&self.row(i));
            }
        }
        kept
    }

    /// Column after column, each as distances from the value before: about 13 bytes a message.
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.uint(self.len() as u64);
        let mut last = 0;
        for uid in &self.uids {
            e.uint(u64::from(uid.get() - last));
            last = uid.get();
        }
        let mut last = 0;
        for email in &self.emails {
            e.int(email.0.wrapping_sub(last) as i64);
            last = email.0;
        }
        let mut last = 0;
        for date in &self.dates {
            e.int(date.wrapping_sub(last));
            last = *date;
        }
        let mut last = 0;
        for modseq in &self.modseqs {
            e.int(modseq.get().wrapping_sub(last) as i64);
            last = modseq.get();
        }
        self.sizes.iter().for_each(|size| e.uint((*size).into()));
        self.flags.iter().for_each(|flags| e.byte(flags.0));
        e.byte(u8::from(self.keywords.iter().any(|bits| *bits != 0)));
        if self.keywords.iter().any(|bits| *bits != 0) {
            self.keywords.iter().for_each(|bits| e.uint(*bits));
        }
        let rare = !(self.crlf_extras.is_empty() && self.saved.is_empty() && self.uidls.is_empty());
        e.byte(u8::from(rare) | u8::from(self.has_hidden()) << 1);
        if rare {
            for i in 0..self.len() {
                e.uint(self.crlf_extras.get(i).copied().unwrap_or(0).into());
                e.int(self.saved(i).wrapping_sub(self.dates[i]));
                e.uint(self.uidl(i));
            }
        }
        self.hidden.iter().for_each(|until| e.uint((*until).into()));
    }

    /// The inverse of [`encode`](Self::encode).
    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, MailError> {
        let n = d.count()?;
        let mut chunk = Self::default();
        chunk.uids.reserve_exact(n);
        let mut last = 0u32;
        for _ in 0..n {
            last = last.checked_add(d.u32()?).ok_or_else(|| d.damaged())?;
            chunk.uids.push(d.checked(Uid::new, last)?);
        }
        let mut last = 0u64;
        chunk.emails = column(n, || {
            last = last.wrapping_add(d.int()? as u64);
            Ok(EmailId(last))
        })?;
        let mut last = 0i64;
        chunk.dates = column(n, || {
            last = last.wrapping_add(d.int()?);
            Ok(last)
        })?;
        let mut last = 0u64;
        chunk.modseqs = column(n, || {
            last = last.wrapping_add(d.int()? as u64);
            d.checked(ModSeq::new, last)
        })?;
        chunk.sizes = column(n, || d.u32())?;
        chunk.flags = column(n, || d.byte().map(Flags))?;
        chunk.keywords = match d.byte()? {
            0 => vec![0; n],
            _ => column(n, || d.uint())?,
        };
        let extras = d.byte()?;
        if extras & 1 != 0 {
            chunk.decode_rare(d)?;
        }
        if extras & 2 != 0 {
            chunk.hidden = column(n, || d.u32())?;
        }
        Ok(chunk)
    }

    fn decode_rare(&mut self, d: &mut Decoder<'_>) -> Result<(), MailError> {
        let (mut crlf_extras, mut saved, mut uidls) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..self.len() {
            let date = self.dates[i];
            crlf_extras.push(d.u32()?);
            saved.push(date.wrapping_add(d.int()?));
            uidls.push(d.uint()?);
        }
        if crlf_extras.iter().any(|extra| *extra != 0) {
            self.crlf_extras = crlf_extras;
        }
        if saved != self.dates {
            self.saved = saved.into_iter().map(clock).collect();
        }
        if uidls
            .iter()
            .zip(&self.emails)
            .any(|(uidl, email)| *uidl != email.0)
        {
            self.uidls = uidls;
        }
        Ok(())
    }

    /// Bytes this chunk occupies in memory.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.uids.capacity() * 4
            + self.flags.capacity()
            + self.keywords.capacity() * 8
            + self.modseqs.capacity() * 8
            + self.sizes.capacity() * 4
            + self.dates.capacity() * 8
            + self.emails.capacity() * 8
            + self.crlf_extras.capacity() * 4
            + self.saved.capacity() * 4
            + self.uidls.capacity() * 8
            + self.hidden.capacity() * 4
    }
}

/// `n` values; `n` is bounded by the bytes they came in.
fn column<T>(
    n: usize,
    mut next: impl FnMut() -> Result<T, MailError>,
) -> Result<Vec<T>, MailError> {
    let mut values = Vec::with_capacity(n);
    for _ in 0..n {
        values.push(next()?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u32) -> Row {
        Row {
            uid: Uid::new(n).unwrap(),
            flags: Flags::NONE,
            keywords: 0,
            modseq: ModSeq::FIRST,
            size: n,
            crlf_extra: 0,
            internal_date: 1_700_000_000 + i64::from(n),
            saved: 1_700_000_000 + i64::from(n),
            email: EmailId(u64::from(n)),
            uidl: u64::from(n),
            hidden: Hidden::NO,
        }
    }

    fn chunk(rows: &[Row]) -> Chunk {
        let mut chunk = Chunk::default();
        rows.iter().for_each(|row| chunk.push(row));
        chunk
    }

    #[test]
    fn rare_values_are_kept_from_the_message_on_that_has_them() {
        let (mut extra, mut saved, mut uidl, mut hidden) = (row(3), row(5), row(7), row(9));
        extra.crlf_extra = 9;
        (saved.internal_date, saved.saved) = (-5, 0);
        uidl.uidl = 1;
        hidden.hidden = Hidden::until(1_700_000_009);
        let rows = [
            row(1),
            row(2),
            extra,
            row(4),
            saved,
            row(6),
            uidl,
            row(8),
            hidden,
            row(10),
        ];
        for n in 0..=rows.len() {
            let chunk = chunk(&rows[..n]);
            let mut e = Encoder::default();
            chunk.encode(&mut e);
            let read = Chunk::decode(&mut Decoder::new(&e.0, "chunk")).unwrap();
            for (i, row) in rows[..n].iter().enumerate() {
                assert_eq!(chunk.row(i), *row);
                assert_eq!(read.row(i), *row);
            }
            assert_eq!(read, chunk);
        }
    }

    #[test]
    fn an_open_mailbox_takes_48_bytes_a_message() {
        let per_message = |change: fn(&mut Row)| {
            let rows = (1..=CHUNK as u32).map(|n| {
                let mut row = row(n);
                change(&mut row);
                row
            });
            chunk(&rows.collect::<Vec<_>>()).memory() / CHUNK
        };
        // DESIGN 10. Delivered; appended with a date; copied, which has a POP3 id of its own.
        assert!(per_message(|_| {}) <= 42);
        assert!(per_message(|row| row.saved += 1) <= 48);
        assert!(per_message(|row| (row.saved, row.uidl) = (row.saved + 1, row.uidl + 1)) <= 56);
    }
}
