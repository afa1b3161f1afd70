//! What an idle session costs.

mod common;

use common::Setup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SESSIONS: u64 = 400;

#[tokio::test]
async fn an_idle_session_is_small() {
    let server = Setup::default().start().await;
    let mut clients = Vec::new();
    // The first sessions pay for what all share.
    for _ in 0..50 {
        clients.push(idle(&server).await);
    }
    let before = resident();
    for _ in 0..SESSIONS {
        clients.push(idle(&server).await);
    }
    let each = resident().saturating_sub(before) / SESSIONS;
    eprintln!("{each} bytes for each session and its client");
    assert!(
        each <= 16 << 10,
        "{each} bytes for each session and its client"
    );
}

async fn idle(server: &common::Server) -> TcpStream {
    let mut tcp = TcpStream::connect(server.address)
        .await
        .expect("a listener");
    let mut seen = Vec::new();
    for (command, answer) in [
        ("", "ready\r\n"),
        ("a LOGIN alice secret\r\n", "logged in\r\n"),
        ("b SELECT INBOX\r\n", "open\r\n"),
        ("c IDLE\r\n", "+ idling\r\n"),
    ] {
        tcp.write_all(command.as_bytes()).await.expect("sent");
        while !seen.ends_with(answer.as_bytes()) {
            assert_ne!(tcp.read_buf(&mut seen).await.expect("an answer"), 0);
        }
    }
    tcp
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
