//! IMAP URLs (RFC 5092), with the authorisations of RFC 4467.
//!
//! `imap://user;AUTH=mech@host:port/mailbox;UIDVALIDITY=n/;UID=n/;SECTION=s/;PARTIAL=a.b`, behind
//! it `;EXPIRE=time;URLAUTH=access:mechanism:token`; or with a search in place of a message. What
//! is relative to this server has no `imap://...@host`. Values are decoded; the writer encodes.
//!
//! Of the relative forms those are read that a mailbox can be the base of: `//host/...`, `/...` and
//! `;UID=n...`. RFC 5092 7.2 forbids other paths without a slash in front, and `;SECTION=` alone
//! needs a message for its base.

use super::cursor::{BadSyntax, Cursor, Parsed};
use super::writer::Emit;
use std::num::NonZeroU32;
use types::{Uid, UidValidity};

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
        let url = url(&mut c, raw.len())?;
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
                    encode(search, is_bchar, out.raw(b"?"));
                }
            }
            Target::Message(message) => message.write(out),
        }
    }
}

// Reading.

fn url(c: &mut Cursor<'_>, len: usize) -> Parsed<Url> {
    let is_absolute = c.eat(b"imap://");
    let server = match is_absolute || c.eat(b"//") {
        true => Some(server(c)?),
        false => None,
    };
    if c.eat(b"/") {
        let target = match c.is_at_end() {
            true => Target::Server,
            false => command(c, len)?,
        };
        return Ok(Url { server, target });
    }
    let target = match server {
        Some(_) => Target::Server,
        None => {
            c.expect(b";UID=", "the URL must begin with imap:// or a slash")?;
            Target::Message(message(c, None, len)?)
        }
    };
    Ok(Url { server, target })
}

fn server(c: &mut Cursor<'_>) -> Parsed<Server> {
    let authority = c.rest().iter().take_while(|b| **b != b'/').count();
    let has_user = c.rest().iter().take(authority).any(|b| *b == b'@');
    let (mut user, mut auth) = (None, None);
    if has_user {
        if c.peek().is_some_and(is_achar) {
            user = Some(text(c, is_achar, "expected a user in the URL")?);
        }
        if c.eat(b";AUTH=") {
            auth = Some(text(c, is_achar, "expected a mechanism in the URL")?);
        }
        // RFC 5092 11: iuserinfo = enc-user [iauth] / [enc-user] iauth
        if user.is_none() && auth.is_none() {
            return Err(BadSyntax("expected a user in the URL"));
        }
        c.expect(b"@", "malformed user in the URL")?;
    }
    let host = match c.peek() {
        // RFC 3986 3.2.2: IP-literal
        Some(b'[') => {
            const ADDRESS: &str = "malformed address in the URL";
            c.eat(b"[");
            let is_address = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            let address = c.take_while1(is_address, ADDRESS)?;
            c.expect(b"]", ADDRESS)?;
            format!("[{}]", String::from_utf8_lossy(address))
        }
        _ => {
            let name = c.take_while1(is_achar, "expected a host in the URL")?;
            String::from_utf8_lossy(name).into_owned()
        }
    };
    // RFC 3986 3.2.3: port = *DIGIT
    let has_port = c.eat(b":") && c.peek().is_some_and(|b| b.is_ascii_digit());
    let port = match has_port {
        true => Some(u16::try_from(c.number()?).map_err(|_| BadSyntax("no such port"))?),
        false => None,
    };
    Ok(Server {
        user,
        auth,
        host,
        port,
    })
}

/// `icommand`, behind its slash.
fn command(c: &mut Cursor<'_>, len: usize) -> Parsed<Target> {
    let run = c.rest().iter().take_while(|&&b| is_bchar(b)).count();
    let followed = c.rest().get(run..).unwrap_or_default();
    let mut name = c.take(run, "expected a mailbox in the URL")?;
    // The slash before `;UID=` is not one of the mailbox.
    let mut is_message = false;
    if let (Some(before), b";UID=") = (name.strip_suffix(b"/"), upper(followed, 5).as_slice()) {
        (name, is_message) = (before, true);
    }
    if name.is_empty() {
        return Err(BadSyntax("expected a mailbox in the URL"));
    }
    // RFC 5092 7, 9.1: these are steps in a tree, not names; nobody needs them to name a message.
    let is_dot = |level: &[u8]| level == b"." || level == b"..";
    if name.split(|b| *b == b'/').any(is_dot) {
        return Err(BadSyntax("the URL has a dot segment"));
    }
    let mut mailbox = MailboxRef {
        name: decoded_text(name)?,
        uid_validity: None,
    };
    if !is_message && c.eat(b";UIDVALIDITY=") {
        mailbox.uid_validity = UidValidity::new(c.nz_number()?);
        is_message = c.eat(b"/");
    }
    if is_message {
        c.expect(b";UID=", "expected ;UID= in the URL")?;
        return message(c, Some(mailbox), len).map(Target::Message);
    }
    let search = match c.eat(b"?") {
        true => Some(decode(
            c.take_while1(is_bchar, "expected a search in the URL")?,
        )?),
        false => None,
    };
    Ok(Target::Messages { mailbox, search })
}

/// What stands behind `;UID=`.
fn message(c: &mut Cursor<'_>, mailbox: Option<MailboxRef>, len: usize) -> Parsed<MessageRef> {
    let uid = Uid::new(c.nz_number()?).ok_or(BadSyntax("no such uid"))?;
    let mut this = MessageRef {
        mailbox,
        uid,
        section: None,
        partial: None,
        grant: None,
    };
    if c.eat(b"/;SECTION=") {
        // enc-section may contain slashes, and one before `;PARTIAL=` is not its own.
        let run = c.rest().iter().take_while(|&&b| is_bchar(b)).count();
        let followed = c.rest().get(run..).unwrap_or_default();
        let section = c.rest().get(..run).unwrap_or_default();
        let own = match upper(followed, 9).as_slice() {
            b";PARTIAL=" if section.ends_with(b"/") => run - 1,
            _ => run,
        };
        if own == 0 {
            return Err(BadSyntax("expected a section in the URL"));
        }
        this.section = Some(decode(c.take(own, "expected a section in the URL")?)?);
    }
    if c.eat(b"/;PARTIAL=") {
        let first = c.number()?;
        let count = match c.eat(b".") {
            true => NonZeroU32::new(c.nz_number()?),
            false => None,
        };
        this.partial = Some((first, count));
    }
    let expire = match c.eat(b";EXPIRE=") {
        true => Some(c.internet_date_time()?),
        false => None,
    };
    if c.eat(b";URLAUTH=") {
        this.grant = Some(grant(c, expire, len)?);
    } else if expire.is_some() {
        // RFC 5092 11: [expire] is a part of iurlauth-rump.
        return Err(BadSyntax("expected ;URLAUTH= in the URL"));
    }
    Ok(this)
}

fn grant(c: &mut Cursor<'_>, expire: Option<i64>, len: usize) -> Parsed<Grant> {
    const USER: &str = "expected a user in the access identifier";
    let access = if c.eat(b"submit+") {
        Access::Submit(text(c, is_achar, USER)?)
    } else if c.eat(b"user+") {
        Access::User(text(c, is_achar, USER)?)
    } else if c.eat(b"authuser") {
        Access::AuthUser
    } else if c.eat(b"anonymous") {
        Access::Anonymous
    } else {
        return Err(BadSyntax("unknown access identifier in the URL"));
    };
    let mut proof = None;
    let rump = len - c.rest().len();
    if c.eat(b":") {
        let mechanism = c.mechanism()?;
        c.expect(b":", "expected a token in the URL")?;
        let token = c.take_while1(|b| b.is_ascii_hexdigit(), "expected a token in the URL")?;
        // RFC 5092 11: enc-urlauth = 32*HEXDIG
        if token.len() < 32 || token.len() % 2 == 1 {
            return Err(BadSyntax("malformed token in the URL"));
        }
        let nibble = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
        let octet = |pair: &[u8]| pair.iter().fold(0, |n, b| n << 4 | nibble(*b));
        proof = Some(Proof {
            mechanism,
            token: token.chunks(2).map(octet).collect(),
            rump,
        });
    }
    Ok(Grant {
        expire,
        access,
        proof,
    })
}

impl Cursor<'_> {
    /// `mechanism = "INTERNAL" / 1*(ALPHA / DIGIT / "-" / ".")`, in upper case.
    pub fn mechanism(&mut self) -> Parsed<String> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let name = self.take_while1(is_name, "expected an authorization mechanism")?;
        Ok(String::from_utf8_lossy(name).to_ascii_uppercase())
    }
}

/// The first octets of `text`, in upper case.
fn upper(text: &[u8], len: usize) -> Vec<u8> {
    text.get(..len).unwrap_or_default().to_ascii_uppercase()
}

fn text(c: &mut Cursor<'_>, class: fn(u8) -> bool, otherwise: &'static str) -> Parsed<String> {
    decoded_text(c.take_while1(class, otherwise)?)
}

fn decoded_text(raw: &[u8]) -> Parsed<String> {
    // RFC 5092 8: UTF-8 behind the encoding.
    String::from_utf8(decode(raw)?).map_err(|_| BadSyntax("the URL is not UTF-8"))
}

/// RFC 3986 2.1: percent-encoding.
fn decode(raw: &[u8]) -> Parsed<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&b) = rest.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
            _ => return Err(BadSyntax("malformed % in the URL")),
        }
    }
    Ok(out)
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

// Writing.

fn encode(raw: &[u8], plain: fn(u8) -> bool, out: &mut Vec<u8>) {
    for &b in raw {
        match plain(b) && b != b'%' {
            true => out.push(b),
            false => {
                let digit = |n: u8| b"0123456789ABCDEF".get(n as usize).copied();
                out.push(b'%');
                out.extend(digit(b >> 4).into_iter().chain(digit(b & 15)));
            }
        }
    }
}

impl Server {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(user) = &self.user {
            encode(user.as_bytes(), is_achar, out);
        }
        if let Some(auth) = &self.auth {
            encode(auth.as_bytes(), is_achar, out.raw(b";AUTH="));
        }
        if self.user.is_some() || self.auth.is_some() {
            out.raw(b"@");
        }
        out.text(&self.host);
        if let Some(port) = self.port {
            out.raw(b":").num(port);
        }
    }
}

impl MailboxRef {
    fn write(&self, out: &mut Vec<u8>) {
        for (i, level) in self.name.split('/').enumerate() {
            // RFC 5092 7.1: a name that begins with a slash does not begin a server.
            let is_second = i == 1 && self.name.starts_with('/');
            out.raw(if is_second { b"%2F" } else { b"/" });
            match level {
                // RFC 5092 7: no dot segments.
                "." => drop(out.raw(b"%2E")),
                ".." => drop(out.raw(b"%2E%2E")),
                _ => encode(level.as_bytes(), is_bchar, out),
            }
        }
        if let Some(uid_validity) = self.uid_validity {
            out.raw(b";UIDVALIDITY=").num(uid_validity.get());
        }
    }
}

impl MessageRef {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(mailbox) = &self.mailbox {
            mailbox.write(out);
            out.raw(b"/");
        }
        out.raw(b";UID=").num(self.uid.get());
        if let Some(section) = &self.section {
            encode(section, is_bchar, out.raw(b"/;SECTION="));
        }
        if let Some((first, count)) = self.partial {
            out.raw(b"/;PARTIAL=").num(first);
            if let Some(count) = count {
                out.raw(b".").num(count.get());
            }
        }
        if let Some(grant) = &self.grant {
            grant.write(out);
        }
    }
}

impl Grant {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(expire) = self.expire {
            super::dates::write_internet_date_time(out.raw(b";EXPIRE="), expire);
        }
        out.raw(b";URLAUTH=");
        match &self.access {
            Access::Submit(user) => encode(user.as_bytes(), is_achar, out.raw(b"submit+")),
            Access::User(user) => encode(user.as_bytes(), is_achar, out.raw(b"user+")),
            Access::AuthUser => {
                out.raw(b"authuser");
            }
            Access::Anonymous => {
                out.raw(b"anonymous");
            }
        }
        if let Some(proof) = &self.proof {
            out.raw(b":").text(&proof.mechanism.to_ascii_lowercase());
            write_token(&proof.token, out.raw(b":"));
        }
    }
}

/// `enc-urlauth`.
pub fn write_token(token: &[u8], out: &mut Vec<u8>) {
    for b in token {
        let digit = |n: u8| b"0123456789abcdef".get(n as usize).copied();
        out.extend(digit(b >> 4).into_iter().chain(digit(b & 15)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(url: &Url) -> String {
        let mut out = Vec::new();
        url.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn message(raw: &str) -> MessageRef {
        match Url::parse(raw.as_bytes()).unwrap().target {
            Target::Message(message) => message,
            other => panic!("{raw}: {other:?}"),
        }
    }

    #[test]
    fn malformed_urls_are_refused() {
        for raw in [
            "",
            "http://h/INBOX/;UID=1",
            "imap:/h/INBOX",
            "imap://",
            "imap:///INBOX/;UID=1",
            "imap://@h/INBOX",
            "imap://a@/INBOX",
            "imap://a;b@h/INBOX",
            "imap://a@b@h/INBOX",
            "imap://a;AUTH=@h/INBOX",
            "imap://[::1/INBOX",
            "imap://[]/INBOX",
            "imap://[x]/INBOX",
            "imap://h:65536/INBOX",
            "imap://h:1x/INBOX",
            "imap://h/INBOX/;UID=0",
            "imap://h/INBOX/;UID=",
            "imap://h/INBOX/;UID=4294967296",
            "imap://h/INBOX/;UID=1x",
            "imap://h/INBOX;UID=1",
            "imap://h/;UID=1",
            "imap://h/INBOX;UIDVALIDITY=0/;UID=1",
            "imap://h/INBOX;UIDVALIDITY=1;UID=1",
            "imap://h/INBOX;UIDVALIDITY=1/;SECTION=1",
            "imap://h/INBOX/;UID=1/;SECTION=",
            "imap://h/INBOX/;UID=1/;SECTION=/;PARTIAL=1",
            "imap://h/INBOX/;UID=1;SECTION=1",
            "imap://h/INBOX/;UID=1/;PARTIAL=",
            "imap://h/INBOX/;UID=1/;PARTIAL=1.",
            "imap://h/INBOX/;UID=1/;PARTIAL=1.0",
            "imap://h/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
            "imap://h/INBOX/;UID=1?TEXT",
            "imap://h/INBOX?",
            "imap://h/INBOX?a?b",
            "imap://h/%",
            "imap://h/%2",
            "imap://h/%2g",
            "imap://h/%C3",
            "imap://h/a b/;UID=1",
            "imap://h/\u{e4}/;UID=1",
            "imap://h/../INBOX/;UID=1",
            "/INBOX/;UID=1/..",
            "INBOX/;UID=1",
            ";SECTION=1",
            "/INBOX/;UID=1;URLAUTH=",
            "/INBOX/;UID=1;URLAUTH=nobody",
            "/INBOX/;UID=1;URLAUTH=user+",
            "/INBOX/;UID=1;URLAUTH=anonymous:",
            "/INBOX/;UID=1;URLAUTH=anonymous:internal",
            "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f9203",
            "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f920389",
            "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f9203g",
            "/INBOX/;UID=1;URLAUTH=anonymous:in_ternal:91354a473744909de610943775f92038",
            "/INBOX/;UID=1;URLAUTH=authuser;EXPIRE=2030-01-01T00:00:00Z",
            "/INBOX/;UID=1;EXPIRE=2030-01-01T00:00:00Z",
            "/INBOX/;UID=1;EXPIRE=2030-01-01;URLAUTH=authuser",
            "/INBOX/;UID=1;EXPIRE=2030-02-30T00:00:00Z;URLAUTH=authuser",
            "/INBOX;URLAUTH=authuser",
        ] {
            assert!(Url::parse(raw.as_bytes()).is_err(), "{raw}");
        }
        let long = format!("/{}/;UID=1", "a".repeat(MAX_URL));
        assert!(Url::parse(long.as_bytes()).is_err());
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 5092 9.
        for raw in [
            "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
            "imap://psicorp.example.org/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E5%8F%B0%E5%8C%97",
            "imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;UID=20/;SECTION=1.2",
            "imap://;AUTH=*@minbari.example.org/gray%20council?SUBJECT%20shadows",
            "imap://john;AUTH=*@minbari.example.org/babylon5/personel?charset%20UTF-8%20SUBJECT%20\
             %7B14+%7D%0D%0A%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2%D0%B0",
            ";UID=20",
            "imap://[2001:db8::1]:993/",
            "/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.MIME",
            "imap://joe@example.com/INBOX/;UID=20/;SECTION=1.2;URLAUTH=submit+fred:internal:\
             91354a473744909de610943775f92038",
            "/INBOX/;UID=1;EXPIRE=2030-12-31T23:59:60Z;URLAUTH=user+a%3Bb%40c",
        ] {
            let url = Url::parse(raw.as_bytes()).unwrap();
            let raw = raw.replace("2030-12-31T23:59:60Z", "2031-01-01T00:00:00Z");
            // What need not be encoded is not.
            assert_eq!(
                written(&url),
                raw.replace("%40", "@").replace("b@c", "b%40c")
            );
        }
        let url = Url::parse(b"imap://joe@h").unwrap();
        assert_eq!(url.target, Target::Server);
        let url = Url::parse(b"//h/~peter/%E6%97%A5").unwrap();
        assert!(url.server.is_some_and(|server| server.host == "h"));
        let Target::Messages { mailbox, .. } = url.target else {
            panic!("a mailbox");
        };
        assert_eq!(mailbox.name, "~peter/\u{65e5}");
    }

    #[test]
    fn what_a_token_vouches_for_ends_before_the_mechanism() {
        let rump = "imap://J%6fe@example.com/INBOX/;uid=20/;section=1.2/;partial=5\
                    ;expire=1970-01-01t01:00:00.5+01:00;urlauth=submit+fred";
        let raw = format!("{rump}:internal:91354A473744909de610943775f92038");
        let found = message(&raw);
        assert_eq!(found.section.as_deref(), Some(&b"1.2"[..]));
        assert_eq!(found.partial, Some((5, None)));
        let grant = found.grant.unwrap();
        assert_eq!(grant.expire, Some(0));
        assert_eq!(grant.access, Access::Submit("fred".to_owned()));
        let proof = grant.proof.unwrap();
        assert_eq!(proof.mechanism, "INTERNAL");
        assert_eq!(proof.token[..3], [0x91, 0x35, 0x4a]);
        assert_eq!(raw.get(..proof.rump), Some(rump));
        assert!(message(rump).grant.unwrap().proof.is_none());
    }

    fn text() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9 ;:@%?&=+.~\"\u{e4}\u{65e5}]{1,8}"
    }

    fn mailbox() -> impl Strategy<Value = MailboxRef> {
        let name = proptest::collection::vec(text(), 1..4).prop_map(|levels| levels.join("/"));
        (name, proptest::option::of(1..=u32::MAX)).prop_map(|(name, n)| MailboxRef {
            name,
            uid_validity: n.and_then(UidValidity::new),
        })
    }

    fn server() -> impl Strategy<Value = Server> {
        use proptest::option::of;
        let host = prop_oneof!["[a-z0-9.-]{1,9}", Just("[::1]".to_owned())];
        (of(text()), of(text()), host, of(any::<u16>())).prop_map(|(user, auth, host, port)| {
            Server {
                user,
                auth,
                host,
                port,
            }
        })
    }

    fn grant() -> impl Strategy<Value = Grant> {
        use proptest::option::of;
        let access = prop_oneof![
            text().prop_map(Access::Submit),
            text().prop_map(Access::User),
            Just(Access::AuthUser),
            Just(Access::Anonymous),
        ];
        (of(-62_167_219_200..=253_402_300_799i64), access).prop_map(|(expire, access)| Grant {
            expire,
            access,
            proof: None,
        })
    }

    fn target() -> impl Strategy<Value = Target> {
        use proptest::option::of;
        let section = of("[A-Z0-9.() /]{1,9}".prop_map(String::into_bytes));
        let partial = of((any::<u32>(), of(any::<NonZeroU32>())));
        let message = (mailbox(), 1..=u32::MAX, section, partial, of(grant()));
        prop_oneof![
            Just(Target::Server),
            (mailbox(), of("[ -~\r\n]{1,20}")).prop_map(|(mailbox, search)| {
                let search = search.map(String::into_bytes);
                Target::Messages { mailbox, search }
            }),
            message.prop_map(|(mailbox, uid, section, partial, grant)| {
                Target::Message(MessageRef {
                    mailbox: Some(mailbox),
                    uid: Uid::new(uid).unwrap(),
                    section,
                    partial,
                    grant,
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_url_comes_back(server in proptest::option::of(server()), target in target()) {
            let url = Url { server, target };
            prop_assert_eq!(Url::parse(written(&url).as_bytes()), Ok(url));
        }

        #[test]
        fn anything_is_answered(raw in "(imap://)?[ -~]{0,40}(/;UID=1)?[ -~]{0,20}") {
            if let Ok(url) = Url::parse(raw.as_bytes()) {
                prop_assert_eq!(Url::parse(written(&url).as_bytes()), Ok(url));
            }
        }
    }
}
