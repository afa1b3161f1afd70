//! NOOP.

use super::*;

pub(crate) static SPEC: Spec = Spec {
    name: "NOOP",
    uid: UidForm::No,
    states: States::ANY,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.1.2", "RFC 9051 6.1.2"],
    parse: |_, _| Ok(Box::new(Noop)),
};

struct Noop;

impl Run for Noop {
    async fn run(self: Box<Self>, _: &mut Session) -> Result<Done, Refusal> {
        // The session tells what changed after every command.
        Done::ok("nothing done")
    }
}
