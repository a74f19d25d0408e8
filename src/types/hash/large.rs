//! A large hash: every field in an allocation of its own, found by its name through a hash index.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::field::Field;
use crate::types::hash_index::{HashIndex, Reference};

pub(super) struct Large {
    /// A key of its own: clients cannot foresee which names meet in the index.
    hasher: RandomState,
    index: HashIndex,
    /// Bytes allocated for fields.
    field_bytes: usize,
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
        Large { hasher: RandomState::new(), index: HashIndex::new(), field_bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.field_bytes
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<Field> {
        let found = self.index.find(hash(&self.hasher, name), |other| field_of(other).name() == name)?;
        Some(field_of(found))
    }

    /// Adds a field that is not in the hash.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let field = Field::allocate(name, value);
        self.field_bytes += field.memory_bytes();
        let hasher = &self.hasher;
        self.index
            .insert(hash(hasher, name), field.reference(), |other| hash(hasher, field_of(other).name()));
    }

    pub(super) fn set(&mut self, name: &[u8], value: &[u8]) {
        self.set_found(self.find(name), name, value);
    }

    /// As [`Large::set`], with what [`Large::find`] has found.
    pub(super) fn set_found(&mut self, found: Option<Field>, name: &[u8], value: &[u8]) {
        match found {
            Some(field) => self.set_value(field, value),
            None => self.insert(name, value),
        }
    }

    /// Gives a field of this hash another value.
    fn set_value(&mut self, field: Field, value: &[u8]) {
        if field.set_value(value) {
            return;
        }
        let name = field.name();
        let other = Field::allocate(name, value);
        self.field_bytes += other.memory_bytes();
        self.field_bytes -= field.memory_bytes();
        self.index.replace(hash(&self.hasher, name), field.reference(), other.reference());
        // SAFETY: the index has just forgotten the field, and its name is not used any more.
        unsafe { field.free() };
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let found = self.index.remove(hash(&self.hasher, name), |other| field_of(other).name() == name);
        let Some(found) = found else { return false };
        let field = field_of(found);
        self.field_bytes -= field.memory_bytes();
        // SAFETY: the index has just forgotten the field.
        unsafe { field.free() };
        true
    }

    pub(super) fn for_each(&self, visit: &mut dyn FnMut(Field)) {
        self.index.for_each(|reference| visit(field_of(reference)));
    }

    /// Visits about `count` fields in the order of their hashes; see [`HashIndex::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Field)) -> u64 {
        self.index.scan(cursor, count, |reference| visit(field_of(reference)))
    }

    /// A field chosen at random; `below` draws a number below its argument.
    pub(super) fn random(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Field> {
        self.index.random(below).map(field_of)
    }

    /// Frees about `budget` fields; returns how many, none at the end.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let field_bytes = &mut self.field_bytes;
        self.index.drain_some(budget, |reference| {
            let field = field_of(reference);
            *field_bytes -= field.memory_bytes();
            // SAFETY: the index has just forgotten the field.
            unsafe { field.free() };
        })
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.index.check_invariants(|reference| hash(&self.hasher, field_of(reference).name()));
        let (mut count, mut field_bytes) = (0, 0);
        self.for_each(&mut |field| {
            assert!(self.find(field.name()) == Some(field));
            count += 1;
            field_bytes += field.memory_bytes();
        });
        assert_eq!((count, field_bytes), (self.len(), self.field_bytes));
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
        self.for_each(&mut |field| clone.insert(field.name(), field.value()));
        clone
    }
}
