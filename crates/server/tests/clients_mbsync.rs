//! mbsync (isync): a two-way synchronisation of a thousand messages.

mod common;

use std::path::Path;

use common::{fill, hashes, imap, mail, maildir, maildir_messages, private_file, server, with_lf};
use testkit::{PASSWORD, Server, programs};

struct Mbsync {
    home: tempfile::TempDir,
}

impl Mbsync {
    fn new(server: &Server) -> Self {
        let home = tempfile::tempdir().expect("a temp directory");
        let store = home.path().join("mail");
        std::fs::create_dir(&store).expect("a directory");
        let config = format!(
            "IMAPAccount t\nHost 127.0.0.1\nPort {port}\nUser alice\nPass {PASSWORD}\n\
             SSLType None\nAuthMechs LOGIN\n\n\
             IMAPStore r\nAccount t\n\n\
             MaildirStore l\nPath {store}/\nInbox {store}/INBOX\nSubFolders Verbatim\n\n\
             Channel c\nFar :r:\nNear :l:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
            port = server.imap().port(),
            store = store.display(),
        );
        private_file(&home.path().join("rc"), &config);
        Self { home }
    }

    fn sync(&self) -> String {
        programs::succeed(programs::command("mbsync", self.home.path()).args(["-c", "rc", "-a"]))
    }

    fn inbox(&self) -> std::path::PathBuf {
        self.home.path().join("mail/INBOX")
    }

    /// Hashes of the local messages, without the header line that mbsync adds.
    fn hashes(&self) -> common::Hashes {
        hashes(
            maildir_messages(&self.inbox())
                .iter()
                .map(|message| without_tuid(message)),
        )
    }
}

/// The server's messages as they would lie in a Maildir.
fn remote(server: &Server, mailbox: &str) -> common::Hashes {
    let bodies = imap(server, "alice").bodies(mailbox);
    hashes(bodies.iter().map(|body| without_tuid(&with_lf(body))))
}

fn without_tuid(message: &[u8]) -> Vec<u8> {
    let lines = message.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"X-TUID: "))
        .flatten()
        .copied()
        .collect()
}

/// UIDs, flags and counters: what a synchronisation without a change must leave alone.
fn state(server: &Server) -> Vec<String> {
    let mut client = imap(server, "alice");
    let mut lines = client.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)");
    client.ok("EXAMINE INBOX");
    lines.extend(client.command("UID FETCH 1:* (FLAGS)").0);
    lines.into_iter().map(|line| line.text).collect()
}

fn rename_with_flags(file: &Path, flags: &str) {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a file name");
    let base = name.split(":2,").next().unwrap_or(name);
    let cur = file
        .parent()
        .and_then(Path::parent)
        .expect("a Maildir")
        .join("cur");
    std::fs::rename(file, cur.join(format!("{base}:2,{flags}"))).expect("a rename");
}

#[test]
fn a_thousand_messages_both_ways() {
    let server = server();
    let messages = fill(&server, "alice", "INBOX", mail(11, 1_000));
    let expected = hashes(messages.iter().map(|message| with_lf(message)));

    // The first run brings everything.
    let mbsync = Mbsync::new(&server);
    mbsync.sync();
    assert!(
        mbsync.hashes() == expected,
        "the Maildir differs from what was appended"
    );

    // A second one without a change touches neither side.
    let (remote_state, files) = (state(&server), maildir(&mbsync.inbox()));
    mbsync.sync();
    assert_eq!(state(&server), remote_state);
    assert_eq!(maildir(&mbsync.inbox()), files);

    // Changes on the server: flags, an expunge, a new message, a new mailbox.
    let mut client = imap(&server, "alice");
    client.ok("SELECT INBOX");
    client.ok("STORE 1:3 +FLAGS (\\Seen)");
    client.ok("STORE 10,20 +FLAGS (\\Deleted)");
    client.ok("EXPUNGE");
    client.append(
        "INBOX",
        "\\Flagged",
        b"Subject: from the server\r\n\r\nnew\r\n",
    );
    client.ok("CREATE Projects");
    mbsync.sync();
    let files = maildir(&mbsync.inbox());
    assert_eq!(files.len(), 999);
    assert!(mbsync.hashes() == remote(&server, "INBOX"));
    let seen = |file: &&std::path::PathBuf| {
        file.to_string_lossy()
            .rsplit(":2,")
            .next()
            .is_some_and(|flags| flags.contains('S'))
    };
    assert_eq!(files.iter().filter(seen).count(), 3);
    assert!(mbsync.home.path().join("mail/Projects").is_dir());

    // Changes in the Maildir: flags, a deletion, a new message.
    let unseen: Vec<_> = files
        .iter()
        .filter(|file| !seen(file))
        .take(3)
        .cloned()
        .collect();
    rename_with_flags(&unseen[0], "FS");
    rename_with_flags(&unseen[1], "S");
    rename_with_flags(&unseen[2], "T");
    let new = mbsync.inbox().join("new/1700000000.1_1.test");
    std::fs::write(new, "Subject: from the Maildir\n\nnew\n").expect("a new message");
    mbsync.sync();
    let mut client = imap(&server, "alice");
    assert_eq!(client.count("INBOX"), 999);
    client.ok("EXAMINE INBOX");
    let search = |client: &mut testkit::ImapClient, key: &str| {
        client.ok(&format!("UID SEARCH {key}"))[0]
            .text
            .split(' ')
            .skip(2)
            .count()
    };
    assert_eq!(search(&mut client, "SEEN"), 5);
    assert_eq!(search(&mut client, "FLAGGED"), 2);
    assert_eq!(search(&mut client, "SUBJECT \"from the Maildir\""), 1);
    assert!(mbsync.hashes() == remote(&server, "INBOX"));
}
