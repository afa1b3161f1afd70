//! A server under more than it is asked for on most days: what it holds meanwhile, and how long
//! everybody else waits.

mod bystander;
mod crowd;
mod run;
mod soak;
mod talk;
mod usage;

pub use bystander::Wait;
pub use run::{Seen, Size, run, server};
pub use soak::{Sample, Soak, server as soak_server};
pub use usage::{Mib, Usage, disk};

/// Accounts of a crowd.
const USERS: usize = 20;
