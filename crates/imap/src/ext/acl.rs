//! ACL (RFC 4314): who may do what with a mailbox. The checks are in `session/place.rs` and in the
//! engine; here are the commands that show and change the lists. LIST-MYRIGHTS (RFC 8440) is an
//! option of LIST.

use super::*;
use crate::grammar::Names;
use crate::grammar::mailbox::RawName;
use crate::session::Place;
use auth::AuthError;
use bytes::BytesMut;
use mail::{Grantee, Identifier};
use types::{FlagOp, MailboxName, Rights};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 4314",
    file: file!(),
    capabilities: &[
        Capability::always("ACL"),
        // RFC 4314 2.2: the rights that RFC 2086 does not have.
        Capability::always("RIGHTS=texk"),
    ],
    commands: &[&SETACL, &DELETEACL, &GETACL, &LISTRIGHTS, &MYRIGHTS],
    ..Extension::EMPTY
};

/// RFC 8440: the MYRIGHTS option of LIST, in its file.
pub(crate) static LIST_MYRIGHTS: Extension = Extension {
    rfc: "RFC 8440",
    file: "crates/imap/src/cmd/list.rs",
    capabilities: &[Capability::always("LIST-MYRIGHTS")],
    ..Extension::EMPTY
};

const fn spec(
    name: &'static str,
    rfc: &'static [&'static str],
    parse: fn(&mut Cursor<'_>, bool) -> Parsed<Box<dyn Ready>>,
) -> Spec {
    Spec {
        name,
        uid: UidForm::No,
        states: States::LOGGED_IN,
        effects: Effects::NONE,
        rfc,
        parse,
    }
}

/// `setacl = "SETACL" SP mailbox SP identifier SP mod-rights`
static SETACL: Spec = spec("SETACL", &["RFC 4314 3.1"], |c, _| {
    let (mailbox, who) = (mailbox(c)?, who(c)?);
    c.sp()?;
    let (op, rights) = change(&c.astring()?)?;
    Ok(Box::new(SetAcl {
        mailbox,
        who,
        op,
        rights,
    }))
});

/// `deleteacl = "DELETEACL" SP mailbox SP identifier`
static DELETEACL: Spec = spec("DELETEACL", &["RFC 4314 3.2"], |c, _| {
    // RFC 4314 3.2: as if it had no rights.
    Ok(Box::new(SetAcl {
        mailbox: mailbox(c)?,
        who: who(c)?,
        op: FlagOp::Replace,
        rights: Rights::NONE,
    }))
});

/// `getacl = "GETACL" SP mailbox`
static GETACL: Spec = spec("GETACL", &["RFC 4314 3.3"], |c, _| {
    Ok(Box::new(GetAcl(mailbox(c)?)))
});

/// `listrights = "LISTRIGHTS" SP mailbox SP identifier`
static LISTRIGHTS: Spec = spec("LISTRIGHTS", &["RFC 4314 3.4"], |c, _| {
    let (mailbox, who) = (mailbox(c)?, who(c)?);
    Ok(Box::new(ListRights { mailbox, who }))
});

/// `myrights = "MYRIGHTS" SP mailbox`
static MYRIGHTS: Spec = spec("MYRIGHTS", &["RFC 4314 3.5"], |c, _| {
    Ok(Box::new(MyRights(mailbox(c)?)))
});

struct SetAcl {
    mailbox: RawName,
    who: Who,
    op: FlagOp,
    rights: Rights,
}

struct GetAcl(RawName);

struct ListRights {
    mailbox: RawName,
    who: Who,
}

struct MyRights(RawName);

/// An identifier as a client wrote it.
struct Who {
    text: String,
    negative: bool,
}

/// All identities (RFC 4314 2).
const ANYONE: &str = "anyone";

fn mailbox(c: &mut Cursor<'_>) -> Parsed<RawName> {
    c.sp()?;
    c.mailbox()
}

/// `SP identifier`, `identifier = astring`.
fn who(c: &mut Cursor<'_>) -> Parsed<Who> {
    c.sp()?;
    let raw = c.astring()?;
    // RFC 4314 3: what cannot be prepared, or is empty then, is BAD. Names are prepared as at
    // login: they are compared without letter case, and hold no control characters.
    let text = std::str::from_utf8(&raw).map_err(|_| BadSyntax("an identifier is UTF-8"))?;
    let name = text.strip_prefix('-').unwrap_or(text);
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(BadSyntax("not an identifier"));
    }
    Ok(Who {
        negative: name.len() < text.len(),
        text: text.to_owned(),
    })
}

/// `mod-rights = astring`: rights that replace, or with + or - are added or taken away.
fn change(raw: &[u8]) -> Parsed<(FlagOp, Rights)> {
    let text = std::str::from_utf8(raw).map_err(|_| BadSyntax("not a list of rights"))?;
    let (op, letters) = match text.split_at_checked(1) {
        Some(("+", letters)) => (FlagOp::Add, letters),
        Some(("-", letters)) => (FlagOp::Remove, letters),
        _ => (FlagOp::Replace, text),
    };
    // RFC 4314 3.1: an unknown right is BAD, and never ignored.
    let rights = Rights::from_letters(letters).map_err(|_| BadSyntax("there is no such right"))?;
    Ok((op, rights))
}

impl Who {
    /// The entry it names.
    ///
    /// # Errors
    /// NONEXISTENT: nobody has that name. The store, or the directory.
    async fn find(&self, cx: &Session) -> Result<Identifier, Refusal> {
        let negative = self.negative;
        let name = self.text.strip_prefix('-').unwrap_or(&self.text);
        if name.eq_ignore_ascii_case(ANYONE) {
            let grantee = Grantee::Anyone;
            return Ok(Identifier { grantee, negative });
        }
        let mail = &cx.deps.mail;
        let info = match mail.find_account(name).await? {
            Some(info) => info,
            // Somebody who has never logged in, nor received mail.
            None => match known(cx, name).await? {
                Some(name) => mail.ensure_account(&name).await?,
                None => return Err(Refusal::no(Code::NONEXISTENT, "there is no such user")),
            },
        };
        let grantee = Grantee::Account(info.id);
        Ok(Identifier { grantee, negative })
    }
}

/// The account of somebody whom a directory knows.
async fn known(cx: &Session, name: &str) -> Result<Option<String>, Refusal> {
    match cx.deps.auth.exists(name).await {
        Ok(name) => Ok(name),
        Err(AuthError::Temporary(reason)) => {
            tracing::error!(reason, "directory not available");
            Err(Refusal::no(
                Code::Word("UNAVAILABLE"),
                "users cannot be looked up now, try again later",
            ))
        }
        Err(AuthError::Invalid | AuthError::Refused(_)) => Ok(None),
    }
}

impl Run for SetAcl {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Place { account, id, .. } = cx.place(&self.mailbox, Rights::ADMINISTER).await?;
        let identifier = self.who.find(cx).await?;
        let change = |old: Rights| match self.op {
            FlagOp::Add => old.and(self.rights),
            FlagOp::Remove => old.without(self.rights),
            FlagOp::Replace => self.rights,
        };
        account.set_acl(id, identifier, change).await?;
        Done::ok("rights changed")
    }
}

impl Run for GetAcl {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Place {
            account, id, shown, ..
        } = cx.place(&self.0, Rights::ADMINISTER).await?;
        let (acl, mail) = (account.acl(id)?, account.mail());
        let mut entries = Vec::new();
        for (identifier, rights) in acl.entries() {
            let name = match identifier.grantee {
                Grantee::Anyone => Some(ANYONE.to_owned()),
                // Who is gone has no name any more, and no rights.
                Grantee::Account(id) => mail.account_name(id).await?,
            };
            let sign = if identifier.negative { "-" } else { "" };
            entries.extend(name.map(|name| (format!("{sign}{name}"), rights)));
        }
        let owner = mail.account_name(account.id()).await?.unwrap_or_default();
        let names = cx.enabled.names();
        let out = cx.wire.buffer();
        out.raw(b"* ACL ").mailbox(&shown, names);
        for (name, rights) in std::iter::once((owner, Rights::ALL)).chain(entries) {
            // IMAPClient takes quotes for a part of the name.
            out.raw(b" ").astring(name.as_bytes());
            out.raw(b" ").text(&rights.to_string());
        }
        out.crlf();
        Done::ok("that is all")
    }
}

impl Run for ListRights {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Place { account, shown, .. } = cx.place(&self.mailbox, Rights::ADMINISTER).await?;
        let who = self.who.find(cx).await?;
        let names = cx.enabled.names();
        let out = cx.wire.buffer();
        // RFC 4314 3.4: the identifier as the client wrote it.
        out.raw(b"* LISTRIGHTS ").mailbox(&shown, names);
        out.raw(b" ").astring(self.who.text.as_bytes());
        match (who.grantee == Grantee::Account(account.id()), who.negative) {
            // The owner has all rights, always, and they cannot be taken.
            (true, false) => out.raw(b" ").text(&Rights::ALL.to_string()),
            (true, true) => out.raw(b" \"\""),
            // RFC 4314 2.1.1: no right is tied to another, so c and d stand alone too.
            (false, _) => out.raw(b" \"\" l r s w i p k x t e a c d"),
        };
        out.crlf();
        Done::ok("that is all")
    }
}

impl Run for MyRights {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Place {
            account, id, shown, ..
        } = cx.place(&self.0, Rights::NONE).await?;
        let rights = account.rights(id);
        // RFC 4314 4: any of these.
        let any = Rights::LOOKUP
            .and(Rights::READ)
            .and(Rights::INSERT)
            .and(Rights::CREATE)
            .and(Rights::DELETE)
            .and(Rights::ADMINISTER);
        if !rights.any(any) {
            account.require(id, any)?;
        }
        write_my_rights(&shown, rights, cx.enabled.names(), cx.wire.buffer());
        Done::ok("that is all")
    }
}

/// `myrights-data = "MYRIGHTS" SP mailbox SP rights`
pub(crate) fn write_my_rights(
    name: &MailboxName,
    rights: Rights,
    names: Names,
    out: &mut BytesMut,
) {
    out.raw(b"* MYRIGHTS ").mailbox(name, names);
    out.raw(b" ").text(&rights.to_string()).crlf();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_commands_are_refused() {
        for (spec, raw) in [
            (&SETACL, " INBOX bob"),
            (&SETACL, " INBOX bob lrq"),
            (&SETACL, " INBOX bob lrQ"),
            (&SETACL, " INBOX bob +-l"),
            (&SETACL, " INBOX bob l r"),
            (&SETACL, " INBOX \"\" l"),
            (&SETACL, " INBOX - l"),
            (&SETACL, " INBOX {2+}\r\n\u{1}x l"),
            (&DELETEACL, " INBOX"),
            (&DELETEACL, " INBOX bob l"),
            (&GETACL, ""),
            (&GETACL, " INBOX bob"),
            (&LISTRIGHTS, " INBOX"),
            (&LISTRIGHTS, " INBOX -"),
            (&MYRIGHTS, " "),
            (&MYRIGHTS, " INBOX bob"),
        ] {
            let mut c = Cursor::of(raw.as_bytes());
            let parsed = (spec.parse)(&mut c, false).and_then(|_| c.end());
            assert!(parsed.is_err(), "{}{raw}", spec.name);
        }
    }

    #[test]
    fn rights_are_read() {
        let all = Rights::ALL;
        for (raw, op, letters) in [
            ("", FlagOp::Replace, ""),
            ("lrs", FlagOp::Replace, "lrs"),
            ("+cda", FlagOp::Add, "kxtea"),
            ("-d", FlagOp::Remove, "te"),
            ("+", FlagOp::Add, ""),
        ] {
            let rights = Rights::from_letters(letters).unwrap();
            assert_eq!(change(raw.as_bytes()), Ok((op, rights)), "{raw}");
        }
        assert_eq!(change(b"lrswipkxteacd"), Ok((FlagOp::Replace, all)));
        assert!(change("\u{e4}".as_bytes()).is_err());
    }
}
