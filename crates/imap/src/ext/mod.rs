//! Extensions with commands of their own, one per file, each with its row.

pub(crate) mod acl;
pub(crate) mod appendlimit;
pub(crate) mod binary;
pub(crate) mod comparator;
pub(crate) mod compress;
pub(crate) mod condstore;
pub(crate) mod context;
pub(crate) mod enable;
pub(crate) mod filters;
pub(crate) mod id;
pub(crate) mod idle;
pub(crate) mod metadata;
pub(crate) mod r#move;
pub(crate) mod multisearch;
pub(crate) mod namespace;
pub(crate) mod notify;
pub(crate) mod objectid;
pub(crate) mod partial;
pub(crate) mod preview;
pub(crate) mod qresync;
pub(crate) mod quota;
pub(crate) mod replace;
pub(crate) mod rev2;
pub(crate) mod savedate;
pub(crate) mod sort;
pub(crate) mod starttls;
pub(crate) mod status_size;
pub(crate) mod thread;
pub(crate) mod uidbatches;
pub(crate) mod uidonly;
pub(crate) mod unselect;
pub(crate) mod urlauth;

pub(crate) use crate::cmd::*;
pub(crate) use crate::spec::{Capability, Extension, StatusItem, When};
