//! The conformance suite: every sentence of the two storage contracts as a test that any backend
//! runs.
//!
//! A backend joins with `storage = { workspace = true, features = ["conformance"] }` among its
//! dev-dependencies, a harness, and one line in a `conformance.rs` of its tests:
//!
//! ```ignore
//! struct Sled { dir: tempfile::TempDir }
//!
//! impl storage::conformance::MetaHarness for Sled {
//!     type Store = SledStore;
//!     async fn fresh() -> Self { Sled { dir: tempfile::tempdir().unwrap() } }
//!     async fn open(&self) -> SledStore { SledStore::open(self.dir.path()).await.unwrap() }
//! }
//!
//! storage::meta_conformance!(Sled);
//! ```
//!
//! The line becomes one named `#[test]` per case, each on its own multi-threaded tokio runtime and
//! with its own fresh place. After every case the store is closed and opened again, and must hold
//! exactly what it held before. A backend that needs a service says so on every case:
//! `storage::meta_conformance!(#[ignore = "needs TEST_POSTGRES_URL"] Postgres);`.
//!
//! Cases are listed once, in [`cases`]; [`META_CASES`] and [`BLOB_CASES`] are the same lists as
//! data, so that `cargo xtask` can check that no backend runs fewer.

#[doc(hidden)]
pub mod blob;
#[macro_use]
mod cases;
mod harness;
#[doc(hidden)]
pub mod meta;
mod support;

pub use cases::{BLOB_CASES, META_CASES, conformance_count};
pub use harness::{BlobCase, BlobHarness, MetaCase, MetaHarness, damage_files};
#[doc(hidden)]
pub use harness::{run_blob, run_meta};
