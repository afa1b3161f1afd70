//! LIST, with the options of LIST-EXTENDED, LIST-STATUS and SPECIAL-USE.

use super::listed::Listed;
use super::status;
use super::*;
use crate::ext::acl::write_my_rights;
use crate::ext::metadata::{Entry, MAX_ENTRIES, Object, tell_mailbox};
use crate::grammar::Pattern;
use crate::session::{Member, Roster};
use crate::spec::StatusItem;
use crate::view::MAX_PENDING;
use mail::MailErrorKind;
use std::collections::BTreeSet;
use types::MailboxName;

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`.
pub(crate) static SPEC: Spec = Spec {
    name: "LIST",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &[
        "RFC 3501 6.3.8",
        "RFC 9051 6.3.9",
        "RFC 5258 3",
        "RFC 5819 2",
        "RFC 6154 2",
        "RFC 8440 3",
        "RFC 9590 3",
    ],
    parse,
};

/// The most patterns one LIST may have.
const MAX_PATTERNS: usize = 64;

#[derive(Default)]
struct List {
    select: Select,
    returns: Returns,
    /// Whether any option was used: then answers may have forms that older clients do not know.
    extended: bool,
    patterns: Vec<Pattern>,
}

/// RFC 5258 3.1.
#[derive(Clone, Copy, Default)]
struct Select {
    subscribed: bool,
    special_use: bool,
    recursive_match: bool,
}

/// What the selection options choose below a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    /// Nothing, or it does not matter.
    Nothing,
    /// Names that are all told themselves.
    Told,
    /// Among others a name that the patterns do not match.
    Untold,
}

/// RFC 5258 3.2. What costs nothing is returned unasked: children and special uses.
#[derive(Default)]
struct Returns {
    subscribed: bool,
    /// RFC 8440.
    my_rights: bool,
    status: Vec<&'static StatusItem>,
    /// RFC 9590.
    metadata: Vec<Entry>,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut list = List::default();
    c.sp()?;
    if c.peek() == Some(b'(') {
        list.extended = true;
        list.select = select_options(c)?;
        c.sp()?;
    }
    let reference = c.astring()?;
    c.sp()?;
    if c.peek() == Some(b'(') {
        list.extended = true;
        list.patterns = c.list(false, |c| c.pattern(&reference))?;
        if list.patterns.len() > MAX_PATTERNS {
            return Err(BadSyntax("too many patterns"));
        }
    } else {
        list.patterns.push(c.pattern(&reference)?);
    }
    if c.eat(b" ") {
        list.extended = true;
        if !c.eat_word(b"RETURN") {
            return Err(BadSyntax("expected RETURN"));
        }
        c.sp()?;
        list.returns = return_options(c)?;
    }
    Ok(Box::new(list))
}

fn select_options(c: &mut Cursor<'_>) -> Parsed<Select> {
    let mut select = Select::default();
    c.list(true, |c| {
        match c.atom()?.to_ascii_uppercase().as_slice() {
            b"SUBSCRIBED" => select.subscribed = true,
            b"SPECIAL-USE" => select.special_use = true,
            b"RECURSIVEMATCH" => select.recursive_match = true,
            // RFC 5258 3.1: there are no remote mailboxes here.
            b"REMOTE" => {}
            _ => return Err(BadSyntax("unknown selection option")),
        }
        Ok(())
    })?;
    // RFC 5258 3.1: RECURSIVEMATCH wants another option, other than REMOTE.
    if select.recursive_match && !select.subscribed && !select.special_use {
        return Err(BadSyntax("RECURSIVEMATCH needs another selection option"));
    }
    Ok(select)
}

fn return_options(c: &mut Cursor<'_>) -> Parsed<Returns> {
    let mut returns = Returns::default();
    c.list(true, |c| {
        match c.atom()?.to_ascii_uppercase().as_slice() {
            b"SUBSCRIBED" => returns.subscribed = true,
            b"CHILDREN" | b"SPECIAL-USE" => {}
            b"MYRIGHTS" => returns.my_rights = true,
            b"STATUS" => {
                c.sp()?;
                returns.status = status::items(c)?;
            }
            b"METADATA" => {
                c.sp()?;
                returns.metadata = c.list(false, Entry::parse)?;
                let is_whole = returns.metadata.iter().all(Entry::is_whole);
                if !is_whole || returns.metadata.len() > MAX_ENTRIES {
                    return Err(BadSyntax("not names of annotations, or too many"));
                }
            }
            _ => return Err(BadSyntax("unknown return option")),
        }
        Ok(())
    })?;
    Ok(returns)
}

impl Run for List {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self
            .returns
            .status
            .iter()
            .any(|item| item.enables_condstore)
        {
            cx.enable_condstore();
        }
        let names = cx.enabled.names();
        // RFC 9051 6.3.9: an empty pattern is answered by the separator alone.
        if !self.extended
            && self
                .patterns
                .first()
                .is_some_and(Pattern::asks_for_separator)
        {
            cx.wire.buffer().raw(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
            return Done::ok("that is all");
        }
        let roster = cx.roster().await?;
        let implied = roster.implied();
        for name in self.candidates(&roster, &implied) {
            if !self.patterns.iter().any(|pattern| pattern.matches(name)) {
                continue;
            }
            let below = self.chosen_below(&roster, name);
            // RFC 5258 3.3: a name that is not chosen is told for the sake of one below that is,
            // unless that one is told itself.
            let is_chosen = self.chooses(&roster, name);
            if !is_chosen && below != Below::Untold {
                continue;
            }
            let listed = Listed {
                // RFC 9051 6.3.9: \NonExistent needs no option there.
                extended: self.extended || cx.enabled.rev2,
                subscribed: self.select.subscribed || self.returns.subscribed,
                child_info: self.child_info(below),
                ..Listed::new(&roster, name)
            };
            listed.write(names, cx.wire.buffer());
            if let Some(member) = roster.find(name) {
                self.tell_more(cx, name, &member, is_chosen).await?;
            }
            cx.wire.flush_if_over(MAX_PENDING).await?;
        }
        Done::ok("that is all")
    }
}

impl List {
    /// All names that could be in the answer, in order.
    fn candidates<'a>(
        &self,
        roster: &'a Roster,
        implied: &'a BTreeSet<MailboxName>,
    ) -> BTreeSet<&'a MailboxName> {
        let mut names: BTreeSet<&MailboxName> = roster.names().chain(implied).collect();
        if self.select.subscribed {
            names.extend(roster.subscriptions());
        }
        names
    }

    /// What is returned beside LIST, of a mailbox that is there.
    async fn tell_more(
        &self,
        cx: &mut Session,
        name: &MailboxName,
        member: &Member,
        is_chosen: bool,
    ) -> Result<(), Refusal> {
        // RFC 8440 3: behind the LIST response.
        if self.returns.my_rights {
            write_my_rights(name, member.rights, cx.enabled.names(), cx.wire.buffer());
        }
        // RFC 5819 2: STATUS for mailboxes that can be selected.
        if !self.returns.status.is_empty() {
            let items = &self.returns.status;
            unless_denied(status::tell(cx, name, &member.account, member.id, items).await)?;
        }
        // RFC 9590 3: not for a mailbox that is told for those below it.
        if !self.returns.metadata.is_empty() && is_chosen {
            let object = Object::Mailbox {
                account: member.account.clone(),
                id: member.id,
                name: name.clone(),
            };
            unless_denied(tell_mailbox(cx, &object, &self.returns.metadata).await)?;
        }
        Ok(())
    }

    /// Whether the selection options choose a name. Several options all have to hold.
    fn chooses(&self, roster: &Roster, name: &MailboxName) -> bool {
        (!self.select.subscribed || roster.subscriptions().contains(name))
            && (!self.select.special_use
                || roster
                    .find(name)
                    .is_some_and(|folder| folder.role.is_some()))
    }

    /// RFC 5258 3.5: what RECURSIVEMATCH finds below a name.
    fn chosen_below(&self, roster: &Roster, name: &MailboxName) -> Below {
        if !self.select.recursive_match {
            return Below::Nothing;
        }
        let names = roster.names().chain(roster.subscriptions());
        let mut below = Below::Nothing;
        for name in names.filter(|n| n.is_below(name) && self.chooses(roster, n)) {
            if !self.patterns.iter().any(|pattern| pattern.matches(name)) {
                return Below::Untold;
            }
            below = Below::Told;
        }
        below
    }

    /// RFC 5258 3.5: by which of the options something below was chosen.
    fn child_info(&self, below: Below) -> &'static str {
        match (self.select.subscribed, self.select.special_use) {
            _ if below == Below::Nothing => "",
            (true, true) => "\"SUBSCRIBED\" \"SPECIAL-USE\"",
            (true, false) => "\"SUBSCRIBED\"",
            _ => "\"SPECIAL-USE\"",
        }
    }
}

/// Deleted meanwhile, or what is asked for is not for this client.
fn unless_denied(told: Result<(), Refusal>) -> Result<(), Refusal> {
    match told {
        Err(Refusal::Mail(error))
            if matches!(error.kind, MailErrorKind::NotFound | MailErrorKind::Denied) =>
        {
            Ok(())
        }
        told => told,
    }
}
