//! The journal: what can happen to a mailbox, and how it is written down.
//!
//! An entry is one value of any size, cut into parts that the store takes. `docs/storage-format.md`
//! draws it.

use crate::MailError;
use crate::chunk::{Hidden, Row};
use crate::codec::{Decoder, Encoder};
use crate::keys;
use bytes::Bytes;
use storage::{Batch, Entry};
use types::{EmailId, FlagOp, Flags, Keyword, MailboxId, ModSeq, Uid, UidSet};

/// One thing that happened to a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Messages came in, with ascending uids above all before.
    Appended(Vec<NewRow>),
    /// Flags of messages changed.
    Flagged(UidSet, FlagChange),
    /// Messages went away for good.
    Expunged(UidSet),
    /// POP3 shows messages no longer. Nothing that IMAP knows of changed: they keep their modseq.
    Hidden(UidSet, Hidden),
    /// The mailbox was put back to an earlier state (decision 0036). These uids may have been given
    /// since, and are not given again.
    Restored { lost: UidSet, uid_next: u32 },
}

/// A row with its keywords by name: bits have a meaning only inside a view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewRow {
    pub(crate) row: Row,
    pub(crate) keywords: Vec<Keyword>,
}

/// What STORE does to each message it names.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagChange {
    /// Add, remove or replace.
    pub op: FlagOp,
    /// The system flags named.
    pub flags: Flags,
    /// The keywords named.
    pub keywords: Vec<Keyword>,
}

const APPENDED: u8 = 1;
const FLAGGED: u8 = 2;
const EXPUNGED: u8 = 3;
const HIDDEN: u8 = 4;
const RESTORED: u8 = 5;

/// Bytes of an entry that go into one value; the store takes 16 KiB.
const PART: usize = 12 * 1024;

/// When an entry was written (seconds since 1970 UTC) and what it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JournalEntry {
    pub(crate) at: i64,
    pub(crate) change: Change,
}

impl Change {
    /// The uids a client may know that are gone by it.
    pub(crate) fn gone(&self) -> Option<&UidSet> {
        match self {
            Self::Expunged(uids) | Self::Restored { lost: uids, .. } => Some(uids),
            Self::Appended(_) | Self::Flagged(..) | Self::Hidden(..) => None,
        }
    }
}

impl JournalEntry {
    /// Adds the entry to a batch under `modseq`, which must be free.
    pub(crate) fn write(&self, batch: &mut Batch, mailbox: MailboxId, modseq: ModSeq) {
        let bytes = self.encode();
        // The first part claims the number: of two writers only one can own it.
        batch.require_absent(keys::journal(mailbox, modseq.get(), 0));
        for (part, key) in parts(&bytes, |part| keys::journal(mailbox, modseq.get(), part)) {
            batch.put(key, part);
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        match &self.change {
            Change::Appended(rows) => {
                e.byte(APPENDED);
                e.int(self.at);
                encode_rows(&mut e, rows);
            }
            Change::Flagged(uids, change) => {
                e.byte(FLAGGED);
                e.int(self.at);
                encode_uids(&mut e, uids);
                e.byte(match change.op {
                    FlagOp::Add => 0,
                    FlagOp::Remove => 1,
                    FlagOp::Replace => 2,
                });
                e.byte(change.flags.0);
                encode_keywords(&mut e, &change.keywords);
            }
            Change::Expunged(uids) => {
                e.byte(EXPUNGED);
                e.int(self.at);
                encode_uids(&mut e, uids);
            }
            Change::Hidden(uids, hidden) => {
                e.byte(HIDDEN);
                e.int(self.at);
                encode_uids(&mut e, uids);
                e.uint(hidden.0.into());
            }
            Change::Restored { lost, uid_next } => {
                e.byte(RESTORED);
                e.int(self.at);
                encode_uids(&mut e, lost);
                e.uint((*uid_next).into());
            }
        }
        e.0.into()
    }

    pub(crate) fn decode(bytes: &[u8], modseq: ModSeq) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "journal entry");
        let kind = d.byte()?;
        let at = d.int()?;
        let change = match kind {
            APPENDED => Change::Appended(decode_rows(&mut d, modseq)?),
            FLAGGED => {
                let uids = decode_uids(&mut d)?;
                let op = match d.byte()? {
                    0 => FlagOp::Add,
                    1 => FlagOp::Remove,
                    2 => FlagOp::Replace,
                    _ => return Err(d.damaged()),
                };
                let flags = Flags(d.byte()?);
                Change::Flagged(
                    uids,
                    FlagChange {
                        op,
                        flags,
                        keywords: decode_keywords(&mut d)?,
                    },
                )
            }
            EXPUNGED => Change::Expunged(decode_uids(&mut d)?),
            HIDDEN => Change::Hidden(decode_uids(&mut d)?, Hidden(d.u32()?)),
            RESTORED => Change::Restored {
                lost: decode_uids(&mut d)?,
                uid_next: d.u32()?,
            },
            _ => return Err(d.damaged()),
        };
        Ok(Self { at, change })
    }
}

/// Cuts a value into parts with their keys. The first byte of each part says whether more follow,
/// so that a reader needs no other record to know that it has them all.
pub(crate) fn parts(bytes: &[u8], key: impl Fn(u16) -> Bytes) -> Vec<(Bytes, Bytes)> {
    let count = bytes.len().div_ceil(PART).max(1);
    (0..count)
        .map(|i| {
            let piece = &bytes[i * PART..bytes.len().min((i + 1) * PART)];
            let mut value = Vec::with_capacity(piece.len() + 1);
            value.push(u8::from(i + 1 < count));
            value.extend_from_slice(piece);
            // A batch is bounded at 64 MiB, so there are never more than 65 535 parts.
            (value.into(), key(u16::try_from(i).unwrap_or(u16::MAX)))
        })
        .collect()
}

/// Puts scanned parts together again: feed it the entries of a scan in order.
#[derive(Default)]
pub(crate) struct Assembler(Vec<u8>);

impl Assembler {
    /// The whole value with its modseq, once its last part has come.
    pub(crate) fn feed(&mut self, entry: &Entry) -> Result<Option<(ModSeq, Vec<u8>)>, MailError> {
        let (key, value) = entry;
        let damaged = || MailError::corrupt("damaged journal entry");
        let modseq = keys::modseq_of(key).ok_or_else(damaged)?;
        let (more, piece) = value.split_first().ok_or_else(damaged)?;
        self.0.extend_from_slice(piece);
        Ok((*more == 0).then(|| (modseq, std::mem::take(&mut self.0))))
    }
}

pub(crate) fn encode_rows(e: &mut Encoder, rows: &[NewRow]) {
    let mut names: Vec<Keyword> = Vec::new();
    for keyword in rows.iter().flat_map(|new| &new.keywords) {
        if !names.contains(keyword) {
            names.push(keyword.clone());
        }
    }
    encode_keywords(e, &names);
    e.uint(rows.len() as u64);
    let (mut uid, mut email, mut date) = (0u32, 0u64, 0i64);
    for NewRow { row, keywords } in rows {
        e.uint(u64::from(row.uid.get().wrapping_sub(uid)));
        e.int(row.email.0.wrapping_sub(email) as i64);
        e.int(row.internal_date.wrapping_sub(date));
        e.int(row.saved.wrapping_sub(row.internal_date));
        e.uint(row.size.into());
        e.uint(row.crlf_extra.into());
        e.uint(if row.uidl == row.email.0 { 0 } else { row.uidl });
        e.byte(row.flags.0);
        let bits = names
            .iter()
            .enumerate()
            .filter(|(_, name)| keywords.contains(name));
        e.uint(bits.fold(0, |bits, (i, _)| bits | 1 << i));
        (uid, email, date) = (row.uid.get(), row.email.0, row.internal_date);
    }
}

pub(crate) fn decode_rows(d: &mut Decoder<'_>, modseq: ModSeq) -> Result<Vec<NewRow>, MailError> {
    let names = decode_keywords(d)?;
    let count = d.count()?;
    let mut rows = Vec::with_capacity(count);
    let (mut uid, mut email, mut date) = (0u32, 0u64, 0i64);
    for _ in 0..count {
        uid = uid.wrapping_add(d.u32()?);
        email = email.wrapping_add(d.int()? as u64);
        date = date.wrapping_add(d.int()?);
        let saved = date.wrapping_add(d.int()?);
        let (size, crlf_extra, uidl) = (d.u32()?, d.u32()?, d.uint()?);
        let flags = Flags(d.byte()?);
        let bits = d.uint()?;
        let row = Row {
            uid: d.checked(Uid::new, uid)?,
            flags,
            keywords: 0,
            modseq,
            size,
            crlf_extra,
            internal_date: date,
            saved,
            email: EmailId(email),
            uidl: if uidl == 0 { email } else { uidl },
            // Every message comes in visible.
            hidden: Hidden::NO,
        };
        let keywords = names
            .iter()
            .enumerate()
            .filter(|(i, _)| bits & (1 << i) != 0);
        rows.push(NewRow {
            row,
            keywords: keywords.map(|(_, name)| name.clone()).collect(),
        });
    }
    Ok(rows)
}

fn encode_keywords(e: &mut Encoder, keywords: &[Keyword]) {
    e.uint(keywords.len() as u64);
    for keyword in keywords {
        e.bytes(keyword.as_str().as_bytes());
    }
}

fn decode_keywords(d: &mut Decoder<'_>) -> Result<Vec<Keyword>, MailError> {
    let count = d.count()?;
    if count > crate::MAX_KEYWORDS {
        return Err(d.damaged());
    }
    (0..count)
        .map(|_| Keyword::new(d.str()?).map_err(|_| d.damaged()))
        .collect()
}

/// Ranges as distances from each other: an expunge of every second message is two bytes a message.
pub(crate) fn encode_uids(e: &mut Encoder, uids: &UidSet) {
    e.uint(uids.ranges().len() as u64);
    let mut last = 0u32;
    for (a, b) in uids.ranges() {
        e.uint(u64::from(a.get() - last));
        e.uint(u64::from(b.get() - a.get()));
        last = b.get();
    }
}

pub(crate) fn decode_uids(d: &mut Decoder<'_>) -> Result<UidSet, MailError> {
    let count = d.count()?;
    let mut ranges = Vec::with_capacity(count);
    let mut last = 0u32;
    for _ in 0..count {
        let a = last.checked_add(d.u32()?).and_then(Uid::new);
        let a = a.ok_or_else(|| d.damaged())?;
        let b = a.get().checked_add(d.u32()?).and_then(Uid::new);
        let b = b.ok_or_else(|| d.damaged())?;
        ranges.push((a, b));
        last = b.get();
    }
    Ok(UidSet::from_ranges(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(v: u32) -> Uid {
        Uid::new(v).unwrap()
    }

    fn row(n: u32) -> Row {
        Row {
            uid: uid(n),
            flags: Flags::SEEN,
            keywords: 0,
            modseq: ModSeq::new(9).unwrap(),
            size: 17_000 + n,
            crlf_extra: n % 2,
            internal_date: 1_700_000_000 - i64::from(n),
            saved: 1_700_000_000,
            email: EmailId(100_000 - u64::from(n)),
            uidl: if n.is_multiple_of(3) {
                7
            } else {
                100_000 - u64::from(n)
            },
            hidden: Hidden::NO,
        }
    }

    #[test]
    fn entries_survive_the_round_trip_also_in_parts() {
        let keyword = Keyword::new("$Forwarded").unwrap();
        let rows = (1..5000)
            .map(|n| NewRow {
                row: row(n),
                keywords: if n % 5 == 0 {
                    vec![keyword.clone()]
                } else {
                    vec![]
                },
            })
            .collect();
        let flags = FlagChange {
            op: FlagOp::Remove,
            flags: Flags::DELETED,
            keywords: vec![keyword],
        };
        let uids = UidSet::from_ranges([(uid(1), uid(3)), (uid(70), uid(70_000))]);
        let modseq = ModSeq::new(9).unwrap();
        for change in [
            Change::Appended(rows),
            Change::Flagged(uids.clone(), flags),
            Change::Expunged(uids.clone()),
            Change::Hidden(uids.clone(), Hidden::FOREVER),
            Change::Hidden(uids, Hidden::until(2_000_000_000)),
            Change::Restored {
                lost: UidSet::range(uid(5), uid(70_000)),
                uid_next: 70_001,
            },
        ] {
            let entry = JournalEntry { at: 5, change };
            let mut batch = Batch::new();
            entry.write(&mut batch, MailboxId(3), modseq);
            let (mut assembler, mut got) = (Assembler::default(), None);
            for write in batch.writes {
                let storage::Write::Put(key, value) = write else {
                    panic!("only puts")
                };
                assert!(value.len() <= storage::MAX_VALUE);
                got = assembler.feed(&(key, value)).unwrap();
            }
            let (m, bytes) = got.unwrap();
            assert_eq!(m, modseq);
            assert_eq!(JournalEntry::decode(&bytes, modseq).unwrap(), entry);
        }
    }
}
