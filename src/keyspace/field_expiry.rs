//! Hashes of which fields expire: a second wheel that names them, each under its first deadline.
//!
//! It works as the wheel of the keys does ([`super::expiry`]), with the hash in the place of the entry: a hash
//! holds the tick under which it is registered, and the generation. An entry has a flag while its hash has
//! fields with a deadline; that and their number is all that other values pay for it.
//!
//! Fields that are due are missing from the first look at the hash on ([`Database::expire_fields`]). A look
//! removes some of them, the wheel the others; a hash that has no other fields has expired as a whole.

use super::database::{Change, Database, Grave};
use super::entry::EntryPointer;
use super::expiry::{Event, Record, Wheel};
use super::key::Key;
use super::table::Place;
use crate::config::EventClasses;
use crate::types::{Hash, NEVER, Object, Registration};

/// Fields that a look at a hash, or a record of the wheel, removes at most.
pub(super) const FIELDS_PER_STEP: usize = 32;

/// The hash in an entry, if that is what it holds.
fn hash_in<'a>(entry: EntryPointer) -> Option<&'a mut Hash> {
    match entry.object_mut() {
        Some(Object::Hash(fields)) => Some(fields),
        _ => None,
    }
}

impl Database {
    /// Number of hashes with fields that expire.
    pub fn expiring_hashes(&self) -> usize {
        self.expiring_hashes
    }

    /// Notes when the first field of a hash expires, after a change.
    #[inline]
    pub(super) fn settle_fields(&mut self, hash: u64, slot: u16, entry: EntryPointer) {
        let Some(fields) = hash_in(entry) else { return };
        let first = fields.first_deadline();
        if first != NEVER {
            self.register_fields(hash, slot, entry, fields, first);
        } else if entry.fields_expire() {
            self.forget_fields(entry);
        }
    }

    #[cold]
    fn register_fields(&mut self, hash: u64, slot: u16, entry: EntryPointer, fields: &mut Hash, first: i64) {
        if !entry.fields_expire() {
            entry.set_fields_expire(true);
            self.expiring_hashes += 1;
            fields.set_registration(None);
        }
        let now = self.context.now_unix_ms;
        let wheel = self.field_wheel.get_or_insert_with(|| Box::new(Wheel::new(now)));
        let tick = wheel.tick_of(first);
        if fields.registration().is_none_or(|registration| wheel.tick_held(registration.tick) > tick) {
            let record = Record::new(hash, slot, wheel.generation());
            place(wheel, record, fields, tick);
        }
    }

    /// The fields of an entry's hash do not expire any more, or the hash goes.
    pub(super) fn forget_fields(&mut self, entry: EntryPointer) {
        if entry.fields_expire() {
            entry.set_fields_expire(false);
            self.expiring_hashes -= 1;
        }
    }

    /// Removes fields of a hash whose deadlines have come, up to `budget` of them if it is a large one; all
    /// are missing from now on. Some of its fields are not due. Returns how many it has removed.
    #[cold]
    pub(super) fn expire_fields(
        &mut self,
        hash: u64,
        slot: u16,
        entry: EntryPointer,
        budget: usize,
    ) -> usize {
        let now = self.context.now_unix_ms;
        let Some(fields) = hash_in(entry) else { return 0 };
        if fields.first_deadline() > now {
            return 0;
        }
        let before = entry.heap_bytes();
        let expired = fields.expire(now, budget);
        self.entry_bytes = self.entry_bytes + entry.heap_bytes() - before;
        if fields.first_deadline() == NEVER {
            self.forget_fields(entry);
        }
        self.stats.expired_fields += expired as u64;
        let key = Key { bytes: entry.key(), hash, slot };
        self.notify(EventClasses::HASH, "hexpired", &key);
        self.changed(&key, Change::Expired);
        expired
    }

    /// Removes all fields that are due from a hash, so that the others can be counted.
    #[cold]
    pub(super) fn expire_all_fields(&mut self, key: &Key) {
        let Some(place) = self.locate(key) else { return };
        if place.entry().fields_expire() {
            self.expire_fields(key.hash, key.slot, place.entry(), usize::MAX);
        }
    }

    /// Lets the wheel remove fields that are due; returns what is left of the budget.
    pub(super) fn step_field_wheel(&mut self, budget: usize) -> usize {
        let Some(mut wheel) = self.field_wheel.take() else { return budget };
        wheel.sweep_if_littered(self.expiring_hashes);
        let now = if self.context.active_expiry { self.context.now_unix_ms } else { i64::MIN };
        let mut left = budget;
        while left > 0
            && let Some(event) = wheel.next(now)
        {
            let fields = self.judge_fields(&mut wheel, event);
            left = left.saturating_sub(fields.max(1));
        }
        if self.expiring_hashes > 0 {
            self.field_wheel = Some(wheel);
        } else {
            // Whatever is left in it is stale.
            self.graveyard.push_back(Grave::Wheel(wheel));
        }
        left
    }

    /// Decides what becomes of a record that came up; returns how many fields were removed.
    fn judge_fields(&mut self, wheel: &mut Wheel, event: Event) -> usize {
        let (Event::Due { record, .. } | Event::Move(record)) = event;
        let Some((hash, position)) = self.locate_fields(record) else { return 0 };
        let entry = position.entry();
        let Some(fields) = hash_in(entry) else { return 0 };
        let Some(held) = fields.registration().map(|registration| registration.tick) else { return 0 };
        match event {
            Event::Move(_) => {
                let tick = wheel.tick_held(held);
                place(wheel, record, fields, tick);
                return 0;
            }
            Event::Due { tick, .. } if tick as u32 != held => return 0,
            Event::Due { .. } => {}
        }
        if entry.expired(self.context.now_unix_ms) {
            self.expire(hash, record.slot(), position);
            return 1;
        }
        let expired = self.expire_fields(hash, record.slot(), entry, FIELDS_PER_STEP);
        if entry.fields_expire() {
            let tick = wheel.tick_of(fields.first_deadline());
            place(wheel, record, fields, tick);
        }
        expired
    }

    /// The entry with the hash that a record is about, unless the record is stale.
    fn locate_fields(&self, record: Record) -> Option<(u64, Place)> {
        self.locate_hash(record.partial_hash(), record.slot(), |hash, entry| {
            let registered = || hash_in(entry).and_then(|fields| fields.registration());
            record.names(hash)
                && entry.fields_expire()
                && registered().is_some_and(|registered| registered.generation == record.generation())
        })
    }
}

/// Places a record where it comes up at `tick`, and has its hash know.
fn place(wheel: &mut Wheel, record: Record, fields: &mut Hash, tick: u64) {
    let tick = wheel.place(record, tick);
    fields.set_registration(Some(Registration { tick, generation: wheel.generation() }));
}
