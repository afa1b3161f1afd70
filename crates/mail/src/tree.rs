//! The mailbox tree of an account, as an immutable snapshot.

use crate::Acl;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use types::{MailboxId, MailboxName, Role};

/// One existing mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its id, stable across renames.
    pub id: MailboxId,
    /// Its special use.
    pub role: Option<Role>,
}

/// All mailboxes and subscriptions of an account at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Existing mailboxes by name. INBOX is always among them.
    pub folders: BTreeMap<MailboxName, Folder>,
    /// Subscribed names, whether or not such a mailbox exists (RFC 9051 6.3.7).
    pub subscriptions: BTreeSet<MailboxName>,
    pub(crate) acls: HashMap<MailboxId, Arc<Acl>>,
}

impl Tree {
    /// The mailbox of a name.
    pub fn find(&self, name: &MailboxName) -> Option<&Folder> {
        self.folders.get(name)
    }

    /// The name of a mailbox.
    pub fn name_of(&self, id: MailboxId) -> Option<&MailboxName> {
        self.folders
            .iter()
            .find(|(_, folder)| folder.id == id)
            .map(|(name, _)| name)
    }

    /// The mailbox with a role.
    pub fn with_role(&self, role: Role) -> Option<(&MailboxName, &Folder)> {
        self.folders
            .iter()
            .find(|(_, folder)| folder.role == Some(role))
    }
}

/// Whether any of these names lies below `name`.
pub fn has_below<T>(names: &BTreeMap<MailboxName, T>, name: &MailboxName) -> bool {
    names
        .range(name.clone()..)
        .map(|(n, _)| n)
        .skip_while(|n| *n == name)
        .find(|n| !n.as_str().starts_with(name.as_str()) || n.is_below(name))
        .is_some_and(|n| n.is_below(name))
}
