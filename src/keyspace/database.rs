//! One database: what commands do with keys.
//!
//! Every operation looks its key up once; an update works on the place that the lookup found. A key whose
//! deadline has come is missing for every operation, and those that may change the database remove it.
//!
//! Bytes are counted as they are allocated and freed: entries with their heap blocks, and tables.

use std::collections::VecDeque;

use ahash::RandomState;

use super::entry::{Deadline, EntryPointer, INLINE_VALUE_BYTES_MAX, Payload};
use super::entry_ref::EntryRef;
use super::events::Events;
use super::eviction::AccessClock;
use super::expiry::{Record, Wheel};
use super::field_expiry::FIELDS_PER_STEP;
use super::key::Key;
use super::observers::Observers;
use super::string_value::{StringRef, StringValue, parse_integer};
use super::table::{DyingTable, Place, SCAN_CURSOR_BITS, Table, hash_key};
use super::value::Value;
use super::{Expiry, Stats};
use crate::config::EventClasses;
use crate::runtime::allocator::prefetch_lines;
use crate::types::hash::{Edited, Outcome, View};
use crate::types::{Collection, Kind, Object};

/// Heap blocks from this size on are freed in a step of their own rather than within a command.
pub(super) const BURY_BYTES_MIN: usize = 1 << 20;

/// Objects of this many allocations or more are freed in steps rather than within a command.
pub(super) const BURY_PARTS_MIN: usize = 64;

/// How many expired keys RANDOMKEY removes in search of one that is not.
const RANDOM_TRIES_MAX: usize = 1000;

/// Lines of a small collection that are fetched ahead: what is longer is read in order, which the processor
/// notices.
const FETCHED_LINES_MAX: usize = 12;

/// Stands for the tables of a database that never had a key.
static EMPTY_TABLE: Table = Table::new();

/// What the lookups of a database need to know of its surroundings; copied in by `Keyspace::database`.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) now_unix_ms: i64,
    pub(super) access_clock: AccessClock,
    /// The access clock of a key that is created now.
    pub(super) clock_created: u32,
    pub(super) no_touch: bool,
    pub(super) active_expiry: bool,
    /// The classes of events that somebody wants to hear of.
    pub(super) events: EventClasses,
}

impl Context {
    pub(super) fn counts_frequency(&self) -> bool {
        matches!(self.access_clock, AccessClock::Frequency { .. })
    }

    pub(super) fn new() -> Context {
        Context {
            now_unix_ms: 0,
            access_clock: AccessClock::LastUse,
            clock_created: 0,
            no_touch: false,
            active_expiry: true,
            events: EventClasses::NONE,
        }
    }

    pub(super) fn set(&mut self, now_unix_ms: i64, access_clock: AccessClock) {
        self.now_unix_ms = now_unix_ms;
        self.access_clock = access_clock;
        self.clock_created = access_clock.created(now_unix_ms);
    }
}

/// A value on its way to another key or another shard.
#[derive(Clone, Debug)]
pub struct Moved {
    value: MovedValue,
    expiry: Option<i64>,
}

#[derive(Clone, Debug)]
enum MovedValue {
    Int(i64),
    Bytes {
        bytes: Vec<u8>,
        raw: bool,
    },
    Object(Box<Object>),
    /// The elements of a hash.
    Hash(Vec<u8>),
}

impl MovedValue {
    fn new(payload: Payload<'_>, raw: bool) -> MovedValue {
        match payload {
            Payload::Int(number) => MovedValue::Int(number),
            Payload::Inline(bytes) => MovedValue::Bytes { bytes: bytes.to_vec(), raw },
            Payload::Heap(bytes) => MovedValue::Bytes { bytes, raw },
            Payload::Object(object) => MovedValue::Object(object),
            Payload::Hash(elements) => MovedValue::Hash(elements.to_vec()),
        }
    }

    fn copy_of(entry: EntryPointer) -> MovedValue {
        if let Some(elements) = entry.elements() {
            return MovedValue::Hash(elements.to_vec());
        }
        match (entry.object(), entry.string()) {
            (Some(object), _) => MovedValue::Object(Box::new(object.clone())),
            (None, Some(StringRef::Int(number))) => MovedValue::Int(number),
            (None, string) => {
                let bytes = string.map(|string| string.to_vec()).unwrap_or_default();
                MovedValue::Bytes { bytes, raw: entry.raw() }
            }
        }
    }
}

impl Moved {
    /// Bytes that one step of a command hands to another.
    pub fn of_bytes(bytes: Vec<u8>) -> Moved {
        Moved { value: MovedValue::Bytes { bytes, raw: false }, expiry: None }
    }

    /// The value of a string that was made bit by bit: never an integer, whatever it reads as.
    pub fn of_raw_bytes(bytes: Vec<u8>) -> Moved {
        Moved { value: MovedValue::Bytes { bytes, raw: true }, expiry: None }
    }

    /// A string, which becomes an integer if it is the text of one.
    pub fn of_string(bytes: Vec<u8>) -> Moved {
        match parse_integer(&bytes) {
            Some(number) => Moved { value: MovedValue::Int(number), expiry: None },
            None => Moved::of_bytes(bytes),
        }
    }

    /// A collection; none without elements, which is no value.
    pub fn of_collection<T: Collection>(collection: T) -> Option<Moved> {
        debug_assert!(T::KIND != Kind::Hash, "hashes have a function of their own");
        let value = MovedValue::Object(Box::new(collection.into_object()));
        (!matches!(&value, MovedValue::Object(object) if object.removes_key()))
            .then_some(Moved { value, expiry: None })
    }

    /// A hash that was made from nothing; none without fields.
    pub fn of_hash(hash: &mut Edited<'_>) -> Option<Moved> {
        let value = match hash.finish() {
            Outcome::Elements([]) | Outcome::Stored => return None,
            Outcome::Elements(elements) => MovedValue::Hash(elements.to_vec()),
            Outcome::Grown(hash) => MovedValue::Object(Box::new(hash.into_object())),
        };
        Some(Moved { value, expiry: None })
    }

    pub fn value(&self) -> Value<'_> {
        match &self.value {
            MovedValue::Int(number) => Value::String(StringRef::Int(*number)),
            MovedValue::Bytes { bytes, .. } => Value::String(StringRef::Bytes(bytes)),
            MovedValue::Object(object) => Value::from(&**object),
            MovedValue::Hash(elements) => Value::Hash(View::of_elements(elements)),
        }
    }

    /// The bytes of [`Moved::of_bytes`].
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self.value {
            MovedValue::Bytes { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The deadline that travels with the value, in unix milliseconds.
    pub fn expiry(&self) -> Option<i64> {
        self.expiry
    }

    pub fn set_expiry(&mut self, expiry: Option<i64>) {
        self.expiry = expiry;
    }
}

/// What is freed in steps.
pub(super) enum Grave {
    Table(DyingTable),
    Wheel(Box<Wheel>),
    Value(Vec<u8>),
    Object(Box<Object>),
}

/// A change beside the elements of a collection, such as of the consumer groups of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// It leaves alone whoever waits for the key.
    Quiet,
    /// It may be what somebody waits for, or the end of that.
    Loud,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was created, overwritten or changed in place.
    Written,
    /// It was changed in place, and holds nothing that it did not before.
    Reduced,
    /// What belongs to it was changed, and not it itself: nobody who watches it is told.
    Beside(Beside),
    /// It got another deadline or lost its own.
    Deadline,
    Removed,
    /// It went away to be inserted under another name, in another database or on another shard.
    Taken,
    Expired,
    Evicted,
}

/// One database of one shard.
pub struct Database {
    /// One table, or one per hash slot of the shard from `slot_first` on; none before the first key.
    tables: Vec<Table>,
    table_count: usize,
    slot_first: u16,
    hasher: RandomState,
    pub(super) context: Context,
    keys: usize,
    pub(super) expiring_keys: usize,
    /// Which keys expire when; none as long as no key had a deadline.
    pub(super) wheel: Option<Box<Wheel>>,
    pub(super) expiring_hashes: usize,
    /// Which hashes have fields that expire when; none as long as there are no such hashes.
    pub(super) field_wheel: Option<Box<Wheel>>,
    /// Bytes of all tables in `tables`.
    table_bytes: usize,
    /// Bytes of all entries and their heap blocks, those of dying tables included.
    pub(super) entry_bytes: usize,
    pub(super) graveyard: VecDeque<Grave>,
    pub(super) stats: Stats,
    pub(super) observers: Observers,
    /// What has happened since the database was entered.
    pub(super) events: Events,
    pub(super) dirty: u64,
    random_state: u64,
}

impl Database {
    pub(super) fn new(hasher: RandomState, slots: Option<(u16, u16)>) -> Database {
        let (slot_first, count) = slots.unwrap_or((0, 1));
        Database {
            tables: Vec::new(),
            table_count: count as usize,
            slot_first,
            random_state: hasher.hash_one(slot_first) | 1,
            hasher,
            context: Context::new(),
            keys: 0,
            expiring_keys: 0,
            wheel: None,
            expiring_hashes: 0,
            field_wheel: None,
            table_bytes: 0,
            entry_bytes: 0,
            graveyard: VecDeque::new(),
            stats: Stats::default(),
            observers: Observers::default(),
            events: Events::default(),
            dirty: 0,
        }
    }

    #[inline]
    pub(super) fn enter(&mut self, context: Context) {
        self.context = context;
    }

    /// Number of keys, expired ones that nobody has met yet included.
    #[inline]
    pub fn len(&self) -> usize {
        self.keys
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Number of keys with a deadline.
    pub fn expires_len(&self) -> usize {
        self.expiring_keys
    }

    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// Every change of a key passes through here, once: before its entry goes, or when it has been written.
    #[inline]
    pub(super) fn changed(&mut self, key: &Key<'_>, change: Change) {
        // What is taken away counts where it is inserted; expiry and eviction are not changes by a client.
        let counts = !matches!(change, Change::Taken | Change::Expired | Change::Evicted);
        self.dirty += u64::from(counts);
        if !self.observers.is_empty() {
            self.observers.changed(key.hash, change);
        }
    }

    /// As `changed`, for all keys of the database at once, which is flushed or, before this is called,
    /// `swapped` with another. Counts `changes`.
    pub(super) fn changed_all(&mut self, changes: u64, swapped: Option<&Database>) {
        self.dirty += changes;
        self.changed_observed(swapped);
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    pub(super) fn reset_stats(&mut self) {
        self.stats = Stats::default();
    }

    /// Bytes allocated for tables, keys and values, and for what waits to be freed.
    pub fn memory_bytes(&self) -> usize {
        let buried: usize = self
            .graveyard
            .iter()
            .map(|grave| match grave {
                Grave::Table(table) => table.memory_bytes(),
                Grave::Wheel(wheel) => wheel.memory_bytes(),
                Grave::Value(bytes) => bytes.capacity(),
                Grave::Object(object) => object.memory_bytes(),
            })
            .sum();
        let wheels = self.wheel.iter().chain(&self.field_wheel).map(|wheel| wheel.memory_bytes());
        self.table_bytes + self.entry_bytes + wheels.sum::<usize>() + buried
    }

    #[inline]
    pub(super) fn table(&self, key: &Key) -> &Table {
        self.tables.get((key.slot - self.slot_first) as usize).unwrap_or(&EMPTY_TABLE)
    }

    /// First stage for a batch of keys: asks for their buckets.
    #[inline]
    pub fn prefetch_bucket(&self, key: &Key) {
        self.table(key).prefetch_bucket(key.hash);
    }

    /// Second stage, some keys later: asks for their entries.
    #[inline]
    pub fn prefetch_entry(&self, key: &Key) {
        self.table(key).prefetch_entry(key.hash);
    }

    /// Begins to fetch the collection under a key if its entry holds it; else the collection, to fetch some of
    /// it. Neither an access nor a verdict on whether it is still there.
    #[inline]
    pub fn fetch_collection(&self, key: &Key) -> Option<&Object> {
        let entry = self.table(key).find(key.hash, key.bytes)?.entry();
        if let Some(elements) = entry.elements() {
            prefetch_lines(elements, FETCHED_LINES_MAX);
        }
        EntryRef::new(entry).object()
    }

    /// Finds a key that is there and not expired; an expired one is removed on the way.
    #[inline]
    pub(super) fn locate(&mut self, key: &Key) -> Option<Place> {
        let place = self.table(key).find(key.hash, key.bytes)?;
        if place.entry().expired(self.context.now_unix_ms) {
            self.expire(key.hash, key.slot, place);
            return None;
        }
        if place.entry().fields_expire() {
            self.expire_fields(key.hash, key.slot, place.entry(), FIELDS_PER_STEP);
        }
        Some(place)
    }

    /// Removes a key if its deadline has come.
    pub(super) fn expire_if_due(&mut self, key: &Key) {
        self.locate(key);
    }

    /// Removes an entry whose deadline has come.
    #[cold]
    pub(super) fn expire(&mut self, hash: u64, slot: u16, place: Place) {
        self.stats.expired_keys += 1;
        let entry = place.entry();
        let key = Key { bytes: entry.key(), hash, slot };
        if entry.deadline().is_some_and(|deadline| deadline.at_unix_ms <= self.context.now_unix_ms) {
            self.notify(EventClasses::EXPIRED, "expired", &key);
        } else {
            // The last fields of a hash, and the hash with them.
            self.notify(EventClasses::HASH, "hexpired", &key);
            self.notify(EventClasses::GENERIC, "del", &key);
        }
        self.changed(&key, Change::Expired);
        self.delete(hash, slot, place, BURY_BYTES_MIN);
    }

    /// The entry with this hash that `matches`; without the key's bytes, for records and candidates.
    pub(super) fn locate_hash(
        &self,
        partial_hash: u64,
        slot: u16,
        mut matches: impl FnMut(u64, EntryPointer) -> bool,
    ) -> Option<(u64, Place)> {
        let table = self.tables.get((slot as usize).checked_sub(self.slot_first as usize)?)?;
        let mut hash = 0;
        let place = table.find_where(partial_hash, |entry| {
            hash = hash_key(&self.hasher, entry.key());
            matches(hash, entry)
        })?;
        Some((hash, place))
    }

    #[inline]
    pub(super) fn touch(&mut self, entry: EntryPointer) {
        let Context { access_clock, clock_created, no_touch, now_unix_ms, .. } = self.context;
        if no_touch {
            return;
        }
        let before = entry.clock();
        let clock = match access_clock {
            AccessClock::LastUse => clock_created,
            AccessClock::Frequency { .. } => access_clock.used(before, now_unix_ms, || self.random_bits()),
        };
        if before != clock {
            entry.set_clock(clock);
        }
    }

    #[inline]
    fn missed(&mut self, key: &Key<'_>) {
        self.stats.misses += 1;
        self.notify(EventClasses::KEY_MISS, "keymiss", key);
    }

    /// A lookup by a command that reads: an access, and a hit or a miss in the statistics.
    #[inline]
    pub fn find_read(&mut self, key: &Key) -> Option<EntryRef<'_>> {
        let Some(place) = self.locate(key) else {
            self.missed(key);
            return None;
        };
        self.stats.hits += 1;
        self.touch(place.entry());
        Some(EntryRef::new(place.entry()))
    }

    /// As [`Database::find_read`], and what is due of a hash has been removed, so that the rest is the whole.
    pub fn find_whole(&mut self, key: &Key) -> Option<EntryRef<'_>> {
        if self.expiring_hashes > 0 {
            self.expire_all_fields(key);
        }
        self.find_read(key)
    }

    /// A lookup by a command that asks about a key: a hit or a miss in the statistics, but no access.
    #[inline]
    pub fn find_untouched(&mut self, key: &Key) -> Option<EntryRef<'_>> {
        let Some(place) = self.locate(key) else {
            self.missed(key);
            return None;
        };
        self.stats.hits += 1;
        Some(EntryRef::new(place.entry()))
    }

    /// As [`Database::find_untouched`], by a command about keys as such: that one is missing is told to nobody.
    pub fn find_untold(&mut self, key: &Key) -> Option<EntryRef<'_>> {
        let place = self.locate(key);
        match place {
            Some(_) => self.stats.hits += 1,
            None => self.stats.misses += 1,
        }
        place.map(|place| EntryRef::new(place.entry()))
    }

    /// A lookup by a command that writes: an access, but neither hit nor miss.
    #[inline]
    pub fn find_write(&mut self, key: &Key) -> Option<EntryRef<'_>> {
        let place = self.locate(key)?;
        self.touch(place.entry());
        Some(EntryRef::new(place.entry()))
    }

    /// A lookup that leaves no trace.
    #[inline]
    pub fn peek(&self, key: &Key) -> Option<EntryRef<'_>> {
        let entry = self.table(key).find(key.hash, key.bytes)?.entry();
        if entry.expired(self.context.now_unix_ms) { None } else { Some(EntryRef::new(entry)) }
    }

    /// Sets a key to a string, whatever it was before.
    #[inline]
    pub fn set_string(&mut self, key: &Key, value: StringValue<'_>, expiry: Expiry) {
        match value {
            StringValue::Int(number) => self.set_payload(key, Payload::Int(number), expiry),
            StringValue::Text(bytes) => self.set_payload(key, Payload::text(bytes), expiry),
            StringValue::Bytes(bytes) => match parse_integer(bytes) {
                Some(number) => self.set_payload(key, Payload::Int(number), expiry),
                None => self.set_payload(key, Payload::text(bytes), expiry),
            },
            StringValue::Owned(bytes) if bytes.len() > INLINE_VALUE_BYTES_MAX => {
                self.set_payload(key, Payload::Heap(bytes), expiry);
            }
            StringValue::Owned(bytes) => self.set_string(key, StringValue::Bytes(&bytes), expiry),
        }
    }

    #[inline]
    pub(super) fn set_payload(&mut self, key: &Key, payload: Payload<'_>, expiry: Expiry) {
        match self.table(key).find(key.hash, key.bytes) {
            Some(place) => self.overwrite(key, place, payload, expiry),
            None => {
                self.create(key, payload, expiry, false);
            }
        }
        self.changed(key, Change::Written);
    }

    /// A new entry; the key must not be there.
    pub(super) fn create(&mut self, key: &Key, payload: Payload<'_>, expiry: Expiry, raw: bool) -> Place {
        self.notify(EventClasses::NEW, "new", key);
        self.create_untold(key, payload, expiry, raw)
    }

    /// A new entry; the key must not be there. Nobody is told that it is new.
    pub(super) fn create_untold(
        &mut self,
        key: &Key,
        payload: Payload<'_>,
        expiry: Expiry,
        raw: bool,
    ) -> Place {
        let deadline = match expiry {
            Expiry::At(at_unix_ms) => Some(self.register(key, at_unix_ms)),
            Expiry::Keep | Expiry::Clear => None,
        };
        let entry = EntryPointer::allocate(key.bytes, deadline, payload, self.context.clock_created);
        entry.set_raw(raw);
        if let Some(wheel) = &self.wheel {
            entry.set_generation(wheel.generation());
        }
        self.entry_bytes += entry.memory_bytes();
        self.settle_fields(key.hash, key.slot, entry);
        self.keys += 1;
        self.expiring_keys += usize::from(deadline.is_some());
        if self.tables.is_empty() {
            self.tables.resize_with(self.table_count, Table::new);
        }
        let table = &mut self.tables[(key.slot - self.slot_first) as usize];
        let before = table.memory_bytes();
        let place = table.insert(key.hash, entry, &self.hasher);
        self.table_bytes = self.table_bytes + table.memory_bytes() - before;
        place
    }

    /// Gives an existing entry another value.
    #[inline]
    fn overwrite(&mut self, key: &Key, place: Place, payload: Payload<'_>, expiry: Expiry) {
        let entry = place.entry();
        let without_deadline = !entry.expires() && !matches!(expiry, Expiry::At(_));
        if without_deadline && entry.overwrite_in_place(&payload) {
            self.touch(entry);
        } else {
            self.replace(key, place, payload, expiry);
        }
    }

    /// Gives an entry another value and deadline, in another block if need be; what is expired leaves
    /// nothing but its place.
    #[inline(never)]
    fn replace(&mut self, key: &Key, place: Place, payload: Payload<'_>, expiry: Expiry) {
        let entry = place.entry();
        let expired = entry.expired(self.context.now_unix_ms);
        if expired {
            self.stats.expired_keys += 1;
            self.notify(EventClasses::EXPIRED, "expired", key);
            self.notify(EventClasses::NEW, "new", key);
            self.changed(key, Change::Expired);
        }
        self.bury_heap(entry, BURY_BYTES_MIN);
        entry.set_raw(false);
        self.touch(entry);
        let deadline = match expiry {
            Expiry::Keep if !expired => entry.deadline(),
            Expiry::Keep | Expiry::Clear => None,
            Expiry::At(at_unix_ms) => Some(self.deadline_for(key, entry, at_unix_ms)),
        };
        self.expiring_keys += usize::from(deadline.is_some());
        self.expiring_keys -= usize::from(entry.expires());
        let before = entry.memory_bytes();
        // SAFETY: the new address goes into the one slot that has the old; the payload came from outside.
        let entry = unsafe { entry.replace(deadline, payload) };
        place.set_entry(entry);
        self.entry_bytes = self.entry_bytes + entry.memory_bytes() - before;
        self.settle_fields(key.hash, key.slot, entry);
    }

    /// Registers a deadline with the wheel. The entry must get the wheel's generation.
    fn register(&mut self, key: &Key, at_unix_ms: i64) -> Deadline {
        let now = self.context.now_unix_ms;
        let wheel = self.wheel.get_or_insert_with(|| Box::new(Wheel::new(now)));
        let record = Record::new(key.hash, key.slot, wheel.generation());
        let tick = wheel.place(record, wheel.tick_of(at_unix_ms));
        Deadline { at_unix_ms, tick }
    }

    /// A new deadline for an entry that may have one: registered, unless the former one's record comes up
    /// early enough to see the new deadline.
    fn deadline_for(&mut self, key: &Key, entry: EntryPointer, at_unix_ms: i64) -> Deadline {
        if let Some(former) = entry.deadline()
            && let Some(wheel) = &self.wheel
            && wheel.tick_of(at_unix_ms) >= wheel.tick_held(former.tick)
        {
            return Deadline { at_unix_ms, tick: former.tick };
        }
        let deadline = self.register(key, at_unix_ms);
        entry.set_generation(self.wheel.as_ref().is_some_and(|wheel| wheel.generation()));
        deadline
    }

    fn set_deadline(&mut self, key: &Key, place: Place, at_unix_ms: i64) {
        let deadline = self.deadline_for(key, place.entry(), at_unix_ms);
        self.expiring_keys += usize::from(!place.entry().expires());
        self.replace_deadline(place, Some(deadline));
    }

    fn clear_deadline(&mut self, place: Place) {
        self.expiring_keys -= usize::from(place.entry().expires());
        self.replace_deadline(place, None);
    }

    fn replace_deadline(&mut self, place: Place, deadline: Option<Deadline>) {
        let before = place.entry().memory_bytes();
        // SAFETY: the new address goes into the one slot that has the old.
        let entry = unsafe { place.entry().replace_deadline(deadline) };
        place.set_entry(entry);
        self.entry_bytes = self.entry_bytes + entry.memory_bytes() - before;
    }

    /// Removes a key, which is told as `del`; says whether it was there. A huge value is freed later.
    pub fn remove(&mut self, key: &Key) -> bool {
        self.remove_burying(key, BURY_BYTES_MIN)
    }

    /// Removes a key; says whether it was there. A value with a block of its own is freed later.
    pub fn unlink(&mut self, key: &Key) -> bool {
        self.remove_burying(key, 0)
    }

    fn remove_burying(&mut self, key: &Key, bury_bytes_min: usize) -> bool {
        let Some(place) = self.locate(key) else { return false };
        self.notify(EventClasses::GENERIC, "del", key);
        self.changed(key, Change::Removed);
        self.delete(key.hash, key.slot, place, bury_bytes_min);
        true
    }

    pub(super) fn delete(&mut self, hash: u64, slot: u16, place: Place, bury_bytes_min: usize) {
        self.bury_heap(place.entry(), bury_bytes_min);
        let table = &mut self.tables[(slot - self.slot_first) as usize];
        let before = table.memory_bytes();
        let entry = table.remove(hash, place);
        let after = table.memory_bytes();
        self.table_bytes = self.table_bytes + after - before;
        self.keys -= 1;
        self.expiring_keys -= usize::from(entry.expires());
        self.entry_bytes -= entry.memory_bytes();
        // SAFETY: the table has just forgotten the entry.
        unsafe { entry.free() };
    }

    /// Moves a value that takes long to free from an entry that is about to go to the graveyard.
    #[inline]
    fn bury_heap(&mut self, entry: EntryPointer, bury_bytes_min: usize) {
        self.forget_fields(entry);
        let bytes = entry.heap_bytes();
        if bytes == 0 {
            return;
        }
        let scattered = entry.object().is_some_and(|object| object.parts() >= BURY_PARTS_MIN);
        if bytes < bury_bytes_min && !scattered {
            return;
        }
        self.entry_bytes -= bytes;
        match entry.take_payload() {
            Payload::Heap(value) => self.graveyard.push_back(Grave::Value(value)),
            Payload::Object(object) => self.graveyard.push_back(Grave::Object(object)),
            Payload::Int(_) | Payload::Inline(_) | Payload::Hash(_) => {}
        }
    }

    /// Takes a key out with its value and deadline, for RENAME and MOVE.
    pub fn take(&mut self, key: &Key) -> Option<Moved> {
        let place = self.locate(key)?;
        self.changed(key, Change::Taken);
        let entry = place.entry();
        let expiry = entry.deadline().map(|deadline| deadline.at_unix_ms);
        self.entry_bytes -= entry.heap_bytes();
        let value = MovedValue::new(entry.take_payload(), entry.raw());
        self.delete(key.hash, key.slot, place, BURY_BYTES_MIN);
        Some(Moved { value, expiry })
    }

    /// A copy of a key's value and deadline, for COPY.
    pub fn copy_value(&self, key: &Key) -> Option<Moved> {
        let entry = self.table(key).find(key.hash, key.bytes)?.entry();
        if entry.expired(self.context.now_unix_ms) {
            return None;
        }
        let expiry = entry.deadline().map(|deadline| deadline.at_unix_ms);
        Some(Moved { value: MovedValue::copy_of(entry), expiry })
    }

    /// Puts what was taken or copied under a key, which is a new one whatever was there before.
    pub fn insert(&mut self, key: &Key, moved: Moved) {
        self.remove_untold(key);
        self.notify(EventClasses::NEW, "new", key);
        self.put(key, moved);
    }

    /// Puts a value under a key, which is a new one only if there was none.
    pub fn overwrite_with(&mut self, key: &Key, moved: Moved) {
        if !self.remove_untold(key) {
            self.notify(EventClasses::NEW, "new", key);
        }
        self.put(key, moved);
    }

    /// Removes a key that is about to get another value; says whether it was there.
    fn remove_untold(&mut self, key: &Key) -> bool {
        let Some(place) = self.table(key).find(key.hash, key.bytes) else { return false };
        if place.entry().expired(self.context.now_unix_ms) {
            self.expire(key.hash, key.slot, place);
            return false;
        }
        self.delete(key.hash, key.slot, place, BURY_BYTES_MIN);
        true
    }

    /// Puts a value under a key that is not there.
    fn put(&mut self, key: &Key, moved: Moved) {
        let expiry = moved.expiry.map_or(Expiry::Clear, Expiry::At);
        match moved.value {
            MovedValue::Int(number) => self.create_untold(key, Payload::Int(number), expiry, false),
            MovedValue::Bytes { bytes, raw } if bytes.len() <= INLINE_VALUE_BYTES_MAX => {
                self.create_untold(key, Payload::Inline(&bytes), expiry, raw)
            }
            MovedValue::Bytes { bytes, raw } => self.create_untold(key, Payload::Heap(bytes), expiry, raw),
            MovedValue::Object(object) => self.create_untold(key, Payload::Object(object), expiry, false),
            MovedValue::Hash(elements) => self.create_untold(key, Payload::Hash(&elements), expiry, false),
        };
        self.changed(key, Change::Written);
    }

    /// The deadline of a key in unix milliseconds; the outer option says whether the key is there.
    pub fn expiry_of(&mut self, key: &Key) -> Option<Option<i64>> {
        let place = self.locate(key)?;
        Some(place.entry().deadline().map(|deadline| deadline.at_unix_ms))
    }

    /// Sets the deadline of a key in unix milliseconds; false if the key is missing.
    pub fn set_expiry(&mut self, key: &Key, at_unix_ms: i64) -> bool {
        let Some(place) = self.locate(key) else { return false };
        self.set_deadline(key, place, at_unix_ms);
        self.changed(key, Change::Deadline);
        true
    }

    /// Takes the deadline of a key away; false if there was none.
    pub fn persist(&mut self, key: &Key) -> bool {
        let Some(place) = self.locate(key) else { return false };
        if !place.entry().expires() {
            return false;
        }
        self.clear_deadline(place);
        self.changed(key, Change::Deadline);
        true
    }

    /// Visits about `count` keys after `cursor` and returns the cursor for the next call, 0 at the end. A
    /// key that is there from the first call to the last is visited at least once.
    ///
    /// Of a cursor the low [`SCAN_CURSOR_BITS`] bits are used. With a table per slot, the 14 bits above
    /// are the slot; otherwise they are 0, and the caller may use them.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
        let now = self.context.now_unix_ms;
        let mut visited = 0;
        let mut index = ((cursor >> SCAN_CURSOR_BITS) as usize).saturating_sub(self.slot_first as usize);
        let mut within = cursor & ((1 << SCAN_CURSOR_BITS) - 1);
        while let Some(table) = self.tables.get(index) {
            within = table.scan(within, count.saturating_sub(visited), |entry| {
                visited += 1;
                if !entry.expired(now) {
                    visit(EntryRef::new(entry));
                }
            });
            let slot_bits = ((index + self.slot_first as usize) as u64) << SCAN_CURSOR_BITS;
            if within != 0 {
                return slot_bits | within;
            }
            index += 1;
            while self.tables.get(index).is_some_and(|table| table.len() == 0) {
                index += 1;
            }
            if visited >= count && index < self.tables.len() {
                return ((index + self.slot_first as usize) as u64) << SCAN_CURSOR_BITS;
            }
        }
        0
    }

    /// Visits every key.
    pub fn for_each(&self, visit: &mut dyn FnMut(EntryRef<'_>)) {
        let now = self.context.now_unix_ms;
        for table in &self.tables {
            table.for_each(|entry| {
                if !entry.expired(now) {
                    visit(EntryRef::new(entry));
                }
            });
        }
    }

    /// Number of keys in a hash slot of this shard; only with a table per slot.
    pub fn count_in_slot(&self, slot: u16) -> usize {
        let index = (slot as usize).checked_sub(self.slot_first as usize);
        index.and_then(|index| self.tables.get(index)).map_or(0, Table::len)
    }

    /// Visits up to `count` keys of a hash slot of this shard; only with a table per slot.
    pub fn keys_in_slot(&self, slot: u16, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) {
        let index = (slot as usize).checked_sub(self.slot_first as usize);
        let Some(table) = index.and_then(|index| self.tables.get(index)) else { return };
        let (mut cursor, mut left) = (0, count);
        while left > 0 {
            cursor = table.scan(cursor, left, |entry| {
                if left > 0 && !entry.expired(self.context.now_unix_ms) {
                    left -= 1;
                    visit(EntryRef::new(entry));
                }
            });
            if cursor == 0 {
                return;
            }
        }
    }

    /// Evicts the entry at `place`.
    pub(super) fn evict(&mut self, hash: u64, slot: u16, place: Place) {
        self.stats.evicted_keys += 1;
        let key = Key { bytes: place.entry().key(), hash, slot };
        self.notify(EventClasses::EVICTED, "evicted", &key);
        self.changed(&key, Change::Evicted);
        self.delete(hash, slot, place, BURY_BYTES_MIN);
    }

    /// Seconds since the last use of a key, for OBJECT IDLETIME; means nothing while clocks count uses.
    pub fn idle_seconds(&self, entry: &EntryRef<'_>) -> u32 {
        AccessClock::idle_seconds(entry.clock(), self.context.now_unix_ms)
    }

    /// The logarithmic count of a key's uses, for OBJECT FREQ; means nothing while clocks hold times.
    pub fn frequency(&self, entry: &EntryRef<'_>) -> u8 {
        self.context.access_clock.frequency(entry.clock(), self.context.now_unix_ms)
    }

    /// Has a key, if it is there, count as last used so many seconds ago.
    pub fn set_idle_seconds(&mut self, key: &Key, seconds: i64) {
        if let Some(place) = self.locate(key) {
            place.entry().set_clock(AccessClock::idle_since(seconds, self.context.now_unix_ms));
        }
    }

    /// Has a key, if it is there, count as used so often.
    pub fn set_frequency(&mut self, key: &Key, frequency: u8) {
        if let Some(place) = self.locate(key) {
            place.entry().set_clock(AccessClock::used_often(frequency, self.context.now_unix_ms));
        }
    }

    /// A key chosen at random.
    pub fn random(&mut self) -> Option<EntryRef<'_>> {
        for _ in 0..RANDOM_TRIES_MAX {
            let (slot, entry) = self.random_entry()?;
            if !entry.expired(self.context.now_unix_ms) {
                return Some(EntryRef::new(entry));
            }
            if let Some((hash, place)) = self.place_of(slot, entry) {
                self.expire(hash, slot, place);
            }
        }
        None
    }

    /// Where an entry stands that was met without looking its key up.
    pub(super) fn place_of(&self, slot: u16, entry: EntryPointer) -> Option<(u64, Place)> {
        self.locate_hash(self.hash_of(entry), slot, |_, found| found == entry)
    }

    /// The hash of an entry's key.
    pub(super) fn hash_of(&self, entry: EntryPointer) -> u64 {
        hash_key(&self.hasher, entry.key())
    }

    /// An entry at a random place and the slot of its table.
    pub(super) fn random_entry(&mut self) -> Option<(u16, EntryPointer)> {
        let index = self.random_table()?;
        let mut state = self.random_state;
        let entry = self.tables[index].random(|| next_random(&mut state));
        self.random_state = state;
        entry.map(|entry| (self.slot_first + index as u16, entry))
    }

    /// Visits up to `count` entries at a random place, with the slot of their table.
    pub(super) fn sample_entries(&mut self, count: usize, mut visit: impl FnMut(u16, EntryPointer)) {
        let Some(index) = self.random_table() else { return };
        let mut state = self.random_state;
        let slot = self.slot_first + index as u16;
        self.tables[index].sample(count, || next_random(&mut state), |entry| visit(slot, entry));
        self.random_state = state;
    }

    /// The index of a table with keys; with many tables, the first after a random one.
    fn random_table(&mut self) -> Option<usize> {
        if self.keys == 0 {
            return None;
        }
        let tables = self.tables.len();
        let start = if tables == 1 { 0 } else { self.random_bits() as usize % tables };
        (start..tables).chain(0..start).find(|&index| self.tables[index].len() > 0)
    }

    /// A random number, of the sequence by which keys are chosen.
    pub fn random_bits(&mut self) -> u64 {
        next_random(&mut self.random_state)
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let (mut keys, mut expiring, mut hashes, mut entry_bytes, mut table_bytes) = (0, 0, 0, 0, 0);
        for table in &self.tables {
            table.check_invariants(&self.hasher);
            table_bytes += table.memory_bytes();
            table.for_each(|entry| {
                keys += 1;
                expiring += usize::from(entry.expires());
                hashes += usize::from(entry.fields_expire());
                entry_bytes += entry.memory_bytes();
            });
        }
        assert_eq!((keys, expiring, hashes), (self.keys, self.expiring_keys, self.expiring_hashes));
        assert_eq!(table_bytes, self.table_bytes);
        let dying = self.graveyard.iter().any(|grave| matches!(grave, Grave::Table(_)));
        assert!(entry_bytes == self.entry_bytes || dying && entry_bytes < self.entry_bytes);
    }

    pub(super) fn flush(&mut self) {
        self.changed_all(self.keys as u64, None);
        for table in &mut self.tables {
            if table.len() > 0 {
                let table = std::mem::replace(table, Table::new());
                self.graveyard.push_back(Grave::Table(DyingTable::new(table)));
            }
        }
        self.graveyard.extend(self.wheel.take().map(Grave::Wheel));
        self.graveyard.extend(self.field_wheel.take().map(Grave::Wheel));
        self.keys = 0;
        self.expiring_hashes = 0;
        self.expiring_keys = 0;
        self.table_bytes = 0;
    }
}

/// SplitMix64: good enough to sample with, one multiplication chain per number.
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
