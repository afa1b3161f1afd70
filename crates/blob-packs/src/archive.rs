//! A store that is read where it was copied to: packs of any make, nothing is ever written.

use crate::catalog::note;
use crate::files::{self, Patience, ReadAt};
use crate::format::{self, FILE_HEADER, RECORD_HEADER, RecordHeader, StoreId};
use crate::index::{IndexFile, Map, Slot};
use crate::read::{Miss, Record, not_found};
use crate::released::Location;
use crate::scan::{self, Found};
use crate::store::{blocking, hint_of, location_of};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{BlobRef, BlobStore, Provenance, StorageError};
use types::BlobHash;

/// A pack of a copied store.
pub struct ArchivedPack {
    /// Its number.
    pub number: u32,
    /// Its bytes.
    pub bytes: Box<dyn ReadAt>,
    /// How many of them there are.
    pub length: u64,
    /// Where its index is, if that was copied too.
    pub index: Option<PathBuf>,
}

/// A [`BlobStore`] over copied packs. Puts and releases answer `Unavailable`; what is read whole is
/// compared with its hash.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    store: StoreId,
    /// By number.
    packs: BTreeMap<u32, Pack>,
}

struct Pack {
    bytes: Box<dyn ReadAt>,
    length: u64,
    index: Index,
}

enum Index {
    File(IndexFile, File),
    Memory(Map),
}

impl Archive {
    /// Opens copied packs. Those without a sound index are read from front to back. Blocks.
    ///
    /// # Errors
    /// `Incompatible` when they are not packs of one store, `Unavailable` when the disk fails.
    pub fn open(packs: Vec<ArchivedPack>) -> Result<Self, StorageError> {
        let mut store = None;
        for pack in &packs {
            let mut head = [0; FILE_HEADER as usize];
            let read = files::read_over(&*pack.bytes, 0, &mut head);
            read.map_err(|error| StorageError::io("read a pack", &error))?;
            // One with a damaged header is as good as the others say.
            store = store.or(format::FileHeader::store_of(&head));
        }
        let Some(store) = store else {
            return match packs.is_empty() {
                true => Err(StorageError::corrupt("there is no pack")),
                false => Err(StorageError::corrupt("no pack has a sound header")),
            };
        };
        let mut opened = BTreeMap::new();
        for pack in packs {
            let index = match load_index(&pack, store) {
                Some(index) => index,
                None => scan_index(&pack, store)
                    .map_err(|error| StorageError::io("read a pack", &error))?,
            };
            let ArchivedPack {
                number,
                bytes,
                length,
                ..
            } = pack;
            opened.insert(
                number,
                Pack {
                    bytes,
                    length,
                    index,
                },
            );
        }
        Ok(Self(Arc::new(Inner {
            store,
            packs: opened,
        })))
    }
}

fn load_index(pack: &ArchivedPack, store: StoreId) -> Option<Index> {
    let file = File::open(pack.index.as_ref()?).ok()?;
    let index = IndexFile::load(&file, pack.number, store).ok()?;
    let whole = index.summary.sealed && index.summary.covered == pack.length;
    whole.then_some(Index::File(index, file))
}

fn scan_index(pack: &ArchivedPack, store: StoreId) -> io::Result<Index> {
    let mut map = Map::new();
    scan::scan(
        &*pack.bytes,
        FILE_HEADER..pack.length,
        store,
        |found: Found| {
            note(&found, &mut map);
            Ok(())
        },
    )?;
    Ok(Index::Memory(map))
}

impl Inner {
    /// Where copies of a blob are, the newest first.
    fn locate(&self, hash: &BlobHash) -> Result<Vec<(Location, Slot)>, StorageError> {
        let mut places = Vec::new();
        for (number, pack) in self.packs.iter().rev() {
            let found = match &pack.index {
                Index::Memory(map) => map.get(hash).copied(),
                Index::File(index, _) if !index.may_hold(hash) => None,
                Index::File(index, file) => index
                    .find(file, hash, Patience::Wait)
                    .map_err(|error| StorageError::io("read the index of a pack", &error))?,
            };
            places.extend(found.map(|slot| {
                let (pack, offset) = (*number, slot.offset);
                (Location { pack, offset }, slot)
            }));
        }
        Ok(places)
    }

    /// The whole blob at a place, compared with its hash.
    fn at(&self, at: Location, hash: &BlobHash) -> Result<Bytes, Miss> {
        let pack = self.packs.get(&at.pack).ok_or(Miss::Elsewhere)?;
        let io = |error| Miss::Failed(StorageError::io("read a pack", &error));
        let mut head = [0; RECORD_HEADER];
        files::read_over(&*pack.bytes, at.offset, &mut head).map_err(io)?;
        let header = RecordHeader::decode(&head, self.store)
            .ok_or_else(|| Miss::Damaged("record header".into()))?;
        if header.hash != *hash || header.is_note() {
            return Err(Miss::Elsewhere);
        }
        // A length from a header whose checksum is right.
        if at.offset.saturating_add(header.body().end) > pack.length {
            return Err(Miss::Damaged("the pack ends within the record".into()));
        }
        let mut bytes = vec![0; header.body().end as usize];
        files::read_over(&*pack.bytes, at.offset, &mut bytes).map_err(io)?;
        let blob = Record::new(header, bytes.into()).blob()?;
        match blake3::hash(&blob).as_bytes() == &hash.0 {
            true => Ok(blob),
            false => Err(Miss::Damaged(
                "the bytes are not what their hash says".into(),
            )),
        }
    }

    /// The whole blob: where the hint says, else wherever it is.
    fn read(&self, blob: &BlobRef) -> Result<Bytes, StorageError> {
        let mut damage = None;
        if let Some(at) = location_of(blob.hint) {
            match self.at(at, &blob.hash) {
                Ok(bytes) => return Ok(bytes),
                Err(Miss::Failed(error)) => return Err(error),
                Err(Miss::Damaged(_) | Miss::Elsewhere) => {}
            }
        }
        for (at, _) in self.locate(&blob.hash)? {
            match self.at(at, &blob.hash) {
                Ok(bytes) => return Ok(bytes),
                Err(Miss::Failed(error)) => return Err(error),
                Err(Miss::Damaged(what)) => damage = Some(what),
                Err(Miss::Elsewhere) => {}
            }
        }
        Err(match damage {
            Some(what) => StorageError::corrupt(format!("blob {}: {what}", blob.hash)),
            None => not_found(&blob.hash),
        })
    }
}

fn read_only() -> StorageError {
    StorageError::unavailable("a copied store is only read")
}

#[async_trait]
impl BlobStore for Archive {
    fn backend(&self) -> &'static str {
        "archive"
    }

    async fn put(&self, _: Bytes, _: &Provenance) -> Result<BlobRef, StorageError> {
        Err(read_only())
    }

    async fn get(&self, blob: &BlobRef, range: Range<u32>) -> Result<Bytes, StorageError> {
        let (inner, blob) = (self.0.clone(), *blob);
        let bytes = blocking(move || inner.read(&blob)).await??;
        let wanted = range.start as usize..range.end as usize;
        match bytes.get(wanted.clone()) {
            Some(_) => Ok(bytes.slice(wanted)),
            None => Err(StorageError::invalid(format!("range {range:?} of a blob"))),
        }
    }

    async fn get_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>> {
        let (inner, copies) = (self.0.clone(), blobs.to_vec());
        let read = move || copies.iter().map(|blob| inner.read(blob)).collect();
        blocking(read)
            .await
            .unwrap_or_else(|error| vec![Err(error); blobs.len()])
    }

    async fn stat(&self, hash: &BlobHash) -> Result<Option<BlobRef>, StorageError> {
        let (inner, hash) = (self.0.clone(), *hash);
        let places = blocking(move || inner.locate(&hash)).await??;
        Ok(places.first().map(|(at, slot)| BlobRef {
            hash,
            size: slot.size,
            hint: hint_of(*at),
        }))
    }

    async fn release(&self, _: &BlobHash) -> Result<(), StorageError> {
        Err(read_only())
    }

    async fn verify(&self, hash: &BlobHash) -> Result<(), StorageError> {
        let (inner, hash) = (self.0.clone(), *hash);
        let blob = BlobRef {
            hash,
            size: 0,
            hint: 0,
        };
        blocking(move || inner.read(&blob).map(drop)).await?
    }

    async fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
