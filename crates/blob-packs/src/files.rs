//! Names, whole-file replacement, positioned reads and a bounded set of open files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Which of a pack's two files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Which {
    Pack,
    Index,
}

impl Which {
    fn extension(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Index => "idx",
        }
    }
}

/// `pack-000007.pack`.
pub(crate) fn path(dir: &Path, number: u32, which: Which) -> PathBuf {
    dir.join(format!("pack-{number:06}.{}", which.extension()))
}

/// The same file while it is being written; removed at start-up.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// The pack files of a directory, in no order; removes what half-finished work left behind.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u32, Which)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("pack-")) else {
            continue;
        };
        if rest.ends_with(".tmp") {
            std::fs::remove_file(entry.path())?;
            continue;
        }
        for which in [Which::Pack, Which::Index] {
            let number = rest
                .strip_suffix(which.extension())
                .and_then(|rest| rest.strip_suffix('.'))
                .and_then(|digits| digits.parse().ok());
            if let Some(number) = number {
                found.push((number, which));
            }
        }
    }
    Ok(found)
}

/// Makes names created, renamed and removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces the file at `path` by `parts` and answers it, open; after a crash it is the old one or
/// the new one. On an error it is the old one. The directory entry may still be lost: [`sync_dir`].
pub(crate) fn replace(path: &Path, parts: &[&[u8]], durable: bool) -> io::Result<File> {
    use std::io::Write;
    let tmp = temporary(path);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&tmp)?;
    for part in parts {
        file.write_all(part)?;
    }
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&tmp, path)?;
    Ok(file)
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes one of the files of each pack, durably. The indexes go before the packs: an index
/// without a pack means that the pack was lost, and after a power cut what was removed later may be
/// gone and what was removed before still be there.
pub(crate) fn remove_all(dir: &Path, packs: &[u32], which: Which) -> io::Result<()> {
    for number in packs {
        remove(&path(dir, *number, which))?;
    }
    sync_dir(dir)
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    Wait,
    /// `WouldBlock` when the bytes are not in the page cache: for the async threads.
    PageCacheOnly,
}

/// Reads up to `len` bytes at `offset` into a new buffer; fewer only at the end of the file.
pub(crate) fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    read_into(file, offset, len, &mut buffer, Patience::Wait)?;
    Ok(buffer)
}

/// Appends up to `len` bytes from `offset` to `buffer`; fewer only at the end of the file.
pub(crate) fn read_into(
    file: &File,
    offset: u64,
    len: usize,
    buffer: &mut Vec<u8>,
    patience: Patience,
) -> io::Result<()> {
    let (start, end) = (buffer.len(), buffer.len() + len);
    buffer.reserve_exact(len);
    if patience == Patience::PageCacheOnly {
        buffer.resize(end, 0);
    }
    let mut have = 0;
    while have < len {
        let at = offset + have as u64;
        let result = match patience {
            // The memory is not zeroed first.
            Patience::Wait => rustix::io::pread(file, rustix::buffer::spare_capacity(buffer), at),
            Patience::PageCacheOnly => rustix::io::preadv2(
                file,
                &mut [IoSliceMut::new(&mut buffer[start + have..])],
                at,
                rustix::io::ReadWriteFlags::NOWAIT,
            ),
        };
        match result {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Spare capacity may be more than was asked for.
    buffer.truncate(start + have.min(len));
    Ok(())
}

/// Bytes that can be read from any place: a file, or the parts one was copied in.
pub trait ReadAt: Send + Sync {
    /// Reads into `buffer` from `offset`; 0 bytes only at the end.
    ///
    /// # Errors
    /// Of the disk.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// Reads over `buffer` and answers how many bytes; fewer only at the end of the file.
pub(crate) fn read_over(file: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

/// Writes what lies in `range` of a file once more. After an fsync that failed the kernel takes
/// what it could not write for written: programs still read it, no later fsync brings it to the
/// disk. Only what is written again does.
pub(crate) fn write_anew(file: &File, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let bytes = read_at(file, at, (range.end - at).min(1 << 20) as usize)?;
        if bytes.is_empty() {
            return Ok(());
        }
        file.write_all_at(&bytes, at)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Files held open at most.
const OPEN_FILES: usize = 64;

/// Files of sealed packs, opened when needed; the least recently used one is closed.
pub(crate) struct OpenFiles {
    dir: PathBuf,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    files: HashMap<(u32, Which), (Arc<File>, u64)>,
    clock: u64,
    /// Packs that are no longer held here but still read by somebody.
    lent: Vec<(u32, Weak<File>)>,
}

impl Slots {
    fn close(&mut self, key: (u32, Which)) {
        self.lent.retain(|(_, file)| file.strong_count() > 0);
        if let Some((file, _)) = self.files.remove(&key)
            && Arc::strong_count(&file) > 1
        {
            self.lent.push((key.0, Arc::downgrade(&file)));
        }
    }
}

impl OpenFiles {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            slots: Mutex::default(),
        }
    }

    pub(crate) fn open(&self, number: u32, which: Which) -> io::Result<Arc<File>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.clock += 1;
        let now = slots.clock;
        if let Some((file, used)) = slots.files.get_mut(&(number, which)) {
            *used = now;
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(path(&self.dir, number, which))?);
        if slots.files.len() >= OPEN_FILES {
            let oldest = slots
                .files
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                slots.close(oldest);
            }
        }
        slots.files.insert((number, which), (file.clone(), now));
        Ok(file)
    }

    pub(crate) fn forget(&self, number: u32) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.close((number, Which::Pack));
        slots.close((number, Which::Index));
    }

    /// Whether somebody still reads a pack that was [forgotten](Self::forget).
    pub(crate) fn is_read(&self, number: u32) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lent = slots.lent.iter();
        lent.any(|(lent, file)| *lent == number && file.strong_count() > 0)
    }
}

/// Bytes that are free on the file system of `dir`.
pub(crate) fn free(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_gives_what_the_file_has() {
        let dir = tempfile::tempdir().expect("tempdir");
        let name = dir.path().join("f");
        replace(&name, &[b"hello ", b"world"], true).expect("write");
        let file = File::open(&name).expect("open");
        assert_eq!(read_at(&file, 6, 5).expect("read"), b"world");
        assert_eq!(read_at(&file, 6, 500).expect("read"), b"world");
        assert_eq!(read_at(&file, 3, 2).expect("read"), b"lo");
        assert_eq!(read_at(&file, 90, 2).expect("read"), b"");
    }

    #[test]
    fn open_files_are_bounded() {
        let dir = tempfile::tempdir().expect("tempdir");
        let files = OpenFiles::new(dir.path().into());
        for number in 0..200 {
            replace(&path(dir.path(), number, Which::Pack), &[b"x"], false).expect("write");
            files.open(number, Which::Pack).expect("open");
        }
        assert_eq!(files.slots.lock().expect("lock").files.len(), OPEN_FILES);
        files.forget(199);
        assert_eq!(
            files.slots.lock().expect("lock").files.len(),
            OPEN_FILES - 1
        );
    }

    #[test]
    fn who_still_reads_a_forgotten_pack_is_known() {
        let dir = tempfile::tempdir().expect("tempdir");
        let files = OpenFiles::new(dir.path().into());
        for number in 0..=OPEN_FILES as u32 {
            replace(&path(dir.path(), number, Which::Pack), &[b"x"], false).expect("write");
        }
        let reader = files.open(0, Which::Pack).expect("open");
        // Others push it out, and it is opened and forgotten once more.
        for number in 1..=OPEN_FILES as u32 {
            files.open(number, Which::Pack).expect("open");
        }
        drop(files.open(0, Which::Pack).expect("open"));
        files.forget(0);
        assert!(files.is_read(0) && !files.is_read(1));
        drop(reader);
        assert!(!files.is_read(0));
    }
}
