//! Work that nobody waits for gives way to those who wait for theirs.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// So much is done at once.
const PIECE: Duration = Duration::from_micros(500);
/// So many times as long is the rest after it.
const REST: u32 = 2;
/// The longest rest after it: a disk that is slow today is not waited for twice.
const LONGEST: Duration = Duration::from_millis(100);
/// So much of a file goes at once. A file system frees what goes together in one transaction, which
/// every fsync of others waits for: for a file of 128 MiB that was 40 to 150 ms.
const STEP: u64 = 512 << 10;

/// Rests longer than it works: most of the disk and of a processor are others'.
pub(crate) struct Pace {
    began: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// Called between two steps of any length.
    pub(crate) fn rest(&mut self) {
        let worked = self.began.elapsed();
        if worked >= PIECE {
            thread::sleep((worked * REST).min(LONGEST));
            self.began = Instant::now();
        }
    }
}

/// Removes a file that nobody reads any more, a piece after the other from its end.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    while left > STEP {
        left -= STEP;
        let began = Instant::now();
        file.set_len(left)?;
        // However short it took: the file system commits later what it freed.
        thread::sleep((began.elapsed() * REST).clamp(PIECE, LONGEST));
    }
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_length_goes() {
        let dir = tempfile::tempdir().expect("tempdir");
        for length in [0, 1, STEP, STEP + 1, 5 * STEP] {
            let name = dir.path().join("f");
            let file = File::create(&name).expect("create");
            file.set_len(length).expect("grow");
            remove(&name).expect("remove");
            assert!(!name.exists(), "{length}");
        }
    }
}
