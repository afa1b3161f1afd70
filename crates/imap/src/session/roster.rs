//! All mailboxes a client can see, its own and those that are shared with it.

use super::Session;
use super::place::{below_others, name_for_others};
use crate::refusal::Refusal;
use mail::{Account, Folder, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{MailboxId, MailboxName, Rights, Role};

/// A mailbox among those a client can see.
#[derive(Clone)]
pub struct Member {
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
    account: Account,
    own: Arc<Tree>,
    /// No name is in both: the client's own come first, as where names are looked up.
    others: BTreeMap<MailboxName, Member>,
    /// Those who share mailboxes with the client, or once did.
    pub sharers: Vec<Account>,
}

impl Roster {
    /// The client's own alone.
    pub fn of(own: &Account) -> Self {
        Self {
            account: own.clone(),
            own: own.tree(),
            others: BTreeMap::new(),
            sharers: Vec::new(),
        }
    }

    /// All names of mailboxes. INBOX is always among them.
    pub fn names(&self) -> impl Iterator<Item = &MailboxName> {
        self.own.folders.keys().chain(self.others.keys())
    }

    /// All mailboxes.
    pub fn folders(&self) -> impl Iterator<Item = (&MailboxName, Member)> {
        let own = self.own.folders.iter();
        let others = self.others.iter();
        own.map(|(name, folder)| (name, self.member(folder)))
            .chain(others.map(|(name, member)| (name, member.clone())))
    }

    /// The mailbox of a name.
    pub fn find(&self, name: &MailboxName) -> Option<Member> {
        let own = self.own.find(name).map(|folder| self.member(folder));
        own.or_else(|| self.others.get(name).cloned())
    }

    fn member(&self, folder: &Folder) -> Member {
        Member {
            account: self.account.clone(),
            id: folder.id,
            role: folder.role,
            rights: Rights::ALL,
        }
    }

    /// Whether a name is the client's own, not one for a mailbox of others.
    pub fn is_own(&self, name: &MailboxName) -> bool {
        below_others(name).is_none() || self.own.find(name).is_some()
    }

    /// Subscribed names, whether or not such a mailbox exists (RFC 9051 6.3.7).
    pub fn subscriptions(&self) -> &BTreeSet<MailboxName> {
        &self.own.subscriptions
    }

    /// Whether any mailbox lies below the name.
    pub fn has_children(&self, name: &MailboxName) -> bool {
        mail::has_below(&self.own.folders, name) || mail::has_below(&self.others, name)
    }

    /// Names that exist only because a mailbox lies below them (`\NonExistent`, RFC 5258 3.1).
    pub fn implied(&self) -> BTreeSet<MailboxName> {
        let exists =
            |name: &MailboxName| self.own.find(name).is_some() || self.others.contains_key(name);
        self.names()
            .flat_map(MailboxName::ancestors)
            .filter(|name| !exists(name))
            .collect()
    }
}

impl Session {
    /// The client's own mailboxes, and all others it can see if `account` is not its own.
    ///
    /// # Errors
    /// The store.
    pub async fn roster_with(&self, account: &Account) -> Result<Roster, Refusal> {
        match account.guest() {
            None => Ok(Roster::of(account)),
            Some(_) => self.roster().await,
        }
    }

    /// All mailboxes the client can see now.
    ///
    /// # Errors
    /// The store.
    pub async fn roster(&self) -> Result<Roster, Refusal> {
        let own = self.state.account()?;
        let mail = own.mail();
        let mut roster = Roster::of(own);
        for (owner, owner_name) in mail.sharers(own.id()).await? {
            let account = mail.account(owner).await?.for_guest(own.id());
            for (name, folder) in &account.tree().folders {
                let rights = account.rights(folder.id);
                // RFC 4314 4: LIST tells what may be looked up.
                if rights.contains(Rights::LOOKUP)
                    && let Some(shown) = name_for_others(&owner_name, name)
                    && roster.own.find(&shown).is_none()
                {
                    let member = Member {
                        account: account.clone(),
                        id: folder.id,
                        role: None,
                        rights,
                    };
                    roster.others.insert(shown, member);
                }
            }
            roster.sharers.push(account);
        }
        Ok(roster)
    }
}
