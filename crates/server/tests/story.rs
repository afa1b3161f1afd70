//! The product's story: one store, two doors, and nothing acknowledged is ever undone.

mod common;

use std::time::{Duration, Instant};

use common::{as_sent, hash, imap, mail, server};
use testkit::{LmtpClient, PASSWORD, Pop3Client};

/// "At once" with a debug build beside other tests; without a push nothing would come for minutes.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn mail_arrives_is_read_over_imap_taken_over_pop3_and_survives_kill_9() {
    let mut server = server();
    let messages = mail(1, 8);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    for message in &messages[..6] {
        lmtp.deliver_ok("alice", message);
    }

    // An IMAP client in IDLE sees a delivery at once.
    let mut idle = imap(&server, "alice");
    idle.ok("SELECT INBOX");
    idle.idle();
    let from = Instant::now();
    lmtp.deliver_ok("alice", &messages[6]);
    idle.wait_for("* 7 EXISTS", AT_ONCE);
    assert!(
        from.elapsed() < AT_ONCE,
        "EXISTS after {:?}",
        from.elapsed()
    );

    // A POP3 client downloads it and deletes it; until QUIT nobody sees that.
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    assert_eq!(pop3.stat().0, 7);
    let taken = pop3.retr(7);
    assert_eq!(hash(as_sent(&taken)), hash(&messages[6]));
    pop3.ok("DELE 7");
    assert_eq!(imap(&server, "alice").count("INBOX"), 7);
    pop3.quit();

    // The IMAP client is told at once.
    idle.wait_for("* 7 EXPUNGE", AT_ONCE);
    idle.done();

    // Another one is deleted, and the process dies right after the QUIT's +OK.
    lmtp.deliver_ok("alice", &messages[7]);
    let before = imap(&server, "alice").bodies("INBOX");
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    for number in [2, 4] {
        pop3.ok(&format!("DELE {number}"));
    }
    pop3.quit();
    server.kill();
    server.start_again();

    // Nothing of it comes back and nothing else is lost.
    let mut client = imap(&server, "alice");
    let after: Vec<String> = client
        .bodies("INBOX")
        .iter()
        .map(|body| hash(body))
        .collect();
    let mut expected: Vec<String> = before.iter().map(|body| hash(body)).collect();
    expected.remove(3);
    expected.remove(1);
    assert_eq!(after, expected);
    assert_eq!(
        Pop3Client::login(server.pop3(), "alice", PASSWORD).stat().0,
        5
    );

    // And no UID is given twice.
    let uid_next =
        |client: &mut testkit::ImapClient| client.ok("STATUS INBOX (UIDNEXT)")[0].text.clone();
    assert!(
        uid_next(&mut client).contains("UIDNEXT 9"),
        "{}",
        uid_next(&mut client)
    );
}

#[test]
fn a_pop3_connection_that_breaks_deletes_nothing() {
    let server = server();
    let mut lmtp = LmtpClient::connect(server.lmtp());
    lmtp.deliver_ok("alice", b"Subject: stays\r\n\r\nhere\r\n");
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    pop3.ok("DELE 1");
    drop(pop3);
    assert_eq!(
        Pop3Client::login(server.pop3(), "alice", PASSWORD).stat().0,
        1
    );
    assert_eq!(imap(&server, "alice").count("INBOX"), 1);
}

#[test]
fn sigterm_says_bye_and_ends_with_success() {
    let mut server = server();
    let mut client = imap(&server, "alice");
    client.ok("SELECT INBOX");
    client.idle();
    let status = server.terminate();
    assert!(status.success(), "{status}");
    client.wait_for("* BYE", AT_ONCE);
}
