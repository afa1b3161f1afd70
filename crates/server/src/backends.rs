//! The embedded store: the commit log with its index, and the packs. The one list of backends.

use crate::backup;
use crate::config::Config;
use crate::failure::Failure;
use crate::metered::{MeteredBlobs, MeteredMeta, Troubles};
use crate::progress::Progress;
use crate::upkeep::Upkeep;
use blob_packs::{Collected, PackStore};
use net::Metrics;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use storage::{BlobStore, ErrorKind, Health, MetaStore, StorageError};
use storage_sled::SledStore;
use types::BlobHash;

/// Both halves of a store, open.
pub(crate) struct Backends {
    pub(crate) meta: Arc<SledStore>,
    pub(crate) packs: Arc<PackStore>,
    /// What is known of damage and of space.
    pub(crate) upkeep: Arc<Upkeep>,
    data_dir: PathBuf,
    metrics: Arc<Metrics>,
    troubles: Troubles,
}

impl Backends {
    /// Opens the store of a configuration, making it when there is none.
    ///
    /// # Errors
    /// `Refused` when another process has it, a newer version wrote it, or a restore of it was not
    /// finished.
    pub(crate) async fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Failure> {
        let dir = &config.data_dir;
        if dir.join(backup::MARK).exists() {
            return Err(Failure::refused(format!(
                "{} holds a restore that was not finished: run `gatepost restore` again",
                dir.display()
            )));
        }
        let backends = Self::open_anyway(config, metrics).await?;
        backup::remove_leftovers(dir);
        Ok(backends)
    }

    /// The same for a command that ends soon.
    pub(crate) async fn open_quietly(config: &Config) -> Result<Self, Failure> {
        Self::open(config, Metrics::new(env!("CARGO_PKG_VERSION"))).await
    }

    /// The same for the restore itself.
    pub(crate) async fn open_restored(config: &Config) -> Result<Self, Failure> {
        Self::open_anyway(config, Metrics::new(env!("CARGO_PKG_VERSION"))).await
    }

    async fn open_anyway(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Failure> {
        let task = tokio::task::spawn_blocking({
            let (config, metrics) = (config.clone(), metrics.clone());
            move || open(&config, &metrics)
        });
        let (meta, packs) = task
            .await
            .map_err(|_| Failure::trouble("opening the store failed"))??;
        Ok(Self {
            upkeep: Upkeep::new(&metrics),
            meta,
            packs,
            data_dir: config.data_dir.clone(),
            metrics,
            troubles: Troubles::new(),
        })
    }

    /// The engine over them.
    pub(crate) async fn engine(&self, options: mail::Options) -> Result<mail::Mail, Failure> {
        let meta: Arc<dyn MetaStore> = Arc::new(MeteredMeta::new(
            self.meta.clone(),
            &self.metrics,
            &self.troubles,
        ));
        let blobs: Arc<dyn BlobStore> = Arc::new(MeteredBlobs::new(
            self.packs.clone(),
            &self.metrics,
            &self.troubles,
            self.upkeep.clone(),
        ));
        Ok(mail::Mail::open(meta, blobs, options).await?)
    }

    /// Where they are.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Closes both halves, when no engine does.
    pub(crate) async fn close(&self) -> Result<(), StorageError> {
        let packs = self.packs.close().await;
        self.meta.close().await?;
        packs
    }

    /// `Ok` while both halves take writes and do what they are asked for; otherwise the reason.
    pub(crate) fn health(&self) -> Result<(), String> {
        for (part, health) in [
            ("index", self.meta.health()),
            ("packs", self.packs.health()),
        ] {
            if let Health::ReadOnly(reason) = health {
                return Err(format!("{part} is read-only: {reason}"));
            }
        }
        self.troubles.now().map_or(Ok(()), Err)
    }

    /// What `verify` has to say of files as a whole; one line each.
    pub(crate) async fn damaged_files(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (pack, blobs) in self.packs.missing() {
            lines.push(format!(
                "pack {pack} is missing: it held {blobs} messages, live ones and dead ones"
            ));
        }
        let stats = self.packs.stats();
        if stats.damaged_bytes > 0 {
            lines.push(format!(
                "{} bytes of packs are unreadable: which messages lay there is said above, if they \
                 are still wanted",
                stats.damaged_bytes
            ));
        }
        match self.meta.damaged_files().await {
            Ok(damaged) => lines.extend(damaged),
            Err(error) => lines.push(error.to_string()),
        }
        lines
    }

    /// Whether a link row names a blob.
    fn linked(&self) -> impl Fn(BlobHash) -> BoxFuture + Send + Sync + 'static {
        let meta = self.meta.clone();
        move |hash| {
            let meta = meta.clone();
            Box::pin(async move { Ok(!meta.links(&hash, 1).await?.is_empty()) })
        }
    }

    /// Gives back the space of what nobody links to any more.
    pub(crate) async fn collect(&self) -> Result<Collected, StorageError> {
        let collected = self.packs.collect(self.linked()).await;
        self.upkeep.collected(&collected);
        collected
    }

    /// The same also where only little is dead, and of what was forgotten to be released.
    pub(crate) async fn collect_all(&self) -> Result<Collected, StorageError> {
        let forgotten = self.packs.release_unlinked(self.linked()).await?;
        if forgotten > 0 {
            tracing::info!(forgotten, "blobs without a link were released");
        }
        let collected = self.packs.collect_from(WORTHWHILE, self.linked()).await;
        self.upkeep.collected(&collected);
        collected
    }
}

/// What the operator asks for is done where this share of a pack is dead.
const WORTHWHILE: f64 = 0.02;

type BoxFuture = Pin<Box<dyn Future<Output = Result<bool, StorageError>> + Send>>;

type Opened = (Arc<SledStore>, Arc<PackStore>);

fn open(config: &Config, metrics: &Arc<Metrics>) -> Result<Opened, Failure> {
    let dir = &config.data_dir;
    make_dir(dir)
        .map_err(|error| Failure::refused(format!("cannot make {}: {error}", dir.display())))?;
    crate::format::check(dir)?;
    let failed = |error: StorageError| refusal(dir, error);
    let progress = Progress::new();
    let meta_dir = meta_dir(dir);
    let known = SledStore::exists(&meta_dir);
    let packs = open_packs(config, metrics, &progress).map_err(failed)?;
    if !known && packs.stats().blobs > 0 {
        return Err(Failure::refused(format!(
            "the metadata in {} is gone, but there is mail in {}: put it back from a backup, or \
             let `gatepost recover` make it anew from the mail",
            meta_dir.display(),
            dir.join("packs").display()
        )));
    }
    let meta = open_meta(&meta_dir, config, metrics, false, &progress);
    let meta = meta.map_err(|error| match error.kind {
        ErrorKind::Corrupt => Failure::trouble(format!(
            "{}. Nothing was changed. Put {} back from a backup, or let `gatepost recover` make of \
             it what can be made",
            error.context,
            meta_dir.display()
        )),
        _ => failed(error),
    })?;
    Ok((meta, packs))
}

/// Opens the metadata in `dir`.
pub(crate) fn open_meta(
    dir: &Path,
    config: &Config,
    metrics: &Arc<Metrics>,
    salvage: bool,
    progress: &Progress,
) -> Result<Arc<SledStore>, StorageError> {
    let options = storage_sled::Options {
        cache_bytes: config.storage.cache_bytes,
        segment_bytes: config.storage.log_segment_bytes,
        checkpoint_bytes: config.storage.checkpoint_bytes,
        export_every: config.storage.export_bytes,
        boot_id: boot_id(),
        observer: Arc::new(Observer(metrics.clone())),
        salvage,
        ..storage_sled::Options::default()
    };
    SledStore::open(dir, options, &|p| progress.bytes(p.step, p.done, p.total))
}

/// Opens the mail.
pub(crate) fn open_packs(
    config: &Config,
    metrics: &Arc<Metrics>,
    progress: &Progress,
) -> Result<Arc<PackStore>, StorageError> {
    let fsync = metrics.clone();
    let options = blob_packs::Options {
        pack_bytes: config.storage.pack_bytes,
        on_sync: Some(Arc::new(move |took: Duration, _| {
            fsync.store_fsync_seconds.observe(took.as_secs_f64());
        })),
        ..blob_packs::Options::default()
    };
    PackStore::open(config.data_dir.join("packs"), options, |p| {
        progress.bytes("reading packs", p.done, p.total);
    })
}

/// Makes a directory and those above it, durably: a power cut must not take back the name of the
/// one that holds all mail.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    let is_new = !dir.is_dir();
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    if is_new {
        above.map_or(Ok(()), make_dir)?;
        std::fs::create_dir_all(dir)?;
    }
    let above = above.unwrap_or(Path::new("."));
    match std::fs::File::open(above).and_then(|above| above.sync_all()) {
        // Who made it may be somebody else, in a directory that is not ours to read.
        Err(error) if is_new => Err(error),
        _ => Ok(()),
    }
}

/// The power-cut tests pretend that the machine was started anew: what they add to the kernel's
/// boot id makes one boot look like several, never several like one.
fn boot_id() -> Option<String> {
    let more = std::env::var("GATEPOST_BOOT").ok()?;
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{} {more}", id.trim()))
}

/// Where the metadata lies.
pub(crate) fn meta_dir(dir: &Path) -> PathBuf {
    dir.join("meta")
}

pub(crate) fn refusal(dir: &Path, error: StorageError) -> Failure {
    match error.kind {
        ErrorKind::InUse => Failure::refused(format!(
            "{} is in use by another process: {}",
            dir.display(),
            error.context
        )),
        ErrorKind::Incompatible => Failure::refused(error.context),
        _ => Failure::trouble(format!("cannot open {}: {error}", dir.display())),
    }
}

struct Observer(Arc<Metrics>);

impl storage_sled::Observer for Observer {
    fn on_fsync(&self, took: Duration) {
        self.0.store_fsync_seconds.observe(took.as_secs_f64());
    }
}
