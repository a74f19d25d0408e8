//! The batches that this shard has under way, by number.

use crate::shard::batch::{Batch, BatchKind, Group};

use super::wait::PartOf;

/// Empty batches kept for the next use.
const POOL_MAX: usize = 64;

/// A batch and who reads its replies.
#[derive(Default)]
struct Entry {
    /// `None` while another shard has it.
    batch: Option<Box<Batch>>,
    /// Waits that have not taken their replies yet.
    readers: u32,
}

/// The batches of one kind that still take items.
struct Lane {
    /// By target shard.
    open: Vec<Option<u32>>,
    /// Targets that have an open batch, in the order in which they were opened.
    opened: std::collections::VecDeque<usize>,
}

pub struct Batches {
    entries: Vec<Entry>,
    free: Vec<u32>,
    #[allow(clippy::vec_box, reason = "batches travel in their boxes")]
    pool: Vec<Box<Batch>>,
    lanes: [Lane; 3],
}

impl Batches {
    pub fn new(shards: usize) -> Self {
        let lane = || Lane { open: vec![None; shards], opened: std::collections::VecDeque::new() };
        Batches { entries: Vec::new(), free: Vec::new(), pool: Vec::new(), lanes: [lane(), lane(), lane()] }
    }

    /// Batches that are open, with other shards, or back and not read by everybody.
    pub fn in_use(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The number of the batch of this kind that takes items for `target`.
    pub fn open_for(&mut self, kind: BatchKind, origin: usize, target: usize) -> u32 {
        if let Some(number) = self.lanes[kind as usize].open[target] {
            return number;
        }
        let number = self.new_batch(kind, origin, target);
        let lane = &mut self.lanes[kind as usize];
        lane.open[target] = Some(number);
        lane.opened.push_back(target);
        number
    }

    /// The number of a batch that nobody else puts items in.
    pub fn new_batch(&mut self, kind: BatchKind, origin: usize, target: usize) -> u32 {
        let mut batch = self.pool.pop().unwrap_or_default();
        batch.origin = origin as u16;
        batch.target = target as u16;
        batch.kind = kind;
        self.adopt(batch)
    }

    /// Gives a batch that came from elsewhere a number.
    pub fn adopt(&mut self, mut batch: Box<Batch>) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        batch.number = number;
        self.entries[number as usize].batch = Some(batch);
        number
    }

    /// An empty batch without a number.
    pub fn take_empty(&mut self) -> Box<Batch> {
        self.pool.pop().unwrap_or_default()
    }

    /// An open batch, to put items in; or one that is back.
    #[inline(always)]
    pub fn batch_mut(&mut self, number: u32) -> &mut Batch {
        self.entries[number as usize].batch.get_or_insert_default()
    }

    /// The reply to the first item of a part; the batch is back.
    pub fn reply(&self, part: &PartOf) -> &[u8] {
        match &self.entries[part.batch as usize].batch {
            Some(batch) => batch.reply(part.first),
            None => &[],
        }
    }

    /// The reply to item `item` of a part; the batch is back.
    pub fn reply_at(&self, part: &PartOf, item: u32) -> &[u8] {
        match &self.entries[part.batch as usize].batch {
            Some(batch) => batch.reply(item),
            None => &[],
        }
    }

    /// What was put in a batch since the last group is `wait`'s.
    pub fn add_wait(&mut self, number: u32, wait: u32) {
        self.batch_mut(number).end_group(wait);
        self.add_reader(number);
    }

    /// One more will [release](Batches::release) it.
    pub fn add_reader(&mut self, number: u32) {
        self.entries[number as usize].readers += 1;
    }

    /// Closes the oldest open batch of a kind: its target and number.
    pub fn next_open(&mut self, kind: BatchKind) -> Option<(usize, u32)> {
        let lane = &mut self.lanes[kind as usize];
        let target = lane.opened.pop_front()?;
        Some((target, lane.open[target].take()?))
    }

    /// Hands a closed batch out to be run.
    pub fn lend(&mut self, number: u32) -> Option<Box<Batch>> {
        self.entries[number as usize].batch.take()
    }

    /// A batch is back.
    pub fn give_back(&mut self, batch: Box<Batch>) {
        let number = batch.number as usize;
        self.entries[number].batch = Some(batch);
    }

    /// Who waits for a batch that is back; the list goes to [`Batches::return_groups`] afterwards.
    pub fn take_groups(&mut self, number: u32) -> Vec<Group> {
        std::mem::take(&mut self.batch_mut(number).groups)
    }

    /// Keeps the capacity of a list of groups.
    pub fn return_groups(&mut self, mut groups: Vec<Group>) {
        if let Some(batch) = self.pool.last_mut()
            && batch.groups.capacity() == 0
        {
            groups.clear();
            batch.groups = groups;
        }
    }

    /// A wait has taken its replies; the last one frees the batch.
    pub fn release(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        entry.readers -= 1;
        if entry.readers > 0 {
            return;
        }
        if let Some(batch) = entry.batch.take() {
            self.recycle(batch);
        }
        self.free.push(number);
    }

    /// Keeps a batch for the next use.
    pub fn recycle(&mut self, mut batch: Box<Batch>) {
        if self.pool.len() < POOL_MAX {
            batch.clear();
            self.pool.push(batch);
        }
    }
}
