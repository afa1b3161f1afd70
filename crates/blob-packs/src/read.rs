//! Reading records: one, a range of one, or many in the order they lie on disk.

use crate::files::{self, Patience, Which};
use crate::format::{FILE_HEADER, RECORD_HEADER, RecordHeader};
use crate::index::Slot;
use crate::released::Location;
use crate::store::{Shared, hint_of, location_of};
use bytes::Bytes;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use storage::{BlobRef, StorageError};
use types::BlobHash;

/// What is read with a record's header on the guess that its owners fit.
const OWNERS_GUESS: u64 = 192;
/// How much of a record is read before its header is known to be right.
const FIRST_READ: u64 = 1 << 20;
/// Bytes between two records of a bulk read that are rather read than skipped.
const GAP: u64 = 64 << 10;
/// Larger blobs are not decompressed whole for a part of them, and how much of one is held then.
const PART: u32 = 1 << 20;
const STEP: usize = 64 << 10;
/// Bytes of one read of a bulk read, unless one record is larger.
const BULK: u64 = 1 << 20;

/// Why a record could not be read where it was looked for.
pub(crate) enum Miss {
    /// The pack is gone, or another blob lies there.
    Elsewhere,
    /// What lies there is not what was written.
    Damaged(String),
    /// The request or the disk.
    Failed(StorageError),
}

/// A record with a sound header, and the bytes of its file from its start.
pub(crate) struct Record {
    pub(crate) header: RecordHeader,
    bytes: Bytes,
}

impl Record {
    /// A record whose `bytes` begin with its header.
    pub(crate) fn new(header: RecordHeader, bytes: Bytes) -> Self {
        Self { header, bytes }
    }

    /// The encoded owners.
    pub(crate) fn owners(&self) -> &[u8] {
        let end = self.header.body().start as usize;
        let owners = self.bytes.get(RECORD_HEADER..end).unwrap_or_default();
        if crc32fast::hash(owners) == self.header.origin_crc {
            owners
        } else {
            &[]
        }
    }

    /// The blob, checked.
    pub(crate) fn blob(&self) -> Result<Bytes, Miss> {
        let body = self.header.body();
        let body = body.start as usize..body.end as usize;
        if body.end > self.bytes.len() {
            return Err(Miss::Damaged("the pack ends within the record".into()));
        }
        let stored = self.bytes.slice(body);
        if crc32fast::hash(&stored) != self.header.body_crc {
            return Err(Miss::Damaged("checksum of the bytes".into()));
        }
        if !self.header.is_zstd() {
            return Ok(stored);
        }
        decompress(&stored, self.header.size as usize)
            .map(Bytes::from)
            .map_err(|error| Miss::Damaged(format!("decompression: {error}")))
    }
}

thread_local! {
    /// Measured: a new context for each message takes longer than the message.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Exactly `size` bytes.
fn decompress(frame: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let blob = ZSTD.with_borrow_mut(|context| match context {
        Some(zstd) => zstd.decompress(frame, size),
        None => context
            .insert(zstd::bulk::Decompressor::new()?)
            .decompress(frame, size),
    })?;
    if blob.len() != size {
        return Err(io::Error::other("another length than the header says"));
    }
    Ok(blob)
}

/// The stored bytes of a record, one after the other, with their checksum so far.
struct Stored<'a> {
    file: &'a File,
    at: u64,
    left: u64,
    crc: crc32fast::Hasher,
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.crc.update(&buffer[..read]);
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Shared {
    /// Hands out the bytes of a blob one after the other, until `wants` has enough; those that have
    /// all of it know that they are right.
    pub(crate) fn each_part(
        &self,
        at: Location,
        hash: &BlobHash,
        wants: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), Miss> {
        let file = self.open_pack(at.pack)?;
        let (header, _) = self.head(&file, at, hash, 0, Patience::Wait)?;
        let body = header.body();
        let mut stored = Stored {
            file: &file,
            at: at.offset + body.start,
            left: body.end - body.start,
            crc: crc32fast::Hasher::new(),
        };
        let wrong = |error: io::Error| match error.raw_os_error() {
            Some(_) => failed("read pack", &error),
            None => Miss::Damaged(format!("decompression: {error}")),
        };
        let mut reader: Box<dyn Read> = match header.is_zstd() {
            true => Box::new(zstd::stream::read::Decoder::new(&mut stored).map_err(wrong)?),
            false => Box::new(&mut stored),
        };
        let (mut buffer, mut size) = (vec![0; STEP], 0u64);
        loop {
            let read = reader.read(&mut buffer).map_err(wrong)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if !wants(&buffer[..read]) {
                return Ok(());
            }
        }
        drop(reader);
        if stored.left > 0 || size != u64::from(header.size) {
            return Err(Miss::Damaged("another length than the header says".into()));
        }
        if stored.crc.finalize() != header.body_crc {
            return Err(Miss::Damaged("checksum of the bytes".into()));
        }
        Ok(())
    }

    /// The file of a pack; `None` when the store has no such pack (any more).
    fn pack_file(&self, number: u32) -> Option<io::Result<Arc<File>>> {
        let catalog = self.catalog();
        if catalog.active.0 == number {
            return Some(Ok(catalog.active.1.clone()));
        }
        catalog.find(number)?;
        let file = self.files.open(number, Which::Pack);
        if self.catalog().find(number).is_none() {
            // Compacted away meanwhile: an open descriptor would keep its space from returning.
            self.files.forget(number);
            return None;
        }
        Some(file)
    }

    fn open_pack(&self, number: u32) -> Result<Arc<File>, Miss> {
        match self.pack_file(number) {
            None => Err(Miss::Elsewhere),
            Some(Ok(file)) => Ok(file),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                // Compacted away between the two looks, or lost.
                if self.pack_file(number).is_none() {
                    Err(Miss::Elsewhere)
                } else {
                    Err(Miss::Damaged(format!("pack {number} is missing")))
                }
            }
            Some(Err(error)) => Err(failed("open pack", &error)),
        }
    }

    /// Reads a record's header and, on the guess that it holds `expect` bytes, what follows.
    fn head(
        &self,
        file: &File,
        at: Location,
        hash: &BlobHash,
        expect: u64,
        patience: Patience,
    ) -> Result<(RecordHeader, Vec<u8>), Miss> {
        let want = RECORD_HEADER as u64 + OWNERS_GUESS + expect.min(FIRST_READ);
        let mut bytes = Vec::new();
        files::read_into(file, at.offset, want as usize, &mut bytes, patience)
            .map_err(|error| failed("read pack", &error))?;
        match RecordHeader::decode(&bytes, self.store) {
            Some(header) if header.hash == *hash && !header.is_note() => Ok((header, bytes)),
            Some(_) => Err(Miss::Elsewhere),
            None => Err(Miss::Damaged("record header".into())),
        }
    }

    /// A whole record.
    pub(crate) fn record(
        &self,
        at: Location,
        hash: &BlobHash,
        expect: u64,
        patience: Patience,
    ) -> Result<Record, Miss> {
        let file = self.open_pack(at.pack)?;
        let (header, mut bytes) = self.head(&file, at, hash, expect, patience)?;
        let end = header.body().end;
        if let Some(rest) = end.checked_sub(bytes.len() as u64) {
            let from = at.offset + bytes.len() as u64;
            files::read_into(&file, from, rest as usize, &mut bytes, patience)
                .map_err(|error| failed("read pack", &error))?;
        }
        Ok(Record {
            header,
            bytes: bytes.into(),
        })
    }

    /// A range of the blob at a place.
    fn range(
        &self,
        at: Location,
        hash: &BlobHash,
        range: &Range<u32>,
        patience: Patience,
    ) -> Result<Bytes, Miss> {
        let file = self.open_pack(at.pack)?;
        let far = u64::from(range.start) > FIRST_READ;
        let expect = if far { 0 } else { u64::from(range.end) };
        let (header, bytes) = self.head(&file, at, hash, expect, patience)?;
        if range.start > range.end || range.end > header.size {
            return Err(Miss::Failed(StorageError::invalid(format!(
                "range {range:?} of a blob of {} bytes",
                header.size
            ))));
        }
        let whole = range.start == 0 && range.end == header.size;
        if header.is_zstd() && !whole && header.size > PART && patience == Patience::Wait {
            return self.part(at, hash, range);
        }
        if whole || header.is_zstd() {
            drop(bytes);
            let blob = self
                .record(at, hash, u64::from(header.stored), patience)?
                .blob()?;
            return Ok(blob.slice(range.start as usize..range.end as usize));
        }
        let start = header.body().start + u64::from(range.start);
        let len = (range.end - range.start) as usize;
        let have = Bytes::from(bytes);
        if let Some(end) = (start as usize)
            .checked_add(len)
            .filter(|end| *end <= have.len())
        {
            return Ok(have.slice(start as usize..end));
        }
        let mut part = Vec::new();
        files::read_into(&file, at.offset + start, len, &mut part, patience)
            .map_err(|error| failed("read pack", &error))?;
        if part.len() < len {
            return Err(Miss::Damaged("the pack ends within the record".into()));
        }
        Ok(part.into())
    }

    /// A range of a long compressed blob.
    fn part(&self, at: Location, hash: &BlobHash, range: &Range<u32>) -> Result<Bytes, Miss> {
        let (mut skip, wanted) = (range.start as usize, range.len());
        let mut out = Vec::with_capacity(wanted);
        self.each_part(at, hash, &mut |bytes| {
            let from = skip.min(bytes.len());
            skip -= from;
            let more = (wanted - out.len()).min(bytes.len() - from);
            out.extend_from_slice(&bytes[from..from + more]);
            out.len() < wanted
        })?;
        Ok(out.into())
    }

    /// Reads where the hint says, and nowhere else.
    pub(crate) fn read_hinted(
        &self,
        blob: &BlobRef,
        range: &Range<u32>,
        patience: Patience,
    ) -> Result<Bytes, Miss> {
        let at = location_of(blob.hint).ok_or(Miss::Elsewhere)?;
        if range.start == 0 && range.end == blob.size {
            let record = self.record(at, &blob.hash, u64::from(blob.size), patience)?;
            if record.header.size == blob.size {
                return record.blob();
            }
        }
        self.range(at, &blob.hash, range, patience)
    }

    /// Reads where the hint says, else wherever the blob is now. Without the patience to wait, an
    /// error means only that it could not be done from the page cache.
    pub(crate) fn read(
        &self,
        blob: &BlobRef,
        range: &Range<u32>,
        patience: Patience,
    ) -> Result<Bytes, StorageError> {
        let mut damage = match self.read_hinted(blob, range, patience) {
            Ok(bytes) => return Ok(bytes),
            Err(Miss::Failed(error)) => return Err(error),
            Err(Miss::Damaged(what)) => Some(what),
            Err(Miss::Elsewhere) => None,
        };
        // A copy can move between looking it up and reading it, once per compaction: look again.
        for _ in 0..3 {
            let places = self.locate(&blob.hash, patience)?;
            let mut moved = false;
            for (at, slot) in places {
                let current = BlobRef {
                    hash: blob.hash,
                    size: slot.size,
                    hint: hint_of(at),
                };
                match self.read_hinted(&current, range, patience) {
                    Ok(bytes) => return Ok(bytes),
                    Err(Miss::Failed(error)) => return Err(error),
                    Err(Miss::Damaged(what)) => damage = Some(what),
                    Err(Miss::Elsewhere) => moved = true,
                }
            }
            if !moved {
                break;
            }
        }
        Err(match damage {
            Some(what) => StorageError::corrupt(format!("blob {}: {what}", blob.hash)),
            None => not_found(&blob.hash),
        })
    }

    /// Where copies of a blob are, the newest first.
    pub(crate) fn locate(
        &self,
        hash: &BlobHash,
        patience: Patience,
    ) -> Result<Vec<(Location, Slot)>, StorageError> {
        let (active, catalog) = {
            let writer = self.writer();
            let slot = writer.active.map.get(hash).copied();
            let pack = writer.active.header.number;
            let at = slot.map(|slot| {
                (
                    Location {
                        pack,
                        offset: slot.offset,
                    },
                    slot,
                )
            });
            (at, self.catalog())
        };
        let mut places: Vec<_> = active.into_iter().collect();
        for pack in catalog.sealed.iter().rev() {
            let found = pack.find(hash, &self.dir, self.store, &self.files, patience);
            match found {
                Ok(Some(slot)) => places.push((
                    Location {
                        pack: pack.number,
                        offset: slot.offset,
                    },
                    slot,
                )),
                Ok(None) => {}
                // Compacted away since the catalog was taken: its successor is asked by the caller.
                Err(_) if self.catalog().find(pack.number).is_none() => {}
                Err(error) => return Err(StorageError::io("look up blob", &error)),
            }
        }
        Ok(places)
    }

    /// Whole blobs, read in the order they lie on disk.
    pub(crate) fn read_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>> {
        let mut answers: Vec<Option<Result<Bytes, StorageError>>> = vec![None; blobs.len()];
        let mut order: Vec<(u64, usize)> = blobs
            .iter()
            .enumerate()
            .map(|(i, blob)| (self.current_hint(blob), i))
            .collect();
        order.sort_unstable();
        let mut rest = &order[..];
        while let Some(((pack, span), count)) = next_run(rest, blobs) {
            let (run, others) = rest.split_at(count);
            rest = others;
            if count > 1 {
                self.read_run(pack, span, run, blobs, &mut answers);
            }
            for (_, i) in run {
                if let (Some(blob), Some(answer @ None)) = (blobs.get(*i), answers.get_mut(*i)) {
                    *answer = Some(self.read(blob, &(0..blob.size), Patience::Wait));
                }
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(StorageError::invalid("no such blob"))))
            .collect()
    }

    /// The hint, or where the blob is if there is none.
    fn current_hint(&self, blob: &BlobRef) -> u64 {
        let exists = location_of(blob.hint).is_some_and(|at| {
            let catalog = self.catalog();
            catalog.active.0 == at.pack || catalog.find(at.pack).is_some()
        });
        if exists {
            return blob.hint;
        }
        match self.locate(&blob.hash, Patience::Wait) {
            Ok(places) => places.first().map_or(0, |(at, _)| hint_of(*at)),
            Err(_) => 0,
        }
    }

    /// Answers what one large read answers; the rest stays open.
    fn read_run(
        &self,
        pack: u32,
        span: Range<u64>,
        run: &[(u64, usize)],
        blobs: &[BlobRef],
        answers: &mut [Option<Result<Bytes, StorageError>>],
    ) {
        let Ok(file) = self.open_pack(pack) else {
            return;
        };
        let len = (span.end - span.start) as usize;
        let mut buffer = self.buffers.take(len);
        let Ok(used) = files::read_over(&*file, span.start, &mut buffer[..len]) else {
            return;
        };
        let bytes = self.buffers.lend(buffer, used);
        for (hint, i) in run {
            let (Some(at), Some(blob)) = (location_of(*hint), blobs.get(*i)) else {
                continue;
            };
            let from = ((at.offset - span.start) as usize).min(bytes.len());
            let Some(header) = RecordHeader::decode(&bytes[from..], self.store)
                .filter(|header| header.hash == blob.hash && !header.is_note())
            else {
                continue;
            };
            let record = Record {
                header,
                bytes: bytes.slice(from..),
            };
            if let (Ok(blob), Some(answer)) = (record.blob(), answers.get_mut(*i)) {
                *answer = Some(Ok(blob));
            }
        }
    }
}

/// How many of the sorted blobs one read serves, of which pack, and which bytes.
fn next_run(order: &[(u64, usize)], blobs: &[BlobRef]) -> Option<((u32, Range<u64>), usize)> {
    let (first, _) = order.first()?;
    let Some(start) = location_of(*first) else {
        return Some(((0, 0..0), 1));
    };
    let mut end = start.offset;
    let mut count = 0;
    for (hint, i) in order {
        let (Some(at), Some(blob)) = (location_of(*hint), blobs.get(*i)) else {
            break;
        };
        let size = RECORD_HEADER as u64 + OWNERS_GUESS + u64::from(blob.size);
        let new_end = end.max(at.offset + size);
        let joins =
            at.pack == start.pack && at.offset <= end + GAP && new_end - start.offset <= BULK;
        if count > 0 && !joins {
            break;
        }
        end = new_end;
        count += 1;
    }
    Some(((start.pack, start.offset..end), count))
}

pub(crate) fn not_found(hash: &BlobHash) -> StorageError {
    StorageError::new(storage::ErrorKind::NotFound, format!("no blob {hash}"))
}

fn failed(what: &str, error: &io::Error) -> Miss {
    Miss::Failed(StorageError::io(what, error))
}

/// Whether a place can be that of a record at all.
pub(crate) fn plausible(at: Location) -> bool {
    at.pack > 0 && at.offset >= FILE_HEADER && at.offset.is_multiple_of(crate::format::ALIGN)
}
