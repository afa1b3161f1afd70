//! MOVE (RFC 6851).

use super::*;
use crate::cmd::copy::set_and_mailbox;
use crate::ext::inprogress::Progress;
use crate::grammar::MessageSet;
use crate::grammar::mailbox::RawName;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 6851",
    file: file!(),
    capabilities: &[Capability::always("MOVE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `move = "MOVE" SP sequence-set SP mailbox`.
static SPEC: Spec = Spec {
    name: "MOVE",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::WRITES,
    rfc: &["RFC 6851 3.1", "RFC 9051 6.4.8", "RFC 4315 3"],
    parse,
};

struct Move {
    set: MessageSet,
    to: RawName,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    let (set, to) = set_and_mailbox(c, uid)?;
    Ok(Box::new(Move { set, to }))
}

impl Run for Move {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let uids = cx.state.selection()?.resolve(&self.set)?;
        let to = cx.destination(&self.to).await?;
        let (uids, cut) = messagelimit::newest(uids, cx)?;
        let mut progress = Progress::new(cx, None);
        let selection = cx.state.selection()?;
        let mailbox = selection.mailbox();
        let moving = to.account.move_messages(mailbox, &uids, to.id);
        let moved = progress
            .attend(&mut cx.wire, &cx.tag, moving)
            .await
            .map_err(|error| Refusal::from(error).not_found_as(Code::TRYCREATE))?;
        cx.deps.counters.moved.inc_by(moved.to.len());
        if moved.to.is_empty() {
            return Done::ok("nothing to move");
        }
        // RFC 6851 4.3: COPYUID comes untagged, before the EXPUNGE of what was moved.
        let code = Code::CopyUid(moved.uid_validity, moved.from, moved.to);
        cx.say(&code, "moved");
        messagelimit::answer(cut, Done::ok("moved"), cx)
    }
}
