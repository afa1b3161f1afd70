//! MULTISEARCH (RFC 7377): ESEARCH, one search in many mailboxes.
//!
//! They are opened one after the other, and what is found in one is told before the next is
//! searched: however many there are, one view and one list of results are kept.

use super::*;
use crate::cmd::search::{self, Answer, Criteria, Finder, Options, Results, forget_if_refused};
use crate::ext::context::{self, Begun, Source, Update};
use crate::ext::inprogress::Progress;
use crate::ext::notify::Filter;
use crate::grammar::mailbox::RawName;
use crate::session::{Place, Roster};
use crate::view::Selection;
use mail::MailErrorKind;
use std::collections::BTreeSet;
use types::{AccountId, MailboxId, MailboxName, Rights};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 7377",
    file: file!(),
    capabilities: &[Capability::always("MULTISEARCH")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`
// RFC 7377 2 writes UID ESEARCH once, and the ABNF does not have it: it means the same.
static SPEC: Spec = Spec {
    name: "ESEARCH",
    uid: UidForm::Also,
    states: States::LOGGED_IN,
    effects: Effects::NO_SET,
    rfc: &["RFC 7377 2", "RFC 7377 4"],
    parse: |c, _| Ok(Box::new(parse(c)?)),
};

/// Mailboxes that one command may name.
const MAX_NAMES: usize = 1000;

struct Esearch {
    sources: Vec<Filter>,
    options: Options,
    criteria: Criteria,
}

fn parse(c: &mut Cursor<'_>) -> Parsed<Esearch> {
    c.sp()?;
    let mut sources = Vec::new();
    if c.eat_word(b"IN") {
        c.sp()?;
        sources = parse_sources(c)?;
        c.sp()?;
    }
    // RFC 7377 2.1: without result options, ALL.
    let options = Options::parse_return(c)?.unwrap_or_else(Options::all);
    // RFC 7377 2.1: message numbers make no sense here; the answers are uids.
    let criteria = search::parse_program(c, true)?;
    Ok(Esearch {
        sources: match sources.is_empty() {
            true => vec![Filter::Selected { delayed: false }],
            false => sources,
        },
        options,
        criteria,
    })
}

/// `"(" source-mbox [SP "(" scope-options ")"] ")"`
fn parse_sources(c: &mut Cursor<'_>) -> Parsed<Vec<Filter>> {
    c.list(false, |c| {
        if c.peek() == Some(b'(') {
            // RFC 7377 4: a syntax for extensions that nobody has written.
            return Err(BadSyntax("unknown scope option"));
        }
        match Filter::parse(c)? {
            // RFC 7377 2.2.
            Filter::Selected { delayed: true } => Err(BadSyntax("unknown kind of mailboxes")),
            filter => Ok(filter),
        }
    })
}

/// The mailboxes to be searched.
#[derive(Default)]
struct Targets {
    /// The selected one is among them.
    selected: bool,
    /// The others, in order.
    others: Vec<Place>,
    seen: BTreeSet<(AccountId, MailboxId)>,
}

impl Run for Esearch {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Self {
            sources,
            mut options,
            criteria,
        } = *self;
        criteria.check_label(cx)?;
        let update = options.take_update();
        check(&sources, &options, update.as_ref(), cx)?;
        let finder = criteria.ready(Options::scores(Some(&options)), cx).await;
        forget_if_refused(Some(&options), &finder, cx);
        let mut finder = finder?;
        let targets = Targets::find(&sources, cx).await?;
        let mut progress = Progress::new(cx, None);
        for place in &targets.others {
            if let Some((source, results)) =
                search_in(place, &mut finder, &mut progress, cx).await?
            {
                answer(&source, &results, &finder, &options, cx).await?;
            }
        }
        match (targets.selected, update) {
            (true, update) => search_selected(finder, &options, update, cx).await?,
            // RFC 7377 2.2: UPDATE is about the selected mailbox and no other.
            (false, Some(_)) => context::refuse(cx, "the selected mailbox is not searched"),
            (false, None) => {}
        }
        Done::ok("searched")
    }
}

/// # Errors
/// BAD, when the options do not fit the state or each other.
fn check(
    sources: &[Filter],
    options: &Options,
    update: Option<&Update>,
    cx: &Session,
) -> Result<(), Refusal> {
    let is_selected = matches!(cx.state, State::Selected(..));
    let asks = |filter: &Filter| matches!(filter, Filter::Selected { .. });
    if !is_selected && (sources.iter().any(asks) || update.is_some()) {
        return Err(Refusal::bad("select a mailbox first"));
    }
    // RFC 7377 2.2: SAVE is for the selected mailbox alone.
    if Options::saves(Some(options)) && !sources.iter().all(asks) {
        return Err(Refusal::bad("SAVE is for the selected mailbox alone"));
    }
    let names: usize = sources.iter().map(Filter::names).sum();
    if names > MAX_NAMES {
        return Err(Refusal::no(Code::Word("LIMIT"), "too many mailboxes"));
    }
    context::check_tag(update, cx)
}

impl Targets {
    /// RFC 7377 2.2: mailboxes that are not there, or that the client may not read, are ignored.
    async fn find(sources: &[Filter], cx: &Session) -> Result<Self, Refusal> {
        let mut targets = Self::default();
        let roster = match sources.iter().any(Filter::reaches_others) {
            true => cx.roster().await?,
            false => Roster::of(cx.state.account()?),
        };
        for filter in sources {
            match filter {
                Filter::Selected { .. } => targets.selected = true,
                Filter::Mailboxes(names) => {
                    for name in names {
                        targets.add(name, Rights::READ, cx).await?;
                    }
                }
                Filter::Subtree(tops) | Filter::SubtreeOne(tops) => {
                    for top in tops {
                        targets.add(top, Rights::READ, cx).await?;
                    }
                    for name in roster.names().filter(|name| filter.covers(name, &roster)) {
                        targets.add(name, FOUND, cx).await?;
                    }
                }
                Filter::Personal | Filter::Subscribed => {
                    for name in roster.names().filter(|name| filter.covers(name, &roster)) {
                        targets.add(name, FOUND, cx).await?;
                    }
                }
            }
        }
        Ok(targets)
    }
}

/// What is found by itself, not named (RFC 7377 2.2).
const FOUND: Rights = Rights::READ.and(Rights::LOOKUP);

impl Targets {
    async fn add(
        &mut self,
        name: &MailboxName,
        rights: Rights,
        cx: &Session,
    ) -> Result<(), Refusal> {
        let Some(place) = ignored(cx.place(&RawName::of(Ok(name.clone())), rights).await)? else {
            return Ok(());
        };
        // RFC 7377 2.2: once, however often it is named.
        let key = (place.account.id(), place.id);
        if !self.seen.insert(key) {
            return Ok(());
        }
        match &cx.state {
            State::Selected(_, s) if (s.mailbox().account_id(), s.mailbox().id()) == key => {
                self.selected = true;
            }
            _ => self.others.push(place),
        }
        Ok(())
    }
}

/// Nothing, for what is not there or not for this client.
fn ignored<T>(found: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Refusal::No(..)) => Ok(None),
        Err(Refusal::Mail(error)) if is_out_of_reach(error.kind) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Not there, or not any more, or not for this client.
fn is_out_of_reach(kind: MailErrorKind) -> bool {
    use MailErrorKind::{Denied, Gone, NotFound};
    matches!(kind, NotFound | Gone | Denied)
}

/// Searches a mailbox that is not selected; `None` when it has gone out of reach.
async fn search_in(
    place: &Place,
    finder: &mut Finder,
    progress: &mut Progress,
    cx: &mut Session,
) -> Result<Option<(Source, Results)>, Refusal> {
    let mailbox = match place.account.select(place.id).await {
        Err(error) if is_out_of_reach(error.kind) => return Ok(None),
        mailbox => mailbox?,
    };
    // As EXAMINE opens it: nothing is claimed, not even \Recent.
    let selection = Selection::new(place.account.clone(), mailbox, true);
    let source = Source {
        name: place.shown.clone(),
        uid_validity: selection.told().uid_validity(),
    };
    let mut scan = finder.scan(&selection)?;
    scan.keep_newest(cx.deps.limits.message_limit);
    let searching = scan.run();
    let results = progress.attend(&mut cx.wire, &cx.tag, searching).await?;
    results.warn(cx.enabled, cx.wire.buffer());
    Ok(Some((source, results)))
}

/// Searches the selected mailbox, as the client knows it.
async fn search_selected(
    mut finder: Finder,
    options: &Options,
    update: Option<Update>,
    cx: &mut Session,
) -> Result<(), Refusal> {
    let results = finder.find(cx).await;
    forget_if_refused(Some(options), &results, cx);
    let results = results?;
    let selection = cx.state.selection()?;
    let (owner, id) = (selection.owner().clone(), selection.mailbox().id());
    let name = cx.name_of(&owner, id).await?;
    let selection = cx.state.selection()?;
    let source = Source {
        name: name.ok_or(Refusal::Bye("the selected mailbox was deleted"))?,
        uid_validity: selection.told().uid_validity(),
    };
    answer(&source, &results, &finder, options, cx).await?;
    if let Some(update) = update {
        context::begin(update, Begun::new(finder, results, Some(source)), cx)?;
    }
    Ok(())
}

async fn answer(
    source: &Source,
    results: &Results,
    finder: &Finder,
    options: &Options,
    cx: &mut Session,
) -> Result<(), Refusal> {
    // Each mailbox has the limit for itself, and its own uid to go on from.
    if let Some(cut) = results.cut {
        cut.warn(cx.wire.buffer());
    }
    let answer = Answer {
        found: &results.messages,
        scores: &results.scores,
        uid: true,
        modseq: finder.asks_modseq(),
        source: Some(source),
    };
    answer.give(b"", Some(options), cx).await?;
    // The next mailbox may take long.
    Ok(cx.wire.flush().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_commands_are_refused() {
        for raw in [
            "",
            " ",
            " IN",
            " IN ()",
            " IN () ALL",
            " IN personal ALL",
            " IN (personal)",
            " IN (personal) ",
            " IN (personal)ALL",
            " IN (personal  selected) ALL",
            " IN (nobody) ALL",
            " IN (selected-delayed) ALL",
            " IN (mailboxes) ALL",
            " IN (mailboxes ()) ALL",
            " IN (subtree) ALL",
            " IN (personal (depth 1)) ALL",
            " IN ((depth 1)) ALL",
            " IN (personal) RETURN ALL",
            " RETURN (COUNT) IN (personal) ALL",
            " IN (personal) CHARSET ALL",
            " IN (personal) IN (personal) ALL",
        ] {
            assert!(parse(&mut Cursor::of(raw.as_bytes())).is_err(), "{raw}");
        }
        for raw in [
            " ALL",
            " IN (mailboxes \"folder1\" subtree \"folder2\") unseen",
            " IN (mailboxes (a b) subtree-one (c d) subscribed) RETURN (COUNT) CHARSET UTF-8 ALL",
            " RETURN () 1:100",
        ] {
            assert!(parse(&mut Cursor::of(raw.as_bytes())).is_ok(), "{raw}");
        }
    }
}
