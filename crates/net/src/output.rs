//! What is to be sent: small writes are collected, large pieces are queued as they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces from here on are not copied.
const SEGMENT: usize = 2048;
/// Collected small writes are closed at this size, so that they never move again.
const CHUNK: usize = 64 << 10;
/// Room for a short answer, made at once instead of bit by bit.
const SHORT: usize = 512;
/// How many pieces one system call takes.
pub(crate) const SLICES: usize = 64;

#[derive(Default)]
pub(crate) struct Output {
    queue: VecDeque<Bytes>,
    queued: usize,
    /// After the queue.
    tail: BytesMut,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.queued + self.tail.len()
    }

    pub(crate) fn write(&mut self, octets: &[u8]) {
        if self.tail.len() + octets.len() > CHUNK {
            self.close_tail();
        }
        self.tail().extend_from_slice(octets);
    }

    /// The end, to be appended to.
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail.reserve(SHORT);
        }
        &mut self.tail
    }

    pub(crate) fn write_bytes(&mut self, octets: Bytes) {
        if octets.len() < SEGMENT {
            self.write(&octets);
        } else {
            self.close_tail();
            self.queued += octets.len();
            self.queue.push_back(octets);
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.queued += tail.len();
            self.queue.push_back(tail);
        }
    }

    /// Fills `slices` with what comes first; returns how many were needed.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut used = 0;
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let pieces = self.queue.iter().map(|piece| &piece[..]).chain(tail);
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    /// Forgets the first `n` octets: they have been sent.
    pub(crate) fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.queue.front_mut() {
            if n < first.len() {
                first.advance(n);
                self.queued -= n;
                return;
            }
            n -= first.len();
            self.queued -= first.len();
            self.queue.pop_front();
        }
        if n >= self.tail.len() {
            self.tail.clear();
        } else {
            self.tail.advance(n);
        }
    }

    /// Gives memory back once everything is sent.
    pub(crate) fn release(&mut self) {
        if self.len() == 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_order_however_they_are_cut() {
        let large = Bytes::from(vec![b'L'; SEGMENT * 3]);
        let mut want = Vec::new();
        let fill = |output: &mut Output, want: &mut Vec<u8>| {
            for i in 0..200_u32 {
                let small = format!("* {i} FETCH\r\n");
                output.write(small.as_bytes());
                want.extend_from_slice(small.as_bytes());
                if i % 7 == 0 {
                    output.write_bytes(large.clone());
                    want.extend_from_slice(&large);
                }
            }
        };
        for step in [7, 100, 4096, 1 << 20] {
            want.clear();
            let mut output = Output::default();
            fill(&mut output, &mut want);
            assert_eq!(output.len(), want.len());
            let mut got = Vec::new();
            while output.len() > 0 {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let n = output.slices(&mut slices);
                let sent: usize = slices[..n].iter().map(|s| s.len()).sum::<usize>().min(step);
                let end = got.len() + sent;
                for slice in &slices[..n] {
                    got.extend_from_slice(&slice[..slice.len().min(end - got.len())]);
                }
                output.advance(sent);
            }
            assert!(got == want);
            output.release();
            assert_eq!(output.tail.capacity(), 0);
        }
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![b'L'; SEGMENT]);
        let mut output = Output::default();
        output.write(b"x");
        output.write_bytes(large.clone());
        let mut slices = [IoSlice::new(&[]); SLICES];
        assert_eq!(output.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), large.as_ptr());
    }
}
