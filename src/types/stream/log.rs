//! The entries of a stream, in blocks that are ordered by id, and what is known of all that it ever had.

use super::block::{Block, Entries, Entry, Limits, Pairs};
use super::ordered::{Ordered, Place};
use super::{Id, Threshold, Trim};

/// The most bytes of an entry's names and values.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// The names that restored entries have in common.
pub struct RestoredNames {
    /// What they take in a block.
    bytes: usize,
    /// Whether they are those of the last block.
    are_last: bool,
}

impl RestoredNames {
    pub fn new(names: &[Vec<u8>]) -> RestoredNames {
        RestoredNames { bytes: names.iter().map(|name| name.len() + 1).sum(), are_last: false }
    }
}

/// The entries of a stream.
#[derive(Debug, Default)]
pub struct Log {
    blocks: Ordered<Block>,
    /// Bytes that the blocks have allocated.
    block_bytes: usize,
    len: u64,
    /// The last id that was given out.
    last_id: Id,
    /// The highest id of an entry that was deleted by its id.
    max_deleted_id: Id,
    /// How many entries there ever were.
    entries_added: u64,
    /// The id of the last entry, if there is one.
    last_entry: Option<Id>,
    /// The id of the last entry of the last block, even if it is deleted: it may then be above the last id that
    /// was given out, which can be set back.
    tail: Id,
}

impl Clone for Log {
    /// A copy has no room to spare.
    fn clone(&self) -> Log {
        let blocks = self.blocks.clone();
        let block_bytes = blocks.iter().map(Block::heap_bytes).sum();
        Log { blocks, block_bytes, ..*self }
    }
}

impl Log {
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn last_id(&self) -> Id {
        self.last_id
    }

    #[inline]
    pub fn max_deleted_id(&self) -> Id {
        self.max_deleted_id
    }

    #[inline]
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The id of the last entry, if there is one.
    #[inline]
    pub fn last_entry_id(&self) -> Option<Id> {
        self.last_entry
    }

    /// The id of the first entry, if there is one.
    #[inline]
    pub fn first_entry_id(&self) -> Option<Id> {
        self.blocks.first()?.entries().next().map(|entry| entry.id)
    }

    pub fn set_last_id(&mut self, id: Id) {
        self.last_id = id;
    }

    pub fn set_max_deleted_id(&mut self, id: Id) {
        self.max_deleted_id = id;
    }

    pub fn set_entries_added(&mut self, count: u64) {
        self.entries_added = count;
    }

    /// Bytes allocated beyond the structure itself.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.block_bytes + self.blocks.heap_bytes()
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The id that an entry gets now which does not say its own; none if the last one has been given out.
    #[inline]
    pub fn next_id(&self, now_ms: u64) -> Option<Id> {
        if now_ms > self.last_id.ms { Some(Id::new(now_ms, 0)) } else { self.last_id.next() }
    }

    /// Adds an entry. Its id must be above the last one, and its names and values within
    /// [`ENTRY_BYTES_MAX`].
    #[inline]
    pub fn append<'a>(&mut self, id: Id, pairs: impl Pairs<'a>, limits: Limits) {
        debug_assert!(id > self.last_id);
        let tail = self.tail;
        // Within a block ids only grow, those of deleted entries included.
        if id <= tail || !self.edit_last(|block| block.push(tail, id, pairs.clone(), limits)) {
            self.append_block(id, pairs);
        }
        self.note_added(id);
    }

    /// Adds an entry of a stream that is being restored, whose names are those of `names` if it `shares` them.
    pub fn append_restored<'a>(
        &mut self,
        id: Id,
        pairs: impl Pairs<'a>,
        shares: bool,
        names: &mut RestoredNames,
        limits: Limits,
    ) {
        let tail = self.tail;
        if !shares && !names.are_last {
            return self.append(id, pairs, limits);
        }
        let how = (shares, names.bytes);
        let pushed = names.are_last
            && self.edit_last(|block| block.push_restored(tail, id, pairs.clone(), how, limits));
        if !pushed {
            self.append_block(id, pairs);
            names.are_last = shares;
        }
        self.note_added(id);
    }

    /// Lets `push` add to the last block, if there is one, and counts its memory.
    #[inline]
    fn edit_last(&mut self, push: impl FnOnce(&mut Block) -> bool) -> bool {
        let Some(block) = self.blocks.last_mut() else { return false };
        let before = block.heap_bytes();
        let pushed = push(block);
        self.block_bytes = self.block_bytes + block.heap_bytes() - before;
        pushed
    }

    #[inline]
    fn note_added(&mut self, id: Id) {
        self.len += 1;
        // The number of a stream that was restored may be any.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        self.last_entry = Some(id);
        self.tail = id;
    }

    /// Begins a new block, of which is expected that it becomes like the one before.
    fn append_block<'a>(&mut self, id: Id, pairs: impl Pairs<'a>) {
        let room = match self.blocks.last_mut() {
            Some(last) => {
                let before = last.heap_bytes();
                last.close();
                self.block_bytes = self.block_bytes + last.heap_bytes() - before;
                last.used_bytes()
            }
            None => 0,
        };
        let block = Block::new(id, pairs, room);
        self.block_bytes += block.heap_bytes();
        self.blocks.insert(block);
    }

    /// Deletes the entry with this id; `false`: there is none.
    pub fn delete(&mut self, id: Id) -> bool {
        let Some(place) = self.blocks.floor(id) else { return false };
        let Some(block) = self.blocks.at_mut(place) else { return false };
        if !block.delete(id) {
            return false;
        }
        if block.len() == 0 {
            self.remove_block(place);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if self.last_entry == Some(id) {
            self.find_last_entry();
        }
        true
    }

    fn remove_block(&mut self, place: Place) {
        let was_last = self.blocks.last_place() == Some(place);
        if let Some(block) = self.blocks.remove_at(place) {
            self.block_bytes -= block.heap_bytes();
        }
        if was_last {
            self.tail = self.blocks.last().map_or(Id::MIN, Block::last_id);
        }
    }

    fn find_last_entry(&mut self) {
        self.last_entry = self.range_back(Id::MIN, Id::MAX).next().map(|entry| entry.id);
    }

    /// Removes entries from the beginning on as `trim` says: how many, and what was cut off to be freed.
    pub fn trim(&mut self, trim: Trim) -> (u64, Log) {
        let mut removed = 0;
        let mut place = self.blocks.first_place();
        let mut partly = false;
        while let Some(block) = self.blocks.at(place) {
            let live = u64::from(block.len());
            let is_enough = match trim.threshold {
                Threshold::Length(most) => self.len - removed <= most,
                Threshold::Id(_) => false,
            };
            if is_enough || trim.limit.is_some_and(|limit| removed + live > limit) {
                break;
            }
            if !self.is_before(place, live, removed, trim.threshold) {
                partly = !trim.approximate;
                break;
            }
            removed += live;
            place = self.blocks.behind(place);
        }
        let cut = self.blocks.cut_before(place);
        let cut_bytes = cut.iter().map(Block::heap_bytes).sum();
        self.block_bytes -= cut_bytes;
        self.len -= removed;
        let removed = removed + if partly { self.trim_first(trim.threshold) } else { 0 };
        if self.is_empty() {
            self.last_entry = None;
        }
        (removed, Log { blocks: cut, block_bytes: cut_bytes, ..Log::default() })
    }

    /// Whether a block goes as a whole, `removed` entries being before it.
    fn is_before(&self, place: Place, live: u64, removed: u64, threshold: Threshold) -> bool {
        match threshold {
            Threshold::Length(most) => self.len - removed - live >= most,
            Threshold::Id(id) => {
                let next = self.blocks.at(self.blocks.behind(place));
                next.is_some_and(|next| next.entries().next().is_some_and(|entry| entry.id <= id))
                    || self.blocks.at(place).is_some_and(|block| block.last_id() < id)
            }
        }
    }

    /// Deletes entries of the first block.
    fn trim_first(&mut self, threshold: Threshold) -> u64 {
        let len = self.len;
        let first = self.blocks.first_place();
        let Some(block) = self.blocks.at_mut(first) else { return 0 };
        let mut kept = len;
        let removed = u64::from(block.delete_until(|id| match threshold {
            Threshold::Id(threshold) => id >= threshold,
            Threshold::Length(most) => {
                let stays = kept <= most;
                kept -= u64::from(!stays);
                stays
            }
        }));
        if block.len() == 0 {
            self.remove_block(first);
        }
        self.len -= removed;
        removed
    }

    /// The entry with this id, if it is there.
    #[inline]
    pub fn get(&self, id: Id) -> Option<Entry<'_>> {
        let block = self.blocks.at(self.blocks.floor(id)?)?;
        block.entries().find(|entry| entry.id >= id).filter(|entry| entry.id == id)
    }

    /// The entries from one id to another, both included.
    #[inline]
    pub fn range(&self, first: Id, last: Id) -> Range<'_> {
        let place = self.blocks.floor(first).unwrap_or(self.blocks.first_place());
        let entries = self.blocks.at(place).map(Block::entries);
        Range { log: self, place, entries, first, last }
    }

    /// The same, the last one first.
    pub fn range_back(&self, first: Id, last: Id) -> RangeBack<'_> {
        let mut range =
            RangeBack { log: self, place: self.blocks.floor(last), entries: Vec::new(), first, last };
        // The very last entry, which is asked for most of the time, is known without a look at its block.
        if (first..=last).contains(&self.tail)
            && let Some(entry) = self.blocks.last().and_then(|block| block.last_entry(self.tail))
        {
            range.entries.push(entry);
            range.last = self.tail.previous().unwrap_or(Id::MIN);
        }
        range
    }

    /// Every block as its entries.
    pub fn blocks(&self) -> impl Iterator<Item = impl Iterator<Item = Entry<'_>>> {
        self.blocks.iter().map(Block::entries)
    }

    /// The entries of the first block that begins at this id or behind it.
    pub fn block_from(&self, first: Id) -> impl Iterator<Item = Entry<'_>> {
        self.blocks.at(self.blocks.ceiling(first)).into_iter().flat_map(Block::entries)
    }

    /// Frees about `budget` blocks; returns how many.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let bytes = &mut self.block_bytes;
        self.blocks.free_some(budget, |block| *bytes -= block.heap_bytes())
    }

    // How far a consumer group is.

    /// Whether an entry was deleted between `from` and the end, and behind the first one that is there.
    pub fn has_gaps_from(&self, from: Id) -> bool {
        let first = self.first_entry_id();
        self.max_deleted_id != Id::MIN
            && from <= self.max_deleted_id
            && first.is_some_and(|first| first <= self.max_deleted_id)
    }

    /// How many entries there ever were up to this id; `None` if that cannot be told.
    pub fn entries_up_to(&self, id: Id) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        let first = self.first_entry_id().unwrap_or(Id::MIN);
        if self.max_deleted_id == Id::MIN || self.max_deleted_id < first {
            let before = self.entries_added.wrapping_sub(self.len);
            match id.cmp(&first) {
                std::cmp::Ordering::Less => return Some(before),
                std::cmp::Ordering::Equal => return Some(before.wrapping_add(1)),
                std::cmp::Ordering::Greater => {}
            }
        }
        None
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        self.blocks.check_invariants();
        self.blocks.iter().for_each(Block::check_invariants);
        assert_eq!(self.block_bytes, self.blocks.iter().map(Block::heap_bytes).sum());
        assert_eq!(self.len, self.blocks.iter().map(|block| u64::from(block.len())).sum());
        let ids: Vec<Id> = self.range(Id::MIN, Id::MAX).map(|entry| entry.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!((self.first_entry_id(), self.last_entry), (ids.first().copied(), ids.last().copied()));
        if let Some(last) = self.blocks.last() {
            assert_eq!(self.tail, last.last_id());
        }
    }
}

/// The entries between two ids.
pub struct Range<'a> {
    log: &'a Log,
    place: Place,
    /// What is left of the block at `place`.
    entries: Option<Entries<'a>>,
    first: Id,
    last: Id,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            match self.entries.as_mut()?.next() {
                Some(entry) if entry.id > self.last => {
                    self.entries = None;
                    return None;
                }
                Some(entry) if entry.id >= self.first => return Some(entry),
                Some(_) => {}
                None => {
                    self.place = self.log.blocks.behind(self.place);
                    self.entries = self.log.blocks.at(self.place).map(Block::entries);
                }
            }
        }
    }
}

/// The entries between two ids from behind: those of a block are found forward and given out backward.
pub struct RangeBack<'a> {
    log: &'a Log,
    /// The next block to look at, if there is one.
    place: Option<Place>,
    entries: Vec<Entry<'a>>,
    first: Id,
    last: Id,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.entries.pop() {
                return Some(entry);
            }
            let place = self.place.take()?;
            let block = self.log.blocks.at(place)?;
            let (first, last) = (self.first, self.last);
            self.entries.reserve(block.len() as usize);
            let within = block.entries().skip_while(|entry| entry.id < first);
            self.entries.extend(within.take_while(|entry| entry.id <= last));
            let reaches_first = block.entries().next().is_some_and(|entry| entry.id <= first);
            self.place = if reaches_first { None } else { self.log.blocks.before(place) };
        }
    }
}
