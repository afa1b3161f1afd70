//! Visits over IMAP that log in, look what has changed, fetch it, and leave.

use super::visit::{Seen, Visit};
use crate::imap::{Imap, needed, number};
use crate::wire::{BULK, Result};

/// How the client finds out what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Flags of all messages, every time.
    Full,
    /// STATUS; what is at or above the UIDNEXT of the last visit is new. Changed flags go unseen.
    UidNext,
    /// FETCH CHANGEDSINCE (RFC 7162 3.1.4).
    Condstore,
    /// SELECT with QRESYNC (RFC 7162 3.2.5).
    Qresync,
}

impl Scan {
    pub(crate) fn sees_flags(self) -> bool {
        self != Self::UidNext
    }

    pub(crate) fn run(self, visit: &Visit<'_>, compress: bool) -> Result<Seen> {
        let mut seen = Seen::start();
        let mut imap = Imap::login(visit.door, BULK)?;
        if compress {
            imap.compress()?;
        }
        let news = match self {
            Self::Full => full(&mut imap, visit, &mut seen)?,
            Self::UidNext => uid_next(&mut imap, visit)?,
            Self::Condstore => condstore(&mut imap, visit, &mut seen)?,
            Self::Qresync => qresync(&mut imap, visit, &mut seen)?,
        };
        if news {
            bodies(&mut imap, visit, &mut seen)?;
        }
        imap.run("LOGOUT")?;
        Ok(seen.end(imap.wire.traffic()))
    }
}

/// Notes a FETCH response with UID and FLAGS; whether the message is a new one.
fn note(response: &[u8], visit: &Visit<'_>, seen: &mut Seen) -> bool {
    let Some(uid) = number(response, "UID ") else {
        return false;
    };
    if memchr::memmem::find(response, br"\Flagged").is_some() {
        seen.flagged += 1;
        seen.news();
    }
    uid >= visit.known.uid_next
}

fn full(imap: &mut Imap, visit: &Visit<'_>, seen: &mut Seen) -> Result<bool> {
    imap.run("SELECT INBOX")?;
    let mut new = false;
    imap.each("FETCH 1:* (UID FLAGS)", |response, _| {
        new |= note(response, visit, seen);
    })?;
    Ok(new)
}

fn uid_next(imap: &mut Imap, visit: &Visit<'_>) -> Result<bool> {
    let status = imap.run_noting("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY)", "STATUS")?;
    let status = status.noted;
    if needed(&status, "UIDNEXT ")? == visit.known.uid_next {
        return Ok(false);
    }
    imap.run("SELECT INBOX")?;
    Ok(true)
}

fn condstore(imap: &mut Imap, visit: &Visit<'_>, seen: &mut Seen) -> Result<bool> {
    let selected = imap.run_noting("SELECT INBOX (CONDSTORE)", "[")?.noted;
    let known = visit.known.mod_seq.ok_or("no HIGHESTMODSEQ was told")?;
    if needed(&selected, "HIGHESTMODSEQ ")? == known {
        return Ok(false);
    }
    let mut new = false;
    let command = format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})");
    imap.each(&command, |response, _| new |= note(response, visit, seen))?;
    Ok(new)
}

fn qresync(imap: &mut Imap, visit: &Visit<'_>, seen: &mut Seen) -> Result<bool> {
    imap.run("ENABLE QRESYNC")?;
    let known = visit.known.mod_seq.ok_or("no HIGHESTMODSEQ was told")?;
    let command = format!(
        "SELECT INBOX (QRESYNC ({} {known}))",
        visit.known.uid_validity
    );
    let mut new = false;
    imap.each(&command, |response, _| new |= note(response, visit, seen))?;
    Ok(new)
}

fn bodies(imap: &mut Imap, visit: &Visit<'_>, seen: &mut Seen) -> Result<()> {
    let command = format!("UID FETCH {}:* (FLAGS BODY.PEEK[])", visit.known.uid_next);
    imap.each(&command, |response, octets| {
        let uid = number(response, "UID ");
        if octets > 0 && uid.is_some_and(|uid| uid >= visit.known.uid_next) {
            seen.new_body();
        }
    })?;
    Ok(())
}
