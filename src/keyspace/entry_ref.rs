//! An entry for reading, as the world outside the keyspace sees it.

use std::marker::PhantomData;

use super::entry::EntryPointer;
use super::string_value::StringRef;
use super::value::Value;
use crate::types::hash::View;
use crate::types::{Collection, Encoding, Kind, Object};

/// A look at a stored key and its value, for as long as the database is not changed.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    pointer: EntryPointer,
    database: PhantomData<&'a [u8]>,
}

impl<'a> EntryRef<'a> {
    /// The caller bounds `'a` by its borrow of the table that owns the entry.
    #[inline]
    pub(super) fn new(pointer: EntryPointer) -> EntryRef<'a> {
        EntryRef { pointer, database: PhantomData }
    }

    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.pointer.key()
    }

    pub fn kind(&self) -> Kind {
        self.pointer.kind()
    }

    pub fn encoding(&self) -> Encoding {
        self.pointer.encoding()
    }

    pub fn value(&self) -> Value<'a> {
        if let Some(elements) = self.pointer.elements() {
            return Value::Hash(View::of_elements(elements));
        }
        match self.pointer.object() {
            Some(object) => Value::from(object),
            None => Value::String(self.pointer.string().unwrap_or(StringRef::Bytes(b""))),
        }
    }

    /// The value if it is a string.
    #[inline]
    pub fn string(&self) -> Option<StringRef<'a>> {
        self.pointer.string()
    }

    /// The value if it is not a string.
    pub fn object(&self) -> Option<&'a Object> {
        self.pointer.object()
    }

    /// The value if it is a hash.
    #[inline]
    pub fn hash(&self) -> Option<View<'a>> {
        self.pointer.hash()
    }

    /// The value if it is of this type, which for hashes is not the whole answer: [`EntryRef::hash`].
    #[inline]
    pub fn collection<T: Collection>(&self) -> Option<&'a T> {
        T::of(self.pointer.object()?)
    }

    /// When the key expires, in unix milliseconds.
    pub fn expiry(&self) -> Option<i64> {
        self.pointer.deadline().map(|deadline| deadline.at_unix_ms)
    }

    /// Bytes allocated for key and value, without the table's part.
    pub fn memory_bytes(&self) -> usize {
        self.pointer.memory_bytes()
    }

    /// The access clock as stored, 24 bits; `eviction` says what it means under which policy.
    pub(super) fn clock(&self) -> u32 {
        self.pointer.clock()
    }
}
