//! curl over IMAP and POP3, in the clear, after STARTTLS/STLS, and over TLS from the start.

mod common;

use std::process::Command;

use common::{fill, hash, imap, mail, server_with_tls};
use testkit::{PASSWORD, Server, programs};

/// One way to reach the server: URL scheme, listener, and curl's options.
const WAYS: [(&str, &str, &[&str]); 3] = [
    ("", "", &[]),
    ("", "", &["--ssl-reqd", "--insecure"]),
    ("s", "-tls", &["--insecure"]),
];

struct Curl<'a> {
    server: &'a Server,
    home: tempfile::TempDir,
    protocol: &'static str,
    way: (&'static str, &'static str, &'static [&'static str]),
}

impl Curl<'_> {
    fn new<'a>(
        server: &'a Server,
        protocol: &'static str,
        way: (&'static str, &'static str, &'static [&'static str]),
    ) -> Curl<'a> {
        let home = tempfile::tempdir().expect("a temp directory");
        Curl {
            server,
            home,
            protocol,
            way,
        }
    }

    fn command(&self, path: &str) -> Command {
        let (scheme, listener, options) = self.way;
        let address = self.server.address(&format!("{}{listener}", self.protocol));
        let mut command = programs::command("curl", self.home.path());
        command.args([
            "--silent",
            "--show-error",
            "--user",
            &format!("alice:{PASSWORD}"),
        ]);
        command
            .args(options)
            .arg(format!("{}{scheme}://{address}/{path}", self.protocol));
        command
    }

    /// The bytes curl writes to a file.
    fn get(&self, path: &str, more: &[&str]) -> Vec<u8> {
        let file = self.home.path().join("out");
        programs::succeed(self.command(path).args(more).arg("--output").arg(&file));
        std::fs::read(file).expect("curl's output")
    }
}

#[test]
fn imap_reads_searches_and_appends() {
    let server = server_with_tls();
    let messages = fill(&server, "alice", "INBOX", mail(21, 5));
    for (round, way) in WAYS.into_iter().enumerate() {
        let curl = Curl::new(&server, "imap", way);
        for (index, message) in messages.iter().enumerate() {
            let got = curl.get(&format!("INBOX;MAILINDEX={}", index + 1), &[]);
            assert_eq!(hash(&got), hash(message), "{way:?} message {index}");
        }
        let list = String::from_utf8_lossy(&curl.get("", &[])).into_owned();
        assert!(list.contains("INBOX"), "{list}");
        let found = curl.get("INBOX", &["--request", "SEARCH ALL"]);
        let found = String::from_utf8_lossy(&found).into_owned();
        assert!(found.contains("SEARCH 1 2 3 4 5"), "{found}");
        let upload = curl.home.path().join("message");
        let message = format!("Subject: round {round}\r\n\r\nuploaded\r\n");
        std::fs::write(&upload, &message).expect("a file");
        programs::succeed(curl.command("Archive").arg("--upload-file").arg(&upload));
        let stored = imap(&server, "alice").bodies("Archive");
        assert_eq!(
            stored.last().map(|body| hash(body)),
            Some(hash(message.as_bytes())),
            "{way:?}"
        );
    }
}

#[test]
fn pop3_lists_reads_and_deletes() {
    let server = server_with_tls();
    let mut messages = fill(&server, "alice", "INBOX", mail(22, 6));
    for way in WAYS {
        let curl = Curl::new(&server, "pop3", way);
        for (index, message) in messages.iter().enumerate() {
            let got = curl.get(&(index + 1).to_string(), &[]);
            assert_eq!(hash(&got), hash(message), "{way:?} message {index}");
        }
        let uidl = String::from_utf8_lossy(&curl.get("", &["--request", "UIDL"])).into_owned();
        assert_eq!(uidl.lines().count(), messages.len(), "{uidl}");
        programs::succeed(curl.command("1").args(["--request", "DELE", "--head"]));
        messages.remove(0);
        assert_eq!(
            imap(&server, "alice").count("INBOX"),
            messages.len(),
            "{way:?}"
        );
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let server = server_with_tls();
    for protocol in ["imap", "pop3"] {
        let curl = Curl::new(&server, protocol, WAYS[0]);
        let output = curl
            .command("")
            .args(["--user", "alice:wrong"])
            .output()
            .expect("curl starts");
        // 67: login denied.
        assert_eq!(
            output.status.code(),
            Some(67),
            "{protocol}: {}",
            programs::said(&output)
        );
    }
}
