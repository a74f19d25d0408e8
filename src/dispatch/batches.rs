//! The batches that this shard has under way, by number.

use crate::shard::batch::Batch;

/// Empty batches kept for the next use.
const POOL_MAX: usize = 64;

/// A batch and who waits for it.
#[derive(Default)]
struct Entry {
    /// `None` while another shard has it.
    batch: Option<Box<Batch>>,
    /// Numbers of waits that have items in it.
    waits: Vec<u32>,
    /// Waits that have not taken their replies yet.
    readers: u32,
}

pub struct Batches {
    entries: Vec<Entry>,
    free: Vec<u32>,
    #[allow(clippy::vec_box, reason = "batches travel in their boxes")]
    pool: Vec<Box<Batch>>,
    /// By target shard, the number of the batch that still takes items.
    open: Vec<Option<u32>>,
    /// Targets that have an open batch, in the order in which they were opened.
    opened: std::collections::VecDeque<usize>,
}

impl Batches {
    pub fn new(shards: usize) -> Self {
        Batches {
            entries: Vec::new(),
            free: Vec::new(),
            pool: Vec::new(),
            open: vec![None; shards],
            opened: std::collections::VecDeque::new(),
        }
    }

    /// The number of the batch that takes items for `target`.
    pub fn open_for(&mut self, origin: usize, target: usize) -> u32 {
        if let Some(number) = self.open[target] {
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        let mut batch = self.pool.pop().unwrap_or_default();
        batch.origin = origin as u16;
        batch.target = target as u16;
        batch.number = number;
        self.entries[number as usize].batch = Some(batch);
        self.open[target] = Some(number);
        self.opened.push_back(target);
        number
    }

    /// An open batch, to put items in.
    #[inline(always)]
    pub fn batch_mut(&mut self, number: u32) -> &mut Batch {
        self.entries[number as usize].batch.get_or_insert_default()
    }

    /// The reply to the first item of a part; the batch is back.
    pub fn reply(&self, part: &super::wait::PartOf) -> &[u8] {
        match &self.entries[part.batch as usize].batch {
            Some(batch) => batch.reply(part.first),
            None => &[],
        }
    }

    /// `wait` has items in this batch.
    pub fn add_wait(&mut self, number: u32, wait: u32) {
        let entry = &mut self.entries[number as usize];
        entry.waits.push(wait);
        entry.readers += 1;
    }

    /// Closes the oldest open batch: its target and number.
    pub fn next_open(&mut self) -> Option<(usize, u32)> {
        let target = self.opened.pop_front()?;
        Some((target, self.open[target].take()?))
    }

    /// Hands a closed batch out to be run.
    pub fn lend(&mut self, number: u32) -> Option<Box<Batch>> {
        self.entries[number as usize].batch.take()
    }

    /// A batch is back with its replies: who waited for it.
    pub fn give_back(&mut self, batch: Box<Batch>) -> Vec<u32> {
        let entry = &mut self.entries[batch.number as usize];
        entry.batch = Some(batch);
        std::mem::take(&mut entry.waits)
    }

    /// Keeps the capacity of the list that [`Batches::give_back`] returned.
    pub fn return_waits(&mut self, number: u32, mut waits: Vec<u32>) {
        waits.clear();
        if let Some(entry) = self.entries.get_mut(number as usize)
            && entry.waits.capacity() == 0
        {
            entry.waits = waits;
        }
    }

    /// A wait has taken its replies; the last one frees the batch.
    pub fn release(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        entry.readers -= 1;
        if entry.readers > 0 {
            return;
        }
        if let Some(mut batch) = entry.batch.take()
            && self.pool.len() < POOL_MAX
        {
            batch.clear();
            self.pool.push(batch);
        }
        self.free.push(number);
    }
}
