//! IDLE (RFC 2177).

use super::*;
use net::{ConnState, WireError};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 2177",
    file: file!(),
    capabilities: &[Capability::always("IDLE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `idle = "IDLE" CRLF "DONE"`.
static SPEC: Spec = Spec {
    name: "IDLE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 2177 3", "RFC 9051 6.3.13"],
    parse: |_, _| Ok(Box::new(Idle)),
};

/// The longest line that can be DONE.
const MAX_LINE: usize = 64;

struct Idle;

impl Run for Idle {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        cx.wire.buffer().raw(b"+ idling\r\n");
        cx.tell(true).await?;
        cx.wire.set_state(ConnState::Idle);
        let ended = wait(cx).await;
        cx.wire.set_state(match cx.state {
            State::Selected(..) => ConnState::Selected,
            _ => ConnState::Authenticated,
        });
        ended?;
        match cx.wire.line(MAX_LINE).await {
            Ok(line) if line.eq_ignore_ascii_case(b"DONE") => Done::ok("idle ended"),
            Ok(_) | Err(WireError::TooLong(_)) => Err(Refusal::bad("expected DONE")),
            Err(error) => Err(error.into()),
        }
    }
}

/// Tells changes as they come, until the client says something.
async fn wait(cx: &mut Session) -> Result<(), Refusal> {
    let keep_alive = cx.deps.limits.keep_alive;
    loop {
        match tokio::time::timeout(keep_alive, cx.wait()).await {
            Ok(said) => {
                if said? {
                    return Ok(());
                }
            }
            Err(_) => {
                let text = cx.enabled.say("still here");
                cx.wire.buffer().raw(b"* OK ").text(&text).crlf();
            }
        }
        // RFC 5465 4: with NOTIFY, what that asked for; but expunges are permitted now.
        cx.push(true).await?;
    }
}
