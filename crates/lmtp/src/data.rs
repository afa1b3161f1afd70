//! DATA and BDAT: taking the message in.

use bytes::BytesMut;
use net::{Room, WireError};

use crate::deliver;
use crate::envelope::{Chunks, Transaction};
use crate::registry::Answer;
use crate::reply::Reply;
use crate::session::{Session, Stop};

/// Octets of a refused chunk we are ready to read and forget.
const MAX_SKIP: u64 = 1 << 30;

/// `DATA` (RFC 5321 4.1.1.4). The end is CRLF "." CRLF and nothing else; octets are kept as they
/// are apart from dot-stuffing.
pub(crate) async fn data(session: &mut Session, _: &[u8]) -> Answer {
    let Some(transaction) = &session.transaction else {
        return Ok(Some(Reply::MAIL_FIRST));
    };
    if !matches!(transaction.chunks, Chunks::None) {
        return Ok(Some(Reply::MIXED));
    }
    // RFC 2033 4.2: DATA without a successful RCPT fails with 503.
    if transaction.recipients.is_empty() {
        return Ok(Some(Reply::NO_RECIPIENTS));
    }
    Reply::START_DATA.write(&mut session.wire);
    let (max, mut share) = (session.max_message(), session.front.room.share());
    let has_room = |octets| share.grow_to(octets);
    let message = session.wire.dot_block(max, has_room).await;
    let Some(transaction) = session.transaction.take() else {
        return Ok(Some(Reply::MAIL_FIRST));
    };
    match message {
        Ok(message) => deliver::deliver(session, transaction, message).await,
        Err(WireError::TooLarge) => for_each(session, &transaction, &Reply::TOO_BIG),
        Err(WireError::NoRoom) => for_each(session, &transaction, &Reply::NO_ROOM),
        // Nothing was stored: a client that dies here leaves nothing.
        Err(error) => Err(Stop::Wire(error)),
    }
}

/// `BDAT chunk-size [LAST]` (RFC 3030 2).
pub(crate) async fn bdat(session: &mut Session, arguments: &[u8]) -> Answer {
    let Some(chunk) = Chunk::parse(arguments) else {
        return Ok(Some(Reply::SYNTAX));
    };
    let max = session.max_message();
    let admitted = match &mut session.transaction {
        None => Err(Reply::MAIL_FIRST),
        Some(transaction) => transaction.admit(chunk.size, max, &session.front.room),
    };
    match admitted {
        Err(reply) => refuse_chunk(session, chunk, reply).await,
        Ok(()) => take_chunk(session, chunk).await,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    size: u64,
    last: bool,
}

impl Chunk {
    fn parse(arguments: &[u8]) -> Option<Self> {
        let mut words = arguments
            .split(|&c| c == b' ')
            .filter(|word| !word.is_empty());
        let size = words.next()?;
        let last = match words.next() {
            Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
            Some(_) => return None,
            None => false,
        };
        if words.next().is_some() || !size.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let size = size.iter().fold(0u64, |value, digit| {
            value
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        });
        Some(Self { size, last })
    }
}

impl Transaction {
    /// Makes room for the next chunk, or says why it cannot be taken.
    fn admit(&mut self, size: u64, max: usize, room: &Room) -> Result<(), Reply> {
        if self.recipients.is_empty() {
            return Err(Reply::NO_RECIPIENTS);
        }
        if matches!(self.chunks, Chunks::None) {
            self.chunks = Chunks::Open(BytesMut::new(), room.share());
        }
        let Chunks::Open(so_far, share) = &mut self.chunks else {
            return Err(Reply::CHUNK_FAILED);
        };
        let sum = usize::try_from(size)
            .ok()
            .and_then(|size| so_far.len().checked_add(size))
            .filter(|sum| *sum <= max)
            .ok_or(Reply::TOO_BIG)?;
        share.grow_to(sum).then_some(()).ok_or(Reply::NO_ROOM)
    }
}

/// RFC 3030 2: the octets of a refused chunk are accepted and discarded before the reply.
async fn refuse_chunk(session: &mut Session, chunk: Chunk, reply: Reply) -> Answer {
    if chunk.size > MAX_SKIP {
        return Err(Stop::Close(Reply::TOO_BIG));
    }
    session.wire.skip(chunk.size).await?;
    if !chunk.last {
        if let Some(transaction) = &mut session.transaction {
            transaction.chunks = Chunks::Failed;
        }
        return Ok(Some(reply));
    }
    match session.transaction.take() {
        // RFC 2033 4.3: one reply per successful RCPT; none at all when there was none.
        Some(transaction) => for_each(session, &transaction, &reply),
        None => Ok(Some(reply)),
    }
}

async fn take_chunk(session: &mut Session, chunk: Chunk) -> Answer {
    let size = usize::try_from(chunk.size).map_err(|_| Stop::Close(Reply::TOO_BIG))?;
    let octets = session.wire.exact(size).await?;
    let Some(mut transaction) = session.transaction.take() else {
        return Ok(Some(Reply::MAIL_FIRST));
    };
    let Chunks::Open(mut so_far, share) = transaction.chunks else {
        return Ok(Some(Reply::CHUNK_FAILED));
    };
    if !chunk.last {
        so_far.extend_from_slice(&octets);
        transaction.chunks = Chunks::Open(so_far, share);
        session.transaction = Some(transaction);
        let text = format!("{size} octets received");
        return Ok(Some(Reply {
            code: 250,
            status: "2.0.0",
            text: text.into(),
        }));
    }
    let message = match so_far.is_empty() {
        true => octets,
        false => {
            so_far.extend_from_slice(&octets);
            so_far.freeze()
        }
    };
    transaction.chunks = Chunks::None;
    let answer = deliver::deliver(session, transaction, message).await;
    // Only now the message is gone from memory.
    drop(share);
    answer
}

/// The same reply for every recipient.
fn for_each(session: &mut Session, transaction: &Transaction, reply: &Reply) -> Answer {
    session
        .front
        .rejected
        .inc_by(transaction.recipients.len() as u64);
    Ok(session.answer_each(transaction.recipients.iter().map(|_| reply)))
}

impl Session {
    /// Writes all replies but the last, which is the answer of the command.
    pub(crate) fn answer_each<'r>(
        &mut self,
        replies: impl Iterator<Item = &'r Reply>,
    ) -> Option<Reply> {
        let mut last: Option<&Reply> = None;
        for reply in replies {
            if let Some(before) = last.replace(reply) {
                before.write(&mut self.wire);
            }
        }
        last.cloned()
    }

    fn max_message(&self) -> usize {
        let max = self.front.deps.mail.options().max_message_bytes;
        usize::try_from(max).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_digits_and_never_overflow() {
        let chunk = |size, last| Some(Chunk { size, last });
        for (text, want) in [
            ("0 LAST", chunk(0, true)),
            ("12", chunk(12, false)),
            ("12  last", chunk(12, true)),
            ("99999999999999999999999", chunk(u64::MAX, false)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1 2", None),
            ("1 LAST x", None),
            ("LAST", None),
            ("0x10", None),
        ] {
            assert_eq!(Chunk::parse(text.as_bytes()), want, "{text}");
        }
    }
}
