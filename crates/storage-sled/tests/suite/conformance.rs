//! The store passes the suite of the contract.

use crate::support::copy_tree;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use storage::conformance::MetaHarness;
use storage_sled::{Options, SledStore};
use tempfile::TempDir;

struct Sled {
    dir: TempDir,
    /// Where below `dir` the store is now.
    place: Mutex<PathBuf>,
}

impl MetaHarness for Sled {
    type Store = SledStore;

    async fn fresh() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Mutex::new(dir.path().join("0"));
        Self { dir, place }
    }

    async fn open(&self) -> SledStore {
        let place = self.place.lock().unwrap();
        let store = SledStore::open(&place, Options::default(), &|_| ()).unwrap();
        Arc::into_inner(store).expect("nobody else has it")
    }

    /// Opens what the file system holds while the store still runs, so that nothing its `Drop` does
    /// counts.
    async fn crash_reopen(&self, store: Arc<SledStore>) -> SledStore {
        let copy = {
            let mut place = self.place.lock().unwrap();
            let count = fs::read_dir(self.dir.path()).unwrap().count();
            let copy = self.dir.path().join(count.to_string());
            copy_tree(&place, &copy);
            *place = copy.clone();
            copy
        };
        drop(store);
        assert!(copy.join("log").is_dir());
        self.open().await
    }
}

storage::meta_conformance!(Sled);
