//! A large sorted set: every member once, found by its bytes through a hash index and by its place in the
//! order through a counting tree.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::member::Member;
use super::tree::{Item, Tree};
use crate::types::hash_index::{HashIndex, Reference};

pub(super) struct Large {
    /// A key of its own: clients cannot foresee which members meet in the index.
    hasher: RandomState,
    index: HashIndex,
    pub(super) tree: Tree,
    /// Bytes allocated for members.
    member_bytes: usize,
}

// SAFETY: the members are reached through this set alone, which is their only owner; they may be freed by
// any thread.
unsafe impl Send for Large {}

fn hash(hasher: &RandomState, member: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(member);
    state.finish()
}

/// The member that the index refers to. Only `Large` makes references, of members that it owns, and
/// removes them before it frees a member.
fn member_of(reference: Reference) -> Member {
    // SAFETY: as said above.
    unsafe { Member::of_reference(reference) }
}

impl Large {
    pub(super) fn new() -> Large {
        Large { hasher: RandomState::new(), index: HashIndex::new(), tree: Tree::default(), member_bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.tree.memory_bytes() + self.member_bytes
    }

    /// See [`Object::fetch_slot`](crate::types::Object::fetch_slot).
    #[inline]
    pub(super) fn fetch_slot(&self, element: &[u8]) -> u64 {
        let hash = hash(&self.hasher, element);
        self.index.prefetch(hash);
        hash
    }

    #[inline]
    pub(super) fn fetch_element(&self, hash: u64) {
        self.index.prefetch_referent(hash);
    }

    #[inline]
    pub(super) fn find(&self, member: &[u8]) -> Option<Member> {
        let found =
            self.index.find(hash(&self.hasher, member), |other| member_of(other).bytes() == member)?;
        Some(member_of(found))
    }

    /// Adds a member that is not in the set.
    pub(super) fn insert(&mut self, bytes: &[u8], score: f64) {
        let member = Member::allocate(bytes, score);
        self.member_bytes += member.memory_bytes();
        let hasher = &self.hasher;
        self.index
            .insert(hash(hasher, bytes), member.reference(), |other| hash(hasher, member_of(other).bytes()));
        self.tree.insert(Item { score, member });
    }

    /// Gives a member of this set another score.
    pub(super) fn set_score(&mut self, member: Member, score: f64) {
        self.tree.change_score(Item { score: member.score(), member }, score);
        member.set_score(score);
    }

    /// Removes a member; returns its score.
    pub(super) fn remove(&mut self, bytes: &[u8]) -> Option<f64> {
        let found =
            self.index.remove(hash(&self.hasher, bytes), |other| member_of(other).bytes() == bytes)?;
        let member = member_of(found);
        let score = member.score();
        self.tree.remove(score, bytes);
        self.member_bytes -= member.memory_bytes();
        // SAFETY: index and tree have just forgotten the member.
        unsafe { member.free() };
        Some(score)
    }

    /// Removes `count` members from `rank` on, or as many as there are, after `visit` has seen them.
    pub(super) fn remove_ranks(&mut self, rank: usize, count: usize, visit: &mut dyn FnMut(&[u8], f64)) {
        let mut left = count;
        while left > 0 {
            let Large { tree, index, member_bytes, hasher } = self;
            let removed = tree.remove_run(rank, left, &mut |item| {
                let bytes = item.member.bytes();
                visit(bytes, item.score);
                let reference = item.member.reference();
                index.remove(hash(hasher, bytes), |other| other == reference);
                *member_bytes -= item.member.memory_bytes();
                // SAFETY: index and tree have just forgotten the member.
                unsafe { item.member.free() };
            });
            if removed == 0 {
                return;
            }
            left -= removed;
        }
    }

    /// Visits about `count` members in the order of their hashes; see [`HashIndex::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&[u8], f64)) -> u64 {
        self.index.scan(cursor, count, |reference| {
            let member = member_of(reference);
            visit(member.bytes(), member.score());
        })
    }

    /// Frees about `budget` members or slots of the index; returns how many, none at the end.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        // The index goes first: it must not refer to what is freed.
        if !self.index.is_empty() {
            self.index.free_some(budget);
            return budget.max(1);
        }
        let mut freed = 0;
        while freed < budget.max(1)
            && let Some(leaf) = self.tree.take_leaf()
        {
            freed += leaf.len().max(1);
            for item in leaf {
                self.member_bytes -= item.member.memory_bytes();
                // SAFETY: the index is gone, and so is the leaf; no other leaf refers to the member, and
                // the inner nodes, whose copies may, are not looked at any more.
                unsafe { item.member.free() };
            }
        }
        freed
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.tree.check_invariants();
        self.index.check_invariants(|reference| hash(&self.hasher, member_of(reference).bytes()));
        assert_eq!(self.index.len(), self.tree.len());
        let (mut rank, mut member_bytes) = (0, 0);
        while rank < self.len() {
            let (items, first) = self.tree.leaf_at(rank);
            assert_eq!(first, rank);
            for item in items {
                assert!(self.find(item.member.bytes()) == Some(item.member));
                assert_eq!(self.tree.rank(item.score, item.member.bytes()), rank);
                member_bytes += item.member.memory_bytes();
                rank += 1;
            }
        }
        assert_eq!(member_bytes, self.member_bytes);
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        while self.free_some(usize::MAX) > 0 {}
    }
}

impl Clone for Large {
    fn clone(&self) -> Large {
        let mut clone = Large::new();
        let mut rank = 0;
        while rank < self.len() {
            let (items, _) = self.tree.leaf_at(rank);
            items.iter().for_each(|item| clone.insert(item.member.bytes(), item.score));
            rank += items.len();
        }
        clone
    }
}
