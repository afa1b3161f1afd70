//! A connection that follows COMPRESS=DEFLATE (RFC 4978) by itself, with zlib.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Passes everything through, until `COMPRESS DEFLATE` was sent and answered with OK: then what is
/// written is compressed and what is read is decompressed. Writing needs a flush.
pub struct Zlib<S> {
    stream: S,
    /// The tag of the COMPRESS that was sent.
    tag: Option<Vec<u8>>,
    /// The beginning of the line being sent, and of the one being received.
    lines: (Vec<u8>, Vec<u8>),
    codec: Option<Box<(Compress, Decompress)>>,
    /// For the reader.
    plain: Vec<u8>,
    /// Received, and not yet decompressed.
    packed: Vec<u8>,
    /// To be sent.
    out: Vec<u8>,
}

impl<S> Zlib<S> {
    /// Over a connection that is not compressed yet.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            tag: None,
            lines: Default::default(),
            codec: None,
            plain: Vec::new(),
            packed: Vec::new(),
            out: Vec::new(),
        }
    }

    /// The connection itself: what is written to it is not compressed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The connection itself.
    pub fn into_inner(self) -> S {
        self.stream
    }

    fn sent(&mut self, octet: u8) {
        let line = &mut self.lines.0;
        line.push(octet);
        if octet == b'\n' {
            let text = line.to_ascii_uppercase();
            if let Some(tag) = text.strip_suffix(b" COMPRESS DEFLATE\r\n") {
                self.tag = Some(line[..tag.len()].to_vec());
            }
            line.clear();
        }
    }

    /// Takes one octet as it is; it may be the last such.
    fn received(&mut self, octet: u8) {
        self.plain.push(octet);
        let line = &mut self.lines.1;
        line.push(octet);
        if octet == b'\n' {
            if let Some(tag) = &self.tag
                && let Some(rest) = line.strip_prefix(&tag[..])
            {
                if rest.starts_with(b" OK ") {
                    let deflate = Compress::new(Compression::default(), false);
                    self.codec = Some(Box::new((deflate, Decompress::new(false))));
                }
                self.tag = None;
            }
            line.clear();
        }
    }

    fn unpack(&mut self) -> io::Result<()> {
        let mut at = 0;
        while self.codec.is_none() && at < self.packed.len() {
            self.received(self.packed[at]);
            at += 1;
        }
        self.packed.drain(..at);
        let Some(codec) = &mut self.codec else {
            return Ok(());
        };
        let inflate = &mut codec.1;
        loop {
            let before = (inflate.total_in(), inflate.total_out());
            self.plain.reserve(16 << 10);
            inflate.decompress_vec(&self.packed, &mut self.plain, FlushDecompress::Sync)?;
            self.packed
                .drain(..(inflate.total_in() - before.0) as usize);
            if inflate.total_out() == before.1 {
                return Ok(());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Zlib<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.plain.is_empty() {
            let mut space = [0; 4096];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.packed.extend_from_slice(read.filled());
            this.unpack()?;
        }
        let n = buf.remaining().min(this.plain.len());
        buf.put_slice(&this.plain[..n]);
        this.plain.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Zlib<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(codec) = &mut this.codec else {
            buf.iter().for_each(|&octet| this.sent(octet));
            this.out.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        };
        let deflate = &mut codec.0;
        let start = deflate.total_in();
        loop {
            let rest = &buf[(deflate.total_in() - start) as usize..];
            this.out.reserve(buf.len() + 64);
            deflate.compress_vec(rest, &mut this.out, FlushCompress::Sync)?;
            let taken = (deflate.total_in() - start) as usize;
            // Room left: the whole of the marker is there.
            if taken == buf.len() && this.out.len() < this.out.capacity() {
                return Poll::Ready(Ok(buf.len()));
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.out.is_empty() {
            let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.out))?;
            this.out.drain(..sent);
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
