//! Disks whose power goes.
//!
//! - [`BlockDisk`]: ext4 on a loop device; a cut is a clone of the device at one moment.
//! - [`FuseDisk`]: keeps what was synced, and of the rest whatever chance leaves; fails on demand.
//!
//! Both want root; [`unavailable`] says what is missing.

mod block;
mod content;
mod faults;
mod fuse;
mod mounts;
mod survival;
mod volume;

use std::path::Path;

pub use block::{BlockDisk, Works};
pub use faults::{Fault, Faults};
pub use fuse::FuseDisk;
pub use mounts::Shelf;

/// Why disks cannot be made here.
#[must_use]
pub fn unavailable() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may mount file systems");
    }
    if !Path::new("/dev/fuse").exists() {
        return Some("there is no /dev/fuse");
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there is no /dev/loop-control");
    }
    None
}
