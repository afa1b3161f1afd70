//! The export: all rows in key order in one checksummed file, which a rebuild starts from
//! (docs/storage-format.md, "Exports").

use crate::files;
use crate::keys;
use crate::record::{u32_at, u64_at};
use crate::segment::StoreId;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use storage::{MAX_VALUE, StorageError};

const MAGIC: &[u8; 8] = b"GPMEXP\0\x01";
const HEADER: usize = 40;
const FOOTER: usize = 32;
/// A block is closed once it holds this many bytes.
pub(crate) const BLOCK: usize = 256 << 10;
const ENTRY_HEAD: usize = 4;
/// Largest block: one entry may cross the border.
const MAX_BLOCK: usize = BLOCK + ENTRY_HEAD + keys::MAX_INDEX_KEY + MAX_VALUE;
/// Written bytes are synced in steps, so that the log's syncs never wait for much of an export.
const SYNC_STEP: u64 = 8 << 20;

/// A finished export's file and the sequence its name gives: the log is replayed behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Export {
    pub(crate) from: u64,
    pub(crate) path: PathBuf,
}

impl Export {
    /// The exports of a directory, newest first.
    pub(crate) fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut exports = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|s| s.to_str());
            if let Some(from) = stem.and_then(|s| u64::from_str_radix(s, 16).ok())
                && path.extension().is_some_and(|e| e == "export")
            {
                exports.push(Self { from, path });
            }
        }
        exports.sort_by_key(|e| std::cmp::Reverse(e.from));
        Ok(exports)
    }

    /// The sequence up to which commits may be in the export, if its two ends are sound.
    pub(crate) fn reaches(&self, store: &StoreId) -> io::Result<Option<u64>> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        if length < (HEADER + FOOTER) as u64 {
            return Ok(None);
        }
        let (mut header, mut footer) = ([0; HEADER], [0; FOOTER]);
        file.read_exact(&mut header)?;
        file.seek(SeekFrom::Start(length - FOOTER as u64))?;
        file.read_exact(&mut footer)?;
        if header != header_bytes(store, self.from) {
            return Ok(None);
        }
        Ok(Footer::parse(&footer).map(|f| f.upto))
    }

    /// Gives the bodies of all blocks to `visit`, in key order: see [`Entries`].
    ///
    /// # Errors
    /// `Corrupt` when anything about the file is not as it was written; entries seen by then are
    /// worthless.
    pub(crate) fn load(
        &self,
        store: &StoreId,
        mut visit: impl FnMut(Vec<u8>) -> Result<(), StorageError>,
        mut on_bytes: impl FnMut(u64, u64),
    ) -> Result<(), StorageError> {
        let io = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.corrupt("it is cut off"),
            _ => StorageError::io(format!("read {}", self.path.display()), &e),
        };
        let file = File::open(&self.path).map_err(io)?;
        let total = file.metadata().map_err(io)?.len();
        let mut file = BufReader::with_capacity(BLOCK, file);
        let mut header = [0; HEADER];
        file.read_exact(&mut header).map_err(io)?;
        if header != header_bytes(store, self.from) {
            return Err(self.corrupt("its header is damaged or of another store"));
        }
        let (mut blocks, mut entries, mut done) = (0, 0, HEADER as u64);
        let mut last = Vec::new();
        loop {
            let mut head = [0; 8];
            file.read_exact(&mut head).map_err(io)?;
            let length = u32_at(&head, 0) as usize;
            if length == 0 {
                let mut footer = [0; FOOTER];
                footer[..8].copy_from_slice(&head);
                file.read_exact(&mut footer[8..]).map_err(io)?;
                return match Footer::parse(&footer) {
                    Some(f) if f.blocks == blocks && f.entries == entries => Ok(()),
                    _ => Err(self.corrupt("its end is damaged")),
                };
            }
            if length > MAX_BLOCK {
                return Err(self.corrupt("a block is too large"));
            }
            let mut body = vec![0; length];
            file.read_exact(&mut body).map_err(io)?;
            if block_crc(blocks, &body) != u32_at(&head, 4) {
                return Err(self.corrupt("a block is damaged"));
            }
            entries += self.check_entries(&body, &mut last)?;
            visit(body)?;
            blocks += 1;
            done += (8 + length) as u64;
            on_bytes(done, total);
        }
    }

    /// Counts the entries of a block, which must be well-formed and behind `last`.
    fn check_entries(&self, body: &[u8], last: &mut Vec<u8>) -> Result<u64, StorageError> {
        let mut entries = Entries::new(body);
        let mut count = 0;
        let mut before = last.as_slice();
        for (key, _) in &mut entries {
            if !keys::is_data(key) || key <= before {
                return Err(self.corrupt("its keys are out of order"));
            }
            before = key;
            count += 1;
        }
        if !entries.0.is_empty() {
            return Err(self.corrupt("an entry is malformed"));
        }
        *last = before.to_vec();
        Ok(count)
    }

    fn corrupt(&self, what: &str) -> StorageError {
        StorageError::corrupt(format!("export {}: {what}", self.path.display()))
    }
}

/// An export being written. Dropped unfinished, it leaves a temporary file that the next one
/// removes.
pub(crate) struct Writer {
    file: File,
    temporary: PathBuf,
    dir: PathBuf,
    from: u64,
    blocks: u64,
    entries: u64,
    bytes: u64,
    synced: u64,
}

impl Writer {
    pub(crate) fn create(dir: &Path, store: &StoreId, from: u64) -> io::Result<Self> {
        let temporary = dir.join(format!("{from:016x}.tmp"));
        let mut file = File::create(&temporary)?;
        file.write_all(&header_bytes(store, from))?;
        Ok(Self {
            file,
            temporary,
            dir: dir.to_owned(),
            from,
            blocks: 0,
            entries: 0,
            bytes: HEADER as u64,
            synced: 0,
        })
    }

    /// Appends a block of `entries` entries, each made by [`push_entry`].
    pub(crate) fn block(&mut self, body: &[u8], entries: u64) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut head = [0; 8];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&block_crc(self.blocks, body).to_le_bytes());
        self.file.write_all(&head)?;
        self.file.write_all(body)?;
        self.blocks += 1;
        self.entries += entries;
        self.bytes += (head.len() + body.len()) as u64;
        if self.bytes - self.synced >= SYNC_STEP {
            self.file.sync_data()?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Completes the export; `upto` is the last commit that may be in it, durable in the log by
    /// now. Gives the size of the file.
    pub(crate) fn finish(mut self, upto: u64) -> io::Result<u64> {
        let footer = Footer {
            blocks: self.blocks,
            entries: self.entries,
            upto,
        };
        self.file.write_all(&footer.to_bytes())?;
        self.file.sync_all()?;
        let name = format!("{:016x}.export", self.from);
        fs::rename(&self.temporary, self.dir.join(name))?;
        files::sync_dir(&self.dir)?;
        Ok(self.bytes + FOOTER as u64)
    }
}

/// Appends an entry to the body of a block.
pub(crate) fn push_entry(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // Both fit 16 bits: the contract bounds them.
    body.extend_from_slice(&(key.len() as u16).to_le_bytes());
    body.extend_from_slice(&(value.len() as u16).to_le_bytes());
    body.extend_from_slice(key);
    body.extend_from_slice(value);
}

/// The entries of a block's body, up to its end or to the first malformed one.
pub(crate) struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (lengths, rest) = self.0.split_first_chunk::<ENTRY_HEAD>()?;
        let key = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
        let (key, rest) = rest.split_at_checked(key)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some((key, value))
    }
}

struct Footer {
    blocks: u64,
    entries: u64,
    upto: u64,
}

impl Footer {
    fn to_bytes(&self) -> [u8; FOOTER] {
        let mut out = [0; FOOTER];
        out[8..16].copy_from_slice(&self.blocks.to_le_bytes());
        out[16..24].copy_from_slice(&self.entries.to_le_bytes());
        out[24..32].copy_from_slice(&self.upto.to_le_bytes());
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn parse(bytes: &[u8; FOOTER]) -> Option<Self> {
        let sound = u32_at(bytes, 0) == 0 && u32_at(bytes, 4) == crc32fast::hash(&bytes[8..]);
        sound.then(|| Self {
            blocks: u64_at(bytes, 8),
            entries: u64_at(bytes, 16),
            upto: u64_at(bytes, 24),
        })
    }
}

fn header_bytes(store: &StoreId, from: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[0..8].copy_from_slice(MAGIC);
    out[8..24].copy_from_slice(store);
    out[24..32].copy_from_slice(&from.to_le_bytes());
    let crc = crc32fast::hash(&out[..36]);
    out[36..40].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The number is part of the checksum: blocks that changed places do not pass.
fn block_crc(number: u64, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(body);
    crc.finalize()
}
