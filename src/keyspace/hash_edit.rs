//! Work on hashes: one look-up, then a view of the hash or its change, however it is stored.

use super::Expiry;
use super::database::{BURY_BYTES_MIN, Change, Database};
use super::entry::Payload;
use super::events::EventNames;
use super::key::Key;
use super::table::Place;
use crate::config::EventClasses;
use crate::error::CommandError;
use crate::types::hash::{Edited, Outcome, View};
use crate::types::{Collection, Object};

impl Database {
    /// A look-up by a command that reads a hash: as [`Database::find_read`], and an error if the key holds
    /// another type.
    #[inline]
    pub fn find_hash(&mut self, key: &Key) -> Result<Option<View<'_>>, CommandError> {
        match self.find_read(key) {
            Some(entry) => entry.hash().map(Some).ok_or(CommandError::WrongType),
            None => Ok(None),
        }
    }

    /// As [`Database::find_hash`], and all fields that are due have been removed, so that the others can be
    /// counted.
    #[inline]
    pub fn find_whole_hash(&mut self, key: &Key) -> Result<Option<View<'_>>, CommandError> {
        if self.expiring_hashes() > 0 {
            self.expire_all_fields(key);
        }
        self.find_hash(key)
    }

    /// Lets `edit` change a hash and name the events that come of it, or says that there is none.
    pub fn edit_hash<R>(
        &mut self,
        key: &Key,
        edit: impl FnOnce(&mut Edited<'_>, &mut EventNames) -> R,
    ) -> Result<Option<R>, CommandError> {
        match self.locate(key) {
            Some(place) => self.edit_hash_at(key, Some(place), edit).map(Some),
            None => Ok(None),
        }
    }

    /// Lets `edit` change a hash, which has no fields if it is missing. A hash without fields is none: the
    /// key goes with the last of them, and does not come without one.
    #[inline]
    pub fn edit_or_create_hash<R>(
        &mut self,
        key: &Key,
        edit: impl FnOnce(&mut Edited<'_>, &mut EventNames) -> R,
    ) -> Result<R, CommandError> {
        let place = self.locate(key);
        self.edit_hash_at(key, place, edit)
    }

    #[inline]
    fn edit_hash_at<R>(
        &mut self,
        key: &Key,
        place: Option<Place>,
        edit: impl FnOnce(&mut Edited<'_>, &mut EventNames) -> R,
    ) -> Result<R, CommandError> {
        let entry = place.map(Place::entry);
        if let Some(entry) = entry {
            self.touch(entry);
        }
        let mut edited = match entry {
            None => Edited::of_elements(&[]),
            Some(entry) => match (entry.elements(), entry.object_mut()) {
                (Some(elements), _) => Edited::of_elements(elements),
                (None, Some(Object::Hash(hash))) => Edited::of_hash(hash),
                (None, _) => return Err(CommandError::WrongType),
            },
        };
        let bytes_before = entry.map_or(0, |entry| entry.memory_bytes());
        let mut names = EventNames::default();
        let result = edit(&mut edited, &mut names);
        if edited.is_changed() {
            self.settle_edited(key, place, bytes_before, edited, names);
        }
        Ok(result)
    }

    /// Stores what has come of a changed hash.
    #[inline]
    fn settle_edited(
        &mut self,
        key: &Key,
        place: Option<Place>,
        bytes_before: usize,
        mut edited: Edited<'_>,
        names: EventNames,
    ) {
        let gone = edited.view().is_empty();
        if place.is_none() && !gone {
            self.notify(EventClasses::NEW, "new", key);
        }
        names.iter().for_each(|name| self.notify(EventClasses::HASH, name, key));
        if gone && place.is_some() {
            self.notify(EventClasses::GENERIC, "del", key);
        }
        self.changed(key, if gone { Change::Removed } else { Change::Written });
        let payload = match edited.finish() {
            Outcome::Elements(elements) => Some(Payload::Hash(elements)),
            Outcome::Grown(hash) => Some(Payload::Object(Box::new(hash.into_object()))),
            Outcome::Stored => None,
        };
        let place = match (place, payload) {
            (None, None) => return,
            (None, Some(payload)) => {
                if !gone {
                    self.create_untold(key, payload, Expiry::Clear, false);
                }
                return;
            }
            (Some(place), None) => place,
            (Some(place), Some(payload)) => {
                // SAFETY: the new address goes into the one slot that has the old; the payload lies elsewhere.
                let entry = unsafe { place.entry().replace_payload(payload) };
                place.set_entry(entry);
                place
            }
        };
        let entry = place.entry();
        self.entry_bytes = self.entry_bytes + entry.memory_bytes() - bytes_before;
        self.settle_fields(key.hash, key.slot, entry);
        if gone {
            self.delete(key.hash, key.slot, place, BURY_BYTES_MIN);
        }
    }
}
