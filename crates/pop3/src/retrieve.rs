//! RETR and TOP: message bytes.

use bytes::Bytes;
use mail::{Email, Mail, MailError};
use net::{Share, Wire};

use crate::bodies::Body;
use crate::commands::decimal;
use crate::language::needs_utf8;
use crate::maildrop::number;
use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, HIGH_WATER, Session, Stop};
use crate::stuff::{Stuffer, Top};
use crate::texts::Text;

/// Octets of a long message read at once: as many as there is memory for, and so few always.
const PIECES: [u32; 3] = [1 << 20, 256 << 10, LEAST];
/// Two of them find room whatever others do.
const LEAST: u32 = 32 << 10;
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
    let source = Source::open(mail, body, None).await?;
    source.check(may_utf8)?;
    let out = wire.buffer();
    out.extend_from_slice(b"+OK ");
    decimal(out, row.pop3_size());
    out.extend_from_slice(b" ");
    out.extend_from_slice(Text::Octets.say(language).as_bytes());
    out.extend_from_slice(b"\r\n");
    let share = source.send(mail, wire, row.crlf_extra == 0, None).await?;
    maildrop.note_retrieved(&row);
    if front.deps.settings.mark_seen {
        maildrop.mark_retrieved(place, &row);
    }
    front.counters.retrieved.inc();
    front.counters.retr_bytes.inc_by(row.pop3_size());
    wire.flush_if_over(HIGH_WATER).await?;
    drop(share);
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
        let body = Body {
            email,
            bytes: None,
            share: transaction.bodies.share(),
        };
        Source::open(account.mail(), body, Some(TOP_PIECE)).await?
    } else {
        let pipelined = wire.has_buffered_line();
        let body = transaction
            .bodies
            .take(&transaction.maildrop, place, pipelined)
            .await?;
        Source::open(account.mail(), body, None).await?
    };
    source.check(may_utf8)?;
    wire.write(b"+OK\r\n");
    let top = Some(Top::new(lines));
    let clean = row.crlf_extra == 0;
    let share = source.send(account.mail(), wire, clean, top).await?;
    if lines > FEW_LINES {
        transaction.maildrop.note_retrieved(&row);
    }
    wire.flush_if_over(HIGH_WATER).await?;
    drop(share);
    Ok(())
}

/// A message about to be sent, in pieces.
struct Source {
    email: Email,
    /// The whole of it, or the first piece; taken when sent.
    first: Option<Bytes>,
    /// Octets of each piece behind the first.
    piece: u32,
    /// What is held of it in memory, or will be.
    share: Share,
}

impl Source {
    /// What is not there yet is read in pieces as large as there is memory for. `first`: so much of
    /// it may be all that is sent.
    async fn open(mail: &Mail, body: Body, first: Option<u32>) -> Result<Self, MailError> {
        let Body {
            email,
            bytes,
            mut share,
        } = body;
        let (mut piece, size) = (0, email.blob.size);
        let first = match bytes {
            Some(bytes) => bytes,
            None => {
                // One waits for the client while the next is read.
                let mut pieces = PIECES.into_iter().skip(usize::from(first.is_some()));
                let fits = pieces.find(|piece| share.grow_to(2 * size.min(*piece) as usize));
                piece = fits.unwrap_or(LEAST);
                if first.is_none() {
                    // What has been sent cannot be taken back: it is looked through before.
                    mail.verify_content(&email).await?;
                }
                let end = first.unwrap_or(piece).min(piece).min(size);
                mail.content_range(&email, 0..end).await?
            }
        };
        Ok(Self {
            email,
            first: Some(first),
            piece,
            share,
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
    /// `clean` says that it needs no line end POP3 would have to add. What still waits for the
    /// client is of the share.
    async fn send(
        mut self,
        mail: &Mail,
        wire: &mut Wire,
        clean: bool,
        mut top: Option<Top>,
    ) -> Result<Share, Stop> {
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
                    wire.flush_if_over(self.piece as usize).await?;
                    self.read(mail, sent).await?
                }
            };
            sent += piece.len() as u64;
        }
        let mut end = Vec::new();
        stuffer.finish(&mut end);
        wire.write(&end);
        Ok(self.share)
    }

    async fn read(&self, mail: &Mail, from: u64) -> Result<Bytes, Stop> {
        let size = self.email.blob.size;
        let from = u32::try_from(from).unwrap_or(size);
        let to = from.saturating_add(self.piece).min(size);
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
