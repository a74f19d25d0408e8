//! Changes of a string in place: INCR, APPEND, SETRANGE and their like look their key up once and then work
//! on what they found.

use super::Expiry;
use super::database::{Change, Database};
use super::entry::{INLINE_VALUE_BYTES_MAX, Payload};
use super::key::Key;
use super::string_value::{INTEGER_TEXT_BYTES_MAX, StringRef};
use super::table::Place;
use crate::config::EventClasses;
use crate::error::CommandError;
use crate::types::Kind;
use crate::types::hyperloglog::Buffer;
use std::ops::Range;

/// A string that is changed where it lies.
pub struct StringMut<'a> {
    pub(super) database: &'a mut Database,
    pub(super) place: Place,
    pub(super) hash: u64,
    pub(super) slot: u16,
    /// Whether this change has been told.
    pub(super) changed: bool,
}

impl Database {
    /// Access to a string for changes in place. None if the key is missing or holds something else.
    pub fn string_mut(&mut self, key: &Key) -> Option<StringMut<'_>> {
        let place = self.locate(key)?;
        self.touch(place.entry());
        let Key { hash, slot, .. } = *key;
        let is_string = place.entry().kind() == Kind::String;
        is_string.then_some(StringMut { database: self, place, hash, slot, changed: false })
    }

    /// Access to the bytes of a string for changes in place, at least so many: a shorter one is filled up with
    /// zero bytes, and a missing one made of them, which is a change. An error if the key holds something else.
    pub fn string_of_length(&mut self, key: &Key, length: usize) -> Result<StringMut<'_>, CommandError> {
        let mut string = self.string_or(key, || {
            if length <= INLINE_VALUE_BYTES_MAX {
                Payload::Inline(&[0; INLINE_VALUE_BYTES_MAX][..length])
            } else {
                Payload::Heap(vec![0; length])
            }
        })?;
        if string.len() < length {
            string.resize(length);
        }
        string.make_raw();
        Ok(string)
    }

    /// Access to a string for changes in place. A missing one is made of `bytes`, which is a change. An error if
    /// the key holds something else.
    pub fn string_or_create(&mut self, key: &Key, bytes: &[u8]) -> Result<StringMut<'_>, CommandError> {
        self.string_or(key, || Payload::text(bytes))
    }

    fn string_or<'p>(
        &mut self,
        key: &Key,
        missing: impl FnOnce() -> Payload<'p>,
    ) -> Result<StringMut<'_>, CommandError> {
        let Key { hash, slot, .. } = *key;
        if let Some(place) = self.locate(key) {
            if place.entry().kind() != Kind::String {
                return Err(CommandError::WrongType);
            }
            self.touch(place.entry());
            return Ok(StringMut { database: self, place, hash, slot, changed: false });
        }
        let place = self.create(key, missing(), Expiry::Clear, true);
        let mut string = StringMut { database: self, place, hash, slot, changed: false };
        string.change();
        Ok(string)
    }

    /// Takes the buffer of a string that has one of its own, and leaves the string empty. That is told to nobody:
    /// the caller is about to overwrite or remove the key.
    pub fn take_buffer(&mut self, key: &Key) -> Option<Vec<u8>> {
        let entry = self.locate(key)?.entry();
        let before = entry.memory_bytes();
        let buffer = entry.with_heap(std::mem::take)?;
        self.entry_bytes = self.entry_bytes + entry.memory_bytes() - before;
        Some(buffer)
    }
}

impl StringMut<'_> {
    pub fn get(&self) -> StringRef<'_> {
        // Only a string ever gets this guard.
        self.place.entry().string().unwrap_or(StringRef::Bytes(&[]))
    }

    pub fn len(&self) -> usize {
        self.get().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; none of an integer, which [`Database::string_of_length`] never leaves as one.
    pub fn bytes(&self) -> &[u8] {
        match self.get() {
            StringRef::Bytes(bytes) => bytes,
            StringRef::Int(_) => &[],
        }
    }

    /// Makes the value an integer, as INCR does; the deadline stays.
    pub fn set_int(&mut self, number: i64) {
        self.change();
        self.place.entry().set_raw(false);
        self.replace(Payload::Int(number));
    }

    /// Makes the value a text that stays a text, as INCRBYFLOAT does; the deadline stays.
    pub fn set_text(&mut self, text: &[u8]) {
        self.change();
        self.place.entry().set_raw(false);
        self.replace(Payload::text(text));
    }

    /// The bytes, an integer having become its text.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.change();
        self.make_raw();
        self.place.entry().bytes_mut().unwrap_or_default()
    }

    /// Cuts the value or fills it up with zero bytes.
    pub fn resize(&mut self, length: usize) {
        self.change();
        self.make_raw();
        let entry = self.place.entry();
        let before = self.entry_bytes();
        if entry.with_heap(|bytes| bytes.resize(length, 0)).is_some() {
            self.account(before);
        } else if !entry.resize_inline(length) {
            let kept = self.len().min(length);
            self.rebuild(kept, length);
        }
    }

    /// Appends and returns the new length.
    pub fn append(&mut self, tail: &[u8]) -> usize {
        self.change();
        self.make_raw();
        let entry = self.place.entry();
        let before = self.entry_bytes();
        if let Some(length) = entry.with_heap(|bytes| {
            bytes.extend_from_slice(tail);
            bytes.len()
        }) {
            self.account(before);
            return length;
        }
        let kept = self.len();
        let length = kept + tail.len();
        self.resize(length);
        self.as_mut_slice()[kept..].copy_from_slice(tail);
        length
    }

    /// Tells an event of strings.
    #[inline]
    pub fn notify(&mut self, name: &'static str) {
        let key = Key { bytes: self.place.entry().key(), hash: self.hash, slot: self.slot };
        self.database.notify(EventClasses::STRING, name, &key);
    }

    fn change(&mut self) {
        if !self.changed {
            self.changed = true;
            let key = Key { bytes: self.place.entry().key(), hash: self.hash, slot: self.slot };
            self.database.changed(&key, Change::Written);
        }
    }

    /// Whether anything has changed through this, the making of the key included.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Turns an integer into its text, and has OBJECT ENCODING say that the value was changed in place.
    pub fn make_raw(&mut self) {
        if let StringRef::Int(number) = self.get() {
            let mut text = [0u8; INTEGER_TEXT_BYTES_MAX];
            let text = integer_text(number, &mut text);
            self.replace(Payload::Inline(text));
        }
        self.place.entry().set_raw(true);
    }

    /// Another block with the first `kept` bytes and zeros up to `length`.
    #[inline(never)]
    fn rebuild(&mut self, kept: usize, length: usize) {
        let StringRef::Bytes(old) = self.get() else { return };
        if length <= INLINE_VALUE_BYTES_MAX {
            let mut bytes = [0u8; INLINE_VALUE_BYTES_MAX];
            bytes[..kept].copy_from_slice(&old[..kept]);
            self.replace(Payload::Inline(&bytes[..length]));
        } else {
            // What grew beyond its entry is likely to go on growing.
            let mut bytes = Vec::with_capacity(length + length / 2);
            bytes.extend_from_slice(&old[..kept]);
            bytes.resize(length, 0);
            self.replace(Payload::Heap(bytes));
        }
    }

    fn replace(&mut self, payload: Payload<'_>) {
        let before = self.entry_bytes();
        // SAFETY: the new address goes into the one slot that has the old; no payload borrows from the
        // entry: texts and copies are on the stack or on the heap.
        let entry = unsafe { self.place.entry().replace_payload(payload) };
        self.place.set_entry(entry);
        self.account(before);
    }

    fn entry_bytes(&self) -> usize {
        self.place.entry().memory_bytes()
    }

    fn account(&mut self, before: usize) {
        self.database.entry_bytes = self.database.entry_bytes + self.entry_bytes() - before;
    }
}

impl Buffer for StringMut<'_> {
    fn bytes(&self) -> &[u8] {
        StringMut::bytes(self)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }

    fn splice(&mut self, old: Range<usize>, new: &[u8]) {
        let tail = old.end..self.len();
        let new_end = old.start + new.len();
        let length = new_end + tail.len();
        if length > self.len() {
            self.resize(length);
        }
        let bytes = self.as_mut_slice();
        if new_end != old.end {
            bytes.copy_within(tail, new_end);
        }
        bytes[old.start..new_end].copy_from_slice(new);
        if length < self.len() {
            self.resize(length);
        }
    }

    fn set(&mut self, bytes: Vec<u8>) {
        self.change();
        self.place.entry().set_raw(true);
        if bytes.len() <= INLINE_VALUE_BYTES_MAX {
            self.replace(Payload::Inline(&bytes));
        } else {
            self.replace(Payload::Heap(bytes));
        }
    }
}

/// The decimal text of `number`.
fn integer_text(number: i64, buffer: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    &buffer[start..]
}
