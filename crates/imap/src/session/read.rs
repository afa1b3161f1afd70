//! Reading one command: its first words decide how much of the rest is taken in.

use super::{Session, State};
use crate::cmd::append::{Draft, Intake, ONE_MESSAGE, TOOBIG, Target};
use crate::ext::uidonly::{UIDREQUIRED, needs_uid};
use crate::grammar::cursor::is_tag_char;
use crate::grammar::{Assembler, BadSyntax, Bounds, Command, Cursor, Emit, Next, Unfit};
use crate::refusal::{Code, Refusal};
use crate::registry;
use crate::spec::{Effects, Spec, States, UidForm};
use bytes::Bytes;
use net::{Excess, WireError};

/// The first words of a command.
pub(super) struct Head {
    /// `*` when there is none.
    pub(super) tag: Box<[u8]>,
    /// The command's name in the registry; empty when it has none.
    pub(super) name: &'static str,
    /// What to do with it; when that is certain before its literals are here, they need not be
    /// asked for.
    pub(super) found: Result<(&'static Spec, bool), Refusal>,
    /// Where the arguments begin.
    pub(super) args: usize,
}

impl Session {
    /// Reads one command with its literals, or what is left of one that is refused.
    ///
    /// # Errors
    /// Only what ends the session.
    pub(super) async fn read(&mut self) -> Result<(Head, Result<Command, Refusal>), Refusal> {
        self.intake = None;
        self.listen().await?;
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
        let mut declined = None;
        loop {
            match assembler.line(line) {
                Next::Done(command) => return Ok((head, Ok(command))),
                Next::Refused(unfit) => {
                    let refusal = declined.unwrap_or_else(|| unfit_refusal(unfit, &head));
                    return Ok((head, Err(refusal)));
                }
                Next::HangUp => return Err(Refusal::Bye("literal far too large")),
                Next::Skip(len) => self.wire.skip(len).await?,
                Next::Literal { len, synchronising } => {
                    // Boxed: it must not make every idle session larger.
                    let decision = Box::pin(self.before_literal(&head, &mut assembler, len));
                    match decision.await {
                        Ok(()) => {
                            if synchronising {
                                self.wire.buffer().raw(b"+ OK\r\n");
                            }
                            let literal = self.wire.exact(len).await?;
                            assembler.literal(literal);
                        }
                        Err(refusal) if synchronising => return Ok((head, Err(refusal))),
                        Err(refusal) => {
                            // It is on its way: the answer comes when all has been read.
                            assembler.refuse(DECLINED);
                            declined = Some(refusal);
                            self.wire.skip(len as u64).await?;
                        }
                    }
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

    /// A literal is announced: takes the messages that are complete before it, and decides whether
    /// it may come. Better said before it is sent than after.
    async fn before_literal(
        &mut self,
        head: &Head,
        assembler: &mut Assembler,
        len: usize,
    ) -> Result<(), Refusal> {
        let (spec, uid) = match &head.found {
            Ok((spec, uid)) if spec.effects.contains(Effects::TAKES_MESSAGE) => (spec, *uid),
            _ => return Ok(()),
        };
        let (text, literals) = assembler.so_far();
        let mut cursor = Cursor::over(text, literals, self.enabled.names());
        cursor.take(head.args, "unexpected end of the command")?;
        let target = match Target::parse(&mut cursor, spec.effects, uid) {
            Ok(target) => target,
            // The literal is the name of the mailbox.
            Err(_) if cursor.is_starved() => return Ok(()),
            Err(bad) => return Err(bad.into()),
        };
        let begin = cursor.left();
        let (mut end, mut drafts) = (begin, Vec::new());
        loop {
            match Draft::parse(&mut cursor) {
                Ok(draft) => drafts.push(draft),
                Err(_) if cursor.is_starved() => break,
                Err(bad) => return Err(bad.into()),
            }
            end = cursor.left();
        }
        if spec.effects.contains(Effects::REPLACES) && !drafts.is_empty() {
            return Err(ONE_MESSAGE.into());
        }
        assembler.forget(begin, end);
        let mut intake = Intake::resume(self, &target).await?;
        for draft in drafts {
            intake.take(self, draft).await?;
        }
        // The literals of this message; the target's are short.
        let begun = assembler.octets();
        intake.room_for(self, begun.saturating_add(len as u64))?;
        self.intake = Some(Box::new(intake));
        Ok(())
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
        if self.enabled.uid_only && needs_uid(spec, uid) {
            return Err(UIDREQUIRED);
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
            && spec.states == States::SELECTED
        {
            selection.check_access()?;
            if selection.is_read_only() && spec.effects.contains(Effects::WRITES) {
                return Err(Refusal::no(Code::CANNOT, "the mailbox is open read-only"));
            }
        }
        Ok((spec, uid))
    }
}

const LINE_TOO_LONG: BadSyntax = BadSyntax("command line too long");
/// Stands in the assembler for a refusal it does not know.
const DECLINED: BadSyntax = BadSyntax("declined");

fn unfit_refusal(unfit: Unfit, head: &Head) -> Refusal {
    match unfit {
        Unfit::Bad(bad) => bad.into(),
        Unfit::TooBig => match &head.found {
            Ok((spec, _)) if spec.effects.contains(Effects::TAKES_MESSAGE) => TOOBIG,
            _ => Refusal::bad("literal too large"),
        },
    }
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
