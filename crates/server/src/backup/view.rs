//! A backup read as a store of its own: the metadata rebuilt in a temporary directory, the messages
//! where they lie.

use super::manifest::{Entry, Manifest, Part};
use super::vault::{Vault, trouble};
use crate::failure::Failure;
use crate::format;
use blob_packs::{Archive, ArchivedPack, ReadAt};
use mail::Mail;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use storage_sled::SledStore;
use tempfile::TempDir;

const PREFIX: &str = "backup-view.";

/// An engine over a backup.
pub(super) struct View {
    pub(super) mail: Mail,
    _dir: TempDir,
}

/// Hears what is being done and how far it is: of how many bytes how many.
pub(super) type Steps<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

impl View {
    /// Opens a backup; what it needs to write goes below `scratch`. Blocks.
    ///
    /// # Errors
    /// A damaged file of the metadata is named. Packs are not read yet.
    pub(super) fn open(
        vault: &Vault,
        manifest: &Manifest,
        scratch: &Path,
        steps: Steps<'_>,
    ) -> Result<(TempDir, Arc<SledStore>, Archive), Failure> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(scratch);
        let dir = dir.map_err(trouble("make a directory in", scratch))?;
        let metadata =
            |file: &&Entry| file.path.starts_with("meta") || file.path.as_os_str() == format::NAME;
        let total = manifest
            .files
            .iter()
            .filter(metadata)
            .map(|file| file.length);
        let (total, mut done) = (total.sum(), 0);
        for file in manifest.files.iter().filter(metadata) {
            let target = dir.path().join(&file.path);
            let parent = target.parent().unwrap_or(dir.path());
            fs::create_dir_all(parent).map_err(trouble("make", parent))?;
            let mut count = |bytes| {
                done += bytes;
                steps("reading the backup", done, total);
                Ok(())
            };
            vault.fetch(&file.parts, &target, &mut count, &mut |what| {
                Err(Failure::trouble(what))
            })?;
        }
        format::check(dir.path())?;
        let options = storage_sled::Options {
            // It is thrown away: a disk that is nearly full may do.
            min_free_bytes: 0,
            ..storage_sled::Options::default()
        };
        let meta = SledStore::open(&dir.path().join("meta"), options, &|progress| {
            steps(progress.step, progress.done, progress.total);
        });
        let unusable = |error| Failure::trouble(format!("the backup cannot be read: {error}"));
        let meta = meta.map_err(unusable)?;
        let archive = Archive::open(packs(vault, manifest)?).map_err(unusable)?;
        Ok((dir, meta, archive))
    }

    /// The engine over an opened backup.
    pub(super) async fn engine(
        (dir, meta, archive): (TempDir, Arc<SledStore>, Archive),
    ) -> Result<Self, Failure> {
        let mail = Mail::open(meta, Arc::new(archive), mail::Options::default()).await?;
        Ok(Self { mail, _dir: dir })
    }
}

/// Removes what a process that was killed left below `scratch`.
pub(crate) fn remove_leftovers(scratch: &Path) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "cannot be removed");
        }
    }
}

fn packs(vault: &Vault, manifest: &Manifest) -> Result<Vec<ArchivedPack>, Failure> {
    let mut packs = Vec::new();
    for file in &manifest.files {
        let name = file.path.strip_prefix("packs").ok().and_then(Path::to_str);
        let number = name
            .and_then(|name| name.strip_prefix("pack-")?.strip_suffix(".pack"))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            packs.push(ArchivedPack {
                number,
                bytes: Box::new(Parts::of(vault, &file.parts)),
                length: file.length,
                index: index(vault, manifest, &file.path.with_extension("idx"))?,
            });
        }
    }
    Ok(packs)
}

/// Where the index of a pack is, if it is as it was written.
fn index(vault: &Vault, manifest: &Manifest, path: &Path) -> Result<Option<PathBuf>, Failure> {
    let Some([part]) = manifest.find(path).map(|file| file.parts.as_slice()) else {
        return Ok(None);
    };
    let problem = vault.check(part, &mut io::sink(), path, &mut |_| Ok(()))?;
    if let Some(what) = problem {
        tracing::warn!(path = %vault.object(part).display(), what, "the pack is read without it");
    }
    Ok(problem.is_none().then(|| vault.object(part)))
}

/// A file in the parts it was copied in.
struct Parts {
    /// Where each begins, and what it is.
    parts: Vec<(u64, u64, PathBuf)>,
    /// The one that was read last.
    open: Mutex<Option<(usize, Arc<File>)>>,
}

impl Parts {
    fn of(vault: &Vault, parts: &[Part]) -> Self {
        let mut start = 0;
        let place = |part: &Part| {
            let place = (start, part.length, vault.object(part));
            start += part.length;
            place
        };
        Self {
            parts: parts.iter().map(place).collect(),
            open: Mutex::default(),
        }
    }

    fn file(&self, number: usize, path: &Path) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some((known, file)) if *known == number => Ok(file.clone()),
            _ => {
                let file = Arc::new(File::open(path)?);
                *open = Some((number, file.clone()));
                Ok(file)
            }
        }
    }
}

impl ReadAt for Parts {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let after = self.parts.partition_point(|(start, ..)| *start <= offset);
        let Some((number, (start, length, path))) = after
            .checked_sub(1)
            .and_then(|number| Some((number, self.parts.get(number)?)))
        else {
            return Ok(0);
        };
        let within = offset - start;
        let fits = (length.saturating_sub(within)).min(buffer.len() as u64) as usize;
        let buffer = buffer.get_mut(..fits).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let file = self.file(number, path);
        match file.and_then(|file| FileExt::read_at(&*file, buffer, within)) {
            // A part that is cut off or missing must not hide those behind it.
            Ok(0) => {
                buffer.fill(0);
                Ok(fits)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                buffer.fill(0);
                Ok(fits)
            }
            other => other,
        }
    }
}
