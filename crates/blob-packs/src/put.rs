//! Storing, releasing and verifying.

use crate::active::{self, Writer};
use crate::catalog::Catalog;
use crate::files::Patience;
use crate::format::{self, FLAG_NOTE};
use crate::index::Slot;
use crate::read::{Miss, Record, not_found};
use crate::released::Location;
use crate::store::{Shared, hint_of};
use bytes::Bytes;
use std::sync::{Arc, MutexGuard};
use storage::{BlobRef, Provenance, StorageError};
use tokio::sync::oneshot;
use types::BlobHash;

/// A blob that is stored, and perhaps not durable yet.
pub(crate) struct Receipt {
    blob: BlobRef,
    pending: Option<oneshot::Receiver<Result<(), StorageError>>>,
}

impl Receipt {
    pub(crate) async fn durable(self, shared: &Shared) -> Result<BlobRef, StorageError> {
        if let Some(pending) = self.pending {
            active::sync_soon(shared);
            pending
                .await
                .map_err(|_| StorageError::unavailable("blob store has stopped"))??;
        }
        Ok(self.blob)
    }
}

/// A copy that was read and compared: these are the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Copy {
    at: Location,
    /// Whether its record names every owner of this put.
    knows_owners: bool,
}

impl Shared {
    /// Whether a copy may exist; "no" is certain unless somebody puts it right now.
    pub(crate) fn may_be_there(&self, hash: &BlobHash) -> bool {
        self.writer().active.map.contains_key(hash)
            || self.catalog().sealed.iter().any(|pack| pack.may_hold(hash))
    }

    /// Appends the blob, or finds the copy that is there. May wait for the disk only if
    /// [`Self::may_be_there`].
    pub(crate) fn store_blob(
        &self,
        hash: Option<BlobHash>,
        bytes: &Bytes,
        origin: &Provenance,
    ) -> Result<Receipt, StorageError> {
        let size = u32::try_from(bytes.len())
            .map_err(|_| StorageError::invalid("put: a blob of 4 GiB or more"))?;
        let hash = hash.unwrap_or_else(|| BlobHash(*blake3::hash(bytes).as_bytes()));
        let head = format::encode_head(self.store, 0, hash, bytes, size, origin)?;
        // Copies are read and compared without the lock; under it, only what has changed since.
        let before = self.catalog();
        let early = place_of(&self.writer(), &hash);
        let early = early.and_then(|at| self.compare(at, &hash, bytes, origin));
        let mut copy = early.or_else(|| self.sound_copy(&before, &hash, bytes, origin));
        let mut writer = self.writer();
        writer.check()?;
        let catalog = self.catalog();
        if !Arc::ptr_eq(&before, &catalog) {
            copy = self.sound_copy(&catalog, &hash, bytes, origin);
        }
        if let Some(at) = place_of(&writer, &hash)
            && copy.is_none_or(|copy| copy.at != at)
        {
            copy = self.compare(at, &hash, bytes, origin).or(copy);
        }
        match copy {
            Some(copy) => self.keep(writer, copy, hash, size, origin),
            None => {
                let slot = writer.append(&head, bytes, Some(hash), &self.options)?;
                let pack = writer.active.header.number;
                let offset = slot.offset;
                let at = Location { pack, offset };
                Ok(self.receipt(writer, at, hash, size, true))
            }
        }
    }

    /// Relies on a copy that is there: takes a pending release back, and notes new owners so that
    /// `gatepost recover` knows them.
    fn keep(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        copy: Copy,
        hash: BlobHash,
        size: u32,
        origin: &Provenance,
    ) -> Result<Receipt, StorageError> {
        let rearmed = writer
            .released
            .rearm(copy.at)
            .map_err(|error| StorageError::io("take a release back", &error))?;
        writer.log_dirty |= rearmed;
        if !copy.knows_owners {
            let note = format::encode_head(self.store, FLAG_NOTE, hash, &[], size, origin)?;
            writer.append(&note, &[], None, &self.options)?;
        }
        let active = copy.at.pack == writer.active.header.number;
        let wait = rearmed
            || writer.log_dirty
            || !copy.knows_owners
            || (active && copy.at.offset >= writer.durable);
        Ok(self.receipt(writer, copy.at, hash, size, wait))
    }

    fn receipt(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        at: Location,
        hash: BlobHash,
        size: u32,
        wait: bool,
    ) -> Receipt {
        let pending = wait.then(|| {
            let (sender, receiver) = oneshot::channel();
            writer.waiters.push(sender);
            receiver
        });
        Receipt {
            blob: BlobRef {
                hash,
                size,
                hint: hint_of(at),
            },
            pending,
        }
    }

    /// A copy in a sealed pack whose bytes are these. A damaged one does not count: the put heals
    /// it.
    fn sound_copy(
        &self,
        catalog: &Catalog,
        hash: &BlobHash,
        bytes: &Bytes,
        origin: &Provenance,
    ) -> Option<Copy> {
        catalog.sealed.iter().rev().find_map(|pack| {
            // An index that cannot be read hides a copy; storing a second one is always right.
            let found = pack.find(hash, &self.dir, self.store, &self.files, Patience::Wait);
            let at = Location {
                pack: pack.number,
                offset: found.ok().flatten()?.offset,
            };
            self.compare(at, hash, bytes, origin)
        })
    }

    fn compare(
        &self,
        at: Location,
        hash: &BlobHash,
        bytes: &Bytes,
        origin: &Provenance,
    ) -> Option<Copy> {
        let record = self
            .record(at, hash, bytes.len() as u64, Patience::Wait)
            .ok()?;
        if record.blob().ok()? != *bytes {
            return None;
        }
        Some(Copy {
            at,
            knows_owners: knows_owners(&record, origin),
        })
    }

    /// Marks every copy dead.
    pub(crate) fn release(&self, places: Vec<(Location, Slot)>) -> Result<(), StorageError> {
        let since = u32::try_from(self.options.seconds()).unwrap_or(u32::MAX);
        let mut writer = self.writer();
        writer.check()?;
        for (at, slot) in places {
            // A compaction may have moved it since: then the mail engine's sweep finds it again.
            let exists =
                at.pack == writer.active.header.number || self.catalog().find(at.pack).is_some();
            if exists {
                let result = writer.released.release(at.pack, &slot, since);
                result.map_err(|error| StorageError::io("log of releases", &error))?;
            }
        }
        Ok(())
    }

    /// Checks the copy that reads are answered from, down to its BLAKE3.
    pub(crate) fn verify(&self, hash: &BlobHash) -> Result<(), StorageError> {
        let places = self.locate(hash, Patience::Wait)?;
        let mut damage = None;
        for (at, _) in places {
            let mut blake3 = blake3::Hasher::new();
            let read = self.each_part(at, hash, &mut |bytes| {
                blake3.update(bytes);
                true
            });
            match read {
                Ok(()) if blake3.finalize().as_bytes() == &hash.0 => return Ok(()),
                Ok(_) => damage = Some("BLAKE3 of the bytes".into()),
                Err(Miss::Damaged(what)) => damage = Some(what),
                Err(Miss::Failed(error)) => return Err(error),
                Err(Miss::Elsewhere) => {}
            }
        }
        Err(damage.map_or_else(
            || not_found(hash),
            |what| StorageError::corrupt(format!("blob {hash}: {what}")),
        ))
    }
}

/// Where the active pack has the blob.
fn place_of(writer: &Writer, hash: &BlobHash) -> Option<Location> {
    let slot = writer.active.map.get(hash)?;
    Some(Location {
        pack: writer.active.header.number,
        offset: slot.offset,
    })
}

fn knows_owners(record: &Record, origin: &Provenance) -> bool {
    let known = format::decode_origin(&record.header, record.owners()).owners;
    origin.owners.iter().all(|owner| known.contains(owner))
}
