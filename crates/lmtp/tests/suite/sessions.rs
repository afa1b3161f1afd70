//! What scripts cannot say: exact octets, many recipients, faults, TLS, sockets, clients that die.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Client, Rig};
use lmtp::Settings;
use mail::Options;
use rustls::pki_types::ServerName;
use storage::{Call, ErrorKind};
use tokio::io::AsyncWriteExt;

const PREFIX: &str = "Return-Path: <s@example.net>\r\nDelivered-To: alice\r\n";

async fn inbox_without_prefix(rig: &Rig) -> Vec<Vec<u8>> {
    let messages = rig.messages("alice", "INBOX").await;
    let strip = |m: Vec<u8>| {
        m.strip_prefix(PREFIX.as_bytes())
            .expect("the prefix")
            .to_vec()
    };
    messages.into_iter().map(strip).collect()
}

/// Only what RFC 5321 4.5.2 asks for.
fn stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, &octet) in bytes.iter().enumerate() {
        if octet == b'.' && (i == 0 || bytes[..i].ends_with(b"\r\n")) {
            out.push(b'.');
        }
        out.push(octet);
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[tokio::test]
async fn octets_are_stored_exactly_as_received_by_data_and_by_bdat() {
    let settings = Settings {
        hostname: "mx.test".to_owned(),
        ..Settings::default()
    };
    let rig = Rig::with(settings, Options::default()).await;
    let mut bodies: Vec<Vec<u8>> = [
        &b"\r\n"[..],
        b".\r\n..\r\n.a\r\n",
        b"a\n.\nb\n.\r\nc\r\n",
        b"a\r.\rb\r\r\n",
        b"8bit \xff\xfe\x80 nul \0\0\r\n",
        b"a\n\r\n.\n\r\n",
    ]
    .iter()
    .map(|b| b.to_vec())
    .collect();
    bodies.extend(testkit::nasty::all().into_iter().map(|n| n.bytes));
    let mut client = rig.greet().await;
    let mut want: Vec<Vec<u8>> = Vec::new();
    for body in &bodies {
        if body.ends_with(b"\r\n") {
            client.envelope(&["alice"]).await;
            let reply = client.data(&stuffed(body)).await;
            assert!(reply.starts_with("250 2.0.0"), "{reply}");
            want.push(body.clone());
        }
        client.envelope(&["alice"]).await;
        client
            .send(format!("BDAT {} LAST\r\n", body.len()).as_bytes())
            .await;
        client.send(body).await;
        assert!(client.reply().await.starts_with("250 2.0.0"));
        want.push(body.clone());
    }
    assert!(inbox_without_prefix(&rig).await == want);
    rig.assert_sound().await;
}

#[tokio::test]
async fn smuggled_ends_of_data_are_data() {
    let rig = Rig::start().await;
    let mut client = rig.greet().await;
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r\n\0.\r\n",
        "\n.\r\r\n",
    ] {
        client.envelope(&["alice"]).await;
        let smuggled = format!("a{end}MAIL FROM:<evil@x>\r\nRCPT TO:<bob>\r\nDATA\r\nx\r\n.\r\n");
        assert!(
            client
                .data(smuggled.as_bytes())
                .await
                .starts_with("250 2.0.0"),
            "{end:?}"
        );
        // One reply, and the next command is the next command.
        assert_eq!(client.command("NOOP").await, "250 2.0.0 ok");
    }
    assert_eq!(rig.messages("alice", "INBOX").await.len(), 7);
    assert_eq!(rig.messages("bob", "INBOX").await.len(), 0);
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc5321_4_5_3_1_8_a_thousand_recipients_one_copy() {
    let rig = Rig::start().await;
    let mut client = rig.greet().await;
    for count in [1, 2, 100, 1000] {
        let blobs = rig.stored().await;
        let mut input = String::from("MAIL FROM:<s@example.net>\r\n");
        for i in 0..count + 3 {
            input.push_str(&format!("RCPT TO:<u{i}@example.org>\r\n"));
        }
        client.send(input.as_bytes()).await;
        assert!(client.reply().await.starts_with("250"));
        let mut accepted = 0;
        for i in 0..count + 3 {
            let reply = client.reply().await;
            if i < 1000 {
                assert!(reply.starts_with("250 2.1.5"), "{reply}");
                accepted += 1;
            } else {
                assert!(reply.starts_with("452 4.5.3"), "{reply}");
            }
        }
        let body = format!("Subject: to {count}\r\n\r\nbody\r\n.\r\n");
        assert!(client.data(body.as_bytes()).await.starts_with("250 2.0.0"));
        for _ in 1..accepted {
            assert!(client.reply().await.starts_with("250 2.0.0"));
        }
        assert_eq!(client.command("NOOP").await, "250 2.0.0 ok");
        assert_eq!(rig.stored().await, blobs + 1);
    }
    for i in [0, 500, 999] {
        let held = rig.messages(&format!("u{i}"), "INBOX").await;
        let to = format!("Delivered-To: u{i}@example.org\r\nSubject: to 1000");
        let last = String::from_utf8(held.last().expect("a message").clone()).expect("text");
        assert!(last.contains(&to), "{last}");
    }
    rig.assert_sound().await;
}

#[tokio::test]
async fn store_trouble_is_451_for_those_it_meets_and_leaves_nothing() {
    let rig = Rig::start().await;
    let mut client = rig.greet().await;
    client.envelope(&["alice", "bob"]).await;
    rig.blob_faults
        .fail_every(Call::BlobPut, ErrorKind::Unavailable);
    assert!(client.data(b"x\r\n.\r\n").await.starts_with("451 4.3.0"));
    assert!(client.reply().await.starts_with("451 4.3.0"));
    rig.blob_faults.heal();
    for mailbox in ["alice", "bob"] {
        assert_eq!(rig.messages(mailbox, "INBOX").await.len(), 0);
    }
    // One commit of two fails: one recipient is told so, the other has the message.
    client.envelope(&["alice", "bob"]).await;
    rig.meta_faults
        .fail_nth(Call::Commit, 1, ErrorKind::Unavailable);
    let replies = [client.data(b"y\r\n.\r\n").await, client.reply().await];
    assert_eq!(rig.meta_faults.injected(), 1);
    let delivered = replies
        .iter()
        .filter(|reply| reply.starts_with("250 2.0.0"))
        .count();
    let failed = replies
        .iter()
        .filter(|reply| reply.starts_with("451 4.3.0"))
        .count();
    assert_eq!((delivered, failed), (1, 1), "{replies:?}");
    rig.meta_faults.heal();
    let held = [
        rig.messages("alice", "INBOX").await.len(),
        rig.messages("bob", "INBOX").await.len(),
    ];
    for (reply, held) in replies.iter().zip(held) {
        assert_eq!(reply.starts_with("250"), held == 1);
    }
    let text = String::from_utf8(rig.metrics.render()).expect("text");
    for line in [
        "gatepost_messages_total{action=\"delivered\",protocol=\"lmtp\"} 1",
        "gatepost_messages_total{action=\"rejected\",protocol=\"lmtp\"} 3",
        "gatepost_commands_total{command=\"DATA\",protocol=\"lmtp\",result=\"error\"}",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // A recipient that cannot be looked at now.
    assert!(client.command("MAIL FROM:<>").await.starts_with("250"));
    rig.meta_faults.fail_every(None, ErrorKind::Unavailable);
    assert!(
        client
            .command("RCPT TO:<u7>")
            .await
            .starts_with("451 4.3.0")
    );
    rig.meta_faults.heal();
    assert!(client.command("RCPT TO:<u7>").await.starts_with("250"));
    rig.assert_sound().await;
}

#[tokio::test]
async fn rfc1870_6_messages_over_the_limit_are_refused_in_every_form() {
    let rig = Rig::start().await;
    let mut client = rig.greet().await;
    let fits = [vec![b'x'; 99_998], b"\r\n".to_vec()].concat();
    for (body, code) in [
        (fits.clone(), "250 2.0.0"),
        ([fits, b"\r\n".to_vec()].concat(), "552 5.3.4"),
    ] {
        client.envelope(&["alice", "bob"]).await;
        let first = client.data(&stuffed(&body)).await;
        assert!(first.starts_with(code), "{first}");
        assert!(client.reply().await.starts_with(code));
        client.envelope(&["alice", "bob"]).await;
        client
            .send(format!("BDAT {} LAST\r\n", body.len()).as_bytes())
            .await;
        client.send(&body).await;
        for _ in 0..2 {
            assert!(client.reply().await.starts_with(code));
        }
        // In two chunks, the second of which is one too many; then LAST ends it all.
        client.envelope(&["alice", "bob"]).await;
        client
            .send(format!("BDAT {}\r\n", body.len() - 5).as_bytes())
            .await;
        client.send(&body[5..]).await;
        assert!(client.reply().await.starts_with("250 2.0.0"));
        client.send(b"BDAT 5\r\nQUIT\nBDAT 0 LAST\r\n").await;
        if code.starts_with('2') {
            assert!(client.reply().await.starts_with("250 2.0.0 5 octets"));
            assert!(client.reply().await.starts_with("250"));
            assert!(client.reply().await.starts_with("250"));
        } else {
            assert!(client.reply().await.starts_with("552 5.3.4"));
            assert!(client.reply().await.starts_with("503"));
            assert!(client.reply().await.starts_with("503"));
        }
    }
    assert_eq!(rig.messages("bob", "INBOX").await.len(), 3);
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_client_that_dies_in_its_data_leaves_nothing() {
    let rig = Rig::start().await;
    for how in [
        "DATA\r\nhalf a message\r\n.",
        "BDAT 100 LAST\r\nhalf",
        "BDAT 4\r\nhalf",
    ] {
        let mut client = rig.greet().await;
        client.envelope(&["alice"]).await;
        client.send(format!("{how}\r").as_bytes()).await;
        client.io.shutdown().await.expect("half closed");
        client.rest().await;
    }
    assert_eq!(rig.messages("alice", "INBOX").await.len(), 0);
    assert_eq!(rig.stored().await, 0);
    rig.assert_sound().await;
}

#[tokio::test]
async fn settings_decide_on_quota_and_on_folders() {
    let settings = Settings {
        hostname: "mx.test".to_owned(),
        over_quota_temporary: true,
        create_folders: true,
        max_recipients: 3,
        ..Settings::default()
    };
    let rig = Rig::with(settings, Options::default()).await;
    rig.mail.set_quota("bob", Some(10)).await.expect("set");
    let mut client = rig.greet().await;
    client
        .envelope(&["alice+New/Folder", "alice+//", "bob"])
        .await;
    assert!(
        client
            .command("RCPT TO:<alice>")
            .await
            .starts_with("452 4.5.3")
    );
    assert!(
        client
            .data(b"Subject: x\r\n\r\n.\r\n")
            .await
            .starts_with("250 2.0.0")
    );
    assert!(client.reply().await.starts_with("250 2.0.0"));
    assert!(client.reply().await.starts_with("452 4.2.2"));
    assert_eq!(rig.messages("alice", "New/Folder").await.len(), 1);
    assert_eq!(rig.messages("alice", "INBOX").await.len(), 1);
    // A folder deleted between RCPT and the data: the message is not lost.
    client.envelope(&["alice+New/Folder"]).await;
    let name = types::MailboxName::new("New/Folder").expect("a name");
    rig.account("alice")
        .await
        .delete(&name)
        .await
        .expect("deleted");
    assert!(
        client
            .data(b"Subject: y\r\n\r\n.\r\n")
            .await
            .starts_with("250 2.0.0")
    );
    assert_eq!(rig.messages("alice", "INBOX").await.len(), 2);
    rig.assert_sound().await;
}

#[tokio::test]
async fn rfc3207_4_2_starttls_discards_what_came_before_it() {
    let rig = Rig::start().await;
    let mut client = rig.greet().await;
    client
        .send(b"MAIL FROM:<a@b>\r\nSTARTTLS\r\nRCPT TO:<alice>\r\nQUIT\r\n")
        .await;
    assert!(client.reply().await.starts_with("250"));
    assert!(client.reply().await.starts_with("220 2.0.0"));
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
    let mut client = Client::new(Box::new(stream));
    assert!(
        client
            .command("RCPT TO:<alice>")
            .await
            .starts_with("503 5.5.1 LHLO")
    );
    client.send(b"LHLO x\r\n").await;
    let mut line = client.line().await;
    while line.starts_with("250-") {
        assert!(!line.contains("STARTTLS"));
        line = client.line().await;
    }
    assert!(client.command("STARTTLS").await.starts_with("502 5.5.1"));
    client.envelope(&["alice"]).await;
    assert!(client.data(b"x\r\n.\r\n").await.starts_with("250 2.0.0"));
    rig.assert_sound().await;
}

#[tokio::test]
async fn the_unix_socket_is_the_same_door() {
    let rig = Rig::start().await;
    let mut client = rig.connect_unix().await;
    client.command("LHLO x").await;
    client.envelope(&["alice", "bob"]).await;
    assert!(client.data(b"x\r\n.\r\n").await.starts_with("250 2.0.0"));
    assert!(client.reply().await.starts_with("250 2.0.0"));
    assert_eq!(client.command("QUIT").await, "221 2.0.0 bye");
    assert_eq!(client.rest().await, "");
    assert_eq!(rig.messages("bob", "INBOX").await.len(), 1);
    rig.assert_sound().await;
}

#[tokio::test]
async fn long_lines_and_garbage_are_bounded() {
    let rig = Rig::start().await;
    let mut client = rig.greet().await;
    for length in [2100, 300_000] {
        let reply = client.command(&"x".repeat(length)).await;
        assert!(reply.starts_with("500 5.5.2"), "{reply}");
    }
    let reply = client
        .command(&format!("MAIL FROM:<{}@b>", "x".repeat(600)))
        .await;
    assert!(reply.starts_with("501 5.1.7"), "{reply}");
    client.send("\0garbage\r\n".repeat(500).as_bytes()).await;
    let rest = client.rest().await;
    assert!(
        rest.ends_with("421 4.7.0 too many bad commands\r\n"),
        "{rest}"
    );
    assert!(rest.lines().count() < 30);
    rig.assert_sound().await;
}

#[tokio::test]
async fn idle_clients_and_a_stopping_server_get_a_421() {
    let settings = Settings {
        hostname: "mx.test".to_owned(),
        idle_timeout: Duration::from_millis(150),
        ..Settings::default()
    };
    let rig = Rig::with(settings, Options::default()).await;
    let mut client = rig.connect().await;
    client.send(b"LHL").await;
    assert_eq!(client.rest().await, "421 4.4.2 idle too long\r\n");
    let rig = Rig::start().await;
    let mut client = rig.connect().await;
    assert_eq!(rig.shutdown.drain(Duration::from_secs(10)).await, 0);
    assert_eq!(client.rest().await, "421 4.3.2 server is shutting down\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once_deliver_everything() {
    let rig = Arc::new(Rig::start().await);
    let mut tasks = Vec::new();
    for task in 0..16 {
        let rig = Arc::clone(&rig);
        tasks.push(tokio::spawn(async move {
            let mut client = rig.greet().await;
            for i in 0..20 {
                let input = format!(
                    "MAIL FROM:<s@example.net>\r\nRCPT TO:<alice>\r\nRCPT TO:<bob+Archive>\r\n\
                     BDAT 0\r\nBDAT {} LAST\r\n{task}-{i:02}\r\n",
                    format!("{task}-{i:02}\r\n").len()
                );
                client.send(input.as_bytes()).await;
                for _ in 0..6 {
                    let reply = client.reply().await;
                    assert!(reply.starts_with("250"), "{reply}");
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("a task");
    }
    let mut held = inbox_without_prefix(&rig).await;
    held.sort();
    held.dedup();
    assert_eq!(held.len(), 320);
    assert_eq!(rig.messages("bob", "Archive").await.len(), 320);
    let text = String::from_utf8(rig.metrics.render()).expect("text");
    for line in [
        "gatepost_messages_total{action=\"delivered\",protocol=\"lmtp\"} 640",
        "gatepost_commands_total{command=\"RCPT\",protocol=\"lmtp\",result=\"ok\"} 640",
    ] {
        assert!(text.contains(line), "{text}");
    }
    rig.assert_sound().await;
}
