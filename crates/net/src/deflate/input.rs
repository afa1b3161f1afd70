//! Decompressing, without I/O.

use std::io;

use bytes::{Buf, Bytes};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{
    BlockBoundaryState, DecompressorOxide, decompress, inflate_flags,
};
use tokio::io::ReadBuf;

/// How far back a compressed stream can refer (RFC 1951 2).
pub(super) const WINDOW: usize = 32 << 10;
/// Room for new octets behind the window, at first.
const ROOM: usize = 4 << 10;

const FLAGS: u32 = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
    | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
    | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

#[derive(Default)]
pub(super) struct Inflater {
    /// Tables and state; `None` between two blocks when no octet of the next one is there.
    core: Option<Box<DecompressorOxide>>,
    /// The bits read beyond the last block.
    boundary: BlockBoundaryState,
    /// What was decompressed last, then room.
    window: Vec<u8>,
    /// How much of `window` was decompressed.
    filled: usize,
    /// Read from the peer and not yet decompressed.
    compressed: Bytes,
    /// There may be more to be had without further input.
    more: bool,
    /// The peer has ended its stream.
    ended: bool,
}

impl Inflater {
    pub(super) fn new(compressed: Bytes) -> Self {
        Self {
            compressed,
            ..Self::default()
        }
    }

    /// Takes what was read; all before it has been used up.
    pub(super) fn feed(&mut self, octets: &[u8]) {
        debug_assert!(self.compressed.is_empty());
        self.compressed = Bytes::copy_from_slice(octets);
    }

    /// Whether all that was taken has been passed on.
    pub(super) fn is_idle(&self) -> bool {
        self.compressed.is_empty() && !self.more
    }

    /// Whether nothing will ever come any more.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Decompresses into `buf` until that is full or input is wanting.
    ///
    /// # Errors
    /// `InvalidData` when the input is not DEFLATE.
    pub(super) fn inflate(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        while buf.remaining() > 0 && (self.more || !self.compressed.is_empty()) && !self.ended {
            self.make_room();
            let core = self.core.get_or_insert_with(|| {
                Box::new(DecompressorOxide::from_block_boundary_state(&self.boundary))
            });
            let until = self.window.len().min(self.filled + buf.remaining());
            let room = &mut self.window[..until];
            let (status, used, made) = decompress(core, &self.compressed, room, self.filled, FLAGS);
            self.compressed.advance(used);
            buf.put_slice(&self.window[self.filled..self.filled + made]);
            self.filled += made;
            self.more = status == TINFLStatus::HasMoreOutput;
            match status {
                TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput => {}
                TINFLStatus::BlockBoundary => {
                    if self.compressed.is_empty()
                        && let Some(boundary) = core.block_boundary_state()
                    {
                        self.boundary = boundary;
                        self.core = None;
                    }
                }
                TINFLStatus::Done => self.ended = true,
                _ => {
                    let text = "not a DEFLATE stream";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        Ok(())
    }

    /// Room for at least one octet, keeping what may be referred to.
    fn make_room(&mut self) {
        if self.filled < self.window.len() {
            return;
        }
        if self.filled >= 2 * WINDOW {
            self.window.copy_within(self.filled - WINDOW.., 0);
            self.filled = WINDOW;
        } else {
            let size = (2 * self.filled).max(self.filled + ROOM).min(2 * WINDOW);
            self.window.resize(size, 0);
        }
    }

    /// Gives back what is not needed while nothing comes.
    pub(super) fn release(&mut self) {
        let surplus = self.filled.saturating_sub(WINDOW);
        self.window.truncate(self.filled);
        self.window.drain(..surplus);
        self.window.shrink_to_fit();
        self.filled = self.window.len();
        self.compressed = Bytes::new();
    }
}
