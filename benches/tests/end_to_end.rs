//! The load generator against the server that lies beside it: tiny runs that show that every part
//! works. The numbers mean nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{ImapClient, Server, Settings};

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gatepost-bench"))
}

/// Built by `cargo build --workspace`, which `cargo xtask test` does.
fn gatepost() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_gatepost-bench")).with_file_name("gatepost");
    assert!(
        beside.is_file(),
        "build the server first: {}",
        beside.display()
    );
    beside
}

/// The JSON file of a run that must succeed.
fn json(command: &mut Command) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out").join("run.json");
    let Output {
        status,
        stdout,
        stderr,
    } = command.arg("--json").arg(&file).output().unwrap();
    let said = [stdout, stderr].concat();
    assert!(status.success(), "{}", String::from_utf8_lossy(&said));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn rows_of_two_rounds_have_values_percentiles_and_limits() {
    let rows = "append,lmtp-1,fetch-cold-cache,fetch-flags,fetch-flags-4,login-tls,qresync,copy,\
                pop3-poll,pop3-retr-pipelined,idle-memory-tls";
    let report = json(
        bench()
            .args(["--quick", "--messages", "40", "--rounds", "2"])
            .args(["--against", "none", "--only", rows, "--binary"])
            .arg(gatepost()),
    );
    let server = &report["servers"][0];
    assert_eq!(server["failures"].as_object().unwrap().len(), 0, "{report}");
    assert_eq!(server["rounds"].as_array().unwrap().len(), 2);
    for row in rows.split(',') {
        assert!(server["values"][row].as_f64().is_some(), "{row}: {report}");
    }
    for row in [
        "append",
        "lmtp-1",
        "fetch-flags",
        "fetch-flags-4",
        "login-tls",
        "pop3-poll",
    ] {
        let latency = &server["latency"][row];
        let at = |name: &str| latency[name].as_f64().unwrap();
        assert!(
            0.0 < at("p50") && at("p50") <= at("p95") && at("p99") <= at("max"),
            "{row}"
        );
    }
    for row in ["append", "fetch-flags", "pop3-poll", "pop3-retr-pipelined"] {
        assert!(
            report["limit"][row].as_f64().unwrap() > 0.0,
            "{row}: {report}"
        );
    }
}

#[test]
fn a_mixed_load_has_percentiles_for_every_kind_of_client() {
    let outcomes = json(
        bench()
            .args([
                "mixed",
                "--seconds",
                "1",
                "--deliveries",
                "32",
                "--idle",
                "16",
            ])
            .args(["--against", "none", "--binary"])
            .arg(gatepost()),
    );
    assert_eq!(outcomes[0]["failures"], 0, "{outcomes}");
    for kind in ["delivery", "notice", "poll", "page"] {
        let count = outcomes[0]["latency"][kind]["count"].as_u64();
        assert!(count.unwrap_or_default() >= 20, "{kind}: {outcomes}");
    }
}

/// What INBOX says of itself: EXISTS, UIDNEXT, HIGHESTMODSEQ, and all flags.
fn state(server: &Server) -> String {
    let mut imap = ImapClient::login(server.imap(), "alice", testkit::PASSWORD);
    let status = imap.ok("STATUS INBOX (MESSAGES UIDNEXT HIGHESTMODSEQ UNSEEN)");
    let all = imap.ok("LIST \"\" *");
    format!("{status:?} {all:?}")
}

#[test]
fn a_server_by_address_is_only_read() {
    let mut settings = Settings {
        tls: true,
        ..Settings::default()
    };
    let dave = ("dave".to_owned(), testkit::PASSWORD.to_owned());
    settings.accounts.push(dave);
    let server = Server::with(gatepost(), settings);
    let mut imap = ImapClient::login(server.imap(), "alice", testkit::PASSWORD);
    for number in 0..5 {
        let message = format!("Subject: {number}\r\n\r\nbody\r\n");
        imap.append("INBOX", "", message.as_bytes());
    }
    drop(imap);
    let before = state(&server);
    let report = json(
        bench()
            .args([
                "--quick",
                "--user",
                "alice",
                "--password",
                testkit::PASSWORD,
            ])
            .args(["--imap", &server.imap().to_string()])
            .args(["--pop3", &server.pop3().to_string()])
            .args(["--lmtp", &server.lmtp().to_string()])
            .args(["--imaps", &server.address("imap-tls").to_string()])
            .args(["--pop3s", &server.address("pop3-tls").to_string()])
            .arg("--tls-ca")
            .arg(server.file("cert.pem"))
            .args(["--receivers", "alice,bob,carol,dave"]),
    );
    assert_eq!(state(&server), before);
    let values = report["servers"][0]["values"].as_object().unwrap();
    for row in [
        "fetch-flags",
        "fetch-body-one",
        "login",
        "select-16",
        "search-text",
        "pop3-poll",
        "login-tls",
        "fetch-body-all-tls",
        "pop3-poll-tls",
        "pop3-poll-4",
    ] {
        assert!(values.contains_key(row), "{row}: {report}");
    }
    for row in [
        "append",
        "lmtp-1",
        "store-one",
        "copy",
        "memory-start",
        "pop3-retr-lockstep",
        "pop3-poll-16",
    ] {
        assert!(!values.contains_key(row), "{row}: {report}");
    }
}
