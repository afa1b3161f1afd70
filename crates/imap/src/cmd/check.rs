//! CHECK.

use super::*;

pub(crate) static SPEC: Spec = Spec {
    name: "CHECK",
    uid: UidForm::No,
    states: States::SELECTED,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.4.1"],
    parse: |_, _| Ok(Box::new(Check)),
};

struct Check;

impl Run for Check {
    async fn run(self: Box<Self>, _: &mut Session) -> Result<Done, Refusal> {
        // RFC 3501 6.4.1: without housekeeping of its own, CHECK is NOOP.
        Done::ok("checked")
    }
}
