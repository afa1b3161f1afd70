//! Why the program ends without success, and with which exit code.

use std::fmt;

/// One clear sentence for the operator.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command cannot be carried out as given (configuration, a busy port, a store in use):
    /// exit code
    /// 2, nothing was changed.
    Refused(String),
    /// It was tried and something failed: exit code 1.
    Trouble(String),
}

impl Failure {
    pub(crate) fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(sentence.into())
    }

    pub(crate) fn trouble(sentence: impl Into<String>) -> Self {
        Self::Trouble(sentence.into())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Trouble(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Refused(sentence) | Self::Trouble(sentence)) = self;
        f.write_str(sentence)
    }
}

impl From<mail::MailError> for Failure {
    fn from(error: mail::MailError) -> Self {
        use mail::MailErrorKind as Kind;
        match error.kind {
            Kind::NotFound | Kind::Exists | Kind::Invalid | Kind::NotAllowed | Kind::Limit => {
                Self::Refused(error.text)
            }
            _ => Self::Trouble(error.to_string()),
        }
    }
}

impl From<storage::StorageError> for Failure {
    fn from(error: storage::StorageError) -> Self {
        Self::Trouble(error.to_string())
    }
}
