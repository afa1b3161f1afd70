//! Entries of a scan in memory of their own: a few large pieces instead of two small ones each.

use bytes::{Bytes, BytesMut};
use storage::Entry;

/// Octets of a piece at most, unless one entry is larger. Who keeps one entry keeps its piece.
const PIECE: usize = 32 << 10;
/// Octets of an entry, guessed when the first piece is made.
const ENTRY: usize = 1 << 10;

/// Copies entries out of the index.
pub(crate) struct Kept {
    piece: BytesMut,
    /// Size of the next piece.
    next: usize,
}

impl Kept {
    /// For a scan of at most `limit` entries.
    pub(crate) fn for_entries(limit: usize) -> Self {
        Self {
            piece: BytesMut::new(),
            next: limit.saturating_mul(ENTRY).min(PIECE),
        }
    }

    /// A copy of an entry.
    pub(crate) fn entry(&mut self, key: &[u8], value: &[u8]) -> Entry {
        let length = key.len() + value.len();
        if self.piece.capacity() < length {
            self.piece = BytesMut::with_capacity(self.next.max(length));
        }
        self.piece.extend_from_slice(key);
        self.piece.extend_from_slice(value);
        let mut value = self.piece.split().freeze();
        let key: Bytes = value.split_to(key.len());
        (key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_what_they_were() {
        let mut kept = Kept::for_entries(3);
        let large = vec![7; 3 * PIECE];
        for (key, value) in [
            (&b"a"[..], &b"one"[..]),
            (b"", b""),
            (b"b", &large),
            (b"c", b"three"),
        ] {
            let entry = kept.entry(key, value);
            assert_eq!((&entry.0[..], &entry.1[..]), (key, value));
        }
    }
}
