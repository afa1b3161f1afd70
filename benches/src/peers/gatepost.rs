//! Our own binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Server, Settings};

use super::{Peer, accounts};
use crate::clients::Door;
use crate::tls::Tls;
use crate::wire::Result;

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
        // Dovecot's limits are out of the way too.
        let limits = "max_connections = 5000\nmax_connections_per_ip = 5000".to_owned();
        let settings = Settings {
            accounts: accounts(),
            tls: true,
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

    fn tls_imap(&self) -> Result<Door> {
        self.tls(self.server.address("imap-tls"))
    }

    fn tls_pop3(&self) -> Result<Door> {
        self.tls(self.server.address("pop3-tls"))
    }

    fn root(&self) -> Option<u32> {
        Some(self.server.pid())
    }

    fn data(&self) -> Option<PathBuf> {
        Some(self.server.data_dir())
    }

    fn stop(&mut self) -> Result<()> {
        self.server.terminate();
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        Ok(self.server.try_start_again()?)
    }
}

impl Gatepost {
    fn tls(&self, address: SocketAddr) -> Result<Door> {
        let tls = Some(Tls::trusting(&self.server.file("cert.pem"))?);
        Ok(Door {
            tls,
            ..self.door(address)
        })
    }
}
