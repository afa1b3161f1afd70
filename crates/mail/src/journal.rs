//! The journal: what can happen to a mailbox, and how it is written down.

use crate::chunk::Row;
use types::{FlagOp, Flags, Keyword, UidSet};

/// One thing that happened to a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Messages came in, with ascending uids above all before.
    Appended(Vec<NewRow>),
    /// Flags of messages changed.
    Flagged(UidSet, FlagChange),
    /// Messages went away for good.
    Expunged(UidSet),
}

/// A row with its keywords by name: bits have a meaning only inside a view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewRow {
    pub(crate) row: Row,
    pub(crate) keywords: Vec<Keyword>,
}

/// What STORE does to each message it names.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagChange {
    /// Add, remove or replace.
    pub op: FlagOp,
    /// The system flags named.
    pub flags: Flags,
    /// The keywords named.
    pub keywords: Vec<Keyword>,
}
