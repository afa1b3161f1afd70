//! Refusals: everything a client is told behind `-ERR`, and the one table from the engine's errors.

use auth::AuthError;
use auth::sasl::SaslError;
use mail::{MailError, MailErrorKind};
use net::Outcome;

use crate::texts::{Language, Text};

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Whose fault it was, for the metrics.
    pub(crate) outcome: Outcome,
    /// RFC 2449 8: the code between brackets.
    pub(crate) code: Option<Code>,
    /// The sentence behind it.
    pub(crate) words: Words,
}

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Ours, in the language of the session.
    Text(Text),
    /// From elsewhere, as it is.
    Other(String),
}

/// Response codes we send (IANA "POP3 Response Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// RFC 3206 5: the credentials are at fault.
    Auth,
    /// RFC 3206 4: the server is, for a while.
    SysTemp,
    /// RFC 3206 4: the server is, until somebody repairs it.
    SysPerm,
    /// RFC 2449 8.1.1: logged in too recently.
    LoginDelay,
    /// RFC 2449 8.1.2: another session has the maildrop for itself.
    InUse,
    /// RFC 6856 5: the message needs UTF8.
    Utf8,
}

impl Code {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Auth => "[AUTH] ",
            Self::SysTemp => "[SYS/TEMP] ",
            Self::SysPerm => "[SYS/PERM] ",
            Self::LoginDelay => "[LOGIN-DELAY] ",
            Self::InUse => "[IN-USE] ",
            Self::Utf8 => "[UTF8] ",
        }
    }
}

#[rustfmt::skip]
impl Refusal {
    pub(crate) const UNKNOWN: Self = Self::bad(Text::Unknown);
    pub(crate) const WRONG_STATE: Self = Self::bad(Text::WrongState);
    pub(crate) const TOO_LONG: Self = Self::bad(Text::TooLong);
    pub(crate) const MISSING_ARGUMENT: Self = Self::bad(Text::MissingArgument);
    pub(crate) const EXTRA_ARGUMENT: Self = Self::bad(Text::ExtraArgument);
    pub(crate) const NOT_A_NUMBER: Self = Self::bad(Text::NotANumber);
    pub(crate) const NO_USER_YET: Self = Self::bad(Text::NoUserYet);
    pub(crate) const TOO_MANY_BAD: Self = Self::bad(Text::TooManyBad);
    pub(crate) const TLS_AFTER_UTF8: Self = Self::bad(Text::TlsAfterUtf8);
    pub(crate) const NO_LANGUAGE: Self = Self::refused(None, Text::NoLanguage);
    pub(crate) const NO_MESSAGE: Self = Self::refused(None, Text::NoMessage);
    pub(crate) const DELETED: Self = Self::refused(None, Text::Deleted);
    pub(crate) const NO_MECHANISM: Self = Self::refused(None, Text::NoMechanism);
    pub(crate) const NO_TLS: Self = Self::refused(None, Text::NoTls);
    pub(crate) const NEEDS_UTF8: Self = Self::refused(Some(Code::Utf8), Text::NeedsUtf8);
    pub(crate) const BAD_CREDENTIALS: Self = Self::refused(Some(Code::Auth), Text::BadCredentials);
    // RFC 3206 5: also "an attempt to authenticate in violation of policy".
    pub(crate) const NEEDS_TLS: Self = Self::refused(Some(Code::Auth), Text::NeedsTls);
    pub(crate) const NO_FOLDER: Self = Self::refused(Some(Code::Auth), Text::NoFolder);
    pub(crate) const TOO_MANY_LOGINS: Self = Self::refused(Some(Code::Auth), Text::TooManyLogins);
    pub(crate) const REVOKED: Self = Self::refused(Some(Code::Auth), Text::Revoked);
    pub(crate) const TOO_SOON: Self = Self::refused(Some(Code::LoginDelay), Text::TooSoon);
    pub(crate) const IN_USE: Self = Self::refused(Some(Code::InUse), Text::InUse);
    pub(crate) const SHUTDOWN: Self = Self::error(Code::SysTemp, Text::Shutdown);
    pub(crate) const NOT_UPDATED: Self = Self::error(Code::SysTemp, Text::NotUpdated);

    const fn bad(text: Text) -> Self {
        Self { outcome: Outcome::Bad, code: None, words: Words::Text(text) }
    }

    const fn refused(code: Option<Code>, text: Text) -> Self {
        Self { outcome: Outcome::Refused, code, words: Words::Text(text) }
    }

    const fn error(code: Code, text: Text) -> Self {
        Self { outcome: Outcome::Error, code: Some(code), words: Words::Text(text) }
    }

    /// The sentence in a language.
    pub(crate) fn say(&self, language: Language) -> &str {
        match &self.words {
            Words::Text(text) => text.say(language),
            Words::Other(words) => words,
        }
    }
}

/// The table: what each kind of engine trouble is on this wire. Internal texts stay in the log.
impl From<MailError> for Refusal {
    fn from(error: MailError) -> Self {
        use MailErrorKind as Kind;
        if error.is_internal() {
            tracing::warn!(%error, "storage trouble");
        }
        match error.kind {
            Kind::Unavailable => Self::error(Code::SysTemp, Text::Unavailable),
            Kind::Corrupt => Self::error(Code::SysPerm, Text::Damaged),
            Kind::NotFound | Kind::Gone => Self::refused(Some(Code::SysPerm), Text::Gone),
            Kind::Exists
            | Kind::OverQuota
            | Kind::TooBig
            | Kind::NotAllowed
            | Kind::Denied
            | Kind::Limit
            | Kind::Invalid => Self {
                outcome: Outcome::Refused,
                code: Some(Code::SysPerm),
                words: clean(error.text),
            },
        }
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid => Self::BAD_CREDENTIALS,
            AuthError::Temporary(reason) => {
                tracing::warn!(%reason, "cannot authenticate");
                Self::error(Code::SysTemp, Text::CannotAuthenticate)
            }
            AuthError::Refused(text) => Self {
                outcome: Outcome::Refused,
                code: Some(Code::Auth),
                words: clean(text),
            },
        }
    }
}

impl From<SaslError> for Refusal {
    fn from(error: SaslError) -> Self {
        match error {
            SaslError::NotBase64 => Self::bad(Text::NotBase64),
            SaslError::Cancelled => Self::refused(None, Text::Cancelled),
            SaslError::Malformed(what) => Self {
                outcome: Outcome::Bad,
                code: None,
                words: Words::Other(what.to_owned()),
            },
            SaslError::Refused(what) => Self {
                outcome: Outcome::Refused,
                code: None,
                words: Words::Other(what.to_owned()),
            },
        }
    }
}

/// Keeps a text from elsewhere within one line.
fn clean(mut text: String) -> Words {
    text.retain(|c| !c.is_control());
    Words::Other(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3206_4_storage_trouble_is_told_by_code_and_nothing_else_leaks() {
        for (kind, code) in [
            (MailErrorKind::Unavailable, Code::SysTemp),
            (MailErrorKind::Corrupt, Code::SysPerm),
            (MailErrorKind::Gone, Code::SysPerm),
        ] {
            let refusal = Refusal::from(MailError::new(kind, "/var/lib/secret: EIO"));
            assert_eq!(refusal.code, Some(code));
            assert!(matches!(refusal.words, Words::Text(_)), "{kind:?}");
        }
        let refusal = Refusal::from(MailError::new(MailErrorKind::Limit, "a\r\n+OK b"));
        assert_eq!(refusal.say(Language::English), "a+OK b");
    }
}
