//! SEARCH and ESEARCH responses.

use super::scan::Found;
use super::{Cursor, Parsed, Refusal, Session};
use crate::ext::partial::Page;
use crate::grammar::{BadSyntax, Emit};
use crate::view::MAX_PENDING;
use bytes::BytesMut;
use net::{Wire, WireError};
use types::{ModSeq, UidSet};

/// What RETURN asks for (RFC 4731 3.1, RFC 9394 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Options {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    save: bool,
    partial: Option<Page>,
}

impl Options {
    /// `["RETURN" SP search-return-opts SP]`; `None` when it is not there.
    pub(crate) fn parse_return(c: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        if !c.eat_word(b"RETURN") {
            return Ok(None);
        }
        c.sp()?;
        let options = Self::parse(c)?;
        c.sp()?;
        Ok(Some(options))
    }

    /// `"(" [search-return-opt *(SP search-return-opt)] ")"`
    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        // RFC 9394 3.1: one PARTIAL, or one ALL, or neither.
        const ONE_LIST: BadSyntax = BadSyntax("one PARTIAL or ALL");
        let mut options = Self::default();
        let words = c.list(true, |c| {
            if c.eat_word(b"MIN") {
                options.min = true;
            } else if c.eat_word(b"MAX") {
                options.max = true;
            } else if c.eat_word(b"ALL") {
                options.all = true;
            } else if c.eat_word(b"COUNT") {
                options.count = true;
            } else if c.eat_word(b"SAVE") {
                options.save = true;
            } else if c.eat_word(b"PARTIAL") {
                let page = Page::parse(c)?;
                if options.partial.replace(page).is_some() {
                    return Err(ONE_LIST);
                }
            } else {
                return Err(BadSyntax("unknown result option"));
            }
            Ok(())
        })?;
        // RFC 4731 3.1: an empty list is (ALL).
        options.all |= words.is_empty();
        if options.all && options.partial.is_some() {
            return Err(ONE_LIST);
        }
        Ok(options)
    }

    /// `RETURN (ALL)`.
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Whether the result is to be saved (RFC 5182).
    pub(crate) fn saves(options: Option<&Self>) -> bool {
        options.is_some_and(|options| options.save)
    }

    /// Whether anything is to be told.
    fn tells(&self) -> bool {
        self.min || self.max || self.all || self.count || self.partial.is_some()
    }
}

/// What was found and how it is told.
pub(crate) struct Answer<'a> {
    /// In the order of the mailbox, or that of a SORT.
    pub(crate) found: &'a [Found],
    /// By uid, as opposed to sequence number.
    pub(crate) uid: bool,
    /// With the largest modification sequence (RFC 7162 3.1.6).
    pub(crate) modseq: bool,
}

impl Answer<'_> {
    fn number(&self, found: &Found) -> u32 {
        if self.uid {
            found.uid.get()
        } else {
            found.seq.get()
        }
    }

    /// Saves what was found, if that is asked for, and tells it: by `word`, SEARCH or SORT, when
    /// there are no options.
    ///
    /// # Errors
    /// The connection, or NOTSAVED.
    pub(crate) async fn give(
        &self,
        word: &[u8],
        options: Option<&Options>,
        cx: &mut Session,
    ) -> Result<(), Refusal> {
        let Some(options) = options else {
            return Ok(self.plain(word, &mut cx.wire).await?);
        };
        if options.save {
            cx.state.selection()?.save(self.saved(options))?;
        }
        // RFC 5182 1: SAVE alone suppresses the response.
        if options.tells() || !options.save {
            self.esearch(options, &cx.tag, cx.wire.buffer());
        }
        Ok(())
    }

    fn saved(&self, options: &Options) -> UidSet {
        match Self::tells_less(options) {
            true => self.told(options).map(|found| found.uid).collect(),
            false => self.found.iter().map(|found| found.uid).collect(),
        }
    }

    /// Whether the answer is about some of what was found: MIN, MAX and PARTIAL without ALL and
    /// COUNT. Then what is saved, and the largest modification sequence, are theirs (RFC 5182 2.4,
    /// RFC 4731 3.2, RFC 9394 3.2).
    fn tells_less(options: &Options) -> bool {
        let some = options.min || options.max || options.partial.is_some();
        some && !options.all && !options.count
    }

    /// What MIN, MAX and PARTIAL are, in no order.
    fn told(&self, options: &Options) -> impl Iterator<Item = &Found> {
        let min = self.found.first().filter(|_| options.min);
        let max = self.found.last().filter(|_| options.max);
        let page = options.partial.map_or(&[][..], |page| self.page(page));
        min.into_iter().chain(max).chain(page)
    }

    fn page(&self, page: Page) -> &[Found] {
        self.found
            .get(page.of(self.found.len()))
            .unwrap_or_default()
    }

    /// `word *(SP nz-number) [SP "(MODSEQ" SP mod-sequence-value ")"]`
    async fn plain(&self, word: &[u8], wire: &mut Wire) -> Result<(), WireError> {
        wire.buffer().raw(b"* ").raw(word);
        for found in self.found {
            wire.buffer().raw(b" ").num(self.number(found));
            wire.flush_if_over(MAX_PENDING).await?;
        }
        if let (true, Some(modseq)) = (self.modseq, largest(self.found)) {
            wire.buffer().raw(b" (MODSEQ ").num(modseq.get()).raw(b")");
        }
        wire.buffer().crlf();
        Ok(())
    }

    /// `"ESEARCH" "(TAG" SP string ")" [SP "UID"] *(SP search-return-data)`
    fn esearch(&self, options: &Options, tag: &[u8], out: &mut BytesMut) {
        out.raw(b"* ESEARCH (TAG ").string(tag).raw(b")");
        if self.uid {
            out.raw(b" UID");
        }
        if let (Some(first), Some(last)) = (self.found.first(), self.found.last()) {
            if options.min {
                out.raw(b" MIN ").num(self.number(first));
            }
            if options.max {
                out.raw(b" MAX ").num(self.number(last));
            }
            if options.all {
                out.raw(b" ALL ");
                self.ranges(self.found, out);
            }
        }
        if let Some(page) = options.partial {
            out.raw(b" PARTIAL (");
            page.write(out);
            out.raw(b" ");
            match self.page(page) {
                // RFC 9394 3.1: the range is beyond what there is.
                [] => out.raw(b"NIL)"),
                some => {
                    self.ranges(some, out);
                    out.raw(b")")
                }
            };
        }
        if options.count {
            out.raw(b" COUNT ").num(self.found.len() as u64);
        }
        if let (true, Some(modseq)) = (self.modseq, self.modseq_of(options)) {
            out.raw(b" MODSEQ ").num(modseq.get());
        }
        out.crlf();
    }

    fn ranges(&self, found: &[Found], out: &mut BytesMut) {
        let adjoin = |a: &Found, b: &Found| self.number(a).checked_add(1) == Some(self.number(b));
        for (i, run) in found.chunk_by(adjoin).enumerate() {
            if i > 0 {
                out.raw(b",");
            }
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                out.num(self.number(first));
                if run.len() > 1 {
                    out.raw(b":").num(self.number(last));
                }
            }
        }
    }

    fn modseq_of(&self, options: &Options) -> Option<ModSeq> {
        match Self::tells_less(options) {
            true => self.told(options).map(|found| found.modseq).max(),
            false => largest(self.found),
        }
    }
}

fn largest(found: &[Found]) -> Option<ModSeq> {
    found.iter().map(|found| found.modseq).max()
}
