//! A server that somebody runs, by host and port. Nothing is sent anywhere else, and nothing is
//! changed unless that is allowed.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use super::{Need, Peer};
use crate::clients::Door;
use crate::imap::Imap;
use crate::tls::{Tls, Trust};
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
    /// IMAP with TLS from the first octet, for the rows with TLS.
    #[arg(long, value_name = "HOST:PORT")]
    imaps: Option<String>,
    /// The same for POP3.
    #[arg(long, value_name = "HOST:PORT")]
    pop3s: Option<String>,
    /// Certificates, in PEM, that vouch for the server's.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt"
    )]
    tls_ca: PathBuf,
    /// Take any certificate.
    #[arg(long, conflicts_with = "tls_ca")]
    insecure_tls: bool,
    /// The account there.
    #[arg(long)]
    user: Option<String>,
    /// Its password; better in the environment's GATEPOST_BENCH_PASSWORD.
    #[arg(long)]
    password: Option<String>,
    /// More accounts there with the same password, each an INBOX to poll and, with --may-write, to
    /// deliver to, for the rows of many POP3 and LMTP connections.
    #[arg(long, value_delimiter = ',', value_name = "USER,...")]
    receivers: Vec<String>,
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
        let all = [&self.imap, &self.pop3, &self.lmtp, &self.imaps, &self.pop3s];
        all.into_iter().any(Option::is_some)
    }

    fn secure(&self, given: Option<&String>) -> Result<Option<(SocketAddr, Tls)>> {
        let (Some(given), Some(address)) = (given, resolve(given)?) else {
            return Ok(None);
        };
        let host = given
            .rsplit_once(':')
            .map_or(given.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let trust = if self.insecure_tls {
            Trust::Any
        } else {
            Trust::File(&self.tls_ca)
        };
        Ok(Some((address, Tls::new(host, trust)?)))
    }
}

pub(crate) struct Remote {
    imap: Option<SocketAddr>,
    pop3: Option<SocketAddr>,
    lmtp: Option<SocketAddr>,
    imaps: Option<(SocketAddr, Tls)>,
    pop3s: Option<(SocketAddr, Tls)>,
    user: String,
    password: String,
    receivers: Vec<String>,
    mailbox: String,
    may_write: bool,
}

impl Remote {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let user = target.user.clone().ok_or("--user is missing")?;
        let environment = || std::env::var("GATEPOST_BENCH_PASSWORD").ok();
        let password = target.password.clone().or_else(environment);
        let mailbox = if target.may_write && target.imap.is_some() {
            SCRATCH.to_owned()
        } else {
            target.mailbox.clone()
        };
        Ok(Self {
            imap: resolve(target.imap.as_ref())?,
            pop3: resolve(target.pop3.as_ref())?,
            lmtp: resolve(target.lmtp.as_ref())?,
            imaps: target.secure(target.imaps.as_ref())?,
            pop3s: target.secure(target.pop3s.as_ref())?,
            user,
            password: password.ok_or("--password or GATEPOST_BENCH_PASSWORD is missing")?,
            receivers: target.receivers.clone(),
            mailbox,
            may_write: target.may_write,
        })
    }
}

impl Remote {
    fn secure(&self, door: Option<&(SocketAddr, Tls)>) -> Result<Door> {
        let (address, tls) = door.cloned().ok_or("no address with TLS was given")?;
        Ok(Door {
            tls: Some(tls),
            ..self.door(address)
        })
    }

    /// Whether a mailbox of our own is read, not the user's.
    fn fills(&self) -> bool {
        self.may_write && self.imap.is_some()
    }

    /// Without TLS where that is possible.
    fn any_imap(&self) -> Result<Option<Door>> {
        match (self.imap, &self.imaps) {
            (Some(address), _) => Ok(Some(self.door(address))),
            (None, None) => Ok(None),
            (None, secure) => self.secure(secure.as_ref()).map(Some),
        }
    }
}

/// An address by name, if one was given.
pub(crate) fn resolve(given: Option<&String>) -> Result<Option<SocketAddr>> {
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
        let secure = [&self.imaps, &self.pop3s].map(|door| door.as_ref().map(|door| door.0));
        let plain = [self.imap, self.pop3, self.lmtp];
        let given = plain.into_iter().chain(secure).flatten().next();
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
            Need::Imaps => self.imaps.is_some(),
            Need::Pop3s => self.pop3s.is_some(),
            Need::Receivers => !self.receivers.is_empty(),
            Need::Process => false,
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

    fn tls_imap(&self) -> Result<Door> {
        self.secure(self.imaps.as_ref())
    }

    fn tls_pop3(&self) -> Result<Door> {
        self.secure(self.pop3s.as_ref())
    }

    fn receivers(&self) -> usize {
        self.receivers.len()
    }

    fn receiver(&self, index: usize) -> String {
        let several = index.checked_rem(self.receivers.len());
        let receiver = several.and_then(|index| self.receivers.get(index));
        receiver.unwrap_or(&self.user).clone()
    }

    fn prepare(&mut self, wanted: usize) -> Result<usize> {
        let Some(door) = self.any_imap()? else {
            return Ok(0);
        };
        let mut imap = Imap::login(&door, SMALL)?;
        if self.fills() {
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
        if let Some(address) = self.imap.filter(|_| self.fills()) {
            let mut imap = Imap::login(&self.door(address), SMALL)?;
            imap.run(&format!("DELETE {SCRATCH}"))?;
        }
        Ok(())
    }
}
