//! Mounting, and leaving nothing mounted.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::programs;

/// How the directories begin in which disks of a test process lie; its id follows.
const PREFIX: &str = "gatepost-disks-";

/// A directory for disks, which is removed with everything that is mounted below it.
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// In memory where there is enough of it, otherwise among temporary files. What a process left
    /// that was killed is removed first.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() && roomy(memory) {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        remove_orphans(&home);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(home)?;
        Ok(Self { dir: dir.keep() })
    }

    /// Its path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        clear(&self.dir);
    }
}

fn roomy(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|stat| stat.f_bavail * stat.f_frsize > 4 << 30)
}

/// Unmounts everything below a directory, newest first, and removes it.
fn clear(dir: &Path) {
    for place in mounted_below(dir).iter().rev() {
        unmount(place);
    }
    // With something still mounted below it, it stays: better than to remove what lies there.
    if mounted_below(dir).is_empty() {
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// Directories of processes that are no more.
fn remove_orphans(home: &Path) {
    let Ok(entries) = std::fs::read_dir(home) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            let (owner, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
            owner.parse::<u32>().ok()
        });
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            clear(&entry.path());
        }
    }
}

/// Mount points below a directory, oldest first.
fn mounted_below(dir: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let places = places.map(PathBuf::from);
    places.filter(|place| place.starts_with(dir)).collect()
}

/// Unmounts; at last by hiding it, so that nothing stays visible.
pub(super) fn unmount(dir: &Path) {
    for _ in 0..20 {
        if run("umount", &[dir.as_os_str()]).is_ok() {
            return;
        }
        if !mounted_below(dir).iter().any(|place| place == dir) {
            return;
        }
        // A process that was just killed may not have let go yet: nothing tells when it has.
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = run("umount", &[OsStr::new("-l"), dir.as_os_str()]);
}

/// Runs a program of the system to its end.
pub(super) fn run(program: &str, args: &[&OsStr]) -> io::Result<()> {
    let output = Command::new(programs::find(program))
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = programs::said(&output);
    Err(io::Error::other(format!("{program} {args:?}: {said}")))
}
