//! The reference stores pass the suite they are the reference of, and so do the stores that can
//! fail on purpose as long as they do not.

/// The place is the store opened last: what it held is what the next one opens with.
mod meta {
    use std::sync::Mutex;
    use storage::conformance::MetaHarness;
    use storage::{FaultMeta, Faults, MemoryMeta};

    struct Memory(Mutex<MemoryMeta>);

    impl MetaHarness for Memory {
        type Store = MemoryMeta;

        async fn fresh() -> Self {
            Self(Mutex::default())
        }

        async fn open(&self) -> MemoryMeta {
            let mut last = self.0.lock().expect("not poisoned");
            *last = MemoryMeta::reopen(last.snapshot());
            last.clone()
        }
    }

    storage::meta_conformance!(Memory);

    mod without_faults {
        use super::{FaultMeta, Faults, Memory, MemoryMeta, MetaHarness};

        struct Wrapped(Memory);

        impl MetaHarness for Wrapped {
            type Store = FaultMeta<MemoryMeta>;

            async fn fresh() -> Self {
                Self(Memory::fresh().await)
            }

            async fn open(&self) -> Self::Store {
                FaultMeta::new(self.0.open().await, Faults::new())
            }
        }

        storage::meta_conformance!(Wrapped);
    }
}

mod blob {
    use bytes::Bytes;
    use std::sync::Mutex;
    use storage::conformance::BlobHarness;
    use storage::{FaultBlobs, Faults, MemoryBlobs};

    struct Memory(Mutex<MemoryBlobs>);

    impl BlobHarness for Memory {
        type Store = MemoryBlobs;

        async fn fresh() -> Self {
            Self(Mutex::default())
        }

        async fn open(&self) -> MemoryBlobs {
            let mut last = self.0.lock().expect("not poisoned");
            *last = last.reopen();
            last.clone()
        }

        async fn collect(&self, store: &MemoryBlobs) {
            store.collect();
        }

        async fn damage(&self, store: &MemoryBlobs, content: &Bytes) {
            let hash = types::BlobHash(*blake3::hash(content).as_bytes());
            assert!(store.damage(&hash), "the blob is there");
        }
    }

    storage::blob_conformance!(Memory);

    mod without_faults {
        use super::{BlobHarness, Bytes, FaultBlobs, Faults, Memory, MemoryBlobs};

        struct Wrapped(Memory);

        impl BlobHarness for Wrapped {
            type Store = FaultBlobs<MemoryBlobs>;

            async fn fresh() -> Self {
                Self(Memory::fresh().await)
            }

            async fn open(&self) -> Self::Store {
                FaultBlobs::new(self.0.open().await, Faults::new())
            }

            async fn collect(&self, store: &Self::Store) {
                store.inner().collect();
            }

            async fn damage(&self, store: &Self::Store, content: &Bytes) {
                self.0.damage(store.inner(), content).await;
            }
        }

        storage::blob_conformance!(Wrapped);
    }
}
