//! COMPRESS=DEFLATE at the client's end (RFC 4978).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::wire::Result;

pub(crate) struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// Received and, from `at`, not yet inflated.
    packed: Vec<u8>,
    at: usize,
}

impl Deflate {
    pub(crate) fn new() -> Self {
        Self {
            compress: Compress::new(Compression::default(), false),
            decompress: Decompress::new(false),
            packed: Vec::new(),
            at: 0,
        }
    }

    /// All of `bytes`, so that the server can read them.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let compress = &mut self.compress;
        let mut out = Vec::with_capacity(bytes.len() + 64);
        let start = compress.total_in();
        loop {
            let taken = (compress.total_in() - start) as usize;
            compress.compress_vec(&bytes[taken..], &mut out, FlushCompress::Sync)?;
            let taken = (compress.total_in() - start) as usize;
            // Room left: the whole of the marker is there.
            if taken == bytes.len() && out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(bytes.len() + 64);
        }
    }

    /// Takes what was received.
    pub(crate) fn feed(&mut self, packed: &[u8]) {
        self.packed.drain(..self.at);
        self.at = 0;
        self.packed.extend_from_slice(packed);
    }

    /// Inflates as much as goes into `room`; 0 when there is no more.
    pub(crate) fn unpack(&mut self, room: &mut [u8]) -> Result<usize> {
        let before = (self.decompress.total_in(), self.decompress.total_out());
        let packed = &self.packed[self.at..];
        self.decompress
            .decompress(packed, room, FlushDecompress::Sync)?;
        self.at += (self.decompress.total_in() - before.0) as usize;
        Ok((self.decompress.total_out() - before.1) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_whatever_the_room() {
        let (mut near, mut far) = (Deflate::new(), Deflate::new());
        let mut out = Vec::new();
        let mut sent = Vec::new();
        for round in 0..3 {
            let text = format!("a FETCH {round} octets that come again and again\r\n").repeat(90);
            for piece in near.pack(text.as_bytes()).unwrap().chunks(7) {
                far.feed(piece);
                let mut room = [0; 50];
                loop {
                    let count = far.unpack(&mut room).unwrap();
                    if count == 0 {
                        break;
                    }
                    out.extend_from_slice(&room[..count]);
                }
            }
            sent.extend_from_slice(text.as_bytes());
            assert_eq!(out, sent);
        }
    }
}
