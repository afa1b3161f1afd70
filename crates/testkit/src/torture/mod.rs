//! A busy server whose power goes, or which is killed, again and again.
//!
//! [`Rig::run`] lives as long as wanted and tells what contradicted what clients had been told:
//! messages lost or changed, deletions undone, a UID, MODSEQ or UIDL with two meanings, counters
//! that do not agree, a store that does not open.

mod folders;
mod knowledge;
mod ledger;
mod load;
mod rig;
mod settle;
mod watcher;

pub use load::delivered;
pub use rig::{End, Rig, Tally};
