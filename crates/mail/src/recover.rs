//! Recovery (DESIGN 3.6): mailboxes made again from what the blob store remembers of each message,
//! where the metadata was lost altogether or ends before its time.
//!
//! Nothing that was ever given may be given again with another meaning. So everything recovery
//! gives lies above a [`Floor`], and where a mailbox outlived the loss, its numbers jump.

use crate::account::{AccountInner, TreeRecord};
use crate::account_note::{AccountNote, revision};
use crate::record::MailboxRecord;
use crate::snapshot::{self, each};
use crate::{
    Account, AccountInfo, Boxed, Email, Ingested, Mail, MailError, MailErrorKind, NewMessage,
    QuotaLimits, keys,
};
use bytes::Bytes;
use std::sync::Arc;
use storage::{Batch, BlobRef, Scan};
use types::{AccountId, BlobHash, EmailId, Flags, MailboxId, MailboxName};

/// What everything recovery gives lies above.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    uid_validity: u32,
    id: u64,
}

/// How far UIDVALIDITY lies ahead of the clock. It is given as the time, or as one more than the
/// last when several mailboxes are made in a second: it would take a million of those, made faster
/// than one a second, to come this far.
const UID_VALIDITY_AHEAD: u32 = 1 << 20;

/// Ids, of which POP3 unique ids are made, that fit below a second of the clock. They are counted
/// from one: it would take a million of them for every second since 1970 to come this far, and as
/// many for every second between two recoveries.
const IDS_PER_SECOND: u64 = 1 << 20;

/// How far UIDNEXT and the modification sequence of a mailbox jump that has lost its last changes.
/// Each uid takes some eight octets in the log at least, so that this is more than 128 MiB of it.
const UID_JUMP: u32 = 1 << 24;
const MODSEQ_JUMP: u64 = 1 << 40;

impl Floor {
    /// Above everything given until `time`, in seconds since 1970: the newest moment that any file
    /// of the store knows of, in case the clock has been set back.
    pub fn above(time: i64) -> Self {
        let seconds = u64::try_from(time).unwrap_or(0);
        let uid_validity = u32::try_from(seconds).unwrap_or(u32::MAX);
        Self {
            uid_validity: uid_validity.saturating_add(UID_VALIDITY_AHEAD),
            id: seconds.saturating_mul(IDS_PER_SECOND),
        }
    }
}

/// A message as the blob store remembers it.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// Where its bytes are.
    pub blob: BlobRef,
    /// Its INTERNALDATE, seconds since 1970 UTC.
    pub internal_date: i64,
    /// Header lines of this delivery alone, as [`NewMessage::prefix`].
    pub prefix: Bytes,
}

/// What became of some messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The mailbox they are in: INBOX when they could not be where they were.
    pub mailbox: MailboxName,
    /// How many are there now.
    pub messages: u64,
    /// Those whose bytes cannot be read.
    pub lost: Vec<BlobHash>,
}

impl Mail {
    /// Makes an account with the number it had, or makes sure that it is as its note says.
    /// Everything given from now on lies above `floor`. To be called before the account is opened.
    ///
    /// # Errors
    /// `Exists` when another account has that name.
    pub fn recover_account<'a>(
        &'a self,
        info: &'a AccountInfo,
        note: Option<&'a AccountNote>,
        floor: Floor,
    ) -> Boxed<'a, ()> {
        Box::pin(async move {
            let known = self.find_account(&info.name).await?;
            if known.as_ref().is_some_and(|known| known.id != info.id) {
                return Err(MailError::new(
                    MailErrorKind::Exists,
                    format!("another account is named {}", info.name),
                ));
            }
            let mut batch = Batch::new();
            let next = info.id.0.saturating_add(1);
            self.raise_ids(AccountId::SYSTEM, next, &mut batch).await?;
            batch.put(keys::account(&info.name), info.encode());
            let name = info.name.as_bytes().to_vec();
            batch.put(keys::account_name(info.id), name);
            match note {
                Some(note) => self.use_note(note, &mut batch).await?,
                None => {
                    self.note_account(info, false, &mut batch).await?;
                }
            }
            let meta = self.meta();
            meta.commit(AccountId::SYSTEM, batch).await?.relax();
            let mut batch = Batch::new();
            self.raise_ids(info.id, floor.id, &mut batch).await?;
            let mut tree = TreeRecord::reload(meta.get(info.id, keys::TREE).await?)?;
            tree.raise_uid_validity(floor.uid_validity);
            tree.write(&mut batch);
            meta.commit(info.id, batch).await?.relax();
            self.jump(info.id).await
        })
    }

    /// Keeps an account removed: its note goes on saying so, and its number is not given again.
    pub fn recover_removal<'a>(&'a self, note: &'a AccountNote) -> Boxed<'a, ()> {
        Box::pin(async move {
            if let Some(known) = self.find_account(&note.info.name).await?
                && known.id == note.info.id
            {
                self.remove_account(&note.info.name).await?;
            }
            let mut batch = Batch::new();
            let next = note.info.id.0.saturating_add(1);
            self.raise_ids(AccountId::SYSTEM, next, &mut batch).await?;
            self.use_note(note, &mut batch).await?;
            self.meta().commit(AccountId::SYSTEM, batch).await?.relax();
            Ok(())
        })
    }

    /// No id of the partition below `floor` is given any more.
    async fn raise_ids(
        &self,
        partition: AccountId,
        floor: u64,
        batch: &mut Batch,
    ) -> Result<(), MailError> {
        let next = self.meta().get(partition, keys::NEXT_ID).await?;
        let next = next.and_then(|next| <[u8; 8]>::try_from(&next[..]).ok());
        let next = next.map_or(floor, |next| u64::from_be_bytes(next).max(floor));
        batch.put(keys::NEXT_ID, next.to_be_bytes().to_vec());
        Ok(())
    }

    async fn use_note(&self, note: &AccountNote, batch: &mut Batch) -> Result<(), MailError> {
        let stored = self.meta().get(AccountId::SYSTEM, keys::REVISION).await?;
        let highest = revision(stored.as_ref())?.max(note.revision);
        batch.put(keys::REVISION, highest.to_be_bytes().to_vec());
        let old = self.note_of(note.info.id).await?;
        self.adopt_note(note, old, batch);
        Ok(())
    }

    /// Makes the numbers of an account's mailboxes jump. Their snapshots are written for it.
    async fn jump(&self, account: AccountId) -> Result<(), MailError> {
        let meta = self.meta();
        let mut records = Vec::new();
        each(meta, account, keys::mailboxes(), |(key, value)| {
            let id = keys::id_of(key).ok_or_else(|| MailError::corrupt("damaged mailbox key"))?;
            records.push((MailboxId(id), MailboxRecord::decode(value)?));
            Ok(())
        })
        .await?;
        for (id, mut record) in records {
            let loaded = snapshot::load(meta, account, id, record.uid_validity).await?;
            let mut view = loaded.view;
            if record.uid_next != 0 {
                // 0: the uids are used up.
                record.uid_next = record.uid_next.checked_add(UID_JUMP).unwrap_or(0);
            }
            if let Some(modseq) = record.modseq.advance(MODSEQ_JUMP) {
                record.remember_gap(modseq);
                record.modseq = modseq;
            }
            (view.uid_next, view.modseq) = (record.uid_next, record.modseq);
            let keep = crate::engine::now() - self.options().remember_expunged_seconds;
            snapshot::save(meta, account, id, &view, &loaded.saved, keep).await?;
            let mut batch = Batch::new();
            batch.put(keys::mailbox(id), record.encode());
            meta.commit(account, batch).await?.relax();
        }
        Ok(())
    }

    /// Who has these bytes already, in whichever mailbox, or removed and not yet forgotten.
    pub async fn holders(&self, blob: &BlobHash) -> Result<Vec<AccountId>, MailError> {
        let links = self.meta().links(blob, usize::MAX).await?;
        Ok(links.iter().map(|link| link.account).collect())
    }

    /// The highest of the places where messages that the metadata knows were written, among those
    /// for which `counts` says so: where the blob store had got to.
    pub async fn newest_hint(&self, counts: impl Fn(u64) -> bool) -> Result<u64, MailError> {
        let mut newest = 0;
        for info in self.list_accounts().await? {
            let all = Scan::prefix(&b"e"[..], keys::PAGE);
            each(self.meta(), info.id, all, |(key, record)| {
                let id = keys::id_of(key).unwrap_or_default();
                let hint = Email::decode(EmailId(id), record)?.blob.hint;
                if counts(hint) {
                    newest = newest.max(hint);
                }
                Ok(())
            })
            .await?;
        }
        Ok(newest)
    }

    /// Content of blobs that are there already. The caller bounds the sum of sizes.
    async fn ingested(&self, blobs: &[BlobRef]) -> Vec<Result<Ingested, MailError>> {
        let contents = self.blobs().get_many(blobs).await;
        let mut ingested = Vec::with_capacity(blobs.len());
        for (blob, content) in blobs.iter().zip(contents) {
            ingested.push(match content {
                Ok(bytes) => Ingested::of(*blob, bytes).await,
                Err(error) => Err(error.into()),
            });
        }
        ingested
    }
}

impl Account {
    /// Puts messages back into a mailbox, which is made when there is none, whatever the quota
    /// says: in the order given, unseen. The caller bounds the sum of sizes, and their number by
    /// some hundred.
    ///
    /// # Errors
    /// Of the store. Messages that cannot be read are no error.
    pub fn recover<'a>(
        &'a self,
        mailbox: &'a str,
        messages: &'a [Remembered],
    ) -> Boxed<'a, Recovered> {
        Box::pin(async move {
            let account = &self.0;
            account.set_limits(QuotaLimits::default());
            let (id, mailbox) = account.place(mailbox).await?;
            let blobs: Vec<BlobRef> = messages.iter().map(|message| message.blob).collect();
            let (mut new, mut lost) = (Vec::with_capacity(messages.len()), Vec::new());
            for (message, content) in messages.iter().zip(account.mail.ingested(&blobs).await) {
                match content {
                    Ok(content) => new.push(NewMessage {
                        content,
                        prefix: message.prefix.clone(),
                        flags: Flags::NONE,
                        keywords: Vec::new(),
                        internal_date: Some(message.internal_date),
                    }),
                    Err(error) if error.kind == MailErrorKind::Corrupt => {
                        lost.push(message.blob.hash);
                    }
                    Err(error) => return Err(error),
                }
            }
            let count = new.len() as u64;
            if !new.is_empty() {
                self.append(id, new).await?;
            }
            Ok(Recovered {
                mailbox,
                messages: count,
                lost,
            })
        })
    }
}

impl AccountInner {
    /// The mailbox of a name, or INBOX when none of that name can be.
    async fn place(self: &Arc<Self>, name: &str) -> Result<(MailboxId, MailboxName), MailError> {
        let mut writer = self.writer.lock().await;
        if let Ok(name) = MailboxName::new(name) {
            match self.find_or_make(&mut writer, &name, None).await {
                Ok(mailbox) => return Ok((mailbox.id, name)),
                Err(error) if error.kind == MailErrorKind::Limit => {}
                Err(error) => return Err(error),
            }
        }
        let inbox = MailboxName::inbox();
        let mailbox = self.find_or_make(&mut writer, &inbox, None).await?;
        Ok((mailbox.id, inbox))
    }
}
