//! `gatepost restore`: what clients make of a store that was put back, one account, one mailbox.

use crate::support::backups::{Scene, as_seen_by_python, done, live, look, refused, status};
use crate::support::{fill, http, verify};
use std::collections::HashSet;
use testkit::programs::said;
use testkit::{ImapClient, PASSWORD, Pop3Client, Server, Settings};

#[test]
fn clients_find_after_a_restore_what_was_there_at_the_backup() {
    let mut scene = Scene::new(Settings::default());
    for user in ["alice", "bob"] {
        live(&scene.server, user);
    }
    let add = ["account", "add", "dora"];
    done(scene.server.cli(&add, "secret\n"));
    done(
        scene
            .server
            .cli(&["policy", "set", "bob", "keep-days:9"], ""),
    );
    scene.backup();
    let before =
        ["alice", "bob"].map(|user| as_seen_by_python(&scene.server, scene.home.path(), user));
    done(scene.verify_backup(&["--contents"]));

    // What happens from here on is lost; clients have seen it.
    let mut imap = ImapClient::login(scene.server.imap(), "alice", PASSWORD);
    fill(&scene.server, "alice", 12, 3);
    imap.ok("ENABLE QRESYNC");
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 1 -FLAGS (\\Seen)");
    imap.ok("UID STORE 9 +FLAGS (\\Deleted)");
    imap.ok("UID EXPUNGE 9");
    imap.ok("CREATE Lost");
    let uid_next = status(&mut imap, "INBOX", "UIDNEXT");
    let modseq = status(&mut imap, "INBOX", "HIGHESTMODSEQ");
    let validity = status(&mut imap, "INBOX", "UIDVALIDITY");
    let lost = last_uidl(&scene.server, "alice");
    let mailbox_id = mailbox_id(&mut imap, "Lost");
    drop(imap);

    scene.lose_and_restore();
    let after =
        ["alice", "bob"].map(|user| as_seen_by_python(&scene.server, scene.home.path(), user));
    assert_eq!(before, after);
    verify(&scene.server);
    let mut dora = ImapClient::connect(scene.server.imap());
    dora.ok("LOGIN dora secret");
    let policy = done(scene.server.cli(&["policy", "show", "bob"], ""));
    assert!(policy.contains("keep-days:9"), "{policy}");

    // No number means two things.
    let mut imap = ImapClient::login(scene.server.imap(), "alice", PASSWORD);
    assert_eq!(status(&mut imap, "INBOX", "UIDVALIDITY"), validity);
    assert!(status(&mut imap, "INBOX", "UIDNEXT") > uid_next);
    assert!(status(&mut imap, "INBOX", "HIGHESTMODSEQ") > modseq);
    fill(&scene.server, "alice", 13, 1);
    assert!(last_uidl(&scene.server, "alice") > lost);
    imap.ok("CREATE New");
    assert_ne!(self::mailbox_id(&mut imap, "New"), mailbox_id);

    // A client that remembers the lost time is told all it needs, and nothing that is not so.
    imap.ok("ENABLE QRESYNC");
    let told = imap.ok(&format!(
        "SELECT INBOX (QRESYNC ({validity} {modseq} 1:{}))",
        uid_next - 1
    ));
    let vanished = told
        .iter()
        .find(|line| line.text.contains("VANISHED (EARLIER)"));
    let gone = format!("{}:{}", uid_next - 3, uid_next - 1);
    let text = &vanished.unwrap().text;
    assert!(text.contains(&gone), "{text} {gone}");
    let flags = |uid: u32| {
        let found = told
            .iter()
            .find(|line| line.text.contains(&format!("UID {uid} ")));
        found.map(|line| line.text.contains("\\Seen"))
    };
    assert_eq!(flags(1), Some(true), "{told:?}");
    assert_eq!(flags(9), Some(false), "{told:?}");
}

fn last_uidl(server: &Server, user: &str) -> String {
    let mut pop3 = Pop3Client::login(server.pop3(), user, PASSWORD);
    let rows = pop3.rows("UIDL");
    rows.last().unwrap().split_once(' ').unwrap().1.to_owned()
}

fn mailbox_id(imap: &mut ImapClient, mailbox: &str) -> String {
    let told = imap.ok(&format!("STATUS {mailbox} (MAILBOXID)"));
    told[0].text.split_once("MAILBOXID").unwrap().1.to_owned()
}

#[test]
fn an_account_that_was_removed_comes_back_as_it_was() {
    let mut scene = Scene::new(Settings::default());
    let server = &scene.server;
    for user in ["alice", "bob"] {
        live(server, user);
    }
    done(server.cli(&["account", "add", "dora"], "secret\n"));
    let label = [
        "account",
        "credential",
        "add",
        "alice",
        "--label",
        "phone",
        "--policy",
        "keep-days:3",
    ];
    let phone = done(server.cli(&label, ""))
        .lines()
        .last()
        .unwrap()
        .to_owned();
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SETACL INBOX bob lr");
    imap.ok("SETACL INBOX dora lr");
    imap.ok("SETMETADATA INBOX (/private/comment \"mine\" /shared/comment \"ours\")");
    let before = as_seen_by_python(server, scene.home.path(), "alice");
    let history = done(server.cli(&["history", "alice"], ""));
    scene.backup();
    drop(imap);
    done(server.cli(&["account", "remove", "alice"], ""));
    done(server.cli(&["account", "remove", "dora"], ""));
    done(scene.restore(&["--account", "alice"]));
    assert_eq!(
        before,
        as_seen_by_python(server, scene.home.path(), "alice")
    );
    verify(server);
    let mut imap = ImapClient::connect(server.imap());
    imap.ok(&format!("LOGIN alice {phone}"));
    let acl = imap.ok("GETACL INBOX")[0].text.clone();
    // Who is not here any more is nobody.
    assert!(acl.contains("bob lr") && !acl.contains("dora"), "{acl}");
    let told = imap.ok("GETMETADATA INBOX (/private/comment /shared/comment)");
    assert!(
        told[0].text.contains("mine") && told[0].text.contains("ours"),
        "{told:?}"
    );
    let mut bob = ImapClient::login(server.imap(), "bob", PASSWORD);
    assert!(
        bob.ok("LIST \"\" *")
            .iter()
            .any(|line| line.text.contains("Other Users/alice"))
    );
    let since = done(server.cli(&["history", "alice"], ""));
    assert!(since.starts_with(&history), "{since}");
    done(server.cli(&["undelete", "restore", "alice", "--all"], ""));

    // Beside the one that is there, under another name; POP3 clients of that one know nothing yet.
    done(scene.restore(&["--account", "alice", "--as", "alice2"]));
    let show = done(server.cli(&["account", "show", "alice2"], ""));
    assert!(
        show.contains("mailbox\tWork/Projects\t3 messages"),
        "{show}"
    );
    verify(server);
    refused(
        &scene.restore(&["--account", "nobody"]),
        2,
        &["the backup has no account nobody"],
    );
    refused(
        &scene.restore(&["--account", "alice", "--as", "a b"]),
        2,
        &["account name"],
    );
    let ready = http(server.http(), "/health/ready");
    assert!(ready.contains("200"), "{ready}");

    // And without a server.
    let before = as_seen_by_python(server, scene.home.path(), "alice");
    drop((imap, bob));
    scene.server.terminate();
    done(scene.restore(&["--account", "alice", "--as", "alice3"]));
    let said = done(scene.restore(&["--account", "alice"]));
    assert!(said.contains("INBOX: 0 messages restored"), "{said}");
    scene.server.start_again();
    verify(&scene.server);
    assert_eq!(
        before,
        as_seen_by_python(&scene.server, scene.home.path(), "alice")
    );
}

#[test]
fn a_mailbox_is_given_what_it_lacks() {
    for undelete_days in [0, 7] {
        let scene = Scene::new(Settings {
            extra: format!("[mail]\nundelete_days = {undelete_days}\n"),
            ..Settings::default()
        });
        let server = &scene.server;
        fill(server, "alice", 21, 20);
        let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
        imap.ok("SELECT INBOX");
        imap.ok("UID STORE 2:5 +FLAGS (\\Flagged $Work)");
        let before: HashSet<_> = look(&mut imap, "INBOX")
            .into_iter()
            .map(|(_, hash)| hash)
            .collect();
        let ids = |server: &Server| -> HashSet<String> {
            let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
            let rows = pop3.rows("UIDL");
            rows.iter()
                .map(|row| row.split_once(' ').unwrap().1.to_owned())
                .collect()
        };
        let ids_before = ids(server);
        scene.backup();
        imap.ok("SELECT INBOX");
        imap.ok("UID STORE 3:12 +FLAGS (\\Deleted)");
        imap.ok("UID EXPUNGE 3:12");
        imap.ok("UID MOVE 20 Archive");
        let more = fill(server, "alice", 22, 2);

        let said = done(scene.restore(&["--account", "alice", "--mailbox", "INBOX"]));
        assert!(
            said.contains("INBOX: 11 messages restored, 9 were there"),
            "{said}"
        );
        let after = look(&mut imap, "INBOX");
        assert_eq!(after.len(), 22);
        let after: HashSet<_> = after.into_iter().map(|(_, hash)| hash).collect();
        let expected: HashSet<_> = more.iter().map(|m| blake3::hash(m)).chain(before).collect();
        assert_eq!(after, expected);
        imap.ok("SELECT INBOX");
        let flagged = imap.ok("UID SEARCH KEYWORD $Work FLAGGED");
        assert_eq!(flagged[0].text.split(' ').skip(2).count(), 4, "{flagged:?}");
        // All but the one that lies in Archive, where it has its id still.
        let kept = ids(server).intersection(&ids_before).count();
        assert_eq!(kept, 19, "undelete_days {undelete_days}");
        verify(server);

        // Again: nothing is missing. Elsewhere: everything is.
        let said = done(scene.restore(&["--account", "alice", "--mailbox", "INBOX"]));
        assert!(
            said.contains("INBOX: 0 messages restored, 20 were there"),
            "{said}"
        );
        let elsewhere = [
            "--account",
            "alice",
            "--as",
            "bob",
            "--mailbox",
            "INBOX",
            "--into",
            "From/Alice",
        ];
        let said = done(scene.restore(&elsewhere));
        refused(
            &scene.restore(&elsewhere[..4]),
            0,
            &["bob: INBOX: 20 messages restored"],
        );
        assert!(
            said.contains("From/Alice: 20 messages restored, 0 were there"),
            "{said}"
        );
        verify(server);
        refused(
            &scene.restore(&["--account", "alice", "--mailbox", "Nowhere"]),
            2,
            &["no mailbox Nowhere"],
        );
    }
}

#[test]
fn a_restored_mailbox_respects_the_quota() {
    let scene = Scene::new(Settings::default());
    let server = &scene.server;
    fill(server, "alice", 21, 8);
    scene.backup();
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:* +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    done(server.cli(&["account", "quota", "alice", "--messages", "5"], ""));
    let output = scene.restore(&["--account", "alice", "--mailbox", "INBOX"]);
    assert!(!output.status.success(), "{}", said(&output));
    verify(server);
    done(server.cli(&["account", "quota", "alice", "--messages", "50"], ""));
    done(scene.restore(&["--account", "alice", "--mailbox", "INBOX"]));
    assert_eq!(imap.count("INBOX"), 8);
}
