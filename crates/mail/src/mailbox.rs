//! An open mailbox.

use crate::{FlagChange, MailError, View};
use std::sync::Arc;
use types::{MailboxId, ModSeq, Uid, UidSet, UidValidity};

/// Counts of a mailbox (STATUS), kept without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT.
    pub uid_next: u32,
    /// HIGHESTMODSEQ.
    pub modseq: ModSeq,
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Messages no session has been told about yet (`\Recent`).
    pub recent: u32,
    /// Sum of RFC822.SIZE.
    pub bytes: u64,
}

/// What a STORE did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Messages that carry the change now (whether or not it made a difference to them).
    pub stored: UidSet,
    /// Messages left alone because they changed after UNCHANGEDSINCE (RFC 7162 3.1.3).
    pub modified: UidSet,
    /// HIGHESTMODSEQ afterwards.
    pub modseq: ModSeq,
}

/// What an expunge removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expunged {
    /// The messages removed by this call.
    pub uids: UidSet,
    /// HIGHESTMODSEQ afterwards.
    pub modseq: ModSeq,
}

/// A mailbox opened by a session: keeps its view in memory while it lives.
pub struct Selected(Arc<()>);

impl Selected {
    /// The mailbox's id.
    pub fn id(&self) -> MailboxId { todo!() }

    /// The newest view that may be shown. Cheap.
    pub fn view(&self) -> Arc<View> { todo!() }

    /// Changes its value whenever `view()` does, and when the mailbox is deleted.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> { todo!() }

    /// Whether the mailbox was deleted by someone: operations answer `Gone`, the view stays readable.
    pub fn is_gone(&self) -> bool { todo!() }

    /// Claims `\Recent`: the first uid that no session has been told about before this call; all from it on
    /// up to the view's UIDNEXT are recent for the caller, and for nobody after it (RFC 3501 2.3.2).
    pub fn claim_recent(&self) -> u32 { todo!() }

    /// The same without claiming (EXAMINE).
    pub fn peek_recent(&self) -> u32 { todo!() }

    /// Changes flags of those of `uids` that exist. With `unchanged_since`, messages whose modseq is larger are left alone.
    /// Visible to everybody when it returns; durable within 100 ms.
    pub async fn store(&self, uids: &UidSet, change: &FlagChange, unchanged_since: Option<u64>) -> Result<Stored, MailError> { todo!() }

    /// Removes those of `uids` that exist, for good.
    pub async fn expunge(&self, uids: &UidSet) -> Result<Expunged, MailError> { todo!() }

    /// Removes those of `uids` (all, if `None`) that carry `\Deleted`.
    pub async fn expunge_deleted(&self, uids: Option<&UidSet>) -> Result<Expunged, MailError> { todo!() }

    /// POP3's UPDATE: sets `\Seen` on `seen` and removes `remove`, in one durable commit.
    pub async fn update(&self, seen: &UidSet, remove: &UidSet) -> Result<Expunged, MailError> { todo!() }

    /// The uids expunged after modseq `since` (VANISHED EARLIER). `None` when the journal does not reach back that far:
    /// then everything below UIDNEXT that does not exist counts as vanished.
    pub async fn vanished_since(&self, since: u64) -> Result<Option<UidSet>, MailError> { todo!() }
}
