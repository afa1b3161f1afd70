//! The embedded store: the commit log with its index, and the packs. The one list of backends.

use crate::backup;
use crate::config::Config;
use crate::failure::Failure;
use crate::metered::{MeteredBlobs, MeteredMeta};
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
    data_dir: PathBuf,
    metrics: Arc<Metrics>,
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
            data_dir: config.data_dir.clone(),
            metrics,
        })
    }

    /// The engine over them.
    pub(crate) async fn engine(&self, options: mail::Options) -> Result<mail::Mail, Failure> {
        let meta: Arc<dyn MetaStore> = Arc::new(MeteredMeta::new(self.meta.clone(), &self.metrics));
        let blobs: Arc<dyn BlobStore> =
            Arc::new(MeteredBlobs::new(self.packs.clone(), &self.metrics));
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

    /// `Ok` while both halves take writes; otherwise the reason.
    pub(crate) fn health(&self) -> Result<(), String> {
        for (part, health) in [
            ("index", self.meta.health()),
            ("packs", self.packs.health()),
        ] {
            if let Health::ReadOnly(reason) = health {
                return Err(format!("{part} is read-only: {reason}"));
            }
        }
        Ok(())
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
    std::fs::create_dir_all(dir)
        .map_err(|error| Failure::refused(format!("cannot make {}: {error}", dir.display())))?;
    let failed = |error: StorageError| refusal(dir, error);
    let progress = Progress::new();
    let options = storage_sled::Options {
        cache_bytes: settings.cache_bytes,
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
