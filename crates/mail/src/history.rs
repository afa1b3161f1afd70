//! Who retrieved and who removed messages: by which door and secret, from where, when.
//!
//! What takes messages away is written with the commit that does it. What only reads them is
//! gathered in memory and written every few seconds: no FETCH and no RETR waits for it, and a crash
//! loses what was gathered. An account keeps a bounded number of entries, for a bounded time.

use crate::actor::{decode_actor, encode_actor};
use crate::codec::{Decoder, Encoder};
use crate::edit::Transaction;
use crate::journal::{decode_uids, encode_uids, parts};
use crate::mailbox::Mailbox;
use crate::snapshot::each;
use crate::{Account, Actor, Mail, MailError, keys};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use storage::Batch;
use types::{AccountId, MailboxId, MailboxName, Uid, UidSet};

const VERSION: u8 = 1;

/// Writes of one background batch.
const BATCH: usize = 4096;

/// What happened to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Deed {
    /// Their text, or a part of it, was sent to a client. Headers, structure and previews do not
    /// count, nor does what a search reads.
    Retrieved = 1,
    /// They were removed from the mailbox.
    Removed = 2,
    /// They were moved to another mailbox.
    Moved = 3,
    /// Their mailbox was deleted; the uids are all it ever gave.
    MailboxDeleted = 4,
    /// They were put back by undelete.
    Restored = 5,
}

impl Deed {
    const ALL: [Self; 5] = [
        Self::Retrieved,
        Self::Removed,
        Self::Moved,
        Self::MailboxDeleted,
        Self::Restored,
    ];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retrieved => "retrieved",
            Self::Removed => "removed",
            Self::Moved => "moved",
            Self::MailboxDeleted => "mailbox-deleted",
            Self::Restored => "restored",
        }
    }
}

/// Messages of one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// What it was called then.
    pub name: String,
    /// Which messages.
    pub uids: UidSet,
}

/// An entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in seconds since 1970 UTC; of reading, when it began.
    pub at: i64,
    /// Who.
    pub by: Actor,
    /// What.
    pub deed: Deed,
    /// The messages it was done to; of [`Deed::Restored`], what they are now.
    pub messages: Messages,
    /// Of [`Deed::Moved`], what they became; of [`Deed::Restored`], what they were. The n-th uid
    /// here is the n-th there.
    pub other: Option<Messages>,
}

/// The state of the history of all accounts.
pub(crate) struct History {
    /// Tells entries of one second apart.
    number: AtomicU64,
    /// Sessions that have read something.
    reads: Mutex<Vec<Arc<Reads>>>,
    /// Accounts with new entries: their number is to be checked.
    grown: Mutex<HashSet<AccountId>>,
}

/// What one session has read in one mailbox and is not written yet.
pub(crate) struct Reads {
    account: AccountId,
    mailbox: MailboxId,
    name: MailboxName,
    by: Arc<Actor>,
    unwritten: Mutex<Unwritten>,
}

#[derive(Default)]
struct Unwritten {
    /// When the first was read.
    since: i64,
    uids: UidSet,
    /// Read out of order.
    loose: Vec<Uid>,
}

/// Uids read out of order that are kept as such.
const LOOSE: usize = 1024;

impl Unwritten {
    fn push(&mut self, uid: Uid) {
        if self.uids.last().is_none_or(|last| last <= uid) {
            self.uids.push(uid);
        } else if !self.uids.contains(uid) {
            self.loose.push(uid);
            if self.loose.len() >= LOOSE {
                self.sort();
            }
        }
    }

    fn sort(&mut self) {
        let loose: UidSet = self.loose.drain(..).collect();
        self.uids = self.uids.union(&loose);
    }
}

impl Default for History {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since.unwrap_or_default().as_nanos() as u64;
        Self {
            number: AtomicU64::new(nanos),
            reads: Mutex::default(),
            grown: Mutex::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reads {
    pub(crate) fn new(
        account: AccountId,
        mailbox: MailboxId,
        name: MailboxName,
        by: Arc<Actor>,
    ) -> Arc<Self> {
        Arc::new(Self {
            account,
            mailbox,
            name,
            by,
            unwritten: Mutex::default(),
        })
    }

    /// Notes that messages were read.
    pub(crate) fn note(self: &Arc<Self>, history: &History, uids: impl Iterator<Item = Uid>) {
        let mut unwritten = locked(&self.unwritten);
        let first = unwritten.uids.is_empty();
        uids.for_each(|uid| unwritten.push(uid));
        if first && !unwritten.uids.is_empty() {
            unwritten.since = crate::engine::now();
            drop(unwritten);
            locked(&history.reads).push(self.clone());
        }
    }

    fn take(&self) -> Event {
        let mut unwritten = std::mem::take(&mut *locked(&self.unwritten));
        unwritten.sort();
        Event {
            at: unwritten.since,
            by: (*self.by).clone(),
            deed: Deed::Retrieved,
            messages: Messages {
                mailbox: self.mailbox,
                name: self.name.to_string(),
                uids: unwritten.uids,
            },
            other: None,
        }
    }
}

impl Messages {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.mailbox.0);
        e.bytes(self.name.as_bytes());
        encode_uids(e, &self.uids);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, MailError> {
        Ok(Self {
            mailbox: MailboxId(d.uint()?),
            name: d.str()?.to_owned(),
            uids: decode_uids(d)?,
        })
    }
}

impl Event {
    /// Adds the entry to a batch of its account.
    fn write(&self, history: &History, batch: &mut Batch) {
        let mut e = Encoder::default();
        e.byte(VERSION);
        e.byte(self.deed as u8);
        encode_actor(&mut e, &self.by);
        self.messages.encode(&mut e);
        e.byte(u8::from(self.other.is_some()));
        if let Some(other) = &self.other {
            other.encode(&mut e);
        }
        let number = history.number.fetch_add(1, Ordering::Relaxed);
        // Another process may have had the same thought; then the operation is tried again.
        batch.require_absent(keys::event(self.at, number, 0));
        for (part, key) in parts(&e.0, |part| keys::event(self.at, number, part)) {
            batch.put(key, part);
        }
    }

    fn decode(at: i64, bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "entry of the history");
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        let number = d.byte()?;
        let deed = Deed::ALL.into_iter().find(|deed| *deed as u8 == number);
        Ok(Self {
            at,
            deed: deed.ok_or_else(|| d.damaged())?,
            by: decode_actor(&mut d)?,
            messages: Messages::decode(&mut d)?,
            other: match d.byte()? {
                0 => None,
                _ => Some(Messages::decode(&mut d)?),
            },
        })
    }
}

impl Transaction<'_> {
    /// Messages of a mailbox, as the history names them.
    pub(crate) fn messages(&mut self, mailbox: &Arc<Mailbox>, uids: &UidSet) -> Messages {
        Messages {
            mailbox: mailbox.id,
            name: self.edit(mailbox).record.name.to_string(),
            uids: uids.clone(),
        }
    }

    /// Writes a move into the history, in this commit.
    pub(crate) fn note_move(
        &mut self,
        by: &Actor,
        was: (&Arc<Mailbox>, &UidSet),
        is: (&Arc<Mailbox>, &UidSet),
    ) {
        let [was, is] = [was, is].map(|(mailbox, uids)| self.messages(mailbox, uids));
        self.note(by, Deed::Moved, was, Some(is));
    }

    /// Writes an entry into the history, in this commit.
    pub(crate) fn note(
        &mut self,
        by: &Actor,
        deed: Deed,
        messages: Messages,
        other: Option<Messages>,
    ) {
        let event = Event {
            at: self.now(),
            by: by.clone(),
            deed,
            messages,
            other,
        };
        let account = self.account();
        account.mail.note_event(account.id, &event, &mut self.batch);
    }
}

impl Mail {
    /// Adds an entry to a batch of its account, if a history is kept at all.
    pub(crate) fn note_event(&self, account: AccountId, event: &Event, batch: &mut Batch) {
        if self.options().history_seconds > 0 {
            event.write(self.history(), batch);
            locked(&self.history().grown).insert(account);
        }
    }

    /// Writes down what was read since the last call. Meant to be called every few seconds.
    ///
    /// # Errors
    /// Trouble of the store: what was not written is forgotten.
    pub async fn write_history(&self) -> Result<(), MailError> {
        let reads = std::mem::take(&mut *locked(&self.history().reads));
        let mut batches: HashMap<AccountId, Batch> = HashMap::new();
        for reads in reads {
            let batch = batches.entry(reads.account).or_default();
            self.note_event(reads.account, &reads.take(), batch);
        }
        for (account, batch) in batches {
            // A removed account leaves nothing behind.
            if self.account_name(account).await?.is_some() {
                self.meta().commit(account, batch).await?.relax();
            }
        }
        Ok(())
    }

    /// Forgets what is too old or too much.
    pub(crate) async fn prune_history(
        &self,
        account: AccountId,
        now: i64,
    ) -> Result<(), MailError> {
        let options = self.options();
        let until = now.saturating_sub(options.history_seconds);
        let mut old = Vec::new();
        let page = self.meta().scan(account, keys::events_until(until)).await?;
        old.extend(page.entries.into_iter().map(|(key, _)| key));
        let grown = locked(&self.history().grown).remove(&account);
        // Only who has written since the last look can have too many.
        if old.is_empty() && grown {
            let mut all = Vec::new();
            each(self.meta(), account, keys::events(), |(key, _)| {
                all.push(key.clone());
                Ok(())
            })
            .await?;
            let keep = usize::try_from(options.history_entries).unwrap_or(usize::MAX);
            all.truncate(all.len().saturating_sub(keep));
            old = all;
        } else if grown {
            locked(&self.history().grown).insert(account);
        }
        for keys in old.chunks(BATCH) {
            let mut batch = Batch::new();
            for key in keys {
                batch.delete(key.clone());
            }
            self.meta().commit(account, batch).await?.relax();
        }
        Ok(())
    }
}

impl Account {
    /// The history of the account, oldest first.
    pub async fn history(&self) -> Result<Vec<Event>, MailError> {
        let mail = &self.0.mail;
        mail.write_history().await?;
        let mut events = Vec::new();
        // Of an entry whose first part was pruned, the rest says nothing.
        let (mut whole, mut next) = (Vec::new(), 0u16);
        each(mail.meta(), self.0.id, keys::events(), |(key, value)| {
            let damaged = || MailError::corrupt("damaged entry of the history");
            let (at, part) = keys::event_parts(key).ok_or_else(damaged)?;
            let (more, piece) = value.split_first().ok_or_else(damaged)?;
            if part == 0 {
                (next, whole) = (0, Vec::new());
            }
            if part != next {
                return Ok(());
            }
            next = next.wrapping_add(1);
            whole.extend_from_slice(piece);
            if *more == 0 {
                events.push(Event::decode(at, &whole)?);
            }
            Ok(())
        })
        .await?;
        Ok(events)
    }
}

/// The entries that concern a message, wherever it was before and after.
pub fn follow(events: &[Event], mailbox: MailboxId, uid: Uid) -> Vec<&Event> {
    let mut places = HashSet::from([(mailbox, uid)]);
    // Each round finds at least one more place, and there are no more than entries.
    loop {
        let before = places.len();
        for event in events {
            let Some(other) = &event.other else { continue };
            for (here, there) in [(&event.messages, other), (other, &event.messages)] {
                let found: Vec<_> = places
                    .iter()
                    .filter(|(mailbox, _)| *mailbox == here.mailbox)
                    .filter_map(|(_, uid)| here.uids.position(*uid))
                    .filter_map(|n| there.uids.nth(n))
                    .map(|uid| (there.mailbox, uid))
                    .collect();
                places.extend(found);
            }
        }
        if places.len() == before {
            break;
        }
    }
    let concerns = |messages: &Messages| {
        places
            .iter()
            .any(|(mailbox, uid)| *mailbox == messages.mailbox && messages.uids.contains(*uid))
    };
    events
        .iter()
        .filter(|event| concerns(&event.messages) || event.other.as_ref().is_some_and(concerns))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(all: &[u32]) -> UidSet {
        all.iter().filter_map(|n| Uid::new(*n)).collect()
    }

    fn messages(mailbox: u64, all: &[u32]) -> Messages {
        Messages {
            mailbox: MailboxId(mailbox),
            name: mailbox.to_string(),
            uids: uids(all),
        }
    }

    fn event(deed: Deed, messages: Messages, other: Option<Messages>) -> Event {
        Event {
            at: 7,
            by: Actor::server(),
            deed,
            messages,
            other,
        }
    }

    #[test]
    fn a_message_is_followed_through_moves_and_restores_in_both_directions() {
        let events = [
            event(Deed::Retrieved, messages(1, &[4, 5]), None),
            event(
                Deed::Moved,
                messages(1, &[3, 5]),
                Some(messages(2, &[10, 11])),
            ),
            event(Deed::Removed, messages(2, &[11]), None),
            event(Deed::Restored, messages(2, &[12]), Some(messages(2, &[11]))),
            event(Deed::Retrieved, messages(2, &[10]), None),
            event(Deed::MailboxDeleted, messages(2, &[12]), None),
        ];
        for (mailbox, uid) in [(1, 5), (2, 11), (2, 12)] {
            let uid = Uid::new(uid).expect("a uid");
            let found = follow(&events, MailboxId(mailbox), uid);
            let want: Vec<&Event> = [0, 1, 2, 3, 5].iter().map(|i| &events[*i]).collect();
            assert_eq!(found, want);
        }
        let three = follow(&events, MailboxId(1), Uid::new(3).expect("a uid"));
        assert_eq!(three, [&events[1], &events[4]]);
    }

    #[test]
    fn reads_in_any_order_become_one_entry() {
        let history = History::default();
        let by = Arc::new(Actor::server());
        let reads = Reads::new(AccountId(1), MailboxId(2), MailboxName::inbox(), by);
        let order = (1..4000u32).rev().chain(2000..5000).filter_map(Uid::new);
        for uid in order {
            reads.note(&history, [uid].into_iter());
        }
        assert_eq!(locked(&history.reads).len(), 1);
        assert_eq!(reads.take().messages.uids.to_string(), "1:4999");
        assert!(reads.take().messages.uids.is_empty());
    }
}
