//! Debian's Dovecot on loopback: a living oracle, and the peer that is measured beside us.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificate;

const PROGRAM: &str = "/usr/sbin/dovecot";
/// What a configuration calls the ports.
const PORTS: [&str; 5] = ["@IMAP@", "@POP3@", "@LMTP@", "@IMAPS@", "@POP3S@"];
/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running Dovecot with a directory of its own. Dropping it stops the process and removes all.
pub struct Dovecot {
    dir: TempDir,
    /// In the order of [`PORTS`].
    ports: [u16; 5],
    child: Option<Child>,
}

impl Dovecot {
    /// Whether Dovecot with IMAP, POP3 and LMTP is installed.
    #[must_use]
    pub fn installed() -> bool {
        let library = Path::new("/usr/lib/dovecot");
        let has = |program: &&str| library.join(program).is_file();
        Path::new(PROGRAM).is_file() && ["imap", "pop3", "lmtp"].iter().all(has)
    }

    /// Its version.
    #[must_use]
    pub fn version() -> String {
        let output = Command::new(PROGRAM).arg("--version").output();
        let said = output.map(|output| output.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let number = said.split(' ').next().unwrap_or_default();
        format!("dovecot {}", number.trim())
    }

    /// Starts it with a configuration in which `@DIR@`, `@IMAP@`, `@POP3@`, `@LMTP@`, `@IMAPS@` and
    /// `@POP3S@` are filled in, and these users and passwords; it listens then. A self-signed
    /// certificate is in `@DIR@/cert.pem`, its key in `@DIR@/key.pem`.
    ///
    /// # Errors
    /// When it does not start, with its log.
    pub fn start(config: &str, users: &[(String, String)]) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("gatepost-dovecot-")
            .tempdir()?;
        let path = dir.path();
        let mut config = config.replace("@DIR@", &path.display().to_string());
        let mut ports = [0; PORTS.len()];
        for (port, name) in ports.iter_mut().zip(PORTS) {
            // One that the configuration does not use stays 0.
            if config.contains(name) {
                *port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                config = config.replace(name, &port.to_string());
            }
        }
        certificate::write(path)?;
        fs::write(path.join("dovecot.conf"), config)?;
        let line = |(name, password): &(String, String)| format!("{name}:{password}\n");
        fs::write(
            path.join("users"),
            users.iter().map(line).collect::<String>(),
        )?;
        for name in ["run", "state", "mail"] {
            fs::create_dir(path.join(name))?;
        }
        // The mail processes run as `nobody`.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(path.join("mail"), fs::Permissions::from_mode(0o777))?;
        let child = None;
        let mut dovecot = Self { dir, ports, child };
        dovecot.start_again()?;
        Ok(dovecot)
    }

    /// Starts it on the data as they are, after [`Dovecot::stop`].
    ///
    /// # Errors
    /// When it does not start, with its log.
    pub fn start_again(&mut self) -> io::Result<()> {
        let child = Command::new(PROGRAM)
            .arg("-F")
            .arg("-c")
            .arg(self.dir.path().join("dovecot.conf"))
            .stdin(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        let until = Instant::now() + PATIENCE;
        for port in self.ports.into_iter().filter(|port| *port > 0) {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if Instant::now() > until {
                    let log = fs::read_to_string(self.dir.path().join("dovecot.log"));
                    let log = log.unwrap_or_default();
                    return Err(io::Error::other(format!("Dovecot does not start: {log}")));
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Stops it cleanly.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = child.id().to_string();
        // Only SIGTERM lets the master take its children with it.
        let _ = Command::new("kill").arg(&pid).status();
        let until = Instant::now() + PATIENCE;
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > until {
                let _ = child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process whose descendants, itself included, are the server; 0 when it is stopped.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Where IMAP is spoken.
    #[must_use]
    pub fn imap(&self) -> SocketAddr {
        self.address(0)
    }

    /// Where POP3 is spoken.
    #[must_use]
    pub fn pop3(&self) -> SocketAddr {
        self.address(1)
    }

    /// Where LMTP is spoken.
    #[must_use]
    pub fn lmtp(&self) -> SocketAddr {
        self.address(2)
    }

    /// Where IMAP over TLS is spoken.
    #[must_use]
    pub fn imaps(&self) -> SocketAddr {
        self.address(3)
    }

    /// Where POP3 over TLS is spoken.
    #[must_use]
    pub fn pop3s(&self) -> SocketAddr {
        self.address(4)
    }

    /// A path in its directory: `mail`, `cert.pem`, `dovecot.log`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
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
