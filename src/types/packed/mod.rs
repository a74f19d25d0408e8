//! A packed block: a short sequence of byte strings in one allocation, open at both ends.
//!
//! ```text
//!   bytes   | base | room | element 0 | element 1 | ... | last element | room |
//!                         ^ start                                      ^ end
//!   marks   where the elements 16, 32, ... begin, counted from `skew` before the first
//! ```
//!
//! Both ends grow into their room and shrink into it: nothing is moved for a push or a pop until one side's
//! room is used up. Elements only say their length in front ([`item`]); the marks, two bytes for sixteen
//! elements, lead from the back and to any index in a few steps. A pop at the front does not renumber the
//! marks, it moves the skew.
//!
//! Elements that begin alike are common: names with numbers, records in JSON. When a block has got sixteen
//! elements, the longest beginning that the first one shares with another becomes its *base*, and elements
//! store how much of the base they begin with instead of the bytes.
//!
//! A block is meant for some kilobytes: changes in the middle move what is behind them. What makes a block
//! too full is the caller's [`Limit`].

mod item;
mod marks;

pub(in crate::types) use item::{Encoded, after, decode};
pub use item::{Item, Wanted};

use item::{SHARED_BYTES_MAX, SHARED_BYTES_MIN, shared_length};
use marks::Marks;

/// Elements from one mark to the next.
const GROUP: usize = 16;

/// Blocks of no more than this keep their memory when they shrink.
const KEPT_BYTES_MAX: usize = 256;

/// What a block may hold; a single element may be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At most 64 KiB, which marks can address.
    pub bytes: u32,
    pub elements: u32,
}

impl Limit {
    pub const BYTES_MAX: u32 = 1 << 16;

    fn halved(self) -> Limit {
        Limit { bytes: self.bytes / 2, elements: self.elements / 2 }
    }
}

/// One of the two ends of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

/// A sequence of byte strings in one allocation.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Box<[u8]>,
    start: u32,
    end: u32,
    count: u32,
    /// The elements share prefixes with the first bytes of the block, this many.
    base_length: u8,
    /// How far the first element is from a place for a mark, below [`GROUP`].
    skew: u8,
    /// Whether a base was sought.
    trained: bool,
    /// Offsets of every sixteenth element; of its length only [`Packed::marks_len`] are in use.
    marks: Marks,
}

impl Packed {
    pub fn new() -> Packed {
        Packed::default()
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A block of the elements that lie in `bytes` one after the other, stored without a base; they are within
    /// the limit.
    pub fn of_elements(bytes: &[u8], limit: Limit) -> Packed {
        let mut packed = Packed { bytes: bytes.into(), end: bytes.len() as u32, ..Packed::new() };
        packed.count = elements(bytes).count() as u32;
        packed.mark_again();
        if packed.len() >= GROUP {
            packed.train(limit);
        }
        packed
    }

    /// Bytes allocated beyond the structure itself.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.marks.heap_bytes()
    }

    /// Bytes of the elements and what they share.
    #[inline]
    fn used_bytes(&self) -> usize {
        (self.end - self.start) as usize + self.base_length as usize
    }

    /// Whether the block is within half of the limit.
    pub fn is_sparse(&self, limit: Limit) -> bool {
        let half = limit.halved();
        self.used_bytes() <= half.bytes as usize && self.count <= half.elements
    }

    /// Whether the elements of both blocks fit into one with a quarter to spare.
    pub fn could_join(&self, other: &Packed, limit: Limit) -> bool {
        let quarters = |room: u32| room as usize / 4 * 3;
        self.used_bytes() + other.used_bytes() <= quarters(limit.bytes)
            && self.len() + other.len() <= quarters(limit.elements)
    }

    #[inline]
    fn base(&self) -> &[u8] {
        &self.bytes[..self.base_length as usize]
    }

    /// How many marks there are: one where an element stands that begins a group, but for the first element.
    #[inline]
    fn marks_len(&self) -> usize {
        if self.count == 0 { 0 } else { (self.skew as usize + self.len() - 1) / GROUP }
    }

    /// Where element `index` begins; it must be below the number of elements.
    #[inline]
    fn offset(&self, index: usize) -> usize {
        debug_assert!(index < self.len());
        let position = index + self.skew as usize;
        let (mut at, steps) = match position / GROUP {
            0 => (self.start as usize, index),
            group => (self.marks[group - 1] as usize, position % GROUP),
        };
        for _ in 0..steps {
            at = after(&self.bytes, at);
        }
        at
    }

    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        (index < self.len()).then(|| decode(&self.bytes, self.offset(index)).0)
    }

    /// Adds an element at an end, or says that it would exceed the limit. An empty block takes any element.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8], limit: Limit) -> bool {
        let encoded = Encoded::new(element, self.base());
        let length = encoded.len();
        let full = self.used_bytes() + length > limit.bytes as usize || self.count >= limit.elements;
        if full && self.count > 0 {
            return false;
        }
        let at = match end {
            End::Back => {
                self.make_room(length, End::Back, limit);
                let position = self.skew as usize + self.len();
                if self.count > 0 && position.is_multiple_of(GROUP) {
                    self.add_mark(position / GROUP - 1, self.end as u16);
                }
                self.end += length as u32;
                self.end as usize - length
            }
            End::Front => {
                self.make_room(length, End::Front, limit);
                if self.skew > 0 {
                    self.skew -= 1;
                } else if self.count > 0 {
                    self.skew = GROUP as u8 - 1;
                    self.insert_mark(self.start as u16);
                }
                self.start -= length as u32;
                self.start as usize
            }
        };
        // The base may have moved with its block, but it is the same.
        encoded.write(&mut self.bytes[at..at + length]);
        self.count += 1;
        if self.count == GROUP as u32 && !self.trained {
            self.train(limit);
        }
        true
    }

    /// The element at an end.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match end {
            End::Front => self.get(0),
            End::Back => self.get(self.len().checked_sub(1)?),
        }
    }

    /// Takes `count` elements away at an end; not more than there are.
    pub fn cut(&mut self, end: End, count: usize) {
        if count >= self.len() {
            self.clear();
            return;
        }
        if count == 0 {
            return;
        }
        match end {
            End::Back => {
                self.end = self.offset(self.len() - count) as u32;
                self.count -= count as u32;
            }
            End::Front => {
                let before = self.marks_len();
                self.start = self.offset(count) as u32;
                self.count -= count as u32;
                let position = self.skew as usize + count;
                self.skew = (position % GROUP) as u8;
                let gone = position / GROUP;
                self.marks.copy_within(gone..before, 0);
            }
        }
        self.shrink();
    }

    /// Forgets all elements; the base goes with them.
    fn clear(&mut self) {
        *self = Packed::new();
    }

    /// Puts an element before element `index`, or at the end; `false` if it would exceed the limit.
    pub fn insert(&mut self, index: usize, element: &[u8], limit: Limit) -> bool {
        if index == 0 {
            return self.push(End::Front, element, limit);
        }
        if index >= self.len() {
            return self.push(End::Back, element, limit);
        }
        let encoded = Encoded::new(element, self.base());
        let length = encoded.len();
        if self.used_bytes() + length > limit.bytes as usize || self.count >= limit.elements {
            return false;
        }
        self.make_room(length, End::Back, limit);
        let at = self.offset(index);
        self.bytes.copy_within(at..self.end as usize, at + length);
        encoded.write(&mut self.bytes[at..at + length]);
        self.end += length as u32;
        self.count += 1;
        self.mark_again();
        true
    }

    /// Exchanges element `index`, which must exist; `false` if the new one would exceed the limit.
    pub fn replace(&mut self, index: usize, element: &[u8], limit: Limit) -> bool {
        let encoded = Encoded::new(element, self.base());
        let (length, at) = (encoded.len(), self.offset(index));
        let before = after(&self.bytes, at) - at;
        let grown = length.saturating_sub(before);
        if grown > 0 && self.used_bytes() + grown > limit.bytes as usize && self.count > 1 {
            return false;
        }
        self.make_room(grown, End::Back, limit);
        // Room may have been made by moving the elements.
        let at = self.offset(index);
        self.bytes.copy_within(at + before..self.end as usize, at + length);
        encoded.write(&mut self.bytes[at..at + length]);
        self.end = self.end - before as u32 + length as u32;
        if length != before {
            self.mark_again();
            self.shrink();
        }
        true
    }

    /// Removes the elements for which `remove` says so, the first of them first, and returns how many.
    pub fn remove_where(&mut self, mut remove: impl FnMut(&Item<'_>) -> bool) -> usize {
        let (mut from, mut to, mut removed) = (self.start as usize, self.start as usize, 0);
        while from < self.end as usize {
            let (item, next) = decode(&self.bytes, from);
            if remove(&item) {
                removed += 1;
            } else {
                if from > to {
                    self.bytes.copy_within(from..next, to);
                }
                to += next - from;
            }
            from = next;
        }
        if removed > 0 {
            self.end = to as u32;
            self.count -= removed as u32;
            if self.count == 0 {
                self.clear();
            }
            self.mark_again();
            self.shrink();
        }
        removed
    }

    /// Removes elements that are equal to `wanted`, from an end on and at most so many; returns how many.
    pub fn remove(&mut self, end: End, count_max: usize, wanted: &Wanted<'_>) -> usize {
        // Those that stay because they are too far from the end.
        let mut kept = match end {
            End::Front => 0,
            End::Back => {
                let matches = self.iter_from(0).filter(|item| wanted.is(item)).count();
                matches.saturating_sub(count_max)
            }
        };
        let mut left = count_max;
        self.remove_where(|item| {
            if left == 0 || !wanted.is(item) {
                return false;
            }
            if kept > 0 {
                kept -= 1;
                return false;
            }
            left -= 1;
            true
        })
    }

    /// Cuts the block before element `index` and returns the second part.
    pub fn split_off(&mut self, index: usize) -> Packed {
        let mut tail = Packed::new();
        if index >= self.len() {
            return tail;
        }
        let at = self.offset(index);
        let base_length = self.base_length as usize;
        let length = self.end as usize - at;
        tail.bytes = vec![0; base_length + length].into_boxed_slice();
        tail.bytes[..base_length].copy_from_slice(self.base());
        tail.bytes[base_length..].copy_from_slice(&self.bytes[at..self.end as usize]);
        (tail.base_length, tail.trained) = (self.base_length, self.trained);
        (tail.start, tail.end) = (base_length as u32, (base_length + length) as u32);
        tail.count = self.count - index as u32;
        tail.mark_again();
        self.cut(End::Back, tail.len());
        tail
    }

    /// The elements from `index` on.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        let at = if index < self.len() { self.offset(index) } else { self.end as usize };
        Iter { bytes: &self.bytes, at, end: self.end as usize }
    }

    /// The elements before `index`, the last of them first.
    pub fn iter_back_from(&self, index: usize) -> IterBack<'_> {
        IterBack { packed: self, index: index.min(self.len()), offsets: [0; GROUP], known: 0 }
    }

    /// Makes room for `length` more bytes at an end.
    #[inline]
    fn make_room(&mut self, length: usize, end: End, limit: Limit) {
        let room = match end {
            End::Back => self.bytes.len() - self.end as usize,
            End::Front => self.start as usize - self.base_length as usize,
        };
        if room < length {
            self.make_room_slowly(length, end, limit);
        }
    }

    /// Moves the elements to the other end of the block, which is replaced by a larger one if it is too small.
    #[inline(never)]
    fn make_room_slowly(&mut self, length: usize, end: End, limit: Limit) {
        let needed = self.used_bytes() + length;
        if needed > self.bytes.len() {
            let most = (limit.bytes as usize).max(needed);
            let size = (needed + needed / 4).next_multiple_of(16).min(most.next_multiple_of(16));
            self.relocate(size, end);
            return;
        }
        let (start, used) = (self.start as usize, (self.end - self.start) as usize);
        let to = self.start_with_room(self.bytes.len(), end);
        self.bytes.copy_within(start..start + used, to);
        self.moved_to(to);
    }

    /// Where the elements begin if all room is at one end of a block of `size`.
    fn start_with_room(&self, size: usize, end: End) -> usize {
        match end {
            End::Back => self.base_length as usize,
            End::Front => size - (self.end - self.start) as usize,
        }
    }

    /// Moves into another block of `size` bytes, with all its room at one end.
    fn relocate(&mut self, size: usize, end: End) {
        self.bytes = self.copied(size, end);
        self.moved_to(self.start_with_room(size, end));
    }

    /// Base and elements in a block of `size` bytes, with all its room at one end.
    fn copied(&self, size: usize, end: End) -> Box<[u8]> {
        let mut bytes = vec![0; size].into_boxed_slice();
        bytes[..self.base_length as usize].copy_from_slice(self.base());
        let to = self.start_with_room(size, end);
        let elements = &self.bytes[self.start as usize..self.end as usize];
        bytes[to..to + elements.len()].copy_from_slice(elements);
        bytes
    }

    /// The elements begin at `to` now.
    fn moved_to(&mut self, to: usize) {
        let marks_len = self.marks_len();
        let (from, to) = (self.start, to as u32);
        for mark in &mut self.marks[..marks_len] {
            *mark = (u32::from(*mark) + to - from) as u16;
        }
        self.end = to + self.end - from;
        self.start = to;
    }

    /// Gives memory back if most of it is room, or room that marks cannot address.
    #[inline]
    fn shrink(&mut self) {
        let (used, size, addressed) = (self.used_bytes(), self.bytes.len(), Limit::BYTES_MAX as usize);
        if size > KEPT_BYTES_MAX && used * 4 < size || size > addressed && used <= addressed {
            let marks_len = self.marks_len();
            let size = (used + used / 4).next_multiple_of(16).min(addressed.max(used));
            self.relocate(size, End::Back);
            if marks_len * 4 < self.marks.len() {
                self.marks = Marks::from(&self.marks[..marks_len]);
            }
        }
    }

    /// Writes mark `number`, the last.
    fn add_mark(&mut self, number: usize, offset: u16) {
        if number == self.marks.len() {
            let mut marks = vec![0; number + number / 2 + 4];
            marks[..number].copy_from_slice(&self.marks);
            self.marks = marks.into();
        }
        self.marks[number] = offset;
    }

    /// Puts a mark before all others; the skew is set already and the count is not.
    fn insert_mark(&mut self, offset: u16) {
        // As many as before: with the skew, all positions have moved on by a group.
        let marks_len = (self.len() - 1) / GROUP;
        self.add_mark(marks_len, offset);
        self.marks[..=marks_len].rotate_right(1);
    }

    /// Finds all marks anew, the first element beginning a group.
    fn mark_again(&mut self) {
        self.skew = 0;
        let (mut at, mut index) = (self.start as usize, 0);
        while index < self.len() {
            if index > 0 && index.is_multiple_of(GROUP) {
                self.add_mark(index / GROUP - 1, at as u16);
            }
            at = after(&self.bytes, at);
            index += 1;
        }
    }

    /// Looks whether the elements begin alike, and if so stores them anew upon a base.
    #[inline(never)]
    fn train(&mut self, limit: Limit) {
        self.trained = true;
        let texts = || {
            self.iter_from(0)
                .filter_map(|item| if let Item::Bytes(bytes) = item { Some(bytes) } else { None })
        };
        let Some(first) = texts().next() else { return };
        let shared = || texts().skip(1).map(|text| shared_length(first, text));
        let base_length = shared().max().unwrap_or(0);
        let saved: usize = shared().map(|length| length.saturating_sub(SHARED_BYTES_MIN)).sum();
        if saved <= base_length {
            return;
        }
        debug_assert!(base_length <= SHARED_BYTES_MAX);
        let mut based = Packed { base_length: base_length as u8, trained: true, ..Packed::new() };
        (based.start, based.end) = (base_length as u32, base_length as u32);
        based.bytes = first[..base_length].into();
        let mut text = Vec::new();
        for item in self.iter_from(0) {
            text.clear();
            item.write(&mut text);
            // Elements became shorter, and these fit before.
            let pushed = based.push(End::Back, &text, limit);
            debug_assert!(pushed);
        }
        *self = based;
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        let (mut at, mut count) = (self.start as usize, 0);
        while at < self.end as usize {
            let position = count + self.skew as usize;
            if count > 0 && position.is_multiple_of(GROUP) {
                assert_eq!(self.marks[position / GROUP - 1] as usize, at, "mark of element {count}");
            }
            at = after(&self.bytes, at);
            count += 1;
        }
        assert_eq!((at, count), (self.end as usize, self.len()));
        assert!(self.end as usize <= self.bytes.len());
        assert!(self.start >= u32::from(self.base_length));
        assert!((self.skew as usize) < GROUP);
    }
}

/// The elements that lie in `bytes` one after the other, stored without a base.
pub fn elements(bytes: &[u8]) -> Iter<'_> {
    Iter { bytes, at: 0, end: bytes.len() }
}

impl Clone for Packed {
    /// A copy has no room to spare.
    fn clone(&self) -> Packed {
        let marks = Marks::from(&self.marks[..self.marks_len()]);
        let mut copy = Packed { bytes: self.copied(self.used_bytes(), End::Back), marks, ..*self };
        copy.moved_to(self.base_length as usize);
        copy
    }
}

/// The elements of a block in their order.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Iter<'_> {
    /// Where in the bytes the next element begins.
    #[inline]
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.at == self.end {
            return None;
        }
        let (item, next) = decode(self.bytes, self.at);
        self.at = next;
        Some(item)
    }
}

/// The elements of a block from behind: a group at a time is found forward and given out backward.
pub struct IterBack<'a> {
    packed: &'a Packed,
    /// How many elements are left.
    index: usize,
    /// Where the last of them begin, as far as they are known.
    offsets: [u32; GROUP],
    known: usize,
}

impl<'a> Iterator for IterBack<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.index == 0 {
            return None;
        }
        if self.known == 0 {
            let last = self.index - 1;
            let back = ((last + self.packed.skew as usize) % GROUP).min(last);
            let mut at = self.packed.offset(last - back);
            for offset in &mut self.offsets[..=back] {
                *offset = at as u32;
                at = after(&self.packed.bytes, at);
            }
            self.known = back + 1;
        }
        self.known -= 1;
        self.index -= 1;
        Some(decode(&self.packed.bytes, self.offsets[self.known] as usize).0)
    }
}

#[cfg(test)]
pub(super) mod tests;
