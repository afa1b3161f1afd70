//! A client connection that costs little: big reads, answers counted where they lie.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::{memchr, memmem};
use rustix::net::sockopt::set_tcp_quickack;

/// The benchmark's errors are only ever shown.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A server that is silent this long fails the workload.
const PATIENCE: Duration = Duration::from_secs(120);
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
}

impl Stream for TcpStream {
    fn second(&self) -> io::Result<TcpStream> {
        self.try_clone()
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
}

/// Bytes from the server, seen line by line without copying.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// All octets received so far.
    received: u64,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr, buffer: usize) -> Result<Self> {
        Ok(Self::over(Box::new(dial(address)?), buffer))
    }

    /// Lines over any stream; its timeouts are the caller's business.
    pub(crate) fn over(stream: Box<dyn Stream>, buffer: usize) -> Self {
        Self {
            stream,
            buffer: vec![0; buffer],
            at: 0,
            end: 0,
            received: 0,
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    /// A second handle of a plain connection, to write from another thread.
    pub(crate) fn writer(&self) -> Result<TcpStream> {
        Ok(self.stream.second()?)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
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
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.end += read;
        self.received += read as u64;
        Ok(())
    }
}
