//! Clients at work until their server is gone.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use super::knowledge::{Effect, Event, Hash, Key};
use super::ledger::Ledger;
use super::watcher;
use crate::corpus::Chance;
use crate::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server};

pub(super) const WORK: Key = ("alice", "Work");
pub(super) const FILED: Key = ("alice", "Filed");
pub(super) const COPIES: Key = ("alice", "Copies");
pub(super) const CAROL: Key = ("carol", "INBOX");
pub(super) const BOB: Key = ("bob", "INBOX");
/// All of them.
pub(super) const BOOKS: [Key; 5] = [WORK, FILED, COPIES, CAROL, BOB];
/// Above this a mailbox is emptied rather than filled: every one is read after every cut.
pub(super) const ENOUGH: usize = 40;

/// Where a server listens.
#[derive(Clone, Copy)]
pub(super) struct Doors {
    imap: SocketAddr,
    pop3: SocketAddr,
    lmtp: SocketAddr,
}

impl Doors {
    fn of(server: &Server) -> Self {
        Self {
            imap: server.imap(),
            pop3: server.pop3(),
            lmtp: server.lmtp(),
        }
    }
}

/// One client.
pub(super) struct Client<'a> {
    doors: Doors,
    pub(super) ledger: &'a Ledger,
    pub(super) chance: Chance,
    /// Whether many messages are large.
    large: bool,
    answered: Sender<()>,
}

/// A message like no other.
fn message(chance: &mut Chance, large: bool) -> Vec<u8> {
    let id = chance.next();
    let length = match chance.below(40) {
        0..6 if large => chance.between(1_000_000, 3_000_000),
        0 => chance.between(100_000, 900_000),
        1..4 => chance.between(6_000, 60_000),
        _ => chance.between(100, 6_000),
    };
    let body = chance.base64(length);
    let mut text = format!(
        "From: <a@example.org>\r\nSubject: message {id:016x}\r\nMessage-ID: <{id:x}@example.org>\r\n\r\n"
    );
    for line in body.as_bytes().chunks(76) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// `message` as it is stored after [`LmtpClient`] delivered it to `to`.
#[must_use]
pub fn delivered(to: &str, message: &[u8]) -> Vec<u8> {
    let head = format!("Return-Path: <sender@example.org>\r\nDelivered-To: {to}\r\n");
    [head.as_bytes(), message].concat()
}

/// Whether a message was appended with `\Answered`, which nobody changes.
pub(super) fn answered(hash: Hash) -> bool {
    hash.as_bytes()[0] & 1 == 1
}

fn comes(book: Key, hash: Hash) -> Effect {
    Effect {
        book,
        hash,
        comes: true,
    }
}

pub(super) fn goes(book: Key, hash: Hash) -> Effect {
    Effect {
        comes: false,
        ..comes(book, hash)
    }
}

fn set(rows: &[(u32, Hash)]) -> String {
    let uids: Vec<String> = rows.iter().map(|(uid, _)| uid.to_string()).collect();
    uids.join(",")
}

/// A set of UIDs as it was sent, in order.
fn uids(set: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for range in set.split(',') {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u32>().expect("a UID");
        let (from, to) = (number(from), number(to));
        if from <= to {
            all.extend(from..=to);
        } else {
            all.extend((to..=from).rev());
        }
    }
    all
}

impl<'a> Client<'a> {
    pub(super) fn tell(&self) {
        // Nobody listens any more once the server was killed.
        let _ = self.answered.send(());
    }

    pub(super) fn message(&mut self) -> Vec<u8> {
        message(&mut self.chance, self.large)
    }

    pub(super) fn imap(&self, user: &str) -> ImapClient {
        ImapClient::login(self.doors.imap, user, PASSWORD)
    }

    pub(super) fn done(&self, command: u64) {
        self.ledger.write(Event::Answered(command));
        self.tell();
    }

    /// Delivers to carol's and bob's INBOX.
    fn lmtp(mut self) {
        let mut lmtp = LmtpClient::connect(self.doors.lmtp);
        loop {
            if self.ledger.count(CAROL) > ENOUGH {
                lmtp.command("NOOP");
                continue;
            }
            let message = self.message();
            let hash = |to| blake3::hash(&delivered(to, &message));
            let carol = self.ledger.send(&[comes(CAROL, hash("carol"))]);
            if self.chance.below(3) == 0 && self.ledger.count(BOB) < ENOUGH {
                let bob = self.ledger.send(&[comes(BOB, hash("bob"))]);
                let replies = lmtp.deliver(&["carol", "bob"], &message);
                let fine = replies.iter().all(|reply| reply.starts_with("250"));
                assert!(fine, "{replies:?}");
                self.ledger.write(Event::Answered(bob));
            } else {
                lmtp.deliver_ok("carol", &message);
            }
            self.done(carol);
        }
    }

    /// APPENDs to alice's Work.
    fn append(mut self) {
        let mut imap = self.imap("alice");
        loop {
            if self.ledger.count(WORK) > ENOUGH {
                imap.ok("NOOP");
                continue;
            }
            let message = self.message();
            let hash = blake3::hash(&message);
            let command = self.ledger.send(&[comes(WORK, hash)]);
            let flags = if answered(hash) { "\\Answered" } else { "" };
            let answer = imap.append("Work", flags, &message);
            let (validity, uid) = append_uid(&answer);
            self.ledger.write(Event::Uid(WORK, validity, uid, hash));
            self.done(command);
        }
    }

    /// Sets and removes `\Flagged` in alice's Work.
    fn store(mut self) {
        let mut imap = self.imap("alice");
        imap.ok("SELECT Work");
        loop {
            // RFC 9051 6.4.9: a UID the session has not been told of is ignored.
            let present = self.ledger.present(WORK);
            imap.ok("NOOP");
            if present.is_empty() {
                continue;
            }
            let (uid, _) = self.chance.pick(&present);
            let on = self.chance.below(2) == 0;
            let sign = if on { '+' } else { '-' };
            self.ledger.write(Event::Flagging(WORK, uid, on));
            imap.ok(&format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Flagged)"));
            self.ledger.write(Event::Flagged(WORK, uid, Instant::now()));
            self.tell();
        }
    }

    /// A few neighbours.
    fn few(&mut self, most: usize) -> impl FnOnce(&mut Vec<(u32, Hash)>) + use<> {
        let (count, from) = (self.chance.between(1, most + 1), self.chance.next());
        move |rows| {
            let count = count.min(rows.len());
            let from = (from % (rows.len() - count + 1) as u64) as usize;
            *rows = rows.split_off(from);
            rows.truncate(count);
        }
    }

    fn expunge_from(
        &mut self,
        imap: &mut ImapClient,
        book: Key,
        least: usize,
        most: usize,
    ) -> bool {
        let few = self.few(most);
        let Some((command, rows)) = self.ledger.take(book, least, few, |h| vec![goes(book, h)])
        else {
            imap.ok("NOOP");
            return false;
        };
        let set = set(&rows);
        imap.ok("NOOP");
        imap.ok(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"));
        let told = imap.ok(&format!("UID EXPUNGE {set}"));
        // Of what others expunged it may be told now as well.
        let gone = told.iter().filter(|line| line.text.ends_with(" EXPUNGE"));
        assert!(gone.count() >= rows.len(), "UID EXPUNGE {set}: {told:?}");
        self.ledger.release(&rows);
        self.done(command);
        true
    }

    /// Expunges from alice's Work.
    fn expunge(mut self) {
        let mut imap = self.imap("alice");
        imap.ok("SELECT Work");
        loop {
            self.expunge_from(&mut imap, WORK, 12, 6);
        }
    }

    /// Moves from alice's Work to Filed, which another session empties.
    fn mover(mut self) {
        let (mut imap, mut filed) = (self.imap("alice"), self.imap("alice"));
        imap.ok("SELECT Work");
        filed.ok("SELECT Filed");
        loop {
            self.expunge_from(&mut filed, FILED, ENOUGH / 2, ENOUGH);
            let few = self.few(4);
            let both = |hash| vec![goes(WORK, hash), comes(FILED, hash)];
            imap.ok("NOOP");
            let Some((command, rows)) = self.ledger.take(WORK, 8, few, both) else {
                continue;
            };
            imap.ok("NOOP");
            let line = format!("UID MOVE {} Filed", set(&rows));
            let (told, answer) = imap.command(&line);
            let said = told.iter().map(|line| line.text.as_str());
            let said = said.chain([answer.as_str()]).collect::<Vec<_>>();
            self.copied(&line, &said, FILED, &rows);
            self.ledger.release(&rows);
            self.done(command);
        }
    }

    /// Copies from alice's Work to Copies, and empties that.
    fn copier(mut self) {
        let (mut imap, mut copies) = (self.imap("alice"), self.imap("alice"));
        imap.ok("SELECT Work");
        copies.ok("SELECT Copies");
        loop {
            self.expunge_from(&mut copies, COPIES, ENOUGH / 2, ENOUGH);
            let present = self.ledger.present(WORK).into_iter();
            let new = present.filter(|(_, hash)| !self.ledger.is_there(COPIES, *hash));
            let new: HashSet<Hash> = new.map(|(_, hash)| hash).collect();
            let few = self.few(3);
            let choose = |rows: &mut Vec<(u32, Hash)>| {
                rows.retain(|(_, hash)| new.contains(hash));
                if !rows.is_empty() {
                    few(rows);
                }
            };
            imap.ok("NOOP");
            let taken = self
                .ledger
                .take(WORK, 0, choose, |hash| vec![comes(COPIES, hash)]);
            let Some((command, rows)) = taken.filter(|(_, rows)| !rows.is_empty()) else {
                continue;
            };
            imap.ok("NOOP");
            let line = format!("UID COPY {} Copies", set(&rows));
            let (_, answer) = imap.command(&line);
            self.copied(&line, &[&answer], COPIES, &rows);
            self.ledger.release(&rows);
            self.done(command);
        }
    }

    /// Reads COPYUID.
    fn copied(&self, line: &str, said: &[&str], to: Key, rows: &[(u32, Hash)]) {
        let code = said.iter().find_map(|text| text.split_once("[COPYUID "));
        let words = code.and_then(|(_, rest)| rest.split_once(']'));
        let (words, _) = words.unwrap_or_else(|| panic!("{line}: {said:?}"));
        let words: Vec<&str> = words.split(' ').collect();
        let validity = words[0].parse().expect("a UIDVALIDITY");
        let (old, new) = (uids(words[1]), uids(words[2]));
        assert!(
            old.len() == rows.len() && new.len() == rows.len(),
            "{line}: {said:?}"
        );
        for (old, new) in old.into_iter().zip(new) {
            let row = rows.iter().find(|(uid, _)| *uid == old);
            let (_, hash) = row.unwrap_or_else(|| panic!("{line}: {said:?}"));
            self.ledger.write(Event::Uid(to, validity, new, *hash));
        }
    }

    /// Downloads carol's INBOX and deletes what it has, often.
    fn pop3(mut self) {
        loop {
            let mut pop3 = Pop3Client::login(self.doors.pop3, "carol", PASSWORD);
            let rows = pop3.rows("UIDL");
            let (most, share) = if rows.len() > ENOUGH / 2 {
                (20, 90)
            } else {
                (8, 50)
            };
            let mut effects = Vec::new();
            for row in rows.iter().take(most) {
                let (number, uidl) = row.split_once(' ').expect("UIDL: number and id");
                let hash = blake3::hash(&pop3.retr(number.parse().expect("a number")));
                self.ledger.write(Event::Seen(CAROL, hash));
                self.ledger
                    .write(Event::Uidl("carol", uidl.to_owned(), hash));
                if self.chance.below(100) < share {
                    pop3.ok(&format!("DELE {number}"));
                    effects.push(goes(CAROL, hash));
                }
            }
            let command = self.ledger.send(&effects);
            pop3.quit();
            self.done(command);
        }
    }

    fn watch(self) {
        watcher::watch(&self);
    }
}

/// UIDVALIDITY and UID of APPENDUID.
pub(super) fn append_uid(answer: &str) -> (u32, u32) {
    let words = answer.strip_prefix("OK [APPENDUID ");
    let words = words.and_then(|rest| rest.split_once(']'));
    let words = words.and_then(|(words, _)| words.split_once(' '));
    let words = words.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    words.unwrap_or_else(|| panic!("APPEND: {answer}"))
}

type Work<'a> = fn(Client<'a>);

/// Every client in a thread of its own; the receiver hears of each answer. `large`: many of their
/// messages are.
pub(super) fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    server: &Server,
    ledger: &'env Ledger,
    chance: &mut Chance,
    large: bool,
) -> (Vec<ScopedJoinHandle<'scope, ()>>, Receiver<()>) {
    let (answered, answers) = channel();
    let clients: [(&str, Work<'env>); 11] = [
        ("lmtp 1", Client::lmtp),
        ("lmtp 2", Client::lmtp),
        ("append 1", Client::append),
        ("append 2", Client::append),
        ("store", Client::store),
        ("expunge", Client::expunge),
        ("mover", Client::mover),
        ("copier", Client::copier),
        ("pop3", Client::pop3),
        ("folders", Client::folders),
        ("watcher", Client::watch),
    ];
    let handles = clients.map(|(name, run)| {
        let client = Client {
            doors: Doors::of(server),
            ledger,
            chance: Chance::new(chance.next()),
            large,
            answered: answered.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("client {name}"));
        let handle = thread.spawn_scoped(scope, move || run(client));
        handle.expect("a thread for each client")
    });
    (handles.into(), answers)
}
