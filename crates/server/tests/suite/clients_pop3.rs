//! POP3 clients people use, against the server: what they are given, by hash, and what they leave.

use crate::support::thunderbird::Thunderbird;
use crate::support::{
    BINARY, assert_same, crlf, deliver_all, delivered, fill, is_root, maildir, maildir_files,
    make_maildir, open_dir, verify, without_long_fields, write_private,
};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use testkit::corpus::Corpus;
use testkit::programs::{command, find, library, output, said, succeed};
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings, nasty};

/// How many messages of alice's INBOX are left, as IMAP sees it.
fn left(server: &Server) -> usize {
    ImapClient::login(server.imap(), "alice", PASSWORD).count("INBOX")
}

/// A client that downloads into the Maildir `mail` of its home; `keep` leaves messages where
/// they are.
type Download = fn(home: &Path, server: &Server, keep: bool);

fn download_with_and_without_keep(run: Download, prepare: fn(Vec<u8>) -> Option<Vec<u8>>) {
    let server = Server::start(BINARY);
    let home = open_dir();
    keep_and_keep_not(&server, home.path(), prepare, |keep| {
        run(home.path(), &server, keep);
    });
    verify(&server);
}

/// Each message comes once while it is kept; without keep all go, those downloaded before too.
fn keep_and_keep_not(
    server: &Server,
    home: &Path,
    prepare: fn(Vec<u8>) -> Option<Vec<u8>>,
    mut run: impl FnMut(bool),
) {
    let mail = home.join("mail");
    make_maildir(&mail);
    let arrive = |seed, count| {
        let messages = Corpus::new(seed).filter_map(prepare).take(count);
        deliver_all(server, "alice", messages)
    };
    let mut wanted = arrive(11, 30);
    let mut download = |keep, wanted: &[Vec<u8>], what: &str| {
        run(keep);
        assert_same(what, wanted, &maildir(&mail, &[]));
    };
    download(true, &wanted, "kept");
    assert_eq!(left(server), 30);
    download(true, &wanted, "kept, again");
    wanted.extend(arrive(12, 5));
    download(true, &wanted, "kept, after new mail");
    assert_eq!(left(server), 35);

    std::fs::remove_dir_all(&mail).unwrap();
    make_maildir(&mail);
    let fresh = arrive(13, 3);
    download(false, &fresh, "the new ones, without keep");
    assert_eq!(left(server), 0);
    download(false, &fresh, "nothing comes twice");
}

#[test]
fn thunderbird_downloads_with_and_without_leaving_messages_on_the_server() {
    let server = Server::start(BINARY);
    let home = open_dir();
    let mut client = Thunderbird::start("pop3", server.pop3().port());
    keep_and_keep_not(&server, home.path(), Some, |keep| {
        client.act("set", json!(["leave_on_server", keep]));
        client.act("receive", json!([]));
        // What has been read is removed here, which removes nothing there.
        let uids: Vec<_> = client.list("INBOX").iter().map(|shown| shown.uid).collect();
        let new = home.path().join("mail/new");
        for message in client.saved("INBOX") {
            let name = blake3::hash(&message).to_string();
            std::fs::write(new.join(name), message).unwrap();
        }
        client.act("remove", json!(["INBOX", uids, true]));
    });

    // "Until I delete them."
    let mut mail = fill(&server, "alice", 18, 3);
    client.act("set", json!(["leave_on_server", true]));
    client.act("set", json!(["delete_mail_left_on_server", true]));
    client.act("receive", json!([]));
    let second = client.list("INBOX")[1].uid;
    client.act("remove", json!(["INBOX", [second], true]));
    client.act("receive", json!([]));
    mail.remove(1);
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    assert_same("left", &mail, &imap.bodies("INBOX"));
    let here: Vec<_> = client
        .saved("INBOX")
        .iter()
        .map(|mail| crlf(mail))
        .collect();
    assert_same("here", &mail, &here);
    verify(&server);
}

#[test]
fn fetchmail_downloads_with_and_without_keep() {
    download_with_and_without_keep(fetchmail, Some);
}

fn fetchmail(home: &Path, server: &Server, keep: bool) {
    let options = if keep { "keep" } else { "no keep flush" };
    // 1 says that there was no new mail.
    assert!(matches!(fetchmail_with(home, server, options), 0 | 1));
}

/// Returns the exit code.
fn fetchmail_with(home: &Path, server: &Server, options: &str) -> i32 {
    let rc = format!(
        "set invisible\n\
         poll 127.0.0.1 service {} protocol pop3 uidl username \"alice\" password \"{PASSWORD}\" \
         {options} no rewrite pass8bits sslproto \"\" mda \"cat >$(mktemp mail/new/XXXXXXXX)\"\n",
        server.pop3().port(),
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
        Duration::from_secs(120),
    );
    let code = done.status.code().unwrap_or(-1);
    assert!(matches!(code, 0 | 1 | 13), "{}", said(&done));
    code
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

/// What imaplib sees in mailboxes: name, messages, seen ones.
fn observe(server: &Server, mailboxes: &[&str]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let script = include_str!("support/observe.py");
    std::fs::write(home.path().join("observe.py"), script).unwrap();
    let mut python = command("python3", home.path());
    python.args(["observe.py", &server.imap().port().to_string()]);
    let said = succeed(python.args(mailboxes));
    said.lines().map(str::to_owned).collect()
}

/// A server with a policy, ten messages for alice, and a home with a Maildir.
struct Scene {
    server: Server,
    home: tempfile::TempDir,
    wanted: Vec<Vec<u8>>,
}

impl Scene {
    fn new(policy: &str, prepare: fn(Vec<u8>) -> Option<Vec<u8>>) -> Self {
        let server = Server::with(
            BINARY,
            Settings {
                pop3: format!("policy = \"{policy}\"\n"),
                ..Settings::default()
            },
        );
        let home = open_dir();
        make_maildir(&home.path().join("mail"));
        let messages = Corpus::new(16).filter(|message| message.len() < 20_000);
        let wanted = deliver_all(&server, "alice", messages.filter_map(prepare).take(10));
        Self {
            server,
            home,
            wanted,
        }
    }

    /// The client has everything; POP3 shows nothing any more; imaplib sees this.
    fn ends_with(&self, found: &[Vec<u8>], seen: &[&str]) {
        assert_same("downloaded", &self.wanted, found);
        let mut client = Pop3Client::login(self.server.pop3(), "alice", PASSWORD);
        assert_eq!(client.stat(), (0, 0));
        let mailboxes: Vec<&str> = seen
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(observe(&self.server, &mailboxes), seen);
        verify(&self.server);
    }

    fn downloaded(&self) -> Vec<Vec<u8>> {
        maildir(&self.home.path().join("mail"), &[])
    }
}

#[test]
fn node_pop3_deletes_under_the_policy_delete() {
    let scene = Scene::new("delete", Some);
    let home = scene.home.path();
    std::fs::write(home.join("pop.mjs"), include_str!("support/pop.mjs")).unwrap();
    let out = home.join("out");
    std::fs::create_dir(&out).unwrap();
    let port = scene.server.pop3().port().to_string();
    let mut node = command("node", home);
    node.arg("pop.mjs")
        .arg(library("node_modules/node-pop3"))
        .args([&port, "out"]);
    succeed(&mut node);
    let read = |number: usize| std::fs::read(out.join(number.to_string())).unwrap();
    let found: Vec<_> = (1..=scene.wanted.len()).map(read).collect();
    scene.ends_with(&found, &["INBOX 0 0", "Trash 0 0"]);
}

#[test]
fn mpop_deletes_under_the_policy_trash() {
    let scene = Scene::new("trash", Some);
    mpop(scene.home.path(), &scene.server, false);
    scene.ends_with(&scene.downloaded(), &["INBOX 0 0", "Trash 10 10"]);
}

#[test]
fn fetchmail_deletes_some_at_a_time_under_the_policy_archive() {
    let scene = Scene::new("archive:Downloaded", Some);
    let (home, server) = (scene.home.path(), &scene.server);
    // It ends a session and logs in again after every two messages, and stops after four.
    let options = "no keep fetchlimit 4 expunge 2";
    assert_eq!(fetchmail_with(home, server, options), 13);
    assert_eq!(
        observe(server, &["INBOX", "Downloaded"]),
        ["INBOX 6 0", "Downloaded 4 0"]
    );
    assert_eq!(fetchmail_with(home, server, options), 13);
    assert_eq!(fetchmail_with(home, server, options), 0);
    assert_eq!(fetchmail_with(home, server, options), 1);
    // It reads with TOP, which is not RETR: unseen.
    scene.ends_with(&scene.downloaded(), &["INBOX 0 0", "Downloaded 10 0"]);
}

#[test]
fn poplib_deletes_under_the_policy_keep() {
    let scene = Scene::new("keep", Some);
    let script = "import poplib, sys\n\
         client = poplib.POP3('127.0.0.1', int(sys.argv[1]))\n\
         client.user('alice'); client.pass_('pass')\n\
         for number in range(1, client.stat()[0] + 1):\n\
         \x20   lines = client.retr(number)[1]\n\
         \x20   open(f'mail/new/{number}', 'wb').write(b''.join(l + b'\\n' for l in lines))\n\
         \x20   client.dele(number)\n\
         client.quit()\n";
    let port = scene.server.pop3().port().to_string();
    succeed(command("python3", scene.home.path()).args(["-c", script, &port]));
    scene.ends_with(&scene.downloaded(), &["INBOX 10 10", "Trash 0 0"]);
    // Nothing is hidden from IMAP.
    let mut imap = ImapClient::login(scene.server.imap(), "alice", PASSWORD);
    assert_same("kept", &scene.wanted, &imap.bodies("INBOX"));
}

#[test]
fn getmail_and_curl_delete_under_the_policy_keep_days() {
    let scene = Scene::new("keep-days:30", without_long_fields);
    let (home, server) = (scene.home.path(), &scene.server);
    let capa = Pop3Client::login(server.pop3(), "alice", PASSWORD).rows("CAPA");
    assert!(capa.contains(&"EXPIRE 30".to_owned()));
    getmail(home, server, false);
    scene.ends_with(&scene.downloaded(), &["INBOX 10 10"]);
    // The next message has the number 1, and its own deletion.
    deliver_all(server, "alice", Corpus::new(17).take(1));
    let url = format!("pop3://{}/1", server.pop3());
    let login = format!("alice:{PASSWORD}");
    let mut curl = command("curl", home);
    succeed(curl.args(["-sS", "-u", &login, "-I", "-X", "DELE", &url]));
    scene.ends_with(&scene.downloaded(), &["INBOX 11 10"]);
}
