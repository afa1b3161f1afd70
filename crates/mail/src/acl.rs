//! Who may do what with a mailbox (RFC 4314).
//!
//! A mailbox's access control list lies with the account of its owner under `l` and the mailbox; it
//! is part of the tree, changes as the tree does, and is the truth. The owner has every right,
//! always, and stands in no list. Who is named in a list is known by the number of the account: an
//! account made later under the same name is somebody else.
//!
//! So that nobody has to look through all accounts for what is shared with them, `o` and the
//! owner's number lie with each account that was ever given a right (with the store itself for what
//! anyone may do). That is a hint, written before the list and never after, so that it may be there
//! for nothing but is never missing; it is dropped when the owner is gone.

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::edit::ATTEMPTS;
use crate::folders::{TreeEdit, contention};
use crate::snapshot::each;
use crate::tree::Tree;
use crate::{Account, Mail, MailError, MailErrorKind, keys};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::Batch;
use types::{AccountId, MailboxId, MailboxName, Rights};

/// Entries one list can have.
const MAX_ENTRIES: usize = 256;

const VERSION: u8 = 1;

/// Whom an entry of a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// Everybody who has logged in.
    Anyone,
    /// One account.
    Account(AccountId),
}

impl Grantee {
    fn number(self) -> u64 {
        self.partition().0
    }

    /// Where what is shared with them is noted.
    fn partition(self) -> AccountId {
        match self {
            Self::Anyone => AccountId::SYSTEM,
            Self::Account(id) => id,
        }
    }
}

/// The name of an entry: whom it is about, and whether it takes rights away that another entry
/// gives (RFC 4314 2: negative rights).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier {
    /// Whom.
    pub grantee: Grantee,
    /// Whether the rights are taken away.
    pub negative: bool,
}

/// An access control list, without its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(BTreeMap<Identifier, Rights>);

impl Acl {
    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (Identifier, Rights)> {
        self.0
            .iter()
            .map(|(identifier, rights)| (*identifier, *rights))
    }

    /// What an account that is not the owner may do: what any entry gives it, without what any
    /// takes.
    pub fn rights_of(&self, account: AccountId) -> Rights {
        let union = |negative| {
            let rights = |grantee| {
                let identifier = Identifier { grantee, negative };
                self.0.get(&identifier).copied().unwrap_or_default()
            };
            rights(Grantee::Anyone).and(rights(Grantee::Account(account)))
        };
        union(false).without(union(true))
    }

    fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        e.uint(self.0.len() as u64);
        for (identifier, rights) in self.entries() {
            e.byte(u8::from(identifier.negative));
            e.uint(identifier.grantee.number());
            e.uint(rights.bits().into());
        }
        e.0.into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "access control list");
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        let mut entries = BTreeMap::new();
        for _ in 0..d.count()? {
            let negative = d.byte()? != 0;
            let grantee = match AccountId(d.uint()?) {
                AccountId::SYSTEM => Grantee::Anyone,
                id => Grantee::Account(id),
            };
            let bits = u16::try_from(d.uint()?).map_err(|_| d.damaged())?;
            entries.insert(Identifier { grantee, negative }, Rights::from_bits(bits));
        }
        Ok(Self(entries))
    }
}

/// An encoded list with other numbers for the accounts it names; `None` when it names none any
/// more. Entries of accounts without a number are dropped.
pub(crate) fn renumbered(
    list: &[u8],
    number: impl Fn(AccountId) -> Option<AccountId>,
) -> Result<Option<Bytes>, MailError> {
    let mut acl = Acl::default();
    for (mut identifier, rights) in Acl::decode(list)?.entries() {
        if let Grantee::Account(id) = identifier.grantee {
            let Some(id) = number(id) else { continue };
            identifier.grantee = Grantee::Account(id);
        }
        acl.0.insert(identifier, rights);
    }
    Ok((!acl.0.is_empty()).then(|| acl.encode()))
}

impl Tree {
    /// The access control list of a mailbox; `None` when it is the owner's alone.
    pub fn acl(&self, mailbox: MailboxId) -> Option<&Arc<Acl>> {
        self.acls.get(&mailbox)
    }

    /// What an account that is not the owner may do with a mailbox.
    pub fn rights_of(&self, account: AccountId, mailbox: MailboxId) -> Rights {
        self.acl(mailbox)
            .map_or(Rights::NONE, |acl| acl.rights_of(account))
    }

    /// The mailbox a new one of that name would lie under: the nearest above it that exists.
    fn parent_of(&self, name: &MailboxName) -> Option<MailboxId> {
        let mut above = name.ancestors().filter_map(|above| self.find(&above));
        above.next().map(|folder| folder.id)
    }
}

pub(crate) fn denied() -> MailError {
    MailError::new(
        MailErrorKind::Denied,
        "you do not have the right to do that",
    )
}

/// `Denied` when the mailbox may be known, `NotFound` otherwise (RFC 4314 6).
fn refusal(held: Rights) -> MailError {
    match held.contains(Rights::LOOKUP) {
        true => denied(),
        false => MailError::not_found("no such mailbox"),
    }
}

/// Who works on an account: its owner, or with the rights that another one was given.
pub(crate) type Guest = Option<AccountId>;

impl AccountInner {
    pub(crate) fn rights(&self, guest: Guest, mailbox: MailboxId) -> Rights {
        match guest {
            None => Rights::ALL,
            Some(guest) => self.tree().rights_of(guest, mailbox),
        }
    }

    /// `Denied` or `NotFound` unless all of `rights` are there.
    pub(crate) fn require(
        &self,
        guest: Guest,
        mailbox: MailboxId,
        rights: Rights,
    ) -> Result<(), MailError> {
        let held = self.rights(guest, mailbox);
        match held.contains(rights) {
            true => Ok(()),
            false => Err(refusal(held)),
        }
    }

    /// RFC 4314 4: to make a mailbox takes `k` on the nearest one above it.
    pub(crate) fn require_create(&self, guest: Guest, name: &MailboxName) -> Result<(), MailError> {
        let Some(guest) = guest else {
            return Ok(());
        };
        let tree = self.tree();
        let parent = tree.parent_of(name);
        let held = parent.map_or(Rights::NONE, |id| tree.rights_of(guest, id));
        match held.contains(Rights::CREATE) {
            true => Ok(()),
            false => Err(refusal(held)),
        }
    }

    /// Reads the lists of the tree's mailboxes.
    pub(crate) async fn load_acls(&self, tree: &mut Tree) -> Result<(), MailError> {
        let ids: std::collections::HashSet<MailboxId> =
            tree.folders.values().map(|folder| folder.id).collect();
        each(self.mail.meta(), self.id, keys::acls(), |(key, value)| {
            if let Some(id) = keys::id_of(key).map(MailboxId)
                && ids.contains(&id)
            {
                tree.acls.insert(id, Arc::new(Acl::decode(value)?));
            }
            Ok(())
        })
        .await
    }

    /// Lists that belong to no mailbox, and those given rights that do not know of it; for
    /// [`Mail::check`].
    pub(crate) async fn check_acls(&self) -> Result<Vec<String>, MailError> {
        let (mut stored, meta) = (BTreeMap::new(), self.mail.meta());
        each(meta, self.id, keys::acls(), |(key, value)| {
            stored.insert(keys::id_of(key).map(MailboxId), Acl::decode(value)?);
            Ok(())
        })
        .await?;
        let tree = self.tree();
        let mut problems = Vec::new();
        for (id, acl) in &stored {
            let shown = id.and_then(|id| tree.acl(id));
            if shown.map(|acl| &**acl) != Some(acl) {
                problems.push(format!("the access control list of {id:?} is not in force"));
            }
            for (Identifier { grantee, negative }, _) in acl.entries() {
                if !negative
                    && self.mail.is_there(grantee).await?
                    && !self.mail.is_hinted(self.id, grantee).await?
                {
                    problems.push(format!("{grantee:?} does not know of mailbox {id:?}"));
                }
            }
        }
        if tree.acls.len() != stored.len() {
            problems.push("an access control list is not stored".to_owned());
        }
        Ok(problems)
    }
}

impl TreeEdit {
    /// Replaces a mailbox's list.
    fn set_acl(&mut self, mailbox: MailboxId, acl: Arc<Acl>) {
        if acl.0.is_empty() {
            self.drop_acl(mailbox);
        } else {
            self.batch.put(keys::acl(mailbox), acl.encode());
            self.tree.acls.insert(mailbox, acl);
        }
    }

    /// RFC 4314 4: DELETE deletes the list.
    pub(crate) fn drop_acl(&mut self, mailbox: MailboxId) {
        if self.tree.acls.remove(&mailbox).is_some() {
            self.batch.delete(keys::acl(mailbox));
        }
    }

    /// RFC 4314 4: a new mailbox has the list of the one it lies under.
    pub(crate) fn inherit_acl(&mut self, mailbox: MailboxId, name: &MailboxName) {
        let parent = self.tree.parent_of(name);
        if let Some(acl) = parent.and_then(|id| self.tree.acl(id)).cloned() {
            self.set_acl(mailbox, acl);
        }
    }
}

impl Account {
    /// The same account for somebody else, who may do what the lists of its mailboxes say.
    #[must_use]
    pub fn for_guest(&self, guest: AccountId) -> Self {
        Self(
            self.0.clone(),
            self.1.clone(),
            Some(guest).filter(|id| *id != self.id()),
        )
    }

    /// Who works on it, if that is not the owner.
    pub fn guest(&self) -> Option<AccountId> {
        self.2
    }

    /// What may be done with a mailbox through this handle; nothing when it is not there.
    pub fn rights(&self, mailbox: MailboxId) -> Rights {
        self.0.rights(self.2, mailbox)
    }

    /// `Denied` unless all of `rights` are there; `NotFound` when the mailbox must not be known
    /// either.
    pub fn require(&self, mailbox: MailboxId, rights: Rights) -> Result<(), MailError> {
        self.0.require(self.2, mailbox, rights)
    }

    /// What no right allows to anybody else.
    pub(crate) fn owner_only(&self) -> Result<(), MailError> {
        match self.2 {
            None => Ok(()),
            Some(_) => Err(denied()),
        }
    }

    /// A mailbox's list. `Denied`, `NotFound`.
    pub fn acl(&self, mailbox: MailboxId) -> Result<Arc<Acl>, MailError> {
        self.0.existing(mailbox)?;
        self.require(mailbox, Rights::ADMINISTER)?;
        Ok(self.tree().acl(mailbox).cloned().unwrap_or_default())
    }

    /// Changes the rights of one entry of a mailbox's list; an entry without rights is none.
    /// `Denied`, `NotFound`; `NotAllowed` for the owner; `Limit`.
    pub async fn set_acl(
        &self,
        mailbox: MailboxId,
        identifier: Identifier,
        change: impl Fn(Rights) -> Rights,
    ) -> Result<(), MailError> {
        let account = &*self.0;
        if identifier.grantee == Grantee::Account(self.id()) {
            if !identifier.negative && change(Rights::ALL) == Rights::ALL {
                return Ok(());
            }
            return Err(MailError::new(
                MailErrorKind::NotAllowed,
                "the owner has every right, always",
            ));
        }
        // RFC 4314 6: who may not do it must not leave traces either.
        self.acl(mailbox)?;
        if !identifier.negative && !change(Rights::NONE).is_empty() {
            account.mail.hint(self.id(), identifier.grantee).await?;
        }
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let mut acl = Acl::clone(&*self.acl(mailbox)?);
            let old = acl.0.remove(&identifier).unwrap_or_default();
            let new = change(old);
            if new == old {
                return Ok(());
            }
            if !new.is_empty() {
                acl.0.insert(identifier, new);
            }
            if acl.0.len() > MAX_ENTRIES {
                account.mail.forget_the_gone(&mut acl).await?;
            }
            if acl.0.len() > MAX_ENTRIES {
                return Err(MailError::new(
                    MailErrorKind::Limit,
                    "the access control list is full",
                ));
            }
            let mut edit = TreeEdit::new(account, &mut writer);
            edit.set_acl(mailbox, Arc::new(acl));
            if edit.commit(account, &mut writer).await? {
                drop(writer);
                account.mail.tell_grantee(identifier.grantee);
                return Ok(());
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }
}

impl Mail {
    /// The accounts that share, or once shared, mailboxes with an account, with their names, in the
    /// order of their numbers. Whether they still do, their lists say.
    pub async fn sharers(&self, with: AccountId) -> Result<Vec<(AccountId, String)>, MailError> {
        let mut owners = BTreeMap::new();
        for partition in [AccountId::SYSTEM, with] {
            each(self.meta(), partition, keys::sharers(), |(key, _)| {
                if let Some(owner) = keys::id_of(key).map(AccountId) {
                    owners.insert(owner, partition);
                }
                Ok(())
            })
            .await?;
        }
        owners.remove(&with);
        let mut found = Vec::with_capacity(owners.len());
        for (owner, partition) in owners {
            match self.account_name(owner).await? {
                Some(name) => found.push((owner, name)),
                // The number is never given again: nobody can need the hint.
                None => {
                    let mut batch = Batch::new();
                    batch.delete(keys::sharer(owner));
                    self.meta().commit(partition, batch).await?.relax();
                }
            }
        }
        Ok(found)
    }

    /// Makes sure that whoever is given rights finds the owner, for good.
    async fn hint(&self, owner: AccountId, grantee: Grantee) -> Result<(), MailError> {
        if self.is_hinted(owner, grantee).await? {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(keys::sharer(owner), &b""[..]);
        let commit = self.meta().commit(grantee.partition(), batch).await?;
        Ok(commit.durable().await?)
    }

    /// Makes sure that whoever an account gives rights finds it.
    pub(crate) async fn hint_all(&self, owner: AccountId) -> Result<(), MailError> {
        let mut grantees = BTreeSet::new();
        each(self.meta(), owner, keys::acls(), |(_, list)| {
            let entries = Acl::decode(list)?;
            let given = entries.entries().filter(|(entry, _)| !entry.negative);
            grantees.extend(given.map(|(entry, _)| entry.grantee));
            Ok(())
        })
        .await?;
        for grantee in grantees {
            self.hint(owner, grantee).await?;
            self.tell_grantee(grantee);
        }
        Ok(())
    }

    async fn is_hinted(&self, owner: AccountId, grantee: Grantee) -> Result<bool, MailError> {
        let key = keys::sharer(owner);
        let hint = self.meta().get(grantee.partition(), &key).await?;
        Ok(hint.is_some())
    }

    /// Takes out what is about accounts that are no more, and never will be again.
    async fn forget_the_gone(&self, acl: &mut Acl) -> Result<(), MailError> {
        let identifiers: Vec<Identifier> = acl.0.keys().copied().collect();
        for identifier in identifiers {
            if !self.is_there(identifier.grantee).await? {
                acl.0.remove(&identifier);
            }
        }
        Ok(())
    }

    async fn is_there(&self, grantee: Grantee) -> Result<bool, MailError> {
        match grantee {
            Grantee::Anyone => Ok(true),
            Grantee::Account(id) => Ok(self.account_name(id).await?.is_some()),
        }
    }

    /// Sessions that watch their mailboxes look again at what is shared with them.
    fn tell_grantee(&self, grantee: Grantee) {
        match grantee {
            Grantee::Account(id) => {
                if let Some(account) = self.open_account(id) {
                    account.tick_tree();
                }
            }
            Grantee::Anyone => self.open_accounts().iter().for_each(|a| a.tick_tree()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifier(number: u64, negative: bool) -> Identifier {
        let grantee = match number {
            0 => Grantee::Anyone,
            n => Grantee::Account(AccountId(n)),
        };
        Identifier { grantee, negative }
    }

    fn acl(entries: &[(u64, bool, &str)]) -> Acl {
        let entry = |&(number, negative, letters): &(u64, bool, &str)| {
            let rights = Rights::from_letters(letters).unwrap();
            (identifier(number, negative), rights)
        };
        Acl(entries.iter().map(entry).collect())
    }

    #[test]
    fn rights_add_up_and_negative_ones_take_away() {
        let acl = acl(&[
            (0, false, "lr"),
            (0, true, "x"),
            (7, false, "wix"),
            (7, true, "w"),
            (8, true, "l"),
        ]);
        for (account, letters) in [(7, "lri"), (8, "r"), (9, "lr")] {
            let rights = acl.rights_of(AccountId(account));
            assert_eq!(rights, Rights::from_letters(letters).unwrap(), "{account}");
        }
        assert_eq!(Acl::default().rights_of(AccountId(1)), Rights::NONE);
    }

    #[test]
    fn lists_survive_the_round_trip_and_damage_is_noticed() {
        let acl = acl(&[(0, false, "lrswipkxtea"), (70_000, true, "p")]);
        let bytes = acl.encode();
        assert_eq!(Acl::decode(&bytes).unwrap(), acl);
        for len in 0..bytes.len() {
            assert!(Acl::decode(&bytes[..len]).is_err());
        }
        assert!(Acl::decode(b"\x02\x00").is_err());
    }
}
