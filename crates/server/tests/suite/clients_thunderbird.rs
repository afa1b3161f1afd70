//! Thunderbird as an IMAP client; as a POP3 client it stands in `clients_pop3.rs`.

use crate::support::thunderbird::{Shown, Thunderbird};
use crate::support::{BINARY, assert_same, commands, deliver_all, fill, metric, verify};
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::corpus::Corpus;
use testkit::real::spam_assassin;
use testkit::{ImapClient, PASSWORD, Server};

/// Thunderbird, what it should have of alice's INBOX, and another client of hers.
struct Beside<'a> {
    server: &'a Server,
    client: Thunderbird,
    other: ImapClient,
    mail: Vec<Vec<u8>>,
}

/// It compresses, speaks UTF-8, catches up by CONDSTORE, moves by MOVE, appends, and idles.
#[test]
fn thunderbird_synchronises_flags_messages_and_folders_both_ways() {
    let server = Server::start(BINARY);
    let mut mail = deliver_all(&server, "alice", spam_assassin(151, 40).into_iter());
    let mut large = b"Subject: =?utf-8?q?=C3=84pfel?=\r\n\r\n".to_vec();
    large.extend(b"Larger than what it asks for at once.\r\n".repeat(5000));
    mail.extend(deliver_all(&server, "alice", [large].into_iter()));
    let mut other = ImapClient::login(server.imap(), "alice", PASSWORD);
    other.ok("CREATE Projects/Old");
    other.ok("SUBSCRIBE Projects/Old");
    other.ok("SELECT INBOX");
    let mut beside = Beside {
        server: &server,
        client: Thunderbird::start("imap", server.imap().port()),
        other,
        mail,
    };
    beside.client.act("receive", json!([]));
    beside.what_is_on_the_server_only_is_found_and_shown();
    beside.agrees("downloaded");
    beside.flags_go_there_and_come_back();
    beside.messages_are_moved_to_folders_it_makes();
    beside.what_it_sends_is_appended();
    beside.it_catches_up_when_it_was_away();
    drop(beside);
    for name in ["COMPRESS", "ENABLE", "IDLE", "LANGUAGE", "MOVE"] {
        assert!(commands(&server, name) > 0.0, "{name}");
    }
    let condstore = "gatepost_sync_bytes_total{method=\"condstore\",protocol=\"imap\"}";
    assert!(metric(&server, condstore) > 0.0);
    verify(&server);
}

impl Beside<'_> {
    /// All three have the same messages in INBOX.
    fn agrees(&mut self, when: &str) {
        self.client.act("download", json!(["INBOX"]));
        assert_same(when, &self.mail, &self.client.saved("INBOX"));
        assert_same(when, &self.mail, &self.other.bodies("INBOX"));
    }

    fn what_is_on_the_server_only_is_found_and_shown(&mut self) {
        let (client, count) = (&mut self.client, self.mail.len());
        client.wait_for("INBOX", |shown| shown.len() == count);
        let found = client.act("search", json!(["INBOX", "Subject", "Äpfel"]));
        assert_eq!(found, json!([41]));
        assert_same("shown", &self.mail[40..], &[client.shown("INBOX", 41)]);
    }

    /// Waits until other clients find these UIDs by these search keys.
    fn wait_until_found(&mut self, mailbox: &str, wanted: &[(&str, &str)]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let lines = wanted.iter().map(|(_, uids)| format!("* SEARCH {uids}"));
        let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
        loop {
            let (_, examined) = self.other.command(&format!("EXAMINE \"{mailbox}\""));
            let mut found = vec![examined];
            if found[0].starts_with("OK") {
                let search = |keys| self.other.ok(&format!("UID SEARCH {keys}"))[0].text.clone();
                found = wanted.iter().map(|(keys, _)| keys).map(search).collect();
            }
            if found == lines {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{mailbox}: {wanted:?}: {found:?}"
            );
            // Thunderbird has no words for "everything is done".
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn flags_go_there_and_come_back(&mut self) {
        self.client.act("seen", json!(["INBOX", [1, 2, 3], true]));
        self.client.act("flagged", json!(["INBOX", [4, 5], true]));
        self.client.act("answered", json!(["INBOX", [6]]));
        self.client.act("tag", json!(["INBOX", [7], "$label1"]));
        let wanted = [
            ("SEEN", "1 2 3"),
            ("FLAGGED", "4 5"),
            ("ANSWERED", "6"),
            ("KEYWORD $label1", "7"),
        ];
        self.wait_until_found("INBOX", &wanted);

        // With new messages and lost ones, while it does nothing but IDLE.
        self.other.ok("SELECT INBOX");
        self.other.ok("UID STORE 3 FLAGS.SILENT (\\Answered)");
        self.other
            .ok("UID STORE 7,9 FLAGS.SILENT (\\Flagged $label2)");
        self.other.ok("UID STORE 10 +FLAGS.SILENT (\\Deleted)");
        self.other.ok("EXPUNGE");
        self.mail.remove(9);
        self.mail.extend(fill(self.server, "alice", 46, 1));
        self.client.wait_for("INBOX", |shown| {
            let is = |uid, right: fn(&Shown) -> bool| {
                shown
                    .iter()
                    .any(|message| message.uid == uid && right(message))
            };
            let flagged: fn(&Shown) -> bool =
                |message| message.flagged && message.keywords == "$label2";
            is(3, |message| !message.seen && message.answered)
                && is(7, flagged)
                && is(9, flagged)
                && !is(10, |_| true)
                && is(42, |_| true)
        });
    }

    fn messages_are_moved_to_folders_it_makes(&mut self) {
        let later = "Projects/Sp&AOQ-ter";
        let client = &mut self.client;
        client.act("create", json!(["Projects", "Entwürfe & mehr"]));
        self.wait_until_found("Projects/Entw&APw-rfe &- mehr", &[("ALL", "")]);
        let client = &mut self.client;
        client.act("rename", json!(["Projects/Entwürfe & mehr", "Später"]));
        self.wait_until_found(later, &[("ALL", "")]);
        let client = &mut self.client;
        client.act("copy", json!(["INBOX", [11, 12], "Projects/Später", false]));
        client.act("copy", json!(["INBOX", [13, 14, 15], "Projects/Old", true]));
        client.act("remove", json!(["INBOX", [16], false]));
        self.wait_until_found(later, &[("ALL", "1 2")]);
        self.wait_until_found("Projects/Old", &[("ALL", "1 2 3")]);
        self.wait_until_found("Trash", &[("ALL", "1")]);
        let moved: Vec<_> = self.mail.drain(11..15).collect();
        assert_same("copied", &self.mail[9..11], &self.other.bodies(later));
        assert_same("moved", &moved[..3], &self.other.bodies("Projects/Old"));
        assert_same("removed", &moved[3..], &self.other.bodies("Trash"));
        self.client.act("open", json!(["Trash"]));
        self.client.wait_for("Trash", |shown| shown.len() == 1);
        self.client.act("empty", json!([]));
        self.wait_until_found("Trash", &[("ALL", "")]);
    }

    fn what_it_sends_is_appended(&mut self) {
        let sent = Corpus::new(47).next().unwrap();
        let file = self.client.file("sent");
        std::fs::write(&file, &sent).unwrap();
        self.client.act("append", json!(["Sent", file]));
        self.wait_until_found("Sent", &[("SEEN", "1")]);
        assert_same("sent", &[sent], &self.other.bodies("Sent"));
    }

    fn it_catches_up_when_it_was_away(&mut self) {
        self.client.act("disconnect", json!([]));
        self.other.ok("SELECT INBOX");
        self.other.ok("UID STORE 17:20 +FLAGS.SILENT (\\Seen)");
        self.other.ok("UID STORE 21:25 +FLAGS.SILENT (\\Deleted)");
        self.other.ok("EXPUNGE");
        self.mail.drain(15..20);
        self.mail.extend(fill(self.server, "alice", 48, 2));
        self.client.act("receive", json!([]));
        let count = self.mail.len();
        self.client.wait_for("INBOX", |shown| {
            let seen = |uid| {
                shown
                    .iter()
                    .any(|message| message.uid == uid && message.seen)
            };
            shown.len() == count && (17..=20).all(seen)
        });
        self.agrees("at the end");
    }
}
