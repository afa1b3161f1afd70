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

pub(crate) use dates::WITHIN;
pub(crate) use key::Key;

use super::*;
use answer::{Answer, Options};
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

struct Search {
    uid: bool,
    /// `None`: the answer is SEARCH, otherwise ESEARCH.
    options: Option<Options>,
    charset: Charset,
    query: Query,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Run>> {
    c.sp()?;
    let mut options = None;
    if c.eat_word(b"RETURN") {
        c.sp()?;
        options = Some(Options::parse(c)?);
        c.sp()?;
    }
    let mut charset = Charset::default();
    if c.eat_word(b"CHARSET") {
        c.sp()?;
        charset = Charset(c.astring()?.to_vec());
        c.sp()?;
    }
    let query = program::parse(c, &charset)?;
    Ok(Box::new(Search {
        uid,
        options,
        charset,
        query,
    }))
}

#[async_trait]
impl Run for Search {
    async fn run(mut self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if !self.charset.is_known() {
            return Err(Refusal::no(
                Code::Word("BADCHARSET (UTF-8 US-ASCII ISO-8859-1 WINDOWS-1252)"),
                "unknown charset",
            ));
        }
        let asks_modseq = self.query.any(&|key| key.is_modseq());
        // RFC 7162 3.1: searching for MODSEQ is a CONDSTORE enabling command.
        if asks_modseq {
            cx.enable_condstore();
        }
        let account = cx.state.account()?.clone();
        let selection = cx.state.selection()?;
        // RFC 7162 3.2.10.2: no VANISHED for a UID SEARCH with message numbers in it.
        if self.uid && self.query.any(&|key| key.is_by_number()) {
            selection.hold_expunges();
        }
        let rows = self.query.candidates(selection)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.query.bind(&Binding {
            selection,
            view: rows.view(),
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
        let answer = Answer {
            found: &found.messages,
            uid: self.uid,
            modseq: asks_modseq,
        };
        match &self.options {
            None => answer.search(&mut cx.wire).await?,
            Some(options) => answer.esearch(options, &cx.tag, cx.wire.buffer()),
        }
        Done::ok("searched")
    }
}
