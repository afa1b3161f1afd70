//! Visits over POP3.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::imap::{Account, unexpected};
use super::link::Link;
use super::visit::{Seen, Visit};
use crate::wire::Result;

/// What the client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// Only whether there is something.
    Stat,
    /// UIDL, and RETR of what was not there before.
    New,
    /// RETR of everything that is there.
    All,
    /// RETR and DELE of everything that is there, which is what came since the last visit.
    Drain,
}

/// A session in the TRANSACTION state.
pub(crate) struct Pop3 {
    link: Link,
}

impl Pop3 {
    pub(crate) fn login(address: SocketAddr, account: &Account) -> Result<Self> {
        let mut pop3 = Self {
            link: Link::connect(address)?,
        };
        status(&mut pop3.link, "greeting")?;
        pop3.run(&format!("USER {}", account.user))?;
        pop3.run(&format!("PASS {}", account.password))?;
        Ok(pop3)
    }

    fn run(&mut self, command: &str) -> Result<String> {
        self.link.send(format!("{command}\r\n").as_bytes())?;
        status(&mut self.link, command)
    }

    /// The number of messages.
    pub(crate) fn stat(&mut self) -> Result<usize> {
        let answer = self.run("STAT")?;
        let count = answer.split(' ').next().and_then(|word| word.parse().ok());
        count.ok_or_else(|| format!("STAT: {answer}").into())
    }

    /// Numbers and unique ids.
    pub(crate) fn uidl(&mut self) -> Result<Vec<(usize, Vec<u8>)>> {
        self.run("UIDL")?;
        let mut all = Vec::new();
        loop {
            let line = self.link.line()?;
            if line == b"." {
                return Ok(all);
            }
            let space = line.iter().position(|octet| *octet == b' ');
            let number = space.and_then(|at| std::str::from_utf8(&line[..at]).ok()?.parse().ok());
            match (number, space) {
                (Some(number), Some(at)) => all.push((number, line[at + 1..].to_vec())),
                _ => return Err(unexpected("UIDL", line)),
            }
        }
    }

    pub(crate) fn quit(mut self) -> Result<Link> {
        self.run("QUIT")?;
        Ok(self.link)
    }
}

impl Fetch {
    pub(crate) fn run(self, visit: &Visit<'_>, pipelined: bool) -> Result<Seen> {
        let mut seen = Seen::start();
        let mut pop3 = Pop3::login(visit.address, visit.account)?;
        let known = visit.known.messages;
        match self {
            Self::Stat => {
                seen.new = pop3.stat()?.saturating_sub(known);
                if seen.new > 0 {
                    seen.news();
                }
            }
            Self::New => {
                let all = pop3.uidl()?;
                let ids = &visit.known.unique_ids;
                let new = all.into_iter().filter(|(_, id)| !ids.contains(id));
                let new: Vec<_> = new.map(|(number, _)| number).collect();
                retrieve(&mut pop3, &new, false, pipelined, |_| true, &mut seen)?;
            }
            Self::All => {
                let all: Vec<_> = (1..=pop3.stat()?).collect();
                let new = |number| number > known;
                retrieve(&mut pop3, &all, false, pipelined, new, &mut seen)?;
            }
            Self::Drain => {
                let all: Vec<_> = (1..=pop3.stat()?).collect();
                retrieve(&mut pop3, &all, true, pipelined, |_| true, &mut seen)?;
            }
        }
        let link = pop3.quit()?;
        Ok(seen.end(link.traffic()))
    }
}

fn retrieve(
    pop3: &mut Pop3,
    numbers: &[usize],
    delete: bool,
    pipelined: bool,
    is_new: impl Fn(usize) -> bool,
    seen: &mut Seen,
) -> Result<()> {
    let mut took = |number| {
        if is_new(number) {
            seen.new_body();
        } else {
            seen.bodies += 1;
        }
    };
    if !pipelined {
        for &number in numbers {
            pop3.run(&format!("RETR {number}"))?;
            text(&mut pop3.link)?;
            took(number);
            if delete {
                pop3.run(&format!("DELE {number}"))?;
            }
        }
        return Ok(());
    }
    if numbers.is_empty() {
        return Ok(());
    }
    // RFC 2449 6.6: all commands without waiting for an answer.
    let mut commands = String::new();
    for number in numbers {
        let _ = write!(commands, "RETR {number}\r\n");
        if delete {
            let _ = write!(commands, "DELE {number}\r\n");
        }
    }
    pop3.link.send_while(commands.as_bytes(), |link| {
        for &number in numbers {
            status(link, "RETR")?;
            text(link)?;
            took(number);
            if delete {
                status(link, "DELE")?;
            }
        }
        Ok(())
    })
}

/// Reads a status line, which must be `+OK`, and gives what follows.
fn status(link: &mut Link, command: &str) -> Result<String> {
    let line = link.line()?;
    match line.strip_prefix(b"+OK") {
        Some(rest) => Ok(String::from_utf8_lossy(rest.trim_ascii()).into_owned()),
        None => Err(unexpected(command, line)),
    }
}

/// Reads over the lines of a multi-line answer; a line of a message that is a dot is stuffed.
fn text(link: &mut Link) -> Result<()> {
    while link.line()? != b"." {}
    Ok(())
}
