//! What clients were told, kept while the server is killed under them, to be compared with what the
//! server has afterwards.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use testkit::{ImapClient, PASSWORD, Server};

type Hash = blake3::Hash;

/// What is known of one message. Each message of a mailbox is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sent, not acknowledged: may be there or not.
    Coming,
    /// Acknowledged.
    Here,
    /// To be deleted by this command, which was not acknowledged: either way, but all of it.
    Going(u64),
    /// Its deletion was acknowledged, or it never came.
    Gone,
}

/// One mailbox.
#[derive(Default)]
struct Book {
    messages: HashMap<Hash, State>,
    /// Every UID there has ever been, and what it was given to.
    uids: HashMap<u32, Hash>,
    /// `\Flagged` as acknowledged, and as asked for without an answer.
    flagged: HashMap<u32, (bool, Option<bool>)>,
    validity: Option<String>,
}

/// All mailboxes, by account and name.
#[derive(Default)]
pub(crate) struct Ledger {
    books: Mutex<HashMap<(String, String), Book>>,
    commands: Mutex<u64>,
}

/// One mailbox of a ledger.
#[derive(Clone)]
pub(crate) struct Page<'a> {
    ledger: &'a Ledger,
    key: (String, String),
}

impl Ledger {
    pub(crate) fn page(&self, user: &str, mailbox: &str) -> Page<'_> {
        let key = (user.to_owned(), mailbox.to_owned());
        lock(&self.books).entry(key.clone()).or_default();
        Page { ledger: self, key }
    }

    /// Compares every mailbox with the server, and takes what the server has as the outcome of what
    /// was not answered.
    pub(crate) fn settle(&self, server: &Server) {
        for ((user, mailbox), book) in lock(&self.books).iter_mut() {
            let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
            book.settle(&format!("{mailbox} of {user}"), &look(&mut imap, mailbox));
        }
    }

    /// How many messages must be there.
    pub(crate) fn here(&self) -> usize {
        let books = lock(&self.books);
        let states = books.values().flat_map(|book| book.messages.values());
        states.filter(|state| **state == State::Here).count()
    }

    /// How many messages there have ever been.
    pub(crate) fn ever(&self) -> usize {
        lock(&self.books)
            .values()
            .map(|book| book.messages.len())
            .sum()
    }
}

impl Page<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(lock(&self.ledger.books).get_mut(&self.key).unwrap())
    }

    /// About to be sent.
    pub(crate) fn coming(&self, message: &[u8]) {
        let hash = blake3::hash(message);
        let old = self.with(|book| book.messages.insert(hash, State::Coming));
        assert_eq!(old, None, "messages are unique");
    }

    /// Acknowledged, with its UID where the answer tells it.
    pub(crate) fn came(&self, message: &[u8], uid: Option<u32>) {
        let hash = blake3::hash(message);
        self.with(|book| {
            // Somebody may have read and deleted it before its sender heard of it.
            if book.messages.get(&hash) == Some(&State::Coming) {
                book.messages.insert(hash, State::Here);
            }
            if let Some(uid) = uid {
                book.saw(uid, hash);
            }
        });
    }

    /// One command that deletes all of these messages is about to be sent.
    pub(crate) fn going(&self, messages: &[Hash]) -> u64 {
        let command = {
            let mut commands = lock(&self.ledger.commands);
            *commands += 1;
            *commands
        };
        self.with(|book| {
            for hash in messages {
                book.messages.insert(*hash, State::Going(command));
            }
        });
        command
    }

    /// That command was acknowledged.
    pub(crate) fn went(&self, command: u64) {
        self.with(|book| {
            for state in book.messages.values_mut() {
                if *state == State::Going(command) {
                    *state = State::Gone;
                }
            }
        });
    }

    /// UIDs and hashes of messages that are there and nobody is deleting.
    pub(crate) fn present(&self) -> Vec<(u32, Hash)> {
        self.with(|book| {
            let here = |hash| book.messages.get(hash) == Some(&State::Here);
            let rows = book.uids.iter().filter(|(_, hash)| here(*hash));
            let mut rows: Vec<_> = rows.map(|(uid, hash)| (*uid, *hash)).collect();
            rows.sort_unstable_by_key(|(uid, _)| *uid);
            rows
        })
    }

    /// `\Flagged` is about to be set or removed.
    pub(crate) fn flagging(&self, uid: u32, on: bool) {
        self.with(|book| book.flagged.entry(uid).or_default().1 = Some(on));
    }

    /// That was acknowledged.
    pub(crate) fn flagged(&self, uid: u32, on: bool) {
        self.with(|book| book.flagged.insert(uid, (on, None)));
    }
}

/// A mailbox as the server has it.
struct Look {
    validity: String,
    uid_next: u32,
    /// UID, hash, whether `\Flagged`.
    rows: Vec<(u32, Hash, bool)>,
}

fn look(imap: &mut ImapClient, mailbox: &str) -> Look {
    let status = imap.ok(&format!("STATUS {mailbox} (UIDNEXT UIDVALIDITY)"));
    let number = |name: &str| {
        let (_, rest) = status[0].text.split_once(name).unwrap();
        rest.trim_start()
            .split([' ', ')'])
            .next()
            .unwrap()
            .to_owned()
    };
    let (validity, uid_next) = (number("UIDVALIDITY"), number("UIDNEXT").parse().unwrap());
    imap.ok(&format!("EXAMINE {mailbox}"));
    let mut rows = Vec::new();
    for row in imap.command("UID FETCH 1:* (UID FLAGS BODY.PEEK[])").0 {
        let (_, uid) = row.text.split_once("UID ").unwrap();
        let uid = uid.split([' ', ')']).next().unwrap().parse().unwrap();
        let flagged = row.text.contains("\\Flagged");
        rows.push((uid, blake3::hash(&row.literals[0]), flagged));
    }
    Look {
        validity,
        uid_next,
        rows,
    }
}

impl Book {
    fn saw(&mut self, uid: u32, hash: Hash) {
        let known = *self.uids.entry(uid).or_insert(hash);
        assert_eq!(known, hash, "UID {uid} was given twice");
    }

    fn settle(&mut self, name: &str, look: &Look) {
        let validity = self.validity.get_or_insert_with(|| look.validity.clone());
        assert_eq!(*validity, look.validity, "{name}: UIDVALIDITY");
        let mut found = HashSet::new();
        // The outcome of each command that was not answered: what it deleted is there, or is not.
        let mut outcomes: HashMap<u64, (usize, usize)> = HashMap::new();
        for (uid, hash, flagged) in &look.rows {
            assert!(found.insert(*hash), "{name}: UID {uid} is there twice");
            let state = self.messages.get(hash);
            assert!(
                matches!(state, Some(State::Coming | State::Here | State::Going(_))),
                "{name}: UID {uid} has no business here: {state:?}"
            );
            self.saw(*uid, *hash);
            let told = self.flagged.entry(*uid).or_default();
            assert!(
                *flagged == told.0 || told.1 == Some(*flagged),
                "{name}: UID {uid} flagged: {flagged}, told: {told:?}"
            );
            *told = (*flagged, None);
        }
        let highest = self.uids.keys().max().copied().unwrap_or(0);
        assert!(look.uid_next > highest, "{name}: UIDNEXT {}", look.uid_next);
        for (hash, state) in &mut self.messages {
            let there = found.contains(hash);
            if let State::Going(command) = state {
                let (kept, gone) = outcomes.entry(*command).or_default();
                *if there { kept } else { gone } += 1;
            }
            assert!(there || *state != State::Here, "{name}: {hash} is lost");
            *state = if there { State::Here } else { State::Gone };
        }
        for (kept, gone) in outcomes.values() {
            assert!(
                *kept == 0 || *gone == 0,
                "{name}: of one command {gone} were done and {kept} were not"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A client that loses its server panics; what it wrote down before stands.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
