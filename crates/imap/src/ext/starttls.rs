//! STARTTLS.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 3501",
    file: file!(),
    capabilities: &[Capability {
        name: "STARTTLS",
        when: When::StartTls,
    }],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

static SPEC: Spec = Spec {
    name: "STARTTLS",
    uid: UidForm::No,
    states: States::LOGIN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.2.1", "RFC 9051 6.2.1"],
    parse: |_, _| Ok(Box::new(StartTls)),
};

struct StartTls;

impl Run for StartTls {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if cx.wire.is_tls() {
            return Err(Refusal::bad("TLS is already there"));
        }
        // RFC 4978 3: compressed first, then encrypted; a layer cannot be put below another.
        if cx.wire.is_layered() {
            return Err(Refusal::bad("TLS has to come before COMPRESS"));
        }
        if cx.context.starttls.is_none() {
            return Err(Refusal::bad("TLS is not offered here"));
        }
        // RFC 9051 6.2.1: nothing follows but the handshake; what the client has sent ahead is
        // thrown away.
        Ok(Done {
            code: None,
            text: "begin TLS now",
            then: Then::StartTls,
        })
    }
}
