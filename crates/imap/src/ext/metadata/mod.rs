//! METADATA (RFC 5464): annotations of mailboxes and of the server, and the special use of a
//! mailbox as one of them (RFC 6154 4). LIST-METADATA (RFC 9590) is an option of LIST.

mod entry;
mod get;
mod listen;
mod set;

pub(crate) use entry::{Entry, Scope};
pub(crate) use get::tell_mailbox;
pub(crate) use listen::{Listener, tell};

use super::*;
use crate::grammar::Names;
use crate::grammar::mailbox::RawName;
use crate::session::Place;
use mail::Account;
use types::{MailboxId, MailboxName, Rights};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5464",
    file: file!(),
    capabilities: &[Capability::always("METADATA")],
    commands: &[&get::SPEC, &set::SPEC],
    // RFC 5464 4.1: changes by others are told to clients that ask for it so.
    on_enable: Some(|enabled| enabled.metadata = true),
    ..Extension::EMPTY
};

/// RFC 9590: the METADATA option of LIST, in its file.
pub(crate) static LIST_METADATA: Extension = Extension {
    rfc: "RFC 9590",
    file: "crates/imap/src/cmd/list.rs",
    capabilities: &[Capability::always("LIST-METADATA")],
    ..Extension::EMPTY
};

/// Names one command may have.
pub(crate) const MAX_ENTRIES: usize = 100;

/// The special use of a mailbox (RFC 6154 4).
const SPECIAL_USE: &str = "/specialuse";
/// How to reach those who run the server (RFC 5464 6.2.2).
const ADMIN: &str = "/admin";

/// What is annotated: `""` is the server.
pub(crate) enum Subject {
    Server,
    Mailbox(RawName),
}

/// What is annotated, found.
pub(crate) enum Object {
    Server,
    Mailbox {
        account: Account,
        id: MailboxId,
        /// The name the client knows it by.
        name: MailboxName,
    },
}

impl Subject {
    /// `mailbox`, which may be empty.
    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let name = c.mailbox_or_nothing()?;
        Ok(name.map_or(Self::Server, Self::Mailbox))
    }

    /// # Errors
    /// RFC 5464 3.3: no such mailbox, or not enough rights.
    async fn find(self, cx: &Session) -> Result<Object, Refusal> {
        let Self::Mailbox(raw) = self else {
            return Ok(Object::Server);
        };
        // RFC 5464 3.3: and any of r, s, w, i, p, which the engine asks for.
        let Place {
            account, id, shown, ..
        } = cx.place(&raw, Rights::LOOKUP).await?;
        Ok(Object::Mailbox {
            account,
            id,
            name: shown,
        })
    }
}

impl Object {
    /// The name on the wire.
    fn write_name(&self, names: Names, out: &mut bytes::BytesMut) {
        match self {
            Self::Server => out.raw(b"\"\""),
            Self::Mailbox { name, .. } => out.mailbox(name, names),
        };
    }
}
