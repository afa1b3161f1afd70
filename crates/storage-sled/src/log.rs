//! Appending to the commit log: numbered segments, written before the index sees a batch.

use crate::files::{self, random_u64};
use crate::record::Record;
use crate::segment::{HEADER, Header, Segment, StoreId};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::StorageError;

/// Zeros are written ahead of the records in steps of this many bytes, so that most syncs need not
/// make a new file size durable. Measured on ext4, one writer: 3.1 k syncs/s without, 4.9 k/s with.
const AHEAD: u64 = 1 << 20;

/// Why a record was not appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Nothing was written; it may work later (a full disk).
    Full(StorageError),
    /// The log cannot be trusted any more.
    Fatal(StorageError),
}

/// What is the same for all segments of a store.
pub(crate) struct Config {
    pub(crate) dir: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) generation: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) min_free_bytes: u64,
    #[cfg(test)]
    pub(crate) faults: Arc<faults::Faults>,
}

/// The writing end of the log.
pub(crate) struct Log {
    config: Config,
    appender: Mutex<Appender>,
}

struct Appender {
    file: Arc<LogFile>,
    /// The sequence of the segment's first record.
    first: u64,
    salt: u64,
    /// Where the next record goes.
    offset: u64,
    /// Up to here the file has been filled.
    filled: u64,
    /// The sequence of the next record.
    next: u64,
    /// Set when the file may hold something that is no record: nothing may follow it.
    broken: bool,
    unsynced: Unsynced,
}

/// Files to sync besides the one being written.
#[derive(Default)]
struct Unsynced {
    sealed: Vec<Arc<LogFile>>,
    directory: bool,
}

impl Log {
    /// Starts a new segment: `next` is the sequence of its first record, everything before is
    /// durable.
    pub(crate) fn start(config: Config, next: u64) -> Result<Self, StorageError> {
        let (file, salt) = create_segment(&config, next, next - 1)
            .map_err(|e| StorageError::io("create a log segment", &e))?;
        files::sync_dir(&config.dir).map_err(|e| StorageError::io("sync the log directory", &e))?;
        let appender = Mutex::new(Appender {
            file: Arc::new(file),
            first: next,
            salt,
            offset: HEADER as u64,
            filled: HEADER as u64,
            next,
            broken: false,
            unsynced: Unsynced::default(),
        });
        Ok(Self { config, appender })
    }

    /// Writes a record to the file and gives its sequence. `synced` is how far the log is known to
    /// be durable. `in_flight` holds the sequence until the caller has applied the batch and resets
    /// it to 0.
    pub(crate) fn append(
        &self,
        record: &mut Record,
        synced: u64,
        in_flight: &AtomicU64,
    ) -> Result<u64, AppendError> {
        let mut appender = self.lock();
        if appender.broken {
            let error = StorageError::unavailable("the commit log failed earlier");
            return Err(AppendError::Fatal(error));
        }
        let length = record.len() as u64;
        appender.make_room(&self.config, length, synced)?;
        let sequence = appender.next;
        let bytes = record.seal(appender.salt, sequence, synced);
        if let Err(error) = appender.file.write_all_at(bytes, appender.offset) {
            return Err(appender.undo_write(&error));
        }
        in_flight.store(sequence, Ordering::Relaxed);
        appender.offset += length;
        appender.next += 1;
        Ok(sequence)
    }

    /// The sequence of the newest record; 0 when there has never been one.
    pub(crate) fn written(&self) -> u64 {
        self.lock().next - 1
    }

    /// The sequence of the newest record, the first one of the segment it is in, and where it ends
    /// there.
    pub(crate) fn position(&self) -> (u64, u64, u64) {
        let appender = self.lock();
        (appender.next - 1, appender.first, appender.offset)
    }

    /// The highest sequence up to which every record has been applied; `in_flight` are the marks
    /// the appenders were given.
    pub(crate) fn low_water<'a>(&self, in_flight: impl Iterator<Item = &'a AtomicU64>) -> u64 {
        // Marks are set under this lock, so none can be missed.
        let appender = self.lock();
        let oldest = in_flight
            .map(|mark| mark.load(Ordering::Acquire))
            .filter(|sequence| *sequence > 0)
            .min();
        oldest.unwrap_or(appender.next) - 1
    }

    /// Makes everything written so far durable and gives the sequence it reaches to. After an error
    /// the kernel may have dropped what it could not write: never sync again.
    pub(crate) fn sync(&self) -> io::Result<u64> {
        let (reached, unsynced, file) = {
            let mut appender = self.lock();
            let unsynced = std::mem::take(&mut appender.unsynced);
            (appender.next - 1, unsynced, Arc::clone(&appender.file))
        };
        for sealed in &unsynced.sealed {
            sealed.sync_data()?;
        }
        if unsynced.directory {
            files::sync_dir(&self.config.dir)?;
        }
        file.sync_data()?;
        Ok(reached)
    }

    /// Ends the newest segment where its records end. Nothing may be appended any more.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let mut appender = self.lock();
        appender.broken = true;
        appender.file.set_len(appender.offset)?;
        appender.file.sync_data()
    }

    /// The directory of the segments.
    pub(crate) fn dir(&self) -> &Path {
        &self.config.dir
    }

    fn lock(&self) -> MutexGuard<'_, Appender> {
        // Every change is complete before the next statement that could panic.
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Appender {
    /// Makes sure that `length` bytes can be written at `offset`. On error nothing has changed that
    /// the next attempt would not do again.
    fn make_room(&mut self, config: &Config, length: u64, synced: u64) -> Result<(), AppendError> {
        if self.offset > HEADER as u64 && self.offset + length > config.segment_bytes {
            self.rotate(config, synced)?;
        }
        if self.offset + length <= self.filled {
            return Ok(());
        }
        let full = |e: &io::Error| AppendError::Full(StorageError::io("extend the log", e));
        let free = available_bytes(&config.dir).map_err(|e| full(&e))?;
        if free < config.min_free_bytes {
            let context = format!("the disk is nearly full: {free} bytes left");
            return Err(AppendError::Full(StorageError::unavailable(context)));
        }
        // Written records lie before `filled`; whatever becomes of the zeros, they are not touched.
        let target = (self.offset + length).next_multiple_of(AHEAD);
        while self.filled < target {
            let step = AHEAD.min(target - self.filled);
            self.file
                .write_all_at(&ZEROS[..step as usize], self.filled)
                .map_err(|e| full(&e))?;
            self.filled += step;
        }
        Ok(())
    }

    fn rotate(&mut self, config: &Config, synced: u64) -> Result<(), AppendError> {
        let (file, salt) = match create_segment(config, self.next, synced) {
            Ok(created) => created,
            Err(error) => {
                let error = StorageError::io("create a log segment", &error);
                // A header without its records must not stay: the next records go elsewhere.
                return Err(
                    match files::remove(&Segment::new(&config.dir, self.next).path) {
                        Ok(()) => AppendError::Full(error),
                        Err(_) => {
                            self.broken = true;
                            AppendError::Fatal(error)
                        }
                    },
                );
            }
        };
        // Only tidiness: a reader stops at the zeros as well.
        let _ = self.file.set_len(self.offset);
        let old = std::mem::replace(&mut self.file, Arc::new(file));
        self.unsynced.sealed.push(old);
        self.unsynced.directory = true;
        self.first = self.next;
        self.salt = salt;
        self.offset = HEADER as u64;
        self.filled = HEADER as u64;
        Ok(())
    }

    /// After a write that may have been done in part: cuts the file back to where the record began.
    fn undo_write(&mut self, error: &io::Error) -> AppendError {
        let failed = StorageError::io("write to the log", error);
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        if self.file.set_len(self.offset).is_err() {
            self.broken = true;
            return AppendError::Fatal(failed);
        }
        self.filled = self.offset;
        if full {
            AppendError::Full(failed)
        } else {
            self.broken = true;
            AppendError::Fatal(failed)
        }
    }
}

static ZEROS: [u8; AHEAD as usize] = [0; AHEAD as usize];

fn create_segment(config: &Config, first: u64, synced: u64) -> io::Result<(LogFile, u64)> {
    let salt = random_u64();
    let header = Header {
        store: config.store,
        first,
        synced,
        generation: config.generation,
        salt,
    };
    let file = LogFile {
        file: OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(Segment::new(&config.dir, first).path)?,
        #[cfg(test)]
        faults: Arc::clone(&config.faults),
    };
    file.write_all_at(&header.to_bytes(), 0)?;
    Ok((file, salt))
}

/// Free bytes of the file system `path` is on, as far as this user may use them.
pub(crate) fn available_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The file of a segment being written; tests make its calls fail.
struct LogFile {
    file: File,
    #[cfg(test)]
    faults: Arc<faults::Faults>,
}

impl LogFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        if let Some(error) = self.faults.write.fire() {
            self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        #[cfg(test)]
        if let Some(error) = self.faults.set_len.fire() {
            return Err(error);
        }
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(error) = self.faults.sync.fire() {
            return Err(error);
        }
        self.file.sync_data()
    }
}

/// Failing calls on purpose.
#[cfg(test)]
pub(crate) mod faults {
    use std::io;
    use std::sync::Mutex;

    /// The error the next call of a kind gives.
    #[derive(Default)]
    pub(crate) struct Fault(Mutex<Option<io::ErrorKind>>);

    impl Fault {
        pub(crate) fn arm(&self, kind: io::ErrorKind) {
            *self.0.lock().unwrap() = Some(kind);
        }

        pub(super) fn fire(&self) -> Option<io::Error> {
            self.0.lock().unwrap().take().map(Into::into)
        }
    }

    #[derive(Default)]
    pub(crate) struct Faults {
        pub(crate) write: Fault,
        pub(crate) set_len: Fault,
        pub(crate) sync: Fault,
    }
}
