//! The suite every blob store passes.

use crate::common::{copy, eager, open_with};
use blob_packs::PackStore;
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use storage::conformance::{BlobHarness, damage_files};

struct Packs {
    root: tempfile::TempDir,
    /// Where the store is now: it moves at every crash.
    place: Mutex<u32>,
}

impl Packs {
    fn dir(&self) -> PathBuf {
        let place = *self.place.lock().expect("lock");
        self.root.path().join(place.to_string())
    }
}

impl BlobHarness for Packs {
    type Store = PackStore;

    async fn fresh() -> Self {
        Self {
            root: tempfile::tempdir().expect("tempdir"),
            place: Mutex::new(0),
        }
    }

    async fn open(&self) -> PackStore {
        Arc::into_inner(open_with(&self.dir(), eager())).expect("the only handle")
    }

    async fn crash_reopen(&self, store: Arc<PackStore>) -> PackStore {
        let old = self.dir();
        *self.place.lock().expect("lock") += 1;
        copy(&old, &self.dir());
        drop(store);
        self.open().await
    }

    async fn collect(&self, store: &PackStore) {
        store.seal_active().await.expect("seal");
        store.collect(async |_| Ok(false)).await.expect("collect");
    }

    async fn damage(&self, _store: &PackStore, content: &Bytes) {
        damage_files(&self.dir(), content);
    }
}

storage::blob_conformance!(Packs);
