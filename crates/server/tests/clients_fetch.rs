//! The downloaders: fetchmail, getmail6 and mpop, with and without keeping mail on the server.

mod common;

use std::path::Path;

use common::{
    all_with_lf, as_sent, assert_same, fill, imap, mail, mbox_messages, private_file, server,
    with_lf,
};
use testkit::{PASSWORD, Server, programs};

/// Delivers each message to a file of its own.
const MDA: &str = "cat > \"$1/$(date +%s%N).$$\"";

fn fetchmail(server: &Server, home: &Path, protocol: &str, keep: &str) -> Vec<Vec<u8>> {
    let port = server.address(protocol).port();
    let out = home.join("out");
    std::fs::create_dir_all(&out).expect("a directory");
    std::fs::write(home.join("mda"), format!("{MDA}\n")).expect("a file");
    let uidl = if protocol == "pop3" { "uidl" } else { "" };
    let rc = format!(
        "poll 127.0.0.1 service {port} protocol {protocol} {uidl}\n\
         username \"alice\" password \"{PASSWORD}\" {keep} sslproto \"\"\n\
         no rewrite forcecr off mda \"/bin/sh {home}/mda {out}\"\n",
        home = home.display(),
        out = out.display(),
    )
    .replace("forcecr off ", "");
    private_file(&home.join("rc"), &rc);
    let mut command = programs::command("fetchmail", home);
    command
        .env("FETCHMAILHOME", home)
        .env("USER", "tester")
        .env("LOGNAME", "tester");
    command.args([
        "-f",
        "rc",
        "--nosyslog",
        "--nodetach",
        "--invisible",
        "-i",
        "ids",
    ]);
    let output = programs::output(&mut command, std::time::Duration::from_secs(120));
    // 1: there was no mail.
    let code = output.status.code();
    assert!(
        code == Some(0) || code == Some(1),
        "{code:?} {}",
        programs::said(&output)
    );
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(&out).expect("a directory") {
        let path = entry.expect("a directory entry").path();
        messages.push(std::fs::read(&path).expect("a message"));
        std::fs::remove_file(path).expect("our own file");
    }
    messages
}

#[test]
fn fetchmail_keeps_what_it_should_and_takes_nothing_twice() {
    for protocol in ["pop3", "imap"] {
        let server = server();
        let messages = fill(&server, "alice", "INBOX", mail(31, 20));
        let home = tempfile::tempdir().expect("a temp directory");
        let keep = fetchmail(&server, home.path(), protocol, "keep");
        assert_same(protocol, &keep, &all_with_lf(&messages));
        assert_eq!(imap(&server, "alice").count("INBOX"), 20);
        let again = fetchmail(&server, home.path(), protocol, "keep");
        assert_eq!(again.len(), 0, "{protocol}: downloaded twice");
        let taken = fetchmail(&server, home.path(), protocol, "nokeep fetchall");
        assert_same(protocol, &taken, &all_with_lf(&messages));
        assert_eq!(imap(&server, "alice").count("INBOX"), 0);
    }
}

/// Delivers by LMTP to the server it has fetched from: getmail6's other destinations fork for each
/// message, and one wait in a few hundred misses the child's end and hangs for a minute.
#[test]
fn getmail_keeps_what_it_should_and_takes_nothing_twice() {
    for (protocol, retriever) in [
        ("pop3", "SimplePOP3Retriever"),
        ("imap", "SimpleIMAPRetriever"),
    ] {
        let server = server();
        let messages = fill(&server, "alice", "INBOX", mail(32, 20));
        let home = tempfile::tempdir().expect("a temp directory");
        let getmail = |to: &str, delete: bool, read_all: bool| {
            let rc = format!(
                "[retriever]\ntype = {retriever}\nserver = 127.0.0.1\nport = {port}\n\
                 username = alice\npassword = {PASSWORD}\n\
                 [destination]\ntype = MDA_lmtp\nhost = 127.0.0.1\nport = {lmtp}\noverride = {to}\n\
                 [options]\ndelete = {delete}\nread_all = {read_all}\n\
                 delivered_to = false\nreceived = false\n",
                port = server.address(protocol).port(),
                lmtp = server.lmtp().port(),
            );
            private_file(&home.path().join("getmailrc"), &rc);
            let mut command = programs::command("getmail", home.path());
            command.arg("--getmaildir").arg(home.path()).arg("--quiet");
            programs::succeed(&mut command);
            let bodies = imap(&server, to).bodies("INBOX");
            let sent = bodies.iter().map(|body| with_lf(as_sent(body)));
            unfolded(&sent.collect::<Vec<_>>())
        };
        let expected = unfolded(&all_with_lf(&messages));
        assert_same(protocol, &getmail("bob", false, false), &expected);
        assert_eq!(imap(&server, "alice").count("INBOX"), 20);
        // Nothing new: bob still has what he had.
        assert_same(protocol, &getmail("bob", false, false), &expected);
        assert_same(protocol, &getmail("carol", true, true), &expected);
        assert_eq!(imap(&server, "alice").count("INBOX"), 0);
    }
}

/// getmail writes the header anew: with fields of its own, and folded otherwise. What comes out of
/// here has the header's words and the body's octets.
fn unfolded(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let unfold = |message: &Vec<u8>| {
        let own = message.starts_with(b"Return-Path: ");
        let start = message
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let message = &message[if own { start } else { 0 }..];
        let blank = message
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .unwrap_or(message.len());
        let (header, body) = message.split_at(blank);
        let mut out = Vec::new();
        let added = |line: &&[u8]| !line.starts_with(b"X-getmail-");
        for line in header.split(|byte| *byte == b'\n').filter(added) {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                out.push(b'\n');
            }
            for word in line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty())
            {
                out.extend_from_slice(word);
            }
        }
        out.extend_from_slice(body);
        out
    };
    messages.iter().map(unfold).collect()
}

fn mpop(server: &Server, home: &Path, keep: &str) -> Vec<Vec<u8>> {
    let rc = format!(
        "account t\nhost 127.0.0.1\nport {port}\nuser alice\npassword {PASSWORD}\nauth user\n\
         tls off\nkeep {keep}\npipelining on\nreceived_header off\nuidls_file {home}/ids\n\
         delivery mbox {home}/mbox\n",
        port = server.pop3().port(),
        home = home.display(),
    );
    private_file(&home.join("rc"), &rc);
    let _ = std::fs::remove_file(home.join("mbox"));
    let file = format!("--file={}/rc", home.display());
    programs::succeed(programs::command("mpop", home).args([&file, "t"]));
    mbox_messages(&std::fs::read(home.join("mbox")).unwrap_or_default())
}

#[test]
fn mpop_with_pipelining_keeps_what_it_should_and_takes_nothing_twice() {
    let server = server();
    let messages = fill(&server, "alice", "INBOX", mail(33, 60));
    let home = tempfile::tempdir().expect("a temp directory");
    assert_same(
        "mpop",
        &mpop(&server, home.path(), "on"),
        &all_with_lf(&messages),
    );
    assert_eq!(
        mpop(&server, home.path(), "on").len(),
        0,
        "downloaded twice"
    );
    assert_eq!(imap(&server, "alice").count("INBOX"), 60);
    std::fs::remove_file(home.path().join("ids")).expect("mpop's list of ids");
    assert_same(
        "mpop",
        &mpop(&server, home.path(), "off"),
        &all_with_lf(&messages),
    );
    assert_eq!(imap(&server, "alice").count("INBOX"), 0);
}
