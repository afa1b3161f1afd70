//! APPEND, of one message or of several (RFC 3502), and what it shares with REPLACE.
//!
//! A message that is complete goes to the store while the ones behind it are still to come: the
//! session reads by [`grammar`] how far the command has got, and [`Intake`] takes what is whole.

mod grammar;
mod intake;

pub(crate) use grammar::{Data, Draft, Target};
pub(crate) use intake::{Intake, TOOBIG};

use super::*;
use crate::spec::{Capability, Extension};

/// RFC 3502: several messages in one APPEND.
pub(crate) static MULTIAPPEND: Extension = Extension {
    rfc: "RFC 3502",
    file: file!(),
    capabilities: &[Capability::always("MULTIAPPEND")],
    ..Extension::EMPTY
};

/// What REPLACE does not do.
pub(crate) const ONE_MESSAGE: BadSyntax = BadSyntax("one message takes the place of one");

/// `append = "APPEND" SP mailbox 1*append-message` (RFC 4466 3).
pub(crate) static SPEC: Spec = Spec {
    name: "APPEND",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::TAKES_MESSAGE,
    rfc: &[
        "RFC 3501 6.3.11",
        "RFC 9051 6.3.12",
        "RFC 4315 3",
        "RFC 3502 6.3.11",
        "RFC 3516 4.4",
        "RFC 4466 2.7",
    ],
    parse,
};

struct Append {
    target: Target,
    drafts: Vec<Draft>,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    let target = Target::parse(c, SPEC.effects, uid)?;
    let mut drafts = vec![Draft::parse(c)?];
    while !c.is_at_end() {
        drafts.push(Draft::parse(c)?);
    }
    Ok(Box::new(Append { target, drafts }))
}

impl Run for Append {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let mut intake = Intake::resume(cx, &self.target).await?;
        for draft in self.drafts {
            intake.take(cx, draft).await?;
        }
        let (to, messages) = intake.finish(cx).await?;
        let appended = to
            .account
            .append(to.id, messages)
            .await
            .map_err(|error| Refusal::from(error).not_found_as(Code::TRYCREATE))?;
        cx.deps.counters.appended.inc_by(appended.uids.len());
        Done::with(
            Code::AppendUid(appended.uid_validity, appended.uids),
            "appended",
        )
    }
}
