//! Eviction: which key goes when memory is short.
//!
//! Nothing keeps the keys in order of their use. Each entry holds 24 bits of access clock, and eviction
//! compares a few keys taken at random: the best of each round wait in a small pool, so that good candidates
//! of earlier rounds are remembered, and the best of the pool goes if it has not been used in between.
//!
//! ```text
//!   LRU   | seconds of the last access, modulo 2^24                    |
//!   LFU   | minutes of the last decay, modulo 2^16 | counter, 8 bits   |
//! ```
//!
//! The LFU counter is logarithmic: an access increments it with probability 1 / (1 + factor × how far it is
//! above 5), and it loses one per `lfu-decay-time` minutes. A new key begins at 5, so that it is not evicted
//! at once.
//!
//! Policies that concern only keys with a deadline sample the wheel's records, which name just these;
//! `volatile-ttl` looks into the wheel's first bucket.

use super::Keyspace;
use super::key::Key;

const CLOCK_MASK: u32 = 0xFF_FFFF;
/// The counter of a key that has just been created.
const COUNTER_NEW: u8 = 5;
const POOL_CANDIDATES_MAX: usize = 16;
/// Rounds of sampling after which any key of the policy's class goes.
const ROUNDS_MAX: usize = 8;

/// What `maxmemory-policy` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    #[default]
    NoEviction,
    AllKeysLru,
    AllKeysLfu,
    AllKeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

impl EvictionPolicy {
    pub const ALL: [EvictionPolicy; 8] = [
        EvictionPolicy::NoEviction,
        EvictionPolicy::AllKeysLru,
        EvictionPolicy::AllKeysLfu,
        EvictionPolicy::AllKeysRandom,
        EvictionPolicy::VolatileLru,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::VolatileRandom,
        EvictionPolicy::VolatileTtl,
    ];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            EvictionPolicy::NoEviction => "noeviction",
            EvictionPolicy::AllKeysLru => "allkeys-lru",
            EvictionPolicy::AllKeysLfu => "allkeys-lfu",
            EvictionPolicy::AllKeysRandom => "allkeys-random",
            EvictionPolicy::VolatileLru => "volatile-lru",
            EvictionPolicy::VolatileLfu => "volatile-lfu",
            EvictionPolicy::VolatileRandom => "volatile-random",
            EvictionPolicy::VolatileTtl => "volatile-ttl",
        }
    }

    pub fn from_name(name: &str) -> Option<EvictionPolicy> {
        EvictionPolicy::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    /// Whether the access clocks count how often rather than when.
    pub fn counts_frequency(self) -> bool {
        matches!(self, EvictionPolicy::AllKeysLfu | EvictionPolicy::VolatileLfu)
    }

    fn volatile(self) -> bool {
        matches!(
            self,
            EvictionPolicy::VolatileLru
                | EvictionPolicy::VolatileLfu
                | EvictionPolicy::VolatileRandom
                | EvictionPolicy::VolatileTtl
        )
    }
}

/// How access clocks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessClock {
    LastUse,
    Frequency {
        /// `lfu-log-factor`
        log_factor: u32,
        /// `lfu-decay-time`; 0: counters do not decay.
        decay_minutes: u32,
    },
}

impl AccessClock {
    /// The clock of a key that is created now.
    #[inline]
    pub(super) fn created(self, now_unix_ms: i64) -> u32 {
        match self {
            AccessClock::LastUse => seconds(now_unix_ms),
            AccessClock::Frequency { .. } => frequency_clock(now_unix_ms, COUNTER_NEW),
        }
    }

    /// The clock of a key that is used now.
    #[inline]
    pub(super) fn used(self, clock: u32, now_unix_ms: i64, random: impl FnOnce() -> u64) -> u32 {
        match self {
            AccessClock::LastUse => seconds(now_unix_ms),
            AccessClock::Frequency { log_factor, .. } => {
                let counter = self.frequency(clock, now_unix_ms);
                let above = counter.saturating_sub(COUNTER_NEW) as u64;
                let one_in = above * log_factor as u64 + 1;
                let counted = counter < u8::MAX && random().is_multiple_of(one_in);
                frequency_clock(now_unix_ms, counter + u8::from(counted))
            }
        }
    }

    /// The counter after the decay up to now.
    pub(super) fn frequency(self, clock: u32, now_unix_ms: i64) -> u8 {
        let counter = clock as u8;
        let elapsed = minutes(now_unix_ms).wrapping_sub((clock >> 8) as u16) as u32;
        match self {
            AccessClock::Frequency { decay_minutes, .. } if decay_minutes > 0 => {
                counter.saturating_sub((elapsed / decay_minutes).min(u8::MAX as u32) as u8)
            }
            _ => counter,
        }
    }

    /// The clock of a key that was last used so many seconds ago, or as many as the clock can tell.
    pub(super) fn idle_since(idle_seconds: i64, now_unix_ms: i64) -> u32 {
        let idle = idle_seconds.clamp(0, CLOCK_MASK.into()) as u32;
        seconds(now_unix_ms).wrapping_sub(idle) & CLOCK_MASK
    }

    /// The clock of a key with this counter.
    pub(super) fn used_often(counter: u8, now_unix_ms: i64) -> u32 {
        frequency_clock(now_unix_ms, counter)
    }

    /// Seconds since the last use.
    pub(super) fn idle_seconds(clock: u32, now_unix_ms: i64) -> u32 {
        seconds(now_unix_ms).wrapping_sub(clock) & CLOCK_MASK
    }
}

#[inline]
fn seconds(unix_ms: i64) -> u32 {
    (unix_ms / 1000) as u32 & CLOCK_MASK
}

fn minutes(unix_ms: i64) -> u16 {
    (unix_ms / 60_000) as u16
}

fn frequency_clock(now_unix_ms: i64, counter: u8) -> u32 {
    (minutes(now_unix_ms) as u32) << 8 | counter as u32
}

/// A key that was worth evicting when it was sampled.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// The larger, the sooner it goes.
    score: u64,
    database: usize,
    hash: u64,
    slot: u16,
}

/// The best candidates seen, worst first.
#[derive(Default)]
pub(super) struct Pool {
    candidates: Vec<Candidate>,
    /// The policy by which they were scored.
    policy: EvictionPolicy,
}

impl Pool {
    fn offer(&mut self, candidate: Candidate) {
        let same = |known: &Candidate| known.hash == candidate.hash && known.database == candidate.database;
        if self.candidates.iter().any(same) {
            return;
        }
        let place = self.candidates.partition_point(|known| known.score <= candidate.score);
        if self.candidates.len() < POOL_CANDIDATES_MAX {
            self.candidates.insert(place, candidate);
        } else if place > 0 {
            self.candidates[..place].rotate_left(1);
            self.candidates[place - 1] = candidate;
        }
    }
}

impl Keyspace {
    /// Evicts one key by `policy`, comparing `samples` keys of each database per round
    /// (`maxmemory-samples`). Returns false if there is no key that the policy lets go.
    pub fn evict_one(&mut self, policy: EvictionPolicy, samples: usize) -> bool {
        match policy {
            EvictionPolicy::NoEviction => false,
            EvictionPolicy::AllKeysRandom | EvictionPolicy::VolatileRandom => self.evict_any(policy),
            EvictionPolicy::VolatileTtl => self.evict_soonest(samples),
            _ => self.evict_best(policy, samples) || self.evict_any(policy),
        }
    }

    /// Evicts a random key of the policy's class, from a database chosen by its number of such keys.
    fn evict_any(&mut self, policy: EvictionPolicy) -> bool {
        let volatile = policy.volatile();
        let class =
            |database: &super::Database| if volatile { database.expires_len() } else { database.len() };
        let total: usize = self.databases.iter().map(class).sum();
        if total == 0 {
            return false;
        }
        let mut nth = (self.databases[0].random_bits() % total as u64) as usize;
        for index in 0..self.databases.len() {
            let keys = class(&self.databases[index]);
            if nth < keys {
                return self.database(index).evict_random(volatile);
            }
            nth -= keys;
        }
        false
    }

    /// Evicts the key whose deadline comes first, approximately: of `samples` in each wheel's first bucket.
    fn evict_soonest(&mut self, samples: usize) -> bool {
        let soonest = (0..self.databases.len())
            .filter_map(|index| {
                let (deadline, hash, slot) = self.database(index).sample_soonest(samples)?;
                Some((deadline, index, hash, slot))
            })
            .min();
        match soonest {
            Some((_, index, hash, slot)) => self.database(index).evict_hash(hash, slot),
            None => self.evict_any(EvictionPolicy::VolatileTtl),
        }
    }

    /// Evicts the best candidate by LRU or LFU.
    fn evict_best(&mut self, policy: EvictionPolicy, samples: usize) -> bool {
        if self.pool.policy != policy {
            self.pool = Pool { candidates: Vec::with_capacity(POOL_CANDIDATES_MAX), policy };
        }
        for _ in 0..ROUNDS_MAX {
            for index in 0..self.databases.len() {
                let volatile = policy.volatile();
                let mut pool = std::mem::take(&mut self.pool);
                self.database(index).sample(volatile, samples, |key, score| {
                    let Key { hash, slot, .. } = *key;
                    pool.offer(Candidate { score, database: index, hash, slot });
                });
                self.pool = pool;
            }
            while let Some(Candidate { score, database, hash, slot }) = self.pool.candidates.pop() {
                let database = self.database(database);
                // It may be gone, or used since it was scored.
                if database.score_of_hash(hash, slot).is_some_and(|now| now >= score)
                    && database.evict_hash(hash, slot)
                {
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::{Budget, Expiry, KeyspaceOptions, StringValue};
    use ahash::RandomState;

    const MINUTE_MS: i64 = 60_000;

    fn loaded(keys: usize, clock: AccessClock, expiring: bool) -> Keyspace {
        let hasher = RandomState::with_seeds(5, 6, 7, 8);
        let mut keyspace = Keyspace::new(KeyspaceOptions { databases: 3, hasher, slots: None });
        keyspace.set_now(1_000 * MINUTE_MS);
        keyspace.set_access_clock(clock);
        for n in 0..keys {
            let name = format!("key:{n}");
            let key = keyspace.key(name.as_bytes());
            let expiry = if expiring { Expiry::At(10_000 * MINUTE_MS + n as i64) } else { Expiry::Clear };
            keyspace.database(n % 2).set_string(&key, StringValue::Bytes(b"value"), expiry);
        }
        keyspace
    }

    fn read(keyspace: &mut Keyspace, n: usize) -> bool {
        let name = format!("key:{n}");
        let key = keyspace.key(name.as_bytes());
        keyspace.database(n % 2).find_read(&key).is_some()
    }

    fn alive(keyspace: &mut Keyspace, keys: std::ops::Range<usize>) -> usize {
        keys.filter(|n| {
            let name = format!("key:{n}");
            let key = keyspace.key(name.as_bytes());
            keyspace.database(n % 2).peek(&key).is_some()
        })
        .count()
    }

    /// Half of 2,000 keys is used over and over; how many of these survive the eviction of a half?
    fn survivors(policy: EvictionPolicy) -> usize {
        let clock = if policy.counts_frequency() {
            AccessClock::Frequency { log_factor: 10, decay_minutes: 1 }
        } else {
            AccessClock::LastUse
        };
        let mut keyspace = loaded(2_000, clock, policy.volatile());
        for minute in 1..20 {
            keyspace.set_now((1_000 + minute) * MINUTE_MS);
            (0..1_000).for_each(|n| assert!(read(&mut keyspace, n)));
        }
        for _ in 0..1_000 {
            assert!(keyspace.evict_one(policy, 5));
        }
        assert_eq!(keyspace.stats().evicted_keys, 1_000);
        alive(&mut keyspace, 0..1_000)
    }

    #[test]
    fn lru_and_lfu_keep_what_is_used() {
        for policy in [
            EvictionPolicy::AllKeysLru,
            EvictionPolicy::VolatileLru,
            EvictionPolicy::AllKeysLfu,
            EvictionPolicy::VolatileLfu,
        ] {
            let kept = survivors(policy);
            assert!(kept > 900, "{}: {kept} of 1000 used keys kept", policy.name());
        }
        for policy in [EvictionPolicy::AllKeysRandom, EvictionPolicy::VolatileRandom] {
            let kept = survivors(policy);
            assert!((400..600).contains(&kept), "{}: {kept} of 1000 used keys kept", policy.name());
        }
    }

    #[test]
    fn volatile_ttl_takes_the_soonest() {
        let mut keyspace = loaded(2_000, AccessClock::LastUse, false);
        for n in 0..2_000 {
            let name = format!("key:{n}");
            let key = keyspace.key(name.as_bytes());
            let at = 1_000 * MINUTE_MS + 1_000 * (n as i64 + 1);
            keyspace.database(n % 2).set_string(&key, StringValue::Int(1), Expiry::At(at));
        }
        for _ in 0..1_000 {
            assert!(keyspace.evict_one(EvictionPolicy::VolatileTtl, 5));
        }
        let late = alive(&mut keyspace, 1_100..2_000);
        assert!(late > 870, "{late} of the 900 latest left");
    }

    #[test]
    fn nothing_to_evict() {
        for policy in EvictionPolicy::ALL {
            let mut empty = loaded(0, AccessClock::LastUse, false);
            assert!(!empty.evict_one(policy, 5), "{}", policy.name());
            assert_eq!(EvictionPolicy::from_name(policy.name()), Some(policy));
            let mut without_deadlines = loaded(10, AccessClock::LastUse, false);
            let evicted = (0..20).filter(|_| without_deadlines.evict_one(policy, 5)).count();
            let expected = if policy.volatile() || policy == EvictionPolicy::NoEviction { 0 } else { 10 };
            assert_eq!(evicted, expected, "{}", policy.name());
            let mut with_deadlines = loaded(10, AccessClock::LastUse, true);
            let evicted = (0..20).filter(|_| with_deadlines.evict_one(policy, 5)).count();
            assert_eq!(
                evicted,
                if policy == EvictionPolicy::NoEviction { 0 } else { 10 },
                "{}",
                policy.name()
            );
            while with_deadlines.step(Budget(100)) {}
        }
    }

    #[test]
    fn the_frequency_counter_is_logarithmic_and_decays() {
        let clock = AccessClock::Frequency { log_factor: 10, decay_minutes: 1 };
        let mut state = 1u64;
        let mut count = clock.created(0);
        for _ in 0..100_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            count = clock.used(count, 0, || state >> 20);
        }
        // The reference's table says 142 after 100K hits with factor 10.
        let frequency = clock.frequency(count, 0);
        assert!((120..165).contains(&frequency), "{frequency}");
        assert_eq!(clock.frequency(count, 30 * MINUTE_MS), frequency - 30);
        assert_eq!(clock.frequency(count, 1_000 * MINUTE_MS), 0);
        let eternal = AccessClock::Frequency { log_factor: 10, decay_minutes: 0 };
        assert_eq!(eternal.frequency(count, 1_000 * MINUTE_MS), frequency);
        assert_eq!(AccessClock::idle_seconds(clock_of(CLOCK_MASK), 1_000), 2);
    }

    fn clock_of(seconds: u32) -> u32 {
        seconds & CLOCK_MASK
    }
}
