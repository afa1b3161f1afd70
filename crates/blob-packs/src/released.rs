//! Which records nobody links to any more, and since when. Kept in memory per pack and in the
//! append-only file `released`: a release may be lost (the mail engine's sweep finds the garbage
//! again), taking one back may not, so it is written and made durable before a put is acknowledged.

use crate::files;
use crate::format::{self, StoreId, u32_at};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::index::Slot;

/// Where a record is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Location {
    pub(crate) pack: u32,
    pub(crate) offset: u64,
}

/// A record nobody links to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dead {
    /// Seconds since 1970.
    pub(crate) since: u32,
    /// Bytes of the record, in units of [`format::ALIGN`].
    pub(crate) units: u32,
}

const MAGIC: [u8; 8] = *b"GPREL\r\n\0";
const HEADER: usize = 32;
const ENTRY: usize = 24;
const RELEASE: u32 = 1;
const REARM: u32 = 2;
/// Releases collected in memory before they are written.
const BUFFER: usize = 4096;

/// The dead records of one pack, by offset in units of [`format::ALIGN`].
pub(crate) type DeadSet = BTreeMap<u32, Dead>;

pub(crate) struct Released {
    path: PathBuf,
    file: Arc<File>,
    end: u64,
    buffer: Vec<u8>,
    packs: HashMap<u32, DeadSet>,
    /// Of all dead records.
    bytes: u64,
}

impl Released {
    /// Reads the log. `exists` says whether a record can still be at a location; entries for others
    /// are forgotten on disk too, before their pack number is given again.
    pub(crate) fn open(
        dir: &Path,
        store: StoreId,
        exists: impl Fn(Location) -> bool,
    ) -> io::Result<Self> {
        let path = dir.join("released");
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let mut packs = replay(&bytes, store).unwrap_or_else(|| {
            if !bytes.is_empty() {
                tracing::warn!(file = %path.display(), "log of releases is damaged, all forgotten");
            }
            HashMap::new()
        });
        for (pack, dead) in &mut packs {
            dead.retain(|unit, _| {
                exists(Location {
                    pack: *pack,
                    offset: u64::from(*unit) * format::ALIGN,
                })
            });
        }
        packs.retain(|_, dead| !dead.is_empty());
        let (file, end) = rewrite(&path, store, &packs)?;
        // Before anything is taken back in the new file, the old one must be gone for good.
        files::sync_dir(dir)?;
        Ok(Self {
            bytes: packs.values().map(bytes_of).sum(),
            path,
            file,
            end,
            buffer: Vec::new(),
            packs,
        })
    }

    /// Marks a record dead. The first release counts; lost when the process dies soon.
    pub(crate) fn release(&mut self, pack: u32, slot: &Slot, since: u32) -> io::Result<()> {
        let unit = (slot.offset / format::ALIGN) as u32;
        let dead = Dead {
            since,
            units: slot.units,
        };
        self.adopt(pack, unit, dead);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    /// Marks a record dead with all its history: it has moved.
    pub(crate) fn adopt(&mut self, pack: u32, unit: u32, dead: Dead) {
        if let std::collections::btree_map::Entry::Vacant(entry) =
            self.packs.entry(pack).or_default().entry(unit)
        {
            entry.insert(dead);
            self.bytes += u64::from(dead.units) * format::ALIGN;
            encode(RELEASE, pack, unit, dead, &mut self.buffer);
        }
    }

    pub(crate) fn is_dead(&self, at: Location) -> bool {
        let unit = (at.offset / format::ALIGN) as u32;
        self.packs
            .get(&at.pack)
            .is_some_and(|dead| dead.contains_key(&unit))
    }

    /// Takes a release back, in memory and in the file. Answers whether there was one: then the
    /// caller must sync [`Self::file`] before anybody relies on it.
    pub(crate) fn rearm(&mut self, at: Location) -> io::Result<bool> {
        let unit = (at.offset / format::ALIGN) as u32;
        let Some(dead) = self.packs.get(&at.pack).and_then(|dead| dead.get(&unit)) else {
            return Ok(false);
        };
        encode(REARM, at.pack, unit, *dead, &mut self.buffer);
        self.flush()?;
        if let Some(dead) = self
            .packs
            .get_mut(&at.pack)
            .and_then(|dead| dead.remove(&unit))
        {
            self.bytes -= u64::from(dead.units) * format::ALIGN;
        }
        Ok(true)
    }

    /// The dead records of a pack.
    pub(crate) fn of(&self, pack: u32) -> Option<&DeadSet> {
        self.packs.get(&pack)
    }

    /// Bytes of all dead records.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The pack is gone; its entries in the file mean nothing until the next start removes them.
    pub(crate) fn forget(&mut self, pack: u32) -> DeadSet {
        let dead = self.packs.remove(&pack).unwrap_or_default();
        self.bytes -= bytes_of(&dead);
        dead
    }

    /// Writes what was held back. On failure it stays held back and nothing half-written counts.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.buffer, self.end)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Bytes of the file that describe nothing any more, once they are worth a rewrite.
    pub(crate) fn is_bloated(&self) -> bool {
        let live: usize = self.packs.values().map(BTreeMap::len).sum();
        self.end > 1 << 20 && self.end / 4 > (live * ENTRY) as u64
    }

    /// Rewrites the file with what is still dead. After success the directory must be synced before
    /// anything that is taken back is relied on; after an error nothing has changed.
    pub(crate) fn shrink(&mut self, store: StoreId) -> io::Result<()> {
        let (file, end) = rewrite(&self.path, store, &self.packs)?;
        (self.file, self.end) = (file, end);
        self.buffer.clear();
        Ok(())
    }
}

fn bytes_of(dead: &DeadSet) -> u64 {
    dead.values()
        .map(|dead| u64::from(dead.units) * format::ALIGN)
        .sum()
}

fn encode(kind: u32, pack: u32, unit: u32, dead: Dead, out: &mut Vec<u8>) {
    let start = out.len();
    for word in [kind, pack, unit, dead.units, dead.since] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

fn header(store: StoreId) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&format::VERSION.to_le_bytes());
    out.extend_from_slice(&store.0);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// `None` when the log cannot be trusted: a damaged entry in its middle may have been one that took
/// a release back. A damaged end was never acknowledged.
fn replay(bytes: &[u8], store: StoreId) -> Option<HashMap<u32, DeadSet>> {
    let (head, entries) = bytes.split_at_checked(HEADER)?;
    if head != header(store) {
        return None;
    }
    let mut packs: HashMap<u32, DeadSet> = HashMap::new();
    let mut torn = false;
    for entry in entries.chunks_exact(ENTRY) {
        let sound = u32_at(entry, 20) == crc32fast::hash(&entry[..20]);
        if torn && sound {
            return None;
        }
        torn = !sound;
        let dead = Dead {
            units: u32_at(entry, 12),
            since: u32_at(entry, 16),
        };
        match (sound, u32_at(entry, 0)) {
            (true, RELEASE) => {
                let set = packs.entry(u32_at(entry, 4)).or_default();
                set.insert(u32_at(entry, 8), dead);
            }
            (true, REARM) => {
                if let Some(set) = packs.get_mut(&u32_at(entry, 4)) {
                    set.remove(&u32_at(entry, 8));
                }
            }
            _ => {}
        }
    }
    Some(packs)
}

fn rewrite(
    path: &Path,
    store: StoreId,
    packs: &HashMap<u32, DeadSet>,
) -> io::Result<(Arc<File>, u64)> {
    let mut bytes = header(store);
    for (pack, set) in packs {
        for (unit, dead) in set {
            encode(RELEASE, *pack, *unit, *dead, &mut bytes);
        }
    }
    let file = files::replace(path, &[&bytes], true)?;
    Ok((Arc::new(file), bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    fn slot(offset: u64) -> Slot {
        Slot {
            offset,
            size: 10,
            units: 2,
        }
    }

    fn at(pack: u32, offset: u64) -> Location {
        Location { pack, offset }
    }

    fn open(dir: &Path) -> Released {
        Released::open(dir, STORE, |at| at.pack != 9).expect("open")
    }

    /// Releases 8 and 16, takes 16 back, releases 24 and one of a pack that goes away.
    fn filled(dir: &Path) {
        let mut released = open(dir);
        released.release(1, &slot(8), 100).expect("release");
        released.release(1, &slot(16), 100).expect("release");
        assert!(released.rearm(at(1, 16)).expect("rearm"));
        assert!(!released.rearm(at(1, 16)).expect("rearm"));
        released.release(1, &slot(24), 200).expect("release");
        released.release(9, &slot(8), 200).expect("release");
        released.flush().expect("flush");
    }

    #[test]
    fn releases_survive_a_reopen_but_not_for_packs_that_are_gone() {
        let dir = tempfile::tempdir().expect("tempdir");
        filled(dir.path());
        for _ in 0..2 {
            let released = open(dir.path());
            assert!(released.is_dead(at(1, 8)) && released.is_dead(at(1, 24)));
            assert!(!released.is_dead(at(1, 16)) && released.of(9).is_none());
            assert_eq!(released.end as usize, HEADER + 2 * ENTRY);
        }
    }

    #[test]
    fn a_torn_end_is_cut_and_damage_in_the_middle_forgets_all() {
        let dir = tempfile::tempdir().expect("tempdir");
        filled(dir.path());
        let path = dir.path().join("released");
        let good = std::fs::read(&path).expect("read");
        std::fs::write(&path, &good[..good.len() - ENTRY - 3]).expect("write");
        let released = open(dir.path());
        assert!(released.is_dead(at(1, 8)) && !released.is_dead(at(1, 24)));
        drop(released);
        for entry in 0..3 {
            let mut bad = good.clone();
            bad[HEADER + entry * ENTRY + 1] ^= 1;
            std::fs::write(&path, &bad).expect("write");
            assert!(open(dir.path()).of(1).is_none(), "entry {entry}");
        }
    }

    #[test]
    fn a_rewrite_keeps_what_is_dead_and_nothing_else() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut released = open(dir.path());
        for i in 1..50_000 {
            released.release(1, &slot(i * 16), 5).expect("release");
        }
        assert!(!released.is_bloated(), "all of it means something");
        assert_eq!(released.bytes(), 49_999 * 16);
        for i in 11..50_000 {
            released.rearm(at(1, i * 16)).expect("rearm");
        }
        assert!(released.is_bloated());
        released.shrink(STORE).expect("shrink");
        released.release(2, &slot(8), 5).expect("release");
        assert!(released.rearm(at(1, 16)).expect("rearm"));
        released.flush().expect("flush");
        assert_eq!(released.bytes(), 10 * 16);
        drop(released);
        let released = open(dir.path());
        assert_eq!(released.bytes(), 10 * 16);
        assert!(!released.is_dead(at(1, 16)) && released.is_dead(at(1, 160)));
    }
}
