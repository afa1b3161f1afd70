//! Telling (RFC 5465 5).

use super::events::Events;
use super::names::{Affected, affected};
use super::{Notify, OVERFLOW, Own};
use crate::cmd::listed::Listed;
use crate::cmd::status;
use crate::grammar::Emit;
use crate::refusal::Refusal;
use crate::registry;
use crate::session::{Session, State};
use crate::spec::StatusItem;
use crate::view::{Interest, MAX_PENDING};
use mail::{Account, MailErrorKind, Tree};
use std::sync::Arc;
use types::{MailboxId, MailboxName};

/// Tells what the client wants to know and the [`Selection`](crate::view::Selection) has not told
/// already.
///
/// # Errors
/// Only what ends the session.
pub(crate) async fn push(cx: &mut Session) -> Result<(), Refusal> {
    let Some(notify) = &mut cx.notify else {
        return Ok(());
    };
    let own = std::mem::take(&mut notify.own);
    match push_all(cx, &own).await {
        Ok(()) => Ok(()),
        Err(end @ (Refusal::Bye(_) | Refusal::Wire(_))) => Err(end),
        // RFC 5465 5.8: what cannot be delivered must not be missed in silence.
        Err(error) => {
            tracing::warn!(?error, "notifications end");
            overflow(cx);
            Ok(())
        }
    }
}

fn overflow(cx: &mut Session) {
    let out = cx.wire.buffer();
    out.raw(b"* OK ");
    OVERFLOW.write(out);
    let text = "nothing more will be told, look for yourself";
    out.text(&cx.enabled.say(text)).crlf();
    // RFC 5465 5.8: as if NOTIFY NONE had been received.
    if let Some(notify) = &mut cx.notify {
        notify.groups.clear();
        notify.fetch = None;
        notify.interest = Interest::NONE;
    }
    if let State::Selected(_, selection) = &mut cx.state {
        selection.set_interest(Interest::NONE);
    }
}

async fn push_all(cx: &mut Session, own: &Own) -> Result<(), Refusal> {
    fetch_news(cx, own).await?;
    let account = cx.state.account()?.clone();
    tell_names(cx, &account, own).await?;
    tell_mailboxes(cx, &account, own).await
}

/// RFC 5465 5.2: FETCH for the new messages of the selected mailbox, after their EXISTS.
async fn fetch_news(cx: &mut Session, own: &Own) -> Result<(), Refusal> {
    let State::Selected(_, selection) = &mut cx.state else {
        return Ok(());
    };
    let mut news = selection.take_news();
    if let Some((validity, uids)) = &own.messages
        && *validity == selection.told().uid_validity()
    {
        news = news.iter().filter(|uid| !uids.contains(*uid)).collect();
    }
    if news.is_empty() {
        return Ok(());
    }
    let rows = selection.rows(&news);
    match cx.notify.as_ref().and_then(|notify| notify.fetch.clone()) {
        Some(plan) => match plan.run(rows, cx).await {
            // Damaged messages are reported to who asks for them.
            Err(Refusal::No(..)) => Ok(()),
            result => result,
        },
        None => Ok(()),
    }
}

/// RFC 5465 5.4 and 5.5: LIST for the names to which something happened.
async fn tell_names(cx: &mut Session, account: &Account, own: &Own) -> Result<(), Refusal> {
    let Some(notify) = &mut cx.notify else {
        return Ok(());
    };
    let new = account.tree();
    if notify.groups.is_empty() || Arc::ptr_eq(&new, &notify.told) {
        return Ok(());
    }
    notify.tree.mark_unchanged();
    let old = std::mem::replace(&mut notify.told, Arc::clone(&new));
    for (name, what) in affected(&old, &new) {
        let Some(notify) = &cx.notify else {
            return Ok(());
        };
        let events = notify
            .events(&name, &new)
            .and(notify.events(&name, &old))
            .and(match &what.old_name {
                Some(from) => notify.events(from, &old),
                None => Events::NONE,
            });
        if own.caused(&name, &what) {
            continue;
        }
        if what.name && events.any(Events::NAME)
            || what.subscription && events.any(Events::SUBSCRIPTION)
        {
            write_list(&new, &name, &what, cx);
        }
        // RFC 5465 5.1: a new UIDVALIDITY is told by STATUS.
        if what.replaced
            && events.any(Events::FLAGS)
            && let Some(id) = new.find(&name).map(|folder| folder.id)
        {
            tell_status(cx, account, id, &name).await?;
        }
        cx.wire.flush_if_over(MAX_PENDING).await?;
    }
    Ok(())
}

impl Own {
    /// Whether the command that runs did this.
    fn caused(&self, name: &MailboxName, what: &Affected) -> bool {
        self.names
            .iter()
            .any(|own| own == name || own.is_below(name) || what.old_name.as_ref() == Some(own))
    }
}

/// RFC 5465 5.1 to 5.3: STATUS for the mailboxes that are not selected.
async fn tell_mailboxes(cx: &mut Session, account: &Account, own: &Own) -> Result<(), Refusal> {
    let Some(notify) = &mut cx.notify else {
        return Ok(());
    };
    let changed = notify.mailboxes.take();
    if changed.is_empty() || notify.groups.is_empty() {
        return Ok(());
    }
    let tree = account.tree();
    for changed in changed {
        let (Some(notify), Some(name)) = (&cx.notify, account.name_of(changed.mailbox)) else {
            continue;
        };
        let events = notify.events(&name, &tree);
        // RFC 5465 5.1: without CONDSTORE, flags are told by the number of unseen messages.
        let flags = changed.unseen || cx.enabled.condstore;
        let asked = changed.messages && events.any(Events::NEW)
            || !changed.messages && flags && events.any(Events::FLAGS);
        let caused = changed.once
            && own.messages.as_ref().is_some_and(|(validity, _)| {
                let summary = account.summary(changed.mailbox);
                summary.is_ok_and(|summary| summary.uid_validity == *validity)
            });
        if asked && !caused {
            tell_status(cx, account, changed.mailbox, &name).await?;
        }
        cx.wire.flush_if_over(MAX_PENDING).await?;
    }
    Ok(())
}

async fn tell_status(
    cx: &mut Session,
    account: &Account,
    id: MailboxId,
    name: &MailboxName,
) -> Result<(), Refusal> {
    // RFC 5465 3.1: the selected mailbox speaks for itself.
    if let State::Selected(_, selection) = &cx.state
        && selection.mailbox().id() == id
    {
        return Ok(());
    }
    let condstore = cx.enabled.condstore;
    write_status(cx, account, id, name, condstore).await
}

/// STATUS, unless the mailbox is gone.
async fn write_status(
    cx: &mut Session,
    account: &Account,
    id: MailboxId,
    name: &MailboxName,
    modseq: bool,
) -> Result<(), Refusal> {
    let names = [
        "MESSAGES",
        "UIDNEXT",
        "UIDVALIDITY",
        "UNSEEN",
        "HIGHESTMODSEQ",
    ];
    let told = if modseq { &names[..] } else { &names[..4] };
    let items: Vec<&StatusItem> = told
        .iter()
        .filter_map(|name| registry::status_item(name.as_bytes()))
        .collect();
    match status::tell(cx, name, account, id, &items).await {
        Err(Refusal::Mail(error)) if error.kind == MailErrorKind::NotFound => Ok(()),
        told => told,
    }
}

/// RFC 5465 3.1: STATUS for all mailboxes whose messages are watched, but the selected one.
pub(super) async fn first_status(
    cx: &mut Session,
    account: &Account,
    notify: &Notify,
) -> Result<(), Refusal> {
    let selected = match &cx.state {
        State::Selected(_, selection) => Some(selection.mailbox().id()),
        _ => None,
    };
    for (name, folder) in &notify.told.folders {
        let events = notify.events(name, &notify.told);
        if !events.any(Events::NEW) || selected == Some(folder.id) {
            continue;
        }
        // RFC 5465 3.1: HIGHESTMODSEQ with FlagChange, whether or not CONDSTORE is enabled.
        let modseq = cx.enabled.condstore || events.any(Events::FLAGS);
        write_status(cx, account, folder.id, name, modseq).await?;
        cx.wire.flush_if_over(MAX_PENDING).await?;
    }
    Ok(())
}

fn write_list(tree: &Tree, name: &MailboxName, what: &Affected, cx: &mut Session) {
    // RFC 5465 5.4: \NonExistent is a MUST when it does not refer to a mailbox.
    // RFC 5465 5.5: \Subscribed if and only if it is subscribed to.
    let listed = Listed {
        old_name: what.old_name.as_ref().map(MailboxName::as_str),
        ..Listed::new(tree, name)
    };
    listed.write(cx.enabled.names(), cx.wire.buffer());
}
