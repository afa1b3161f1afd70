//! What a command is: the row it has in the [registry](crate::registry), and the two things it can
//! do.

use crate::cmd::fetch::FetchItem;
use crate::cmd::search::SearchKey;
use crate::grammar::{Cursor, Parsed};
use crate::refusal::{Code, Refusal};
use crate::session::{Enabled, Session};
use bytes::BytesMut;
use mail::{Account, Summary};
use std::pin::Pin;
use types::MailboxId;

/// In which states of RFC 9051 3 a command is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct States(u8);

impl States {
    /// Not authenticated.
    pub const LOGIN: Self = Self(1);
    /// Authenticated, no mailbox selected.
    pub const AUTHENTICATED: Self = Self(2);
    /// A mailbox is selected.
    pub const SELECTED: Self = Self(4);
    /// Authenticated or selected.
    pub const LOGGED_IN: Self = Self(6);
    /// Any.
    pub const ANY: Self = Self(7);

    /// Whether `state`, a single one, is among these.
    pub const fn contains(self, state: Self) -> bool {
        self.0 & state.0 != 0
    }
}

/// What a command does beside its purpose; the session acts on these so that no command has to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effects(u8);

impl Effects {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// Names or answers with sequence numbers: no EXPUNGE may be sent while it runs (RFC 9051
    /// 7.5.1). The UID form of a command never has this effect.
    pub const USES_SEQ: Self = Self(1);
    /// Changes the selected mailbox: refused when that was opened by EXAMINE.
    pub const WRITES: Self = Self(2);
    /// Ends in messages: its literals may be as long as a message, and each message is taken as
    /// soon as it is complete ([`Intake`](crate::cmd::append::Intake)).
    pub const TAKES_MESSAGE: Self = Self(4);
    /// Though it has a UID form, the other one names no messages: it is there for clients that gave
    /// up sequence numbers too (RFC 9586).
    pub const NO_SET: Self = Self(8);
    /// With `TAKES_MESSAGE`: names the message that the one it takes replaces (RFC 8508).
    pub const REPLACES: Self = Self(16);

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Whether a command may follow the word UID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UidForm {
    /// It may not.
    No,
    /// It may.
    Also,
}

/// A command.
pub struct Spec {
    /// Its name, upper case.
    pub name: &'static str,
    /// Whether `UID name` exists too.
    pub uid: UidForm,
    /// Where it is valid.
    pub states: States,
    /// What it does beside its purpose.
    pub effects: Effects,
    /// Where it is written down: `RFC <number> <section>`.
    pub rfc: &'static [&'static str],
    /// Reads its arguments, from the space behind the name to the end. `true`: it followed UID.
    /// Pure.
    pub parse: fn(&mut Cursor<'_>, bool) -> Parsed<Box<dyn Ready>>,
}

/// A parsed command.
// Not by `async_trait`: its bounds are others for each command, and whatever a command awaits would
// be proved `Send` anew for each; that took more time than all the rest of a check of this crate.
pub trait Run: Send + 'static {
    /// Carries it out: untagged answers go to `cx.wire`, the tagged one is returned.
    fn run(self: Box<Self>, cx: &mut Session)
    -> impl Future<Output = Result<Done, Refusal>> + Send;
}

/// A parsed command, whichever.
pub trait Ready: Send {
    /// [`Run::run`].
    fn start(self: Box<Self>, cx: &mut Session) -> Running<'_>;
}

/// A command that is carried out.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Done, Refusal>> + Send + 'a>>;

impl<T: Run> Ready for T {
    fn start(self: Box<Self>, cx: &mut Session) -> Running<'_> {
        Box::pin(self.run(cx))
    }
}

/// The tagged OK.
#[derive(Debug)]
pub struct Done {
    /// Its response code.
    pub code: Option<Code>,
    /// Its text.
    pub text: &'static str,
    /// What happens once it is written.
    pub then: Then,
}

/// What happens after a tagged OK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// The next command.
    Continue,
    /// The TLS handshake.
    StartTls,
    /// Compression, in both directions (RFC 4978).
    Compress,
    /// The end of that (RFC 8437 4.1).
    Uncompress,
    /// The end of the connection.
    Close,
}

impl Done {
    /// OK and a text.
    pub fn ok(text: &'static str) -> Result<Self, Refusal> {
        Ok(Self {
            code: None,
            text,
            then: Then::Continue,
        })
    }

    /// OK with a response code.
    pub fn with(code: Code, text: &'static str) -> Result<Self, Refusal> {
        Ok(Self {
            code: Some(code),
            text,
            then: Then::Continue,
        })
    }
}

/// What an extension, or the base protocol, adds. One row of the registry.
pub struct Extension {
    /// The text that defines it: `RFC <number>`, or the name of a draft.
    pub rfc: &'static str,
    /// Where the code is, from the root of the project.
    pub file: &'static str,
    /// What CAPABILITY announces, and when. Empty: nothing.
    pub capabilities: &'static [Capability],
    /// Its commands.
    pub commands: &'static [&'static Spec],
    /// What FETCH can fetch, by family.
    pub fetch_items: &'static [&'static [FetchItem]],
    /// What SEARCH can look for, by family.
    pub search_keys: &'static [&'static [SearchKey]],
    /// What STATUS can tell.
    pub status_items: &'static [StatusItem],
    /// What `ENABLE` of its (first) capability does; `None` when it cannot be enabled.
    pub on_enable: Option<fn(&mut Enabled)>,
    /// Where that may be said.
    pub enable_in: States,
}

impl Extension {
    /// A row without anything, to be completed by struct update.
    pub const EMPTY: Self = Self {
        rfc: "",
        file: "",
        capabilities: &[],
        commands: &[],
        fetch_items: &[],
        search_keys: &[],
        status_items: &[],
        on_enable: None,
        // RFC 5161 3.1 tells clients to enable before they select; those that do it later mean it
        // no less.
        enable_in: States::LOGGED_IN,
    };
}

/// A word of the CAPABILITY list.
pub struct Capability {
    /// The word.
    pub name: &'static str,
    /// When it is told.
    pub when: When,
}

/// When a capability holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// In every state.
    Always,
    /// Before login, when TLS is possible and not there yet.
    StartTls,
    /// Before login, where passwords must not cross (RFC 9051 6.2.3).
    NoPasswords,
    /// Before login, where passwords may cross.
    Passwords,
    /// Always, with the size of the largest message behind it (RFC 7889 2).
    WithAppendLimit,
    /// When there is a limit, with the number of messages one command may work on (RFC 9738 3).
    WithMessageLimit,
    /// When there is a limit, with the number of messages one command may add (RFC 9738 3).
    WithSaveLimit,
}

impl Capability {
    /// A word that is always told.
    pub const fn always(name: &'static str) -> Self {
        Self {
            name,
            when: When::Always,
        }
    }
}

/// Something STATUS can tell of a mailbox that is not open.
pub struct StatusItem {
    /// Its name, upper case.
    pub name: &'static str,
    /// Writes its value.
    pub write: fn(&Status<'_>, &mut BytesMut),
    /// Whether asking for it is a CONDSTORE enabling command (RFC 7162 3.1).
    pub enables_condstore: bool,
    /// Whether [`Status::deleted_bytes`] is needed, which may open the mailbox.
    pub sums_deleted: bool,
}

impl StatusItem {
    /// An item without side effects.
    pub const fn new(name: &'static str, write: fn(&Status<'_>, &mut BytesMut)) -> Self {
        Self {
            name,
            write,
            enables_condstore: false,
            sums_deleted: false,
        }
    }
}

/// What STATUS tells of.
pub struct Status<'a> {
    /// Whose mailbox it is.
    pub account: &'a Account,
    /// The mailbox.
    pub id: MailboxId,
    /// Its counts.
    pub summary: Summary,
    /// Sum of the sizes of messages with `\\Deleted`, if an item needs it.
    pub deleted_bytes: u64,
}
