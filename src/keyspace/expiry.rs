//! The wheel: which keys expire when, without ever walking the keys.
//!
//! A hierarchical timing wheel of records, eight bytes each, that name a key by its hash:
//!
//! ```text
//!   level 0   512 buckets of one tick (128 ms)        the next 65 s
//!   level 1   512 buckets of 512 ticks (65.5 s)       the next 9.3 h
//!   level 2   512 buckets of 2^18 ticks (9.3 h)       the next 199 d
//!   level 3    32 buckets of 2^27 ticks (199 d)       8.7 years; later deadlines come up then, too
//!
//!   record   | hash, bits 31..64 | generation | slot, 14 bits | hash, bits 0..16 |
//! ```
//!
//! When time enters the span of a bucket of a higher level, its records move to the levels below; when a
//! tick has passed, the records of its bucket are due. Both happen one record at a time ([`Wheel::next`]),
//! so a bucket of ten million records holds nobody up.
//!
//! **What makes it cheap is laziness.** An entry holds the tick at which it is registered (the low 32 bits,
//! which is enough, since it is less than 2^31 ahead). Extending a
//! deadline changes the entry only: when the record comes up, the entry says "later" and is registered
//! anew. Shortening adds a record at the earlier tick; the former record finds, when it comes up, that the
//! entry is registered elsewhere, and is dropped. Removing a key leaves its record to the same fate.
//!
//! **What bounds the garbage is the sweep.** When far more records than keys with a deadline are there, a
//! sweep passes over all buckets, again in steps. It begins a new generation, a bit in records and entries;
//! the first record of an entry's old generation that the sweep meets is kept and lifted, with the entry,
//! into the new one. A record whose generation is not its entry's is dropped, so duplicates go as well.
//!
//! The invariant: every key with a deadline has a record of the entry's generation that comes up at or
//! before the tick that the entry holds; and that tick is not after its deadline's.
//!
//! What this does not do: it sees no entries. The database looks them up and decides.

use std::mem;

const TICK_SHIFT: u32 = 7;
const LEVELS: usize = 4;
/// Ticks per bucket of each level, as a power of two.
const LEVEL_SHIFTS: [u32; LEVELS] = [0, 9, 18, 27];
const LEVEL_BUCKETS: [usize; LEVELS] = [512, 512, 512, 32];
/// How far ahead a record is registered at most.
const HORIZON_TICKS: u64 = (1 << 31) - 1;
const GROUP_BUCKETS: usize = u64::BITS as usize;
const GROUPS: usize = 512 / GROUP_BUCKETS;
const CHUNK_RECORDS: usize = 512;
/// Records that may be stale before a sweep is worth it, in addition to as many as are live.
const STALE_RECORDS_MAX: usize = 1024;

const SLOT_SHIFT: u32 = 16;
const SLOT_MASK: u64 = 0x3FFF << SLOT_SHIFT;
const GENERATION_BIT: u64 = 1 << 30;

/// The name of a key in the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record(u64);

impl Record {
    pub(super) fn new(hash: u64, slot: u16, generation: bool) -> Record {
        let hash = hash & !(SLOT_MASK | GENERATION_BIT);
        Record(hash | (slot as u64) << SLOT_SHIFT | if generation { GENERATION_BIT } else { 0 })
    }

    /// A hash that finds the same bucket as the key's.
    pub(super) fn partial_hash(self) -> u64 {
        self.0
    }

    /// Whether a key with this hash may be meant; all but 15 bits are compared.
    pub(super) fn names(self, hash: u64) -> bool {
        (self.0 ^ hash) & !(SLOT_MASK | GENERATION_BIT) == 0
    }

    pub(super) fn slot(self) -> u16 {
        ((self.0 & SLOT_MASK) >> SLOT_SHIFT) as u16
    }

    pub(super) fn generation(self) -> bool {
        self.0 & GENERATION_BIT != 0
    }

    fn with_generation(self, generation: bool) -> Record {
        Record(self.0 & !GENERATION_BIT | if generation { GENERATION_BIT } else { 0 })
    }
}

/// A bag of records in chunks, so that a large one grows without moving what it holds.
#[derive(Default)]
struct Bucket {
    /// All full but the last.
    chunks: Vec<Vec<Record>>,
}

impl Bucket {
    fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK_RECORDS + last.len())
    }

    fn push(&mut self, record: Record) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_RECORDS => last.push(record),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK_RECORDS);
                chunk.push(record);
                self.chunks.push(chunk);
            }
            None => self.chunks.push(vec![record]),
        }
    }

    fn pop(&mut self) -> Option<Record> {
        let last = self.chunks.last_mut()?;
        let record = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        if self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
        record
    }

    fn get(&self, index: usize) -> Record {
        self.chunks[index / CHUNK_RECORDS][index % CHUNK_RECORDS]
    }

    fn swap_remove(&mut self, index: usize) {
        if let Some(last) = self.pop()
            && index < self.len()
        {
            self.chunks[index / CHUNK_RECORDS][index % CHUNK_RECORDS] = last;
        }
    }
}

/// Which buckets of a level hold records, a bit each.
#[derive(Default)]
struct Occupied([u64; GROUPS]);

impl Occupied {
    fn set(&mut self, index: usize) {
        self.0[index / GROUP_BUCKETS] |= 1 << (index % GROUP_BUCKETS);
    }

    fn clear(&mut self, index: usize) {
        self.0[index / GROUP_BUCKETS] &= !(1 << (index % GROUP_BUCKETS));
    }

    /// The first from `index` on, not wrapping around.
    fn first_from(&self, index: usize) -> Option<usize> {
        let mut word = index / GROUP_BUCKETS;
        let mut bits = self.0.get(word)? & (u64::MAX << (index % GROUP_BUCKETS));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        Some(word * GROUP_BUCKETS + bits.trailing_zeros() as usize)
    }
}

/// One level: its buckets, allocated when the first record comes, and which of them hold any.
#[derive(Default)]
struct Level {
    buckets: Vec<Bucket>,
    occupied: Occupied,
    records: usize,
    /// Records of each 64 buckets, so that the n-th of all is found quickly.
    group_records: [usize; GROUPS],
}

impl Level {
    fn push(&mut self, index: usize, record: Record, buckets: usize) {
        if self.buckets.is_empty() {
            self.buckets.resize_with(buckets, Bucket::default);
        }
        self.buckets[index].push(record);
        self.occupied.set(index);
        self.records += 1;
        self.group_records[index / GROUP_BUCKETS] += 1;
    }

    fn pop(&mut self, index: usize) -> Option<Record> {
        let record = self.buckets.get_mut(index)?.pop()?;
        self.forget(index, 1);
        Some(record)
    }

    fn swap_remove(&mut self, index: usize, position: usize) {
        self.buckets[index].swap_remove(position);
        self.forget(index, 1);
    }

    fn take(&mut self, index: usize) -> Bucket {
        let bucket = self.buckets.get_mut(index).map(mem::take).unwrap_or_default();
        self.forget(index, bucket.len());
        bucket
    }

    fn forget(&mut self, index: usize, records: usize) {
        self.records -= records;
        self.group_records[index / GROUP_BUCKETS] -= records;
        if self.buckets.get(index).is_none_or(|bucket| bucket.len() == 0) {
            self.occupied.clear(index);
        }
    }
}

/// What the wheel wants judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The tick has passed: expire the key, or register it anew if its deadline is later.
    Due { record: Record, tick: u64 },
    /// The record is to be placed again where its entry is registered, or dropped if stale.
    Move(Record),
}

/// Where a record lies, for sampling. A level beyond the last means the records that a sweep has taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    level: usize,
    bucket: usize,
    index: usize,
}

/// The wheel of one database.
pub(super) struct Wheel {
    /// Unix milliseconds at which tick 0 begins.
    epoch_unix_ms: i64,
    /// All ticks before this one have been dealt with.
    current: u64,
    levels: [Level; LEVELS],
    /// The generation of new records.
    generation: bool,
    /// The next bucket that the sweep takes up; none if no sweep is going on.
    sweep: Option<(usize, usize)>,
    /// What the sweep has taken out and not yet judged.
    sweeping: Bucket,
}

impl Wheel {
    pub(super) fn new(now_unix_ms: i64) -> Wheel {
        Wheel {
            epoch_unix_ms: now_unix_ms,
            current: 0,
            levels: Default::default(),
            generation: false,
            sweep: None,
            sweeping: Bucket::default(),
        }
    }

    /// Number of records, stale ones included.
    pub(super) fn records(&self) -> usize {
        self.levels.iter().map(|level| level.records).sum::<usize>() + self.sweeping.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let buckets: usize = self.levels.iter().map(|level| level.buckets.len()).sum();
        size_of::<Wheel>() + buckets * size_of::<Bucket>() + self.records() * size_of::<Record>()
    }

    pub(super) fn generation(&self) -> bool {
        self.generation
    }

    fn tick_at(&self, unix_ms: i64) -> u64 {
        (unix_ms.saturating_sub(self.epoch_unix_ms).max(0) >> TICK_SHIFT) as u64
    }

    /// The tick at which a deadline would be registered now.
    pub(super) fn tick_of(&self, deadline_unix_ms: i64) -> u64 {
        self.tick_at(deadline_unix_ms).clamp(self.current, self.current + HORIZON_TICKS)
    }

    /// The tick of which an entry holds the low bits; the current one if it has passed.
    pub(super) fn tick_held(&self, low_bits: u32) -> u64 {
        let ahead = low_bits.wrapping_sub(self.current as u32) as u64;
        if ahead > HORIZON_TICKS { self.current } else { self.current + ahead }
    }

    /// Puts a record where it comes up at `tick`, or now if that has passed, in the generation of today.
    /// Returns the tick that the entry is to hold; the caller gives the entry the generation as well.
    pub(super) fn place(&mut self, record: Record, tick: u64) -> u32 {
        let tick = tick.max(self.current);
        let level = (0..LEVELS - 1)
            .find(|&level| {
                let shift = LEVEL_SHIFTS[level];
                ((tick >> shift) - (self.current >> shift)) < LEVEL_BUCKETS[level] as u64
            })
            .unwrap_or(LEVELS - 1);
        let bucket = (tick >> LEVEL_SHIFTS[level]) as usize % LEVEL_BUCKETS[level];
        self.levels[level].push(bucket, record.with_generation(self.generation), LEVEL_BUCKETS[level]);
        tick as u32
    }

    /// The next record to judge. None when all ticks that have passed are dealt with and no sweep is on.
    pub(super) fn next(&mut self, now_unix_ms: i64) -> Option<Event> {
        let now_tick = self.tick_at(now_unix_ms);
        while self.current < now_tick {
            // From the top, so that what comes down from one level is there when the next is looked at.
            for level in (1..LEVELS).rev() {
                let shift = LEVEL_SHIFTS[level];
                if self.current.trailing_zeros() >= shift {
                    let bucket = (self.current >> shift) as usize % LEVEL_BUCKETS[level];
                    if let Some(record) = self.levels[level].pop(bucket) {
                        return Some(Event::Move(record));
                    }
                }
            }
            let bucket = self.current as usize % LEVEL_BUCKETS[0];
            if let Some(record) = self.levels[0].pop(bucket) {
                return Some(Event::Due { record, tick: self.current });
            }
            self.current = self.next_tick().min(now_tick);
        }
        self.next_swept().map(Event::Move)
    }

    /// The next tick that may have something to do; there is nothing at `current`.
    fn next_tick(&self) -> u64 {
        let after = |shift: u32| ((self.current >> shift) + 1) << shift;
        if self.levels[0].records > 0 {
            let bucket = self.current as usize % LEVEL_BUCKETS[0];
            let ahead = self.levels[0].occupied.first_from(bucket + 1);
            return ahead.map_or(after(LEVEL_SHIFTS[1]), |next| self.current + (next - bucket) as u64);
        }
        let level = (1..LEVELS).find(|&level| self.levels[level].records > 0);
        level.map_or(u64::MAX, |level| after(LEVEL_SHIFTS[level]))
    }

    /// Begins a sweep if records far outnumber the keys with a deadline.
    pub(super) fn sweep_if_littered(&mut self, expiring_keys: usize) {
        if self.sweep.is_none() && self.records() > 2 * expiring_keys + STALE_RECORDS_MAX {
            self.generation = !self.generation;
            self.sweep = Some((0, 0));
        }
    }

    fn next_swept(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = self.sweeping.pop() {
                return Some(record);
            }
            let (level, from) = self.sweep?;
            if level == LEVELS {
                self.sweep = None;
                return None;
            }
            match self.levels[level].occupied.first_from(from) {
                None => self.sweep = Some((level + 1, 0)),
                Some(bucket) => {
                    self.sweep = Some((level, bucket + 1));
                    self.sweeping = self.levels[level].take(bucket);
                }
            }
        }
    }

    /// A record at a random place: a bucket by its weight within all, then any record of it.
    pub(super) fn sample(&self, random: u64) -> Option<Position> {
        let total = self.records();
        if total == 0 {
            return None;
        }
        let mut nth = (random % total as u64) as usize;
        for (level, Level { buckets, occupied, records, group_records }) in self.levels.iter().enumerate() {
            if nth >= *records {
                nth -= records;
                continue;
            }
            let mut group = 0;
            while nth >= group_records[group] {
                nth -= group_records[group];
                group += 1;
            }
            let mut from = group * GROUP_BUCKETS;
            while let Some(bucket) = occupied.first_from(from) {
                let records = buckets[bucket].len();
                if nth < records {
                    return Some(Position { level, bucket, index: nth });
                }
                nth -= records;
                from = bucket + 1;
            }
        }
        Some(Position { level: LEVELS, bucket: 0, index: nth })
    }

    /// A record at random in the bucket that comes up first.
    pub(super) fn nearest(&self, random: u64) -> Option<Position> {
        let any = |records: usize| (random % records.max(1) as u64) as usize;
        for (level, Level { buckets, occupied, .. }) in self.levels.iter().enumerate() {
            let start = (self.current >> LEVEL_SHIFTS[level]) as usize % LEVEL_BUCKETS[level];
            if let Some(bucket) = occupied.first_from(start).or_else(|| occupied.first_from(0)) {
                return Some(Position { level, bucket, index: any(buckets[bucket].len()) });
            }
        }
        let records = self.sweeping.len();
        (records > 0).then(|| Position { level: LEVELS, bucket: 0, index: any(records) })
    }

    pub(super) fn record(&self, position: Position) -> Record {
        match self.levels.get(position.level) {
            Some(level) => level.buckets[position.bucket].get(position.index),
            None => self.sweeping.get(position.index),
        }
    }

    /// Takes a record out, because it is stale or to be placed elsewhere.
    pub(super) fn take_out(&mut self, position: Position) {
        match self.levels.get_mut(position.level) {
            Some(level) => level.swap_remove(position.bucket, position.index),
            None => self.sweeping.swap_remove(position.index),
        }
    }

    /// Frees about `budget` chunks of a wheel that is no longer used; false when all are gone.
    pub(super) fn free_some(&mut self, budget: usize) -> bool {
        let mut left = budget.max(1);
        for level in &mut self.levels {
            while let Some(bucket) = level.occupied.first_from(0) {
                while level.buckets[bucket].chunks.pop().is_some() {
                    left -= 1;
                    if left == 0 {
                        return true;
                    }
                }
                level.occupied.clear(bucket);
            }
        }
        while self.sweeping.chunks.pop().is_some() {
            left -= 1;
            if left == 0 {
                return true;
            }
        }
        false
    }
}
