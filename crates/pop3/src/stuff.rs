//! Message bytes as POP3 sends them: CRLF line ends, a last CRLF, byte-stuffed dots.

use memchr::{memchr_iter, memmem};

/// Turns stored bytes, in pieces, into what goes between the status line and the terminating dot.
///
/// Without the stuffed dots the result has exactly [`mail::Row::pop3_size`] octets.
pub struct Stuffer {
    /// Nothing of the current line was sent yet.
    line_start: bool,
    /// The last octet was CR.
    after_cr: bool,
}

/// At the start of a message.
impl Default for Stuffer {
    fn default() -> Self {
        Self {
            line_start: true,
            after_cr: false,
        }
    }
}

impl Stuffer {
    /// Whether `bytes` may be sent as they are after what was given before, and leave the output at
    /// the start of a line. `clean` says that they hold no bare LF.
    pub fn passes(&self, bytes: &[u8], clean: bool) -> bool {
        clean
            && self.line_start
            && bytes.first() != Some(&b'.')
            && (bytes.is_empty() || bytes.ends_with(b"\r\n"))
            && memmem::find(bytes, b"\n.").is_none()
    }

    /// Appends the wire form of `bytes` to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        for lf in memchr_iter(b'\n', bytes) {
            let start = bytes.len() - rest.len();
            let line = &bytes[start..lf];
            self.text(line, out);
            // RFC 1939 3: responses consist of lines ended by CRLF; a bare LF becomes one.
            out.extend_from_slice(if self.after_cr { b"\n" } else { b"\r\n" });
            (self.line_start, self.after_cr) = (true, false);
            rest = &bytes[lf + 1..];
        }
        self.text(rest, out);
    }

    /// A part of a line, without LF.
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let Some(last) = text.last() else { return };
        // RFC 1939 3: a line that begins with the termination octet gets another in front.
        if self.line_start && text.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(text);
        (self.line_start, self.after_cr) = (false, *last == b'\r');
    }

    /// Ends the message: completes an unfinished last line, then the terminating dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// Cuts a message behind its header and a number of body lines (RFC 1939 7, TOP).
pub(crate) struct Top {
    left: u64,
    in_body: bool,
    line: Line,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    Cr,
    Text,
}

impl Top {
    /// The header, the blank line, and `lines` lines of the body.
    pub(crate) fn new(lines: u64) -> Self {
        Self {
            left: lines,
            in_body: false,
            line: Line::Empty,
        }
    }

    /// How many octets of the next piece belong to the answer.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut from = 0;
        for lf in memchr_iter(b'\n', bytes) {
            if self.is_done() {
                return from;
            }
            self.text(&bytes[from..lf]);
            if self.in_body {
                self.left -= 1;
            } else if self.line != Line::Text {
                self.in_body = true;
            }
            self.line = Line::Empty;
            from = lf + 1;
        }
        if self.is_done() {
            return from;
        }
        self.text(&bytes[from..]);
        bytes.len()
    }

    fn text(&mut self, text: &[u8]) {
        self.line = match (self.line, text) {
            (line, []) => line,
            (Line::Empty, b"\r") => Line::Cr,
            _ => Line::Text,
        };
    }

    /// Whether nothing that follows belongs to the answer.
    pub(crate) fn is_done(&self) -> bool {
        self.in_body && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn rfc1939_3_lines_end_in_crlf_and_dots_are_stuffed() {
        let table: [(&[u8], &[u8]); 14] = [
            (b"", b".\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a\n", b"a\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b"\n", b"\r\n.\r\n"),
            (b"\n\n", b"\r\n\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n.\r\n", b"..\r\n..\r\n.\r\n"),
            (b"a\n.b\n..\n", b"a\r\n..b\r\n...\r\n.\r\n"),
            (b"a\r.b\r\n", b"a\r.b\r\n.\r\n"),
            (b"a\0b\xff\r\n", b"a\0b\xff\r\n.\r\n"),
            (b"\r\r\n\r", b"\r\r\n\r\r\n.\r\n"),
            (b"\r\n\n.", b"\r\n\r\n..\r\n.\r\n"),
        ];
        for (raw, wire) in table {
            assert_eq!(stuff(&[raw]), wire, "{:?}", String::from_utf8_lossy(raw));
            for cut in 0..=raw.len() {
                assert_eq!(stuff(&[&raw[..cut], &raw[cut..]]), wire, "cut at {cut}");
            }
            for clean in [true, false] {
                let passes = Stuffer::default().passes(raw, clean);
                let mut plain = raw.to_vec();
                plain.extend_from_slice(b".\r\n");
                // `clean` is a promise about bare LF: only true where it holds.
                let bare = raw
                    .iter()
                    .enumerate()
                    .any(|(i, &c)| c == b'\n' && (i == 0 || raw[i - 1] != b'\r'));
                if passes && !bare {
                    assert_eq!(plain, wire);
                }
            }
        }
    }

    #[test]
    fn top_ends_behind_the_lines_asked_for_wherever_pieces_are_cut() {
        let table: [(&[u8], u64, &[u8]); 12] = [
            (b"A: b\r\n\r\nx\r\ny\r\n", 0, b"A: b\r\n\r\n"),
            (b"A: b\r\n\r\nx\r\ny\r\n", 1, b"A: b\r\n\r\nx\r\n"),
            (b"A: b\r\n\r\nx\r\ny\r\n", 2, b"A: b\r\n\r\nx\r\ny\r\n"),
            (
                b"A: b\r\n\r\nx\r\ny\r\n",
                u64::MAX,
                b"A: b\r\n\r\nx\r\ny\r\n",
            ),
            (b"A: b\n\nx\ny", 1, b"A: b\n\nx\n"),
            (b"A: b\n\nx\ny", 2, b"A: b\n\nx\ny"),
            (b"A: b", 0, b"A: b"),
            (b"A: b\r\nC: d\r\n", 0, b"A: b\r\nC: d\r\n"),
            (b"\r\nbody", 0, b"\r\n"),
            (b"\nbody", 0, b"\n"),
            (b"A\r\n\r\r\n\r\nx", 0, b"A\r\n\r\r\n\r\n"),
            (b"", 3, b""),
        ];
        for (raw, lines, want) in table {
            for cut in 0..=raw.len() {
                let mut top = Top::new(lines);
                let (a, b) = raw.split_at(cut);
                let mut got = a[..top.take(a)].to_vec();
                if !top.is_done() {
                    got.extend_from_slice(&b[..top.take(b)]);
                }
                assert_eq!(got, want, "{:?} cut at {cut}", String::from_utf8_lossy(raw));
            }
        }
    }
}
