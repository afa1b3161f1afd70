//! An account: its mailboxes in memory, its writer's lock, and what concerns it as a whole.

use crate::acl::Guest;
use crate::bulletin::{Bulletin, Watch};
use crate::codec::{Decoder, Encoder};
use crate::mailbox::Mailbox;
use crate::mixed::Known;
use crate::record::MailboxRecord;
use crate::snapshot::each;
use crate::tree::{Folder, Tree};
use crate::{Actor, Boxed, Mail, MailError, QuotaLimits, Summary, Usage, keys};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use storage::Batch;
use tokio::sync::watch;
use types::{AccountId, MailboxId, MailboxName, Rights, UidValidity};

/// An open account, shared by all its sessions, and on whose behalf this handle is used. Cloning is
/// cheap.
#[derive(Clone)]
///
/// It is a handle of the owner's, or of a guest's ([`Account::for_guest`]), through which nothing
/// can be done that the guest has no right to.
pub struct Account(
    pub(crate) Arc<AccountInner>,
    pub(crate) Arc<Actor>,
    pub(crate) Guest,
);

pub(crate) struct AccountInner {
    pub(crate) id: AccountId,
    pub(crate) mail: Mail,
    /// Held while an operation reads the head, decides and commits; never while waiting for the
    /// disk, except by changes of the tree.
    pub(crate) writer: tokio::sync::Mutex<Writer>,
    mailboxes: RwLock<HashMap<MailboxId, Arc<Mailbox>>>,
    tree: Mutex<Arc<Tree>>,
    tree_version: watch::Sender<u64>,
    pub(crate) bulletin: Arc<Bulletin>,
    messages: AtomicI64,
    bytes: AtomicI64,
    /// How INBOX was used of late.
    pub(crate) mixed: Mutex<Known>,
    /// The limits in force.
    pub(crate) quota: Mutex<QuotaLimits>,
}

/// What only the holder of the writer's lock may touch.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) ids: Ids,
    pub(crate) tree: TreeRecord,
    /// Whether the mark is set that emails may be in no mailbox any more.
    pub(crate) garbage: bool,
}

/// Hands out ids from a block reserved in the store, so that none is ever given twice.
#[derive(Default)]
pub(crate) struct Ids {
    next: u64,
    limit: u64,
    stored: Option<Bytes>,
    raised: Option<(u64, Bytes)>,
}

/// The record behind the `t` key: orders changes of the tree and hands out UIDVALIDITY.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeRecord {
    version: u64,
    last_uid_validity: u32,
    stored: Option<Bytes>,
}

impl Ids {
    /// Ids reserved at once: a crash wastes at most this many.
    const BLOCK: u64 = 4096;

    /// A new batch begins: what an abandoned one would have reserved is not reserved.
    pub(crate) fn begin(&mut self) {
        self.raised = None;
    }

    /// `n` consecutive ids, reserving more within `batch` when the block is used up.
    pub(crate) fn take(&mut self, n: u64, batch: &mut Batch) -> u64 {
        let limit = self.raised.as_ref().map_or(self.limit, |(limit, _)| *limit);
        if limit.saturating_sub(self.next) < n {
            let raised = self.next.max(limit) + n + Self::BLOCK;
            let value = Bytes::copy_from_slice(&raised.to_be_bytes());
            if self.raised.is_none() {
                match &self.stored {
                    Some(old) => batch.require(keys::NEXT_ID, old.clone()),
                    None => batch.require_absent(keys::NEXT_ID),
                };
            }
            batch.put(keys::NEXT_ID, value.clone());
            self.raised = Some((raised, value));
        }
        let first = self.next;
        self.next += n;
        first
    }

    /// The batch that reserved more was committed.
    pub(crate) fn committed(&mut self) {
        if let Some((limit, value)) = self.raised.take() {
            self.limit = limit;
            self.stored = Some(value);
        }
    }

    /// Starts from what the store says; ids left in the old block are wasted.
    fn reload(stored: Option<Bytes>) -> Result<Self, MailError> {
        let limit = match &stored {
            // 0 is "no id".
            None => 1,
            Some(bytes) => match <[u8; 8]>::try_from(&bytes[..]) {
                Ok(bytes) => u64::from_be_bytes(bytes),
                Err(_) => return Err(MailError::corrupt("damaged id counter")),
            },
        };
        Ok(Self {
            next: limit,
            limit,
            stored,
            raised: None,
        })
    }
}

impl TreeRecord {
    /// A UIDVALIDITY larger than any before: seconds since 1970 unless mailboxes are made faster.
    pub(crate) fn next_uid_validity(&mut self) -> UidValidity {
        let now = u32::try_from(crate::engine::now()).unwrap_or(u32::MAX);
        self.last_uid_validity = now.max(self.last_uid_validity.saturating_add(1));
        UidValidity::new(self.last_uid_validity).unwrap_or(UidValidity::MIN)
    }

    /// Every UIDVALIDITY from now on is larger than this.
    pub(crate) fn raise_uid_validity(&mut self, floor: u32) {
        self.last_uid_validity = self.last_uid_validity.max(floor);
    }

    /// Orders this batch after every change of the tree seen so far, before any other.
    pub(crate) fn write(&mut self, batch: &mut Batch) {
        match &self.stored {
            Some(old) => batch.require(keys::TREE, old.clone()),
            None => batch.require_absent(keys::TREE),
        };
        self.version += 1;
        let mut e = Encoder::default();
        e.uint(self.version);
        e.uint(self.last_uid_validity.into());
        let value: Bytes = e.0.into();
        batch.put(keys::TREE, value.clone());
        self.stored = Some(value);
    }

    pub(crate) fn reload(stored: Option<Bytes>) -> Result<Self, MailError> {
        let Some(bytes) = stored else {
            return Ok(Self::default());
        };
        let mut d = Decoder::new(&bytes, "tree record");
        let (version, last_uid_validity) = (d.uint()?, d.u32()?);
        Ok(Self {
            version,
            last_uid_validity,
            stored: Some(bytes),
        })
    }
}

impl AccountInner {
    /// Reads an account's mailboxes. A new account gets its default mailboxes.
    pub(crate) async fn open(
        mail: Mail,
        id: AccountId,
        quota: QuotaLimits,
    ) -> Result<Arc<Self>, MailError> {
        let mixed = mail.meta().get(id, keys::MIXED).await?;
        let account = Arc::new(Self {
            id,
            mail,
            writer: tokio::sync::Mutex::default(),
            mailboxes: RwLock::default(),
            tree: Mutex::default(),
            tree_version: watch::Sender::new(0),
            bulletin: Arc::default(),
            messages: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            mixed: Mutex::new(Known::new(mixed.as_ref())?),
            quota: Mutex::new(quota),
        });
        {
            let mut writer = account.writer.lock().await;
            account.reload(&mut writer).await?;
            account.make_defaults(&mut writer).await?;
        }
        if !account.mail.meta().is_exclusive() {
            account.follow();
        }
        Ok(account)
    }

    /// Catches up with commits of other processes whenever the store reports one.
    fn follow(self: &Arc<Self>) {
        let mut watch = self.mail.meta().watch(self.id);
        let account = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                watch.tick().await;
                let Some(account) = account.upgrade() else {
                    return;
                };
                let mut writer = account.writer.lock().await;
                if let Err(error) = account.refresh(&mut writer).await {
                    tracing::warn!(account = %account.id, %error, "cannot follow other processes");
                }
            }
        });
    }

    /// Reads all small records anew and lets every mailbox catch up.
    pub(crate) async fn reload(&self, writer: &mut Writer) -> Result<(), MailError> {
        let meta = self.mail.meta();
        writer.ids = Ids::reload(meta.get(self.id, keys::NEXT_ID).await?)?;
        writer.tree = TreeRecord::reload(meta.get(self.id, keys::TREE).await?)?;
        writer.garbage = meta.get(self.id, keys::GARBAGE).await?.is_some();
        let mut records = Vec::new();
        each(meta, self.id, keys::mailboxes(), |(key, value)| {
            let id = keys::id_of(key).ok_or_else(|| MailError::corrupt("damaged mailbox key"))?;
            records.push((MailboxId(id), MailboxRecord::decode(value)?));
            Ok(())
        })
        .await?;
        let mut tree = Tree::default();
        each(meta, self.id, keys::subscriptions(), |(key, _)| {
            let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
            if let Some(name) = name.and_then(|name| MailboxName::new(name).ok()) {
                tree.subscriptions.insert(name);
            }
            Ok(())
        })
        .await?;
        let mut found = HashMap::with_capacity(records.len());
        for (id, record) in records {
            tree.folders.insert(
                record.name.clone(),
                Folder {
                    id,
                    role: record.role,
                },
            );
            let mailbox = match self.mailbox(id) {
                Some(mailbox) => {
                    self.catch_up(&mailbox, record).await?;
                    mailbox
                }
                None => {
                    self.add_usage(i64::from(record.messages), record.bytes as i64);
                    Mailbox::new(id, record, self.bulletin.clone())
                }
            };
            found.insert(id, mailbox);
        }
        let before = std::mem::replace(
            &mut *self
                .mailboxes
                .write()
                .unwrap_or_else(PoisonError::into_inner),
            found,
        );
        let kept: Vec<MailboxId> = tree.folders.values().map(|folder| folder.id).collect();
        for (id, mailbox) in before {
            if !kept.contains(&id) {
                self.forget(&mailbox);
            }
        }
        self.load_acls(&mut tree).await?;
        self.set_tree(tree);
        Ok(())
    }

    /// After a conflict, or a tick of another process: reads what that process wrote.
    pub(crate) fn refresh<'a>(&'a self, writer: &'a mut Writer) -> Boxed<'a, ()> {
        Box::pin(async move {
            if self.mail.meta().is_exclusive() {
                tracing::warn!(account = %self.id, "conflict in an exclusive store");
            }
            self.reload(writer).await
        })
    }

    /// Brings a mailbox up to the record another process wrote.
    async fn catch_up(
        &self,
        mailbox: &Arc<Mailbox>,
        record: MailboxRecord,
    ) -> Result<(), MailError> {
        mailbox.wait_settled().await?;
        let head = mailbox.state().head.clone();
        if *head.record == record {
            return Ok(());
        }
        let mut view = head.view.as_deref().cloned();
        let mut journal_bytes = 0;
        if let Some(v) = &mut view {
            let (meta, since) = (self.mail.meta(), v.modseq().get());
            let mut last = v.modseq();
            journal_bytes =
                crate::snapshot::replay(meta, self.id, mailbox.id, since, |modseq, entry| {
                    last = modseq;
                    v.apply(modseq, &entry.change)
                })
                .await?;
            // The journal up to here may have been retired into a snapshot meanwhile.
            if last != record.modseq {
                let loaded =
                    crate::snapshot::load(meta, self.id, mailbox.id, record.uid_validity).await?;
                *v = loaded.view;
            }
        }
        self.add_usage(
            i64::from(record.messages) - i64::from(head.record.messages),
            record.bytes as i64 - head.record.bytes as i64,
        );
        mailbox.advance(
            crate::mailbox::Committed {
                record: Arc::new(record),
                view: view.map(Arc::new),
            },
            journal_bytes,
        );
        Ok(())
    }

    /// A row of the account's partition.
    pub(crate) async fn read(&self, key: &[u8]) -> Result<Option<Bytes>, MailError> {
        Ok(self.mail.meta().get(self.id, key).await?)
    }

    pub(crate) fn mailbox(&self, id: MailboxId) -> Option<Arc<Mailbox>> {
        self.mailboxes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    pub(crate) fn existing(&self, id: MailboxId) -> Result<Arc<Mailbox>, MailError> {
        self.mailbox(id)
            .ok_or_else(|| MailError::not_found("no such mailbox"))
    }

    pub(crate) fn all_mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.mailboxes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn insert(&self, mailbox: Arc<Mailbox>) {
        self.mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(mailbox.id, mailbox);
    }

    /// Takes a deleted mailbox out of the account; its sessions are told.
    pub(crate) fn forget(&self, mailbox: &Arc<Mailbox>) {
        self.mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&mailbox.id);
        let record = mailbox.state().head.record.clone();
        self.add_usage(-i64::from(record.messages), -(record.bytes as i64));
        mailbox.set_gone();
    }

    pub(crate) fn tree(&self) -> Arc<Tree> {
        self.tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_tree(&self, tree: Tree) {
        let new = Arc::new(tree);
        let old = std::mem::replace(
            &mut *self.tree.lock().unwrap_or_else(PoisonError::into_inner),
            new.clone(),
        );
        // Sessions of others look whether they may still see what they have open.
        for mailbox in old.acls.keys().chain(new.acls.keys()) {
            if old.acl(*mailbox) != new.acl(*mailbox)
                && let Some(mailbox) = self.mailbox(*mailbox)
            {
                mailbox.tick();
            }
        }
        self.tick_tree();
    }

    pub(crate) fn tick_tree(&self) {
        self.tree_version.send_modify(|version| *version += 1);
    }

    pub(crate) fn add_usage(&self, messages: i64, bytes: i64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        let number = |n: &AtomicI64| u64::try_from(n.load(Ordering::Relaxed)).unwrap_or(0);
        Usage {
            messages: number(&self.messages),
            bytes: number(&self.bytes),
            mailboxes: self.tree().folders.len() as u64,
            limits: self.limits(),
        }
    }
}

impl Account {
    /// Its id.
    pub fn id(&self) -> AccountId {
        self.0.id
    }

    /// The engine.
    pub fn mail(&self) -> &Mail {
        &self.0.mail
    }

    /// The mailboxes and subscriptions now.
    pub fn tree(&self) -> Arc<Tree> {
        self.0.tree()
    }

    /// Ticks whenever the tree changed.
    pub fn watch_tree(&self) -> watch::Receiver<u64> {
        self.0.tree_version.subscribe()
    }

    /// Tells which mailboxes change from now on, without opening any.
    pub fn watch_mailboxes(&self) -> Watch {
        self.0.bulletin.watch()
    }

    /// The name of a mailbox; `None` when it is gone.
    pub fn name_of(&self, id: MailboxId) -> Option<MailboxName> {
        let mailbox = self.0.mailbox(id)?;
        let name = mailbox.state().shown.record.name.clone();
        Some(name)
    }

    /// Counts of a mailbox without opening it (STATUS); `NotFound` when it is gone; `Denied`.
    pub fn summary(&self, id: MailboxId) -> Result<Summary, MailError> {
        let mailbox = self.0.existing(id)?;
        // RFC 4314 4: STATUS takes the right to read.
        self.require(id, Rights::READ)?;
        Ok(mailbox.summary())
    }

    /// Sum of the sizes of the messages with `\\Deleted`. Opens the mailbox only when it was last
    /// written to by a version that did not count them. `NotFound`, `Denied`.
    pub async fn deleted_bytes(&self, id: MailboxId) -> Result<u64, MailError> {
        let summary = self.summary(id)?;
        match summary.deleted_bytes {
            Some(bytes) => Ok(bytes),
            None if summary.deleted == 0 => Ok(0),
            None => Ok(self.select(id).await?.view().deleted_octets()),
        }
    }
}
