//! Where the records of a pack are, by hash: in memory while the pack grows, in a sorted `.idx`
//! file behind a bloom filter once it is sealed. Everything here can be rebuilt from the pack.

use crate::files::{self, Patience, Which};
use crate::format::{self, StoreId, array, u32_at, u64_at};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use types::BlobHash;

/// One record of a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) offset: u64,
    /// Bytes of the blob.
    pub(crate) size: u32,
    /// Bytes of the record, in units of [`format::ALIGN`].
    pub(crate) units: u32,
}

impl Slot {
    pub(crate) fn total(&self) -> u64 {
        u64::from(self.units) * format::ALIGN
    }
}

/// An index in memory.
pub(crate) type Map = HashMap<BlobHash, Slot>;

const MAGIC: [u8; 8] = *b"GPIDX\r\n\0";
const HEADER: usize = 80;
const BLOCK: usize = 4096;
const BLOCK_HEAD: usize = 8;
const ENTRY: usize = 48;
const PER_BLOCK: usize = (BLOCK - BLOCK_HEAD) / ENTRY;
const BLOOM_BITS_PER_ENTRY: u64 = 10;
const BLOOM_PROBES: u64 = 7;

/// What an `.idx` file says about its pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Bytes of the pack it describes.
    pub(crate) covered: u64,
    /// Whether the pack is finished; otherwise this is a checkpoint of the one that grows.
    pub(crate) sealed: bool,
    pub(crate) entries: u32,
    /// Bytes of the records it lists.
    pub(crate) record_bytes: u64,
    /// Regions without a readable record.
    pub(crate) damage: Vec<Range<u64>>,
}

/// An `.idx` file whose blocks are read when needed.
pub(crate) struct IndexFile {
    pub(crate) summary: Summary,
    bloom: Vec<u64>,
    first_block: u64,
    blocks: u32,
}

/// Writes the index of a pack.
pub(crate) fn write(
    dir: &Path,
    number: u32,
    store: StoreId,
    summary: &Summary,
    map: &Map,
) -> io::Result<IndexFile> {
    let mut entries: Vec<(&BlobHash, &Slot)> = map.iter().collect();
    entries.sort_unstable_by_key(|(hash, _)| **hash);
    let blocks = entries.len().div_ceil(PER_BLOCK);
    let bloom = bloom_of(&entries);
    let mut head = encode_header(number, store, summary, blocks as u32, &bloom);
    let first_block = head.len().next_multiple_of(BLOCK);
    head.resize(first_block, 0);
    let mut body = Vec::with_capacity(blocks * BLOCK);
    for chunk in entries.chunks(PER_BLOCK) {
        encode_block(chunk, &mut body);
    }
    let path = files::path(dir, number, Which::Index);
    files::replace(&path, &[&head, &body], summary.sealed)?;
    Ok(IndexFile {
        summary: summary.clone(),
        bloom,
        first_block: first_block as u64,
        blocks: blocks as u32,
    })
}

fn encode_header(
    number: u32,
    store: StoreId,
    summary: &Summary,
    blocks: u32,
    bloom: &[u64],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + bloom.len() * 8 + BLOCK);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&format::VERSION.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&store.0);
    out.extend_from_slice(&summary.covered.to_le_bytes());
    out.extend_from_slice(&summary.record_bytes.to_le_bytes());
    out.extend_from_slice(&summary.entries.to_le_bytes());
    out.extend_from_slice(&u32::from(summary.sealed).to_le_bytes());
    out.extend_from_slice(&blocks.to_le_bytes());
    out.extend_from_slice(&(bloom.len() as u32).to_le_bytes());
    out.extend_from_slice(&(summary.damage.len() as u32).to_le_bytes());
    out.resize(HEADER, 0);
    for range in &summary.damage {
        out.extend_from_slice(&range.start.to_le_bytes());
        out.extend_from_slice(&range.end.to_le_bytes());
    }
    for word in bloom {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let crc = crc32fast::hash(&out);
    out[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
    out
}

fn encode_block(entries: &[(&BlobHash, &Slot)], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (hash, slot) in entries {
        out.extend_from_slice(&hash.0);
        out.extend_from_slice(&slot.offset.to_le_bytes());
        out.extend_from_slice(&slot.size.to_le_bytes());
        out.extend_from_slice(&slot.units.to_le_bytes());
    }
    out.resize(start + BLOCK, 0);
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// A block of sorted entries whose checksum was right.
struct Block(Vec<u8>);

impl Block {
    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let sound = bytes.len() == BLOCK && u32_at(&bytes, 0) == crc32fast::hash(&bytes[4..]);
        let block = Self(bytes);
        (sound && (1..=PER_BLOCK).contains(&block.len())).then_some(block)
    }

    fn len(&self) -> usize {
        u32_at(&self.0, 4) as usize
    }

    fn hash(&self, i: usize) -> BlobHash {
        BlobHash(array(&self.0, BLOCK_HEAD + i * ENTRY))
    }

    fn slot(&self, i: usize) -> Slot {
        let at = BLOCK_HEAD + i * ENTRY + 32;
        Slot {
            offset: u64_at(&self.0, at),
            size: u32_at(&self.0, at + 8),
            units: u32_at(&self.0, at + 12),
        }
    }

    fn find(&self, hash: &BlobHash) -> Option<Slot> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.hash(middle).cmp(hash) {
                std::cmp::Ordering::Equal => return Some(self.slot(middle)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index is damaged")
}

impl IndexFile {
    /// Reads header and bloom filter. `InvalidData` when they are not what was written.
    pub(crate) fn load(file: &File, number: u32, store: StoreId) -> io::Result<Self> {
        let head = files::read_at(file, 0, HEADER)?;
        if head.len() < HEADER
            || head[..8] != MAGIC
            || u32_at(&head, 8) != format::VERSION
            || u32_at(&head, 12) != number
            || head[16..32] != store.0
        {
            return Err(damaged());
        }
        let (words, regions) = (u32_at(&head, 60) as usize, u32_at(&head, 64) as usize);
        let rest = words
            .checked_mul(8)
            .and_then(|n| n.checked_add(regions.checked_mul(16)?))
            .filter(|n| *n as u64 <= file.metadata().map_or(0, |meta| meta.len()))
            .ok_or_else(damaged)?;
        let mut whole = files::read_at(file, 0, HEADER + rest)?;
        if whole.len() != HEADER + rest {
            return Err(damaged());
        }
        let crc = u32_at(&whole, HEADER - 4);
        whole[HEADER - 4..HEADER].fill(0);
        if crc != crc32fast::hash(&whole) {
            return Err(damaged());
        }
        let bloom_at = HEADER + regions * 16;
        Ok(Self {
            summary: Summary {
                covered: u64_at(&whole, 32),
                record_bytes: u64_at(&whole, 40),
                entries: u32_at(&whole, 48),
                sealed: u32_at(&whole, 52) == 1,
                damage: (0..regions)
                    .map(|i| u64_at(&whole, HEADER + i * 16)..u64_at(&whole, HEADER + i * 16 + 8))
                    .collect(),
            },
            blocks: u32_at(&whole, 56),
            bloom: (0..words)
                .map(|i| u64_at(&whole, bloom_at + i * 8))
                .collect(),
            first_block: whole.len().next_multiple_of(BLOCK) as u64,
        })
    }

    /// Whether the pack can hold `hash`: no false "no".
    pub(crate) fn may_hold(&self, hash: &BlobHash) -> bool {
        let bits = self.bloom.len() as u64 * 64;
        bits > 0
            && probes(hash, bits).all(|bit| {
                self.bloom
                    .get((bit / 64) as usize)
                    .is_some_and(|word| word >> (bit % 64) & 1 == 1)
            })
    }

    /// Searches the sorted blocks, guessing by interpolation: hashes are evenly spread, so the
    /// first guess is off by one or two blocks at most. `InvalidData` when a block is damaged.
    pub(crate) fn find(
        &self,
        file: &File,
        hash: &BlobHash,
        patience: Patience,
    ) -> io::Result<Option<Slot>> {
        let (mut low, mut high) = (0u64, u64::from(self.blocks));
        let key = u64::from_be_bytes(array(&hash.0, 0));
        let mut guess = ((u128::from(key) * u128::from(high)) >> 64) as u64;
        let mut step = 1;
        while low < high {
            guess = guess.clamp(low, high - 1);
            let block = self.block(file, guess, patience)?;
            if *hash < block.hash(0) {
                high = guess;
                guess = guess.saturating_sub(step);
            } else if *hash > block.hash(block.len() - 1) {
                low = guess + 1;
                guess += step;
            } else {
                return Ok(block.find(hash));
            }
            step *= 2;
        }
        Ok(None)
    }

    /// All entries, in order of their hashes.
    pub(crate) fn map(&self, file: &File) -> io::Result<Map> {
        let mut map = Map::with_capacity(self.summary.entries as usize);
        for number in 0..u64::from(self.blocks) {
            let block = self.block(file, number, Patience::Wait)?;
            map.extend((0..block.len()).map(|i| (block.hash(i), block.slot(i))));
        }
        Ok(map)
    }

    fn block(&self, file: &File, number: u64, patience: Patience) -> io::Result<Block> {
        let offset = self.first_block + number * BLOCK as u64;
        let mut bytes = Vec::new();
        files::read_into(file, offset, BLOCK, &mut bytes, patience)?;
        Block::decode(bytes).ok_or_else(damaged)
    }
}

fn bloom_of(entries: &[(&BlobHash, &Slot)]) -> Vec<u64> {
    let words = (entries.len() as u64 * BLOOM_BITS_PER_ENTRY).div_ceil(64);
    let mut bloom = vec![0u64; words as usize];
    for (hash, _) in entries {
        for bit in probes(hash, words * 64) {
            bloom[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }
    bloom
}

/// The bits of a hash. Its first eight bytes order the blocks; these come from others.
fn probes(hash: &BlobHash, bits: u64) -> impl Iterator<Item = u64> {
    let (start, step) = (u64_at(&hash.0, 8), u64_at(&hash.0, 16) | 1);
    (0..BLOOM_PROBES).map(move |i| start.wrapping_add(i.wrapping_mul(step)) % bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    fn hash(i: u32) -> BlobHash {
        BlobHash(*blake3::hash(&i.to_le_bytes()).as_bytes())
    }

    fn filled(n: u32) -> Map {
        (0..n)
            .map(|i| {
                let slot = Slot {
                    offset: u64::from(i) * 8,
                    size: i,
                    units: 11,
                };
                (hash(i), slot)
            })
            .collect()
    }

    fn summary(entries: u32) -> Summary {
        Summary {
            covered: 1 << 35,
            sealed: true,
            entries,
            record_bytes: 88 * u64::from(entries),
            damage: vec![8..16, 80..160],
        }
    }

    #[test]
    fn every_entry_is_found_and_few_others_ask_the_disk() {
        let dir = tempfile::tempdir().expect("tempdir");
        for n in [0, 1, 85, 86, 5000] {
            let map = filled(n);
            write(dir.path(), 3, STORE, &summary(n), &map).expect("write");
            let file = File::open(files::path(dir.path(), 3, Which::Index)).expect("open");
            let index = IndexFile::load(&file, 3, STORE).expect("load");
            assert_eq!(index.summary, summary(n));
            for i in 0..n {
                assert!(index.may_hold(&hash(i)));
                assert_eq!(
                    index.find(&file, &hash(i), Patience::Wait).expect("read"),
                    Some(map[&hash(i)])
                );
            }
            let others = n + 1..n + 10_001;
            for i in others.clone().take(300) {
                assert_eq!(
                    index.find(&file, &hash(i), Patience::Wait).expect("read"),
                    None
                );
            }
            let fooled = others.filter(|i| index.may_hold(&hash(*i))).count();
            assert!(fooled < 200, "{fooled} of 10000 for {n} entries");
            assert_eq!(index.map(&file).expect("read"), map);
        }
    }

    #[test]
    fn damage_anywhere_is_seen() {
        let dir = tempfile::tempdir().expect("tempdir");
        let map = filled(200);
        write(dir.path(), 3, STORE, &summary(200), &map).expect("write");
        let path = files::path(dir.path(), 3, Which::Index);
        let good = std::fs::read(&path).expect("read");
        assert!(IndexFile::load(&File::open(&path).expect("open"), 4, STORE).is_err());
        let header_end = HEADER + 32 + 8 * 200 * 10 / 64;
        for at in (0..header_end).chain((BLOCK..good.len()).step_by(61)) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).expect("write");
            let file = File::open(&path).expect("open");
            let seen = IndexFile::load(&file, 3, STORE)
                .and_then(|index| index.map(&file))
                .is_err();
            assert!(seen, "byte {at}");
        }
    }
}
