//! The TRANSACTION state without bodies (RFC 1939 5), and QUIT (4, 6).

use bytes::BytesMut;
use mail::{Row, UniqueIds};

use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, Session, State, Stop};
use crate::texts::Text;

/// Octets of a list at which it is sent: the client reads while the rest is written.
const PIECE: usize = 64 << 10;

/// `STAT`: messages and octets.
pub(crate) async fn stat(session: &mut Session, _: Arguments<'_>) -> Answer {
    let (transaction, wire, _) = session.transaction()?;
    let maildrop = &transaction.maildrop;
    let out = wire.buffer();
    out.extend_from_slice(b"+OK ");
    decimal(out, maildrop.messages());
    out.extend_from_slice(b" ");
    decimal(out, maildrop.octets());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `LIST [msg]`: octets of each message.
pub(crate) async fn list(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let language = session.language;
    let (transaction, wire, _) = session.transaction()?;
    let maildrop = &transaction.maildrop;
    if let Some(argument) = arguments.first() {
        let (place, row) = maildrop.find(argument)?;
        let out = wire.buffer();
        out.extend_from_slice(b"+OK ");
        scan_listing(out, place.number(), row.pop3_size());
        return Ok(());
    }
    wire.write(maildrop.in_words(language).as_bytes());
    for (place, row) in maildrop.listing() {
        scan_listing(wire.buffer(), place.number(), row.pop3_size());
        wire.flush_if_over(PIECE).await?;
    }
    wire.write(b".\r\n");
    Ok(())
}

/// `UIDL [msg]` (RFC 1939 7): the stored unique id of each message.
pub(crate) async fn uidl(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let (transaction, wire, front) = session.transaction()?;
    let maildrop = &transaction.maildrop;
    let ids = maildrop.unique_ids();
    if let Some(argument) = arguments.first() {
        let (place, row) = maildrop.find(argument)?;
        let out = wire.buffer();
        out.extend_from_slice(b"+OK ");
        unique_id(out, place.number(), ids, &row);
        return Ok(());
    }
    wire.write(b"+OK\r\n");
    let mut octets = 0u64;
    for (place, row) in maildrop.listing() {
        let out = wire.buffer();
        let before = out.len();
        unique_id(out, place.number(), ids, &row);
        octets += (out.len() - before) as u64;
        wire.flush_if_over(PIECE).await?;
    }
    wire.write(b".\r\n");
    front.counters.uidl_bytes.inc_by(octets);
    Ok(())
}

/// `DELE msg`: hidden now, removed by QUIT.
pub(crate) async fn dele(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let (transaction, _, _) = session.transaction()?;
    let (place, row) = transaction
        .maildrop
        .find(arguments.first().unwrap_or_default())?;
    transaction.maildrop.delete(place, &row);
    session.accept(Text::MessageDeleted);
    Ok(())
}

/// `NOOP`.
pub(crate) async fn noop(session: &mut Session, _: Arguments<'_>) -> Answer {
    session.wire.write(b"+OK\r\n");
    Ok(())
}

/// `RSET`: takes every DELE back.
pub(crate) async fn rset(session: &mut Session, _: Arguments<'_>) -> Answer {
    let (transaction, wire, _) = session.transaction()?;
    transaction.maildrop.reset();
    wire.write(b"+OK\r\n");
    Ok(())
}

/// `QUIT`: the only command that changes anything, in one durable commit (DESIGN 5.2).
pub(crate) async fn quit(session: &mut Session, _: Arguments<'_>) -> Answer {
    if let State::Transaction(transaction) = &session.state {
        match transaction.maildrop.update().await {
            Ok(messages) => {
                let counters = &session.front.counters;
                counters
                    .disposed(transaction.maildrop.policy())
                    .inc_by(messages);
            }
            Err(error) => {
                tracing::warn!(%error, "update failed");
                // RFC 1939 6: the connection ends whether or not the removal succeeded.
                session.refuse(&Refusal::NOT_UPDATED);
                return Err(Stop::Quit);
            }
        }
    }
    session.accept(Text::Bye);
    Err(Stop::Quit)
}

fn scan_listing(out: &mut BytesMut, number: u64, octets: u64) {
    decimal(out, number);
    out.extend_from_slice(b" ");
    decimal(out, octets);
    out.extend_from_slice(b"\r\n");
}

fn unique_id(out: &mut BytesMut, number: u64, ids: &UniqueIds, row: &Row) {
    decimal(out, number);
    out.extend_from_slice(b" ");
    ids.write(row, out);
    out.extend_from_slice(b"\r\n");
}

/// Ten thousand of these fit into a fraction of a millisecond; `write!` does not.
pub(crate) fn decimal(out: &mut BytesMut, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
