//! SORT (RFC 5256), its keys by what is shown (RFC 5957), and ESORT (RFC 5267 3). Which messages is
//! what SEARCH finds; how they are told is what it tells, in another order.

mod keys;
mod order;

use super::*;
use crate::cmd::search::{Answer, Criteria, Finder, Found, Options, Results, forget_if_refused};
use crate::ext::comparator::Comparator;
use crate::ext::context::{self, Begun};
use crate::ext::inprogress::Progress;
use keys::Criterion;
pub(super) use keys::sent_date;
use mail::{Facts, Row};
use order::{Column, Keyed, Order, key};
use std::sync::Arc;
use types::UidSet;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5256",
    file: file!(),
    capabilities: &[Capability::always("SORT")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// RFC 5957: DISPLAYFROM and DISPLAYTO, in the table of keys.
pub(crate) static DISPLAY: Extension = Extension {
    rfc: "RFC 5957",
    file: "crates/imap/src/ext/sort/keys.rs",
    capabilities: &[Capability::always("SORT=DISPLAY")],
    ..Extension::EMPTY
};

/// RFC 5267 3: SORT RETURN.
pub(crate) static ESORT: Extension = Extension {
    rfc: "RFC 5267",
    file: file!(),
    capabilities: &[Capability::always("ESORT")],
    ..Extension::EMPTY
};

/// RFC 5256 1: more keys are announced by words that start with SORT. These are those of Cyrus.
pub(crate) static CYRUS_KEYS: Extension = Extension {
    rfc: "RFC 5256",
    file: "crates/imap/src/ext/sort/keys.rs",
    capabilities: &[
        Capability::always("SORT=MODSEQ"),
        Capability::always("SORT=UID"),
    ],
    ..Extension::EMPTY
};

/// `sort = ["UID" SP] "SORT" [search-return-opts] SP sort-criteria SP search-criteria`
static SPEC: Spec = Spec {
    name: "SORT",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::USES_SEQ,
    rfc: &[
        "RFC 5256 3",
        "RFC 5267 3",
        "RFC 5267 4",
        "RFC 5957 4",
        "RFC 7162 3.1.6",
    ],
    parse,
};

/// Messages whose facts are asked for at once.
const BATCH: usize = 1024;

struct Sort {
    /// `None`: the answer is SORT, otherwise ESEARCH.
    options: Option<Options>,
    by: Vec<Criterion>,
    search: Criteria,
}

/// What is sorted by, and how texts are compared.
pub(crate) struct Sorting {
    by: Vec<Criterion>,
    comparator: Comparator,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let options = Options::parse_return(c)?;
    let by = keys::parse(c)?;
    c.sp()?;
    Ok(Box::new(Sort {
        options,
        by,
        search: search_criteria(c, uid)?,
    }))
}

/// `search-criteria = charset 1*(SP search-key)`
pub(super) fn search_criteria(c: &mut Cursor<'_>, uid: bool) -> Parsed<Criteria> {
    let charset = c.astring()?.to_vec();
    c.sp()?;
    Criteria::parse(c, Some(charset), uid)
}

impl Run for Sort {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Self {
            mut options,
            by,
            search,
        } = *self;
        let update = options.as_mut().and_then(Options::take_update);
        context::check_tag(update.as_ref(), cx)?;
        let options = options.as_ref();
        let comparator = cx.comparator;
        let sorting = Sorting { by, comparator };
        let wanted = Wanted {
            scores: Options::scores(options) || sorting.needs_scores(),
            keys: update.is_some(),
        };
        let found = sorting.find(search, wanted, cx).await;
        forget_if_refused(options, &found, cx);
        let Sorted {
            finder,
            results,
            keys,
        } = found?;
        let answer = Answer {
            found: &results.messages,
            scores: &results.scores,
            uid: finder.is_uid(),
            modseq: finder.asks_modseq(),
            source: None,
        };
        answer.give(b"SORT", options, cx).await?;
        if let Some(update) = update {
            let keys = keys.map(|keys| (sorting, keys));
            context::begin_sorted(update, Begun::new(finder, results, None), keys, cx)?;
        }
        Done::ok("sorted")
    }
}

/// What else a SORT needs to know of what it finds.
#[derive(Clone, Copy)]
struct Wanted {
    scores: bool,
    keys: bool,
}

/// What was found, in order.
struct Sorted {
    finder: Finder,
    results: Results,
    /// Of the messages, if they are wanted and not too much.
    keys: Option<Vec<Box<[u8]>>>,
}

impl Sorting {
    async fn find(
        &self,
        search: Criteria,
        wanted: Wanted,
        cx: &mut Session,
    ) -> Result<Sorted, Refusal> {
        let (finder, mut results) = search.find(wanted.scores, cx).await?;
        results.be_whole()?;
        let Results {
            messages, scores, ..
        } = &mut results;
        let mut keyed = None;
        if wanted.keys {
            let room = context::room(cx);
            keyed = self.keys(messages, scores, room, cx).await?;
        }
        // In the order of the mailbox.
        let scored: Vec<(Found, u8)> = messages.iter().copied().zip(scores.drain(..)).collect();
        let keys = match keyed {
            Some(keyed) => {
                let keyed = order::by_key(keyed).await?;
                let keys;
                (keys, *messages) = keyed.into_iter().unzip();
                Some(keys)
            }
            None => {
                let found = std::mem::take(messages);
                *messages = self.in_order(found, &scored, cx).await?;
                None
            }
        };
        let score = |found: &Found| {
            let at = scored.binary_search_by_key(&found.seq, |(found, _)| found.seq);
            at.ok()
                .and_then(|at| scored.get(at))
                .map(|(_, score)| *score)
        };
        *scores = messages.iter().filter_map(score).collect();
        Ok(Sorted {
            finder,
            results,
            keys,
        })
    }

    /// Puts what was found, which is in the order of the mailbox, into this one.
    async fn in_order(
        &self,
        found: Vec<Found>,
        scored: &[(Found, u8)],
        cx: &mut Session,
    ) -> Result<Vec<Found>, Refusal> {
        let mut columns: Vec<Column> = self
            .by
            .iter()
            .map(|by| Column::new(by, self.comparator))
            .collect();
        let mut scores = scored.iter().map(|(_, score)| *score);
        each_message(&found, self.needs_facts(), cx, |row, facts| {
            let facts = facts.as_deref();
            let score = scores.next().unwrap_or(0);
            columns
                .iter_mut()
                .for_each(|column| column.push(row, facts, score));
        })
        .await?;
        let mut progress = Progress::new(cx, None);
        let sorted = Order::new(columns).sort(found);
        progress.attend(&mut cx.wire, &cx.tag, sorted).await
    }

    /// What was found, in the order of the mailbox, with keys that order it as this does; `None`
    /// when to keep them takes more than `room` octets. `scores`: how well it matches, if that is
    /// known.
    ///
    /// # Errors
    /// The store.
    pub(crate) async fn keys(
        &self,
        found: &[Found],
        scores: &[u8],
        room: usize,
        cx: &mut Session,
    ) -> Result<Option<Vec<Keyed>>, Refusal> {
        let mut keyed = Vec::new();
        let scores = scores.iter().copied().chain(std::iter::repeat(0));
        let (mut octets, mut rest) = (0, found.iter().zip(scores));
        each_message(found, self.needs_facts(), cx, |row, facts| {
            let Some((found, score)) = rest.next().filter(|_| octets <= room) else {
                return;
            };
            let key = key(&self.by, self.comparator, row, facts.as_deref(), score);
            octets += context::weight(&key);
            keyed.push((key, *found));
        })
        .await?;
        Ok((octets <= room).then_some(keyed))
    }

    fn needs_facts(&self) -> bool {
        self.by.iter().any(Criterion::needs_facts)
    }

    fn needs_scores(&self) -> bool {
        self.by.iter().any(Criterion::needs_scores)
    }

    /// Whether a message can come to another place though nothing but its flags has changed.
    pub(crate) fn can_move(&self) -> bool {
        self.by.iter().any(Criterion::is_of_flags)
    }
}

/// Gives all that was found, in the order of the mailbox, to `take`: what the mailbox knows and, if
/// they are wanted, the facts; there are none of what was expunged long ago.
pub(super) async fn each_message(
    found: &[Found],
    needs_facts: bool,
    cx: &mut Session,
    mut take: impl FnMut(&Row, Option<Arc<Facts>>),
) -> Result<(), Refusal> {
    let selection = cx.state.selection()?;
    let account = selection.owner().clone();
    let uids: UidSet = found.iter().map(|found| found.uid).collect();
    let mut rows = selection.rows(&uids);
    let mut batch = Vec::with_capacity(BATCH);
    let mut progress = Progress::new(cx, Some(found.len()));
    let done = progress.counter();
    while rows.next_batch(BATCH, &mut batch) {
        let mut facts = Vec::new();
        if needs_facts {
            let ids: Vec<_> = batch.iter().map(|(_, row)| row.email).collect();
            let facts_of = account.facts(&ids);
            facts = progress.attend(&mut cx.wire, &cx.tag, facts_of).await?;
        }
        let facts = facts.into_iter().chain(std::iter::repeat(None));
        for ((_, row), facts) in batch.iter().zip(facts) {
            take(row, facts);
        }
        done.add(batch.len());
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}
