//! What has been read and not yet been taken: lines, literals and dot-terminated blocks, without
//! I/O.

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memmem};

/// How much of a line that is too long is thrown away before the client is given up.
const MAX_DISCARDED_LINE: u64 = 16 << 20;
/// The same for a block that is too large.
const MAX_DISCARDED_BLOCK: u64 = 1 << 30;
/// How much of either end of a line that is too long is kept.
const KEPT: usize = 64;

/// Octets waiting to be taken.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) buf: BytesMut,
    /// No line feed before this offset.
    scanned: usize,
    /// A line over the limit is being thrown away.
    discard: Option<Discard>,
}

#[derive(Default)]
struct Discard {
    dropped: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// What is kept of a line that was too long. The two may overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excess {
    /// Its first octets: a front may want to know to which command it has to answer.
    pub head: Bytes,
    /// Its last octets: a literal may have been announced there.
    pub tail: Bytes,
}

impl Excess {
    fn of(line: &[u8]) -> Self {
        Self {
            head: Bytes::copy_from_slice(&line[..line.len().min(KEPT)]),
            tail: Bytes::copy_from_slice(&line[line.len().saturating_sub(KEPT)..]),
        }
    }
}

/// Why no line or block can be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Over the limit; thrown away up to its end.
    TooLong(Excess),
    /// Over the limit by so much that reading on makes no sense.
    Endless,
}

impl Input {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn take_all(&mut self) -> Bytes {
        std::mem::take(self).buf.freeze()
    }

    pub(crate) fn split_to(&mut self, n: usize) -> Bytes {
        self.scanned = self.scanned.saturating_sub(n);
        self.buf.split_to(n).freeze()
    }

    pub(crate) fn advance(&mut self, n: usize) {
        self.scanned = self.scanned.saturating_sub(n);
        self.buf.advance(n);
    }

    pub(crate) fn has_line(&mut self) -> bool {
        self.line_feed().is_some()
    }

    /// The offset of the first line feed. Octets are looked at once.
    fn line_feed(&mut self) -> Option<usize> {
        match memchr(b'\n', self.buf.get(self.scanned..).unwrap_or_default()) {
            Some(offset) => {
                self.scanned += offset;
                Some(self.scanned)
            }
            None => {
                self.scanned = self.buf.len();
                None
            }
        }
    }

    /// One line without its line end, if there is a whole one.
    pub(crate) fn take_line(&mut self, max: usize) -> Option<Result<Bytes, Unfit>> {
        let end = self.line_feed();
        if let Some(discard) = &mut self.discard {
            let n = end.map_or(self.buf.len(), |end| end + 1);
            discard.drop(&self.buf[..n]);
            let endless = discard.dropped > MAX_DISCARDED_LINE;
            self.advance(n);
            if endless {
                return Some(Err(Unfit::Endless));
            }
            end?;
            let discard = self.discard.take().unwrap_or_default();
            return Some(Err(Unfit::TooLong(Excess {
                head: Bytes::from(discard.head),
                tail: without_line_end(Bytes::from(discard.tail)),
            })));
        }
        let Some(end) = end else {
            // The carriage return does not count.
            if self.buf.len() > max.saturating_add(1) {
                self.discard = Some(Discard::default());
                return self.take_line(max);
            }
            return None;
        };
        let line = without_line_end(self.split_to(end + 1));
        if line.len() > max {
            return Some(Err(Unfit::TooLong(Excess::of(&line))));
        }
        Some(Ok(line))
    }
}

impl Discard {
    fn drop(&mut self, octets: &[u8]) {
        self.dropped = self.dropped.saturating_add(octets.len() as u64);
        let missing = KEPT.saturating_sub(self.head.len()).min(octets.len());
        self.head.extend_from_slice(&octets[..missing]);
        let recent = &octets[octets.len().saturating_sub(KEPT + 2)..];
        self.tail.extend_from_slice(recent);
        let surplus = self.tail.len().saturating_sub(KEPT + 2);
        self.tail.drain(..surplus);
    }
}

fn without_line_end(mut line: Bytes) -> Bytes {
    for end in [b"\n", b"\r"] {
        if line.ends_with(end) {
            line.truncate(line.len() - 1);
        }
    }
    line
}

/// A block ended by a dot on a line of its own (RFC 5321 4.5.2), as it is being read.
///
/// Only CRLF ends a line here: a dot after a bare line feed, or before one, is data. Whoever sees
/// an end there reads the rest of a message as commands (SMTP smuggling).
pub(crate) struct DotBlock {
    max: usize,
    /// The end is not before this offset.
    scanned: usize,
    /// `scanned` is the start of a line.
    at_line_start: bool,
    /// Stuffed dots before `scanned`.
    dots: usize,
    /// Octets thrown away since the block was found too large, or was given up.
    dropped: Option<u64>,
}

impl DotBlock {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            scanned: 0,
            at_line_start: true,
            dots: 0,
            dropped: None,
        }
    }

    /// From here on the block is thrown away up to its end, which is then `TooLong`.
    pub(crate) fn give_up(&mut self) {
        self.dropped.get_or_insert(0);
    }

    /// The block, if its end has been read.
    pub(crate) fn take(&mut self, input: &mut Input) -> Option<Result<Bytes, Unfit>> {
        loop {
            let rest = input.buf.get(self.scanned..).unwrap_or_default();
            if !self.at_line_start {
                let hit = memmem::find(rest, b"\r\n.");
                // Two octets may be the beginning of the pattern.
                self.scanned += hit.map_or(rest.len().saturating_sub(2), |at| at + 2);
                self.at_line_start = hit.is_some();
                if let Some(endless) = self.check_size(input) {
                    return Some(Err(endless));
                }
                hit?;
                continue;
            }
            match rest {
                [] | [b'.'] | [b'.', b'\r'] => return None,
                [b'.', b'\r', b'\n', ..] => return Some(self.finish(input)),
                [b'.', ..] => {
                    self.dots += 1;
                    self.scanned += 1;
                    self.at_line_start = false;
                }
                _ => self.at_line_start = false,
            }
        }
    }

    fn finish(&mut self, input: &mut Input) -> Result<Bytes, Unfit> {
        let mut block = input.buf.split_to(self.scanned);
        input.clear_scan();
        input.advance(3);
        if self.dropped.is_some() {
            return Err(Unfit::TooLong(Excess::default()));
        }
        if self.dots > 0 {
            unstuff(&mut block);
        }
        Ok(block.freeze())
    }

    fn check_size(&mut self, input: &mut Input) -> Option<Unfit> {
        if self.dropped.is_none() && self.scanned - self.dots > self.max {
            self.dropped = Some(0);
        }
        let dropped = self.dropped.as_mut()?;
        *dropped = dropped.saturating_add(self.scanned as u64);
        input.clear_scan();
        input.advance(self.scanned);
        (self.scanned, self.dots) = (0, 0);
        (*dropped > MAX_DISCARDED_BLOCK).then_some(Unfit::Endless)
    }
}

impl Input {
    /// Forgets what is known about line feeds; blocks do not look for them.
    fn clear_scan(&mut self) {
        self.scanned = 0;
    }
}

/// Removes the dot at the start of every line that has one (RFC 5321 4.5.2), in place.
fn unstuff(block: &mut BytesMut) {
    let mut kept = 0;
    let mut from = usize::from(block.first() == Some(&b'.'));
    let finder = memmem::Finder::new(b"\r\n.");
    loop {
        let hit = finder.find(&block[from..]);
        let until = hit.map_or(block.len(), |at| from + at + 2);
        block.copy_within(from..until, kept);
        kept += until - from;
        if hit.is_none() {
            break;
        }
        from = until + 1;
    }
    block.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(octets: &[u8]) -> Input {
        Input {
            buf: BytesMut::from(octets),
            ..Input::default()
        }
    }

    type Answer = Option<(Result<Bytes, Unfit>, Vec<u8>)>;

    /// Feeds in pieces of every size: the answer must not depend on how TCP cuts.
    fn block(octets: &[u8], max: usize) -> Answer {
        let mut answers: Vec<Answer> = Vec::new();
        for size in 1..=octets.len() {
            let (mut input, mut block) = (Input::default(), DotBlock::new(max));
            let mut answer = None;
            for piece in octets.chunks(size) {
                input.buf.extend_from_slice(piece);
                if answer.is_none() {
                    answer = block.take(&mut input);
                }
            }
            answers.push(answer.map(|a| (a, input.buf.to_vec())));
        }
        let first = answers[0]
            .as_ref()
            .map(|(a, rest)| (format!("{a:?}"), rest.clone()));
        for answer in &answers {
            let this = answer
                .as_ref()
                .map(|(a, rest)| (format!("{a:?}"), rest.clone()));
            assert_eq!(this, first);
        }
        answers.swap_remove(0)
    }

    #[test]
    fn a_line_over_the_limit_is_thrown_away_up_to_its_end() {
        let mut input = input(b"");
        assert_eq!(input.take_line(4), None);
        for piece in ["12345", "6789", "0"] {
            input.buf.extend_from_slice(piece.as_bytes());
            assert_eq!(input.take_line(4), None);
            assert!(input.buf.len() <= 5);
        }
        input.buf.extend_from_slice(b"{3}\r\nnext\r\n");
        let Some(Err(Unfit::TooLong(excess))) = input.take_line(4) else {
            panic!("not too long");
        };
        assert!(excess.head.starts_with(b"1234567890"));
        assert!(excess.tail.ends_with(b"0{3}"));
        assert_eq!(input.take_line(4), Some(Ok(Bytes::from_static(b"next"))));
        assert_eq!(input.take_line(4), None);
    }

    #[test]
    fn an_endless_line_ends_the_connection_without_being_stored() {
        let mut input = input(b"");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..16 {
            input.buf.extend_from_slice(&piece);
            assert_eq!(input.take_line(100), None);
            assert!(input.buf.is_empty());
        }
        input.buf.extend_from_slice(b"x");
        assert_eq!(input.take_line(100), Some(Err(Unfit::Endless)));
    }

    #[test]
    fn lines_end_in_crlf_or_bare_lf_and_the_limit_counts_neither() {
        let mut input = input(b"four\r\nfour\n\r\n\nfi\rve\r\n12345\r\nrest");
        for want in ["four", "four", "", ""] {
            assert!(input.has_line());
            assert_eq!(input.take_line(4), Some(Ok(Bytes::from(want))));
        }
        assert_eq!(input.take_line(5), Some(Ok(Bytes::from_static(b"fi\rve"))));
        assert_eq!(
            input.take_line(4),
            Some(Err(Unfit::TooLong(Excess::of(b"12345"))))
        );
        assert!(!input.has_line());
        assert_eq!(input.take_line(4), None);
    }

    #[test]
    fn a_carriage_return_at_the_limit_is_not_an_octet_too_many() {
        let mut input = input(b"four\r");
        assert_eq!(input.take_line(4), None);
        input.buf.extend_from_slice(b"\n");
        assert_eq!(input.take_line(4), Some(Ok(Bytes::from_static(b"four"))));
    }

    #[test]
    fn a_dot_beside_a_bare_line_feed_is_data() {
        for smuggled in [
            "\n.\r\n",
            "\n.\n",
            "\r\n.\n",
            "\r.\r",
            "\n.\r\r\n",
            "\r.\r\n",
        ] {
            let sent = format!("a{smuggled}MAIL FROM:<x>\r\n.\r\nrest");
            let (block, rest) = block(sent.as_bytes(), 100).expect("has an end");
            let block = block.expect("is small enough");
            assert!(
                block.ends_with(b"MAIL FROM:<x>\r\n"),
                "{smuggled:?}: {block:?}"
            );
            assert_eq!(rest, b"rest");
        }
    }

    #[test]
    fn stuffed_dots_are_removed_and_others_kept() {
        for (sent, want) in [
            (".\r\n", ""),
            ("..\r\n.\r\n", ".\r\n"),
            ("a\r\n..b\r\n...\r\n.c\r\n.\r\n", "a\r\n.b\r\n..\r\nc\r\n"),
            ("\r\n.\r\n", "\r\n"),
            ("a.b\r\n\n.c\r\n.\r\n", "a.b\r\n\n.c\r\n"),
            ("..\r\n..\r\n.\r\n", ".\r\n.\r\n"),
            (".\rx\r\n.\r\n", "\rx\r\n"),
        ] {
            let (block, rest) = block(sent.as_bytes(), 100).expect("has an end");
            assert_eq!(block, Ok(Bytes::from(want)), "{sent:?}");
            assert_eq!(rest, b"");
        }
        assert!(block(b"no end\r\n.\r", 100).is_none());
    }

    #[test]
    fn a_block_over_the_limit_is_read_to_its_end() {
        let (result, rest) = block(b"12345\r\n67\r\n..\r\n.\r\nnext", 8).expect("has an end");
        assert_eq!(result, Err(Unfit::TooLong(Excess::default())));
        assert_eq!(rest, b"next");
        // Stuffed dots do not count.
        let (result, _) = block(b"..\r\n..\r\n.\r\n", 6).expect("has an end");
        assert_eq!(result, Ok(Bytes::from_static(b".\r\n.\r\n")));
        let (result, _) = block(b"..\r\n..\r\n.\r\n", 5).expect("has an end");
        assert!(result.is_err());
    }
}
