//! Memory of large reads, used again. Measured: reading 4 MB into fresh memory takes three times as
//! long as into memory that was used before, for the page faults.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept at most; the largest one kept.
const KEPT: usize = 16;
const LARGEST: usize = (1 << 20) + (64 << 10);

/// A bounded set of buffers nobody uses.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer whose first `used` bytes are read, and that comes back when the last slice is dropped.
struct Lent {
    buffer: Vec<u8>,
    used: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer of at least `len` bytes, which hold anything.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = kept.pop().unwrap_or_default();
        drop(kept);
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        buffer
    }

    /// Gives up what nobody uses now.
    pub(crate) fn clear(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = std::mem::take(&mut *kept);
        // Freed without the lock.
        drop(kept);
        drop(unused);
    }

    /// Shares the first `used` bytes.
    pub(crate) fn lend(&self, buffer: Vec<u8>, used: usize) -> Bytes {
        Bytes::from_owner(Lent {
            used: used.min(buffer.len()),
            buffer,
            home: self.clone(),
        })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && buffer.len() <= LARGEST {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_with_the_last_slice_and_is_bounded() {
        let buffers = Buffers::default();
        let kept = |buffers: &Buffers| buffers.0.lock().expect("lock").len();
        let mut buffer = buffers.take(1000);
        buffer.fill(7);
        let bytes = buffers.lend(buffer, 900);
        assert_eq!(bytes.len(), 900);
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(kept(&buffers), 0, "still in use");
        drop(slice);
        assert_eq!(kept(&buffers), 1);
        assert!(buffers.take(2000).len() >= 2000);
        drop(buffers.lend(vec![0; LARGEST + 1], 1));
        assert_eq!(kept(&buffers), 0, "too large to keep");
        let many: Vec<Bytes> = (0..100).map(|_| buffers.lend(vec![1; 10], 10)).collect();
        drop(many);
        assert_eq!(kept(&buffers), KEPT);
        let lent = buffers.lend(buffers.take(10), 10);
        buffers.clear();
        assert_eq!((kept(&buffers), lent.len()), (0, 10));
    }
}
