//! Which mailboxes (RFC 5465 6).

use super::events::{self, Events};
use crate::cmd::fetch::Item;
use crate::grammar::{BadSyntax, Cursor, Parsed};
use crate::session::{Roster, is_for_others};
use std::collections::BTreeSet;
use types::MailboxName;

/// `filter-mailboxes`.
pub(crate) enum Filter {
    /// The selected one.
    Selected {
        /// Expunges wait for a command.
        delayed: bool,
    },
    /// All of the client's own.
    Personal,
    /// Those subscribed to.
    Subscribed,
    /// These and all below them.
    Subtree(BTreeSet<MailboxName>),
    /// These and those right below them (RFC 7377 4).
    SubtreeOne(BTreeSet<MailboxName>),
    /// These.
    Mailboxes(BTreeSet<MailboxName>),
}

/// `event-group`.
pub(super) struct Group {
    pub(super) filter: Filter,
    pub(super) events: Events,
    pub(super) fetch: Option<Vec<Box<dyn Item>>>,
    pub(super) unsupported: bool,
}

impl Filter {
    /// `filter-mailboxes`, with `subtree-one`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        Ok(match c.atom()?.to_ascii_uppercase().as_slice() {
            b"SELECTED" => Self::Selected { delayed: false },
            b"SELECTED-DELAYED" => Self::Selected { delayed: true },
            // RFC 5465 6.3: mail is delivered to any mailbox here (user+folder).
            b"INBOXES" | b"PERSONAL" => Self::Personal,
            b"SUBSCRIBED" => Self::Subscribed,
            b"SUBTREE" => Self::Subtree(names(c)?),
            b"SUBTREE-ONE" => Self::SubtreeOne(names(c)?),
            b"MAILBOXES" => Self::Mailboxes(names(c)?),
            _ => return Err(UNKNOWN),
        })
    }

    /// Whether a mailbox is meant. Asked anew each time: mailboxes and subscriptions come and go
    /// (RFC 5465 6.4).
    pub(crate) fn covers(&self, name: &MailboxName, roster: &Roster) -> bool {
        match self {
            Self::Selected { .. } => false,
            Self::Personal => roster.is_own(name),
            Self::Subscribed => roster.subscriptions().contains(name),
            Self::Subtree(tops) => {
                tops.contains(name) || name.ancestors().any(|above| tops.contains(&above))
            }
            Self::SubtreeOne(tops) => {
                tops.contains(name) || name.parent().is_some_and(|above| tops.contains(&above))
            }
            Self::Mailboxes(names) => names.contains(name),
        }
    }

    /// Whether mailboxes of others may be meant.
    pub(crate) fn reaches_others(&self) -> bool {
        match self {
            Self::Selected { .. } | Self::Personal => false,
            Self::Subscribed => true,
            Self::Subtree(names) | Self::SubtreeOne(names) | Self::Mailboxes(names) => {
                names.iter().any(is_for_others)
            }
        }
    }

    /// Whether it names mailboxes.
    pub(super) fn is_by_name(&self) -> bool {
        matches!(
            self,
            Self::Subtree(_) | Self::SubtreeOne(_) | Self::Mailboxes(_)
        )
    }

    /// How many names it has.
    pub(crate) fn names(&self) -> usize {
        match self {
            Self::Subtree(names) | Self::SubtreeOne(names) | Self::Mailboxes(names) => names.len(),
            _ => 0,
        }
    }
}

const UNKNOWN: BadSyntax = BadSyntax("unknown kind of mailboxes");

/// `event-group = "(" filter-mailboxes SP events ")"`.
pub(super) fn group(c: &mut Cursor<'_>) -> Parsed<Group> {
    c.expect(b"(", "expected a parenthesised group")?;
    let filter = Filter::parse(c)?;
    if matches!(filter, Filter::SubtreeOne(_)) {
        return Err(UNKNOWN);
    }
    c.sp()?;
    let asked = events::events(c, matches!(filter, Filter::Selected { .. }))?;
    c.expect(b")", "expected the end of the group")?;
    Ok(Group {
        filter,
        events: asked.events,
        fetch: asked.fetch,
        unsupported: asked.unsupported,
    })
}

/// `SP (mailbox / "(" mailbox *(SP mailbox) ")")`. RFC 5465 3.1: names that cannot be are ignored.
fn names(c: &mut Cursor<'_>) -> Parsed<BTreeSet<MailboxName>> {
    c.sp()?;
    let names = match c.peek() {
        Some(b'(') => c.list(false, Cursor::mailbox)?,
        _ => vec![c.mailbox()?],
    };
    Ok(names.into_iter().filter_map(|raw| raw.name.ok()).collect())
}
