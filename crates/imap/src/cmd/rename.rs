//! RENAME.

use super::*;
use crate::grammar::mailbox::RawName;

/// `rename = "RENAME" SP mailbox SP mailbox`.
pub(crate) static SPEC: Spec = Spec {
    name: "RENAME",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.3.5", "RFC 9051 6.3.6"],
    parse,
};

struct Rename {
    from: RawName,
    to: RawName,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let from = c.mailbox()?;
    c.sp()?;
    Ok(Box::new(Rename {
        from,
        to: c.mailbox()?,
    }))
}

impl Run for Rename {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let (from, to) = (cx.site(&self.from).await?, cx.site(&self.to).await?);
        if from.account.id() != to.account.id() {
            return Err(Refusal::no(
                Code::CANNOT,
                "a mailbox cannot be given to another user",
            ));
        }
        from.account.rename(&from.name, &to.name).await?;
        cx.caused(&from.shown);
        cx.caused(&to.shown);
        // RFC 9051 6.3.6: the old name as the client wrote it, if either was written in another way
        // than the server does.
        if self.from.old_name.is_some() || self.to.old_name.is_some() {
            let mut raw = self.from;
            raw.old_name
                .get_or_insert_with(|| from.shown.as_str().into());
            cx.tell_normalised(&raw, &to.account, &to.shown).await?;
        }
        Done::ok("mailbox renamed")
    }
}
