//! One connection: read a command, find its row, gate it, parse it, run it, tell what changed,
//! answer.

mod place;
mod read;
mod roster;
mod source;
mod tell;

pub use place::{OTHER_USERS, Place, Site};
pub(crate) use place::{find as find_mailbox, is_for_others};
pub use roster::{Member, Roster};
pub(crate) use source::{Found, Source};

use crate::cmd::append::Intake;
use crate::ext::comparator::Comparator;
use crate::ext::language::Language;
use crate::ext::metadata::Listener;
use crate::ext::notify::Notify;
use crate::ext::uidonly::UIDREQUIRED;
use crate::grammar::{Command, Cursor, Emit, Names};
use crate::refusal::{Code, Refusal};
use crate::spec::{Done, Effects, Ready, Spec, States, Then};
use crate::view::{MAX_PENDING, Selection};
use crate::{Deps, registry};
use mail::Account;
use net::{ConnState, Context, Deflate, Layer, Outcome, Wire, WireError};
use std::io::ErrorKind;
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
    /// A mailbox is open, of this or of another account ([`Selection::owner`]).
    Selected(Account, Box<Selection>),
}

impl State {
    /// Which of the states it is.
    pub fn as_states(&self) -> States {
        match self {
            Self::Login => States::LOGIN,
            Self::Authenticated(_) => States::AUTHENTICATED,
            Self::Selected(..) => States::SELECTED,
        }
    }

    /// The account that logged in.
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

/// What the client has enabled or chosen, by ENABLE, by LANGUAGE or by using it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Enabled {
    /// FETCH responses carry MODSEQ (RFC 7162 3.1).
    pub condstore: bool,
    /// VANISHED replaces EXPUNGE (RFC 7162 3.2).
    pub qresync: bool,
    /// Annotations that others change are told (RFC 5464 4.1).
    pub metadata: bool,
    /// No sequence numbers, in either direction (RFC 9586).
    pub uid_only: bool,
    /// What RFC 9051 changed is as it says.
    pub rev2: bool,
    /// Strings may be quoted UTF-8, in either direction (RFC 9755 3).
    pub utf8: bool,
    /// In which language texts for people are (RFC 5255 3).
    pub language: Language,
}

impl Enabled {
    /// How mailbox names are written.
    pub fn names(self) -> Names {
        // RFC 9051 A: UTF-8 is for those who enabled either.
        match self.rev2 || self.utf8 {
            true => Names::Utf8,
            false => Names::Utf7,
        }
    }
}

/// A connection and what is known about it. Commands work on its parts.
pub struct Session {
    /// In and out.
    pub wire: Wire,
    /// Where it stands; changed by [`Session::enter`] only.
    pub state: State,
    /// What the client has enabled.
    pub enabled: Enabled,
    /// How texts are compared (RFC 5255 4.2: the active comparator).
    pub comparator: Comparator,
    /// What the client wants to be told, once it has said so.
    pub(crate) notify: Option<Box<Notify>>,
    /// Hears of annotations that others change, once that is enabled.
    pub(crate) metadata: Option<Box<Listener>>,
    /// Messages of the command that is being read.
    pub(crate) intake: Option<Box<Intake>>,
    /// What all sessions share.
    pub deps: Arc<Deps>,
    /// About the connection.
    pub context: Context,
    /// The tag of the command that runs.
    pub tag: Box<[u8]>,
    nonsense: u32,
}

/// Serves one connection to its end.
pub async fn serve(wire: Wire, context: Context, deps: Arc<Deps>) {
    let mut session = Session {
        wire,
        state: State::Login,
        enabled: Enabled::default(),
        comparator: Comparator::default(),
        notify: None,
        metadata: None,
        intake: None,
        deps,
        context,
        tag: Box::default(),
        nonsense: 0,
    };
    session
        .wire
        .set_idle_timeout(session.deps.limits.idle_before_login);
    let greeting = Code::Capability(registry::capabilities(&session));
    let out = session.wire.buffer();
    out.raw(b"* OK ");
    greeting.write(out);
    out.text(&session.deps.hostname).raw(b" Gatepost ready\r\n");
    let end = loop {
        // A client that sends without pause gets no more than its share, and its answers leave
        // before they pile up.
        tokio::task::coop::consume_budget().await;
        let changed = match session.command().await {
            Ok(Then::Continue) => Ok(()),
            Ok(Then::Close) => break None,
            Ok(Then::StartTls) => session.start_tls().await,
            Ok(Then::Compress) => session.compress().await,
            Ok(Then::Uncompress) => session.uncompress().await,
            Err(end) => break Some(end),
        };
        if let Err(error) = changed {
            break Some(Refusal::Wire(error));
        }
    };
    // Boxed: the session is moved into it, and there would be room for two all the time.
    Box::pin(session.end(end)).await;
}

impl Session {
    /// Reads one command and answers it.
    ///
    /// # Errors
    /// Only what ends the session.
    async fn command(&mut self) -> Result<Then, Refusal> {
        let (head, command) = self.read().await?;
        let timer = self.deps.metrics.start(head.name);
        self.tag = head.tag;
        // What was read is let go before the command runs: IDLE holds nothing.
        let parsed = head.found.and_then(|(spec, uid)| {
            let names = self.enabled.names();
            let (run, by_number) = parse(spec, uid, &command?, head.args, names)?;
            if by_number && self.enabled.uid_only {
                return Err(UIDREQUIRED);
            }
            Ok((spec, uid, run))
        });
        let (result, may_expunge) = match parsed {
            Err(refusal) => (Err(refusal), false),
            Ok((spec, uid, run)) => {
                tracing::trace!(cmd = spec.name, uid, "command");
                let result = run.start(self).await;
                self.own_expunges(spec.effects);
                // RFC 9051 7.5.1: no EXPUNGE while a command runs that uses sequence numbers. RFC
                // 9051 5.5: nor before one that the client has sent already, which may be such a
                // command.
                let may_expunge = match uid {
                    // RFC 9586 3: no number that could shift is in use.
                    _ if self.enabled.uid_only => true,
                    true => !self.wire.has_input() || spec.effects.contains(Effects::WRITES),
                    false => !spec.effects.contains(Effects::USES_SEQ),
                };
                (result, may_expunge)
            }
        };
        if let Err(Refusal::Bye(_) | Refusal::Wire(_)) = result {
            return result.map(|done| done.then);
        }
        if let (Some(notify), Ok(done)) = (&mut self.notify, &result) {
            notify.answered(done.code.as_ref());
        }
        self.tell(may_expunge).await?;
        let tag = std::mem::take(&mut self.tag);
        let then = self.answer(&tag, &result)?;
        self.wire.flush_if_over(MAX_PENDING).await?;
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
                out.text(&self.enabled.say(done.text)).crlf();
                self.nonsense = 0;
                return Ok(done.then);
            }
            Err(refusal) => {
                if let Refusal::Mail(error) = refusal
                    && error.is_internal()
                {
                    tracing::error!(%error, "command failed");
                }
                refusal.write(tag, self.enabled, out);
            }
        }
        self.nonsense += u32::from(matches!(
            result,
            Err(Refusal::Bad(_) | Refusal::BadWith(..))
        ));
        let limit = match self.state {
            State::Login => MAX_NONSENSE_BEFORE_LOGIN,
            _ => MAX_NONSENSE,
        };
        if self.nonsense > limit {
            return Err(Refusal::Bye("too many invalid commands"));
        }
        Ok(Then::Continue)
    }

    // Changing state.

    /// Goes to another state.
    pub fn enter(&mut self, mut state: State) {
        match (&mut state, &self.notify) {
            (State::Login, _) => self.notify = None,
            (State::Selected(_, selection), Some(notify)) => {
                selection.set_interest(notify.interest());
            }
            _ => {}
        }
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

    /// Forgets everything about the client but its TLS (RFC 8437 3).
    pub fn reset(&mut self) {
        self.enter(State::Login);
        // RFC 8437 4.1: MUST, of all extensions. What is new in a session has to be named here.
        let Self {
            wire: _,
            state: _,
            enabled,
            comparator,
            notify,
            metadata,
            intake,
            deps: _,
            context: _,
            tag: _,
            nonsense: _,
        } = self;
        *enabled = Enabled::default();
        *comparator = Comparator::default();
        *notify = None;
        *metadata = None;
        *intake = None;
    }

    /// Octets written so far, whether or not they have been sent.
    pub fn emitted(&self) -> u64 {
        self.wire.bytes_out() + self.wire.pending_out() as u64
    }

    async fn start_tls(&mut self) -> Result<(), WireError> {
        let Some(tls) = self.context.starttls.take() else {
            return Err(WireError::Eof);
        };
        // RFC 9051 6.2.1: what the client learnt before is void, it asks again. RFC 5255 7: and
        // what somebody may have asked for in its place.
        self.enabled.language = Language::default();
        self.wire.starttls(&tls).await
    }

    async fn compress(&mut self) -> Result<(), WireError> {
        // RFC 4978 3: from the CRLF of the tagged OK on, both ways: what has been read behind the
        // command is compressed.
        let layer = |conn, read| Box::new(Deflate::new(conn, read)) as Box<dyn Layer>;
        self.wire.layer(layer).await
    }

    async fn uncompress(&mut self) -> Result<(), WireError> {
        // RFC 8437 4.1: after the CRLF of the tagged OK; the client has stopped before.
        self.wire.unlayer().await
    }

    async fn end(mut self, end: Option<Refusal>) {
        let bye = match &end {
            None
            | Some(Refusal::Bad(_) | Refusal::BadWith(..) | Refusal::No(..) | Refusal::Mail(_)) => {
                None
            }
            Some(Refusal::Bye(text)) => Some(*text),
            Some(Refusal::Wire(WireError::Timeout)) => Some("no command for too long"),
            Some(Refusal::Wire(WireError::Shutdown)) => Some("server is shutting down"),
            Some(Refusal::Wire(WireError::Ended)) => Some("the password you used was revoked"),
            Some(Refusal::Wire(WireError::Gone)) => Some("command without end"),
            Some(Refusal::Wire(WireError::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                Some("what you sent cannot be decoded")
            }
            Some(Refusal::Wire(_)) => None,
        };
        if let Some(text) = bye {
            let text = self.enabled.say(text);
            self.wire.buffer().raw(b"* BYE ").text(&text).crlf();
        }
        tracing::debug!(reason = bye.unwrap_or("closed"), "session ended");
        // The mailbox and its view are not needed to say goodbye.
        drop(self.state);
        match end {
            None => self.wire.part().await,
            Some(_) => self.wire.close().await,
        }
    }
}

/// The command, and whether it names messages by sequence number.
fn parse(
    spec: &Spec,
    uid: bool,
    command: &Command,
    args: usize,
    names: Names,
) -> Result<(Box<dyn Ready>, bool), Refusal> {
    let mut cursor = Cursor::new(command, names);
    cursor.take(args, "unexpected end of the command")?;
    let run = (spec.parse)(&mut cursor, uid)?;
    cursor.end()?;
    Ok((run, cursor.names_numbers()))
}
