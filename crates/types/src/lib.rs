//! Mail nouns shared by every crate: identifiers, flags, mailbox names and uid sets.
//!
//! No I/O, no async, no protocol text. Sequence numbers are absent on purpose: they exist only in a
//! front's picture of what one client has been told.
#![forbid(unsafe_code)]

mod blob;
mod door;
mod flags;
mod ids;
mod name;
mod policy;
mod rights;
mod role;
mod uidset;

pub use blob::BlobHash;
pub use door::{Door, Doors};
pub use flags::{FlagOp, Flags, InvalidKeyword, Keyword};
pub use ids::{AccountId, CredentialId, EmailId, MailboxId, ModSeq, ThreadId, Uid, UidValidity};
pub use name::{InvalidName, MailboxName, SEPARATOR};
pub use policy::{InvalidPolicy, KeepDays, Pop3Policy};
pub use rights::Rights;
pub use role::Role;
pub use uidset::UidSet;
