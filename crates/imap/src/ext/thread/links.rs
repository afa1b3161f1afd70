//! Parents of nodes, without loops.
//!
//! Whether a link would close a loop is seen by going up from the parent. A stranger can make that
//! way long and have it gone again and again, so beyond [`NEAR`] steps it is asked of a link-cut
//! tree (Sleator and Tarjan 1983), which answers in logarithmic time.

use super::forest::NodeId;

/// Steps up before the link-cut tree is made.
const NEAR: usize = 64;

/// No node.
const NONE: NodeId = NodeId::MAX;

/// A forest of nodes that only know their parents.
#[derive(Default)]
pub(super) struct Links {
    parents: Vec<NodeId>,
    /// How many children each has.
    children: Vec<u32>,
    deep: Option<LinkCut>,
}

impl Links {
    /// A new node without parent.
    pub(super) fn add(&mut self) -> NodeId {
        self.parents.push(NONE);
        self.children.push(0);
        if let Some(deep) = &mut self.deep {
            deep.add(NONE);
        }
        self.parents.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    pub(super) fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.parents.get(node).copied().filter(|&p| p != NONE)
    }

    /// Makes `parent` the parent of `child`, unless `child` has one or that would be a loop.
    pub(super) fn link(&mut self, parent: NodeId, child: NodeId) {
        if parent == child || self.parent(child).is_some() || self.is_below(parent, child) {
            return;
        }
        if let (Some(slot), Some(count)) =
            (self.parents.get_mut(child), self.children.get_mut(parent))
        {
            *slot = parent;
            *count += 1;
            if let Some(deep) = &mut self.deep {
                deep.link(parent, child);
            }
        }
    }

    /// Takes the parent of `child` away.
    pub(super) fn cut(&mut self, child: NodeId) {
        let Some(parent) = self.parent(child) else {
            return;
        };
        if let Some(slot) = self.parents.get_mut(child) {
            *slot = NONE;
        }
        if let Some(count) = self.children.get_mut(parent) {
            *count -= 1;
        }
        if let Some(deep) = &mut self.deep {
            deep.cut(child);
        }
    }

    /// Notes an ancestor as the parent; no link may be made or cut afterwards.
    pub(super) fn shorten(&mut self, node: NodeId, ancestor: NodeId) {
        if let Some(slot) = self.parents.get_mut(node) {
            *slot = ancestor;
        }
    }

    /// Whether `node` is a descendant of `root`, which has no parent.
    fn is_below(&mut self, node: NodeId, root: NodeId) -> bool {
        if self.children.get(root) == Some(&0) {
            return false;
        }
        let mut at = node;
        for _ in 0..NEAR {
            match self.parent(at) {
                Some(parent) => at = parent,
                None => return at == root,
            }
        }
        let deep = self
            .deep
            .get_or_insert_with(|| LinkCut::over(&self.parents));
        deep.root(at) == root
    }
}

/// Paths of the forest as splay trees; see there.
struct LinkCut {
    nodes: Vec<Splay>,
}

#[derive(Clone, Copy)]
struct Splay {
    /// In the splay tree, or from its root to the parent of its first node.
    up: NodeId,
    left: NodeId,
    right: NodeId,
}

impl LinkCut {
    /// Of a forest that is there: each node is a path of its own.
    fn over(parents: &[NodeId]) -> Self {
        let mut this = Self {
            nodes: Vec::with_capacity(parents.len()),
        };
        parents.iter().for_each(|&parent| this.add(parent));
        this
    }

    fn add(&mut self, up: NodeId) {
        self.nodes.push(Splay {
            up,
            left: NONE,
            right: NONE,
        });
    }

    fn get(&self, node: NodeId) -> Splay {
        self.nodes.get(node).copied().unwrap_or(Splay {
            up: NONE,
            left: NONE,
            right: NONE,
        })
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Splay)) {
        self.nodes.get_mut(node).map(change).unwrap_or_default();
    }

    fn link(&mut self, parent: NodeId, child: NodeId) {
        self.access(child);
        self.change(child, |node| node.up = parent);
    }

    fn cut(&mut self, child: NodeId) {
        self.access(child);
        let before = self.get(child).left;
        self.change(before, |node| node.up = NONE);
        self.change(child, |node| node.left = NONE);
    }

    /// The root of the tree a node is in.
    fn root(&mut self, node: NodeId) -> NodeId {
        self.access(node);
        let mut at = node;
        while self.get(at).left != NONE {
            at = self.get(at).left;
        }
        self.splay(at);
        at
    }

    /// Makes the way from the root to a node one path, and the node the root of its splay tree.
    fn access(&mut self, node: NodeId) {
        self.splay(node);
        self.change(node, |node| node.right = NONE);
        loop {
            let above = self.get(node).up;
            if above == NONE {
                return;
            }
            self.splay(above);
            self.change(above, |above| above.right = node);
            self.splay(node);
        }
    }

    /// Whether a node is the root of its splay tree.
    fn is_top(&self, node: NodeId) -> bool {
        let up = self.get(node).up;
        let above = self.get(up);
        up == NONE || above.left != node && above.right != node
    }

    fn splay(&mut self, node: NodeId) {
        while !self.is_top(node) {
            let up = self.get(node).up;
            if !self.is_top(up) {
                let over = self.get(up).up;
                let is_line = (self.get(up).left == node) == (self.get(over).left == up);
                self.rotate(if is_line { up } else { node });
            }
            self.rotate(node);
        }
    }

    /// Puts a node, which has one above it in the splay tree, in the place of that.
    fn rotate(&mut self, node: NodeId) {
        let up = self.get(node).up;
        let over = self.get(up).up;
        let is_left = self.get(up).left == node;
        let inner = match is_left {
            true => self.get(node).right,
            false => self.get(node).left,
        };
        if !self.is_top(up) {
            let was_left = self.get(over).left == up;
            self.change(over, |over| match was_left {
                true => over.left = node,
                false => over.right = node,
            });
        }
        self.change(node, |node| {
            node.up = over;
            match is_left {
                true => node.right = up,
                false => node.left = up,
            }
        });
        self.change(up, |above| {
            above.up = node;
            match is_left {
                true => above.left = inner,
                false => above.right = inner,
            }
        });
        self.change(inner, |inner| inner.up = up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_link_closes_a_loop_and_none_is_refused_otherwise(
            steps in proptest::collection::vec((0usize..30, 0usize..30, 0u8..4), 0..300),
            deep in any::<bool>(),
        ) {
            let mut links = Links::default();
            for _ in 0..30 {
                links.add();
            }
            let mut plain = vec![NONE; 30];
            if deep {
                links.deep = Some(LinkCut::over(&links.parents));
            }
            for (a, b, what) in steps {
                if what == 0 {
                    links.cut(a);
                    plain[a] = NONE;
                } else {
                    let mut up = a;
                    while up != b && plain[up] != NONE {
                        up = plain[up];
                    }
                    if up != b && plain[b] == NONE {
                        plain[b] = a;
                    }
                    links.link(a, b);
                }
                prop_assert_eq!(&links.parents, &plain);
                if let Some(tree) = &mut links.deep {
                    let mut root = a;
                    while plain[root] != NONE {
                        root = plain[root];
                    }
                    prop_assert_eq!(tree.root(a), root);
                }
            }
        }
    }

    #[test]
    fn long_ways_are_gone_once() {
        let mut links = Links::default();
        let chain: Vec<NodeId> = (0..100_000).map(|_| links.add()).collect();
        chain
            .windows(2)
            .for_each(|pair| links.link(pair[0], pair[1]));
        let last = *chain.last().unwrap();
        for _ in 0..100_000 {
            let (root, leaf) = (links.add(), links.add());
            links.link(root, leaf);
            links.link(last, root);
            assert_eq!(links.parent(root), Some(last));
        }
        links.cut(chain[50_000]);
        links.link(last, chain[0]);
        assert_eq!(links.parent(chain[0]), Some(last));
        links.link(last, chain[50_000]);
        assert_eq!(links.parent(chain[50_000]), None);
    }
}
