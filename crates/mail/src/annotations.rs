//! Annotations of mailboxes and of the server (RFC 5464): named values, shared by all who may see
//! the mailbox, or private to one account.
//!
//! They lie with the mailbox's account under `a`, mailbox, owner, name; mailbox 0 is the server as
//! that account sees it, and in the store's own partition as all see it. `A` counts them, and every
//! change replaces it, so that two writers never both believe there was room.

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::edit::ATTEMPTS;
use crate::folders::{TreeEdit, contention};
use crate::snapshot::each;
use crate::{Account, Mail, MailError, MailErrorKind, keys};
use bytes::Bytes;
use std::collections::BTreeSet;
use storage::{Batch, MetaStore, Scan};
use tokio::sync::broadcast;
use types::{AccountId, MailboxId, Rights, Role};

/// Longest value of an annotation, in bytes. RFC 5464 4.1 wants at least 1024.
pub const MAX_ANNOTATION: usize = 12 * 1024;
/// Longest name of an annotation, in bytes.
pub const MAX_ANNOTATION_NAME: usize = 255;
/// Annotations one owner can have on one mailbox. RFC 5464 4.1 wants at least 10.
pub const MAX_ANNOTATIONS: usize = 100;
/// Bytes of names and values of all annotations kept with one account.
const MAX_TOTAL: u64 = 16 << 20;
/// Changes that wait for a session that does not listen.
const BACKLOG: usize = 256;

/// The server, in place of a mailbox.
const SERVER: MailboxId = MailboxId(0);

/// Whose an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnnotationOwner {
    /// One value for all.
    Shared,
    /// One account's own value.
    Private(AccountId),
}

impl AnnotationOwner {
    fn number(self) -> u64 {
        match self {
            Self::Shared => AccountId::SYSTEM.0,
            Self::Private(account) => account.0,
        }
    }
}

/// An annotation that is to be set or, with `None`, removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Whose.
    pub owner: AnnotationOwner,
    /// Its name without its scope, in lower case: `/comment`.
    pub name: String,
    /// Its value.
    pub value: Option<Bytes>,
}

/// An annotation has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// Whose mailbox; [`AccountId::SYSTEM`] for the server as all see it.
    pub account: AccountId,
    /// The mailbox; `None` for the server.
    pub mailbox: Option<MailboxId>,
    /// Whose annotation.
    pub owner: AnnotationOwner,
    /// Its name without its scope.
    pub name: String,
    /// Who changed it, as said to [`Account::annotate`].
    pub by: u64,
}

/// Where annotations are: a partition and a mailbox in it.
#[derive(Clone, Copy)]
struct Place {
    account: AccountId,
    mailbox: MailboxId,
}

/// How much is kept with an account.
#[derive(Default)]
struct Total {
    bytes: u64,
    /// Rises with every change.
    version: u64,
    stored: Option<Bytes>,
}

impl Total {
    fn decode(stored: Option<Bytes>) -> Result<Self, MailError> {
        let Some(bytes) = stored else {
            return Ok(Self::default());
        };
        let mut d = Decoder::new(&bytes, "count of annotations");
        let (total, version) = (d.uint()?, d.uint()?);
        Ok(Self {
            bytes: total,
            version,
            stored: Some(bytes),
        })
    }

    fn write(self, batch: &mut Batch) {
        match self.stored {
            Some(old) => batch.require(keys::ANNOTATIONS, old),
            None => batch.require_absent(keys::ANNOTATIONS),
        };
        let mut e = Encoder::default();
        e.uint(self.bytes);
        e.uint(self.version + 1);
        batch.put(keys::ANNOTATIONS, e.0);
    }
}

/// Counts the annotations of an account that nobody has open anew.
pub(crate) async fn recount(meta: &dyn MetaStore, account: AccountId) -> Result<(), MailError> {
    let old = meta.get(account, keys::ANNOTATIONS).await?;
    if old.is_none() {
        return Ok(());
    }
    let mut bytes = 0;
    let all = Scan::prefix(&b"a"[..], keys::PAGE);
    each(meta, account, all, |(key, value)| {
        bytes += weight(&keys::annotation_name(key).unwrap_or_default(), value);
        Ok(())
    })
    .await?;
    let mut e = Encoder::default();
    e.uint(bytes);
    e.uint(Total::decode(old)?.version + 1);
    let mut batch = Batch::new();
    batch.put(keys::ANNOTATIONS, e.0);
    meta.commit(account, batch).await?.relax();
    Ok(())
}

fn weight(name: &str, value: &[u8]) -> u64 {
    (name.len() + value.len()) as u64
}

pub(crate) fn new_bulletin() -> broadcast::Sender<Annotated> {
    broadcast::Sender::new(BACKLOG)
}

impl Mail {
    /// Tells of every annotation that changes from now on, of all accounts. Who does not listen for
    /// long misses some.
    pub fn watch_annotations(&self) -> broadcast::Receiver<Annotated> {
        self.annotated().subscribe()
    }

    /// An annotation of the server that all share.
    pub async fn server_annotation(&self, name: &str) -> Result<Option<Bytes>, MailError> {
        self.annotation(SHARED_SERVER, AnnotationOwner::Shared, name)
            .await
    }

    /// The annotations of the server that all share and whose names begin with `prefix`.
    pub async fn server_annotations(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, Bytes)>, MailError> {
        self.annotations(SHARED_SERVER, AnnotationOwner::Shared, prefix)
            .await
    }

    async fn annotation(
        &self,
        place: Place,
        owner: AnnotationOwner,
        name: &str,
    ) -> Result<Option<Bytes>, MailError> {
        let key = keys::annotation(place.mailbox, owner.number(), name);
        Ok(self.meta().get(place.account, &key).await?)
    }

    async fn annotations(
        &self,
        place: Place,
        owner: AnnotationOwner,
        prefix: &str,
    ) -> Result<Vec<(String, Bytes)>, MailError> {
        let mut found = Vec::new();
        let scan = Scan::prefix(
            keys::annotation(place.mailbox, owner.number(), prefix),
            keys::PAGE,
        );
        each(self.meta(), place.account, scan, |(key, value)| {
            found.extend(keys::annotation_name(key).map(|name| (name, value.clone())));
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Puts changes into a batch. `TooBig` for a value, `Limit` when there would be too many.
    async fn write_annotations(
        &self,
        place: Place,
        changes: &[Annotation],
        batch: &mut Batch,
    ) -> Result<(), MailError> {
        let stored = self.meta().get(place.account, keys::ANNOTATIONS).await?;
        let mut total = Total::decode(stored)?;
        let owners: BTreeSet<AnnotationOwner> = changes.iter().map(|c| c.owner).collect();
        for owner in owners {
            let mut there = self.annotations(place, owner, "").await?;
            let before = there.len();
            for change in changes.iter().filter(|change| change.owner == owner) {
                let key = keys::annotation(place.mailbox, owner.number(), &change.name);
                if let Some(at) = there.iter().position(|(name, _)| *name == change.name) {
                    let (name, value) = there.swap_remove(at);
                    total.bytes = total.bytes.saturating_sub(weight(&name, &value));
                    batch.delete(key.clone());
                }
                if let Some(value) = &change.value {
                    if value.len() > MAX_ANNOTATION || change.name.len() > MAX_ANNOTATION_NAME {
                        return Err(too_big());
                    }
                    total.bytes += weight(&change.name, value);
                    batch.put(key, value.clone());
                    there.push((change.name.clone(), value.clone()));
                }
            }
            if there.len() > MAX_ANNOTATIONS && there.len() > before {
                return Err(too_many());
            }
        }
        if total.bytes > MAX_TOTAL && changes.iter().any(|change| change.value.is_some()) {
            return Err(too_many());
        }
        total.write(batch);
        Ok(())
    }

    /// Changes annotations of the server that all share, all or none. `TooBig`, `Limit`.
    pub async fn annotate_server(&self, changes: &[Annotation], by: u64) -> Result<(), MailError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            self.write_annotations(SHARED_SERVER, changes, &mut batch)
                .await?;
            if self.commit_durably(AccountId::SYSTEM, batch).await? {
                self.announce(SHARED_SERVER, changes, by);
                return Ok(());
            }
        }
        Err(contention())
    }

    fn announce(&self, place: Place, changes: &[Annotation], by: u64) {
        for change in changes {
            // An error: nobody listens.
            let _ = self.annotated().send(Annotated {
                account: place.account,
                mailbox: Some(place.mailbox).filter(|mailbox| *mailbox != SERVER),
                owner: change.owner,
                name: change.name.clone(),
                by,
            });
        }
    }
}

const SHARED_SERVER: Place = Place {
    account: AccountId::SYSTEM,
    mailbox: SERVER,
};

fn too_big() -> MailError {
    MailError::new(MailErrorKind::TooBig, "the annotation is too large")
}

fn too_many() -> MailError {
    MailError::new(MailErrorKind::Limit, "too many annotations")
}

impl Account {
    /// RFC 5464 3.3: annotations take `l` and any of `r`, `s`, `w`, `i`, `p`. What all see is
    /// changed by who may change flags that all see: that takes `w`.
    fn require_annotations(
        &self,
        mailbox: Option<MailboxId>,
        sets_shared: bool,
    ) -> Result<(), MailError> {
        let Some(mailbox) = mailbox else {
            return self.owner_only();
        };
        let held = self.rights(mailbox);
        let any = Rights::READ
            .and(Rights::SEEN)
            .and(Rights::WRITE)
            .and(Rights::INSERT)
            .and(Rights::POST);
        let needed = match sets_shared {
            true => Rights::WRITE,
            false if held.any(any) => Rights::NONE,
            false => any,
        };
        self.require(mailbox, needed.and(Rights::LOOKUP))
    }

    fn place(&self, mailbox: Option<MailboxId>) -> Place {
        Place {
            account: self.id(),
            mailbox: mailbox.unwrap_or(SERVER),
        }
    }

    /// An annotation of a mailbox, or of the server as this account sees it.
    pub async fn annotation(
        &self,
        mailbox: Option<MailboxId>,
        owner: AnnotationOwner,
        name: &str,
    ) -> Result<Option<Bytes>, MailError> {
        let mail = self.mail();
        self.require_annotations(mailbox, false)?;
        mail.annotation(self.place(mailbox), owner, name).await
    }

    /// The annotations whose names begin with `prefix`, by name.
    pub async fn annotations(
        &self,
        mailbox: Option<MailboxId>,
        owner: AnnotationOwner,
        prefix: &str,
    ) -> Result<Vec<(String, Bytes)>, MailError> {
        let mail = self.mail();
        self.require_annotations(mailbox, false)?;
        mail.annotations(self.place(mailbox), owner, prefix).await
    }

    /// Changes annotations of a mailbox (`None`: of the server as this account sees it) and, with
    /// `role`, its special use; all or none. `by` names who did it to those who watch. `NotFound`,
    /// `TooBig`, `Limit`; `Exists` when another mailbox has that use.
    pub async fn annotate(
        &self,
        mailbox: Option<MailboxId>,
        changes: &[Annotation],
        role: Option<Option<Role>>,
        by: u64,
    ) -> Result<(), MailError> {
        let (account, place) = (&*self.0, self.place(mailbox));
        let mail = &account.mail;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let mut edit = TreeEdit::new(account, &mut writer);
            let is_shared = |change: &Annotation| change.owner == AnnotationOwner::Shared;
            self.require_annotations(mailbox, changes.iter().any(is_shared))?;
            if role.is_some() {
                self.owner_only()?;
            }
            if let Some(id) = mailbox {
                let mailbox = account.existing(id)?;
                mailbox.wait_settled().await?;
                let name = mailbox.state().head.record.name.clone();
                // Another process must not delete it meanwhile.
                let owner = id.0.to_be_bytes().to_vec();
                edit.batch.require(keys::name(&name), owner);
                if let Some(role) = role {
                    edit.set_role(mailbox, &name, role)?;
                }
            }
            if !changes.is_empty() {
                mail.write_annotations(place, changes, &mut edit.batch)
                    .await?;
            }
            let is_done = match role {
                Some(_) => edit.commit(account, &mut writer).await?,
                None => mail.commit_durably(account.id, edit.batch).await?,
            };
            if is_done {
                mail.announce(place, changes, by);
                return Ok(());
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }
}

impl AccountInner {
    /// Removes all annotations of a mailbox with the batch that deletes it (RFC 5464 4.1).
    pub(crate) async fn drop_annotations(
        &self,
        mailbox: MailboxId,
        batch: &mut Batch,
    ) -> Result<(), MailError> {
        let meta = self.mail.meta();
        let (mut freed, mut gone) = (0, Vec::new());
        each(meta, self.id, keys::annotations(mailbox), |(key, value)| {
            freed += weight(&keys::annotation_name(key).unwrap_or_default(), value);
            gone.push(key.clone());
            Ok(())
        })
        .await?;
        if gone.is_empty() {
            return Ok(());
        }
        gone.into_iter().for_each(|key| {
            batch.delete(key);
        });
        let mut total = Total::decode(meta.get(self.id, keys::ANNOTATIONS).await?)?;
        total.bytes = total.bytes.saturating_sub(freed);
        total.write(batch);
        Ok(())
    }

    /// What `A` says, and what the annotations really take; for [`Mail::check`].
    pub(crate) async fn count_annotations(&self) -> Result<(u64, u64), MailError> {
        let meta = self.mail.meta();
        let total = Total::decode(meta.get(self.id, keys::ANNOTATIONS).await?)?;
        let mut counted = 0;
        each(
            meta,
            self.id,
            Scan::prefix(&b"a"[..], keys::PAGE),
            |(key, value)| {
                let id = keys::id_of(key).map(MailboxId).unwrap_or(SERVER);
                let name = keys::annotation_name(key);
                // What belongs to no mailbox is counted double, so that it is found.
                let is_lost = name.is_none() || (id != SERVER && self.mailbox(id).is_none());
                let factor = 1 + u64::from(is_lost);
                counted += factor * weight(&name.unwrap_or_default(), value);
                Ok(())
            },
        )
        .await?;
        Ok((total.bytes, counted))
    }

    /// RFC 5464 4.1: RENAME of INBOX copies its annotations.
    pub(crate) async fn copy_annotations(
        &self,
        from: MailboxId,
        to: MailboxId,
    ) -> Result<(), MailError> {
        let meta = self.mail.meta();
        let _writer = self.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let (mut batch, mut added) = (Batch::new(), 0);
            each(meta, self.id, keys::annotations(from), |(key, value)| {
                if let Some((owner, name)) = keys::annotation_parts(key) {
                    added += weight(&name, value);
                    batch.put(keys::annotation(to, owner, &name), value.clone());
                }
                Ok(())
            })
            .await?;
            if added == 0 {
                return Ok(());
            }
            let mut total = Total::decode(meta.get(self.id, keys::ANNOTATIONS).await?)?;
            total.bytes += added;
            total.write(&mut batch);
            if self.mail.commit_durably(self.id, batch).await? {
                return Ok(());
            }
        }
        Err(contention())
    }
}
