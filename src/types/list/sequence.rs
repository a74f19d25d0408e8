//! A long list: packed blocks, some of them to a chunk.
//!
//! ```text
//!   chunks   | 90,000 elements  | 80,000 elements  | ... |     a deque of chunks
//!              └ blocks | 700 | 650 | ... |                    each a deque of up to 128 blocks
//!                         └ elements                           each some kilobytes
//! ```
//!
//! Pushes and pops touch the block at an end. The way to an index goes over chunks, then blocks, then
//! marks. No array here grows with the list but that of the chunks, of which a billion small elements need
//! some thousand.

use std::collections::VecDeque;

use crate::types::packed::{self, End, Item, Limit, Packed, Wanted};

/// Blocks of a chunk; few in tests, so that they meet many chunks.
const CHUNK_BLOCKS_MAX: usize = if cfg!(test) { 4 } else { 128 };

#[derive(Debug, Default)]
struct Chunk {
    blocks: VecDeque<Packed>,
    /// Of all its blocks.
    elements: usize,
}

impl Chunk {
    fn of(blocks: VecDeque<Packed>) -> Chunk {
        let elements = blocks.iter().map(Packed::len).sum();
        Chunk { blocks, elements }
    }

    /// Bytes of the deque and of what the blocks have allocated.
    fn heap_bytes(&self) -> usize {
        self.own_bytes() + self.blocks.iter().map(Packed::heap_bytes).sum::<usize>()
    }

    /// Bytes of the deque.
    fn own_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Packed>()
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: usize,
    block: usize,
}

/// A sequence of byte strings in many blocks. No block and no chunk is empty between calls.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    chunks: VecDeque<Chunk>,
    elements: usize,
    blocks: usize,
    /// Bytes of all chunks and blocks, without the deque of the chunks.
    chunk_bytes: usize,
}

impl Sequence {
    /// A sequence that begins as one block, which may be empty.
    pub(super) fn of(block: Packed) -> Sequence {
        let mut sequence = Sequence::default();
        if !block.is_empty() {
            sequence.add_block(End::Back, block);
        }
        sequence
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.elements
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Bytes allocated beyond the structure itself.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.chunk_bytes + self.chunks.capacity() * size_of::<Chunk>()
    }

    #[inline]
    fn block(&self, place: Place) -> &Packed {
        &self.chunks[place.chunk].blocks[place.block]
    }

    /// The block at an end.
    #[inline]
    fn place_at(&self, end: End) -> Option<Place> {
        match end {
            End::Front => (!self.chunks.is_empty()).then_some(Place { chunk: 0, block: 0 }),
            End::Back => {
                let chunk = self.chunks.len().checked_sub(1)?;
                Some(Place { chunk, block: self.chunks[chunk].blocks.len() - 1 })
            }
        }
    }

    /// The block with element `index`, which must be there, and the index within.
    fn locate(&self, index: usize) -> (Place, usize) {
        let mut within = index;
        let mut chunk = 0;
        if index <= self.elements / 2 {
            while within >= self.chunks[chunk].elements {
                within -= self.chunks[chunk].elements;
                chunk += 1;
            }
        } else {
            chunk = self.chunks.len();
            let mut before = self.elements;
            while before > index {
                chunk -= 1;
                before -= self.chunks[chunk].elements;
            }
            within = index - before;
        }
        let mut block = 0;
        while within >= self.chunks[chunk].blocks[block].len() {
            within -= self.chunks[chunk].blocks[block].len();
            block += 1;
        }
        (Place { chunk, block }, within)
    }

    /// Lets `change` work on a block and counts what came of it. A block that became empty is the caller's.
    #[inline]
    fn edit<R>(&mut self, place: Place, change: impl FnOnce(&mut Packed) -> R) -> R {
        let chunk = &mut self.chunks[place.chunk];
        let block = &mut chunk.blocks[place.block];
        let (bytes, elements) = (block.heap_bytes(), block.len());
        let result = change(block);
        self.chunk_bytes = self.chunk_bytes + block.heap_bytes() - bytes;
        self.elements = self.elements + block.len() - elements;
        chunk.elements = chunk.elements + block.len() - elements;
        result
    }

    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        if let Some(place) = self.place_at(end)
            && self.edit(place, |block| block.push(end, element, limit))
        {
            return;
        }
        self.add_block(end, block_of(element, limit));
    }

    /// Adds a block at an end.
    #[inline(never)]
    fn add_block(&mut self, end: End, block: Packed) {
        let (chunks, full) = (&mut self.chunks, |chunk: &Chunk| chunk.blocks.len() == CHUNK_BLOCKS_MAX);
        let chunk = match end {
            End::Front => {
                if chunks.front().is_none_or(full) {
                    chunks.push_front(Chunk::default());
                }
                0
            }
            End::Back => {
                if chunks.back().is_none_or(full) {
                    chunks.push_back(Chunk::default());
                }
                chunks.len() - 1
            }
        };
        let block_index = if end == End::Front { 0 } else { self.chunks[chunk].blocks.len() };
        self.insert_block(Place { chunk, block: block_index }, block);
    }

    /// Puts a block before the one at `place` or at the end of its chunk, and says where it is now.
    fn insert_block(&mut self, mut place: Place, block: Packed) -> Place {
        if self.chunks[place.chunk].blocks.len() == CHUNK_BLOCKS_MAX {
            place = self.split_chunk(place);
        }
        let chunk = &mut self.chunks[place.chunk];
        let own_bytes = chunk.own_bytes();
        self.chunk_bytes += block.heap_bytes();
        self.elements += block.len();
        chunk.elements += block.len();
        self.blocks += 1;
        chunk.blocks.insert(place.block, block);
        self.chunk_bytes = self.chunk_bytes + chunk.own_bytes() - own_bytes;
        place
    }

    /// Makes two chunks of one and says where `place` is now.
    fn split_chunk(&mut self, place: Place) -> Place {
        let half = CHUNK_BLOCKS_MAX / 2;
        let chunk = &mut self.chunks[place.chunk];
        let own_bytes = chunk.own_bytes();
        let tail = Chunk::of(chunk.blocks.split_off(half));
        chunk.elements -= tail.elements;
        self.chunk_bytes = self.chunk_bytes + chunk.own_bytes() + tail.own_bytes() - own_bytes;
        self.chunks.insert(place.chunk + 1, tail);
        if place.block >= half { Place { chunk: place.chunk + 1, block: place.block - half } } else { place }
    }

    /// Takes a block out, and its chunk if that is left empty.
    fn remove_block(&mut self, place: Place) -> Option<Packed> {
        let chunk = &mut self.chunks[place.chunk];
        let block = chunk.blocks.remove(place.block)?;
        chunk.elements -= block.len();
        self.elements -= block.len();
        self.blocks -= 1;
        self.chunk_bytes -= block.heap_bytes();
        if chunk.blocks.is_empty() {
            self.chunk_bytes -= chunk.own_bytes();
            self.chunks.remove(place.chunk);
        }
        Some(block)
    }

    #[inline]
    pub(super) fn peek(&self, end: End) -> Option<Item<'_>> {
        self.block(self.place_at(end)?).peek(end)
    }

    #[inline]
    pub(super) fn pop(&mut self, end: End) {
        let Some(place) = self.place_at(end) else { return };
        self.edit(place, |block| block.cut(end, 1));
        self.remove_if_empty(place);
    }

    /// Takes `count` elements away at an end, fewer than there are, and returns those in chunks that went
    /// as a whole.
    pub(super) fn cut(&mut self, end: End, mut count: usize) -> Sequence {
        let mut cut = Sequence::default();
        while let Some(chunk) = self.take_chunk(end, count) {
            count -= chunk.elements;
            cut.elements += chunk.elements;
            cut.blocks += chunk.blocks.len();
            cut.chunk_bytes += chunk.heap_bytes();
            cut.chunks.push_back(chunk);
        }
        while let Some(place) = self.place_at(end)
            && count > 0
        {
            let elements = self.block(place).len();
            if elements <= count {
                self.remove_block(place);
            } else {
                self.edit(place, |block| block.cut(end, count));
            }
            count -= elements.min(count);
        }
        cut
    }

    /// Takes out the chunk at an end if it has no more than so many elements.
    fn take_chunk(&mut self, end: End, elements_max: usize) -> Option<Chunk> {
        let chunk = if end == End::Front { self.chunks.front() } else { self.chunks.back() };
        chunk.filter(|chunk| chunk.elements <= elements_max)?;
        let chunk = if end == End::Front { self.chunks.pop_front() } else { self.chunks.pop_back() }?;
        self.elements -= chunk.elements;
        self.blocks -= chunk.blocks.len();
        self.chunk_bytes -= chunk.heap_bytes();
        Some(chunk)
    }

    pub(super) fn get(&self, index: usize) -> Option<Item<'_>> {
        if index >= self.elements {
            return None;
        }
        let (place, within) = self.locate(index);
        self.block(place).get(within)
    }

    /// Exchanges the element with this index, which must be there.
    pub(super) fn set(&mut self, index: usize, element: &[u8], limit: Limit) {
        let (place, within) = self.locate(index);
        if self.edit(place, |block| block.replace(within, element, limit)) {
            return;
        }
        // It gets a block of its own, between what was before and behind.
        let tail = self.split_block(place, within);
        let own = self.insert_block(tail, block_of(element, limit));
        let tail = Place { block: own.block + 1, ..own };
        self.edit(tail, |block| block.cut(End::Front, 1));
        self.remove_if_empty(tail);
        self.remove_if_empty(self.before(own));
    }

    /// Puts an element before the one with this index, or at the end.
    pub(super) fn insert(&mut self, index: usize, element: &[u8], limit: Limit) {
        if index == 0 || index >= self.elements {
            return self.push(if index == 0 { End::Front } else { End::Back }, element, limit);
        }
        // The block with the element before it comes first: it may have room at its end.
        let (place, within) = self.locate(index - 1);
        if self.edit(place, |block| block.insert(within + 1, element, limit)) {
            return;
        }
        let mut head = place;
        if within + 1 < self.block(place).len() {
            let tail = self.split_block(place, within + 1);
            head = self.before(tail);
            if self.edit(head, |block| block.push(End::Back, element, limit)) {
                return;
            }
        }
        self.insert_block(Place { block: head.block + 1, ..head }, block_of(element, limit));
    }

    /// Makes two blocks of one, cutting it before element `within`, and says where the second is. One of
    /// them may be empty.
    fn split_block(&mut self, place: Place, within: usize) -> Place {
        let tail = self.edit(place, |block| block.split_off(within));
        self.insert_block(Place { block: place.block + 1, ..place }, tail)
    }

    /// The block before the one at `place`, which is not the first.
    fn before(&self, place: Place) -> Place {
        match place.block {
            0 => Place { chunk: place.chunk - 1, block: self.chunks[place.chunk - 1].blocks.len() - 1 },
            block => Place { block: block - 1, ..place },
        }
    }

    fn remove_if_empty(&mut self, place: Place) {
        if self.block(place).is_empty() {
            self.remove_block(place);
        }
    }

    /// Removes elements that are equal to `wanted`, from an end on and at most so many.
    pub(super) fn remove(&mut self, end: End, count_max: usize, wanted: &Wanted<'_>, limit: Limit) -> usize {
        let mut left = count_max;
        let chunks = self.chunks.len();
        let mut seen = 0;
        while seen < chunks && left > 0 {
            let chunk = if end == End::Front { seen } else { chunks - 1 - seen };
            let blocks = self.chunks[chunk].blocks.len();
            for nth in 0..blocks {
                if left == 0 {
                    break;
                }
                let place = Place { chunk, block: if end == End::Front { nth } else { blocks - 1 - nth } };
                left -= self.edit(place, |block| block.remove(end, left, wanted));
            }
            seen += 1;
        }
        if left < count_max {
            let touched = if end == End::Front { 0..seen } else { chunks - seen..chunks };
            touched.rev().for_each(|chunk| self.tidy(chunk, limit));
        }
        count_max - left
    }

    /// Drops the empty blocks of a chunk and joins neighbours that have become small.
    fn tidy(&mut self, index: usize, limit: Limit) {
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        self.chunk_bytes -= chunk.heap_bytes();
        self.blocks -= chunk.blocks.len();
        let mut blocks: VecDeque<Packed> = VecDeque::with_capacity(chunk.blocks.len());
        for block in chunk.blocks.drain(..).filter(|block| !block.is_empty()) {
            let joined = blocks.back_mut().is_some_and(|last| join(last, &block, limit));
            if !joined {
                blocks.push_back(block);
            }
        }
        self.blocks += blocks.len();
        chunk.blocks = blocks;
        if chunk.blocks.is_empty() {
            self.chunks.remove(index);
        } else {
            chunk.blocks.shrink_to_fit();
            self.chunk_bytes += chunk.heap_bytes();
        }
    }

    /// The only block, if there is just one and it is within half of the limit; an empty one if there is none.
    #[inline]
    pub(super) fn take_only_block(&mut self, limit: Limit) -> Option<Packed> {
        if self.blocks > 1 {
            return None;
        }
        match self.place_at(End::Front) {
            None => Some(Packed::new()),
            Some(place) if self.block(place).is_sparse(limit) => self.remove_block(place),
            Some(_) => None,
        }
    }

    /// Frees up to `budget` blocks and returns how many.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let freed = budget.min(self.blocks);
        for _ in 0..freed {
            if let Some(place) = self.place_at(End::Back) {
                self.remove_block(place);
            }
        }
        freed
    }

    pub(super) fn iter_from(&self, index: usize) -> Iter<'_> {
        if index >= self.elements {
            return Iter { sequence: self, next: Place { chunk: self.chunks.len(), block: 0 }, items: None };
        }
        let (place, within) = self.locate(index);
        let next = Place { block: place.block + 1, ..place };
        Iter { sequence: self, next, items: Some(self.block(place).iter_from(within)) }
    }

    pub(super) fn iter_back_from(&self, index: usize) -> IterBack<'_> {
        let Some(last) = index.min(self.elements).checked_sub(1) else {
            return IterBack { sequence: self, place: Place { chunk: 0, block: 0 }, items: None };
        };
        let (place, within) = self.locate(last);
        IterBack { sequence: self, place, items: Some(self.block(place).iter_back_from(within + 1)) }
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let blocks = || self.chunks.iter().flat_map(|chunk| &chunk.blocks);
        blocks().for_each(Packed::check_invariants);
        assert!(blocks().all(|block| !block.is_empty()));
        assert_eq!(blocks().map(Packed::len).sum::<usize>(), self.elements);
        assert_eq!(blocks().count(), self.blocks);
        assert_eq!(self.chunks.iter().map(Chunk::heap_bytes).sum::<usize>(), self.chunk_bytes);
        for chunk in &self.chunks {
            assert!((1..=CHUNK_BLOCKS_MAX).contains(&chunk.blocks.len()));
            assert_eq!(chunk.blocks.iter().map(Packed::len).sum::<usize>(), chunk.elements);
        }
    }
}

/// A block with one element.
fn block_of(element: &[u8], limit: Limit) -> Packed {
    let mut block = Packed::new();
    let pushed = block.push(End::Back, element, limit);
    debug_assert!(pushed, "an empty block takes any element");
    block
}

/// Appends the elements of a block to another, if they easily fit.
fn join(into: &mut Packed, from: &Packed, limit: Limit) -> bool {
    if !into.could_join(from, limit) {
        return false;
    }
    let before = into.len();
    let mut text = Vec::new();
    for item in from.iter_from(0) {
        text.clear();
        item.write(&mut text);
        // Another base may make them longer.
        if !into.push(End::Back, &text, limit) {
            into.cut(End::Back, into.len() - before);
            return false;
        }
    }
    true
}

impl Clone for Sequence {
    fn clone(&self) -> Sequence {
        let chunk = |chunk: &Chunk| Chunk { blocks: chunk.blocks.clone(), elements: chunk.elements };
        let chunks: VecDeque<Chunk> = self.chunks.iter().map(chunk).collect();
        // Copies have other room than their originals.
        let chunk_bytes = chunks.iter().map(Chunk::heap_bytes).sum();
        Sequence { chunks, chunk_bytes, ..*self }
    }
}

/// The elements of a sequence in their order.
pub struct Iter<'a> {
    sequence: &'a Sequence,
    /// The block after the one at hand; maybe the end of its chunk.
    next: Place,
    items: Option<packed::Iter<'a>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(item) = self.items.as_mut()?.next() {
                return Some(item);
            }
            if self.next.block == self.sequence.chunks[self.next.chunk].blocks.len() {
                self.next = Place { chunk: self.next.chunk + 1, block: 0 };
            }
            let chunk = self.sequence.chunks.get(self.next.chunk);
            self.items = chunk.map(|chunk| chunk.blocks[self.next.block].iter_from(0));
            self.next.block += 1;
        }
    }
}

/// The elements of a sequence from behind.
pub struct IterBack<'a> {
    sequence: &'a Sequence,
    /// The block at hand.
    place: Place,
    items: Option<packed::IterBack<'a>>,
}

impl<'a> Iterator for IterBack<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(item) = self.items.as_mut()?.next() {
                return Some(item);
            }
            if self.place.block == 0 {
                let chunk = self.place.chunk.checked_sub(1)?;
                self.place = Place { chunk, block: self.sequence.chunks[chunk].blocks.len() };
            }
            self.place.block -= 1;
            let block = self.sequence.block(self.place);
            self.items = Some(block.iter_back_from(block.len()));
        }
    }
}
