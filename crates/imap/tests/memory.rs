//! What an idle session costs.

mod common;

use common::Setup;
use testkit::Zlib;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SESSIONS: u64 = 500;

/// A client that idles.
const IDLE: &[(&str, &str)] = &[
    ("", "ready\r\n"),
    ("a LOGIN alice secret\r\n", "logged in\r\n"),
    ("b SELECT INBOX\r\n", "open\r\n"),
    ("c IDLE\r\n", "+ idling\r\n"),
];

/// The same, compressed. It has fetched enough for the compressor to have a history.
const COMPRESSED: &[(&str, &str)] = &[
    ("", "ready\r\n"),
    ("a LOGIN alice secret\r\n", "logged in\r\n"),
    ("b COMPRESS DEFLATE\r\n", "from here on\r\n"),
    ("c SELECT INBOX\r\n", "open\r\n"),
    ("d FETCH 1:* (ENVELOPE BODY.PEEK[])\r\n", "d OK fetched\r\n"),
    ("e IDLE\r\n", "+ idling\r\n"),
];

/// A client that hears of everything without idling.
const NOTIFIED: &[(&str, &str)] = &[
    ("", "ready\r\n"),
    ("a LOGIN alice secret\r\n", "logged in\r\n"),
    ("b SELECT INBOX\r\n", "open\r\n"),
    (
        "c NOTIFY SET (selected (MessageNew (UID ENVELOPE) MessageExpunge FlagChange)) \
         (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))\r\n",
        "told\r\n",
    ),
];

#[tokio::test]
async fn a_session_with_notify_is_no_larger() {
    let each = cost(NOTIFIED).await;
    eprintln!("{each} bytes for each session and its client");
    assert!(each <= 16 << 10, "{each} bytes");
}

#[tokio::test]
async fn an_idle_session_is_small() {
    let each = cost(IDLE).await;
    eprintln!("{each} bytes for each session and its client");
    assert!(each <= 16 << 10, "{each} bytes");
}

#[tokio::test]
async fn an_idle_compressed_session_is_hardly_larger() {
    let each = cost(COMPRESSED).await;
    eprintln!("{each} bytes for each session and its client");
    assert!(each <= 16 << 10, "{each} bytes");
}

/// Bytes of memory for each session that has gone through `script` and waits, with its client.
async fn cost(script: &[(&str, &str)]) -> u64 {
    let mut setup = Setup::default();
    setup.listener.max_connections_per_ip = 2 * SESSIONS as usize;
    let mut server = setup.start().await;
    testkit::dialogue::Host::set_up(&mut server, "fill", "200", None)
        .await
        .expect("messages");
    let mut clients = Vec::new();
    // The first sessions pay for what all share.
    for _ in 0..50 {
        clients.push(idle(&server, script).await);
    }
    let before = settled().await;
    for _ in 0..SESSIONS {
        clients.push(idle(&server, script).await);
    }
    settled().await.saturating_sub(before) / SESSIONS
}

async fn idle(server: &common::Server, script: &[(&str, &str)]) -> TcpStream {
    let tcp = TcpStream::connect(server.address)
        .await
        .expect("a listener");
    let mut stream = Zlib::new(tcp);
    let mut seen = Vec::new();
    for (command, answer) in script {
        stream.write_all(command.as_bytes()).await.expect("sent");
        stream.flush().await.expect("sent");
        while !seen.ends_with(answer.as_bytes()) {
            assert_ne!(stream.read_buf(&mut seen).await.expect("an answer"), 0);
        }
    }
    // The client's side of the compression is not what is measured.
    stream.into_inner()
}

/// Bytes of this process in memory, once they shrink no more: sessions give back what they can
/// after a moment of silence.
async fn settled() -> u64 {
    let mut last = resident();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = resident();
        if now >= last {
            return now;
        }
        last = now;
    }
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = status
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    pages * 4096
}
