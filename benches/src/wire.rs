//! A client connection that costs little: big reads, answers counted where they lie, and every
//! octet and every turn of the conversation counted.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::{memchr, memmem};
use rustix::net::sockopt::set_tcp_quickack;
use serde::Serialize;

use crate::deflate::Deflate;

/// The benchmark's errors are only ever shown.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A server that is silent this long fails the workload.
const PATIENCE: Duration = Duration::from_secs(120);
/// And one that has not told of a change after this time does not push.
const PUSH_PATIENCE: Duration = Duration::from_secs(10);
/// Of compressed octets in one read.
const PACKED: usize = 64 << 10;
/// Enough that a bulk FETCH costs few system calls.
pub(crate) const BULK: usize = 1 << 20;
/// For connections that are opened by the hundred, or last for one command.
pub(crate) const SMALL: usize = 8 << 10;

/// A TCP connection without delays of its own, which gives up on a silent server.
pub(crate) fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What a [`Wire`] runs over: TCP, TLS, a link with a delay, a compressed stream.
pub(crate) trait Stream: Read + Write + Send {
    /// A second handle, to write from another thread, where there can be one.
    fn second(&self) -> io::Result<TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How long a read may wait.
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn second(&self) -> io::Result<TcpStream> {
        self.try_clone()
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// A connection whose client acknowledges at once what it has read.
///
/// For a server that leaves Nagle's algorithm on and writes an answer in pieces: its second piece
/// waits for the acknowledgement of the first, and the client's kernel for something to send with
/// it, 40 ms. On Ethernet a piece of a few kilobytes is several segments, of which every second is
/// acknowledged at once; on loopback, with segments of 64 KB, it is less than one.
pub(crate) struct QuickAck(pub(crate) TcpStream);

impl Read for QuickAck {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The kernel forgets it as soon as something is sent.
        set_tcp_quickack(&self.0, true)?;
        self.0.read(buffer)
    }
}

impl Write for QuickAck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for QuickAck {
    fn second(&self) -> io::Result<TcpStream> {
        self.0.try_clone()
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.0.set_patience(patience)
    }
}

/// What a conversation cost on the network, in octets of TCP payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// Client to server.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// Round trips: how often the client had to wait for an answer to what it had sent before it
    /// could go on. The TCP handshake is one, the greeting another.
    pub(crate) turns: u64,
    /// How often it waited for something that the server sent unasked: half a round trip.
    pub(crate) pushes: u64,
}

impl Traffic {
    /// What has come since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            up: self.up - before.up,
            down: self.down - before.down,
            turns: self.turns - before.turns,
            pushes: self.pushes - before.pushes,
        }
    }
}

enum Waiting {
    /// Nothing that would be a wait of its own: the rest of an answer.
    No,
    Answer,
    Push,
}

/// A stream whose octets are counted.
struct Counted {
    stream: Box<dyn Stream>,
    waiting: Waiting,
    traffic: Traffic,
}

impl Counted {
    fn read(&mut self, room: &mut [u8]) -> Result<usize> {
        match std::mem::replace(&mut self.waiting, Waiting::No) {
            Waiting::No => {}
            Waiting::Answer => self.traffic.turns += 1,
            Waiting::Push => self.traffic.pushes += 1,
        }
        let count = self.stream.read(room)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        self.traffic.down += count as u64;
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sent(bytes.len());
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    fn sent(&mut self, count: usize) {
        self.traffic.up += count as u64;
        self.waiting = Waiting::Answer;
    }
}

/// Bytes from the server, seen line by line without copying.
pub(crate) struct Wire {
    counted: Counted,
    deflate: Option<Box<Deflate>>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr, buffer: usize) -> Result<Self> {
        Ok(Self::over(Box::new(dial(address)?), buffer))
    }

    /// Lines over any stream that has just been connected.
    pub(crate) fn over(stream: Box<dyn Stream>, buffer: usize) -> Self {
        let traffic = Traffic {
            turns: 1,
            ..Traffic::default()
        };
        Self {
            counted: Counted {
                stream,
                // The greeting answers the handshake's last ACK.
                waiting: Waiting::Answer,
                traffic,
            },
            deflate: None,
            buffer: vec![0; buffer],
            at: 0,
            end: 0,
        }
    }

    /// From the next octet on, in both directions (RFC 4978).
    pub(crate) fn compress(&mut self) {
        self.deflate = Some(Box::new(Deflate::new()));
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.deflate {
            Some(deflate) => self.counted.write(&deflate.pack(bytes)?),
            None => self.counted.write(bytes),
        }
    }

    /// A second handle of a plain connection, by which another thread sends so many octets.
    pub(crate) fn begin_sending(&mut self, count: usize) -> Result<TcpStream> {
        self.counted.sent(count);
        self.writer()
    }

    /// The next octets come unasked.
    pub(crate) fn expect_push(&mut self) -> Result<()> {
        self.counted.waiting = Waiting::Push;
        Ok(self.counted.stream.set_patience(PUSH_PATIENCE)?)
    }

    /// A second handle of a plain connection, to write from another thread.
    pub(crate) fn writer(&self) -> Result<TcpStream> {
        Ok(self.counted.stream.second()?)
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.counted.traffic
    }

    /// All octets received so far.
    pub(crate) fn received(&self) -> u64 {
        self.counted.traffic.down
    }

    /// The next line without its line end.
    pub(crate) fn line(&mut self) -> Result<&[u8]> {
        let mut searched = self.at;
        loop {
            if let Some(found) = memchr(b'\n', &self.buffer[searched..self.end]) {
                let line = &self.buffer[self.at..searched + found];
                self.at = searched + found + 1;
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            let known = self.end - self.at;
            self.fill()?;
            searched = self.at + known;
        }
    }

    /// Reads over `count` octets.
    pub(crate) fn skip(&mut self, mut count: usize) -> Result<()> {
        loop {
            let here = count.min(self.end - self.at);
            self.at += here;
            count -= here;
            if count == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Reads over everything up to the end of a POP3 multi-line answer whose status line has just
    /// been read.
    pub(crate) fn skip_multiline(&mut self) -> Result<()> {
        // The CRLF of the status line may be the first half of the end mark.
        self.at -= 2;
        let end_mark = memmem::Finder::new(b"\r\n.\r\n");
        loop {
            if let Some(found) = end_mark.find(&self.buffer[self.at..self.end]) {
                self.at += found + 5;
                return Ok(());
            }
            self.at = self.end.saturating_sub(4).max(self.at);
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        if self.at > 0 {
            self.buffer.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.at = 0;
        }
        if self.end == self.buffer.len() {
            if self.end > 64 << 20 {
                return Err("a line of more than 64 MB".into());
            }
            self.buffer.resize(2 * self.end, 0);
        }
        let room = &mut self.buffer[self.end..];
        self.end += match &mut self.deflate {
            None => self.counted.read(room)?,
            Some(deflate) => inflated(deflate, &mut self.counted, room)?,
        };
        Ok(())
    }
}

/// What was received before may hold more.
fn inflated(deflate: &mut Deflate, counted: &mut Counted, room: &mut [u8]) -> Result<usize> {
    let mut packed = vec![0; PACKED];
    loop {
        let count = deflate.unpack(room)?;
        if count > 0 {
            return Ok(count);
        }
        let count = counted.read(&mut packed)?;
        deflate.feed(&packed[..count]);
    }
}
