//! The pack a compaction writes: records of other packs, compressed where that saves space.

use crate::catalog::Sealed;
use crate::files::{self, Patience, Which};
use crate::format::{ALIGN, FILE_HEADER, FLAG_ZSTD, FileHeader, Kind, RECORD_HEADER, RecordHeader};
use crate::gentle::Pace;
use crate::index::{Map, Slot, Summary};
use crate::released::Location;
use crate::scan::{self, Found};
use crate::store::Shared;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use types::BlobHash;

/// Records smaller than this are not worth a zstd frame.
const MIN_COMPRESS: u32 = 256;
/// Bytes gathered before they are written to the new pack.
const WRITE_BUFFER: usize = 64 << 10;
/// Bytes after which the new pack is synced: deliveries wait behind what the disk has not written.
const SYNC_EVERY: u64 = 128 << 10;

/// The pack a compaction writes.
pub(crate) struct NewPack {
    pub(crate) header: FileHeader,
    pub(crate) tmp: PathBuf,
    file: File,
    /// Written so far.
    written: u64,
    buffer: Vec<u8>,
    map: Map,
    damage: Vec<Range<u64>>,
    /// Where records of the old packs are now.
    pub(crate) moved: HashMap<Location, Slot>,
    zstd: zstd::bulk::Compressor<'static>,
    pace: Pace,
}

impl NewPack {
    pub(crate) fn create(shared: &Shared, number: u32, packs: &[Arc<Sealed>]) -> io::Result<Self> {
        let header = FileHeader {
            number,
            kind: Kind::Compacted,
            created: shared.options.seconds(),
            replaces: packs.iter().map(|pack| pack.number).collect(),
        };
        let tmp = files::temporary(&files::path(&shared.dir, number, Which::Pack));
        Ok(Self {
            buffer: header.encode(shared.store),
            header,
            file: File::create(&tmp)?,
            tmp,
            written: 0,
            map: Map::new(),
            damage: Vec::new(),
            moved: HashMap::new(),
            zstd: zstd::bulk::Compressor::new(shared.options.zstd_level)?,
            pace: Pace::new(),
        })
    }

    pub(crate) fn copy_pack(
        &mut self,
        shared: &Shared,
        pack: &Sealed,
        drops: &HashMap<Location, BlobHash>,
    ) -> io::Result<()> {
        let number = pack.number;
        let file = shared.files.open(number, Which::Pack)?;
        let map = pack.map(&shared.dir, shared.store, &shared.files)?;
        let covered = pack.summary.covered;
        let end = scan::scan(&*file, FILE_HEADER..covered, shared.store, |found| {
            self.pace.rest();
            let (offset, header, whole) = match found {
                Found::Damage(range) => return self.copy_damage(&file, number, range, &map, drops),
                Found::Record {
                    offset,
                    header,
                    whole,
                    ..
                } => (offset, header, whole),
            };
            let at = Location {
                pack: number,
                offset,
            };
            let keep = if header.is_note() {
                shared.is_alive(&header.hash, drops)
            } else {
                !drops.contains_key(&at)
                    && map
                        .get(&header.hash)
                        .is_some_and(|slot| slot.offset == offset)
            };
            if keep {
                self.copy(shared, &file, at, &header, whole)?;
            }
            Ok(())
        })?;
        if end < covered {
            self.copy_damage(&file, number, end..covered, &map, drops)?;
        }
        Ok(())
    }

    /// Bytes in which no record can be recognised any more are kept as they are, so that what the
    /// index says lay there goes on answering Corrupt.
    fn copy_damage(
        &mut self,
        file: &File,
        pack: u32,
        range: Range<u64>,
        map: &Map,
        drops: &HashMap<Location, BlobHash>,
    ) -> io::Result<()> {
        let lost: Vec<_> = map
            .iter()
            .filter(|(_, slot)| range.contains(&slot.offset))
            .filter(|(_, slot)| {
                let offset = slot.offset;
                !drops.contains_key(&Location { pack, offset })
            })
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        let start = self.end();
        for (hash, slot) in lost {
            let offset = slot.offset;
            let slot = Slot {
                offset: start + (offset - range.start),
                ..*slot
            };
            self.map.insert(*hash, slot);
            self.moved.insert(Location { pack, offset }, slot);
        }
        let mut bytes = files::read_at(file, range.start, (range.end - range.start) as usize)?;
        bytes.resize(
            (range.end - range.start).next_multiple_of(ALIGN) as usize,
            0,
        );
        self.damage.push(start..start + bytes.len() as u64);
        self.push(&bytes)
    }

    /// Copies one record that was dropped at first.
    pub(crate) fn copy_record(&mut self, shared: &Shared, at: Location) -> io::Result<()> {
        let file = shared.files.open(at.pack, Which::Pack)?;
        let bytes = files::read_at(&file, at.offset, RECORD_HEADER)?;
        let header = RecordHeader::decode(&bytes, shared.store)
            .ok_or_else(|| io::Error::other("a record became unreadable while it was copied"))?;
        self.copy(shared, &file, at, &header, true)
    }

    fn copy(
        &mut self,
        shared: &Shared,
        file: &File,
        at: Location,
        header: &RecordHeader,
        whole: bool,
    ) -> io::Result<()> {
        let total = header.total();
        let bytes = files::read_at(file, at.offset, total as usize)?;
        if bytes.len() as u64 != total {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let offset = self.end();
        let body = header.body();
        let (head, stored) = (
            &bytes[..body.start as usize],
            &bytes[body.start as usize..body.end as usize],
        );
        // Damaged records are copied as they are: they must not get a checksum that fits.
        let smaller = whole
            && !header.is_zstd()
            && header.size >= MIN_COMPRESS
            && crc32fast::hash(stored) == header.body_crc;
        let frame = if smaller {
            let frame = self.zstd.compress(stored)?;
            Some(frame).filter(|frame| frame.len() < stored.len() / 10 * 9)
        } else {
            None
        };
        let total = match frame {
            Some(frame) => {
                let header = RecordHeader {
                    flags: header.flags | FLAG_ZSTD,
                    stored: frame.len() as u32,
                    body_crc: crc32fast::hash(&frame),
                    ..*header
                };
                let mut out = Vec::with_capacity(header.total() as usize);
                header.encode(shared.store, &mut out);
                out.extend_from_slice(&head[RECORD_HEADER..]);
                out.extend_from_slice(&frame);
                out.resize(header.total() as usize, 0);
                self.push(&out)?;
                header.total()
            }
            None => {
                self.push(&bytes)?;
                total
            }
        };
        let slot = Slot {
            offset,
            size: header.size,
            units: (total / ALIGN) as u32,
        };
        if !header.is_note() {
            self.map.insert(header.hash, slot);
            self.moved.insert(at, slot);
        }
        Ok(())
    }

    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        let before = self.written;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        match self.written / SYNC_EVERY > before / SYNC_EVERY {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()
    }

    /// Gives the pack its name; `None` when it holds nothing and need not exist.
    pub(crate) fn publish(&self, shared: &Shared) -> io::Result<Option<Arc<Sealed>>> {
        if self.written == FILE_HEADER {
            std::fs::remove_file(&self.tmp)?;
            return Ok(None);
        }
        let number = self.header.number;
        std::fs::rename(&self.tmp, files::path(&shared.dir, number, Which::Pack))?;
        let summary = Summary {
            covered: self.written,
            sealed: true,
            entries: self.map.len() as u32,
            record_bytes: self.map.values().map(Slot::total).sum(),
            damage: self.damage.clone(),
        };
        let map = self.map.clone();
        Ok(Some(Arc::new(Sealed::in_memory(
            &self.header,
            summary,
            map,
        ))))
    }
}

impl Shared {
    /// Whether a copy of the blob stays after the drops.
    fn is_alive(&self, hash: &BlobHash, drops: &HashMap<Location, BlobHash>) -> bool {
        // When the index cannot say, the note stays.
        self.locate(hash, Patience::Wait).map_or(true, |places| {
            places.iter().any(|(at, _)| !drops.contains_key(at))
        })
    }
}
