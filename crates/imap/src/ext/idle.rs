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

#[async_trait]
impl Run for Idle {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        cx.wire.buffer().raw(b"+ idling\r\n");
        if let State::Selected(_, selection) = &mut cx.state {
            selection.sync(&mut cx.wire, cx.enabled, true).await?;
        }
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
        let changed = async {
            match &mut cx.state {
                State::Selected(_, selection) => selection.changed().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            input = cx.wire.wait_input() => return Ok(input?),
            () = changed => {}
            () = tokio::time::sleep(keep_alive) => cx.wire.write(b"* OK still here\r\n"),
        }
        push(cx).await?;
    }
}

/// Tells what has changed, and measures how long new messages took to get here.
async fn push(cx: &mut Session) -> Result<(), Refusal> {
    let State::Selected(_, selection) = &mut cx.state else {
        return Ok(());
    };
    let told = selection.told().uid_next();
    selection.sync(&mut cx.wire, cx.enabled, true).await?;
    if selection.told().uid_next() > told
        && let Some(arrived) = selection.mailbox().arrived()
    {
        cx.wire.flush().await?;
        let seconds = arrived.elapsed().as_secs_f64();
        cx.deps
            .metrics
            .all()
            .delivery_visible_seconds
            .observe(seconds);
    }
    Ok(())
}
