//! A run of messages of one mailbox, struct-of-arrays, shared by every view that contains it.

use crate::MailError;
use crate::codec::{Decoder, Encoder};
use types::{EmailId, Flags, ModSeq, Uid};

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
}

impl Row {
    /// Octets POP3 sends for RETR, without dot-stuffing and terminator.
    pub fn pop3_size(&self) -> u64 {
        u64::from(self.size) + u64::from(self.crlf_extra)
    }

    /// The POP3 unique id as text (RFC 1939 7: 1 to 70 characters 0x21 to 0x7E): 16 hexadecimal
    /// digits.
    pub fn uidl_text(&self) -> [u8; 16] {
        let mut text = [b'0'; 16];
        for (i, digit) in text.iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(self.uidl >> (4 * i)) as usize & 15];
        }
        text
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
    /// Empty while every value equals the obvious one: crlf_extra 0, saved = date, uidl = email.
    extras: Vec<Extra>,
}

/// What most messages do not need to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Extra {
    crlf_extra: u32,
    saved: i64,
    uidl: u64,
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
        let extra = self.extra(i);
        Row {
            uid: self.uids[i],
            flags: self.flags[i],
            keywords: self.keywords[i],
            modseq: self.modseqs[i],
            size: self.sizes[i],
            crlf_extra: extra.crlf_extra,
            internal_date: self.dates[i],
            saved: extra.saved,
            email: self.emails[i],
            uidl: extra.uidl,
        }
    }

    fn extra(&self, i: usize) -> Extra {
        match self.extras.get(i) {
            Some(extra) => *extra,
            None => Extra {
                crlf_extra: 0,
                saved: self.dates[i],
                uidl: self.emails[i].0,
            },
        }
    }

    pub(crate) fn push(&mut self, row: &Row) {
        let extra = Extra {
            crlf_extra: row.crlf_extra,
            saved: row.saved,
            uidl: row.uidl,
        };
        let plain = Extra {
            crlf_extra: 0,
            saved: row.internal_date,
            uidl: row.email.0,
        };
        if !self.extras.is_empty() || extra != plain {
            for i in self.extras.len()..self.len() {
                let before = self.extra(i);
                self.extras.push(before);
            }
            self.extras.push(extra);
        }
        self.uids.push(row.uid);
        self.flags.push(row.flags);
        self.keywords.push(row.keywords);
        self.modseqs.push(row.modseq);
        self.sizes.push(row.size);
        self.dates.push(row.internal_date);
        self.emails.push(row.email);
    }

    /// Sum of [`Row::pop3_size`].
    pub(crate) fn pop3_octets(&self) -> u64 {
        let sizes: u64 = self.sizes.iter().map(|&size| u64::from(size)).sum();
        sizes
            + self
                .extras
                .iter()
                .map(|extra| u64::from(extra.crlf_extra))
                .sum::<u64>()
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
        e.byte(u8::from(!self.extras.is_empty()));
        for (extra, date) in self.extras.iter().zip(&self.dates) {
            e.uint(extra.crlf_extra.into());
            e.int(extra.saved.wrapping_sub(*date));
            e.uint(extra.uidl);
        }
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
        if d.byte()? != 0 {
            let mut dates = chunk.dates.iter();
            chunk.extras = column(n, || {
                let (crlf_extra, saved, uidl) = (d.u32()?, d.int()?, d.uint()?);
                let date = dates.next().copied().unwrap_or_default();
                Ok(Extra {
                    crlf_extra,
                    saved: date.wrapping_add(saved),
                    uidl,
                })
            })?;
        }
        Ok(chunk)
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
            + self.extras.capacity() * size_of::<Extra>()
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
