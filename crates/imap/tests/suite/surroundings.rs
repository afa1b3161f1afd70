//! What depends on the server around a session: TLS, policies, quota, a store in trouble, shutdown,
//! metrics.

use crate::common::{Setup, dialogue};
use auth::CleartextPolicy;
use net::Tls;
use std::sync::Arc;
use std::time::Duration;
use storage::{Call, ErrorKind, FaultBlobs, FaultMeta, Faults, MemoryBlobs, MemoryMeta};

#[tokio::test]
async fn passwords_do_not_cross_without_tls_where_that_is_forbidden() {
    let tls = Tls::self_signed(&["localhost"]).expect("a certificate");
    let setup = Setup {
        cleartext: CleartextPolicy::Never,
        tls: Some(tls),
        ..Setup::default()
    };
    let mut server = setup.start().await;
    dialogue(
        &mut server,
        "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED {{.*}}STARTTLS{{.*}}] test.example Gatepost ready\n\
         C: a1 LOGIN alice secret\n\
         S: a1 NO [PRIVACYREQUIRED] passwords are taken over TLS only\n\
         C: a2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\n\
         S: a2 NO [PRIVACYREQUIRED] passwords are taken over TLS only\n\
         C: a3 STARTTLS now\n\
         S: a3 BAD unexpected text after the command\n",
    )
    .await;
}

#[tokio::test]
async fn starttls_forgets_what_came_before_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let tls = Tls::self_signed(&["localhost"]).expect("a certificate");
    let certificate = tls.certificate().expect("a certificate");
    let setup = Setup {
        cleartext: CleartextPolicy::Never,
        tls: Some(tls),
        ..Setup::default()
    };
    let server = setup.start().await;
    let mut tcp = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("a listener");
    let mut buffer = [0; 4096];
    let n = tcp.read(&mut buffer).await.expect("a greeting");
    assert!(buffer[..n].ends_with(b"ready\r\n"));
    // CVE-2011-0411: a command slipped in before the handshake must not run under it.
    tcp.write_all(b"a1 STARTTLS\r\na2 NOOP\r\n")
        .await
        .expect("sent");
    let n = tcp.read(&mut buffer).await.expect("an answer");
    assert_eq!(&buffer[..n], b"a1 OK begin TLS now\r\n");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().expect("a name");
    let mut stream = connector.connect(name, tcp).await.expect("a handshake");
    stream.write_all(b"b1 CAPABILITY\r\n").await.expect("sent");
    let n = stream.read(&mut buffer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&buffer[..n]).into_owned();
    assert!(
        answer.starts_with("* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN "),
        "{answer}"
    );
    assert!(
        !answer.contains("STARTTLS") && !answer.contains("a2"),
        "{answer}"
    );
    stream
        .write_all(b"b2 STARTTLS\r\nb3 LOGIN alice secret\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    while !answer.contains("b3 ") || !answer.ends_with('\n') {
        let n = stream.read(&mut buffer).await.expect("an answer");
        assert_ne!(n, 0, "{answer}");
        answer += &String::from_utf8_lossy(&buffer[..n]);
    }
    assert!(
        answer.starts_with("b2 BAD TLS is already there\r\nb3 OK "),
        "{answer}"
    );
}

#[tokio::test]
async fn without_tls_starttls_is_not_offered() {
    let mut server = Setup::default().start().await;
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 STARTTLS\n\
         S: a1 BAD TLS is not offered here\n\
         C: a2 CAPABILITY\n\
         S: * CAPABILITY {{IMAP4rev1 AUTH=PLAIN AUTH=LOGIN IMAP4rev2 LITERAL. SASL-IR ID .*}}\n\
         S: a2 OK {{.*}}\n",
    )
    .await;
}

#[tokio::test]
async fn over_quota_is_said_before_the_message_is_sent() {
    let mut server = Setup {
        quota: Some(100),
        ..Setup::default()
    }
    .start()
    .await;
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 APPEND INBOX {101}\n\
         S: a2 NO [OVERQUOTA] {{.*}}\n\
         C: a3 APPEND INBOX {60+}\n\
         C: 012345678901234567890123456789012345678901234567890123456789\n\
         S: a3 OK [APPENDUID {{\\d+}} 1] appended\n\
         C: a4 APPEND INBOX {60+}\n\
         C: 012345678901234567890123456789012345678901234567890123456789\n\
         S: a4 NO [OVERQUOTA] {{.*}}\n\
         C: a5 SELECT INBOX\n\
         S*: a5 OK {{.*}}\n\
         C: a6 COPY 1 Trash\n\
         S: a6 NO [OVERQUOTA] {{.*}}\n\
         C: a7 MOVE 1 Trash\n\
         S: * OK [COPYUID {{\\d+}} 1 1] moved\n\
         S: * 1 EXPUNGE\n\
         S: a7 OK moved\n",
    )
    .await;
}

#[tokio::test]
async fn a_store_in_trouble_is_told_and_nothing_changes() {
    let faults = Faults::default();
    let setup = Setup {
        meta: Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone())),
        blobs: Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone())),
        ..Setup::default()
    };
    let mut server = setup.start().await;
    dialogue(
        &mut server,
        "! fill 2\n\
         S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 SELECT INBOX\n\
         S*: a2 OK {{.*}}\n",
    )
    .await;
    let before = server.account("alice").await.tree().folders.len();
    faults.fail_every(Call::Commit, ErrorKind::Unavailable);
    faults.fail_every(Call::BlobPut, ErrorKind::Unavailable);
    let unavailable = "NO [UNAVAILABLE] the mail store is not available now, try again later";
    let commands = [
        "CREATE box",
        "DELETE Trash",
        "RENAME Trash Bin",
        "SUBSCRIBE box",
        "APPEND INBOX {3+}\r\nabc",
    ];
    let selected = [
        "STORE 1 +FLAGS (\\Seen)",
        "COPY 1 Trash",
        "MOVE 1 Trash",
        "REPLACE 1 INBOX {3+}\\r\\nabc",
    ];
    let mut text = "S: * OK {{.*}}\nC: a1 LOGIN alice secret\nS: a1 OK {{.*}}\n".to_owned();
    for command in commands {
        text += &format!(
            "C: b {}\nS: b {unavailable}\n",
            command.replace("\r\n", "\\r\\n")
        );
    }
    text += "C: a2 SELECT INBOX\nS*: a2 OK {{.*}}\n";
    for command in selected {
        text += &format!("C: b {command}\nS: b {unavailable}\n");
    }
    text += "C: c FETCH 1:* (UID)\nS: * 1 FETCH (UID 1)\nS: * 2 FETCH (UID 2)\nS: c OK fetched\n";
    dialogue(&mut server, &text).await;
    faults.heal();
    assert_eq!(server.account("alice").await.tree().folders.len(), before);
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 STATUS INBOX (MESSAGES UNSEEN)\n\
         S: * STATUS INBOX (MESSAGES 2 UNSEEN 2)\n\
         S: a2 OK {{.*}}\n\
         C: a3 CREATE box\n\
         S: a3 OK {{.*}}\n",
    )
    .await;
    assert!(
        server
            .metric("gatepost_commands_total{command=\"COPY\",protocol=\"imap\",result=\"error\"}")
            > 0.0
    );
}

#[tokio::test]
async fn shutdown_says_goodbye_to_everybody() {
    let mut server = Setup::default().start().await;
    let shutdown = server.shutdown.clone();
    let text = "S: * OK {{.*}}\n\
         S[b]: * OK {{.*}}\n\
         C[b]: b1 LOGIN alice secret\n\
         S[b]: b1 OK {{.*}}\n\
         C[b]: b2 SELECT INBOX\n\
         S*[b]: b2 OK {{.*}}\n\
         C[b]: b3 IDLE\n\
         S[b]: + idling\n\
         ! shutdown\n\
         S: * BYE server is shutting down\n\
         EOF:\n\
         S[b]: * BYE server is shutting down\n\
         EOF[b]:\n";
    dialogue(&mut server, text).await;
    assert_eq!(shutdown.drain(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn idle_is_kept_alive() {
    let mut setup = Setup::default();
    setup.limits.keep_alive = Duration::from_millis(100);
    let mut server = setup.start().await;
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 IDLE\n\
         S: + idling\n\
         S: * OK still here\n\
         C: DONE\n\
         S*: a2 OK {{.*}}\n",
    )
    .await;
}

#[tokio::test]
async fn commands_and_messages_are_counted() {
    let mut server = Setup::default().start().await;
    dialogue(
        &mut server,
        "! fill 3\n\
         S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 SELECT INBOX\n\
         S*: a2 OK {{.*}}\n\
         C: a3 STORE 1:2 FLAGS.SILENT (\\Deleted)\n\
         S: a3 OK stored\n\
         C: a4 COPY 1 Trash\n\
         S: a4 OK {{.*}}\n\
         C: a5 EXPUNGE\n\
         S*: a5 OK {{.*}}\n\
         C: a6 NOPE\n\
         S: a6 BAD {{.*}}\n\
         C: a7 FETCH 1:* (FLAGS)\n\
         S*: a7 OK {{.*}}\n\
         C: a8 LOGOUT\n\
         S*: a8 OK {{.*}}\n\
         EOF:\n",
    )
    .await;
    for (series, want) in [
        (
            "gatepost_messages_total{action=\"deleted\",protocol=\"imap\"}",
            2.0,
        ),
        (
            "gatepost_messages_total{action=\"copied\",protocol=\"imap\"}",
            1.0,
        ),
        (
            "gatepost_commands_total{command=\"STORE\",protocol=\"imap\",result=\"ok\"}",
            1.0,
        ),
        (
            "gatepost_logins_total{mechanism=\"LOGIN\",protocol=\"imap\",result=\"ok\"}",
            1.0,
        ),
    ] {
        assert_eq!(server.metric(series), want, "{series}");
    }
    let sync = server.metric("gatepost_sync_bytes_total{method=\"full\",protocol=\"imap\"}");
    assert!(sync > 20.0, "{sync}");
}

#[tokio::test]
async fn the_way_of_a_message_to_an_idle_session_is_measured() {
    let mut server = Setup::default().start().await;
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 SELECT INBOX\n\
         S*: a2 OK {{.*}}\n\
         C: a3 IDLE\n\
         S: + idling\n\
         ! append INBOX\n\
         S: * 1 EXISTS\n\
         S: * 1 RECENT\n\
         C: DONE\n\
         S: a3 OK idle ended\n",
    )
    .await;
    assert_eq!(
        server.metric("gatepost_delivery_visible_seconds_count"),
        1.0
    );
}
