//! What the kernel knows of a server: its memory, and its files in the page cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use crate::wire::Result;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a service takes connections.
pub(crate) fn wait_for(address: SocketAddr, name: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > until {
            return Err(format!("{name} does not start").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process and all that descend from it.
pub(crate) fn descendants(root: u32) -> Result<BTreeSet<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // `pid (name) state ppid ...`; the name may hold spaces and brackets.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        if all.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    Ok(all)
}

/// Proportional set size of a process and all its descendants, in bytes.
pub(crate) fn memory(root: u32) -> Result<u64> {
    let mut sum = 0;
    for pid in descendants(root)? {
        // A process that has just ended counts nothing.
        let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
        let rollup = fs::read_to_string(path).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|pss| pss.split_whitespace().next()?.parse::<u64>().ok());
        sum += kib.unwrap_or(0) * 1024;
    }
    Ok(sum)
}

/// Takes all files below `directory` out of the page cache.
pub(crate) fn evict(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            evict(&entry.path())?;
        } else if kind.is_file() {
            let file = File::open(entry.path())?;
            // Only clean pages are let go.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
