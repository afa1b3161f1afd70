//! IMAP clients people use, against the server: what they send and what they are given, by hash.

use crate::support::{
    BINARY, assert_same, delivered, fill, maildir, maildir_files, make_maildir, verify,
    write_private,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use testkit::corpus::Corpus;
use testkit::programs::{command, output, said, succeed};
use testkit::{ImapClient, LmtpClient, PASSWORD, Server, Settings, nasty};

fn imap(server: &Server) -> ImapClient {
    ImapClient::login(server.imap(), "alice", PASSWORD)
}

fn highest_modseq(server: &Server) -> String {
    let lines = imap(server).ok("STATUS INBOX (MESSAGES HIGHESTMODSEQ)");
    lines[0].text.clone()
}

/// UIDs of the messages of INBOX that have a flag.
fn flagged(server: &Server, flag: &str) -> Vec<u32> {
    let mut client = imap(server);
    client.ok("EXAMINE INBOX");
    let mut found = Vec::new();
    for response in client.ok("UID FETCH 1:* (UID FLAGS)") {
        let text = response.text;
        if text.contains(flag) {
            let (_, uid) = text.split_once("UID ").unwrap();
            let uid = uid.split([' ', ')']).next().unwrap();
            found.push(uid.parse().unwrap());
        }
    }
    found.sort_unstable();
    found
}

/// A folder that a client keeps in step with alice's mailboxes.
struct Synced<'a> {
    server: &'a Server,
    home: TempDir,
    /// The header fields the client adds.
    adds: &'a [&'a str],
    run: fn(&Path, &Server),
}

impl Synced<'_> {
    fn inbox(&self) -> PathBuf {
        self.home.path().join("mail/INBOX")
    }

    fn sync(&self) {
        (self.run)(self.home.path(), self.server);
    }

    /// Both sides hold the same, and it is `wanted`.
    fn assert_in_step(&self, what: &str, wanted: &[Vec<u8>]) {
        assert_same(
            &format!("{what}: here"),
            wanted,
            &maildir(&self.inbox(), self.adds),
        );
        let there = imap(self.server).bodies("INBOX");
        let there: Vec<_> = there
            .iter()
            .map(|message| crate::support::without_fields(message, self.adds))
            .collect();
        assert_same(&format!("{what}: there"), wanted, &there);
    }

    /// A run on sides that agree changes neither.
    fn assert_quiet(&self) {
        let before = (maildir_files(&self.inbox()), highest_modseq(self.server));
        self.sync();
        let after = (maildir_files(&self.inbox()), highest_modseq(self.server));
        assert_eq!(before, after);
    }

    /// Local files whose message is one of `messages`.
    fn files_of(&self, messages: &[Vec<u8>]) -> Vec<PathBuf> {
        let mut files = maildir_files(&self.inbox());
        files.retain(|file| {
            let bytes = crate::support::crlf(&std::fs::read(file).unwrap());
            messages.contains(&crate::support::without_fields(&bytes, self.adds))
        });
        assert_eq!(files.len(), messages.len());
        files
    }

    /// The first run, one without a change, one after a change there, one after a change here.
    fn two_ways(&self, mut mail: Vec<Vec<u8>>) {
        self.sync();
        self.assert_in_step("first", &mail);
        self.assert_quiet();
        let tenth = mail.len() / 10;

        let gone = tenth as u32;
        let mut client = imap(self.server);
        client.ok("SELECT INBOX");
        client.ok(&format!("UID STORE 1:{gone} +FLAGS (\\Deleted)"));
        client.ok(&format!(
            "UID STORE {}:{} +FLAGS (\\Flagged)",
            gone + 1,
            gone * 2
        ));
        client.ok("EXPUNGE");
        mail.drain(..tenth);
        mail.extend(fill(self.server, "alice", 77, 5));
        self.sync();
        self.assert_in_step("after a change there", &mail);
        for file in self.files_of(&mail[..tenth]) {
            assert_eq!(local_flags(&file), "F", "{}", file.display());
        }
        self.assert_quiet();

        for file in self.files_of(&mail[..tenth]) {
            std::fs::remove_file(file).unwrap();
        }
        for file in self.files_of(&mail[tenth..tenth * 2]) {
            let base = file.to_str().unwrap().split(":2,").next().unwrap();
            let base = base.replace("/new/", "/cur/");
            std::fs::rename(&file, format!("{base}:2,S")).unwrap();
        }
        mail.drain(..tenth);
        for (number, message) in Corpus::new(78).take(5).enumerate() {
            let local: Vec<u8> = message
                .iter()
                .copied()
                .filter(|byte| *byte != b'\r')
                .collect();
            let file = self.inbox().join(format!("new/{number}.here"));
            std::fs::write(file, local).unwrap();
            mail.push(message);
        }
        self.sync();
        self.assert_in_step("after a change here", &mail);
        assert_eq!(flagged(self.server, "\\Seen").len(), tenth);
        self.assert_quiet();
        verify(self.server);
    }
}

fn local_flags(file: &Path) -> String {
    let name = file.to_str().unwrap();
    name.rsplit_once(":2,")
        .map_or("", |(_, flags)| flags)
        .to_owned()
}

#[test]
fn mbsync_keeps_a_thousand_messages_in_step() {
    let server = Server::start(BINARY);
    let mail = fill(&server, "alice", 1, 1000);
    let synced = Synced {
        server: &server,
        home: tempfile::tempdir().unwrap(),
        adds: &["X-TUID"],
        run: mbsync,
    };
    std::fs::create_dir(synced.home.path().join("mail")).unwrap();
    synced.two_ways(mail);
}

fn mbsync(home: &Path, server: &Server) {
    let dir = home.join("mail");
    let dir = dir.display();
    let rc = format!(
        "IMAPAccount t\nHost 127.0.0.1\nPort {}\nUser alice\nPass {PASSWORD}\nSSLType None\n\
         AuthMechs LOGIN\n\n\
         IMAPStore r\nAccount t\n\n\
         MaildirStore l\nPath {dir}/\nInbox {dir}/INBOX\nSubFolders Verbatim\n\n\
         Channel c\nFar :r:\nNear :l:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        server.imap().port()
    );
    write_private(&home.join("rc"), &rc);
    succeed(command("mbsync", home).args(["-c", "rc", "-a"]));
}

#[test]
fn offlineimap_keeps_both_sides_in_step() {
    let server = Server::start(BINARY);
    let mail = fill(&server, "alice", 2, 40);
    let synced = Synced {
        server: &server,
        home: tempfile::tempdir().unwrap(),
        adds: &[],
        run: offlineimap,
    };
    synced.two_ways(mail);
}

fn offlineimap(home: &Path, server: &Server) {
    let rc = format!(
        "[general]\naccounts = t\nmetadata = {0}/state\nui = basic\n\
         [Account t]\nlocalrepository = l\nremoterepository = r\n\
         [Repository l]\ntype = Maildir\nlocalfolders = {0}/mail\n\
         [Repository r]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {1}\n\
         remoteuser = alice\nremotepass = {PASSWORD}\nssl = no\nstarttls = no\n\
         auth_mechanisms = PLAIN, LOGIN\nusecompression = yes\n",
        home.display(),
        server.imap().port()
    );
    write_private(&home.join("rc"), &rc);
    let done = output(
        command("offlineimap", home).args(["-o", "-c", "rc"]),
        Duration::from_secs(120),
    );
    // It ends with 0 after errors, too.
    let said = said(&done);
    assert!(done.status.success() && !said.contains("ERROR"), "{said}");
}

#[test]
fn curl_puts_and_takes_octets_as_they_are() {
    let server = Server::with(
        BINARY,
        Settings {
            tls: true,
            ..Settings::default()
        },
    );
    let home = tempfile::tempdir().unwrap();
    let ways: [(&str, String); 3] = [
        ("", format!("imap://{}", server.imap())),
        ("--ssl-reqd", format!("imap://{}", server.imap())),
        ("", format!("imaps://{}", server.address("imap-tls"))),
    ];
    let mut sent: Vec<Vec<u8>> = nasty::all()
        .into_iter()
        .map(|nasty| nasty.bytes)
        // RFC 3501 9: a literal holds no NUL.
        .filter(|bytes| !bytes.contains(&0))
        .collect();
    sent.extend(Corpus::new(3).take(20));
    let after_them = sent.iter().position(|message| {
        let text = String::from_utf8_lossy(message);
        text.contains("\nSubject: after them\r")
    });
    let after_them = after_them.unwrap() + 1;
    for (number, message) in sent.iter().enumerate() {
        let file = home.path().join("message");
        std::fs::write(&file, message).unwrap();
        let (tls, base) = &ways[number % 3];
        curl(
            &home,
            &server,
            tls,
            &["-T", "message", &format!("{base}/INBOX")],
        );
    }
    assert_same("appended", &sent, &imap(&server).bodies("INBOX"));
    let mut found = Vec::new();
    for uid in 1..=sent.len() {
        // Not the way it came.
        let (tls, base) = &ways[uid % 3];
        let args = ["-o", "found", &format!("{base}/INBOX;UID={uid}")];
        curl(&home, &server, tls, &args);
        found.push(std::fs::read(home.path().join("found")).unwrap());
    }
    assert_same("read", &sent, &found);
    for (tls, base) in &ways {
        let listed = curl(&home, &server, tls, &[&format!("{base}/")]);
        assert!(listed.contains("INBOX"), "{listed}");
        let inbox = format!("{base}/INBOX");
        let args = ["-X", "SEARCH SUBJECT \"after them\"", &inbox];
        let found = curl(&home, &server, tls, &args);
        assert_eq!(found.trim_end(), format!("* SEARCH {after_them}"));
    }
    verify(&server);
}

fn curl(home: &TempDir, server: &Server, tls: &str, args: &[&str]) -> String {
    let mut curl = command("curl", home.path());
    curl.args(["-sS", "--max-time", "60", "-u"]);
    curl.arg(format!("alice:{PASSWORD}"));
    curl.arg("--cacert").arg(server.file("cert.pem"));
    if !tls.is_empty() {
        curl.arg(tls);
    }
    succeed(curl.args(args))
}

#[test]
fn mutt_copies_a_mailbox() {
    let server = Server::start(BINARY);
    let mail = fill(&server, "alice", 4, 30);
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    make_maildir(&out);
    // Without this folder mutt asks whether to make it, and takes a key for the answer.
    std::fs::create_dir(home.path().join("Mail")).unwrap();
    let rc = format!(
        "set imap_user=alice imap_pass={PASSWORD} ssl_starttls=no ssl_force_tls=no quit=yes\n\
         set copy=no delete=no confirmappend=no auto_tag=yes mbox_type=Maildir\n\
         push \"<tag-pattern>~A<enter><tag-prefix-cond><copy-message>{}<enter><end-cond><exit>\"\n",
        out.display()
    );
    write_private(&home.path().join("rc"), &rc);
    let line = format!("mutt -n -F rc -f imap://{}/INBOX", server.imap());
    // mutt wants a terminal.
    succeed(command("script", home.path()).args(["-qec", &line, "/dev/null"]));
    assert_same(
        "copied",
        &mail,
        &maildir(&out, &["Content-Length", "Lines"]),
    );
    assert_eq!(imap(&server).count("INBOX"), mail.len());
}

#[test]
fn imaplib_reads_files_and_removes() {
    let server = Server::start(BINARY);
    let mail = fill(&server, "alice", 5, 30);
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let extra = Corpus::new(6).next().unwrap();
    std::fs::write(home.path().join("extra"), &extra).unwrap();
    std::fs::write(home.path().join("imap.py"), include_str!("support/imap.py")).unwrap();
    let port = server.imap().port().to_string();
    succeed(command("python3", home.path()).args(["imap.py", &port, "out", "extra"]));
    let found: Vec<_> = (0..mail.len())
        .map(|number| std::fs::read(out.join(number.to_string())).unwrap())
        .collect();
    assert_same("read", &mail, &found);
    assert_same("left", &mail[2..], &imap(&server).bodies("INBOX"));
    let filed: Vec<_> = [&[extra][..], &mail].concat();
    assert_same("filed", &filed, &imap(&server).bodies("Projects/Old"));
    verify(&server);
}

#[test]
fn what_a_client_appends_and_what_lmtp_brings_lie_side_by_side() {
    let server = Server::start(BINARY);
    let message = Corpus::new(9).next().unwrap();
    let answer = imap(&server).append("INBOX", "\\Seen", &message);
    assert!(answer.starts_with("OK [APPENDUID "), "{answer}");
    LmtpClient::connect(server.lmtp()).deliver_ok("alice", &message);
    let wanted = [message.clone(), delivered("alice", &message)];
    assert_eq!(imap(&server).bodies("INBOX"), wanted);
}
