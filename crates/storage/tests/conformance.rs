//! The reference stores pass the suite they are the reference of.

mod meta {
    use std::sync::Mutex;
    use storage::MemoryMeta;
    use storage::conformance::MetaHarness;

    /// The place is the store opened last: what it held is what the next one opens with.
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
}

mod blob {
    use bytes::Bytes;
    use std::sync::Mutex;
    use storage::MemoryBlobs;
    use storage::conformance::BlobHarness;

    /// The place is the store opened last: what it held is what the next one opens with.
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
}
