//! The mail engine: accounts, mailboxes, journal, views, flags, quota. Everything IMAP and POP3
//! rule about state lives here, once, for every front and every backend.
//!
//! A mailbox is a journal of changes numbered by modification sequence (DESIGN 3.2). A [`View`] is
//! the mailbox at one of those numbers. A session keeps the view its client has been told about;
//! catching up is [`View::changes_since`] against [`Selected::view`].
//!
//! Laws: an operation that returns `Ok` is on stable storage, except flag changes, which follow
//! within
//! 100 ms (DESIGN 3.4). Other sessions see appends, expunges and folder changes only once they are
//! durable. Sequence numbers do not exist here.
#![forbid(unsafe_code)]

mod access;
mod account;
mod account_note;
mod acl;
mod actor;
mod annotations;
mod apply;
#[doc(hidden)]
pub mod bench;
mod between;
mod boxed;
mod bulletin;
mod check;
mod chunk;
mod codec;
mod credentials;
mod directory;
mod disposal;
mod edit;
mod email;
mod email_cache;
mod engine;
mod error;
mod facts;
mod folders;
mod gist;
mod history;
mod journal;
mod keeping;
mod kept;
mod keys;
mod mailbox;
mod maildrop;
mod messages;
mod mixed;
mod permitted;
mod policy;
mod quota;
mod record;
mod recover;
mod removal;
mod repeats;
mod restore;
mod selected;
mod snapshot;
mod sweep;
mod threads;
mod totals;
mod tree;
mod uidls;
mod undelete;
mod uses;
mod view;

pub use account::Account;
pub use account_note::{AccountNote, NOTE_PATH};
pub use acl::{Acl, Grantee, Identifier};
pub use actor::Actor;
pub use annotations::{
    Annotated, Annotation, AnnotationOwner, MAX_ANNOTATION, MAX_ANNOTATION_NAME, MAX_ANNOTATIONS,
};
pub use boxed::Boxed;
pub use bulletin::{Changed, Watch};
pub use chunk::{Hidden, Row};
pub use credentials::{MAX_CREDENTIALS, StoredCredential};
pub use directory::AccountInfo;
pub use disposal::{Update, Updated};
pub use email::{Email, Ingested};
pub use engine::{Mail, Options};
pub use error::{MailError, MailErrorKind};
pub use facts::{Facts, Text, ThreadId};
pub use gist::Gist;
pub use history::{Deed, Event, Messages, follow};
pub use journal::FlagChange;
pub use mailbox::Summary;
pub use maildrop::Listed;
pub use messages::{Appended, Copied, MAX_APPENDED, NewMessage, Replaced};
pub use mixed::MixedUse;
pub use permitted::Permitted;
pub use policy::{Count, PolicyOf, Simulation};
pub use quota::{Load, QuotaLimits, UNLIMITED, Usage};
pub use recover::{Floor, Recovered, Remembered};
pub use removal::Recoverable;
pub use repeats::Delivered;
pub use restore::{AccountRestored, Damaged, MailboxRestored, Meter};
pub use selected::{Expunged, Selected, Stored};
pub use storage::Provenance;
pub use tree::{Folder, Tree, has_below};
pub use uidls::{UniqueId, UniqueIds, native_text};
pub use undelete::{Removed, Restored, Wanted};
pub use uses::LastUse;
pub use view::{Changes, MAX_KEYWORDS, View};
