//! Python's imaplib, poplib and smtplib.LMTP: the scripts in `python/` assert, these run them.

mod common;

use common::{GATEPOST, fill, mail};
use testkit::{PASSWORD, Server, Settings, programs};

fn run(script: &str, server: &Server) {
    let home = tempfile::tempdir().expect("a temp directory");
    let folder = home.path().join("messages");
    std::fs::create_dir(&folder).expect("a directory");
    let messages = fill(server, "alice", "INBOX", mail(51, 20));
    for (index, message) in messages.iter().enumerate() {
        std::fs::write(folder.join(format!("{index:04}")), message).expect("a message file");
    }
    let path = format!("{}/tests/python/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = programs::command("python3", home.path());
    command.arg(path).args(["alice", PASSWORD]).arg(&folder);
    for listener in ["imap", "imap-tls", "pop3", "pop3-tls", "lmtp"] {
        command.arg(server.address(listener).port().to_string());
    }
    programs::succeed(&mut command);
}

fn server() -> Server {
    Server::with(
        GATEPOST,
        Settings {
            tls: true,
            ..Settings::default()
        },
    )
}

#[test]
fn imaplib() {
    run("imap.py", &server());
}

#[test]
fn poplib_and_lmtp() {
    run("pop3_lmtp.py", &server());
}
