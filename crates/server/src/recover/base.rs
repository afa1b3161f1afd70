//! What recovery begins with, and how its result takes the place of the old metadata.

use super::Place;
use crate::backends::refusal;
use crate::failure::Failure;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{ErrorKind, StorageError};
use storage_sled::SledStore;

/// What the new metadata begins with.
pub(super) struct Base {
    pub(super) meta: Arc<SledStore>,
    /// What was the matter with the old, in a sentence.
    pub(super) reason: String,
    /// Whether the old could be read up to some point.
    pub(super) salvaged: bool,
}

/// Looks what is the matter with the metadata in `old`, and makes new metadata in `new`, with what
/// can be read of the old.
pub(super) fn begin(
    old: &Path,
    new: &Path,
    force: bool,
    open: impl Fn(&Path, bool) -> Result<Arc<SledStore>, StorageError>,
) -> Result<Base, Failure> {
    let data = old.parent().unwrap_or(old);
    let failed = |error| refusal(data, error);
    let mut damaged = false;
    let reason = if SledStore::exists(old) {
        match open(old, false) {
            Ok(well) => {
                drop(well);
                if !force {
                    return Err(Failure::refused(format!(
                        "the metadata in {} is well: there is nothing to recover. With --force it \
                         is set aside and made anew from the mail; flags, moves and much else are \
                         lost then",
                        old.display()
                    )));
                }
                "the metadata was well, and set aside all the same".to_owned()
            }
            Err(error) if error.kind == ErrorKind::Corrupt => {
                damaged = true;
                error.context
            }
            Err(error) if error.kind == ErrorKind::InUse || !force => return Err(failed(error)),
            Err(error) => error.context,
        }
    } else {
        format!("there was no metadata in {}", old.display())
    };
    let io = |error: std::io::Error| Failure::trouble(format!("{}: {error}", new.display()));
    // What an interrupted recovery left.
    remove(new).map_err(io)?;
    if damaged {
        copy(old, new).map_err(io)?;
        // Each failure sets a damaged export aside.
        for _ in 0..3 {
            match open(new, true) {
                Err(error) if error.kind == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "less of the old metadata can be used");
                }
                other => {
                    let meta = other.map_err(failed)?;
                    let salvaged = true;
                    return Ok(Base {
                        meta,
                        reason,
                        salvaged,
                    });
                }
            }
        }
        remove(new).map_err(io)?;
    }
    Ok(Base {
        meta: open(new, false).map_err(failed)?,
        reason,
        salvaged: false,
    })
}

/// Copies what metadata is made of.
fn copy(old: &Path, new: &Path) -> std::io::Result<()> {
    fs::create_dir_all(new)?;
    for name in ["FORMAT", "MANIFEST", "log", "export", "index"] {
        let from = old.join(name);
        if from.exists() {
            copy_all(&from, &new.join(name))?;
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sets the old metadata aside and puts the new in its place. After a crash in between there is
/// none, and a server says so.
pub(super) fn swap(place: &Place) -> std::io::Result<Option<PathBuf>> {
    let aside = place.aside();
    let was_there = place.meta.exists();
    if was_there {
        fs::rename(&place.meta, &aside)?;
    }
    fs::rename(&place.new, &place.meta)?;
    File::open(&place.data)?.sync_all()?;
    Ok(was_there.then_some(aside))
}
