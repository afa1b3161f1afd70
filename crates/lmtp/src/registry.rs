//! The commands: one row each. Dispatch, state checks and metric labels read this list.

use std::future::Future;
use std::pin::Pin;

use crate::reply::Reply;
use crate::session::{Session, Stop};
use crate::{commands, data, envelope};

/// One command.
pub(crate) struct Spec {
    /// Its verb, upper case.
    pub(crate) name: &'static str,
    /// From when on it is allowed.
    pub(crate) state: State,
    /// Whether anything may follow the verb.
    pub(crate) arguments: Arguments,
    /// Where it is defined.
    pub(crate) rfc: &'static str,
    pub(crate) run: Run,
}

/// Carries a command out; the last reply is the caller's to write.
pub(crate) type Run =
    for<'a> fn(&'a mut Session, &'a [u8]) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The reply to write, `None` when all are written.
pub(crate) type Answer = Result<Option<Reply>, Stop>;

/// The state a command needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// None.
    Any,
    /// LHLO was said.
    Greeted,
    /// MAIL was accepted.
    Transaction,
}

impl State {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Greeted => "after LHLO",
            Self::Transaction => "after MAIL",
        }
    }
}

/// What follows the verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arguments {
    Forbidden,
    Optional,
    Required,
}

macro_rules! run {
    ($function:path) => {
        |session, arguments| Box::pin($function(session, arguments))
    };
}

use Arguments::{Forbidden, Optional, Required};
use State::{Any, Greeted, Transaction};

#[rustfmt::skip]
pub(crate) static COMMANDS: &[Spec] = &[
    Spec { name: "RCPT",     state: Transaction, arguments: Required,  rfc: "RFC 5321 4.1.1.3",              run: run!(envelope::rcpt) },
    Spec { name: "MAIL",     state: Greeted,     arguments: Required,  rfc: "RFC 5321 4.1.1.2, RFC 1870, RFC 6152, RFC 6531", run: run!(envelope::mail) },
    Spec { name: "DATA",     state: Transaction, arguments: Forbidden, rfc: "RFC 5321 4.1.1.4, RFC 2033 4.2", run: run!(data::data) },
    // In any state: the octets that follow must be taken before anything is said.
    Spec { name: "BDAT",     state: Any,         arguments: Required,  rfc: "RFC 3030 2, RFC 2033 4.3",      run: run!(data::bdat) },
    Spec { name: "LHLO",     state: Any,         arguments: Required,  rfc: "RFC 2033 4.1",                  run: run!(commands::lhlo) },
    Spec { name: "RSET",     state: Any,         arguments: Forbidden, rfc: "RFC 5321 4.1.1.5",              run: run!(commands::rset) },
    Spec { name: "QUIT",     state: Any,         arguments: Forbidden, rfc: "RFC 5321 4.1.1.10",             run: run!(commands::quit) },
    Spec { name: "NOOP",     state: Any,         arguments: Optional,  rfc: "RFC 5321 4.1.1.9",              run: run!(commands::noop) },
    Spec { name: "VRFY",     state: Any,         arguments: Required,  rfc: "RFC 5321 4.1.1.6, 7.3",         run: run!(commands::vrfy) },
    Spec { name: "HELP",     state: Any,         arguments: Optional,  rfc: "RFC 5321 4.1.1.8",              run: run!(commands::help) },
    Spec { name: "STARTTLS", state: Any,         arguments: Forbidden, rfc: "RFC 3207 4",                    run: run!(commands::starttls) },
    Spec { name: "HELO",     state: Any,         arguments: Optional,  rfc: "RFC 2033 4.1",                  run: run!(commands::not_lhlo) },
    Spec { name: "EHLO",     state: Any,         arguments: Optional,  rfc: "RFC 2033 4.1",                  run: run!(commands::not_lhlo) },
];

/// The row of a command line, and what follows its verb without outer blanks.
pub(crate) fn parse(line: &[u8]) -> Option<(&'static Spec, &[u8])> {
    let (verb, rest) = match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], line[at..].trim_ascii()),
        None => (line, &b""[..]),
    };
    let spec = COMMANDS
        .iter()
        .find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(verb))?;
    Some((spec, rest))
}

impl Spec {
    /// Whether anything, or nothing, follows as it should.
    pub(crate) fn takes(&self, arguments: &[u8]) -> bool {
        match self.arguments {
            Forbidden => arguments.is_empty(),
            Optional => true,
            Required => !arguments.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_upper_case_and_found_in_any_case() {
        for (i, spec) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..i].iter().all(|other| other.name != spec.name));
            assert_eq!(spec.name, spec.name.to_uppercase());
            let line = format!("{}  x y ", spec.name.to_lowercase());
            let (found, arguments) = parse(line.as_bytes()).expect("a command");
            assert_eq!((found.name, arguments), (spec.name, &b"x y"[..]));
        }
        for line in [&b""[..], b" NOOP", b"NOOP\0", b"MAILFROM:<a>", b"\xff\xfe"] {
            assert!(parse(line).is_none(), "{line:?}");
        }
    }
}
