//! The bytes of a log record (docs/storage-format.md, "Records").

use bytes::Bytes;
use storage::{Batch, MAX_KEY, MAX_VALUE, StorageError, Write};
use types::{AccountId, BlobHash, EmailId};

/// Bytes of a record's head.
pub(crate) const HEAD: usize = 40;
/// Records start at multiples of this, which makes looking for one behind a damaged place cheap.
pub(crate) const ALIGN: usize = 8;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const LINK: u8 = 3;
const UNLINK: u8 = 4;

/// The head of a record, as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Bytes of the body.
    pub(crate) length: u32,
    pub(crate) body_crc: u32,
    pub(crate) sequence: u64,
    /// Everything up to this sequence was durable when the record was written.
    pub(crate) synced: u64,
    pub(crate) account: AccountId,
}

impl Head {
    /// The head at the start of `bytes`, if one was written there under `salt`.
    pub(crate) fn parse(bytes: &[u8], salt: u64) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.get(..HEAD)?.try_into().ok()?;
        if head_crc(head, salt) != u32_at(head, 0) {
            return None;
        }
        Some(Self {
            body_crc: u32_at(head, 4),
            length: u32_at(head, 8),
            sequence: u64_at(head, 16),
            synced: u64_at(head, 24),
            account: AccountId(u64_at(head, 32)),
        })
    }

    /// Bytes from the start of this record to the start of the next.
    pub(crate) fn extent(&self) -> u64 {
        (HEAD as u64 + u64::from(self.length)).next_multiple_of(ALIGN as u64)
    }
}

/// A batch encoded for the log, complete but for what the log assigns.
pub(crate) struct Record(Vec<u8>);

impl Record {
    /// Encodes the writes of a batch.
    ///
    /// # Errors
    /// `Invalid` when a key, a value or the batch is larger than the contract allows.
    pub(crate) fn encode(account: AccountId, batch: &Batch) -> Result<Self, StorageError> {
        batch.check()?;
        let mut out = Vec::with_capacity(HEAD + batch.size() + 5 * batch.writes.len() + ALIGN);
        out.resize(HEAD, 0);
        for write in &batch.writes {
            match write {
                Write::Put(key, value) => {
                    out.push(PUT);
                    out.extend_from_slice(&length(key).to_le_bytes());
                    out.extend_from_slice(&length(value).to_le_bytes());
                    out.extend_from_slice(key);
                    out.extend_from_slice(value);
                }
                Write::Delete(key) => {
                    out.push(DELETE);
                    out.extend_from_slice(&length(key).to_le_bytes());
                    out.extend_from_slice(key);
                }
                Write::Link(blob, email) | Write::Unlink(blob, email) => {
                    let linked = matches!(write, Write::Link(..));
                    out.push(if linked { LINK } else { UNLINK });
                    out.extend_from_slice(&blob.0);
                    out.extend_from_slice(&email.0.to_le_bytes());
                }
            }
        }
        let body = out.len() - HEAD;
        let length =
            u32::try_from(body).map_err(|_| StorageError::invalid("a batch of over 4 GiB"))?;
        let body_crc = crc32fast::hash(&out[HEAD..]);
        out[4..8].copy_from_slice(&body_crc.to_le_bytes());
        out[8..12].copy_from_slice(&length.to_le_bytes());
        out[32..40].copy_from_slice(&account.0.to_le_bytes());
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        Ok(Self(out))
    }

    /// Fills in what is known only when the record is appended, and gives the bytes to write.
    pub(crate) fn seal(&mut self, salt: u64, sequence: u64, synced: u64) -> &[u8] {
        self.0[16..24].copy_from_slice(&sequence.to_le_bytes());
        self.0[24..32].copy_from_slice(&synced.to_le_bytes());
        if let Some(head) = self.0.first_chunk::<HEAD>() {
            let crc = head_crc(head, salt);
            self.0[0..4].copy_from_slice(&crc.to_le_bytes());
        }
        &self.0
    }

    /// Bytes the record takes in the log.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The writes of a record's body; `None` when it is not one.
pub(crate) fn decode(body: &Bytes) -> Option<Vec<Write>> {
    let mut writes = Vec::new();
    let mut at = 0usize;
    let mut take = |n: usize| {
        let end = at.checked_add(n).filter(|end| *end <= body.len())?;
        let part = body.slice(at..end);
        at = end;
        Some(part)
    };
    while let Some(tag) = take(1) {
        writes.push(match tag[0] {
            PUT => {
                let lengths = take(4)?;
                let key = take(usize::from(u16::from_le_bytes([lengths[0], lengths[1]])))?;
                let value = take(usize::from(u16::from_le_bytes([lengths[2], lengths[3]])))?;
                Write::Put(key, value)
            }
            DELETE => {
                let length = take(2)?;
                Write::Delete(take(usize::from(u16::from_le_bytes([
                    length[0], length[1],
                ])))?)
            }
            tag @ (LINK | UNLINK) => {
                let blob = BlobHash(take(32)?.as_ref().try_into().ok()?);
                let email = EmailId(u64::from_le_bytes(take(8)?.as_ref().try_into().ok()?));
                match tag {
                    LINK => Write::Link(blob, email),
                    _ => Write::Unlink(blob, email),
                }
            }
            _ => return None,
        });
    }
    Some(writes)
}

/// The length of a key or value, which `Batch::check` has bounded.
fn length(bytes: &Bytes) -> u16 {
    const { assert!(MAX_KEY <= u16::MAX as usize) };
    const { assert!(MAX_VALUE <= u16::MAX as usize) };
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// The salt is no part of the file at this place: bytes of another segment never pass for a record.
fn head_crc(head: &[u8; HEAD], salt: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&head[4..]);
    crc.finalize()
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Batch {
        let mut batch = Batch::new();
        batch
            .put(&b"key"[..], &b"value"[..])
            .put(&b"empty"[..], &b""[..])
            .delete(&b"gone"[..])
            .link(BlobHash([7; 32]), EmailId(9))
            .unlink(BlobHash([8; 32]), EmailId(u64::MAX));
        batch
    }

    #[test]
    fn a_body_cut_anywhere_is_refused_or_shorter() {
        let mut record = Record::encode(AccountId(5), &sample()).unwrap();
        let bytes = record.seal(1, 2, 1).to_vec();
        let head = Head::parse(&bytes, 1).unwrap();
        let body = Bytes::from(bytes).slice(HEAD..HEAD + head.length as usize);
        for cut in 0..body.len() {
            let shorter = decode(&body.slice(..cut));
            assert!(shorter.is_none_or(|writes| writes.len() < sample().writes.len()));
        }
        assert_eq!(decode(&body).unwrap(), sample().writes);
        assert!(decode(&Bytes::from_static(&[9])).is_none());
    }

    #[test]
    fn a_head_counts_only_under_its_own_salt() {
        let mut record = Record::encode(AccountId(5), &sample()).unwrap();
        let bytes = record.seal(1, 2, 1).to_vec();
        assert!(Head::parse(&bytes, 2).is_none());
        assert!(Head::parse(&[0; HEAD], 0).is_none());
        assert!(Head::parse(&bytes[..HEAD - 1], 1).is_none());
        for bit in 0..HEAD * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::parse(&flipped, 1).is_none(), "bit {bit}");
        }
        let head = Head::parse(&bytes, 1).unwrap();
        assert_eq!(
            (head.sequence, head.synced, head.account),
            (2, 1, AccountId(5))
        );
        assert_eq!(head.extent(), bytes.len() as u64);
    }
}
