//! One connection: reading commands, dispatching them, ending well.

use std::sync::Arc;
use std::time::Duration;

use auth::sasl;
use bytes::Bytes;
use net::{Context, Outcome, Wire, WireError};

use crate::Pop3;
use crate::admission::Held;
use crate::bodies::Bodies;
use crate::maildrop::Maildrop;
use crate::refusal::Refusal;
use crate::registry::{self, Spec, States};
use crate::texts::{Language, Text};

/// Longest command line, in octets. RFC 2449 4 asks for 255; names and folders may be longer.
const MAX_COMMAND: usize = 1024;
/// Longest line before login: AUTH may carry an initial response.
const MAX_AUTH_COMMAND: usize = sasl::MAX_LINE + 64;
/// Octets written before they are pushed to the client in the middle of a long answer.
pub(crate) const HIGH_WATER: usize = 256 << 10;

/// How long bodies read ahead wait for a client that goes through the maildrop in order.
const KEEP_BODIES: Duration = Duration::from_secs(5);

/// One client.
pub(crate) struct Session {
    pub(crate) front: Arc<Pop3>,
    pub(crate) wire: Wire,
    pub(crate) context: Context,
    pub(crate) state: State,
    pub(crate) login_failures: u32,
    /// Of texts (RFC 6856 3).
    pub(crate) language: Language,
    /// Whether the client takes UTF-8 in headers (RFC 6856 2).
    pub(crate) utf8: bool,
    bad_commands: u32,
}

/// The states of RFC 1939 3; UPDATE is what QUIT does.
pub(crate) enum State {
    Authorization {
        /// From USER, waiting for PASS.
        user: Option<String>,
    },
    Transaction(Box<Transaction>),
}

/// What a logged-in session works on.
pub(crate) struct Transaction {
    pub(crate) maildrop: Maildrop,
    pub(crate) bodies: Bodies,
    /// Nobody else has a session meanwhile.
    pub(crate) _held: Option<Held>,
}

/// How a command ended without a positive answer.
pub(crate) enum Stop {
    /// Tell the client.
    Refused(Refusal),
    /// Everything is written; close.
    Close,
    /// The same, and the client wished it.
    Quit,
    /// The answer cannot be completed any more; close without ending it.
    Broken,
    /// The connection is at fault.
    Wire(WireError),
}

/// `Ok`: a positive answer was written.
pub(crate) type Answer = Result<(), Stop>;

impl<R: Into<Refusal>> From<R> for Stop {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Session {
    pub(crate) fn new(front: Arc<Pop3>, mut wire: Wire, context: Context) -> Self {
        wire.set_idle_timeout(front.deps.settings.login_timeout);
        let state = State::Authorization { user: None };
        Self {
            front,
            wire,
            context,
            state,
            login_failures: 0,
            language: Language::default(),
            utf8: false,
            bad_commands: 0,
        }
    }

    /// From the greeting to the end of the connection.
    pub(crate) async fn run(mut self) {
        let greeting = format!(
            "+OK {} POP3 server ready\r\n",
            self.front.deps.settings.hostname
        );
        self.wire.write(greeting.as_bytes());
        let end = loop {
            if let Err(stop) = self.step().await {
                break stop;
            }
        };
        match end {
            Stop::Wire(WireError::Shutdown) => self.refuse(&Refusal::SHUTDOWN),
            Stop::Wire(WireError::Ended) => self.refuse(&Refusal::REVOKED),
            // RFC 1939 3: when the timer expires, close without a response; nothing is removed.
            Stop::Wire(WireError::Timeout) => tracing::info!("idle too long"),
            Stop::Wire(WireError::Eof) => tracing::debug!("closed by client"),
            Stop::Wire(error) => tracing::info!(%error, "connection lost"),
            Stop::Broken => return,
            Stop::Quit => return self.wire.part().await,
            Stop::Close | Stop::Refused(_) => {}
        }
        self.wire.close().await;
    }

    /// One command.
    async fn step(&mut self) -> Answer {
        let max = match self.state {
            State::Authorization { .. } => MAX_AUTH_COMMAND,
            State::Transaction(_) => MAX_COMMAND,
        };
        let line = match self.line(max).await {
            Ok(line) => line,
            Err(WireError::TooLong(_)) => return self.unparsed(&Refusal::TOO_LONG),
            Err(error) => return Err(Stop::Wire(error)),
        };
        match registry::parse(&line) {
            Ok((spec, _)) if line.len() > MAX_COMMAND && spec.name != "AUTH" => {
                self.unparsed(&Refusal::TOO_LONG)
            }
            Ok((spec, _)) => self.command(spec, &line).await,
            Err(refusal) => self.unparsed(&refusal),
        }
    }

    /// The next line. Bodies that were read ahead are given up when the client pauses.
    async fn line(&mut self, max: usize) -> Result<Bytes, WireError> {
        if let State::Transaction(transaction) = &mut self.state
            && transaction.bodies.holds_any()
            && !self.wire.has_buffered_line()
        {
            match tokio::time::timeout(KEEP_BODIES, self.wire.line(max)).await {
                Ok(line) => return line,
                Err(_) => transaction.bodies.forget(),
            }
        }
        self.wire.line(max).await
    }

    async fn command(&mut self, spec: &'static Spec, line: &Bytes) -> Answer {
        let timer = self.front.deps.metrics.start(spec.name);
        let answer = match self.admit(spec, line) {
            Ok(arguments) => (spec.run)(self, arguments).await,
            Err(refusal) => Err(Stop::Refused(refusal)),
        };
        match answer {
            Ok(()) => {
                self.bad_commands = 0;
                timer.finish(Outcome::Ok);
                Ok(())
            }
            Err(Stop::Refused(refusal)) => {
                timer.finish(refusal.outcome);
                self.refuse(&refusal);
                self.count_bad(&refusal)
            }
            Err(stop @ (Stop::Close | Stop::Quit)) => {
                timer.finish(Outcome::Ok);
                Err(stop)
            }
            Err(Stop::Broken) => {
                timer.finish(Outcome::Error);
                Err(Stop::Broken)
            }
            Err(Stop::Wire(error)) => Err(Stop::Wire(error)),
        }
    }

    /// Whether the command may run here and now, with these arguments.
    fn admit<'a>(&self, spec: &Spec, line: &'a Bytes) -> Result<registry::Arguments<'a>, Refusal> {
        let allowed = match self.state {
            State::Authorization { .. } => spec.states != States::Transaction,
            State::Transaction(_) => spec.states != States::Authorization,
        };
        if !allowed {
            return Err(Refusal::WRONG_STATE);
        }
        let (_, arguments) = registry::parse(line)?;
        spec.check(arguments)?;
        Ok(arguments)
    }

    /// A line that is no command of ours.
    fn unparsed(&mut self, refusal: &Refusal) -> Answer {
        self.front.deps.metrics.start("").finish(Outcome::Bad);
        self.refuse(refusal);
        self.count_bad(refusal)
    }

    /// Gives up on clients that speak something else.
    fn count_bad(&mut self, refusal: &Refusal) -> Answer {
        if refusal.outcome != Outcome::Bad {
            return Ok(());
        }
        self.bad_commands += 1;
        if self.bad_commands < self.front.deps.settings.max_bad_commands {
            return Ok(());
        }
        self.refuse(&Refusal::TOO_MANY_BAD);
        Err(Stop::Close)
    }

    /// `+OK` and a sentence.
    pub(crate) fn accept(&mut self, text: Text) {
        self.wire.write(b"+OK ");
        self.wire.write(text.say(self.language).as_bytes());
        self.wire.write(b"\r\n");
    }

    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.wire.write(b"-ERR ");
        if let Some(code) = refusal.code {
            self.wire.write(code.text().as_bytes());
        }
        self.wire.write(refusal.say(self.language).as_bytes());
        self.wire.write(b"\r\n");
    }

    /// The transaction, and the wire beside it.
    pub(crate) fn transaction(&mut self) -> Result<(&mut Transaction, &mut Wire, &Pop3), Stop> {
        match &mut self.state {
            State::Transaction(transaction) => Ok((transaction, &mut self.wire, &self.front)),
            State::Authorization { .. } => Err(Stop::Refused(Refusal::WRONG_STATE)),
        }
    }
}
