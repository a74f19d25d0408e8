//! A large hash: every field in an allocation of its own, found by its name through a hash index.
//!
//! Fields with a deadline stand in a second order, by their deadlines: the first of them, and all that are
//! due, are found without a look at the others. Which fields are due is said by [`Large::expire`], which
//! removes some of them; those that it leaves for later are missing from then on for whoever asks.

use ahash::RandomState;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};

use super::field::Field;
use crate::runtime::allocator::rounded_bytes;
use crate::types::hash_index::{HashIndex, Reference};
use crate::types::{NEVER, Registration};

/// What an element of the order takes, about: nodes of a B-tree are filled to two thirds.
const ORDERED_BYTES: usize = size_of::<(i64, Reference)>() * 3 / 2;

pub(super) struct Large {
    /// A key of its own: clients cannot foresee which names meet in the index.
    hasher: RandomState,
    index: HashIndex,
    /// Bytes allocated for fields.
    field_bytes: usize,
    deadlines: Option<Box<Deadlines>>,
}

/// Of a hash that has, or has had, fields with a deadline.
#[derive(Default)]
struct Deadlines {
    in_order: BTreeSet<(i64, Reference)>,
    /// The time at which fields were last said to be due.
    as_of: Option<i64>,
    registration: Option<Registration>,
}

// SAFETY: the fields are reached through this hash alone, which is their only owner; they may be freed by
// any thread.
unsafe impl Send for Large {}

fn hash(hasher: &RandomState, name: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name);
    state.finish()
}

/// The field that the index refers to. Only `Large` makes references, of fields that it owns, and removes
/// them before it frees a field.
fn field_of(reference: Reference) -> Field {
    // SAFETY: as said above.
    unsafe { Field::of_reference(reference) }
}

impl Large {
    pub(super) fn new() -> Large {
        Large { hasher: RandomState::new(), index: HashIndex::new(), field_bytes: 0, deadlines: None }
    }

    /// Fields, those included that are due and not removed.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let deadlines = self.deadlines.as_ref().map_or(0, |deadlines| {
            rounded_bytes(size_of::<Deadlines>()) + deadlines.in_order.len() * ORDERED_BYTES
        });
        self.index.memory_bytes() + self.field_bytes + deadlines
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
    fn find_any(&self, name: &[u8]) -> Option<Field> {
        let found = self.index.find(hash(&self.hasher, name), |other| field_of(other).name() == name)?;
        Some(field_of(found))
    }

    /// Whether a field is due.
    #[inline]
    fn is_due(&self, field: Field) -> bool {
        let as_of = self.deadlines.as_ref().and_then(|deadlines| deadlines.as_of);
        as_of.is_some_and(|as_of| field.deadline() <= as_of)
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<Field> {
        self.find_any(name).filter(|&field| !self.is_due(field))
    }

    /// Adds a field; one of that name may be there only if it is due.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], deadline: i64) {
        if self.deadlines.is_some() {
            self.remove(name);
        }
        let field = Field::allocate(name, value, deadline);
        self.field_bytes += field.memory_bytes();
        let hasher = &self.hasher;
        self.index
            .insert(hash(hasher, name), field.reference(), |other| hash(hasher, field_of(other).name()));
        self.enter(field);
    }

    /// Puts a field into the order of the deadlines.
    fn enter(&mut self, field: Field) {
        let deadline = field.deadline();
        if deadline != NEVER {
            self.deadlines.get_or_insert_default().in_order.insert((deadline, field.reference()));
        }
    }

    /// Takes a field out of the order of the deadlines.
    fn leave(&mut self, field: Field) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.in_order.remove(&(field.deadline(), field.reference()));
        }
    }

    /// Sets a field that [`Large::find`] has `found`, or adds one. A deadline goes if it is not kept.
    pub(super) fn set_found(&mut self, found: Option<Field>, name: &[u8], value: &[u8], keep_deadline: bool) {
        let Some(field) = found else { return self.insert(name, value, NEVER) };
        let deadline = if keep_deadline { field.deadline() } else { NEVER };
        if deadline != field.deadline() || !field.set_value(value) {
            self.exchange(field, value, deadline);
        }
    }

    /// Gives a field of this hash a deadline, or takes it away.
    pub(super) fn set_deadline(&mut self, field: Field, deadline: i64) {
        if field.deadline() == deadline {
            return;
        }
        self.leave(field);
        if field.set_deadline(deadline) {
            self.enter(field);
        } else {
            self.exchange(field, field.value(), deadline);
        }
    }

    /// Puts a field in the place of another of the same name.
    fn exchange(&mut self, field: Field, value: &[u8], deadline: i64) {
        let name = field.name();
        let other = Field::allocate(name, value, deadline);
        self.field_bytes += other.memory_bytes();
        self.field_bytes -= field.memory_bytes();
        self.index.replace(hash(&self.hasher, name), field.reference(), other.reference());
        self.leave(field);
        self.enter(other);
        // SAFETY: index and order have just forgotten the field, and its parts are not used any more.
        unsafe { field.free() };
    }

    /// Removes a field; says whether it was there, which one that is due is not.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let found = self.index.remove(hash(&self.hasher, name), |other| field_of(other).name() == name);
        let Some(found) = found else { return false };
        let field = field_of(found);
        let was_there = !self.is_due(field);
        self.leave(field);
        self.field_bytes -= field.memory_bytes();
        // SAFETY: index and order have just forgotten the field.
        unsafe { field.free() };
        was_there
    }

    /// When the first field expires.
    pub(super) fn first_deadline(&self) -> i64 {
        let first = self.deadlines.as_ref().and_then(|deadlines| deadlines.in_order.first());
        first.map_or(NEVER, |&(deadline, _)| deadline)
    }

    /// Whether every field's deadline has come.
    pub(super) fn all_due(&self, now: i64) -> bool {
        self.deadlines.as_ref().is_some_and(|deadlines| {
            let last = deadlines.in_order.last();
            deadlines.in_order.len() == self.len() && last.is_some_and(|&(deadline, _)| deadline <= now)
        })
    }

    /// Removes up to `budget` fields whose deadlines have come, and returns how many.
    pub(super) fn expire(&mut self, now: i64, budget: usize) -> usize {
        let mut expired = 0;
        while let Some(deadlines) = &mut self.deadlines
            && let Some(&(deadline, reference)) = deadlines.in_order.first()
            && deadline <= now
        {
            deadlines.as_of = Some(now);
            if expired == budget {
                break;
            }
            deadlines.in_order.pop_first();
            let field = field_of(reference);
            self.index.remove(hash(&self.hasher, field.name()), |other| other == reference);
            self.field_bytes -= field.memory_bytes();
            // SAFETY: index and order have just forgotten the field.
            unsafe { field.free() };
            expired += 1;
        }
        expired
    }

    pub(super) fn registration(&mut self) -> &mut Option<Registration> {
        &mut self.deadlines.get_or_insert_default().registration
    }

    pub(super) fn for_each(&self, visit: &mut dyn FnMut(Field)) {
        self.index.for_each(|reference| self.visit(reference, visit));
    }

    fn visit(&self, reference: Reference, visit: &mut dyn FnMut(Field)) {
        let field = field_of(reference);
        if !self.is_due(field) {
            visit(field);
        }
    }

    /// Visits about `count` fields in the order of their hashes; see [`HashIndex::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Field)) -> u64 {
        self.index.scan(cursor, count, |reference| self.visit(reference, visit))
    }

    /// A field chosen at random; `below` draws a number below its argument. None may be due.
    pub(super) fn random(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Field> {
        self.index.random(below).map(field_of)
    }

    /// Frees about `budget` fields, or as much of the order of deadlines; returns how many, none at the end.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        if let Some(deadlines) = &mut self.deadlines {
            // The order goes first: it must not refer to what is freed.
            let mut forgotten = 0;
            while forgotten < budget.max(1) && deadlines.in_order.pop_first().is_some() {
                forgotten += 1;
            }
            if forgotten > 0 {
                return forgotten;
            }
        }
        let field_bytes = &mut self.field_bytes;
        let freed = self.index.drain_some(budget, |reference| {
            let field = field_of(reference);
            *field_bytes -= field.memory_bytes();
            // SAFETY: the index has just forgotten the field, and the order has before.
            unsafe { field.free() };
        });
        if freed == 0 {
            self.deadlines = None;
        }
        freed
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.index.check_invariants(|reference| hash(&self.hasher, field_of(reference).name()));
        let (mut count, mut field_bytes, mut in_order) = (0, 0, BTreeSet::new());
        self.index.for_each(|reference| {
            let field = field_of(reference);
            assert!(self.find_any(field.name()) == Some(field));
            count += 1;
            field_bytes += field.memory_bytes();
            if field.deadline() != NEVER {
                in_order.insert((field.deadline(), reference));
            }
        });
        assert_eq!((count, field_bytes), (self.len(), self.field_bytes));
        assert_eq!(
            self.deadlines.as_ref().map_or(&BTreeSet::new(), |deadlines| &deadlines.in_order),
            &in_order
        );
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
        self.for_each(&mut |field| clone.insert(field.name(), field.value(), field.deadline()));
        clone
    }
}
