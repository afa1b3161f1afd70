//! Telling (RFC 5465 5).

use super::events::Events;
use super::filter::Group;
use super::names::{Affected, Picture, affected};
use super::{Notify, OVERFLOW, Own};
use crate::cmd::listed::Listed;
use crate::cmd::status;
use crate::grammar::{Emit, Names};
use crate::refusal::Refusal;
use crate::registry;
use crate::session::{Roster, Session, State};
use crate::spec::StatusItem;
use crate::view::{Interest, MAX_PENDING};
use bytes::BytesMut;
use mail::{Account, Changed, MailErrorKind};
use types::{MailboxId, MailboxName, Rights};

/// The most accounts that are watched for one session.
const MAX_SHARERS: usize = 1000;

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
    out.raw(b"nothing more will be told, look for yourself\r\n");
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
    tell_names(cx, own).await?;
    tell_mailboxes(cx, own).await
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

/// All mailboxes that can be meant, now, with a watch on each account they are in.
pub(super) async fn look(cx: &Session, notify: &mut Notify) -> Result<Roster, Refusal> {
    if !notify.reaches_others() {
        return Ok(Roster::of(notify.home.account()));
    }
    loop {
        let roster = cx.roster().await?;
        if roster.sharers.len() > MAX_SHARERS {
            return Err(Refusal::no(OVERFLOW, "too many share mailboxes with you"));
        }
        // Watching begins before looking: who is new is looked at again.
        if !notify.watch_others(&roster.sharers) {
            return Ok(roster);
        }
    }
}

/// RFC 5465 5.4 and 5.5: LIST for the names to which something happened.
async fn tell_names(cx: &mut Session, own: &Own) -> Result<(), Refusal> {
    let Some(mut notify) = cx.notify.take() else {
        return Ok(());
    };
    let told = tell_names_of(cx, &mut notify, own).await;
    cx.notify = Some(notify);
    told
}

async fn tell_names_of(cx: &mut Session, notify: &mut Notify, own: &Own) -> Result<(), Refusal> {
    // Each is asked, so that none stays marked.
    let others = notify
        .others
        .iter_mut()
        .filter_map(|o| o.take_tree().then_some(()));
    let changed = others.count() > 0;
    if notify.groups.is_empty() || !(notify.home.take_tree() | changed) {
        return Ok(());
    }
    let new = look(cx, notify).await?;
    let old = std::mem::replace(&mut notify.told, new);
    let new = &notify.told;
    for (name, what) in affected(&Picture::of(&old), &Picture::of(new)) {
        let events = notify
            .events(&name, new)
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
            write_list(new, &name, &what, cx);
        }
        // RFC 5465 5.1: a new UIDVALIDITY is told by STATUS.
        if what.replaced
            && events.any(Events::FLAGS)
            && let Some(listed) = new.find(&name)
        {
            tell_status(cx, &listed.account, listed.id, &name).await?;
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
async fn tell_mailboxes(cx: &mut Session, own: &Own) -> Result<(), Refusal> {
    let Some(mut notify) = cx.notify.take() else {
        return Ok(());
    };
    let told = tell_mailboxes_of(cx, &mut notify, own).await;
    cx.notify = Some(notify);
    told
}

async fn tell_mailboxes_of(
    cx: &mut Session,
    notify: &mut Notify,
    own: &Own,
) -> Result<(), Refusal> {
    let all = std::iter::once(&mut notify.home).chain(&mut notify.others);
    let changed: Vec<(Account, Vec<Changed>)> = all
        .map(|watched| (watched.account().clone(), watched.take()))
        .collect();
    if notify.groups.is_empty() {
        return Ok(());
    }
    for (account, changed) in changed {
        for changed in changed {
            let Some(name) = notify.name_of(&account, changed.mailbox) else {
                continue;
            };
            let events = notify.events(&name, &notify.told);
            // RFC 5465 5.1: without CONDSTORE, flags are told by the number of unseen messages.
            let flags = changed.unseen || cx.enabled.condstore;
            let asked = changed.messages && events.any(Events::NEW)
                || !changed.messages && flags && events.any(Events::FLAGS);
            if asked && !(changed.once && own.made_messages(&account, changed.mailbox)) {
                tell_status(cx, &account, changed.mailbox, &name).await?;
            }
            cx.wire.flush_if_over(MAX_PENDING).await?;
        }
    }
    Ok(())
}

impl Own {
    /// Whether the command that runs put messages there.
    fn made_messages(&self, account: &Account, id: MailboxId) -> bool {
        self.messages.as_ref().is_some_and(|(validity, _)| {
            let summary = account.summary(id);
            summary.is_ok_and(|summary| summary.uid_validity == *validity)
        })
    }
}

impl Notify {
    /// The name the client knows a mailbox by, if it may hear of it.
    fn name_of(&self, account: &Account, id: MailboxId) -> Option<MailboxName> {
        if account.guest().is_none() {
            return account.name_of(id);
        }
        let found = self
            .told
            .folders()
            .find(|(_, l)| l.id == id && l.account.id() == account.id());
        found.map(|(name, _)| name.clone())
    }

    /// RFC 5465 3.1: for a mailbox that was named and can be listed, but not read.
    pub(super) fn tell_no_access(&self, names: Names, out: &mut BytesMut) {
        for (name, listed) in self.told.folders() {
            let is_named =
                |group: &Group| group.filter.is_by_name() && group.filter.covers(name, &self.told);
            if !listed.rights.contains(Rights::READ) && self.groups.iter().any(is_named) {
                out.raw(b"* LIST (\\NoAccess) \"/\" ").mailbox(name, names);
                out.crlf();
            }
        }
    }
}

/// Whether a mailbox is the selected one, which speaks for itself (RFC 5465 3.1).
fn is_selected(cx: &Session, account: &Account, id: MailboxId) -> bool {
    match &cx.state {
        State::Selected(_, selection) => {
            let selected = selection.mailbox();
            selected.id() == id && selected.account_id() == account.id()
        }
        _ => false,
    }
}

async fn tell_status(
    cx: &mut Session,
    account: &Account,
    id: MailboxId,
    name: &MailboxName,
) -> Result<(), Refusal> {
    if is_selected(cx, account, id) {
        return Ok(());
    }
    let condstore = cx.enabled.condstore;
    write_status(cx, account, id, name, condstore).await
}

/// STATUS, unless the mailbox is gone or must not be read.
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
        // RFC 5465 5: events take the right to read.
        Err(Refusal::Mail(error))
            if matches!(error.kind, MailErrorKind::NotFound | MailErrorKind::Denied) =>
        {
            Ok(())
        }
        told => told,
    }
}

/// RFC 5465 3.1: STATUS for all mailboxes whose messages are watched, but the selected one.
pub(super) async fn first_status(cx: &mut Session, notify: &Notify) -> Result<(), Refusal> {
    for (name, listed) in notify.told.folders() {
        let events = notify.events(name, &notify.told);
        if !events.any(Events::NEW) || is_selected(cx, &listed.account, listed.id) {
            continue;
        }
        // RFC 5465 3.1: HIGHESTMODSEQ with FlagChange, whether or not CONDSTORE is enabled.
        let modseq = cx.enabled.condstore || events.any(Events::FLAGS);
        write_status(cx, &listed.account, listed.id, name, modseq).await?;
        cx.wire.flush_if_over(MAX_PENDING).await?;
    }
    Ok(())
}

fn write_list(roster: &Roster, name: &MailboxName, what: &Affected, cx: &mut Session) {
    // RFC 5465 5.4: \NonExistent is a MUST when it does not refer to a mailbox.
    // RFC 5465 5.5: \Subscribed if and only if it is subscribed to.
    let listed = Listed {
        old_name: what.old_name.as_ref().map(MailboxName::as_str),
        ..Listed::new(roster, name)
    };
    listed.write(cx.enabled.names(), cx.wire.buffer());
}
