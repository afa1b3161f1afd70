//! Looking at the files a rebuild would need while the index serves: damage there is silent until
//! the index is lost too.

use crate::export::Export;
use crate::segment::{Reader, Segment};
use crate::store::{Core, SledStore};
use std::fs;
use std::io;
use storage::{ErrorKind, StorageError};

impl SledStore {
    /// Reads the exports and all of the log but the segment that grows, and says what is damaged,
    /// one line each. A damaged export is set aside; whatever is damaged, a new export is ordered,
    /// which makes it superfluous.
    ///
    /// # Errors
    /// `Unavailable` when a file cannot be read.
    pub async fn damaged_files(&self) -> Result<Vec<String>, StorageError> {
        self.blocking(Core::damaged_files).await
    }
}

impl Core {
    fn damaged_files(&self) -> Result<Vec<String>, StorageError> {
        let mut damaged = Vec::new();
        let exports = Export::list(&self.layout.exports);
        for export in exports.map_err(|e| StorageError::io("list exports", &e))? {
            match export.load(&self.store, |_| Ok(()), |_, _| {}) {
                Err(error) if error.kind == ErrorKind::Corrupt => {
                    damaged.push(error.context);
                    let aside = export.path.with_extension("damaged");
                    let moved = fs::rename(&export.path, aside);
                    moved.map_err(|e| StorageError::io("set a bad export aside", &e))?;
                }
                // A newer one may have replaced it since it was listed.
                Err(_) if !export.path.exists() => {}
                other => other?,
            }
        }
        let segments = Segment::list(self.log.dir());
        let segments = segments.map_err(|e| StorageError::io("list the log", &e))?;
        for pair in segments.windows(2) {
            if let Some(line) = self.damaged_segment(&pair[0], pair[1].first)? {
                damaged.push(line);
            }
        }
        if !damaged.is_empty() {
            self.schedule.order_export();
        }
        Ok(damaged)
    }

    /// Whether a segment leads to the record `next`, with which the following one begins.
    fn damaged_segment(
        &self,
        segment: &Segment,
        next: u64,
    ) -> Result<Option<String>, StorageError> {
        let read = || -> Result<(u64, u64), StorageError> {
            let Some(header) = segment.header(&self.store)? else {
                return Ok((0, segment.first));
            };
            let mut reader = Reader::new(segment, &header)?;
            while reader.record()?.is_some() {}
            Ok((reader.offset(), reader.next()))
        };
        match read() {
            Ok((_, reached)) if reached == next => Ok(None),
            Ok((offset, reached)) => Ok(Some(format!(
                "log segment {} is damaged at offset {offset}: record {reached} is unreadable, and \
                 a rebuild of the index may need it",
                segment.path.display()
            ))),
            // An export may have made it superfluous since it was listed.
            Err(_) if is_gone(segment) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_gone(segment: &Segment) -> bool {
    fs::metadata(&segment.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
