//! `gatepost backup`, and `gatepost restore` of everything: under load, interrupted, damaged.

use crate::support::backups::{Scene, as_seen_by_python, done, live, look, refused, status};
use crate::support::{BINARY, delivered, fill, verify};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testkit::corpus::Chance;
use testkit::programs::said;
use testkit::{ImapClient, LmtpClient, PASSWORD, Server, Settings};

/// The objects of a backup directory: name to inode and size.
fn objects(dir: &Path) -> BTreeMap<String, (u64, u64)> {
    let entries = fs::read_dir(dir.join("objects")).unwrap();
    let rows = entries.map(|entry| {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        (
            entry.file_name().into_string().unwrap(),
            (meta.ino(), meta.len()),
        )
    });
    rows.collect()
}

/// What writers were told, by a clock of answers.
#[derive(Default)]
struct Book {
    clock: AtomicU64,
    rows: Mutex<HashMap<blake3::Hash, Row>>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    sent: u64,
    came: Option<u64>,
    uid: Option<u32>,
    going: Option<u64>,
    went: Option<u64>,
}

impl Book {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, hash: blake3::Hash, change: impl FnOnce(&mut Row, u64)) {
        let mut rows = self.rows.lock().unwrap();
        let now = self.now();
        change(rows.entry(hash).or_default(), now);
    }
}

fn unique(chance: &mut Chance) -> Vec<u8> {
    let (id, length) = (chance.next(), chance.between(50, 9_000));
    let body = chance.base64(length);
    format!("Subject: {id:016x}\r\nMessage-ID: <{id:x}@example.org>\r\n\r\n{body}\r\n").into_bytes()
}

fn append(server: &Server, book: &Book, seed: u64, stop: &AtomicBool) {
    let mut chance = Chance::new(seed);
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    while !stop.load(Ordering::SeqCst) {
        let message = unique(&mut chance);
        let hash = blake3::hash(&message);
        book.note(hash, |row, now| row.sent = now);
        let answer = imap.append("Work", "", &message);
        let uid = answer.strip_prefix("OK [APPENDUID ").unwrap();
        let uid = uid.split([' ', ']']).nth(1).unwrap().parse().unwrap();
        book.note(hash, |row, now| {
            (row.came, row.uid) = (Some(now), Some(uid));
        });
    }
}

fn expunge(server: &Server, book: &Book, stop: &AtomicBool) {
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT Work");
    while !stop.load(Ordering::SeqCst) {
        let row = {
            let rows = book.rows.lock().unwrap();
            let old = |row: &&(blake3::Hash, u32)| row.1.is_multiple_of(3);
            let there = rows.iter().filter(|(_, row)| row.going.is_none());
            let there = there.filter_map(|(hash, row)| Some((*hash, row.uid?)));
            there.collect::<Vec<_>>().iter().find(old).copied()
        };
        // RFC 9051 6.4.9: a UID the session has not been told of is ignored.
        imap.ok("NOOP");
        let Some((hash, uid)) = row else { continue };
        book.note(hash, |row, now| row.going = Some(now));
        imap.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
        imap.ok(&format!("UID EXPUNGE {uid}"));
        book.note(hash, |row, now| row.went = Some(now));
    }
}

fn deliver(server: &Server, book: &Book, stop: &AtomicBool) {
    let mut chance = Chance::new(97);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    while !stop.load(Ordering::SeqCst) {
        let message = unique(&mut chance);
        let hash = blake3::hash(&delivered("carol", &message));
        book.note(hash, |row, now| row.sent = now);
        lmtp.deliver_ok("carol", &message);
        book.note(hash, |row, now| row.came = Some(now));
    }
}

#[test]
fn a_backup_under_load_holds_one_moment() {
    let mut scene = Scene::new(Settings::default());
    ImapClient::login(scene.server.imap(), "alice", PASSWORD).ok("CREATE Work");
    let (work, inbox, stop) = (Book::default(), Book::default(), AtomicBool::new(false));
    let enough = |book: &Book, count| {
        while book.rows.lock().unwrap().len() < count {
            std::thread::yield_now();
        }
    };
    let mut moments = Vec::new();
    std::thread::scope(|scope| {
        let server = &scene.server;
        scope.spawn(|| append(server, &work, 1, &stop));
        scope.spawn(|| append(server, &work, 2, &stop));
        scope.spawn(|| expunge(server, &work, &stop));
        scope.spawn(|| deliver(server, &inbox, &stop));
        for count in [150, 300] {
            enough(&work, count);
            enough(&inbox, count / 2);
            let begun = [&work, &inbox].map(Book::now);
            done(scene.backup_with(&["--keep", "2"]));
            moments.push((begun, [&work, &inbox].map(Book::now)));
        }
        enough(&work, 350);
        stop.store(true, Ordering::SeqCst);
    });
    done(scene.verify_backup(&["--contents", "--backup", "1"]));
    for (number, (begun, ended)) in ["1", "2"].into_iter().zip(moments) {
        scene.lose_everything();
        done(scene.restore(&["--backup", number]));
        scene.server.start_again();
        verify(&scene.server);
        for (i, (user, mailbox, book)) in [("alice", "Work", &work), ("carol", "INBOX", &inbox)]
            .into_iter()
            .enumerate()
        {
            let mut imap = ImapClient::login(scene.server.imap(), user, PASSWORD);
            let there = look(&mut imap, mailbox);
            let rows = book.rows.lock().unwrap();
            let highest = rows.values().filter_map(|row| row.uid).max().unwrap_or(0);
            assert!(status(&mut imap, mailbox, "UIDNEXT") > u64::from(highest));
            let found: HashSet<blake3::Hash> = there.iter().map(|(_, hash)| *hash).collect();
            for (uid, hash) in &there {
                let row = rows.get(hash).expect("nobody sent this");
                assert!(row.sent < ended[i], "a message from after the backup");
                assert!(row.uid.is_none_or(|told| told == *uid), "uid {uid}");
                assert!(
                    row.went.is_none_or(|went| went > begun[i]),
                    "deleted before the backup"
                );
            }
            for (hash, row) in rows.iter() {
                let was_there = row.came.is_some_and(|came| came < begun[i]);
                let stayed = row.going.is_none_or(|going| going > ended[i]);
                assert!(
                    !was_there || !stayed || found.contains(hash),
                    "{row_uid:?} is lost",
                    row_uid = row.uid
                );
            }
            println!(
                "backup {number}: {} messages in {mailbox} of {}",
                there.len(),
                rows.len()
            );
        }
    }
}

#[test]
fn the_next_backup_copies_only_what_is_new() {
    let mut scene = Scene::new(Settings::default());
    fill(&scene.server, "alice", 3, 60);
    let first = scene.backup();
    let kept = objects(&scene.dir());
    let new: usize = fill(&scene.server, "alice", 4, 5)
        .iter()
        .map(Vec::len)
        .sum();
    let second = scene.backup();
    assert!(
        first > 5 * second && second >= new as u64,
        "{first}, {second}, {new} new bytes"
    );
    // Each message is in a pack, and its digest in the log.
    assert!(
        second < 3 * new as u64 + 60_000,
        "{second} of {new} new bytes"
    );
    for (name, object) in objects(&scene.dir()) {
        assert!(
            kept.get(&name).is_none_or(|old| *old == object),
            "{name} was touched"
        );
    }
    let third = scene.backup();
    assert!(third < 4_000, "nothing new: {third}");
    // Without a server the store is opened: a segment of the log and no more.
    scene.server.terminate();
    let fourth = scene.backup();
    assert!(fourth < 4_000, "nothing new: {fourth}");
    fs::remove_dir_all(scene.server.data_dir()).unwrap();
    done(scene.restore(&[]));
    // The restored store goes on in the same directory.
    scene.server.start_again();
    fill(&scene.server, "alice", 5, 5);
    scene.backup();
    scene.lose_and_restore();
    verify(&scene.server);
    let mut imap = ImapClient::login(scene.server.imap(), "alice", PASSWORD);
    assert_eq!(imap.count("INBOX"), 70);
}

/// Runs a command and kills it after a while, unless it has ended.
fn run_and_kill(args: &[&str], after: Duration) {
    let mut child = Command::new(BINARY)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_backup_that_is_killed_leaves_the_one_before() {
    let scene = Scene::new(Settings::default());
    let (config, dir) = (scene.server.config(), scene.dir());
    let (config, dir) = (config.to_str().unwrap(), dir.to_str().unwrap());
    scene.backup();
    let mut chance = Chance::new(5);
    let mut lmtp = LmtpClient::connect(scene.server.lmtp());
    for _ in 0..12 {
        // What a disk takes some time to write.
        let body = "0123456789abcdef".repeat(70).repeat(500);
        lmtp.deliver_ok(
            "bob",
            format!("Subject: {}\r\n\r\n{body}\r\n", chance.next()).as_bytes(),
        );
        let after = Duration::from_millis(chance.between(1, 60) as u64);
        run_and_kill(&["backup", "--config", config, dir], after);
        done(scene.verify_backup(&[]));
    }
    scene.backup();
    done(scene.verify_backup(&["--contents"]));
    // What was left behind is gone: everything is named by the one backup there is.
    let total: u64 = objects(&scene.dir()).values().map(|(_, size)| size).sum();
    let listed = done(
        Command::new(BINARY)
            .args(["backup", "list", dir])
            .output()
            .unwrap(),
    );
    assert!(
        listed.contains(&format!("\t{total} bytes")),
        "{listed}, {total} bytes of objects"
    );
}

#[test]
fn no_server_starts_on_a_restore_that_was_killed() {
    let mut scene = Scene::new(Settings::default());
    let mut lmtp = LmtpClient::connect(scene.server.lmtp());
    let body = "0123456789abcdef".repeat(64).repeat(1000);
    for i in 0..10 {
        lmtp.deliver_ok("bob", format!("Subject: {i}\r\n\r\n{body}\r\n").as_bytes());
    }
    drop(lmtp);
    scene.backup();
    let (config, dir) = (scene.server.config(), scene.dir());
    let args = [
        "restore",
        "--config",
        config.to_str().unwrap(),
        "--from",
        dir.to_str().unwrap(),
    ];
    let mark = scene.server.data_dir().join("restore-unfinished");
    scene.lose_everything();
    let (mut chance, mut unfinished) = (Chance::new(8), 0);
    for _ in 0..12 {
        run_and_kill(&args, Duration::from_millis(chance.between(5, 150) as u64));
        if mark.exists() {
            unfinished += 1;
            let serve = Command::new(BINARY)
                .args(["serve", "--config", args[2]])
                .output()
                .unwrap();
            refused(&serve, 2, &["a restore that was not finished"]);
        } else if scene.server.data_dir().join("meta").exists() {
            // It had the time it took.
            fs::remove_dir_all(scene.server.data_dir()).unwrap();
        }
    }
    println!("{unfinished} of 12 were not finished");
    assert!(unfinished > 0);
    fs::create_dir_all(scene.server.data_dir()).unwrap();
    done(scene.restore(&[]));
    scene.server.start_again();
    verify(&scene.server);
    assert_eq!(
        ImapClient::login(scene.server.imap(), "bob", PASSWORD).count("INBOX"),
        10
    );
}

#[test]
fn a_restore_of_everything_wants_an_empty_directory() {
    let mut scene = Scene::new(Settings::default());
    fill(&scene.server, "alice", 3, 1);
    scene.backup();
    refused(&scene.restore(&[]), 2, &["the server is running"]);
    scene.server.terminate();
    refused(&scene.restore(&[]), 2, &["is not empty"]);
    refused(&scene.restore(&["--backup", "7"]), 2, &["has no backup 7"]);
    let elsewhere = scene.server.data_dir().join("backup");
    let inside = ["backup", elsewhere.to_str().unwrap()];
    refused(
        &scene.server.cli(&inside, ""),
        2,
        &["lies in the data directory"],
    );
    let foreign = scene.home.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter"), "dear").unwrap();
    let foreign = ["backup", foreign.to_str().unwrap()];
    refused(
        &scene.server.cli(&foreign, ""),
        2,
        &["is not a backup directory"],
    );
    scene.server.start_again();
    assert_eq!(
        ImapClient::login(scene.server.imap(), "alice", PASSWORD).count("INBOX"),
        1
    );
    // Of another store.
    let other = Server::start(BINARY);
    let dir = scene.dir();
    refused(
        &other.cli(&["backup", dir.to_str().unwrap()], ""),
        2,
        &["of another store"],
    );
}

/// The objects a file of the newest backup is made of.
/// With what any system has: a copy, a copy over an older copy, an archive.
#[test]
fn a_backup_copied_by_file_level_tools_is_a_backup() {
    let mut scene = Scene::new(Settings::default());
    live(&scene.server, "alice");
    fill(&scene.server, "carol", 3, 5);
    scene.backup();
    let place = |name: &str| scene.home.path().join(name);
    let (copy, archive) = (place("copy"), place("backup.tar"));
    let (unpacked, archived) = (place("unpacked"), place("archived"));
    let run = |name: &str, args: &[&Path]| {
        let mut command = Command::new(name);
        testkit::programs::succeed(command.args(args));
    };
    let backup = scene.dir();
    run("cp", &["-a".as_ref(), &backup, &copy]);
    // The next one goes over it, as nightly copies do.
    fill(&scene.server, "bob", 5, 4);
    let mut imap = ImapClient::login(scene.server.imap(), "alice", PASSWORD);
    imap.ok("DELETE Work/Projects");
    drop(imap);
    scene.backup();
    let all = backup.join(".");
    run("cp", &["-a".as_ref(), &all, &copy]);
    run(
        "tar",
        &[
            "-cf".as_ref(),
            &archive,
            "-C".as_ref(),
            &backup,
            ".".as_ref(),
        ],
    );
    fs::create_dir(&unpacked).unwrap();
    run("tar", &["-xf".as_ref(), &archive, "-C".as_ref(), &unpacked]);
    // Also without times, owners and modes.
    run("cp", &["-r".as_ref(), &unpacked, &archived]);
    let seen = |scene: &Scene| {
        let home = scene.home.path();
        ["alice", "bob", "carol"].map(|user| as_seen_by_python(&scene.server, home, user))
    };
    let before = seen(&scene);
    for (round, copied) in [copy, unpacked, archived].into_iter().enumerate() {
        // The original is gone, and what is left goes too.
        let _ = fs::remove_dir_all(scene.dir());
        fs::rename(copied, scene.dir()).unwrap();
        done(scene.verify_backup(&[]));
        scene.lose_and_restore();
        verify(&scene.server);
        let after = seen(&scene);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "round {round}");
        }
    }
}

fn parts_of(dir: &Path, path: &str) -> Vec<PathBuf> {
    let manifests = fs::read_dir(dir.join("manifests")).unwrap();
    let newest = manifests.map(|entry| entry.unwrap().path()).max().unwrap();
    let text = fs::read_to_string(newest).unwrap();
    let lines = text
        .lines()
        .skip_while(|line| !(line.starts_with("file ") && line.ends_with(path)));
    let parts = lines.skip(1).map_while(|line| line.strip_prefix("part "));
    parts
        .map(|line| dir.join("objects").join(line.split_once(' ').unwrap().1))
        .collect()
}

#[test]
fn damaged_files_of_a_backup_are_named() {
    let mut scene = Scene::new(Settings::default());
    let stored = fill(&scene.server, "alice", 3, 30);
    scene.backup_with(&["--keep", "2"]);
    fill(&scene.server, "alice", 4, 3);
    scene.backup_with(&["--keep", "2"]);
    let pack = parts_of(&scene.dir(), "packs/pack-000001.pack").remove(0);
    let name = pack.file_name().unwrap().to_str().unwrap();
    // In the middle of one message.
    let mut bytes = fs::read(&pack).unwrap();
    let needle = &stored[20][stored[20].len() / 2..];
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    refused(
        &scene.verify_backup(&[]),
        1,
        &[name, "damaged", "packs/pack-000001.pack"],
    );
    scene.lose_everything();
    refused(
        &scene.restore(&[]),
        1,
        &[name, "damaged", "packs/pack-000001.pack", "--even-damaged"],
    );
    refused(&scene.restore(&["--even-damaged"]), 1, &[name, "damaged"]);
    scene.server.start_again();
    let report = scene.server.cli(&["verify", "--contents"], "");
    refused(&report, 1, &["account alice"]);
    assert_eq!(
        said(&report).lines().count(),
        1,
        "one message: {}",
        said(&report)
    );
    let mut imap = ImapClient::login(scene.server.imap(), "alice", PASSWORD);
    assert_eq!(imap.count("INBOX"), 33);

    // A part that is missing is a hole, and no more than that; an index is made anew.
    scene.lose_everything();
    let second = parts_of(&scene.dir(), "packs/pack-000001.pack").remove(1);
    fs::remove_file(&second).unwrap();
    refused(
        &scene.verify_backup(&[]),
        1,
        &["missing", "packs/pack-000001.pack"],
    );
    refused(&scene.restore(&["--even-damaged"]), 1, &["missing"]);
    scene.server.start_again();
    let report = scene.server.cli(&["verify", "--contents"], "");
    assert_eq!(said(&report).lines().count(), 4, "{}", said(&report));

    // The list itself.
    let manifest = scene.dir().join("manifests/000002.manifest");
    let text = fs::read_to_string(&manifest)
        .unwrap()
        .replacen("part ", "part 1", 1);
    fs::write(&manifest, text).unwrap();
    refused(
        &scene.verify_backup(&[]),
        1,
        &["000002.manifest", "damaged"],
    );
    scene.lose_everything();
    refused(&scene.restore(&[]), 1, &["000002.manifest", "--backup"]);
    // The one before needs the first part of the pack only.
    fs::write(&pack, {
        bytes[at] ^= 1;
        bytes
    })
    .unwrap();
    done(scene.restore(&["--backup", "1"]));
    scene.server.start_again();
    verify(&scene.server);
}
