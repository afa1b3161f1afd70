//! SEARCH: the command, its loop and its answers. What can be searched for is a table of
//! [`SearchKey`]s, one row per key, each in a file by family.

mod answer;
mod criteria;
mod dates;
mod flags;
mod fuzzy;
mod key;
mod program;
mod scan;
mod sets;
mod text;

pub(crate) use answer::{Answer, Options};
pub(crate) use criteria::Charset;
pub(crate) use criteria::{BADCHARSET, Criteria, Finder};
pub(crate) use dates::{WITHIN, day};
pub(crate) use fuzzy::FUZZY;
pub(crate) use key::{Candidate, Cost, Key};
pub(crate) use program::{MAX_KEYS, Program, Query, parse as parse_keys};
pub(crate) use scan::{Found, Results};
pub(crate) use sets::all;

use super::*;
use crate::ext::context::{self, Begun};
use crate::ext::messagelimit;

/// `search = "SEARCH" [search-return-opts] SP search-program`
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
        "RFC 5267 4",
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

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let options = Options::parse_return(c)?;
    let criteria = parse_program(c, uid)?;
    Ok(Box::new(Search { options, criteria }))
}

/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`
pub(crate) fn parse_program(c: &mut Cursor<'_>, uid: bool) -> Parsed<Criteria> {
    let mut charset = None;
    if c.eat_word(b"CHARSET") {
        c.sp()?;
        charset = Some(c.astring()?.to_vec());
        c.sp()?;
    }
    Criteria::parse(c, charset, uid)
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

impl Run for Search {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Self {
            mut options,
            criteria,
        } = *self;
        criteria.check_label(cx)?;
        // RFC 9051 6.4.4: ESEARCH answers, asked for or not.
        if cx.enabled.rev2 {
            options.get_or_insert_with(Options::all);
        }
        let update = options.as_mut().and_then(Options::take_update);
        context::check_tag(update.as_ref(), cx)?;
        let options = options.as_ref();
        let found = criteria.find(Options::scores(options), cx).await;
        forget_if_refused(options, &found, cx);
        let (finder, results) = found?;
        let answer = Answer {
            found: &results.messages,
            scores: &results.scores,
            uid: finder.is_uid(),
            modseq: finder.asks_modseq(),
            source: None,
        };
        answer.give(b"SEARCH", options, cx).await?;
        let cut = results.cut;
        if let Some(update) = update {
            context::begin(update, Begun::new(finder, results, None), cx)?;
        }
        messagelimit::answer(cut, Done::ok("searched"), cx)
    }
}
