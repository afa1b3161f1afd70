//! SASL (RFC 4422) for all fronts: the mechanisms, and the base64 dialogue around them.
//!
//! A front parses `AUTHENTICATE name [initial]` (or POP3 `AUTH`), makes an [`Exchange`], feeds it
//! the client's lines and sends its challenges until there are [`Credentials`] to verify.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Secret;

/// The longest line of an exchange a front needs to accept, in octets (RFC 4954 4: 12288).
pub const MAX_LINE: usize = 12_288;

/// What a finished exchange proves nothing about yet: to be given to [`crate::Auth::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The authentication identity, as sent.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

/// What a mechanism wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this and wait for an answer. Octets, not base64.
    Challenge(Vec<u8>),
    /// The client has said everything.
    Done(Credentials),
}

/// One mechanism's side of one exchange.
pub trait Mechanism: Send {
    /// The registered name, upper case.
    fn name(&self) -> &'static str;
    /// Takes what the client said (`None`: nothing yet, no initial response) and says what is next.
    fn step(&mut self, input: Option<&[u8]>) -> Result<Step, SaslError>;
}

/// Why an exchange ended without credentials. All are the client's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslError {
    /// The client sent `*`.
    Cancelled,
    /// A line was not base64 (RFC 4648 4, with its padding).
    NotBase64,
    /// The octets are not what the mechanism prescribes.
    Malformed(&'static str),
    /// A well-formed wish that is not granted: to act as somebody else.
    Refused(&'static str),
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("authentication cancelled"),
            Self::NotBase64 => f.write_str("not valid base64"),
            Self::Malformed(what) | Self::Refused(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for SaslError {}

/// The names of all mechanisms, in the order they are offered.
pub const MECHANISMS: &[&str] = &["PLAIN", "LOGIN"];

/// A mechanism with the base64 around it.
pub struct Exchange {
    mechanism: Box<dyn Mechanism>,
}

/// What to do after a line of the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Send this base64 text after `+ `.
    Challenge(String),
    /// Verify these.
    Done(Credentials),
}

impl Exchange {
    /// `None` when there is no such mechanism; names compare without letter case.
    pub fn new(mechanism: &[u8]) -> Option<Self> {
        if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            Some(Self {
                mechanism: Box::new(Plain),
            })
        } else if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            Some(Self {
                mechanism: Box::new(Login { name: None }),
            })
        } else {
            None
        }
    }

    /// The mechanism's name as registered, for labels.
    pub fn mechanism(&self) -> &'static str {
        self.mechanism.name()
    }

    /// Begins, with the initial response if the command carried one (base64; `=` is an empty one).
    pub fn start(&mut self, initial: Option<&[u8]>) -> Result<Reply, SaslError> {
        match initial {
            None => self.step(None),
            // RFC 4959 3, RFC 5034 4: an empty initial response is sent as a single "=".
            Some(b"=") => self.step(Some(b"")),
            Some(line) => self.respond(line),
        }
    }

    /// Continues with one line of the client, without its line end.
    pub fn respond(&mut self, line: &[u8]) -> Result<Reply, SaslError> {
        // RFC 9051 6.2.2, RFC 5034 4: a line of a single "*" cancels.
        if line == b"*" {
            return Err(SaslError::Cancelled);
        }
        let octets = Secret::new(STANDARD.decode(line).map_err(|_| SaslError::NotBase64)?);
        self.step(Some(octets.expose()))
    }

    fn step(&mut self, input: Option<&[u8]>) -> Result<Reply, SaslError> {
        Ok(match self.mechanism.step(input)? {
            Step::Challenge(octets) => Reply::Challenge(STANDARD.encode(octets)),
            Step::Done(credentials) => Reply::Done(credentials),
        })
    }
}

/// PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd`.
struct Plain;

impl Mechanism for Plain {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn step(&mut self, input: Option<&[u8]>) -> Result<Step, SaslError> {
        let Some(message) = input else {
            return Ok(Step::Challenge(Vec::new()));
        };
        let mut parts = message.split(|&octet| octet == 0);
        let (Some(authzid), Some(authcid), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SaslError::Malformed("PLAIN needs exactly two NULs"));
        };
        // RFC 4616 2: authzid is 1*SAFE when present, authcid and passwd are 1*SAFE.
        if authcid.is_empty() || password.is_empty() {
            return Err(SaslError::Malformed("name and password must not be empty"));
        }
        if !authzid.is_empty() && authzid != authcid {
            return Err(SaslError::Refused("acting as another user is not allowed"));
        }
        Ok(Step::Done(credentials(authcid, password)?))
    }
}

/// LOGIN (draft-murchison-sasl-login): two prompts, name then password.
struct Login {
    name: Option<Vec<u8>>,
}

impl Mechanism for Login {
    fn name(&self) -> &'static str {
        "LOGIN"
    }

    fn step(&mut self, input: Option<&[u8]>) -> Result<Step, SaslError> {
        match (input, self.name.take()) {
            (None, _) => Ok(Step::Challenge(b"Username:".to_vec())),
            // Clients probing with an empty initial response want the first prompt.
            (Some(b""), None) => Ok(Step::Challenge(b"Username:".to_vec())),
            (Some(name), None) => {
                self.name = Some(name.to_vec());
                Ok(Step::Challenge(b"Password:".to_vec()))
            }
            (Some(b""), Some(_)) => Err(SaslError::Malformed("the password must not be empty")),
            (Some(password), Some(name)) => Ok(Step::Done(credentials(&name, password)?)),
        }
    }
}

fn credentials(name: &[u8], password: &[u8]) -> Result<Credentials, SaslError> {
    let name = std::str::from_utf8(name)
        .map_err(|_| SaslError::Malformed("the name is not UTF-8"))?
        .to_owned();
    if name.contains(|c: char| c.is_control()) {
        return Err(SaslError::Malformed("control characters in the name"));
    }
    Ok(Credentials {
        name,
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(message: &[u8]) -> Result<Reply, SaslError> {
        let mut exchange = Exchange::new(b"plain").expect("known");
        exchange.start(Some(STANDARD.encode(message).as_bytes()))
    }

    fn done(name: &str, password: &str) -> Result<Reply, SaslError> {
        Ok(Reply::Done(Credentials {
            name: name.to_owned(),
            password: Secret::new(password),
        }))
    }

    #[test]
    fn malformed_plain_messages_are_named() {
        for message in [
            &b""[..],
            b"ann",
            b"\0ann",
            b"\0ann\0",
            b"\0\0secret",
            b"\0ann\0secret\0",
            b"\0ann\0sec\0ret",
            b"\0\xff\0secret",
            b"\0a\nb\0secret",
        ] {
            assert!(
                matches!(plain(message), Err(SaslError::Malformed(_))),
                "{message:?}"
            );
        }
    }

    #[test]
    fn malformed_base64_is_refused() {
        for line in [
            "AGFubgBzZWNyZXQ",
            "AGFubgBzZWNyZXQ===",
            "AGFu bgBz",
            "AGF_",
            "!",
            "AGFubgBzZWNyZXR=",
        ] {
            let mut exchange = Exchange::new(b"PLAIN").expect("known");
            assert_eq!(
                exchange.start(Some(line.as_bytes())),
                Err(SaslError::NotBase64),
                "{line}"
            );
        }
    }

    #[test]
    fn acting_as_another_user_is_refused_and_naming_oneself_is_not() {
        assert!(matches!(
            plain(b"bob\0ann\0secret"),
            Err(SaslError::Refused(_))
        ));
        assert_eq!(plain(b"ann\0ann\0secret"), done("ann", "secret"));
        assert_eq!(plain(b"\0ann\0secret"), done("ann", "secret"));
        assert_eq!(plain("\0änn\0 sécret ".as_bytes()), done("änn", " sécret "));
    }

    #[test]
    fn plain_without_initial_response_asks_with_an_empty_challenge() {
        let mut exchange = Exchange::new(b"PLAIN").expect("known");
        assert_eq!(exchange.start(None), Ok(Reply::Challenge(String::new())));
        assert_eq!(exchange.respond(b"*"), Err(SaslError::Cancelled));
        assert_eq!(exchange.respond(b"AGFubgBzZWNyZXQ="), done("ann", "secret"));
        // RFC 4959 3: "=" is an empty message, which PLAIN does not allow.
        assert!(matches!(
            exchange.start(Some(b"=")),
            Err(SaslError::Malformed(_))
        ));
    }

    #[test]
    fn login_asks_twice() {
        for initial in [None, Some(&b"="[..])] {
            let mut exchange = Exchange::new(b"LOGIN").expect("known");
            assert_eq!(
                exchange.start(initial),
                Ok(Reply::Challenge("VXNlcm5hbWU6".to_owned()))
            );
            assert_eq!(
                exchange.respond(b"YW5u"),
                Ok(Reply::Challenge("UGFzc3dvcmQ6".to_owned()))
            );
            assert_eq!(exchange.respond(b"c2VjcmV0"), done("ann", "secret"));
        }
        let mut exchange = Exchange::new(b"login").expect("known");
        assert_eq!(
            exchange.start(Some(b"YW5u")),
            Ok(Reply::Challenge("UGFzc3dvcmQ6".to_owned()))
        );
        assert!(matches!(
            exchange.respond(b""),
            Err(SaslError::Malformed(_))
        ));
    }

    #[test]
    fn what_is_offered_exists_and_nothing_else() {
        for name in MECHANISMS {
            assert_eq!(
                Exchange::new(name.as_bytes()).map(|e| e.mechanism()),
                Some(*name)
            );
        }
        assert!(Exchange::new(b"SCRAM-SHA-1").is_none());
        assert!(Exchange::new(b"").is_none());
    }

    #[test]
    fn passwords_are_never_printed() {
        let printed = format!("{:?}", plain(b"\0ann\0secret"));
        assert!(
            printed.contains("ann") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
