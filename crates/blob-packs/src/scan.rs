//! Reading a pack from front to back: whole records, damaged ones, and what cannot be a record.

use crate::files::{self, ReadAt};
use crate::format::{ALIGN, FILE_HEADER, RECORD_HEADER, RecordHeader, StoreId};
use std::io;
use std::ops::Range;

/// Bytes read at a time.
const WINDOW: usize = 1 << 20;

/// What a scan meets, in order of offsets.
pub(crate) enum Found {
    /// A record with a readable header.
    Record {
        offset: u64,
        header: RecordHeader,
        /// The encoded owners; empty when they are damaged.
        owners: Vec<u8>,
        /// Whether owners and body are what was written.
        whole: bool,
    },
    /// Bytes between records that begin with no readable header.
    Damage(Range<u64>),
}

/// A forward reader over one file.
struct Window<'a> {
    file: &'a dyn ReadAt,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `len` bytes at `offset`, fewer at the end of the file; `len` is at most [`WINDOW`].
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let have = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + len as u64 > have {
            self.start = offset;
            self.bytes.resize(WINDOW, 0);
            // After an error nothing is believed to be there.
            let read = files::read_over(self.file, offset, &mut self.bytes);
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        let from = (offset - self.start) as usize;
        let to = (from + len).min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }

    /// The checksum of `range`; `None` when the file ends within it.
    fn crc(&mut self, range: Range<u64>) -> io::Result<Option<u32>> {
        let mut hasher = crc32fast::Hasher::new();
        let mut at = range.start;
        while at < range.end {
            let want = (range.end - at).min(WINDOW as u64) as usize;
            let part = self.at(at, want)?;
            if part.is_empty() {
                return Ok(None);
            }
            hasher.update(part);
            at += part.len() as u64;
        }
        Ok(Some(hasher.finalize()))
    }

    /// The first offset from `from` where a readable record header begins.
    fn resync(&mut self, from: u64, len: u64, store: StoreId) -> io::Result<Option<u64>> {
        let mark = store.mark();
        let mut at = from.next_multiple_of(ALIGN);
        while at < len {
            // Chunks start and end on record alignment, so no mark lies across two of them.
            let chunk = self.at(at, WINDOW)?;
            let size = chunk.len() as u64;
            if size < ALIGN {
                break;
            }
            let candidates: Vec<u64> = memchr::memmem::find_iter(chunk, &mark)
                .map(|i| at + i as u64)
                .filter(|offset| offset % ALIGN == 0)
                .collect();
            for offset in candidates {
                let header = RecordHeader::decode(self.at(offset, RECORD_HEADER)?, store);
                if header.is_some_and(|header| offset + header.total() <= len) {
                    return Ok(Some(offset));
                }
            }
            at += size - size % ALIGN;
        }
        Ok(None)
    }
}

/// Visits everything in `range` of `file` and answers where the last record ends. What follows up
/// to `range.end` can be no record: a torn tail, or nothing.
///
/// # Errors
/// Of reading, and of `visit`, which ends the scan.
pub(crate) fn scan(
    file: &dyn ReadAt,
    range: Range<u64>,
    store: StoreId,
    mut visit: impl FnMut(Found) -> io::Result<()>,
) -> io::Result<u64> {
    let mut window = Window {
        file,
        start: 0,
        bytes: Vec::new(),
    };
    let mut at = range.start.max(FILE_HEADER);
    loop {
        let header = RecordHeader::decode(window.at(at, RECORD_HEADER)?, store)
            .filter(|header| at + header.total() <= range.end);
        let Some(header) = header else {
            let Some(next) = window.resync(at + ALIGN, range.end, store)? else {
                return Ok(at);
            };
            visit(Found::Damage(at..next))?;
            at = next;
            continue;
        };
        let body = header.body();
        let owners = window
            .at(at + RECORD_HEADER as u64, header.origin_len as usize)?
            .to_vec();
        let owners_whole = crc32fast::hash(&owners) == header.origin_crc;
        let body_whole = window.crc(at + body.start..at + body.end)? == Some(header.body_crc);
        visit(Found::Record {
            offset: at,
            owners: if owners_whole { owners } else { Vec::new() },
            whole: owners_whole && body_whole,
            header,
        })?;
        at += header.total();
    }
}
