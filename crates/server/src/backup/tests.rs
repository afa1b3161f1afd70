//! What happens to packs between two backups.

use super::manifest::Manifest;
use super::take::{Taken, take};
use super::vault::Vault;
use super::{Hold, whole};
use crate::backends::Backends;
use crate::config::Config;
use crate::progress::Progress;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use storage::{BlobRef, BlobStore, Provenance};

struct Scene {
    home: tempfile::TempDir,
    config: Config,
    backends: Backends,
}

impl Scene {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("gatepost.toml");
        let text = "data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let backends = Backends::open_quietly(&config).await.unwrap();
        Self {
            home,
            config,
            backends,
        }
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("backup")
    }

    async fn backup(&self, keep: usize) -> Taken {
        let hold = Hold::take(&self.backends).await.unwrap();
        let vault = Vault::to_write(&self.dir()).unwrap();
        take(
            &self.config.data_dir,
            &vault,
            &hold.plan,
            keep,
            &Progress::new(),
        )
        .unwrap()
    }

    fn objects(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.dir().join("objects")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    fn packs(&self) -> usize {
        self.backends.packs.stats().packs
    }

    /// Messages in packs of their own.
    async fn fill(&self, from: u8, to: u8) -> Vec<(BlobRef, Bytes)> {
        let mut blobs = Vec::new();
        for seed in from..to {
            let bytes = Bytes::from(vec![seed; 700]);
            let origin = Provenance::default();
            let blob = self
                .backends
                .packs
                .put(bytes.clone(), &origin)
                .await
                .unwrap();
            self.backends.packs.seal_active().await.unwrap();
            blobs.push((blob, bytes));
        }
        blobs
    }
}

fn named(manifest: &Manifest) -> BTreeSet<String> {
    let parts = manifest.files.iter().flat_map(|file| &file.parts);
    parts.map(|part| part.hash.clone()).collect()
}

/// The blobs are in what the newest backup of `dir` restores to.
async fn assert_restores(dir: &Path, blobs: &[(BlobRef, Bytes)]) {
    let to = tempfile::tempdir().unwrap();
    let vault = Vault::to_read(dir).unwrap();
    let manifest = vault.choose(None).unwrap();
    whole::put_back(to.path(), &vault, &manifest, false).unwrap();
    let packs = blob_packs::PackStore::open(
        to.path().join("packs"),
        blob_packs::Options::default(),
        |_| (),
    );
    let packs = packs.unwrap();
    for (blob, bytes) in blobs {
        assert_eq!(packs.get(blob, 0..700).await.unwrap(), *bytes);
    }
}

#[tokio::test]
async fn packs_that_were_compacted_away_go_once_no_backup_needs_them() {
    let scene = Scene::new().await;
    // So many small packs are merged by the next collection.
    let blobs = scene.fill(0, 10).await;
    let first = scene.backup(2).await.manifest;

    let hold = Hold::take(&scene.backends).await.unwrap();
    let before = scene.packs();
    scene.backends.collect().await.unwrap();
    assert_eq!(scene.packs(), before, "held");
    drop(hold);
    scene.backends.collect().await.unwrap();
    assert!(scene.packs() < before, "{before} packs");

    let second = scene.backup(2).await.manifest;
    let both: BTreeSet<String> = named(&first).union(&named(&second)).cloned().collect();
    assert_eq!(scene.objects(), both, "the older one is kept");
    assert_restores(&scene.dir(), &blobs).await;
    let vault = Vault::to_read(&scene.dir()).unwrap();
    assert_eq!(vault.manifest(first.number).unwrap(), first);
    drop(vault);

    let more = scene.fill(100, 103).await;
    let third = scene.backup(1).await.manifest;
    assert_eq!(scene.objects(), named(&third));
    assert_restores(&scene.dir(), &[blobs, more].concat()).await;
}

#[tokio::test]
async fn a_file_of_the_same_name_that_is_another_one_is_copied_whole() {
    let scene = Scene::new().await;
    let blobs = scene.fill(0, 3).await;
    scene.backup(1).await;
    // Behind the backup's back: the same head, another tail, and longer.
    let pack = scene.config.data_dir.join("packs/pack-000001.pack");
    let mut bytes = std::fs::read(&pack).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    bytes.extend_from_slice(&[0; 64]);
    std::fs::write(&pack, &bytes).unwrap();
    let taken = scene.backup(1).await;
    let entry = taken
        .manifest
        .find(Path::new("packs/pack-000001.pack"))
        .unwrap();
    assert_eq!((entry.parts.len(), entry.length), (1, bytes.len() as u64));
    // An object that is lost is copied again.
    let vault = Vault::to_write(&scene.dir()).unwrap();
    let pack = taken
        .manifest
        .find(Path::new("packs/pack-000002.pack"))
        .unwrap();
    std::fs::remove_file(vault.object(&pack.parts[0])).unwrap();
    drop(vault);
    scene.backup(1).await;
    assert_restores(&scene.dir(), &blobs[1..]).await;
}
