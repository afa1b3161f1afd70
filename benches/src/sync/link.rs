//! The client's end of a connection: lines and literals, with or without DEFLATE, and every octet
//! and every turn counted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use memchr::memchr;
use serde::Serialize;

use crate::wire::Result;

/// A server that is silent this long fails the visit.
const PATIENCE: Duration = Duration::from_secs(120);
/// And one that has not told of a change after this time does not push.
const PUSH_PATIENCE: Duration = Duration::from_secs(10);

/// What a visit cost on the network, in octets of TCP payload.
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

/// A connection.
pub(crate) struct Link {
    stream: TcpStream,
    codec: Option<Box<(Compress, Decompress)>>,
    /// Received and not yet inflated.
    packed: Vec<u8>,
    /// For the reader, from `at`.
    plain: Vec<u8>,
    at: usize,
    buffer: Vec<u8>,
    waiting: Waiting,
    traffic: Traffic,
}

impl Link {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let traffic = Traffic {
            turns: 1,
            ..Traffic::default()
        };
        Ok(Self {
            stream,
            codec: None,
            packed: Vec::new(),
            plain: Vec::new(),
            at: 0,
            buffer: vec![0; 256 << 10],
            // The greeting answers the handshake's last ACK.
            waiting: Waiting::Answer,
            traffic,
        })
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// From the next octet on, in both directions (RFC 4978).
    pub(crate) fn compress(&mut self) {
        let deflate = Compress::new(Compression::default(), false);
        self.codec = Some(Box::new((deflate, Decompress::new(false))));
    }

    /// The next octets come unasked.
    pub(crate) fn expect_push(&mut self) -> Result<()> {
        self.waiting = Waiting::Push;
        Ok(self.stream.set_read_timeout(Some(PUSH_PATIENCE))?)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let packed = match &mut self.codec {
            Some(codec) => Some(deflate(&mut codec.0, bytes)?),
            None => None,
        };
        let bytes = packed.as_deref().unwrap_or(bytes);
        self.sent(bytes.len());
        Ok(self.stream.write_all(bytes)?)
    }

    fn sent(&mut self, count: usize) {
        self.traffic.up += count as u64;
        self.waiting = Waiting::Answer;
    }

    /// Sends many commands at once from a second thread while `read` takes the answers: neither
    /// end can then wait for the other to read first. Without compression.
    pub(crate) fn send_while<T>(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let mut writer = self.stream.try_clone()?;
        self.sent(bytes.len());
        thread::scope(|scope| {
            let writing = scope.spawn(move || writer.write_all(bytes));
            let done = read(self);
            match writing.join() {
                Ok(written) => written?,
                Err(_) => return Err("the writing thread panicked".into()),
            }
            done
        })
    }

    /// The next line without its line end.
    pub(crate) fn line(&mut self) -> Result<&[u8]> {
        let mut searched = 0;
        let length = loop {
            if let Some(found) = memchr(b'\n', &self.plain[self.at + searched..]) {
                break searched + found;
            }
            searched = self.plain.len() - self.at;
            self.fill()?;
        };
        let line = &self.plain[self.at..self.at + length];
        self.at += length + 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Reads over `count` octets.
    pub(crate) fn skip(&mut self, mut count: usize) -> Result<()> {
        loop {
            let here = count.min(self.plain.len() - self.at);
            self.at += here;
            count -= here;
            if count == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.plain.drain(..self.at);
        self.at = 0;
        if self.plain.len() > 64 << 20 {
            return Err("a line of more than 64 MB".into());
        }
        match std::mem::replace(&mut self.waiting, Waiting::No) {
            Waiting::No => {}
            Waiting::Answer => self.traffic.turns += 1,
            Waiting::Push => self.traffic.pushes += 1,
        }
        let count = self.stream.read(&mut self.buffer)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        self.traffic.down += count as u64;
        let read = &self.buffer[..count];
        match &mut self.codec {
            None => self.plain.extend_from_slice(read),
            Some(codec) => {
                self.packed.extend_from_slice(read);
                inflate(&mut codec.1, &mut self.packed, &mut self.plain)?;
            }
        }
        Ok(())
    }
}

fn deflate(deflate: &mut Compress, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let start = deflate.total_in();
    loop {
        let taken = (deflate.total_in() - start) as usize;
        deflate.compress_vec(&bytes[taken..], &mut out, FlushCompress::Sync)?;
        let taken = (deflate.total_in() - start) as usize;
        // Room left: the whole of the marker is there.
        if taken == bytes.len() && out.len() < out.capacity() {
            return Ok(out);
        }
        out.reserve(bytes.len() + 64);
    }
}

fn inflate(inflate: &mut Decompress, packed: &mut Vec<u8>, plain: &mut Vec<u8>) -> Result<()> {
    let mut taken = 0;
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        plain.reserve(256 << 10);
        inflate.decompress_vec(&packed[taken..], plain, FlushDecompress::Sync)?;
        taken += (inflate.total_in() - before.0) as usize;
        if inflate.total_out() == before.1 {
            packed.drain(..taken);
            return Ok(());
        }
    }
}
