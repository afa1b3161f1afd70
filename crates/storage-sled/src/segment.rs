//! The bytes of a log segment, and reading one (docs/storage-format.md, "Segments").

use crate::record::{ALIGN, HEAD, Head, u32_at, u64_at};
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use storage::StorageError;

/// Bytes in front of the first record.
pub(crate) const HEADER: usize = 64;
const MAGIC: &[u8; 8] = b"GPMLOG\0\x01";

/// Which store a file belongs to; random, made once.
pub(crate) type StoreId = [u8; 16];

/// The header of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) store: StoreId,
    /// The sequence of the first record; also the file's name.
    pub(crate) first: u64,
    /// Everything up to this sequence was durable when the segment was made.
    pub(crate) synced: u64,
    /// The store's generation then: the manifest can be rebuilt from it.
    pub(crate) generation: u64,
    /// Part of every record's checksum here.
    pub(crate) salt: u64,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..8].copy_from_slice(MAGIC);
        out[8..24].copy_from_slice(&self.store);
        out[24..32].copy_from_slice(&self.first.to_le_bytes());
        out[32..40].copy_from_slice(&self.synced.to_le_bytes());
        out[40..48].copy_from_slice(&self.generation.to_le_bytes());
        out[48..56].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&out[..60]);
        out[60..64].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let sound = bytes.starts_with(MAGIC) && crc32fast::hash(&bytes[..60]) == u32_at(bytes, 60);
        sound.then(|| {
            let mut store = StoreId::default();
            store.copy_from_slice(&bytes[8..24]);
            Self {
                store,
                first: u64_at(bytes, 24),
                synced: u64_at(bytes, 32),
                generation: u64_at(bytes, 40),
                salt: u64_at(bytes, 48),
            }
        })
    }
}

/// A segment's file and the sequence its name gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
}

impl Segment {
    pub(crate) fn new(dir: &Path, first: u64) -> Self {
        Self {
            first,
            path: dir.join(format!("{first:016x}.log")),
        }
    }

    /// The segments of a directory, oldest first.
    pub(crate) fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let is_log = path.extension().is_some_and(|e| e == "log");
            let stem = path.file_stem().and_then(|s| s.to_str());
            if let Some(first) = stem.and_then(|s| u64::from_str_radix(s, 16).ok())
                && is_log
            {
                segments.push(Self { first, path });
            }
        }
        segments.sort_by_key(|s| s.first);
        Ok(segments)
    }

    /// The header, if it is a sound one of `store` and agrees with the file's name.
    pub(crate) fn header(&self, store: &StoreId) -> Result<Option<Header>, StorageError> {
        let header = self.any_header()?;
        Ok(header.filter(|h| h.store == *store && h.first == self.first))
    }

    /// The header whatever store it belongs to.
    pub(crate) fn any_header(&self) -> Result<Option<Header>, StorageError> {
        let mut bytes = [0; HEADER];
        let mut file = File::open(&self.path).map_err(|e| self.io("open", &e))?;
        match file.read_exact(&mut bytes) {
            Ok(()) => Ok(Header::parse(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(self.io("read", &e)),
        }
    }

    pub(crate) fn io(&self, doing: &str, source: &io::Error) -> StorageError {
        StorageError::io(format!("{doing} {}", self.path.display()), source)
    }
}

/// Reads the records of a segment from its start, as long as they are sound and in sequence.
pub(crate) struct Reader {
    segment: Segment,
    file: BufReader<File>,
    salt: u64,
    offset: u64,
    length: u64,
    next: u64,
}

impl Reader {
    /// A reader at the first record of a segment whose header has been read.
    pub(crate) fn new(segment: &Segment, header: &Header) -> Result<Self, StorageError> {
        let file = File::open(&segment.path).map_err(|e| segment.io("open", &e))?;
        let length = file.metadata().map_err(|e| segment.io("stat", &e))?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        file.seek(SeekFrom::Start(HEADER as u64))
            .map_err(|e| segment.io("seek", &e))?;
        Ok(Self {
            segment: segment.clone(),
            file,
            salt: header.salt,
            offset: HEADER as u64,
            length,
            next: header.first,
        })
    }

    /// The next record and its body; `None` where the sound records end.
    pub(crate) fn record(&mut self) -> Result<Option<(Head, Bytes)>, StorageError> {
        let left = self.length.saturating_sub(self.offset);
        if left < HEAD as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.read(&mut head)?;
        let Some(head) = Head::parse(&head, self.salt) else {
            return Ok(None);
        };
        if head.sequence != self.next || HEAD as u64 + u64::from(head.length) > left {
            return Ok(None);
        }
        let mut body = vec![0; head.length as usize];
        self.read(&mut body)?;
        if crc32fast::hash(&body) != head.body_crc {
            return Ok(None);
        }
        // The padding may be cut off: it says nothing.
        let padding = head.extent() - HEAD as u64 - u64::from(head.length);
        self.file
            .seek_relative(padding as i64)
            .map_err(|e| self.segment.io("seek", &e))?;
        self.offset += head.extent();
        self.next += 1;
        Ok(Some((head, body.into())))
    }

    /// Where the next record starts or would start.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The sequence the next record must have.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The highest `synced` of any sound record behind the place where [`Reader::record`] stopped.
    pub(crate) fn evidence_behind(&self) -> Result<u64, StorageError> {
        let mut file = File::open(&self.segment.path).map_err(|e| self.segment.io("open", &e))?;
        let mut rest = Vec::new();
        file.seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.read_to_end(&mut rest))
            .map_err(|e| self.segment.io("read", &e))?;
        let mut highest = 0;
        for bytes in rest.windows(HEAD).step_by(ALIGN).skip(1) {
            // Most of what follows the end is zeros: look at the sequence before computing
            // checksums.
            if u64_at(bytes, 16) > self.next
                && let Some(head) = Head::parse(bytes, self.salt)
            {
                highest = highest.max(head.synced);
            }
        }
        Ok(highest)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), StorageError> {
        self.file
            .read_exact(into)
            .map_err(|e| self.segment.io("read", &e))
    }
}
