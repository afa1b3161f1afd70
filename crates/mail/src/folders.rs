//! Making, deleting, renaming and subscribing to mailboxes. Such changes are rare: each holds the
//! writer's lock until it is durable, so that what is shown is always on disk.

use crate::account::{AccountInner, Writer};
use crate::bulletin::Bulletin;
use crate::edit::ATTEMPTS;
use crate::mailbox::Mailbox;
use crate::quota::over_quota;
use crate::record::MailboxRecord;
use crate::tree::{Folder, Tree};
use crate::{Account, Boxed, MailError, MailErrorKind, keys};
use std::sync::Arc;
use storage::{Batch, ErrorKind};
use types::{MailboxId, MailboxName, Rights, Role, Uid, UidSet};

/// Mailboxes one account can have.
const MAX_MAILBOXES: usize = 20_000;

/// A change of the tree while it is put together.
pub(crate) struct TreeEdit {
    pub(crate) batch: Batch,
    /// For mailboxes to be made.
    bulletin: Arc<Bulletin>,
    pub(crate) tree: Tree,
    made: Vec<Arc<Mailbox>>,
    removed: Vec<Arc<Mailbox>>,
    /// Mailboxes whose records change.
    renamed: Vec<(Arc<Mailbox>, MailboxRecord)>,
    marks_garbage: bool,
    /// Mailboxes the account may have (RFC 9208 5.3).
    limit: Option<u64>,
}

impl TreeEdit {
    pub(crate) fn new(account: &AccountInner, writer: &mut Writer) -> Self {
        writer.ids.begin();
        Self {
            batch: Batch::new(),
            bulletin: account.bulletin.clone(),
            tree: (*account.tree()).clone(),
            made: Vec::new(),
            removed: Vec::new(),
            renamed: Vec::new(),
            marks_garbage: false,
            limit: account.limits().mailboxes,
        }
    }

    fn make(
        &mut self,
        writer: &mut Writer,
        name: &MailboxName,
        role: Option<Role>,
    ) -> Result<MailboxId, MailError> {
        if self.tree.folders.contains_key(name) {
            return Err(MailError::new(
                MailErrorKind::Exists,
                "a mailbox of that name exists",
            ));
        }
        if self.tree.folders.len() >= MAX_MAILBOXES {
            return Err(MailError::new(
                MailErrorKind::Limit,
                "the account has too many mailboxes",
            ));
        }
        if self
            .limit
            .is_some_and(|n| self.tree.folders.len() as u64 >= n)
        {
            return Err(over_quota("the account has as many mailboxes as it may"));
        }
        if role.is_some_and(|role| self.tree.with_role(role).is_some()) {
            return Err(MailError::new(
                MailErrorKind::Limit,
                "another mailbox has that special use",
            ));
        }
        let id = MailboxId(writer.ids.take(1, &mut self.batch));
        let record = MailboxRecord::new(name.clone(), role, writer.tree.next_uid_validity());
        self.batch.require_absent(keys::name(name));
        self.batch
            .put(keys::name(name), id.0.to_be_bytes().to_vec());
        self.batch.put(keys::mailbox(id), record.encode());
        self.tree.folders.insert(name.clone(), Folder { id, role });
        self.inherit_acl(id, name);
        let bulletin = self.bulletin.clone();
        self.made.push(Mailbox::new(id, record, bulletin));
        Ok(id)
    }

    /// The mailboxes above `name` that do not exist (RFC 9051 6.3.4: SHOULD be created).
    fn make_above(&mut self, writer: &mut Writer, name: &MailboxName) -> Result<(), MailError> {
        for above in name.ancestors() {
            if !self.tree.folders.contains_key(&above) {
                self.make(writer, &above, None)?;
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, name: &MailboxName) {
        self.batch.put(keys::subscription(name), &b""[..]);
        self.tree.subscriptions.insert(name.clone());
    }

    fn remove(&mut self, account: &Account, mailbox: Arc<Mailbox>, name: &MailboxName) {
        let record = mailbox.state().head.record.clone();
        let (id, by) = (mailbox.id, account.actor());
        if (account.0).note_mailbox_removed(id, &record, by, &mut self.batch) {
            self.batch.put(keys::GARBAGE, &b""[..]);
            self.marks_garbage = true;
        }
        self.batch
            .require(keys::mailbox(mailbox.id), record.encode());
        self.batch.delete(keys::mailbox(mailbox.id));
        self.batch.delete(keys::name(name));
        self.tree.folders.remove(name);
        self.drop_acl(mailbox.id);
        self.removed.push(mailbox);
    }

    fn rename(&mut self, mailbox: Arc<Mailbox>, from: &MailboxName, to: &MailboxName) {
        let old = mailbox.state().head.record.clone();
        let record = MailboxRecord {
            name: to.clone(),
            ..(*old).clone()
        };
        self.batch.require(keys::mailbox(mailbox.id), old.encode());
        self.batch.put(keys::mailbox(mailbox.id), record.encode());
        self.batch.delete(keys::name(from));
        self.batch.require_absent(keys::name(to));
        self.batch
            .put(keys::name(to), mailbox.id.0.to_be_bytes().to_vec());
        if let Some(folder) = self.tree.folders.remove(from) {
            self.tree.folders.insert(to.clone(), folder);
        }
        self.renamed.push((mailbox, record));
    }

    /// Gives a settled mailbox a special use, or takes it away. `Exists` when another one has it.
    pub(crate) fn set_role(
        &mut self,
        mailbox: Arc<Mailbox>,
        name: &MailboxName,
        role: Option<Role>,
    ) -> Result<(), MailError> {
        let other = role.and_then(|role| self.tree.with_role(role));
        if other.is_some_and(|(_, folder)| folder.id != mailbox.id) {
            return Err(MailError::new(
                MailErrorKind::Exists,
                "another mailbox has that special use",
            ));
        }
        let old = mailbox.state().head.record.clone();
        let record = MailboxRecord {
            role,
            ..(*old).clone()
        };
        self.batch.require(keys::mailbox(mailbox.id), old.encode());
        self.batch.put(keys::mailbox(mailbox.id), record.encode());
        if let Some(folder) = self.tree.folders.get_mut(name) {
            folder.role = role;
        }
        self.renamed.push((mailbox, record));
        Ok(())
    }

    /// Commits, waits for the disk, then shows. `Ok(false)`: another process was faster.
    pub(crate) fn commit<'a>(
        mut self,
        account: &'a AccountInner,
        writer: &'a mut Writer,
    ) -> Boxed<'a, bool> {
        Box::pin(async move {
            let mut tree = writer.tree.clone();
            tree.write(&mut self.batch);
            match account.mail.meta().commit(account.id, self.batch).await {
                Ok(commit) => commit.durable().await?,
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            writer.ids.committed();
            writer.tree = tree;
            writer.garbage |= self.marks_garbage;
            for mailbox in self.made {
                account.insert(mailbox);
            }
            for mailbox in self.removed {
                account.forget(&mailbox);
            }
            for (mailbox, record) in self.renamed {
                let view = mailbox.state().head.view.clone();
                mailbox.advance(
                    crate::mailbox::Committed {
                        record: Arc::new(record),
                        view,
                    },
                    0,
                );
            }
            account.set_tree(self.tree);
            Ok(true)
        })
    }
}

pub(crate) fn contention() -> MailError {
    MailError::new(
        MailErrorKind::Unavailable,
        "other processes keep changing the account",
    )
}

impl AccountInner {
    /// INBOX always exists; a new account also gets the configured mailboxes, subscribed.
    pub(crate) async fn make_defaults(&self, writer: &mut Writer) -> Result<(), MailError> {
        for _ in 0..ATTEMPTS {
            if self.tree().folders.contains_key(&MailboxName::inbox()) {
                return Ok(());
            }
            let mut edit = TreeEdit::new(self, writer);
            edit.limit = None;
            edit.make(writer, &MailboxName::inbox(), None)?;
            for (name, role) in &self.mail.options().default_mailboxes {
                let Ok(name) = MailboxName::new(name) else {
                    continue;
                };
                edit.make(writer, &name, Some(*role))?;
                edit.subscribe(&name);
            }
            if edit.commit(self, writer).await? {
                return Ok(());
            }
            self.refresh(writer).await?;
        }
        Err(contention())
    }
}

impl AccountInner {
    /// The mailbox of a name, made and subscribed to when there is none, whatever the quota says.
    pub(crate) async fn find_or_make(
        &self,
        writer: &mut Writer,
        name: &MailboxName,
        role: Option<Role>,
    ) -> Result<Arc<Mailbox>, MailError> {
        for _ in 0..ATTEMPTS {
            if let Some(folder) = self.tree().find(name) {
                return self.existing(folder.id);
            }
            let mut edit = TreeEdit::new(self, writer);
            edit.limit = None;
            let id = edit.make(writer, name, role)?;
            edit.make_above(writer, name)?;
            edit.subscribe(name);
            if edit.commit(self, writer).await? {
                return self.existing(id);
            }
            self.refresh(writer).await?;
        }
        Err(contention())
    }
}

impl Account {
    /// Makes a mailbox, and those above it that do not exist (RFC 9051 6.3.4). Each may be used by
    /// whom the mailbox above it may. `Exists`, `Limit`; `Denied` and `NotFound` for guests.
    pub fn create<'a>(&'a self, name: &'a MailboxName, role: Option<Role>) -> Boxed<'a, MailboxId> {
        Box::pin(async move {
            let account = &*self.0;
            let mut writer = account.writer.lock().await;
            for _ in 0..ATTEMPTS {
                account.require_create(self.2, name)?;
                if role.is_some() {
                    self.owner_only()?;
                }
                let mut edit = TreeEdit::new(account, &mut writer);
                let id = edit.make(&mut writer, name, role)?;
                edit.make_above(&mut writer, name)?;
                if edit.commit(account, &mut writer).await? {
                    return Ok(id);
                }
                account.refresh(&mut writer).await?;
            }
            Err(contention())
        })
    }

    /// Deletes a mailbox and its messages (undelete can bring them back for a while); those below
    /// it stay (RFC 9051 6.3.5). `NotFound`; `Denied`; `NotAllowed` for INBOX.
    pub fn delete<'a>(&'a self, name: &'a MailboxName) -> Boxed<'a, ()> {
        Box::pin(async move {
            // RFC 9051 6.3.5: it is an error to delete INBOX.
            if name.is_inbox() {
                return Err(MailError::new(
                    MailErrorKind::NotAllowed,
                    "INBOX cannot be deleted",
                ));
            }
            let account = &*self.0;
            let mut writer = account.writer.lock().await;
            for _ in 0..ATTEMPTS {
                let mut edit = TreeEdit::new(account, &mut writer);
                let mailbox = find(account, &edit.tree, name)?;
                // RFC 4314 4: x on the mailbox.
                self.require(mailbox.id, Rights::DELETE)?;
                mailbox.wait_settled().await?;
                account
                    .drop_annotations(mailbox.id, &mut edit.batch)
                    .await?;
                // RFC 4467 2.2: the key is one of this mailbox, not of its name.
                edit.batch.delete(keys::access_key(account.id, mailbox.id));
                edit.batch.delete(keys::due(mailbox.id));
                edit.remove(self, mailbox, name);
                if edit.commit(account, &mut writer).await? {
                    return Ok(());
                }
                account.refresh(&mut writer).await?;
            }
            Err(contention())
        })
    }

    /// Renames a mailbox and all below it; INBOX keeps existing and gives its messages away
    /// (RFC 9051 6.3.6). `NotFound`, `Exists`, `Denied`, `NotAllowed` into itself.
    pub fn rename<'a>(&'a self, from: &'a MailboxName, to: &'a MailboxName) -> Boxed<'a, ()> {
        Box::pin(async move {
            if from.is_inbox() {
                self.owner_only()?;
                return self.empty_inbox_into(to).await;
            }
            if to.is_below(from) {
                return Err(MailError::new(
                    MailErrorKind::NotAllowed,
                    "a mailbox cannot be moved below itself",
                ));
            }
            let account = &*self.0;
            let mut writer = account.writer.lock().await;
            for _ in 0..ATTEMPTS {
                let mut edit = TreeEdit::new(account, &mut writer);
                self.require_rename(&edit.tree, from, to)?;
                if edit.tree.folders.contains_key(to) {
                    return Err(MailError::new(
                        MailErrorKind::Exists,
                        "a mailbox of that name exists",
                    ));
                }
                let moved: Vec<MailboxName> = edit
                    .tree
                    .folders
                    .keys()
                    .filter(|name| *name == from || name.is_below(from))
                    .cloned()
                    .collect();
                if moved.is_empty() {
                    return Err(MailError::not_found("no such mailbox"));
                }
                for name in moved {
                    let target = name.rebase(from, to).ok_or_else(|| {
                        MailError::new(
                            MailErrorKind::Invalid,
                            "the new name is too long or too deep",
                        )
                    })?;
                    if edit.tree.folders.contains_key(&target) {
                        return Err(MailError::new(
                            MailErrorKind::Exists,
                            format!("a mailbox named {target} exists"),
                        ));
                    }
                    let mailbox = find(account, &edit.tree, &name)?;
                    mailbox.wait_settled().await?;
                    edit.rename(mailbox, &name, &target);
                }
                edit.make_above(&mut writer, to)?;
                if edit.commit(account, &mut writer).await? {
                    return Ok(());
                }
                account.refresh(&mut writer).await?;
            }
            Err(contention())
        })
    }

    /// RFC 4314 4: RENAME takes x on the mailbox, and k on the one it is to lie under.
    fn require_rename(
        &self,
        tree: &Tree,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), MailError> {
        if self.2.is_none() {
            return Ok(());
        }
        let folder = tree
            .find(from)
            .ok_or_else(|| MailError::not_found("no such mailbox"))?;
        self.require(folder.id, Rights::DELETE)?;
        self.0.require_create(self.2, to)
    }

    async fn empty_inbox_into(&self, to: &MailboxName) -> Result<(), MailError> {
        let target = self.create(to, None).await?;
        let inbox = find(&self.0, &self.tree(), &MailboxName::inbox())?;
        self.0.copy_annotations(inbox.id, target).await?;
        let inbox = self.select(inbox.id).await?;
        let all = UidSet::range(Uid::FIRST, Uid::MAX);
        self.move_messages(&inbox, &all, target).await?;
        Ok(())
    }

    /// Subscribes to a name, or takes the subscription back; both succeed when nothing changes.
    /// `Denied` for guests: subscriptions are the owner's.
    pub async fn subscribe(&self, name: &MailboxName, subscribed: bool) -> Result<(), MailError> {
        self.owner_only()?;
        let account = &*self.0;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let mut edit = TreeEdit::new(account, &mut writer);
            if edit.tree.subscriptions.contains(name) == subscribed {
                return Ok(());
            }
            if subscribed {
                if edit.tree.subscriptions.len() >= MAX_MAILBOXES {
                    return Err(MailError::new(
                        MailErrorKind::Limit,
                        "too many subscriptions",
                    ));
                }
                edit.subscribe(name);
            } else {
                edit.batch.delete(keys::subscription(name));
                edit.tree.subscriptions.remove(name);
            }
            if edit.commit(account, &mut writer).await? {
                return Ok(());
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }
}

fn find(
    account: &AccountInner,
    tree: &Tree,
    name: &MailboxName,
) -> Result<Arc<Mailbox>, MailError> {
    let folder = tree
        .find(name)
        .ok_or_else(|| MailError::not_found("no such mailbox"))?;
    account.existing(folder.id)
}
