//! The commands of RFC 3501, one per file.

pub(crate) mod append;
pub(crate) mod authenticate;
pub(crate) mod capability;
pub(crate) mod check;
pub(crate) mod close;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod expunge;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod listed;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod lsub;
pub(crate) mod noop;
pub(crate) mod rename;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod subscribe;

pub(crate) use crate::grammar::{BadSyntax, Cursor, Emit, Parsed};
pub(crate) use crate::refusal::{Code, Refusal};
pub(crate) use crate::session::{Session, State};
pub(crate) use crate::spec::{Done, Effects, Ready, Run, Spec, States, Then, UidForm};
