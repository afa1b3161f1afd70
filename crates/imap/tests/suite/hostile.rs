//! Clients that mean harm or do not know better: each gets a clear answer or a bounded end, and
//! nobody else notices.

use crate::common::{Server, Setup};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let (read, write) = TcpStream::connect(server.address)
            .await
            .expect("a listener")
            .into_split();
        let mut client = Self {
            read: BufReader::new(read),
            write,
        };
        assert!(client.line().await.starts_with("* OK "));
        client
    }

    async fn log_in(server: &Server) -> Self {
        let mut client = Self::connect(server).await;
        client.send(b"l LOGIN alice secret\r\n").await;
        assert!(client.line().await.starts_with("l OK "));
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A server that has hung up shows in what is read.
        let _ = timeout(PATIENCE, self.write.write_all(bytes))
            .await
            .expect("the server reads");
    }

    /// The next line without its CRLF; empty at the end.
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = timeout(PATIENCE, self.read.read_until(b'\n', &mut line)).await;
        read.expect("an answer in time").unwrap_or(0);
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    async fn expect(&mut self, start: &str) {
        let line = self.line().await;
        assert!(line.starts_with(start), "expected {start}, got {line}");
    }

    async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.read.read_to_end(&mut rest))
            .await
            .expect("an end in time");
        assert!(
            read.is_err() || rest.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&rest)
        );
    }
}

#[tokio::test]
async fn a_line_over_the_limit_is_answered_by_its_tag() {
    let server = Setup::default().start().await;
    let mut client = Client::connect(&server).await;
    let long = [b"a1 LOGIN alice ".as_slice(), &vec![b'x'; 5000], b"\r\n"].concat();
    client.send(&long).await;
    client.expect("a1 BAD command line too long").await;
    // One that ends in a literal: the literal is part of it.
    let long = [
        b"a2 LOGIN ".as_slice(),
        &vec![b'x'; 5000],
        b" {5+}\r\nalice {3+}\r\nabc\r\na3 NOOP\r\n",
    ]
    .concat();
    client.send(&long).await;
    client.expect("a2 BAD command line too long").await;
    client.expect("a3 OK").await;
    client.send(b"a4 LOGIN alice secret\r\n").await;
    client.expect("a4 OK").await;
    // After login the limit is wider, and counts all lines of a command together.
    let long = [b"a5 NOOP ".as_slice(), &vec![b'x'; 5000], b"\r\n"].concat();
    client.send(&long).await;
    client
        .expect("a5 BAD unexpected text after the command")
        .await;
    let part = [vec![b'x'; 40_000], b" {1+}\r\n".to_vec()].concat();
    client
        .send(&[b"a6 ID ".as_slice(), &part, b"y", &part, b"z\r\n"].concat())
        .await;
    client.expect("a6 BAD command line too long").await;
    client.send(b"a7 NOOP\r\n").await;
    client.expect("a7 OK").await;
    assert!(server.problems().await.is_empty());
}

#[tokio::test]
async fn a_line_without_end_ends_the_connection() {
    let server = Setup::default().start().await;
    let mut endless = Client::connect(&server).await;
    let mut other = Client::log_in(&server).await;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..18 {
        endless.send(&piece).await;
    }
    endless.expect("* BYE command without end").await;
    other.send(b"a1 NOOP\r\n").await;
    other.expect("a1 OK").await;
}

#[tokio::test]
async fn many_literals_are_refused() {
    let server = Setup::default().start().await;
    let mut client = Client::log_in(&server).await;
    client.send(b"a1 ID (").await;
    for _ in 0..600 {
        client.send(b"{1+}\r\nx ").await;
    }
    client.send(b")\r\na2 NOOP\r\n").await;
    client.expect("a1 BAD too many literals").await;
    client.expect("a2 OK").await;
}

#[tokio::test]
async fn a_literal_over_the_limit_before_login_ends_the_connection() {
    let server = Setup::default().start().await;
    let mut client = Client::connect(&server).await;
    client.send(b"a1 LOGIN {100000+}\r\n").await;
    client.expect("* BYE literal far too large").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_client_that_never_finishes_a_line_is_let_go() {
    let mut setup = Setup::default();
    setup.limits.idle_before_login = Duration::from_millis(300);
    setup.listener.timeouts.data = Duration::from_millis(300);
    let server = setup.start().await;
    let mut silent = Client::connect(&server).await;
    let mut half = Client::connect(&server).await;
    half.send(b"a1 LOG").await;
    let mut in_literal = Client::connect(&server).await;
    in_literal.send(b"a1 LOGIN {5}\r\n").await;
    in_literal.expect("+ OK").await;
    in_literal.send(b"al").await;
    // One octet now and then does not help.
    let mut trickling = Client::connect(&server).await;
    let trickle = async {
        for _ in 0..40 {
            trickling.send(b"x").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut patient = Client::log_in(&server).await;
    tokio::join!(trickle, silent.expect("* BYE no command for too long"));
    half.expect("* BYE no command for too long").await;
    in_literal.expect("* BYE no command for too long").await;
    trickling.expect("* BYE no command for too long").await;
    // Whoever has logged in has more time.
    patient.send(b"a1 NOOP\r\n").await;
    patient.expect("a1 OK").await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go_and_costs_bounded_memory() {
    let mut setup = Setup::default();
    setup.listener.timeouts.write = Duration::from_millis(500);
    let server = setup.start().await;
    let mut client = Client::log_in(&server).await;
    for n in 0..200 {
        let name = format!("a1 CREATE {n:0>700}\r\n");
        client.send(name.as_bytes()).await;
        client.expect("a1 OK").await;
    }
    // 150 KB per answer, thousands of them: more than any socket buffer takes.
    let flood = b"b LIST \"\" *\r\n".repeat(1000);
    let mut deaf = Client::log_in(&server).await;
    let sent = async {
        for _ in 0..20 {
            if deaf.write.write_all(&flood).await.is_err() {
                return;
            }
        }
        // Everything fitted into the buffers on the way; the server still hangs up.
        let _ = deaf.write.closed_by_peer().await;
    };
    timeout(PATIENCE, sent).await.expect("the server hangs up");
    client.send(b"a2 NOOP\r\n").await;
    client.expect("a2 OK").await;
    let out = server.metric("gatepost_bytes_total{direction=\"out\",protocol=\"imap\"}");
    assert!(
        out < 100_000_000.0,
        "{out} octets were sent to a client that reads nothing"
    );
}

/// A writer that only wants to know when the other side has gone.
trait ClosedByPeer {
    async fn closed_by_peer(&mut self) -> std::io::Result<()>;
}

impl ClosedByPeer for OwnedWriteHalf {
    async fn closed_by_peer(&mut self) -> std::io::Result<()> {
        loop {
            self.write_all(b"c NOOP\r\n").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn nonsense_after_login_ends_the_connection_in_the_end() {
    let server = Setup::default().start().await;
    let mut client = Client::log_in(&server).await;
    for n in 0..21 {
        client.send(format!("a{n} NOPE\r\n").as_bytes()).await;
        client.expect(&format!("a{n} BAD")).await;
    }
    client.expect("* BYE too many invalid commands").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_inside_a_command_changes_nothing() {
    let server = Setup::default().start().await;
    let mut client = Client::log_in(&server).await;
    client
        .send(b"a1 APPEND INBOX {1000+}\r\nSubject: half")
        .await;
    drop(client);
    let mut other = Client::log_in(&server).await;
    other.send(b"a1 STATUS INBOX (MESSAGES)\r\n").await;
    other.expect("* STATUS INBOX (MESSAGES 0)").await;
    assert!(server.problems().await.is_empty());
}
