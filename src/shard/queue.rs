//! The transactions under way on one shard, in the order of their ids.
//!
//! Locking is in two phases: a transaction does nothing on any shard before it has all its locks on all
//! shards, and lets go of none before it has done its work there. That alone makes every history strictly
//! serializable. The order of the ids only keeps transactions from waiting for each other in a circle:
//!
//! ```text
//!   schedule(id, intents)     no conflict ─────────────────────────► granted, whatever stands in the queue
//!                             conflict, all of it with older ones ─► waits for them
//!                             conflict with a younger one ─────────► refused: comes again with a newer id
//!   conclude(id)              lets go; whoever waited for nothing else is granted
//! ```
//!
//! Since one waits only for older ones, the oldest transaction of all never waits. Commands whose keys all
//! belong to this shard need no transaction; one that meets a conflict takes the last place in the queue
//! ([`Queue::schedule_last`]), holds nothing anywhere else, and so cannot be part of a circle either.
//!
//! Pure: no message, no time, no keyspace. `W` is the work that waits.

use std::collections::VecDeque;

use super::locks::{Intent, Locks};
use super::planted::Bug;

/// Transactions in their order: time in the high bits, then ten of the coordinator's shard; the lowest bit
/// marks work that concerns one shard alone, so that its ids are nobody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TransactionId(u64);

impl TransactionId {
    /// Stands for "no transaction".
    pub const NONE: TransactionId = TransactionId(0);
    const TIME_SHIFT: u32 = 11;

    pub fn new(time: u64, shard: usize) -> TransactionId {
        TransactionId(time << Self::TIME_SHIFT | (shard as u64) << 1)
    }

    pub fn time(self) -> u64 {
        self.0 >> Self::TIME_SHIFT
    }

    /// The next id of work that concerns one shard alone.
    fn next_local(self) -> TransactionId {
        TransactionId((self.0 + 1) | 1)
    }

    /// The shard of the coordinator.
    pub fn shard(self) -> usize {
        (self.0 as usize & ((1 << Self::TIME_SHIFT) - 1)) >> 1
    }
}

/// What came of scheduling a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Scheduled<W> {
    /// It has its locks.
    Granted,
    /// It stands in the queue and is granted later.
    Waiting,
    /// A younger one holds or awaits what it wants. `newest` is the youngest id in the queue; the work comes
    /// back.
    Refused { newest: TransactionId, work: W },
}

struct Pending<W> {
    id: TransactionId,
    intents: Vec<Intent>,
    granted: bool,
    /// `None` once it has been taken to be run.
    work: Option<W>,
}

/// Intents that one pass over the queue looks at, at most: whoever stands behind them waits a little longer.
const SCANNED_INTENTS_MAX: usize = 16 * 1024;
/// Lists of intents kept for the next transaction.
const SPARE_MAX: usize = 64;

pub struct Queue<W> {
    locks: Locks,
    /// By id.
    pending: VecDeque<Pending<W>>,
    waiting: usize,
    /// Granted by [`Queue::conclude`] and not handed out yet, oldest first.
    granted: VecDeque<TransactionId>,
    /// The intents of some of the pending; empty between calls.
    scratch: Locks,
    spare: Vec<Vec<Intent>>,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Queue {
            locks: Locks::default(),
            pending: VecDeque::new(),
            waiting: 0,
            granted: VecDeque::new(),
            scratch: Locks::default(),
            spare: Vec::new(),
        }
    }
}

impl<W> Queue<W> {
    /// Whether no transaction is under way here: then no command has anything to wait for.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether anything here waits for the end of a transaction.
    pub fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether anything is locked.
    pub fn has_locks(&self) -> bool {
        !self.locks.is_empty()
    }

    /// Whether commands with these intents have to wait.
    #[inline]
    pub fn conflicts(&self, intents: &[Intent]) -> bool {
        self.locks.any_conflicts(intents)
    }

    /// Whether a command with this intent has to wait.
    #[inline(always)]
    pub fn conflicts_with(&self, intent: Intent) -> bool {
        self.locks.conflicts(intent)
    }

    /// Gives a transaction its place.
    pub fn schedule(&mut self, id: TransactionId, intents: &[Intent], work: W) -> Scheduled<W> {
        let granted = Bug::LockNotTaken.is_planted() || !self.locks.any_conflicts(intents);
        let newest = self.pending.back().map_or(TransactionId::NONE, |last| last.id);
        if !granted
            && id < newest
            && !Bug::LateIdNotRefused.is_planted()
            && self.conflicts_with_younger(id, intents)
        {
            return Scheduled::Refused { newest, work };
        }
        self.insert(id, intents, work, granted);
        if granted { Scheduled::Granted } else { Scheduled::Waiting }
    }

    /// Gives work that concerns this shard alone the last place; it is not granted yet, since it met a
    /// conflict.
    pub fn schedule_last(&mut self, intents: &[Intent], work: W) {
        let newest = self.pending.back().map_or(TransactionId::NONE, |last| last.id);
        self.insert(newest.next_local(), intents, work, false);
    }

    fn insert(&mut self, id: TransactionId, intents: &[Intent], work: W, granted: bool) {
        self.locks.add(intents);
        let mut list = self.spare.pop().unwrap_or_default();
        list.extend_from_slice(intents);
        let mut at = self.pending.partition_point(|pending| pending.id < id);
        if Bug::QueueNotOrdered.is_planted() {
            at = self.pending.len();
        }
        self.waiting += usize::from(!granted);
        self.pending.insert(at, Pending { id, intents: list, granted, work: Some(work) });
    }

    fn conflicts_with_younger(&mut self, id: TransactionId, intents: &[Intent]) -> bool {
        let first = self.pending.partition_point(|pending| pending.id < id);
        let younger = || self.pending.iter().skip(first);
        younger().for_each(|pending| self.scratch.add(&pending.intents));
        let conflicts = self.scratch.any_conflicts(intents);
        younger().for_each(|pending| self.scratch.remove(&pending.intents));
        conflicts
    }

    fn position(&self, id: TransactionId) -> Option<usize> {
        self.pending.iter().position(|pending| pending.id == id)
    }

    /// The work of a granted transaction that has not been taken.
    pub fn work_mut(&mut self, id: TransactionId) -> Option<&mut W> {
        let position = self.position(id)?;
        self.pending[position].work.as_mut()
    }

    /// The work of a granted transaction, to be run; its locks stay.
    pub fn take_work(&mut self, id: TransactionId) -> Option<W> {
        let position = self.position(id)?;
        self.pending[position].work.take()
    }

    /// A transaction has done its work here, or gives up: lets go of its locks. Returns what work was not
    /// taken. Who is granted by that comes out of [`Queue::next_granted`].
    pub fn conclude(&mut self, id: TransactionId) -> Option<W> {
        let position = self.position(id)?;
        let Pending { mut intents, granted, work, .. } = self.pending.remove(position)?;
        self.waiting -= usize::from(!granted);
        self.locks.remove(&intents);
        if self.spare.len() < SPARE_MAX {
            intents.clear();
            self.spare.push(intents);
        }
        if !Bug::WakeLost.is_planted() {
            self.grant();
        }
        work
    }

    /// Grants whoever conflicts with nobody before it.
    fn grant(&mut self) {
        let (mut left, mut scanned, mut seen) = (self.waiting, 0, 0);
        for position in 0..self.pending.len() {
            if left == 0 || scanned > SCANNED_INTENTS_MAX {
                break;
            }
            let pending = &mut self.pending[position];
            if !pending.granted {
                left -= 1;
                if !self.scratch.any_conflicts(&pending.intents) {
                    pending.granted = true;
                    self.waiting -= 1;
                    self.granted.push_back(pending.id);
                }
            }
            scanned += pending.intents.len();
            self.scratch.add(&pending.intents);
            seen = position + 1;
        }
        self.pending.iter().take(seen).for_each(|pending| self.scratch.remove(&pending.intents));
    }

    /// The next transaction that has been granted by the end of another.
    pub fn next_granted(&mut self) -> Option<TransactionId> {
        // Between its grant and now it may have been given up.
        while let Some(id) = self.granted.pop_front() {
            if self.position(id).is_some() {
                return Some(id);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(time: u64) -> TransactionId {
        TransactionId::new(time, 0)
    }

    fn read(key: u64) -> Intent {
        Intent::key(key << 51, false)
    }

    fn write(key: u64) -> Intent {
        Intent::key(key << 51, true)
    }

    fn schedule(queue: &mut Queue<&'static str>, time: u64, intents: &[Intent]) -> Scheduled<&'static str> {
        queue.schedule(id(time), intents, "work")
    }

    fn granted(queue: &mut Queue<&'static str>) -> Vec<u64> {
        std::iter::from_fn(|| queue.next_granted()).map(TransactionId::time).collect()
    }

    #[test]
    fn without_a_conflict_the_order_does_not_matter() {
        let mut queue = Queue::default();
        assert_eq!(schedule(&mut queue, 5, &[write(1)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 3, &[write(2)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 4, &[read(3)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 1, &[read(3)]), Scheduled::Granted);
        for time in [3, 5, 1, 4] {
            assert_eq!(queue.conclude(id(time)), Some("work"));
        }
        assert!(queue.is_empty() && queue.locks.is_empty());
    }

    #[test]
    fn who_conflicts_waits_for_older_ones_and_is_refused_by_younger_ones() {
        let mut queue = Queue::default();
        assert_eq!(schedule(&mut queue, 5, &[write(1)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 7, &[write(1), write(2)]), Scheduled::Waiting);
        let refused = Scheduled::Refused { newest: id(7), work: "work" };
        assert_eq!(schedule(&mut queue, 6, &[read(2)]), refused, "a younger one waits for the same");
        assert_eq!(schedule(&mut queue, 4, &[read(1)]), Scheduled::Refused { newest: id(7), work: "work" });
        assert_eq!(schedule(&mut queue, 8, &[read(2)]), Scheduled::Waiting);
        queue.conclude(id(5));
        assert_eq!(granted(&mut queue), [7]);
        queue.conclude(id(7));
        assert_eq!(granted(&mut queue), [8]);
    }

    #[test]
    fn an_older_one_may_wait_between_others() {
        let mut queue = Queue::default();
        assert_eq!(schedule(&mut queue, 2, &[write(1)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 9, &[write(2)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 5, &[write(1)]), Scheduled::Waiting, "9 is none of its business");
        queue.conclude(id(2));
        assert_eq!(granted(&mut queue), [5]);
    }

    #[test]
    fn local_work_comes_last() {
        let mut queue = Queue::default();
        assert_eq!(schedule(&mut queue, 2, &[write(1)]), Scheduled::Granted);
        queue.schedule_last(&[read(1)], "first");
        queue.schedule_last(&[write(1)], "second");
        queue.conclude(id(2));
        let first = queue.next_granted().unwrap();
        assert_eq!(queue.next_granted(), None);
        assert_eq!(queue.conclude(first), Some("first"));
        let second = queue.next_granted().unwrap();
        assert_eq!(queue.conclude(second), Some("second"));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_given_up_is_not_granted() {
        let mut queue = Queue::default();
        assert_eq!(schedule(&mut queue, 1, &[write(1)]), Scheduled::Granted);
        assert_eq!(schedule(&mut queue, 2, &[write(1)]), Scheduled::Waiting);
        assert_eq!(schedule(&mut queue, 3, &[write(1)]), Scheduled::Waiting);
        queue.conclude(id(1));
        assert_eq!(queue.conclude(id(2)), Some("work"));
        assert_eq!(granted(&mut queue), [3]);
        assert_eq!(queue.conclude(id(3)), Some("work"));
        assert!(queue.locks.is_empty() && queue.scratch.is_empty());
    }
}
