//! Lines, literals and blocks over real sockets, with clients of every temper.

use std::time::Duration;

use crate::common::{Client, Plain, Server, checksum, on_loopback};
use net::{Conn, ListenerConfig, Metrics, Shutdown, Timeouts, UnixPath, Wire};
use tokio::io::AsyncBufReadExt as _;
use tokio::net::UnixStream;

#[tokio::test]
async fn a_line_over_the_limit_is_refused_and_the_next_one_answered() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    let long = "x".repeat(1 << 20);
    let answer = client.ask(&format!("{long}{{5+}}")).await;
    assert!(
        answer.starts_with("too long ..xxx") && answer.ends_with("x{5+}"),
        "{answer}"
    );
    assert!(answer.len() < 100);
    assert_eq!(client.ask("next").await, "next");
    let limit = "y".repeat(100);
    assert_eq!(client.ask(&limit).await, limit);
    assert!(
        client
            .ask(&format!("{limit}y"))
            .await
            .starts_with("too long")
    );
    // Without end the client is dropped.
    client.send(&vec![b'z'; 16 << 20]).await;
    client.send(b"zz").await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order_and_together() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    let many: String = (0..20_000).map(|i| format!("command {i}\r\n")).collect();
    let (mut read, mut write) = tokio::io::split(client.0.into_inner());
    let sending = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut write, many.as_bytes())
            .await
            .unwrap();
        (many, write)
    });
    let mut got = vec![0; (0..20_000).map(|i| format!("command {i}\r\n").len()).sum()];
    tokio::io::AsyncReadExt::read_exact(&mut read, &mut got)
        .await
        .unwrap();
    assert!(got == sending.await.unwrap().0.as_bytes());
}

#[tokio::test]
async fn the_connection_of_a_client_that_took_leave_is_closed_at_once() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    assert_eq!(client.ask("quit").await, "goodbye");
    assert_eq!(client.line().await, "");
    // Nobody is there any more who would read it.
    client.send(b"still here\r\n").await;
    let mut socket = client.0.into_inner();
    let gone = tokio::io::AsyncWriteExt::write_all(&mut socket, b"?").await;
    assert!(gone.is_err());
}

#[tokio::test]
async fn a_client_that_says_more_behind_its_last_word_reads_the_answer() {
    let server = Server::start(on_loopback(), None);
    for more in [1, 1000, 100_000] {
        let mut client = server.connect().await;
        assert_eq!(client.line().await, "hello");
        let said = format!("quit\r\n{}", "more\r\n".repeat(more));
        client.send(said.as_bytes()).await;
        assert_eq!(client.line().await, "goodbye");
        assert_eq!(client.0.read_line(&mut String::new()).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn literals_of_all_sizes_arrive_whole_and_leave_the_rest() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    for size in [0, 1, 4095, 4096, 4097, 100_000, 3 << 20] {
        let octets: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
        client.send(format!("literal {size}\r\n").as_bytes()).await;
        client.send(&octets).await;
        client.send(b"after\r\n").await;
        assert_eq!(client.line().await, "+");
        assert_eq!(client.line().await, format!("{size} {}", checksum(&octets)));
        assert_eq!(client.line().await, "after");
        client.send(format!("skip {size}\r\n").as_bytes()).await;
        client.send(&octets).await;
        assert_eq!(client.line().await, "skipped");
    }
}

#[tokio::test]
async fn data_blocks_over_the_limit_are_refused_after_their_end() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    for (lines, answer) in [(10, "1000"), (30_000, "too large"), (10_000, "1000000")] {
        let block = format!("..{}\r\n", "a".repeat(97)).repeat(lines);
        client
            .send(format!("data\r\n{block}.\r\nafter\r\n").as_bytes())
            .await;
        assert_eq!(client.line().await, answer);
        assert_eq!(client.line().await, "after");
    }
}

#[tokio::test]
async fn a_client_that_sends_octet_by_octet_is_understood_until_its_time_is_up() {
    let timeouts = Timeouts {
        idle: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let server = Server::start(
        ListenerConfig {
            timeouts,
            ..on_loopback()
        },
        None,
    );
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    for octet in b"slow\r\n" {
        client.send(&[*octet]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.line().await, "slow");
    // One octet now and then does not prolong a line's time.
    let mut rest = tokio::spawn({
        let mut client = server.connect().await;
        async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                tokio::select! {
                    line = client.line() => if line != "hello" { return line },
                    _ = ticks.tick() => client.send(b"x").await,
                }
            }
        }
    });
    assert_eq!(client.line().await, "timeout");
    let other = tokio::time::timeout(Duration::from_secs(5), &mut rest).await;
    assert_eq!(other.unwrap().unwrap(), "timeout");
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped_and_costs_bounded_memory() {
    let timeouts = Timeouts {
        write: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let server = Server::start(
        ListenerConfig {
            timeouts,
            ..on_loopback()
        },
        None,
    );
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    // 6 GiB, of which the server holds at most what its assertion allows.
    client.send(b"flood 100000\r\n").await;
    let mut active = false;
    while !active || server.shutdown.active() > 0 {
        active |= server.shutdown.active() > 0;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        server.metric("gatepost_panics_total{protocol=\"echo\"}"),
        Some(0.0)
    );
}

#[tokio::test]
async fn large_answers_arrive_whole_at_a_slow_reader() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    let answer = client.ask("flood 300").await;
    assert_eq!(answer.len(), 300 * (64 << 10));
    let sent = server.metric("gatepost_bytes_total{direction=\"out\",protocol=\"echo\"}");
    assert_eq!(sent, Some((300 * (64 << 10) + 2 + 7) as f64));
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_replaces_a_dead_one() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lmtp.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let unix = UnixPath {
        path: path.clone(),
        mode: 0o620,
    };
    let config = ListenerConfig {
        unix: Some(unix),
        ..ListenerConfig::default()
    };
    let server = Server::start(config.clone(), None);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o620
    );
    let mut client = Client::new(UnixStream::connect(&path).await.unwrap());
    assert_eq!(client.line().await, "hello");

    let error = net::Listener::bind(&config, None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("lmtp.sock") && error.contains("another process"),
        "{error}"
    );

    server.shutdown.drain(Duration::from_secs(5)).await;
    server.task.await.unwrap();
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(net::Listener::bind(&config, None).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_layer_gets_what_was_read_before_it() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    client.send(b"layer\r\none\r\ntw").await;
    assert_eq!(client.line().await, "+");
    assert_eq!(client.line().await, "through one");
    client.send(b"o\r\n").await;
    assert_eq!(client.line().await, "two");
}

#[tokio::test]
async fn flushing_sends_everything_even_after_it_was_abandoned_once() {
    use tokio::io::{AsyncReadExt, BufWriter, duplex};
    let metrics = Metrics::new("test");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let token = Shutdown::new().token();
    let front = metrics.front("echo", []);
    let mut wire = Wire::new(
        Conn::tcp(socket, address),
        front,
        token,
        Timeouts::default(),
    );
    let (near, mut far) = duplex(16);
    // Takes all at once and hands it on sixteen octets at a time, as TLS may.
    wire.layer(|_, _| Box::new(Plain(BufWriter::with_capacity(1 << 20, near))))
        .await
        .unwrap();
    for size in [100, 3_000_000] {
        wire.write_bytes(vec![b'x'; size].into());
        tokio::select! {
            biased;
            _ = wire.flush() => panic!("nobody has read"),
            () = std::future::ready(()) => {}
        }
        let mut got = vec![0; size];
        let (flushed, read) = tokio::join!(wire.flush(), far.read_exact(&mut got[..size - 16]));
        flushed.unwrap();
        read.unwrap();
        assert_eq!(wire.pending_out(), 0);
        let last = tokio::time::timeout(Duration::from_secs(20), far.read_exact(&mut got[..16]));
        last.await.unwrap().unwrap();
    }
}
