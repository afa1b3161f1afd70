//! A server that somebody runs, by host and port. Nothing is sent anywhere else, and nothing is
//! changed unless that is allowed.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use super::{Need, Peer};
use crate::clients::{Door, Imap};
use crate::wire::{Result, SMALL};

/// Is connected to by no workload, because none runs whose door is missing.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Made and deleted where writing is allowed.
const SCRATCH: &str = "gatepost-bench";

/// Where the server is, and what it may be asked.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// Measure the IMAP server at HOST:PORT instead of one that is started here. Rows that only
    /// read, unless --may-write is given.
    #[arg(long, value_name = "HOST:PORT")]
    imap: Option<String>,
    /// The same for POP3.
    #[arg(long, value_name = "HOST:PORT")]
    pop3: Option<String>,
    /// The same for LMTP; used only with --may-write: messages are delivered to --user and stay.
    #[arg(long, value_name = "HOST:PORT")]
    lmtp: Option<String>,
    /// The account there.
    #[arg(long)]
    user: Option<String>,
    /// Its password; better in the environment's GATEPOST_BENCH_PASSWORD.
    #[arg(long)]
    password: Option<String>,
    /// The mailbox there that is read.
    #[arg(long, default_value = "INBOX")]
    mailbox: String,
    /// Change things there: a mailbox `gatepost-bench` is made, filled, and deleted at the end;
    /// messages are delivered by LMTP.
    #[arg(long)]
    may_write: bool,
}

impl Target {
    pub(crate) fn is_given(&self) -> bool {
        self.imap.is_some() || self.pop3.is_some() || self.lmtp.is_some()
    }
}

pub(crate) struct Remote {
    imap: Option<SocketAddr>,
    pop3: Option<SocketAddr>,
    lmtp: Option<SocketAddr>,
    user: String,
    password: String,
    mailbox: String,
    may_write: bool,
}

impl Remote {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let user = target.user.clone().ok_or("--user is missing")?;
        let environment = || std::env::var("GATEPOST_BENCH_PASSWORD").ok();
        let password = target.password.clone().or_else(environment);
        let mailbox = if target.may_write {
            SCRATCH.to_owned()
        } else {
            target.mailbox.clone()
        };
        Ok(Self {
            imap: resolve(target.imap.as_ref())?,
            pop3: resolve(target.pop3.as_ref())?,
            lmtp: resolve(target.lmtp.as_ref())?,
            user,
            password: password.ok_or("--password or GATEPOST_BENCH_PASSWORD is missing")?,
            mailbox,
            may_write: target.may_write,
        })
    }
}

fn resolve(given: Option<&String>) -> Result<Option<SocketAddr>> {
    let Some(given) = given else {
        return Ok(None);
    };
    let found = given
        .to_socket_addrs()
        .map_err(|error| format!("{given}: {error}"))?
        .next();
    Ok(Some(found.ok_or_else(|| format!("{given}: no address"))?))
}

impl Peer for Remote {
    fn name(&self) -> String {
        let given = [self.imap, self.pop3, self.lmtp]
            .into_iter()
            .flatten()
            .next();
        given.map_or_else(String::new, |address| address.to_string())
    }

    fn imap(&self) -> SocketAddr {
        self.imap.unwrap_or(NOWHERE)
    }

    fn pop3(&self) -> SocketAddr {
        self.pop3.unwrap_or(NOWHERE)
    }

    fn lmtp(&self) -> SocketAddr {
        self.lmtp.unwrap_or(NOWHERE)
    }

    fn offers(&self, need: Need) -> bool {
        match need {
            Need::Imap => self.imap.is_some(),
            Need::Pop3 => self.pop3.is_some(),
            Need::Lmtp => self.lmtp.is_some() && self.may_write,
            Need::Write => self.may_write,
            Need::Tls | Need::Process | Need::Receivers => false,
        }
    }

    fn door(&self, address: SocketAddr) -> Door {
        Door {
            address,
            user: self.user.clone(),
            password: self.password.clone(),
            tls: None,
            quick_ack: false,
        }
    }

    fn mailbox(&self) -> String {
        self.mailbox.clone()
    }

    fn receiver(&self, _: usize) -> String {
        self.user.clone()
    }

    fn prepare(&mut self, wanted: usize) -> Result<usize> {
        let Some(address) = self.imap else {
            return Ok(0);
        };
        let mut imap = Imap::login(&self.door(address), SMALL)?;
        if self.may_write {
            imap.run(&format!("CREATE {SCRATCH}"))?;
            return Ok(0);
        }
        let opened = imap.run_noting(&format!("EXAMINE {}", self.mailbox), " EXISTS")?;
        let exists = opened.noted.split(' ').nth(1);
        let exists: usize = exists.and_then(|number| number.parse().ok()).unwrap_or(0);
        if exists == 0 {
            return Err(format!("{} is empty", self.mailbox).into());
        }
        Ok(exists.min(wanted))
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(address) = self.imap.filter(|_| self.may_write) {
            let mut imap = Imap::login(&self.door(address), SMALL)?;
            imap.run(&format!("DELETE {SCRATCH}"))?;
        }
        Ok(())
    }
}
