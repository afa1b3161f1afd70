//! Replies: code, enhanced code (RFC 2034), text; and the one table from the engine's errors.

use std::borrow::Cow;

use mail::{MailError, MailErrorKind};
use net::Outcome;

/// One reply of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// RFC 3463; empty where RFC 2034 4 wants none.
    pub(crate) status: &'static str,
    pub(crate) text: Cow<'static, str>,
}

const fn reply(code: u16, status: &'static str, text: &'static str) -> Reply {
    Reply {
        code,
        status,
        text: Cow::Borrowed(text),
    }
}

#[rustfmt::skip]
impl Reply {
    pub(crate) const OK: Self = reply(250, "2.0.0", "ok");
    pub(crate) const SENDER_OK: Self = reply(250, "2.1.0", "sender ok");
    pub(crate) const RECIPIENT_OK: Self = reply(250, "2.1.5", "recipient ok");
    pub(crate) const DELIVERED: Self = reply(250, "2.0.0", "delivered");
    pub(crate) const REPEATED: Self = reply(250, "2.0.0", "delivered before, not again");
    pub(crate) const BYE: Self = reply(221, "2.0.0", "bye");
    pub(crate) const READY_FOR_TLS: Self = reply(220, "2.0.0", "ready to start TLS");
    pub(crate) const HELP: Self = reply(214, "2.0.0", "see RFC 2033");
    pub(crate) const CANNOT_VRFY: Self = reply(252, "2.5.2", "send some mail, we will try");
    pub(crate) const START_DATA: Self = reply(354, "", "end data with <CRLF>.<CRLF>");

    pub(crate) const SHUTDOWN: Self = reply(421, "4.3.2", "server is shutting down");
    pub(crate) const TIMEOUT: Self = reply(421, "4.4.2", "idle too long");
    pub(crate) const TOO_MANY_BAD: Self = reply(421, "4.7.0", "too many bad commands");
    pub(crate) const UNAVAILABLE: Self = reply(451, "4.3.0", "storage is unavailable, try again later");
    pub(crate) const NO_ROOM: Self = reply(452, "4.3.1", "too much mail at once, try again later");
    pub(crate) const TOO_MANY_RECIPIENTS: Self = reply(452, "4.5.3", "too many recipients");

    pub(crate) const UNKNOWN: Self = reply(500, "5.5.1", "unknown command");
    pub(crate) const TOO_LONG: Self = reply(500, "5.5.2", "line too long");
    pub(crate) const USE_LHLO: Self = reply(500, "5.5.1", "this is LMTP, use LHLO");
    pub(crate) const SYNTAX: Self = reply(501, "5.5.4", "syntax error in arguments");
    pub(crate) const BAD_SENDER: Self = reply(501, "5.1.7", "bad sender address");
    pub(crate) const BAD_RECIPIENT: Self = reply(501, "5.1.3", "bad recipient address");
    pub(crate) const NO_TLS: Self = reply(502, "5.5.1", "TLS is not available here");
    pub(crate) const LHLO_FIRST: Self = reply(503, "5.5.1", "LHLO comes first");
    pub(crate) const MAIL_FIRST: Self = reply(503, "5.5.1", "MAIL comes first");
    pub(crate) const NESTED_MAIL: Self = reply(503, "5.5.1", "a transaction is open already");
    pub(crate) const NO_RECIPIENTS: Self = reply(503, "5.5.1", "no valid recipients");
    pub(crate) const MIXED: Self = reply(503, "5.5.1", "DATA and BDAT do not mix");
    pub(crate) const CHUNK_FAILED: Self = reply(503, "5.5.1", "an earlier BDAT failed");
    pub(crate) const UNKNOWN_USER: Self = reply(550, "5.1.1", "no such user here");
    pub(crate) const TOO_BIG: Self = reply(552, "5.3.4", "message too large");
    // RFC 6531 3.5.
    pub(crate) const NEEDS_SMTPUTF8: Self = reply(553, "5.6.7", "non-ASCII address without SMTPUTF8");
    pub(crate) const UNKNOWN_PARAMETER: Self = reply(555, "5.5.4", "unsupported parameter");

    pub(crate) const OVER_QUOTA: Self = reply(552, "5.2.2", "mailbox is full");
    pub(crate) const OVER_QUOTA_NOW: Self = reply(452, "4.2.2", "mailbox is full, try again later");

    /// The table: what each kind of engine trouble is to a sender. Nothing internal leaks, and what
    /// may pass is temporary: the message is the sender's to keep.
    pub(crate) fn of(error: &MailError, over_quota_temporary: bool) -> Self {
        if error.is_internal() {
            tracing::warn!(%error, "storage trouble");
        }
        match error.kind {
            MailErrorKind::OverQuota if over_quota_temporary => Self::OVER_QUOTA_NOW,
            MailErrorKind::OverQuota => Self::OVER_QUOTA,
            MailErrorKind::TooBig => Self::TOO_BIG,
            MailErrorKind::NotFound | MailErrorKind::Gone => Self::UNKNOWN_USER,
            MailErrorKind::Limit => reply(452, "4.3.1", "mailbox cannot take more"),
            MailErrorKind::Unavailable
            | MailErrorKind::Corrupt
            | MailErrorKind::Exists
            | MailErrorKind::NotAllowed
            | MailErrorKind::Denied
            | MailErrorKind::Invalid => Self::UNAVAILABLE,
        }
    }
}

impl Reply {
    /// Whether it is a Positive Completion or Intermediate reply.
    pub(crate) fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// For the metrics.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.code {
            ..400 => Outcome::Ok,
            451 | 421 => Outcome::Error,
            500..=504 | 555 => Outcome::Bad,
            _ => Outcome::Refused,
        }
    }

    pub(crate) fn write(&self, wire: &mut net::Wire) {
        let space = if self.status.is_empty() { "" } else { " " };
        let line = format!("{} {}{space}{}\r\n", self.code, self.status, self.text);
        wire.write(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc2034_4_the_class_of_the_status_is_the_class_of_the_code() {
        use MailErrorKind as Kind;
        for kind in [
            Kind::NotFound,
            Kind::Exists,
            Kind::OverQuota,
            Kind::TooBig,
            Kind::NotAllowed,
            Kind::Limit,
            Kind::Invalid,
            Kind::Gone,
            Kind::Unavailable,
            Kind::Corrupt,
        ] {
            for temporary in [false, true] {
                let reply = Reply::of(&MailError::new(kind, "/secret"), temporary);
                assert!(reply.code >= 400 && !reply.text.contains("secret"));
                assert_eq!(
                    reply.code.to_string().as_bytes()[0],
                    reply.status.as_bytes()[0]
                );
            }
        }
    }
}
