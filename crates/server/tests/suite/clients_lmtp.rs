//! Programs that deliver by LMTP, against the server: what they send is what mailboxes hold.

use crate::support::postfix::Postfix;
use crate::support::{BINARY, assert_same, delivered, verify};
use std::path::Path;
use std::time::Duration;
use testkit::corpus::Corpus;
use testkit::programs::{command, succeed};
use testkit::{ImapClient, PASSWORD, Server, Settings};

fn imap(server: &Server, user: &str) -> ImapClient {
    ImapClient::login(server.imap(), user, PASSWORD)
}

/// What follows the field that Postfix adds.
fn after_received(message: &[u8]) -> Vec<u8> {
    let mut lines = message.split_inclusive(|byte| *byte == b'\n').peekable();
    let ours = |line: &&[u8]| line.starts_with(b"Received: by relay.example.org (Postfix");
    assert!(lines.any(|line| ours(&line)), "Postfix has not seen this");
    while lines.peek().is_some_and(|line| line.starts_with(b"\t")) {
        lines.next();
    }
    lines.flatten().copied().collect()
}

#[test]
fn postfix_delivers_to_the_socket() {
    let settings = Settings {
        lmtp: "socket_mode = \"0666\"".to_owned(),
        ..Settings::default()
    };
    let server = Server::with(BINARY, settings);
    let postfix = Postfix::start(&server, "");
    let sent = Corpus::messages(21, 20);
    let mut waiting: Vec<ImapClient> = ["alice", "bob", "carol"]
        .map(|user| imap(&server, user))
        .into();
    for client in &mut waiting {
        client.ok("SELECT INBOX");
        client.idle();
    }
    for message in &sent {
        let local: Vec<u8> = message
            .iter()
            .copied()
            .filter(|byte| *byte != b'\r')
            .collect();
        let to = ["alice@mail.example.org", "bob@mail.example.org"];
        postfix.send("carol@mail.example.org", &to, &local);
    }
    let nobody = ["nobody@mail.example.org"];
    postfix.send("carol@mail.example.org", &nobody, b"Subject: lost\n\nx\n");

    let patience = Duration::from_secs(60);
    for (client, count) in waiting.iter_mut().zip([sent.len(), sent.len(), 1]) {
        client.wait_for(&format!("* {count} EXISTS"), patience);
    }
    for user in ["alice", "bob"] {
        let found = imap(&server, user).bodies("INBOX");
        let head = format!(
            "Return-Path: <carol@mail.example.org>\r\nDelivered-To: {user}@mail.example.org\r\n"
        );
        assert!(
            found
                .iter()
                .all(|message| message.starts_with(head.as_bytes()))
        );
        let found: Vec<_> = found
            .iter()
            .map(|message| after_received(message))
            .collect();
        assert_same(user, &sent, &found);
    }
    let bounce = imap(&server, "carol").bodies("INBOX").remove(0);
    let bounce = String::from_utf8_lossy(&bounce);
    assert!(bounce.starts_with("Return-Path: <>\r\n"), "{bounce}");
    assert!(
        bounce.contains("Diagnostic-Code: smtp; 550 5.1.1"),
        "{bounce}"
    );
    verify(&server);
}

#[test]
fn swaks_delivers_to_several_over_every_transport() {
    let server = Server::start(BINARY);
    let home = tempfile::tempdir().unwrap();
    let sent = Corpus::messages(22, 6);
    let (tcp, socket) = (server.lmtp().to_string(), server.lmtp_socket());
    let socket = socket.to_str().unwrap();
    let ways: [&[&str]; 3] = [
        &["--server", &tcp],
        &["--server", &tcp, "--pipeline"],
        &["--socket", socket],
    ];
    for (number, message) in sent.iter().enumerate() {
        // swaks ends the last line itself.
        write(
            home.path(),
            "message",
            message.strip_suffix(b"\r\n").unwrap(),
        );
        let mut swaks = command("swaks", home.path());
        swaks.args(["--silent", "2", "--protocol", "LMTP", "--data", "@message"]);
        swaks.args(["--from", "sender@example.org", "--to", "alice,bob"]);
        succeed(swaks.args(ways[number % 3]));
    }
    for user in ["alice", "bob"] {
        let wanted: Vec<_> = sent
            .iter()
            .map(|message| delivered(user, message))
            .collect();
        assert_same(user, &wanted, &imap(&server, user).bodies("INBOX"));
    }
    verify(&server);
}

#[test]
fn smtplib_delivers_over_tcp_tls_and_the_socket() {
    let server = Server::with(
        BINARY,
        Settings {
            tls: true,
            ..Settings::default()
        },
    );
    let home = tempfile::tempdir().unwrap();
    let sent = Corpus::messages(23, 10);
    let mut wanted = Vec::new();
    let mut names = Vec::new();
    for (number, message) in sent.iter().enumerate() {
        let name = format!("message-{number}");
        write(home.path(), &name, message);
        names.push(name);
        let once_each_way = std::iter::repeat_n(delivered("alice", message), 3);
        wanted.extend(once_each_way);
    }
    write(home.path(), "lmtp.py", include_bytes!("support/lmtp.py"));
    let port = server.lmtp().port().to_string();
    let mut python = command("python3", home.path());
    python.args(["lmtp.py", &port]).arg(server.lmtp_socket());
    python.arg(server.file("cert.pem"));
    succeed(python.args(&names));
    assert_same(
        "delivered",
        &wanted,
        &imap(&server, "alice").bodies("INBOX"),
    );
    verify(&server);
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(dir.join(name), bytes).unwrap();
}
