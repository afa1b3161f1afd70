//! Compressing, without I/O.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};

/// Of miniz's levels: mail becomes a third at 165 MB/s. The first is a fifth faster and leaves a
/// fourth more, the third gains a tenth at half the speed.
const LEVEL: i32 = 2;
/// Raw DEFLATE with the largest window (RFC 4978 4).
const WINDOW_BITS: i32 = -15;
/// A compressor that has seen less has no history worth keeping.
const KEEP_FROM: usize = 4 << 10;

/// How many compressors all connections together keep while their peers think: 10 MB. Beyond that
/// the next answer is compressed without the history of the last.
const MAX_KEPT: usize = 32;

/// How many compressors wait for the next connection that needs one. Making one takes 62 µs, using
/// one again 3: a small command takes less than the difference.
const MAX_SPARE: usize = 8;

static KEPT: AtomicUsize = AtomicUsize::new(0);
static SPARE: Mutex<Vec<Box<CompressorOxide>>> = Mutex::new(Vec::new());

fn spare() -> MutexGuard<'static, Vec<Box<CompressorOxide>>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A compressor without history.
fn take_compressor() -> Box<CompressorOxide> {
    let spare = spare().pop();
    spare.unwrap_or_else(|| {
        let flags = create_comp_flags_from_zip_params(LEVEL, WINDOW_BITS, 0);
        Box::new(CompressorOxide::new(flags))
    })
}

fn give_compressor(mut compressor: Box<CompressorOxide>) {
    compressor.reset();
    let mut spare = spare();
    if spare.len() < MAX_SPARE {
        spare.push(compressor);
    }
}

/// The right to keep a compressor.
struct Kept;

impl Kept {
    fn new() -> Option<Self> {
        let more = |kept: usize| (kept < MAX_KEPT).then_some(kept + 1);
        // Made only then: what is dropped gives back what it has never had.
        KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
            .then(|| Self)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(super) struct Deflater {
    core: Option<Box<CompressorOxide>>,
    /// While nothing is written.
    kept: Option<Kept>,
    /// Compressed and not yet sent.
    ready: BytesMut,
    /// Something was compressed since the last marker: part of it may still be in `core`.
    dirty: bool,
    /// How much `core` has compressed.
    seen: usize,
    finished: bool,
}

impl Deflater {
    pub(super) fn ready(&self) -> &[u8] {
        &self.ready
    }

    pub(super) fn sent(&mut self, n: usize) {
        self.ready.advance(n);
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        if octets.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        self.kept = None;
        self.seen = self.seen.saturating_add(octets.len());
        self.compress(octets, TDEFLFlush::None)
    }

    /// Makes all that was written decompressible from what is ready.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        self.compress(&[], TDEFLFlush::Sync)
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.dirty = false;
        self.compress(&[], TDEFLFlush::Finish)
    }

    fn compress(&mut self, octets: &[u8], flush: TDEFLFlush) -> io::Result<()> {
        let core = self.core.get_or_insert_with(take_compressor);
        let ready = &mut self.ready;
        let (status, used) = compress_to_output(core, octets, flush, |compressed| {
            ready.extend_from_slice(compressed);
            true
        });
        match status {
            TDEFLStatus::Okay | TDEFLStatus::Done if used == octets.len() => Ok(()),
            _ => Err(io::Error::other("the compressor failed")),
        }
    }

    /// Gives back what is not needed while nothing is written; whether a history is left.
    pub(super) fn release(&mut self) -> bool {
        if self.dirty || !self.ready.is_empty() {
            return false;
        }
        self.ready = BytesMut::new();
        if self.kept.is_none() && self.seen >= KEEP_FROM {
            self.kept = Kept::new();
        }
        if self.kept.is_none() {
            self.forget();
        }
        self.kept.is_some()
    }

    /// Gives back the history. What was compressed so far ends in a marker on an octet's boundary:
    /// a new compressor can go on from there.
    pub(super) fn forget(&mut self) {
        if let Some(core) = self.core.take() {
            give_compressor(core);
        }
        self.kept = None;
        self.seen = 0;
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        self.forget();
    }
}
