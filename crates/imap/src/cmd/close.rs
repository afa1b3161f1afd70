//! CLOSE.

use super::*;
use types::Rights;

pub(crate) static SPEC: Spec = Spec {
    name: "CLOSE",
    uid: UidForm::No,
    states: States::SELECTED,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.4.2", "RFC 9051 6.4.1", "RFC 7162 3.2.8"],
    parse: |_, _| Ok(Box::new(Close)),
};

struct Close;

impl Run for Close {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let selection = cx.state.selection()?;
        // RFC 9051 6.4.1: a mailbox opened read-only is left as it is. RFC 4314 4: and so it is
        // without the right to expunge.
        let may_expunge = selection.mailbox().rights().contains(Rights::EXPUNGE);
        if !selection.is_read_only() && may_expunge {
            let expunged = selection.mailbox().expunge_deleted(None).await?;
            cx.deps.counters.deleted.inc_by(expunged.uids.len());
        }
        cx.unselect();
        // RFC 7162 3.2.8: neither EXPUNGE nor HIGHESTMODSEQ is told.
        Done::ok("mailbox closed")
    }
}
