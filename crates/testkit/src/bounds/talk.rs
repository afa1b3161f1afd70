//! A client of which thousands fit into one process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use crate::grammar::literal_length;

/// Connections from one address: there are only so many ports, and a server allows only so many.
const FROM_ONE: usize = 500;

/// An IMAP connection that keeps nothing of what it is told.
pub(super) struct Talk {
    stream: BufReader<TcpStream>,
    tags: u32,
    /// Octets of the literal that comes next.
    literal: u64,
}

impl Talk {
    /// Connection `number` of a crowd, logged in.
    pub(super) async fn login(to: SocketAddr, number: usize, user: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let host = u8::try_from(number / FROM_ONE + 2).map_err(io::Error::other)?;
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
        // A crowd must not fill the memory of the machine that watches it.
        socket.set_recv_buffer_size(16 << 10)?;
        let mut talk = Self {
            stream: BufReader::with_capacity(512, socket.connect(to).await?),
            tags: 0,
            literal: 0,
        };
        talk.line().await?;
        talk.ok(&format!("LOGIN {user} {}", crate::PASSWORD))
            .await?;
        Ok(talk)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await?;
        match line.ends_with(b"\r\n") {
            true => Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sends octets.
    pub(super) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets).await
    }

    /// Sends a command and does not wait.
    pub(super) async fn start(&mut self, command: &str) -> io::Result<()> {
        self.tags += 1;
        let line = format!("t{} {command}\r\n", self.tags);
        self.send(line.as_bytes()).await
    }

    /// Reads up to a line that begins so; how many octets of literals came, and the line. If a
    /// literal follows, it is not read yet.
    pub(super) async fn until(&mut self, begin: &str) -> io::Result<(u64, String)> {
        let mut octets = 0;
        loop {
            let mut literal = (&mut self.stream).take(std::mem::take(&mut self.literal));
            octets += tokio::io::copy(&mut literal, &mut tokio::io::sink()).await?;
            let line = self.line().await?;
            self.literal = literal_length(line.as_bytes()).unwrap_or(0) as u64;
            if line.starts_with(begin) {
                return Ok((octets, line));
            }
        }
    }

    /// The answer to the command that was started last; how many octets of literals it had.
    pub(super) async fn finish(&mut self) -> io::Result<(u64, String)> {
        let tag = format!("t{} ", self.tags);
        let (octets, line) = self.until(&tag).await?;
        Ok((octets, line[tag.len()..].to_owned()))
    }

    /// A command that must be answered OK; how many octets of literals the answer had.
    pub(super) async fn ok(&mut self, command: &str) -> io::Result<u64> {
        self.start(command).await?;
        let (octets, line) = self.finish().await?;
        match line.starts_with("OK") {
            true => Ok(octets),
            false => Err(io::Error::other(format!("{command}: {line}"))),
        }
    }
}
