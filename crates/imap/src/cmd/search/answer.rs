//! SEARCH and ESEARCH responses.

use super::scan::Found;
use super::{Cursor, Parsed, Refusal, Session};
use crate::ext::context::{self, Source, Update};
use crate::ext::partial::Page;
use crate::grammar::{BadSyntax, Emit, Names};
use crate::view::MAX_PENDING;
use bytes::BytesMut;
use net::{Wire, WireError};
use types::{ModSeq, UidSet};

/// What RETURN asks for (RFC 4731 3.1, RFC 9394 3.1, RFC 5267 4).
#[derive(Default)]
pub(crate) struct Options {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    save: bool,
    partial: Option<Page>,
    update: Option<Update>,
    relevancy: bool,
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
            } else if c.eat_word(b"UPDATE") {
                options.update = Some(Update::parse(c)?);
            } else if c.eat_word(b"RELEVANCY") {
                // RFC 6203 4.
                options.relevancy = true;
            } else if c.eat_word(b"CONTEXT") {
                // RFC 5267 4.2: a hint; nothing here needs one.
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

    /// What is meant when nothing is said: `RETURN (ALL)`.
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

    /// Whether it is to be told how well messages match.
    pub(crate) fn scores(options: Option<&Self>) -> bool {
        options.is_some_and(|options| options.relevancy)
    }

    /// What is to be kept up to date, for who does that.
    pub(crate) fn take_update(&mut self) -> Option<Update> {
        self.update.take()
    }

    /// Whether anything is to be told.
    fn tells(&self) -> bool {
        self.min || self.max || self.all || self.count || self.relevancy || self.partial.is_some()
    }
}

/// What was found and how it is told.
pub(crate) struct Answer<'a> {
    /// In the order of the mailbox, or that of a SORT.
    pub(crate) found: &'a [Found],
    /// How well each of them matches, if that is wanted.
    pub(crate) scores: &'a [u8],
    /// By uid, as opposed to sequence number.
    pub(crate) uid: bool,
    /// With the largest modification sequence (RFC 7162 3.1.6).
    pub(crate) modseq: bool,
    /// Where that was, if it must be said.
    pub(crate) source: Option<&'a Source>,
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
        // RFC 7377 2.1: nothing about mailboxes in which nothing was found.
        let is_worth_it = self.source.is_none() || !self.found.is_empty();
        if is_worth_it && (options.tells() || !options.save) {
            let names = cx.enabled.names();
            self.esearch(options, &cx.tag, names, cx.wire.buffer());
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
    fn esearch(&self, options: &Options, tag: &[u8], names: Names, out: &mut BytesMut) {
        context::begin_esearch(tag, self.source, names, self.uid, out);
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
        if options.relevancy {
            self.relevancy(options, out);
        }
        if let (true, Some(modseq)) = (self.modseq, self.modseq_of(options)) {
            out.raw(b" MODSEQ ").num(modseq.get());
        }
        out.crlf();
    }

    /// `"RELEVANCY" SP score-list`: of the page or, without one, of all.
    fn relevancy(&self, options: &Options, out: &mut BytesMut) {
        let page = options.partial.map(|page| page.of(self.scores.len()));
        let scores = self.scores.get(page.unwrap_or(0..self.scores.len()));
        out.raw(b" RELEVANCY (");
        for (i, score) in scores.unwrap_or_default().iter().enumerate() {
            out.raw(if i == 0 { b"" } else { b" " }).num(*score);
        }
        out.raw(b")");
    }

    fn ranges(&self, found: &[Found], out: &mut BytesMut) {
        out.number_set(found.iter().map(|found| self.number(found)));
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
