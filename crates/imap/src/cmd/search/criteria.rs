//! What SEARCH, SORT and THREAD have in common: which messages are looked for.

use super::key::Binding;
use super::program::{self, Program, Query};
use super::scan::{Results, Scan};
use super::{Code, Cursor, Parsed, Refusal, Session};
use crate::ext::filters;
use crate::ext::inprogress::Progress;
use crate::view::Selection;
use message::Collation;
use std::sync::Arc;
use types::UidSet;

/// The charset of the strings in a SEARCH.
pub struct Charset(Vec<u8>);

impl Charset {
    /// What strings are in when nothing is said of it.
    // RFC 3501 6.4.4 says US-ASCII; clients send UTF-8 all the same.
    pub(crate) fn default() -> Self {
        Self(b"US-ASCII".to_vec())
    }

    /// What stored searches are in (RFC 5466 3.2).
    pub(crate) fn utf8() -> Self {
        Self(b"UTF-8".to_vec())
    }

    fn is_known(&self) -> bool {
        self.decode(b"").is_some()
    }

    /// Whether it is UTF-8 or a part of that.
    pub(crate) fn is_utf8(&self) -> bool {
        let names: [&[u8]; 2] = [b"UTF-8", b"US-ASCII"];
        names.iter().any(|name| self.0.eq_ignore_ascii_case(name))
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        message::decode_labelled(bytes, &self.0).map(std::borrow::Cow::into_owned)
    }

    /// A string of the client.
    pub(crate) fn string(&self, c: &mut Cursor<'_>) -> Parsed<String> {
        c.sp()?;
        // An unknown charset refuses the whole command later.
        Ok(self.decode(&c.astring()?).unwrap_or_default())
    }
}

/// RFC 3501 7.1: what this server can decode, as far as anyone asks.
pub(crate) const BADCHARSET: Code =
    Code::Word("BADCHARSET (UTF-8 US-ASCII ISO-8859-1 WINDOWS-1252)");

/// What the client looks for, as it was written.
pub(crate) struct Criteria {
    uid: bool,
    charset: Charset,
    /// Whether the client has named the charset.
    is_labelled: bool,
    program: Program,
}

impl Criteria {
    /// `search-key *(SP search-key)` behind the name of a charset, `None` when it is not said.
    pub(crate) fn parse(c: &mut Cursor<'_>, charset: Option<Vec<u8>>, uid: bool) -> Parsed<Self> {
        let is_labelled = charset.is_some();
        let charset = charset.map_or_else(Charset::default, Charset);
        Ok(Self {
            uid,
            is_labelled,
            program: program::parse(c, &charset)?,
            charset,
        })
    }

    /// Of a command that need not name a charset.
    ///
    /// # Errors
    /// When it does after UTF8=ACCEPT was enabled.
    pub(crate) fn check_label(&self, cx: &Session) -> Result<(), Refusal> {
        // RFC 9755 3: not even that one.
        match cx.enabled.utf8 && self.is_labelled {
            true => Err(Refusal::bad("no charset since UTF8=ACCEPT was enabled")),
            false => Ok(()),
        }
    }

    /// Puts in what depends on the session. `scores`: how well messages match is wanted.
    ///
    /// # Errors
    /// BAD, when scores are wanted and nothing is fuzzy; an unknown charset, a filter that is not
    /// there, the store.
    pub(crate) async fn ready(self, scores: bool, cx: &mut Session) -> Result<Finder, Refusal> {
        // RFC 9755 3: strings are UTF-8 then. SORT and THREAD must name a charset, and may name
        // that.
        let is_utf8 = self.charset.0.eq_ignore_ascii_case(b"UTF-8");
        if cx.enabled.utf8 && self.is_labelled && !is_utf8 {
            return Err(Refusal::bad(
                "strings are UTF-8 since UTF8=ACCEPT was enabled",
            ));
        }
        let program = filters::put_in(self.program, &self.charset, cx).await?;
        // RFC 6203 4 and 6.
        if scores && !program.fuzzy {
            return Err(Refusal::bad("RELEVANCY needs FUZZY"));
        }
        if !self.charset.is_known() {
            return Err(Refusal::no(BADCHARSET, "unknown charset"));
        }
        let finder = Finder {
            uid: self.uid,
            query: Arc::new(program.query),
            scores,
            collation: cx.comparator.collation,
            now: crate::now(),
        };
        // RFC 7162 3.1: searching for MODSEQ is a CONDSTORE enabling command.
        if finder.asks_modseq() {
            cx.enable_condstore();
        }
        Ok(finder)
    }

    /// The messages of the selected mailbox that match.
    ///
    /// # Errors
    /// Those of [`Self::ready`] and [`Finder::find`].
    pub(crate) async fn find(
        self,
        scores: bool,
        cx: &mut Session,
    ) -> Result<(Finder, Results), Refusal> {
        let mut finder = self.ready(scores, cx).await?;
        let results = finder.find(cx).await?;
        Ok((finder, results))
    }
}

/// What is looked for, ready to be looked for in mailboxes one after the other.
pub(crate) struct Finder {
    uid: bool,
    query: Arc<Query>,
    /// How well messages match is wanted.
    scores: bool,
    collation: Collation,
    now: i64,
}

impl Finder {
    /// Whether the client wants uids.
    pub(crate) fn is_uid(&self) -> bool {
        self.uid
    }

    /// Whether MODSEQ is among the keys (RFC 7162 3.1.5).
    pub(crate) fn asks_modseq(&self) -> bool {
        self.query.any(&|key| key.is_modseq())
    }

    /// The messages of the selected mailbox that match, in its order; the client is warned when
    /// some could not be read.
    ///
    /// # Errors
    /// The store.
    pub(crate) async fn find(&mut self, cx: &mut Session) -> Result<Results, Refusal> {
        let limit = cx.deps.limits.message_limit;
        let selection = cx.state.selection()?;
        // RFC 7162 3.2.10.2: no VANISHED for a UID SEARCH with message numbers in it.
        if self.uid && self.query.any(&|key| key.is_by_number()) {
            selection.hold_expunges();
        }
        let mut scan = self.scan(selection)?;
        scan.keep_newest(limit);
        let mut progress = Progress::new(cx, Some(scan.len()));
        scan.count(progress.counter());
        let results = progress.attend(&mut cx.wire, &cx.tag, scan.run()).await?;
        results.warn(cx.enabled, cx.wire.buffer());
        Ok(results)
    }

    /// A search in a mailbox.
    ///
    /// # Errors
    /// When the last search has not come to its end.
    pub(crate) fn scan(&mut self, selection: &Selection) -> Result<Scan, Refusal> {
        let rows = self.query.candidates(selection);
        let to = Binding {
            selection,
            view: rows.view(),
            collation: self.collation,
            now: self.now,
        };
        self.query_mut()?.bind(&to);
        let account = selection.owner().clone();
        Ok(Scan::new(
            Arc::clone(&self.query),
            self.scores,
            account,
            rows,
        ))
    }

    /// A search among the messages of the selected mailbox that have changed since the last one, as
    /// the client knows them, and those that time has changed: which these are, if there are any.
    ///
    /// # Errors
    /// When the last search has not come to its end.
    pub(crate) fn rescan(
        &mut self,
        selection: &Selection,
        changed: UidSet,
    ) -> Result<Option<(UidSet, Scan)>, Refusal> {
        self.now = crate::now();
        let mut affected = changed;
        let to = Binding {
            selection,
            view: selection.told(),
            collation: self.collation,
            now: self.now,
        };
        self.query_mut()?.rebind(&to, &mut affected);
        let affected = selection.told().existing(&affected);
        if affected.is_empty() {
            return Ok(None);
        }
        let account = selection.owner().clone();
        let rows = selection.rows_as_told(&affected);
        let scan = Scan::new(Arc::clone(&self.query), self.scores, account, rows);
        Ok(Some((affected, scan)))
    }

    /// Whether time alone can change what matches.
    pub(crate) fn is_timed(&self) -> bool {
        self.query.any(&|key| key.is_timed())
    }

    /// Nobody else has it: a search that was given up has taken the command with it.
    fn query_mut(&mut self) -> Result<&mut Query, Refusal> {
        Arc::get_mut(&mut self.query).ok_or(Refusal::Bye("a search still runs"))
    }
}
