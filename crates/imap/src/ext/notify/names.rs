//! What has happened to the names of mailboxes: the difference of what was there and what is there
//! now (RFC 5465 5.4, 5.5). That others begin or cease to share a mailbox is as if it were made or
//! deleted.

use crate::session::Roster;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use types::{AccountId, MailboxId, MailboxName};

/// A mailbox, whatever it is called.
type Id = (AccountId, MailboxId);

/// What there was at one moment.
pub(super) struct Picture<'a> {
    folders: BTreeMap<&'a MailboxName, Id>,
    subscriptions: &'a BTreeSet<MailboxName>,
}

impl<'a> Picture<'a> {
    pub(super) fn of(roster: &'a Roster) -> Self {
        Self {
            folders: roster
                .folders()
                .map(|(name, listed)| (name, (listed.account.id(), listed.id)))
                .collect(),
            subscriptions: roster.subscriptions(),
        }
    }

    fn names(&self) -> HashMap<Id, MailboxName> {
        let pairs = self.folders.iter();
        pairs.map(|(name, id)| (*id, (*name).clone())).collect()
    }
}

/// What happened to a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Affected {
    /// The mailbox of that name was made, deleted or renamed, or one right below it made or
    /// deleted.
    pub(super) name: bool,
    /// What it was called before.
    pub(super) old_name: Option<MailboxName>,
    /// Its subscription has changed.
    pub(super) subscription: bool,
    /// The mailbox of that name is another than before: so is its UIDVALIDITY.
    pub(super) replaced: bool,
}

/// All names to which something happened, in order.
pub(super) fn affected(old: &Picture<'_>, new: &Picture<'_>) -> BTreeMap<MailboxName, Affected> {
    let mut all: BTreeMap<MailboxName, Affected> = BTreeMap::new();
    let (old_names, new_names) = (old.names(), new.names());
    for (id, to) in &new_names {
        match old_names.get(id) {
            Some(from) if from == to => {}
            Some(from) if moved_with_parent(from, to, &old_names, new) => {}
            Some(from) => {
                let entry = all.entry(to.clone()).or_default();
                entry.name = true;
                entry.old_name = Some(from.clone());
                entry.replaced = true;
            }
            None => {
                touch(&mut all, to);
                all.entry(to.clone()).or_default().replaced = true;
            }
        }
    }
    for (id, name) in &old_names {
        if !new_names.contains_key(id) {
            touch(&mut all, name);
        }
    }
    for name in old.subscriptions.symmetric_difference(new.subscriptions) {
        all.entry(name.clone()).or_default().subscription = true;
    }
    all
}

/// RFC 5465 5.4: a mailbox made or deleted affects itself and its parent.
fn touch(all: &mut BTreeMap<MailboxName, Affected>, name: &MailboxName) {
    all.entry(name.clone()).or_default().name = true;
    if let Some(parent) = name.parent() {
        all.entry(parent).or_default().name = true;
    }
}

/// RFC 5465 5.4: no events for the children of what was renamed.
fn moved_with_parent(
    from: &MailboxName,
    to: &MailboxName,
    old_names: &HashMap<Id, MailboxName>,
    new: &Picture<'_>,
) -> bool {
    to.ancestors().any(|above| {
        let id = new.folders.get(&above);
        id.and_then(|id| old_names.get(id))
            .is_some_and(|was| *was != above && to.rebase(&above, was).as_ref() == Some(from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    /// What is there, as owned values.
    struct Tree {
        folders: BTreeMap<MailboxName, Id>,
        subscriptions: BTreeSet<MailboxName>,
    }

    fn tree(folders: &[(&str, u64)], subscriptions: &[&str]) -> Tree {
        // From 100 on they are somebody else's.
        let id = |id| (AccountId(id / 100), MailboxId(id % 100));
        Tree {
            folders: folders.iter().map(|&(n, i)| (name(n), id(i))).collect(),
            subscriptions: subscriptions.iter().map(|n| name(n)).collect(),
        }
    }

    impl Tree {
        fn picture(&self) -> Picture<'_> {
            Picture {
                folders: self.folders.iter().map(|(n, id)| (n, *id)).collect(),
                subscriptions: &self.subscriptions,
            }
        }
    }

    /// `name` for each affected name, with `<old`, `!` for replaced, `s` for subscriptions.
    fn said(old: &Tree, new: &Tree) -> String {
        let all = affected(&old.picture(), &new.picture());
        let words = all.iter().map(|(name, what)| {
            let mut word = name.to_string();
            if let Some(old) = &what.old_name {
                word += &format!("<{old}");
            }
            if what.replaced {
                word += "!";
            }
            if what.subscription {
                word += if what.name { "+s" } else { " s" };
            }
            word
        });
        words.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_mailbox_and_its_parent_are_affected() {
        let old = tree(&[("INBOX", 1), ("a", 2)], &[]);
        let new = tree(&[("INBOX", 1), ("a", 2), ("a/b", 3), ("a/b/c", 4)], &[]);
        assert_eq!(said(&old, &new), "a, a/b!, a/b/c!");
        assert_eq!(said(&new, &old), "a, a/b, a/b/c");
        assert_eq!(said(&new, &new), "");
    }

    #[test]
    fn children_move_with_their_parent_in_silence() {
        let old = tree(&[("a", 1), ("a/b", 2), ("a/b/c", 3), ("x", 4)], &[]);
        let new = tree(&[("z", 1), ("z/b", 2), ("z/b/c", 3), ("x", 4)], &[]);
        assert_eq!(said(&old, &new), "z<a!");
        // One child was renamed beside that.
        let new = tree(&[("z", 1), ("z/b", 2), ("z/c", 3), ("x", 4)], &[]);
        assert_eq!(said(&old, &new), "z<a!, z/c<a/b/c!");
    }

    #[test]
    fn names_can_be_swapped_and_used_again() {
        let old = tree(&[("a", 1), ("b", 2)], &[]);
        let new = tree(&[("b", 1), ("a", 2)], &[]);
        assert_eq!(said(&old, &new), "a<b!, b<a!");
        let new = tree(&[("a", 3), ("b", 2)], &[]);
        assert_eq!(said(&old, &new), "a!");
    }

    #[test]
    fn subscriptions_need_no_mailbox() {
        let old = tree(&[("a", 1)], &["a", "gone"]);
        let new = tree(&[("a", 1), ("b", 2)], &["gone", "b"]);
        assert_eq!(said(&old, &new), "a s, b!+s");
    }
    #[test]
    fn mailboxes_of_others_come_and_go_beside_ones_own() {
        let old = tree(&[("a", 1), ("o/bob/a", 101)], &[]);
        let new = tree(&[("a", 1), ("o/bob/b", 101), ("o/eve/a", 201)], &[]);
        assert_eq!(said(&old, &new), "o/bob/b<o/bob/a!, o/eve, o/eve/a!");
        assert_eq!(
            said(&new, &tree(&[("a", 1)], &[])),
            "o/bob, o/bob/b, o/eve, o/eve/a"
        );
    }
}
