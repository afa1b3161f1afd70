//! EXPUNGE, and UID EXPUNGE of UIDPLUS.

use super::*;
use crate::ext::inprogress::Progress;
use crate::ext::messagelimit;
use crate::grammar::MessageSet;

/// `"EXPUNGE"` / `"UID" SP "EXPUNGE" SP sequence-set`.
pub(crate) static SPEC: Spec = Spec {
    name: "EXPUNGE",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::WRITES.and(Effects::NO_SET),
    rfc: &[
        "RFC 3501 6.4.3",
        "RFC 9051 6.4.3",
        "RFC 4315 2.1",
        "RFC 7162 3.2.7",
    ],
    parse,
};

struct Expunge(Option<MessageSet>);

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    if !uid {
        return Ok(Box::new(Expunge(None)));
    }
    c.sp()?;
    Ok(Box::new(Expunge(Some(c.message_set(true)?))))
}

impl Run for Expunge {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let mut progress = Progress::new(cx, None);
        let selection = cx.state.selection()?;
        let uids = self.0.map(|set| selection.resolve(&set)).transpose()?;
        // RFC 9738 3.1: EXPUNGE has no limit, UID EXPUNGE has.
        let (uids, cut) = match uids {
            Some(uids) => {
                let (uids, cut) = messagelimit::newest_deleted(uids, cx)?;
                (Some(uids), cut)
            }
            None => (None, None),
        };
        let mailbox = cx.state.selection()?.mailbox();
        let expunging = mailbox.expunge_deleted(uids.as_ref());
        let expunged = progress.attend(&mut cx.wire, &cx.tag, expunging).await?;
        cx.deps.counters.deleted.inc_by(expunged.uids.len());
        // RFC 7162 3.2.7: the session tells what vanished before it sends this.
        let done = match cx.enabled.qresync && !expunged.uids.is_empty() {
            true => Done::with(Code::HighestModSeq(expunged.modseq), "expunged"),
            false => Done::ok("expunged"),
        };
        messagelimit::answer(cut, done, cx)
    }
}
