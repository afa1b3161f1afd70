//! COPY, and what it shares with MOVE.

use super::*;
use crate::ext::inprogress::Progress;
use crate::ext::messagelimit;
use crate::grammar::MessageSet;
use crate::grammar::mailbox::RawName;

/// `copy = "COPY" SP sequence-set SP mailbox`.
pub(crate) static SPEC: Spec = Spec {
    name: "COPY",
    uid: UidForm::Also,
    states: States::SELECTED,
    // RFC 9051 7.5.1 forbids EXPUNGE during FETCH, STORE and SEARCH only.
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.4.7", "RFC 9051 6.4.7", "RFC 4315 3"],
    parse,
};

struct Copy {
    set: MessageSet,
    to: RawName,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    let (set, to) = set_and_mailbox(c, uid)?;
    Ok(Box::new(Copy { set, to }))
}

/// `SP sequence-set SP mailbox`.
pub(crate) fn set_and_mailbox(c: &mut Cursor<'_>, uid: bool) -> Parsed<(MessageSet, RawName)> {
    c.sp()?;
    let set = c.message_set(uid)?;
    c.sp()?;
    Ok((set, c.mailbox()?))
}

impl Run for Copy {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let uids = cx.state.selection()?.resolve(&self.set)?;
        let to = cx.destination(&self.to).await?;
        messagelimit::all_or_none(&uids, cx)?;
        let mut progress = Progress::new(cx, None);
        let selection = cx.state.selection()?;
        let copying = to.account.copy(selection.mailbox(), &uids, to.id);
        let copied = progress
            .attend(&mut cx.wire, &cx.tag, copying)
            .await
            .map_err(|error| Refusal::from(error).not_found_as(Code::TRYCREATE))?;
        cx.deps.counters.copied.inc_by(copied.to.len());
        // RFC 4315 3: no COPYUID without messages.
        if copied.to.is_empty() {
            return Done::ok("nothing to copy");
        }
        Done::with(
            Code::CopyUid(copied.uid_validity, copied.from, copied.to),
            "copied",
        )
    }
}
