//! DELETE.

use super::*;
use crate::grammar::mailbox::RawName;
use crate::session::Site;

/// `delete = "DELETE" SP mailbox`.
pub(crate) static SPEC: Spec = Spec {
    name: "DELETE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.3.4", "RFC 9051 6.3.5", "RFC 5530 3"],
    parse,
};

struct Delete(RawName);

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    Ok(Box::new(Delete(c.mailbox()?)))
}

impl Run for Delete {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Site {
            account,
            name,
            shown,
        } = cx.site(&self.0).await?;
        let tree = account.tree();
        let id = tree.find(&name).map(|folder| folder.id);
        // RFC 9051 6.3.5: there is no mailbox of that name, only some below it. What others have is
        // not told.
        let is_own = account.id() == cx.state.account()?.id();
        if id.is_none() && is_own && mail::has_below(&tree.folders, &name) {
            return Err(Refusal::no(
                Code::Word("HASCHILDREN"),
                "only mailboxes below that name exist",
            ));
        }
        account.delete(&name).await?;
        cx.caused(&shown);
        cx.tell_normalised(&self.0, &account, &shown).await?;
        // Who deletes the mailbox it has open knows where it stands: it is sent back instead of
        // away.
        if let State::Selected(_, selection) = &cx.state
            && selection.owner().id() == account.id()
            && Some(selection.mailbox().id()) == id
        {
            cx.unselect();
            let text = cx.enabled.say("the selected mailbox is no more");
            let out = cx.wire.buffer();
            out.raw(b"* OK [CLOSED] ").text(&text).crlf();
        }
        Done::ok("mailbox deleted")
    }
}
