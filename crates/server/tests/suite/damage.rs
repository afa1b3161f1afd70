//! Files that are lost, cut or damaged, one after the other: each time everything is there again,
//! or exactly what is damaged is named and all else is served (DESIGN 3.4 and 3.6).
//!
//! `GATEPOST_DAMAGE=long` damages many more places.

use crate::support::world::{copy_tree, live};
use crate::support::{BINARY, http, metric};
use mail::Mail;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use storage::MetaStore;
use storage_sled::SledStore;
use testkit::programs::said;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

/// A message: account, mailbox, uid.
type Place = (String, String, u32);

/// Everything a store holds: what is known of each message, and its hash.
type Listing = BTreeMap<Place, (String, String)>;

/// A server that stopped cleanly, with several packs, two exports and some log behind them.
struct World {
    server: Server,
    listing: Listing,
    /// Where records lie: hash, pack, from and to.
    records: Vec<(String, u32, u64, u64)>,
}

/// Counts exports.
#[derive(Default)]
struct Exports(AtomicUsize);

impl storage_sled::Observer for Exports {
    fn on_export(&self, _bytes: u64, _took: Duration) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Writes an export, as a large store does from time to time.
fn export(data: &Path) {
    let exports = Arc::new(Exports::default());
    let options = storage_sled::Options {
        export_every: 1,
        observer: exports.clone(),
        ..storage_sled::Options::default()
    };
    let meta = SledStore::open(&data.join("meta"), options, &|_| {}).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while exports.0.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "no export was written");
        std::thread::yield_now();
    }
    block_on(meta.close()).unwrap();
}

impl World {
    fn new() -> Self {
        let mut server = Server::with(
            BINARY,
            Settings {
                extra: "[storage]\npack_bytes = 65536\n".to_owned(),
                ..Settings::default()
            },
        );
        for seed in 1..4 {
            live(&server, seed);
            if seed < 3 {
                assert!(server.terminate().success());
                export(&server.data_dir());
                server.start_again();
            }
        }
        assert!(server.terminate().success());
        copy_tree(&server.data_dir(), &server.file("master"));
        let (listing, records) = list(&server.data_dir());
        assert!(listing.len() > 100, "{}", listing.len());
        Self {
            server,
            listing,
            records,
        }
    }

    fn data(&self) -> PathBuf {
        self.server.data_dir()
    }

    /// Undamaged files again.
    fn reset(&self) {
        copy_tree(&self.server.file("master"), &self.data());
    }

    /// The hashes of what lies in a pack from an offset on.
    fn lie_from(&self, pack: u32, from: u64) -> BTreeSet<&String> {
        let behind = |record: &&(String, u32, u64, u64)| record.1 == pack && record.2 >= from;
        let behind = self.records.iter().filter(behind);
        behind.map(|(hash, ..)| hash).collect()
    }

    /// Runs a command on the store itself; its exit code and what it said.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.server.cli(args, "");
        (output.status.code().unwrap(), said(&output))
    }
}

/// What a store holds, and where its bytes are. Opens it as a server does.
fn list(data: &Path) -> (Listing, Vec<(String, u32, u64, u64)>) {
    block_on(async {
        let options = storage_sled::Options::default();
        let meta = SledStore::open(&data.join("meta"), options, &|_| {}).unwrap();
        let options = blob_packs::Options {
            pack_bytes: 65536,
            ..blob_packs::Options::default()
        };
        let packs = blob_packs::PackStore::open(data.join("packs"), options, |_| {}).unwrap();
        let mut records = Vec::new();
        packs
            .scan_records(|record| {
                if let Some(blob) = record.blob
                    && !record.is_note
                {
                    let bytes = record.bytes;
                    records.push((blob.hash.to_string(), record.pack, bytes.start, bytes.end));
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let mail = Mail::open(meta, packs, mail::Options::default()).await;
        let mail = mail.unwrap();
        let mut listing = Listing::new();
        for info in mail.list_accounts().await.unwrap() {
            let account = mail.account(info.id).await.unwrap();
            for (name, folder) in &account.tree().folders {
                let selected = account.select(folder.id).await.unwrap();
                let view = selected.view();
                for row in view.rows() {
                    let email = account
                        .emails(&[row.email])
                        .await
                        .unwrap()
                        .remove(0)
                        .unwrap();
                    let place = (info.name.clone(), name.to_string(), row.uid.get());
                    let uid_validity = selected.view().uid_validity();
                    let facts = format!("{uid_validity} {row:?}");
                    listing.insert(place, (facts, email.blob.hash.to_string()));
                }
            }
        }
        mail.close().await.unwrap();
        (listing, records)
    })
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == extension));
    files.sort();
    files
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, at: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(at))
        .unwrap();
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn pack(data: &Path, number: u32) -> PathBuf {
    data.join(format!("packs/pack-{number:06}.pack"))
}

fn index(data: &Path) -> PathBuf {
    data.join("meta/index")
}

fn exports(data: &Path) -> Vec<PathBuf> {
    files(&data.join("meta/export"), "export")
}

fn segments(data: &Path) -> Vec<PathBuf> {
    files(&data.join("meta/log"), "log")
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

/// How a case must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// As if nothing had happened.
    Same,
    /// Commands refuse and name `gatepost recover`; after it all is as if nothing had happened.
    Whole,
    /// Commands refuse and name `gatepost recover`; after it what the metadata said up to the
    /// damage is as it was, and every message is there.
    Salvaged,
    /// The same, but only the mail itself is left.
    FromMail,
}

type Case = (&'static str, fn(&Path), End);

/// Damage to what is not mail.
const METADATA: &[Case] = &[
    ("sled's directory is lost", |d| remove(&index(d)), End::Same),
    (
        "sled's file is garbage",
        |d| {
            let db = index(d).join("db");
            let n = length(&db);
            fs::write(db, vec![0x5a; usize::try_from(n).unwrap()]).unwrap();
        },
        End::Same,
    ),
    (
        "the manifest is lost",
        |d| remove(&d.join("meta/MANIFEST")),
        End::Same,
    ),
    (
        "the manifest is damaged",
        |d| flip(&d.join("meta/MANIFEST"), 60),
        End::Same,
    ),
    (
        "sled and the newest export are lost",
        |d| {
            remove(&index(d));
            remove(&exports(d)[1]);
        },
        End::Same,
    ),
    (
        "sled is lost, the newest export is cut",
        |d| {
            remove(&index(d));
            let newest = &exports(d)[1];
            cut(newest, length(newest) / 2);
        },
        End::Same,
    ),
    (
        "sled is lost, the newest export is damaged",
        |d| {
            remove(&index(d));
            let newest = &exports(d)[1];
            flip(newest, length(newest) / 2);
        },
        End::Same,
    ),
    (
        "an index of a pack is lost",
        |d| remove(&files(&d.join("packs"), "idx")[0]),
        End::Same,
    ),
    (
        "an index of a pack is damaged",
        |d| flip(&files(&d.join("packs"), "idx")[1], 4200),
        End::Same,
    ),
    (
        "the head of a pack is damaged",
        |d| flip(&files(&d.join("packs"), "pack")[1], 20),
        End::Same,
    ),
    (
        "what names the packs is lost",
        |d| remove(&d.join("packs/store")),
        End::Same,
    ),
    (
        "the log of releases is lost",
        |d| remove(&d.join("packs/released")),
        End::Same,
    ),
    (
        "the format is not written down",
        |d| remove(&d.join("FORMAT")),
        End::Same,
    ),
    (
        "sled is lost, the log is damaged in its middle",
        |d| {
            remove(&index(d));
            // Behind the newest export.
            let last = segments(d)
                .into_iter()
                .rfind(|path| length(path) > 20_000)
                .unwrap();
            flip(&last, length(&last) / 2);
        },
        End::Salvaged,
    ),
    (
        "the end of a closed log is cut",
        |d| {
            let last = segments(d)
                .into_iter()
                .rfind(|path| length(path) > 200)
                .unwrap();
            cut(&last, length(&last) - 100);
        },
        End::Whole,
    ),
    (
        "the log is lost",
        |d| segments(d).iter().for_each(|path| remove(path)),
        End::Whole,
    ),
    (
        "sled and the log are lost, an export is there",
        |d| {
            remove(&index(d));
            segments(d).iter().for_each(|path| remove(path));
        },
        End::Salvaged,
    ),
    (
        "sled and the newest segment of the log are lost",
        |d| {
            remove(&index(d));
            let last = segments(d).into_iter().rfind(|path| length(path) > 20_000);
            remove(&last.unwrap());
        },
        End::Salvaged,
    ),
    (
        "sled and both exports are lost",
        |d| {
            remove(&index(d));
            exports(d).iter().for_each(|path| remove(path));
        },
        End::FromMail,
    ),
    (
        "log and exports are lost",
        |d| {
            segments(d).iter().for_each(|path| remove(path));
            exports(d).iter().for_each(|path| remove(path));
        },
        End::Whole,
    ),
    (
        "sled, log and exports are lost",
        |d| {
            remove(&index(d));
            segments(d).iter().for_each(|path| remove(path));
            exports(d).iter().for_each(|path| remove(path));
        },
        End::FromMail,
    ),
    (
        "all metadata is lost",
        |d| remove(&d.join("meta")),
        End::FromMail,
    ),
];

/// The blobs each account has, each once.
fn blobs(listing: &Listing) -> BTreeSet<(String, String)> {
    let of =
        |((account, ..), (_, hash)): (&Place, &(String, String))| (account.clone(), hash.clone());
    listing.iter().map(of).collect()
}

#[test]
fn lost_and_damaged_metadata_loses_no_message() {
    let world = World::new();
    for (name, damage, end) in METADATA {
        world.reset();
        damage(&world.data());
        if *end != End::Same {
            let (code, refused) = world.run(&["verify"]);
            assert!(
                code != 0 && refused.contains("gatepost recover"),
                "{name}: {refused}"
            );
            let (code, told) = world.run(&["recover"]);
            assert_eq!(code, 0, "{name}: {told}");
            let kept = told.contains("UIDVALIDITY stays");
            assert_eq!(kept, *end != End::FromMail, "{name}: {told}");
        }
        let (code, told) = world.run(&["verify", "--contents"]);
        assert_eq!(code, 0, "{name}: {told}");
        let (found, _) = list(&world.data());
        match end {
            End::Same | End::Whole => assert_eq!(found, world.listing, "{name}"),
            End::Salvaged | End::FromMail => {
                let (found, wanted) = (blobs(&found), blobs(&world.listing));
                let lost: Vec<_> = wanted.difference(&found).collect();
                assert!(lost.is_empty(), "{name}: {lost:?}");
            }
        }
    }
}

#[test]
fn damage_to_the_log_that_nobody_needs_now_is_told_and_heals() {
    let world = World::new();
    let newest = &exports(&world.data())[1];
    flip(newest, length(newest) / 2);
    let largest = segments(&world.data())
        .into_iter()
        .max_by_key(|path| length(path))
        .unwrap();
    flip(&largest, length(&largest) / 2);
    // sled knows everything: all is served, and verify says what is wrong.
    let (code, told) = world.run(&["verify"]);
    assert_eq!(code, 1, "{told}");
    for path in [newest, &largest] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(told.contains(name), "{name}: {told}");
    }
    assert_eq!(list(&world.data()).0, world.listing);
}

/// What is done to a pack from an offset on, or to the record that begins there.
#[derive(Clone, Copy, Debug)]
enum Harm {
    FlipHead,
    FlipBody,
    Cut,
    Remove,
}

#[test]
fn damaged_packs_lose_exactly_what_lay_there() {
    let world = World::new();
    let long = std::env::var("GATEPOST_DAMAGE").is_ok_and(|form| form == "long");
    let live: BTreeSet<&String> = world.listing.values().map(|(_, hash)| hash).collect();
    let of_mail: Vec<&(String, u32, u64, u64)> = world
        .records
        .iter()
        .filter(|(hash, ..)| live.contains(hash))
        .collect();
    let step = if long { 3 } else { of_mail.len() / 3 };
    for (hash, number, start, end) in of_mail.iter().skip(1).step_by(step).copied() {
        for harm in [Harm::FlipHead, Harm::FlipBody, Harm::Cut, Harm::Remove] {
            world.reset();
            let path = pack(&world.data(), *number);
            match harm {
                Harm::FlipHead => flip(&path, start + 45),
                Harm::FlipBody => flip(&path, end - 20),
                Harm::Cut => cut(&path, start + 9),
                Harm::Remove => remove(&path),
            }
            let broken: BTreeSet<&String> = match harm {
                Harm::FlipHead | Harm::FlipBody => [hash].into(),
                Harm::Cut => world.lie_from(*number, *start),
                Harm::Remove => world.lie_from(*number, 0),
            };
            let mut wanted: Vec<String> = Vec::new();
            for ((account, mailbox, uid), (_, hash)) in &world.listing {
                if broken.contains(hash) {
                    wanted.push(format!(
                        "account {account}: mailbox {mailbox}, uid {uid}: {hash}"
                    ));
                }
            }
            assert!(!wanted.is_empty());
            let (code, told) = world.run(&["verify", "--contents"]);
            assert_eq!(code, 1, "{harm:?}: {told}");
            let mut named: Vec<String> = told
                .lines()
                .filter_map(|line| {
                    let line = line.trim_start_matches("gatepost: ");
                    let is_message = line.contains(": mailbox ") && line.contains(", uid ");
                    let end = line.find(" is damaged").or(line.find(" is missing"))?;
                    is_message.then(|| line[..end].to_owned())
                })
                .collect();
            wanted.sort();
            named.sort();
            assert_eq!(
                named, wanted,
                "{harm:?} at {start} of pack {number}: {told}"
            );
            let unknown = told.lines().filter(|line| line.contains("another size"));
            assert_eq!(unknown.count(), 0, "{told}");
            // The rest is what it was.
            let (found, _) = list(&world.data());
            assert_eq!(found, world.listing);
        }
    }
}

#[test]
fn a_damaged_message_is_refused_and_all_else_is_served() {
    let mut server = Server::start(BINARY);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let mark = "needle-in-the-pack";
    let message = |text: &str| format!("Subject: {text}\r\n\r\nBody of {text}\r\n").into_bytes();
    lmtp.deliver_ok("alice", &message("first"));
    lmtp.deliver(&["alice", "bob"], &message(mark));
    lmtp.deliver_ok("alice", &message("third"));
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("CREATE Work");
    imap.ok("SELECT INBOX");
    imap.ok("COPY 2 Work");
    drop(imap);
    assert!(server.terminate().success());
    let path = pack(&server.data_dir(), 1);
    let bytes = fs::read(&path).unwrap();
    let needle = format!("Body of {mark}");
    let at = bytes
        .windows(needle.len())
        .position(|w| w == needle.as_bytes());
    flip(&path, at.unwrap() as u64);
    server.start_again();

    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT INBOX");
    let (rows, tagged) = imap.command("FETCH 1:* (UID BODY.PEEK[])");
    assert!(tagged.starts_with("NO [CONTACTADMIN]"), "{tagged}");
    let bodies: Vec<&Vec<u8>> = rows.iter().flat_map(|row| &row.literals).collect();
    assert_eq!(bodies.len(), 2, "{rows:?}");
    // What was parsed at delivery is served.
    let rows = imap.ok("FETCH 2 (ENVELOPE BODYSTRUCTURE FLAGS RFC822.SIZE)");
    assert!(rows[0].text.contains(mark), "{rows:?}");
    imap.ok("STORE 2 +FLAGS (\\Flagged)");

    let mut pop3 = Pop3Client::login(server.pop3(), "bob", PASSWORD);
    let refused = pop3.command("RETR 1").unwrap_err();
    assert!(refused.contains("[SYS/PERM]"), "{refused}");
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    assert!(pop3.command("RETR 2").is_err());
    assert!(pop3.retr(3).ends_with(b"Body of third\r\n"));

    assert!((metric(&server, "gatepost_damaged_blobs") - 1.0).abs() < 0.1);
    let health = http(server.http(), "/health/ready");
    assert!(
        health.contains("200 OK") && health.contains("1 messages are damaged"),
        "{health}"
    );

    // Online: one line for each mailbox that holds it.
    let output = server.cli(&["verify", "--contents"], "");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let hash = blake3::hash(&message(mark)).to_hex();
    for place in [
        "account alice: mailbox INBOX, uid 2: ",
        "account alice: mailbox Work, uid 1: ",
        "account bob: mailbox INBOX, uid 1: ",
    ] {
        assert!(told.contains(&format!("{place}{hash}")), "{place}: {told}");
    }
    assert_eq!(told.matches(hash.as_str()).count(), 3, "{told}");

    // The same message again mends it.
    LmtpClient::connect(server.lmtp()).deliver_ok("carol", &message(mark));
    crate::support::verify(&server);
    imap.ok("FETCH 2 (BODY.PEEK[])");
}
