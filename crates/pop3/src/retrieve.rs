//! RETR and TOP: message bytes.

use bytes::Bytes;
use mail::{Email, Mail, MailError};
use net::Wire;

use crate::bodies::{Body, LONG};
use crate::commands::decimal;
use crate::language::needs_utf8;
use crate::maildrop::number;
use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, HIGH_WATER, Session, Stop};
use crate::stuff::{Stuffer, Top};
use crate::texts::Text;

/// Octets of a long message read at once.
const PIECE: u32 = 1 << 20;
/// The first piece for TOP: most headers fit, and few body lines.
const TOP_PIECE: u32 = 16 << 10;
/// A TOP of more lines than this is a RETR in disguise (fetchmail asks for 99999999).
const FEW_LINES: u64 = 200;

/// `RETR msg` (RFC 1939 5).
pub(crate) async fn retr(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let (language, may_utf8) = (session.language, session.may_send_utf8());
    let (transaction, wire, front) = session.transaction()?;
    let maildrop = &mut transaction.maildrop;
    let (place, row) = maildrop.find(arguments.first().unwrap_or_default())?;
    let body = transaction
        .bodies
        .take(maildrop, place, wire.has_buffered_line())
        .await?;
    let mail = transaction.bodies.account().mail();
    // The first piece is read before +OK: trouble is told while it still can be.
    let source = Source::open(mail, body, PIECE).await?;
    source.check(may_utf8)?;
    let out = wire.buffer();
    out.extend_from_slice(b"+OK ");
    decimal(out, row.pop3_size());
    out.extend_from_slice(b" ");
    out.extend_from_slice(Text::Octets.say(language).as_bytes());
    out.extend_from_slice(b"\r\n");
    source.send(mail, wire, row.crlf_extra == 0, None).await?;
    maildrop.note_retrieved(&row);
    if front.deps.settings.mark_seen {
        maildrop.mark_retrieved(place, &row);
    }
    front.counters.retrieved.inc();
    front.counters.retr_bytes.inc_by(row.pop3_size());
    wire.flush_if_over(HIGH_WATER).await?;
    Ok(())
}

/// `TOP msg n` (RFC 1939 7): the header and `n` lines of the body. Never sets `\Seen`.
pub(crate) async fn top(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let may_utf8 = session.may_send_utf8();
    let (transaction, wire, _) = session.transaction()?;
    let (place, row) = transaction
        .maildrop
        .find(arguments.first().unwrap_or_default())?;
    let lines = number(arguments.second().unwrap_or_default())?;
    let account = transaction.bodies.account().clone();
    let source = if lines <= FEW_LINES && row.size > TOP_PIECE {
        let email = account
            .emails(&[row.email])
            .await?
            .into_iter()
            .flatten()
            .next();
        let email = email.ok_or_else(crate::bodies::gone)?;
        Source::open(account.mail(), Body { email, bytes: None }, TOP_PIECE).await?
    } else {
        let pipelined = wire.has_buffered_line();
        let body = transaction
            .bodies
            .take(&transaction.maildrop, place, pipelined)
            .await?;
        Source::open(account.mail(), body, PIECE).await?
    };
    source.check(may_utf8)?;
    wire.write(b"+OK\r\n");
    source
        .send(
            account.mail(),
            wire,
            row.crlf_extra == 0,
            Some(Top::new(lines)),
        )
        .await?;
    if lines > FEW_LINES {
        transaction.maildrop.note_retrieved(&row);
    }
    wire.flush_if_over(HIGH_WATER).await?;
    Ok(())
}

/// A message about to be sent, in pieces.
struct Source {
    email: Email,
    /// The whole of it, or the first piece; taken when sent.
    first: Option<Bytes>,
    piece: u32,
}

impl Source {
    async fn open(mail: &Mail, body: Body, piece: u32) -> Result<Self, MailError> {
        let first = match body.bytes {
            Some(bytes) => bytes,
            None => {
                mail.content_range(&body.email, 0..piece.min(body.email.blob.size))
                    .await?
            }
        };
        Ok(Self {
            email: body.email,
            first: Some(first),
            piece,
        })
    }

    /// RFC 6856 2.1: without UTF8, a message with UTF-8 in its header is not sent as it is.
    fn check(&self, may_utf8: bool) -> Result<(), Refusal> {
        let first = self.first.as_ref();
        if !may_utf8 && first.is_some_and(|first| needs_utf8(self.email.prefix(), first)) {
            return Err(Refusal::NEEDS_UTF8);
        }
        Ok(())
    }

    /// Sends the message, or the part of it that `top` lets pass, and the terminating dot.
    /// `clean` says that it needs no line end POP3 would have to add.
    async fn send(
        mut self,
        mail: &Mail,
        wire: &mut Wire,
        clean: bool,
        mut top: Option<Top>,
    ) -> Result<(), Stop> {
        let mut stuffer = Stuffer::default();
        let mut piece = self.email.prefix().clone();
        let mut sent = 0u64;
        loop {
            if let Some(top) = &mut top {
                piece.truncate(top.take(&piece));
            }
            if stuffer.passes(&piece, clean) {
                wire.write_bytes(piece);
            } else if !piece.is_empty() {
                let mut out = Vec::with_capacity(piece.len() + piece.len() / 16 + 16);
                stuffer.push(&piece, &mut out);
                wire.write_bytes(out.into());
            }
            if top.as_ref().is_some_and(Top::is_done) {
                break;
            }
            piece = match self.first.take() {
                Some(first) => first,
                None if sent >= u64::from(self.email.blob.size) => break,
                None => {
                    // Bounds memory however slowly the client reads.
                    wire.flush_if_over(LONG as usize).await?;
                    self.read(mail, sent).await?
                }
            };
            sent += piece.len() as u64;
        }
        let mut end = Vec::new();
        stuffer.finish(&mut end);
        wire.write(&end);
        Ok(())
    }

    async fn read(&self, mail: &Mail, from: u64) -> Result<Bytes, Stop> {
        let size = self.email.blob.size;
        let from = u32::try_from(from).unwrap_or(size);
        // Pieces after the first of a TOP that goes on are large.
        let to = from.saturating_add(self.piece.max(PIECE / 4)).min(size);
        match mail.content_range(&self.email, from..to).await {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            Ok(_) => Err(Stop::Broken),
            Err(error) => {
                tracing::warn!(%error, "message cannot be read to its end");
                Err(Stop::Broken)
            }
        }
    }
}
