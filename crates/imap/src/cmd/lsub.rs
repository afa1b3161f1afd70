//! LSUB.

use super::*;
use crate::grammar::Pattern;
use std::collections::BTreeMap;
use types::MailboxName;

/// `lsub = "LSUB" SP mailbox SP list-mailbox`.
pub(crate) static SPEC: Spec = Spec {
    name: "LSUB",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.3.9"],
    parse,
};

struct Lsub(Pattern);

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let reference = c.astring()?;
    c.sp()?;
    Ok(Box::new(Lsub(c.pattern(&reference)?)))
}

impl Run for Lsub {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let spelling = cx.enabled.names();
        let tree = cx.state.account()?.tree();
        // Each name with whether it is subscribed itself.
        let mut names: BTreeMap<MailboxName, bool> = BTreeMap::new();
        for name in &tree.subscriptions {
            if self.0.matches(name) {
                names.insert(name.clone(), true);
                continue;
            }
            // RFC 3501 6.3.9: with "%", a name above a subscribed one that the pattern does not
            // reach is told as \Noselect.
            for above in name.ancestors().filter(|above| self.0.matches(above)) {
                names.entry(above).or_insert(false);
            }
        }
        for (name, subscribed) in &names {
            let out = cx.wire.buffer();
            out.raw(if *subscribed {
                b"* LSUB () \"/\" ".as_slice()
            } else {
                b"* LSUB (\\Noselect) \"/\" "
            });
            out.mailbox(name, spelling).crlf();
        }
        Done::ok("that is all")
    }
}
