//! File operations whose order matters after a power loss.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Makes creations, renames and removals in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces `dir/name` so that after any crash either the old or the new content is there, whole.
pub(crate) fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}

/// Writes what a file holds from `from` on once more. After an fsync that failed the kernel takes
/// what it could not write for written: programs still read it, no later fsync brings it to the
/// disk. Only what is written again does.
pub(crate) fn write_anew(file: &File, from: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut at = from;
    loop {
        let count = file.read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(());
        }
        file.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
}

/// The content of a file; `None` when it is not there.
pub(crate) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes a file or a directory tree; succeeds when nothing is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Bytes of all files of a directory tree.
pub(crate) fn size(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += match meta.is_dir() {
            true => size(&entry.path())?,
            false => meta.len(),
        };
    }
    Ok(sum)
}

/// A number no other store or segment carries. Uniqueness is wanted, not secrecy: the standard
/// library's hasher is seeded by the operating system.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
