//! What the two doors promise each other: who took a message away is known, and it comes back.

use crate::support::{BINARY, fill, http};
use std::process::Output;
use std::time::Duration;
use testkit::{ImapClient, PASSWORD, Pop3Client, Server, Settings};

const AT_ONCE: Duration = Duration::from_secs(5);

fn out(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(words), "{text:?} lacks {words:?}");
}

#[test]
fn what_a_phone_deletes_over_pop3_is_known_and_comes_back() {
    let mut server = Server::start(BINARY);
    let stored = fill(&server, "alice", 41, 3);
    let args = ["account", "credential", "add", "alice", "--label", "phone"];
    let text = out(&server.cli(&args, ""));
    let phone = text.lines().last().unwrap();
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 2 +FLAGS (\\Flagged $Kept)");
    imap.ok("UID FETCH 1 BODY.PEEK[HEADER]");
    imap.body(3);

    let mut pop3 = Pop3Client::login(server.pop3(), "alice", phone);
    let uidl = pop3.rows("UIDL")[1].split_once(' ').unwrap().1.to_owned();
    pop3.retr(2);
    pop3.ok("DELE 2");
    imap.idle();
    pop3.quit();
    imap.wait_for("* 2 EXPUNGE", AT_ONCE);
    imap.done();

    // Who was it?
    let history = out(&server.cli(&["history", "alice"], ""));
    let phone_did =
        |deed: &str| format!("\t{deed}\tINBOX uid 2\tpop3 app-password phone from 127.0.0.1");
    for deed in ["retrieved", "removed"] {
        assert!(history.contains(&phone_did(deed)), "{history}");
    }
    assert!(
        history.contains("\tretrieved\tINBOX uid 3\timap password from 127.0.0.1"),
        "{history}"
    );
    assert!(
        !history.contains("uid 1"),
        "a header is no message: {history}"
    );
    for message in [uidl.as_str(), "INBOX/2"] {
        let one = out(&server.cli(&["history", "alice", "--message", message], ""));
        assert_eq!(one.lines().count(), 2, "{one}");
    }
    refused(
        &server.cli(&["history", "alice", "--message", "0000"], ""),
        "no message 0000",
    );
    refused(&server.cli(&["history", "nobody"], ""), "nobody");

    // A crash changes nothing of it.
    server.kill();
    server.start_again();
    let listed = out(&server.cli(&["undelete", "list", "alice"], ""));
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(
        listed.starts_with(&format!("{uidl}\tINBOX\tremoved 20")),
        "{listed}"
    );
    assert!(
        listed.contains("by pop3 app-password phone from 127.0.0.1"),
        "{listed}"
    );
    let shown = out(&server.cli(&["account", "show", "alice"], ""));
    assert!(shown.contains("undelete\t1 messages\t"), "{shown}");
    assert!(http(server.http(), "/metrics").contains("gatepost_undelete_messages"));
    refused(
        &server.cli(&["undelete", "restore", "alice"], ""),
        "say what to restore",
    );
    refused(
        &server.cli(&["undelete", "restore", "alice", "--message", "x"], ""),
        "is no unique id",
    );
    refused(
        &server.cli(&["undelete", "restore", "alice", "--mailbox", "Sent"], ""),
        "nothing of that kind",
    );

    // It comes back while both doors are open.
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT INBOX");
    imap.idle();
    let args = ["undelete", "restore", "alice", "--message", &uidl];
    assert_eq!(
        out(&server.cli(&args, "")),
        "alice: 1 messages restored to INBOX\n"
    );
    imap.wait_for("* 3 EXISTS", AT_ONCE);
    imap.done();
    let flags = imap.ok("UID FETCH 4 (FLAGS)");
    let flags = &flags[0].text;
    assert!(
        flags.contains("\\Flagged") && flags.contains("$Kept"),
        "{flags}"
    );
    assert_eq!(imap.body(4), stored[1]);
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", phone);
    assert!(
        pop3.rows("UIDL").contains(&format!("3 {uidl}")),
        "the same unique id"
    );
    assert_eq!(pop3.retr(3), stored[1]);
    pop3.quit();
    let one = out(&server.cli(&["history", "alice", "--message", &uidl], ""));
    assert!(
        one.contains("\trestored\tINBOX uid 4 was INBOX uid 2\tserver\n"),
        "{one}"
    );
    assert!(
        one.contains("\tremoved\tINBOX uid 2\tpop3 app-password phone"),
        "{one}"
    );

    // A whole mailbox, with no server running.
    imap.ok("CREATE Projects");
    imap.ok("MOVE 1:3 Projects");
    imap.ok("DELETE Projects");
    assert!(server.terminate().success());
    let args = ["undelete", "restore", "alice", "--all"];
    assert_eq!(
        out(&server.cli(&args, "")),
        "alice: 3 messages restored to Projects\n"
    );
    out(&server.cli(&["verify", "--contents"], ""));
    server.start_again();
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    assert_eq!(imap.count("Projects"), 3);
    let one = out(&server.cli(&["history", "alice", "--message", &uidl], ""));
    for deed in ["removed", "restored", "moved", "mailbox-deleted"] {
        assert!(one.contains(&format!("\t{deed}\t")), "{deed}: {one}");
    }
}

#[test]
fn a_device_has_a_policy_of_its_own() {
    let server = Server::start(BINARY);
    fill(&server, "alice", 44, 2);
    let args = [
        "account",
        "credential",
        "add",
        "alice",
        "--label",
        "scanner",
        "--policy",
    ];
    refused(
        &server.cli(&[&args[..], &["shred"]].concat(), ""),
        "is no policy",
    );
    let text = out(&server.cli(&[&args[..], &["archive:Scanned"]].concat(), ""));
    let scanner = text.lines().last().unwrap();
    let listed = out(&server.cli(&["account", "credential", "list", "alice"], ""));
    assert!(listed.contains("archive:Scanned"), "{listed}");
    for password in [scanner, PASSWORD] {
        let mut pop3 = Pop3Client::login(server.pop3(), "alice", password);
        pop3.ok("DELE 1");
        pop3.quit();
    }
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    assert_eq!((imap.count("INBOX"), imap.count("Scanned")), (0, 1));
    let history = out(&server.cli(&["history", "alice"], ""));
    let moved = "\tmoved\tINBOX uid 1 to Scanned uid 1\tpop3 app-password scanner from";
    assert!(history.contains(moved), "{history}");
    assert!(
        history.contains("\tremoved\tINBOX uid 2\tpop3 password from"),
        "{history}"
    );
    out(&server.cli(&["verify", "--contents"], ""));
}

#[test]
fn both_can_be_turned_off() {
    let server = Server::with(
        BINARY,
        Settings {
            extra: "[mail]\nundelete_days = 0\nhistory_days = 0\n".to_owned(),
            ..Settings::default()
        },
    );
    fill(&server, "alice", 42, 1);
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    pop3.retr(1);
    pop3.ok("DELE 1");
    pop3.quit();
    assert_eq!(out(&server.cli(&["history", "alice"], "")), "");
    assert_eq!(out(&server.cli(&["undelete", "list", "alice"], "")), "");
    out(&server.cli(&["verify", "--contents"], ""));
}

#[test]
fn a_shared_inbox_is_noticed_and_the_user_told_once() {
    let server = Server::with(
        BINARY,
        Settings {
            imap: "mixed_use_alert = true\n".to_owned(),
            ..Settings::default()
        },
    );
    let (alert, metric) = ("* OK [ALERT]", "gatepost_mixed_use_accounts");
    for name in ["alice", "bob"] {
        fill(&server, name, 43, 2);
    }
    let told = |imap: &mut ImapClient, mailbox: &str| {
        let lines = imap.ok(&format!("SELECT {mailbox}"));
        lines
            .iter()
            .filter(|line| line.text.starts_with(alert))
            .count()
    };
    // Bob keeps to POP3; Alice leaves her mail on the server.
    for name in ["alice", "bob"] {
        let mut pop3 = Pop3Client::login(server.pop3(), name, PASSWORD);
        pop3.retr(1);
        if name == "bob" {
            pop3.ok("DELE 1");
        }
        pop3.quit();
    }
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    assert_eq!(told(&mut imap, "INBOX"), 0);
    assert!(http(server.http(), "/metrics").contains(&format!("{metric} 0")));
    assert!(!server.log().contains("a POP3 client deletes"));

    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    pop3.ok("DELE 1");
    pop3.quit();
    assert!(http(server.http(), "/metrics").contains(&format!("{metric} 1")));
    let until = std::time::Instant::now() + AT_ONCE;
    while !server.log().contains("a POP3 client deletes") {
        assert!(std::time::Instant::now() < until, "{}", server.log());
        imap.ok("NOOP");
    }
    let shown = out(&server.cli(&["account", "show", "alice"], ""));
    assert!(
        shown.contains("mixed use\tPOP3 removed from INBOX 20"),
        "{shown}"
    );
    assert_eq!(told(&mut imap, "Sent"), 0);
    assert_eq!(told(&mut imap, "INBOX"), 1);
    assert_eq!(told(&mut imap, "INBOX"), 0, "once");
}
