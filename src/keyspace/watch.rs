//! Keys that clients watch: each has a version, which every change of the key makes a new one.
//!
//! Whoever watches a key is told its version, and comes back with it to ask whether it still holds. A key is
//! known by its hash: should two keys share one, a transaction is given up that need not have been.

use ahash::HashMap;

use super::database::{Database, Key};

#[derive(Debug, Clone, Copy)]
struct Watched {
    version: u64,
    watchers: u32,
    slot: u16,
}

/// The watched keys of a database.
#[derive(Debug, Default)]
pub(super) struct Watches {
    keys: HashMap<u64, Watched>,
    /// The last version given out; none is given out twice.
    last: u64,
}

impl Watches {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    #[cold]
    pub(super) fn changed(&mut self, hash: u64) {
        if let Some(watched) = self.keys.get_mut(&hash) {
            self.last += 1;
            watched.version = self.last;
        }
    }
}

impl Database {
    /// Begins to watch a key, which may be missing: its version as of now.
    pub fn watch(&mut self, key: &Key) -> u64 {
        // A deadline that has come by now is no change later on.
        self.expire_if_due(key);
        let watches = &mut self.watches;
        watches.last += 1;
        let fresh = Watched { version: watches.last, watchers: 0, slot: key.slot };
        let watched = watches.keys.entry(key.hash).or_insert(fresh);
        watched.watchers += 1;
        watched.version
    }

    /// Whether a key is what it was when it had this version.
    pub fn is_unchanged(&mut self, key: &Key, version: u64) -> bool {
        self.expire_if_due(key);
        self.watches.keys.get(&key.hash).is_some_and(|watched| watched.version == version)
    }

    /// Ends one [`Database::watch`] of a key.
    pub fn unwatch(&mut self, key: &Key) {
        if let Some(watched) = self.watches.keys.get_mut(&key.hash) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                self.watches.keys.remove(&key.hash);
            }
        }
    }

    /// All keys of this database go or are exchanged for those of `other`: those that exist in one of the two
    /// change.
    pub(super) fn changed_watched(&mut self, other: Option<&Database>) {
        if self.watches.is_empty() {
            return;
        }
        let exists = |database: &Database, hash: u64, slot: u16| {
            database.locate_hash(hash, slot, |found, _| found == hash).is_some()
        };
        let changed: Vec<u64> = self
            .watches
            .keys
            .iter()
            .filter(|&(&hash, watched)| {
                exists(self, hash, watched.slot)
                    || other.is_some_and(|other| exists(other, hash, watched.slot))
            })
            .map(|(&hash, _)| hash)
            .collect();
        changed.into_iter().for_each(|hash| self.watches.changed(hash));
    }

    #[cfg(test)]
    pub(super) fn watched_keys(&self) -> usize {
        self.watches.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Expiry;
    use super::super::entry::StringValue;
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
