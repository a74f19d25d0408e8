//! A segment: one block of cache lines with the slots of a range of hashes.
//!
//! See `table` for the picture. The invariants, which [`Segment::check`] verifies in tests:
//!
//! - a bucket's slots are packed at the front;
//! - a slot lies at most seven buckets after its home (wrapping around), and its low bits say how many;
//! - all buckets between a slot's home and its place are full, so a lookup may end at the first that is not.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use super::super::entry::EntryPointer;
use crate::runtime::allocator::prefetch;

pub(super) const LINE_BYTES: usize = 64;
pub(super) const BUCKET_SLOTS: usize = 8;
const TAG_SHIFT: u32 = 48;
const TAG_MASK: u64 = 0xFFFF << TAG_SHIFT;
const DISTANCE_MASK: u64 = 7;
const DISTANCE_MAX: usize = 7;
const ADDRESS_MASK: u64 = !(TAG_MASK | DISTANCE_MASK);

/// The numbers of buckets that a segment may have: with the header 2, 3, 4 ... 64 lines.
pub(super) const SEGMENT_BUCKETS: [usize; 18] =
    [1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63];
pub(super) const BUCKETS_MAX: usize = 63;
/// How far ahead of its use an entry is prefetched when many are visited.
const PREFETCH_AHEAD: usize = 12;

/// A bucket: one cache line, packed from the front, 0 for an empty slot.
#[repr(C, align(64))]
struct Bucket([u64; BUCKET_SLOTS]);

/// The first line of a segment.
#[repr(C, align(64))]
struct SegmentHeader {
    entries: u32,
}

/// What a directory's entry (or the root) refers to: nothing, a segment or a directory.
///
/// ```text
///   segment:    | depth, bits 54..59 | buckets, bits 48..54 | address, 64-byte aligned |
///   directory:  |                    | width,   bits 48..54 | address, 64-byte aligned | 1
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Node(pub(super) u64);

impl Node {
    pub(super) const EMPTY: Node = Node(0);
    pub(super) const DIRECTORY: u64 = 1;
    const NODE_ADDRESS_MASK: u64 = (1 << 48) - 64;

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn is_directory(self) -> bool {
        self.0 & Node::DIRECTORY != 0
    }

    #[inline]
    pub(super) fn as_segment(self) -> Option<Segment> {
        if self.is_directory() || self.is_empty() { None } else { Some(Segment(self)) }
    }

    #[inline]
    pub(super) fn address(self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut((self.0 & Node::NODE_ADDRESS_MASK) as usize)
    }

    pub(super) fn allocate(bytes: usize, tag: u64) -> Node {
        let layout = Node::layout(bytes);
        // SAFETY: no caller asks for 0 bytes.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        let address = block.expose_provenance() as u64;
        assert!(address >> TAG_SHIFT == 0, "an address beyond 48 bits does not fit a node");
        Node(address | tag)
    }

    pub(super) fn layout(bytes: usize) -> Layout {
        match Layout::from_size_align(bytes, LINE_BYTES) {
            Ok(layout) => layout,
            Err(_) => unreachable!("segments and directories are below a megabyte"),
        }
    }
}

/// Positions of slots in a bucket, as two bits for each.
#[derive(Clone, Copy)]
struct Matching(u32);

impl Matching {
    /// # Safety
    /// `bucket` can be read.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    unsafe fn of(bucket: *const Bucket, tag: u16) -> Matching {
        use std::arch::x86_64::{
            _mm_castps_si128, _mm_cmpeq_epi16, _mm_load_ps, _mm_movemask_epi8, _mm_packs_epi32,
            _mm_set1_epi16, _mm_shuffle_ps, _mm_srai_epi32,
        };
        const UPPER_HALVES: i32 = 0b11_01_11_01;
        let slots: *const f32 = bucket.cast();
        // SAFETY: every x86-64 processor has SSE2; a bucket is 64 bytes, aligned to 64.
        unsafe {
            // The upper halves of four slots each, then their tags, then all eight tags side by side. The
            // shift fills with the tag's sign, so that packing does not saturate.
            let (a, b) = (_mm_load_ps(slots), _mm_load_ps(slots.add(4)));
            let (c, d) = (_mm_load_ps(slots.add(8)), _mm_load_ps(slots.add(12)));
            let front = _mm_srai_epi32::<16>(_mm_castps_si128(_mm_shuffle_ps::<UPPER_HALVES>(a, b)));
            let back = _mm_srai_epi32::<16>(_mm_castps_si128(_mm_shuffle_ps::<UPPER_HALVES>(c, d)));
            let equal = _mm_cmpeq_epi16(_mm_packs_epi32(front, back), _mm_set1_epi16(tag as i16));
            Matching(_mm_movemask_epi8(equal) as u32)
        }
    }

    /// # Safety
    /// `bucket` can be read.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    unsafe fn of(bucket: *const Bucket, tag: u16) -> Matching {
        // SAFETY: the caller's promise.
        let slots = unsafe { &(*bucket).0 };
        let mut bits = 0;
        for (position, &slot) in slots.iter().enumerate() {
            bits |= u32::from((slot >> TAG_SHIFT) as u16 == tag) << (2 * position);
        }
        Matching(bits)
    }
}

impl Iterator for Matching {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let position = self.0.trailing_zeros() / 2;
        self.0 &= !(0b11 << (2 * position));
        Some(position as usize)
    }
}

/// A segment, not null. Freed only by [`Segment::free`], by the table that owns it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment(pub(super) Node);

impl Segment {
    const BUCKETS_SHIFT: u32 = 48;
    const DEPTH_SHIFT: u32 = 54;

    pub(super) fn allocate(buckets: usize, depth: u32) -> Segment {
        let tag = (buckets as u64) << Segment::BUCKETS_SHIFT | (depth as u64) << Segment::DEPTH_SHIFT;
        Segment(Node::allocate(Segment::bytes_of(buckets), tag))
    }

    /// # Safety
    /// No node refers to the segment any more. Its entries are not freed.
    pub(super) unsafe fn free(self) {
        // SAFETY: allocated with this layout in `allocate`.
        unsafe { dealloc(self.0.address(), Node::layout(self.bytes())) }
    }

    pub(super) const fn bytes_of(buckets: usize) -> usize {
        (buckets + 1) * LINE_BYTES
    }

    pub(super) fn bytes(self) -> usize {
        Segment::bytes_of(self.buckets())
    }

    #[inline]
    pub(super) fn buckets(self) -> usize {
        (self.0.0 >> Segment::BUCKETS_SHIFT & 0x3F) as usize
    }

    #[inline]
    pub(super) fn depth(self) -> u32 {
        (self.0.0 >> Segment::DEPTH_SHIFT & 0x1F) as u32
    }

    #[inline]
    pub(super) fn entries(self) -> usize {
        // SAFETY: every segment begins with a header.
        unsafe { (*self.0.address().cast::<SegmentHeader>()).entries as usize }
    }

    #[inline]
    pub(super) fn set_entries(self, entries: usize) {
        // SAFETY: as above; the table is borrowed mutably by whoever changes a segment.
        unsafe { (*self.0.address().cast::<SegmentHeader>()).entries = entries as u32 }
    }

    #[inline]
    fn home(self, tag: u16) -> usize {
        (tag as usize * self.buckets()) >> 16
    }

    #[inline]
    fn bucket(self, index: usize) -> *mut Bucket {
        debug_assert!(index < self.buckets());
        self.0.address().wrapping_add((index + 1) * LINE_BYTES).cast()
    }

    #[inline]
    fn after(self, index: usize) -> usize {
        if index + 1 == self.buckets() { 0 } else { index + 1 }
    }

    /// The slots of a bucket. The reference is used before anything else touches the segment.
    #[inline]
    fn slots<'a>(self, index: usize) -> &'a mut [u64; BUCKET_SLOTS] {
        // SAFETY: `index` is below the number of buckets; callers hold one such reference at a time.
        unsafe { &mut (*self.bucket(index)).0 }
    }

    #[inline]
    pub(super) fn slot(self, index: usize, position: usize) -> u64 {
        // SAFETY: as for `slots`, and `position` is below 8.
        unsafe { self.bucket(index).cast::<u64>().add(position).read() }
    }

    /// Asks for the home bucket of a hash.
    #[inline]
    pub(super) fn prefetch_bucket(self, hash: u64) {
        prefetch(self.bucket(self.home(hash as u16)).cast());
    }

    /// Reads the home bucket of a hash and asks for the entries whose tag matches.
    #[inline]
    pub(super) fn prefetch_entry(self, hash: u64) {
        let home = self.home(hash as u16);
        for position in self.matching(home, hash as u16) {
            let slot = self.slot(home, position);
            prefetch(std::ptr::with_exposed_provenance((slot & ADDRESS_MASK) as usize));
        }
    }

    /// Visits up to `count` entries from a random bucket on, having asked for all of them first.
    pub(super) fn sample(self, random: u64, count: usize, mut visit: impl FnMut(EntryPointer)) -> usize {
        let start = self.home(random as u16);
        let slots = || {
            let buckets = (start..self.buckets()).chain(0..start);
            let slots = buckets.flat_map(|index| (0..BUCKET_SLOTS).map(move |at| self.slot(index, at)));
            slots.filter(|&slot| slot != 0).take(count)
        };
        slots().for_each(|slot| prefetch(entry_address(entry_of(slot))));
        slots().map(|slot| visit(entry_of(slot))).count()
    }

    /// A random slot of a random bucket; 0 if that is empty.
    pub(super) fn random_slot(self, random: u64) -> u64 {
        self.slot(self.home(random as u16), (random >> 16) as usize % BUCKET_SLOTS)
    }

    /// Looks for a slot with this hash's tag whose entry `matches`.
    #[inline]
    pub(super) fn find(self, hash: u64, mut matches: impl FnMut(EntryPointer) -> bool) -> Option<Place> {
        let tag = hash as u16;
        let mut index = self.home(tag);
        for _ in 0..=DISTANCE_MAX {
            for position in self.matching(index, tag) {
                let slot = self.slot(index, position);
                if slot != 0 && matches(entry_of(slot)) {
                    return Some(Place { segment: self, bucket: index as u8, position: position as u8 });
                }
            }
            if self.slot(index, BUCKET_SLOTS - 1) == 0 {
                return None;
            }
            index = self.after(index);
        }
        None
    }

    /// The slots of a bucket whose tag is `tag`; among them the empty ones if `tag` is 0.
    #[inline]
    fn matching(self, index: usize, tag: u16) -> Matching {
        // SAFETY: the bucket is part of this segment, which is not changed meanwhile.
        unsafe { Matching::of(self.bucket(index), tag) }
    }

    /// Puts a slot into the first bucket with room, unless that is too far from its home.
    #[inline]
    pub(super) fn place(self, slot: u64) -> Option<Place> {
        let mut index = self.home((slot >> TAG_SHIFT) as u16);
        for distance in 0..=DISTANCE_MAX.min(self.buckets() - 1) as u64 {
            let slots = self.slots(index);
            if slots[BUCKET_SLOTS - 1] == 0 {
                let free = slots.iter().position(|&slot| slot == 0).unwrap_or(BUCKET_SLOTS - 1);
                slots[free] = slot & !DISTANCE_MASK | distance;
                return Some(Place { segment: self, bucket: index as u8, position: free as u8 });
            }
            index = self.after(index);
        }
        None
    }

    /// Takes a slot out and closes the gap that it leaves in a run of full buckets.
    pub(super) fn take(self, bucket: usize, position: usize) {
        let (mut hole, mut position) = (bucket, position);
        loop {
            let slots = self.slots(hole);
            let was_full = slots[BUCKET_SLOTS - 1] != 0;
            let last = slots.iter().rposition(|&slot| slot != 0).unwrap_or(position);
            slots[position] = slots[last];
            slots[last] = 0;
            if !was_full {
                return;
            }
            let Some((from, at, distance)) = self.reaching_back(hole) else { return };
            let slot = self.slot(from, at);
            self.slots(hole)[BUCKET_SLOTS - 1] = slot - distance;
            (hole, position) = (from, at);
        }
    }

    /// A slot in a bucket after `hole` that may move into it: (bucket, position, how far it moves).
    fn reaching_back(self, hole: usize) -> Option<(usize, usize, u64)> {
        let mut index = hole;
        for distance in 1..=DISTANCE_MAX.min(self.buckets() - 1) as u64 {
            index = self.after(index);
            let slots = self.slots(index);
            let found = slots.iter().position(|&slot| slot != 0 && slot & DISTANCE_MASK >= distance);
            if let Some(position) = found {
                return Some((index, position, distance));
            }
            if slots[BUCKET_SLOTS - 1] == 0 {
                return None;
            }
        }
        None
    }

    /// Visits the entries whose home is this bucket and whose tag is at least `tag`.
    pub(super) fn scan_home(self, home: usize, tag: u16, visit: &mut impl FnMut(EntryPointer)) -> usize {
        let mut visited = 0;
        let mut index = home;
        for distance in 0..=DISTANCE_MAX.min(self.buckets() - 1) as u64 {
            for position in 0..BUCKET_SLOTS {
                let slot = self.slot(index, position);
                if slot != 0 && slot & DISTANCE_MASK == distance && (slot >> TAG_SHIFT) as u16 >= tag {
                    visit(entry_of(slot));
                    visited += 1;
                }
            }
            if self.slot(index, BUCKET_SLOTS - 1) == 0 {
                break;
            }
            index = self.after(index);
        }
        visited
    }

    pub(super) fn for_each_slot(self, mut visit: impl FnMut(u64)) {
        for index in 0..self.buckets() {
            for position in 0..BUCKET_SLOTS {
                match self.slot(index, position) {
                    0 => break,
                    slot => visit(slot),
                }
            }
        }
    }

    /// Copies all slots of this segment into `to`; false if one does not fit.
    pub(super) fn copy_into(self, to: Segment) -> bool {
        let mut fits = true;
        self.for_each_slot(|slot| fits = fits && to.place(slot).is_some());
        to.set_entries(to.entries() + self.entries());
        fits
    }

    /// Visits the entries in an order that lets their cache lines arrive before they are needed.
    pub(super) fn for_each_entry_prefetched(self, mut visit: impl FnMut(u64, EntryPointer)) {
        let mut ahead = [0u64; PREFETCH_AHEAD];
        let mut turn = 0;
        self.for_each_slot(|slot| {
            let entry = entry_of(slot);
            prefetch(entry_address(entry));
            let before = std::mem::replace(&mut ahead[turn], slot);
            turn = (turn + 1) % PREFETCH_AHEAD;
            if before != 0 {
                visit(before, entry_of(before));
            }
        });
        for slot in ahead {
            if slot != 0 {
                visit(slot, entry_of(slot));
            }
        }
    }

    /// Verifies the invariants and visits (tag, entry) of every slot.
    #[cfg(test)]
    pub(super) fn check(self, mut visit: impl FnMut(u16, EntryPointer)) {
        let full = |index: usize| self.slot(index, BUCKET_SLOTS - 1) != 0;
        let mut entries = 0;
        for index in 0..self.buckets() {
            let slots = self.slots(index);
            let taken = slots.iter().position(|&slot| slot == 0).unwrap_or(BUCKET_SLOTS);
            assert!(slots[taken..].iter().all(|&slot| slot == 0), "packed at the front");
            for &slot in &slots[..taken] {
                let tag = (slot >> TAG_SHIFT) as u16;
                let distance = (slot & DISTANCE_MASK) as usize;
                let mut between = self.home(tag);
                for _ in 0..distance {
                    assert!(full(between), "all buckets before a displaced slot are full");
                    between = self.after(between);
                }
                assert_eq!(between, index, "a slot lies where its distance says");
                visit(tag, entry_of(slot));
                entries += 1;
            }
        }
        assert_eq!(entries, self.entries());
        assert!(entries <= 7 * self.buckets());
    }
}

/// The slot for an entry whose key has this hash, not yet placed.
#[inline]
pub(super) fn slot_of(hash: u64, entry: EntryPointer) -> u64 {
    hash << TAG_SHIFT | entry.address()
}

#[inline]
pub(super) fn entry_of(slot: u64) -> EntryPointer {
    // SAFETY: a slot that is not 0 holds the address of an entry which lives as long as the slot.
    unsafe { EntryPointer::from_address(slot & ADDRESS_MASK) }
}

#[inline]
fn entry_address(entry: EntryPointer) -> *const u8 {
    std::ptr::with_exposed_provenance(entry.address() as usize)
}

/// Where an entry stands. Valid until the table next inserts or removes.
#[derive(Clone, Copy)]
pub(in crate::keyspace) struct Place {
    pub(super) segment: Segment,
    pub(super) bucket: u8,
    pub(super) position: u8,
}

impl Place {
    #[inline]
    pub(in crate::keyspace) fn entry(self) -> EntryPointer {
        entry_of(self.segment.slot(self.bucket as usize, self.position as usize))
    }

    /// Writes the address of the entry that takes the former one's place: the same key in another block.
    #[inline]
    pub(in crate::keyspace) fn set_entry(self, entry: EntryPointer) {
        let slot = &mut self.segment.slots(self.bucket as usize)[self.position as usize];
        *slot = *slot & !ADDRESS_MASK | entry.address();
    }
}
