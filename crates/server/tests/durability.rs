//! What is on the disk before a client is told, and what comes back when files are lost.

mod common;

use std::fs;
use std::path::Path;

use common::{GATEPOST, hashes, imap, mail, server};
use testkit::{ImapClient, LmtpClient, Server, Settings, programs};

/// DESIGN 3.4: the bytes (pack `fdatasync`), then the batch (commit log `fdatasync`), then the 250.
#[test]
fn lmtp_250_comes_after_the_pack_and_then_the_commit_log_are_synced() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let trace = dir.path().join("trace");
    let strace = programs::find("strace").display().to_string();
    // -D: the server stays our own child. -yy: the names of files and sockets.
    let options = "-D -f -yy -s 64 -e trace=fdatasync,fsync,write,writev,sendto,sendmsg -o";
    let mut wrapper = vec![strace];
    wrapper.extend(options.split(' ').map(str::to_owned));
    wrapper.push(trace.display().to_string());
    let mut server = Server::with(
        GATEPOST,
        Settings {
            wrapper,
            ..Settings::default()
        },
    );
    // The account and its mailboxes are made by the first delivery; only the second is looked at.
    let mut lmtp = LmtpClient::connect(server.lmtp());
    lmtp.deliver_ok("alice", b"Subject: first\r\n\r\nx\r\n");
    let before = lines(&trace).len();
    lmtp.deliver_ok("alice", b"Subject: second\r\n\r\nx\r\n");
    server.terminate();

    let lines = lines(&trace);
    let lines = &lines[before..];
    let position = |what: &str, found: &dyn Fn(&str) -> bool| {
        lines
            .iter()
            .position(|line| found(line))
            .unwrap_or_else(|| panic!("no {what} in the trace:\n{}", lines.join("\n")))
    };
    let data_dir = server.data_dir();
    let synced = |folder: &str| {
        let folder = data_dir.join(folder).display().to_string();
        move |line: &str| line.contains("sync(") && line.contains(&folder)
    };
    let pack = position("fdatasync of a pack", &synced("packs"));
    let log = position("fdatasync of the commit log", &synced("meta/log"));
    let reply = position("reply 250 2", &|line| {
        line.contains("TCP:") && line.contains("\"250 2") && !line.contains("\"354")
    });
    // The first 250s belong to MAIL and RCPT; the last one is the delivery's.
    let delivered = lines
        .iter()
        .rposition(|line| line.contains("TCP:") && line.contains("\"250 2"))
        .unwrap_or(reply);
    assert!(
        pack < log && log < delivered,
        "pack {pack}, log {log}, 250 {delivered}:\n{}",
        lines.join("\n")
    );
}

/// The calls of the trace in the order they finished: a call that another thread interrupts is
/// shown in two lines, of which the second counts but the first has the names.
fn lines(trace: &Path) -> Vec<String> {
    let text = fs::read_to_string(trace).expect("strace has started");
    let mut unfinished: Vec<(String, String)> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or((line, ""));
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            unfinished.push((thread.to_owned(), start.to_owned()));
        } else if call.starts_with("<...") {
            let at = unfinished.iter().position(|(owner, _)| owner == thread);
            let start = at.map(|at| unfinished.remove(at).1).unwrap_or_default();
            lines.push(format!("{start}{call}"));
        } else {
            lines.push(call.to_owned());
        }
    }
    lines
}

/// Everything a client can see of an account, for before and after.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mailboxes: Vec<String>,
    status: Vec<String>,
    flags: Vec<String>,
    bodies: Vec<common::Hashes>,
}

fn look(server: &Server) -> Seen {
    let mut client = imap(server, "alice");
    let mut mailboxes = text(client.ok("LIST \"\" *"));
    mailboxes.sort();
    let (mut status, mut flags, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for mailbox in ["INBOX", "Work", "Work/2024", "Archive"] {
        let items = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)";
        status.extend(text(client.ok(&format!("STATUS {mailbox} {items}"))));
        client.ok(&format!("EXAMINE {mailbox}"));
        flags.extend(text(client.command("UID FETCH 1:* (FLAGS INTERNALDATE)").0));
        bodies.push(hashes(client.bodies(mailbox)));
    }
    Seen {
        mailboxes,
        status,
        flags,
        bodies,
    }
}

fn text(responses: Vec<testkit::Response>) -> Vec<String> {
    responses
        .into_iter()
        .map(|response| response.text)
        .collect()
}

/// Deliveries, folders, flags, moves and expunges.
fn live(server: &Server, seed: u64) {
    let mut lmtp = LmtpClient::connect(server.lmtp());
    for message in mail(seed, 30) {
        lmtp.deliver_ok("alice", &message);
    }
    let mut client = imap(server, "alice");
    for mailbox in ["Work", "Work/2024"] {
        // The second time they are there already.
        client.command(&format!("CREATE {mailbox}"));
    }
    client.ok("SELECT INBOX");
    client.ok("STORE 1:10 +FLAGS (\\Seen $Important)");
    client.ok("MOVE 5:9 Work/2024");
    client.ok("COPY 1:3 Archive");
    client.ok("STORE 2 +FLAGS (\\Deleted)");
    client.ok("EXPUNGE");
    settle(&mut client);
}

/// Flag changes are on the disk within 100 ms; a CREATE is on the disk when it is answered, and
/// the log is written in order (DESIGN 3.4).
fn settle(client: &mut ImapClient) {
    client.ok("CREATE Barrier");
    client.ok("DELETE Barrier");
}

#[test]
fn without_sleds_directory_everything_is_rebuilt() {
    let mut server = server();
    live(&server, 1);
    let before = look(&server);
    server.kill();
    fs::remove_dir_all(server.data_dir().join("meta/index")).expect("sled's directory");
    server.start_again();
    assert_eq!(look(&server), before);
    // And it goes on from there.
    live(&server, 2);
}

#[test]
fn an_old_copy_of_sleds_directory_is_brought_up_to_date() {
    let mut server = server();
    live(&server, 1);
    assert!(server.terminate().success());
    let index = server.data_dir().join("meta/index");
    let month_old = server.file("month-old");
    copy(&index, &month_old);
    server.start_again();
    live(&server, 2);
    live(&server, 3);
    let before = look(&server);
    server.kill();
    fs::remove_dir_all(&index).expect("sled's directory");
    copy(&month_old, &index);
    server.start_again();
    assert_eq!(look(&server), before);
    live(&server, 4);
}

#[test]
fn kill_9_in_the_middle_of_deliveries_loses_no_acknowledged_message() {
    let mut server = server();
    for round in 0..3 {
        let messages = mail(100 + round, 20);
        let address = server.lmtp();
        let mut lmtp = LmtpClient::connect(address);
        let mut before = imap(&server, "alice").count("INBOX");
        for message in &messages {
            lmtp.deliver_ok("alice", message);
            before += 1;
        }
        server.kill();
        server.start_again();
        let mut client = imap(&server, "alice");
        assert_eq!(client.count("INBOX"), before);
        let found = hashes(
            client
                .bodies("INBOX")
                .iter()
                .map(|body| common::as_sent(body)),
        );
        for message in &messages {
            assert!(found.contains_key(&common::hash(message)), "round {round}");
        }
    }
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let server = server();
    let output = server.cli(&["serve"], "");
    assert_eq!(output.status.code(), Some(2), "{}", programs::said(&output));
    assert_eq!(imap(&server, "alice").count("INBOX"), 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a directory entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
