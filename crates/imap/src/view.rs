//! The client's picture of the selected mailbox. The only place that knows sequence numbers, and the only one
//! that sends EXISTS, RECENT, EXPUNGE, VANISHED and unsolicited FETCH.
//!
//! `told` is the view the client has been told about. Catching up is the difference between that and the
//! newest view; while EXPUNGE is forbidden and there is something to expunge, `told` stays where it is.

use crate::grammar::{Bound, Emit, MessageSet, SequenceSet};
use crate::refusal::Refusal;
use crate::session::Enabled;
use bytes::BytesMut;
use mail::{FlagChange, Row, Selected, View};
use net::Wire;
use std::sync::Arc;
use tokio::sync::watch;
use types::{FlagOp, Flags, ModSeq, Uid, UidSet};

/// How much may wait to be sent before a long answer pauses.
pub const MAX_PENDING: usize = 64 << 10;

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

/// A mailbox selected by a session.
pub struct Selection {
    mailbox: Selected,
    told: Arc<View>,
    /// Messages that are `\Recent` in this session.
    recent: UidSet,
    read_only: bool,
    /// How many of the mailbox's keywords the client has been told about.
    told_keywords: usize,
    changed: watch::Receiver<u64>,
    own: Own,
}

/// What the client's own command did, for the [`Selection::sync`] after it.
#[derive(Default)]
struct Own {
    /// Flags to be told whether or not they changed (STORE).
    announce: UidSet,
    /// Changes the client knows of already (STORE .SILENT, implicit `\Seen` told by FETCH).
    silent: Option<(UidSet, FlagChange)>,
    /// Whether FETCH responses name the uid (the command was a UID command).
    with_uid: bool,
}

impl Selection {
    /// Over a mailbox just opened.
    pub fn new(mailbox: Selected, read_only: bool) -> Self {
        let changed = mailbox.watch();
        let told = mailbox.view();
        let told_keywords = told.keywords().len();
        let mut this = Self {
            mailbox,
            told,
            recent: UidSet::new(),
            read_only,
            told_keywords,
            changed,
            own: Own::default(),
        };
        this.claim_recent();
        this
    }

    /// The mailbox.
    pub fn mailbox(&self) -> &Selected {
        &self.mailbox
    }

    /// Whether it was opened by EXAMINE.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// What the client has been told about.
    pub fn told(&self) -> &Arc<View> {
        &self.told
    }

    /// How many messages are `\Recent`.
    pub fn recent_count(&self) -> u32 {
        let count: usize = self
            .recent
            .ranges()
            .map(|(a, b)| {
                b.next().map_or(self.told.len(), |end| self.told.rank(end)) - self.told.rank(a)
            })
            .sum();
        u32::try_from(count).unwrap_or(u32::MAX)
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

    /// EXISTS and RECENT.
    pub fn write_counts(&self, out: &mut BytesMut) {
        out.raw(b"* ")
            .num(self.told.len() as u64)
            .raw(b" EXISTS\r\n* ");
        out.num(self.recent_count()).raw(b" RECENT\r\n");
    }

    /// The first message that lacks one of `flags`.
    pub fn first_without(&self, flags: Flags) -> Option<MsgSeq> {
        self.told.first_without(flags).map(MsgSeq::at)
    }

    // From the client's numbers to uids.

    /// The uids a command means: the last moment a sequence number exists. Uids that the client has not been
    /// told about are left out: it cannot mean them.
    ///
    /// # Errors
    /// A sequence number beyond the last message.
    pub fn resolve(&self, set: &MessageSet) -> Result<UidSet, Refusal> {
        match set {
            MessageSet::Uid(set) => Ok(self.resolve_uids(set)),
            MessageSet::Seq(set) => self.resolve_seqs(set),
        }
    }

    fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        // RFC 9051 9, seq-number: `*` is the largest uid in use; `n:*` includes it though n be larger.
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
        // Between two known messages lie known messages only: the range of sequence numbers is one of uids.
        Ok(UidSet::from_ranges(ranges))
    }

    /// All uids a set of uids names, whether or not there are such messages (RFC 7162 3.2.6: `*` is the last).
    pub fn known_uids(&self, set: &MessageSet) -> UidSet {
        let (MessageSet::Uid(set) | MessageSet::Seq(set)) = set;
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

    /// The messages of `uids` for FETCH and SEARCH: numbered as the client knows them, with their newest
    /// flags. Messages expunged meanwhile are still there.
    pub fn rows(&self, uids: &UidSet) -> Rows {
        let positions = uids
            .ranges()
            .map(|(a, b)| {
                (
                    self.told.rank(a),
                    b.next().map_or(self.told.len(), |end| self.told.rank(end)),
                )
            })
            .filter(|(from, to)| from < to)
            .collect();
        Rows {
            latest: self.mailbox.view(),
            told: Arc::clone(&self.told),
            recent: self.recent.clone(),
            positions,
            next: 0,
        }
    }

    // Telling.

    /// After STORE: all of `stored` carry `change`. Silent, the client is told only what it cannot know.
    pub fn stored(&mut self, stored: UidSet, change: FlagChange, silent: bool, with_uid: bool) {
        self.own.with_uid = with_uid;
        if silent {
            self.own.silent = Some((stored, change));
        } else {
            self.own.announce = stored;
        }
    }

    /// Tells what has changed since the client was last told. With `may_expunge` false nothing is told while
    /// expunges wait, except what STORE must answer.
    ///
    /// # Errors
    /// The connection, or BYE when the mailbox is gone.
    pub async fn sync(
        &mut self,
        wire: &mut Wire,
        enabled: Enabled,
        may_expunge: bool,
    ) -> Result<(), Refusal> {
        let own = std::mem::take(&mut self.own);
        let latest = self.mailbox.view();
        if self.mailbox.is_gone() {
            return Err(Refusal::Bye("the selected mailbox was deleted"));
        }
        if Arc::ptr_eq(&latest, &self.told) && own.announce.is_empty() {
            return Ok(());
        }
        self.tell_keywords(&latest, wire.buffer());
        let changes = latest.changes_since(&self.told);
        if !changes.expunged.is_empty() && !may_expunge {
            // The sequence numbers of the old picture hold: answer with those.
            let told = Arc::clone(&self.told);
            return self
                .tell_flags(wire, enabled, &told, &latest, &told, &own.announce, &own)
                .await;
        }
        if !changes.expunged.is_empty() {
            self.tell_expunged(wire, enabled, &changes.expunged).await?;
        }
        let before = std::mem::replace(&mut self.told, Arc::clone(&latest));
        if !changes.added.is_empty() {
            self.claim_recent();
            self.write_counts(wire.buffer());
        }
        let flagged = match own.announce.is_empty() {
            true => changes.flagged,
            false => changes.flagged.union(&own.announce),
        };
        self.tell_flags(wire, enabled, &latest, &latest, &before, &flagged, &own)
            .await
    }

    fn tell_keywords(&mut self, latest: &View, out: &mut BytesMut) {
        if latest.keywords().len() > self.told_keywords {
            self.told_keywords = latest.keywords().len();
            self.write_flag_lists(latest, out);
        }
    }

    /// FLAGS and PERMANENTFLAGS (RFC 9051 7.3.5, 7.1).
    pub fn write_flag_lists(&self, view: &View, out: &mut BytesMut) {
        out.raw(b"* FLAGS ").all_flags(view.keywords(), "").crlf();
        out.raw(b"* OK [PERMANENTFLAGS ");
        match (self.read_only, view.keywords().len() < mail::MAX_KEYWORDS) {
            (true, _) => out.raw(b"()"),
            (false, true) => out.all_flags(view.keywords(), " \\*"),
            (false, false) => out.all_flags(view.keywords(), ""),
        };
        out.raw(b"] Flags that can be kept\r\n");
    }

    async fn tell_expunged(
        &self,
        wire: &mut Wire,
        enabled: Enabled,
        gone: &UidSet,
    ) -> Result<(), Refusal> {
        if enabled.qresync {
            wire.buffer().raw(b"* VANISHED ").uids(gone).crlf();
            return Ok(());
        }
        // From the last to the first, so that no number shifts another: what a client that keeps an array
        // can follow in linear time.
        for (a, b) in gone.ranges().rev() {
            let from = self.told.rank(a);
            let to = b.next().map_or(self.told.len(), |end| self.told.rank(end));
            for index in (from..to).rev() {
                wire.buffer()
                    .raw(b"* ")
                    .num(MsgSeq::at(index).0)
                    .raw(b" EXPUNGE\r\n");
                wire.flush_if_over(MAX_PENDING).await?;
            }
        }
        Ok(())
    }

    /// FETCH responses for `uids`: numbered by `numbers`, with the flags of `latest`. `before` is what the
    /// client knew.
    #[expect(
        clippy::too_many_arguments,
        reason = "three views with different parts"
    )]
    async fn tell_flags(
        &self,
        wire: &mut Wire,
        enabled: Enabled,
        numbers: &View,
        latest: &View,
        before: &View,
        uids: &UidSet,
        own: &Own,
    ) -> Result<(), Refusal> {
        for (index, row) in numbers.rows_in(uids) {
            let Some(row) = latest.find(row.uid) else {
                continue;
            };
            let quiet = own.silent.as_ref().is_some_and(|(set, change)| {
                set.contains(row.uid)
                    && before
                        .find(row.uid)
                        .is_some_and(|old| is_result(&old, change, &row, latest))
            });
            // RFC 7162 3.1.3: .SILENT does not silence MODSEQ.
            if quiet && !enabled.condstore {
                continue;
            }
            let out = wire.buffer();
            out.raw(b"* ").num(MsgSeq::at(index).0).raw(b" FETCH (");
            if own.with_uid || enabled.qresync {
                out.raw(b"UID ").num(row.uid.get()).raw(b" ");
            }
            if !quiet {
                out.raw(b"FLAGS ")
                    .flags(row.flags, row.keywords, self.is_recent(row.uid), latest);
            }
            if enabled.condstore {
                out.raw(if quiet { b"MODSEQ (" } else { b" MODSEQ (" })
                    .num(row.modseq.get())
                    .raw(b")");
            }
            out.raw(b")\r\n");
            wire.flush_if_over(MAX_PENDING).await?;
        }
        Ok(())
    }

    /// RFC 7162 3.2.10.1: VANISHED (EARLIER) for what was expunged after `since`, among `known` (all, if `None`).
    /// `samples` are pairs of sequence number and uid the client knew: see RFC 7162 3.2.5.2.
    ///
    /// # Errors
    /// The engine's, when the journal cannot be read.
    pub async fn tell_vanished_earlier(
        &self,
        wire: &mut Wire,
        since: u64,
        known: Option<&UidSet>,
        samples: &[(u32, u32)],
    ) -> Result<(), Refusal> {
        let since = self.mailbox.effective_since(since);
        let vanished = match self.mailbox.vanished_since(since).await? {
            Some(vanished) => vanished,
            // Too long ago to be remembered: whatever is not there has vanished, except below the last
            // message whose number has not changed.
            None => missing(&self.told, self.last_match(samples)),
        };
        let vanished = match known {
            Some(known) => vanished.intersection(known),
            None => vanished,
        };
        if !vanished.is_empty() {
            wire.buffer()
                .raw(b"* VANISHED (EARLIER) ")
                .uids(&vanished)
                .crlf();
        }
        Ok(())
    }

    /// The uid of the last sample that still holds.
    fn last_match(&self, samples: &[(u32, u32)]) -> u32 {
        let holds = |&&(seq, uid): &&(u32, u32)| {
            let row = (seq as usize)
                .checked_sub(1)
                .and_then(|index| self.told.get(index));
            row.is_some_and(|row| row.uid.get() == uid)
        };
        samples
            .iter()
            .filter(holds)
            .map(|&(_, uid)| uid)
            .max()
            .unwrap_or(0)
    }

    /// FETCH (UID FLAGS MODSEQ) for the messages that changed after `since`, among `known` (all, if `None`).
    ///
    /// # Errors
    /// The connection.
    pub async fn tell_changed(
        &self,
        wire: &mut Wire,
        enabled: Enabled,
        since: u64,
        known: Option<&UidSet>,
    ) -> Result<(), Refusal> {
        let changed = self.told.changed_after(self.mailbox.effective_since(since));
        let changed = match known {
            Some(known) => changed.intersection(known),
            None => changed,
        };
        self.tell_flags(
            wire,
            enabled,
            &self.told,
            &self.told,
            &self.told,
            &changed,
            &Own::default(),
        )
        .await
    }

    /// RFC 3501 2.3.2: new messages are recent in the first session that is told of them.
    fn claim_recent(&mut self) {
        let first = match self.read_only {
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

/// Whether `now` is what `change` makes of `old`: then the client that asked for the change knows it.
fn is_result(old: &Row, change: &FlagChange, now: &Row, view: &View) -> bool {
    let bits = change
        .keywords
        .iter()
        .filter_map(|k| view.keyword_bit(k))
        .fold(0, |all, bit| all | bit);
    let (flags, keywords) = match change.op {
        FlagOp::Add => (old.flags.union(change.flags), old.keywords | bits),
        FlagOp::Remove => (old.flags.without(change.flags), old.keywords & !bits),
        FlagOp::Replace => (change.flags, bits),
    };
    now.flags == flags && now.keywords == keywords
}

/// Messages to be answered about, handed out in batches; holds no borrow of the session.
pub struct Rows {
    told: Arc<View>,
    latest: Arc<View>,
    recent: UidSet,
    /// Ranges of positions in `told` still to come.
    positions: Vec<(usize, usize)>,
    next: usize,
}

impl Rows {
    /// The view the rows' keywords belong to.
    pub fn view(&self) -> &View {
        &self.latest
    }

    /// Whether a message is `\Recent`.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// Replaces the content of `batch` by the next messages, at most `max`; `false` when none are left.
    pub fn next_batch(&mut self, max: usize, batch: &mut Vec<(MsgSeq, Row)>) -> bool {
        batch.clear();
        while let Some((from, to)) = self.positions.get_mut(self.next) {
            let until = (*to).min(*from + (max - batch.len()));
            batch.extend(
                self.told
                    .rows_at(*from, until)
                    .map(|(index, row)| (MsgSeq::at(index), newest(&self.told, &self.latest, row))),
            );
            *from = until;
            if *from < *to {
                break;
            }
            self.next += 1;
            if batch.len() >= max {
                break;
            }
        }
        !batch.is_empty()
    }

    /// Keeps only messages changed after `since` (CHANGEDSINCE, RFC 7162 3.1.4.1).
    pub fn changed_since(&mut self, since: u64) {
        let mut kept = Vec::new();
        for &(from, to) in &self.positions {
            for (index, row) in self.told.rows_at(from, to) {
                let row = newest(&self.told, &self.latest, row);
                if row.modseq.get() <= since {
                    continue;
                }
                match kept.last_mut() {
                    Some((_, end)) if *end == index => *end = index + 1,
                    _ => kept.push((index, index + 1)),
                }
            }
        }
        self.positions = kept;
    }

    /// The largest modseq among all of the messages, `None` when there are none.
    pub fn max_modseq(&self) -> Option<ModSeq> {
        let rows = self
            .positions
            .iter()
            .flat_map(|&(from, to)| self.told.rows_at(from, to));
        rows.map(|(_, row)| newest(&self.told, &self.latest, row).modseq)
            .max()
    }
}

/// The row of a message in `latest`; the one in `told` if it is gone there.
fn newest(told: &View, latest: &View, row: Row) -> Row {
    if told.modseq() == latest.modseq() {
        row
    } else {
        latest.find(row.uid).unwrap_or(row)
    }
}
