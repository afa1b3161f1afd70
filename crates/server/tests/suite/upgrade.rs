//! Formats: every one that was ever written is opened for ever, a newer one is refused in words.
//!
//! A fixture is a whole data directory, and a list of what clients saw of it. After the format has
//! changed, make one more with
//! `cargo nextest run -p server --test suite --run-ignored only make_the_fixture`, under the next
//! number ([`FORMAT`]); those that are there stay as they are.

use crate::support::world::{everything, live, live_on};
use crate::support::{BINARY, verify};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::corpus::Corpus;
use testkit::programs::{command, said, succeed};
use testkit::{ImapClient, LmtpClient, Server};

/// The fixture that [`make_the_fixture`] writes.
const FORMAT: u32 = 1;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn archive(format: u32) -> PathBuf {
    fixtures().join(format!("format-{format}.tar.gz"))
}

fn list(format: u32) -> PathBuf {
    fixtures().join(format!("format-{format}.txt"))
}

/// What must never change: messages, flags, uids, UIDVALIDITY, POP3 ids, sizes, dates, octets.
fn seen(server: &Server) -> String {
    let mut text = everything(server).join("\n");
    let mut dora = ImapClient::login(server.imap(), "dora", "secret");
    for line in dora.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)") {
        text.push('\n');
        text.push_str(&line.text);
    }
    text.push('\n');
    text
}

#[test]
#[ignore = "writes a fixture"]
fn make_the_fixture() {
    let mut server = Server::start(BINARY);
    let added = server.cli(&["account", "add", "dora"], "secret\n");
    assert!(added.status.success());
    let mut small = Corpus::new(1).filter(|message| message.len() < 2500);
    live_on(&server, 1, &mut small);
    LmtpClient::connect(server.lmtp()).deliver_ok("dora", b"Subject: one\r\n\r\nHers\r\n");
    let text = seen(&server);
    assert!(server.terminate().success());
    assert!(!archive(FORMAT).exists(), "a fixture is never written anew");
    let mut tar = command("tar", &server.data_dir());
    tar.args(["-cz", "--owner=0", "--group=0", "-f"])
        .arg(archive(FORMAT));
    succeed(tar.arg("-C").arg(server.data_dir()).arg("."));
    fs::write(list(FORMAT), text).unwrap();
}

#[test]
fn every_format_that_was_ever_written_opens_and_shows_the_same() {
    for format in 1..=FORMAT {
        let mut server = Server::start(BINARY);
        assert!(server.terminate().success());
        fs::remove_dir_all(server.data_dir()).unwrap();
        fs::create_dir(server.data_dir()).unwrap();
        let mut tar = command("tar", &server.data_dir());
        tar.arg("-xzf").arg(archive(format));
        succeed(tar.arg("-C").arg(server.data_dir()));
        let wanted = fs::read_to_string(list(format)).unwrap();
        // As it was closed, and then by a version that knows more.
        for _ in 0..2 {
            server.start_again();
            let found = seen(&server);
            for (wanted, found) in wanted.lines().zip(found.lines()) {
                assert_eq!(wanted, found, "format {format}");
            }
            assert_eq!(wanted.lines().count(), found.lines().count());
            assert!(server.terminate().success());
        }
        server.start_again();
        verify(&server);
        live(&server, 9);
        verify(&server);
    }
}

/// Every file of a directory with its content.
fn content(dir: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            content(&path, into);
        } else if path.is_file() {
            into.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_newer_format_is_refused_in_words_and_not_touched() {
    let mut server = Server::start(BINARY);
    LmtpClient::connect(server.lmtp()).deliver_ok("alice", b"Subject: one\r\n\r\nText\r\n");
    assert!(server.terminate().success());
    let data = server.data_dir();
    for (file, newer) in [
        ("FORMAT", "gatepost-data 2\n"),
        ("meta/FORMAT", "gatepost-meta 2\n"),
        ("packs/store", "gatepost-packs 2 00\n"),
    ] {
        let path = data.join(file);
        let ours = fs::read(&path).unwrap();
        fs::write(&path, newer).unwrap();
        let mut before = BTreeMap::new();
        content(&data, &mut before);
        for args in [
            &["serve"][..],
            &["account", "list"],
            &["verify"],
            &["compact"],
            &["recover"],
            &["undelete", "list", "alice"],
        ] {
            let output = server.cli(args, "");
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{file} {args:?}: {said}");
            assert!(said.contains("newer Gatepost"), "{file} {args:?}: {said}");
        }
        let mut after = BTreeMap::new();
        content(&data, &mut after);
        let is_ours =
            |path: &&PathBuf| !before.contains_key(*path) || before[*path] != after[*path];
        let changed: Vec<&PathBuf> = after.keys().filter(is_ours).collect();
        assert!(changed.is_empty(), "{file}: {changed:?}");
        fs::write(&path, ours).unwrap();
    }
    server.start_again();
    verify(&server);
}
