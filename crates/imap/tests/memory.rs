//! What an idle session costs: memory of the process, and what of it is allocated. The two differ
//! by the holes that allocations leave, which depend on what else the process has done.
#![allow(
    unsafe_code,
    reason = "counting what is allocated means being the allocator"
)]

#[path = "suite/common/mod.rs"]
mod common;

use common::Setup;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use testkit::Zlib;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SESSIONS: u64 = 500;

/// Bytes allocated and not freed.
static ALLOCATED: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

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
async fn an_idle_session_is_small() {
    let each = cost(IDLE).await;
    assert!(each.resident <= 16 << 10, "{each:?}");
    assert!(each.allocated <= 10 << 10, "{each:?}");
}

#[tokio::test]
async fn an_idle_compressed_session_is_hardly_larger() {
    let each = cost(COMPRESSED).await;
    assert!(each.allocated <= 12 << 10, "{each:?}");
}

#[tokio::test]
async fn a_session_with_notify_is_hardly_larger() {
    let each = cost(NOTIFIED).await;
    assert!(each.allocated <= 12 << 10, "{each:?}");
}

/// Bytes for each session and its client.
#[derive(Clone, Copy, Debug)]
struct Cost {
    resident: i64,
    allocated: i64,
}

impl Cost {
    fn now() -> Self {
        Self {
            resident: resident(),
            allocated: ALLOCATED.load(Ordering::Relaxed),
        }
    }
}

/// What each session costs that has gone through `script` and waits.
async fn cost(script: &[(&str, &str)]) -> Cost {
    let mut setup = Setup::default();
    setup.listener.max_connections_per_ip = 2 * SESSIONS as usize;
    let mut server = setup.start().await;
    testkit::dialogue::Host::set_up(&mut server, "fill", "200", None)
        .await
        .expect("messages");
    let mut clients = Vec::with_capacity(2 * SESSIONS as usize);
    // The first sessions pay for what all share.
    for _ in 0..50 {
        clients.push(idle(&server, script).await);
    }
    let before = settled().await;
    for _ in 0..SESSIONS {
        clients.push(idle(&server, script).await);
    }
    let after = settled().await;
    let each = Cost {
        resident: (after.resident - before.resident) / SESSIONS as i64,
        allocated: (after.allocated - before.allocated) / SESSIONS as i64,
    };
    eprintln!("{each:?}");
    each
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

/// What is in use once it shrinks no more: sessions give back what they can after a moment of
/// silence.
async fn settled() -> Cost {
    let mut last = Cost::now();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = Cost::now();
        if now.allocated >= last.allocated {
            return now;
        }
        last = now;
    }
}

/// Bytes of this process in memory.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: i64 = status
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    pages * 4096
}
