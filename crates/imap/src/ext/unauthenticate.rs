//! UNAUTHENTICATE (RFC 8437): back to where the connection began, for the next user.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8437",
    file: file!(),
    capabilities: &[Capability::always("UNAUTHENTICATE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

static SPEC: Spec = Spec {
    name: "UNAUTHENTICATE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 8437 3"],
    parse: |_, _| Ok(Box::new(Unauthenticate)),
};

struct Unauthenticate;

impl Run for Unauthenticate {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if cx.wire.is_layered() && !cx.wire.may_unlayer() {
            // RFC 8437 3: NO is not possible. What the client has sent ahead of the answer was
            // taken for compressed.
            return Err(Refusal::Bye("wait for the end of the compression"));
        }
        cx.reset();
        Ok(Done {
            code: None,
            text: "log in again",
            then: match cx.wire.is_layered() {
                true => Then::Uncompress,
                false => Then::Continue,
            },
        })
    }
}
