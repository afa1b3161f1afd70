//! The commands that carry no mail.

use std::fmt::Write as _;

use crate::registry::Answer;
use crate::reply::Reply;
use crate::session::{Session, Stop};

/// `LHLO domain` (RFC 2033 4.1): what we can do; an open transaction ends.
pub(crate) async fn lhlo(session: &mut Session, _: &[u8]) -> Answer {
    session.transaction = None;
    session.greeted = true;
    let settings = &session.front.deps.settings;
    let mut text = format!("250-{}\r\n", settings.hostname);
    text.push_str("250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n");
    if session.may_start_tls() {
        text.push_str("250-STARTTLS\r\n");
    }
    text.push_str("250-CHUNKING\r\n");
    let max = session.front.deps.mail.options().max_message_bytes;
    let _ = write!(text, "250 SIZE {max}\r\n");
    session.wire.write(text.as_bytes());
    Ok(None)
}

/// `HELO` and `EHLO` must not succeed (RFC 2033 4.1), so that a client of SMTP notices.
pub(crate) async fn not_lhlo(_: &mut Session, _: &[u8]) -> Answer {
    Ok(Some(Reply::USE_LHLO))
}

/// `RSET`.
pub(crate) async fn rset(session: &mut Session, _: &[u8]) -> Answer {
    session.transaction = None;
    Ok(Some(Reply::OK))
}

/// `NOOP`.
pub(crate) async fn noop(_: &mut Session, _: &[u8]) -> Answer {
    Ok(Some(Reply::OK))
}

/// `VRFY`: RFC 5321 7.3: who exists is told by RCPT only.
pub(crate) async fn vrfy(_: &mut Session, _: &[u8]) -> Answer {
    Ok(Some(Reply::CANNOT_VRFY))
}

/// `HELP`.
pub(crate) async fn help(_: &mut Session, _: &[u8]) -> Answer {
    Ok(Some(Reply::HELP))
}

/// `QUIT`.
pub(crate) async fn quit(_: &mut Session, _: &[u8]) -> Answer {
    Err(Stop::Close(Reply::BYE))
}

/// `STARTTLS` (RFC 3207 4). What was pipelined behind it is thrown away: it was not protected.
pub(crate) async fn starttls(session: &mut Session, _: &[u8]) -> Answer {
    let Some(tls) = session
        .context
        .starttls
        .clone()
        .filter(|_| session.may_start_tls())
    else {
        return Ok(Some(Reply::NO_TLS));
    };
    Reply::READY_FOR_TLS.write(&mut session.wire);
    session.wire.starttls(&tls).await?;
    // RFC 3207 4.2: the server discards what it knew about the client, LHLO included.
    session.greeted = false;
    session.transaction = None;
    Ok(None)
}

impl Session {
    fn may_start_tls(&self) -> bool {
        self.context.starttls.is_some() && !self.wire.is_tls()
    }
}
