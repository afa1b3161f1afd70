//! What a session tells its client of the selected mailbox.

use super::{MAX_PENDING, MsgSeq, Selection, missing};
use crate::grammar::Emit;
use crate::refusal::{Code, Refusal};
use crate::session::Enabled;
use bytes::BytesMut;
use mail::{FlagChange, Permitted, Row, View};
use net::Wire;
use std::sync::Arc;
use types::{FlagOp, Flags, Rights, Uid, UidSet};

/// What the client's own command did, for the [`Selection::sync`] after it.
#[derive(Default)]
pub(super) struct Own {
    /// Flags to be told whether or not they changed.
    announce: UidSet,
    /// Changes the client knows of already.
    silent: Option<(UidSet, FlagChange)>,
    /// Whether FETCH responses name the uid (the command was a UID command).
    with_uid: bool,
    /// Whether EXPUNGE is told, whatever the client wants to know.
    expunges: bool,
    /// Whether no command has run at all (NOTIFY).
    between: bool,
    /// Whether no EXPUNGE may be told, whatever the command's row says.
    hold: bool,
}

/// Which view answers what in FETCH responses.
struct Pictures<'a> {
    /// The sequence numbers.
    numbers: &'a View,
    /// The flags.
    latest: &'a View,
    /// What the client knew.
    before: &'a View,
}

impl Selection {
    /// EXISTS and RECENT.
    pub fn write_counts(&self, enabled: Enabled, out: &mut BytesMut) {
        out.raw(b"* ")
            .num(self.told.len() as u64)
            .raw(b" EXISTS\r\n");
        // RFC 9051 E 12: no RECENT.
        if !enabled.rev2 {
            out.raw(b"* ").num(self.recent_count()).raw(b" RECENT\r\n");
        }
    }

    /// FLAGS and PERMANENTFLAGS (RFC 9051 7.3.5, 7.1).
    pub fn write_flag_lists(&self, view: &View, enabled: Enabled, out: &mut BytesMut) {
        out.raw(b"* FLAGS ").all_flags(view.keywords()).crlf();
        out.raw(b"* OK [PERMANENTFLAGS ");
        // RFC 4314 5.1.1: those that the client's rights let it change.
        let permitted = match self.is_read_only() {
            true => Permitted::of(Rights::NONE),
            false => Permitted::of(self.mailbox.rights()),
        };
        let mut words: Vec<&str> = Flags::NAMES
            .iter()
            .filter(|(flag, _)| permitted.flags.contains(*flag))
            .map(|(_, name)| *name)
            .collect();
        if permitted.keywords {
            words.extend(view.keywords().iter().map(types::Keyword::as_str));
            words.extend((view.keywords().len() < mail::MAX_KEYWORDS).then_some("\\*"));
        }
        let text = enabled.say("Flags that can be kept");
        out.raw(b"(").text(&words.join(" "));
        out.raw(b")] ").text(&text).crlf();
    }

    /// After STORE, or a FETCH that has told the flags itself: all of `uids` carry `change`.
    /// Silent, the client is told only what it cannot know.
    pub fn stored(&mut self, uids: UidSet, change: FlagChange, silent: bool, with_uid: bool) {
        self.own.with_uid = with_uid;
        if silent {
            self.own.silent = Some((uids, change));
        } else {
            self.own.announce = self.own.announce.union(&uids);
        }
    }

    /// The flags of `uids` are told after this command, changed or not.
    pub fn announce(&mut self, uids: &UidSet) {
        self.own.announce = self.own.announce.union(uids);
    }

    /// No EXPUNGE may follow this command: it used sequence numbers though it is a UID command (RFC
    /// 7162 3.2.10.2: a UID SEARCH with message numbers in its criteria).
    pub fn hold_expunges(&mut self) {
        self.own.hold = true;
    }

    /// No command has run since the last [`Self::sync`].
    pub fn between_commands(&mut self) {
        self.own.between = true;
    }

    /// The command that runs expunges: what it does is told, whatever else is of interest.
    pub fn expunges(&mut self) {
        self.own.expunges = true;
    }

    /// Tells everything that has changed, whatever the client wants to know otherwise.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn catch_up(&mut self, wire: &mut Wire, enabled: Enabled) -> Result<(), Refusal> {
        let interest = std::mem::take(&mut self.interest);
        let told = self.sync(wire, enabled, true).await;
        self.interest = interest;
        told
    }

    /// Tells what has changed since the client was last told. With `may_expunge` false nothing is
    /// told while expunges wait, except what STORE must answer.
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
        let interest = self.interest;
        self.check_access()?;
        let rights = self.mailbox.rights();
        if std::mem::replace(&mut self.told_rights, rights) != rights {
            // RFC 4314 5.1.1: SHOULD, when they have changed.
            self.write_flag_lists(&self.told, enabled, wire.buffer());
        }
        // Nothing can be told before a command: what changes meanwhile is not even looked at.
        // But REMOVEFROM can be.
        let may_tell = !self.held_back || !self.contexts.is_empty();
        if own.between && !(interest.messages && may_tell) {
            return Ok(());
        }
        let latest = self.mailbox.view();
        if Arc::ptr_eq(&latest, &self.told) && own.announce.is_empty() {
            return Ok(());
        }
        // RFC 5465 3.1: the client does not want to know; the picture it has stays as it is.
        if !interest.messages && !own.expunges {
            return self.hold_back(wire, enabled, &latest, &own).await;
        }
        self.tell_keywords(&latest, enabled, wire.buffer());
        let changes = latest.changes_since(&self.told);
        if !changes.expunged.is_empty() {
            self.leave_contexts(&changes.expunged, enabled, wire.buffer());
            if !may_expunge || own.hold {
                return self.hold_back(wire, enabled, &latest, &own).await;
            }
            self.tell_expunged(wire, enabled, &changes.expunged).await?;
            // RFC 5182 2.1: what is expunged leaves `$`.
            self.saved = self.saved.difference(&changes.expunged);
        }
        let before = std::mem::replace(&mut self.told, Arc::clone(&latest));
        if !changes.added.is_empty() {
            self.claim_recent();
            self.write_counts(enabled, wire.buffer());
            if interest.news {
                self.news = self.news.union(&changes.added);
            }
        }
        let flagged = match (interest.flags, own.announce.is_empty()) {
            (true, true) => changes.flagged,
            (true, false) => changes.flagged.union(&own.announce),
            (false, _) => own.announce.clone(),
        };
        let pictures = Pictures {
            numbers: &latest,
            latest: &latest,
            before: &before,
        };
        self.tell_flags(wire, enabled, pictures, &flagged, &own)
            .await?;
        // VANISHED has no modification sequence: who asks nothing would not know where it stands.
        let vanished = enabled.qresync && interest.notified && !own.expunges;
        let unknown = vanished && !changes.expunged.is_empty();
        if (std::mem::take(&mut self.held_back) || unknown) && enabled.condstore {
            self.tell_modseq(enabled, wire.buffer());
        }
        Ok(())
    }

    /// RFC 5267 4.3.4: before EXPUNGE, while the numbers hold.
    fn leave_contexts(&mut self, gone: &UidSet, enabled: Enabled, out: &mut BytesMut) {
        let mut contexts = std::mem::take(&mut self.contexts);
        contexts.expunged(self, gone, enabled, out);
        self.contexts = contexts;
    }

    /// Tells what STORE must answer and nothing else: the sequence numbers of the old picture hold.
    async fn hold_back(
        &mut self,
        wire: &mut Wire,
        enabled: Enabled,
        latest: &View,
        own: &Own,
    ) -> Result<(), Refusal> {
        // Between commands, that nothing can be told is not told.
        if own.between {
            self.held_back = true;
            return Ok(());
        }
        let pictures = Pictures {
            numbers: &self.told,
            latest,
            before: &self.told,
        };
        self.tell_flags(wire, enabled, pictures, &own.announce, own)
            .await?;
        // RFC 7162 5: a client takes the largest MODSEQ it has seen for where it stands, and would
        // miss what is held back here.
        if enabled.condstore {
            self.tell_modseq(enabled, wire.buffer());
        }
        self.held_back = true;
        Ok(())
    }

    /// HIGHESTMODSEQ: how far the client has been told.
    pub fn tell_modseq(&self, enabled: Enabled, out: &mut BytesMut) {
        out.raw(b"* OK ");
        Code::HighestModSeq(self.told.modseq()).write(out);
        out.text(&enabled.say("told so far")).crlf();
    }

    fn tell_keywords(&mut self, latest: &View, enabled: Enabled, out: &mut BytesMut) {
        if latest.keywords().len() > self.told_keywords {
            self.told_keywords = latest.keywords().len();
            self.write_flag_lists(latest, enabled, out);
        }
    }

    async fn tell_expunged(
        &self,
        wire: &mut Wire,
        enabled: Enabled,
        gone: &UidSet,
    ) -> Result<(), Refusal> {
        // RFC 9586 3: with or without QRESYNC.
        if enabled.qresync || enabled.uid_only {
            wire.buffer().raw(b"* VANISHED ").uids(gone).crlf();
            return Ok(());
        }
        // From the last to the first, so that no number shifts another: what a client that keeps an
        // array can follow in linear time.
        for range in gone.ranges().rev() {
            let (from, to) = self.span(range);
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

    async fn tell_flags(
        &self,
        wire: &mut Wire,
        enabled: Enabled,
        pictures: Pictures<'_>,
        uids: &UidSet,
        own: &Own,
    ) -> Result<(), Refusal> {
        let Pictures {
            numbers,
            latest,
            before,
        } = pictures;
        let same = std::ptr::eq(numbers, latest);
        // What the client knew matters only where it may know of the change.
        let nothing = UidSet::new();
        let known = own.silent.as_ref().map_or(&nothing, |_| uids);
        let mut old = before.rows_in(known).map(|(_, row)| row).peekable();
        for (index, row) in numbers.rows_in(uids) {
            let row = if same {
                Some(row)
            } else {
                latest.find(row.uid)
            };
            let Some(row) = row else { continue };
            while old.next_if(|old| old.uid < row.uid).is_some() {}
            let quiet = own.silent.as_ref().is_some_and(|(set, change)| {
                set.contains(row.uid)
                    && old.peek().is_some_and(|old| {
                        old.uid == row.uid && is_result(old, change, &row, latest)
                    })
            });
            // RFC 7162 3.1.3: .SILENT does not silence MODSEQ.
            if quiet && !enabled.condstore {
                continue;
            }
            let out = wire.buffer();
            begin_fetch(MsgSeq::at(index), row.uid, enabled.uid_only, out);
            // RFC 7162 3.2.4: UID and MODSEQ, once the client is aware of CONDSTORE.
            // RFC 5465 5.1: and to who asked for notifications.
            // RFC 9051 7.5.2: always.
            // RFC 9586 3: UIDFETCH has it in front.
            let is_due = enabled.condstore || enabled.rev2 || self.interest.notified;
            if (own.with_uid || is_due) && !enabled.uid_only {
                out.raw(b"UID ").num(row.uid.get()).raw(b" ");
            }
            if !quiet {
                let recent = !enabled.rev2 && self.is_recent(row.uid);
                out.raw(b"FLAGS ")
                    .flags(row.flags, row.keywords, recent, latest);
            }
            if enabled.condstore {
                out.raw(if quiet { b"MODSEQ (" } else { b" MODSEQ (" });
                out.num(row.modseq.get()).raw(b")");
            }
            out.raw(b")\r\n");
            wire.flush_if_over(MAX_PENDING).await?;
        }
        Ok(())
    }

    /// RFC 7162 3.2.10.1: VANISHED (EARLIER) for what was expunged after `since`, among `known`
    /// (all, if `None`). `samples` are pairs of sequence number and uid the client knew.
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
        // RFC 7162 3.2.5.2: below a sample that still holds the client knows of every expunge.
        let after = self.last_match(samples);
        let vanished = self
            .mailbox
            .vanished_since(self.mailbox.effective_since(since))
            .await?;
        let vanished = match (vanished, above(after)) {
            // RFC 7162 3.2.6: too long ago to be remembered, so whatever is not there has vanished.
            (None, _) => missing(&self.told, after),
            (Some(vanished), Some(above)) => vanished.intersection(&above),
            (Some(_), None) => UidSet::new(),
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

    /// FETCH (UID FLAGS MODSEQ) for the messages that changed after `since`, among `known` (all, if
    /// `None`).
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
        let told: &View = &self.told;
        let pictures = Pictures {
            numbers: told,
            latest: told,
            before: told,
        };
        self.tell_flags(wire, enabled, pictures, &changed, &Own::default())
            .await
    }

    /// The uid of the last sample that still holds, 0 if none does.
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
}

/// What a FETCH response begins with, up to the parenthesis.
pub fn begin_fetch(seq: MsgSeq, uid: Uid, uid_only: bool, out: &mut BytesMut) {
    out.raw(b"* ");
    // RFC 9586 3: a client without sequence numbers gets another response.
    match uid_only {
        false => out.num(seq.0).raw(b" FETCH ("),
        true => out.num(uid.get()).raw(b" UIDFETCH ("),
    };
}

fn above(uid: u32) -> Option<UidSet> {
    let first = Uid::new(uid.checked_add(1)?)?;
    Some(UidSet::range(first, Uid::MAX))
}

/// Whether `now` is what `change` makes of `old`: then the client that asked for the change knows
/// it.
fn is_result(old: &Row, change: &FlagChange, now: &Row, view: &View) -> bool {
    let bits = change
        .keywords
        .iter()
        .filter_map(|k| view.keyword_bit(k))
        .fold(0, |all, bit| all | bit);
    let (flags, keywords): (Flags, u64) = match change.op {
        FlagOp::Add => (old.flags.union(change.flags), old.keywords | bits),
        FlagOp::Remove => (old.flags.without(change.flags), old.keywords & !bits),
        FlagOp::Replace => (change.flags, bits),
    };
    now.flags == flags && now.keywords == keywords
}
