//! What is left after the power went: everything that was synced, and of the rest whatever chance
//! left.

use std::collections::BTreeMap;

use super::content::Content;
use super::volume::{Change, Ino, Inode, Names, ROOT, Volume};
use crate::corpus::Chance;

/// Octets a disk writes wholly or not at all.
const SECTOR: usize = 512;

/// Which of the changes that were not synced are on the disk.
#[derive(Clone, Copy, Debug)]
enum Keep {
    None,
    All,
    /// Those made up to this moment: a disk that keeps the order.
    Until(u64),
    /// Each with this probability, in percent: a disk that does not.
    Each(u64),
}

impl Keep {
    fn choose(chance: &mut Chance, first: u64, last: u64) -> Self {
        match chance.below(8) {
            0 => Self::None,
            1 => Self::All,
            2..5 => Self::Until(first + chance.below(last - first + 2)),
            _ => Self::Each(chance.pick(&[10, 50, 50, 90])),
        }
    }

    fn takes(self, when: u64, chance: &mut Chance) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Until(last) => when < last,
            Self::Each(percent) => chance.below(100) < percent,
        }
    }
}

/// What becomes of the size of a file that grew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// It is as the writes that were kept make it.
    Natural,
    /// The bytes were written, the size was not.
    Lost,
    /// The size was written, the bytes were not: zeros.
    Zeros,
    /// The same, with what the blocks held before they were this file's.
    Stale,
}

/// How one cut treats the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survival {
    data: Keep,
    names: Keep,
    /// Writes may be done in part, sector by sector.
    torn: bool,
    growth: Growth,
}

impl Survival {
    /// Only what was synced.
    pub(super) const STRICT: Self = Self {
        data: Keep::None,
        names: Keep::None,
        torn: false,
        growth: Growth::Natural,
    };

    pub(super) fn choose(volume: &Volume, chance: &mut Chance) -> Self {
        let data = volume.inodes.values().flat_map(|inode| &inode.pending);
        let whens = data.map(|(when, _)| *when);
        let whens = whens.chain(volume.pending.iter().map(|(when, _)| *when));
        let (first, last) = whens.fold((u64::MAX, 0), |(first, last), when| {
            (first.min(when), last.max(when))
        });
        let (first, last) = (first.min(last), last);
        let data = Keep::choose(chance, first, last);
        // Half of the disks keep one order for everything.
        let names = match chance.below(2) {
            0 => data,
            _ => Keep::choose(chance, first, last),
        };
        Self {
            data,
            names,
            torn: chance.below(2) == 0,
            growth: chance.pick(&[
                Growth::Natural,
                Growth::Natural,
                Growth::Lost,
                Growth::Zeros,
                Growth::Stale,
            ]),
        }
    }

    /// The disk as it is found afterwards.
    pub(super) fn cut(self, volume: &Volume, chance: &mut Chance) -> Volume {
        let mut names = volume.durable.clone();
        for (when, naming) in &volume.pending {
            if self.names.takes(*when, chance) {
                naming.apply(&mut names);
            }
        }
        let mut kept = BTreeMap::new();
        let mut left = Names::new();
        let mut ahead = vec![ROOT];
        while let Some(ino) = ahead.pop() {
            let Some(inode) = volume.inodes.get(&ino) else {
                continue;
            };
            if kept.contains_key(&ino) {
                continue;
            }
            kept.insert(
                ino,
                Volume::settled(inode, self.content(volume, inode, chance)),
            );
            if let Some(names) = names.remove(&ino) {
                ahead.extend(names.values().copied());
                left.insert(ino, names);
            }
        }
        for names in left.values_mut() {
            names.retain(|_, ino: &mut Ino| kept.contains_key(ino));
        }
        Volume::of(kept, left)
    }

    fn content(self, volume: &Volume, inode: &Inode, chance: &mut Chance) -> Content {
        let (durable, grown) = (inode.durable.size(), inode.live.size());
        let mut content = inode.durable.clone();
        let mut size = durable;
        if self.growth == Growth::Stale && grown > durable && !inode.pending.is_empty() {
            // From the sector the file ended in: the rest of that one was zeros.
            let from = durable.next_multiple_of(SECTOR as u64).min(grown);
            let mut at = from;
            while at < grown {
                let length = (grown - at).min(chance.between(1, 9) as u64 * SECTOR as u64);
                content.write(at, &volume.stale(chance, length as usize));
                at += length;
            }
        }
        for (when, change) in &inode.pending {
            let whole = self.data.takes(*when, chance);
            match change {
                Change::Resize(to) if whole => {
                    content.resize(*to);
                    size = *to;
                }
                Change::Write(offset, bytes) if whole => {
                    content.write(*offset, bytes);
                    size = size.max(offset + bytes.len() as u64);
                }
                Change::Write(offset, bytes) if self.torn => {
                    size = size.max(tear(&mut content, *offset, bytes, chance));
                }
                _ => {}
            }
        }
        content.resize(match self.growth {
            Growth::Natural => size,
            Growth::Lost => size.min(durable),
            Growth::Zeros | Growth::Stale => size.max(grown),
        });
        content
    }
}

/// Writes some of the sectors of a write; the end of the last of them.
fn tear(content: &mut Content, offset: u64, bytes: &[u8], chance: &mut Chance) -> u64 {
    let (mut at, mut end) = (0, 0);
    // A disk mostly writes a run of sectors.
    let mut on = chance.below(2) == 0;
    while at < bytes.len() {
        let place = offset + at as u64;
        let length = (SECTOR - (place % SECTOR as u64) as usize).min(bytes.len() - at);
        if chance.below(4) == 0 {
            on = !on;
        }
        if on {
            content.write(place, &bytes[at..at + length]);
            end = place + length as u64;
        }
        at += length;
    }
    end
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::disk::faults::{Fault, Faults};
    use crate::disk::volume::Kind;

    fn file(volume: &mut Volume, name: &str) -> Ino {
        let made = volume.add(ROOT, OsStr::new(name), Kind::File, 0o600);
        made.expect("a new name")
    }

    fn read(volume: &Volume, name: &str) -> Option<Vec<u8>> {
        let ino = volume.find(ROOT, OsStr::new(name)).ok()?;
        volume.read(ino, 0, 100_000).ok()
    }

    /// Many cuts of one volume, each as likely as in a torture.
    fn cuts(volume: &Volume) -> impl Iterator<Item = Volume> {
        let mut chance = Chance::new(1);
        (0..500).map(move |_| Survival::choose(volume, &mut chance).cut(volume, &mut chance))
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be() {
        let mut volume = Volume::new();
        let kept = file(&mut volume, "kept");
        let unnamed = file(&mut volume, "unnamed");
        volume.write(kept, 0, &[1; 3000]).expect("a write");
        volume.sync(kept).expect("a sync");
        volume.sync_dir(ROOT).expect("a sync");
        volume.write(kept, 3000, &[2; 3000]).expect("a write");
        volume.remove(ROOT, OsStr::new("unnamed")).expect("a name");
        let late = file(&mut volume, "late");
        volume.write(late, 0, b"synced").expect("a write");
        volume.sync(late).expect("a sync");
        assert_ne!(unnamed, late);
        let (mut sizes, mut removed, mut named) = ([false; 3], [false; 2], [false; 2]);
        for left in cuts(&volume) {
            let bytes = read(&left, "kept").expect("a synced name");
            assert_eq!(bytes[..3000], [1; 3000]);
            let size = match bytes.len() {
                3000 => 0,
                6000 => 1,
                _ => 2,
            };
            sizes[size] = true;
            removed[usize::from(read(&left, "unnamed").is_none())] = true;
            let late = read(&left, "late");
            named[usize::from(late.is_some())] = true;
            assert!(late.is_none_or(|bytes| bytes == b"synced"));
        }
        assert_eq!((sizes, removed, named), ([true; 3], [true; 2], [true; 2]));
    }

    #[test]
    fn a_file_that_was_replaced_is_the_old_one_or_the_new_one() {
        let mut volume = Volume::new();
        let old = file(&mut volume, "name");
        volume.write(old, 0, b"old").expect("a write");
        volume.sync(old).expect("a sync");
        volume.sync_dir(ROOT).expect("a sync");
        let new = file(&mut volume, "name.tmp");
        volume.write(new, 0, b"new").expect("a write");
        volume.sync(new).expect("a sync");
        let (from, to) = (OsStr::new("name.tmp"), OsStr::new("name"));
        volume.rename(ROOT, from, ROOT, to).expect("a rename");
        let found: Vec<_> = cuts(&volume)
            .filter_map(|left| read(&left, "name"))
            .collect();
        assert_eq!(found.len(), 500);
        assert!(found.iter().all(|bytes| bytes == b"old" || bytes == b"new"));
        assert!(found.iter().any(|bytes| bytes == b"old"));
        volume.sync_dir(ROOT).expect("a sync");
        assert!(cuts(&volume).all(|left| read(&left, "name").expect("a name") == b"new"));
    }

    #[test]
    fn a_sync_after_one_that_failed_does_not_bring_anything_back() {
        let mut volume = Volume::new();
        let ino = file(&mut volume, "name");
        volume.sync_dir(ROOT).expect("a sync");
        volume.write(ino, 0, b"lost").expect("a write");
        volume.faults.sync = Some(Fault::Broken);
        assert_eq!(volume.sync(ino), Err(Fault::Broken));
        volume.faults = Faults::default();
        volume.sync(ino).expect("a sync");
        assert_eq!(read(&volume, "name").expect("a name"), b"lost");
        // Its size may have grown all the same.
        assert!(cuts(&volume).all(|left| read(&left, "name").expect("a name") != b"lost"));
    }
}
