//! STORE, with the UNCHANGEDSINCE modifier of CONDSTORE.

use super::*;
use crate::ext::messagelimit;
use crate::grammar::MessageSet;
use mail::FlagChange;
use types::{FlagOp, UidSet};

/// `store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"] SP
/// store-att-flags`.
pub(crate) static SPEC: Spec = Spec {
    name: "STORE",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::USES_SEQ.and(Effects::WRITES),
    rfc: &["RFC 3501 6.4.6", "RFC 9051 6.4.6", "RFC 7162 3.1.3"],
    parse,
};

struct Store {
    set: MessageSet,
    uid: bool,
    unchanged_since: Option<u64>,
    change: FlagChange,
    silent: bool,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let set = c.message_set(uid)?;
    c.sp()?;
    let mut unchanged_since = None;
    if c.peek() == Some(b'(') {
        c.list(false, |c| {
            if !c.eat_word(b"UNCHANGEDSINCE") {
                return Err(BadSyntax("unknown modifier"));
            }
            c.sp()?;
            unchanged_since = Some(c.number64()?);
            Ok(())
        })?;
        c.sp()?;
    }
    let op = match c.peek() {
        Some(b'+') => FlagOp::Add,
        Some(b'-') => FlagOp::Remove,
        _ => FlagOp::Replace,
    };
    if op != FlagOp::Replace {
        c.take(1, "expected FLAGS")?;
    }
    c.expect(b"FLAGS", "expected FLAGS")?;
    let silent = c.eat(b".SILENT");
    c.sp()?;
    let list = c.flags_with_or_without_list()?;
    let change = FlagChange {
        op,
        flags: list.flags,
        keywords: list.keywords,
    };
    Ok(Box::new(Store {
        set,
        uid,
        unchanged_since,
        change,
        silent,
    }))
}

impl Run for Store {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // RFC 7162 3.1: UNCHANGEDSINCE is a CONDSTORE enabling parameter.
        if self.unchanged_since.is_some() {
            cx.enable_condstore();
        }
        let uids = cx.state.selection()?.resolve(&self.set)?;
        if uids.is_empty() {
            return Done::ok("no such messages");
        }
        let (uids, cut) = messagelimit::newest(uids, cx)?;
        let answer = self.store(&uids, cx).await;
        messagelimit::answer(cut, answer, cx)
    }
}

impl Store {
    async fn store(self: Box<Self>, uids: &UidSet, cx: &mut Session) -> Result<Done, Refusal> {
        let selection = cx.state.selection()?;
        let since = self
            .unchanged_since
            .map(|since| selection.mailbox().effective_since(since));
        let stored = selection.mailbox().store(uids, &self.change, since).await?;
        // RFC 9051 6.4.6: a message that is gone cannot be stored to; whoever named it by number is
        // told.
        let failed = selection.count(uids) > stored.stored.len() + stored.modified.len();
        let modified = stored.modified;
        if self.unchanged_since.is_some() {
            // RFC 7162 3.1.3: MODSEQ of each, .SILENT or not; and what made the others fail.
            selection.announce(&stored.stored);
            selection.announce(&modified);
        }
        selection.stored(stored.stored, self.change, self.silent, self.uid);
        if !modified.is_empty() {
            let numbers = selection.numbers(&modified, self.uid);
            // RFC 7162 3.1.3: OK if all failures are of this kind, and the client may try those
            // again.
            return Done::with(Code::Modified(numbers), "some messages had changed");
        }
        if failed && !self.uid {
            return Err(Refusal::no(
                Code::Word("EXPUNGEISSUED"),
                "some messages are gone",
            ));
        }
        Done::ok("stored")
    }
}
