//! Returning space: packs with many dead records are rewritten without them.

use crate::catalog::Sealed;
use crate::files::{self, Patience, Which};
use crate::format::{
    ALIGN, FILE_HEADER, FLAG_ZSTD, FileHeader, Kind, MAX_REPLACES, RECORD_HEADER, RecordHeader,
};
use crate::index::{Map, Slot, Summary};
use crate::open::remove_pack;
use crate::options::Step;
use crate::released::{Dead, Location};
use crate::scan::{self, Found};
use crate::store::{PackStore, Shared, blocking};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use storage::StorageError;
use tokio::sync::oneshot;
use types::BlobHash;

/// Records smaller than this are not worth a zstd frame.
const MIN_COMPRESS: u32 = 256;
/// The active pack is sealed for collection once this share of its full size is dead...
const SEAL_SHARE: u64 = 64;
/// ...and packs below this share of a full one are small.
const SMALL_SHARE: u64 = 16;
/// So many small packs are merged even when nothing in them is dead.
const MANY_SMALL: usize = 8;
/// Bytes gathered before they are written to the new pack.
const WRITE_BUFFER: usize = 1 << 20;
/// How often deliveries may bring dropped blobs back before the compaction gives up.
const LATE_ROUNDS: usize = 8;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Packs that were rewritten or removed.
    pub packs: usize,
    /// Blobs that are gone.
    pub blobs: u64,
    /// Bytes given back to the file system.
    pub returned: u64,
}

/// A pack to rewrite.
struct Victim {
    pack: Arc<Sealed>,
    /// Dead for longer than the grace period.
    expired: Vec<Location>,
}

impl PackStore {
    /// Rewrites sealed packs whose dead share has passed the threshold, without what was released longer
    /// ago than the grace period, and gives the space back. `linked` says whether a link row names the
    /// blob after all: then its release was outrun by a delivery and is taken back.
    ///
    /// One collection runs at a time; everything else goes on meanwhile.
    ///
    /// # Errors
    /// Of the disk and of `linked`. Nothing is lost by one.
    pub async fn collect<F, Fut>(&self, linked: F) -> Result<Collected, StorageError>
    where
        F: Fn(BlobHash) -> Fut + Send + Sync,
        Fut: Future<Output = Result<bool, StorageError>> + Send,
    {
        let _one_at_a_time = self.compaction.lock().await;
        self.shared.check_open()?;
        if self.shared.prepare_collection()? {
            self.seal_active().await?;
        }
        let mut total = Collected::default();
        let mut group: Vec<Arc<Sealed>> = Vec::new();
        let mut drops: HashMap<Location, BlobHash> = HashMap::new();
        let mut size = 0;
        for victim in self.shared.victims() {
            let dead = self.confirm(victim.expired, &linked).await?;
            if group.len() == MAX_REPLACES || size > self.shared.options.pack_bytes {
                let (packs, dead) = (std::mem::take(&mut group), std::mem::take(&mut drops));
                total.add(self.rewrite(packs, dead).await?);
                size = 0;
            }
            size += victim.pack.summary.covered;
            group.push(victim.pack);
            drops.extend(dead);
        }
        if !group.is_empty() {
            total.add(self.rewrite(group, drops).await?);
        }
        Ok(total)
    }

    /// Seals the active pack whatever its size, so that the next collection may rewrite it.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails or the store is closed.
    pub async fn seal_active(&self) -> Result<(), StorageError> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut writer = self.shared.writer();
            writer.check()?;
            if writer.active.tail == FILE_HEADER {
                return Ok(());
            }
            writer.seal.push(sender);
        }
        self.shared.wake();
        receiver
            .await
            .map_err(|_| StorageError::unavailable("blob store has stopped"))?
    }

    /// Which of these nobody links to indeed.
    async fn confirm<F, Fut>(
        &self,
        expired: Vec<Location>,
        linked: &F,
    ) -> Result<HashMap<Location, BlobHash>, StorageError>
    where
        F: Fn(BlobHash) -> Fut + Send + Sync,
        Fut: Future<Output = Result<bool, StorageError>> + Send,
    {
        let shared = self.shared.clone();
        let named = blocking(move || {
            let name = |at: Location| shared.name(at).map(|hash| (at, hash));
            expired.into_iter().filter_map(name).collect::<Vec<_>>()
        })
        .await?;
        let mut dead = HashMap::new();
        for (at, hash) in named {
            if linked(hash).await? {
                let mut writer = self.shared.writer();
                let result = writer.released.rearm(at);
                result.map_err(|error| StorageError::io("take a release back", &error))?;
            } else {
                dead.insert(at, hash);
            }
        }
        Ok(dead)
    }

    async fn rewrite(
        &self,
        packs: Vec<Arc<Sealed>>,
        drops: HashMap<Location, BlobHash>,
    ) -> Result<Collected, StorageError> {
        let shared = self.shared.clone();
        blocking(move || shared.compact(&packs, &drops)).await?
    }
}

impl Collected {
    fn add(&mut self, other: Self) {
        self.packs += other.packs;
        self.blobs += other.blobs;
        self.returned += other.returned;
    }
}

impl Shared {
    /// Answers whether so much of the active pack is dead that it should be sealed.
    fn prepare_collection(&self) -> Result<bool, StorageError> {
        let mut writer = self.writer();
        writer.check()?;
        let flushed = writer.released.flush();
        let shrunk = match flushed {
            Ok(()) if writer.released.is_bloated() => writer.released.shrink(self.store),
            other => other,
        };
        shrunk.map_err(|error| StorageError::io("log of releases", &error))?;
        let (number, tail) = (writer.active.header.number, writer.active.tail);
        let (expired, bytes) = self.expired(writer.released.of(number), number);
        Ok(!expired.is_empty()
            && bytes >= self.options.pack_bytes / SEAL_SHARE
            && self.is_dead_enough(bytes, tail))
    }

    fn expired(&self, dead: Option<&crate::released::DeadSet>, pack: u32) -> (Vec<Location>, u64) {
        let now = self.options.seconds();
        let grace = self.options.grace.as_secs();
        let old = dead
            .into_iter()
            .flatten()
            .filter(|(_, dead)| u64::from(dead.since) + grace <= now);
        let mut bytes = 0;
        let places = old
            .map(|(unit, dead)| {
                bytes += u64::from(dead.units) * ALIGN;
                let offset = u64::from(*unit) * ALIGN;
                Location { pack, offset }
            })
            .collect();
        (places, bytes)
    }

    fn is_dead_enough(&self, dead: u64, covered: u64) -> bool {
        dead as f64 >= self.options.dead_share * covered.saturating_sub(FILE_HEADER) as f64
    }

    /// The packs worth rewriting. Those with regions nobody can name are left for the operator.
    fn victims(&self) -> Vec<Victim> {
        let writer = self.writer();
        let catalog = self.catalog();
        let now = self.options.seconds();
        let cold = self.options.cold_after.map(|age| age.as_secs());
        let small = self.options.pack_bytes / SMALL_SHARE;
        let is_small = |pack: &&Arc<Sealed>| pack.summary.covered < small;
        let merge = catalog.sealed.iter().filter(is_small).count() >= MANY_SMALL;
        let mut victims = Vec::new();
        for pack in &catalog.sealed {
            let (expired, bytes) = self.expired(writer.released.of(pack.number), pack.number);
            let delivered = pack.kind == Kind::Delivered;
            // Superseded copies and notes; a compacted pack has the notes it must keep.
            let garbage = if delivered {
                let covered = pack.summary.covered.saturating_sub(FILE_HEADER);
                covered.saturating_sub(pack.summary.record_bytes)
            } else {
                0
            };
            let dead = bytes + garbage;
            let chosen = (dead > 0 && self.is_dead_enough(dead, pack.summary.covered))
                || (delivered && cold.is_some_and(|age| pack.created + age <= now))
                || (merge && is_small(&pack))
                || pack.summary.covered <= FILE_HEADER; // sealing was interrupted
            let path = files::path(&self.dir, pack.number, Which::Pack);
            if chosen && pack.summary.damage.is_empty() && path.exists() {
                let pack = pack.clone();
                victims.push(Victim { pack, expired });
            }
        }
        victims
    }

    /// The blob at a place.
    fn name(&self, at: Location) -> Option<BlobHash> {
        let file = self.files.open(at.pack, Which::Pack).ok()?;
        let mut bytes = Vec::new();
        files::read_into(&file, at.offset, RECORD_HEADER, &mut bytes, Patience::Wait).ok()?;
        RecordHeader::decode(&bytes, self.store).map(|header| header.hash)
    }

    /// Writes one new pack with everything of `packs` but `drops`, and removes them.
    fn compact(
        &self,
        packs: &[Arc<Sealed>],
        drops: &HashMap<Location, BlobHash>,
    ) -> Result<Collected, StorageError> {
        let number = self.take_number()?;
        let io = |error: io::Error| StorageError::io("compact packs", &error);
        let mut new = NewPack::create(self, number, packs).map_err(io)?;
        let result = self.fill_and_swap(&mut new, packs, drops);
        let (sealed, moved_late) = match result {
            Ok(done) => done,
            Err(error) => {
                let _ = std::fs::remove_file(&new.tmp);
                return Err(error);
            }
        };
        self.finish_compaction(sealed.as_deref(), packs)
            .map_err(io)?;
        let before: u64 = packs.iter().map(|pack| pack.summary.covered).sum();
        let after = sealed.map_or(0, |sealed| sealed.summary.covered);
        Ok(Collected {
            packs: packs.len(),
            blobs: (drops.len() - moved_late) as u64,
            returned: before.saturating_sub(after),
        })
    }

    fn fill_and_swap(
        &self,
        new: &mut NewPack,
        packs: &[Arc<Sealed>],
        drops: &HashMap<Location, BlobHash>,
    ) -> Result<(Option<Arc<Sealed>>, usize), StorageError> {
        let io = |error: io::Error| StorageError::io("compact packs", &error);
        for pack in packs {
            new.copy_pack(self, pack, drops).map_err(io)?;
        }
        let mut late: HashSet<Location> = HashSet::new();
        for _ in 0..LATE_ROUNDS {
            new.sync().map_err(io)?;
            self.options.step(Step::CompactWritten).map_err(io)?;
            let mut writer = self.writer();
            writer.check()?;
            // A delivery may have found a blob that is about to go, and taken its release back.
            let back: Vec<Location> = drops
                .keys()
                .filter(|at| !late.contains(*at) && !writer.released.is_dead(**at))
                .copied()
                .collect();
            if back.is_empty() {
                let gone: Vec<u32> = packs.iter().map(|pack| pack.number).collect();
                let sealed = new.publish(self).map_err(io)?;
                for number in &gone {
                    for (unit, dead) in writer.released.forget(*number) {
                        let offset = u64::from(unit) * ALIGN;
                        let pack = *number;
                        if let Some(slot) = new.moved.get(&Location { pack, offset }) {
                            let units = slot.units;
                            let unit = (slot.offset / ALIGN) as u32;
                            let dead = Dead { units, ..dead };
                            writer.released.adopt(new.header.number, unit, dead);
                        }
                    }
                }
                self.change_catalog(None, &gone, sealed.clone());
                return Ok((sealed, late.len()));
            }
            drop(writer);
            for at in back {
                new.copy_record(self, at).map_err(io)?;
                late.insert(at);
            }
        }
        Err(StorageError::conflict(
            "compaction was outrun by deliveries",
        ))
    }

    /// Nothing of the old packs is needed any more, once the new one's name is durable.
    fn finish_compaction(&self, new: Option<&Sealed>, old: &[Arc<Sealed>]) -> io::Result<()> {
        for pack in old {
            self.files.forget(pack.number);
        }
        self.options.step(Step::CompactNamed)?;
        files::sync_dir(&self.dir)?;
        if let Some(new) = new
            && let Err(error) = new
                .persist(&self.dir, self.store)
                .and_then(|()| files::sync_dir(&self.dir))
        {
            tracing::warn!(pack = new.number, %error, "index could not be written");
        }
        self.options.step(Step::CompactIndexed)?;
        for pack in old {
            files::remove(&files::path(&self.dir, pack.number, Which::Index))?;
            self.options.step(Step::CompactHalfRemoved)?;
            remove_pack(&self.dir, pack.number)?;
        }
        files::sync_dir(&self.dir)?;
        self.options.step(Step::CompactDone)
    }
}

/// The pack a compaction writes.
struct NewPack {
    header: FileHeader,
    tmp: PathBuf,
    file: File,
    /// Written so far.
    written: u64,
    buffer: Vec<u8>,
    map: Map,
    damage: Vec<Range<u64>>,
    /// Where records of the old packs are now.
    moved: HashMap<Location, Slot>,
    zstd: zstd::bulk::Compressor<'static>,
}

impl NewPack {
    fn create(shared: &Shared, number: u32, packs: &[Arc<Sealed>]) -> io::Result<Self> {
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
        })
    }

    fn copy_pack(
        &mut self,
        shared: &Shared,
        pack: &Sealed,
        drops: &HashMap<Location, BlobHash>,
    ) -> io::Result<()> {
        let number = pack.number;
        let file = shared.files.open(number, Which::Pack)?;
        let map = pack.map(&shared.dir, shared.store, &shared.files)?;
        let covered = pack.summary.covered;
        let end = scan::scan(&file, FILE_HEADER..covered, shared.store, |found| {
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

    /// Bytes in which no record can be recognised any more are kept as they are, so that what the index
    /// says lay there goes on answering Corrupt.
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
    fn copy_record(&mut self, shared: &Shared, at: Location) -> io::Result<()> {
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
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()
    }

    /// Gives the pack its name; `None` when it holds nothing and need not exist.
    fn publish(&self, shared: &Shared) -> io::Result<Option<Arc<Sealed>>> {
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
        self.locate(hash).map_or(true, |places| {
            places.iter().any(|(at, _)| !drops.contains_key(at))
        })
    }
}
