//! FETCH: the command, its modifiers and its loop. What can be fetched is a table of
//! [`FetchItem`]s, one row per data item, each in a file by family.

mod content;
mod digest;
mod passage;
pub(crate) mod plan;
mod row;
mod section;

pub(crate) use content::send_pieces;
pub(crate) use passage::{Passage, parse_numbers, parse_partial, span};
pub(crate) use plan::{Item, Message, Needs, Plan};

use super::*;
use crate::ext::messagelimit;
use crate::ext::partial::Page;
use crate::grammar::MessageSet;
use crate::registry;
use crate::view::{Rows, Selection};
use mail::FlagChange;
use types::{FlagOp, Flags, Rights};

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP
/// fetch-att) ")") [SP "(" fetch-modifier *(SP fetch-modifier) ")"]`.
pub(crate) static SPEC: Spec = Spec {
    name: "FETCH",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::USES_SEQ,
    rfc: &[
        "RFC 3501 6.4.5",
        "RFC 9051 6.4.5",
        "RFC 7162 3.1.4",
        "RFC 7162 3.2.6",
        "RFC 9394 3.3",
    ],
    parse,
};

/// A data item FETCH knows, by the word it begins with.
pub struct FetchItem {
    /// The word, upper case: the longest run of atom characters before `[`, `<`, space or the end.
    pub name: &'static str,
    /// Where it is written down.
    pub rfc: &'static str,
    /// Reads what follows the word, such as a section.
    pub parse: fn(&mut Cursor<'_>) -> Parsed<Box<dyn Item>>,
}

/// The items of RFC 3501, and MODSEQ, by family.
pub(crate) static ITEMS: [&[FetchItem]; 3] = [row::ITEMS, digest::ITEMS, section::ITEMS];

/// What a macro stands for (RFC 3501 6.4.5).
static MACROS: [(&[u8], &[&str]); 3] = [
    (
        b"ALL",
        &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"],
    ),
    (b"FAST", &["FLAGS", "INTERNALDATE", "RFC822.SIZE"]),
    (
        b"FULL",
        &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"],
    ),
];

struct Fetch {
    set: MessageSet,
    uid: bool,
    items: Vec<Box<dyn Item>>,
    changed_since: Option<u64>,
    vanished: bool,
    partial: Option<Page>,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let set = c.message_set(uid)?;
    c.sp()?;
    let mut fetch = Fetch {
        set,
        uid,
        items: items(c)?,
        changed_since: None,
        vanished: false,
        partial: None,
    };
    if c.eat(b" ") {
        modifiers(c, &mut fetch)?;
    }
    Ok(Box::new(fetch))
}

/// `"(" fetch-att *(SP fetch-att) ")"`, as NOTIFY takes them: no macros.
pub(crate) fn attributes(c: &mut Cursor<'_>) -> Parsed<Vec<Box<dyn Item>>> {
    c.list(false, item)
}

fn items(c: &mut Cursor<'_>) -> Parsed<Vec<Box<dyn Item>>> {
    if c.peek() == Some(b'(') {
        return c.list(false, item);
    }
    for (name, words) in MACROS {
        if c.eat_word(name) {
            return words
                .iter()
                .map(|word| item(&mut Cursor::of(word.as_bytes())))
                .collect();
        }
    }
    Ok(vec![item(c)?])
}

fn item(c: &mut Cursor<'_>) -> Parsed<Box<dyn Item>> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let name = c.take_while1(is_name, "expected a data item")?;
    let row = registry::fetch_item(name).ok_or(BadSyntax("unknown data item"))?;
    (row.parse)(c)
}

/// RFC 7162 3.1.4.1 and 3.2.6, RFC 9394 3.3.
fn modifiers(c: &mut Cursor<'_>, fetch: &mut Fetch) -> Parsed<()> {
    c.list(false, |c| {
        if c.eat_word(b"CHANGEDSINCE") {
            c.sp()?;
            fetch.changed_since = Some(c.number64()?);
        } else if c.eat_word(b"VANISHED") {
            fetch.vanished = true;
        } else if c.eat_word(b"PARTIAL") {
            let page = Page::parse(c)?;
            if fetch.partial.replace(page).is_some() {
                return Err(BadSyntax("one PARTIAL"));
            }
        } else {
            return Err(BadSyntax("unknown modifier"));
        }
        Ok(())
    })?;
    // RFC 7162 3.2.6: VANISHED belongs to UID FETCH with CHANGEDSINCE.
    if fetch.vanished && !(fetch.uid && fetch.changed_since.is_some()) {
        return Err(BadSyntax("VANISHED needs UID FETCH and CHANGEDSINCE"));
    }
    // RFC 9394 3.3: the modifier is one of UID FETCH.
    if fetch.partial.is_some() && !fetch.uid {
        return Err(BadSyntax("PARTIAL needs UID FETCH"));
    }
    Ok(())
}

impl Run for Fetch {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let before = cx.emitted();
        if self.vanished && !cx.enabled.qresync {
            return Err(Refusal::bad("QRESYNC is not enabled"));
        }
        let (since, vanished) = (self.changed_since, self.vanished);
        let mut plan = Plan::new(
            self.items,
            self.uid && !cx.enabled.uid_only,
            since.is_some(),
        );
        // RFC 7162 3.1: asking for MODSEQ is a CONDSTORE enabling command.
        if plan.needs().contains(Needs::MODSEQ) {
            cx.enable_condstore();
        }
        let limit = cx.deps.limits.message_limit;
        let selection = cx.state.selection()?;
        let uids = selection.resolve(&self.set)?;
        if let (true, Some(since)) = (self.vanished, self.changed_since) {
            let known = selection.known_uids(&self.set);
            selection
                .tell_vanished_earlier(&mut cx.wire, since, Some(&known), &[])
                .await?;
        }
        let mut rows = selection.rows(&uids);
        // RFC 9394 3.4: first the page, then what changed on it.
        if let Some(page) = self.partial {
            rows.keep(page.of(rows.len()));
            // RFC 9738 3.1: a page is answered whole or not at all.
            if let Some(limit) = limit
                && rows.len() > limit.get() as usize
            {
                return Err(messagelimit::too_many(limit, None));
            }
        }
        if let Some(since) = self.changed_since {
            rows.changed_since(selection.mailbox().effective_since(since));
        }
        let cut = limit.and_then(|limit| {
            let last = rows.keep_newest(limit.get() as usize);
            messagelimit::Cut::at(limit, last)
        });
        if cut.is_some() {
            // RFC 9738 3.1: from the highest to the lowest uid.
            rows.newest_first();
        }
        // RFC 4314 4: without s, FETCH does not set \Seen.
        let may_mark = selection.mailbox().rights().contains(Rights::SEEN);
        if plan.needs().contains(Needs::SEEN) && !selection.is_read_only() && may_mark {
            rows = mark_seen(selection, rows, &mut plan, self.uid).await?;
        }
        if let Err(refusal) = plan.run(rows, cx).await {
            return messagelimit::answer(cut, Err(refusal), cx);
        }
        // What it cost to bring a client up to date, as opposed to giving it mail to read.
        if plan.is_sync() {
            let counter = match (since, vanished) {
                // RFC 7162 3.2.6: VANISHED belongs to QRESYNC.
                (Some(_), true) => &cx.deps.counters.sync_qresync,
                (Some(_), false) => &cx.deps.counters.sync_condstore,
                (None, _) => &cx.deps.counters.sync_full,
            };
            counter.inc_by(cx.emitted() - before);
        }
        messagelimit::answer(cut, Done::ok("fetched"), cx)
    }
}

/// RFC 3501 6.4.5: fetching a body sets `\\Seen`, and the flags are answered with it if that
/// changed them. One change for all messages of the command.
async fn mark_seen(
    selection: &mut Selection,
    rows: Rows,
    plan: &mut Plan,
    uid: bool,
) -> Result<Rows, Refusal> {
    let unseen = rows.without_flags(Flags::SEEN);
    if unseen.is_empty() {
        return Ok(rows);
    }
    let change = FlagChange {
        op: FlagOp::Add,
        flags: Flags::SEEN,
        keywords: Vec::new(),
    };
    let stored = selection.mailbox().store(&unseen, &change, None).await?;
    selection.stored(stored.stored, change, true, uid);
    plan.add_flags();
    Ok(rows.refreshed(selection))
}
