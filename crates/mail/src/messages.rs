//! Appending, copying and moving messages.

use crate::account::{AccountInner, Writer};
use crate::chunk::Hidden;
use crate::edit::{ATTEMPTS, Transaction};
use crate::journal::{Change, NewRow};
use crate::mailbox::Mailbox;
use crate::permitted::Permitted;
use crate::record::MailboxRecord;
use crate::repeats::Once;
use crate::threads::Threading;
use crate::{Account, Boxed, Ingested, Load, MailError, MailErrorKind, Row, Selected, View, email};
use bytes::Bytes;
use std::sync::Arc;
use types::{EmailId, Flags, Keyword, MailboxId, ModSeq, Rights, Uid, UidSet, UidValidity};

/// A message to append.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its bytes, already stored.
    pub content: Ingested,
    /// Per-recipient header lines, each with CRLF, served in front of the bytes; at most 2 KiB.
    pub prefix: Bytes,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE, seconds since 1970 UTC; `None` is now.
    pub internal_date: Option<i64>,
}

/// Where appended messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: UidValidity,
    /// Their uids, ascending, in the order given.
    pub uids: UidSet,
    /// The modseq they carry.
    pub modseq: ModSeq,
}

/// Where copied or moved messages are. The n-th of `from` became the n-th of `to`; messages that no
/// longer existed are in neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the destination.
    pub uid_validity: UidValidity,
    /// Uids in the source.
    pub from: UidSet,
    /// Uids in the destination, ascending.
    pub to: UidSet,
}

/// Where a message is that took the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The new one.
    pub appended: Appended,
    /// HIGHESTMODSEQ of the mailbox the old one is gone from.
    pub modseq: ModSeq,
}

/// Longest prefix of a message.
const MAX_PREFIX: usize = 2048;

/// How much several messages appended at once may take: the sum of [`Ingested::weight`], and the
/// prefixes.
// One batch takes it all, beside keywords and the records of mailboxes.
pub const MAX_APPENDED: usize = 48 << 20;

impl Account {
    /// Appends messages, all or none (MULTIAPPEND). Does not load the view. `NotFound`,
    /// `OverQuota`, `Limit`, `Denied`, `Invalid` for a prefix that is too long. Flags that a guest
    /// may not set are left out (RFC 4314 4).
    pub async fn append(
        &self,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
    ) -> Result<Appended, MailError> {
        let appended = self.append_once(mailbox, messages, None).await?;
        appended.ok_or_else(contention)
    }

    /// [`Self::append`], or `None` when `once` says that it has been done before.
    pub(crate) async fn append_once(
        &self,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
        once: Option<Once>,
    ) -> Result<Option<Appended>, MailError> {
        let added = self.add(mailbox, messages, None, once).await?;
        Ok(added.map(|added| added.appended))
    }

    /// Appends messages and removes another one of this account, both or neither (REPLACE). The
    /// room the old one takes counts for the new ones. As [`Account::append`], and `NotFound` when
    /// there is no such message any more.
    pub async fn replace(
        &self,
        old: (&Selected, Uid),
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
    ) -> Result<Replaced, MailError> {
        let added = self.add(mailbox, messages, Some(old), None).await?;
        added.ok_or_else(contention)
    }

    /// `None`: `once` says that it has been done before.
    fn add<'a>(
        &'a self,
        mailbox: MailboxId,
        mut messages: Vec<NewMessage>,
        replaced: Option<(&'a Selected, Uid)>,
        once: Option<Once>,
    ) -> Boxed<'a, Option<Replaced>> {
        Box::pin(async move {
            check_sizes(&messages)?;
            if let Some((from, _)) = replaced {
                // RFC 8508 4.1: what STORE of \Deleted and EXPUNGE take, as MOVE.
                from.require(Rights::DELETE_MESSAGES.and(Rights::EXPUNGE))?;
            }
            let account = &self.0;
            let more = Load {
                messages: messages.len() as u64,
                bytes: messages.iter().map(|m| u64::from(m.size())).sum(),
            };
            let mut writer = account.writer.lock().await;
            for _ in 0..ATTEMPTS {
                let target = account.existing(mailbox)?;
                let permitted = self.may_insert(mailbox)?;
                for message in &mut messages {
                    permitted.keep(&mut message.flags, &mut message.keywords);
                }
                let less = match replaced {
                    Some((from, uid)) => account.load_of(from, uid).await?,
                    None => Load::default(),
                };
                // Under the lock: what others are about to add is counted.
                account.check_room(more, less)?;
                if messages.iter().any(|message| !message.keywords.is_empty()) {
                    // Only a loaded view knows whether there is room for more keywords.
                    account.load(&target).await?;
                }
                let threads = account.threads(&messages).await?;
                let mut tx = Transaction::new(account, &mut writer);
                if !account.is_first(once, &mut tx).await? {
                    return Ok(None);
                }
                let rows = tx.new_rows(&mut writer, &target, &messages, &threads)?;
                let appended = Appended {
                    uids: rows.iter().map(|new| new.row.uid).collect(),
                    uid_validity: tx.edit(&target).record.uid_validity,
                    modseq: tx.change(&target, Change::Appended(rows))?,
                };
                let mut modseq = appended.modseq;
                if let Some((from, uid)) = replaced {
                    let old = UidSet::range(uid, uid);
                    modseq = tx.remove(&writer, from.mailbox(), &old, self.actor())?;
                }
                if let Some(pending) = tx.commit(&mut writer, true).await? {
                    drop(writer);
                    pending.shown().await?;
                    return Ok(Some(Replaced { appended, modseq }));
                }
                account.refresh(&mut writer).await?;
            }
            Err(contention())
        })
    }

    /// Copies messages, all that still exist or none, also from another account. Flags that a guest
    /// may not set are left out (RFC 4314 4). `NotFound`, `OverQuota`, `Limit`, `Denied`.
    pub async fn copy(
        &self,
        from: &Selected,
        uids: &UidSet,
        to: MailboxId,
    ) -> Result<Copied, MailError> {
        self.transfer(from, uids, to, Transfer::Copy).await
    }

    /// Moves messages in one commit (RFC 6851 3.3); within one mailbox they get new uids. Between
    /// accounts it takes two: after a crash in the middle the messages are in both. As
    /// [`copy`](Self::copy).
    pub async fn move_messages(
        &self,
        from: &Selected,
        uids: &UidSet,
        to: MailboxId,
    ) -> Result<Copied, MailError> {
        self.transfer(from, uids, to, Transfer::Move).await
    }

    /// Which flags messages that are put there may have. `Denied` or `NotFound` when none may be.
    fn may_insert(&self, mailbox: MailboxId) -> Result<Permitted, MailError> {
        // RFC 4314 4: APPEND and COPY take i.
        self.require(mailbox, Rights::INSERT)?;
        Ok(Permitted::of(self.rights(mailbox)))
    }

    fn transfer<'a>(
        &'a self,
        from: &'a Selected,
        uids: &'a UidSet,
        to: MailboxId,
        how: Transfer,
    ) -> Boxed<'a, Copied> {
        Box::pin(async move {
            let account = &self.0;
            if how == Transfer::Move {
                // RFC 6851 4.2: what STORE of \Deleted and EXPUNGE take.
                from.require(Rights::DELETE_MESSAGES.and(Rights::EXPUNGE))?;
            }
            if from.account_id() != account.id {
                return self.transfer_between(from, uids, to, how).await;
            }
            let mut writer = account.writer.lock().await;
            for _ in 0..ATTEMPTS {
                from.mailbox().live()?;
                let target = account.existing(to)?;
                let permitted = self.may_insert(to)?;
                account.load(from.mailbox()).await?;
                let mut tx = Transaction::new(account, &mut writer);
                let source = tx.view(from.mailbox())?;
                let from_uids = source.existing(uids);
                let uid_validity = tx.edit(&target).record.uid_validity;
                if from_uids.is_empty() {
                    return Ok(Copied {
                        uid_validity,
                        from: UidSet::new(),
                        to: UidSet::new(),
                    });
                }
                if how == Transfer::Copy {
                    let sizes = source.rows_in(&from_uids).map(|(_, row)| row.size);
                    let more = Load {
                        messages: from_uids.len(),
                        bytes: sizes.map(u64::from).sum(),
                    };
                    account.check_room(more, Load::default())?;
                }
                if source.rows_in(&from_uids).any(|(_, row)| row.keywords != 0) {
                    account.load(&target).await?;
                    // The edit was made before the view was there.
                    tx = Transaction::new(account, &mut writer);
                }
                let mut rows = tx.transferred(&mut writer, &source, &from_uids, &target, how)?;
                for NewRow { row, keywords } in &mut rows {
                    permitted.keep(&mut row.flags, keywords);
                }
                let to_uids: UidSet = rows.iter().map(|new| new.row.uid).collect();
                tx.change(&target, Change::Appended(rows))?;
                if how == Transfer::Move {
                    tx.change(from.mailbox(), Change::Expunged(from_uids.clone()))?;
                    let (was, is) = ((from.mailbox(), &from_uids), (&target, &to_uids));
                    tx.note_move(self.actor(), was, is);
                }
                if let Some(pending) = tx.commit(&mut writer, true).await? {
                    drop(writer);
                    pending.shown().await?;
                    return Ok(Copied {
                        uid_validity,
                        from: from_uids,
                        to: to_uids,
                    });
                }
                account.refresh(&mut writer).await?;
            }
            Err(contention())
        })
    }
}

fn check_sizes(messages: &[NewMessage]) -> Result<(), MailError> {
    let mut total = 0;
    for NewMessage {
        prefix, content, ..
    } in messages
    {
        if prefix.len() > MAX_PREFIX {
            let text = "too many per-recipient lines";
            return Err(MailError::new(MailErrorKind::Invalid, text));
        }
        total += prefix.len() + content.weight();
    }
    if total > MAX_APPENDED && messages.len() > 1 {
        let text = "too many messages at once";
        return Err(MailError::new(MailErrorKind::Limit, text));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transfer {
    Copy,
    Move,
}

impl NewMessage {
    /// RFC822.SIZE it will have.
    fn size(&self) -> u32 {
        let prefix = u32::try_from(self.prefix.len()).unwrap_or(u32::MAX);
        self.content.size().saturating_add(prefix)
    }
}

impl Transaction<'_> {
    /// The newest view of a mailbox that the caller has loaded.
    pub(crate) fn view(&mut self, mailbox: &Arc<Mailbox>) -> Result<Arc<View>, MailError> {
        mailbox.state().head.view.clone().ok_or_else(|| {
            MailError::new(MailErrorKind::Unavailable, "the mailbox's view was dropped")
        })
    }

    pub(crate) fn new_rows(
        &mut self,
        writer: &mut Writer,
        target: &Arc<Mailbox>,
        messages: &[NewMessage],
        threads: &[Threading],
    ) -> Result<Vec<NewRow>, MailError> {
        let now = self.now();
        let first = writer.ids.take(messages.len() as u64, &mut self.batch);
        let mut uids = FreshUids::of(&self.edit(target).record);
        let mut rows = Vec::with_capacity(messages.len());
        for ((message, threading), id) in messages.iter().zip(threads).zip(first..) {
            let email = EmailId(id);
            let (content, prefix) = (&message.content, &message.prefix);
            email::write(&mut self.batch, email, content, prefix, threading);
            let row = Row {
                uid: uids.next()?,
                flags: message.flags,
                keywords: 0,
                modseq: ModSeq::FIRST,
                size: message.size(),
                crlf_extra: message.content.crlf_extra,
                internal_date: message.internal_date.unwrap_or(now),
                saved: now,
                email,
                uidl: email.0,
                hidden: Hidden::NO,
            };
            rows.push(NewRow {
                row,
                keywords: message.keywords.clone(),
            });
        }
        Ok(rows)
    }

    /// The rows that messages of `source` become in `target`. With keywords, the target's view must
    /// be loaded.
    pub(crate) fn transferred(
        &mut self,
        writer: &mut Writer,
        source: &View,
        uids: &UidSet,
        target: &Arc<Mailbox>,
        how: Transfer,
    ) -> Result<Vec<NewRow>, MailError> {
        let now = self.now();
        // DESIGN 5.5: a move keeps the POP3 unique id, a copy gets one of its own.
        let mut uidl = match how {
            Transfer::Copy => writer.ids.take(uids.len(), &mut self.batch),
            Transfer::Move => 0,
        };
        let mut fresh = FreshUids::of(&self.edit(target).record);
        let mut rows = Vec::new();
        for (_, mut row) in source.rows_in(uids) {
            row.uid = fresh.next()?;
            row.saved = now;
            // Whoever files a message takes it into their own care.
            row.hidden = Hidden::NO;
            if how == Transfer::Copy {
                row.uidl = uidl;
                uidl += 1;
            }
            let keywords = source.keywords_of(row.keywords).cloned().collect();
            rows.push(NewRow { row, keywords });
        }
        Ok(rows)
    }
}

/// The uids a mailbox gives next.
pub(crate) struct FreshUids(u32);

impl FreshUids {
    pub(crate) fn of(record: &MailboxRecord) -> Self {
        Self(record.uid_next)
    }

    pub(crate) fn next(&mut self) -> Result<Uid, MailError> {
        let uid = Uid::new(self.0).ok_or_else(|| {
            MailError::new(MailErrorKind::Limit, "the mailbox has used up its uids")
        })?;
        self.0 = uid.next().map_or(0, Uid::get);
        Ok(uid)
    }
}

impl AccountInner {
    /// What goes away with a message of an open mailbox, whose view is loaded afterwards.
    async fn load_of(&self, from: &Selected, uid: Uid) -> Result<Load, MailError> {
        from.mailbox().live()?;
        self.load(from.mailbox()).await?;
        let view = from.mailbox().state().head.view.clone();
        match view.and_then(|view| view.find(uid)) {
            Some(row) => Ok(Load::one(row.size.into())),
            None => Err(MailError::new(
                MailErrorKind::NotFound,
                "the message to be replaced is not there any more",
            )),
        }
    }

    /// Loads a mailbox's view if it is not in memory. The caller holds the writer's lock.
    pub(crate) async fn load(&self, mailbox: &Arc<Mailbox>) -> Result<(), MailError> {
        if mailbox.state().head.view.is_some() {
            return Ok(());
        }
        // What is on its way to the disk must not be shown, and what is read here will be.
        mailbox.wait_settled().await?;
        let record = mailbox.state().head.record.clone();
        let loaded =
            crate::snapshot::load(self.mail.meta(), self.id, mailbox.id, record.uid_validity)
                .await?;
        mailbox.loaded(loaded);
        Ok(())
    }
}

pub(crate) fn contention() -> MailError {
    MailError::new(
        MailErrorKind::Unavailable,
        "other processes keep changing the mailbox",
    )
}
