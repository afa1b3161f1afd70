//! The client's picture of the selected mailbox. The only place that knows sequence numbers, and
//! the only one that sends EXISTS, RECENT, EXPUNGE, VANISHED and unsolicited FETCH.
//!
//! `told` is the view the client has been told about. Catching up is the difference between that
//! and the newest view; while EXPUNGE is forbidden and there is something to expunge, `told` stays
//! where it is.

mod numbers;
mod rows;
mod tell;

pub(crate) use numbers::MAX_SAVED;
pub use rows::Rows;
pub use tell::begin_fetch;

use crate::ext::context::Contexts;
use crate::refusal::{Code, Refusal};
use mail::{Account, Selected, View};
use std::sync::Arc;
use tell::Own;
use tokio::sync::watch;
use types::{AccountId, MailboxId, Rights, Uid, UidSet};

/// How much may wait to be sent before a long answer pauses.
pub const MAX_PENDING: usize = 64 << 10;

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

    /// The newest of `uids`, at most `max` messages the client knows, and the lowest of these;
    /// `None` when there are no more than that.
    pub fn newest(&self, uids: &UidSet, max: usize) -> Option<(UidSet, Uid)> {
        let mut spans: Vec<_> = uids.ranges().map(|range| self.span(range)).collect();
        let mut left = max;
        while let Some((from, to)) = spans.pop() {
            if to - from > left {
                // The lowest is the last one that still fits.
                let last = self.told.get(to - left).map(|row| row.uid)?;
                return Some((uids.intersection(&UidSet::range(last, Uid::MAX)), last));
            }
            left -= to - from;
        }
        None
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

    /// The first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<MsgSeq> {
        self.told.first_unseen().map(MsgSeq::at)
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
