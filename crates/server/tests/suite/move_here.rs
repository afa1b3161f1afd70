//! Moving from another server: POP3 clients that come along download nothing twice.

use crate::support::{BINARY, maildir, make_maildir, verify, write_private};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use testkit::corpus::Corpus;
use testkit::programs::{command, output};
use testkit::{Dovecot, ImapClient, PASSWORD, Server};

const CONFIG: &str = include_str!("../../../../benches/peers/dovecot.conf");
const USERS: [&str; 2] = ["alice", "bob"];

/// A Dovecot with mail for [`USERS`], and a Gatepost to which IMAP has copied it: some of it twice,
/// in another order, and with new mail since.
fn moved() -> (Dovecot, Server) {
    let users = USERS.map(|user| (user.to_owned(), PASSWORD.to_owned()));
    let dovecot = Dovecot::start(CONFIG, &users).unwrap();
    let server = Server::start(BINARY);
    for user in USERS {
        let mut old = ImapClient::login_elsewhere(dovecot.imap(), user, PASSWORD);
        let mut new = ImapClient::login(server.imap(), user, PASSWORD);
        let mut messages = Corpus::messages(51, 30);
        messages.push(messages[3].clone());
        for message in &messages {
            old.append("INBOX", "", message);
        }
        // Old uids have gaps.
        old.ok("SELECT INBOX");
        old.ok("STORE 5:9 +FLAGS.SILENT (\\Deleted)");
        old.ok("EXPUNGE");
        messages.drain(4..9);
        messages.reverse();
        for message in &messages {
            new.append("INBOX", "", message);
        }
        new.append("INBOX", "", b"Subject: new here\r\n\r\nx\r\n");
    }
    (dovecot, server)
}

fn url(scheme: &str, user: &str, address: SocketAddr) -> String {
    format!("{scheme}://{user}@{address}")
}

fn diff(user: &str, dovecot: &Dovecot, server: &Server) -> (Option<i32>, String) {
    let output = std::process::Command::new(BINARY)
        .args(["uidl", "diff"])
        .args(["--old", &url("pop3", user, dovecot.pop3())])
        .args(["--new", &url("pop3", user, server.pop3())])
        .stdin(password_file(server))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

fn password_file(server: &Server) -> std::fs::File {
    let path = server.file("password");
    write_private(&path, &format!("{PASSWORD}\n"));
    std::fs::File::open(path).unwrap()
}

/// Downloads what is new to it; how many messages it has then.
fn fetchmail(home: &Path, pop3: SocketAddr) -> usize {
    let rc = format!(
        "set invisible\npoll 127.0.0.1 service {} protocol pop3 uidl username \"alice\" \
         password \"{PASSWORD}\" keep no rewrite pass8bits sslproto \"\" \
         mda \"cat >$(mktemp mail/new/XXXXXXXX)\"\n",
        pop3.port()
    );
    write_private(&home.join("rc"), &rc);
    // Its lock would otherwise be one for the whole machine when root runs the tests.
    let args = [
        "-f",
        "rc",
        "--nosyslog",
        "--nodetach",
        "-i",
        "ids",
        "--pidfile",
        "lock",
    ];
    let done = output(
        command("fetchmail", home).args(args),
        Duration::from_secs(60),
    );
    // 1 says that there was no new mail.
    assert!(matches!(done.status.code(), Some(0 | 1)));
    maildir(&home.join("mail"), &[]).len()
}

#[test]
fn unique_ids_are_adopted_and_clients_download_nothing_again() {
    let (dovecot, server) = moved();
    let home = tempfile::tempdir().unwrap();
    make_maildir(&home.path().join("mail"));
    assert_eq!(fetchmail(home.path(), dovecot.pop3()), 26);
    let ways = [
        ("alice", url("pop3", "alice", dovecot.pop3()), None),
        // Of the uids, as Dovecot makes them where nothing else is said.
        ("bob", url("imap", "bob", dovecot.imap()), Some("dovecot")),
    ];
    for (user, from, format) in ways {
        let (code, text) = diff(user, &dovecot, &server);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("26\twould be downloaded again"), "{text}");

        let mut args = vec!["uidl", "adopt", user, "--from", &from];
        args.extend(format.iter().flat_map(|format| ["--format", format]));
        for _ in 0..2 {
            let adopted = server.cli(&args, &format!("{PASSWORD}\n"));
            let said = String::from_utf8_lossy(&adopted.stdout).into_owned();
            assert!(adopted.status.success(), "{adopted:?}");
            assert!(
                said.starts_with("26 messages have the unique ids"),
                "{said}"
            );
            assert!(
                said.contains("1 in INBOX are not on the old server"),
                "{said}"
            );
        }
        let (code, text) = diff(user, &dovecot, &server);
        assert_eq!(code, Some(0), "{text}");
        assert!(
            text.contains("26\tkeep") && text.contains("1\tare new"),
            "{text}"
        );
    }
    // The same client at the new server: one message is new.
    assert_eq!(fetchmail(home.path(), server.pop3()), 27);
    verify(&server);
}

#[test]
fn what_cannot_be_adopted_is_refused_in_a_sentence() {
    let (dovecot, server) = moved();
    let pop3 = url("pop3", "alice", dovecot.pop3());
    let imap = url("imap", "alice", dovecot.imap());
    let nowhere = url("pop3", "alice", "127.0.0.1:1".parse().unwrap());
    let cases: [(&[&str], &str, i32, &str); 7] = [
        (&["alice", "--from", &pop3], "", 2, "password"),
        (&["alice", "--from", &pop3], "wrong\n", 1, "PASS"),
        (&["alice", "--from", &nowhere], "x\n", 1, "127.0.0.1"),
        (&["alice", "--from", &imap], "pass\n", 2, "--format"),
        (
            &["alice", "--from", &pop3, "--format", "cyrus"],
            "pass\n",
            2,
            "--format",
        ),
        (&["nobody", "--from", &pop3], "pass\n", 2, "nobody"),
        (
            &["alice", "--from", &pop3, "--mailbox", "No"],
            "pass\n",
            2,
            "No",
        ),
    ];
    for (args, input, code, word) in cases {
        let args = [&["uidl", "adopt"], args].concat();
        let output = server.cli(&args, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(
            said.contains(word) && said.trim_end().lines().count() == 1,
            "{args:?}: {said}"
        );
    }
}
