//! The bytes of a pack: file header and records. Drawn in `docs/storage-format.md`, "Packs".

use bytes::Bytes;
use std::ops::Range;
use storage::{Provenance, StorageError};
use types::{AccountId, BlobHash};

/// The format this build writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a pack's file header; the first record starts here.
pub(crate) const FILE_HEADER: u64 = 512;
/// Bytes of the fixed part of a record.
pub(crate) const RECORD_HEADER: usize = 80;
/// Bytes of the encoded provenance of one record at most.
pub(crate) const MAX_ORIGIN: usize = 1 << 20;
/// How many packs one compacted pack replaces at most: what fits into its file header.
pub(crate) const MAX_REPLACES: usize = 100;
/// Records start at multiples of this.
pub(crate) const ALIGN: u64 = 8;

const FILE_MAGIC: [u8; 8] = *b"GPPACK\r\n";

/// The body is a zstd frame.
pub(crate) const FLAG_ZSTD: u8 = 1;
/// No body: more owners of a blob that lies elsewhere.
pub(crate) const FLAG_NOTE: u8 = 2;

/// Every owner is followed by lines of its own.
pub(crate) const FLAG_LINES: u8 = 4;

/// 16 random bytes that name a store. Never shown: the first eight begin every record, so that no
/// mail a stranger sends can look like a record when a damaged pack is searched for the next good
/// one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

impl StoreId {
    pub(crate) fn mark(&self) -> [u8; 8] {
        array(&self.0, 0)
    }
}

/// How a pack came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Appended to by deliveries.
    Delivered,
    /// Written whole by compaction; complete as soon as it has its name.
    Compacted,
}

/// The file header of a pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// The packs whose live records this one holds; they go when it has its name.
    pub(crate) replaces: Vec<u32>,
}

/// Why a file header was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Its checksum is wrong, or it is too short.
    Damaged,
    /// A newer version.
    Newer(u32),
    /// Another store's pack.
    Foreign,
}

impl FileHeader {
    pub(crate) fn encode(&self, store: StoreId) -> Vec<u8> {
        debug_assert!(self.replaces.len() <= MAX_REPLACES);
        let mut out = Vec::with_capacity(FILE_HEADER as usize);
        out.extend_from_slice(&FILE_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&store.0);
        out.extend_from_slice(&self.created.to_le_bytes());
        let kind = match self.kind {
            Kind::Delivered => 0u32,
            Kind::Compacted => 1,
        };
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&(self.replaces.len() as u32).to_le_bytes());
        for number in &self.replaces {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.resize(FILE_HEADER as usize - 4, 0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8], store: StoreId) -> Result<Self, HeaderError> {
        let Some(bytes) = bytes.get(..FILE_HEADER as usize) else {
            return Err(HeaderError::Damaged);
        };
        let (body, crc) = bytes.split_at(FILE_HEADER as usize - 4);
        if body[..8] != FILE_MAGIC || u32_at(crc, 0) != crc32fast::hash(body) {
            return Err(HeaderError::Damaged);
        }
        let version = u32_at(body, 8);
        if version != VERSION {
            return Err(HeaderError::Newer(version));
        }
        if body[16..32] != store.0 {
            return Err(HeaderError::Foreign);
        }
        let count = (u32_at(body, 44) as usize).min(MAX_REPLACES);
        Ok(Self {
            number: u32_at(body, 12),
            created: u64_at(body, 32),
            kind: if u32_at(body, 40) == 0 {
                Kind::Delivered
            } else {
                Kind::Compacted
            },
            replaces: (0..count).map(|i| u32_at(body, 48 + 4 * i)).collect(),
        })
    }

    /// The store a pack belongs to, for a store that lost its `store` file.
    pub(crate) fn store_of(bytes: &[u8]) -> Option<StoreId> {
        let id = StoreId(array(bytes.get(16..32)?, 0));
        Self::decode(bytes, id).ok().map(|_| id)
    }
}

/// The fixed part of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    pub(crate) flags: u8,
    /// Bytes of the encoded owners, which follow the header.
    pub(crate) origin_len: u32,
    pub(crate) origin_crc: u32,
    /// Bytes of the body as stored, which follow the owners.
    pub(crate) stored: u32,
    /// Bytes of the blob.
    pub(crate) size: u32,
    /// Of the stored bytes.
    pub(crate) body_crc: u32,
    pub(crate) hash: BlobHash,
    pub(crate) internal_date: i64,
}

impl RecordHeader {
    pub(crate) fn encode(&self, store: StoreId, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&store.mark());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[self.flags, 0, 0, 0]);
        out.extend_from_slice(&self.origin_len.to_le_bytes());
        out.extend_from_slice(&self.origin_crc.to_le_bytes());
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.hash.0);
        out.extend_from_slice(&self.internal_date.to_le_bytes());
        let crc = crc32fast::hash(&out[start + 12..]);
        out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    }

    /// `None` when these bytes are no record header of this store.
    pub(crate) fn decode(bytes: &[u8], store: StoreId) -> Option<Self> {
        let bytes = bytes.get(..RECORD_HEADER)?;
        if bytes[..8] != store.mark() || u32_at(bytes, 8) != crc32fast::hash(&bytes[12..]) {
            return None;
        }
        Some(Self {
            flags: bytes[12],
            origin_len: u32_at(bytes, 16),
            origin_crc: u32_at(bytes, 20),
            stored: u32_at(bytes, 24),
            size: u32_at(bytes, 28),
            body_crc: u32_at(bytes, 32),
            hash: BlobHash(array(bytes, 40)),
            internal_date: i64::from_le_bytes(array(bytes, 72)),
        })
    }

    /// Bytes of the whole record, padding included.
    pub(crate) fn total(&self) -> u64 {
        (RECORD_HEADER as u64 + u64::from(self.origin_len) + u64::from(self.stored))
            .next_multiple_of(ALIGN)
    }

    /// Where the stored body lies, counted from the record's start.
    pub(crate) fn body(&self) -> Range<u64> {
        let start = RECORD_HEADER as u64 + u64::from(self.origin_len);
        start..start + u64::from(self.stored)
    }

    pub(crate) fn is_zstd(&self) -> bool {
        self.flags & FLAG_ZSTD != 0
    }

    pub(crate) fn is_note(&self) -> bool {
        self.flags & FLAG_NOTE != 0
    }
}

/// Everything of a raw record before its body.
pub(crate) fn encode_head(
    store: StoreId,
    flags: u8,
    hash: BlobHash,
    body: &[u8],
    size: u32,
    origin: &Provenance,
) -> Result<Vec<u8>, StorageError> {
    let (owners, flags) = match origin.lines.is_empty() {
        true => (encode_owners(origin, false)?, flags),
        false => match encode_owners(origin, true) {
            Ok(owners) => (owners, flags | FLAG_LINES),
            // Better a delivery without them than none.
            Err(_) => (encode_owners(origin, false)?, flags),
        },
    };
    let header = RecordHeader {
        flags,
        origin_len: owners.len() as u32,
        origin_crc: crc32fast::hash(&owners),
        stored: body.len() as u32,
        size,
        body_crc: crc32fast::hash(body),
        hash,
        internal_date: origin.internal_date,
    };
    let mut out = Vec::with_capacity(RECORD_HEADER + owners.len());
    header.encode(store, &mut out);
    out.extend_from_slice(&owners);
    Ok(out)
}

fn encode_owners(origin: &Provenance, with_lines: bool) -> Result<Vec<u8>, StorageError> {
    let mut out = Vec::new();
    let push = |out: &mut Vec<u8>, bytes: &[u8], what: &str| {
        let len = u16::try_from(bytes.len())
            .map_err(|_| StorageError::invalid(format!("put: {what} of more than 65535 bytes")))?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(bytes);
        match out.len() > MAX_ORIGIN {
            true => Err(StorageError::invalid("put: more than 1 MiB of owners")),
            false => Ok(()),
        }
    };
    for (i, (account, path)) in origin.owners.iter().enumerate() {
        out.extend_from_slice(&account.0.to_le_bytes());
        push(&mut out, path.as_bytes(), "a mailbox path")?;
        if with_lines {
            push(
                &mut out,
                origin.lines.get(i).map_or(&[][..], |lines| lines),
                "lines",
            )?;
        }
    }
    Ok(out)
}

/// The owners of a record, as many as can be read, with the lines of each.
pub(crate) fn decode_origin(header: &RecordHeader, mut bytes: &[u8]) -> Provenance {
    let mut origin = Provenance {
        internal_date: header.internal_date,
        ..Provenance::default()
    };
    let with_lines = header.flags & FLAG_LINES != 0;
    while let Some((account, rest)) = bytes.split_first_chunk::<8>() {
        let Some((path, rest)) = take_counted(rest) else {
            break;
        };
        bytes = rest;
        if with_lines {
            let Some((lines, rest)) = take_counted(bytes) else {
                break;
            };
            origin.lines.push(Bytes::copy_from_slice(lines));
            bytes = rest;
        }
        let account = AccountId(u64::from_le_bytes(*account));
        origin
            .owners
            .push((account, String::from_utf8_lossy(path).into_owned()));
    }
    origin
}

/// Bytes behind their number, and the rest.
fn take_counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// `N` bytes from `at`. The caller has checked that they are there; zeros otherwise.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..at + N)
        .and_then(|part| part.try_into().ok())
        .unwrap_or([0; N])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId(*b"0123456789abcdef");

    #[test]
    fn a_file_header_survives_its_encoding_and_shows_every_flipped_byte() {
        let header = FileHeader {
            number: 7,
            kind: Kind::Compacted,
            created: 1_700_000_000,
            replaces: vec![1, 3, 4],
        };
        let bytes = header.encode(STORE);
        assert_eq!(bytes.len() as u64, FILE_HEADER);
        assert_eq!(FileHeader::decode(&bytes, STORE), Ok(header));
        assert!(FileHeader::store_of(&bytes) == Some(STORE));
        assert_eq!(
            FileHeader::decode(&bytes, StoreId([9; 16])),
            Err(HeaderError::Foreign)
        );
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(
                FileHeader::decode(&damaged, STORE),
                Err(HeaderError::Damaged)
            );
        }
    }

    #[test]
    fn a_record_head_survives_its_encoding_and_shows_every_flipped_byte() {
        for lines in [vec![], vec![Bytes::from_static(b"A: b\r\n"), Bytes::new()]] {
            let origin = Provenance {
                owners: vec![
                    (AccountId(5), "INBOX".into()),
                    (AccountId(6), "Lists/Übung".into()),
                ],
                internal_date: -7,
                lines,
            };
            let head = encode_head(STORE, 0, BlobHash([3; 32]), b"body", 4, &origin)
                .expect("small owners");
            let header = RecordHeader::decode(&head, STORE).expect("a header");
            assert_eq!(header.size, 4);
            assert_eq!(decode_origin(&header, &head[RECORD_HEADER..]), origin);
            assert_eq!(header.total() % ALIGN, 0);
            for at in 0..RECORD_HEADER {
                let mut damaged = head.clone();
                damaged[at] ^= 1;
                assert_eq!(RecordHeader::decode(&damaged, STORE), None, "byte {at}");
            }
        }
    }

    #[test]
    fn lines_that_are_too_long_are_left_out() {
        let lines = Bytes::from(vec![b'x'; 2048]);
        let origin = Provenance {
            owners: (1..1000).map(|n| (AccountId(n), "INBOX".into())).collect(),
            internal_date: 0,
            lines: vec![lines; 999],
        };
        let head = encode_head(STORE, 0, BlobHash([3; 32]), b"body", 4, &origin);
        let head = head.expect("small owners");
        let header = RecordHeader::decode(&head, STORE).expect("a header");
        let decoded = decode_origin(&header, &head[RECORD_HEADER..]);
        assert_eq!((decoded.owners, decoded.lines.len()), (origin.owners, 0));
    }
}
