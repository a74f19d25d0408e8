//! Which shard owns a key: contiguous ranges of hash slots, so that a core can be announced as a node of
//! a cluster.

use crate::keyspace::slot::slot_of;

/// Hash slots of the whole keyspace, as Redis Cluster has them.
pub const SLOTS: usize = 16384;
/// The most shards that a process may have.
pub const SHARDS_MAX: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    shards: usize,
}

impl Route {
    /// `shards` is between 1 and [`SHARDS_MAX`].
    pub fn new(shards: usize) -> Self {
        assert!((1..=SHARDS_MAX).contains(&shards));
        Route { shards }
    }

    #[inline(always)]
    pub fn shards(self) -> usize {
        self.shards
    }

    /// The shard that owns `key`.
    #[inline(always)]
    pub fn shard_of(self, key: &[u8]) -> usize {
        if self.shards == 1 { 0 } else { self.shard_of_slot(slot_of(key)) }
    }

    /// The shard that owns hash slot `slot`.
    #[inline(always)]
    pub fn shard_of_slot(self, slot: u16) -> usize {
        (slot as usize * self.shards) / SLOTS
    }

    /// The first slot of `shard` and how many it has.
    pub fn slots_of(self, shard: usize) -> (u16, u16) {
        let first = |shard: usize| (shard * SLOTS).div_ceil(self.shards);
        (first(shard) as u16, (first(shard + 1) - first(shard)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_belongs_to_the_shard_whose_range_holds_it() {
        for shards in [1, 2, 3, 4, 5, 7, 8, 64, 1000, 1024] {
            let route = Route::new(shards);
            let mut next = 0;
            for shard in 0..shards {
                let (first, count) = route.slots_of(shard);
                assert_eq!(first as usize, next);
                for slot in first..first + count {
                    assert_eq!(route.shard_of_slot(slot), shard);
                }
                next += count as usize;
            }
            assert_eq!(next, SLOTS);
        }
    }
}
