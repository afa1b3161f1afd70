//! `gatepost recover`: what comes back when only the mail itself is left (DESIGN 3.6).

use crate::support::world::{copy_tree, everything, live};
use crate::support::{BINARY, assert_same, fill, verify};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::corpus::Corpus;
use testkit::programs::said;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

/// A message as IMAP shows it: INTERNALDATE and octets.
type Shown = (String, Vec<u8>);

fn messages(server: &Server, user: &str, mailbox: &str) -> Vec<Shown> {
    let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
    imap.ok(&format!("EXAMINE {mailbox}"));
    let mut shown = Vec::new();
    for response in imap.command("UID FETCH 1:* (INTERNALDATE BODY.PEEK[])").0 {
        let date = response.text.split('"').nth(1).unwrap().to_owned();
        shown.extend(
            response
                .literals
                .into_iter()
                .map(|body| (date.clone(), body)),
        );
    }
    shown
}

fn uid_validity(server: &Server, user: &str, mailbox: &str) -> u64 {
    let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
    let status = imap.ok(&format!("STATUS {mailbox} (UIDVALIDITY)"));
    let number = status[0].text.rsplit(' ').next().unwrap();
    number.trim_end_matches(')').parse().unwrap()
}

fn unique_ids(server: &Server, user: &str) -> BTreeSet<String> {
    let mut pop3 = Pop3Client::login(server.pop3(), user, PASSWORD);
    let rows = pop3.rows("UIDL").into_iter();
    rows.map(|row| row.split(' ').nth(1).unwrap().to_owned())
        .collect()
}

/// A command that must end with this exit code; what it said.
fn run(server: &Server, args: &[&str], code: i32) -> String {
    let output = server.cli(args, "");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

#[test]
fn mailboxes_come_back_from_the_mail_alone() {
    let mut server = Server::start(BINARY);
    let added = server.cli(&["account", "add", "dora"], "secret\n");
    assert!(added.status.success());
    let mut wanted = fill(&server, "alice", 1, 20);
    fill(&server, "bob", 2, 5);
    LmtpClient::connect(server.lmtp()).deliver_ok("dora", b"Subject: hers\r\n\r\nHello\r\n");
    let shared = Corpus::new(3).next().unwrap();
    let mut lmtp = LmtpClient::connect(server.lmtp());
    lmtp.deliver(&["alice", "bob", "carol"], &shared);
    wanted.push(crate::support::delivered("alice", &shared));
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("CREATE Work/Old");
    let old = b"Subject: old\r\n\r\nFiled long ago\r\n".to_vec();
    let tag = imap.start(&format!(
        "APPEND Work/Old (\\Seen) \"02-Feb-1999 10:00:00 +0000\" {{{}+}}\r\n{}",
        old.len(),
        String::from_utf8_lossy(&old)
    ));
    assert!(imap.finish(&tag).1.starts_with("OK"));
    imap.ok("SELECT INBOX");
    imap.ok("COPY 1 Work");
    imap.ok("MOVE 2 Work");
    imap.ok("STORE 3 +FLAGS (\\Seen)");
    drop(imap);
    let filed = messages(&server, "alice", "Work/Old");
    let bobs = messages(&server, "bob", "INBOX");
    let before = [("alice", "INBOX"), ("alice", "Work/Old"), ("bob", "INBOX")]
        .map(|(user, mailbox)| uid_validity(&server, user, mailbox));
    let ids = unique_ids(&server, "alice");
    let refused = run(&server, &["recover"], 2);
    assert!(refused.contains("in use"), "{refused}");
    assert!(server.terminate().success());
    let refused = run(&server, &["recover"], 2);
    assert!(refused.contains("is well"), "{refused}");

    std::fs::rename(server.data_dir().join("meta"), server.file("lost")).unwrap();
    for command in [&["serve"][..], &["account", "list"], &["verify"]] {
        let refused = run(&server, command, 2);
        assert!(refused.contains("gatepost recover"), "{refused}");
    }
    let said = run(&server, &["recover"], 0);
    for line in [
        "alice\tINBOX\t21 messages",
        "alice\tWork/Old\t1 messages",
        "bob\tINBOX\t6 messages",
        "carol\tINBOX\t1 messages",
        "dora\tINBOX\t1 messages",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    server.start_again();
    let found = messages(&server, "alice", "INBOX");
    let bodies: Vec<&Vec<u8>> = found.iter().map(|(_, body)| body).collect();
    assert_same("alice's INBOX", &wanted, &bodies);
    assert_eq!(messages(&server, "alice", "Work/Old"), filed);
    assert_eq!(messages(&server, "bob", "INBOX"), bobs);
    assert!(messages(&server, "alice", "Archive").is_empty());
    let after = [("alice", "INBOX"), ("alice", "Work/Old"), ("bob", "INBOX")]
        .map(|(user, mailbox)| uid_validity(&server, user, mailbox));
    for (before, after) in before.iter().zip(after) {
        assert!(after > *before);
    }
    assert!(ids.is_disjoint(&unique_ids(&server, "alice")));
    let _ = ImapClient::login(server.imap(), "dora", "secret");
    verify(&server);
    live(&server, 7);
    verify(&server);
    let added = server.cli(&["account", "add", "emil"], "secret\n");
    assert!(added.status.success());
    let list = run(&server, &["account", "list"], 0);
    for name in ["alice", "bob", "carol", "dora", "emil"] {
        assert_eq!(list.matches(name).count(), 1, "{list}");
    }
}

#[test]
fn what_was_recovered_can_be_recovered_again() {
    let mut server = Server::start(BINARY);
    live(&server, 1);
    assert!(server.terminate().success());
    let mut seen = Vec::new();
    for round in 1..3 {
        let said = run(&server, &["recover", "--force"], 0);
        assert!(said.contains(&format!("meta.old-{round}")), "{said}");
        server.start_again();
        let bodies: Vec<String> = everything(&server)
            .into_iter()
            .filter_map(|line| Some(line.split_once("ENVELOPE")?.1.to_owned()))
            .collect();
        assert!(bodies.len() > 40, "{}", bodies.len());
        seen.push(bodies);
        verify(&server);
        assert!(server.terminate().success());
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn an_interrupted_recovery_ends_the_same_when_it_is_run_again() {
    let mut server = Server::start(BINARY);
    live(&server, 1);
    assert!(server.terminate().success());
    std::fs::remove_dir_all(server.data_dir().join("meta")).unwrap();
    let copy = server.file("copy");
    copy_tree(&server.data_dir(), &copy);
    let counts = |said: &str| -> Vec<String> {
        let is_count = |line: &&str| line.contains("messages");
        said.lines().filter(is_count).map(str::to_owned).collect()
    };
    let wanted = counts(&run(&server, &["recover"], 0));
    let mut interrupted = 0;
    for wait in 0..8 {
        copy_tree(&copy, &server.data_dir());
        let mut child = Command::new(BINARY)
            .args(["recover", "--config"])
            .arg(server.config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(8 * wait * wait));
        let _ = child.kill();
        let ended = child.wait().unwrap();
        if ended.success() {
            break;
        }
        interrupted += 1;
        if server.data_dir().join("meta").exists() {
            // It was killed behind its last step.
            continue;
        }
        assert_eq!(counts(&run(&server, &["recover"], 0)), wanted);
    }
    assert!(interrupted > 0);
    server.start_again();
    verify(&server);
}

#[test]
fn removed_accounts_and_collected_messages_do_not_come_back() {
    let mut server = Server::start(BINARY);
    fill(&server, "alice", 1, 3);
    fill(&server, "bob", 2, 4);
    run(&server, &["account", "remove", "bob"], 0);
    assert!(server.terminate().success());
    std::fs::remove_dir_all(server.data_dir().join("meta")).unwrap();
    let said = run(&server, &["recover"], 0);
    assert!(said.contains("alice\tINBOX\t3 messages"), "{said}");
    assert!(
        said.contains("4 messages of accounts that had been removed"),
        "{said}"
    );
    assert!(!said.contains("bob"), "{said}");
    server.start_again();
    verify(&server);
    // A new bob is another one.
    assert!(messages(&server, "bob", "INBOX").is_empty());
}

#[test]
fn accounts_without_a_note_get_one_at_the_next_start() {
    let mut server = Server::with(BINARY, Settings::default());
    live(&server, 1);
    assert!(server.terminate().success());
    // What a version that wrote no notes left.
    crate::support::world::forget_notes(&server.data_dir());
    server.start_again();
    verify(&server);
    assert!(server.terminate().success());
    std::fs::remove_dir_all(server.data_dir().join("meta")).unwrap();
    let said = run(&server, &["recover"], 0);
    assert!(
        said.contains("carol\tINBOX\t") && !said.contains("recovered-1\t"),
        "{said}"
    );
}

#[test]
fn what_one_owner_deleted_stays_deleted_where_metadata_is_salvaged() {
    let mut server = Server::with(
        BINARY,
        Settings {
            extra: "[storage]\npack_bytes = 65536\n[mail]\nundelete_days = 0\ngrace_hours = 0\n"
                .to_owned(),
            ..Settings::default()
        },
    );
    let mut lmtp = LmtpClient::connect(server.lmtp());
    lmtp.deliver(&["alice", "bob"], b"Subject: shared\r\n\r\nText\r\n");
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    drop(imap);
    // The server forgets what alice had; bob has it.
    run(&server, &["compact"], 0);
    fill(&server, "alice", 5, 60);
    LmtpClient::connect(server.lmtp()).deliver_ok("carol", b"Subject: last\r\n\r\nText\r\n");
    let wanted = messages(&server, "alice", "INBOX").len();
    assert!(server.terminate().success());
    let meta = server.data_dir().join("meta");
    std::fs::remove_dir_all(meta.join("index")).unwrap();
    let entries = std::fs::read_dir(meta.join("log")).unwrap();
    let mut segments: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let last = segments
        .into_iter()
        .rfind(|path| path.metadata().unwrap().len() > 10_000)
        .unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&last).unwrap();
    // Carol's message and a few of alice's.
    file.set_len(file.metadata().unwrap().len() - 9_000)
        .unwrap();
    let said = run(&server, &["recover"], 0);
    assert!(said.contains("UIDVALIDITY stays"), "{said}");
    assert!(said.contains("carol\tINBOX\t1 messages"), "{said}");
    server.start_again();
    assert_eq!(messages(&server, "alice", "INBOX").len(), wanted);
    assert_eq!(messages(&server, "bob", "INBOX").len(), 1);
    assert_eq!(messages(&server, "carol", "INBOX").len(), 1);
    verify(&server);
}
