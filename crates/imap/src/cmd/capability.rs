//! CAPABILITY.

use super::*;
use crate::registry;

pub(crate) static SPEC: Spec = Spec {
    name: "CAPABILITY",
    uid: UidForm::No,
    states: States::ANY,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.1.1", "RFC 9051 6.1.1"],
    parse: |_, _| Ok(Box::new(Capability)),
};

struct Capability;

impl Run for Capability {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let words = registry::capabilities(cx);
        cx.wire.buffer().raw(b"* CAPABILITY ").text(&words).crlf();
        Done::ok("that is all")
    }
}
