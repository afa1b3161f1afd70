//! Why a command was not carried out, and what the client is told: the only place where errors
//! become text.

use crate::grammar::{BadSyntax, Emit};
use crate::session::Enabled;
use bytes::BytesMut;
use mail::{MailError, MailErrorKind};
use net::{Outcome, WireError};
use std::borrow::Cow;
use std::num::NonZeroU32;
use types::{ModSeq, Uid, UidSet, UidValidity};

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Refusal {
    /// The client's mistake in form or order: BAD.
    Bad(Cow<'static, str>),
    /// The same with a code.
    BadWith(Code, &'static str),
    /// Understood and declined: NO.
    No(Option<Code>, Cow<'static, str>),
    /// The engine declined or failed; see [`code_of`].
    Mail(MailError),
    /// The session must end: BYE.
    Bye(&'static str),
    /// The connection is over.
    Wire(WireError),
}

/// A response code (RFC 9051 7.1, RFC 5530 and the extensions').
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Code {
    /// A code without arguments.
    Word(&'static str),
    /// Where appended messages are (RFC 4315 3).
    AppendUid(UidValidity, UidSet),
    /// Where copied messages are (RFC 4315 3); the sets are of equal size and not empty.
    CopyUid(UidValidity, UidSet, UidSet),
    /// The mailbox's HIGHESTMODSEQ (RFC 7162 3.1.2.1).
    HighestModSeq(ModSeq),
    /// Messages a conditional STORE left alone, as the numbers the client used (RFC 7162 3.1.3).
    Modified(String),
    /// The object identifier of a mailbox (RFC 8474 4).
    MailboxId(String),
    /// The URL that names nothing here (RFC 4469 4.1), printable and without a bracket.
    BadUrl(String),
    /// The events NOTIFY knows (RFC 5465 8).
    BadEvent(String),
    /// The stored search that is not there (RFC 5466 3.1).
    UndefinedFilter(String),
    /// The tag of a search whose results will not be kept up to date (RFC 5267 4.3.1).
    NoUpdate(String),
    /// How many messages one command works on, and the lowest uid it has worked on (RFC 9738 3.1).
    MessageLimit(NonZeroU32, Option<Uid>),
    /// METADATA with a word and a number of octets (RFC 5464 5).
    Metadata(&'static str, u64),
    /// What this server can, now (RFC 9051 7.1); the list without its first word.
    Capability(String),
}

impl Code {
    /// The mailbox is not there, but CREATE would make it (RFC 9051 7.1).
    pub const TRYCREATE: Self = Self::Word("TRYCREATE");
    /// The operation is impossible and always will be (RFC 5530 3).
    pub const CANNOT: Self = Self::Word("CANNOT");
    /// The client may not do that (RFC 5530 3).
    pub const NOPERM: Self = Self::Word("NOPERM");
    /// There is nothing of that name (RFC 5530 3).
    pub const NONEXISTENT: Self = Self::Word("NONEXISTENT");

    /// Writes `[code] `.
    pub fn write(&self, out: &mut BytesMut) {
        out.raw(b"[");
        match self {
            Self::Word(word) => out.text(word),
            Self::AppendUid(validity, uids) => out
                .raw(b"APPENDUID ")
                .num(validity.get())
                .raw(b" ")
                .uids(uids),
            Self::CopyUid(validity, from, to) => out
                .raw(b"COPYUID ")
                .num(validity.get())
                .raw(b" ")
                .uids(from)
                .raw(b" ")
                .uids(to),
            Self::HighestModSeq(modseq) => out.raw(b"HIGHESTMODSEQ ").num(modseq.get()),
            Self::Modified(set) => out.raw(b"MODIFIED ").text(set),
            Self::MailboxId(id) => out.raw(b"MAILBOXID (").text(id).raw(b")"),
            Self::BadUrl(url) => out.raw(b"BADURL ").text(url),
            Self::BadEvent(names) => out.raw(b"BADEVENT (").text(names).raw(b")"),
            Self::UndefinedFilter(name) => out.raw(b"UNDEFINED-FILTER ").text(name),
            Self::NoUpdate(tag) => out.raw(b"NOUPDATE ").string(tag.as_bytes()),
            Self::Metadata(word, octets) => out.raw(b"METADATA ").text(word).raw(b" ").num(*octets),
            Self::MessageLimit(limit, None) => out.raw(b"MESSAGELIMIT ").num(limit.get()),
            Self::MessageLimit(limit, Some(last)) => {
                let out = out.raw(b"MESSAGELIMIT ").num(limit.get());
                out.raw(b" ").num(last.get())
            }
            Self::Capability(list) => out.raw(b"CAPABILITY ").text(list),
        };
        out.raw(b"] ");
    }
}

/// THE table: what a client is told for each kind of trouble of the engine.
pub fn code_of(kind: MailErrorKind) -> Option<Code> {
    Some(Code::Word(match kind {
        MailErrorKind::NotFound | MailErrorKind::Gone => "NONEXISTENT",
        MailErrorKind::Exists => "ALREADYEXISTS",
        MailErrorKind::OverQuota => "OVERQUOTA",
        MailErrorKind::TooBig => "TOOBIG",
        MailErrorKind::NotAllowed => "CANNOT",
        MailErrorKind::Denied => "NOPERM",
        MailErrorKind::Limit => "LIMIT",
        MailErrorKind::Invalid => "CLIENTBUG",
        MailErrorKind::Unavailable => "UNAVAILABLE",
        MailErrorKind::Corrupt => "CONTACTADMIN",
    }))
}

/// What is told in place of a text that belongs into the log.
fn text_of(error: &MailError) -> &str {
    match error.kind {
        MailErrorKind::Unavailable => "the mail store is not available now, try again later",
        MailErrorKind::Corrupt => "stored mail is damaged, please tell the administrator",
        _ if error.text.is_empty() => "not possible",
        _ => &error.text,
    }
}

impl Refusal {
    /// Messages on their way take all the memory there may be.
    // RFC 5530 3: UNAVAILABLE, what passes by itself.
    pub(crate) const NO_ROOM: Self = Self::no(
        Code::Word("UNAVAILABLE"),
        "too much mail is on its way at once, try again later",
    );

    /// BAD and a text.
    pub const fn bad(text: &'static str) -> Self {
        Self::Bad(Cow::Borrowed(text))
    }

    /// NO with a code and a text.
    pub const fn no(code: Code, text: &'static str) -> Self {
        Self::No(Some(code), Cow::Borrowed(text))
    }

    /// The same refusal with another code if the engine found nothing of that name.
    #[must_use]
    pub fn not_found_as(self, code: Code) -> Self {
        match self {
            Self::Mail(error) if error.kind == MailErrorKind::NotFound => {
                Self::No(Some(code), error.text.into())
            }
            other => other,
        }
    }

    /// How the command counts in the metrics.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Bad(_) | Self::BadWith(..) => Outcome::Bad,
            Self::Mail(error) if error.is_internal() => Outcome::Error,
            Self::No(Some(Code::Word("UNAVAILABLE" | "SERVERBUG" | "CONTACTADMIN")), _) => {
                Outcome::Error
            }
            Self::No(..) | Self::Mail(_) => Outcome::Refused,
            Self::Bye(_) | Self::Wire(_) => Outcome::Aborted,
        }
    }

    /// Writes the tagged line; nothing for those that end the session.
    pub fn write(&self, tag: &[u8], enabled: Enabled, out: &mut BytesMut) {
        match self {
            Self::Bad(text) => out.raw(tag).raw(b" BAD ").text(&enabled.say(text)),
            Self::BadWith(code, text) => {
                out.raw(tag).raw(b" BAD ");
                code.write(out);
                out.text(text)
            }
            Self::No(code, text) => {
                out.raw(tag).raw(b" NO ");
                if let Some(code) = code {
                    code.write(out);
                }
                out.text(&enabled.say(text))
            }
            Self::Mail(error) => {
                out.raw(tag).raw(b" NO ");
                if let Some(code) = code_of(error.kind) {
                    code.write(out);
                }
                out.text(&enabled.say(text_of(error)))
            }
            Self::Bye(_) | Self::Wire(_) => return,
        }
        .crlf();
    }
}

impl From<BadSyntax> for Refusal {
    fn from(BadSyntax(text): BadSyntax) -> Self {
        Self::bad(text)
    }
}

impl From<MailError> for Refusal {
    fn from(error: MailError) -> Self {
        Self::Mail(error)
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<types::InvalidName> for Refusal {
    fn from(error: types::InvalidName) -> Self {
        // RFC 5530 3: CANNOT covers names this server will never accept.
        Self::no(Code::CANNOT, error.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_texts_stay_inside() {
        let mut out = BytesMut::new();
        Refusal::from(MailError::new(
            MailErrorKind::Unavailable,
            "/dev/sda on fire",
        ))
        .write(b"a1", Enabled::default(), &mut out);
        assert!(out.starts_with(b"a1 NO [UNAVAILABLE] "));
        assert!(!String::from_utf8_lossy(&out).contains("sda"));
    }

    #[test]
    fn texts_are_one_line() {
        let mut out = BytesMut::new();
        Refusal::from(MailError::new(MailErrorKind::Exists, "x\r\n* BYE \u{e4}")).write(
            b"a1",
            Enabled::default(),
            &mut out,
        );
        assert_eq!(out, "a1 NO [ALREADYEXISTS] x??* BYE ?\r\n");
    }
}
