//! The servers that are measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::{Server, Settings};

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
pub(crate) struct Dovecot {
    dir: TempDir,
    ports: [u16; 3],
    child: Option<Child>,
}

const DOVECOT: &str = "/usr/sbin/dovecot";

impl Dovecot {
    /// Whether Dovecot with IMAP, POP3 and LMTP is installed.
    pub(crate) fn installed() -> bool {
        let library = Path::new("/usr/lib/dovecot");
        Path::new(DOVECOT).is_file()
            && ["imap", "pop3", "lmtp"]
                .iter()
                .all(|program| library.join(program).is_file())
    }

    pub(crate) fn start() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::Builder::new()
            .prefix("gatepost-bench-dovecot-")
            .tempdir()?;
        let path = dir.path();
        let mut ports = [0; 3];
        for port in &mut ports {
            *port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        }
        let config = include_str!("../peers/dovecot.conf")
            .replace("@DIR@", &path.display().to_string())
            .replace("@IMAP@", &ports[0].to_string())
            .replace("@POP3@", &ports[1].to_string())
            .replace("@LMTP@", &ports[2].to_string());
        fs::write(path.join("dovecot.conf"), config)?;
        let users: String = accounts()
            .iter()
            .map(|name| format!("{name}:{PASSWORD}\n"))
            .collect();
        fs::write(path.join("users"), users)?;
        for name in ["run", "state", "mail"] {
            fs::create_dir(path.join(name))?;
        }
        // The mail processes run as `nobody`.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(path.join("mail"), fs::Permissions::from_mode(0o777))?;
        let mut dovecot = Self {
            dir,
            ports,
            child: None,
        };
        dovecot.spawn()?;
        Ok(dovecot)
    }

    fn spawn(&mut self) -> Result<()> {
        let child = Command::new(DOVECOT)
            .arg("-F")
            .arg("-c")
            .arg(self.dir.path().join("dovecot.conf"))
            .stdin(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(20);
        for port in self.ports {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if Instant::now() > until {
                    let log = fs::read_to_string(self.dir.path().join("dovecot.log"));
                    return Err(
                        format!("Dovecot does not start: {}", log.unwrap_or_default()).into(),
                    );
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = child.id().to_string();
        // Only SIGTERM lets the master take its children with it.
        let _ = Command::new("kill").arg(&pid).status();
        let until = Instant::now() + Duration::from_secs(20);
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > until {
                let _ = child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[index]))
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Peer for Dovecot {
    fn name(&self) -> String {
        let output = Command::new(DOVECOT).arg("--version").output();
        let said = output.map(|output| output.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        format!(
            "dovecot {}",
            said.split(' ').next().unwrap_or_default().trim()
        )
    }

    fn imap(&self) -> SocketAddr {
        self.address(0)
    }

    fn pop3(&self) -> SocketAddr {
        self.address(1)
    }

    fn lmtp(&self) -> SocketAddr {
        self.address(2)
    }

    fn root(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    fn restart(&mut self) -> Result<()> {
        self.stop();
        self.spawn()
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

/// Proportional set size of a process and all its descendants, in bytes.
pub(crate) fn memory(root: u32) -> Result<u64> {
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
    let mut sum = 0;
    for pid in all {
        // A process that has just ended counts nothing.
        let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
        let rollup = fs::read_to_string(path).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|pss| pss.split_whitespace().next()?.parse::<u64>().ok());
        sum += kib.unwrap_or(0) * 1024;
    }
    Ok(sum)
}
