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
            kept.insert(ino, Volume::settled(inode, self.content(volume, inode, chance)));
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
