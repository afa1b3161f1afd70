//! Debian's Cyrus IMAP with `benches/peers/cyrus.conf` and `cyrus-imapd.conf`, installed or
//! unpacked below `GATEPOST_BENCH_CYRUS`, since its packages conflict with Dovecot's.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::certificate;

use super::{Peer, process};
use crate::clients::Door;
use crate::tls::Tls;
use crate::wire::{Result, SMALL, Wire};

pub(crate) const INSTALL: &str = "benches/peers/unpack.sh cyrus target/peers/cyrus, then set \
                                  GATEPOST_BENCH_CYRUS=target/peers/cyrus; run as root";
/// What the configuration calls the ports.
const PORTS: [&str; 5] = ["@IMAP@", "@POP3@", "@LMTP@", "@IMAPS@", "@POP3S@"];
/// How long a stop may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Debian's `nobody` and `nogroup`; the master is root and its services are not.
const NOBODY: u32 = 65_534;

pub(crate) struct Cyrus {
    dir: TempDir,
    /// Held for its files.
    _run: TempDir,
    ports: [u16; 5],
    child: Option<Child>,
}

/// The directory below which Debian's files lie.
fn root() -> PathBuf {
    let given = env::var_os("GATEPOST_BENCH_CYRUS").map(PathBuf::from);
    let given = given.unwrap_or_else(|| PathBuf::from("/"));
    fs::canonicalize(&given).unwrap_or(given)
}

fn programs() -> PathBuf {
    root().join("usr/lib/cyrus/bin")
}

fn libraries() -> String {
    let root = root();
    let below = [
        "usr/lib/x86_64-linux-gnu",
        "lib/x86_64-linux-gnu",
        "usr/lib",
    ];
    let all: Vec<String> = below
        .iter()
        .map(|part| root.join(part).display().to_string())
        .collect();
    all.join(":")
}

pub(crate) fn installed() -> bool {
    let has = |program: &&str| programs().join(program).is_file();
    ["master", "imapd", "pop3d", "lmtpd", "idled"]
        .iter()
        .all(has)
}

impl Cyrus {
    pub(crate) fn new() -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("gatepost-cyrus-");
        let dir = builder.tempdir()?;
        let path = dir.path();
        let memory = Path::new("/dev/shm");
        let run = builder.tempdir_in(if memory.is_dir() { memory } else { path })?;
        let mut services = include_str!("../../peers/cyrus.conf").to_owned();
        let mut ports = [0; PORTS.len()];
        for (port, name) in ports.iter_mut().zip(PORTS) {
            *port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            services = services.replace(name, &port.to_string());
        }
        let fill = |text: &str| {
            text.replace("@DIR@", &path.display().to_string())
                .replace("@RUN@", &run.path().display().to_string())
                .replace("@BIN@", &programs().display().to_string())
        };
        fs::write(path.join("cyrus.conf"), fill(&services))?;
        let options = include_str!("../../peers/cyrus-imapd.conf");
        fs::write(path.join("imapd.conf"), fill(options))?;
        certificate::write(path)?;
        for open in [path, run.path()] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
        }
        for name in ["proc", "lock"] {
            let made = run.path().join(name);
            fs::create_dir(&made)?;
            chown(made, Some(NOBODY), Some(NOBODY))?;
        }
        let made = [
            "mail",
            "config",
            "config/socket",
            "config/db",
            "config/proc",
            "config/log",
        ];
        for name in made {
            fs::create_dir(path.join(name))?;
        }
        for name in made.into_iter().chain(["key.pem", "cert.pem"]) {
            chown(path.join(name), Some(NOBODY), Some(NOBODY))?;
        }
        let child = None;
        let mut cyrus = Self {
            dir,
            _run: run,
            ports,
            child,
        };
        cyrus.start()?;
        Ok(cyrus)
    }

    fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[index]))
    }

    fn tls(&self, index: usize) -> Result<Door> {
        let tls = Some(Tls::trusting(&self.dir.path().join("cert.pem"))?);
        Ok(Door {
            tls,
            ..self.door(self.address(index))
        })
    }
}

/// From its greeting: `* OK [...] localhost Cyrus IMAP 3.6.1-Debian-... server ready`.
fn version(address: SocketAddr) -> Result<String> {
    let mut wire = Wire::connect(address, SMALL)?;
    let greeting = String::from_utf8_lossy(wire.line()?).into_owned();
    let version = greeting.split(" Cyrus IMAP ").nth(1);
    let version = version.and_then(|rest| rest.split(['-', ' ']).next());
    Ok(version.unwrap_or_default().to_owned())
}

impl Peer for Cyrus {
    fn name(&self) -> String {
        format!("cyrus {}", version(self.imap()).unwrap_or_default())
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

    /// It writes 4096 octets at a time and does not turn off Nagle's algorithm.
    fn wants_quick_ack(&self) -> bool {
        true
    }

    fn tls_imap(&self) -> Result<Door> {
        self.tls(3)
    }

    fn tls_pop3(&self) -> Result<Door> {
        self.tls(4)
    }

    fn root(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn data(&self) -> Option<PathBuf> {
        Some(self.dir.path().to_owned())
    }

    fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // SIGTERM lets the master take its children with it.
        Command::new("kill").arg(child.id().to_string()).status()?;
        let until = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > until {
                child.kill()?;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let path = self.dir.path();
        let config = path.join("imapd.conf");
        let child = Command::new(programs().join("master"))
            .args(["-D", "-C"])
            .arg(&config)
            .arg("-M")
            .arg(path.join("cyrus.conf"))
            .arg("-p")
            .arg(path.join("master.pid"))
            .env("LD_LIBRARY_PATH", libraries())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        (0..PORTS.len()).try_for_each(|index| process::wait_for(self.address(index), "Cyrus"))
    }
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
