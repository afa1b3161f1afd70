//! Visits over POP3.

use std::fmt::Write as _;

use super::visit::{Seen, Visit};
use crate::clients::Pop3;
use crate::wire::{BULK, Result};

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

impl Fetch {
    pub(crate) fn run(self, visit: &Visit<'_>, pipelined: bool) -> Result<Seen> {
        let mut seen = Seen::start();
        let mut pop3 = Pop3::login(visit.door, BULK)?;
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
        pop3.run("QUIT")?;
        Ok(seen.end(pop3.wire.traffic()))
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
            pop3.run_multiline(&format!("RETR {number}"))?;
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
    pop3.run_pipelined(commands.as_bytes(), |pop3| {
        for &number in numbers {
            pop3.multiline("RETR")?;
            took(number);
            if delete {
                pop3.status("DELE")?;
            }
        }
        Ok(())
    })
}
