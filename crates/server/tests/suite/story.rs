//! The product's story: one store, two doors. Mail comes in by LMTP, is seen over IMAP, is emptied
//! over POP3, and a crash changes nothing of what was said.

use crate::support::{BINARY, assert_same, delivered, verify};
use std::time::Duration;
use testkit::corpus::Corpus;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server};

/// "At once", on a busy machine: any polling in the server would take longer.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Name and UIDs of a mailbox: what a client's cache hangs on.
fn state(imap: &mut ImapClient, mailbox: &str) -> (String, Vec<String>) {
    let status = imap.ok(&format!("STATUS {mailbox} (UIDVALIDITY UIDNEXT MESSAGES)"));
    imap.ok(&format!("EXAMINE {mailbox}"));
    let rows = imap.ok("UID FETCH 1:* (UID FLAGS)");
    (
        status[0].text.clone(),
        rows.into_iter().map(|row| row.text).collect(),
    )
}

#[test]
fn one_message_through_both_doors_and_a_crash() {
    let mut server = Server::start(BINARY);
    let mail = Corpus::messages(31, 12);
    let (arriving, staying) = mail.split_at(5);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    let mut other = ImapClient::login(server.imap(), "alice", PASSWORD);
    for message in staying {
        let answer = other.append("Archive", "\\Flagged", message);
        assert!(answer.starts_with("OK"), "{answer}");
    }
    lmtp.deliver_ok("bob", &mail[0]);

    // Delivered by LMTP: a client in IDLE sees each message at once, and can read it.
    imap.ok("SELECT INBOX");
    imap.idle();
    for (number, message) in arriving.iter().enumerate() {
        lmtp.deliver_ok("alice", message);
        imap.wait_for(&format!("* {} EXISTS", number + 1), AT_ONCE);
    }
    imap.done();
    for (number, message) in arriving.iter().enumerate() {
        let uid = u32::try_from(number + 1).unwrap();
        assert_eq!(imap.body(uid), delivered("alice", message));
    }
    imap.ok("UID STORE 5 +FLAGS ($Kept)");

    // A POP3 client downloads all and deletes all but the last.
    imap.idle();
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    assert_eq!(pop3.stat().0, arriving.len());
    for (number, message) in arriving.iter().enumerate() {
        assert_eq!(pop3.retr(number + 1), delivered("alice", message));
    }
    for number in 1..arriving.len() {
        pop3.ok(&format!("DELE {number}"));
    }
    // Until QUIT nothing has happened: a second IMAP client still sees all.
    assert_eq!(other.count("INBOX"), arriving.len());

    // QUIT's +OK, and the power goes.
    let bye = pop3.quit();
    assert!(bye.starts_with("+OK"), "{bye}");
    for _ in 1..arriving.len() {
        let expunged = imap.wait_for("EXPUNGE", AT_ONCE);
        assert!(expunged.starts_with("* "), "{expunged}");
    }
    server.kill();
    server.start_again();

    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    let left = delivered("alice", &arriving[4]);
    assert_eq!(imap.bodies("INBOX"), std::slice::from_ref(&left));
    let (status, rows) = state(&mut imap, "INBOX");
    assert!(status.contains("UIDNEXT 6"), "{status}");
    for part in ["UID 5", "\\Seen", "$Kept"] {
        assert!(rows[0].contains(part), "{rows:?}");
    }
    assert_same("Archive", staying, &imap.bodies("Archive"));
    let mut bob = ImapClient::login(server.imap(), "bob", PASSWORD);
    assert_eq!(bob.bodies("INBOX"), [delivered("bob", &mail[0])]);
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    assert_eq!(pop3.stat().0, 1);
    assert_eq!(pop3.retr(1), left);
    verify(&server);
}

#[test]
fn a_crash_right_after_quit_brings_nothing_back() {
    let mut server = Server::start(BINARY);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut corpus = Corpus::new(32);
    for round in 0..8 {
        let messages: Vec<_> = corpus.by_ref().take(6).collect();
        for message in &messages {
            lmtp.deliver_ok("alice", message);
        }
        let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
        let before = pop3.rows("UIDL");
        // Every other of the new ones goes.
        for number in (kept.len() + 1..=before.len()).step_by(2) {
            pop3.ok(&format!("DELE {number}"));
        }
        pop3.quit();
        server.kill();
        server.start_again();

        let new = messages.iter().skip(1).step_by(2);
        kept.extend(new.map(|message| delivered("alice", message)));
        let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
        assert_eq!(imap.bodies("INBOX"), kept, "round {round}");
        // Who is left has kept its unique id.
        let ids = |rows: &[String]| -> Vec<String> {
            let id = |row: &String| row.split(' ').nth(1).unwrap().to_owned();
            rows.iter().map(id).collect()
        };
        let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
        let after = ids(&pop3.rows("UIDL"));
        let before = ids(&before);
        assert!(after.iter().all(|id| before.contains(id)), "round {round}");
        lmtp = LmtpClient::connect(server.lmtp());
    }
    verify(&server);
}
