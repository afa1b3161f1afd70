//! From the files of a directory to a store that can serve (docs/storage-format.md, "Start-up").

use crate::export::Export;
use crate::files::{self, random_u64};
use crate::keys;
use crate::log::{Config, Log};
use crate::manifest::{self, Manifest};
use crate::options::{Options, Progress};
use crate::rebuild::{Sources, set_aside};
use crate::recent::Index;
use crate::salvage;
use crate::segment::{Segment, StoreId};
use crate::tail;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use storage::StorageError;

/// Where things lie below the store's directory.
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) exports: PathBuf,
    pub(crate) index: PathBuf,
}

impl Layout {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            log: root.join("log"),
            exports: root.join("export"),
            index: root.join("index"),
        }
    }

    fn create(&self) -> std::io::Result<()> {
        for dir in [&self.root, &self.log, &self.exports] {
            fs::create_dir_all(dir)?;
        }
        if let Some(parent) = self.root.parent().filter(|p| !p.as_os_str().is_empty()) {
            files::sync_dir(parent)?;
        }
        files::sync_dir(&self.root)
    }
}

/// What a running store is made of.
pub(crate) struct Opened {
    pub(crate) layout: Layout,
    pub(crate) lock: File,
    pub(crate) manifest: Manifest,
    pub(crate) log: Log,
    pub(crate) index: Index,
    /// Size of the newest export, and bytes of log behind it.
    pub(crate) export_bytes: u64,
    pub(crate) log_behind_export: u64,
}

/// Whether `root` holds more of a store than what can be made again.
pub(crate) fn exists(root: &Path) -> bool {
    let layout = Layout::new(root);
    manifest::exists(root)
        || Segment::list(&layout.log).is_ok_and(|segments| !segments.is_empty())
        || Export::list(&layout.exports).is_ok_and(|exports| !exports.is_empty())
}

/// Opens the store in `root`, repairing what a crash or a power loss left.
pub(crate) fn open(
    root: &Path,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Opened, StorageError> {
    let layout = Layout::new(root);
    layout
        .create()
        .map_err(|e| StorageError::io(format!("create {}", root.display()), &e))?;
    let lock = manifest::lock(root)?;
    manifest::check_format(root)?;
    let exports =
        Export::list(&layout.exports).map_err(|e| StorageError::io("list exports", &e))?;
    let mut manifest = match Manifest::read(root)? {
        Some(manifest) => manifest,
        None => restore_manifest(&layout, &exports)?,
    };
    let promised = manifest.promised;
    begin_run(&mut manifest, &layout, options)?;

    let (known, export_bytes) = durable_for_sure(&exports, &manifest)?;
    let sources = Sources {
        store: &manifest.store,
        exports: &exports,
        segments: &[],
        end: 0,
        progress,
    };
    let (tail, index) = if options.salvage {
        salvage::bring_up(&layout, options, sources, promised)?
    } else {
        let tail = tail::find(&layout.log, &manifest.store, known)?;
        let sources = sources.with(&tail);
        let index = bring_up(&layout, options, &sources, promised)?;
        (tail, index)
    };
    manifest.promised = tail.next - 1;
    manifest.write(root)?;
    let log_behind_export = log_bytes_behind(&tail.segments, exports.first());
    let log = Log::start(log_config(&layout, &manifest, options), tail.next)?;
    Ok(Opened {
        layout,
        lock,
        manifest,
        log,
        index,
        export_bytes,
        log_behind_export,
    })
}

/// A manifest for a new store, or for one that has lost it: then nothing about the index is
/// believed.
fn restore_manifest(layout: &Layout, exports: &[Export]) -> Result<Manifest, StorageError> {
    let segments = Segment::list(&layout.log).map_err(|e| StorageError::io("list the log", &e))?;
    for segment in segments.iter().rev() {
        if let Some(header) = segment.any_header()? {
            return Ok(Manifest {
                store: header.store,
                boot: None,
                clean: false,
                generation: header.generation,
                promised: 0,
            });
        }
    }
    if exports.is_empty() {
        let mut store = StoreId::default();
        store[..8].copy_from_slice(&random_u64().to_le_bytes());
        store[8..].copy_from_slice(&random_u64().to_le_bytes());
        return Ok(Manifest {
            store,
            boot: None,
            clean: true,
            generation: 0,
            promised: 0,
        });
    }
    Err(StorageError::corrupt(format!(
        "{} has exports but neither a manifest nor a commit log",
        layout.root.display()
    )))
}

/// Writes down that the store is in use by this boot of the machine. An index that may have missed
/// a power loss is moved away before: from then on the manifest says that the boot has not changed.
fn begin_run(
    manifest: &mut Manifest,
    layout: &Layout,
    options: &Options,
) -> Result<(), StorageError> {
    let boot = options.boot_id.clone().or_else(manifest::boot_id);
    let same_boot = boot.is_some() && boot == manifest.boot;
    if !same_boot && !manifest.clean {
        tracing::warn!("the machine went down while the store was in use: rebuilding the index");
        set_aside(&layout.index).map_err(|e| StorageError::io("set the index aside", &e))?;
        manifest.generation += 1;
    } else if options.salvage {
        // What was announced may be given up.
        manifest.generation += 1;
    }
    manifest.boot = boot;
    manifest.clean = false;
    manifest.write(&layout.root)
}

/// The highest sequence that is known to have been durable, and the size of the newest export.
fn durable_for_sure(exports: &[Export], manifest: &Manifest) -> Result<(u64, u64), StorageError> {
    let (mut known, mut size) = (manifest.promised, 0);
    if let Some(newest) = exports.first() {
        let io = |e| StorageError::io(format!("read {}", newest.path.display()), &e);
        let reaches = newest.reaches(&manifest.store).map_err(io)?;
        known = known.max(reaches.unwrap_or(0));
        size = fs::metadata(&newest.path).map_err(io)?.len();
    }
    Ok((known, size))
}

/// The index, with all records of the log applied.
fn bring_up(
    layout: &Layout,
    options: &Options,
    sources: &Sources<'_>,
    promised: u64,
) -> Result<Index, StorageError> {
    if is_bloated(layout, options, sources).unwrap_or(false) {
        shrink(layout, options, sources)?;
    }
    if layout.index.exists() {
        match usable(&layout.index, options, sources, promised) {
            Ok((index, low)) => {
                sources.replay(&index, low)?;
                sources.complete(&index)?;
                return Ok(index);
            }
            Err(reason) => {
                tracing::warn!(reason, "rebuilding the index");
                set_aside(&layout.index)
                    .map_err(|e| StorageError::io("set the index aside", &e))?;
            }
        }
    }
    let index = sources.rebuild(&layout.index, options)?;
    files::sync_dir(&layout.root).map_err(|e| StorageError::io("sync the store directory", &e))?;
    Ok(index)
}

/// How much larger than all rows an index may be: sled's files do not shrink when rows go.
const BLOAT: u64 = 6;

/// Whether most of the index is space that rows once took.
fn is_bloated(layout: &Layout, options: &Options, sources: &Sources<'_>) -> std::io::Result<bool> {
    let Some(newest) = sources.exports.first() else {
        return Ok(false);
    };
    let rows = fs::metadata(&newest.path)?.len() + log_bytes_behind(sources.segments, Some(newest));
    let index = files::size(&layout.index)?;
    Ok(index > options.bloat_bytes && index / BLOAT > rows)
}

/// Makes the index anew beside the old one, which is only removed once that has succeeded.
fn shrink(layout: &Layout, options: &Options, sources: &Sources<'_>) -> Result<(), StorageError> {
    let io = |e| StorageError::io("shrink the index", &e);
    let new = layout.root.join("index.new");
    files::remove(&new).map_err(io)?;
    match sources.rebuild(&new, options) {
        Ok(index) => index.close()?,
        Err(error) => {
            tracing::warn!(%error, "the index cannot be made anew and stays as large as it is");
            return files::remove(&new).map_err(io);
        }
    }
    tracing::info!("the index was made anew: most of it was free space");
    files::remove(&layout.index).map_err(io)?;
    fs::rename(&new, &layout.index).map_err(io)?;
    files::sync_dir(&layout.root).map_err(io)
}

/// Opens the index that is there and gives its low-water mark, or says why it cannot be used.
fn usable(
    dir: &Path,
    options: &Options,
    sources: &Sources<'_>,
    promised: u64,
) -> Result<(Index, u64), String> {
    let Known { index, low, ahead } = Known::read(dir, options, sources.store, promised)?;
    if ahead > sources.end {
        let end = sources.end;
        return Err(format!(
            "the index knows record {ahead}, the log ends at {end}"
        ));
    }
    let oldest = sources.segments.first().map_or(low + 1, |s| s.first);
    if low + 1 < oldest {
        return Err(format!(
            "the index knows {low} records, the log begins at {oldest}"
        ));
    }
    Ok((index, low))
}

/// An index and what it says of itself.
pub(crate) struct Known {
    pub(crate) index: Index,
    /// It knows everything up to here...
    pub(crate) low: u64,
    /// ...and perhaps something up to here.
    pub(crate) ahead: u64,
}

impl Known {
    /// Opens the index in `dir`, or says why it is worthless.
    pub(crate) fn read(
        dir: &Path,
        options: &Options,
        store: &StoreId,
        promised: u64,
    ) -> Result<Self, String> {
        let index = Index::open(dir, options.cache_bytes).map_err(|e| e.to_string())?;
        let read = |key: &[u8]| index.get(key).map_err(|e| e.to_string());
        if read(&keys::STORE)?.as_deref() != Some(store) {
            return Err("the index is incomplete or of another store".to_owned());
        }
        let low = read(&keys::LOW)?.and_then(|low| sequence(&low));
        let low = low.ok_or("the index does not say what it knows")?;
        if low < promised {
            return Err(format!(
                "the index knows {low} records, {promised} were promised"
            ));
        }
        let mut ahead = low;
        let (start, end) = keys::applied_range();
        index
            .scan(start, end, false, |_, value| {
                ahead = ahead.max(sequence(value).unwrap_or(u64::MAX));
                ControlFlow::Continue(())
            })
            .map_err(|e| e.to_string())?;
        Ok(Self { index, low, ahead })
    }
}

fn sequence(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.try_into().ok()?))
}

fn log_config(layout: &Layout, manifest: &Manifest, options: &Options) -> Config {
    Config {
        dir: layout.log.clone(),
        store: manifest.store,
        generation: manifest.generation,
        segment_bytes: options.segment_bytes,
        min_free_bytes: options.min_free_bytes,
        #[cfg(test)]
        faults: std::sync::Arc::clone(&options.faults),
    }
}

/// Bytes of log that a rebuild would replay, counting whole segments.
fn log_bytes_behind(segments: &[Segment], export: Option<&Export>) -> u64 {
    let from = export.map_or(0, |e| e.from);
    let behind = segments.iter().filter(|s| s.first > from);
    behind
        .map(|s| fs::metadata(&s.path).map_or(0, |m| m.len()))
        .sum()
}
