//! SEARCH: the command, its loop and its answers. What can be searched for is a table of
//! [`SearchKey`]s, one row per key, each in a file by family.

mod answer;
mod dates;
mod flags;
mod key;
mod program;
mod scan;
mod sets;
mod text;

pub(crate) use answer::{Answer, Options};
pub(crate) use dates::{WITHIN, day};
pub(crate) use key::{Candidate, Cost, Key};
pub(crate) use scan::Found;
pub(crate) use sets::all;

use super::*;
use key::Binding;
use program::Query;
use scan::Scan;
use std::time::{SystemTime, UNIX_EPOCH};

/// `search = "SEARCH" [search-return-opts] SP search-program`
/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`
pub(crate) static SPEC: Spec = Spec {
    name: "SEARCH",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::USES_SEQ,
    rfc: &[
        "RFC 3501 6.4.4",
        "RFC 9051 6.4.4",
        "RFC 4466 2.6",
        "RFC 4731 3",
        "RFC 5182 2.1",
        "RFC 7162 3.1.5",
    ],
    parse,
};

/// A key SEARCH knows, by the word it begins with.
pub struct SearchKey {
    /// The word, upper case.
    pub name: &'static str,
    /// Where it is written down.
    pub rfc: &'static str,
    /// Reads what follows the word, from the space.
    pub parse: fn(&mut Cursor<'_>, &Charset) -> Parsed<Box<dyn Key>>,
}

/// The keys of RFC 3501, and MODSEQ, by family.
pub(crate) static KEYS: [&[SearchKey]; 4] = [flags::KEYS, dates::KEYS, text::KEYS, sets::KEYS];

/// The charset of the strings in a SEARCH.
pub struct Charset(Vec<u8>);

impl Charset {
    /// What strings are in when nothing is said of it.
    // RFC 3501 6.4.4 says US-ASCII; clients send UTF-8 all the same.
    fn default() -> Self {
        Self(b"US-ASCII".to_vec())
    }

    fn is_known(&self) -> bool {
        self.decode(b"").is_some()
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        message::decode_labelled(bytes, &self.0).map(std::borrow::Cow::into_owned)
    }

    /// A string of the client.
    fn string(&self, c: &mut Cursor<'_>) -> Parsed<String> {
        c.sp()?;
        // An unknown charset refuses the whole command later.
        Ok(self.decode(&c.astring()?).unwrap_or_default())
    }
}

/// What messages are looked for: the part SEARCH has in common with SORT and THREAD.
pub(crate) struct Criteria {
    uid: bool,
    charset: Charset,
    query: Query,
}

impl Criteria {
    /// `search-key *(SP search-key)` behind the name of a charset, `None` when it is not said.
    pub(crate) fn parse(c: &mut Cursor<'_>, charset: Option<Vec<u8>>, uid: bool) -> Parsed<Self> {
        let charset = charset.map_or_else(Charset::default, Charset);
        Ok(Self {
            uid,
            query: program::parse(c, &charset)?,
            charset,
        })
    }

    /// Whether MODSEQ is among the keys (RFC 7162 3.1.5).
    pub(crate) fn asks_modseq(&self) -> bool {
        self.query.any(&|key| key.is_modseq())
    }

    /// The messages that match, in the order of the mailbox; the client is warned when some could
    /// not be read.
    ///
    /// # Errors
    /// An unknown charset, a sequence number beyond the last message, the store.
    pub(crate) async fn find(mut self, cx: &mut Session) -> Result<Vec<Found>, Refusal> {
        if !self.charset.is_known() {
            return Err(Refusal::no(
                Code::Word("BADCHARSET (UTF-8 US-ASCII ISO-8859-1 WINDOWS-1252)"),
                "unknown charset",
            ));
        }
        // RFC 7162 3.1: searching for MODSEQ is a CONDSTORE enabling command.
        if self.asks_modseq() {
            cx.enable_condstore();
        }
        let collation = cx.comparator.collation;
        let selection = cx.state.selection()?;
        let account = selection.owner().clone();
        // RFC 7162 3.2.10.2: no VANISHED for a UID SEARCH with message numbers in it.
        if self.uid && self.query.any(&|key| key.is_by_number()) {
            selection.hold_expunges();
        }
        let rows = self.query.candidates(selection)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.query.bind(&Binding {
            selection,
            view: rows.view(),
            collation,
            now: now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
        })?;
        let found = Scan::new(self.query, account, rows).run().await?;
        if found.unreadable > 0 {
            // RFC 3501 7.1.2: an untagged NO warns, and the command may still succeed.
            let out = cx.wire.buffer();
            out.raw(b"* NO ");
            Code::Word("CONTACTADMIN").write(out);
            out.raw(b"some messages cannot be read and were not searched\r\n");
        }
        Ok(found.messages)
    }
}

struct Search {
    /// `None`: the answer is SEARCH, otherwise ESEARCH.
    options: Option<Options>,
    criteria: Criteria,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Run>> {
    c.sp()?;
    let options = Options::parse_return(c)?;
    let mut charset = None;
    if c.eat_word(b"CHARSET") {
        c.sp()?;
        charset = Some(c.astring()?.to_vec());
        c.sp()?;
    }
    let criteria = Criteria::parse(c, charset, uid)?;
    Ok(Box::new(Search { options, criteria }))
}

/// RFC 5182 2.1: NO to a search whose result was to be saved leaves `$` empty; BAD leaves it as it
/// was.
pub(crate) fn forget_if_refused<T>(
    options: Option<&Options>,
    result: &Result<T, Refusal>,
    cx: &mut Session,
) {
    if let (true, Err(Refusal::No(..) | Refusal::Mail(_))) = (Options::saves(options), result)
        && let Ok(selection) = cx.state.selection()
    {
        selection.forget_saved();
    }
}

#[async_trait]
impl Run for Search {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let (uid, modseq) = (self.criteria.uid, self.criteria.asks_modseq());
        let options = self.options.as_ref();
        let found = self.criteria.find(cx).await;
        forget_if_refused(options, &found, cx);
        let answer = Answer {
            found: &found?,
            uid,
            modseq,
        };
        answer.give(b"SEARCH", options, cx).await?;
        Done::ok("searched")
    }
}
