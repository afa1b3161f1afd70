//! A server whose data directory is lost and put back, and what is looked at before and after.

use super::{BINARY, fill};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::programs::{command, said, succeed};
use testkit::{ImapClient, PASSWORD, Pop3Client, Response, Server, Settings};

/// A server whose data directory can be lost, and a directory for backups.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) home: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            server: Server::with(BINARY, settings),
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.home.path().join("backup")
    }

    pub(crate) fn backup(&self) -> u64 {
        copied(&done(self.backup_with(&[])))
    }

    pub(crate) fn backup_with(&self, more: &[&str]) -> Output {
        let dir = self.dir();
        let args = [&["backup", dir.to_str().unwrap()], more].concat();
        self.server.cli(&args, "")
    }

    pub(crate) fn restore(&self, more: &[&str]) -> Output {
        let dir = self.dir();
        let args = [&["restore", "--from", dir.to_str().unwrap()], more].concat();
        self.server.cli(&args, "")
    }

    pub(crate) fn lose_everything(&mut self) {
        self.server.kill();
        std::fs::remove_dir_all(self.server.data_dir()).unwrap();
    }

    /// The data directory is lost, and put back from the newest backup.
    pub(crate) fn lose_and_restore(&mut self) {
        self.lose_everything();
        done(self.restore(&[]));
        self.server.start_again();
    }

    pub(crate) fn verify_backup(&self, more: &[&str]) -> Output {
        let dir = self.dir();
        let args = [&["backup", "verify", dir.to_str().unwrap()], more].concat();
        Command::new(BINARY).args(args).output().unwrap()
    }
}

pub(crate) fn done(output: Output) -> String {
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    said
}

pub(crate) fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} lacks {word:?}");
    }
}

/// One attribute of a mailbox.
pub(crate) fn status(imap: &mut ImapClient, mailbox: &str, name: &str) -> u64 {
    let told = imap.ok(&format!("STATUS {mailbox} ({name})"));
    let (_, rest) = told[0].text.split_once(name).unwrap();
    let number = rest.trim_start().split([' ', ')']).next().unwrap();
    number.parse().unwrap()
}

/// What IMAP and POP3 clients know of an account: flags, uids and bytes of every mailbox, and the
/// POP3 unique ids of INBOX, as Python's own clients see them.
pub(crate) fn as_seen_by_python(server: &Server, home: &Path, user: &str) -> String {
    let script = r#"
import imaplib, poplib, sys, hashlib
imap = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
imap.login(sys.argv[3], "pass")
for line in sorted(imap.list()[1]):
    name = line.decode().rsplit(' "/" ', 1)[1]
    print("mailbox", line.decode())
    ok, data = imap.select(name, readonly=True)
    print(ok, data, imap.response("UIDVALIDITY"))
    if data == [b"0"]: continue
    for part in imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(part, tuple):
            print(part[0].decode(), hashlib.sha256(part[1]).hexdigest())
        else:
            print(part.decode())
print(sorted(imap.lsub()[1]))
imap.logout()
pop = poplib.POP3("127.0.0.1", int(sys.argv[2]))
pop.user(sys.argv[3]); pop.pass_("pass")
print(pop.stat(), pop.uidl(), pop.list())
pop.quit()
"#;
    let ports = [server.imap(), server.pop3()].map(|address| address.port().to_string());
    let mut python = command("python3", home);
    succeed(python.args(["-c", script, &ports[0], &ports[1], user]))
}

/// A life with a bit of everything: folders, flags, keywords, moves, a POP3 session.
pub(crate) fn live(server: &Server, user: &str) {
    fill(server, user, 11, 12);
    let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
    imap.ok("CREATE Work/Projects");
    imap.ok("SUBSCRIBE Work/Projects");
    imap.append(
        "Work/Projects",
        "\\Flagged $Later",
        b"Subject: kept\r\n\r\nbytes\r\n",
    );
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 1:4 +FLAGS (\\Seen)");
    imap.ok("UID STORE 5 +FLAGS (\\Answered Important)");
    imap.ok("UID MOVE 6:7 Work/Projects");
    imap.ok("UID STORE 8 +FLAGS (\\Deleted)");
    imap.ok("UID EXPUNGE 8");
    let mut pop3 = Pop3Client::login(server.pop3(), user, PASSWORD);
    pop3.retr(1);
    pop3.ok("DELE 2");
    pop3.quit();
}

/// All messages of a mailbox by uid.
pub(crate) fn look(imap: &mut ImapClient, mailbox: &str) -> Vec<(u32, blake3::Hash)> {
    imap.ok(&format!("EXAMINE {mailbox}"));
    let rows = imap.command("UID FETCH 1:* (UID BODY.PEEK[])").0;
    let uid = |text: &str| {
        text.split_once("UID ")
            .unwrap()
            .1
            .split([' ', ')'])
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let row = |row: &Response| (uid(&row.text), blake3::hash(&row.literals[0]));
    rows.iter().map(row).collect()
}

/// Bytes a backup says it has copied.
pub(crate) fn copied(said: &str) -> u64 {
    let (before, _) = said.split_once(" bytes copied").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}
