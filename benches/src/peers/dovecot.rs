//! Debian's Dovecot with `benches/peers/dovecot.conf`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use testkit::Dovecot;

use super::{NOTIFY_BEGINS_LATE, Peer, accounts};
use crate::clients::Door;
use crate::tls::Tls;
use crate::wire::Result;

pub(crate) const INSTALL: &str =
    "as root, apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd";

pub(crate) fn start() -> Result<Dovecot> {
    let config = include_str!("../../peers/dovecot.conf");
    Ok(Dovecot::start(config, &accounts())?)
}

fn tls(dovecot: &Dovecot, address: SocketAddr) -> Result<Door> {
    let tls = Some(Tls::trusting(&dovecot.file("cert.pem"))?);
    Ok(Door {
        tls,
        ..dovecot.door(address)
    })
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

    fn tls_imap(&self) -> Result<Door> {
        tls(self, self.imaps())
    }

    fn tls_pop3(&self) -> Result<Door> {
        tls(self, self.pop3s())
    }

    fn root(&self) -> Option<u32> {
        Some(self.pid())
    }

    fn data(&self) -> Option<PathBuf> {
        Some(self.file("mail"))
    }

    fn stop(&mut self) -> Result<()> {
        self.stop();
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        Ok(self.start_again()?)
    }

    fn notify_begins(&self) -> Duration {
        NOTIFY_BEGINS_LATE
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
