//! A front for tests and clients to speak to it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use net::{
    Conn, ConnState, Context, Deflate, Front, FrontMetrics, Io, Layer, Listener, ListenerConfig,
    Local, Metrics, Refused, Served, Shutdown, Tls, Wire, WireError,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf,
};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Any stream as a layer, which nobody takes away.
pub struct Plain<T>(pub T);

impl<T: Io> Layer for Plain<T> {
    fn is_idle(&self) -> bool {
        false
    }

    fn into_conn(self: Box<Self>) -> Conn {
        panic!("nobody asked whether it is idle")
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Plain<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Plain<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Says `hello`, then answers: `starttls`, `layer`, `deflate`, `panic`, `hang`, `flood N`,
/// `literal N`, `data`, `quit`, `tls?`; anything else is echoed. Refusals begin with `busy`.
pub struct Echo(pub Arc<FrontMetrics>);

impl Front for Echo {
    fn metrics(&self) -> &Arc<FrontMetrics> {
        &self.0
    }

    fn refusal(&self, reason: Refused) -> Bytes {
        Bytes::from(format!("busy {reason:?}\r\n"))
    }

    fn serve(self: Arc<Self>, wire: Wire, context: Context) -> Served {
        Box::pin(self.talk(wire, context))
    }
}

impl Echo {
    async fn talk(self: Arc<Self>, mut wire: Wire, context: Context) {
        wire.write(b"hello\r\n");
        let last = loop {
            match self.command(&mut wire, &context).await {
                Ok(true) => {}
                Ok(false) => break "goodbye",
                Err(WireError::TooLong(excess)) => {
                    wire.write(b"too long ..");
                    wire.write(&excess.tail);
                    wire.write(b"\r\n");
                }
                Err(WireError::TooLarge) => wire.write(b"too large\r\n"),
                Err(WireError::Shutdown) => break "bye",
                Err(WireError::Timeout) => break "timeout",
                Err(_) => return,
            }
        };
        wire.write(last.as_bytes());
        wire.write(b"\r\n");
        match last {
            "goodbye" => wire.part().await,
            _ => wire.close().await,
        }
    }

    async fn command(&self, wire: &mut Wire, context: &Context) -> Result<bool, WireError> {
        let line = wire.line(100).await?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: usize = number.parse().unwrap_or(0);
        match word {
            "quit" => return Ok(false),
            "panic" => panic!("as asked"),
            "hang" => std::future::pending().await,
            "tls?" => {
                let info = wire.tls_info().map_or("none", |info| info.version);
                let offered = context.starttls.is_some();
                wire.write(format!("{info} {offered} {}\r\n", wire.is_tls()).as_bytes());
            }
            "starttls" => {
                wire.write(b"go\r\n");
                let tls = context.starttls.as_ref().expect("offered");
                wire.starttls(tls).await?;
                wire.set_state(ConnState::Authenticated);
            }
            "layer" => {
                wire.write(b"+\r\n");
                wire.layer(|conn, read| {
                    let (rest, out) = tokio::io::split(conn);
                    let marked = io::Cursor::new(b"through ").chain(io::Cursor::new(read));
                    Box::new(Plain(tokio::io::join(marked.chain(rest), out)))
                })
                .await?;
            }
            "deflate" => {
                wire.write(b"+\r\n");
                wire.layer(|conn, read| Box::new(Deflate::new(conn, read)))
                    .await?;
            }
            "flood" => {
                let piece = Bytes::from(vec![b'x'; 64 << 10]);
                for _ in 0..number {
                    wire.write_bytes(piece.clone());
                    wire.flush_if_over(256 << 10).await?;
                    assert!(wire.pending_out() <= 320 << 10);
                }
                wire.write(b"\r\n");
            }
            "literal" => {
                wire.write(b"+\r\n");
                let octets = wire.exact(number).await?;
                let sum = checksum(&octets);
                wire.write(format!("{} {sum}\r\n", octets.len()).as_bytes());
            }
            "skip" => {
                wire.skip(number as u64).await?;
                wire.write(b"skipped\r\n");
            }
            "data" => {
                let octets = wire.dot_block(1 << 20, |held| held < 2 << 20).await?;
                wire.write(format!("{}\r\n", octets.len()).as_bytes());
            }
            _ => wire.write(format!("{line}\r\n").as_bytes()),
        }
        Ok(true)
    }
}

/// Order matters to it.
pub fn checksum(octets: &[u8]) -> u64 {
    octets.iter().fold(7, |sum: u64, octet| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*octet))
    })
}

pub struct Server {
    pub addresses: Vec<Local>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    pub task: JoinHandle<()>,
}

impl Server {
    pub fn start(config: ListenerConfig, tls: Option<Arc<Tls>>) -> Self {
        let metrics = Metrics::new("test");
        let front = Arc::new(Echo(metrics.front("echo", ["ECHO"])));
        let listener = Listener::bind(&config, tls).expect("bound");
        let addresses = listener.local_addrs();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(listener.serve(front, shutdown.clone()));
        Self {
            addresses,
            metrics,
            shutdown,
            task,
        }
    }

    pub fn address(&self) -> SocketAddr {
        match &self.addresses[0] {
            Local::Tcp(address) => *address,
            Local::Unix(_) => panic!("no address"),
        }
    }

    pub async fn connect(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address()).await.expect("connected"))
    }

    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = String::from_utf8(self.metrics.render()).expect("text");
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

pub fn on_loopback() -> ListenerConfig {
    ListenerConfig {
        addresses: vec![([127, 0, 0, 1], 0).into()],
        ..ListenerConfig::default()
    }
}

pub struct Client<S>(pub BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// The next line; empty at the end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("in time")
            .expect("read");
        line.trim_end().to_owned()
    }

    pub async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.line().await
    }

    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
        rest
    }
}

pub fn connector(certificate: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

pub async fn handshake(
    connector: &TlsConnector,
    stream: TcpStream,
) -> io::Result<Client<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").expect("a name");
    connector.connect(name, stream).await.map(Client::new)
}
