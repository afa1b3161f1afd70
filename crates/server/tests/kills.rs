//! `kill -9` at random moments of a busy life: what was acknowledged is there, what was deleted
//! stays deleted, no UID means two things.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;
use support::ledger::{Ledger, Page};
use support::{BINARY, delivered, verify};
use testkit::corpus::Chance;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server};

const ROUNDS: u64 = 20;

/// One client: works until its server is gone, and reports each command that was answered.
struct Client<'a> {
    address: SocketAddr,
    page: Page<'a>,
    other: Page<'a>,
    chance: Chance,
    answered: Sender<()>,
}

/// A message like no other.
fn message(chance: &mut Chance) -> Vec<u8> {
    let id = chance.next();
    let length = chance.between(100, 6_000);
    let body = chance.base64(length);
    let mut text = format!(
        "From: <a@example.org>\r\nSubject: message {id:016x}\r\nMessage-ID: <{id:x}@example.org>\r\n\r\n"
    );
    for line in body.as_bytes().chunks(76) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push_str("\r\n");
    }
    text.into_bytes()
}

impl Client<'_> {
    fn tell(&self) {
        // Nobody listens any more once the server was killed.
        let _ = self.answered.send(());
    }

    /// Delivers to carol's and bob's INBOX.
    fn lmtp(mut self) {
        let mut lmtp = LmtpClient::connect(self.address);
        loop {
            let message = message(&mut self.chance);
            let carol = delivered("carol", &message);
            let bob = delivered("bob", &message);
            self.page.coming(&carol);
            if self.chance.below(3) == 0 {
                self.other.coming(&bob);
                let replies = lmtp.deliver(&["carol", "bob"], &message);
                assert!(
                    replies.iter().all(|reply| reply.starts_with("250")),
                    "{replies:?}"
                );
                self.other.came(&bob, None);
            } else {
                lmtp.deliver_ok("carol", &message);
            }
            self.page.came(&carol, None);
            self.tell();
        }
    }

    /// APPENDs to alice's Work.
    fn append(mut self) {
        let mut imap = ImapClient::login(self.address, "alice", PASSWORD);
        loop {
            let message = message(&mut self.chance);
            self.page.coming(&message);
            let answer = imap.append("Work", "", &message);
            let uid = answer
                .strip_prefix("OK [APPENDUID ")
                .and_then(|rest| rest.split([' ', ']']).nth(1))
                .unwrap_or_else(|| panic!("APPEND: {answer}"));
            self.page.came(&message, Some(uid.parse().unwrap()));
            self.tell();
        }
    }

    /// Sets and removes `\Flagged` in alice's Work.
    fn store(mut self) {
        let mut imap = ImapClient::login(self.address, "alice", PASSWORD);
        imap.ok("SELECT Work");
        loop {
            let present = self.page.present();
            if present.is_empty() {
                imap.ok("NOOP");
                continue;
            }
            let (uid, _) = self.chance.pick(&present);
            let on = self.chance.below(2) == 0;
            // RFC 9051 6.4.9: a UID the session has not been told of is ignored.
            imap.ok("NOOP");
            let sign = if on { '+' } else { '-' };
            self.page.flagging(uid, on);
            imap.ok(&format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Flagged)"));
            self.page.flagged(uid, on);
            self.tell();
        }
    }

    /// Expunges a few messages at a time from alice's Work.
    fn expunge(mut self) {
        let mut imap = ImapClient::login(self.address, "alice", PASSWORD);
        imap.ok("SELECT Work");
        loop {
            let mut present = self.page.present();
            if present.len() < 10 {
                imap.ok("NOOP");
                continue;
            }
            let count = self.chance.between(1, 6);
            let from = self.chance.between(0, present.len() - count);
            let chosen: Vec<_> = present.drain(from..from + count).collect();
            let uids: Vec<String> = chosen.iter().map(|(uid, _)| uid.to_string()).collect();
            let hashes: Vec<_> = chosen.iter().map(|(_, hash)| *hash).collect();
            let set = uids.join(",");
            imap.ok("NOOP");
            imap.ok(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"));
            let command = self.page.going(&hashes);
            let told = imap.ok(&format!("UID EXPUNGE {set}"));
            let expunged = told.iter().filter(|line| line.text.ends_with(" EXPUNGE"));
            assert_eq!(expunged.count(), count, "UID EXPUNGE {set}: {told:?}");
            self.page.went(command);
            self.tell();
        }
    }

    /// Downloads carol's INBOX and deletes half of what it has.
    fn pop3(mut self) {
        loop {
            let mut pop3 = Pop3Client::login(self.address, "carol", PASSWORD);
            let count = pop3.stat().0.min(8);
            let mut hashes = Vec::new();
            for number in 1..=count {
                let bytes = pop3.retr(number);
                if self.chance.below(2) == 0 {
                    pop3.ok(&format!("DELE {number}"));
                    hashes.push(blake3::hash(&bytes));
                }
            }
            let command = self.page.going(&hashes);
            pop3.quit();
            self.page.went(command);
            self.tell();
        }
    }
}

/// Panics of clients, which end when their server does, in words for a test that fails.
fn collect_panics() -> Arc<Mutex<Vec<String>>> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (hook, heard) = (std::panic::take_hook(), said.clone());
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        match thread.name().and_then(|name| name.strip_prefix("client ")) {
            Some(name) => heard.lock().unwrap().push(format!("{name}: {panic}")),
            None => hook(panic),
        }
    }));
    said
}

type Work<'a> = fn(Client<'a>);

/// Every client in a thread of its own; the receiver hears of each answer.
fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    server: &Server,
    ledger: &'env Ledger,
    chance: &mut Chance,
) -> (Vec<ScopedJoinHandle<'scope, ()>>, Receiver<()>) {
    let (answered, answers) = channel();
    let work = || ledger.page("alice", "Work");
    let (carol, bob) = (
        || ledger.page("carol", "INBOX"),
        || ledger.page("bob", "INBOX"),
    );
    let clients: [(&str, SocketAddr, Page<'env>, Work<'env>); 7] = [
        ("lmtp 1", server.lmtp(), carol(), Client::lmtp),
        ("lmtp 2", server.lmtp(), carol(), Client::lmtp),
        ("append 1", server.imap(), work(), Client::append),
        ("append 2", server.imap(), work(), Client::append),
        ("store", server.imap(), work(), Client::store),
        ("expunge", server.imap(), work(), Client::expunge),
        ("pop3", server.pop3(), carol(), Client::pop3),
    ];
    let handles = clients.map(|(name, address, page, run)| {
        let client = Client {
            address,
            page,
            other: bob(),
            chance: Chance::new(chance.next()),
            answered: answered.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("client {name}"));
        thread.spawn_scoped(scope, move || run(client)).unwrap()
    });
    (handles.into(), answers)
}

#[test]
fn what_was_acknowledged_outlives_twenty_kills() {
    let panics = collect_panics();
    let mut server = Server::start(BINARY);
    let ledger = Ledger::default();
    let mut chance = Chance::new(41);
    ImapClient::login(server.imap(), "alice", PASSWORD).ok("CREATE Work");
    for round in 0..ROUNDS {
        let moment = chance.between(1, 300);
        std::thread::scope(|scope| {
            let (handles, answers) = start(scope, &server, &ledger, &mut chance);
            for _ in 0..moment {
                let answer = answers.recv_timeout(Duration::from_secs(60));
                assert!(answer.is_ok(), "{:?}", panics.lock().unwrap());
            }
            // A client that ended while the server lived was told something wrong.
            let early = handles.iter().any(|handle| handle.is_finished());
            server.kill();
            assert!(!early, "{:?}", panics.lock().unwrap());
            for handle in handles {
                assert!(handle.join().is_err(), "clients end with their server");
            }
        });
        panics.lock().unwrap().clear();
        server.start_again();
        ledger.settle(&server);
        verify(&server);
        println!(
            "round {round}: killed after {moment} answers, {} messages",
            ledger.here()
        );
    }
    assert!(ledger.ever() > 400, "little happened: {}", ledger.ever());
}
