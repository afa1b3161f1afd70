//! The embedded store: the commit log with its index, and the packs. The one list of backends.

use crate::config::Config;
use crate::failure::Failure;
use crate::metered::{MeteredBlobs, MeteredMeta, Troubles};
use crate::progress::Progress;
use blob_packs::PackStore;
use net::Metrics;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::{BlobStore, Health, MetaStore, StorageError};
use storage_sled::SledStore;

/// Both halves of a store, open.
pub(crate) struct Backends {
    pub(crate) meta: Arc<SledStore>,
    pub(crate) packs: Arc<PackStore>,
    metrics: Arc<Metrics>,
    troubles: Troubles,
}

impl Backends {
    /// Opens the store of a configuration, making it when there is none.
    ///
    /// # Errors
    /// `Refused` when another process has it or a newer version wrote it.
    pub(crate) async fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Failure> {
        let (dir, settings) = (config.data_dir.clone(), config.storage.clone());
        let task = tokio::task::spawn_blocking({
            let metrics = metrics.clone();
            move || open(&dir, &settings, &metrics)
        });
        let (meta, packs) = task
            .await
            .map_err(|_| Failure::trouble("opening the store failed"))??;
        Ok(Self {
            meta,
            packs,
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
        ));
        Ok(mail::Mail::open(meta, blobs, options).await?)
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

    /// Gives back the space of what nobody links to any more.
    pub(crate) async fn collect(&self) -> Result<(), StorageError> {
        let meta = self.meta.clone();
        let collected = self
            .packs
            .collect(move |hash| {
                let meta = meta.clone();
                async move { Ok(!meta.links(&hash, 1).await?.is_empty()) }
            })
            .await?;
        tracing::debug!(?collected, "collected");
        Ok(())
    }
}

type Opened = (Arc<SledStore>, Arc<PackStore>);

fn open(
    dir: &Path,
    settings: &crate::config::Storage,
    metrics: &Arc<Metrics>,
) -> Result<Opened, Failure> {
    make_dir(dir)
        .map_err(|error| Failure::refused(format!("cannot make {}: {error}", dir.display())))?;
    let failed = |error: StorageError| refusal(dir, error);
    let progress = Progress::new();
    let options = storage_sled::Options {
        cache_bytes: settings.cache_bytes,
        segment_bytes: settings.log_segment_bytes,
        checkpoint_bytes: settings.checkpoint_bytes,
        export_every: settings.export_bytes,
        boot_id: boot_id(),
        observer: Arc::new(Observer(metrics.clone())),
        ..storage_sled::Options::default()
    };
    let meta = SledStore::open(&meta_dir(dir), options, &|p| {
        progress.bytes(p.step, p.done, p.total);
    })
    .map_err(failed)?;
    let fsync = metrics.clone();
    let options = blob_packs::Options {
        pack_bytes: settings.pack_bytes,
        on_sync: Some(Arc::new(move |took: Duration, _| {
            fsync.store_fsync_seconds.observe(took.as_secs_f64());
        })),
        ..blob_packs::Options::default()
    };
    let packs = PackStore::open(dir.join("packs"), options, |p| {
        progress.bytes("reading packs", p.done, p.total);
    })
    .map_err(failed)?;
    Ok((meta, packs))
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

fn meta_dir(dir: &Path) -> PathBuf {
    dir.join("meta")
}

fn refusal(dir: &Path, error: StorageError) -> Failure {
    match error.kind {
        storage::ErrorKind::InUse => Failure::refused(format!(
            "{} is in use by another process: {}",
            dir.display(),
            error.context
        )),
        storage::ErrorKind::Incompatible => Failure::refused(error.context),
        _ => Failure::trouble(format!("cannot open {}: {error}", dir.display())),
    }
}

struct Observer(Arc<Metrics>);

impl storage_sled::Observer for Observer {
    fn on_fsync(&self, took: Duration) {
        self.0.store_fsync_seconds.observe(took.as_secs_f64());
    }
}
