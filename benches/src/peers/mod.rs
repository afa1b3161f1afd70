//! The servers that are measured.

mod courier;
mod cyrus;
mod dovecot;
mod gatepost;
pub(crate) mod process;
mod remote;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use testkit::Dovecot;

pub(crate) use gatepost::Gatepost;
pub(crate) use process::memory;
pub(crate) use remote::{Remote, Target, resolve};

use crate::clients::Door;
use crate::wire::Result;

/// The account whose INBOX the reading workloads read.
pub(crate) const READER: &str = "bench";
/// Deliveries go to so many others; their password is the same.
const RECEIVERS: usize = 64;
/// Stored as it is, so that no server pays for a hash.
pub(crate) const PASSWORD: &str = "pass";

/// Dovecot 2.3 begins to watch a second after NOTIFY, and again after each change it has told;
/// what changes before goes untold until the next change.
pub(crate) const NOTIFY_BEGINS_LATE: Duration = Duration::from_millis(1500);

/// What a workload needs of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Imap,
    Pop3,
    Lmtp,
    /// IMAP with TLS from the first octet.
    Imaps,
    Pop3s,
    /// What is stored may be changed.
    Write,
    /// A process of ours: its memory is seen, it is stopped and started.
    Process,
    /// Accounts beside the reader's.
    Receivers,
}

/// A server under load.
pub(crate) trait Peer {
    /// Name and version, for the report.
    fn name(&self) -> String;
    fn imap(&self) -> SocketAddr;
    fn pop3(&self) -> SocketAddr;
    fn lmtp(&self) -> SocketAddr;

    fn offers(&self, need: Need) -> bool {
        let _ = need;
        true
    }

    /// As the reader through one of the above.
    fn door(&self, address: SocketAddr) -> Door {
        Door {
            address,
            user: READER.to_owned(),
            password: PASSWORD.to_owned(),
            tls: None,
            quick_ack: self.wants_quick_ack(),
        }
    }

    /// Whether its answers come late to a client that acknowledges when it has something to say:
    /// [`crate::wire::QuickAck`].
    fn wants_quick_ack(&self) -> bool {
        false
    }

    fn tls_imap(&self) -> Result<Door> {
        Err("no TLS here".into())
    }

    fn tls_pop3(&self) -> Result<Door> {
        Err("no TLS here".into())
    }

    /// The reader's mailbox.
    fn mailbox(&self) -> String {
        "INBOX".to_owned()
    }

    /// How many accounts there are for deliveries.
    fn receivers(&self) -> usize {
        RECEIVERS
    }

    /// The name of one of the accounts that deliveries go to.
    fn receiver(&self, index: usize) -> String {
        receiver(index % RECEIVERS)
    }

    /// Called before the first workload with the number of messages that are wanted; how many of
    /// them the mailbox has.
    fn prepare(&mut self, wanted: usize) -> Result<usize> {
        let _ = wanted;
        Ok(0)
    }

    /// Called after the last.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// The process whose descendants, itself included, are the server.
    fn root(&self) -> Option<u32> {
        None
    }

    /// Where its files lie.
    fn data(&self) -> Option<PathBuf> {
        None
    }

    /// A clean stop.
    fn stop(&mut self) -> Result<()> {
        Err("not a process of ours".into())
    }

    /// A start on the same data.
    fn start(&mut self) -> Result<()> {
        Err("not a process of ours".into())
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// The same, and in between its data leave the page cache.
    fn restart_cold(&mut self) -> Result<()> {
        let data = self.data().ok_or("its files are not here")?;
        self.stop()?;
        process::evict(&data)?;
        self.start()
    }

    /// How long after NOTIFY (RFC 5465), and after each change, it certainly tells of the next.
    fn notify_begins(&self) -> Duration {
        Duration::ZERO
    }

    /// Why so many connections in IDLE cannot be told of a delivery on this machine, if they
    /// cannot.
    fn idle_trouble(&self, connections: usize) -> Option<String> {
        let _ = connections;
        None
    }
}

/// A server that can be started here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Debian's Dovecot, sdbox.
    Dovecot,
    /// Debian's Cyrus IMAP.
    Cyrus,
    /// Debian's Courier IMAP.
    Courier,
}

impl Kind {
    pub(crate) fn installed(self) -> bool {
        match self {
            Self::Dovecot => Dovecot::installed(),
            Self::Cyrus => cyrus::installed(),
            Self::Courier => courier::installed(),
        }
    }

    /// How to install it.
    pub(crate) fn how(self) -> &'static str {
        match self {
            Self::Dovecot => dovecot::INSTALL,
            Self::Cyrus => cyrus::INSTALL,
            Self::Courier => courier::INSTALL,
        }
    }

    /// A new server without mail.
    pub(crate) fn start(self) -> Result<Box<dyn Peer>> {
        match self {
            Self::Dovecot => Ok(Box::new(dovecot::start()?)),
            Self::Cyrus => Ok(Box::new(cyrus::Cyrus::new()?)),
            Self::Courier => Ok(Box::new(courier::Courier::new()?)),
        }
    }
}

/// Starts our own binary without mail.
pub(crate) fn gatepost(binary: &Path) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Gatepost::start(binary)?))
}

/// Names and passwords of all accounts.
pub(crate) fn accounts() -> Vec<(String, String)> {
    let receivers = (0..RECEIVERS).map(receiver);
    std::iter::once(READER.to_owned())
        .chain(receivers)
        .map(|name| (name, PASSWORD.to_owned()))
        .collect()
}

fn receiver(index: usize) -> String {
    format!("receiver{index}")
}
