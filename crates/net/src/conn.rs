//! A connection of any kind behind one type.

use std::fmt;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A process on this machine, through a unix socket.
    Unix,
}

impl Peer {
    /// The IP address, if there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            // An IPv4 client on a dual-stack socket is the same client.
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }

    /// Whether the peer is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What was negotiated, by its IANA names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsInfo {
    /// As `TLSv1_3`.
    pub version: &'static str,
    /// As `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
}

/// What a connection is read from and written to.
pub trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

/// A transformation over a connection, as COMPRESS=DEFLATE is: see [`crate::Wire::layer`].
pub trait Layer: Io {
    /// Whether all that was taken from the connection below has been passed on.
    fn is_idle(&self) -> bool;

    /// The connection below.
    fn into_conn(self: Box<Self>) -> Conn;
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    TcpTls(Box<TlsStream<TcpStream>>),
    UnixTls(Box<TlsStream<UnixStream>>),
    Layered(Box<dyn Layer>),
    /// While a handshake owns the stream, and for good if that fails.
    Closed,
}

/// A stream of octets with a peer.
pub struct Conn {
    stream: Stream,
    peer: Peer,
    tls: Option<TlsInfo>,
}

impl Conn {
    /// Over TCP.
    pub fn tcp(stream: TcpStream, peer: SocketAddr) -> Self {
        Self {
            stream: Stream::Tcp(stream),
            peer: Peer::Tcp(peer),
            tls: None,
        }
    }

    /// Over a unix socket.
    pub fn unix(stream: UnixStream) -> Self {
        Self {
            stream: Stream::Unix(stream),
            peer: Peer::Unix,
            tls: None,
        }
    }

    /// Who is there.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether what is sent is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a layer lies over it.
    pub(crate) fn is_layered(&self) -> bool {
        matches!(self.stream, Stream::Layered(_))
    }

    /// Whether it is TCP and nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.stream, Stream::Tcp(_))
    }

    /// Version and cipher, when encrypted.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.tls
    }

    /// The server's side of a TLS handshake. After an error the connection is closed.
    pub(crate) async fn handshake(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Closed) {
            Stream::Tcp(stream) => Stream::TcpTls(Box::new(acceptor.accept(stream).await?)),
            Stream::Unix(stream) => Stream::UnixTls(Box::new(acceptor.accept(stream).await?)),
            _ => return Err(io::Error::other("TLS is possible once, over a socket")),
        };
        let session = match &self.stream {
            Stream::TcpTls(stream) => Some(stream.get_ref().1),
            Stream::UnixTls(stream) => Some(stream.get_ref().1),
            _ => None,
        };
        self.tls = session.map(|session| TlsInfo {
            version: session
                .protocol_version()
                .and_then(|v| v.as_str())
                .unwrap_or("unknown"),
            cipher: session
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
        });
        Ok(())
    }

    /// Puts a layer between this connection and its user; peer and TLS facts stay.
    pub(crate) fn layer(&mut self, make: impl FnOnce(Self) -> Box<dyn Layer>) {
        let (peer, tls) = (self.peer, self.tls);
        let inner = std::mem::replace(
            self,
            Self {
                stream: Stream::Closed,
                peer,
                tls,
            },
        );
        self.stream = Stream::Layered(make(inner));
    }

    /// Whether a layer has passed on all it took, or there is none.
    pub(crate) fn is_idle(&self) -> bool {
        match &self.stream {
            Stream::Layered(layer) => layer.is_idle(),
            _ => true,
        }
    }

    /// Takes the layer away, if there is one.
    pub(crate) fn unlayer(&mut self) {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Closed) {
            Stream::Layered(layer) => layer.into_conn().stream,
            other => other,
        };
    }

    /// Reads what is there now, whatever the runtime knows of it.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; `Unsupported` over anything but plain TCP.
    pub(crate) fn read_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.stream {
            Stream::Tcp(stream) => (&*SockRef::from(stream)).read(buf),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut dyn Io>> {
        Ok(match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream),
            Stream::Unix(stream) => Pin::new(stream),
            Stream::TcpTls(stream) => Pin::new(&mut **stream),
            Stream::UnixTls(stream) => Pin::new(&mut **stream),
            Stream::Layered(stream) => Pin::new(&mut **stream),
            Stream::Closed => return Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Layered(stream) => stream.is_write_vectored(),
            Stream::Closed => false,
            _ => true,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }
}
