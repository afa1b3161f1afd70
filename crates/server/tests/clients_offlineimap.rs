//! offlineimap3: a two-way synchronisation with a Maildir.

mod common;

use common::{fill, hashes, imap, mail, maildir, maildir_messages, private_file, server, with_lf};
use testkit::{PASSWORD, Server, programs};

struct OfflineImap {
    home: tempfile::TempDir,
}

impl OfflineImap {
    fn new(server: &Server) -> Self {
        let home = tempfile::tempdir().expect("a temp directory");
        let path = home.path().display();
        let config = format!(
            "[general]\naccounts = a\nmetadata = {path}/meta\nui = quiet\n\
             [Account a]\nlocalrepository = l\nremoterepository = r\n\
             [Repository l]\ntype = Maildir\nlocalfolders = {path}/mail\n\
             [Repository r]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\n\
             remoteuser = alice\nremotepass = {PASSWORD}\nssl = no\nstarttls = no\n\
             auth_mechanisms = PLAIN, LOGIN\n",
            port = server.imap().port(),
        );
        private_file(&home.path().join("rc"), &config);
        Self { home }
    }

    fn sync(&self) {
        let mut command = programs::command("offlineimap", self.home.path());
        programs::succeed(command.args(["-o", "-c", "rc"]));
    }

    fn inbox(&self) -> std::path::PathBuf {
        self.home.path().join("mail/INBOX")
    }
}

#[test]
fn both_ways_and_again_without_a_change() {
    let server = server();
    let messages = fill(&server, "alice", "INBOX", mail(12, 100));
    let expected = hashes(messages.iter().map(|message| with_lf(message)));
    let client = OfflineImap::new(&server);
    client.sync();
    assert!(
        hashes(maildir_messages(&client.inbox())) == expected,
        "the Maildir differs"
    );

    let files = maildir(&client.inbox());
    client.sync();
    assert_eq!(maildir(&client.inbox()), files);

    // Either side changes.
    let mut other = imap(&server, "alice");
    other.ok("SELECT INBOX");
    other.ok("STORE 1 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    other.append("INBOX", "", b"Subject: from the server\r\n\r\nnew\r\n");
    let new = client.inbox().join("new/1700000000.1_1.test,U=0:2,");
    let text = "Subject: from the Maildir\nMessage-ID: <new@example.org>\n\nnew\n";
    let file_name = new
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a file name");
    let plain = new.with_file_name(file_name.split(',').next().unwrap_or(file_name));
    std::fs::write(plain, text).expect("a new message");
    client.sync();
    assert_eq!(other.count("INBOX"), 101);
    assert_eq!(maildir(&client.inbox()).len(), 101);
    other.ok("EXAMINE INBOX");
    let found = other.ok("UID SEARCH SUBJECT \"from the Maildir\"");
    assert_eq!(
        found[0].text.split(' ').skip(2).count(),
        1,
        "{}",
        found[0].text
    );
}
