//! [`Deflate`]: DEFLATE (RFC 1951) over a connection, as COMPRESS=DEFLATE wants it (RFC 4978).
//!
//! Everything written reaches the peer at the next flush, which ends in a sync marker, so a peer
//! that waits can always decompress what it waits for. Reading decompresses no more than is asked
//! for, so the limits on lines and literals bound memory whatever the ratio.
//!
//! An idle connection keeps only what the peer may still refer to: the last octets it has sent,
//! [`WINDOW`](input::WINDOW) at most (0.3 KiB a session beside that, `imap/tests/memory.rs`). The
//! compressor, a third of a megabyte, is given back when the conversation pauses: the next one
//! begins without history, which needs no word to the peer.

mod input;
mod output;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::Sleep;

use crate::conn::{Conn, Layer};
use input::Inflater;
use output::Deflater;

/// How much is read from the connection at once.
const READ: usize = 8 << 10;
/// How much is compressed before what came of it is sent.
const STEP: usize = 64 << 10;
/// After so long a silence the compressor's history is not worth its memory. Longer than a round
/// trip, so that a client that asks for one message after the other profits from all of them.
const QUIET: Duration = Duration::from_millis(250);

/// A compressed connection.
pub struct Deflate {
    conn: Conn,
    input: Inflater,
    output: Deflater,
    /// Until the compressor is given back.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl Deflate {
    /// Over `conn`; `read` are the compressed octets that were read already.
    pub fn new(conn: Conn, read: Bytes) -> Self {
        Self {
            conn,
            input: Inflater::new(read),
            output: Deflater::default(),
            quiet: None,
        }
    }

    /// Sends compressed octets until no more than `left` wait.
    fn poll_drain(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<io::Result<()>> {
        while self.output.ready().len() > left {
            let sent = ready!(Pin::new(&mut self.conn).poll_write(cx, self.output.ready()))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.sent(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// The peer is silent: gives back what it cannot miss.
    fn release(&mut self, cx: &mut Context<'_>) {
        self.input.release();
        if !self.output.release() {
            return;
        }
        let quiet = self
            .quiet
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(QUIET)));
        if quiet.as_mut().poll(cx).is_ready() {
            self.output.forget();
            self.quiet = None;
        }
    }
}

impl Layer for Deflate {
    fn is_idle(&self) -> bool {
        self.input.is_idle()
    }

    fn into_conn(self: Box<Self>) -> Conn {
        self.conn
    }
}

impl AsyncRead for Deflate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A little input can become much output: the others want their turn meanwhile.
        let turn = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            this.input.inflate(buf)?;
            if buf.filled().len() > before || buf.remaining() == 0 || this.input.is_ended() {
                turn.made_progress();
                return Poll::Ready(Ok(()));
            }
            let mut space = [std::mem::MaybeUninit::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut space);
            if Pin::new(&mut this.conn)
                .poll_read(cx, &mut read)?
                .is_pending()
            {
                this.release(cx);
                return Poll::Pending;
            }
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.input.feed(read.filled());
        }
    }
}

impl AsyncWrite for Deflate {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_drain(cx, STEP))?;
        this.quiet = None;
        let mut taken = 0;
        for buf in bufs {
            let piece = &buf[..buf.len().min(STEP - taken)];
            this.output.write(piece)?;
            taken += piece.len();
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.sync()?;
        ready!(self.poll_drain(cx, 0))?;
        Pin::new(&mut self.conn).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.finish()?;
        ready!(self.poll_drain(cx, 0))?;
        Pin::new(&mut self.conn).poll_shutdown(cx)
    }
}
