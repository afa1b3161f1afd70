//! INPROGRESS (RFC 9585): a client that waits for a long command is told that it goes on, and how
//! far it is.

use super::*;
use crate::session::Enabled;
use bytes::BytesMut;
use net::Wire;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9585",
    file: file!(),
    capabilities: &[Capability::always("INPROGRESS")],
    ..Extension::EMPTY
};

/// How many messages were dealt with; clones count together.
#[derive(Clone, Default, Debug)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    /// So many more.
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// How far a command is, and when the client is told next.
pub(crate) struct Progress {
    done: Counter,
    /// `None`: nobody counts.
    goal: Option<u64>,
    every: Duration,
    due: Instant,
    enabled: Enabled,
}

impl Progress {
    /// Of a command that begins now, towards so many messages if they are counted.
    pub(crate) fn new(cx: &Session, goal: Option<usize>) -> Self {
        let every = cx.deps.limits.progress;
        Self {
            done: Counter::default(),
            goal: goal.map(|goal| goal as u64),
            every,
            due: Instant::now() + every,
            enabled: cx.enabled,
        }
    }

    /// To be counted by.
    pub(crate) fn counter(&self) -> Counter {
        self.done.clone()
    }

    /// Does a part of the command, telling meanwhile whenever it is time. The work is done to its
    /// end whether or not the client listens.
    pub(crate) async fn attend<T>(
        &mut self,
        wire: &mut Wire,
        tag: &[u8],
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = passed(self.due) => self.tell(wire, tag),
            }
            // A client that does not read must not hold up what others may wait for.
            let flushed = tokio::select! {
                biased;
                done = &mut work => return done,
                flushed = wire.flush() => flushed,
            };
            if flushed.is_err() {
                return work.await;
            }
        }
    }

    /// Between two answers: tells, if it is time.
    pub(crate) fn tick(&mut self, wire: &mut Wire, tag: &[u8]) {
        if Instant::now() >= self.due {
            self.tell(wire, tag);
        }
    }

    fn tell(&mut self, wire: &mut Wire, tag: &[u8]) {
        let done = self.done.0.load(Ordering::Relaxed);
        write(wire.buffer(), tag, done, self.goal);
        let text = self.enabled.say("still at work");
        wire.buffer().text(&text).crlf();
        self.due = Instant::now() + self.every;
    }
}

/// At once, if it has passed: timers are in no hurry.
async fn passed(due: Instant) {
    if Instant::now() < due {
        tokio::time::sleep_until(due).await;
    }
}

/// `"INPROGRESS" SP "(" inprogress-tag SP inprogress-state ")"`
fn write(out: &mut BytesMut, tag: &[u8], done: u64, goal: Option<u64>) {
    out.raw(b"* OK [INPROGRESS (");
    // RFC 9585 4: a tag with a bracket would end the response code.
    match tag.contains(&b']') {
        true => out.raw(b"NIL"),
        false => out.string(tag),
    };
    match goal {
        // RFC 9585 4: progress stays below the goal, which is not zero.
        Some(goal) if goal > 0 => out.raw(b" ").num(done.min(goal - 1)).raw(b" ").num(goal),
        _ => out.raw(b" NIL NIL"),
    };
    out.raw(b")] ");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_written_within_the_grammar() {
        for (tag, done, goal, want) in [
            ("a1", 0, Some(10), "(\"a1\" 0 10)"),
            ("a1", 10, Some(10), "(\"a1\" 9 10)"),
            ("a1", 0, Some(0), "(\"a1\" NIL NIL)"),
            ("a]", 7, None, "(NIL NIL NIL)"),
        ] {
            let mut out = BytesMut::new();
            write(&mut out, tag.as_bytes(), done, goal);
            assert_eq!(out, format!("* OK [INPROGRESS {want}] "));
        }
    }
}
