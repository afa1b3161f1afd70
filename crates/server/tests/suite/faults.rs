//! A disk that is full, fails or is read-only, and no more file descriptors: temporary errors at
//! every door, a reason at `/health/ready`, nothing acknowledged lost, service again when the fault
//! is gone.

use crate::support::{BINARY, delivered, disks, http, verify};
use std::collections::BTreeSet;
use testkit::corpus::Chance;
use testkit::disk::{Fault, Faults, FuseDisk, Shelf};
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

/// A server on a disk that fails on demand, and what it acknowledged.
struct Place {
    server: Server,
    // Let go of in this order: a disk in use cannot be unmounted.
    disk: FuseDisk,
    shelf: Shelf,
    chance: Chance,
    alice: BTreeSet<String>,
    carol: BTreeSet<String>,
    boots: u32,
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_string()
}

impl Place {
    /// `None` where there can be no such disk.
    fn new() -> Option<Self> {
        if !disks() {
            return None;
        }
        let shelf = Shelf::new().unwrap();
        let disk = FuseDisk::new(&shelf.dir().join("disk")).unwrap();
        let settings = Settings {
            data_dir: Some(disk.dir().join("data")),
            ..Settings::default()
        };
        let mut place = Self {
            server: Server::with(BINARY, settings),
            disk,
            shelf,
            chance: Chance::new(5),
            alice: BTreeSet::new(),
            carol: BTreeSet::new(),
            boots: 0,
        };
        for _ in 0..4 {
            assert!(place.deliver(2_000).starts_with("250"));
            assert!(place.append(2_000).starts_with("OK"));
        }
        assert_eq!(place.health(), "ready");
        Some(place)
    }

    fn message(&mut self, size: usize) -> Vec<u8> {
        let text = self.chance.base64(size);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(76)
            .map(|l| std::str::from_utf8(l).unwrap())
            .collect();
        format!("Subject: m\r\n\r\n{}\r\n", lines.join("\r\n")).into_bytes()
    }

    /// Delivers to carol; the answer.
    fn deliver(&mut self, size: usize) -> String {
        let message = self.message(size);
        let answer = LmtpClient::connect(self.server.lmtp())
            .deliver(&["carol"], &message)
            .remove(0);
        if answer.starts_with("250") {
            self.carol.insert(hash(&delivered("carol", &message)));
        }
        answer
    }

    /// Appends to alice's INBOX; the answer.
    fn append(&mut self, size: usize) -> String {
        let message = self.message(size);
        let mut imap = ImapClient::login(self.server.imap(), "alice", PASSWORD);
        let answer = imap.append("INBOX", "", &message);
        if answer.starts_with("OK") {
            self.alice.insert(hash(&message));
        }
        answer
    }

    /// Deletes one of carol's messages over POP3; the answer to QUIT.
    fn delete(&mut self) -> Result<String, String> {
        let mut pop3 = Pop3Client::login(self.server.pop3(), "carol", PASSWORD);
        let gone = hash(&pop3.retr(1));
        pop3.ok("DELE 1");
        let answer = pop3.command("QUIT");
        if answer.is_ok() {
            self.carol.remove(&gone);
        }
        answer
    }

    fn command(&self, line: &str) -> String {
        ImapClient::login(self.server.imap(), "alice", PASSWORD)
            .command(line)
            .1
    }

    /// The body of `/health/ready`; `ready` is the only one that comes with 200.
    fn health(&self) -> String {
        let page = http(self.server.http(), "/health/ready");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            head.starts_with("HTTP/1.1 200"),
            body.trim() == "ready",
            "{page}"
        );
        body.trim().to_owned()
    }

    /// Everything acknowledged is there, and nothing else.
    fn assert_all_there(&self) {
        for (user, wanted) in [("alice", &self.alice), ("carol", &self.carol)] {
            let mut imap = ImapClient::login(self.server.imap(), user, PASSWORD);
            let found: BTreeSet<String> = imap.bodies("INBOX").iter().map(|b| hash(b)).collect();
            assert_eq!(&found, wanted, "{user}");
        }
        verify(&self.server);
    }

    /// Every door refuses to write, for now, and reading goes on.
    fn assert_refused(&mut self) {
        let lmtp = self.deliver(2_000);
        assert!(
            lmtp.starts_with("451 4.") || lmtp.starts_with("452 4."),
            "{lmtp}"
        );
        let append = self.append(2_000);
        assert!(append.starts_with("NO [UNAVAILABLE]"), "{append}");
        let create = self.command("CREATE New");
        assert!(create.starts_with("NO [UNAVAILABLE]"), "{create}");
        let quit = self.delete().unwrap_err();
        assert!(quit.starts_with("-ERR [SYS/TEMP]"), "{quit}");
        assert_eq!(
            ImapClient::login(self.server.imap(), "alice", PASSWORD)
                .bodies("INBOX")
                .len(),
            self.alice.len()
        );
    }

    /// Every door takes what it is given.
    fn assert_serves(&mut self) {
        assert_eq!(self.deliver(2_000), "250 2.0.0 delivered");
        assert!(self.append(2_000).starts_with("OK"));
        assert!(self.command("CREATE New").starts_with("OK"));
        assert!(self.command("DELETE New").starts_with("OK"));
        self.delete().unwrap();
        assert_eq!(self.health(), "ready");
    }

    /// Killed and started again, without and then with a power cut: nothing is missing.
    fn assert_lasts(&mut self) {
        self.server.kill();
        self.server.start_again();
        self.assert_all_there();
        self.assert_serves();
        for round in 0..3 {
            let place = self.shelf.dir().join(format!("cut{round}"));
            let (cut, how) = self.disk.cut(&place, &mut self.chance).unwrap();
            println!("cut: {how}");
            self.start_on(cut);
            self.assert_serves();
        }
    }

    /// The machine is started again with this disk; nothing is missing.
    fn start_on(&mut self, cut: FuseDisk) {
        self.server.kill();
        self.disk = cut;
        self.boots += 1;
        self.server.set_data_dir(self.disk.dir().join("data"));
        self.server
            .set_environment("GATEPOST_BOOT", &self.boots.to_string());
        self.server.start_again();
        self.assert_all_there();
    }
}

/// The name of the data directory was lost by a cut before anything else had made it durable.
#[test]
fn from_the_first_message_on_what_was_synced_is_enough() {
    let Some(mut place) = Place::new() else {
        return;
    };
    for round in 0..3 {
        let cut = place
            .disk
            .strict_cut(&place.shelf.dir().join(format!("strict{round}")));
        place.start_on(cut.unwrap());
        place.assert_serves();
    }
}

#[test]
fn a_full_disk_refuses_for_now_and_serves_again_when_it_has_space() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let space = Some(place.disk.used() + (6 << 20));
    place.disk.set_faults(Faults {
        space,
        ..Faults::default()
    });
    let refused = loop {
        let answer = place.deliver(900_000);
        if !answer.starts_with("250") {
            break answer;
        }
    };
    assert!(
        refused.starts_with("451 4.") || refused.starts_with("452 4."),
        "{refused}"
    );
    let append = place.append(900_000);
    assert!(append.starts_with("NO [UNAVAILABLE]"), "{append}");
    let health = place.health();
    assert!(health.contains("storing messages fails"), "{health}");
    // Who deletes to make room can.
    place.delete().unwrap();
    place.disk.set_faults(Faults::default());
    place.assert_serves();
    place.assert_all_there();
    place.assert_lasts();
}

#[test]
fn a_disk_that_cannot_be_written_is_read_only_until_the_next_start() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let write = Some(Fault::Broken);
    place.disk.set_faults(Faults {
        write,
        ..Faults::default()
    });
    place.assert_refused();
    let health = place.health();
    assert!(health.contains("index is read-only"), "{health}");
    place.disk.set_faults(Faults::default());
    // Nobody knows what of the commit log is on the disk.
    place.assert_refused();
    place.assert_lasts();
}

#[test]
fn mail_is_stored_again_once_the_disk_can_be_written() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let write = Some(Fault::Broken);
    place.disk.set_faults(Faults {
        write,
        ..Faults::default()
    });
    // It never comes to the commit log: that is only written once the message is stored.
    let lmtp = place.deliver(2_000);
    assert!(lmtp.starts_with("451 4."), "{lmtp}");
    let health = place.health();
    assert!(health.contains("storing messages fails"), "{health}");
    place.disk.set_faults(Faults::default());
    place.assert_serves();
    place.assert_all_there();
    place.assert_lasts();
}

#[test]
fn after_a_sync_that_failed_nothing_is_written_until_the_next_start() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let sync = Some(Fault::Broken);
    place.disk.set_faults(Faults {
        sync,
        ..Faults::default()
    });
    place.assert_refused();
    place.disk.set_faults(Faults::default());
    place.assert_refused();
    let health = place.health();
    assert!(
        health.contains("read-only") && health.contains("fdatasync"),
        "{health}"
    );
    place.server.kill();
    place.server.start_again();
    // What was refused may have happened all the same: it was on its way to the disk.
    for (user, wanted) in [("alice", &mut place.alice), ("carol", &mut place.carol)] {
        let mut imap = ImapClient::login(place.server.imap(), user, PASSWORD);
        let found: BTreeSet<String> = imap.bodies("INBOX").iter().map(|b| hash(b)).collect();
        assert!(found.len() >= wanted.len() - 1, "{user}");
        *wanted = found;
    }
    place.command("DELETE New");
    place.assert_serves();
    place.assert_lasts();
}

#[test]
fn a_disk_mounted_read_only_is_read() {
    let Some(mut place) = Place::new() else {
        return;
    };
    place.disk.set_faults(Faults::read_only());
    place.assert_refused();
    assert!(place.health().contains("read-only"), "{}", place.health());
    place.disk.set_faults(Faults::default());
    place.assert_lasts();
}

#[test]
fn messages_that_cannot_be_read_now_can_be_read_later() {
    let Some(mut place) = Place::new() else {
        return;
    };
    // A start remembers no message.
    place.server.kill();
    place.server.start_again();
    let read = Some(Fault::Broken);
    place.disk.set_faults(Faults {
        read,
        ..Faults::default()
    });
    let mut imap = ImapClient::login(place.server.imap(), "alice", PASSWORD);
    imap.ok("EXAMINE INBOX");
    let (_, answer) = imap.command("UID FETCH 1:* (BODY.PEEK[])");
    assert!(answer.starts_with("NO [UNAVAILABLE]"), "{answer}");
    let mut pop3 = Pop3Client::login(place.server.pop3(), "carol", PASSWORD);
    let retr = pop3.command("RETR 1").unwrap_err();
    assert!(retr.starts_with("-ERR [SYS/TEMP]"), "{retr}");
    let health = place.health();
    assert!(health.contains("reading messages fails"), "{health}");
    place.disk.set_faults(Faults::default());
    place.assert_all_there();
    place.assert_serves();
    place.assert_lasts();
}

#[test]
fn without_file_descriptors_open_sessions_go_on_and_new_ones_wait() {
    const FILES: usize = 100;
    let settings = Settings {
        wrapper: ["prlimit", &format!("--nofile={FILES}")]
            .map(str::to_owned)
            .to_vec(),
        ..Settings::default()
    };
    let mut server = Server::with(BINARY, settings);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let mut imap = ImapClient::login(server.imap(), "carol", PASSWORD);
    lmtp.deliver_ok("carol", b"Subject: one\r\n\r\n1\r\n");
    imap.ok("SELECT INBOX");
    // More connections than the server can accept; the kernel holds the rest.
    let crowd: Vec<_> = (0..FILES)
        .map(|_| std::net::TcpStream::connect(server.pop3()).unwrap())
        .collect();
    for _ in 0..20 {
        lmtp.deliver_ok("carol", b"Subject: more\r\n\r\n2\r\n");
        imap.ok("NOOP");
    }
    assert_eq!(imap.ok("UID FETCH 1:* (BODY.PEEK[])").len(), 21);
    drop(crowd);
    let mut pop3 = Pop3Client::login(server.pop3(), "carol", PASSWORD);
    assert_eq!(pop3.stat().0, 21);
    pop3.quit();
    assert!(server.terminate().success());
    server.start_again();
    verify(&server);
}
