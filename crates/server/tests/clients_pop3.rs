//! POP3 clients people use, against the server: what they are given, by hash, and what they leave.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;
use support::{
    BINARY, assert_same, deliver_all, delivered, fill, is_root, maildir, maildir_files,
    make_maildir, open_dir, verify, without_long_fields, write_private,
};
use testkit::corpus::Corpus;
use testkit::programs::{command, find, output, said, succeed};
use testkit::{ImapClient, LmtpClient, PASSWORD, Server, Settings, nasty};

/// How many messages of alice's INBOX are left, as IMAP sees it.
fn left(server: &Server) -> usize {
    ImapClient::login(server.imap(), "alice", PASSWORD).count("INBOX")
}

/// A client that downloads into the Maildir `mail` of its home; `keep` leaves messages where
/// they are.
type Download = fn(home: &Path, server: &Server, keep: bool);

/// Each message comes once while it is kept; without keep all go, those downloaded before too.
fn download_with_and_without_keep(run: Download, prepare: fn(Vec<u8>) -> Option<Vec<u8>>) {
    let server = Server::start(BINARY);
    let home = open_dir();
    let mail = home.path().join("mail");
    make_maildir(&mail);
    let arrive = |seed, count| {
        let messages = Corpus::new(seed).filter_map(prepare).take(count);
        deliver_all(&server, "alice", messages)
    };
    let mut wanted = arrive(11, 30);
    let download = |keep, wanted: &[Vec<u8>], what: &str| {
        run(home.path(), &server, keep);
        assert_same(what, wanted, &maildir(&mail, &[]));
    };
    download(true, &wanted, "kept");
    assert_eq!(left(&server), 30);
    download(true, &wanted, "kept, again");
    wanted.extend(arrive(12, 5));
    download(true, &wanted, "kept, after new mail");
    assert_eq!(left(&server), 35);

    std::fs::remove_dir_all(&mail).unwrap();
    make_maildir(&mail);
    let fresh = arrive(13, 3);
    download(false, &fresh, "the new ones, without keep");
    assert_eq!(left(&server), 0);
    download(false, &fresh, "nothing comes twice");
    verify(&server);
}

#[test]
fn fetchmail_downloads_with_and_without_keep() {
    download_with_and_without_keep(fetchmail, Some);
}

fn fetchmail(home: &Path, server: &Server, keep: bool) {
    let rc = format!(
        "set invisible\n\
         poll 127.0.0.1 service {} protocol pop3 uidl username \"alice\" password \"{PASSWORD}\" \
         {} no rewrite pass8bits sslproto \"\" mda \"cat >$(mktemp mail/new/XXXXXXXX)\"\n",
        server.pop3().port(),
        if keep { "keep" } else { "no keep flush" },
    );
    write_private(&home.join("rc"), &rc);
    let args = ["-f", "rc", "--nosyslog", "--nodetach", "-i", "ids"];
    let done = output(
        command("fetchmail", home).args(args),
        Duration::from_secs(120),
    );
    // 1 says that there was no new mail.
    assert!(matches!(done.status.code(), Some(0 | 1)), "{}", said(&done));
}

#[test]
fn getmail_downloads_with_and_without_keep() {
    // It folds long header lines anew.
    download_with_and_without_keep(getmail, without_long_fields);
}

/// It delivers by LMTP to bob, from where the messages are put into the Maildir: its other
/// destinations fork for each message, and one wait in some hundred misses the child's end.
fn getmail(home: &Path, server: &Server, keep: bool) {
    let rc = format!(
        "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\n\
         username = alice\npassword = {PASSWORD}\n\
         [destination]\ntype = MDA_lmtp\nhost = 127.0.0.1\nport = {}\noverride = bob\n\
         [options]\ndelete = {}\nread_all = false\ndelivered_to = false\nreceived = false\n",
        server.pop3().port(),
        server.lmtp().port(),
        !keep,
    );
    write_private(&home.join("getmailrc"), &rc);
    let mut getmail = if is_root() {
        // It refuses to deliver as root.
        succeed(command("chown", home).args(["-R", "nobody", "."]));
        let mut runuser = command("runuser", home);
        runuser.args(["-u", "nobody", "--"]).arg(find("getmail"));
        runuser
    } else {
        command("getmail", home)
    };
    succeed(getmail.arg("-g").arg(home).arg("--quiet"));

    let mut bob = ImapClient::login(server.imap(), "bob", PASSWORD);
    for (number, message) in bob.bodies("INBOX").iter().enumerate() {
        let head = delivered("bob", b"");
        let message = message.strip_prefix(&head[..]).unwrap();
        let local: Vec<u8> = message
            .iter()
            .copied()
            .filter(|byte| *byte != b'\r')
            .collect();
        let mail = home.join("mail");
        let name = format!("new/{}.{number}", maildir_files(&mail).len());
        std::fs::write(mail.join(name), local).unwrap();
    }
    bob.ok("SELECT INBOX");
    bob.ok("UID STORE 1:* +FLAGS (\\Deleted)");
    bob.ok("CLOSE");
}

#[test]
fn mpop_pipelines_with_and_without_keep() {
    download_with_and_without_keep(mpop, Some);
}

fn mpop(home: &Path, server: &Server, keep: bool) {
    let rc = format!(
        "account t\nhost 127.0.0.1\nport {}\nuser alice\npassword {PASSWORD}\nauth user\ntls off\n\
         keep {}\npipelining on\nreceived_header off\nuidls_file {home}/uidls\ndelivery maildir {home}/mail\n",
        server.pop3().port(),
        if keep { "on" } else { "off" },
        home = home.display(),
    );
    write_private(&home.join("rc"), &rc);
    succeed(command("mpop", home).args(["--quiet", "--file=rc", "t"]));
}

#[test]
fn curl_reads_octets_as_they_are_and_deletes() {
    let server = Server::with(
        BINARY,
        Settings {
            tls: true,
            ..Settings::default()
        },
    );
    let home = tempfile::tempdir().unwrap();
    let mut wanted = fill(&server, "alice", 14, 20);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    for message in nasty::all().into_iter().filter(nasty::Nasty::fits_data) {
        lmtp.deliver_ok("alice", &message.bytes);
        wanted.push(delivered("alice", &message.bytes));
    }
    let plain = format!("pop3://{}", server.pop3());
    let curl = |args: &[&str]| {
        let mut curl = command("curl", home.path());
        curl.args(["-sS", "--max-time", "60", "-u"]);
        curl.arg(format!("alice:{PASSWORD}"));
        curl.arg("--cacert").arg(server.file("cert.pem"));
        succeed(curl.args(args))
    };
    let secure = format!("pop3s://{}", server.address("pop3-tls"));
    let ways = [
        ("--no-ssl-reqd", &plain),
        ("--ssl-reqd", &plain),
        ("--ssl-reqd", &secure),
    ];
    for (tls, base) in ways {
        let uidl = curl(&[tls, "-X", "UIDL", &format!("{base}/")]);
        assert_eq!(uidl.lines().count(), wanted.len(), "{uidl}");
    }
    let mut found = Vec::new();
    for number in 1..=wanted.len() {
        let (tls, base) = ways[number % 3];
        curl(&[tls, "-o", "found", &format!("{base}/{number}")]);
        found.push(std::fs::read(home.path().join("found")).unwrap());
    }
    assert_same("read", &wanted, &found);
    curl(&["-I", "-X", "DELE", &format!("{plain}/2")]);
    wanted.remove(1);
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    assert_same("left", &wanted, &imap.bodies("INBOX"));
    verify(&server);
}

#[test]
fn poplib_reads_resets_drops_and_deletes() {
    let server = Server::start(BINARY);
    let mut wanted = fill(&server, "alice", 15, 25);
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(home.path().join("pop.py"), include_str!("support/pop.py")).unwrap();
    let port = server.pop3().port().to_string();
    succeed(command("python3", home.path()).args(["pop.py", &port, "out"]));
    let found: Vec<_> = (1..=wanted.len())
        .map(|number| std::fs::read(out.join(number.to_string())).unwrap())
        .collect();
    assert_same("read", &wanted, &found);
    wanted.remove(2);
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    assert_same("left", &wanted, &imap.bodies("INBOX"));
    verify(&server);
}
