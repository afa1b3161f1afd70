//! What a process holds: memory, descriptors, disk.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Its share of the memory in use, in octets: proportional set size.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Those of them that are sockets: connections and listeners.
    pub sockets: usize,
}

impl Usage {
    /// Of a process of this machine.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .expect("a running process on Linux");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|pss| pss.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process");
        let targets = descriptors
            .flatten()
            .map(|entry| fs::read_link(entry.path()));
        let targets: Vec<_> = targets.map(Result::unwrap_or_default).collect();
        let is_socket = |target: &&PathBuf| target.to_string_lossy().starts_with("socket:");
        Self {
            memory: kib.expect("a figure in KiB") << 10,
            descriptors: targets.len(),
            sockets: targets.iter().filter(is_socket).count(),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} descriptors",
            Mib(self.memory),
            self.descriptors
        )
    }
}

/// Octets, shown in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Mib(pub u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

/// Octets the files below a directory take on the disk; what goes away meanwhile takes none.
#[must_use]
pub fn disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
