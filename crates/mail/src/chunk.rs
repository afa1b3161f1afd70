//! A run of messages of one mailbox, struct-of-arrays, shared by every view that contains it.

use types::{EmailId, Flags, ModSeq, Uid};

/// Messages per chunk when full. Small enough that copying one on write is microseconds and that its
/// snapshot stays below the store's value limit, large enough that a million messages are 2 000 chunks.
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

    /// The POP3 unique id as text (RFC 1939 7: 1 to 70 characters 0x21 to 0x7E): 16 hexadecimal digits.
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
            None => Extra { crlf_extra: 0, saved: self.dates[i], uidl: self.emails[i].0 },
        }
    }

    pub(crate) fn push(&mut self, row: &Row) {
        let extra = Extra { crlf_extra: row.crlf_extra, saved: row.saved, uidl: row.uidl };
        let plain = Extra { crlf_extra: 0, saved: row.internal_date, uidl: row.email.0 };
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
        sizes + self.extras.iter().map(|extra| u64::from(extra.crlf_extra)).sum::<u64>()
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
