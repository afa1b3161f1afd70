//! `gatepost uidl`: POP3 unique ids across a change of servers (DESIGN 5.5), so that no client
//! downloads anything twice.

mod adopt;
mod diff;
mod fingerprint;
mod format;
mod imap;
mod lines;
mod pop3;
mod source;

use crate::cli::UidlCommand;
use crate::failure::Failure;
use std::io::BufRead;

pub(crate) use adopt::{Old, adopt};
pub(crate) use format::Format;
pub(crate) use source::Source;

pub(crate) async fn run(command: UidlCommand) -> Result<(), Failure> {
    match command {
        UidlCommand::Adopt(args) => adopt::run(args, &mut Passwords::read()).await,
        UidlCommand::Diff(args) => diff::run(args, &mut Passwords::read()).await,
    }
}

/// Passwords on standard input, one on a line; the last one serves all that follow.
struct Passwords(Vec<String>);

impl Passwords {
    fn read() -> Self {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        let mut lines: Vec<String> = lines.take(2).collect();
        lines.reverse();
        Self(lines)
    }

    fn next(&mut self) -> Result<String, Failure> {
        let next = match self.0.len() {
            0 | 1 => self.0.first().cloned(),
            _ => self.0.pop(),
        };
        next.filter(|password| !password.is_empty()).ok_or_else(|| {
            Failure::refused("give the password of each server as a line of standard input")
        })
    }
}

/// A message in the maildrop of some server.
struct Known {
    /// What clients remember it by.
    unique_id: Vec<u8>,
    /// What tells it from others, whatever the server.
    fingerprint: fingerprint::Fingerprint,
}
