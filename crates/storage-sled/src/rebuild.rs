//! Bringing the index up to the log: replaying its tail, or everything from the newest good export.

use crate::export::Export;
use crate::files;
use crate::keys;
use crate::options::{Options, Progress};
use crate::recent::Index;
use crate::record;
use crate::segment::{Reader, Segment, StoreId};
use crate::spread::{Feeder, spread};
use crate::tail::Tail;
use std::fs;
use std::path::{Path, PathBuf};
use storage::{ErrorKind, StorageError};

/// What a rebuild starts from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) store: &'a StoreId,
    pub(crate) exports: &'a [Export],
    pub(crate) segments: &'a [Segment],
    /// The sequence of the last record.
    pub(crate) end: u64,
    pub(crate) progress: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Sources<'a> {
    /// The same with a log.
    pub(crate) fn with<'b>(&self, tail: &'b Tail) -> Sources<'b>
    where
        'a: 'b,
    {
        Sources {
            segments: &tail.segments,
            end: tail.next - 1,
            ..*self
        }
    }
}

impl Sources<'_> {
    /// Fills a new index in `dir`, where nothing is.
    ///
    /// # Errors
    /// `Corrupt` when neither an export nor the log reaches back far enough, or the log is damaged.
    pub(crate) fn rebuild(&self, dir: &Path, options: &Options) -> Result<Index, StorageError> {
        for export in self.exports {
            let index = Index::open(dir, options.cache_bytes)?;
            match self.load(&index, export) {
                Ok(()) => {
                    self.replay(&index, export.from)?;
                    self.complete(&index)?;
                    return Ok(index);
                }
                Err(error) if error.kind != ErrorKind::Corrupt => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "falling back to the export before");
                    drop(index);
                    discard(dir, export)
                        .map_err(|e| StorageError::io("set a bad export aside", &e))?;
                }
            }
        }
        let index = Index::open(dir, options.cache_bytes)?;
        self.replay(&index, 0)?;
        self.complete(&index)?;
        Ok(index)
    }

    /// Applies all records behind `from`. Those that were applied before do no harm: all writes set
    /// a key to what they say, and the last word on each key comes last.
    pub(crate) fn replay(&self, index: &Index, from: u64) -> Result<(), StorageError> {
        if from >= self.end {
            return Ok(());
        }
        let first = self.segments.partition_point(|s| s.first <= from + 1);
        let Some(first) = first.checked_sub(1) else {
            return Err(StorageError::corrupt(format!(
                "the log does not reach back to record {}, and no good export does",
                from + 1
            )));
        };
        spread(index, |feeder| {
            self.feed(feeder, &self.segments[first..], from)
        })
    }

    /// Reads the records behind `from`, all of which `behind` must hold.
    fn feed(&self, feeder: &mut Feeder, behind: &[Segment], from: u64) -> Result<(), StorageError> {
        let sizes = behind
            .iter()
            .map(|s| fs::metadata(&s.path).map_or(0, |m| m.len()));
        let total = sizes.sum();
        let mut done = 0;
        let mut next = from + 1;
        for segment in behind {
            let header = segment.header(self.store)?;
            let header = header.ok_or_else(|| damaged(segment, 0, next))?;
            let mut reader = Reader::new(segment, &header)?;
            let mut reported = 0;
            while let Some((head, body)) = reader.record()? {
                if head.sequence < next {
                    continue;
                }
                // A body whose checksum holds but that makes no sense was written by something
                // else.
                let writes = record::decode(&body)
                    .ok_or_else(|| damaged(segment, reader.offset(), head.sequence))?;
                feeder.record(head.account, writes)?;
                next += 1;
                if reader.offset() - reported > 1 << 20 {
                    reported = reader.offset();
                    self.report("replaying the log", done + reported, total);
                }
            }
            if reader.next() < next || (next <= self.end && !starts_at(behind, reader.next())) {
                return Err(damaged(segment, reader.offset(), reader.next()));
            }
            done += reader.offset();
        }
        self.report("replaying the log", total, total);
        Ok(())
    }

    /// Marks the index as complete: whatever lacks these rows is a rebuild that was interrupted.
    pub(crate) fn complete(&self, index: &Index) -> Result<(), StorageError> {
        index.checkpoint()?;
        index.set(&keys::STORE, Some(self.store))?;
        index.set(&keys::applied(0), Some(&self.end.to_le_bytes()))?;
        index.set(&keys::LOW, Some(&self.end.to_le_bytes()))?;
        index.checkpoint()
    }

    fn load(&self, index: &Index, export: &Export) -> Result<(), StorageError> {
        spread(index, |feeder| {
            export.load(
                self.store,
                |block| feeder.block(block),
                |done, total| self.report("loading the export", done, total),
            )
        })
    }

    fn report(&self, step: &'static str, done: u64, total: u64) {
        (self.progress)(Progress { step, done, total });
    }
}

fn starts_at(segments: &[Segment], sequence: u64) -> bool {
    segments.iter().any(|s| s.first == sequence)
}

fn damaged(segment: &Segment, offset: u64, sequence: u64) -> StorageError {
    StorageError::corrupt(format!(
        "log segment {} is damaged at offset {offset}: record {sequence} is unreadable",
        segment.path.display()
    ))
}

/// Puts a damaged export out of the way, and what was loaded from it.
fn discard(index: &Path, export: &Export) -> std::io::Result<()> {
    files::remove(index)?;
    fs::rename(&export.path, export.path.with_extension("damaged"))
}

/// Moves an index that cannot be used to `index.bad-<n>` beside it, in place of an older one.
pub(crate) fn set_aside(index: &Path) -> std::io::Result<()> {
    if !index.exists() {
        return Ok(());
    }
    let Some(parent) = index.parent() else {
        return Ok(());
    };
    let mut number = 0;
    for (older, path) in bad_indexes(parent)? {
        number = number.max(older);
        files::remove(&path)?;
    }
    fs::rename(index, parent.join(format!("index.bad-{}", number + 1)))?;
    files::sync_dir(parent)
}

fn bad_indexes(parent: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("index.bad-"));
        if let Some(number) = number.and_then(|n| n.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    Ok(found)
}
