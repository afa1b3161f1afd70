//! Returning space: packs with many dead records are rewritten without them.

use crate::catalog::Sealed;
use crate::files::{self, Patience, Which};
use crate::format::{ALIGN, FILE_HEADER, Kind, MAX_REPLACES, RECORD_HEADER, RecordHeader};
use crate::gentle;
use crate::index::Slot;
use crate::options::Step;
use crate::released::{Dead, DeadSet, Location};
use crate::rewrite::NewPack;
use crate::store::{PackStore, Shared, blocking};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use storage::StorageError;
use tokio::sync::oneshot;
use types::BlobHash;

/// The active pack is sealed for collection once this share of its full size is dead...
const SEAL_SHARE: u64 = 64;
/// ...and packs below this share of a full one are small.
const SMALL_SHARE: u64 = 16;
/// So many small packs are merged even when nothing in them is dead.
const MANY_SMALL: usize = 8;
/// How often deliveries may bring dropped blobs back before the compaction gives up.
const LATE_ROUNDS: usize = 8;
/// How long readers of a replaced pack are waited for before it goes at once.
const READERS: Duration = Duration::from_secs(5);

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
    /// Rewrites sealed packs whose dead share has passed the threshold, without what was released
    /// longer ago than the grace period, and gives the space back. `linked` says whether a link row
    /// names the blob after all: then its release was outrun by a delivery and is taken back.
    ///
    /// One collection runs at a time; everything else goes on meanwhile. While packs are
    /// [held](Self::hold) nothing is collected.
    ///
    /// # Errors
    /// Of the disk and of `linked`; `Unavailable` when there is too little room for what is to be
    /// written before anything can be removed. Nothing is lost by one.
    pub async fn collect<F, Fut>(&self, linked: F) -> Result<Collected, StorageError>
    where
        F: Fn(BlobHash) -> Fut + Send + Sync,
        Fut: Future<Output = Result<bool, StorageError>> + Send,
    {
        self.collect_from(self.shared.options.dead_share, linked)
            .await
    }

    /// The same for packs of which at least `dead_share` (0 to 1) is dead.
    ///
    /// # Errors
    /// As [`Self::collect`].
    pub async fn collect_from<F, Fut>(
        &self,
        dead_share: f64,
        linked: F,
    ) -> Result<Collected, StorageError>
    where
        F: Fn(BlobHash) -> Fut + Send + Sync,
        Fut: Future<Output = Result<bool, StorageError>> + Send,
    {
        let _one_at_a_time = self.compaction.lock().await;
        self.shared.check_open()?;
        if self.shared.holds.load(Ordering::Acquire) > 0 {
            return Ok(Collected::default());
        }
        if self.shared.prepare_collection(dead_share)? {
            self.seal_active().await?;
        }
        let mut done = Rounds::default();
        let mut group: Vec<Arc<Sealed>> = Vec::new();
        let mut drops: HashMap<Location, BlobHash> = HashMap::new();
        let mut size = 0;
        for victim in self.shared.victims(dead_share) {
            let dead = self.confirm(victim.expired, &linked).await?;
            if group.len() == MAX_REPLACES || size > self.shared.options.pack_bytes {
                let (packs, dead) = (std::mem::take(&mut group), std::mem::take(&mut drops));
                self.rewrite(packs, dead, &mut done).await?;
                size = 0;
            }
            size += victim.pack.summary.covered;
            group.push(victim.pack);
            drops.extend(dead);
        }
        if !group.is_empty() {
            self.rewrite(group, drops, &mut done).await?;
        }
        match done.too_little_room {
            Some(error) if done.total == Collected::default() => Err(error),
            // There is more room now: the next collection goes on.
            _ => Ok(done.total),
        }
    }

    /// Releases blobs that no link row names and nobody has released: a crash may forget a release,
    /// and a delivery may fail after its bytes were stored. Answers how many there were.
    ///
    /// # Errors
    /// Of the disk and of `linked`.
    pub async fn release_unlinked<F, Fut>(&self, linked: F) -> Result<u64, StorageError>
    where
        F: Fn(BlobHash) -> Fut + Send + Sync,
        Fut: Future<Output = Result<bool, StorageError>> + Send,
    {
        self.shared.check_open()?;
        let mut released = 0;
        for pack in self.shared.numbers() {
            let shared = self.shared.clone();
            for (hash, at, slot) in blocking(move || shared.unreleased(pack)).await?? {
                if !linked(hash).await? {
                    self.shared.release(vec![(at, slot)])?;
                    released += 1;
                }
            }
        }
        Ok(released)
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

    /// Rewrites packs together, or one by one where there is too little room for that.
    async fn rewrite(
        &self,
        packs: Vec<Arc<Sealed>>,
        drops: HashMap<Location, BlobHash>,
        done: &mut Rounds,
    ) -> Result<(), StorageError> {
        let groups = match self.shared.check_room(&packs, &drops) {
            Err(_) if packs.len() > 1 => packs.into_iter().map(|pack| vec![pack]).collect(),
            _ => vec![packs],
        };
        for packs in groups {
            if let Err(error) = self.shared.check_room(&packs, &drops) {
                done.too_little_room = Some(error);
                continue;
            }
            let mut drops = drops.clone();
            drops.retain(|at, _| packs.iter().any(|pack| pack.number == at.pack));
            let shared = self.shared.clone();
            done.total
                .add(blocking(move || shared.compact(&packs, &drops)).await??);
        }
        Ok(())
    }
}

/// What a collection has done so far.
#[derive(Default)]
struct Rounds {
    total: Collected,
    /// Why packs were left out.
    too_little_room: Option<StorageError>,
}

impl Collected {
    fn add(&mut self, other: Self) {
        self.packs += other.packs;
        self.blobs += other.blobs;
        self.returned += other.returned;
    }
}

fn is_dead_enough(dead_share: f64, dead: u64, covered: u64) -> bool {
    dead as f64 >= dead_share * covered.saturating_sub(FILE_HEADER) as f64
}

impl Shared {
    /// Answers whether so much of the active pack is dead that it should be sealed.
    fn prepare_collection(&self, dead_share: f64) -> Result<bool, StorageError> {
        let mut writer = self.writer();
        writer.check()?;
        let io = |error: io::Error| StorageError::io("log of releases", &error);
        writer.released.flush().map_err(io)?;
        if writer.released.is_bloated() {
            writer.released.shrink(self.store).map_err(io)?;
            if let Err(error) = files::sync_dir(&self.dir) {
                writer.fail(format!("fsync of the directory failed: {error}"));
                return Err(io(error));
            }
        }
        let (number, tail) = (writer.active.header.number, writer.active.tail);
        let (expired, bytes) = self.expired(writer.released.of(number), number);
        Ok(!expired.is_empty()
            && bytes >= self.options.pack_bytes / SEAL_SHARE
            && is_dead_enough(dead_share, bytes, tail))
    }

    fn expired(&self, dead: Option<&DeadSet>, pack: u32) -> (Vec<Location>, u64) {
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

    /// The packs worth rewriting. Those with regions nobody can name are left for the operator.
    fn victims(&self, dead_share: f64) -> Vec<Victim> {
        let writer = self.writer();
        let catalog = self.catalog();
        let now = self.options.seconds();
        let cold = self.options.cold_after.map(|age| age.as_secs());
        let small = self.options.pack_bytes / SMALL_SHARE;
        let is_small =
            |pack: &&Arc<Sealed>| pack.summary.covered < small && pack.summary.damage.is_empty();
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
            let chosen = (dead > 0 && is_dead_enough(dead_share, dead, pack.summary.covered))
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

    /// The packs there are.
    fn numbers(&self) -> Vec<u32> {
        let catalog = self.catalog();
        let sealed = catalog.sealed.iter().map(|pack| pack.number);
        sealed.chain([catalog.active.0]).collect()
    }

    /// The blobs of a pack that are not released; none when it is gone.
    fn unreleased(&self, pack: u32) -> Result<Vec<(BlobHash, Location, Slot)>, StorageError> {
        let catalog = self.catalog();
        let map = match catalog.find(pack) {
            Some(sealed) => {
                let map = sealed.map(&self.dir, self.store, &self.files);
                map.map_err(|error| StorageError::io("read the index of a pack", &error))?
            }
            None if pack == catalog.active.0 => Arc::new(self.writer().active.map.clone()),
            None => return Ok(Vec::new()),
        };
        let writer = self.writer();
        let found = map.iter().map(|(hash, slot)| {
            let offset = slot.offset;
            (*hash, Location { pack, offset }, *slot)
        });
        Ok(found
            .filter(|(_, at, _)| !writer.released.is_dead(*at))
            .collect())
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

    /// A compaction writes before it removes. It must not take the last room from deliveries.
    fn check_room(
        &self,
        packs: &[Arc<Sealed>],
        drops: &HashMap<Location, BlobHash>,
    ) -> Result<(), StorageError> {
        let needed: u64 = {
            let writer = self.writer();
            let of = |pack: &Arc<Sealed>| {
                let dead = writer.released.of(pack.number).into_iter().flatten();
                let dropped = dead.filter(|(unit, _)| {
                    let offset = u64::from(**unit) * ALIGN;
                    let pack = pack.number;
                    drops.contains_key(&Location { pack, offset })
                });
                let dropped: u64 = dropped.map(|(_, dead)| u64::from(dead.units) * ALIGN).sum();
                pack.summary.covered.saturating_sub(dropped)
            };
            packs.iter().map(of).sum()
        };
        let free = (self.options.free)(&self.dir);
        let free = free.map_err(|error| StorageError::io("ask for free space", &error))?;
        if free < needed.saturating_add(self.options.min_free_bytes) {
            return Err(StorageError::unavailable(format!(
                "too little room to compact: {needed} bytes may have to be written before any are \
                 given back, {free} are free and {} are to stay so",
                self.options.min_free_bytes
            )));
        }
        Ok(())
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
        let old: Vec<u32> = old.iter().map(|pack| pack.number).collect();
        files::remove_all(&self.dir, &old, Which::Index)?;
        self.options.step(Step::CompactHalfRemoved)?;
        for pack in &old {
            let path = files::path(&self.dir, *pack, Which::Pack);
            std::fs::rename(&path, files::temporary(&path))?;
        }
        files::sync_dir(&self.dir)?;
        self.options.step(Step::CompactDone)?;
        old.into_iter().try_for_each(|pack| self.give_back(pack))
    }

    /// Gives back the space of a pack whose name is gone; a crash leaves that to the next start.
    fn give_back(&self, pack: u32) -> io::Result<()> {
        let path = files::temporary(&files::path(&self.dir, pack, Which::Pack));
        self.files.forget(pack);
        let asked = Instant::now();
        while self.files.is_read(pack) {
            // Who reads it has what was there when they began.
            if asked.elapsed() > READERS {
                return files::remove(&path);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        gentle::remove(&path)
    }
}
