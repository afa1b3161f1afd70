//! SUBSCRIBE and UNSUBSCRIBE.

use super::*;
use crate::grammar::mailbox::RawName;

/// `subscribe = "SUBSCRIBE" SP mailbox`.
pub(crate) static SUBSCRIBE: Spec = Spec {
    name: "SUBSCRIBE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.3.6", "RFC 9051 6.3.7"],
    parse: |c, _| parse(c, true),
};

/// `unsubscribe = "UNSUBSCRIBE" SP mailbox`.
pub(crate) static UNSUBSCRIBE: Spec = Spec {
    name: "UNSUBSCRIBE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.3.7", "RFC 9051 6.3.8"],
    parse: |c, _| parse(c, false),
};

struct Subscribe {
    mailbox: RawName,
    subscribed: bool,
}

fn parse(c: &mut Cursor<'_>, subscribed: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    Ok(Box::new(Subscribe {
        mailbox: c.mailbox()?,
        subscribed,
    }))
}

impl Run for Subscribe {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // RFC 9051 6.3.7: the name need not exist, and its subscription outlives the mailbox. It is
        // the client's own, whoever owns the mailbox.
        let name = self.mailbox.name?;
        let account = cx.state.account()?.clone();
        account.subscribe(&name, self.subscribed).await?;
        cx.caused(&name);
        Done::ok(if self.subscribed {
            "subscribed"
        } else {
            "not subscribed any more"
        })
    }
}
