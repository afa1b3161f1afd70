//! UNSELECT (RFC 3691).

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 3691",
    file: file!(),
    capabilities: &[Capability::always("UNSELECT")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

static SPEC: Spec = Spec {
    name: "UNSELECT",
    uid: UidForm::No,
    states: States::SELECTED,
    effects: Effects::NONE,
    rfc: &["RFC 3691 2", "RFC 9051 6.4.2"],
    parse: |_, _| Ok(Box::new(Unselect)),
};

struct Unselect;

impl Run for Unselect {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        cx.unselect();
        Done::ok("mailbox left")
    }
}
