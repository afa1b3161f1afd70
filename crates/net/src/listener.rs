//! Accepting connections and running a session for each.

use std::fmt;
use std::fs;
use std::future::Future;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::conn::{Conn, Peer};
use crate::limits::{Limits, Permit, Refused};
use crate::metrics::FrontMetrics;
use crate::shutdown::{Shutdown, Token, Tracked};
use crate::tls::Tls;
use crate::wire::{Timeouts, Wire, WireError};

/// Connections the kernel holds for us until we accept them.
const BACKLOG: i32 = 1024;
/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Never.
    #[default]
    None,
    /// When the client asks; the front offers it.
    StartTls,
    /// Before the first octet.
    Implicit,
}

/// A unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixPath {
    /// Where.
    pub path: PathBuf,
    /// Its permission bits, as `0o660`.
    pub mode: u32,
}

/// What to listen on, and how much.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// TCP addresses; port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// A unix socket beside them.
    pub unix: Option<UnixPath>,
    /// When TLS begins; unix sockets never speak it.
    pub tls: TlsMode,
    /// Connections over all sockets of this listener.
    pub max_connections: usize,
    /// Connections per IPv4 address or IPv6 /64.
    pub max_connections_per_ip: usize,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            unix: None,
            tls: TlsMode::None,
            max_connections: 50_000,
            max_connections_per_ip: 500,
            timeouts: Timeouts::default(),
        }
    }
}

/// A protocol: what to do with a connection.
pub trait Front: Send + Sync + 'static {
    /// Where this front's connections are counted; names the protocol.
    fn metrics(&self) -> &Arc<FrontMetrics>;

    /// The one line, with its CRLF, said to a connection that is turned away.
    fn refusal(&self, reason: Refused) -> Bytes;

    /// Runs a session to its end. TLS is already established if the listener has it from the
    /// start. A panic ends this session only.
    fn serve(self: Arc<Self>, wire: Wire, context: Context) -> Served;
}

/// A session, or a whole door. Boxed: so it is compiled where it is written, once, and not in each
/// program that has such a door, with all that it awaits.
pub type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a session is told about its connection.
#[derive(Debug, Clone)]
pub struct Context {
    /// A number of this process' own, ascending from 1: in every log line of the session.
    pub session: u64,
    /// Who is there.
    pub peer: Peer,
    /// To be offered as STARTTLS or STLS, and given to [`Wire::starttls`]; `None` when TLS is not
    /// configured or already there.
    pub starttls: Option<Arc<Tls>>,
    /// When the process stops.
    pub shutdown: Token,
}

/// Where a listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// A TCP address, with the real port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// An address cannot be listened on; `Display` is a sentence for the operator.
#[derive(Debug)]
pub struct BindError {
    local: Local,
    error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.local)?;
        match (self.error.kind(), &self.local) {
            (io::ErrorKind::AddrInUse, _) => f.write_str("another process listens there"),
            (io::ErrorKind::AddrNotAvailable, _) => f.write_str("this machine has no such address"),
            (io::ErrorKind::PermissionDenied, Local::Tcp(address)) if address.port() < 1024 => {
                f.write_str("ports below 1024 need the capability CAP_NET_BIND_SERVICE")
            }
            _ => self.error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

/// Bound sockets, not yet served.
pub struct Listener {
    sockets: Vec<Accepting>,
    tls: Option<Arc<Tls>>,
    mode: TlsMode,
    limits: Arc<Limits>,
    timeouts: Timeouts,
}

enum Accepting {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, UnixFile),
}

/// Removes the socket's file when it is no longer listened on.
struct UnixFile(PathBuf);

impl Drop for UnixFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Binds every socket of `config`, or none. Without `tls`, mode `StartTls` offers nothing;
    /// `Implicit` needs it.
    pub fn bind(config: &ListenerConfig, tls: Option<Arc<Tls>>) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        for &address in &config.addresses {
            let fail = |error| BindError {
                local: Local::Tcp(address),
                error,
            };
            if config.tls == TlsMode::Implicit && tls.is_none() {
                return Err(fail(io::Error::other(
                    "TLS is wanted here but not configured",
                )));
            }
            let shared = config
                .addresses
                .iter()
                .any(|other| other.is_ipv4() && other.port() == address.port());
            let socket = bind_tcp(address, shared).map_err(fail)?;
            let local = socket.local_addr().map_err(fail)?;
            sockets.push(Accepting::Tcp(socket, local));
        }
        if let Some(unix) = &config.unix {
            let fail = |error| BindError {
                local: Local::Unix(unix.path.clone()),
                error,
            };
            let socket = bind_unix(unix).map_err(fail)?;
            sockets.push(Accepting::Unix(socket, UnixFile(unix.path.clone())));
        }
        Ok(Self {
            sockets,
            tls,
            mode: config.tls,
            limits: Limits::new(config.max_connections, config.max_connections_per_ip),
            timeouts: config.timeouts,
        })
    }

    /// Where connections are accepted, in the order of the configuration.
    pub fn local_addrs(&self) -> Vec<Local> {
        self.sockets
            .iter()
            .map(|socket| match socket {
                Accepting::Tcp(_, local) => Local::Tcp(*local),
                Accepting::Unix(_, file) => Local::Unix(file.0.clone()),
            })
            .collect()
    }

    /// Accepts until shutdown, then returns when every session has ended or was cut off.
    pub fn serve(self, front: Arc<dyn Front>, shutdown: Shutdown) -> Served {
        Box::pin(self.accept_all(front, shutdown))
    }

    async fn accept_all(self, front: Arc<dyn Front>, shutdown: Shutdown) {
        let mut loops = JoinSet::new();
        for socket in self.sockets {
            let is_tcp = matches!(socket, Accepting::Tcp(..));
            let acceptor = Acceptor {
                front: Arc::clone(&front),
                tls: self
                    .tls
                    .clone()
                    .filter(|_| is_tcp && self.mode != TlsMode::None),
                implicit: self.mode == TlsMode::Implicit && is_tcp,
                limits: Arc::clone(&self.limits),
                timeouts: self.timeouts,
                shutdown: shutdown.clone(),
                sessions: JoinSet::new(),
            };
            loops.spawn(acceptor.run(socket));
        }
        while loops.join_next().await.is_some() {}
    }
}

/// One socket and its sessions.
struct Acceptor {
    front: Arc<dyn Front>,
    tls: Option<Arc<Tls>>,
    implicit: bool,
    limits: Arc<Limits>,
    timeouts: Timeouts,
    shutdown: Shutdown,
    sessions: JoinSet<()>,
}

impl Acceptor {
    async fn run(mut self, socket: Accepting) {
        let mut token = self.shutdown.token();
        loop {
            tokio::select! {
                () = token.started() => break,
                Some(ended) = self.sessions.join_next() => log_panic(ended),
                accepted = accept(&socket) => match accepted {
                    Ok(accepted) => self.admit(accepted),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        // Closed at once, so that clients turn to another server.
        drop(socket);
        loop {
            tokio::select! {
                ended = self.sessions.join_next() => match ended {
                    Some(ended) => log_panic(ended),
                    None => return,
                },
                () = token.aborted() => return self.sessions.shutdown().await,
            }
        }
    }

    fn admit(&mut self, accepted: Accepted) {
        let metrics = self.front.metrics();
        let permit = match self.limits.admit(accepted.peer()) {
            Ok(permit) => permit,
            Err(reason) => {
                metrics.count_refused(reason.label());
                tracing::warn!(
                    proto = metrics.protocol(),
                    peer = %accepted.peer(),
                    reason = reason.label(),
                    "connection refused"
                );
                // A handshake for the sake of a refusal would help whoever floods us.
                if !self.implicit {
                    accepted.refuse(&self.front.refusal(reason));
                }
                return;
            }
        };
        metrics.count_accepted();
        let context = Context {
            session: next_session(),
            peer: accepted.peer(),
            starttls: self.tls.clone().filter(|_| !self.implicit),
            shutdown: self.shutdown.token(),
        };
        let span = tracing::info_span!(
            "conn",
            proto = metrics.protocol(),
            peer = %context.peer,
            session = context.session
        );
        let wire = Wire::new(
            accepted.into_conn(),
            Arc::clone(metrics),
            self.shutdown.token(),
            self.timeouts,
        );
        let implicit = self.tls.clone().filter(|_| self.implicit);
        let held = Held {
            _permit: permit,
            _tracked: self.shutdown.track(),
        };
        let session = session(Arc::clone(&self.front), wire, context, implicit, held);
        self.sessions.spawn(session.instrument(span));
    }
}

/// What a session occupies until it ends, however it ends.
struct Held {
    _permit: Permit,
    _tracked: Tracked,
}

async fn session(
    front: Arc<dyn Front>,
    mut wire: Wire,
    context: Context,
    implicit: Option<Arc<Tls>>,
    held: Held,
) {
    let guard = PanicGuard(Arc::clone(front.metrics()));
    let ready = match implicit {
        Some(tls) => wire.starttls(&tls).await,
        None => Ok(()),
    };
    match ready {
        Ok(()) => front.serve(wire, context).await,
        // Port scans and health checks come and go without a word.
        Err(WireError::Eof) => {}
        Err(error) => tracing::info!(%error, "no TLS handshake"),
    }
    drop((guard, held));
}

/// Counts a panic passing by, inside the session's span.
struct PanicGuard(Arc<FrontMetrics>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.count_panic();
            tracing::error!("session ended by a panic");
        }
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "panic in a session");
    }
}

fn next_session() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

impl Accepted {
    fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, address) => Peer::Tcp(*address),
            Self::Unix(_) => Peer::Unix,
        }
    }

    fn into_conn(self) -> Conn {
        match self {
            Self::Tcp(stream, address) => {
                // Answers are collected before they are sent; waiting for more only adds delay.
                let _ = stream.set_nodelay(true);
                Conn::tcp(stream, address)
            }
            Self::Unix(stream) => Conn::unix(stream),
        }
    }

    /// One attempt to say why, into the empty buffer of a fresh socket: it never waits.
    fn refuse(self, line: &[u8]) {
        let _ = match self {
            Self::Tcp(stream, _) => stream.into_std().and_then(|mut s| s.write(line)),
            Self::Unix(stream) => stream.into_std().and_then(|mut s| s.write(line)),
        };
    }
}

async fn accept(socket: &Accepting) -> io::Result<Accepted> {
    match socket {
        Accepting::Tcp(socket, _) => {
            let (stream, peer) = socket.accept().await?;
            Ok(Accepted::Tcp(stream, peer))
        }
        Accepting::Unix(socket, _) => Ok(Accepted::Unix(socket.accept().await?.0)),
    }
}

/// A connection that died in the queue concerns nobody; want of descriptors or memory does, and
/// trying again at once would only burn time.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn bind_tcp(address: SocketAddr, shares_port_with_v4: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `[::]:143` alone takes IPv4 too; beside `0.0.0.0:143` it must not.
        socket.set_only_v6(shares_port_with_v4)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(StdTcpListener::from(socket))
}

fn bind_unix(unix: &UnixPath) -> io::Result<UnixListener> {
    if is_listened_on(&unix.path)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    // Bound under another name and renamed: nobody can connect before the mode is set, and the
    // file of a process that was killed is replaced.
    let mut fresh = unix.path.clone().into_os_string();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = UnixFile(PathBuf::from(fresh));
    let _ = fs::remove_file(&fresh.0);
    let socket = UnixListener::bind(&fresh.0)?;
    fs::set_permissions(&fresh.0, fs::Permissions::from_mode(unix.mode))?;
    fs::rename(&fresh.0, &unix.path)?;
    Ok(socket)
}

/// Whether a living process listens there. Anything but a socket in the way is an error.
fn is_listened_on(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(meta) if !meta.file_type().is_socket() => {
            Err(io::Error::other("a file that is no socket is in the way"))
        }
        Ok(_) => Ok(std::os::unix::net::UnixStream::connect(path).is_ok()),
    }
}
