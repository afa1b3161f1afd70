//! ORDEREDSUBJECT (RFC 5256 3): poor man's threading.

use super::Member;
use super::forest::{Forest, Node};

/// Messages of one base subject are one thread, the first sent its root and all others children of
/// that.
pub(super) fn ordered(members: &[Member]) -> Forest {
    let mut order: Vec<(&Member, usize)> = members.iter().zip(0..).collect();
    order.sort_by_key(|&(member, at)| (member.subject, member.sent, at));
    let mut forest = Forest {
        nodes: (0..members.len())
            .map(|at| Node {
                message: Some(at),
                children: Vec::new(),
            })
            .collect(),
        roots: Vec::new(),
    };
    let mut threads = Vec::new();
    for thread in order.chunk_by(|(a, _), (b, _)| a.subject == b.subject) {
        if let [(first, root), others @ ..] = thread {
            threads.push((first.sent, *root));
            if let Some(node) = forest.nodes.get_mut(*root) {
                node.children = others.iter().map(|&(_, at)| at).collect();
            }
        }
    }
    threads.sort_unstable();
    forest.roots = threads.into_iter().map(|(_, root)| root).collect();
    forest
}
