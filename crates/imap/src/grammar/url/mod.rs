//! IMAP URLs (RFC 5092), with the authorisations of RFC 4467.
//!
//! `imap://user;AUTH=mech@host:port/mailbox;UIDVALIDITY=n/;UID=n/;SECTION=s/;PARTIAL=a.b`, behind
//! it `;EXPIRE=time;URLAUTH=access:mechanism:token`; or with a search in place of a message. What
//! is relative to this server has no `imap://...@host`. Values are decoded; the writer encodes.
//!
//! Of the relative forms those are read that a mailbox can be the base of: `//host/...`, `/...` and
//! `;UID=n...`. RFC 5092 7.2 forbids other paths without a slash in front, and `;SECTION=` alone
//! needs a message for its base.

mod read;
mod write;

#[cfg(test)]
mod tests;

use super::cursor::{BadSyntax, Cursor, Parsed};
use super::writer::Emit;
use std::num::NonZeroU32;
use types::{Uid, UidValidity};

pub use write::write_token;

/// Longest URL that is read, in octets.
pub const MAX_URL: usize = 8 << 10;

/// An IMAP URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// The server; `None` in a URL relative to one.
    pub server: Option<Server>,
    /// What on that server.
    pub target: Target,
}

/// `iserver = [iuserinfo "@"] host [ ":" port ]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// As whom to log in, and whose mailboxes are meant.
    pub user: Option<String>,
    /// How to log in: a SASL mechanism, or `*`.
    pub auth: Option<String>,
    /// A name or an address, as it was written.
    pub host: String,
    /// `None`: 143.
    pub port: Option<u16>,
}

/// What on a server a URL names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// The server itself.
    Server,
    /// The messages of a mailbox.
    Messages {
        /// Which.
        mailbox: MailboxRef,
        /// Only what SEARCH finds with these arguments.
        search: Option<Vec<u8>>,
    },
    /// A message or a part of it.
    Message(MessageRef),
}

/// `imailbox-ref = enc-mailbox [uidvalidity]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailboxRef {
    /// Its name; in URLs it is UTF-8.
    pub name: String,
    /// What its UIDVALIDITY must be.
    pub uid_validity: Option<UidValidity>,
}

/// `imessagepart [iurlauth]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRef {
    /// `None`: the mailbox the URL is relative to.
    pub mailbox: Option<MailboxRef>,
    /// The message.
    pub uid: Uid,
    /// Its part, as in BODY[...]; `None` is all of it.
    pub section: Option<Vec<u8>>,
    /// Octets of that: the first, and how many at most.
    pub partial: Option<(u32, Option<NonZeroU32>)>,
    /// Who may read it without being its owner.
    pub grant: Option<Grant>,
}

/// `iurlauth`, or `iurlauth-rump` when nothing proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The last moment it is valid, in seconds since 1970.
    pub expire: Option<i64>,
    /// To whom.
    pub access: Access,
    /// The proof.
    pub proof: Option<Proof>,
}

/// `access`: who may use an authorised URL (RFC 4467 3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// A submission service on behalf of that user.
    Submit(String),
    /// That user.
    User(String),
    /// Whoever has logged in with a name of their own.
    AuthUser,
    /// Whoever has logged in, anonymously too.
    Anonymous,
}

/// `iua-verifier = ":" uauth-mechanism ":" enc-urlauth`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// How the token was made, in upper case.
    pub mechanism: String,
    /// The token.
    pub token: Vec<u8>,
    /// How many octets of the URL the token vouches for: those before the verifier, as they are
    /// (RFC 4467 6).
    pub rump: usize,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(raw: &[u8]) -> Parsed<Self> {
        if raw.len() > MAX_URL {
            return Err(BadSyntax("the URL is too long"));
        }
        let mut c = Cursor::of(raw);
        let url = read::url(&mut c, raw.len())?;
        match c.is_at_end() {
            true => Ok(url),
            false => Err(BadSyntax("unexpected text in the URL")),
        }
    }

    /// Writes it in its shortest form.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(server) = &self.server {
            out.raw(b"imap://");
            server.write(out);
        }
        match &self.target {
            Target::Server => {
                out.raw(b"/");
            }
            Target::Messages { mailbox, search } => {
                mailbox.write(out);
                if let Some(search) = search {
                    write::encode(search, is_bchar, out.raw(b"?"));
                }
            }
            Target::Message(message) => message.write(out),
        }
    }
}

/// `achar`, or the percent sign of one.
fn is_achar(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            // RFC 3986 2.3: unreserved
            b'-' | b'.' | b'_' | b'~' | b'%'
            // RFC 5092 11: sub-delims-sh, and what achar adds
            | b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'&' | b'='
        )
}

/// `bchar`, or the percent sign of one.
fn is_bchar(b: u8) -> bool {
    is_achar(b) || matches!(b, b':' | b'@' | b'/')
}
