//! The commands: one row each. Dispatch, state checks, argument counts and metric labels read this
//! list.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use crate::refusal::Refusal;
use crate::session::{Answer, Session};
use crate::{capa, commands, language, lists, login, retrieve};

/// One command.
pub(crate) struct Spec {
    /// Its keyword, upper case.
    pub(crate) name: &'static str,
    /// Where it is allowed.
    pub(crate) states: States,
    /// What may follow the keyword.
    pub(crate) arguments: Shape,
    /// Where it is defined.
    pub(crate) rfc: &'static str,
    pub(crate) run: Run,
}

/// Carries a command out. `Ok` after the answer was written.
pub(crate) type Run =
    for<'a> fn(&'a mut Session, Arguments<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The states of RFC 1939 3 in which a command is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum States {
    Authorization,
    Transaction,
    Both,
}

impl States {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Authorization => "AUTHORIZATION",
            Self::Transaction => "TRANSACTION",
            Self::Both => "AUTHORIZATION, TRANSACTION",
        }
    }
}

/// The arguments of a command.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// So many words.
    Words(RangeInclusive<usize>),
    /// One string up to the end of the line, blanks included (RFC 1939 7, PASS).
    Text,
}

/// Arguments as a client wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arguments<'a> {
    text: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// All of it, as written.
    pub(crate) fn text(self) -> &'a [u8] {
        self.text
    }

    /// The words; blanks more than needed do no harm.
    pub(crate) fn words(self) -> impl Iterator<Item = &'a [u8]> {
        self.text
            .split(|&c| c == b' ')
            .filter(|word| !word.is_empty())
    }

    /// The first word.
    pub(crate) fn first(self) -> Option<&'a [u8]> {
        self.words().next()
    }

    /// The second word.
    pub(crate) fn second(self) -> Option<&'a [u8]> {
        self.words().nth(1)
    }
}

macro_rules! run {
    ($function:path) => {
        |session, arguments| Box::pin($function(session, arguments))
    };
}

use Shape::{Text, Words};
use States::{Authorization, Both, Transaction};

#[rustfmt::skip]
pub(crate) static COMMANDS: &[Spec] = &[
    Spec { name: "RETR", states: Transaction,   arguments: Words(1..=1), rfc: "RFC 1939 5",               run: run!(retrieve::retr) },
    Spec { name: "DELE", states: Transaction,   arguments: Words(1..=1), rfc: "RFC 1939 5",               run: run!(commands::dele) },
    Spec { name: "TOP",  states: Transaction,   arguments: Words(2..=2), rfc: "RFC 1939 7",               run: run!(retrieve::top) },
    Spec { name: "UIDL", states: Transaction,   arguments: Words(0..=1), rfc: "RFC 1939 7",               run: run!(lists::uidl) },
    Spec { name: "LIST", states: Transaction,   arguments: Words(0..=1), rfc: "RFC 1939 5",               run: run!(lists::list) },
    Spec { name: "STAT", states: Transaction,   arguments: Words(0..=0), rfc: "RFC 1939 5",               run: run!(commands::stat) },
    Spec { name: "NOOP", states: Transaction,   arguments: Words(0..=0), rfc: "RFC 1939 5",               run: run!(commands::noop) },
    Spec { name: "RSET", states: Transaction,   arguments: Words(0..=0), rfc: "RFC 1939 5",               run: run!(commands::rset) },
    Spec { name: "QUIT", states: Both,          arguments: Words(0..=0), rfc: "RFC 1939 4, 6",            run: run!(commands::quit) },
    Spec { name: "CAPA", states: Both,          arguments: Words(0..=0), rfc: "RFC 2449 5",               run: run!(capa::capa) },
    Spec { name: "USER", states: Authorization, arguments: Text,         rfc: "RFC 1939 7",               run: run!(login::user) },
    Spec { name: "PASS", states: Authorization, arguments: Text,         rfc: "RFC 1939 7, RFC 3206 5",   run: run!(login::pass) },
    Spec { name: "AUTH", states: Authorization, arguments: Words(1..=2), rfc: "RFC 5034 4, RFC 4616",     run: run!(login::auth) },
    Spec { name: "UTF8", states: Authorization, arguments: Words(0..=0), rfc: "RFC 6856 2.1",             run: run!(language::utf8) },
    Spec { name: "LANG", states: Both,          arguments: Words(0..=1), rfc: "RFC 6856 3.2",             run: run!(language::lang) },
    Spec { name: "STLS", states: Authorization, arguments: Words(0..=0), rfc: "RFC 2595 4",               run: run!(login::stls) },
];

/// The row of a command line and its arguments. Keywords compare without letter case (RFC 1939 3).
pub(crate) fn parse(line: &[u8]) -> Result<(&'static Spec, Arguments<'_>), Refusal> {
    let (keyword, text) = match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &b""[..]),
    };
    let spec = COMMANDS
        .iter()
        .find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(keyword))
        .ok_or(Refusal::UNKNOWN)?;
    Ok((spec, Arguments { text }))
}

impl Spec {
    /// Whether the arguments have the right number.
    pub(crate) fn check(&self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        match &self.arguments {
            Text if arguments.text.is_empty() => Err(Refusal::MISSING_ARGUMENT),
            Text => Ok(()),
            Words(range) => {
                // No row takes more than two.
                let words = arguments.words().take(3).count();
                if range.contains(&words) {
                    Ok(())
                } else if words < *range.start() {
                    Err(Refusal::MISSING_ARGUMENT)
                } else {
                    Err(Refusal::EXTRA_ARGUMENT)
                }
            }
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
            assert!(spec.rfc.starts_with("RFC "));
            let line = format!("{} 1 2", spec.name.to_lowercase());
            let (found, arguments) = parse(line.as_bytes()).expect("a command");
            assert_eq!((found.name, arguments.text()), (spec.name, &b"1 2"[..]));
        }
        // RFC 1939 has no LAST, and APOP is not offered (no timestamp in the greeting).
        for line in [
            &b"LAST"[..],
            b"APOP a b",
            b"",
            b" STAT",
            b"STAT\0",
            b"\xff",
            b"XTND",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn argument_counts_are_checked_before_the_command_runs() {
        let ok = |line: &str| {
            let (spec, arguments) = parse(line.as_bytes()).expect("a command");
            spec.check(arguments).is_ok()
        };
        for line in [
            "STAT", "STAT ", "LIST", "LIST 1", "LIST  1 ", "TOP 1 0", "PASS  ", "USER a b",
        ] {
            assert!(ok(line), "{line}");
        }
        for line in [
            "STAT 1",
            "LIST 1 2",
            "RETR",
            "RETR 1 2",
            "TOP 1",
            "TOP 1 2 3",
            "PASS",
            "USER ",
        ] {
            assert!(!ok(line), "{line}");
        }
    }
}
