//! The cases of the `MetaStore` contract, one file per method or subject.

pub mod commit;
pub mod get;
pub mod reopen;
pub mod scan;
