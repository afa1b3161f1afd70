//! What can happen (RFC 5465 5).

use crate::cmd::fetch::{self, Item};
use crate::grammar::{BadSyntax, Cursor, Parsed};
use crate::view::Interest;

/// Kinds of events, as a bit set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Events(u8);

impl Events {
    pub(super) const NONE: Self = Self(0);
    /// Messages come.
    pub(super) const NEW: Self = Self(1);
    /// Messages go.
    pub(super) const EXPUNGE: Self = Self(2);
    /// Flags change.
    pub(super) const FLAGS: Self = Self(4);
    /// Mailboxes are made, deleted and renamed.
    pub(super) const NAME: Self = Self(8);
    /// Names are subscribed to, or are not any more.
    pub(super) const SUBSCRIPTION: Self = Self(16);
    /// Annotations of mailboxes change.
    pub(super) const MAILBOX_METADATA: Self = Self(32);
    /// Annotations of the server change.
    pub(super) const SERVER_METADATA: Self = Self(64);
    /// All that concern messages.
    const MESSAGE: Self = Self(7);

    /// Both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is among these.
    pub(super) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of all, for BADEVENT.
    pub(super) fn supported() -> String {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        names.join(" ")
    }

    /// These, for the selected mailbox.
    pub(super) fn interest(self, delayed: bool) -> Interest {
        Interest {
            messages: self.any(Self::NEW),
            flags: self.any(Self::FLAGS),
            delayed,
            notified: true,
            news: false,
        }
    }
}

/// RFC 5465 8: `message-event`, `mailbox-event` and `user-event`, as far as there are such things
/// here.
static NAMES: &[(&str, Events)] = &[
    ("MessageNew", Events::NEW),
    ("MessageExpunge", Events::EXPUNGE),
    ("FlagChange", Events::FLAGS),
    ("MailboxName", Events::NAME),
    ("SubscriptionChange", Events::SUBSCRIPTION),
    // RFC 5465 5.6 and 5.7: required with METADATA.
    ("MailboxMetadataChange", Events::MAILBOX_METADATA),
    ("ServerMetadataChange", Events::SERVER_METADATA),
];

/// What a group asks for.
pub(super) struct Asked {
    pub(super) events: Events,
    /// What is fetched of new messages.
    pub(super) fetch: Option<Vec<Box<dyn Item>>>,
    /// Whether events were named that this server does not know.
    pub(super) unsupported: bool,
}

/// `events = ("(" event *(SP event) ")") / "NONE"`. The examples of RFC 5465 3.1 leave the
/// parentheses out; so may clients.
pub(super) fn events(c: &mut Cursor<'_>, selected: bool) -> Parsed<Asked> {
    let mut asked = Asked {
        events: Events::NONE,
        fetch: None,
        unsupported: false,
    };
    if c.eat_word(b"NONE") {
        return Ok(asked);
    }
    if c.peek() == Some(b'(') {
        c.list(false, |c| event(c, selected, &mut asked))?;
    } else {
        event(c, selected, &mut asked)?;
        while c.eat(b" ") {
            event(c, selected, &mut asked)?;
        }
    }
    let events = asked.events;
    // RFC 5465 5: each of them MUST come with the other, and FlagChange with both.
    let (new, expunge) = (events.any(Events::NEW), events.any(Events::EXPUNGE));
    if new != expunge {
        return Err(BadSyntax("MessageNew and MessageExpunge go together"));
    }
    if events.any(Events::FLAGS) && !new {
        return Err(BadSyntax("FlagChange needs MessageNew and MessageExpunge"));
    }
    Ok(asked)
}

fn event(c: &mut Cursor<'_>, selected: bool, asked: &mut Asked) -> Parsed<()> {
    let name = c.atom()?;
    let known = NAMES
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    let Some(&(_, event)) = known else {
        // RFC 5465 3.1: NO, not BAD, once the rest is understood.
        asked.unsupported = true;
        return Ok(());
    };
    // RFC 5465 6.1: the selected mailbox is asked about its messages only.
    if selected && !event.any(Events::MESSAGE) {
        return Err(BadSyntax("not an event of the selected mailbox"));
    }
    asked.events = asked.events.and(event);
    if event == Events::NEW && c.rest().starts_with(b" (") {
        // RFC 5465 8: attributes are for the selected mailbox.
        if !selected {
            return Err(BadSyntax("attributes are for the selected mailbox"));
        }
        c.sp()?;
        asked.fetch = Some(fetch::attributes(c)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, selected: bool) -> Parsed<(Events, bool, bool)> {
        let mut c = Cursor::of(text.as_bytes());
        let asked = events(&mut c, selected)?;
        c.end()?;
        Ok((asked.events, asked.fetch.is_some(), asked.unsupported))
    }

    #[test]
    fn events_are_read() {
        let both = Events::NEW.and(Events::EXPUNGE);
        for (text, selected, want) in [
            ("NONE", true, (Events::NONE, false, false)),
            ("(messagenew MESSAGEEXPUNGE)", false, (both, false, false)),
            (
                "(MessageNew (UID BODY.PEEK[]) MessageExpunge FlagChange)",
                true,
                (both.and(Events::FLAGS), true, false),
            ),
            ("MessageNew (uid) MessageExpunge", true, (both, true, false)),
            ("(MailboxName Lunch)", false, (Events::NAME, false, true)),
        ] {
            assert_eq!(read(text, selected), Ok(want), "{text}");
        }
    }

    #[test]
    fn events_that_make_no_sense_are_refused() {
        for (text, selected) in [
            ("", true),
            ("()", true),
            ("(NONE", true),
            ("(MessageNew)", true),
            ("(MessageExpunge)", false),
            ("(FlagChange)", true),
            ("(MessageNew FlagChange)", true),
            ("(MessageNew (UID) MessageExpunge)", false),
            ("(MessageNew () MessageExpunge)", true),
            ("(MessageNew (ALL) MessageExpunge)", true),
            ("(MessageNew MessageExpunge MailboxName)", true),
            ("(MailboxName (UID))", false),
            ("(MailboxName  SubscriptionChange)", false),
        ] {
            assert!(read(text, selected).is_err(), "{text}");
        }
    }
}
