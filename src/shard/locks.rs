//! Intent locks: which keys the transactions under way on this shard are going to read or write.
//!
//! A key is known by a fingerprint, some bits of its hash; two keys with the same fingerprint are taken for
//! one, which costs a wait now and then and is never wrong. Readers share. A command over the whole
//! keyspace (FLUSHALL, DBSIZE, KEYS) holds an intent on everything at once.

/// Fingerprints: a power of two. The counts of all take 64 KiB, which stays in the second-level cache.
const FINGERPRINTS: usize = 8192;
const FINGERPRINT_BITS: u32 = FINGERPRINTS.ilog2();

/// What a transaction is going to do with a key, or with the whole shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent(u32);

impl Intent {
    const EXCLUSIVE: u32 = 1 << 31;
    const WHOLE: u32 = 1 << 30;

    /// On the key with this hash.
    #[inline(always)]
    pub fn key(hash: u64, writes: bool) -> Intent {
        let fingerprint = (hash >> (u64::BITS - FINGERPRINT_BITS)) as u32;
        Intent(fingerprint | if writes { Intent::EXCLUSIVE } else { 0 })
    }

    /// On everything that the shard has.
    pub fn whole(writes: bool) -> Intent {
        Intent(Intent::WHOLE | if writes { Intent::EXCLUSIVE } else { 0 })
    }

    #[inline(always)]
    pub fn writes(self) -> bool {
        self.0 & Intent::EXCLUSIVE != 0
    }

    #[inline(always)]
    fn is_whole(self) -> bool {
        self.0 & Intent::WHOLE != 0
    }

    #[inline(always)]
    fn fingerprint(self) -> usize {
        self.0 as usize & (FINGERPRINTS - 1)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    shared: u32,
    exclusive: u32,
}

impl Counts {
    #[inline(always)]
    fn of(&mut self, intent: Intent) -> &mut u32 {
        if intent.writes() { &mut self.exclusive } else { &mut self.shared }
    }

    fn any(self) -> bool {
        self.shared | self.exclusive != 0
    }
}

/// How many intents there are on each fingerprint.
#[derive(Default)]
pub struct Locks {
    /// Made with the first intent: a server with one shard never has one.
    fingerprints: Vec<Counts>,
    /// Over all fingerprints.
    keys: Counts,
    whole: Counts,
}

impl Locks {
    /// Whether an intent is in the way of another one that is held.
    #[inline]
    pub fn conflicts(&self, intent: Intent) -> bool {
        if intent.is_whole() {
            let writers = self.keys.exclusive | self.whole.exclusive != 0;
            return writers || (intent.writes() && (self.keys.any() || self.whole.any()));
        }
        let Some(counts) = self.fingerprints.get(intent.fingerprint()) else {
            return self.whole_conflicts(intent);
        };
        counts.exclusive != 0 || (intent.writes() && counts.shared != 0) || self.whole_conflicts(intent)
    }

    #[inline(always)]
    fn whole_conflicts(&self, intent: Intent) -> bool {
        self.whole.exclusive != 0 || (intent.writes() && self.whole.shared != 0)
    }

    pub fn any_conflicts(&self, intents: &[Intent]) -> bool {
        intents.iter().any(|&intent| self.conflicts(intent))
    }

    /// Holds intents; they may stand in each other's way.
    pub fn add(&mut self, intents: &[Intent]) {
        self.fingerprints.resize(FINGERPRINTS, Counts::default());
        for &intent in intents {
            if intent.is_whole() {
                *self.whole.of(intent) += 1;
            } else {
                *self.fingerprints[intent.fingerprint()].of(intent) += 1;
                *self.keys.of(intent) += 1;
            }
        }
    }

    /// Lets go of intents that were added.
    pub fn remove(&mut self, intents: &[Intent]) {
        for &intent in intents {
            if intent.is_whole() {
                *self.whole.of(intent) -= 1;
            } else {
                *self.fingerprints[intent.fingerprint()].of(intent) -= 1;
                *self.keys.of(intent) -= 1;
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        !self.keys.any() && !self.whole.any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: u64) -> Intent {
        Intent::key(key << 51, false)
    }

    fn write(key: u64) -> Intent {
        Intent::key(key << 51, true)
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let mut locks = Locks::default();
        assert!(!locks.any_conflicts(&[read(1), write(1), Intent::whole(true)]));
        locks.add(&[read(1)]);
        assert!(!locks.conflicts(read(1)) && locks.conflicts(write(1)) && !locks.conflicts(write(2)));
        assert!(!locks.conflicts(Intent::whole(false)) && locks.conflicts(Intent::whole(true)));
        locks.add(&[write(2), write(2)]);
        assert!(locks.conflicts(read(2)) && locks.conflicts(Intent::whole(false)));
        locks.remove(&[write(2)]);
        assert!(locks.conflicts(read(2)), "held twice");
        locks.remove(&[write(2), read(1)]);
        assert!(locks.is_empty());
    }

    #[test]
    fn the_whole_is_in_the_way_of_every_key() {
        let mut locks = Locks::default();
        locks.add(&[Intent::whole(false)]);
        assert!(!locks.conflicts(read(7)) && locks.conflicts(write(7)));
        assert!(!locks.conflicts(Intent::whole(false)) && locks.conflicts(Intent::whole(true)));
        locks.add(&[Intent::whole(true)]);
        assert!(locks.conflicts(read(7)) && locks.conflicts(Intent::whole(false)));
    }
}
