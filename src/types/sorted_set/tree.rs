//! The order of a large sorted set: a B+-tree that counts.
//!
//! ```text
//!   Inner  firsts  (1, a)  (5, k)  (9, b)        the least item of each child
//!          counts     40      64      17         how many items it has
//!          children    │       │       │
//!   Leaf   (1, a) (2, x) ...  (5, k) (5, m) ...  (9, b) ...
//! ```
//!
//! Items are ordered by score, then by the member's bytes. The counts make it a tree of ranks, too: the
//! item at a rank, the rank of an item and the rank at which a range begins are found on one way down.
//!
//! A leaf holds scores beside pointers, so that a search looks at members only where scores are equal. A
//! node that overflows is halved; at either end of the whole order it stays full instead and the newcomer
//! gets a node of its own, so that sets which grow in order have full nodes. A node with less than a
//! quarter is filled up from its neighbour or joins it. Inner nodes hold copies of the least items, never
//! stale ones: a member that is gone must not be looked at.

use std::cmp::Ordering;

use super::member::Member;
use crate::runtime::allocator::rounded_bytes;

/// Items of a leaf, children of an inner node.
const NODE_LENGTH_MAX: usize = 64;
/// With fewer a node looks to its neighbour.
const NODE_LENGTH_MIN: usize = 16;
/// So many are put together in one node.
const JOINED_LENGTH_MAX: usize = 48;

#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) score: f64,
    pub(super) member: Member,
}

impl Item {
    /// Compares with the item of this score and member. No score is NaN; zeros are equal.
    #[inline]
    fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        if self.score < score {
            Ordering::Less
        } else if self.score > score {
            Ordering::Greater
        } else {
            self.member.bytes().cmp(member)
        }
    }
}

#[derive(Default)]
pub(super) struct Tree {
    root: Node,
    length: usize,
    bytes: usize,
}

enum Node {
    Leaf(Vec<Item>),
    Inner(Box<Inner>),
}

/// Three lists of the same length. Only the root may have a single child, and an end of the whole order.
#[derive(Default)]
struct Inner {
    firsts: Vec<Item>,
    counts: Vec<usize>,
    children: Vec<Node>,
}

/// Whether a node is at the beginning or the end of the whole order.
#[derive(Clone, Copy)]
struct Edge {
    left: bool,
    right: bool,
}

impl Default for Node {
    fn default() -> Self {
        Node::Leaf(Vec::new())
    }
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Bytes allocated for nodes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an item that is not in the tree.
    pub(super) fn insert(&mut self, item: Item) {
        self.length += 1;
        let edge = Edge { left: true, right: true };
        let Some(right) = self.root.insert(item, edge, &mut self.bytes) else { return };
        let left = std::mem::take(&mut self.root);
        let mut inner = Inner::default();
        inner.insert(0, left);
        inner.insert(1, right);
        self.bytes += inner.bytes();
        self.root = Node::Inner(Box::new(inner));
    }

    /// Removes the item with this score and member; says whether it was there.
    pub(super) fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let removed = self.root.remove(score, member, &mut self.bytes);
        self.length -= usize::from(removed);
        self.lower_root();
        removed
    }

    /// Removes up to `count` items from `rank` on, as many of them as one leaf has, and hands them over.
    /// Returns how many; none only if there are none.
    pub(super) fn remove_run(&mut self, rank: usize, count: usize, take: &mut impl FnMut(Item)) -> usize {
        if rank >= self.length || count == 0 {
            return 0;
        }
        let removed = self.root.remove_run(rank, count, take, &mut self.bytes);
        self.length -= removed;
        self.lower_root();
        removed
    }

    /// Gives the item with this score and member another score.
    pub(super) fn change_score(&mut self, item: Item, score: f64) {
        let member = item.member.bytes();
        if !self.root.change_score(item.score, member, score) && self.remove(item.score, member) {
            self.insert(Item { score, ..item });
        }
    }

    /// A root with a single child, or with none, is not needed.
    fn lower_root(&mut self) {
        while let Node::Inner(inner) = &mut self.root
            && inner.children.len() <= 1
        {
            self.bytes -= inner.bytes();
            self.root = inner.children.pop().unwrap_or_default();
        }
        if let Node::Leaf(items) = &mut self.root
            && items.is_empty()
        {
            self.bytes -= leaf_bytes(items);
            *items = Vec::new();
        }
    }

    /// The number of items for which `before` holds, which must be the first ones.
    pub(super) fn partition_point(&self, before: impl Fn(&Item) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return rank + items.partition_point(&before),
                Node::Inner(inner) => {
                    let Some(child) = inner.firsts.partition_point(&before).checked_sub(1) else {
                        return rank;
                    };
                    rank += inner.counts[..child].iter().sum::<usize>();
                    node = &inner.children[child];
                }
            }
        }
    }

    /// The items from the partition point on, as far as they lie in the same leaf, and the rank of the first.
    pub(super) fn leaf_from(&self, before: impl Fn(&Item) -> bool) -> (&[Item], usize) {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => {
                    let start = items.partition_point(&before);
                    return (&items[start..], rank + start);
                }
                Node::Inner(inner) => {
                    let child = inner.firsts.partition_point(&before).saturating_sub(1);
                    rank += inner.counts[..child].iter().sum::<usize>();
                    node = &inner.children[child];
                }
            }
        }
    }

    /// How many items come before this score and member.
    pub(super) fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.partition_point(|item| item.compare(score, member) == Ordering::Less)
    }

    /// The leaf with the item at `rank`, and the rank of its first item; empty behind the last.
    pub(super) fn leaf_at(&self, rank: usize) -> (&[Item], usize) {
        let (mut node, mut first) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return (items, first),
                Node::Inner(inner) => {
                    let (child, within) = inner.child_at(rank - first);
                    first = rank - within;
                    node = &inner.children[child];
                }
            }
        }
    }

    /// Takes the last leaf off, and does no more: what is left is good for nothing but being taken off.
    pub(super) fn take_leaf(&mut self) -> Option<Vec<Item>> {
        let leaf = self.root.take_leaf(&mut self.bytes)?;
        self.length = self.length.saturating_sub(leaf.len());
        Some(leaf)
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let mut bytes = 0;
        let mut previous = None;
        let mut leaf_depths = std::collections::HashSet::new();
        let length = self.root.check_invariants(0, &mut bytes, &mut previous, &mut leaf_depths);
        assert_eq!((length, bytes), (self.length, self.bytes));
        assert!(leaf_depths.len() <= 1, "leaves at depths {leaf_depths:?}");
    }
}

/// Bytes allocated for the items of a leaf.
fn leaf_bytes(items: &Vec<Item>) -> usize {
    list_bytes(items)
}

fn list_bytes<T>(list: &Vec<T>) -> usize {
    if list.capacity() == 0 { 0 } else { rounded_bytes(list.capacity() * size_of::<T>()) }
}

/// Moves what a list has from `at` on to a new one with room for a node.
fn split_off<T>(list: &mut Vec<T>, at: usize) -> Vec<T> {
    let mut right = Vec::with_capacity(NODE_LENGTH_MAX);
    right.extend(list.drain(at..));
    right
}

/// Moves elements between two neighbouring lists so that the left one has `length`.
fn balance<T>(left: &mut Vec<T>, right: &mut Vec<T>, length: usize) {
    if left.len() < length {
        let missing = length - left.len();
        left.extend(right.drain(..missing));
    } else {
        right.splice(0..0, left.drain(length..));
    }
}

impl Node {
    /// The number of items of a leaf, of children of an inner node.
    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(inner) => inner.children.len(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(inner) => inner.counts.iter().sum(),
        }
    }

    /// The least item. There is one: nodes that have become empty are removed.
    fn first(&self) -> Item {
        match self {
            Node::Leaf(items) => items[0],
            Node::Inner(inner) => inner.firsts[0],
        }
    }

    /// Bytes allocated for this node, without its children.
    fn bytes(&self) -> usize {
        match self {
            Node::Leaf(items) => leaf_bytes(items),
            Node::Inner(inner) => inner.bytes(),
        }
    }

    /// Adds an item. If that splits the node, returns the new one to its right.
    fn insert(&mut self, item: Item, edge: Edge, bytes: &mut usize) -> Option<Node> {
        match self {
            Node::Leaf(items) => {
                let member = item.member.bytes();
                let position =
                    items.partition_point(|other| other.compare(item.score, member) == Ordering::Less);
                let before = leaf_bytes(items);
                let mut right = None;
                if items.len() < NODE_LENGTH_MAX {
                    items.insert(position, item);
                } else {
                    let at = match position {
                        0 if edge.left => 0,
                        NODE_LENGTH_MAX if edge.right => NODE_LENGTH_MAX,
                        _ => NODE_LENGTH_MAX / 2,
                    };
                    let mut moved = split_off(items, at);
                    if position < at || position == 0 {
                        items.insert(position, item);
                    } else {
                        moved.insert(position - at, item);
                    }
                    right = Some(Node::Leaf(moved));
                }
                *bytes = *bytes + leaf_bytes(items) + right.as_ref().map_or(0, Node::bytes) - before;
                right
            }
            Node::Inner(inner) => {
                let child = inner.child_of(item.score, item.member.bytes());
                let child_edge = Edge {
                    left: edge.left && child == 0,
                    right: edge.right && child + 1 == inner.children.len(),
                };
                let split = inner.children[child].insert(item, child_edge, bytes);
                inner.counts[child] += 1;
                inner.firsts[child] = inner.children[child].first();
                let right = split?;
                inner.counts[child] -= right.count();
                let before = inner.bytes();
                let new = inner.insert_or_split(child + 1, right, edge);
                *bytes = *bytes + inner.bytes() + new.as_ref().map_or(0, Node::bytes) - before;
                new
            }
        }
    }

    fn remove(&mut self, score: f64, member: &[u8], bytes: &mut usize) -> bool {
        match self {
            Node::Leaf(items) => match items.binary_search_by(|item| item.compare(score, member)) {
                Ok(position) => {
                    items.remove(position);
                    true
                }
                Err(_) => false,
            },
            Node::Inner(inner) => {
                let child = inner.child_of(score, member);
                let removed = inner.children[child].remove(score, member, bytes);
                if removed {
                    inner.has_lost(child, 1, bytes);
                }
                removed
            }
        }
    }

    fn remove_run(
        &mut self,
        rank: usize,
        count: usize,
        take: &mut impl FnMut(Item),
        bytes: &mut usize,
    ) -> usize {
        match self {
            Node::Leaf(items) => {
                let end = items.len().min(rank.saturating_add(count));
                items.drain(rank..end).for_each(take);
                end - rank
            }
            Node::Inner(inner) => {
                let (child, within) = inner.child_at(rank);
                let removed = inner.children[child].remove_run(within, count, take, bytes);
                inner.has_lost(child, removed, bytes);
                removed
            }
        }
    }

    /// Changes a score if the item stays in its leaf; says whether it did.
    fn change_score(&mut self, score: f64, member: &[u8], new_score: f64) -> bool {
        match self {
            Node::Leaf(items) => {
                let Ok(from) = items.binary_search_by(|item| item.compare(score, member)) else {
                    return false;
                };
                let to = items.partition_point(|item| item.compare(new_score, member) == Ordering::Less);
                items[from].score = new_score;
                if to > from {
                    items[from..to].rotate_left(1);
                } else {
                    items[to..=from].rotate_right(1);
                }
                true
            }
            Node::Inner(inner) => {
                let child = inner.child_of(score, member);
                // Before the least item of all it would be the least item of each node on the way.
                if child != inner.child_of(new_score, member)
                    || !inner.children[child].change_score(score, member, new_score)
                {
                    return false;
                }
                inner.firsts[child] = inner.children[child].first();
                true
            }
        }
    }

    /// Takes the last leaf off.
    fn take_leaf(&mut self, bytes: &mut usize) -> Option<Vec<Item>> {
        match self {
            Node::Leaf(items) if items.capacity() == 0 => None,
            Node::Leaf(items) => {
                *bytes -= leaf_bytes(items);
                Some(std::mem::take(items))
            }
            Node::Inner(inner) => {
                while let Some(last) = inner.children.last_mut() {
                    if let Some(leaf) = last.take_leaf(bytes) {
                        return Some(leaf);
                    }
                    inner.children.pop();
                }
                *bytes -= inner.bytes();
                *self = Node::default();
                None
            }
        }
    }

    #[cfg(test)]
    fn check_invariants(
        &self,
        depth: usize,
        bytes: &mut usize,
        previous: &mut Option<Item>,
        leaf_depths: &mut std::collections::HashSet<usize>,
    ) -> usize {
        *bytes += self.bytes();
        assert!(self.len() <= NODE_LENGTH_MAX);
        match self {
            Node::Leaf(items) => {
                assert!(depth == 0 || !items.is_empty());
                leaf_depths.insert(depth);
                for item in items {
                    assert_eq!(item.score, item.member.score());
                    if let Some(previous) = *previous {
                        let order = previous.compare(item.score, item.member.bytes());
                        assert_eq!(order, Ordering::Less, "items are in order, each once");
                    }
                    *previous = Some(*item);
                }
                items.len()
            }
            Node::Inner(inner) => {
                assert!(depth > 0 || inner.children.len() > 1);
                assert_eq!(inner.firsts.len(), inner.children.len());
                assert_eq!(inner.counts.len(), inner.children.len());
                for (index, child) in inner.children.iter().enumerate() {
                    let count = child.check_invariants(depth + 1, bytes, previous, leaf_depths);
                    assert_eq!(count, inner.counts[index]);
                    let (first, copy) = (child.first(), inner.firsts[index]);
                    assert!(first.member == copy.member && first.score == copy.score);
                }
                inner.counts.iter().sum()
            }
        }
    }
}

impl Inner {
    fn bytes(&self) -> usize {
        rounded_bytes(size_of::<Inner>())
            + list_bytes(&self.firsts)
            + list_bytes(&self.counts)
            + list_bytes(&self.children)
    }

    /// The child to which an item of this score and member belongs.
    #[inline]
    fn child_of(&self, score: f64, member: &[u8]) -> usize {
        let after = self.firsts.partition_point(|first| first.compare(score, member) != Ordering::Greater);
        after.saturating_sub(1)
    }

    /// The child with the item at `rank`, and the rank within it; the last child for ranks beyond.
    #[inline]
    fn child_at(&self, rank: usize) -> (usize, usize) {
        let (mut within, last) = (rank, self.counts.len() - 1);
        for (child, &count) in self.counts[..last].iter().enumerate() {
            if within < count {
                return (child, within);
            }
            within -= count;
        }
        (last, within)
    }

    fn insert(&mut self, index: usize, child: Node) {
        self.firsts.insert(index, child.first());
        self.counts.insert(index, child.count());
        self.children.insert(index, child);
    }

    /// Adds a child. If there is no room, returns a new node to the right.
    fn insert_or_split(&mut self, index: usize, child: Node, edge: Edge) -> Option<Node> {
        if self.children.len() < NODE_LENGTH_MAX {
            self.insert(index, child);
            return None;
        }
        let at = match index {
            1 if edge.left => 1,
            NODE_LENGTH_MAX if edge.right => NODE_LENGTH_MAX,
            _ => NODE_LENGTH_MAX / 2,
        };
        let mut right = Inner {
            firsts: split_off(&mut self.firsts, at),
            counts: split_off(&mut self.counts, at),
            children: split_off(&mut self.children, at),
        };
        if index < at {
            self.insert(index, child);
        } else {
            right.insert(index - at, child);
        }
        Some(Node::Inner(Box::new(right)))
    }

    /// Settles the loss of `count` items of a child.
    fn has_lost(&mut self, child: usize, count: usize, bytes: &mut usize) {
        self.counts[child] -= count;
        if self.counts[child] == 0 {
            self.drop_child(child, bytes);
            return;
        }
        self.firsts[child] = self.children[child].first();
        if self.children[child].len() < NODE_LENGTH_MIN && self.children.len() > 1 {
            self.fill_up(child.saturating_sub(1), bytes);
        }
    }

    /// Removes a child without items.
    fn drop_child(&mut self, child: usize, bytes: &mut usize) {
        self.firsts.remove(child);
        self.counts.remove(child);
        *bytes -= self.children.remove(child).whole_bytes();
    }

    /// Joins child `left` with the one to its right, or shares their contents out evenly.
    fn fill_up(&mut self, left: usize, bytes: &mut usize) {
        let (head, tail) = self.children.split_at_mut(left + 1);
        let (a, b) = (&mut head[left], &mut tail[0]);
        let before = a.bytes() + b.bytes();
        let together = a.len() + b.len();
        let join = together <= JOINED_LENGTH_MAX;
        let length = if join { together } else { together / 2 };
        match (&mut *a, &mut *b) {
            (Node::Leaf(a), Node::Leaf(b)) => balance(a, b, length),
            (Node::Inner(a), Node::Inner(b)) => {
                balance(&mut a.firsts, &mut b.firsts, length);
                balance(&mut a.counts, &mut b.counts, length);
                balance(&mut a.children, &mut b.children, length);
            }
            // All leaves are at the same depth.
            _ => return,
        }
        *bytes = *bytes + a.bytes() + b.bytes() - before;
        let count = self.counts[left] + self.counts[left + 1];
        if join {
            self.counts[left] = count;
            self.drop_child(left + 1, bytes);
        } else {
            self.counts[left] = self.children[left].count();
            self.counts[left + 1] = count - self.counts[left];
            self.firsts[left + 1] = self.children[left + 1].first();
        }
        self.firsts[left] = self.children[left].first();
    }
}

impl Node {
    /// Bytes allocated for a node without items and all below it.
    fn whole_bytes(&self) -> usize {
        match self {
            Node::Leaf(_) => self.bytes(),
            Node::Inner(inner) => self.bytes() + inner.children.iter().map(Node::whole_bytes).sum::<usize>(),
        }
    }
}
