//! One shard's keys: its databases, what every lookup needs to know, and the work that goes in steps.
//!
//! ```text
//!   Keyspace                              one per shard
//!    └─ Database × 16                     what SELECT chooses: every operation on keys
//!        ├─ Table (or one per hash slot)  from hash and key to entry                (table.rs)
//!        │   └─ entries                   key, value, deadline, access clock        (entry.rs)
//!        ├─ Wheel                         which keys expire when                    (expiry.rs)
//!        ├─ Wheel                         which hashes have fields that expire when (field_expiry.rs)
//!        └─ graveyard                     what is to be freed in steps
//! ```
//!
//! Time is set from outside once per turn of the shard's loop ([`Keyspace::set_now`]); nothing here reads
//! a clock, does I/O or waits. Every lookup finds expired keys missing and removes them on the way.

mod collection_mut;
mod database;
mod entry;
mod entry_ref;
mod events;
mod eviction;
mod expiry;
mod field_expiry;
mod hash_edit;
mod key;
mod observers;
pub mod slot;
mod string_mut;
mod string_value;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_expiry;
#[cfg(test)]
mod tests_of_collections;
#[cfg(test)]
mod tests_of_hashes;
mod upkeep;
mod value;

pub use collection_mut::CollectionMut;
pub use database::{Beside, Database, Moved};
pub use entry::INLINE_VALUE_BYTES_MAX;
pub use entry_ref::EntryRef;
pub use events::{Event, EventNames};
pub use eviction::{AccessClock, EvictionPolicy};
pub use key::{Key, KeyPlace};
pub use slot::{SLOT_COUNT, crc16, hash_tag, slot_of};
pub use string_mut::StringMut;
pub use string_value::{INTEGER_TEXT_BYTES_MAX, StringRef, StringValue, parse_integer};
pub use table::SCAN_CURSOR_BITS;
pub use value::Value;

pub use crate::config::EventClasses;
pub use crate::types::{Encoding, Kind};

use crate::types::Limits;
use ahash::RandomState;
use database::Context;
use eviction::Pool;

/// What happens to a key's deadline when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Keep,
    Clear,
    /// Unix milliseconds.
    At(i64),
}

/// How a keyspace is laid out, for good.
pub struct KeyspaceOptions {
    pub databases: usize,
    /// The same for every shard of the process, so that a hash computed on one core serves on another.
    pub hasher: RandomState,
    /// With cores as cluster nodes: the first of this shard's hash slots and their number. Each slot then
    /// has a table of its own, so that its keys are counted and listed without walking others.
    pub slots: Option<(u16, u16)>,
}

/// Counters since the start or since CONFIG RESETSTAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub hits: u64,
    pub misses: u64,
    pub expired_keys: u64,
    /// Fields of hashes, but for those that went with the hash as a whole.
    pub expired_fields: u64,
    pub evicted_keys: u64,
    /// Entries and values that were freed in steps.
    pub lazyfreed_objects: u64,
}

/// A bound on one slice of background work: about so many entries are looked at, some 0.1 µs each.
#[derive(Clone, Copy, Debug)]
pub struct Budget(pub usize);

/// One shard's databases.
pub struct Keyspace {
    databases: Vec<Database>,
    hasher: RandomState,
    slots: Option<(u16, u16)>,
    context: Context,
    /// What commands hand to the structures that they change.
    pub limits: Limits,
    /// Whether values are compressed where they are written down (`rdbcompression`).
    pub compress: bool,
    /// What has been taken over from the databases.
    events: events::Events,
    /// The database that was entered last; only kept while somebody wants to hear of events.
    entered: usize,
    /// Candidates for eviction.
    pool: Pool,
    /// The database with which the last step began.
    step_first: usize,
}

impl Keyspace {
    pub fn new(options: KeyspaceOptions) -> Keyspace {
        let KeyspaceOptions { databases, hasher, slots } = options;
        let context = Context::new();
        let new = |_| Database::new(hasher.clone(), slots);
        Keyspace {
            databases: (0..databases).map(new).collect(),
            hasher,
            slots,
            context,
            limits: Limits::default(),
            compress: true,
            events: events::Events::default(),
            entered: 0,
            pool: Pool::default(),
            step_first: 0,
        }
    }

    #[inline]
    pub fn hash_of(&self, key: &[u8]) -> u64 {
        table::hash_key(&self.hasher, key)
    }

    /// The key with its hash, and with its slot where that is needed.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        let slot = if self.slots.is_some() { slot_of(bytes) } else { 0 };
        Key { bytes, hash: self.hash_of(bytes), slot }
    }

    /// The key with its hash, which was computed before.
    #[inline(always)]
    pub fn key_hashed<'a>(&self, bytes: &'a [u8], hash: u64) -> Key<'a> {
        let slot = if self.slots.is_some() { slot_of(bytes) } else { 0 };
        Key { bytes, hash, slot }
    }

    /// Whether every hash slot has a table of its own, so that scan cursors hold slots.
    pub fn has_slot_tables(&self) -> bool {
        self.slots.is_some()
    }

    /// Whether the access clocks count uses (the LFU policies) rather than hold the last one.
    pub fn counts_frequency(&self) -> bool {
        self.context.counts_frequency()
    }

    /// Sets the time for all that follows, in unix milliseconds.
    #[inline]
    pub fn set_now(&mut self, unix_ms: i64) {
        self.context.set(unix_ms, self.context.access_clock);
    }

    #[inline]
    pub fn now(&self) -> i64 {
        self.context.now_unix_ms
    }

    /// Whether lookups leave the access clocks as they are: CLIENT NO-TOUCH, set per client.
    #[inline]
    pub fn set_no_touch(&mut self, no_touch: bool) {
        self.context.no_touch = no_touch;
    }

    /// Sets how access clocks run: as the eviction policy needs it. Clocks set so far keep their bits,
    /// which mean little under the other reading until the keys are used again.
    pub fn set_access_clock(&mut self, access_clock: AccessClock) {
        self.context.set(self.context.now_unix_ms, access_clock);
    }

    /// Whether keys expire without being looked up (DEBUG SET-ACTIVE-EXPIRE).
    pub fn set_active_expiry(&mut self, active_expiry: bool) {
        self.context.active_expiry = active_expiry;
    }

    /// Number of databases.
    pub fn database_count(&self) -> usize {
        self.databases.len()
    }

    /// The database with this index, which must be below the number of databases.
    #[inline]
    pub fn database(&mut self, index: usize) -> &mut Database {
        if !self.context.events.is_empty() {
            self.gather_events(index);
        }
        let database = &mut self.databases[index];
        database.enter(self.context);
        database
    }

    /// Whether an awaited key has been written.
    pub fn has_ready(&self) -> bool {
        self.databases.iter().any(Database::has_ready)
    }

    /// Exchanges two databases, as SWAPDB does.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.gather_events(self.entered);
        self.databases.swap(a, b);
        if let Ok([first, second]) = self.databases.get_disjoint_mut([a, b]) {
            // Clients watch and await keys of a number, whatever keys that has.
            std::mem::swap(&mut first.observers, &mut second.observers);
            first.changed_all(1, Some(second));
            second.changed_all(0, Some(first));
        } else {
            self.databases[a].dirty += 1;
        }
    }

    /// Removes all keys of a database; they are freed in steps.
    pub fn flush_database(&mut self, index: usize) {
        self.database(index).flush();
    }

    /// Removes all keys of all databases; they are freed in steps.
    pub fn flush_all(&mut self) {
        (0..self.databases.len()).for_each(|index| self.flush_database(index));
    }

    /// Whether something that was removed has yet to be freed ([`Keyspace::step`]).
    pub fn has_graves(&self) -> bool {
        self.databases.iter().any(|database| !database.graveyard.is_empty())
    }

    /// Changes since the start: each key written, removed or given another deadline counts one.
    pub fn dirty(&self) -> u64 {
        self.databases.iter().map(Database::dirty).sum()
    }

    pub fn stats(&self) -> Stats {
        self.databases.iter().map(Database::stats).fold(Stats::default(), |sum, stats| Stats {
            hits: sum.hits + stats.hits,
            misses: sum.misses + stats.misses,
            expired_keys: sum.expired_keys + stats.expired_keys,
            expired_fields: sum.expired_fields + stats.expired_fields,
            evicted_keys: sum.evicted_keys + stats.evicted_keys,
            lazyfreed_objects: sum.lazyfreed_objects + stats.lazyfreed_objects,
        })
    }

    pub fn reset_stats(&mut self) {
        self.databases.iter_mut().for_each(Database::reset_stats);
    }

    /// Bytes allocated for tables, keys and values, and for what waits to be freed.
    pub fn memory_bytes(&self) -> usize {
        self.databases.iter().map(Database::memory_bytes).sum()
    }

    /// One bounded slice of background work. Returns whether work is left that could be done now.
    pub fn step(&mut self, budget: Budget) -> bool {
        // Each call begins with another database, so that a long backlog in one does not starve the rest.
        let databases = self.databases.len();
        self.step_first = (self.step_first + 1) % databases.max(1);
        let mut left = budget;
        for nth in 0..databases {
            left = self.database((self.step_first + nth) % databases).step(left);
            if left.0 == 0 {
                return true;
            }
        }
        false
    }
}
