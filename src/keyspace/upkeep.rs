//! What a database does between commands and under memory pressure: expiring, freeing, evicting. All of it
//! in bounded steps, all of it finding entries by hash, since records and candidates do not hold keys.

use super::Budget;
use super::database::{Database, Grave};
use super::entry::{Deadline, EntryPointer};
use super::eviction::AccessClock;
use super::expiry::{Event, Record, Wheel};
use super::key::Key;
use super::table::Place;

/// The most keys that are compared in one round.
const SAMPLES_MAX: usize = 64;
/// Keys that [`Database::average_ttl_ms`] looks at.
const TTL_SAMPLES: usize = 16;

/// How many stale or postponed records `sample_soonest` clears away before it takes what it has.
const CLEAR_RECORDS_MAX: usize = 256;

impl Database {
    /// One bounded slice of background work. Returns what is left of the budget.
    pub(super) fn step(&mut self, budget: Budget) -> Budget {
        let left = self.step_wheel(budget.0);
        let left = self.step_field_wheel(left);
        Budget(self.step_graveyard(left))
    }

    fn step_wheel(&mut self, budget: usize) -> usize {
        let Some(mut wheel) = self.wheel.take() else { return budget };
        wheel.sweep_if_littered(self.expiring_keys);
        // Without active expiry no tick ever passes; sweeps go on.
        let now = if self.context.active_expiry { self.context.now_unix_ms } else { i64::MIN };
        let mut left = budget;
        while left > 0
            && let Some(event) = wheel.next(now)
        {
            self.judge(&mut wheel, event);
            left -= 1;
        }
        if self.expiring_keys > 0 {
            self.wheel = Some(wheel);
        } else {
            // Whatever is left in it is stale.
            self.graveyard.push_back(Grave::Wheel(wheel));
        }
        left
    }

    /// Decides what becomes of a record that came up.
    fn judge(&mut self, wheel: &mut Wheel, event: Event) {
        let (record, due) = match event {
            Event::Due { record, tick } => (record, Some(tick)),
            Event::Move(record) => (record, None),
        };
        let Some((hash, place, deadline)) = self.locate_record(record) else { return };
        match due {
            Some(tick) if tick as u32 != deadline.tick => {}
            Some(_) if deadline.at_unix_ms <= self.context.now_unix_ms => {
                self.expire(hash, record.slot(), place)
            }
            Some(_) => register_again(wheel, record, place.entry(), wheel.tick_of(deadline.at_unix_ms)),
            None => register_again(wheel, record, place.entry(), wheel.tick_held(deadline.tick)),
        }
    }

    /// The entry that a record is about, unless the record is stale.
    fn locate_record(&self, record: Record) -> Option<(u64, Place, Deadline)> {
        let (hash, place) = self.locate_hash(record.partial_hash(), record.slot(), |hash, entry| {
            record.names(hash) && entry.expires() && entry.generation() == record.generation()
        })?;
        Some((hash, place, place.entry().deadline()?))
    }

    fn step_graveyard(&mut self, budget: usize) -> usize {
        let mut left = budget;
        while left > 0
            && let Some(grave) = self.graveyard.front_mut()
        {
            let (cost, gone) = match grave {
                Grave::Table(table) => {
                    let mut large = Vec::new();
                    let (entries, bytes) = table.free_some(left, &mut |object| large.push(object));
                    self.entry_bytes -= bytes;
                    self.stats.lazyfreed_objects += entries as u64;
                    // They come first, so that a table of many of them does not fill the graveyard.
                    large.into_iter().for_each(|object| self.graveyard.push_front(Grave::Object(object)));
                    (entries, entries == 0)
                }
                Grave::Object(object) => {
                    let parts = object.free_some(left);
                    self.stats.lazyfreed_objects += u64::from(parts == 0);
                    (parts.max(1), parts == 0)
                }
                Grave::Wheel(wheel) => (left, !wheel.free_some(left)),
                Grave::Value(_) => {
                    self.stats.lazyfreed_objects += 1;
                    (1, true)
                }
            };
            left = left.saturating_sub(cost);
            if gone {
                self.graveyard.pop_front();
            }
        }
        left
    }

    /// Evicts a random key, or a random one of those with a deadline.
    pub(super) fn evict_random(&mut self, volatile: bool) -> bool {
        let found = if volatile {
            self.random_volatile()
        } else {
            self.random_entry().and_then(|(slot, entry)| Some((slot, self.place_of(slot, entry)?)))
        };
        let Some((slot, (hash, place))) = found else { return false };
        self.evict(hash, slot, place);
        true
    }

    /// Evicts the key with this hash.
    pub(super) fn evict_hash(&mut self, hash: u64, slot: u16) -> bool {
        let Some((hash, place)) = self.locate_hash(hash, slot, |found, _| found == hash) else {
            return false;
        };
        self.evict(hash, slot, place);
        true
    }

    /// How much the key with this hash deserves eviction, if it is still there.
    pub(super) fn score_of_hash(&self, hash: u64, slot: u16) -> Option<u64> {
        let (_, place) = self.locate_hash(hash, slot, |found, _| found == hash)?;
        Some(self.score(place.entry()))
    }

    /// How much an entry deserves eviction: longest unused or least used.
    fn score(&self, entry: EntryPointer) -> u64 {
        let now = self.context.now_unix_ms;
        match self.context.access_clock {
            AccessClock::LastUse => AccessClock::idle_seconds(entry.clock(), now) as u64,
            clock => (u8::MAX - clock.frequency(entry.clock(), now)) as u64,
        }
    }

    /// Offers `samples` random keys, or keys with a deadline, with their scores.
    pub(super) fn sample(&mut self, volatile: bool, samples: usize, mut offer: impl FnMut(&Key, u64)) {
        let samples = samples.clamp(1, SAMPLES_MAX);
        let mut sampled = [None; SAMPLES_MAX];
        if volatile {
            self.sample_volatile(&mut sampled[..samples]);
        } else {
            let mut places = sampled.iter_mut();
            self.sample_entries(samples, |slot, entry| {
                places.next().into_iter().for_each(|place| *place = Some((slot, entry)));
            });
        }
        for (slot, entry) in sampled.into_iter().flatten() {
            offer(&Key { bytes: entry.key(), hash: self.hash_of(entry), slot }, self.score(entry));
        }
    }

    /// Fills `sampled` with random keys that have a deadline, in stages so that their cache lines arrive
    /// together. Where a record is stale its place stays empty; there is one key at least, if there is any.
    fn sample_volatile(&mut self, sampled: &mut [Option<(u16, EntryPointer)>]) {
        let mut records = [None; SAMPLES_MAX];
        for record in &mut records[..sampled.len()] {
            let random = self.random_bits();
            let Some(wheel) = &self.wheel else { return };
            *record = wheel.sample(random).map(|position| wheel.record(position));
        }
        for record in records.iter().flatten() {
            self.prefetch_bucket(&Key { bytes: &[], hash: record.partial_hash(), slot: record.slot() });
        }
        for record in records.iter().flatten() {
            self.prefetch_entry(&Key { bytes: &[], hash: record.partial_hash(), slot: record.slot() });
        }
        for (record, sampled) in records.iter().flatten().zip(&mut *sampled) {
            *sampled = self.locate_record(*record).map(|(_, place, _)| (record.slot(), place.entry()));
        }
        if sampled.iter().all(Option::is_none) {
            sampled[0] = self.random_volatile().map(|(slot, (_, place))| (slot, place.entry()));
        }
    }

    /// A random key with a deadline. Stale records met on the way are cleared away.
    fn random_volatile(&mut self) -> Option<(u16, (u64, Place))> {
        loop {
            let random = self.random_bits();
            let wheel = self.wheel.as_ref()?;
            let position = wheel.sample(random)?;
            let record = wheel.record(position);
            if let Some((hash, place, _)) = self.locate_record(record) {
                return Some((record.slot(), (hash, place)));
            }
            if let Some(wheel) = &mut self.wheel {
                wheel.take_out(position);
            }
        }
    }

    /// The mean time that keys with a deadline have left, in milliseconds, judged by a few of them.
    pub fn average_ttl_ms(&mut self) -> i64 {
        let (mut sum, mut count) = (0i64, 0);
        for _ in 0..TTL_SAMPLES {
            let Some((_, (_, place))) = self.random_volatile() else { break };
            if let Some(deadline) = place.entry().deadline() {
                let left = deadline.at_unix_ms.saturating_sub(self.context.now_unix_ms).max(0);
                sum = sum.saturating_add(left);
                count += 1;
            }
        }
        sum / count.max(1)
    }

    /// Of some keys in the wheel's first bucket the one whose deadline comes first: (deadline, hash, slot).
    /// There may be none among the records looked at, all being stale or postponed.
    pub(super) fn sample_soonest(&mut self, samples: usize) -> Option<(i64, u64, u16)> {
        let mut soonest: Option<(i64, u64, u16)> = None;
        let (mut sampled, mut cleared) = (0, 0);
        while sampled < samples.max(1) && cleared < CLEAR_RECORDS_MAX {
            let random = self.random_bits();
            let mut wheel = self.wheel.take()?;
            let position = wheel.nearest(random);
            if let Some(position) = position {
                let record = wheel.record(position);
                match self.locate_record(record) {
                    None => {
                        wheel.take_out(position);
                        cleared += 1;
                    }
                    Some((_, place, deadline))
                        if wheel.tick_of(deadline.at_unix_ms) > wheel.tick_held(deadline.tick) =>
                    {
                        // The deadline was extended: the record does not belong into this bucket any more.
                        wheel.take_out(position);
                        let tick = wheel.tick_of(deadline.at_unix_ms);
                        register_again(&mut wheel, record, place.entry(), tick);
                        cleared += 1;
                    }
                    Some((hash, _, deadline)) => {
                        let found = (deadline.at_unix_ms, hash, record.slot());
                        soonest = Some(soonest.map_or(found, |known| known.min(found)));
                        sampled += 1;
                    }
                }
            }
            self.wheel = Some(wheel);
            position?;
        }
        soonest
    }
}

/// Places a record anew and has its entry know.
fn register_again(wheel: &mut Wheel, record: Record, entry: EntryPointer, tick: u64) {
    let tick = wheel.place(record, tick);
    entry.set_tick(tick);
    entry.set_generation(wheel.generation());
}
