//! A mailbox opened by a session: reading its view, changing flags, expunging.

use crate::account::AccountInner;
use crate::acl::{Guest, denied};
use crate::edit::{ATTEMPTS, Transaction};
use crate::history::Reads;
use crate::journal::Change;
use crate::mailbox::Mailbox;
use crate::messages::contention;
use crate::permitted::Permitted;
use crate::{Account, Actor, Email, FlagChange, MailError, Row, View, snapshot};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use types::{AccountId, Door, EmailId, FlagOp, Flags, MailboxId, ModSeq, Rights, Uid, UidSet};

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
pub struct Selected {
    account: Arc<AccountInner>,
    guest: Guest,
    mailbox: Arc<Mailbox>,
    /// On whose behalf it is open.
    actor: Arc<Actor>,
    /// What was read of it, once anything was.
    reads: OnceLock<Arc<Reads>>,
    /// What `view()` answers should the newest one be unavailable.
    opened: Arc<View>,
}

impl Account {
    /// Opens a mailbox for a session: its view is loaded and stays so while the handle lives.
    /// `NotFound`, `Denied`.
    pub async fn select(&self, id: MailboxId) -> Result<Selected, MailError> {
        let account = self.0.clone();
        let mailbox = account.existing(id)?;
        // RFC 4314 4: SELECT and EXAMINE take the right to read.
        self.require(id, Rights::READ)?;
        mailbox.sessions.fetch_add(1, Ordering::AcqRel);
        // From here on the session is counted, and dropping `selected` uncounts it.
        let empty = View::empty(mailbox.state().head.record.uid_validity);
        let mut selected = Selected {
            account,
            guest: self.2,
            mailbox,
            actor: self.actor().clone(),
            reads: OnceLock::new(),
            opened: Arc::new(empty),
        };
        let shown = selected.mailbox.state().shown.view.clone();
        selected.opened = match shown {
            Some(view) => view,
            None => {
                let _writer = selected.account.writer.lock().await;
                selected.mailbox.live()?;
                selected.account.load(&selected.mailbox).await?;
                selected.view()
            }
        };
        selected.account.consider_snapshot(&selected.mailbox);
        let is_owner = selected.actor.user == Some(selected.account.id);
        if selected.actor.door == Door::Imap && is_owner && selected.is_inbox() {
            selected.account.imap_selected().await;
        }
        Ok(selected)
    }
}

impl Drop for Selected {
    fn drop(&mut self) {
        if self.mailbox.sessions.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.account.mail.cache_view(&self.mailbox);
        }
    }
}

impl Selected {
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(crate) fn account(&self) -> &Arc<AccountInner> {
        &self.account
    }

    /// On whose behalf it is open.
    pub(crate) fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }

    fn is_inbox(&self) -> bool {
        self.mailbox.state().shown.record.name.is_inbox()
    }

    /// The mailbox's id.
    pub fn id(&self) -> MailboxId {
        self.mailbox.id
    }

    /// Whose mailbox it is.
    pub fn account_id(&self) -> AccountId {
        self.account.id
    }

    /// What may be done with it now; nothing when it is gone.
    pub fn rights(&self) -> Rights {
        self.account.rights(self.guest, self.mailbox.id)
    }

    pub(crate) async fn emails(&self, ids: &[EmailId]) -> Result<Vec<Option<Email>>, MailError> {
        self.account.emails(ids).await
    }

    /// `Denied` unless all of `rights` are there. Who has it open knows of it.
    pub fn require(&self, rights: Rights) -> Result<(), MailError> {
        match self.rights().contains(rights) {
            true => Ok(()),
            false => Err(denied()),
        }
    }

    /// The newest view that may be shown. Cheap.
    pub fn view(&self) -> Arc<View> {
        self.mailbox
            .state()
            .shown
            .view
            .clone()
            .unwrap_or_else(|| self.opened.clone())
    }

    /// Changes its value whenever `view()` or `key_resets()` does, when rights to it are given or
    /// taken, and when the mailbox is deleted.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.mailbox.watch()
    }

    /// How often `user` has got another access key for this mailbox since the process opened it.
    pub fn key_resets(&self, user: AccountId) -> u64 {
        self.mailbox.key_resets(user)
    }

    /// When new messages were last made visible, for measuring how soon they are told.
    pub fn arrived(&self) -> Option<std::time::Instant> {
        self.mailbox.state().arrived
    }

    /// Whether the mailbox was deleted by someone: operations answer `Gone`, the view stays
    /// readable.
    pub fn is_gone(&self) -> bool {
        self.mailbox.is_gone()
    }

    /// Claims `\Recent`: the first uid that no session has been told about before this call; all
    /// from it on up to the view's UIDNEXT are recent for the caller, and for nobody after it (RFC
    /// 3501 2.3.2). Written down with the next commit to the mailbox: after a crash messages may be
    /// recent again.
    pub fn claim_recent(&self) -> u32 {
        let mut state = self.mailbox.state();
        let from = state.recent_from;
        state.recent_from = state.shown.record.uid_next.max(from);
        from
    }

    /// The same without claiming (EXAMINE).
    pub fn peek_recent(&self) -> u32 {
        self.mailbox.state().recent_from
    }

    /// Changes flags of those of `uids` that exist. With `unchanged_since`, messages whose modseq
    /// is larger are left alone. Visible to everybody when it returns; durable within 100 ms. Flags
    /// that a guest may not change stay as they are; `Denied` when that is all of them (RFC 4314
    /// 4).
    pub async fn store(
        &self,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<u64>,
    ) -> Result<Stored, MailError> {
        let account = &self.account;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            self.mailbox.live()?;
            account.load(&self.mailbox).await?;
            let mut tx = Transaction::new(account, &mut writer);
            let view = tx.view(&self.mailbox)?;
            let (first, then) = Permitted::of(self.rights()).changes(change, &view)?;
            let mut plan = Plan::new(&view, uids, &first, unchanged_since);
            let then = then.map(|change| {
                let plan = Plan::new(&view, &plan.named, &change, None);
                (plan.changing, change)
            });
            let first = (std::mem::take(&mut plan.changing), first);
            let mut modseq = None;
            for (uids, change) in std::iter::once(first).chain(then) {
                if !uids.is_empty() {
                    modseq = Some(tx.change(&self.mailbox, Change::Flagged(uids, change))?);
                }
            }
            let Some(modseq) = modseq else {
                drop(writer);
                // RFC 7162 3.1.3: what changes nothing needs no new modseq.
                self.mailbox.wait_shown(view.modseq()).await?;
                return Ok(plan.stored(view.modseq()));
            };
            if let Some(pending) = tx.commit(&mut writer, false).await? {
                drop(writer);
                pending.shown().await?;
                return Ok(plan.stored(modseq));
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }

    /// Notes that the text of messages, or a part of it, was sent to the client, for the history.
    /// Cheap; written down within seconds.
    pub fn note_retrieved(&self, uids: impl Iterator<Item = Uid>) {
        let mail = &self.account.mail;
        if mail.options().history_seconds > 0 {
            let reads = self.reads.get_or_init(|| {
                let name = self.mailbox.state().shown.record.name.clone();
                let (account, mailbox) = (self.account.id, self.mailbox.id);
                Reads::new(account, mailbox, name, self.actor.clone())
            });
            reads.note(mail.history(), uids);
        }
    }

    /// Removes those of `uids` that exist. Undelete can bring them back for a while. `Denied`.
    pub async fn expunge(&self, uids: &UidSet) -> Result<Expunged, MailError> {
        self.remove(|view| view.existing(uids)).await
    }

    /// Removes those of `uids` (all, if `None`) that carry `\Deleted`. `Denied`.
    pub async fn expunge_deleted(&self, uids: Option<&UidSet>) -> Result<Expunged, MailError> {
        let deleted = |row: &Row| row.flags.contains(Flags::DELETED);
        self.remove(|view| match uids {
            Some(uids) => view
                .rows_in(uids)
                .map(|(_, row)| row)
                .filter(deleted)
                .map(|row| row.uid)
                .collect(),
            None => view.rows().filter(deleted).map(|row| row.uid).collect(),
        })
        .await
    }

    async fn remove(&self, choose: impl Fn(&View) -> UidSet) -> Result<Expunged, MailError> {
        let account = &self.account;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            self.mailbox.live()?;
            // RFC 4314 4: EXPUNGE takes e.
            self.require(Rights::EXPUNGE)?;
            account.load(&self.mailbox).await?;
            let mut tx = Transaction::new(account, &mut writer);
            let view = tx.view(&self.mailbox)?;
            let uids = choose(&view);
            if uids.is_empty() {
                let modseq = view.modseq();
                drop(writer);
                self.mailbox.wait_shown(modseq).await?;
                return Ok(Expunged { uids, modseq });
            }
            let modseq = tx.remove(&writer, &self.mailbox, &uids, &self.actor)?;
            if let Some(pending) = tx.commit(&mut writer, true).await? {
                drop(writer);
                pending.shown().await?;
                return Ok(Expunged { uids, modseq });
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }

    /// The uids expunged after modseq `since` (VANISHED EARLIER). `None` when the journal does not
    /// reach back that far: then everything below UIDNEXT that does not exist counts as vanished.
    pub async fn vanished_since(&self, since: u64) -> Result<Option<UidSet>, MailError> {
        let view = self.view();
        if since >= view.modseq().get() {
            return Ok(Some(UidSet::new()));
        }
        let meta = self.account.mail.meta();
        let vanished =
            snapshot::vanished_since(meta, self.account.id, self.mailbox.id, since).await?;
        // The journal may run ahead of what is shown: what the view still holds has not vanished
        // yet.
        Ok(vanished.map(|uids| {
            let existing = view.existing(&uids);
            if existing.is_empty() {
                return uids;
            }
            uids.iter().filter(|uid| !existing.contains(*uid)).collect()
        }))
    }

    /// What a modseq remembered by a client is worth here. After a power loss the numbers just
    /// above the last durable one may have been announced for flag changes that are gone (DESIGN
    /// 3.4): a client that holds such a number is told everything again.
    pub fn effective_since(&self, since: u64) -> u64 {
        self.mailbox.state().shown.record.effective_since(since)
    }
}

/// Which messages a STORE touches, and which of them it really changes.
pub(crate) struct Plan {
    named: UidSet,
    modified: UidSet,
    pub(crate) changing: UidSet,
}

impl Plan {
    pub(crate) fn new(
        view: &View,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<u64>,
    ) -> Self {
        let known: u64 = change
            .keywords
            .iter()
            .filter_map(|keyword| view.keyword_bit(keyword))
            .fold(0, |all, bit| all | bit);
        let all_known = change
            .keywords
            .iter()
            .all(|k| view.keyword_bit(k).is_some());
        let differs = |flags: Flags, keywords: u64| match change.op {
            FlagOp::Add => !flags.contains(change.flags) || !all_known || keywords & known != known,
            FlagOp::Remove => flags.0 & change.flags.0 != 0 || keywords & known != 0,
            FlagOp::Replace => flags != change.flags || !all_known || keywords != known,
        };
        let mut plan = Self {
            named: UidSet::new(),
            modified: UidSet::new(),
            changing: UidSet::new(),
        };
        for (chunk, from, to) in view.overlapping(uids) {
            let chunk = &view.chunks[chunk];
            for i in from..to {
                let uid = chunk.uids[i];
                if unchanged_since.is_some_and(|since| chunk.modseqs[i].get() > since) {
                    plan.modified.push(uid);
                    continue;
                }
                plan.named.push(uid);
                if differs(chunk.flags[i], chunk.keywords[i]) {
                    plan.changing.push(uid);
                }
            }
        }
        plan
    }

    fn stored(self, modseq: ModSeq) -> Stored {
        Stored {
            stored: self.named,
            modified: self.modified,
            modseq,
        }
    }
}

impl View {
    /// How many messages have a uid of at least `from` (`\Recent` of a session that claimed
    /// `from`).
    pub fn count_from(&self, from: u32) -> usize {
        Uid::new(from).map_or(0, |from| self.len() - self.rank(from))
    }
}

impl std::fmt::Debug for Selected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Selected({})", self.mailbox.id)
    }
}
