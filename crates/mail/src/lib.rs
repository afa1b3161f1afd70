//! The mail engine: accounts, mailboxes, journal, views, flags, quota. Everything IMAP and POP3 rule about
//! state lives here, once, for every front and every backend.
//!
//! A mailbox is a journal of changes numbered by modification sequence (DESIGN 3.2). A [`View`] is the
//! mailbox at one of those numbers. A session keeps the view its client has been told about; catching up is
//! [`View::changes_since`] against [`Selected::view`].
//!
//! Laws: an operation that returns `Ok` is on stable storage, except flag changes, which follow within
//! 100 ms (DESIGN 3.4). Other sessions see appends, expunges and folder changes only once they are durable.
//! Sequence numbers do not exist here.
#![forbid(unsafe_code)]

mod account;
mod chunk;
mod email;
mod engine;
mod error;
mod journal;
mod mailbox;
mod view;

pub use account::{Account, Appended, Copied, NewMessage, Usage};
pub use chunk::Row;
pub use email::{Email, Ingested};
pub use engine::{AccountInfo, Mail, Options};
pub use error::{MailError, MailErrorKind};
pub use journal::FlagChange;
pub use mailbox::{Expunged, Selected, Stored, Summary};
pub use tree::{Folder, Tree};
pub use view::{Changes, MAX_KEYWORDS, View};
mod tree;
