//! Reading URLs.

use super::*;

pub(super) fn url(c: &mut Cursor<'_>, len: usize) -> Parsed<Url> {
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
