//! NOTIFY (RFC 5465): the client says which changes it wants to hear of, and hears of them whether
//! or not a command runs.
//!
//! What a session keeps for it is bounded by the command ([`MAX_NAMES`]) and does not grow with
//! what happens: the engine knows which mailboxes have changed since the last look
//! ([`mail::Watch`]), names are compared with the tree that was told ([`names`]), and the selected
//! mailbox is told of by [`crate::view`] as ever, within an [`Interest`].

mod events;
mod filter;
mod names;
mod push;
mod watched;

use super::*;
use crate::cmd::fetch::{self, Plan};
use crate::session::Roster;
use crate::view::Interest;
use events::Events;
pub(crate) use filter::Filter;
use filter::Group;
use mail::Account;
pub(crate) use push::push;
use std::sync::Arc;
use types::{MailboxName, UidSet, UidValidity};
use watched::Watched;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5465",
    file: file!(),
    capabilities: &[Capability::always("NOTIFY")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `notify = "NOTIFY" SP ("SET" [SP "STATUS"] SP event-groups / "NONE")`.
static SPEC: Spec = Spec {
    name: "NOTIFY",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 5465 3.1"],
    parse,
};

/// Too much to watch (RFC 5465 3.1), or too much trouble in watching it (RFC 5465 5.8).
const OVERFLOW: Code = Code::Word("NOTIFICATIONOVERFLOW");

/// The most groups one NOTIFY may have.
const MAX_GROUPS: usize = 64;
/// The most mailboxes one NOTIFY may name.
const MAX_NAMES: usize = 1000;

/// What the client has asked for, and how far it has been told.
pub(crate) struct Notify {
    /// About the selected mailbox, whichever it is.
    interest: Interest,
    /// What is fetched of messages that are new there.
    fetch: Option<Arc<Plan>>,
    /// About the others.
    groups: Vec<Group>,
    /// The client's account.
    home: Watched,
    /// The accounts of those who share mailboxes with it, if any of those can be meant.
    others: Vec<Watched>,
    told: Roster,
    own: Own,
}

/// What the command that runs has done itself: RFC 5465 5: the client is not told of that.
#[derive(Default)]
struct Own {
    names: Vec<MailboxName>,
    messages: Option<(UidValidity, UidSet)>,
}

impl Notify {
    fn new(account: &Account, set: Set) -> Self {
        // Watching begins before looking, so that nothing falls in between.
        let home = Watched::new(account.clone());
        Self {
            interest: set.interest,
            fetch: set.fetch,
            groups: set.groups,
            home,
            others: Vec::new(),
            told: Roster::of(account),
            own: Own::default(),
        }
    }

    fn reaches_others(&self) -> bool {
        self.groups
            .iter()
            .any(|group| group.filter.reaches_others())
    }

    /// Watches exactly the accounts that share something; whether any of them is new.
    fn watch_others(&mut self, sharers: &[Account]) -> bool {
        let is_of = |watched: &Watched, account: &Account| watched.account().id() == account.id();
        self.others
            .retain(|watched| sharers.iter().any(|account| is_of(watched, account)));
        let before = self.others.len();
        for account in sharers {
            if !self.others.iter().any(|watched| is_of(watched, account)) {
                self.others.push(Watched::new(account.clone()));
            }
        }
        self.others.len() > before
    }

    /// About the selected mailbox.
    pub(crate) fn interest(&self) -> Interest {
        self.interest
    }

    /// The command that runs has changed what there is of this name, or its subscription.
    pub(crate) fn caused(&mut self, name: &MailboxName) {
        self.own.names.push(name.clone());
    }

    /// The command that runs ends with this code: it may have made messages.
    pub(crate) fn answered(&mut self, code: Option<&Code>) {
        if let Some(Code::AppendUid(validity, uids) | Code::CopyUid(validity, _, uids)) = code {
            self.own.messages = Some((*validity, uids.clone()));
        }
    }

    /// Resolves when there may be something to tell of mailboxes that are not selected. Cancel
    /// safe.
    pub(crate) async fn changed(&mut self) {
        if self.groups.is_empty() {
            return std::future::pending().await;
        }
        watched::any_changed(&mut self.home, &mut self.others).await;
    }

    /// Whether the client wants to hear of any annotations.
    pub(crate) fn hears_annotations(&self) -> bool {
        let metadata = Events::MAILBOX_METADATA.and(Events::SERVER_METADATA);
        self.groups.iter().any(|group| group.events.any(metadata))
    }

    /// Whether the client wants to hear of the annotations of a mailbox; `None`: of the server.
    pub(crate) fn wants_annotations(&self, name: Option<&MailboxName>) -> bool {
        match name {
            Some(name) => self.events(name, &self.told).any(Events::MAILBOX_METADATA),
            None => self
                .groups
                .iter()
                .any(|group| group.events.any(Events::SERVER_METADATA)),
        }
    }

    /// What the client wants to know about the mailbox of a name.
    fn events(&self, name: &MailboxName, roster: &Roster) -> Events {
        let groups = self.groups.iter();
        // RFC 5465 6: several groups can apply to one mailbox.
        groups
            .filter(|group| group.filter.covers(name, roster))
            .fold(Events::NONE, |all, group| all.and(group.events))
    }
}

/// A parsed NOTIFY.
#[derive(Default)]
struct Set {
    status: bool,
    interest: Interest,
    fetch: Option<Arc<Plan>>,
    groups: Vec<Group>,
    /// Events this server does not know were asked for.
    unsupported: bool,
    too_much: bool,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    // RFC 5465 6.1: who does not ask about the selected mailbox is told nothing about it.
    let mut set = Set {
        interest: Interest::NONE,
        ..Set::default()
    };
    if c.eat_word(b"NONE") {
        return Ok(Box::new(set));
    }
    if !c.eat_word(b"SET") {
        return Err(BadSyntax("expected SET or NONE"));
    }
    c.sp()?;
    if c.eat_word(b"STATUS") {
        set.status = true;
        c.sp()?;
    }
    let (mut selected, mut names) = (false, 0);
    loop {
        let group = filter::group(c)?;
        set.unsupported |= group.unsupported;
        if let Filter::Selected { delayed } = group.filter {
            if std::mem::replace(&mut selected, true) {
                return Err(BadSyntax("the selected mailbox is asked about twice"));
            }
            set.interest = group.events.interest(delayed);
            set.fetch = group
                .fetch
                .map(|items| Arc::new(Plan::new(items, false, false)));
            set.interest.news = set.fetch.is_some();
        } else {
            names += group.filter.names();
            set.groups.push(group);
        }
        set.too_much |= set.groups.len() > MAX_GROUPS || names > MAX_NAMES;
        if set.too_much {
            set.groups.clear();
        }
        if !c.eat(b" ") {
            return Ok(Box::new(set));
        }
    }
}

impl Run for Set {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self.unsupported {
            // RFC 5465 3.1: the code lists what is supported.
            return Err(Refusal::no(
                Code::BadEvent(Events::supported()),
                "no such event here",
            ));
        }
        if self.too_much {
            return Err(Refusal::no(OVERFLOW, "too many mailboxes to watch"));
        }
        let account = cx.state.account()?.clone();
        // RFC 5465 3.1: what has accumulated is told now, as by NOOP, whatever is asked for.
        if let State::Selected(_, selection) = &mut cx.state {
            selection.catch_up(&mut cx.wire, cx.enabled).await?;
        }
        if let Some(plan) = &self.fetch {
            // RFC 7162 3.1: asking for MODSEQ is a CONDSTORE enabling command.
            if plan.needs().contains(fetch::Needs::MODSEQ) {
                cx.enable_condstore();
            }
        }
        let status = self.status;
        let mut notify = Notify::new(&account, *self);
        if notify.reaches_others() {
            notify.told = push::look(cx, &mut notify).await?;
        }
        notify.tell_no_access(cx.enabled.names(), cx.wire.buffer());
        if status {
            push::first_status(cx, &notify).await?;
        }
        if let State::Selected(_, selection) = &mut cx.state {
            selection.set_interest(notify.interest());
        }
        cx.notify = Some(Box::new(notify));
        Done::ok("that will be told")
    }
}
