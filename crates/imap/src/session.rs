//! One connection: read a command, find its row, gate it, parse it, run it, tell what changed,
//! answer.

use crate::grammar::cursor::is_tag_char;
use crate::grammar::{Assembler, BadSyntax, Bounds, Command, Cursor, Emit, Next, Unfit};
use crate::refusal::{Code, Refusal};
use crate::spec::{Done, Effects, Run, Spec, States, Then, UidForm};
use crate::view::Selection;
use crate::{Deps, registry};
use bytes::Bytes;
use mail::Account;
use net::{ConnState, Context, Excess, Outcome, Wire, WireError};
use std::sync::Arc;

/// Commands in a row that are no commands before the connection is closed: an HTTP client, a
/// scanner.
const MAX_NONSENSE: u32 = 20;
/// The same before login.
const MAX_NONSENSE_BEFORE_LOGIN: u32 = 5;
/// Where the session stands (RFC 9051 3).
pub enum State {
    /// Nobody has logged in.
    Login,
    /// Somebody has.
    Authenticated(Account),
    /// A mailbox is open.
    Selected(Account, Box<Selection>),
}

impl State {
    fn as_states(&self) -> States {
        match self {
            Self::Login => States::LOGIN,
            Self::Authenticated(_) => States::AUTHENTICATED,
            Self::Selected(..) => States::SELECTED,
        }
    }

    /// The account.
    ///
    /// # Errors
    /// BAD before login; the gate lets no command come so far.
    pub fn account(&self) -> Result<&Account, Refusal> {
        match self {
            Self::Login => Err(NOT_NOW),
            Self::Authenticated(account) | Self::Selected(account, _) => Ok(account),
        }
    }

    /// The selected mailbox.
    ///
    /// # Errors
    /// BAD when there is none; the gate lets no command come so far.
    pub fn selection(&mut self) -> Result<&mut Selection, Refusal> {
        match self {
            Self::Selected(_, selection) => Ok(selection),
            _ => Err(NOT_NOW),
        }
    }
}

const NOT_NOW: Refusal = Refusal::bad("this command is not valid now");

/// What the client has enabled, by ENABLE or by using it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Enabled {
    /// FETCH responses carry MODSEQ (RFC 7162 3.1).
    pub condstore: bool,
    /// VANISHED replaces EXPUNGE (RFC 7162 3.2).
    pub qresync: bool,
}

/// A connection and what is known about it. Commands work on its parts.
pub struct Session {
    /// In and out.
    pub wire: Wire,
    /// Where it stands; changed by [`Session::enter`] only.
    pub state: State,
    /// What the client has enabled.
    pub enabled: Enabled,
    /// What all sessions share.
    pub deps: Arc<Deps>,
    /// About the connection.
    pub context: Context,
    nonsense: u32,
}

/// The first words of a command.
struct Head {
    /// `*` when there is none.
    tag: Box<[u8]>,
    /// The command's name in the registry; empty when it has none.
    name: &'static str,
    /// What to do with it; when that is certain before its literals are here, they need not be
    /// asked for.
    found: Result<(&'static Spec, bool), Refusal>,
    /// Where the arguments begin.
    args: usize,
}

/// Serves one connection to its end.
pub async fn serve(wire: Wire, context: Context, deps: Arc<Deps>) {
    let mut session = Session {
        wire,
        state: State::Login,
        enabled: Enabled::default(),
        deps,
        context,
        nonsense: 0,
    };
    session
        .wire
        .set_idle_timeout(session.deps.limits.idle_before_login);
    let greeting = Code::Capability(registry::capabilities(&session));
    let out = session.wire.buffer();
    out.raw(b"* OK ");
    greeting.write(out);
    out.raw(b"Gatepost ready\r\n");
    let end = loop {
        match session.command().await {
            Ok(Then::Continue) => {}
            Ok(Then::Close) => break None,
            Ok(Then::StartTls) => {
                if let Err(error) = session.start_tls().await {
                    break Some(Refusal::Wire(error));
                }
            }
            Err(end) => break Some(end),
        }
    };
    session.end(end).await;
}

impl Session {
    /// Reads one command and answers it.
    ///
    /// # Errors
    /// Only what ends the session.
    async fn command(&mut self) -> Result<Then, Refusal> {
        let (head, command) = self.read().await?;
        let timer = self.deps.metrics.start(head.name);
        // What was read is let go before the command runs: IDLE holds nothing.
        let parsed = head.found.and_then(|(spec, uid)| {
            let run = parse(spec, uid, &command?, head.args)?;
            Ok((spec, uid, run))
        });
        let (result, may_expunge) = match parsed {
            Err(refusal) => (Err(refusal), false),
            Ok((spec, uid, run)) => {
                tracing::trace!(cmd = spec.name, uid, "command");
                let result = run.run(self).await;
                // RFC 9051 7.5.1: no EXPUNGE while a command runs that uses sequence numbers. RFC
                // 9051 5.5: nor before one that the client has sent already, which may be such a
                // command.
                let may_expunge = match uid {
                    true => !self.wire.has_input() || spec.effects.contains(Effects::WRITES),
                    false => !spec.effects.contains(Effects::USES_SEQ),
                };
                (result, may_expunge)
            }
        };
        if let Err(Refusal::Bye(_) | Refusal::Wire(_)) = result {
            return result.map(|done| done.then);
        }
        if let State::Selected(_, selection) = &mut self.state {
            selection
                .sync(&mut self.wire, self.enabled, may_expunge)
                .await?;
        }
        let then = self.answer(&head.tag, &result)?;
        timer.finish(
            result
                .as_ref()
                .map_or_else(Refusal::outcome, |_| Outcome::Ok),
        );
        Ok(then)
    }

    fn answer(&mut self, tag: &[u8], result: &Result<Done, Refusal>) -> Result<Then, Refusal> {
        let out = self.wire.buffer();
        match result {
            Ok(done) => {
                out.raw(tag).raw(b" OK ");
                if let Some(code) = &done.code {
                    code.write(out);
                }
                out.text(done.text).crlf();
                self.nonsense = 0;
                return Ok(done.then);
            }
            Err(refusal) => {
                if let Refusal::Mail(error) = refusal
                    && error.is_internal()
                {
                    tracing::error!(%error, "command failed");
                }
                refusal.write(tag, out);
            }
        }
        self.nonsense += u32::from(matches!(result, Err(Refusal::Bad(_))));
        let limit = match self.state {
            State::Login => MAX_NONSENSE_BEFORE_LOGIN,
            _ => MAX_NONSENSE,
        };
        if self.nonsense > limit {
            return Err(Refusal::Bye("too many invalid commands"));
        }
        Ok(Then::Continue)
    }

    // Reading.

    /// Reads one command with its literals, or what is left of one that is refused.
    ///
    /// # Errors
    /// Only what ends the session.
    async fn read(&mut self) -> Result<(Head, Result<Command, Refusal>), Refusal> {
        let limits = self.deps.limits;
        let (max_line, mut max_literals) = match self.state {
            State::Login => (
                limits.line_before_login,
                limits.literals_before_login as u64,
            ),
            _ => (limits.line, limits.literals as u64),
        };
        let (mut line, head) = match self.line(max_line).await? {
            Ok(line) => {
                let head = self.head(&line);
                (line, head)
            }
            Err(excess) => {
                let mut head = self.head(&excess.head);
                head.found = Err(LINE_TOO_LONG.into());
                (excess.tail, head)
            }
        };
        match &head.found {
            Ok((spec, _)) if spec.effects.contains(Effects::TAKES_MESSAGE) => {
                max_literals = max_literals
                    .saturating_add(u64::from(self.deps.mail.options().max_message_bytes));
            }
            Ok(_) => {}
            // The answer is known: no literal is asked for.
            Err(_) => max_literals = 0,
        }
        let skip = if matches!(self.state, State::Login) {
            limits.line as u64
        } else {
            limits.skip
        };
        let mut assembler = Assembler::new(Bounds {
            line: max_line,
            literals: max_literals,
            skip,
        });
        loop {
            match assembler.line(line) {
                Next::Done(command) => return Ok((head, Ok(command))),
                Next::Refused(unfit) => {
                    let refusal = unfit_refusal(unfit, &head);
                    return Ok((head, Err(refusal)));
                }
                Next::HangUp => return Err(Refusal::Bye("literal far too large")),
                Next::Skip(len) => self.wire.skip(len).await?,
                Next::Literal { len, synchronising } => {
                    if synchronising {
                        if let Err(refusal) = self.has_room(&head, len) {
                            return Ok((head, Err(refusal)));
                        }
                        self.wire.buffer().raw(b"+ OK\r\n");
                    }
                    let literal = self.wire.exact(len).await?;
                    assembler.literal(literal);
                }
            }
            line = match self.line(assembler.line_limit()).await? {
                Ok(line) => line,
                Err(excess) => {
                    assembler.refuse(LINE_TOO_LONG);
                    excess.tail
                }
            };
        }
    }

    /// Whether a message of that length may come: better said before it is sent than after.
    fn has_room(&self, head: &Head, len: usize) -> Result<(), Refusal> {
        match &head.found {
            Ok((spec, _)) if spec.effects.contains(Effects::TAKES_MESSAGE) => {
                Ok(self.state.account()?.check_quota(len as u64)?)
            }
            _ => Ok(()),
        }
    }

    /// A line, or the ends of one that was too long.
    async fn line(&mut self, max: usize) -> Result<Result<Bytes, Excess>, Refusal> {
        match self.wire.line(max).await {
            Ok(line) => Ok(Ok(line)),
            Err(WireError::TooLong(excess)) => Ok(Err(excess)),
            Err(error) => Err(error.into()),
        }
    }

    fn head(&self, line: &[u8]) -> Head {
        let mut head = Head {
            tag: b"*".as_slice().into(),
            name: "",
            found: Err(Refusal::bad("expected a tag and a command")),
            args: 0,
        };
        let mut cursor = Cursor::of(line);
        match cursor.take_while1(is_tag_char, "expected a tag") {
            Ok(tag) if cursor.peek() == Some(b' ') => head.tag = tag.into(),
            _ => return head,
        }
        head.found = find(&mut cursor).and_then(|(spec, uid)| {
            head.name = spec.name;
            self.gate(spec, uid)
        });
        head.args = line.len() - cursor.rest().len();
        head
    }

    /// Whether a command may run now.
    fn gate(&self, spec: &'static Spec, uid: bool) -> Result<(&'static Spec, bool), Refusal> {
        if uid && spec.uid == UidForm::No {
            return Err(Refusal::bad("this command has no UID form"));
        }
        if !spec.states.contains(self.state.as_states()) {
            return Err(Refusal::bad(match self.state {
                State::Login => "log in first",
                State::Authenticated(_) if spec.states == States::SELECTED => {
                    "select a mailbox first"
                }
                _ => "this command is not valid now",
            }));
        }
        if let State::Selected(_, selection) = &self.state
            && selection.is_read_only()
            && spec.effects.contains(Effects::WRITES)
        {
            return Err(Refusal::no(Code::CANNOT, "the mailbox is open read-only"));
        }
        Ok((spec, uid))
    }

    // Changing state.

    /// Goes to another state.
    pub fn enter(&mut self, state: State) {
        let limits = &self.deps.limits;
        let (conn, idle) = match &state {
            State::Login => (ConnState::Login, limits.idle_before_login),
            State::Authenticated(_) => (ConnState::Authenticated, limits.idle),
            State::Selected(..) => (ConnState::Selected, limits.idle),
        };
        self.wire.set_state(conn);
        self.wire.set_idle_timeout(idle);
        self.state = state;
    }

    /// Leaves the selected mailbox, if any, without a word.
    pub fn unselect(&mut self) {
        if let State::Selected(account, _) = &self.state {
            let account = account.clone();
            self.enter(State::Authenticated(account));
        }
    }

    /// Octets written so far, whether or not they have been sent.
    pub fn emitted(&self) -> u64 {
        self.wire.bytes_out() + self.wire.pending_out() as u64
    }

    async fn start_tls(&mut self) -> Result<(), WireError> {
        let Some(tls) = self.context.starttls.take() else {
            return Err(WireError::Eof);
        };
        // RFC 9051 6.2.1: what the client learnt before is void, it asks again.
        self.wire.starttls(&tls).await
    }

    async fn end(mut self, end: Option<Refusal>) {
        let bye = match &end {
            None | Some(Refusal::Bad(_) | Refusal::No(..) | Refusal::Mail(_)) => None,
            Some(Refusal::Bye(text)) => Some(*text),
            Some(Refusal::Wire(WireError::Timeout)) => Some("no command for too long"),
            Some(Refusal::Wire(WireError::Shutdown)) => Some("server is shutting down"),
            Some(Refusal::Wire(WireError::Gone)) => Some("command without end"),
            Some(Refusal::Wire(_)) => None,
        };
        if let Some(text) = bye {
            self.wire.buffer().raw(b"* BYE ").text(text).crlf();
        }
        tracing::debug!(reason = bye.unwrap_or("closed"), "session ended");
        // The mailbox and its view are not needed to say goodbye.
        drop(self.state);
        self.wire.close().await;
    }
}

const LINE_TOO_LONG: BadSyntax = BadSyntax("command line too long");

fn unfit_refusal(unfit: Unfit, head: &Head) -> Refusal {
    match unfit {
        Unfit::Bad(bad) => bad.into(),
        Unfit::TooBig => match &head.found {
            Ok((spec, _)) if spec.effects.contains(Effects::TAKES_MESSAGE) => Refusal::no(
                Code::Word("TOOBIG"),
                "the message is larger than this server takes",
            ),
            _ => Refusal::bad("literal too large"),
        },
    }
}

fn parse(spec: &Spec, uid: bool, command: &Command, args: usize) -> Result<Box<dyn Run>, Refusal> {
    let mut cursor = Cursor::new(command);
    cursor.take(args, "unexpected end of the command")?;
    let run = (spec.parse)(&mut cursor, uid)?;
    cursor.end()?;
    Ok(run)
}

/// The row of the command whose name is next, and whether it has UID before it.
fn find(cursor: &mut Cursor<'_>) -> Result<(&'static Spec, bool), Refusal> {
    cursor.sp()?;
    let mut name = cursor.atom()?;
    let uid = name.eq_ignore_ascii_case(b"UID");
    if uid {
        cursor.sp()?;
        name = cursor.atom()?;
    }
    registry::find(name)
        .map(|spec| (spec, uid))
        .ok_or(Refusal::bad("unknown command"))
}
