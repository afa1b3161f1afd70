//! The server that is visited, and its mailbox: filling it, changing it, emptying it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use testkit::corpus::Corpus;

use super::visit::Known;
use crate::clients::{Door, Lmtp, Pop3};
use crate::imap::{Imap, needed, number};
use crate::peers::{Peer, READER};
use crate::wire::{BULK, Result};

/// Messages of one APPEND where MULTIAPPEND is offered, and in one pipelined batch where not.
const BATCH: usize = 50;
/// Distinct messages that a mailbox is filled with, again and again.
const DISTINCT: usize = 1_000;

/// A server and one account on it, whose INBOX is the benchmark's.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) imap: Option<Door>,
    pub(crate) pop3: Option<Door>,
    /// Where, and to whom.
    pub(crate) lmtp: Option<(SocketAddr, String)>,
    /// The process whose descendants are the server, where it runs here for us alone.
    pub(crate) root: Option<u32>,
    /// How long after NOTIFY, and after a change it has told, it begins to watch.
    pub(crate) notify_begins: Duration,
    /// The INBOX may be filled and emptied.
    pub(crate) may_write: bool,
}

impl Target {
    pub(crate) fn of(peer: &dyn Peer) -> Self {
        Self {
            name: peer.name(),
            imap: Some(peer.door(peer.imap())),
            pop3: Some(peer.door(peer.pop3())),
            lmtp: Some((peer.lmtp(), READER.to_owned())),
            root: peer.root(),
            notify_begins: peer.notify_begins(),
            may_write: true,
        }
    }

    pub(crate) fn login(&self) -> Result<Imap> {
        let door = self.imap.as_ref().ok_or("this needs --imap")?;
        Imap::login(door, BULK)
    }

    /// What a client that visits now remembers.
    pub(crate) fn known(&self) -> Result<Known> {
        let mut known = Known::default();
        if self.imap.is_some() {
            let mut imap = self.login()?;
            let selected = imap.run_noting("SELECT INBOX", "[")?.noted;
            known.uid_validity = needed(&selected, "UIDVALIDITY ")?;
            let status = imap.run_noting("STATUS INBOX (MESSAGES UIDNEXT)", "STATUS")?;
            let status = status.noted;
            known.uid_next = needed(&status, "UIDNEXT ")?;
            known.messages = usize::try_from(needed(&status, "MESSAGES ")?)?;
            known.mod_seq = match imap.run_noting("STATUS INBOX (HIGHESTMODSEQ)", "STATUS") {
                Ok(status) => number(status.noted.as_bytes(), "HIGHESTMODSEQ "),
                // No CONDSTORE; the connection is not needed any more.
                Err(_) => None,
            };
        }
        if let Some(door) = &self.pop3 {
            let mut pop3 = Pop3::login(door, BULK)?;
            let ids = pop3.uidl()?;
            known.messages = ids.len();
            known.unique_ids = ids.into_iter().map(|(_, id)| id).collect();
            pop3.run("QUIT")?;
        }
        Ok(known)
    }

    /// APPENDs `count` messages and says after each batch how many.
    pub(crate) fn fill(&self, count: usize, progress: &dyn Fn(usize)) -> Result<()> {
        let messages = Corpus::messages(17, DISTINCT.min(count));
        let mut imap = self.login()?;
        let capabilities = imap.capabilities()?;
        let many = capabilities.contains("MULTIAPPEND");
        if !capabilities.contains("LITERAL+") {
            return Err("filling a mailbox needs a server with LITERAL+ (RFC 7888)".into());
        }
        let mut cycle = messages.iter().cycle();
        let mut left = count;
        while left > 0 {
            let here = left.min(BATCH);
            let batch: Vec<&Vec<u8>> = cycle.by_ref().take(here).collect();
            append(&mut imap, &batch, many)?;
            left -= here;
            progress(here);
        }
        Ok(())
    }

    /// Someone else delivers, one message after the other.
    pub(crate) fn sender(&self) -> Result<Sender> {
        match &self.lmtp {
            Some((address, user)) => Ok(Sender::Lmtp(Lmtp::connect(*address)?, user.clone())),
            None => Ok(Sender::Imap(self.login()?)),
        }
    }

    /// Flags `count` messages, spread over the mailbox, by one command; the connection can do more.
    pub(crate) fn flagger(&self, count: usize, messages: usize) -> Result<Flagger> {
        let mut imap = self.login()?;
        imap.run("SELECT INBOX")?;
        let mut set = String::new();
        for index in 0..count {
            let _ = write!(set, "{},", 1 + index * messages / count);
        }
        let set = set.trim_end_matches(',').to_owned();
        Ok(Flagger { imap, set })
    }

    /// Deletes what came at or after this UID for good.
    pub(crate) fn expunge(&self, uid_next: u64) -> Result<()> {
        let mut imap = self.login()?;
        imap.run("SELECT INBOX")?;
        imap.run(&format!("UID STORE {uid_next}:* +FLAGS.SILENT (\\Deleted)"))?;
        imap.run("EXPUNGE")?;
        Ok(())
    }
}

fn append(imap: &mut Imap, batch: &[&Vec<u8>], many: bool) -> Result<()> {
    let mut bytes = Vec::new();
    for (index, message) in batch.iter().enumerate() {
        if index == 0 || !many {
            bytes.extend_from_slice(b"a APPEND INBOX");
        }
        bytes.extend_from_slice(format!(" (\\Seen) {{{}+}}\r\n", message.len()).as_bytes());
        bytes.extend_from_slice(message);
        if !many || index + 1 == batch.len() {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    let answers = if many { 1 } else { batch.len() };
    // The answers are read from the same connection once all is written: they are few and short.
    imap.wire.send(&bytes)?;
    for _ in 0..answers {
        imap.answer("APPEND", "")?;
    }
    Ok(())
}

/// Where new mail comes from.
pub(crate) enum Sender {
    Lmtp(Lmtp, String),
    Imap(Imap),
}

impl Sender {
    /// Acknowledged when it returns.
    pub(crate) fn deliver(&mut self, message: &[u8]) -> Result<()> {
        match self {
            Self::Lmtp(lmtp, user) => lmtp.deliver(user, &testkit::dot_stuffed(message)),
            Self::Imap(imap) => append(imap, &[&message.to_vec()], false),
        }
    }
}

/// Someone else who changes flags.
pub(crate) struct Flagger {
    imap: Imap,
    set: String,
}

impl Flagger {
    pub(crate) fn set(&mut self, on: bool) -> Result<()> {
        let sign = if on { '+' } else { '-' };
        let command = format!("STORE {} {sign}FLAGS.SILENT (\\Flagged)", self.set);
        self.imap.run(&command)?;
        Ok(())
    }
}
