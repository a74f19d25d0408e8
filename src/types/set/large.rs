//! A large set: every member in an allocation of its own, found by its bytes through a hash index.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::member::Member;
use super::{BATCH, bits, with_text};
use crate::runtime::allocator::prefetch;
use crate::types::hash_index::{HashIndex, Reference};
use crate::types::packed::Item;

pub(super) struct Large {
    /// A key of its own: clients cannot foresee which members meet in the index.
    hasher: RandomState,
    index: HashIndex,
    /// Bytes allocated for members.
    member_bytes: usize,
}

// SAFETY: the members are reached through this set alone, which is their only owner; they may be freed by
// any thread.
unsafe impl Send for Large {}

#[inline]
fn hash(hasher: &RandomState, member: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(member);
    state.finish()
}

/// The member that the index refers to. Only `Large` makes references, of members that it owns, and
/// removes them before it frees a member.
#[inline]
fn member_of(reference: Reference) -> Member {
    // SAFETY: as said above.
    unsafe { Member::of_reference(reference) }
}

impl Large {
    pub(super) fn new() -> Large {
        Large { hasher: RandomState::new(), index: HashIndex::new(), member_bytes: 0 }
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
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.member_bytes
    }

    #[inline]
    pub(super) fn contains(&self, bytes: &[u8]) -> bool {
        self.index.find(hash(&self.hasher, bytes), |other| member_of(other).bytes() == bytes).is_some()
    }

    /// Adds a member; `false` if it is there already.
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        let hasher = &self.hasher;
        let own = hash(hasher, bytes);
        if self.index.find(own, |other| member_of(other).bytes() == bytes).is_some() {
            return false;
        }
        let member = Member::allocate(bytes);
        self.member_bytes += member.memory_bytes();
        self.index.insert(own, member.reference(), |other| hash(hasher, member_of(other).bytes()));
        true
    }

    pub(super) fn remove(&mut self, bytes: &[u8]) -> bool {
        self.remove_where(bytes, |other| member_of(other).bytes() == bytes)
    }

    /// Removes a member of which the reference is known.
    pub(super) fn remove_reference(&mut self, reference: Reference) {
        self.remove_where(member_of(reference).bytes(), |other| other == reference);
    }

    fn remove_where(&mut self, bytes: &[u8], matches: impl FnMut(Reference) -> bool) -> bool {
        let Some(found) = self.index.remove(hash(&self.hasher, bytes), matches) else { return false };
        let member = member_of(found);
        self.member_bytes -= member.memory_bytes();
        // SAFETY: the index has just forgotten the member, and `bytes`, if they are its own, are not used
        // any more.
        unsafe { member.free() };
        true
    }

    /// The bytes of a member of which the reference is known.
    pub(super) fn bytes_of(&self, reference: Reference) -> &[u8] {
        member_of(reference).bytes()
    }

    /// Visits all members, in no order.
    pub(super) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a [u8])) {
        self.index.for_each(|reference| visit(member_of(reference).bytes()));
    }

    /// Visits all members, up to [`BATCH`] at a time, until `visit` returns false.
    pub(super) fn batches<'a>(&'a self, visit: &mut dyn FnMut(&[Item<'a>]) -> bool) {
        let mut references = [0; BATCH];
        let mut count = 0;
        let mut flush = |references: &[Reference]| {
            let mut items = [Item::Int(0); BATCH];
            for (item, &reference) in items.iter_mut().zip(references) {
                *item = Item::Bytes(member_of(reference).bytes());
            }
            visit(&items[..references.len()])
        };
        let all = self.index.all(|reference| {
            // Members lie anywhere; those of a batch are fetched side by side.
            prefetch(member_of(reference).address());
            references[count] = reference;
            count += 1;
            if count < BATCH {
                return true;
            }
            count = 0;
            flush(&references)
        });
        if all && count > 0 {
            flush(&references[..count]);
        }
    }

    /// Which of some members, up to [`BATCH`] and only those in `among`, are in the set: a bit for each. In
    /// three rounds, each of which fetches what the next one looks at.
    pub(super) fn contains_which(&self, members: &[Item<'_>], among: u64) -> u64 {
        let mut hashes = [0; BATCH];
        for index in bits(among) {
            hashes[index] = with_text(members[index], |text| hash(&self.hasher, text));
            self.index.prefetch(hashes[index]);
        }
        let mut likely = 0;
        for index in bits(among) {
            if let Some(reference) = self.index.find(hashes[index], |_| true) {
                prefetch(member_of(reference).address());
                likely |= 1 << index;
            }
        }
        let mut found = 0;
        for index in bits(likely) {
            let same = |text: &[u8]| {
                self.index.find(hashes[index], |other| member_of(other).bytes() == text).is_some()
            };
            found |= u64::from(with_text(members[index], same)) << index;
        }
        found
    }

    /// Visits about `count` members in the order of their hashes; see [`HashIndex::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8])) -> u64 {
        self.index.scan(cursor, count, |reference| visit(member_of(reference).bytes()))
    }

    /// A member chosen at random, by its reference; `below` draws a number below its argument.
    pub(super) fn random(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Reference> {
        self.index.random(below)
    }

    /// Frees about `budget` members; returns how many, none at the end.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let member_bytes = &mut self.member_bytes;
        self.index.drain_some(budget, |reference| {
            let member = member_of(reference);
            *member_bytes -= member.memory_bytes();
            // SAFETY: the index has just forgotten the member.
            unsafe { member.free() };
        })
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.index.check_invariants(|reference| hash(&self.hasher, member_of(reference).bytes()));
        let (mut count, mut member_bytes) = (0, 0);
        self.index.for_each(|reference| {
            count += 1;
            member_bytes += member_of(reference).memory_bytes();
        });
        assert_eq!((count, member_bytes), (self.len(), self.member_bytes));
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
        self.for_each(|bytes| {
            clone.add(bytes);
        });
        clone
    }
}
