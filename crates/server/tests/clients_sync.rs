//! IMAP clients that use what extensions there are: CONDSTORE, QRESYNC, COMPRESS, IDLE, caches.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::path::Path;
use support::{
    BINARY, assert_same, deliver_all, fill, maildir, make_maildir, metric, verify, write_private,
};
use testkit::corpus::Corpus;
use testkit::programs::{command, succeed};
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
    let sync = || interimap(home.path(), &server);
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
    verify(&server);
}

fn interimap(home: &Path, server: &Server) {
    let side = |user: &str| {
        format!(
            "type = imap\nhost = 127.0.0.1\nport = {}\nusername = {user}\npassword = {PASSWORD}\n\
             STARTTLS = NO\nauth = PLAIN LOGIN\n",
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
    succeed(interimap.arg("--config").arg(home.join("rc")));
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
