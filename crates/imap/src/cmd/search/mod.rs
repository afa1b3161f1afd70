//! SEARCH: the command, its loop and its answers. What can be searched for is a table of
//! [`SearchKey`]s, one row per key, each in a file by family.

mod answer;
mod criteria;
mod dates;
mod flags;
mod key;
mod program;
mod scan;
mod sets;
mod text;

pub(crate) use answer::{Answer, Options};
pub(crate) use criteria::Charset;
pub(crate) use criteria::{BADCHARSET, Criteria, Finder};
pub(crate) use dates::{WITHIN, day};
pub(crate) use key::{Candidate, Cost, Key};
pub(crate) use program::{MAX_KEYS, Query, parse as parse_keys};
pub(crate) use scan::Found;
pub(crate) use sets::all;

use super::*;

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

struct Search {
    /// `None`: the answer is SEARCH, or ESEARCH for IMAP4rev2; otherwise ESEARCH.
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
        // RFC 9755 3: no charset is named then, not even that.
        if cx.enabled.utf8 && self.criteria.is_labelled() {
            return Err(Refusal::bad("no charset since UTF8=ACCEPT was enabled"));
        }
        // RFC 9051 6.4.4: ESEARCH answers, asked for or not.
        let implied = cx.enabled.rev2.then(Options::all);
        let options = self.options.or(implied);
        let options = options.as_ref();
        let found = self.criteria.find(cx).await;
        forget_if_refused(options, &found, cx);
        let (finder, results) = found?;
        let answer = Answer {
            found: &results.messages,
            uid: finder.is_uid(),
            modseq: finder.asks_modseq(),
        };
        answer.give(b"SEARCH", options, cx).await?;
        Done::ok("searched")
    }
}
