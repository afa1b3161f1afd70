//! Refusals: everything a client is told behind `-ERR`, and the one table from the engine's errors.

use std::borrow::Cow;

use auth::AuthError;
use auth::sasl::SaslError;
use mail::{MailError, MailErrorKind};
use net::Outcome;

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Whose fault it was, for the metrics.
    pub(crate) outcome: Outcome,
    /// RFC 2449 8: the code between brackets.
    pub(crate) code: Option<Code>,
    /// The sentence behind it.
    pub(crate) text: Cow<'static, str>,
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
}

impl Code {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Auth => "[AUTH] ",
            Self::SysTemp => "[SYS/TEMP] ",
            Self::SysPerm => "[SYS/PERM] ",
        }
    }
}

#[rustfmt::skip]
impl Refusal {
    pub(crate) const UNKNOWN: Self = Self::bad("unknown command");
    pub(crate) const WRONG_STATE: Self = Self::bad("command not allowed in this state");
    pub(crate) const TOO_LONG: Self = Self::bad("line too long");
    pub(crate) const MISSING_ARGUMENT: Self = Self::bad("argument missing");
    pub(crate) const EXTRA_ARGUMENT: Self = Self::bad("too many arguments");
    pub(crate) const NOT_A_NUMBER: Self = Self::bad("not a number");
    pub(crate) const NO_USER_YET: Self = Self::bad("USER comes first");
    pub(crate) const TOO_MANY_BAD: Self = Self::bad("too many bad commands");
    pub(crate) const NO_MESSAGE: Self = Self::refused(None, "no such message");
    pub(crate) const DELETED: Self = Self::refused(None, "message is deleted");
    pub(crate) const NO_MECHANISM: Self = Self::refused(None, "unknown authentication mechanism");
    pub(crate) const NO_TLS: Self = Self::refused(None, "TLS is not available here");
    pub(crate) const BAD_CREDENTIALS: Self = Self::refused(Some(Code::Auth), "invalid name or password");
    // RFC 3206 5: also "an attempt to authenticate in violation of policy".
    pub(crate) const NEEDS_TLS: Self = Self::refused(Some(Code::Auth), "TLS is required to log in");
    pub(crate) const NO_FOLDER: Self = Self::refused(Some(Code::Auth), "no such folder");
    pub(crate) const TOO_MANY_LOGINS: Self = Self::refused(Some(Code::Auth), "too many failed logins");
    pub(crate) const SHUTDOWN: Self = Self::error(Code::SysTemp, "server is shutting down");
    pub(crate) const NOT_UPDATED: Self = Self::error(Code::SysTemp, "nothing was deleted, try again later");

    const fn bad(text: &'static str) -> Self {
        Self { outcome: Outcome::Bad, code: None, text: Cow::Borrowed(text) }
    }

    const fn refused(code: Option<Code>, text: &'static str) -> Self {
        Self { outcome: Outcome::Refused, code, text: Cow::Borrowed(text) }
    }

    const fn error(code: Code, text: &'static str) -> Self {
        Self { outcome: Outcome::Error, code: Some(code), text: Cow::Borrowed(text) }
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
            Kind::Unavailable => Self::error(Code::SysTemp, "storage is unavailable"),
            Kind::Corrupt => Self::error(
                Code::SysPerm,
                "the message is damaged, ask the administrator",
            ),
            Kind::NotFound | Kind::Gone => {
                Self::refused(Some(Code::SysPerm), "the message or folder is gone")
            }
            Kind::Exists
            | Kind::OverQuota
            | Kind::TooBig
            | Kind::NotAllowed
            | Kind::Denied
            | Kind::Limit
            | Kind::Invalid => Self {
                outcome: Outcome::Refused,
                code: Some(Code::SysPerm),
                text: clean(error.text),
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
                Self::error(Code::SysTemp, "cannot check the password now")
            }
            AuthError::Refused(text) => Self {
                outcome: Outcome::Refused,
                code: Some(Code::Auth),
                text: clean(text),
            },
        }
    }
}

impl From<SaslError> for Refusal {
    fn from(error: SaslError) -> Self {
        let outcome = match error {
            SaslError::NotBase64 | SaslError::Malformed(_) => Outcome::Bad,
            SaslError::Cancelled | SaslError::Refused(_) => Outcome::Refused,
        };
        Self {
            outcome,
            code: None,
            text: clean(error.to_string()),
        }
    }
}

/// Keeps a text from elsewhere within one line.
fn clean(text: String) -> Cow<'static, str> {
    if text.chars().any(char::is_control) {
        return text
            .chars()
            .filter(|c| !c.is_control())
            .collect::<String>()
            .into();
    }
    text.into()
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
            assert!(!refusal.text.contains("secret"), "{kind:?}");
        }
        let refusal = Refusal::from(MailError::new(MailErrorKind::Limit, "a\r\n+OK b"));
        assert_eq!(refusal.text, "a+OK b");
    }
}
