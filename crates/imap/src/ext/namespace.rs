//! NAMESPACE (RFC 2342).

use super::*;
use crate::session::OTHER_USERS;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 2342",
    file: file!(),
    capabilities: &[Capability::always("NAMESPACE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

static SPEC: Spec = Spec {
    name: "NAMESPACE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 2342 5", "RFC 9051 6.3.10"],
    parse: |_, _| Ok(Box::new(Namespace)),
};

struct Namespace;

impl Run for Namespace {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // One personal namespace without prefix, and the mailboxes of others by their owners.
        let out = cx.wire.buffer();
        out.raw(b"* NAMESPACE ((\"\" \"/\")) ((\"");
        out.text(OTHER_USERS).raw(b"/\" \"/\")) NIL\r\n");
        Done::ok("that is all")
    }
}
