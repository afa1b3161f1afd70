//! [`Wire`]: what a front reads from and writes to.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::conn::{Conn, Layer, Peer, TlsInfo};
use crate::input::{DotBlock, Excess, Input, Unfit};
use crate::metrics::{ConnState, FrontMetrics, OpenConn};
use crate::output::{Output, SLICES};
use crate::shutdown::Token;
use crate::tls::Tls;

/// How much is read at once while commands come in.
const READ_SMALL: usize = 4 << 10;
/// How much is read at once while much is expected.
const READ_LARGE: usize = 256 << 10;
/// What flushing before the end of a session may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closed connection waits for the peer's end, so that the last line is not lost to a
/// reset.
const LINGER: Duration = Duration::from_millis(500);

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a command line to arrive, from when it is waited for.
    pub idle: Duration,
    /// Without a single octet inside a literal or a data block.
    pub data: Duration,
    /// Without taking a single octet of what we send.
    pub write: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // RFC 9051 5.4: at least 30 minutes once logged in; fronts set less before.
            idle: Duration::from_secs(30 * 60),
            data: Duration::from_secs(180),
            write: Duration::from_secs(120),
            handshake: Duration::from_secs(30),
        }
    }
}

/// Why nothing more can be read or written. After all but `TooLong`, `TooLarge` and `NoRoom` the
/// session is over; `Timeout`, `Shutdown` and `Ended` leave the connection usable for a last line.
#[derive(Debug)]
pub enum WireError {
    /// A line over the limit. It has been thrown away up to its end.
    TooLong(Excess),
    /// A block over the limit. It has been thrown away up to its end.
    TooLarge,
    /// A block for which there is no room now. It has been thrown away up to its end.
    NoRoom,
    /// The peer has closed the connection.
    Eof,
    /// The peer took longer than allowed.
    Timeout,
    /// The peer went on far beyond a limit: close without further ado.
    Gone,
    /// The process is stopping.
    Shutdown,
    /// What [`Wire::end_when`] waits for has happened.
    Ended,
    /// The transport failed.
    Io(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(_) => f.write_str("line too long"),
            Self::TooLarge => f.write_str("data too large"),
            Self::NoRoom => f.write_str("no room for the data"),
            Self::Eof => f.write_str("connection closed by peer"),
            Self::Timeout => f.write_str("peer too slow"),
            Self::Gone => f.write_str("peer sends without end"),
            Self::Shutdown => f.write_str("shutting down"),
            Self::Ended => f.write_str("session ended by the server"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WireError {}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // TLS peers that leave without close_notify are common and mean nothing: every command
            // has its own end.
            io::ErrorKind::UnexpectedEof => Self::Eof,
            _ => Self::Io(error),
        }
    }
}

/// Whether a wait is for the next command, or inside one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Stopping the process ends the wait.
    Command,
    /// The command is finished first.
    Data,
}

/// A connection with buffers: lines and literals in, collected writes out.
///
/// Reading flushes: whatever was written is sent before any of the reading methods waits for the
/// peer, and not sooner, so that answers to pipelined commands leave together. Buffers exist only
/// while something is in them.
pub struct Wire {
    conn: Conn,
    input: Input,
    output: Output,
    /// Something was handed to the transport that it may still hold (TLS records).
    unflushed: bool,
    /// How much to read next while the peer keeps sending more than fits.
    read_size: usize,
    timeouts: Timeouts,
    shutdown: Token,
    /// See [`Wire::end_when`].
    ended: Option<watch::Receiver<bool>>,
    open: OpenConn,
    bytes_in: u64,
    bytes_out: u64,
}

impl Wire {
    /// Over a connection; its octets and state are counted in `metrics`.
    pub fn new(
        conn: Conn,
        metrics: Arc<FrontMetrics>,
        shutdown: Token,
        timeouts: Timeouts,
    ) -> Self {
        let open = OpenConn::new(metrics, conn.is_tls());
        Self {
            conn,
            input: Input::default(),
            output: Output::default(),
            unflushed: false,
            read_size: READ_SMALL,
            timeouts,
            shutdown,
            ended: None,
            open,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    // Reading.

    /// One line without its CRLF or bare LF; `max` does not count those.
    ///
    /// Cancel safe: nothing read is lost when the future is dropped.
    ///
    /// # Errors
    /// All but `TooLarge` and `NoRoom`.
    pub async fn line(&mut self, max: usize) -> Result<Bytes, WireError> {
        let deadline = self.deadline(Wait::Command);
        loop {
            if let Some(line) = self.input.take_line(max) {
                return line.map_err(|unfit| match unfit {
                    Unfit::TooLong(excess) => WireError::TooLong(excess),
                    Unfit::Endless => WireError::Gone,
                });
            }
            self.fill(self.read_size, Wait::Command, deadline).await?;
        }
    }

    /// Exactly `n` octets, as of a literal. Bounding `n` is the caller's part; memory grows with
    /// what has arrived, not with what was announced. Cancel safe. Does not end for a shutdown.
    pub async fn exact(&mut self, n: usize) -> Result<Bytes, WireError> {
        while let Some(missing) = n.checked_sub(self.input.buf.len()).filter(|left| *left > 0) {
            let want = missing.clamp(READ_SMALL, READ_LARGE);
            self.fill(want, Wait::Data, self.deadline(Wait::Data))
                .await?;
        }
        Ok(self.input.split_to(n))
    }

    /// Reads and forgets `n` octets, as of a literal that is refused.
    pub async fn skip(&mut self, mut n: u64) -> Result<(), WireError> {
        loop {
            let here = self
                .input
                .buf
                .len()
                .min(usize::try_from(n).unwrap_or(usize::MAX));
            self.input.advance(here);
            n -= here as u64;
            if n == 0 {
                return Ok(());
            }
            self.fill(READ_LARGE, Wait::Data, self.deadline(Wait::Data))
                .await?;
        }
    }

    /// A block ended by CRLF "." CRLF, without that end but with its last CRLF, dot-stuffing
    /// removed (RFC 5321 4.5.2). A block over `max` octets is read to its end, then reported as
    /// `TooLarge`. `has_room` is asked whenever more of it has come, with the octets held; once it
    /// says no the rest is read and forgotten, and the block reported as `NoRoom`. Not cancel safe.
    /// Does not end for a shutdown.
    pub async fn dot_block(
        &mut self,
        max: usize,
        mut has_room: impl FnMut(usize) -> bool,
    ) -> Result<Bytes, WireError> {
        let mut block = DotBlock::new(max);
        let mut size = READ_SMALL;
        let mut over = WireError::TooLarge;
        loop {
            if !has_room(self.input.buf.len()) {
                block.give_up();
                over = WireError::NoRoom;
            }
            if let Some(block) = block.take(&mut self.input) {
                return block.map_err(|unfit| match unfit {
                    Unfit::TooLong(_) => over,
                    Unfit::Endless => WireError::Gone,
                });
            }
            size = (size * 2).min(READ_LARGE);
            self.fill(size, Wait::Data, self.deadline(Wait::Data))
                .await?;
        }
    }

    /// Resolves when there is something to read, holding no buffer meanwhile. Cancel safe.
    pub async fn wait_input(&mut self) -> Result<(), WireError> {
        let deadline = self.deadline(Wait::Command);
        while self.input.buf.is_empty() {
            self.fill(self.read_size, Wait::Command, deadline).await?;
        }
        Ok(())
    }

    /// Whether [`Self::line`] would return at once.
    pub fn has_buffered_line(&mut self) -> bool {
        self.input.has_line()
    }

    /// Whether any octet has been read and not yet been taken.
    pub fn has_input(&self) -> bool {
        !self.input.buf.is_empty()
    }

    // Writing.

    /// Appends to what is to be sent.
    pub fn write(&mut self, octets: &[u8]) {
        self.output.write(octets);
    }

    /// Appends without copying when there is much of it.
    pub fn write_bytes(&mut self, octets: Bytes) {
        self.output.write_bytes(octets);
    }

    /// The end of what is to be sent, for formatting straight into it. Append only.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.output.tail()
    }

    /// Octets not yet handed to the transport.
    pub fn pending_out(&self) -> usize {
        self.output.len()
    }

    /// Sends everything written so far. Cancel safe.
    ///
    /// # Errors
    /// `Timeout` when the peer does not read, `Eof`, `Io`.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        while self.output.len() > 0 || self.unflushed {
            let limit = self.timeouts.write;
            let step = poll_fn(|cx| self.poll_flush_step(cx));
            tokio::time::timeout(limit, step)
                .await
                .map_err(|_| WireError::Timeout)??;
        }
        Ok(())
    }

    /// [`Self::flush`] when more than `limit` octets are waiting: called between the items of a
    /// long answer, it bounds memory however slowly the peer reads.
    pub async fn flush_if_over(&mut self, limit: usize) -> Result<(), WireError> {
        if self.pending_out() > limit {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// [`Self::close`] for a client that asked for the end: that was its last word, and unless
    /// something came behind it nothing is waited for.
    pub async fn part(mut self) {
        let sent = tokio::time::timeout(CLOSE_TIMEOUT, self.flush()).await;
        let is_over = matches!(sent, Ok(Ok(()))) && !self.has_input() && self.conn.is_plain();
        if !is_over || matches!(self.conn.read_now(&mut [0]), Ok(1..)) {
            self.close().await;
        }
    }

    /// Sends what is left, says goodbye to the transport and closes, all within seconds.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.flush()).await;
        let down = poll_fn(|cx| Pin::new(&mut self.conn).poll_shutdown(cx));
        if !matches!(tokio::time::timeout(CLOSE_TIMEOUT, down).await, Ok(Ok(()))) {
            return;
        }
        // Closing with input unread resets the connection, and the reset overtakes our last line.
        self.input.clear();
        let _ = tokio::time::timeout(LINGER, async {
            while matches!(poll_fn(|cx| self.poll_fill(cx, READ_SMALL)).await, Ok(1..)) {
                self.input.clear();
            }
        })
        .await;
    }

    // The connection.

    /// Upgrades to TLS after the front has written its go-ahead, which is sent first.
    ///
    /// # Errors
    /// `Timeout`, `Eof`, `Io`; the connection is then closed.
    pub async fn starttls(&mut self, tls: &Tls) -> Result<(), WireError> {
        self.flush().await?;
        // RFC 9051 6.2.1, CVE-2011-0411: what came in plain text before the handshake may be an
        // attacker's and must not be taken for commands under TLS. It is thrown away.
        self.input.clear();
        let limit = self.timeouts.handshake;
        // Boxed: a handshake is large and must not make every idle session larger.
        let handshake = Box::pin(self.conn.handshake(tls.acceptor()));
        tokio::time::timeout(limit, handshake)
            .await
            .map_err(|_| WireError::Timeout)??;
        self.open.encrypted();
        Ok(())
    }

    /// Puts a layer over the connection (COMPRESS=DEFLATE). What was written is sent before; what
    /// was read and not taken belongs to the layer and is handed to it.
    pub async fn layer(
        &mut self,
        make: impl FnOnce(Conn, Bytes) -> Box<dyn Layer>,
    ) -> Result<(), WireError> {
        self.flush().await?;
        let read = self.input.take_all();
        self.conn.layer(|conn| make(conn, read));
        Ok(())
    }

    /// Whether the layer can be taken away: nothing has been read ahead, of which nobody could say
    /// whether the layer is to undo it.
    pub fn may_unlayer(&self) -> bool {
        !self.has_input() && self.conn.is_idle()
    }

    /// Takes the layer away. What was written is sent through it before.
    pub async fn unlayer(&mut self) -> Result<(), WireError> {
        self.flush().await?;
        self.conn.unlayer();
        Ok(())
    }

    /// Who is there.
    pub fn peer(&self) -> Peer {
        self.conn.peer()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.conn.is_tls()
    }

    /// Whether a [layer](Self::layer) lies over the connection.
    pub fn is_layered(&self) -> bool {
        self.conn.is_layered()
    }

    /// Whether the peer is on this machine; unix sockets count.
    pub fn is_loopback(&self) -> bool {
        self.conn.peer().is_loopback()
    }

    /// TLS version and cipher.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.conn.tls_info()
    }

    /// Octets read so far, after decryption.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Octets sent so far, before encryption.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// How long to wait for a command line from now on.
    pub fn set_idle_timeout(&mut self, idle: Duration) {
        self.timeouts.idle = idle;
    }

    /// From now on waiting for a command answers `Ended` once `ended` is true.
    pub fn end_when(&mut self, ended: watch::Receiver<bool>) {
        self.ended = Some(ended);
    }

    /// What the connection counts as in `gatepost_connections`.
    pub fn set_state(&mut self, state: ConnState) {
        self.open.set_state(state);
    }

    // Inside.

    fn deadline(&self, wait: Wait) -> Instant {
        let limit = match wait {
            Wait::Command => self.timeouts.idle,
            Wait::Data => self.timeouts.data,
        };
        let now = Instant::now();
        // A limit beyond what the clock can express means none.
        now.checked_add(limit)
            .unwrap_or(now + Duration::from_secs(365 * 24 * 3600))
    }

    /// Reads at least one octet, after sending what was written.
    async fn fill(&mut self, want: usize, wait: Wait, deadline: Instant) -> Result<(), WireError> {
        self.flush().await?;
        if wait == Wait::Command && self.shutdown.is_started() {
            return Err(WireError::Shutdown);
        }
        let mut shutdown = self.shutdown.clone();
        let ended = self.ended.clone();
        // A client that never pauses is ended too.
        if wait == Wait::Command && ended.as_ref().is_some_and(|ended| *ended.borrow()) {
            return Err(WireError::Ended);
        }
        let read = tokio::select! {
            biased;
            read = poll_fn(|cx| self.poll_fill(cx, want)) => read?,
            () = shutdown.started(), if wait == Wait::Command => return Err(WireError::Shutdown),
            () = is_true(ended), if wait == Wait::Command => return Err(WireError::Ended),
            () = tokio::time::sleep_until(deadline) => return Err(WireError::Timeout),
        };
        if read == 0 {
            Err(WireError::Eof)
        } else {
            Ok(())
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<usize>> {
        let buf = &mut self.input.buf;
        buf.reserve(want);
        let room = buf.capacity() - buf.len();
        let Poll::Ready(read) = pin!(self.conn.read_buf(buf)).poll(cx) else {
            // Nobody waits with memory in hand: the buffer is made anew when octets are there.
            if self.input.buf.is_empty() {
                self.input.buf = BytesMut::new();
            }
            self.output.release();
            self.read_size = READ_SMALL;
            return Poll::Pending;
        };
        let read = read?;
        self.read_size = if read == room {
            (room * 2).min(READ_LARGE)
        } else {
            READ_SMALL
        };
        self.bytes_in += read as u64;
        self.open.metrics().count_in(read as u64);
        Poll::Ready(Ok(read))
    }

    /// Ready after everything is sent, or something is and the rest has to wait: progress, after
    /// which the peer gets its full time again.
    fn poll_flush_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut progress = false;
        while self.output.len() > 0 {
            let mut slices = [io::IoSlice::new(&[]); SLICES];
            let used = self.output.slices(&mut slices);
            let write = Pin::new(&mut self.conn).poll_write_vectored(cx, &slices[..used]);
            let sent = match write {
                Poll::Pending if progress => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(sent) => sent?,
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (progress, self.unflushed) = (true, true);
            self.output.advance(sent);
            self.bytes_out += sent as u64;
            self.open.metrics().count_out(sent as u64);
        }
        ready!(Pin::new(&mut self.conn).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

/// Resolves when the value is true: never, if nobody can set it any more.
async fn is_true(value: Option<watch::Receiver<bool>>) {
    if let Some(mut value) = value
        && value.wait_for(|value| *value).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Never fails.
impl fmt::Write for Wire {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.output.write(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
