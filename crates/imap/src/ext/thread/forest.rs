//! Threads as trees, and how they are told (RFC 5256 4). There is no limit to their nesting there,
//! so there is none here: what is open is kept in a list, not on the stack.

/// Places of nodes.
pub(super) type NodeId = usize;

/// A message, or a place that only holds others together.
#[derive(Clone, Default, Debug)]
pub(super) struct Node {
    /// Its place among the messages; `None`: it is a dummy, which only roots are.
    pub(super) message: Option<usize>,
    /// In the order they are told.
    pub(super) children: Vec<NodeId>,
}

/// Threads.
#[derive(Default, Debug)]
pub(super) struct Forest {
    pub(super) nodes: Vec<Node>,
    /// In the order they are told.
    pub(super) roots: Vec<NodeId>,
}

/// A piece of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Open,
    Close,
    Space,
    Message(usize),
}

/// Hands out the answer piece by piece.
pub(super) struct Pieces {
    waiting: Vec<Step>,
}

enum Step {
    /// The roots from this one on, each in its parentheses.
    Roots(usize),
    /// The children of a node from this one on, each in its parentheses.
    Children(NodeId, usize),
    /// What stands within parentheses from this node on.
    Members(NodeId),
    /// What follows a message.
    After(NodeId),
    Piece(Piece),
}

impl Forest {
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    fn children(&self, node: NodeId) -> &[NodeId] {
        self.nodes.get(node).map_or(&[], |node| &node.children)
    }

    /// The answer from its beginning.
    pub(super) fn pieces(&self) -> Pieces {
        Pieces {
            waiting: vec![Step::Roots(0)],
        }
    }
}

impl Pieces {
    /// `1*thread-list`, `thread-list = "(" (thread-members / thread-nested) ")"`
    pub(super) fn next(&mut self, forest: &Forest) -> Option<Piece> {
        loop {
            match self.waiting.pop()? {
                Step::Piece(piece) => return Some(piece),
                Step::Roots(at) => {
                    if let Some(&node) = forest.roots.get(at) {
                        self.waiting.push(Step::Roots(at + 1));
                        return Some(self.open(node));
                    }
                }
                Step::Children(parent, at) => {
                    if let Some(&node) = forest.children(parent).get(at) {
                        self.waiting.push(Step::Children(parent, at + 1));
                        return Some(self.open(node));
                    }
                }
                Step::Members(node) => {
                    let message = forest.nodes.get(node).and_then(|node| node.message);
                    match message {
                        Some(message) => {
                            self.waiting.push(Step::After(node));
                            return Some(Piece::Message(message));
                        }
                        None => self.waiting.push(Step::Children(node, 0)),
                    }
                }
                // `thread-members = nz-number *(SP nz-number) [SP thread-nested]`: a line of only
                // children is not nested.
                Step::After(node) => match forest.children(node) {
                    [] => {}
                    &[only] => {
                        self.waiting.push(Step::Members(only));
                        return Some(Piece::Space);
                    }
                    _ => {
                        self.waiting.push(Step::Children(node, 0));
                        return Some(Piece::Space);
                    }
                },
            }
        }
    }

    fn open(&mut self, node: NodeId) -> Piece {
        self.waiting.push(Step::Piece(Piece::Close));
        self.waiting.push(Step::Members(node));
        Piece::Open
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// The answer, with messages counted from 1.
    pub(in super::super) fn told(forest: &Forest) -> String {
        let mut out = String::new();
        let mut pieces = forest.pieces();
        while let Some(piece) = pieces.next(forest) {
            match piece {
                Piece::Open => out.push('('),
                Piece::Close => out.push(')'),
                Piece::Space => out.push(' '),
                Piece::Message(at) => write!(out, "{}", at + 1).unwrap(),
            }
        }
        out
    }

    #[test]
    fn rfc_5256_4_examples() {
        let node = |message: usize, children: &[NodeId]| Node {
            message: message.checked_sub(1),
            children: children.to_vec(),
        };
        let forest = Forest {
            nodes: vec![
                node(2, &[]),
                node(3, &[2]),
                node(6, &[3, 5]),
                node(4, &[4]),
                node(23, &[]),
                node(44, &[6]),
                node(7, &[7]),
                node(96, &[]),
            ],
            roots: vec![0, 1],
        };
        assert_eq!(told(&forest), "(2)(3 6 (4 23)(44 7 96))");
        let forest = Forest {
            nodes: vec![node(0, &[1, 2]), node(3, &[]), node(5, &[])],
            roots: vec![0],
        };
        assert_eq!(told(&forest), "((3)(5))");
        assert_eq!(told(&Forest::default()), "");
    }
}
