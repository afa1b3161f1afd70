//! Debian's Courier IMAP with `benches/peers/courier.sh`, unpacked below `GATEPOST_BENCH_COURIER`.

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use testkit::certificate;

use super::{Need, Peer, accounts, process};
use crate::clients::Door;
use crate::tls::Tls;
use crate::wire::Result;

pub(crate) const INSTALL: &str = "benches/peers/unpack.sh courier target/peers/courier, then set \
                                  GATEPOST_BENCH_COURIER=target/peers/courier; run as root";

/// It has no LMTP; the other accounts stay empty.
pub(crate) struct Courier {
    dir: TempDir,
    /// IMAP, POP3, and both with TLS.
    ports: [u16; 4],
    child: Option<Child>,
}

/// The directory below which Debian's files lie.
fn unpacked() -> Option<PathBuf> {
    let given = env::var_os("GATEPOST_BENCH_COURIER")?;
    fs::canonicalize(given).ok()
}

pub(crate) fn installed() -> bool {
    let program = "usr/lib/courier/courier/imaplogin";
    unpacked().is_some_and(|unpacked| unpacked.join(program).is_file())
}

impl Courier {
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("gatepost-courier-")
            .tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        certificate::write(dir.path())?;
        let mut ports = [0; 4];
        for port in &mut ports {
            *port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        }
        let child = None;
        let mut courier = Self { dir, ports, child };
        courier.start()?;
        Ok(courier)
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

impl Peer for Courier {
    fn name(&self) -> String {
        let version = unpacked().map(|unpacked| fs::read_to_string(unpacked.join("VERSION")));
        let version = version
            .and_then(std::result::Result::ok)
            .unwrap_or_default();
        let version = version.split(['+', '\n']).next().unwrap_or_default();
        format!("courier {version}")
    }

    fn imap(&self) -> SocketAddr {
        self.address(0)
    }

    fn pop3(&self) -> SocketAddr {
        self.address(1)
    }

    fn lmtp(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn offers(&self, need: Need) -> bool {
        !matches!(need, Need::Lmtp | Need::Receivers)
    }

    /// Its answers come in pieces too, and Nagle's algorithm stays on.
    fn wants_quick_ack(&self) -> bool {
        true
    }

    fn tls_imap(&self) -> Result<Door> {
        self.tls(2)
    }

    fn tls_pop3(&self) -> Result<Door> {
        self.tls(3)
    }

    fn root(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn data(&self) -> Option<PathBuf> {
        Some(self.dir.path().join("mail"))
    }

    /// All ends with the first process of its namespace. Nothing is in memory alone.
    fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let unpacked = unpacked().ok_or("GATEPOST_BENCH_COURIER names no directory")?;
        let mut child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args([
                "sh",
                "-c",
                include_str!("../../peers/courier.sh"),
                "courier.sh",
            ])
            .arg(unpacked)
            .arg(self.dir.path())
            .args(self.ports.map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let users = accounts().into_iter().map(|(name, _)| name + "\n");
        let users: String = users.collect();
        let said = child
            .stdin
            .take()
            .map(|mut stdin| stdin.write_all(users.as_bytes()));
        self.child = Some(child);
        said.transpose()?;
        (0..4).try_for_each(|index| process::wait_for(self.address(index), "Courier"))
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
