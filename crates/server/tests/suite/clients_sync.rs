//! IMAP clients that use what extensions there are: CONDSTORE, QRESYNC, COMPRESS, IDLE, caches.

use crate::support::{
    BINARY, assert_same, commands, deliver_all, fill, maildir, make_maildir, metric, verify,
    write_private,
};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use testkit::corpus::Corpus;
use testkit::programs::{command, library, succeed};
use testkit::{ImapClient, PASSWORD, Server};

fn imap(server: &Server, user: &str) -> ImapClient {
    ImapClient::login(server.imap(), user, PASSWORD)
}

/// The flags of all messages of INBOX, by the order of their subjects and dates.
fn flags(server: &Server, user: &str) -> Vec<String> {
    let mut client = imap(server, user);
    client.ok("EXAMINE INBOX");
    let mut all: Vec<String> = client
        .ok("FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE)")
        .into_iter()
        .filter_map(|line| Some(line.text.split_once("FETCH ")?.1.replace("\\Recent", "")))
        .collect();
    all.sort();
    all
}

/// interimap refuses servers without QRESYNC, compresses, and stops at the first surprise.
#[test]
fn interimap_keeps_two_accounts_in_step() {
    let server = Server::start(BINARY);
    let mut mail = fill(&server, "alice", 31, 60);
    mail.extend(fill(&server, "bob", 32, 30));
    let home = tempfile::tempdir().unwrap();
    imap(&server, "alice").ok("CREATE Projects/Old");
    let sync = || drop(succeed(&mut interimap(home.path(), &server)));
    sync();
    for user in ["alice", "bob"] {
        assert_same(user, &mail, &imap(&server, user).bodies("INBOX"));
    }
    assert!(!imap(&server, "bob").ok("LIST \"\" Projects/Old").is_empty());

    // Both sides change flags, lose messages and get new ones.
    for (user, seed) in [("alice", 33), ("bob", 34)] {
        let mut client = imap(&server, user);
        client.ok("SELECT INBOX");
        client.ok("STORE 1:5 +FLAGS (\\Flagged Important)");
        client.ok("STORE 6:9 +FLAGS.SILENT (\\Answered)");
        client.ok("STORE 20:25 +FLAGS.SILENT (\\Deleted)");
        client.ok("EXPUNGE");
        fill(&server, user, seed, 3);
    }
    imap(&server, "bob").append(
        "INBOX",
        "\\Seen $Forwarded",
        &Corpus::new(35).next().unwrap(),
    );
    sync();
    let both = imap(&server, "alice").bodies("INBOX");
    assert_eq!(both.len(), 90 - 12 + 7);
    assert_same("bob", &both, &imap(&server, "bob").bodies("INBOX"));
    assert_eq!(flags(&server, "alice"), flags(&server, "bob"));

    // A run on sides that agree changes neither.
    let state = || {
        imap(&server, "alice").ok("STATUS INBOX (MESSAGES HIGHESTMODSEQ)")[0]
            .text
            .clone()
    };
    let before = state();
    sync();
    assert_eq!(before, state());
    let compressed =
        "gatepost_commands_total{command=\"COMPRESS\",protocol=\"imap\",result=\"ok\"}";
    // Two sides, three runs.
    assert_eq!(metric(&server, compressed), 6.0);
    verify(&server);
}

/// interimap that is told by NOTIFY what has changed on either side, and never asks.
#[test]
fn interimap_is_notified_of_changes_on_both_sides() {
    let server = Server::start(BINARY);
    fill(&server, "alice", 38, 3);
    imap(&server, "alice").ok("CREATE Projects/Old");
    let home = tempfile::tempdir().unwrap();
    let mut interimap = interimap(home.path(), &server);
    // It makes its database only when it runs once.
    succeed(&mut interimap);
    let mut running = Running(interimap.args(["--notify", "--quiet"]).spawn().unwrap());
    let mut wait = |user: &str, mailbox: &str, status: &str| {
        let mut client = imap(&server, user);
        let deadline = Instant::now() + Duration::from_secs(30);
        let items = format!("({})", status.split(' ').next().unwrap());
        let wanted = format!("* STATUS {mailbox} ({status})").replace('"', "");
        loop {
            let (answers, _) = client.command(&format!("STATUS {mailbox} {items}"));
            if answers.iter().any(|a| a.text.replace('"', "") == wanted) {
                return;
            }
            assert!(running.0.try_wait().unwrap().is_none(), "interimap ended");
            assert!(
                Instant::now() < deadline,
                "{user}: {answers:?}, not {wanted}"
            );
        }
    };
    wait("bob", "INBOX", "MESSAGES 3");
    wait("bob", "Projects/Old", "MESSAGES 0");
    // New messages in the mailbox that is selected, or in another one, on either side.
    fill(&server, "alice", 39, 2);
    wait("bob", "INBOX", "MESSAGES 5");
    imap(&server, "bob").append("Projects/Old", "\\Seen", b"Subject: x\r\n\r\nx\r\n");
    wait("alice", "Projects/Old", "MESSAGES 1");
    fill(&server, "bob", 40, 1);
    wait("alice", "INBOX", "MESSAGES 6");
    // Flags and expunges.
    let mut bob = imap(&server, "bob");
    bob.ok("SELECT INBOX");
    bob.ok("STORE 1:4 +FLAGS.SILENT (\\Seen)");
    wait("alice", "INBOX", "UNSEEN 2");
    bob.ok("STORE 2:3 +FLAGS.SILENT (\\Deleted)");
    bob.ok("EXPUNGE");
    wait("alice", "INBOX", "MESSAGES 4");
    let notify = "gatepost_commands_total{command=\"NOTIFY\",protocol=\"imap\",result=\"ok\"}";
    // Twice on each side.
    assert_eq!(metric(&server, notify), 4.0);
    drop(running);
    verify(&server);
}

/// A program that is not needed any longer than its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn interimap(home: &Path, server: &Server) -> Command {
    let side = |user: &str| {
        format!(
            "type = imap\nhost = 127.0.0.1\nport = {}\nusername = {user}\npassword = {PASSWORD}\n\
             STARTTLS = NO\nauth = PLAIN LOGIN\ncompress = YES\n",
            server.imap().port()
        )
    };
    let rc = format!(
        "database = {}/both.db\nlist-mailbox = \"INBOX\" \"Projects/*\"\n[local]\n{}[remote]\n{}",
        home.display(),
        side("alice"),
        side("bob")
    );
    write_private(&home.join("rc"), &rc);
    let mut interimap = command("interimap", home);
    for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        interimap.env(name, home);
    }
    interimap.arg("--config").arg(home.join("rc"));
    interimap
}

#[test]
fn neomutt_keeps_its_header_cache_by_qresync() {
    let server = Server::start(BINARY);
    let mut mail = fill(&server, "alice", 37, 50);
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("cache")).unwrap();
    std::fs::create_dir(home.path().join("Mail")).unwrap();
    let copied = |number: u32| {
        let out = home.path().join(format!("out{number}"));
        make_maildir(&out);
        let rc = format!(
            "set imap_user=alice imap_pass={PASSWORD} ssl_starttls=no ssl_force_tls=no quit=yes\n\
             set copy=no delete=no confirmappend=no auto_tag=yes mbox_type=Maildir\n\
             set imap_qresync=yes imap_condstore=yes header_cache={0}/cache message_cachedir={0}/cache\n\
             push \"<tag-pattern>~A<enter><tag-prefix-cond><copy-message>{1}<enter><end-cond><exit>\"\n",
            home.path().display(),
            out.display()
        );
        write_private(&home.path().join("rc"), &rc);
        let line = format!("neomutt -n -F rc -f imap://{}/INBOX", server.imap());
        // It wants a terminal.
        succeed(command("script", home.path()).args(["-qec", &line, "/dev/null"]));
        maildir(&out, &["Content-Length", "Lines", "Status", "X-Status"])
    };
    assert_same("first", &mail, &copied(1));
    let mut client = imap(&server, "alice");
    client.ok("SELECT INBOX");
    client.ok("STORE 11:20 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    client.ok("STORE 1:3 FLAGS (\\Flagged)");
    mail.drain(10..20);
    mail.extend(deliver_all(&server, "alice", Corpus::new(38).take(4)));
    assert_same("after changes", &mail, &copied(2));
    let qresync = "gatepost_sync_bytes_total{method=\"qresync\",protocol=\"imap\"}";
    assert!(
        metric(&server, qresync) > 0.0,
        "the second run used QRESYNC"
    );
    verify(&server);
}

#[test]
fn imapflow_compresses_catches_up_by_qresync_and_idles() {
    let server = Server::start(BINARY);
    let mail = fill(&server, "alice", 41, 30);
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let extra = Corpus::new(42).next().unwrap();
    std::fs::write(home.path().join("extra"), &extra).unwrap();
    let script = home.path().join("imapflow.cjs");
    std::fs::write(&script, include_str!("support/imapflow.cjs")).unwrap();
    let imapflow = library("node_modules/imapflow").canonicalize().unwrap();
    let mut node = command("node", home.path());
    node.arg(&script).arg(imapflow);
    succeed(node.args([&server.imap().port().to_string(), "out", "extra"]));
    let read: Vec<_> = (0..mail.len())
        .map(|number| std::fs::read(out.join(number.to_string())).unwrap())
        .collect();
    assert_same("read", &mail, &read);
    let filed = [&mail[3..6], &[extra]].concat();
    assert_same("filed", &filed, &imap(&server, "alice").bodies("Done"));
    assert_eq!(commands(&server, "COMPRESS"), 3.0);
    assert_eq!(commands(&server, "IDLE"), 1.0);
    let qresync = "gatepost_sync_bytes_total{method=\"qresync\",protocol=\"imap\"}";
    assert!(metric(&server, qresync) > 0.0);
    verify(&server);
}

#[test]
fn imapclient_files_mail_and_idles() {
    let server = Server::start(BINARY);
    fill(&server, "alice", 43, 30);
    let home = tempfile::tempdir().unwrap();
    let extra = Corpus::new(44).next().unwrap();
    std::fs::write(home.path().join("extra"), &extra).unwrap();
    let script = include_str!("support/imapclient.py");
    std::fs::write(home.path().join("filing.py"), script).unwrap();
    let mut python = command("python3", home.path());
    python.env("PYTHONPATH", library("python").canonicalize().unwrap());
    python.args(["filing.py", &server.imap().port().to_string(), "extra"]);
    succeed(&mut python);
    for name in ["SORT", "THREAD", "MOVE", "IDLE", "ID", "GETQUOTAROOT"] {
        let used = commands(&server, name) + commands(&server, &format!("UID {name}"));
        assert!(used > 0.0, "{name}");
    }
    verify(&server);
}
