//! The TRANSACTION state without lists and bodies (RFC 1939 5), and QUIT (4, 6).

use bytes::BytesMut;

use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, Session, State, Stop};
use crate::texts::Text;

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

/// Without the cost of `write!`.
pub(crate) fn decimal(out: &mut BytesMut, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
