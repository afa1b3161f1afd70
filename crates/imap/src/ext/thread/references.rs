//! REFERENCES (RFC 5256 3) and REFS (draft-ietf-morg-inthread 4). The numbers of steps are those of
//! RFC 5256.

use super::forest::{Forest, Node, NodeId};
use super::links::Links;
use super::{Member, Subject};
use mail::ThreadId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Threads by identifiers, then by subjects.
pub(super) fn references(members: &[Member]) -> Forest {
    let mut threads = Threads::new(members);
    threads.prune();
    threads.sort_roots();
    threads.merge_subjects();
    // Step 6. Sets of siblings are independent of each other, but a root that is a dummy is sorted
    // by the first of its children.
    threads.sort_children();
    threads.sort_roots();
    threads.forest
}

/// Threads by identifiers alone. They are sorted by the latest INTERNALDATE in each, messages
/// within by sent date.
pub(super) fn refs(members: &[Member]) -> Forest {
    let mut threads = Threads::new(members);
    threads.prune();
    threads.sort_children();
    threads.sort_roots_by_arrival();
    threads.forest
}

/// Threads that are being made. Nodes below `members.len()` are the messages, the others dummies.
struct Threads<'a> {
    members: &'a [Member],
    links: Links,
    forest: Forest,
}

impl<'a> Threads<'a> {
    /// Step 1: links between messages and those they refer to.
    fn new(members: &'a [Member]) -> Self {
        let mut links = Links::default();
        let mut ids: HashMap<ThreadId, NodeId> = HashMap::with_capacity(members.len());
        for member in members {
            let node = links.add();
            if let Some(id) = member.facts.as_ref().and_then(|facts| facts.message_id) {
                // Of several messages with one identifier only the first is found by it.
                ids.entry(id).or_insert(node);
            }
        }
        for (member, node) in members.iter().zip(0..) {
            let references = member.facts.as_ref().map(|facts| &facts.references);
            let mut last = None;
            for id in references.into_iter().flatten() {
                let referred = *ids.entry(*id).or_insert_with(|| links.add());
                // (A)
                if let Some(before) = last {
                    links.link(before, referred);
                }
                last = Some(referred);
            }
            // (B): what others said of this message counts less than what it says itself.
            if links.parent(node) != last {
                links.cut(node);
                if let Some(parent) = last {
                    links.link(parent, node);
                }
            }
        }
        Self {
            members,
            links,
            forest: Forest::default(),
        }
    }

    fn is_dummy(&self, node: NodeId) -> bool {
        node >= self.members.len()
    }

    /// Steps 2 and 3: roots, and dummies only where they hold several roots together.
    fn prune(&mut self) {
        let count = self.links.len();
        self.forest.nodes = (0..count)
            .map(|node| Node {
                message: (!self.is_dummy(node)).then_some(node),
                children: Vec::new(),
            })
            .collect();
        for node in 0..count {
            if !self.is_dummy(node) {
                match self.visible_parent(node) {
                    Some(parent) => self.adopt(parent, node),
                    None => self.forest.roots.push(node),
                }
            }
        }
        for node in self.members.len()..count {
            match self.children(node) {
                [] => {}
                &[only] => self.forest.roots.push(only),
                _ => self.forest.roots.push(node),
            }
        }
    }

    /// The nearest ancestor that is a message; without any, the dummy that is the root.
    fn visible_parent(&mut self, node: NodeId) -> Option<NodeId> {
        let mut passed = Vec::new();
        let mut at = self.links.parent(node)?;
        while self.is_dummy(at)
            && let Some(above) = self.links.parent(at)
        {
            passed.push(at);
            at = above;
        }
        // The next one has a shorter way.
        for dummy in passed {
            self.links.shorten(dummy, at);
        }
        Some(at)
    }

    fn children(&self, node: NodeId) -> &[NodeId] {
        self.forest
            .nodes
            .get(node)
            .map_or(&[], |node| &node.children)
    }

    fn adopt(&mut self, parent: NodeId, child: NodeId) {
        if let Some(node) = self.forest.nodes.get_mut(parent) {
            node.children.push(child);
        }
    }

    /// RFC 5256 2.2: by sent date, equal ones in the order of the mailbox.
    fn age(&self, node: NodeId) -> (i64, NodeId) {
        (self.members.get(node).map_or(0, |member| member.sent), node)
    }

    /// The message that stands for a root: itself, or the first child of a dummy.
    fn head(&self, root: NodeId) -> NodeId {
        match self.is_dummy(root) {
            true => {
                let children = self.children(root).iter().copied();
                children
                    .min_by_key(|&child| self.age(child))
                    .unwrap_or(root)
            }
            false => root,
        }
    }

    /// Step 4.
    fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.forest.roots);
        roots.sort_by_cached_key(|&root| self.age(self.head(root)));
        self.forest.roots = roots;
    }

    /// Step 5.
    fn merge_subjects(&mut self) {
        let roots = std::mem::take(&mut self.forest.roots);
        // (A), (B)
        let mut table: HashMap<Subject, NodeId> = HashMap::new();
        for &root in &roots {
            let Some(subject) = self.subject(root) else {
                continue;
            };
            match table.entry(subject) {
                Entry::Vacant(entry) => drop(entry.insert(root)),
                Entry::Occupied(mut entry) => {
                    let known = *entry.get();
                    if !self.is_dummy(known)
                        && (self.is_dummy(root) || self.is_reply(known) && !self.is_reply(root))
                    {
                        entry.insert(root);
                    }
                }
            }
        }
        // (C)
        let mut gone = vec![false; self.forest.nodes.len()];
        let mut added = Vec::new();
        for &root in &roots {
            let Some(entry) = self.subject(root).and_then(|s| table.get_mut(&s)) else {
                continue;
            };
            let known = *entry;
            if known == root {
                continue;
            }
            if self.is_dummy(root) && self.is_dummy(known) {
                let children = self
                    .forest
                    .nodes
                    .get_mut(root)
                    .map(|n| std::mem::take(&mut n.children));
                for child in children.into_iter().flatten() {
                    self.adopt(known, child);
                }
            } else if self.is_dummy(known) || self.is_reply(root) && !self.is_reply(known) {
                self.adopt(known, root);
            } else {
                let both = self.forest.nodes.len();
                self.forest.nodes.push(Node {
                    message: None,
                    children: vec![known, root],
                });
                added.push(both);
                *entry = both;
                gone.get_mut(known)
                    .map(|gone| *gone = true)
                    .unwrap_or_default();
            }
            gone.get_mut(root)
                .map(|gone| *gone = true)
                .unwrap_or_default();
        }
        let stays = |root: &NodeId| gone.get(*root) == Some(&false);
        self.forest.roots = roots.into_iter().filter(stays).chain(added).collect();
    }

    /// The thread's subject, if it has one.
    fn subject(&self, root: NodeId) -> Option<Subject> {
        let member = self.members.get(self.head(root))?;
        (member.subject != Subject::EMPTY).then_some(member.subject)
    }

    fn is_reply(&self, node: NodeId) -> bool {
        let facts = self
            .members
            .get(node)
            .and_then(|member| member.facts.as_ref());
        facts.is_some_and(|facts| facts.is_reply_or_forward)
    }

    fn sort_children(&mut self) {
        let members = self.members;
        let age = |&node: &NodeId| (members.get(node).map_or(0, |member| member.sent), node);
        for node in &mut self.forest.nodes {
            node.children.sort_unstable_by_key(age);
        }
    }

    /// By the latest arrival in each thread, equal ones in the order of the mailbox.
    fn sort_roots_by_arrival(&mut self) {
        let mut roots = std::mem::take(&mut self.forest.roots);
        roots.sort_by_cached_key(|&root| (self.latest(root), self.head(root)));
        self.forest.roots = roots;
    }

    fn latest(&self, root: NodeId) -> i64 {
        let mut latest = i64::MIN;
        let mut waiting = vec![root];
        while let Some(node) = waiting.pop() {
            latest = latest.max(self.members.get(node).map_or(i64::MIN, |m| m.arrived));
            waiting.extend_from_slice(self.children(node));
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::super::forest::tests::told;
    use super::super::subject::ordered;
    use super::*;
    use mail::{Facts, Text};
    use std::sync::Arc;

    /// Messages as `day subject id references`, all in one word each; `-` is nothing.
    fn members(lines: &[&str]) -> Vec<Member> {
        let mut subjects = HashMap::from([(String::new(), Subject::EMPTY)]);
        let member = |(line, at): (&&str, i64)| {
            let mut words = line
                .split(' ')
                .map(|word| if word == "-" { "" } else { word });
            let (day, subject) = (words.next().unwrap(), words.next().unwrap());
            let mut header = format!("Subject: {}\r\n", subject.replace('_', " "));
            for (name, value) in ["Message-ID", "References"].iter().zip(words) {
                let ids = value.split(',').filter(|id| !id.is_empty());
                let ids: String = ids.map(|id| format!("<{id}@x> ")).collect();
                header += &format!("{name}: {ids}\r\n");
            }
            let facts = Facts::of_message(header.as_bytes());
            let base = facts.text(Text::BaseSubject).to_ascii_uppercase();
            let next = Subject(u32::try_from(subjects.len()).unwrap());
            Member {
                sent: day.parse().unwrap(),
                arrived: at,
                subject: *subjects.entry(base).or_insert(next),
                facts: Some(Arc::new(facts)),
            }
        };
        lines.iter().zip(1..).map(member).collect()
    }

    #[test]
    fn each_algorithm() {
        for (messages, by_subject, by_references, by_id) in [
            (&[][..], "", "", ""),
            (&["1 - - -"], "(1)", "(1)", "(1)"),
            // An ordinary thread, in any order; the root of it is not here.
            (
                &["3 Re:_a c r,b", "2 Re:_a b r", "9 a d r", "1 z e -"],
                "(4)(2 (1)(3))",
                "(4)((2 1)(3))",
                "((2 1)(3))(4)",
            ),
            // Step 3: a root that is a dummy with one child gives way to it, however deep.
            (&["1 a c r,q,p", "2 b d c"], "(1)(2)", "(1 2)", "(1 2)"),
            (
                &["1 a c r,q,p", "2 b d r,q", "3 c e r"],
                "(1)(2)(3)",
                "((1)(2)(3))",
                "((1)(2)(3))",
            ),
            // A dummy between messages vanishes.
            (
                &["1 a a -", "2 b c a,b", "3 b d a,b"],
                "(1)(2 3)",
                "(1 (2)(3))",
                "(1 (2)(3))",
            ),
            // References to each other and to oneself.
            (&["1 a a b", "2 b b a"], "(1)(2)", "(2 1)", "(2 1)"),
            (&["1 a a a", "2 b b a,a"], "(1)(2)", "(1 2)", "(1 2)"),
            (&["1 a a b,c,a", "2 b b c,a,b"], "(1)(2)", "(2 1)", "(2 1)"),
            // Only the first of equal identifiers is found by it.
            (
                &["1 a i -", "2 b i -", "3 c c i"],
                "(1)(2)(3)",
                "(1 3)(2)",
                "(2)(1 3)",
            ),
            // What a message says of itself counts more than what others say.
            (
                &["1 a a -", "2 b b a", "3 c c x,b"],
                "(1)(2)(3)",
                "(1 2 3)",
                "(1 2 3)",
            ),
            (
                &["1 c c x,b", "2 b b -", "3 a a -"],
                "(1)(2)(3)",
                "(2 1)(3)",
                "(2 1)(3)",
            ),
            // A message without references is taken into the thread by those that follow.
            (
                &["1 a a -", "2 b b x,a", "3 c c x"],
                "(1)(2)(3)",
                "((1 2)(3))",
                "((1 2)(3))",
            ),
            // Step 5: subjects join roots. A reply becomes a child, equals become siblings.
            (
                &["1 a - -", "2 Re:_A - -", "3 fwd:_a - -"],
                "(1 (2)(3))",
                "(1 (2)(3))",
                "(1)(2)(3)",
            ),
            (&["1 Re:_a - -", "2 a - -"], "(1 2)", "(2 1)", "(1)(2)"),
            (
                &["1 a - -", "2 a - -", "3 Re:_a - -"],
                "(1 (2)(3))",
                "((1)(2)(3))",
                "(1)(2)(3)",
            ),
            (
                &["1 Re:_a - -", "2 Re:_a - -"],
                "(1 2)",
                "((1)(2))",
                "(1)(2)",
            ),
            (
                &["1 Re:_a - -", "2 a - -", "3 a - -"],
                "(1 (2)(3))",
                "((2 1)(3))",
                "(1)(2)(3)",
            ),
            // Dummies are joined, and take in others.
            (
                &[
                    "1 a - r",
                    "2 b - r",
                    "3 a - s",
                    "4 c - s",
                    "5 a - -",
                    "0 Re:_a - -",
                ],
                "(6 (1)(3)(5))(2)(4)",
                "((6)(1)(2)(3)(4)(5))",
                "((1)(2))((3)(4))(5)(6)",
            ),
            // No subject joins nothing, but is a subject to ORDEREDSUBJECT.
            (&["1 - - -", "2 Re: - -"], "(1 2)", "(1)(2)", "(1)(2)"),
            // Equal dates: the order of the mailbox.
            (
                &["5 b - -", "5 a - -", "5 b - -"],
                "(1 3)(2)",
                "((1)(3))(2)",
                "(1)(2)(3)",
            ),
            // REFS: the thread with the newest arrival is last, whatever was sent when.
            (
                &["9 a a -", "1 b b -", "2 c c a"],
                "(2)(3)(1)",
                "(2)(1 3)",
                "(2)(1 3)",
            ),
            (&["9 a a -", "1 b b -"], "(2)(1)", "(2)(1)", "(1)(2)"),
        ] {
            let members = members(messages);
            assert_eq!(told(&ordered(&members)), by_subject, "{messages:?}");
            assert_eq!(told(&references(&members)), by_references, "{messages:?}");
            assert_eq!(told(&refs(&members)), by_id, "{messages:?}");
        }
    }

    #[test]
    fn threads_of_any_depth_are_made_and_told_without_recursion() {
        const DEPTH: usize = 100_000;
        let chain = |n: usize| format!("{n} Re:_a {n} {}", n.wrapping_sub(1));
        let up: Vec<String> = (1..=DEPTH).map(chain).collect();
        let down: Vec<String> = (1..=DEPTH).rev().map(chain).collect();
        // Each has a child beside the next one: the answer nests as deep.
        let comb: Vec<String> = (2..DEPTH / 5)
            .map(|n| format!("{n} - {n} {}", if n % 2 == 0 { n - 2 } else { n - 1 }))
            .collect();
        for lines in [&up, &down, &comb] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let members = members(&lines);
            for algorithm in [ordered, references, refs] {
                let told = told(&algorithm(&members));
                let numbers = told.split([' ', '(', ')']).filter(|n| !n.is_empty());
                let mut numbers: Vec<usize> = numbers.map(|n| n.parse().unwrap()).collect();
                numbers.sort_unstable();
                assert!(numbers.iter().copied().eq(1..=lines.len()));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn every_message_is_told_once(
            lines in proptest::collection::vec("[0-9] (Re:_)?[ab-] [a-g-] [a-g](,[a-g]){0,4}", 0..40),
        ) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let members = members(&lines);
            for algorithm in [ordered, references, refs] {
                let told = told(&algorithm(&members));
                let numbers = told.split([' ', '(', ')']).filter(|n| !n.is_empty());
                let mut numbers: Vec<usize> = numbers.map(|n| n.parse().unwrap()).collect();
                numbers.sort_unstable();
                proptest::prop_assert_eq!(numbers, (1..=lines.len()).collect::<Vec<_>>());
                proptest::prop_assert!(!told.contains("()") && !told.contains("((1)) "));
            }
        }
    }
}
