//! CONTEXT=SEARCH and CONTEXT=SORT (RFC 5267 4): the results of a search are kept up to date at the
//! client.
//!
//! A context keeps what it has told of. When the selected mailbox has changed, and the client has
//! been told of that, only the messages that changed are looked at again ([`follow`]); what is
//! expunged is told before that ([`Contexts::expunged`]), for then its numbers still hold. PARTIAL
//! is in `ext/partial.rs`.

mod follow;
mod order;

use super::*;
use crate::cmd::fetch::{self, Plan};
use crate::cmd::search::{Finder, Results};
use crate::ext::sort::Sorting;
use crate::grammar::{Emit, Names};
use crate::session::Enabled;
use crate::view::{MAX_SAVED, Selection};
use bytes::BytesMut;
pub(crate) use follow::follow;
use mail::View;
use order::{Order, Stretch};
use std::sync::Arc;
use types::{MailboxName, Uid, UidSet, UidValidity};

pub(crate) static SEARCH: Extension = Extension {
    rfc: "RFC 5267",
    file: file!(),
    capabilities: &[Capability::always("CONTEXT=SEARCH")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// The same for SORT.
pub(crate) static SORT: Extension = Extension {
    rfc: "RFC 5267",
    file: file!(),
    capabilities: &[Capability::always("CONTEXT=SORT")],
    ..Extension::EMPTY
};

/// `command-select =/ "CANCELUPDATE" 1*(SP quoted)`
static SPEC: Spec = Spec {
    name: "CANCELUPDATE",
    uid: UidForm::No,
    states: States::SELECTED,
    effects: Effects::NONE,
    rfc: &["RFC 5267 4.3.5"],
    parse: |c, _| Ok(Box::new(parse(c)?)),
};

/// Contexts of one session.
const MAX_CONTEXTS: usize = 16;
/// Octets that the sorted contexts of one session take, about.
const MAX_SORTED: usize = 16 << 20;

/// Why there is no context.
const TOO_MUCH: &str = "too many results are kept up to date already";

/// What the option UPDATE asks for.
pub(crate) struct Update {
    /// What is fetched of messages that are new.
    fetch: Option<Arc<Plan>>,
}

impl Update {
    /// `modifier-update = "UPDATE"`, behind the word. RFC 5465 7: and `[SP "(" fetch-att *(SP
    /// fetch-att) ")"]`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let mut fetch = None;
        if c.rest().starts_with(b" (") {
            c.sp()?;
            fetch = Some(Arc::new(Plan::new(fetch::attributes(c)?, false, false)));
        }
        Ok(Self { fetch })
    }
}

/// The mailbox an ESEARCH command searched (RFC 7377 2.1).
pub(crate) struct Source {
    pub(crate) name: MailboxName,
    pub(crate) uid_validity: UidValidity,
}

/// What a search has found and told, and is to be kept up to date.
pub(crate) struct Begun {
    finder: Finder,
    results: Results,
    source: Option<Source>,
}

impl Begun {
    pub(crate) fn new(finder: Finder, results: Results, source: Option<Source>) -> Self {
        Self {
            finder,
            results,
            source,
        }
    }
}

/// A search whose results are kept up to date.
pub(crate) struct Context {
    tag: Box<[u8]>,
    source: Option<Source>,
    finder: Finder,
    kept: Kept,
    fetch: Option<Arc<Plan>>,
    /// What the messages were tested by.
    basis: Arc<View>,
    /// The messages there were.
    known: Arc<View>,
}

/// The results the client has.
enum Kept {
    /// In the order of the mailbox.
    Unsorted(UidSet),
    /// In the order of a SORT.
    Sorted(Sorting, Order),
}

/// The contexts of a session, in the order they were begun.
#[derive(Default)]
pub(crate) struct Contexts(Vec<Context>);

impl Contexts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, tag: &[u8]) -> bool {
        self.0.iter().any(|context| *context.tag == *tag)
    }

    /// How much the sorted ones take.
    fn octets(&self) -> usize {
        self.0.iter().map(|context| context.kept.octets()).sum()
    }

    /// RFC 5267 4.3.4: REMOVEFROM for messages that were expunged, before EXPUNGE is told, or long
    /// before it when that must wait (RFC 5267 A.3).
    pub(crate) fn expunged(
        &mut self,
        selection: &Selection,
        gone: &UidSet,
        enabled: Enabled,
        out: &mut BytesMut,
    ) {
        for context in &mut self.0 {
            let removed = context.kept.remove(gone);
            context.tell(&removed, &[], selection, enabled, out);
        }
    }
}

impl Kept {
    fn octets(&self) -> usize {
        match self {
            Self::Unsorted(_) => 0,
            Self::Sorted(_, order) => order.octets(),
        }
    }

    fn is_too_much(&self) -> bool {
        match self {
            Self::Unsorted(uids) => uids.ranges().len() > MAX_SAVED,
            Self::Sorted(_, order) => order.octets() > MAX_SORTED,
        }
    }

    fn contains(&self, uid: Uid) -> bool {
        match self {
            Self::Unsorted(uids) => uids.contains(uid),
            Self::Sorted(_, order) => order.contains(uid),
        }
    }

    /// Takes out those of `gone` that are there.
    fn remove(&mut self, gone: &UidSet) -> Vec<Stretch> {
        match self {
            Self::Unsorted(uids) => {
                let removed = uids.intersection(gone);
                *uids = uids.difference(&removed);
                unsorted(&removed)
            }
            Self::Sorted(_, order) => order.remove(gone.iter()),
        }
    }
}

/// RFC 5267 4.3.3: position 0, the client puts them into the order of the mailbox.
fn unsorted(uids: &UidSet) -> Vec<Stretch> {
    match uids.is_empty() {
        true => Vec::new(),
        false => vec![Stretch {
            at: 0,
            uids: uids.iter().collect(),
        }],
    }
}

impl Context {
    /// ESEARCH with REMOVEFROM and ADDTO, if there is anything to tell.
    fn tell(
        &self,
        removed: &[Stretch],
        added: &[Stretch],
        selection: &Selection,
        enabled: Enabled,
        out: &mut BytesMut,
    ) {
        if removed.is_empty() && added.is_empty() {
            return;
        }
        // RFC 9586 3: never a sequence number, whenever that was enabled.
        let uid = self.finder.is_uid() || enabled.uid_only;
        let names = enabled.names();
        begin_esearch(&self.tag, self.source.as_ref(), names, uid, out);
        for (word, stretches) in [(" REMOVEFROM (", removed), (" ADDTO (", added)] {
            for (i, stretch) in stretches.iter().enumerate() {
                out.text(if i == 0 { word } else { " " });
                out.num(stretch.at as u64).raw(b" ");
                let uids = stretch.uids.iter().copied();
                match uid {
                    true => out.number_set(uids.map(Uid::get)),
                    false => {
                        let numbers = uids.filter_map(|uid| selection.number(uid));
                        out.number_set(numbers.map(|seq| seq.get()))
                    }
                };
            }
            if !stretches.is_empty() {
                out.raw(b")");
            }
        }
        out.crlf();
    }
}

/// `"ESEARCH" [search-correlator] [SP "UID"]`
pub(crate) fn begin_esearch(
    tag: &[u8],
    source: Option<&Source>,
    names: Names,
    uid: bool,
    out: &mut BytesMut,
) {
    out.raw(b"* ESEARCH (TAG ").string(tag);
    if let Some(source) = source {
        out.raw(b" MAILBOX ").mailbox(&source.name, names);
        out.raw(b" UIDVALIDITY ").num(source.uid_validity.get());
    }
    out.raw(b")");
    if uid {
        out.raw(b" UID");
    }
}

/// Whether the command that runs may ask for `update`; before it has any effect.
///
/// # Errors
/// RFC 5267 4.3: BAD, when its tag is that of another context.
pub(crate) fn check_tag(update: Option<&Update>, cx: &Session) -> Result<(), Refusal> {
    if let (Some(_), State::Selected(_, selection)) = (update, &cx.state)
        && selection.contexts().has(&cx.tag)
    {
        return Err(Refusal::bad("the tag is that of another UPDATE"));
    }
    Ok(())
}

/// From now on it is told how what the command that runs has found changes.
///
/// # Errors
/// BAD when no mailbox is selected.
pub(crate) fn begin(update: Update, begun: Begun, cx: &mut Session) -> Result<(), Refusal> {
    let uids = begun.results.messages.iter().map(|found| found.uid);
    let kept = Kept::Unsorted(uids.collect());
    start(update, begun, kept, cx)
}

/// The same for a SORT: with the keys of its results, in their order; `None` if they are too much.
///
/// # Errors
/// BAD when no mailbox is selected.
pub(crate) fn begin_sorted(
    update: Update,
    begun: Begun,
    keys: Option<(Sorting, Vec<Box<[u8]>>)>,
    cx: &mut Session,
) -> Result<(), Refusal> {
    let Some((sorting, keys)) = keys else {
        refuse(cx, TOO_MUCH);
        return Ok(());
    };
    let uids = begun.results.messages.iter().map(|found| found.uid);
    let kept = Kept::Sorted(sorting, Order::new(uids.zip(keys).collect()));
    start(update, begun, kept, cx)
}

fn start(update: Update, begun: Begun, kept: Kept, cx: &mut Session) -> Result<(), Refusal> {
    let tag = cx.tag.clone();
    let selection = cx.state.selection()?;
    if selection.contexts().0.len() >= MAX_CONTEXTS
        || kept.is_too_much()
        || begun.results.cut.is_some()
    {
        refuse(cx, TOO_MUCH);
        return Ok(());
    }
    let context = Context {
        tag,
        source: begun.source,
        finder: begun.finder,
        kept,
        fetch: update.fetch,
        basis: begun.results.view,
        known: Arc::clone(selection.told()),
    };
    selection.contexts_mut().0.push(context);
    Ok(())
}

/// Octets that the keys of one more sorted context may take.
pub(crate) fn room(cx: &mut Session) -> usize {
    let used = cx.state.selection().map_or(0, |s| s.contexts().octets());
    MAX_SORTED.saturating_sub(used)
}

/// What it takes to keep a result with such a key.
pub(crate) fn weight(key: &[u8]) -> usize {
    order::weight(key)
}

/// RFC 5267 4.3.1: an untagged NO; everything else the command asks for is done.
pub(crate) fn refuse(cx: &mut Session, text: &str) {
    write_noupdate(&cx.tag, &cx.enabled.say(text), cx.wire.buffer());
}

fn write_noupdate(tag: &[u8], text: &str, out: &mut BytesMut) {
    out.raw(b"* NO ");
    Code::NoUpdate(String::from_utf8_lossy(tag).into_owned()).write(out);
    out.text(text).crlf();
}

/// The tags of contexts.
struct CancelUpdate(Vec<Vec<u8>>);

fn parse(c: &mut Cursor<'_>) -> Parsed<CancelUpdate> {
    let mut tags = Vec::new();
    loop {
        c.sp()?;
        tags.push(c.string()?.into_owned());
        if c.is_at_end() {
            return Ok(CancelUpdate(tags));
        }
    }
}

impl Run for CancelUpdate {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let contexts = cx.state.selection()?.contexts_mut();
        if !self.0.iter().all(|tag| contexts.has(tag)) {
            return Err(Refusal::bad("no UPDATE has that tag"));
        }
        contexts
            .0
            .retain(|context| !self.0.iter().any(|tag| **tag == *context.tag));
        Done::ok("no further updates")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_commands_are_refused() {
        for raw in [
            "",
            " ",
            " a",
            " \"a\" b",
            " \"a\"  \"b\"",
            " \"a\" ",
            "\"a\"",
            " (\"a\")",
        ] {
            assert!(parse(&mut Cursor::of(raw.as_bytes())).is_err(), "{raw:?}");
        }
        assert!(parse(&mut Cursor::of(b" \"a\" \"b\"")).is_ok());
        for raw in [" (", " ()", " (UID", " (UID )", " (ALL)", " (UID FOO)"] {
            assert!(
                Update::parse(&mut Cursor::of(raw.as_bytes())).is_err(),
                "{raw:?}"
            );
        }
    }
}
