//! What is on disk before an answer is given, as the kernel saw it (DESIGN 3.4), and what the loss
//! of sled's files costs: nothing.

use crate::support::trace::{Call, Trace};
use crate::support::world::{Stop, copy_tree, everything, live, stop};
use crate::support::{BINARY, verify};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::programs::find;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

/// A server whose system calls are written to a file, as its own child: signals reach it directly.
fn traced() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("trace");
    let strace = find("strace");
    let words = [
        strace.to_str().unwrap(),
        "-D",
        "-f",
        "-y",
        "--seccomp-bpf",
        "-s",
        "4096",
        "-e",
        "trace=fdatasync,fsync,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendfile,msync",
        "-o",
        out.to_str().unwrap(),
    ];
    let settings = Settings {
        wrapper: words.map(str::to_owned).to_vec(),
        ..Settings::default()
    };
    (Server::with(BINARY, settings), dir)
}

/// Ends the server and reads all that was written about it.
fn finish(mut server: Server, dir: &Path) -> Trace {
    let pid = server.pid();
    assert!(server.terminate().success());
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let trace = Trace::read(&dir.join("trace"));
        if trace.ended(pid) {
            return trace;
        }
        assert!(Instant::now() < until, "strace has not finished");
        std::thread::yield_now();
    }
}

/// Everything written to the commit log between two lines was synced before the second.
fn assert_log_synced(trace: &Trace, from: usize, answer: &Call) {
    let log = |call: &&Call| call.path.contains("/meta/log/") && call.is_write();
    let written: Vec<&Call> = trace.between(from, answer.began).filter(log).collect();
    let last = written
        .last()
        .unwrap_or_else(|| panic!("nothing was logged before {answer:?}"));
    assert_synced(trace, last, answer.began);
}

/// The file of this write was synced after it and before line `before`, and so was its directory,
/// which knows the file's name.
fn assert_synced(trace: &Trace, write: &Call, before: usize) -> usize {
    let sync = trace
        .between(write.ended, before)
        .find(|call| call.is_sync() && call.path == write.path && call.ended < before)
        .unwrap_or_else(|| panic!("no sync between line {before} and {write:?}"));
    let directory = Path::new(&write.path).parent().unwrap().to_str().unwrap();
    assert!(
        trace
            .between(0, before)
            .any(|call| call.is_sync() && call.path == directory && call.ended < before),
        "{directory} was not synced before line {before}"
    );
    sync.ended
}

/// Bytes with this mark: into a pack, the pack synced, then into the log, the log synced, then the
/// answer.
fn assert_stored_then_said(trace: &Trace, mark: &str, answer: &str) {
    let pack = trace.first(0, |call| {
        call.is_write() && call.path.ends_with(".pack") && call.text.contains(mark)
    });
    let answer = trace.answer(pack.began, answer);
    let log = trace.first(pack.began, |call| {
        call.is_write() && call.path.contains("/meta/log/") && call.text.contains(mark)
    });
    let pack_synced = assert_synced(trace, pack, log.began);
    let log_synced = assert_synced(trace, log, answer.began);
    assert!(pack_synced < log.began && log_synced < answer.began);
}

fn message(mark: &str) -> Vec<u8> {
    let date = "Mon, 1 Jan 2024 00:00:00 +0000";
    format!("Subject: {mark}\r\nFrom: a@example.org\r\nDate: {date}\r\n\r\n{mark}\r\n").into_bytes()
}

#[test]
fn what_is_acknowledged_is_on_disk_before() {
    let (server, dir) = traced();
    let mut lmtp = LmtpClient::connect(server.lmtp());
    lmtp.deliver_ok("alice", &message("mark-lmtp-one"));
    lmtp.deliver_ok("alice", &message("mark-lmtp-two"));
    let replies = lmtp.deliver(&["alice", "bob"], &message("mark-for-both"));
    assert!(replies.iter().all(|reply| reply.starts_with("250")));

    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    // Tagged t2, t3: the tag of the answer is found again in the trace.
    assert!(
        imap.append("INBOX", "", &message("mark-append"))
            .starts_with("OK")
    );
    imap.ok("SELECT INBOX");
    let mut tag = 3;
    let mut commands = Vec::new();
    for line in [
        "CREATE Work",
        "RENAME Work Play",
        "SUBSCRIBE Play",
        "UNSUBSCRIBE Play",
        "COPY 1 Play",
        "MOVE 2 Play",
        "DELETE Play",
    ] {
        imap.ok(line);
        tag += 1;
        commands.push((line, tag));
    }
    // Two are left: one goes by EXPUNGE, one over POP3.
    assert_eq!(imap.count("INBOX"), 3);
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    commands.push(("EXPUNGE", tag + 3));
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("CLOSE");
    commands.push(("CLOSE", tag + 5));
    let mut pop3 = Pop3Client::login(server.pop3(), "alice", PASSWORD);
    pop3.ok("DELE 1");
    pop3.quit();
    let trace = finish(server, dir.path());

    assert_stored_then_said(&trace, "mark-lmtp-one", "250 2.0.0");
    assert_stored_then_said(&trace, "mark-lmtp-two", "250 2.0.0");
    assert_stored_then_said(&trace, "mark-for-both", "250 2.0.0");
    assert_stored_then_said(&trace, "mark-append", "t2 OK");
    for (line, tag) in commands {
        let before = trace.answer(0, &format!("t{} OK", tag - 1));
        let answer = trace.answer(before.ended, &format!("t{tag} OK"));
        assert!(answer.text.contains("OK"), "{line}");
        assert_log_synced(&trace, before.ended, answer);
    }
    let deleted = trace.answer(0, "+OK message deleted");
    let bye = trace.answer(deleted.ended, "+OK bye");
    assert_log_synced(&trace, deleted.ended, bye);
}

#[test]
fn flags_reach_the_disk_without_anybodys_help() {
    let (server, dir) = traced();
    LmtpClient::connect(server.lmtp()).deliver_ok("alice", &message("mark"));
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS ($Soon)");
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let trace = Trace::read(&dir.path().join("trace"));
        let stored = trace.calls.iter().find(|call| call.text.contains("t3 OK"));
        let synced = stored.and_then(|stored| {
            let write = trace
                .between(0, stored.began)
                .filter(|call| call.is_write() && call.path.contains("/meta/log/"))
                .last()?;
            assert!(write.text.contains("$Soon"), "{write:?}");
            trace
                .between(write.ended, usize::MAX)
                .find(|call| call.is_sync() && call.path == write.path)
        });
        if synced.is_some() {
            break;
        }
        assert!(Instant::now() < until, "not synced");
        std::thread::yield_now();
    }
    finish(server, dir.path());
}

/// Starts the server on tampered files: all is there, is still there after the next start, and the
/// server works.
fn assert_all_there(server: &mut Server, wanted: &[String], seed: u64) {
    server.start_again();
    let found = everything(server);
    for (wanted, found) in wanted.iter().zip(&found) {
        assert_eq!(wanted, found);
    }
    assert_eq!(wanted.len(), found.len());
    verify(server);
    assert!(server.data_dir().join("meta/index/db").is_file());
    live(server, seed);
    let wanted = everything(server);
    assert!(server.terminate().success());
    server.start_again();
    assert_eq!(wanted, everything(server));
    verify(server);
}

#[test]
fn without_sleds_directory_nothing_is_missing() {
    let mut server = Server::start(BINARY);
    live(&server, 1);
    for (how, seed) in [(Stop::Clean, 2), (Stop::Kill, 3)] {
        let wanted = everything(&server);
        stop(&mut server, how);
        std::fs::remove_dir_all(server.data_dir().join("meta/index")).unwrap();
        assert_all_there(&mut server, &wanted, seed);
    }
}

#[test]
fn with_an_old_copy_of_sleds_directory_nothing_is_missing() {
    let mut server = Server::start(BINARY);
    live(&server, 11);
    assert!(server.terminate().success());
    let index = server.data_dir().join("meta/index");
    let old = server.file("old-index");
    copy_tree(&index, &old);
    server.start_again();
    for seed in 12..15 {
        live(&server, seed);
    }
    // A copy of files in use is not even consistent.
    let torn = server.file("torn-index");
    std::thread::scope(|scope| {
        let server = &server;
        let busy = scope.spawn(move || live(server, 15));
        copy_tree(&index, &torn);
        busy.join().unwrap();
    });
    let mut seed = 16;
    for copy in [&old, &torn] {
        for how in [Stop::Kill, Stop::Clean] {
            live(&server, seed);
            let wanted = everything(&server);
            stop(&mut server, how);
            copy_tree(copy, &index);
            assert_all_there(&mut server, &wanted, seed + 1);
            seed += 2;
        }
    }
}
