//! Work on values that are not strings: one look-up, then the structure itself, read or changed in place.
//! Hashes, which may be less than a structure, have operations of their own (`hash_edit.rs`).

use std::marker::PhantomData;
use std::ops::Deref;

use super::Expiry;
use super::database::{BURY_PARTS_MIN, Beside, Change, Database, Grave};
use super::entry::Payload;
use super::events::class_of;
use super::key::Key;
use super::table::Place;
use crate::config::EventClasses;
use crate::error::CommandError;
use crate::types::{Collection, Kind};

impl Database {
    /// A look-up by a command that reads a collection: as [`Database::find_read`], and an error if the key
    /// holds another type.
    #[inline]
    pub fn find<T: Collection>(&mut self, key: &Key) -> Result<Option<&T>, CommandError> {
        debug_assert!(T::KIND != Kind::Hash, "hashes have operations of their own");
        match self.find_read(key) {
            Some(entry) => entry.collection().map(Some).ok_or(CommandError::WrongType),
            None => Ok(None),
        }
    }

    /// A look-up by a command that changes a collection if it is there.
    #[inline]
    pub fn edit<T: Collection>(&mut self, key: &Key) -> Result<Option<CollectionMut<'_, T>>, CommandError> {
        let Some(place) = self.locate(key) else { return Ok(None) };
        self.touch(place.entry());
        CollectionMut::new(self, key, place).map(Some)
    }

    /// A look-up by a command that changes a collection, which `create` makes if it is missing. Should it
    /// still be empty when the guard goes, the key goes with it, and nothing has changed.
    #[inline]
    pub fn edit_or_create<T: Collection>(
        &mut self,
        key: &Key,
        create: impl FnOnce() -> T,
    ) -> Result<CollectionMut<'_, T>, CommandError> {
        let place = match self.locate(key) {
            Some(place) => {
                self.touch(place.entry());
                place
            }
            None => self.create(key, Payload::Object(Box::new(create().into_object())), Expiry::Clear, false),
        };
        CollectionMut::new(self, key, place)
    }

    /// Sets a key to a collection, whatever it was before, which is told under this name; a collection without
    /// elements removes the key. For commands that store a result.
    pub fn set_collection<T: Collection>(&mut self, key: &Key, collection: T, name: &'static str) {
        if collection.removes_key() {
            self.remove(key);
        } else {
            self.set_payload(key, Payload::Object(Box::new(collection.into_object())), Expiry::Clear);
            self.notify(class_of(T::KIND), name, key);
        }
    }
}

/// A collection that is changed where it lies. When this goes, the memory is counted anew, the change is
/// told, and a key whose collection has become empty is removed.
pub struct CollectionMut<'a, T: Collection> {
    database: &'a mut Database,
    place: Place,
    hash: u64,
    slot: u16,
    bytes_before: usize,
    changed: Option<Change>,
    collection: PhantomData<&'a mut T>,
}

impl<'a, T: Collection> CollectionMut<'a, T> {
    fn new(database: &'a mut Database, key: &Key, place: Place) -> Result<Self, CommandError> {
        debug_assert!(T::KIND != Kind::Hash, "hashes have operations of their own");
        let object = place.entry().object().filter(|object| T::of(object).is_some());
        let bytes_before = object.ok_or(CommandError::WrongType)?.memory_bytes();
        let Key { hash, slot, .. } = *key;
        Ok(CollectionMut {
            database,
            place,
            hash,
            slot,
            bytes_before,
            changed: None,
            collection: PhantomData,
        })
    }

    /// The collection for a change.
    #[inline]
    pub fn change(&mut self) -> &mut T {
        self.changed = Some(Change::Written);
        self.collection()
    }

    /// Lets `change` work on the collection and say how many changes it made, maybe none.
    #[inline]
    pub fn change_some(&mut self, change: impl FnOnce(&mut T) -> usize) -> usize {
        let changes = change(self.collection());
        if changes > 0 {
            self.changed = Some(Change::Written);
        }
        changes
    }

    /// Tells an event of the collection's type.
    #[inline]
    pub fn notify(&mut self, name: &'static str) {
        let key = Key { bytes: self.place.entry().key(), hash: self.hash, slot: self.slot };
        self.database.notify(class_of(T::KIND), name, &key);
    }

    /// The same for changes that leave nothing there to be had that was not before: whoever waits for the key
    /// is not woken for that.
    #[inline]
    pub fn reduce(&mut self, change: impl FnOnce(&mut T) -> usize) -> usize {
        let changes = change(self.collection());
        if changes > 0 {
            self.changed.get_or_insert(Change::Reduced);
        }
        changes
    }

    /// Lets `change` work on what belongs to the collection beside its elements, and say what kind of change
    /// it made, if it made one.
    #[inline]
    pub fn change_beside<R>(&mut self, change: impl FnOnce(&mut T) -> (R, Option<Beside>)) -> R {
        let (result, kind) = change(self.collection());
        if let Some(kind) = kind {
            self.changed.get_or_insert(Change::Beside(kind));
        }
        result
    }

    /// Frees in steps what was cut off the collection, if it is large.
    pub fn bury(&mut self, rest: T) {
        let object = rest.into_object();
        if object.parts() >= BURY_PARTS_MIN {
            self.database.graveyard.push_back(Grave::Object(Box::new(object)));
        }
    }

    #[inline]
    fn collection(&mut self) -> &mut T {
        let collection = self.place.entry().object_mut().and_then(T::of_mut);
        collection.expect("`new` found the collection, and the guard holds its database")
    }
}

impl<T: Collection> Deref for CollectionMut<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let collection = self.place.entry().object().and_then(T::of);
        collection.expect("`new` found the collection, and the guard holds its database")
    }
}

impl<T: Collection> Drop for CollectionMut<'_, T> {
    fn drop(&mut self) {
        let entry = self.place.entry();
        let (bytes, gone) =
            entry.object().map_or((0, false), |object| (object.memory_bytes(), object.removes_key()));
        self.database.entry_bytes = self.database.entry_bytes + bytes - self.bytes_before;
        if let Some(change) = self.changed {
            let key = Key { bytes: entry.key(), hash: self.hash, slot: self.slot };
            if gone {
                self.database.notify(EventClasses::GENERIC, "del", &key);
            }
            self.database.changed(&key, if gone { Change::Removed } else { change });
        }
        if gone {
            self.database.delete(self.hash, self.slot, self.place, usize::MAX);
        }
    }
}
