//! What scripts cannot say: exact octets, faults, limits, TLS, size.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Client, PASSWORD, Rig, as_crlf};
use net::Timeouts;
use pop3::Settings;
use rustls::pki_types::ServerName;
use storage::{Call, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

fn octets_of(status: &str) -> usize {
    status
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("{status}"))
}

#[tokio::test]
async fn rfc1939_11_retr_sends_exactly_the_octets_list_announces() {
    let rig = Rig::start().await;
    let mut bodies: Vec<Vec<u8>> = [
        &b""[..],
        b"\n",
        b"\r",
        b"\r\n",
        b".",
        b".\r\n.\r\n..\r\n",
        b".\n.\n.\n",
        b"a: b\n\nc",
        b"a: b\r\n\r\nc\r",
        b"a\rb\r\nc\nd\0e\xff\xfe\r\n",
        b"\r\r\n\n\r\n\n\n.\n",
    ]
    .iter()
    .map(|body| body.to_vec())
    .collect();
    bodies.push(".\r\n".repeat(50_000).into_bytes());
    // Above a megabyte: sent in pieces, cut anywhere.
    bodies.push(".\n".repeat(700_000).into_bytes());
    bodies.push("a\r\n".repeat(800_000).into_bytes());
    bodies.push(vec![b'x'; 2_500_001]);
    bodies.extend(testkit::nasty::all().into_iter().map(|nasty| nasty.bytes));
    let prefix = "Return-Path: <a@b>\r\nDelivered-To: alice\r\n";
    for (i, body) in bodies.iter().enumerate() {
        rig.append("INBOX", if i % 2 == 0 { "" } else { prefix }, body, 1)
            .await;
    }
    let mut client = rig.login().await;
    let list = client.rows("LIST").await;
    let mut total = 0;
    for (i, body) in bodies.iter().enumerate() {
        let n = i + 1;
        let mut want = if i % 2 == 0 {
            Vec::new()
        } else {
            prefix.as_bytes().to_vec()
        };
        want.extend(as_crlf(body));
        let status = client.command(&format!("RETR {n}")).await;
        let got = client.body().await;
        assert!(
            got == want,
            "message {n}: {} for {} octets",
            got.len(),
            want.len()
        );
        assert_eq!(octets_of(&status), got.len(), "message {n}");
        assert_eq!(list[i], format!("{n} {}", got.len()));
        let top = client.multi(&format!("TOP {n} 99999999")).await;
        assert!(top == want, "TOP {n}");
        let top = client.multi(&format!("TOP {n} 0")).await;
        assert!(want.starts_with(&top) || as_crlf(&top) == top, "TOP {n} 0");
        total += got.len();
    }
    let stat = client.command("STAT").await;
    assert_eq!(stat, format!("+OK {} {total}", bodies.len()));
    client.quit().await;
    rig.assert_sound().await;
}

/// 600 messages whose text says which they are, of 1 to 40 KB.
async fn fill(rig: &Rig, count: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for i in 0..count {
        let line = format!("this is message {i}\r\n");
        let body = format!("Subject: {i}\r\n\r\n{}", line.repeat(50 + i * 37 % 1900));
        rig.append("INBOX", "", body.as_bytes(), 1).await;
        all.push(body.into_bytes());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc2449_6_6_pipelined_retrievals_answer_in_order_whatever_is_read_ahead() {
    let rig = Rig::start().await;
    let all = fill(&rig, 300).await;
    // In order; every second; backwards; each with DELE between; the same one again and again.
    let orders: [Vec<usize>; 4] = [
        (0..300).collect(),
        (0..300).step_by(2).collect(),
        (0..300).rev().collect(),
        [5, 5, 6, 5, 7, 8, 9, 299, 0, 1, 2, 3, 150, 151, 152, 4].repeat(5),
    ];
    for order in orders {
        for dele in [false, true] {
            let mut client = rig.login().await;
            let mut input = String::new();
            let mut seen = std::collections::HashSet::new();
            let order: Vec<usize> = order
                .iter()
                .copied()
                .filter(|i| !dele || seen.insert(*i))
                .collect();
            for i in &order {
                input.push_str(&format!("RETR {}\r\n", i + 1));
                if dele {
                    input.push_str(&format!("DELE {}\r\n", i + 1));
                }
            }
            let (read, mut write) = tokio::io::split(client.io.into_inner());
            let writer = tokio::spawn(async move {
                write.write_all(input.as_bytes()).await.expect("sent");
                write
            });
            client = Client {
                io: BufReader::new(Box::new(tokio::io::join(read, tokio::io::sink()))),
            };
            for i in order {
                let status = client.line().await;
                assert_eq!(octets_of(&status), all[i].len());
                assert!(client.body().await == all[i], "message {i}");
                if dele {
                    assert_eq!(client.line().await, "+OK message deleted");
                }
            }
            // Dropped without QUIT: nothing is deleted or seen.
            drop(writer.await);
        }
    }
    assert!(rig.uids("INBOX").await.iter().all(|(_, seen)| !seen));
    // Lockstep, then an atomic QUIT.
    let mut client = rig.login().await;
    for (i, body) in all.iter().enumerate() {
        assert!(client.multi(&format!("RETR {}", i + 1)).await == *body);
        assert!(
            client
                .command(&format!("DELE {}", i + 1))
                .await
                .starts_with("+OK")
        );
    }
    assert_eq!(rig.uids("INBOX").await.len(), 300);
    assert_eq!(client.quit().await, "+OK bye");
    assert_eq!(rig.uids("INBOX").await, []);
    rig.assert_sound().await;
}

#[tokio::test]
async fn rfc3206_4_quit_that_cannot_be_stored_deletes_nothing_and_says_so() {
    for call in [Call::Commit, Call::Durable] {
        let rig = Rig::start().await;
        fill(&rig, 3).await;
        let mut client = rig.login().await;
        client.multi("RETR 1").await;
        client.command("DELE 2").await;
        rig.faults.fail_every(call, ErrorKind::Unavailable);
        let answer = client.quit().await;
        assert!(answer.starts_with("-ERR [SYS/TEMP] "), "{answer}");
        // A failed fsync is final for the process (DESIGN 3.4): there is nothing to go back to.
        if call == Call::Commit {
            rig.faults.heal();
            assert_eq!(
                rig.uids("INBOX").await,
                [(1, false), (2, false), (3, false)]
            );
            rig.assert_sound().await;
        }
    }
}

#[tokio::test]
async fn rfc3206_4_a_message_that_cannot_be_read_disturbs_no_other() {
    let rig = Rig::start().await;
    fill(&rig, 4).await;
    rig.append("INBOX", "", &vec![b'x'; 3_000_000], 1).await;
    for (kind, code) in [
        (ErrorKind::Unavailable, "-ERR [SYS/TEMP] "),
        (ErrorKind::Corrupt, "-ERR [SYS/PERM] "),
    ] {
        let mut client = rig.login().await;
        for n in [2, 5] {
            rig.faults.fail_every(Call::BlobGet, kind);
            let answer = client.command(&format!("RETR {n}")).await;
            assert!(answer.starts_with(code), "{answer}");
            rig.faults.heal();
            assert!(!client.multi(&format!("RETR {n}")).await.is_empty());
        }
        rig.faults.fail_every(Call::Scan, kind);
        rig.faults.fail_every(Call::Get, kind);
        assert!(client.command("RETR 3").await.starts_with(code));
        assert!(client.command("TOP 5 1").await.starts_with(code));
        // What needs nothing from the store works.
        assert_eq!(client.rows("LIST").await.len(), 5);
        assert_eq!(client.rows("UIDL").await.len(), 5);
        rig.faults.heal();
        client.multi("RETR 3").await;
        // In the middle of a long message there is only one way left to tell.
        rig.faults.fail_nth(Call::BlobGet, 3, kind);
        client.send(b"RETR 5\r\nNOOP\r\n").await;
        assert!(!client.rest().await.contains("\r\n.\r\n"));
        rig.faults.heal();
    }
    let mut client = rig.login().await;
    rig.faults.fail_every(Call::BlobGet, ErrorKind::Corrupt);
    client.send(b"RETR 1\r\nRETR 2\r\nSTAT\r\n").await;
    assert!(client.line().await.starts_with("-ERR [SYS/PERM]"));
    assert!(client.line().await.starts_with("-ERR [SYS/PERM]"));
    assert!(client.line().await.starts_with("+OK 5"));
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_login_that_cannot_open_the_mailbox_is_temporary() {
    let rig = Rig::start().await;
    fill(&rig, 1).await;
    let mut client = rig.connect().await;
    rig.faults.fail_every(None, ErrorKind::Unavailable);
    client.command("USER bob").await;
    let answer = client.command(&format!("PASS {PASSWORD}")).await;
    assert!(answer.starts_with("-ERR [SYS/TEMP] "), "{answer}");
    rig.faults.heal();
    client.command("USER bob").await;
    assert!(
        client
            .command(&format!("PASS {PASSWORD}"))
            .await
            .starts_with("+OK 0")
    );
    rig.assert_sound().await;
}

async fn start_tls(rig: &Rig, mut client: Client) -> Client {
    client
        .send(b"USER alice\r\nSTLS\r\nPASS pass word\r\nSTAT\r\n")
        .await;
    assert_eq!(client.line().await, "+OK");
    assert!(client.line().await.starts_with("+OK"));
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rig.tls.certificate().expect("a certificate"))
        .expect("usable");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector
        .connect(name, client.io.into_inner())
        .await
        .expect("a handshake");
    Client {
        io: BufReader::new(Box::new(stream)),
    }
}

#[tokio::test]
async fn rfc2595_4_stls_discards_what_came_before_it() {
    let rig = Rig::start().await;
    let client = rig.connect().await;
    let mut client = start_tls(&rig, client).await;
    // Neither the injected PASS nor the earlier USER count.
    assert_eq!(
        client.command("STAT").await,
        "-ERR command not allowed in this state"
    );
    assert_eq!(
        client.command("PASS pass word").await,
        "-ERR USER comes first"
    );
    assert!(client.command("STLS").await.starts_with("-ERR"));
    let capa = client.rows("CAPA").await;
    assert!(!capa.iter().any(|c| c == "STLS") && capa.iter().any(|c| c == "USER"));
    client.command("USER alice").await;
    assert!(client.command("PASS pass word").await.starts_with("+OK"));
    client.quit().await;
}

#[tokio::test]
async fn rfc2595_4_without_tls_no_password_where_the_policy_forbids_it() {
    let settings = Settings {
        cleartext: auth::CleartextPolicy::Never,
        ..Settings::default()
    };
    let rig = Rig::with(settings, Timeouts::default()).await;
    let mut client = rig.connect().await;
    let capa = client.rows("CAPA").await;
    assert!(capa.iter().all(|c| c != "USER" && !c.starts_with("SASL")));
    assert!(capa.iter().any(|c| c == "STLS"));
    for command in ["USER alice", "PASS x", "AUTH PLAIN", "AUTH LOGIN"] {
        let answer = client.command(command).await;
        assert!(
            answer.starts_with("-ERR [AUTH] TLS is required"),
            "{command}: {answer}"
        );
    }
}

#[tokio::test]
async fn long_lines_cost_one_error_and_endless_ones_the_connection() {
    let rig = Rig::start().await;
    let mut client = rig.connect().await;
    for length in [1100, 12_000, 13_000, 300_000] {
        client
            .send(format!("USER {}\r\n", "x".repeat(length)).as_bytes())
            .await;
        assert_eq!(client.line().await, "-ERR line too long");
    }
    // AUTH lines may be long: this one is refused for what it says.
    let long = format!("AUTH PLAIN {}", "A".repeat(12_000));
    assert!(client.command(&long).await.starts_with("-ERR P"));
    assert_eq!(client.command("AUTH PLAIN").await, "+ ");
    assert_eq!(
        client.command(&"A".repeat(20_000)).await,
        "-ERR line too long"
    );
    client.command("USER alice").await;
    assert!(client.command("PASS pass word").await.starts_with("+OK"));
    assert_eq!(
        client.command(&"x".repeat(5000)).await,
        "-ERR line too long"
    );
    assert_eq!(client.command("NOOP").await, "+OK");
    // Never a line end.
    let endless = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 4096 && client.io.write_all(&endless).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 4096, "still read after {sent} MiB");
}

#[tokio::test]
async fn pipelined_garbage_ends_the_connection_after_a_while() {
    let rig = Rig::start().await;
    let mut client = rig.connect().await;
    client
        .send("\x00\x01garbage \r\n".repeat(1000).as_bytes())
        .await;
    let rest = client.rest().await;
    assert_eq!(rest.matches("-ERR unknown command\r\n").count(), 50);
    assert!(rest.ends_with("-ERR too many bad commands\r\n"));
}

#[tokio::test]
async fn rfc1939_3_an_idle_client_is_cut_off_without_a_word_and_nothing_is_deleted() {
    let settings = Settings {
        login_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(150),
        ..Settings::default()
    };
    let rig = Rig::with(settings, Timeouts::default()).await;
    fill(&rig, 2).await;
    let mut client = rig.login().await;
    client.command("DELE 1").await;
    // Half a line keeps nobody alive.
    client.send(b"QUI").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(rig.connect().await.rest().await, "");
    assert_eq!(rig.uids("INBOX").await.len(), 2);
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_cut_off_and_harms_no_other() {
    let timeouts = Timeouts {
        write: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let rig = Rig::with(Settings::default(), timeouts).await;
    rig.append("INBOX", "", &vec![b'x'; 900_000], 40).await;
    let mut lazy = rig.login().await;
    let input: String = (1..=40).map(|n| format!("RETR {n}\r\n")).collect();
    lazy.send(input.as_bytes()).await;
    let mut other = rig.login().await;
    assert_eq!(other.multi("RETR 40").await.len(), 900_002);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut received = Vec::new();
    let _ = lazy.io.read_to_end(&mut received).await;
    assert!(received.len() < 40 * 900_000, "{} octets", received.len());
    assert!(rig.uids("INBOX").await.iter().all(|(_, seen)| !seen));
    other.quit().await;
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maildrop_of_a_hundred_thousand() {
    let rig = Rig::start().await;
    for _ in 0..100 {
        rig.append("INBOX", "", b"Subject: many\r\n\r\nbody\n", 1000)
            .await;
    }
    let mut client = rig.login().await;
    assert_eq!(
        client.command("STAT").await,
        format!("+OK 100000 {}", 100_000 * 23)
    );
    let list = client.rows("LIST").await;
    assert_eq!((list.len(), list[99_999].as_str()), (100_000, "100000 23"));
    let uidl = client.rows("UIDL").await;
    let unique: std::collections::HashSet<_> = uidl
        .iter()
        .filter_map(|row| row.split(' ').nth(1))
        .collect();
    assert_eq!(unique.len(), 100_000);
    let input: String = (1..=100_000).map(|n| format!("DELE {n}\r\n")).collect();
    let (read, mut write) = tokio::io::split(client.io.into_inner());
    let writer = tokio::spawn(async move {
        write.write_all(input.as_bytes()).await.expect("sent");
        write.write_all(b"STAT\r\nQUIT\r\n").await.expect("sent");
        write
    });
    let mut client = Client {
        io: BufReader::new(Box::new(tokio::io::join(read, tokio::io::sink()))),
    };
    for _ in 0..100_000 {
        assert_eq!(client.raw_line().await, b"+OK message deleted\r\n");
    }
    assert_eq!(client.line().await, "+OK 0 0");
    assert_eq!(client.line().await, "+OK bye");
    drop(writer.await);
    assert_eq!(rig.uids("INBOX").await, []);
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_beyond_four_gigabytes_do_not_wrap() {
    let rig = Rig::start().await;
    // One blob, 80 messages of 60 MB.
    let size = 60 << 20;
    rig.append("INBOX", "", &vec![b'x'; size], 80).await;
    let mut client = rig.login().await;
    let total = 80 * (size as u64 + 2);
    assert!(total > u64::from(u32::MAX));
    assert_eq!(client.command("STAT").await, format!("+OK 80 {total}"));
    let status = client.command("LIST").await;
    assert_eq!(status, format!("+OK 80 messages ({total} octets)"));
    assert_eq!(
        client.body().await.iter().filter(|c| **c == b'\n').count(),
        80
    );
    client.command("DELE 80").await;
    let left = total - (size as u64 + 2);
    assert_eq!(client.command("STAT").await, format!("+OK 79 {left}"));
    client.command("RSET").await;
    assert_eq!(client.command("STAT").await, format!("+OK 80 {total}"));
}

#[tokio::test]
async fn a_stopping_server_says_so_and_finishes() {
    let rig = Rig::start().await;
    let mut client = rig.login().await;
    let mut fresh = TcpStream::connect(rig.address).await.expect("a connection");
    let mut greeting = [0; 3];
    fresh.read_exact(&mut greeting).await.expect("a greeting");
    assert_eq!(rig.shutdown.drain(Duration::from_secs(10)).await, 0);
    assert_eq!(
        client.rest().await,
        "-ERR [SYS/TEMP] server is shutting down\r\n"
    );
}

#[tokio::test]
async fn what_is_done_is_counted() {
    let rig = Rig::start().await;
    fill(&rig, 2).await;
    let mut client = rig.login().await;
    client.multi("UIDL").await;
    client.multi("RETR 1").await;
    client.command("DELE 1").await;
    client.command("RETR 9").await;
    client.command("BLAH").await;
    client.quit().await;
    let text = String::from_utf8(rig.metrics.render()).expect("text");
    for line in [
        "gatepost_commands_total{command=\"RETR\",protocol=\"pop3\",result=\"ok\"} 1",
        "gatepost_commands_total{command=\"RETR\",protocol=\"pop3\",result=\"refused\"} 1",
        "gatepost_commands_total{command=\"(unrecognized)\",protocol=\"pop3\",result=\"bad\"} 1",
        "gatepost_messages_total{action=\"retrieved\",protocol=\"pop3\"} 1",
        "gatepost_messages_total{action=\"deleted\",protocol=\"pop3\"} 1",
        "gatepost_logins_total{mechanism=\"USER\",protocol=\"pop3\",result=\"ok\"} 1",
        "gatepost_sync_bytes_total{method=\"uidl\",protocol=\"pop3\"} 40",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
