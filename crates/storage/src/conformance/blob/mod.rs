//! The cases of the `BlobStore` contract, one file per method or subject. A function's name is the
//! sentence it proves.

pub mod collect;
pub mod damage;
pub mod get;
pub mod model;
pub mod put;
pub mod reopen;
