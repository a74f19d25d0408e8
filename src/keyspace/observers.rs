//! Keys that somebody wants to hear of, which may be missing.
//!
//! A watched key has a version, which every change of the key makes a new one: whoever watches it is told the
//! version, and comes back with it to ask whether it still holds. An awaited key is noted whenever it has been
//! written, for whoever waits for elements in it. A key is known by its hash: should two keys share one, a
//! transaction is given up that need not have been, or a client looks for elements that are not there.

use ahash::HashMap;

use super::database::{Beside, Change, Database};
use super::key::Key;

/// How many wait for a key.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    waiters: u32,
    /// Those of them who want to hear of its removal, too.
    minders: u32,
    slot: u16,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    version: u64,
    watchers: u32,
    slot: u16,
}

/// The observed keys of a database.
#[derive(Debug, Default)]
pub(super) struct Observers {
    watched: HashMap<u64, Watched>,
    /// The last version given out; none is given out twice.
    last: u64,
    wanted: HashMap<u64, Awaited>,
    /// Awaited keys that have been written and not been told yet.
    ready: Vec<u64>,
}

impl Observers {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.wanted.is_empty()
    }

    /// A key has changed.
    #[cold]
    pub(super) fn changed(&mut self, hash: u64, change: Change) {
        if !matches!(change, Change::Beside(_)) {
            self.new_version(hash);
        }
        let Some(awaited) = self.wanted.get(&hash) else { return };
        let tells = match change {
            Change::Written | Change::Beside(Beside::Loud) => true,
            Change::Reduced | Change::Beside(Beside::Quiet) | Change::Deadline => false,
            Change::Removed | Change::Taken | Change::Expired | Change::Evicted => awaited.minders > 0,
        };
        if tells {
            self.tell(hash);
        }
    }

    fn new_version(&mut self, hash: u64) {
        if let Some(watched) = self.watched.get_mut(&hash) {
            self.last += 1;
            watched.version = self.last;
        }
    }

    fn tell(&mut self, hash: u64) {
        if !self.ready.contains(&hash) {
            self.ready.push(hash);
        }
    }
}

impl Database {
    /// Begins to watch a key, which may be missing: its version as of now.
    pub fn watch(&mut self, key: &Key) -> u64 {
        // A deadline that has come by now is no change later on.
        self.expire_if_due(key);
        let watches = &mut self.observers;
        watches.last += 1;
        let fresh = Watched { version: watches.last, watchers: 0, slot: key.slot };
        let watched = watches.watched.entry(key.hash).or_insert(fresh);
        watched.watchers += 1;
        watched.version
    }

    /// Whether a key is what it was when it had this version.
    pub fn is_unchanged(&mut self, key: &Key, version: u64) -> bool {
        self.expire_if_due(key);
        self.observers.watched.get(&key.hash).is_some_and(|watched| watched.version == version)
    }

    /// Ends one [`Database::watch`] of a key.
    pub fn unwatch(&mut self, key: &Key) {
        if let Some(watched) = self.observers.watched.get_mut(&key.hash) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                self.observers.watched.remove(&key.hash);
            }
        }
    }

    /// Begins to wait for elements in a key; `minds_removal`: or for its removal.
    pub fn await_key(&mut self, key: &Key, minds_removal: bool) {
        let awaited = self.observers.wanted.entry(key.hash);
        let awaited = awaited.or_insert(Awaited { waiters: 0, minders: 0, slot: key.slot });
        awaited.waiters += 1;
        awaited.minders += u32::from(minds_removal);
    }

    /// Ends one [`Database::await_key`] of the key with this hash.
    pub fn await_no_more(&mut self, hash: u64, minds_removal: bool) {
        if let Some(awaited) = self.observers.wanted.get_mut(&hash) {
            awaited.waiters -= 1;
            awaited.minders -= u32::from(minds_removal);
            if awaited.waiters == 0 {
                self.observers.wanted.remove(&hash);
            }
        }
    }

    /// Whether somebody waits for the removal of a key.
    pub fn is_removal_awaited(&self, hash: u64) -> bool {
        self.observers.wanted.get(&hash).is_some_and(|awaited| awaited.minders > 0)
    }

    /// Keys that somebody waits for elements in.
    pub fn awaited_keys(&self) -> usize {
        self.observers.wanted.len()
    }

    /// Whether an awaited key exists.
    pub fn has_awaited(&mut self, hash: u64) -> bool {
        let Some(awaited) = self.observers.wanted.get(&hash) else { return false };
        self.locate_hash(hash, awaited.slot, |found, _| found == hash).is_some()
    }

    /// Whether an awaited key has been written.
    pub(super) fn has_ready(&self) -> bool {
        !self.observers.ready.is_empty()
    }

    /// The next awaited key that has been written: its hash.
    pub fn next_ready(&mut self) -> Option<u64> {
        (!self.observers.ready.is_empty()).then(|| self.observers.ready.remove(0))
    }

    /// All keys of this database go or have been exchanged for those of `other`: those that exist in one of
    /// the two change.
    pub(super) fn changed_observed(&mut self, other: Option<&Database>) {
        if self.observers.is_empty() {
            return;
        }
        let exists = |database: &Database, hash: u64, slot: u16| {
            database.locate_hash(hash, slot, |found, _| found == hash).is_some()
        };
        let changed: Vec<u64> = self
            .observers
            .watched
            .iter()
            .filter(|&(&hash, watched)| {
                exists(self, hash, watched.slot)
                    || other.is_some_and(|other| exists(other, hash, watched.slot))
            })
            .map(|(&hash, _)| hash)
            .collect();
        changed.into_iter().for_each(|hash| self.observers.new_version(hash));
        let tells = |hash: u64, awaited: &Awaited| match other {
            Some(other) => {
                exists(self, hash, awaited.slot) || awaited.minders > 0 && exists(other, hash, awaited.slot)
            }
            None => awaited.minders > 0 && exists(self, hash, awaited.slot),
        };
        let awaited = self.observers.wanted.iter().filter(|&(&hash, awaited)| tells(hash, awaited));
        let told: Vec<u64> = awaited.map(|(&hash, _)| hash).collect();
        told.into_iter().for_each(|hash| self.observers.tell(hash));
    }

    /// Keys that somebody watches.
    pub fn watched_keys(&self) -> usize {
        self.observers.watched.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Expiry;
    use super::super::string_value::StringValue;
    use super::super::tests::{keyspace, set};

    #[test]
    fn every_change_makes_a_new_version_and_reading_does_not() {
        let mut keyspace = keyspace(None);
        set(&mut keyspace, b"k", b"1", Expiry::Clear);
        let key = keyspace.key(b"k");
        let start = keyspace.now();
        let watch = |keyspace: &mut super::super::Keyspace| keyspace.database(0).watch(&key);
        let version = watch(&mut keyspace);
        assert_eq!(watch(&mut keyspace), version, "two watchers of the same");
        keyspace.database(0).find_read(&key);
        assert!(keyspace.database(0).is_unchanged(&key, version));
        keyspace.database(0).set_string(&key, StringValue::Bytes(b"1"), Expiry::Keep);
        assert!(!keyspace.database(0).is_unchanged(&key, version), "the same value is a change");
        let version = watch(&mut keyspace);
        keyspace.database(0).set_expiry(&key, start + 10);
        assert!(!keyspace.database(0).is_unchanged(&key, version));
        let version = watch(&mut keyspace);
        keyspace.set_now(start + 10);
        assert!(!keyspace.database(0).is_unchanged(&key, version), "it has expired");
        let version = watch(&mut keyspace);
        keyspace.flush_all();
        assert!(keyspace.database(0).is_unchanged(&key, version), "there was nothing to flush");
        set(&mut keyspace, b"k", b"2", Expiry::Clear);
        let version = watch(&mut keyspace);
        keyspace.swap(0, 1);
        assert!(!keyspace.database(0).is_unchanged(&key, version));
        for _ in 0..6 {
            assert_eq!(keyspace.database(0).watched_keys(), 1);
            keyspace.database(0).unwatch(&key);
        }
        assert_eq!(keyspace.database(0).watched_keys(), 0);
    }
}
