//! What each door promises the other (DESIGN 5, docs/pop3.md): a POP3 session and an IMAP session
//! on one mailbox, IMAP acting between PASS and QUIT.

use crate::support::{BINARY, delivered, verify};
use std::time::Duration;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

/// "At once", on a busy machine: any polling in the server would take longer.
const AT_ONCE: Duration = Duration::from_secs(5);

fn text(n: usize) -> Vec<u8> {
    format!("Subject: message {n}\r\n\r\n.body {n}\r\n").into_bytes()
}

/// A server with `count` messages in alice's INBOX, which are returned as they are stored.
fn server(count: usize, pop3: &str) -> (Server, Vec<Vec<u8>>) {
    let settings = Settings {
        pop3: pop3.to_owned(),
        ..Settings::default()
    };
    let server = Server::with(BINARY, settings);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let messages = (1..=count).map(|n| {
        lmtp.deliver_ok("alice", &text(n));
        delivered("alice", &text(n))
    });
    let messages = messages.collect();
    (server, messages)
}

fn pop3(server: &Server, user: &str) -> Pop3Client {
    Pop3Client::login(server.pop3(), user, PASSWORD)
}

fn imap(server: &Server, mailbox: &str) -> ImapClient {
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok(&format!("SELECT {mailbox}"));
    imap
}

/// The unique ids of a maildrop.
fn ids(client: &mut Pop3Client) -> Vec<String> {
    let id = |row: String| row.split(' ').nth(1).unwrap().to_owned();
    client.rows("UIDL").into_iter().map(id).collect()
}

/// Uids and flags of the selected mailbox, as `1(\Seen) 2()`.
fn flags(imap: &mut ImapClient) -> String {
    // Catches up: what others have expunged is told between commands.
    imap.ok("NOOP");
    let rows = imap.ok("UID FETCH 1:* (FLAGS)");
    let one = |text: &str| {
        let flags = text
            .split("FLAGS (")
            .nth(1)?
            .split(')')
            .next()?
            .replace("\\Recent", "");
        let uid = text
            .split("UID ")
            .nth(1)?
            .split([' ', ')'])
            .next()?
            .to_owned();
        Some(format!("{uid}({})", flags.trim()))
    };
    let rows = rows.iter().filter_map(|row| one(&row.text));
    rows.collect::<Vec<_>>().join(" ")
}

/// Everything a session was shown at login is still there: numbers, sizes, ids, content.
struct Shown {
    list: Vec<String>,
    ids: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

impl Shown {
    fn at_login(client: &mut Pop3Client, bodies: &[Vec<u8>]) -> Self {
        let shown = Self {
            list: client.rows("LIST"),
            ids: ids(client),
            bodies: bodies.to_vec(),
        };
        assert_eq!(shown.ids.len(), bodies.len());
        shown
    }

    fn still_stands(&self, client: &mut Pop3Client, after: &str) {
        assert_eq!(client.rows("LIST"), self.list, "{after}");
        assert_eq!(ids(client), self.ids, "{after}");
        assert_eq!(client.stat().0, self.bodies.len(), "{after}");
        for (n, body) in self.bodies.iter().enumerate() {
            let n = n + 1;
            assert_eq!(&client.multi(&format!("TOP {n} 99")), body, "{n} {after}");
            assert_eq!(
                client.ok(&format!("LIST {n}")),
                format!("+OK {n} {}", body.len())
            );
        }
    }
}

#[test]
fn promise_1_a_session_is_a_snapshot_whatever_imap_does() {
    let (server, mail) = server(6, "");
    let mut imap = imap(&server, "INBOX");
    let mut client = pop3(&server, "alice");
    let shown = Shown::at_login(&mut client, &mail);
    for act in [
        "UID STORE 1 +FLAGS (\\Seen \\Flagged)",
        "UID STORE 2 +FLAGS (\\Deleted)",
        "UID EXPUNGE 2",
        "UID MOVE 3 Archive",
        "UID COPY 1 INBOX",
        "CREATE Else",
        "UID MOVE 4 Else",
        "RENAME Else Elsewhere",
        "DELETE Elsewhere",
        "RENAME INBOX Old",
    ] {
        imap.ok(act);
        shown.still_stands(&mut client, act);
    }
    let answer = imap.append("INBOX", "", &text(7));
    assert!(answer.starts_with("OK"), "{answer}");
    shown.still_stands(&mut client, "APPEND");
    client.quit();
    // No lock: the next session sees what IMAP has made of it.
    let mut next = pop3(&server, "alice");
    assert_eq!(next.stat().0, 1);
    assert_eq!(next.retr(1), text(7));
    let mut old = pop3(&server, "alice+Old");
    let (moved, known) = (ids(&mut old), &shown.ids);
    // 1, 5 and 6 as they were, and the copy of 1 with an id of its own.
    assert_eq!(
        &moved[..3],
        [known[0].clone(), known[4].clone(), known[5].clone()]
    );
    assert_eq!(moved.len(), 4);
    assert!(!known.contains(&moved[3]));
    verify(&server);
}

#[test]
fn promise_1_a_mailbox_renamed_or_deleted_under_a_session_stays_readable() {
    let (server, _) = server(0, "");
    let mut imap = imap(&server, "INBOX");
    for mailbox in ["Work", "Gone"] {
        imap.ok(&format!("CREATE {mailbox}"));
        for n in 1..=3 {
            assert!(imap.append(mailbox, "", &text(n)).starts_with("OK"));
        }
    }
    let mail: Vec<_> = (1..=3).map(text).collect();
    let mut work = pop3(&server, "alice+Work");
    let mut gone = pop3(&server, "alice+Gone");
    let shown = Shown::at_login(&mut work, &mail);
    let lost = Shown::at_login(&mut gone, &mail);
    imap.ok("RENAME Work Play/Deep");
    imap.ok("DELETE Gone");
    imap.ok("CREATE Gone");
    assert!(imap.append("Gone", "", &text(4)).starts_with("OK"));
    shown.still_stands(&mut work, "RENAME");
    lost.still_stands(&mut gone, "DELETE");
    work.ok("DELE 2");
    gone.ok("DELE 1");
    // The rename is followed; a mailbox that is gone needs no deleting, and the new one of that
    // name is another.
    work.quit();
    gone.quit();
    assert_eq!(imap.count("Play/Deep"), 2);
    assert_eq!(imap.bodies("Gone"), [text(4)]);
    verify(&server);
}

#[test]
fn promise_2_dele_hides_here_and_only_quit_acts() {
    let (server, mail) = server(5, "");
    let mut imap = imap(&server, "INBOX");
    let mut client = pop3(&server, "alice");
    client.retr(1);
    client.ok("DELE 2");
    client.ok("DELE 4");
    let numbers: Vec<_> = client
        .rows("LIST")
        .iter()
        .map(|row| row[..1].to_owned())
        .collect();
    assert_eq!(numbers, ["1", "3", "5"]);
    assert_eq!(client.stat().0, 3);
    for refused in ["RETR 2", "LIST 4", "UIDL 2", "DELE 4", "TOP 2 0"] {
        assert!(client.command(refused).is_err(), "{refused}");
    }
    assert_eq!(client.retr(5), mail[4]);
    assert_eq!(flags(&mut imap), "1() 2() 3() 4() 5()");
    // The line drops.
    drop(client);
    assert_eq!(flags(&mut imap), "1() 2() 3() 4() 5()");

    let mut client = pop3(&server, "alice");
    client.retr(1);
    client.ok("DELE 2");
    client.ok("DELE 3");
    client.ok("DELE 4");
    // Meanwhile IMAP files one of them and flags another.
    imap.ok("UID MOVE 3 Archive");
    imap.ok("UID STORE 4 +FLAGS (\\Flagged)");
    assert_eq!(imap.count("INBOX"), 4);
    client.quit();
    assert_eq!(flags(&mut imap), "1(\\Seen) 5()");
    // What was filed was not there any more to be deleted.
    assert_eq!(imap.count("Archive"), 1);
    verify(&server);
}

#[test]
fn promise_3_imap_is_told_at_once_and_pop3_at_the_next_login() {
    let (server, _) = server(4, "");
    let mut idle = imap(&server, "INBOX");
    let mut away = ImapClient::login(server.imap(), "alice", PASSWORD);
    away.ok("ENABLE QRESYNC");
    let opened = away.ok("SELECT INBOX");
    let number = |word: &str| -> String {
        let line = opened.iter().find(|line| line.text.contains(word)).unwrap();
        let rest = line.text.split(word).nth(1).unwrap();
        rest.trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect()
    };
    let (validity, modseq) = (number("UIDVALIDITY"), number("HIGHESTMODSEQ"));
    away.ok("UNSELECT");
    let mut notified = ImapClient::login(server.imap(), "alice", PASSWORD);
    notified.ok("NOTIFY SET (PERSONAL (MessageNew MessageExpunge FlagChange))");
    notified.ok("SELECT Archive");
    notified.idle();
    idle.idle();
    let mut client = pop3(&server, "alice");
    client.retr(4);
    client.ok("DELE 1");
    client.ok("DELE 3");
    client.quit();
    idle.wait_for("EXPUNGE", AT_ONCE);
    idle.wait_for("EXPUNGE", AT_ONCE);
    let told = notified.wait_for("STATUS INBOX", AT_ONCE);
    assert!(told.contains("MESSAGES"), "{told}");
    idle.done();
    assert_eq!(flags(&mut idle), "2() 4(\\Seen)");
    let changed = away.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))"));
    let has = |what: &str| changed.iter().any(|line| line.text.contains(what));
    assert!(has("VANISHED (EARLIER) 1,3") && has("FLAGS (\\Seen"));
    // The other way round.
    let mut client = pop3(&server, "alice");
    assert_eq!(client.stat().0, 2);
    idle.ok("UID STORE 2 +FLAGS.SILENT (\\Deleted)");
    idle.ok("EXPUNGE");
    assert!(idle.append("INBOX", "", &text(5)).starts_with("OK"));
    assert_eq!(client.stat().0, 2);
    client.quit();
    let mut client = pop3(&server, "alice");
    assert_eq!(client.retr(2), text(5));
    verify(&server);
}

#[test]
fn promise_4_what_dele_means_is_a_policy_and_imap_keeps_what_it_keeps() {
    // INBOX as IMAP sees it afterwards, and the maildrop of the next login.
    for (policy, inbox, target, maildrop) in [
        ("delete", "3()", None, 1),
        ("trash", "3()", Some("Trash"), 1),
        ("archive:POP3/Old", "3()", Some("POP3/Old"), 1),
        ("keep", "1(\\Seen) 2() 3()", None, 1),
        ("keep-days:30", "1(\\Seen) 2() 3()", None, 1),
    ] {
        let (mut server, mail) = server(3, &format!("policy = \"{policy}\"\n"));
        let mut imap = imap(&server, "INBOX");
        let mut client = pop3(&server, "alice");
        let known = ids(&mut client);
        client.retr(1);
        client.ok("DELE 1");
        client.ok("DELE 2");
        imap.idle();
        client.quit();
        if inbox == "3()" {
            imap.wait_for("EXPUNGE", AT_ONCE);
        } else {
            imap.wait_for("FETCH (", AT_ONCE);
        }
        imap.done();
        // +OK was said, and the power goes.
        drop(imap);
        server.kill();
        server.start_again();
        let mut imap = self::imap(&server, "INBOX");
        assert_eq!(flags(&mut imap), inbox, "{policy}");
        let mut next = pop3(&server, "alice");
        assert_eq!(next.stat().0, maildrop, "{policy}");
        assert_eq!(ids(&mut next), known[2..], "{policy}");
        assert_eq!(next.retr(1), mail[2]);
        if let Some(target) = target {
            assert_eq!(imap.bodies(target), mail[..2], "{policy}");
            imap.ok(&format!("SELECT {target}"));
            assert_eq!(flags(&mut imap), "1(\\Seen) 2()");
            let mut there = pop3(&server, &format!("alice+{target}"));
            assert_eq!(ids(&mut there), known[..2]);
        }
        // Filed by IMAP, a hidden message is one like any other.
        if policy.starts_with("keep") {
            imap.ok("UID MOVE 1 Archive");
            assert_eq!(ids(&mut pop3(&server, "alice+Archive")), known[..1]);
        }
        verify(&server);
    }
}

#[test]
fn promise_5_a_unique_id_belongs_to_the_email() {
    let (mut server, _) = server(3, "");
    let mut imap = imap(&server, "INBOX");
    let known = ids(&mut pop3(&server, "alice"));
    imap.ok("UID MOVE 2 Archive");
    let [first, third] = [&known[0], &known[2]].map(Clone::clone);
    assert_eq!(
        ids(&mut pop3(&server, "alice")),
        [first.clone(), third.clone()]
    );
    assert_eq!(ids(&mut pop3(&server, "alice+Archive")), known[1..2]);
    imap.ok("SELECT Archive");
    imap.ok("UID MOVE 1 INBOX");
    // Back, behind the others, and the same.
    let back = [first, third, known[1].clone()];
    assert_eq!(ids(&mut pop3(&server, "alice")), back);
    // Two copies in one maildrop differ, and so does one elsewhere.
    imap.ok("SELECT INBOX");
    imap.ok("UID COPY 1 INBOX");
    imap.ok("UID COPY 1 Archive");
    let mut all = ids(&mut pop3(&server, "alice"));
    assert_eq!(all[..3], back);
    all.extend(ids(&mut pop3(&server, "alice+Archive")));
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 5, "{all:?}");
    // Neither a rename nor a restart changes any, and none is given again.
    server.kill();
    server.start_again();
    let mut imap = self::imap(&server, "INBOX");
    imap.ok("RENAME Archive Stored");
    let mut again = ids(&mut pop3(&server, "alice"));
    again.extend(ids(&mut pop3(&server, "alice+Stored")));
    assert_eq!(again, all);
    imap.ok("UID STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    assert!(imap.append("INBOX", "", &text(9)).starts_with("OK"));
    assert!(!all.contains(&ids(&mut pop3(&server, "alice"))[0]));
    verify(&server);
}

#[test]
fn promise_6_any_folder_can_be_opened_and_seen_on_retr_is_a_setting() {
    for (setting, seen) in [("", "1(\\Seen) 2()"), ("mark_seen = false\n", "1() 2()")] {
        let (server, _) = server(0, setting);
        let mut imap = imap(&server, "INBOX");
        imap.ok("CREATE Work/Deep");
        for n in 1..=2 {
            assert!(imap.append("Work/Deep", "", &text(n)).starts_with("OK"));
        }
        let mut client = pop3(&server, "alice+Work/Deep");
        assert_eq!(client.retr(1), text(1));
        client.multi("TOP 2 5");
        client.quit();
        assert_eq!(pop3(&server, "alice").stat(), (0, 0));
        imap.ok("SELECT Work/Deep");
        assert_eq!(flags(&mut imap), seen);
        let mut client = Pop3Client::connect(server.pop3());
        client.ok("USER alice+Nowhere");
        let refused = client.command(&format!("PASS {PASSWORD}")).unwrap_err();
        assert_eq!(refused, "-ERR [AUTH] no such folder");
        verify(&server);
    }
}
