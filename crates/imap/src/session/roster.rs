//! All mailboxes a client can see, its own and those that are shared with it.

use super::Session;
use super::place::name_for_others;
use crate::refusal::Refusal;
use mail::{Account, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{MailboxId, MailboxName, Rights, Role};

/// A mailbox among those a client can see.
pub struct Listed {
    /// Whose it is; a guest's handle for what is somebody else's.
    pub account: Account,
    /// Which of its mailboxes.
    pub id: MailboxId,
    /// Its special use. RFC 6154 2: it is about the user's own mailboxes, so others' have none.
    pub role: Option<Role>,
    /// What the client may do with it; [`Rights::LOOKUP`] is always among it.
    pub rights: Rights,
}

/// All mailboxes at one moment, by the names the client knows them by.
pub struct Roster {
    own: Arc<Tree>,
    folders: BTreeMap<MailboxName, Listed>,
    /// Those who share mailboxes with the client, or once did.
    pub sharers: Vec<Account>,
}

impl Roster {
    /// All mailboxes, in the order of their names. INBOX is always among them.
    pub fn folders(&self) -> &BTreeMap<MailboxName, Listed> {
        &self.folders
    }

    /// The mailbox of a name.
    pub fn find(&self, name: &MailboxName) -> Option<&Listed> {
        self.folders.get(name)
    }

    /// Subscribed names, whether or not such a mailbox exists (RFC 9051 6.3.7).
    pub fn subscriptions(&self) -> &BTreeSet<MailboxName> {
        &self.own.subscriptions
    }

    /// Whether any mailbox lies below the name.
    pub fn has_children(&self, name: &MailboxName) -> bool {
        self.folders
            .range(name.clone()..)
            .skip_while(|(n, _)| *n == name)
            .find(|(n, _)| !n.as_str().starts_with(name.as_str()) || n.is_below(name))
            .is_some_and(|(n, _)| n.is_below(name))
    }

    /// Names that exist only because a mailbox lies below them (`\NonExistent`, RFC 5258 3.1).
    pub fn implied(&self) -> BTreeSet<MailboxName> {
        self.folders
            .keys()
            .flat_map(MailboxName::ancestors)
            .filter(|name| !self.folders.contains_key(name))
            .collect()
    }
}

impl Session {
    /// All mailboxes the client can see now.
    ///
    /// # Errors
    /// The store.
    pub async fn roster(&self) -> Result<Roster, Refusal> {
        let own = self.state.account()?;
        let mail = own.mail();
        let (mut folders, mut sharers) = (BTreeMap::new(), Vec::new());
        for (owner, owner_name) in mail.sharers(own.id()).await? {
            let account = mail.account(owner).await?.for_guest(own.id());
            for (name, folder) in &account.tree().folders {
                let rights = account.rights(folder.id);
                // RFC 4314 4: LIST tells what may be looked up.
                if rights.contains(Rights::LOOKUP)
                    && let Some(shown) = name_for_others(&owner_name, name)
                {
                    let listed = Listed {
                        account: account.clone(),
                        id: folder.id,
                        role: None,
                        rights,
                    };
                    folders.insert(shown, listed);
                }
            }
            sharers.push(account);
        }
        let tree = own.tree();
        // The client's own come first, as where names are looked up.
        folders.extend(tree.folders.iter().map(|(name, folder)| {
            let listed = Listed {
                account: own.clone(),
                id: folder.id,
                role: folder.role,
                rights: Rights::ALL,
            };
            (name.clone(), listed)
        }));
        Ok(Roster {
            own: tree,
            folders,
            sharers,
        })
    }
}
