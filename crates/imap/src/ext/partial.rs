//! PARTIAL (RFC 9394): a page of what SEARCH, SORT or UID FETCH would answer. The parts live where
//! they act: the result option in `cmd/search/answer.rs`, the modifier in `cmd/fetch/mod.rs`. This
//! is the row, and the range both take.

use super::*;
use bytes::BytesMut;
use std::ops::Range;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9394",
    file: file!(),
    capabilities: &[Capability::always("PARTIAL")],
    ..Extension::EMPTY
};

/// `partial-range`: places in a list of results, from 1, as the client wrote them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    first: u32,
    last: u32,
    /// Counted from the end: `-1` is the last result.
    from_end: bool,
}

impl Page {
    /// `SP partial-range`, behind the word PARTIAL.
    /// `partial-range = nz-number ":" nz-number / MINUS nz-number ":" MINUS nz-number`
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        const MIXED: BadSyntax = BadSyntax("a range counts from one end");
        c.sp()?;
        let from_end = c.eat(b"-");
        let first = c.nz_number()?;
        c.expect(b":", "expected a range of results")?;
        if c.eat(b"-") != from_end {
            return Err(MIXED);
        }
        let last = c.nz_number()?;
        Ok(Self {
            first,
            last,
            from_end,
        })
    }

    /// Which of `count` results, as indexes; empty when it lies beyond them.
    pub(crate) fn of(self, count: usize) -> Range<usize> {
        // RFC 9394 4: 500:400 is the same as 400:500.
        let near = self.first.min(self.last) as usize - 1;
        let far = self.first.max(self.last) as usize;
        let (near, far) = (near.min(count), far.min(count));
        match self.from_end {
            true => count - far..count - near,
            false => near..far,
        }
    }

    /// The range as it was asked for.
    pub(crate) fn write(self, out: &mut BytesMut) {
        let sign: &[u8] = if self.from_end { b"-" } else { b"" };
        out.raw(sign).num(self.first).raw(b":");
        out.raw(sign).num(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(raw: &str) -> Parsed<Page> {
        let mut c = Cursor::of(raw.as_bytes());
        let page = Page::parse(&mut c)?;
        c.end().map(|()| page)
    }

    #[test]
    fn a_page_is_two_numbers_from_one_end() {
        for raw in [
            "",
            " ",
            " 1",
            " 1:",
            " 0:1",
            " 1:0",
            " 1:*",
            " *:1",
            " 1:-1",
            " -1:1",
            " --1:-1",
            " -0:-1",
            " 1:4294967296",
            " 1:2,3",
            " 1-2",
        ] {
            assert!(page(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn a_page_is_cut_to_what_there_is() {
        for (raw, count, want) in [
            (" 1:3", 10, 0..3),
            (" 3:1", 10, 0..3),
            (" 9:20", 10, 8..10),
            (" 11:20", 10, 10..10),
            (" 1:4294967295", 0, 0..0),
            (" -1:-3", 10, 7..10),
            (" -3:-1", 10, 7..10),
            (" -9:-20", 10, 0..2),
            (" -11:-12", 10, 0..0),
            (" -4294967295:-4294967295", 1, 0..0),
        ] {
            assert_eq!(page(raw).unwrap().of(count), want, "{raw}");
        }
    }

    #[test]
    fn a_page_is_told_as_it_was_asked_for() {
        for raw in [" 500:400", " -1:-100", " 7:7"] {
            let mut out = BytesMut::from(" ");
            page(raw).unwrap().write(&mut out);
            assert_eq!(out, raw);
        }
    }
}
