//! What follows from what clients sent and were told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// BLAKE3 of a message: every one is unlike any other.
pub(super) type Hash = blake3::Hash;
/// How long after its answer a change of flags must be on the disk (DESIGN 3.4: 100 ms, and what a
/// busy machine of two processors may add).
const FLAGS_WITHIN: Duration = Duration::from_millis(400);

/// Account and mailbox.
pub(super) type Key = (&'static str, &'static str);

/// What is known of a message in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To come by this command, which was not answered.
    Coming(u64),
    /// It is there, and somebody was told so.
    Here,
    /// To go by this command, which was not answered.
    Going(u64),
    /// It is not there, and somebody was told so (or it never came).
    Gone,
    /// Two commands of which neither was answered: either way.
    Unsure,
}

/// What a command does with a message of a mailbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effect {
    pub(super) book: Key,
    pub(super) hash: Hash,
    /// It comes; otherwise it goes.
    pub(super) comes: bool,
}

/// A mailbox as a client with a cache has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Mirror {
    /// Flags by UID.
    pub(super) rows: BTreeMap<u32, String>,
    /// The highest MODSEQ it was told of; it knows everything up to there.
    pub(super) highest: u64,
    pub(super) validity: u32,
}

/// A command on the tree of folders.
#[derive(Debug, Clone)]
pub(super) enum Growth {
    Create(String),
    Rename(String, String),
    Delete(String),
    Subscribe(String),
    Append(String, Hash),
}

/// Folders with what is in them, and subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) folders: BTreeMap<String, BTreeSet<String>>,
    pub(super) subscribed: BTreeSet<String>,
}

impl Tree {
    pub(super) fn grow(&mut self, growth: &Growth) {
        match growth {
            Growth::Create(name) => {
                self.folders.insert(name.clone(), BTreeSet::new());
            }
            Growth::Rename(old, new) => {
                let content = self.folders.remove(old).unwrap_or_default();
                self.folders.insert(new.clone(), content);
            }
            Growth::Delete(name) => {
                self.folders.remove(name);
            }
            Growth::Subscribe(name) => {
                self.subscribed.insert(name.clone());
            }
            Growth::Append(name, hash) => {
                let folder = self.folders.entry(name.clone()).or_default();
                folder.insert(hash.to_string());
            }
        }
    }
}

/// One line of the list.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Sent(u64, Vec<Effect>),
    Answered(u64),
    /// The server named the message with this UID.
    Uid(Key, u32, u32, Hash),
    /// Somebody else than its sender saw it.
    Seen(Key, Hash),
    /// Somebody else was told that it is gone.
    SeenGone(Key, Hash),
    /// `\Flagged` is about to be set or removed, and that it was.
    Flagging(Key, u32, bool),
    Flagged(Key, u32, Instant),
    /// Flags of a UID at a MODSEQ.
    Version(Key, u32, u64, String),
    Uidl(&'static str, String, Hash),
    Mirrored(Key, Arc<Mirror>),
    Growing(Growth),
    Grown,
    /// The server named a message of a folder: name, UIDVALIDITY, UID.
    InFolder(String, u32, u32, Hash),
}

/// `\Flagged` of a message: what is on the disk for sure, and what was wished for since, oldest
/// first, with the moment from which on it must be there, too.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) base: bool,
    recent: Vec<(bool, Option<Instant>)>,
}

impl Wishes {
    fn answered(&mut self, when: Instant, within: Duration) {
        if let Some(last) = self.recent.last_mut() {
            last.1 = Some(when + within);
        }
        if let Some(known) = self.known(when) {
            self.base = self.recent[known].0;
            self.recent.drain(..=known);
        }
    }

    /// What may be found after a cut at this moment: the newest value that must be on the disk, and
    /// all later ones.
    pub(super) fn possible(&self, cut: Instant) -> Vec<bool> {
        let known = self.known(cut);
        let base = known.is_none().then_some(self.base);
        let rest = &self.recent[known.unwrap_or(0)..];
        base.into_iter()
            .chain(rest.iter().map(|(on, _)| *on))
            .collect()
    }

    /// The newest wish that must be on the disk at this moment.
    fn known(&self, moment: Instant) -> Option<usize> {
        let must = |(_, by): &(bool, Option<Instant>)| by.is_some_and(|by| by <= moment);
        self.recent.iter().rposition(must)
    }

    /// This was found on the disk.
    pub(super) fn found(&mut self, on: bool) {
        self.base = on;
        self.recent.clear();
    }
}

/// One mailbox.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) messages: HashMap<Hash, State>,
    /// Every UID there has ever been (with its UIDVALIDITY), and what it was given to.
    pub(super) uids: HashMap<(u32, u32), Hash>,
    pub(super) latest: HashMap<Hash, u32>,
    pub(super) flagged: HashMap<u32, Wishes>,
    pub(super) versions: HashMap<(u32, u64), String>,
    pub(super) announced: u64,
    pub(super) mirror: Option<Arc<Mirror>>,
}

/// Everything that is known at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Knowledge {
    /// `durability = "strict"`: a change of flags is on the disk before it is answered.
    pub(super) strict: bool,
    pub(super) books: BTreeMap<Key, Book>,
    /// What each command that was not answered does.
    pub(super) flights: BTreeMap<u64, Vec<Effect>>,
    /// By account: POP3 unique ids and what they were given to, both ways.
    pub(super) uidls: BTreeMap<&'static str, HashMap<String, Hash>>,
    pub(super) tree: Tree,
    pub(super) growing: Vec<Growth>,
    pub(super) in_folders: HashMap<(String, u32, u32), Hash>,
    /// Messages whose arrival was acknowledged.
    pub(super) acknowledged: u64,
    /// What was told and contradicts what was told before.
    pub(super) wrong: Vec<String>,
}

impl Knowledge {
    pub(super) fn book(&mut self, key: Key) -> &mut Book {
        self.books.entry(key).or_default()
    }

    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::Sent(command, effects) => self.sent(*command, effects),
            Event::Answered(command) => self.answered(*command),
            Event::Uid(key, validity, uid, hash) => self.named(*key, *validity, *uid, *hash),
            Event::Seen(key, hash) => {
                match self.book(*key).messages.get_mut(hash) {
                    Some(state @ State::Coming(_)) => *state = State::Here,
                    // Who has not been told yet that it is gone may still look at it.
                    Some(_) => {}
                    None => self.wrong.push(format!("{key:?}: nobody ever sent {hash}")),
                }
            }
            Event::SeenGone(key, hash) => {
                if let Some(state @ State::Going(_)) = self.book(*key).messages.get_mut(hash) {
                    *state = State::Gone;
                }
            }
            Event::Flagging(key, uid, on) => {
                let wishes = self.book(*key).flagged.entry(*uid).or_default();
                wishes.recent.push((*on, None));
            }
            Event::Flagged(key, uid, when) => {
                let within = if self.strict {
                    Duration::ZERO
                } else {
                    FLAGS_WITHIN
                };
                if let Some(wishes) = self.book(*key).flagged.get_mut(uid) {
                    wishes.answered(*when, within);
                }
            }
            Event::Version(key, uid, modseq, flags) => self.version(*key, *uid, *modseq, flags),
            Event::Uidl(user, uidl, hash) => self.uidl(user, uidl, *hash),
            Event::Mirrored(key, mirror) => self.book(*key).mirror = Some(mirror.clone()),
            Event::Growing(growth) => self.growing.push(growth.clone()),
            Event::Grown => {
                for growth in std::mem::take(&mut self.growing) {
                    self.acknowledged += u64::from(matches!(growth, Growth::Append(..)));
                    self.tree.grow(&growth);
                }
            }
            Event::InFolder(name, validity, uid, hash) => {
                self.in_folder(name, *validity, *uid, *hash);
            }
        }
    }

    /// What was sent while the power went may have been done; what was answered then need not be
    /// on the disk.
    pub(super) fn may_be(&mut self, event: &Event) {
        match event {
            Event::Sent(command, effects) => self.sent(*command, effects),
            Event::Flagging(..) | Event::Growing(_) => self.learn(event),
            _ => {}
        }
    }

    fn sent(&mut self, command: u64, effects: &[Effect]) {
        let before = |state: Option<&State>, comes: bool| match state {
            None | Some(State::Gone) => comes,
            Some(State::Here) => !comes,
            _ => false,
        };
        let sure = effects.iter().all(|effect| {
            let state = self.books.get(&effect.book);
            before(
                state.and_then(|book| book.messages.get(&effect.hash)),
                effect.comes,
            )
        });
        for effect in effects {
            let state = match (sure, effect.comes) {
                (false, _) => State::Unsure,
                (true, true) => State::Coming(command),
                (true, false) => State::Going(command),
            };
            self.book(effect.book).messages.insert(effect.hash, state);
        }
        if sure {
            self.flights.insert(command, effects.to_vec());
        }
    }

    fn answered(&mut self, command: u64) {
        for effect in self.flights.remove(&command).unwrap_or_default() {
            self.acknowledged += u64::from(effect.comes);
            let state = self.book(effect.book).messages.get_mut(&effect.hash);
            match state {
                Some(state) if *state == State::Coming(command) => *state = State::Here,
                Some(state) if *state == State::Going(command) => *state = State::Gone,
                _ => {}
            }
        }
    }

    pub(super) fn named(&mut self, key: Key, validity: u32, uid: u32, hash: Hash) {
        let book = self.book(key);
        book.latest.insert(hash, uid);
        let known = *book.uids.entry((validity, uid)).or_insert(hash);
        if known != hash {
            self.wrong.push(format!(
                "{key:?}: UID {uid} was given to {known} and to {hash}"
            ));
        }
    }

    pub(super) fn version(&mut self, key: Key, uid: u32, modseq: u64, flags: &str) {
        let book = self.book(key);
        book.announced = book.announced.max(modseq);
        let known = book
            .versions
            .entry((uid, modseq))
            .or_insert_with(|| flags.to_owned());
        if known != flags {
            let what = format!("{key:?}: UID {uid} at MODSEQ {modseq} was {known} and is {flags}");
            self.wrong.push(what);
        }
    }

    pub(super) fn uidl(&mut self, user: &'static str, uidl: &str, hash: Hash) {
        let known = self.uidls.entry(user).or_default();
        let first = *known.entry(uidl.to_owned()).or_insert(hash);
        if first != hash {
            self.wrong
                .push(format!("{user}: UIDL {uidl} was {first} and is {hash}"));
        }
    }

    pub(super) fn in_folder(&mut self, name: &str, validity: u32, uid: u32, hash: Hash) {
        let key = (name.to_owned(), validity, uid);
        let known = *self.in_folders.entry(key).or_insert(hash);
        if known != hash {
            let what = format!("{name} {validity}: UID {uid} was given to {known} and to {hash}");
            self.wrong.push(what);
        }
    }
}
