//! Taking a backup: only what is not there yet is copied.

use super::manifest::{Entry, HEAD, Hash, Manifest, Part};
use super::vault::{Vault, trouble};
use super::{Plan, Planned};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::time;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes at the end of what is there that must be the same in the file that goes on behind it.
const TAIL: u64 = 4096;
/// Smaller files are compared whole.
const SMALL: u64 = 64 << 10;
/// After so many bytes it is noted what is there.
const NOTE: u64 = 16 << 20;

/// What was done.
pub(super) struct Taken {
    pub(super) manifest: Manifest,
    /// Bytes that were copied.
    pub(super) copied: u64,
}

/// A backup while it is taken.
struct Work<'a> {
    data_dir: &'a Path,
    vault: &'a Vault,
    /// What may be there of each file, the likeliest first.
    before: Vec<Manifest>,
    manifest: Manifest,
    copied: u64,
    noted: u64,
    progress: &'a Progress,
    done: u64,
    total: u64,
}

/// Copies the files of a moment that is held. Blocks.
pub(super) fn take(
    data_dir: &Path,
    vault: &Vault,
    plan: &Plan,
    keep: usize,
    progress: &Progress,
) -> Result<Taken, Failure> {
    let newest = vault.numbers()?.last().copied();
    let mut before: Vec<Manifest> = vault.incomplete().into_iter().collect();
    // One that is damaged is as good as none: everything is copied again.
    before.extend(newest.and_then(|number| vault.manifest(number).ok()));
    if before.iter().any(|manifest| manifest.store != plan.store) {
        return Err(Failure::refused(
            "the directory holds backups of another store: choose another one",
        ));
    }
    let lengths = plan.files.iter().map(|file| file.length.unwrap_or(0));
    let mut work = Work {
        data_dir,
        vault,
        before,
        manifest: Manifest {
            number: newest.unwrap_or(0) + 1,
            taken: plan.taken,
            store: plan.store.clone(),
            sequence: plan.sequence,
            files: Vec::new(),
        },
        copied: 0,
        noted: 0,
        progress,
        done: 0,
        total: lengths.sum(),
    };
    for file in &plan.files {
        let entry = work.bring(file)?;
        work.manifest.files.push(entry);
        if work.copied - work.noted >= NOTE {
            work.noted = work.copied;
            vault.note_incomplete(&work.manifest)?;
        }
    }
    vault.commit(&work.manifest, keep)?;
    Ok(Taken {
        manifest: work.manifest,
        copied: work.copied,
    })
}

impl Work<'_> {
    /// Makes sure that all of a file is in the directory.
    fn bring(&mut self, planned: &Planned) -> Result<Entry, Failure> {
        let path = self.data_dir.join(&planned.path);
        let io = |error| trouble("read", &path)(error);
        let mut file = File::open(&path).map_err(io)?;
        let length = match planned.length {
            Some(length) => length,
            None => file.metadata().map_err(io)?.len(),
        };
        let head = head(&file, length).map_err(io)?;
        let mut parts = self.known(planned, &file, length).map_err(io)?;
        let have: u64 = parts.iter().map(|part| part.length).sum();
        self.done += have;
        if have < length {
            file.seek(SeekFrom::Start(have)).map_err(io)?;
            let (progress, done, total) = (self.progress, &mut self.done, self.total);
            let (part, new) = self.vault.add(file.take(length - have), &path, |bytes| {
                *done += bytes;
                progress.bytes("copying", *done, total.max(*done));
            })?;
            if part.length != length - have {
                return Err(Failure::trouble(format!(
                    "{} is shorter than the store says",
                    path.display()
                )));
            }
            self.copied += if new { part.length } else { 0 };
            parts.push(part);
        }
        Ok(Entry {
            path: planned.path.clone(),
            length,
            head,
            parts,
        })
    }

    /// The parts that are there of what the file begins with.
    fn known(&self, planned: &Planned, file: &File, length: u64) -> io::Result<Vec<Part>> {
        if planned.length.is_none() && length <= SMALL {
            return Ok(Vec::new());
        }
        let entries = self.before.iter();
        for entry in entries.filter_map(|manifest| manifest.find(&planned.path)) {
            let fits = match planned.length {
                Some(_) => entry.length <= length,
                None => entry.length == length,
            };
            if fits && self.goes_on(entry, file)? {
                return Ok(entry.parts.clone());
            }
        }
        Ok(Vec::new())
    }

    /// Whether a file begins with what is there, as far as its head and the last bytes tell. A file
    /// of the same name can be another one, after a restore or a loss of power.
    fn goes_on(&self, entry: &Entry, file: &File) -> io::Result<bool> {
        let Some(last) = entry.parts.last() else {
            return Ok(true);
        };
        let there = entry.parts.iter().all(|part| self.vault.has(part));
        if !there || head(file, entry.length)? != entry.head {
            return Ok(false);
        }
        let count = TAIL.min(last.length);
        let (mut ours, mut theirs) = (vec![0; count as usize], vec![0; count as usize]);
        let object = File::open(self.vault.object(last))?;
        object.read_exact_at(&mut ours, last.length - count)?;
        match file.read_exact_at(&mut theirs, entry.length - count) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(ours == theirs),
        }
    }
}

/// What tells a file of that length from others of its name.
fn head(file: &File, length: u64) -> io::Result<Hash> {
    let mut bytes = vec![0; HEAD.min(length) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// The words for what was done.
pub(super) fn in_words(taken: &Taken) -> String {
    let Taken { manifest, copied } = taken;
    format!(
        "backup {} of {}: {} bytes in {} files, {copied} bytes copied",
        manifest.number,
        time::text(manifest.taken),
        manifest.bytes(),
        manifest.files.len()
    )
}
