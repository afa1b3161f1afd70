//! The servers that are measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Dovecot, Server, Settings};

use crate::clients::PASSWORD;
use crate::wire::Result;

/// The account whose INBOX the reading workloads read.
pub(crate) const READER: &str = "bench";
/// Its password and theirs is the same; deliveries go to these.
pub(crate) const RECEIVERS: usize = 16;

/// A server under load.
pub(crate) trait Peer {
    /// Name and version, for the report.
    fn name(&self) -> String;
    fn imap(&self) -> SocketAddr;
    fn pop3(&self) -> SocketAddr;
    fn lmtp(&self) -> SocketAddr;
    /// The process whose descendants, itself included, are the server.
    fn root(&self) -> u32;
    /// A clean stop and a start on the same data.
    fn restart(&mut self) -> Result<()>;
    /// Why so many connections in IDLE cannot be told of a delivery on this machine, if they
    /// cannot.
    fn idle_trouble(&self, connections: usize) -> Option<String> {
        let _ = connections;
        None
    }
}

/// Names of all accounts.
pub(crate) fn accounts() -> Vec<String> {
    let receivers = (0..RECEIVERS).map(receiver);
    std::iter::once(READER.to_owned())
        .chain(receivers)
        .collect()
}

/// The name of one of the accounts that deliveries go to.
pub(crate) fn receiver(index: usize) -> String {
    format!("receiver{index}")
}

/// Our own release binary.
pub(crate) struct Gatepost {
    server: Server,
    version: String,
}

impl Gatepost {
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        if !binary.is_file() {
            return Err(format!(
                "{}: build it first (cargo xtask bench does)",
                binary.display()
            )
            .into());
        }
        let output = Command::new(binary).arg("--version").output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let accounts = accounts()
            .into_iter()
            .map(|name| (name, PASSWORD.to_owned()))
            .collect();
        // Dovecot's limits are out of the way too.
        let limits = "max_connections = 5000\nmax_connections_per_ip = 5000".to_owned();
        let settings = Settings {
            accounts,
            imap: limits.clone(),
            pop3: limits,
            ..Settings::default()
        };
        let server = Server::with(binary, settings);
        Ok(Self { server, version })
    }
}

impl Peer for Gatepost {
    fn name(&self) -> String {
        self.version.clone()
    }

    fn imap(&self) -> SocketAddr {
        self.server.imap()
    }

    fn pop3(&self) -> SocketAddr {
        self.server.pop3()
    }

    fn lmtp(&self) -> SocketAddr {
        self.server.lmtp()
    }

    fn root(&self) -> u32 {
        self.server.pid()
    }

    fn restart(&mut self) -> Result<()> {
        self.server.terminate();
        self.server.start_again();
        Ok(())
    }
}

/// Debian's Dovecot with `benches/peers/dovecot.conf`.
pub(crate) fn dovecot() -> Result<Dovecot> {
    let users: Vec<_> = accounts()
        .into_iter()
        .map(|name| (name, PASSWORD.to_owned()))
        .collect();
    Ok(Dovecot::start(
        include_str!("../peers/dovecot.conf"),
        &users,
    )?)
}

impl Peer for Dovecot {
    fn name(&self) -> String {
        Self::version()
    }

    fn imap(&self) -> SocketAddr {
        self.imap()
    }

    fn pop3(&self) -> SocketAddr {
        self.pop3()
    }

    fn lmtp(&self) -> SocketAddr {
        self.lmtp()
    }

    fn root(&self) -> u32 {
        self.pid()
    }

    fn restart(&mut self) -> Result<()> {
        self.stop();
        Ok(self.start_again()?)
    }

    /// Each of its processes watches the mailbox with an inotify instance of its own.
    fn idle_trouble(&self, connections: usize) -> Option<String> {
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok()?;
        let limit: usize = limit.trim().parse().ok()?;
        (limit <= connections).then(|| {
            format!(
                "Dovecot would only poll: {connections} processes need more than the {limit} \
                 instances of fs.inotify.max_user_instances"
            )
        })
    }
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
