//! One connection: reading commands, dispatching them, ending well.

use std::sync::Arc;

use net::{Context, Outcome, Wire, WireError};

use crate::Lmtp;
use crate::envelope::Transaction;
use crate::registry::{self, Answer, Spec, State};
use crate::reply::Reply;

/// Longest command line. RFC 5321 4.5.3.1.4 asks for 512 and some more for each extension.
const MAX_COMMAND: usize = 2048;

/// One client.
pub(crate) struct Session {
    pub(crate) front: Arc<Lmtp>,
    pub(crate) wire: Wire,
    pub(crate) context: Context,
    /// LHLO was said.
    pub(crate) greeted: bool,
    /// From MAIL to the end of the data.
    pub(crate) transaction: Option<Transaction>,
    bad_commands: u32,
}

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// After this reply.
    Close(Reply),
    /// The connection is at fault.
    Wire(WireError),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Session {
    pub(crate) fn new(front: Arc<Lmtp>, mut wire: Wire, context: Context) -> Self {
        wire.set_idle_timeout(front.deps.settings.idle_timeout);
        Self {
            front,
            wire,
            context,
            greeted: false,
            transaction: None,
            bad_commands: 0,
        }
    }

    /// From the greeting to the end of the connection.
    pub(crate) async fn run(mut self) {
        let greeting = format!(
            "220 {} LMTP server ready\r\n",
            self.front.deps.settings.hostname
        );
        self.wire.write(greeting.as_bytes());
        let end = loop {
            if let Err(stop) = self.step().await {
                break stop;
            }
        };
        // What it holds is not needed to say goodbye.
        self.transaction = None;
        match end {
            Stop::Close(reply) => reply.write(&mut self.wire),
            Stop::Wire(WireError::Shutdown) => Reply::SHUTDOWN.write(&mut self.wire),
            Stop::Wire(WireError::Timeout) => Reply::TIMEOUT.write(&mut self.wire),
            Stop::Wire(WireError::Eof) => tracing::debug!("closed by client"),
            Stop::Wire(error) => tracing::info!(%error, "connection lost"),
        }
        self.wire.close().await;
    }

    /// One command.
    async fn step(&mut self) -> Result<(), Stop> {
        let line = match self.wire.line(MAX_COMMAND).await {
            Ok(line) => line,
            Err(WireError::TooLong(_)) => return self.unparsed(&Reply::TOO_LONG),
            Err(error) => return Err(Stop::Wire(error)),
        };
        match registry::parse(&line) {
            Some((spec, arguments)) => self.command(spec, arguments).await,
            None => self.unparsed(&Reply::UNKNOWN),
        }
    }

    async fn command(&mut self, spec: &'static Spec, arguments: &[u8]) -> Result<(), Stop> {
        let timer = self.front.deps.metrics.start(spec.name);
        let answer = match self.admit(spec, arguments) {
            Ok(()) => (spec.run)(self, arguments).await,
            Err(reply) => Ok(Some(reply)),
        };
        self.finish(timer, answer)
    }

    fn finish(&mut self, timer: net::CommandTimer, answer: Answer) -> Result<(), Stop> {
        match answer {
            Ok(None) => {
                timer.finish(Outcome::Ok);
                self.bad_commands = 0;
                Ok(())
            }
            Ok(Some(reply)) => {
                timer.finish(reply.outcome());
                reply.write(&mut self.wire);
                self.count_bad(&reply)
            }
            Err(Stop::Close(reply)) => {
                timer.finish(reply.outcome());
                Err(Stop::Close(reply))
            }
            Err(Stop::Wire(error)) => Err(Stop::Wire(error)),
        }
    }

    /// Whether the command may run here and now.
    fn admit(&self, spec: &Spec, arguments: &[u8]) -> Result<(), Reply> {
        match spec.state {
            State::Greeted | State::Transaction if !self.greeted => Err(Reply::LHLO_FIRST),
            State::Transaction if self.transaction.is_none() => Err(Reply::MAIL_FIRST),
            _ if !spec.takes(arguments) => Err(Reply::SYNTAX),
            _ => Ok(()),
        }
    }

    fn unparsed(&mut self, reply: &Reply) -> Result<(), Stop> {
        self.front.deps.metrics.start("").finish(Outcome::Bad);
        reply.write(&mut self.wire);
        self.count_bad(reply)
    }

    /// Gives up on clients that speak something else.
    fn count_bad(&mut self, reply: &Reply) -> Result<(), Stop> {
        if reply.outcome() != Outcome::Bad {
            self.bad_commands = 0;
            return Ok(());
        }
        self.bad_commands += 1;
        if self.bad_commands < self.front.deps.settings.max_bad_commands {
            return Ok(());
        }
        Err(Stop::Close(Reply::TOO_MANY_BAD))
    }
}
