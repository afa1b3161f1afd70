//! Bad input: every command with every kind of wrong argument, in every state.

use crate::common::{Client, Rig};

/// Arguments a client should not send.
const BAD: [&str; 24] = [
    "0",
    "-1",
    "+1",
    "1.0",
    "0x1",
    "1e3",
    "one",
    "*",
    "1:*",
    "99999999999999999999999999999999",
    "-99999999999999999999999999999999",
    "18446744073709551616",
    "4294967297",
    "1 x",
    "1 -1",
    "1 2 3",
    "1 2 3 4 5 6 7 8 9 10",
    "x 1",
    "\u{661}",
    "%s%n",
    "'; DROP TABLE",
    "\u{0}",
    "1\u{0}",
    "\t1",
];

const COMMANDS: [&str; 17] = [
    "RETR", "DELE", "TOP", "UIDL", "LIST", "STAT", "NOOP", "RSET", "CAPA", "AUTH", "STLS", "UTF8",
    "LANG", "APOP", "LAST", "XTND", "",
];

/// Sends a command that must be refused; what is well formed by chance is not sent.
async fn refused(client: &mut Client, command: &str) {
    let answer = client.command(command).await;
    assert!(answer.starts_with("-ERR "), "{command:?}: {answer}");
}

#[tokio::test]
async fn before_login_every_bad_command_is_refused_and_the_session_goes_on() {
    let rig = Rig::start().await;
    for command in COMMANDS {
        let mut client = rig.connect().await;
        for argument in BAD {
            if !is_fine(command, argument) {
                refused(&mut client, &format!("{command} {argument}")).await;
            }
        }
        for line in [
            "PASS",
            "PASS x",
            "USER",
            "USER ",
            "USER  ",
            "USER \u{1}",
            "QUIT now",
        ] {
            refused(&mut client, line).await;
        }
        client.command("USER alice").await;
        assert!(client.command("PASS pass word").await.starts_with("+OK 0"));
        client.quit().await;
    }
    rig.assert_sound().await;
}

/// What is fine among the above.
fn is_fine(command: &str, argument: &str) -> bool {
    command == "LANG" && argument == "*"
}

#[tokio::test]
async fn after_login_after_dele_and_after_rset_too() {
    let rig = Rig::start().await;
    rig.append("INBOX", "", b"Subject: x\r\n\r\nbody\r\n", 3)
        .await;
    for command in COMMANDS {
        let mut client = rig.login().await;
        for before in ["NOOP", "DELE 2", "RSET"] {
            assert!(client.command(before).await.starts_with("+OK"));
            for argument in BAD {
                // One command less in a row that makes no sense.
                client.command("NOOP").await;
                if !is_fine(command, argument) {
                    refused(&mut client, &format!("{command} {argument}")).await;
                }
            }
            for number in ["4", "0", "4294967298", "18446744073709551615"] {
                for command in ["RETR", "DELE", "LIST", "UIDL"] {
                    refused(&mut client, &format!("{command} {number}")).await;
                }
                refused(&mut client, &format!("TOP {number} 0")).await;
                client.command("NOOP").await;
            }
            for missing in ["RETR", "DELE", "TOP", "TOP 1"] {
                refused(&mut client, missing).await;
            }
            client.command("NOOP").await;
            let (count, octets) = if before == "DELE 2" { (2, 40) } else { (3, 60) };
            assert_eq!(
                client.command("STAT").await,
                format!("+OK {count} {octets}")
            );
            if before == "DELE 2" {
                for command in ["RETR 2", "DELE 2", "LIST 2", "UIDL 2", "TOP 2 0"] {
                    assert_eq!(client.command(command).await, "-ERR message is deleted");
                }
            }
        }
        assert_eq!(client.multi("RETR 2").await.len(), 20);
        assert_eq!(client.quit().await, "+OK bye");
    }
    assert_eq!(rig.uids("INBOX").await.len(), 3);
    rig.assert_sound().await;
}

#[tokio::test]
async fn ten_megabytes_without_a_line_end_are_one_refusal_and_no_memory() {
    let rig = Rig::start().await;
    let mut other = rig.login().await;
    let mut client = rig.connect().await;
    let long = vec![b'x'; 10 << 20];
    client.send(b"USER ").await;
    client.send(&long).await;
    client.send(b"\r\nUSER alice\r\n").await;
    assert_eq!(client.line().await, "-ERR line too long");
    assert_eq!(client.line().await, "+OK");
    assert!(client.command("PASS pass word").await.starts_with("+OK"));
    client.send(b"RETR ").await;
    client.send(&long).await;
    client.send(b"\r\nNOOP\r\n").await;
    assert_eq!(client.line().await, "-ERR line too long");
    assert_eq!(client.line().await, "+OK");
    assert_eq!(other.command("NOOP").await, "+OK");
}

#[tokio::test]
async fn rfc1939_3_a_line_ends_with_lf_and_a_cr_alone_ends_none() {
    let rig = Rig::start().await;
    let mut client = rig.connect().await;
    // LF alone ends a command, as Dovecot has it.
    client.send(b"USER alice\nPASS pass word\n").await;
    assert_eq!(client.line().await, "+OK");
    assert!(client.line().await.starts_with("+OK 0"));
    // Commands hidden behind a CR are part of a line that makes no sense.
    client.send(b"NOOP\rQUIT\rNOOP\r\n").await;
    assert!(client.line().await.starts_with("-ERR"));
    client.send(b"\r\n\n\r\r\n").await;
    for _ in 0..3 {
        assert!(client.line().await.starts_with("-ERR"));
    }
    assert_eq!(client.command("NOOP").await, "+OK");
}

#[tokio::test]
async fn rfc5034_4_a_broken_exchange_is_one_refusal() {
    let rig = Rig::start().await;
    let mut client = rig.connect().await;
    for (start, answer) in [
        ("AUTH PLAIN", "*"),
        ("AUTH PLAIN", ""),
        ("AUTH PLAIN", "=="),
        ("AUTH PLAIN", "AGFsaWNlAHBhc3Mgd29yZA"),
        ("AUTH PLAIN", "AGFsaWNlAHBhc3Mgd29yZA== x"),
        ("AUTH PLAIN", "YWxpY2U="),
        ("AUTH LOGIN", "!"),
        ("AUTH LOGIN", "*"),
        ("AUTH PLAIN", &"A".repeat(100_000)),
    ] {
        assert!(client.command(start).await.starts_with("+ "), "{start}");
        refused(&mut client, answer).await;
    }
    // Pipelined garbage behind a good response is a command of the next state.
    client
        .send(b"AUTH PLAIN\r\nAGFsaWNlAHBhc3Mgd29yZA==\r\n\x00\xff\r\nNOOP\r\n")
        .await;
    assert_eq!(client.line().await, "+ ");
    assert!(client.line().await.starts_with("+OK 0"));
    assert_eq!(client.line().await, "-ERR unknown command");
    assert_eq!(client.line().await, "+OK");
}
