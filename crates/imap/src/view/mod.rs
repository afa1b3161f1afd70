//! The client's picture of the selected mailbox. The only place that knows sequence numbers, and
//! the only one that sends EXISTS, RECENT, EXPUNGE, VANISHED and unsolicited FETCH.
//!
//! `told` is the view the client has been told about. Catching up is the difference between that
//! and the newest view; while EXPUNGE is forbidden and there is something to expunge, `told` stays
//! where it is.

mod rows;
mod tell;

pub use rows::Rows;
pub use tell::begin_fetch;

use crate::ext::context::Contexts;
use crate::grammar::{Bound, MessageSet, SequenceSet};
use crate::refusal::{Code, Refusal};
use mail::{Account, Selected, View};
use std::sync::Arc;
use tell::Own;
use tokio::sync::watch;
use types::{AccountId, Flags, MailboxId, Rights, Uid, UidSet};

/// How much may wait to be sent before a long answer pauses.
pub const MAX_PENDING: usize = 64 << 10;

/// Ranges of uids a saved search result may have: one MiB per session.
pub(crate) const MAX_SAVED: usize = 128 << 10;

/// Another session was faster.
pub const EXPUNGED: Refusal = Refusal::no(
    Code::Word("EXPUNGEISSUED"),
    "the message was expunged by another session",
);

/// A message sequence number: the position of a message among those the client knows, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MsgSeq(u32);

impl MsgSeq {
    fn at(index: usize) -> Self {
        Self(u32::try_from(index + 1).unwrap_or(u32::MAX))
    }

    /// As printed.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What the client wants to be told of the selected mailbox (RFC 5465 6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// That messages come and go.
    pub messages: bool,
    /// That flags change.
    pub flags: bool,
    /// Between commands no expunges are told.
    pub delayed: bool,
    /// NOTIFY asked for it: FETCH responses name the uid.
    pub notified: bool,
    /// Which messages are new is collected, for [`Selection::take_news`].
    pub news: bool,
}

impl Interest {
    /// After NOTIFY NONE.
    pub const NONE: Self = Self {
        messages: false,
        flags: false,
        delayed: true,
        notified: true,
        news: false,
    };
}

/// Without NOTIFY.
impl Default for Interest {
    fn default() -> Self {
        Self {
            messages: true,
            flags: true,
            delayed: true,
            notified: false,
            news: false,
        }
    }
}

/// A mailbox selected by a session.
pub struct Selection {
    owner: Account,
    mailbox: Selected,
    told: Arc<View>,
    /// Messages that are `\Recent` in this session.
    recent: UidSet,
    examined: bool,
    /// What the client could do with it when it was told so last.
    told_rights: Rights,
    /// How many of the mailbox's keywords the client has been told about.
    told_keywords: usize,
    changed: watch::Receiver<u64>,
    own: Own,
    interest: Interest,
    /// New messages to be fetched for the client.
    news: UidSet,
    /// Expunges wait to be told.
    held_back: bool,
    /// What `$` stands for (RFC 5182): messages the client knows.
    saved: UidSet,
    /// Resets of access keys seen so far; `None` before the first look.
    key_resets: Option<u64>,
    /// The searches that are kept up to date (RFC 5267).
    contexts: Contexts,
}

impl Selection {
    /// Over a mailbox of `owner` just opened.
    pub fn new(owner: Account, mailbox: Selected, examined: bool) -> Self {
        let changed = mailbox.watch();
        let told = mailbox.view();
        let told_keywords = told.keywords().len();
        let mailbox_rights = mailbox.rights();
        let mut this = Self {
            owner,
            mailbox,
            told,
            recent: UidSet::new(),
            examined,
            told_rights: mailbox_rights,
            told_keywords,
            changed,
            own: Own::default(),
            interest: Interest::default(),
            news: UidSet::new(),
            held_back: false,
            saved: UidSet::new(),
            key_resets: None,
            contexts: Contexts::default(),
        };
        this.claim_recent();
        this
    }

    /// The account the mailbox belongs to, not always the one that logged in.
    pub fn owner(&self) -> &Account {
        &self.owner
    }

    /// The mailbox.
    pub fn mailbox(&self) -> &Selected {
        &self.mailbox
    }

    /// Whether it is this one.
    pub fn is_of(&self, owner: &Account, id: MailboxId) -> bool {
        self.owner.id() == owner.id() && self.mailbox.id() == id
    }

    /// Whether `user`, who has selected the mailbox, got another access key for it since this was
    /// asked last (RFC 4467 7).
    pub fn key_was_reset(&mut self, user: AccountId) -> bool {
        let resets = self.mailbox.key_resets(user);
        let seen = self.key_resets.replace(resets);
        seen.is_some_and(|seen| seen != resets)
    }

    /// Whether it was opened by EXAMINE, or the client may change nothing that all see (RFC 4314
    /// 5.2).
    pub fn is_read_only(&self) -> bool {
        let changes = Rights::INSERT
            .and(Rights::EXPUNGE)
            .and(Rights::SEEN)
            .and(Rights::WRITE)
            .and(Rights::DELETE_MESSAGES);
        self.examined || !self.mailbox.rights().any(changes)
    }

    /// RFC 4314 5.1.1: who may not read it any more gets no answer from it.
    ///
    /// # Errors
    /// BYE.
    pub fn check_access(&self) -> Result<(), Refusal> {
        if self.mailbox.is_gone() {
            return Err(Refusal::Bye("the selected mailbox was deleted"));
        }
        match self.mailbox.rights().contains(Rights::READ) {
            true => Ok(()),
            false => Err(Refusal::Bye(
                "the selected mailbox is not shared with you any more",
            )),
        }
    }

    /// What the client has been told about.
    pub fn told(&self) -> &Arc<View> {
        &self.told
    }

    /// What the client wants to be told from now on.
    pub fn set_interest(&mut self, interest: Interest) {
        self.interest = interest;
    }

    /// The new messages told since the last time, if that is of interest.
    pub fn take_news(&mut self) -> UidSet {
        std::mem::take(&mut self.news)
    }

    /// The searches that are kept up to date.
    pub(crate) fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// The same, to be changed.
    pub(crate) fn contexts_mut(&mut self) -> &mut Contexts {
        &mut self.contexts
    }

    /// The number of a message the client knows.
    pub fn number(&self, uid: Uid) -> Option<MsgSeq> {
        self.told.index_of(uid).map(MsgSeq::at)
    }

    /// How many messages are `\Recent`.
    pub fn recent_count(&self) -> u32 {
        u32::try_from(self.count(&self.recent)).unwrap_or(u32::MAX)
    }

    /// How many of `uids` the client knows.
    pub fn count(&self, uids: &UidSet) -> u64 {
        let spans = uids.ranges().map(|range| self.span(range));
        spans.map(|(from, to)| (to - from) as u64).sum()
    }

    /// The positions of the messages in a range of uids, the last one excluded.
    fn span(&self, (a, b): (Uid, Uid)) -> (usize, usize) {
        let to = b.next().map_or(self.told.len(), |end| self.told.rank(end));
        (self.told.rank(a), to)
    }

    /// Whether a message is `\Recent` in this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// Resolves when there may be something to tell. Cancel safe.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The first message that lacks one of `flags`.
    pub fn first_without(&self, flags: Flags) -> Option<MsgSeq> {
        self.told.first_without(flags).map(MsgSeq::at)
    }

    /// RFC 5182 2.1: what `$` stands for from now on, in place of what it stood for.
    ///
    /// # Errors
    /// NOTSAVED, and `$` is empty, when that is more than a session may keep.
    pub fn save(&mut self, found: UidSet) -> Result<(), Refusal> {
        if found.ranges().len() > MAX_SAVED {
            self.saved = UidSet::new();
            // RFC 5182 2.5.
            return Err(Refusal::no(
                Code::Word("NOTSAVED"),
                "the result is too large to be saved",
            ));
        }
        self.saved = found;
        Ok(())
    }

    /// RFC 5182 2.1: `$` is empty, a search that was to be saved has failed.
    pub fn forget_saved(&mut self) {
        self.saved = UidSet::new();
    }

    // From the client's numbers to uids.

    /// The uids a command means: the last moment a sequence number exists. Uids that the client has
    /// not been told about are left out: it cannot mean them.
    ///
    /// # Errors
    /// A sequence number beyond the last message.
    pub fn resolve(&self, set: &MessageSet) -> Result<UidSet, Refusal> {
        match set {
            MessageSet::Uid(set) => Ok(self.resolve_uids(set)),
            MessageSet::Seq(set) => self.resolve_seqs(set),
            MessageSet::Saved => Ok(self.saved.clone()),
        }
    }

    /// The uids a search means. RFC 7377 2: in any search, numbers beyond the last message are no
    /// error.
    pub fn resolve_within(&self, set: &MessageSet) -> UidSet {
        match set {
            MessageSet::Uid(set) => self.resolve_uids(set),
            MessageSet::Seq(set) => self.clip_seqs(set),
            MessageSet::Saved => self.saved.clone(),
        }
    }

    fn clip_seqs(&self, set: &SequenceSet) -> UidSet {
        let exists = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        let number = |bound| match bound {
            Bound::Number(n) => n.get(),
            Bound::Last => exists,
        };
        let uid = |seq: u32| {
            let row = self.told.get(seq.checked_sub(1)? as usize)?;
            Some(row.uid)
        };
        UidSet::from_ranges(set.0.iter().filter_map(|&(a, b)| {
            let (a, b) = (number(a), number(b));
            Some((uid(a.min(b))?, uid(a.max(b).min(exists))?))
        }))
    }

    fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        // RFC 9051 9, seq-number: `*` is the largest uid in use; `n:*` includes it though n be
        // larger.
        let Some(last) = self
            .told
            .len()
            .checked_sub(1)
            .and_then(|i| self.told.get(i))
        else {
            return UidSet::new();
        };
        let number = |bound| match bound {
            Bound::Number(n) => n.get(),
            Bound::Last => last.uid.get(),
        };
        UidSet::from_ranges(set.0.iter().filter_map(|&(a, b)| {
            let (a, b) = (number(a), number(b));
            let (from, to) = (a.min(b), a.max(b).min(last.uid.get()));
            (from <= to).then_some((Uid::new(from)?, Uid::new(to)?))
        }))
    }

    fn resolve_seqs(&self, set: &SequenceSet) -> Result<UidSet, Refusal> {
        let exists = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        let mut ranges = Vec::with_capacity(set.0.len());
        for &(a, b) in &set.0 {
            // Clients send 1:* without looking whether there is anything.
            if exists == 0 && (a == Bound::Last || b == Bound::Last) {
                continue;
            }
            let uid = |bound| {
                let seq = match bound {
                    Bound::Number(n) => n.get(),
                    Bound::Last => exists,
                };
                self.told.get(seq as usize - 1).map(|row| row.uid)
            };
            // RFC 9051 9, seq-number: a number above the count of messages is an error.
            match (uid(a), uid(b)) {
                (Some(a), Some(b)) => ranges.push((a, b)),
                _ => return Err(Refusal::bad("no message has that sequence number")),
            }
        }
        // Between two known messages lie known messages only: the range of sequence numbers is one
        // of uids.
        Ok(UidSet::from_ranges(ranges))
    }

    /// The one message that a set names, and its size.
    ///
    /// # Errors
    /// A sequence number beyond the last message; EXPUNGEISSUED (RFC 5530 3), or NONEXISTENT when
    /// the client was never told of it.
    pub fn one(&self, set: &MessageSet) -> Result<(Uid, u32), Refusal> {
        let told = self.resolve(set)?.first();
        let told = told.and_then(|uid| self.told.find(uid));
        let Some(row) = told else {
            return Err(Refusal::no(Code::NONEXISTENT, "no such message"));
        };
        match self.mailbox.view().find(row.uid) {
            Some(row) => Ok((row.uid, row.size)),
            None => Err(EXPUNGED),
        }
    }

    /// All uids a set of uids names, whether or not there are such messages (RFC 7162 3.2.6: `*` is
    /// the last).
    pub fn known_uids(&self, set: &MessageSet) -> UidSet {
        let set = match set {
            MessageSet::Uid(set) | MessageSet::Seq(set) => set,
            MessageSet::Saved => return self.saved.clone(),
        };
        let last = self.told.uid_next().saturating_sub(1).max(1);
        let uid = |bound| match bound {
            Bound::Number(n) => Uid::new(n.get()),
            Bound::Last => Uid::new(last),
        };
        UidSet::from_ranges(set.0.iter().filter_map(|&(a, b)| Some((uid(a)?, uid(b)?))))
    }

    /// The numbers by which the client knows messages: uids, or sequence numbers, as a set.
    pub fn numbers(&self, uids: &UidSet, uid: bool) -> String {
        if uid {
            return uids.to_string();
        }
        let seqs: UidSet = self
            .told
            .rows_in(uids)
            .filter_map(|(index, _)| Uid::new(MsgSeq::at(index).0))
            .collect();
        seqs.to_string()
    }

    /// The messages of `uids` for FETCH and SEARCH: numbered as the client knows them, with their
    /// newest flags. Messages expunged meanwhile are still there.
    pub fn rows(&self, uids: &UidSet) -> Rows {
        self.rows_of(uids, self.mailbox.view())
    }

    /// The same with the flags the client knows.
    pub fn rows_as_told(&self, uids: &UidSet) -> Rows {
        self.rows_of(uids, Arc::clone(&self.told))
    }

    fn rows_of(&self, uids: &UidSet, latest: Arc<View>) -> Rows {
        let positions = uids
            .ranges()
            .map(|range| self.span(range))
            .filter(|(from, to)| from < to)
            .collect();
        Rows::new(
            Arc::clone(&self.told),
            latest,
            self.recent.clone(),
            positions,
        )
    }

    /// RFC 3501 2.3.2: new messages are recent in the first session that is told of them. A guest's
    /// does not count: they stay recent for the owner.
    fn claim_recent(&mut self) {
        let first = match self.is_read_only() || self.owner.guest().is_some() {
            true => self.mailbox.peek_recent(),
            false => self.mailbox.claim_recent(),
        };
        let last = self.told.uid_next().saturating_sub(1);
        if let (Some(first), Some(last)) = (Uid::new(first), Uid::new(last))
            && first <= last
        {
            self.recent = self.recent.union(&UidSet::range(first, last));
        }
    }
}

/// The uids above `after` that were given out and are not in the view.
fn missing(view: &View, after: u32) -> UidSet {
    let mut next = after.saturating_add(1);
    let mut gaps = Vec::new();
    let mut gap = |from: u32, to: u32| {
        if let (true, Some(from), Some(to)) = (from <= to, Uid::new(from), Uid::new(to)) {
            gaps.push((from, to));
        }
    };
    for row in view.rows() {
        let uid = row.uid.get();
        if uid >= next {
            gap(next, uid - 1);
            next = uid.saturating_add(1);
        }
    }
    gap(next, view.uid_next().saturating_sub(1));
    UidSet::from_ranges(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mail::{Mail, NewMessage, Options, Provenance};
    use storage::{MemoryBlobs, MemoryMeta};

    async fn selection(messages: u32) -> Selection {
        let stores = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
        let mail = Mail::open(stores.0, stores.1, Options::default())
            .await
            .unwrap();
        let info = mail.ensure_account("alice").await.unwrap();
        let account = mail.account(info.id).await.unwrap();
        let inbox = account
            .tree()
            .find(&types::MailboxName::inbox())
            .unwrap()
            .id;
        for n in 0..messages {
            let body = Bytes::from(format!("{n}"));
            let content = mail.ingest(body, &Provenance::default()).await.unwrap();
            let message = NewMessage {
                content,
                prefix: Bytes::new(),
                flags: Flags::NONE,
                keywords: Vec::new(),
                internal_date: None,
            };
            account.append(inbox, vec![message]).await.unwrap();
        }
        let mailbox = account.select(inbox).await.unwrap();
        Selection::new(account, mailbox, false)
    }

    fn uids(ranges: &[(u32, u32)]) -> UidSet {
        let uid = |n| Uid::new(n).unwrap();
        UidSet::from_ranges(ranges.iter().map(|&(a, b)| (uid(a), uid(b))))
    }

    #[tokio::test]
    async fn numbers_hold_until_the_client_is_told() {
        let selection = selection(6).await;
        selection
            .mailbox
            .expunge(&uids(&[(2, 3), (6, 6)]))
            .await
            .unwrap();
        let set = |raw: &str| {
            crate::grammar::Cursor::of(raw.as_bytes())
                .message_set(false)
                .unwrap()
        };
        assert_eq!(
            selection.resolve(&set("2,5:*")).unwrap(),
            uids(&[(2, 2), (5, 6)])
        );
        assert!(selection.resolve(&set("7")).is_err());
        assert_eq!(selection.numbers(&uids(&[(4, 6)]), false), "4:6");
        assert_eq!(selection.count(&uids(&[(2, 9)])), 5);
        // The expunged are still there to be fetched.
        let (mut rows, mut batch) = (selection.rows(&uids(&[(1, 6)])), Vec::new());
        assert!(rows.next_batch(4, &mut batch));
        assert_eq!(batch.len(), 4);
        assert!(rows.next_batch(4, &mut batch));
        assert_eq!(
            batch.last().map(|(seq, row)| (seq.get(), row.uid.get())),
            Some((6, 6))
        );
        assert!(!rows.next_batch(4, &mut batch));
    }

    #[tokio::test]
    async fn what_is_saved_is_bounded() {
        let mut selection = selection(2).await;
        selection.save(uids(&[(1, 2)])).unwrap();
        assert_eq!(
            selection.resolve(&MessageSet::Saved).unwrap(),
            uids(&[(1, 2)])
        );
        let apart = |count: usize| (1..).step_by(2).take(count).filter_map(Uid::new);
        selection.save(apart(MAX_SAVED).collect()).unwrap();
        let refusal = selection.save(apart(MAX_SAVED + 1).collect());
        assert!(matches!(
            refusal,
            Err(Refusal::No(Some(Code::Word("NOTSAVED")), _))
        ));
        assert!(selection.resolve(&MessageSet::Saved).unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_missing_has_vanished() {
        let selection = selection(7).await;
        assert!(missing(&selection.told, 0).is_empty());
        selection
            .mailbox
            .expunge(&uids(&[(1, 2), (4, 4), (7, 7)]))
            .await
            .unwrap();
        let view = selection.mailbox.view();
        assert_eq!(missing(&view, 0), uids(&[(1, 2), (4, 4), (7, 7)]));
        assert_eq!(missing(&view, 3), uids(&[(4, 4), (7, 7)]));
        assert!(missing(&view, 7).is_empty());
        assert!(missing(&view, u32::MAX).is_empty());
    }
}
