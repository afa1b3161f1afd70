//! What an operator meets: the command line with and without a running server, mistakes in the
//! configuration, busy ports, a store in use, health, metrics, signals.

use crate::support::{BINARY, http};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use testkit::{ImapClient, LmtpClient, Pop3Client, Server, Settings};

fn gatepost(args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let bytes = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One sentence on standard error, exit code 2.
fn assert_refused(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}

fn config(dir: &Path, text: &str) -> String {
    let path = dir.join("gatepost.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn mistakes_in_the_configuration_are_one_sentence_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    let output = gatepost(&["serve", "--config", missing.to_str().unwrap()]);
    assert_refused(&output, &["missing.toml", "No such file"]);

    let path = config(
        dir.path(),
        "data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\nlsten = 1\n",
    );
    let output = gatepost(&["config", "check", "--config", &path]);
    assert_refused(&output, &["line 4", "`lsten`", "did you mean `listen`?"]);
    assert_refused(&gatepost(&["serve", "--config", &path]), &["line 4"]);

    let path = config(
        dir.path(),
        "data_dir = \"data\"\n[tls]\ncertificate = \"no.pem\"\nprivate_key = \"no.pem\"\n\
         [imap]\nlisten_tls = [\"127.0.0.1:0\"]\n",
    );
    assert_refused(&gatepost(&["serve", "--config", &path]), &["no.pem"]);

    let path = config(
        dir.path(),
        "data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\n\
         [[auth.directory]]\nkind = \"passwd-file\"\npath = \"nobody\"\n",
    );
    assert_refused(&gatepost(&["serve", "--config", &path]), &["nobody"]);

    let path = config(
        dir.path(),
        "data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\n",
    );
    assert!(
        gatepost(&["config", "check", "--config", &path])
            .status
            .success()
    );
    assert_eq!(gatepost(&["serve"]).status.code(), Some(2));
}

#[test]
fn a_busy_port_and_a_store_in_use_are_refused() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let text = format!("data_dir = \"data\"\n[pop3]\nlisten = [\"127.0.0.1:{port}\"]\n");
    let path = config(dir.path(), &text);
    assert_refused(
        &gatepost(&["serve", "--config", &path]),
        &["pop3", &port.to_string()],
    );
    assert!(!dir.path().join("data").exists());

    let server = Server::start(BINARY);
    let data = server.data_dir();
    let text = format!(
        "data_dir = {:?}\n[pop3]\nlisten = [\"127.0.0.1:0\"]\n",
        data
    );
    let path = config(dir.path(), &text);
    let output = gatepost(&["serve", "--config", &path]);
    assert_refused(&output, &["in use by another process"]);
    // The one that was there first goes on.
    drop(ImapClient::login(server.imap(), "alice", testkit::PASSWORD));
}

#[test]
fn accounts_are_managed_whether_the_server_runs_or_not() {
    let mut server = Server::start(BINARY);
    let ok = |output: Output, want: &str| {
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(want), "{}", said(&output));
    };
    ok(
        server.cli(&["account", "add", "dora"], "secret\n"),
        "dora: added",
    );
    assert_refused(&server.cli(&["account", "add", "DORA"], "x\n"), &["exists"]);
    assert_refused(
        &server.cli(&["account", "add", "erik"], ""),
        &["standard input"],
    );
    assert_refused(
        &server.cli(&["account", "add", "a b"], "x\n"),
        &["account name"],
    );
    assert_refused(
        &server.cli(&["account", "passwd", "nobody"], "x\n"),
        &["no such account"],
    );
    drop(ImapClient::login(server.imap(), "dora", "secret"));
    ok(
        server.cli(&["account", "passwd", "dora"], "changed\n"),
        "password changed",
    );
    drop(ImapClient::login(server.imap(), "dora", "changed"));
    let mut refused = ImapClient::connect(server.imap());
    let (_, answer) = refused.command("LOGIN dora secret");
    assert!(answer.starts_with("NO [AUTHENTICATIONFAILED]"), "{answer}");

    assert!(server.terminate().success());
    ok(server.cli(&["account", "list"], ""), "dora\t0 messages");
    ok(
        server.cli(&["account", "show", "dora"], ""),
        "mailbox\tINBOX\t0 messages",
    );
    ok(
        server.cli(&["account", "add", "erik"], "secret\n"),
        "erik: added",
    );
    ok(
        server.cli(
            &[
                "account",
                "quota",
                "erik",
                "--bytes",
                "1G",
                "--messages",
                "5",
            ],
            "",
        ),
        "erik: 1073741824 bytes, 5 messages",
    );
    ok(
        server.cli(
            &[
                "account",
                "quota",
                "erik",
                "--bytes",
                "unlimited",
                "--mailboxes",
                "9",
            ],
            "",
        ),
        "erik: 5 messages, 9 mailboxes",
    );
    ok(
        server.cli(&["account", "show", "erik"], ""),
        "quota\t5 messages, 9 mailboxes",
    );
    assert_refused(
        &server.cli(&["account", "quota", "nobody", "--bytes", "1"], ""),
        &["no such account"],
    );
    ok(
        server.cli(&["account", "remove", "dora"], ""),
        "dora: removed",
    );
    assert_refused(&server.cli(&["account", "show", "dora"], ""), &["dora"]);
    ok(
        server.cli(&["verify", "--contents"], ""),
        "everything is as it should be",
    );
    server.start_again();
    drop(ImapClient::login(server.imap(), "erik", "secret"));
    ok(
        server.cli(&["verify", "--contents"], ""),
        "everything is as it should be",
    );
}

#[test]
fn health_and_metrics_tell_the_truth() {
    let server = Server::start(BINARY);
    assert!(http(server.http(), "/health/live").starts_with("HTTP/1.1 200"));
    assert!(http(server.http(), "/health/ready").contains("ready"));
    assert!(http(server.http(), "/elsewhere").starts_with("HTTP/1.1 404"));
    drop(ImapClient::login(server.imap(), "alice", testkit::PASSWORD));
    let metrics = http(server.http(), "/metrics");
    for family in [
        "gatepost_commands_total{command=\"LOGIN\",protocol=\"imap\",result=\"ok\"} 1",
        "gatepost_command_seconds_bucket{",
        "gatepost_bytes_total{",
        "gatepost_connections{",
        "gatepost_logins_total{",
        "gatepost_messages_total{",
        "gatepost_sync_bytes_total{",
        "gatepost_store_seconds_bucket{",
        "gatepost_store_fsync_seconds_count",
        "gatepost_mailbox_view_bytes",
        "gatepost_email_cache_bytes",
        "gatepost_search_cache_bytes",
        "gatepost_build_info{",
        "process_resident_memory_bytes",
    ] {
        assert!(
            metrics.contains(family),
            "{family} is missing in\n{metrics}"
        );
    }
}

#[test]
fn sigterm_says_goodbye_and_keeps_everything() {
    let mut server = Server::with(
        BINARY,
        Settings {
            tls: true,
            ..Settings::default()
        },
    );
    let mut idle = ImapClient::login(server.imap(), "alice", testkit::PASSWORD);
    server.signal(testkit::Signal::HUP);
    // Signals may overtake each other: the reload is seen before the stop is asked for.
    while !server.log().contains("reloaded") {
        idle.ok("NOOP");
    }
    let reader = std::thread::spawn(move || idle.response().text);
    assert!(server.terminate().success());
    let bye = reader.join().unwrap();
    assert!(bye.starts_with("* BYE"), "{bye}");
}

#[test]
fn policies_are_shown_set_and_simulated_whether_the_server_runs_or_not() {
    let settings = Settings {
        pop3: "policy = \"archive:Old\"\n".to_owned(),
        ..Settings::default()
    };
    let mut server = Server::with(BINARY, settings);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    for _ in 0..3 {
        lmtp.deliver_ok("alice", b"Subject: x\r\n\r\nbody\r\n");
    }
    let ok = |output: Output, want: &str| {
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(want), "{}", said(&output));
    };
    let show = ["policy", "show", "alice"];
    ok(
        server.cli(&show, ""),
        "alice\tarchive:Old\tfrom the configuration",
    );
    for bad in ["destroy", "keep-days:0", "archive:"] {
        let output = server.cli(&["policy", "set", "alice", bad], "");
        assert!(!output.status.success() && said(&output).contains(bad));
    }
    let nobody = ["policy", "set", "nobody", "keep"];
    assert_refused(&server.cli(&nobody, ""), &["nobody"]);
    let pop = |server: &Server, say: &[&str]| {
        let mut client = Pop3Client::login(server.pop3(), "alice", testkit::PASSWORD);
        for command in say {
            client.ok(command);
        }
        client.ok("QUIT");
    };
    pop(&server, &["DELE 1"]);
    ok(
        server.cli(&["policy", "set", "alice", "keep-days:30"], ""),
        "alice: keep-days:30",
    );
    // From the next login on.
    pop(&server, &["DELE 2"]);
    let mut imap = ImapClient::login(server.imap(), "alice", testkit::PASSWORD);
    assert_eq!((imap.count("INBOX"), imap.count("Old")), (2, 1));
    pop(&server, &["LIST 1"]);
    let octets = {
        let text = imap.ok("STATUS Old (SIZE)").remove(0).text;
        let size = text
            .rsplit([' ', ')'])
            .find_map(|word| word.parse::<u64>().ok());
        size.unwrap()
    };
    let counted = format!("2/{}", 2 * octets);
    let simulate = ["policy", "simulate", "--policy", "delete", "--days", "7"];
    ok(
        server.cli(&simulate, ""),
        &format!("alice\t{counted}\t{counted}\t0/0\t0/0"),
    );
    assert!(server.terminate().success());
    ok(server.cli(&show, ""), "alice\tkeep-days:30\tits own");
    let simulate = ["policy", "simulate", "alice", "--policy", "keep"];
    ok(
        server.cli(&simulate, ""),
        &format!("alice\t{counted}\t0/0\t0/0\t{counted}"),
    );
    ok(
        server.cli(&["policy", "set", "alice", "default"], ""),
        "alice: what the configuration",
    );
    ok(server.cli(&show, ""), "from the configuration");
    ok(
        server.cli(&["verify", "--contents"], ""),
        "everything is as it should be",
    );
}
