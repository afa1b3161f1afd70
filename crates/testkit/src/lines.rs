//! A blocking connection that speaks in lines, under the three clients.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer of a loopback server may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Lines {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Lines {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        stream
            .set_nodelay(true)
            .expect("TCP_NODELAY on an open socket");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout above zero");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a timeout above zero");
        let writer = stream
            .try_clone()
            .expect("a second handle of an open socket");
        Self {
            reader: BufReader::with_capacity(256 * 1024, stream),
            writer,
        }
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        self.writer
            .set_read_timeout(Some(patience))
            .expect("a timeout above zero");
    }

    pub(crate) fn restore_patience(&self) {
        self.set_patience(PATIENCE);
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.writer
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("send: {error}"));
    }

    /// The next line without its line end.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server has closed; otherwise what the socket says.
    pub(crate) fn try_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    pub(crate) fn line(&mut self) -> Vec<u8> {
        self.try_line()
            .unwrap_or_else(|error| panic!("no line from the server: {error}"))
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.line()).into_owned()
    }

    /// That many octets.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server has closed; otherwise what the socket says.
    pub(crate) fn try_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// `bytes` as SMTP DATA, LMTP DATA and POP3 carry it: leading dots doubled, the final dot added.
pub fn dot_stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
