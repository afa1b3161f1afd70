//! What the end-to-end tests share: mail to compare, and ways to run real clients.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod backups;
pub(crate) mod postfix;
pub(crate) mod thunderbird;
pub(crate) mod trace;
pub(crate) mod world;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::corpus::Corpus;
pub(crate) use testkit::torture::delivered;
use testkit::{LmtpClient, Server};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gatepost");

/// Delivers the first `count` messages of a corpus to `to`; returns them as they are stored.
pub(crate) fn fill(server: &Server, to: &str, seed: u64, count: usize) -> Vec<Vec<u8>> {
    deliver_all(server, to, Corpus::new(seed).take(count))
}

/// Delivers `messages` to `to`; returns them as they are stored.
pub(crate) fn deliver_all(
    server: &Server,
    to: &str,
    messages: impl Iterator<Item = Vec<u8>>,
) -> Vec<Vec<u8>> {
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let mut stored = Vec::new();
    for message in messages {
        lmtp.deliver_ok(to, &message);
        stored.push(delivered(to, &message));
    }
    stored
}

/// Both sides hold the same messages: as many of each, byte for byte, in any order.
pub(crate) fn assert_same<A: AsRef<[u8]>, B: AsRef<[u8]>>(what: &str, wanted: &[A], found: &[B]) {
    let mut balance: HashMap<blake3::Hash, (i64, &[u8])> = HashMap::new();
    for message in wanted {
        let message = message.as_ref();
        balance
            .entry(blake3::hash(message))
            .or_insert((0, message))
            .0 += 1;
    }
    for message in found {
        let message = message.as_ref();
        balance
            .entry(blake3::hash(message))
            .or_insert((0, message))
            .0 -= 1;
    }
    balance.retain(|_, (count, _)| *count != 0);
    let tell = |(hash, (count, bytes)): (&blake3::Hash, &(i64, &[u8]))| {
        let side = if *count > 0 { "missing" } else { "unwanted" };
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
        format!("{side} {count}: {hash}, {} bytes:\n{start}", bytes.len())
    };
    assert!(
        balance.is_empty(),
        "{what}: {} messages wanted, {} found, {} differ\n{}",
        wanted.len(),
        found.len(),
        balance.len(),
        balance
            .iter()
            .take(4)
            .map(tell)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

/// The octets a client that stores local line ends was given: CRLF again. Only for mail whose lines
/// all ended with CRLF.
pub(crate) fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        out.extend_from_slice(body);
        if body.len() < line.len() {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// Without the header fields a client adds to what it stores. Each is one line.
pub(crate) fn without_fields(message: &[u8], fields: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut header = true;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        header &= line != b"\r\n" && line != b"\n";
        let added = |field: &&str| {
            let name = line.get(..field.len());
            name.is_some_and(|name| name.eq_ignore_ascii_case(field.as_bytes()))
                && line.get(field.len()) == Some(&b':')
        };
        if !(header && fields.iter().any(added)) {
            out.extend_from_slice(line);
        }
    }
    out
}

/// A message that a client which folds long header lines anew leaves as it is: the fields with such
/// lines are left out. `None` for one that holds another message.
pub(crate) fn without_long_fields(message: Vec<u8>) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(&message[..]);
    if text.contains("message/rfc822") {
        return None;
    }
    let end = text.find("\r\n\r\n")? + 2;
    let (header, body) = message.split_at(end);
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        match fields.last_mut() {
            Some(field) if line.starts_with(b"\t") || line.starts_with(b" ") => field.extend(line),
            _ => fields.push(line.to_vec()),
        }
    }
    fields.retain(|field| {
        field
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() < 76)
    });
    Some([&fields.concat(), body].concat())
}

/// An empty Maildir.
pub(crate) fn make_maildir(dir: &Path) {
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(dir.join(part)).unwrap();
    }
}

/// The paths of a Maildir's messages.
pub(crate) fn maildir_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for part in ["cur", "new"] {
        let entries = std::fs::read_dir(dir.join(part)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

/// A Maildir's messages with CRLF line ends, without the fields the client added.
pub(crate) fn maildir(dir: &Path, added: &[&str]) -> Vec<Vec<u8>> {
    let read = |path: &PathBuf| without_fields(&crlf(&std::fs::read(path).unwrap()), added);
    maildir_files(dir).iter().map(read).collect()
}

/// A temp directory that other users may look into.
pub(crate) fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), mode).unwrap();
    dir
}

/// A file only its owner may read, as clients want their passwords.
pub(crate) fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whether the tests run as root: some clients then insist on another user.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The answer to a GET, its head included.
pub(crate) fn http(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The value of a series of the server's metrics; 0 when there is none.
pub(crate) fn metric(server: &Server, series: &str) -> f64 {
    let page = http(server.http(), "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

/// How many commands of that name went well over IMAP.
pub(crate) fn commands(server: &Server, name: &str) -> f64 {
    let series = "gatepost_commands_total{command=\"@\",protocol=\"imap\",result=\"ok\"}";
    metric(server, &series.replace('@', name))
}

/// Everything the server keeps is as it should be, and the bytes are what their hashes say.
pub(crate) fn verify(server: &Server) {
    let output = server.cli(&["verify", "--contents"], "");
    let said = testkit::programs::said(&output);
    assert!(
        output.status.success() && said.contains("everything is as it should be"),
        "{said}"
    );
}

/// Whether there can be disks here that fail or lose their power; says loudly when not. Where CI
/// runs there must be.
pub(crate) fn disks() -> bool {
    let Some(reason) = testkit::disk::unavailable() else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "not tested: {reason}");
    eprintln!("!!! NOT TESTED: {reason} !!!");
    false
}
