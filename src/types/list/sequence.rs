//! A long list: packed blocks, some of them to a section.
//!
//! ```text
//!   sections   | 90,000 elements  | 80,000 elements  | ... |     a deque of sections
//!              └ blocks | 700 | 650 | ... |                    each a deque of up to 128 blocks
//!                         └ elements                           each some kilobytes
//! ```
//!
//! Pushes and pops touch the block at an end. The way to an index goes over sections, then blocks, then
//! marks. No array here grows with the list but that of the sections, of which a billion small elements need
//! some thousand.

use std::collections::VecDeque;

use crate::types::packed::{self, End, Item, Limit, Packed, Wanted};

/// Blocks of a section; few in tests, so that they meet many sections.
const SECTION_BLOCKS_MAX: usize = if cfg!(test) { 4 } else { 128 };

#[derive(Debug, Default)]
struct Section {
    blocks: VecDeque<Packed>,
    /// Of all its blocks.
    elements: usize,
}

impl Section {
    fn of(blocks: VecDeque<Packed>) -> Section {
        let elements = blocks.iter().map(Packed::len).sum();
        Section { blocks, elements }
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
    section: usize,
    block: usize,
}

/// A sequence of byte strings in many blocks. No block and no section is empty between calls.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    sections: VecDeque<Section>,
    elements: usize,
    blocks: usize,
    /// Bytes of all sections and blocks, without the deque of the sections.
    section_bytes: usize,
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

    /// The blocks from `number` on.
    pub(super) fn blocks_from(&self, number: usize) -> impl Iterator<Item = &Packed> {
        let (mut section, mut within) = (0, number);
        while section < self.sections.len() && within >= self.sections[section].blocks.len() {
            within -= self.sections[section].blocks.len();
            section += 1;
        }
        let first =
            self.sections.get(section).into_iter().flat_map(move |found| found.blocks.range(within..));
        first.chain(self.sections.iter().skip(section + 1).flat_map(|section| &section.blocks))
    }

    /// Bytes allocated beyond the structure itself.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.section_bytes + self.sections.capacity() * size_of::<Section>()
    }

    #[inline]
    fn block(&self, place: Place) -> &Packed {
        &self.sections[place.section].blocks[place.block]
    }

    /// The block at an end.
    #[inline]
    fn place_at(&self, end: End) -> Option<Place> {
        match end {
            End::Front => (!self.sections.is_empty()).then_some(Place { section: 0, block: 0 }),
            End::Back => {
                let section = self.sections.len().checked_sub(1)?;
                Some(Place { section, block: self.sections[section].blocks.len() - 1 })
            }
        }
    }

    /// The block with element `index`, which must be there, and the index within.
    fn locate(&self, index: usize) -> (Place, usize) {
        let mut within = index;
        let mut section = 0;
        if index <= self.elements / 2 {
            while within >= self.sections[section].elements {
                within -= self.sections[section].elements;
                section += 1;
            }
        } else {
            section = self.sections.len();
            let mut before = self.elements;
            while before > index {
                section -= 1;
                before -= self.sections[section].elements;
            }
            within = index - before;
        }
        let mut block = 0;
        while within >= self.sections[section].blocks[block].len() {
            within -= self.sections[section].blocks[block].len();
            block += 1;
        }
        (Place { section, block }, within)
    }

    /// Lets `change` work on a block and counts what came of it. A block that became empty is the caller's.
    #[inline]
    fn edit<R>(&mut self, place: Place, change: impl FnOnce(&mut Packed) -> R) -> R {
        let section = &mut self.sections[place.section];
        let block = &mut section.blocks[place.block];
        let (bytes, elements) = (block.heap_bytes(), block.len());
        let result = change(block);
        self.section_bytes = self.section_bytes + block.heap_bytes() - bytes;
        self.elements = self.elements + block.len() - elements;
        section.elements = section.elements + block.len() - elements;
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
        let (sections, full) =
            (&mut self.sections, |section: &Section| section.blocks.len() == SECTION_BLOCKS_MAX);
        let section = match end {
            End::Front => {
                if sections.front().is_none_or(full) {
                    sections.push_front(Section::default());
                }
                0
            }
            End::Back => {
                if sections.back().is_none_or(full) {
                    sections.push_back(Section::default());
                }
                sections.len() - 1
            }
        };
        let block_index = if end == End::Front { 0 } else { self.sections[section].blocks.len() };
        self.insert_block(Place { section, block: block_index }, block);
    }

    /// Puts a block before the one at `place` or at the end of its section, and says where it is now.
    fn insert_block(&mut self, mut place: Place, block: Packed) -> Place {
        if self.sections[place.section].blocks.len() == SECTION_BLOCKS_MAX {
            place = self.split_section(place);
        }
        let section = &mut self.sections[place.section];
        let own_bytes = section.own_bytes();
        self.section_bytes += block.heap_bytes();
        self.elements += block.len();
        section.elements += block.len();
        self.blocks += 1;
        section.blocks.insert(place.block, block);
        self.section_bytes = self.section_bytes + section.own_bytes() - own_bytes;
        place
    }

    /// Makes two sections of one and says where `place` is now.
    fn split_section(&mut self, place: Place) -> Place {
        let half = SECTION_BLOCKS_MAX / 2;
        let section = &mut self.sections[place.section];
        let own_bytes = section.own_bytes();
        let tail = Section::of(section.blocks.split_off(half));
        section.elements -= tail.elements;
        self.section_bytes = self.section_bytes + section.own_bytes() + tail.own_bytes() - own_bytes;
        self.sections.insert(place.section + 1, tail);
        if place.block >= half {
            Place { section: place.section + 1, block: place.block - half }
        } else {
            place
        }
    }

    /// Takes a block out, and its section if that is left empty.
    fn remove_block(&mut self, place: Place) -> Option<Packed> {
        let section = &mut self.sections[place.section];
        let block = section.blocks.remove(place.block)?;
        section.elements -= block.len();
        self.elements -= block.len();
        self.blocks -= 1;
        self.section_bytes -= block.heap_bytes();
        if section.blocks.is_empty() {
            self.section_bytes -= section.own_bytes();
            self.sections.remove(place.section);
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

    /// Takes `count` elements away at an end, fewer than there are, and returns those in sections that went
    /// as a whole.
    pub(super) fn cut(&mut self, end: End, mut count: usize) -> Sequence {
        let mut cut = Sequence::default();
        while let Some(section) = self.take_section(end, count) {
            count -= section.elements;
            cut.elements += section.elements;
            cut.blocks += section.blocks.len();
            cut.section_bytes += section.heap_bytes();
            cut.sections.push_back(section);
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

    /// Takes out the section at an end if it has no more than so many elements.
    fn take_section(&mut self, end: End, elements_max: usize) -> Option<Section> {
        let section = if end == End::Front { self.sections.front() } else { self.sections.back() };
        section.filter(|section| section.elements <= elements_max)?;
        let section = if end == End::Front { self.sections.pop_front() } else { self.sections.pop_back() }?;
        self.elements -= section.elements;
        self.blocks -= section.blocks.len();
        self.section_bytes -= section.heap_bytes();
        Some(section)
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
            0 => {
                Place { section: place.section - 1, block: self.sections[place.section - 1].blocks.len() - 1 }
            }
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
        let sections = self.sections.len();
        let mut seen = 0;
        while seen < sections && left > 0 {
            let section = if end == End::Front { seen } else { sections - 1 - seen };
            let blocks = self.sections[section].blocks.len();
            for nth in 0..blocks {
                if left == 0 {
                    break;
                }
                let place = Place { section, block: if end == End::Front { nth } else { blocks - 1 - nth } };
                left -= self.edit(place, |block| block.remove(end, left, wanted));
            }
            seen += 1;
        }
        if left < count_max {
            let touched = if end == End::Front { 0..seen } else { sections - seen..sections };
            touched.rev().for_each(|section| self.tidy(section, limit));
        }
        count_max - left
    }

    /// Drops the empty blocks of a section and joins neighbours that have become small.
    fn tidy(&mut self, index: usize, limit: Limit) {
        let Some(section) = self.sections.get_mut(index) else { return };
        self.section_bytes -= section.heap_bytes();
        self.blocks -= section.blocks.len();
        let mut blocks: VecDeque<Packed> = VecDeque::with_capacity(section.blocks.len());
        for block in section.blocks.drain(..).filter(|block| !block.is_empty()) {
            let joined = blocks.back_mut().is_some_and(|last| join(last, &block, limit));
            if !joined {
                blocks.push_back(block);
            }
        }
        self.blocks += blocks.len();
        section.blocks = blocks;
        if section.blocks.is_empty() {
            self.sections.remove(index);
        } else {
            section.blocks.shrink_to_fit();
            self.section_bytes += section.heap_bytes();
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
            return Iter {
                sequence: self,
                next: Place { section: self.sections.len(), block: 0 },
                items: None,
            };
        }
        let (place, within) = self.locate(index);
        let next = Place { block: place.block + 1, ..place };
        Iter { sequence: self, next, items: Some(self.block(place).iter_from(within)) }
    }

    pub(super) fn iter_back_from(&self, index: usize) -> IterBack<'_> {
        let Some(last) = index.min(self.elements).checked_sub(1) else {
            return IterBack { sequence: self, place: Place { section: 0, block: 0 }, items: None };
        };
        let (place, within) = self.locate(last);
        IterBack { sequence: self, place, items: Some(self.block(place).iter_back_from(within + 1)) }
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let blocks = || self.sections.iter().flat_map(|section| &section.blocks);
        blocks().for_each(Packed::check_invariants);
        assert!(blocks().all(|block| !block.is_empty()));
        assert_eq!(blocks().map(Packed::len).sum::<usize>(), self.elements);
        assert_eq!(blocks().count(), self.blocks);
        assert_eq!(self.sections.iter().map(Section::heap_bytes).sum::<usize>(), self.section_bytes);
        for section in &self.sections {
            assert!((1..=SECTION_BLOCKS_MAX).contains(&section.blocks.len()));
            assert_eq!(section.blocks.iter().map(Packed::len).sum::<usize>(), section.elements);
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
        let section =
            |section: &Section| Section { blocks: section.blocks.clone(), elements: section.elements };
        let sections: VecDeque<Section> = self.sections.iter().map(section).collect();
        // Copies have other room than their originals.
        let section_bytes = sections.iter().map(Section::heap_bytes).sum();
        Sequence { sections, section_bytes, ..*self }
    }
}

/// The elements of a sequence in their order.
pub struct Iter<'a> {
    sequence: &'a Sequence,
    /// The block after the one at hand; maybe the end of its section.
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
            if self.next.block == self.sequence.sections[self.next.section].blocks.len() {
                self.next = Place { section: self.next.section + 1, block: 0 };
            }
            let section = self.sequence.sections.get(self.next.section);
            self.items = section.map(|section| section.blocks[self.next.block].iter_from(0));
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
                let section = self.place.section.checked_sub(1)?;
                self.place = Place { section, block: self.sequence.sections[section].blocks.len() };
            }
            self.place.block -= 1;
            let block = self.sequence.block(self.place);
            self.items = Some(block.iter_back_from(block.len()));
        }
    }
}
