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
    rfc: &["RFC 3501 6.3.4", "RFC 9051 6.3.5"],
    parse,
};

struct Delete(RawName);

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Run>> {
    c.sp()?;
    Ok(Box::new(Delete(c.mailbox()?)))
}

#[async_trait]
impl Run for Delete {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Site {
            account,
            name,
            shown,
        } = cx.site(&self.0).await?;
        let id = account.tree().find(&name).map(|folder| folder.id);
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
            cx.wire
                .buffer()
                .raw(b"* OK [CLOSED] the selected mailbox is no more\r\n");
        }
        Done::ok("mailbox deleted")
    }
}
