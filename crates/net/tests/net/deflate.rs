//! Compressed connections, with zlib at the other end.

use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use net::Timeouts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Server, checksum, on_loopback};

/// A client whose every octet goes through zlib.
struct Zlib {
    stream: TcpStream,
    deflate: Compress,
    inflate: Decompress,
    /// Read and not yet decompressed.
    compressed: Vec<u8>,
    /// Decompressed and not yet taken.
    plain: Vec<u8>,
    ended: bool,
}

impl Zlib {
    /// Over a connection that has just become a compressed one, or will with what is sent next.
    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            deflate: Compress::new(Compression::best(), false),
            inflate: Decompress::new(false),
            compressed: Vec::new(),
            plain: Vec::new(),
            ended: false,
        }
    }

    async fn start(server: &Server) -> Self {
        let mut client = server.connect().await;
        assert_eq!(client.line().await, "hello");
        assert_eq!(client.ask("deflate").await, "+");
        Self::over(client.0.into_inner())
    }

    fn pack(&mut self, octets: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut packed = Vec::with_capacity(64);
        let start = self.deflate.total_in();
        loop {
            packed.reserve(octets.len() / 2 + 64);
            let done = (self.deflate.total_in() - start) as usize;
            let status = self
                .deflate
                .compress_vec(&octets[done..], &mut packed, flush)
                .expect("zlib");
            let all = (self.deflate.total_in() - start) as usize == octets.len();
            if status == Status::StreamEnd || all && packed.len() < packed.capacity() {
                return packed;
            }
        }
    }

    async fn send(&mut self, octets: &[u8]) {
        let packed = self.pack(octets, FlushCompress::Sync);
        self.stream.write_all(&packed).await.expect("sent");
    }

    /// Decompresses what is there; whether something new came of it.
    fn unpack(&mut self) -> bool {
        let (read, made) = (self.inflate.total_in(), self.inflate.total_out());
        self.plain.reserve(64 << 10);
        let status = self
            .inflate
            .decompress_vec(&self.compressed, &mut self.plain, FlushDecompress::Sync)
            .expect("DEFLATE");
        self.ended |= status == Status::StreamEnd;
        let used = (self.inflate.total_in() - read) as usize;
        self.compressed.drain(..used);
        self.inflate.total_out() > made
    }

    /// The next line, with what zlib makes of the octets received so far and nothing else.
    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.plain.iter().position(|&c| c == b'\n') {
                let line: Vec<u8> = self.plain.drain(..=end).collect();
                return String::from_utf8(line).expect("text").trim_end().to_owned();
            }
            if self.unpack() {
                continue;
            }
            let read = self.stream.read_buf(&mut self.compressed);
            let read = tokio::time::timeout(Duration::from_secs(20), read).await;
            // A reset is an end too.
            if read.expect("in time").unwrap_or(0) == 0 {
                return String::new();
            }
        }
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.line().await
    }
}

#[tokio::test]
async fn every_answer_can_be_decompressed_when_the_client_waits_for_it() {
    let server = Server::start(on_loopback(), None);
    let mut client = Zlib::start(&server).await;
    for n in 0..300 {
        let line = format!("line {n}");
        assert_eq!(client.ask(&line).await, line);
    }
    // Megabytes that compress well, then octets that do not.
    assert_eq!(client.ask("flood 40").await.len(), 40 * (64 << 10));
    let mut seed = 1_u64;
    let octets: Vec<u8> = (0..3 << 20)
        .map(|_| {
            seed = noise(seed);
            (seed >> 33) as u8
        })
        .collect();
    client
        .send(format!("literal {}\r\n", octets.len()).as_bytes())
        .await;
    assert_eq!(client.line().await, "+");
    client.send(&octets).await;
    client.send(b"after\r\n").await;
    let sum = checksum(&octets);
    assert_eq!(client.line().await, format!("{} {sum}", octets.len()));
    assert_eq!(client.line().await, "after");
    // A clean end: zlib sees the end of the stream.
    assert_eq!(client.ask("quit").await, "goodbye");
    assert_eq!(client.line().await, "");
    assert!(client.ended && client.compressed.is_empty());
}

#[tokio::test]
async fn any_flush_will_do_and_any_cut() {
    let server = Server::start(on_loopback(), None);
    let mut client = Zlib::start(&server).await;
    for flush in [
        FlushCompress::Partial,
        FlushCompress::Sync,
        FlushCompress::Full,
        FlushCompress::Partial,
    ] {
        for n in 0..40 {
            let line = format!("{flush:?} {n} {}", "again ".repeat(n % 7));
            let packed = client.pack(format!("{line}\r\n").as_bytes(), flush);
            for octet in packed {
                client.stream.write_all(&[octet]).await.expect("sent");
                tokio::task::yield_now().await;
            }
            assert_eq!(client.line().await, line.trim_end());
        }
    }
    // The client ends its stream: nothing more can come.
    let last = client.pack(b"last\r\n", FlushCompress::Finish);
    client.stream.write_all(&last).await.expect("sent");
    assert_eq!(client.line().await, "last");
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn what_follows_the_command_at_once_is_compressed() {
    let server = Server::start(on_loopback(), None);
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    let mut client = Zlib::over(client.0.into_inner());
    let mut octets = b"deflate\r\n".to_vec();
    octets.extend(client.pack(b"literal 100000\r\n", FlushCompress::Sync));
    octets.extend(client.pack(&[b'x'; 100_000], FlushCompress::Sync));
    octets.extend(client.pack(b"next\r\n", FlushCompress::Sync));
    client.stream.write_all(&octets).await.expect("sent");
    let mut go = [0; 3];
    client.stream.read_exact(&mut go).await.expect("plain");
    assert_eq!(&go, b"+\r\n");
    assert_eq!(client.line().await, "+");
    let sum = checksum(&[b'x'; 100_000]);
    assert_eq!(client.line().await, format!("100000 {sum}"));
    assert_eq!(client.line().await, "next");
}

#[tokio::test]
async fn a_long_silence_forgets_no_octet_the_client_may_refer_to() {
    let server = Server::start(on_loopback(), None);
    let mut client = Zlib::start(&server).await;
    // More than a window, so that its oldest part is dropped; then references to its far end.
    let line: String = (0..9000).map(|n| format!("{n} ")).collect();
    for _ in 0..3 {
        client.send(b"literal 40000\r\n").await;
        assert_eq!(client.line().await, "+");
        client.send(&line.as_bytes()[..40_000]).await;
        let sum = checksum(&line.as_bytes()[..40_000]);
        assert_eq!(client.line().await, format!("40000 {sum}"));
        // Longer than the compressor is kept: the next answer comes from a new one.
        assert_eq!(client.ask("flood 1").await.len(), 64 << 10);
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(client.ask("tls?").await, "none false false");
}

#[tokio::test]
async fn a_bomb_is_a_line_that_is_too_long() {
    let server = Server::start(on_loopback(), None);
    let mut client = Zlib::start(&server).await;
    let bomb = vec![b'z'; 8 << 20];
    let packed = client.pack(&bomb, FlushCompress::Sync);
    assert!(packed.len() < 10_000);
    client.stream.write_all(&packed).await.expect("sent");
    let answer = client.ask("").await;
    assert!(answer.starts_with("too long"), "{answer}");
    assert_eq!(client.ask("next").await, "next");
    // Without end the client is dropped, however little it sends.
    for _ in 0..3 {
        let packed = client.pack(&bomb, FlushCompress::Sync);
        if client.stream.write_all(&packed).await.is_err() {
            break;
        }
    }
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn damaged_input_ends_the_connection() {
    for octets in [
        &b"NOOP\r\nNOOP\r\n"[..],
        &[0xff; 20],
        b"\x00\x01\x00\x01\x00x",
    ] {
        let server = Server::start(on_loopback(), None);
        let mut client = Zlib::start(&server).await;
        client.stream.write_all(octets).await.expect("sent");
        assert_eq!(client.line().await, "");
        let panics = server.metric("gatepost_panics_total{protocol=\"echo\"}");
        assert_eq!(panics, Some(0.0));
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped() {
    let timeouts = Timeouts {
        write: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let config = net::ListenerConfig {
        timeouts,
        ..on_loopback()
    };
    let server = Server::start(config, None);
    let mut client = Zlib::start(&server).await;
    // Echoes that cannot be compressed away.
    let mut seed = 1_u64;
    let lines: Vec<u8> = (0..20_000)
        .flat_map(|_| {
            seed = noise(seed);
            let (a, b, c) = (seed, noise(!seed), noise(seed << 5));
            format!("{a:016x}{b:016x}{c:016x}{a:016X}{c:016X}\r\n").into_bytes()
        })
        .collect();
    let packed = client.pack(&lines, FlushCompress::Sync);
    let sending = async {
        while client.stream.write_all(&packed).await.is_ok() {
            client.deflate.reset();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sending)
        .await
        .expect("dropped");
}

fn noise(seed: u64) -> u64 {
    let seed = seed ^ (seed << 13);
    let seed = seed ^ (seed >> 7);
    seed ^ (seed << 17)
}
