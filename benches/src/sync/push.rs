//! Connections that stay: the server tells what happens.

use std::time::{Duration, Instant};

use super::visit::Visit;
use crate::imap::Imap;
use crate::wire::{BULK, Result, Traffic};

/// How the server is asked to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// RFC 2177; a new message is announced, and then fetched.
    Idle,
    /// RFC 5465 with the message's text among the attributes of MessageNew: it comes by itself.
    Notify,
}

/// What the changes cost, all together.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) traffic: Traffic,
    /// From the acknowledgement of each change until the client had it.
    pub(crate) times: Vec<Duration>,
}

/// A client that listens.
pub(crate) struct Listener {
    imap: Imap,
    push: Push,
    next: u64,
}

const NOTIFY: &str =
    "NOTIFY SET (SELECTED (MessageNew (UID FLAGS BODY.PEEK[]) MessageExpunge FlagChange))";

impl Listener {
    pub(crate) fn start(push: Push, visit: &Visit<'_>, compress: bool) -> Result<Self> {
        let mut imap = Imap::login(visit.door, BULK)?;
        if compress {
            imap.compress()?;
        }
        imap.run("SELECT INBOX")?;
        match push {
            Push::Idle => {
                imap.idle()?;
            }
            Push::Notify => {
                imap.run(NOTIFY)?;
            }
        }
        let next = visit.known.uid_next;
        Ok(Self { imap, push, next })
    }

    /// Lets `change` happen, acknowledged when it returns, and waits until the client has it.
    pub(crate) fn new_message(
        &mut self,
        pushed: &mut Pushed,
        change: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let before = self.imap.wire.traffic();
        change()?;
        let from = Instant::now();
        self.imap.wire.expect_push()?;
        let mut bodies = 0;
        let mut count = |_: &[u8], octets: usize| {
            bodies += usize::from(octets > 0);
            octets > 0
        };
        match self.push {
            Push::Notify => {
                self.imap.until(&mut count)?;
                pushed.times.push(from.elapsed());
            }
            Push::Idle => {
                self.imap
                    .until(|response, _| response.ends_with(b" EXISTS"))?;
                let next = self.next;
                let commands =
                    format!("DONE\r\na UID FETCH {next}:* (FLAGS BODY.PEEK[])\r\na IDLE\r\n");
                self.imap.wire.send(commands.as_bytes())?;
                self.imap.answer("IDLE", "")?;
                self.imap.each_answer("UID FETCH", |response, octets| {
                    count(response, octets);
                })?;
                pushed.times.push(from.elapsed());
                self.imap.until(|response, _| response.starts_with(b"+"))?;
            }
        }
        self.next += 1;
        if bodies != 1 {
            return Err(format!("{bodies} messages came for one that was delivered").into());
        }
        self.add(pushed, &before);
        Ok(())
    }

    /// The same for a change of the flags of `count` messages, made by one command.
    pub(crate) fn flags(
        &mut self,
        pushed: &mut Pushed,
        count: usize,
        change: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let before = self.imap.wire.traffic();
        change()?;
        let from = Instant::now();
        self.imap.wire.expect_push()?;
        let mut left = count;
        self.imap.until(|response, _| {
            let told = memchr::memmem::find(response, b" FETCH (").is_some();
            left -= usize::from(told);
            left == 0
        })?;
        pushed.times.push(from.elapsed());
        self.add(pushed, &before);
        Ok(())
    }

    fn add(&self, pushed: &mut Pushed, before: &Traffic) {
        let cost = self.imap.wire.traffic().since(before);
        pushed.traffic.up += cost.up;
        pushed.traffic.down += cost.down;
        pushed.traffic.turns += cost.turns;
        pushed.traffic.pushes += cost.pushes;
    }
}
