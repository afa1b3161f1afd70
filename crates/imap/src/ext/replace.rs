//! REPLACE (RFC 8508): a message takes the place of another one.

use super::*;
use crate::cmd::append::{Draft, Intake, Target};
use crate::session::Place;
use crate::view::EXPUNGED;
use mail::{MailErrorKind, NewMessage, Replaced};
use types::{Rights, Uid, UidSet};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8508",
    file: file!(),
    capabilities: &[Capability::always("REPLACE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `replace = "REPLACE" SP seq-number SP mailbox append-message`.
static SPEC: Spec = Spec {
    name: "REPLACE",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::WRITES
        .and(Effects::TAKES_MESSAGE)
        .and(Effects::REPLACES),
    rfc: &["RFC 8508 3", "RFC 8508 4.3", "RFC 4315 3", "RFC 7162 3.2.7"],
    parse,
};

struct Replace {
    target: Target,
    draft: Draft,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    let target = Target::parse(c, SPEC.effects, uid)?;
    // RFC 8508 4.7: one message, with or without MULTIAPPEND.
    let draft = Draft::parse(c)?;
    Ok(Box::new(Replace { target, draft }))
}

impl Run for Replace {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Some(old) = &self.target.replaced else {
            return Err(Refusal::bad("expected a message"));
        };
        let (old, _) = cx.state.selection()?.one(old)?;
        let mut intake = Intake::resume(cx, &self.target).await?;
        intake.take(cx, self.draft).await?;
        let (to, messages) = intake.finish(cx).await?;
        let Replaced { appended, modseq } = replace(cx, old, &to, messages).await?;
        let counters = &cx.deps.counters;
        counters.appended.inc();
        counters.deleted.inc();
        // RFC 8508 4.3: APPENDUID comes untagged, before the EXPUNGE of what was replaced.
        let code = Code::AppendUid(appended.uid_validity, appended.uids);
        cx.say(&code, "the replacement is there");
        // RFC 8508 4.5: as by UID EXPUNGE.
        if cx.enabled.qresync {
            return Done::with(Code::HighestModSeq(modseq), "replaced");
        }
        Done::ok("replaced")
    }
}

async fn replace(
    cx: &mut Session,
    old: Uid,
    to: &Place,
    messages: Vec<NewMessage>,
) -> Result<Replaced, Refusal> {
    let selection = cx.state.selection()?;
    let from = selection.mailbox();
    // RFC 8508 4.1: before anything is done.
    from.require(Rights::DELETE_MESSAGES.and(Rights::EXPUNGE))?;
    let missing = |error| Refusal::from(error).not_found_as(Code::TRYCREATE);
    if selection.owner().id() == to.account.id() {
        let replaced = to.account.replace((from, old), to.id, messages).await;
        return replaced.map_err(|error| match error.kind {
            MailErrorKind::NotFound if from.view().find(old).is_none() => EXPUNGED,
            _ => missing(error),
        });
    }
    // No commit spans two accounts. At every moment one of the two messages is there.
    let appended = to.account.append(to.id, messages).await.map_err(missing)?;
    let expunged = from.expunge(&UidSet::range(old, old)).await;
    let expunged = match expunged {
        Ok(expunged) if !expunged.uids.is_empty() => Ok(expunged),
        Ok(_) => Err(EXPUNGED),
        Err(error) => Err(error.into()),
    };
    match expunged {
        Ok(expunged) => Ok(Replaced {
            appended,
            modseq: expunged.modseq,
        }),
        Err(refusal) => {
            // RFC 8508 3.4: what has failed leaves nothing behind, as far as that can be had.
            let there = to.account.select(to.id).await?;
            there.expunge(&appended.uids).await?;
            Err(refusal)
        }
    }
}
