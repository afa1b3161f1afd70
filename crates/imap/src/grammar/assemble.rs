//! From lines and literals to whole commands, without I/O: the session asks what to read next.

use super::cursor::{BadSyntax, Command, Left};
use bytes::{Bytes, BytesMut};

/// The most literals one command may have.
const MAX_LITERALS: usize = 512;

/// Bounds of one command.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Text without literals.
    pub line: usize,
    /// Sum of the literals.
    pub literals: u64,
    /// Longest refused literal that is skipped.
    pub skip: u64,
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Read exactly so many octets and give them to [`Assembler::literal`]; when `synchronising`,
    /// invite the client to send them first.
    Literal {
        /// Octets.
        len: usize,
        /// Whether the client waits for a continuation request.
        synchronising: bool,
    },
    /// Read so many octets and forget them, then give the next line to [`Assembler::line`].
    Skip(u64),
    /// The command is complete.
    Done(Command),
    /// The command is over and was refused; all of it has been read.
    Refused(Unfit),
    /// The client announced so much that reading on makes no sense.
    HangUp,
}

/// Why a command was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// A literal is over the limit.
    TooBig,
    /// The form is wrong.
    Bad(BadSyntax),
}

/// Puts one command together.
pub struct Assembler {
    bounds: Bounds,
    text: BytesMut,
    literals: Vec<Bytes>,
    taken: u64,
    refused: Option<Unfit>,
}

impl Assembler {
    /// For one command within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            text: BytesMut::new(),
            literals: Vec::new(),
            taken: 0,
            refused: None,
        }
    }

    /// How long the next line may be.
    pub fn line_limit(&self) -> usize {
        self.bounds.line.saturating_sub(self.text.len())
    }

    /// Takes a line, without its CRLF.
    pub fn line(&mut self, line: Bytes) -> Next {
        let announced = match announced(&line) {
            Ok(announced) => announced,
            Err(bad) => {
                self.refused.get_or_insert(Unfit::Bad(bad));
                None
            }
        };
        if memchr::memchr(0, &line).is_some() {
            self.refused
                .get_or_insert(Unfit::Bad(BadSyntax("NUL in command")));
        }
        let Some((len, synchronising)) = announced else {
            return self.finish(line);
        };
        if self.refused.is_none() {
            self.refused = self.unfit(len);
        }
        if let Some(unfit) = self.refused {
            // RFC 9051 4.3: a client that waits for the continuation request and gets a tagged
            // answer instead does not send the literal, nor the rest of the command. RFC 7888 4:
            // one that does not wait has sent it already.
            return match synchronising {
                true => Next::Refused(unfit),
                false if len > self.bounds.skip => Next::HangUp,
                false => Next::Skip(len),
            };
        }
        self.text.extend_from_slice(&line);
        self.text.extend_from_slice(b"\r\n");
        match usize::try_from(len) {
            Ok(len) => Next::Literal { len, synchronising },
            Err(_) => Next::HangUp,
        }
    }

    /// Refuses the command, in place of taking the literal asked for if there is one; what is left
    /// of it is still read.
    pub fn refuse(&mut self, bad: BadSyntax) {
        self.refused.get_or_insert(Unfit::Bad(bad));
    }

    /// The text and the literals taken in so far; the text ends in the `{n}` of a literal that was
    /// just announced.
    pub fn so_far(&self) -> (&[u8], &[Bytes]) {
        (&self.text, &self.literals)
    }

    /// The sum of the literals taken in, without those forgotten.
    pub fn octets(&self) -> u64 {
        self.taken
    }

    /// Forgets what stands between two places of [`Self::so_far`], each given by what is left
    /// behind it: it has been used, and counts no more. Keeps everything if there are no such places.
    pub fn forget(&mut self, from: Left, to: Left) {
        let text = span(self.text.len(), from.text, to.text);
        let literals = span(self.literals.len(), from.literals, to.literals);
        let (Some((start, end)), Some(literals)) = (text, literals) else {
            return;
        };
        let tail = self.text.split_off(end);
        self.text.truncate(start);
        self.text.unsplit(tail);
        for literal in self.literals.drain(literals.0..literals.1) {
            self.taken = self.taken.saturating_sub(literal.len() as u64);
        }
    }

    /// Takes the literal asked for.
    pub fn literal(&mut self, octets: Bytes) {
        self.taken = self.taken.saturating_add(octets.len() as u64);
        self.literals.push(octets);
    }

    fn unfit(&self, len: u64) -> Option<Unfit> {
        if self.literals.len() >= MAX_LITERALS {
            return Some(Unfit::Bad(BadSyntax("too many literals")));
        }
        (self.taken.saturating_add(len) > self.bounds.literals).then_some(Unfit::TooBig)
    }

    fn finish(&mut self, line: Bytes) -> Next {
        if let Some(unfit) = self.refused {
            return Next::Refused(unfit);
        }
        let text = if self.text.is_empty() {
            line
        } else {
            self.text.extend_from_slice(&line);
            std::mem::take(&mut self.text).freeze()
        };
        Next::Done(Command {
            text,
            literals: std::mem::take(&mut self.literals),
        })
    }
}

/// From two numbers of things left of `len` to the places they mean.
fn span(len: usize, from: usize, to: usize) -> Option<(usize, usize)> {
    let (start, end) = (len.checked_sub(from)?, len.checked_sub(to)?);
    (start <= end).then_some((start, end))
}

/// The literal a line ends with: its length, and whether the client waits to be asked for it.
///
/// # Errors
/// A `{` with digits that is no literal: what follows cannot be told from the command.
pub fn announced(line: &[u8]) -> Result<Option<(u64, bool)>, BadSyntax> {
    let Some(inner) = line.strip_suffix(b"}") else {
        return Ok(None);
    };
    let Some(open) = memchr::memrchr(b'{', inner) else {
        return Ok(None);
    };
    let inner = inner.get(open + 1..).unwrap_or_default();
    let (digits, synchronising) = match inner.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inner, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadSyntax("malformed literal"));
    }
    let len = digits.iter().try_fold(0u64, |n, &d| {
        n.checked_mul(10)?.checked_add(u64::from(d - b'0'))
    });
    // RFC 9051 9: number64. A client that does not wait and announces more will never end.
    Ok(Some((len.unwrap_or(u64::MAX), synchronising)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembler() -> Assembler {
        Assembler::new(Bounds {
            line: 100,
            literals: 10,
            skip: 20,
        })
    }

    fn line(a: &mut Assembler, text: &'static str) -> String {
        format!("{:?}", a.line(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn malformed_and_excessive_commands_are_refused_where_the_client_stops() {
        assert_eq!(
            line(&mut assembler(), "a x {}"),
            "Refused(Bad(BadSyntax(\"malformed literal\")))"
        );
        assert_eq!(
            line(&mut assembler(), "a x {-1}"),
            "Refused(Bad(BadSyntax(\"malformed literal\")))"
        );
        assert_eq!(
            line(&mut assembler(), "a\0x"),
            "Refused(Bad(BadSyntax(\"NUL in command\")))"
        );
        assert_eq!(line(&mut assembler(), "a x {11}"), "Refused(TooBig)");
        assert_eq!(line(&mut assembler(), "a x {21+}"), "HangUp");
        assert_eq!(
            line(&mut assembler(), "a x {99999999999999999999999+}"),
            "HangUp"
        );
        let mut a = assembler();
        assert_eq!(line(&mut a, "a x {11+}"), "Skip(11)");
        assert_eq!(line(&mut a, " {5+}"), "Skip(5)");
        assert_eq!(line(&mut a, " {5}"), "Refused(TooBig)");
        let mut a = assembler();
        assert_eq!(line(&mut a, "a x {11+}"), "Skip(11)");
        assert_eq!(line(&mut a, ""), "Refused(TooBig)");
    }

    #[test]
    fn literals_are_bounded_by_their_sum() {
        let mut a = assembler();
        assert_eq!(
            line(&mut a, "a x {6}"),
            "Literal { len: 6, synchronising: true }"
        );
        a.literal("abcdef".into());
        assert_eq!(
            line(&mut a, " {4+}"),
            "Literal { len: 4, synchronising: false }"
        );
        a.literal("abcd".into());
        assert_eq!(a.line_limit(), 100 - 9 - 7);
        assert_eq!(line(&mut a, " {1}"), "Refused(TooBig)");
    }

    #[test]
    fn what_was_used_is_forgotten() {
        let mut a = assembler();
        line(&mut a, "a x {1}");
        a.literal("b".into());
        line(&mut a, " ~{8+}");
        a.literal("c\0".into());
        line(&mut a, " {7}");
        let left = |text, literals| Left { text, literals };
        // No such places.
        a.forget(left(4, 0), left(99, 0));
        a.forget(left(4, 0), left(6, 0));
        assert_eq!(a.octets(), 3);
        a.forget(left(14, 1), left(6, 0));
        assert_eq!(a.so_far(), (&b"a x {1}\r\n {7}\r\n"[..], &["b".into()][..]));
        assert_eq!(a.octets(), 1);
        a.literal("7777777".into());
        assert!(matches!(a.line("".into()), Next::Done(_)));
    }

    #[test]
    fn a_command_keeps_its_text_and_its_literals() {
        let mut a = assembler();
        line(&mut a, "a x {3}");
        a.literal("b\r\n".into());
        let Next::Done(command) = a.line(" c".into()) else {
            panic!("not done")
        };
        assert_eq!(command.text, "a x {3}\r\n c");
        assert_eq!(command.literals, ["b\r\n"]);
    }
}
