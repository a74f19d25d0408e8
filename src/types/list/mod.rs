//! A list: a sequence of byte strings, open at both ends.
//!
//! A small list is one packed block. One that exceeds the block's limit is a [`Sequence`] of such blocks,
//! and becomes a single block again when half of the limit would do. Nothing depends on how long a list is
//! but the way to an index in its middle, and that takes a step for some ten thousand elements.

mod sequence;

use super::packed::{self, End, Item, Limit, Packed, Wanted};
use super::{Collection, Encoding, Kind, Object};
use sequence::Sequence;

/// The longest element, in bytes.
pub const ELEMENT_BYTES_MAX: usize = (1 << 32) - 1024;

/// A sequence of byte strings.
#[derive(Clone, Debug)]
pub struct List(Form);

#[derive(Clone, Debug)]
enum Form {
    Small(Packed),
    Large(Box<Sequence>),
}

impl Default for List {
    fn default() -> List {
        List(Form::Small(Packed::new()))
    }
}

impl List {
    pub fn new() -> List {
        List::default()
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Small(packed) => packed.len(),
            Form::Large(sequence) => sequence.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        if let Form::Small(packed) = &mut self.0
            && fits_small(element, limit)
            && packed.push(end, element, limit)
        {
            return;
        }
        self.grown().push(end, element, limit);
    }

    /// The element at an end.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match &self.0 {
            Form::Small(packed) => packed.peek(end),
            Form::Large(sequence) => sequence.peek(end),
        }
    }

    /// Takes the element at an end away, if there is one.
    #[inline]
    pub fn pop(&mut self, end: End, limit: Limit) {
        match &mut self.0 {
            Form::Small(packed) => packed.cut(end, 1),
            Form::Large(sequence) => {
                sequence.pop(end);
                self.settle(limit);
            }
        }
    }

    /// Takes `count` elements away at an end, or as many as there are, and returns at least the larger part
    /// of them to be freed.
    pub fn cut(&mut self, end: End, count: usize, limit: Limit) -> List {
        if count >= self.len() {
            return std::mem::take(self);
        }
        match &mut self.0 {
            Form::Small(packed) => {
                packed.cut(end, count);
                List::new()
            }
            Form::Large(sequence) => {
                let cut = sequence.cut(end, count);
                self.settle(limit);
                List(Form::Large(Box::new(cut)))
            }
        }
    }

    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        match &self.0 {
            Form::Small(packed) => packed.get(index),
            Form::Large(sequence) => sequence.get(index),
        }
    }

    /// Exchanges an element; `false` if there is none with this index.
    pub fn set(&mut self, index: usize, element: &[u8], limit: Limit) -> bool {
        if index >= self.len() {
            return false;
        }
        if let Form::Small(packed) = &mut self.0
            && fits_small(element, limit)
            && packed.replace(index, element, limit)
        {
            return true;
        }
        self.grown().set(index, element, limit);
        self.settle(limit);
        true
    }

    /// Puts an element before the one with this index, or at the end.
    pub fn insert(&mut self, index: usize, element: &[u8], limit: Limit) {
        let index = index.min(self.len());
        if let Form::Small(packed) = &mut self.0
            && fits_small(element, limit)
            && packed.insert(index, element, limit)
        {
            return;
        }
        self.grown().insert(index, element, limit);
    }

    /// Removes elements that are equal to `wanted`, from an end on and at most so many; returns how many.
    pub fn remove(&mut self, end: End, count_max: usize, wanted: &Wanted<'_>, limit: Limit) -> usize {
        match &mut self.0 {
            Form::Small(packed) => packed.remove(end, count_max, wanted),
            Form::Large(sequence) => {
                let removed = sequence.remove(end, count_max, wanted, limit);
                self.settle(limit);
                removed
            }
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The elements from `index` on.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        match &self.0 {
            Form::Small(packed) => Iter::Small(packed.iter_from(index)),
            Form::Large(sequence) => Iter::Large(sequence.iter_from(index)),
        }
    }

    /// The elements before `index`, the last of them first.
    pub fn iter_back_from(&self, index: usize) -> IterBack<'_> {
        match &self.0 {
            Form::Small(packed) => IterBack::Small(packed.iter_back_from(index)),
            Form::Large(sequence) => IterBack::Large(sequence.iter_back_from(index)),
        }
    }

    /// The number of blocks that the elements lie in.
    pub fn blocks(&self) -> usize {
        match &self.0 {
            Form::Small(packed) => usize::from(!packed.is_empty()),
            Form::Large(sequence) => sequence.blocks(),
        }
    }

    /// The blocks from `number` on, in the order of their elements; none is empty.
    pub fn blocks_from(&self, number: usize) -> impl Iterator<Item = &Packed> {
        let (small, large) = match &self.0 {
            Form::Small(packed) => ((number == 0 && !packed.is_empty()).then_some(packed), None),
            Form::Large(sequence) => (None, Some(sequence.blocks_from(number))),
        };
        small.into_iter().chain(large.into_iter().flatten())
    }

    /// The list as a sequence of blocks.
    #[inline(never)]
    fn grown(&mut self) -> &mut Sequence {
        if let Form::Small(packed) = &mut self.0 {
            let block = std::mem::take(packed);
            self.0 = Form::Large(Box::new(Sequence::of(block)));
        }
        match &mut self.0 {
            Form::Large(sequence) => sequence,
            Form::Small(_) => unreachable!("it has just become large"),
        }
    }

    /// Makes a small list of a sequence that has shrunk to less than half a block.
    #[inline]
    fn settle(&mut self, limit: Limit) {
        if let Form::Large(sequence) = &mut self.0
            && let Some(block) = sequence.take_only_block(limit)
        {
            self.0 = Form::Small(block);
        }
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        match &self.0 {
            Form::Small(packed) => packed.check_invariants(),
            Form::Large(sequence) => sequence.check_invariants(),
        }
    }
}

/// An element of a size that fills a block makes a list large, even if it is the only one.
#[inline]
fn fits_small(element: &[u8], limit: Limit) -> bool {
    element.len() < limit.bytes as usize
}

/// What a block of a list may hold, as `list-max-listpack-size` says it: from 1 on a number of elements,
/// below 0 a size from 4 KiB for -1 to 64 KiB for -5.
pub fn limit_of_setting(setting: i32) -> Limit {
    /// The size of blocks whose number of elements is set.
    const COUNTED_BYTES_MAX: u32 = 8192;
    match setting {
        0.. => Limit { bytes: COUNTED_BYTES_MAX, elements: setting.max(1) as u32 },
        _ => Limit { bytes: 4096 << (-1 - setting.max(-5)), elements: u32::MAX },
    }
}

impl Collection for List {
    kept_as!(List);

    fn encoding(&self) -> Encoding {
        match &self.0 {
            Form::Small(_) => Encoding::Listpack,
            Form::Large(_) => Encoding::Quicklist,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Small(packed) => packed.heap_bytes(),
            Form::Large(sequence) => size_of::<Sequence>() + sequence.heap_bytes(),
        }
    }

    fn parts(&self) -> usize {
        match &self.0 {
            Form::Small(_) => 1,
            Form::Large(sequence) => sequence.blocks(),
        }
    }

    fn free_some(&mut self, budget: usize) -> usize {
        match &mut self.0 {
            Form::Small(packed) => usize::from(!std::mem::take(packed).is_empty()),
            Form::Large(sequence) => sequence.free_some(budget),
        }
    }

    fn removes_key(&self) -> bool {
        self.is_empty()
    }
}

/// The elements of a list in their order.
pub enum Iter<'a> {
    Small(packed::Iter<'a>),
    Large(sequence::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Iter::Small(iter) => iter.next(),
            Iter::Large(iter) => iter.next(),
        }
    }
}

/// The elements of a list from behind.
pub enum IterBack<'a> {
    Small(packed::IterBack<'a>),
    Large(sequence::IterBack<'a>),
}

impl<'a> Iterator for IterBack<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            IterBack::Small(iter) => iter.next(),
            IterBack::Large(iter) => iter.next(),
        }
    }
}

#[cfg(test)]
mod tests;
