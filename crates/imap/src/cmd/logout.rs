//! LOGOUT.

use super::*;

pub(crate) static SPEC: Spec = Spec {
    name: "LOGOUT",
    uid: UidForm::No,
    states: States::ANY,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.1.3", "RFC 9051 6.1.3"],
    parse: |_, _| Ok(Box::new(Logout)),
};

struct Logout;

impl Run for Logout {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // Nothing may come between BYE and the tagged OK.
        cx.unselect();
        let text = cx.enabled.say("until next time");
        cx.wire.buffer().raw(b"* BYE ").text(&text).crlf();
        Ok(Done {
            code: None,
            text: "logged out",
            then: Then::Close,
        })
    }
}
