//! The cases of the `BlobStore` contract, one file per method or subject.

pub mod get;
pub mod put;
