//! What clients sent and what they were told, while the power goes or the server is killed.
//!
//! Every client writes down each command before it is sent and after it was answered, in one list
//! for all of them. At a cut the list says what must be on the disk (answered before the cut
//! began), and what may be (sent before the cut was over).

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::knowledge::{Effect, Event, Hash, Key, Knowledge, State, Tree};

struct Inner {
    now: Knowledge,
    events: Vec<Event>,
    commands: u64,
    /// Messages a client is at work on.
    held: HashSet<Hash>,
}

/// The list, with what follows from it.
pub(super) struct Ledger(Mutex<Inner>);

/// A moment.
pub(super) struct Moment {
    known: Knowledge,
    events: usize,
}

impl Ledger {
    pub(super) fn new(now: Knowledge, commands: u64) -> Self {
        Self(Mutex::new(Inner {
            now,
            events: Vec::new(),
            commands,
            held: HashSet::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A client that loses its server panics; what it wrote down before stands.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, event: Event) {
        let mut inner = self.lock();
        inner.now.learn(&event);
        inner.events.push(event);
    }

    /// A command is about to be sent.
    pub(super) fn send(&self, effects: &[Effect]) -> u64 {
        let mut inner = self.lock();
        inner.send(effects)
    }

    /// Takes up to `count` messages that are there and nobody works on, beginning somewhere; `work`
    /// says what becomes of them. `None` when there are not more than `least`.
    pub(super) fn take(
        &self,
        from: Key,
        least: usize,
        choose: impl FnOnce(&mut Vec<(u32, Hash)>),
        effects: impl Fn(Hash) -> Vec<Effect>,
    ) -> Option<(u64, Vec<(u32, Hash)>)> {
        let mut inner = self.lock();
        let mut rows = inner.present(from);
        if rows.len() <= least {
            return None;
        }
        choose(&mut rows);
        let effects: Vec<Effect> = rows.iter().flat_map(|(_, hash)| effects(*hash)).collect();
        inner.held.extend(rows.iter().map(|(_, hash)| *hash));
        Some((inner.send(&effects), rows))
    }

    /// What was taken is nobody's any more.
    pub(super) fn release(&self, rows: &[(u32, Hash)]) {
        let mut inner = self.lock();
        for (_, hash) in rows {
            inner.held.remove(hash);
        }
    }

    /// Messages that are there and nobody is at work on, by UID.
    pub(super) fn present(&self, key: Key) -> Vec<(u32, Hash)> {
        self.lock().present(key)
    }

    /// How many messages are there.
    pub(super) fn count(&self, key: Key) -> usize {
        let inner = self.lock();
        let messages = inner.now.books.get(&key).map(|book| book.messages.values());
        messages.map_or(0, |states| {
            states.filter(|state| **state == State::Here).count()
        })
    }

    pub(super) fn is_there(&self, key: Key, hash: Hash) -> bool {
        let inner = self.lock();
        let book = inner.now.books.get(&key);
        book.is_some_and(|book| book.messages.get(&hash).is_some_and(|s| *s != State::Gone))
    }

    pub(super) fn tree(&self) -> Tree {
        self.lock().now.tree.clone()
    }

    pub(super) fn commands(&self) -> u64 {
        self.lock().commands
    }

    /// What is known now: called before a cut begins.
    pub(super) fn moment(&self) -> Moment {
        let inner = self.lock();
        Moment {
            known: inner.now.clone(),
            events: inner.events.len(),
        }
    }

    /// What is known after a cut that began at `moment` and is over now.
    pub(super) fn after_cut(&self, moment: Moment) -> Knowledge {
        let inner = self.lock();
        let mut known = moment.known;
        for event in &inner.events[moment.events..] {
            known.may_be(event);
        }
        known
    }
}

impl Inner {
    fn send(&mut self, effects: &[Effect]) -> u64 {
        self.commands += 1;
        let event = Event::Sent(self.commands, effects.to_vec());
        self.now.learn(&event);
        self.events.push(event);
        self.commands
    }

    fn present(&self, key: Key) -> Vec<(u32, Hash)> {
        let Some(book) = self.now.books.get(&key) else {
            return Vec::new();
        };
        let here = book.messages.iter();
        let here =
            here.filter(|(hash, state)| **state == State::Here && !self.held.contains(*hash));
        let uid = |(hash, _): (&Hash, _)| Some((*book.latest.get(hash)?, *hash));
        let mut rows: Vec<_> = here.filter_map(uid).collect();
        rows.sort_unstable_by_key(|(uid, _)| *uid);
        rows
    }
}
