//! SORT (RFC 5256), its keys by what is shown (RFC 5957), and ESORT (RFC 5267 3). Which messages is
//! what SEARCH finds; how they are told is what it tells, in another order.

mod keys;
mod order;

use super::*;
use crate::cmd::search::{Answer, Criteria, Finder, Found, Options, forget_if_refused};
use crate::ext::inprogress::Progress;
use keys::Criterion;
pub(super) use keys::sent_date;
use mail::{Facts, Row};
use order::{Column, Order};
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
    rfc: &["RFC 5256 3", "RFC 5267 3", "RFC 5957 4", "RFC 7162 3.1.6"],
    parse,
};

/// Messages whose facts are asked for at once.
const BATCH: usize = 1024;

struct Sort {
    /// `None`: the answer is SORT, otherwise ESEARCH.
    options: Option<Options>,
    criteria: Vec<Criterion>,
    search: Criteria,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Run>> {
    c.sp()?;
    let options = Options::parse_return(c)?;
    let criteria = keys::parse(c)?;
    c.sp()?;
    Ok(Box::new(Sort {
        options,
        criteria,
        search: search_criteria(c, uid)?,
    }))
}

/// `search-criteria = charset 1*(SP search-key)`
pub(super) fn search_criteria(c: &mut Cursor<'_>, uid: bool) -> Parsed<Criteria> {
    let charset = c.astring()?.to_vec();
    c.sp()?;
    Criteria::parse(c, Some(charset), uid)
}

#[async_trait]
impl Run for Sort {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let options = self.options.as_ref();
        let found = find(self.search, &self.criteria, cx).await;
        forget_if_refused(options, &found, cx);
        let (finder, found) = found?;
        let answer = Answer {
            found: &found,
            uid: finder.is_uid(),
            modseq: finder.asks_modseq(),
        };
        answer.give(b"SORT", options, cx).await?;
        Done::ok("sorted")
    }
}

/// Searches, and puts what was found into order.
async fn find(
    search: Criteria,
    criteria: &[Criterion],
    cx: &mut Session,
) -> Result<(Finder, Vec<Found>), Refusal> {
    let (finder, results) = search.find(cx).await?;
    let found = in_order(results.messages, criteria, cx).await?;
    Ok((finder, found))
}

/// Puts what was found, which is in the order of the mailbox, into that of `criteria`.
async fn in_order(
    found: Vec<Found>,
    criteria: &[Criterion],
    cx: &mut Session,
) -> Result<Vec<Found>, Refusal> {
    let comparator = cx.comparator;
    let mut columns: Vec<Column> = criteria
        .iter()
        .map(|by| Column::new(by, comparator))
        .collect();
    let needs_facts = criteria.iter().any(Criterion::needs_facts);
    each_message(&found, needs_facts, cx, |row, facts| {
        let facts = facts.as_deref();
        columns
            .iter_mut()
            .for_each(|column| column.push(row, facts));
    })
    .await?;
    let mut progress = Progress::new(cx, None);
    let sorted = Order::new(columns).sort(found);
    progress.attend(&mut cx.wire, &cx.tag, sorted).await
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
