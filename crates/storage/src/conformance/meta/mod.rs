//! The cases of the `MetaStore` contract, one file per method or subject. A function's name is the
//! sentence it proves.

pub mod accounts;
pub mod commit;
pub mod durable;
pub mod get;
pub mod limits;
pub mod links;
pub mod model;
pub mod races;
pub mod reopen;
pub mod scan;
pub mod watch;
