//! What the tests of the whole server share.
#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use testkit::corpus::Corpus;
use testkit::{ImapClient, PASSWORD, Server, Settings};

/// The binary under test.
pub(crate) const GATEPOST: &str = env!("CARGO_BIN_EXE_gatepost");

/// A server with the usual accounts.
pub(crate) fn server() -> Server {
    Server::start(GATEPOST)
}

/// A server with TLS listeners beside the others.
pub(crate) fn server_with_tls() -> Server {
    Server::with(
        GATEPOST,
        Settings {
            tls: true,
            ..Settings::default()
        },
    )
}

/// Logged in as `user`.
pub(crate) fn imap(server: &Server, user: &str) -> ImapClient {
    ImapClient::login(server.imap(), user, PASSWORD)
}

/// `count` messages of the corpus; `seed` tells the tests' mail apart.
pub(crate) fn mail(seed: u64, count: usize) -> Vec<Vec<u8>> {
    Corpus::messages(seed, count)
}

/// APPENDs `messages` to a mailbox and returns them as they were.
pub(crate) fn fill(
    server: &Server,
    user: &str,
    mailbox: &str,
    messages: Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let mut client = imap(server, user);
    for message in &messages {
        let answer = client.append(mailbox, "", message);
        assert!(answer.starts_with("OK"), "APPEND: {answer}");
    }
    messages
}

/// BLAKE3 of some bytes, short enough to read in a failure.
pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().as_str()[..16].to_owned()
}

/// Hash to how often it occurs: the content of a mailbox without its order.
pub(crate) type Hashes = BTreeMap<String, usize>;

/// The hashes of many messages.
pub(crate) fn hashes<T: AsRef<[u8]>>(messages: impl IntoIterator<Item = T>) -> Hashes {
    let mut found = Hashes::new();
    for message in messages {
        *found.entry(hash(message.as_ref())).or_default() += 1;
    }
    found
}

/// Fails with the first message that is on one side only.
pub(crate) fn assert_same<A: AsRef<[u8]>, B: AsRef<[u8]>>(what: &str, found: &[A], sent: &[B]) {
    let (has, had) = (hashes(found), hashes(sent));
    if has == had {
        return;
    }
    let show = |message: &[u8]| {
        let text = String::from_utf8_lossy(&message[..message.len().min(700)]).into_owned();
        format!("{} octets:\n{text}", message.len())
    };
    let lost = sent
        .iter()
        .find(|message| !has.contains_key(&hash(message.as_ref())));
    let strange = found
        .iter()
        .find(|message| !had.contains_key(&hash(message.as_ref())));
    panic!(
        "{what}: {} messages found, {} sent\nsent, not found: {}\nfound, not sent: {}",
        found.len(),
        sent.len(),
        lost.map_or_else(|| "-".to_owned(), |message| show(message.as_ref())),
        strange.map_or_else(|| "-".to_owned(), |message| show(message.as_ref())),
    );
}

/// What LMTP delivery put before the message (DESIGN 6), taken off again.
pub(crate) fn as_sent(delivered: &[u8]) -> &[u8] {
    let mut rest = delivered;
    for field in [&b"Return-Path:"[..], b"Delivered-To:"] {
        assert!(
            rest.starts_with(field),
            "{}",
            String::from_utf8_lossy(&rest[..80.min(rest.len())])
        );
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a whole header line");
        rest = &rest[end + 1..];
    }
    rest
}

/// Messages as a client on Unix keeps them.
pub(crate) fn all_with_lf(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| with_lf(message)).collect()
}

/// A message with LF line ends.
pub(crate) fn with_lf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for (at, byte) in message.iter().enumerate() {
        if *byte != b'\r' || message.get(at + 1) != Some(&b'\n') {
            out.push(*byte);
        }
    }
    out
}

/// All regular files of a Maildir's `cur` and `new`.
pub(crate) fn maildir(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in ["cur", "new"] {
        let folder = folder.join(name);
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.extend(entries.map(|entry| entry.expect("a directory entry").path()));
    }
    files.sort();
    files
}

/// The messages of a Maildir.
pub(crate) fn maildir_messages(folder: &Path) -> Vec<Vec<u8>> {
    maildir(folder)
        .iter()
        .map(|file| std::fs::read(file).expect("a message file"))
        .collect()
}

/// The messages of an mbox in which every `From ` line is a separator, `>From ` undone.
pub(crate) fn mbox_messages(text: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut blank = true;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if blank && line.starts_with(b"From ") {
            messages.push(Vec::new());
            blank = false;
            continue;
        }
        blank = line == b"\n" || line == b"\r\n";
        let quoted = line.iter().take_while(|byte| **byte == b'>').count();
        let line = if quoted > 0 && line[quoted..].starts_with(b"From ") {
            &line[1..]
        } else {
            line
        };
        messages
            .last_mut()
            .expect("an mbox begins with `From `")
            .extend_from_slice(line);
    }
    for message in &mut messages {
        // The blank line before the next separator belongs to the mbox.
        if message.ends_with(b"\n\n") {
            message.pop();
        }
    }
    messages
}

/// Writes a file that only its owner may read, as mail clients demand for passwords.
pub(crate) fn private_file(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("a file in the test's directory");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("our own file");
}
