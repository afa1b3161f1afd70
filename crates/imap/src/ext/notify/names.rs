//! What has happened to the names of mailboxes: the difference of two trees (RFC 5465 5.4, 5.5).

use mail::Tree;
use std::collections::{BTreeMap, HashMap};
use types::{MailboxId, MailboxName};

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

/// All names to which something happened between two trees, in order.
pub(super) fn affected(old: &Tree, new: &Tree) -> BTreeMap<MailboxName, Affected> {
    let mut all: BTreeMap<MailboxName, Affected> = BTreeMap::new();
    let names = |tree: &Tree| -> HashMap<MailboxId, MailboxName> {
        let pairs = tree.folders.iter();
        pairs
            .map(|(name, folder)| (folder.id, name.clone()))
            .collect()
    };
    let (old_names, new_names) = (names(old), names(new));
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
    for name in old.subscriptions.symmetric_difference(&new.subscriptions) {
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
    old_names: &HashMap<MailboxId, MailboxName>,
    new: &Tree,
) -> bool {
    to.ancestors().any(|above| {
        let folder = new.find(&above);
        folder
            .and_then(|folder| old_names.get(&folder.id))
            .is_some_and(|was| *was != above && to.rebase(&above, was).as_ref() == Some(from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Folder;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    fn tree(folders: &[(&str, u64)], subscriptions: &[&str]) -> Tree {
        let folder = |id| Folder {
            id: MailboxId(id),
            role: None,
        };
        let mut tree = Tree::default();
        tree.folders = folders
            .iter()
            .map(|&(n, id)| (name(n), folder(id)))
            .collect();
        tree.subscriptions = subscriptions.iter().map(|n| name(n)).collect();
        tree
    }

    /// `name` for each affected name, with `<old`, `!` for replaced, `s` for subscriptions.
    fn said(old: &Tree, new: &Tree) -> String {
        let all = affected(old, new);
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
}
