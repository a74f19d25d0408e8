//! The table from keys to entries: extendible hashing over small segments.
//!
//! A 64-bit hash is used from both ends. Its top bits choose a segment through a directory; its low 16 bits,
//! the tag, choose the place within the segment and stand in the slot beside the entry's address.
//!
//! ```text
//!   hash   |  directory index (top `depth` bits)  |      ...      |  tag (low 16 bits)  |
//!
//!   directory      segment: one block of 2 to 64 lines of 64 bytes
//!   +---+        +------------------------------------------+
//!   |   |------->| header: number of entries                |
//!   +---+        | bucket 0:  slot slot slot ... (8 slots)   |   home bucket = tag * buckets / 65536
//!   |   |---+    | bucket 1:  slot slot ...                  |
//!   +---+   |    +------------------------------------------+
//!   |   |---+--->  (several directory entries may share one segment)
//!
//!   slot   |  tag, 16 bits  |  entry's address, bits 3..48  |  distance from home, 3 bits  |
//! ```
//!
//! **Lookup** reads the directory, then the home bucket: one cache line, found without touching the segment's
//! header, because number of buckets and local depth travel in the directory's pointer. A bucket that is full
//! overflows into the next (wrapping around), at most seven buckets far; its slots are kept packed at the
//! front, so "full" is "the last slot is taken", and a lookup ends at the first bucket that is not full.
//!
//! **Deletion** leaves no tombstones: the hole in a full bucket is filled by a slot of a later bucket whose
//! distance from home reaches back that far, and so on with the hole this leaves.
//!
//! **Growth.** A segment that is more than 7/8 full is rebuilt in the next larger of 18 sizes, which match
//! the classes of common allocators. Since the home bucket is monotone in the tag and depends on nothing
//! else, that reads slots only, never entries. At 64 lines it splits in two by the next bit of the hash, the
//! one operation that needs the entries' keys. The directory doubles as needed up to 2^16 entries; a segment
//! that splits beyond that gets a directory of its own below it. So no step of growth touches more than one
//! segment's 441 entries, or copies more than half a megabyte of directory.
//!
//! **Shrinking** is the reverse with some slack: a segment below half load is rebuilt smaller, two small
//! buddies merge (slots only again), a directory none of whose entries needs its last bit is halved.
//!
//! **Order.** The table is ordered by (hash prefix, tag), whatever the sizes of segments: tags do not change
//! when segments are rebuilt. A scan cursor is a place in that order; see [`Table::scan`].
//!
//! What this does not do: it knows keys only through their entries, and neither time nor values.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use ahash::RandomState;

use super::entry::EntryPointer;

const LINE_BYTES: usize = 64;
const BUCKET_SLOTS: usize = 8;
const TAG_SHIFT: u32 = 48;
const TAG_MASK: u64 = 0xFFFF << TAG_SHIFT;
const DISTANCE_MASK: u64 = 7;
const DISTANCE_MAX: usize = 7;
const ADDRESS_MASK: u64 = !(TAG_MASK | DISTANCE_MASK);

/// The numbers of buckets that a segment may have: with the header 2, 3, 4 ... 64 lines.
const SEGMENT_BUCKETS: [usize; 18] = [1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63];
const BUCKETS_MAX: usize = 63;
/// The size of the two halves of a split segment.
const SPLIT_BUCKETS: usize = 39;
/// Entries per bucket above which a segment grows.
const FULL: usize = 7;
/// Entries per bucket below which a segment is rebuilt smaller.
const SPARSE: usize = 4;
/// Entries per bucket that a segment may have after it was rebuilt smaller.
const DENSE: usize = 6;
/// Two buddies with this many entries or fewer between them are merged.
const MERGE_ENTRIES_MAX: usize = 190;
/// While a small segment loses entries, one deletion in so many looks whether its buddy is small too.
const MERGE_EVERY: usize = 8;

/// A directory of this width does not double any more; its entries get directories of their own.
const DIRECTORY_WIDTH_MAX: u32 = 16;
/// The deepest local depth, so that a scan cursor has room for the prefix.
const DEPTH_MAX: u32 = 31;

/// A scan cursor takes this many bits: 32 of prefix and 16 of tag. The bits above are the caller's.
pub const SCAN_CURSOR_BITS: u32 = 48;

/// How far ahead of its use an entry is prefetched when many are visited.
const PREFETCH_AHEAD: usize = 12;

#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on memory, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

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
struct Node(u64);

impl Node {
    const EMPTY: Node = Node(0);
    const DIRECTORY: u64 = 1;
    const NODE_ADDRESS_MASK: u64 = (1 << 48) - 64;

    #[inline]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn is_directory(self) -> bool {
        self.0 & Node::DIRECTORY != 0
    }

    #[inline]
    fn as_directory(self) -> Option<Directory> {
        self.is_directory().then_some(Directory(self))
    }

    #[inline]
    fn as_segment(self) -> Option<Segment> {
        if self.is_directory() || self.is_empty() { None } else { Some(Segment(self)) }
    }

    #[inline]
    fn address(self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut((self.0 & Node::NODE_ADDRESS_MASK) as usize)
    }

    fn allocate(bytes: usize, tag: u64) -> Node {
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

    fn layout(bytes: usize) -> Layout {
        match Layout::from_size_align(bytes, LINE_BYTES) {
            Ok(layout) => layout,
            Err(_) => unreachable!("segments and directories are below a megabyte"),
        }
    }
}

/// A segment, not null. Freed only by [`Segment::free`], by the table that owns it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Segment(Node);

impl Segment {
    const BUCKETS_SHIFT: u32 = 48;
    const DEPTH_SHIFT: u32 = 54;

    fn allocate(buckets: usize, depth: u32) -> Segment {
        let tag = (buckets as u64) << Segment::BUCKETS_SHIFT | (depth as u64) << Segment::DEPTH_SHIFT;
        Segment(Node::allocate(Segment::bytes_of(buckets), tag))
    }

    /// # Safety
    /// No node refers to the segment any more. Its entries are not freed.
    unsafe fn free(self) {
        // SAFETY: allocated with this layout in `allocate`.
        unsafe { dealloc(self.0.address(), Node::layout(self.bytes())) }
    }

    const fn bytes_of(buckets: usize) -> usize {
        (buckets + 1) * LINE_BYTES
    }

    fn bytes(self) -> usize {
        Segment::bytes_of(self.buckets())
    }

    #[inline]
    fn buckets(self) -> usize {
        (self.0.0 >> Segment::BUCKETS_SHIFT & 0x3F) as usize
    }

    #[inline]
    fn depth(self) -> u32 {
        (self.0.0 >> Segment::DEPTH_SHIFT & 0x1F) as u32
    }

    #[inline]
    fn entries(self) -> usize {
        // SAFETY: every segment begins with a header.
        unsafe { (*self.0.address().cast::<SegmentHeader>()).entries as usize }
    }

    #[inline]
    fn set_entries(self, entries: usize) {
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
    fn slot(self, index: usize, position: usize) -> u64 {
        // SAFETY: as for `slots`, and `position` is below 8.
        unsafe { self.bucket(index).cast::<u64>().add(position).read() }
    }

    /// Looks for a slot with this hash's tag whose entry `matches`.
    #[inline]
    fn find(self, hash: u64, mut matches: impl FnMut(EntryPointer) -> bool) -> Option<Place> {
        let tag = hash << TAG_SHIFT;
        let mut index = self.home(hash as u16);
        for distance in 0..=DISTANCE_MAX as u64 {
            let wanted = tag | distance;
            for position in 0..BUCKET_SLOTS {
                let slot = self.slot(index, position);
                if slot & (TAG_MASK | DISTANCE_MASK) == wanted && slot != 0 && matches(entry_of(slot)) {
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

    /// Puts a slot into the first bucket with room, unless that is too far from its home.
    #[inline]
    fn place(self, slot: u64) -> bool {
        let mut index = self.home((slot >> TAG_SHIFT) as u16);
        for distance in 0..=DISTANCE_MAX.min(self.buckets() - 1) as u64 {
            let slots = self.slots(index);
            if slots[BUCKET_SLOTS - 1] == 0 {
                let free = slots.iter().position(|&slot| slot == 0).unwrap_or(BUCKET_SLOTS - 1);
                slots[free] = slot & !DISTANCE_MASK | distance;
                return true;
            }
            index = self.after(index);
        }
        false
    }

    /// Takes a slot out and closes the gap that it leaves in a run of full buckets.
    fn take(self, bucket: usize, position: usize) {
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

    fn for_each_slot(self, mut visit: impl FnMut(u64)) {
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
    fn copy_into(self, to: Segment) -> bool {
        let mut fits = true;
        self.for_each_slot(|slot| fits = fits && to.place(slot));
        to.set_entries(to.entries() + self.entries());
        fits
    }

    /// Visits the entries in an order that lets their cache lines arrive before they are needed.
    fn for_each_entry_prefetched(self, mut visit: impl FnMut(u64, EntryPointer)) {
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
}

#[inline]
fn entry_of(slot: u64) -> EntryPointer {
    // SAFETY: a slot that is not 0 holds the address of an entry which lives as long as the slot.
    unsafe { EntryPointer::from_address(slot & ADDRESS_MASK) }
}

#[inline]
fn entry_address(entry: EntryPointer) -> *const u8 {
    std::ptr::with_exposed_provenance(entry.address() as usize)
}

/// A directory, not null: a line that counts, then 2^width nodes.
#[derive(Clone, Copy)]
struct Directory(Node);

/// The line before a directory's nodes.
#[repr(C, align(64))]
struct DirectoryHeader {
    /// Entries that need the directory's full width: deepest segments, and directories below.
    deepest: u32,
}

impl Directory {
    const WIDTH_SHIFT: u32 = 48;

    fn allocate(width: u32) -> Directory {
        let tag = (width as u64) << Directory::WIDTH_SHIFT | Node::DIRECTORY;
        Directory(Node::allocate(Directory::bytes_of(width), tag))
    }

    /// # Safety
    /// No node refers to the directory any more. What its entries refer to is not freed.
    unsafe fn free(self) {
        // SAFETY: allocated with this layout in `allocate`.
        unsafe { dealloc(self.0.address(), Node::layout(self.bytes())) }
    }

    const fn bytes_of(width: u32) -> usize {
        LINE_BYTES + (8 << width)
    }

    fn bytes(self) -> usize {
        Directory::bytes_of(self.width())
    }

    #[inline]
    fn width(self) -> u32 {
        (self.0.0 >> Directory::WIDTH_SHIFT & 0x3F) as u32
    }

    fn len(self) -> usize {
        1 << self.width()
    }

    /// Index of the entry for a hash whose top `base` bits were used above.
    #[inline]
    fn index(self, hash: u64, base: u32) -> usize {
        ((hash << base) >> (64 - self.width())) as usize
    }

    #[inline]
    fn link(self, index: usize) -> *mut Node {
        debug_assert!(index < self.len());
        self.0.address().wrapping_add(LINE_BYTES + index * 8).cast()
    }

    #[inline]
    fn get(self, index: usize) -> Node {
        // SAFETY: `index` is below 2^width.
        unsafe { self.link(index).read() }
    }

    fn fill(self, from: usize, count: usize, node: Node) {
        for index in from..from + count {
            // SAFETY: callers pass a range below 2^width, and the table is borrowed mutably.
            unsafe { self.link(index).write(node) }
        }
    }

    fn deepest(self) -> usize {
        // SAFETY: every directory begins with its header.
        unsafe { (*self.0.address().cast::<DirectoryHeader>()).deepest as usize }
    }

    fn set_deepest(self, deepest: usize) {
        // SAFETY: as above, and the table is borrowed mutably.
        unsafe { (*self.0.address().cast::<DirectoryHeader>()).deepest = deepest as u32 }
    }

    /// A directory of two entries.
    fn pair(halves: [Segment; 2]) -> Directory {
        let directory = Directory::allocate(1);
        directory.fill(0, 1, halves[0].0);
        directory.fill(1, 1, halves[1].0);
        directory.set_deepest(2);
        directory
    }

    /// A new directory of twice the width. No directory lies below one of less than the full width, so none
    /// of its entries needs the new bit.
    fn doubled(self) -> Directory {
        let doubled = Directory::allocate(self.width() + 1);
        for index in 0..self.len() {
            doubled.fill(2 * index, 2, self.get(index));
        }
        doubled
    }

    /// Number of entries that one segment of local depth `depth` takes.
    fn span(self, base: u32, depth: u32) -> usize {
        1 << (base + self.width() - depth)
    }
}

/// Where an entry stands. Valid until the table next inserts or removes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    segment: Segment,
    bucket: u8,
    position: u8,
}

impl Place {
    #[inline]
    pub(super) fn entry(self) -> EntryPointer {
        entry_of(self.segment.slot(self.bucket as usize, self.position as usize))
    }

    /// Writes the address of the entry that takes the former one's place: the same key in another block.
    #[inline]
    pub(super) fn set_entry(self, entry: EntryPointer) {
        let slot = &mut self.segment.slots(self.bucket as usize)[self.position as usize];
        *slot = *slot & !ADDRESS_MASK | entry.address();
    }
}

/// The innermost directory on the way to a segment.
struct Innermost {
    /// The node that refers to the directory, or to the segment if there is no directory.
    link: *mut Node,
    /// Bits of the hash that are used above the directory.
    base: u32,
}

/// The table. It owns the entries in it.
pub(super) struct Table {
    root: Node,
    len: usize,
    /// Bytes of segments and directories.
    bytes: usize,
}

impl Table {
    pub(super) const fn new() -> Table {
        Table { root: Node::EMPTY, len: 0, bytes: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of segments and directories, without the entries.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// The segment for a hash: none only if the table is empty.
    #[inline]
    fn locate(&self, hash: u64) -> Option<Segment> {
        let mut node = self.root;
        let mut base = 0;
        while let Some(directory) = node.as_directory() {
            node = directory.get(directory.index(hash, base));
            base += directory.width();
        }
        node.as_segment()
    }

    /// The place of the entry with this key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.locate(hash)?.find(hash, |entry| entry.key() == key)
    }

    /// The place of the first entry with this hash's tag and prefix that `matches`.
    pub(super) fn find_where(&self, hash: u64, matches: impl FnMut(EntryPointer) -> bool) -> Option<Place> {
        self.locate(hash)?.find(hash, matches)
    }

    /// First stage of a batch: asks for the bucket.
    #[inline]
    pub(super) fn prefetch_bucket(&self, hash: u64) {
        if let Some(segment) = self.locate(hash) {
            prefetch(segment.bucket(segment.home(hash as u16)).cast());
        }
    }

    /// Second stage: reads the bucket and asks for the entries whose tag matches.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) {
        let Some(segment) = self.locate(hash) else { return };
        let home = segment.home(hash as u16);
        for position in 0..BUCKET_SLOTS {
            let slot = segment.slot(home, position);
            if slot & (TAG_MASK | DISTANCE_MASK) == hash << TAG_SHIFT {
                prefetch(std::ptr::with_exposed_provenance((slot & ADDRESS_MASK) as usize));
            }
        }
    }

    /// Adds an entry whose key is not in the table.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, entry: EntryPointer, hasher: &RandomState) {
        let slot = hash << TAG_SHIFT | entry.address();
        loop {
            if let Some(segment) = self.locate(hash) {
                let entries = segment.entries();
                if entries < FULL * segment.buckets() && segment.place(slot) {
                    segment.set_entries(entries + 1);
                    self.len += 1;
                    return;
                }
            }
            self.grow(hash, hasher);
        }
    }

    /// Takes the entry at `place` out and hands it to the caller, who frees it.
    #[inline]
    pub(super) fn remove(&mut self, hash: u64, place: Place) -> EntryPointer {
        let entry = place.entry();
        let segment = place.segment;
        segment.take(place.bucket as usize, place.position as usize);
        let entries = segment.entries() - 1;
        segment.set_entries(entries);
        self.len -= 1;
        if entries < SPARSE * segment.buckets() {
            self.shrink(hash, segment);
        }
        entry
    }

    /// Makes room in the segment for `hash`: a larger segment or two.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, hash: u64, hasher: &RandomState) {
        let Some(old) = self.locate(hash) else {
            self.root = Segment::allocate(SEGMENT_BUCKETS[0], 0).0;
            self.bytes += Segment::bytes_of(SEGMENT_BUCKETS[0]);
            return;
        };
        if !self.resize(hash, old, old.buckets() + 1, BUCKETS_MAX) {
            self.split(hash, old, hasher);
        }
    }

    /// Rebuilds a segment with at least `least` and at most `most` buckets; nothing happens if the slots
    /// do not fit within their distance.
    fn resize(&mut self, hash: u64, old: Segment, least: usize, most: usize) -> bool {
        for buckets in SEGMENT_BUCKETS.into_iter().filter(|buckets| (least..=most).contains(buckets)) {
            let new = Segment::allocate(buckets, old.depth());
            if old.copy_into(new) {
                self.replace(hash, new);
                self.bytes += new.bytes();
                self.bytes -= old.bytes();
                // SAFETY: `replace` wrote over every node that referred to the old segment.
                unsafe { old.free() };
                return true;
            }
            // SAFETY: no node was made to refer to it.
            unsafe { new.free() };
        }
        false
    }

    /// Finds the innermost directory for a hash.
    fn innermost(&mut self, hash: u64) -> Innermost {
        let mut at = Innermost { link: &mut self.root, base: 0 };
        let mut node = self.root;
        while let Some(directory) = node.as_directory() {
            let index = directory.index(hash, at.base);
            node = directory.get(index);
            if node.is_directory() {
                at = Innermost { link: directory.link(index), base: at.base + directory.width() };
            }
        }
        at
    }

    /// Lets every node that refers to the segment for `hash` refer to `new`, which has its depth or one less.
    fn replace(&mut self, hash: u64, new: Segment) {
        let Innermost { link, base } = self.innermost(hash);
        // SAFETY: `link` points to the root or into a live directory of this table.
        match unsafe { link.read() }.as_directory() {
            // SAFETY: the same link.
            None => unsafe { link.write(new.0) },
            Some(directory) => {
                let span = directory.span(base, new.depth());
                directory.fill(directory.index(hash, base) & !(span - 1), span, new.0);
            }
        }
    }

    /// Splits a full segment by the next bit of the hash.
    fn split(&mut self, hash: u64, old: Segment, hasher: &RandomState) {
        let depth = old.depth() + 1;
        assert!(depth <= DEPTH_MAX, "more than 441 keys share 31 bits of their hash and many their tags");
        let mut halves = [Segment::allocate(SPLIT_BUCKETS, depth), Segment::allocate(SPLIT_BUCKETS, depth)];
        let mut counts = [0, 0];
        let mut overflow = false;
        old.for_each_entry_prefetched(|slot, entry| {
            let half = (hasher.hash_one(entry.key()) >> (64 - depth) & 1) as usize;
            counts[half] += 1;
            overflow |= !halves[half].place(slot);
        });
        if overflow || counts.iter().any(|&count| count > FULL * SPLIT_BUCKETS) {
            // All too uneven for small halves: take the largest, in which anything fits that did before.
            for half in &mut halves {
                // SAFETY: no node refers to it yet.
                unsafe { half.free() };
                *half = Segment::allocate(BUCKETS_MAX, depth);
            }
            old.for_each_slot(|slot| {
                let half = (hasher.hash_one(entry_of(slot).key()) >> (64 - depth) & 1) as usize;
                assert!(halves[half].place(slot), "a part of a segment fits a segment of the same size");
            });
        }
        for (half, count) in halves.into_iter().zip(counts) {
            half.set_entries(count);
            self.bytes += half.bytes();
        }
        self.link_halves(hash, depth, halves);
        self.bytes -= old.bytes();
        // SAFETY: `link_halves` wrote over every node that referred to the old segment.
        unsafe { old.free() };
    }

    /// Puts two halves in the place of the segment for `hash`, deepening the directory if needed.
    fn link_halves(&mut self, hash: u64, depth: u32, halves: [Segment; 2]) {
        let Innermost { link, base } = self.innermost(hash);
        // SAFETY: `link` points to the root or into a live directory of this table.
        let Some(mut directory) = (unsafe { link.read() }).as_directory() else {
            let directory = Directory::pair(halves);
            self.bytes += directory.bytes();
            // SAFETY: the same link.
            unsafe { link.write(directory.0) };
            return;
        };
        if depth > base + directory.width() {
            if directory.width() == DIRECTORY_WIDTH_MAX {
                // The new directory takes the entry of one deepest segment, so `deepest` stays.
                let index = directory.index(hash, base);
                let below = Directory::pair(halves);
                self.bytes += below.bytes();
                directory.fill(index, 1, below.0);
                return;
            }
            let doubled = directory.doubled();
            self.bytes += doubled.bytes();
            self.bytes -= directory.bytes();
            // SAFETY: the same link, the only node that refers to the old directory.
            unsafe {
                link.write(doubled.0);
                directory.free();
            }
            directory = doubled;
        }
        let span = directory.span(base, depth);
        let first = directory.index(hash, base) & !(2 * span - 1);
        directory.fill(first, span, halves[0].0);
        directory.fill(first + span, span, halves[1].0);
        if span == 1 {
            directory.set_deepest(directory.deepest() + 2);
        }
    }

    /// Gives memory back after a deletion left a segment sparse.
    #[cold]
    #[inline(never)]
    fn shrink(&mut self, hash: u64, segment: Segment) {
        let entries = segment.entries();
        if entries <= MERGE_ENTRIES_MAX / 2 && entries.is_multiple_of(MERGE_EVERY) && self.merge(hash) {
            while self.merge(hash) {}
        } else if segment.buckets() > 1 {
            let least = entries.div_ceil(DENSE).max(1);
            self.resize(hash, segment, least, segment.buckets() - 1);
        }
        if self.len == 0
            && let Some(segment) = self.root.as_segment()
        {
            self.root = Node::EMPTY;
            self.bytes -= segment.bytes();
            // SAFETY: the root was the only node that referred to it.
            unsafe { segment.free() };
        }
    }

    /// Merges the segment for `hash` with its buddy if both are small.
    fn merge(&mut self, hash: u64) -> bool {
        let Innermost { link, base } = self.innermost(hash);
        // SAFETY: `link` points to the root or into a live directory of this table.
        let Some(directory) = (unsafe { link.read() }).as_directory() else { return false };
        let index = directory.index(hash, base);
        let Some(segment) = directory.get(index).as_segment() else { return false };
        let span = directory.span(base, segment.depth());
        let Some(buddy) = directory.get(index & !(span - 1) ^ span).as_segment() else { return false };
        let entries = segment.entries() + buddy.entries();
        if buddy.depth() != segment.depth() || entries > MERGE_ENTRIES_MAX {
            return false;
        }
        let least = entries.div_ceil(DENSE).max(1);
        for buckets in SEGMENT_BUCKETS.into_iter().filter(|&buckets| buckets >= least) {
            let merged = Segment::allocate(buckets, segment.depth() - 1);
            if segment.copy_into(merged) && buddy.copy_into(merged) {
                self.replace(hash, merged);
                self.bytes += merged.bytes();
                for old in [segment, buddy] {
                    self.bytes -= old.bytes();
                    // SAFETY: `replace` wrote over every node that referred to either.
                    unsafe { old.free() };
                }
                if span == 1 {
                    directory.set_deepest(directory.deepest() - 2);
                }
                self.halve_while_possible(hash);
                return true;
            }
            // SAFETY: no node was made to refer to it.
            unsafe { merged.free() };
        }
        false
    }

    /// Halves a directory as long as no entry needs its last bit; at width 0 its one entry takes its place.
    fn halve_while_possible(&mut self, hash: u64) {
        loop {
            let Innermost { link, base } = self.innermost(hash);
            // SAFETY: `link` points to the root or into a live directory of this table.
            let Some(old) = (unsafe { link.read() }).as_directory() else { return };
            if old.deepest() > 0 {
                return;
            }
            let width = old.width() - 1;
            let replacement = if width == 0 {
                old.get(0)
            } else {
                let new = Directory::allocate(width);
                let mut deepest = 0;
                for index in 0..new.len() {
                    let node = old.get(2 * index);
                    deepest += usize::from(Segment(node).depth() == base + width);
                    new.fill(index, 1, node);
                }
                new.set_deepest(deepest);
                self.bytes += new.bytes();
                new.0
            };
            self.bytes -= old.bytes();
            // SAFETY: the same link, the only node that refers to the old directory.
            unsafe {
                link.write(replacement);
                old.free();
            }
        }
    }

    /// Visits the entries that follow `cursor` in the table's order, at least `count` of them if there are
    /// as many, in whole buckets, and returns the cursor for the next call: 0 when all were visited.
    ///
    /// A cursor says what has been covered: all keys whose hash prefix is smaller than `prefix` (of `depth`
    /// bits), and of the keys with this prefix those with a smaller tag. Neither growth nor shrinking
    /// changes a key's prefix or tag, so an entry that is in the table throughout is visited at least once.
    /// If the segment found now is shallower than the cursor, two have merged since; it is begun anew, and
    /// some entries come twice.
    ///
    /// ```text
    ///   cursor   |  0...0 1 prefix, 32 bits: a one marks where the prefix begins  |  tag, 16 bits  |
    /// ```
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(EntryPointer)) -> u64 {
        let marked = cursor >> 16 & 0xFFFF_FFFF;
        let mut depth = marked.checked_ilog2().unwrap_or(0);
        let mut prefix = marked & !(1 << depth);
        let mut tag = cursor & 0xFFFF;
        let count = count.max(1);
        let (mut visited, mut buckets_left) = (0, count.saturating_add(BUCKET_SLOTS));
        loop {
            let position = if depth == 0 { 0 } else { prefix << (64 - depth) };
            let Some(segment) = self.locate(position) else { return 0 };
            if segment.depth() < depth {
                tag = 0;
            }
            depth = segment.depth();
            prefix = if depth == 0 { 0 } else { position >> (64 - depth) };
            let buckets = segment.buckets() as u64;
            while tag < 1 << 16 {
                if visited >= count || buckets_left == 0 {
                    return (1 << depth | prefix) << 16 | tag;
                }
                let home = (tag * buckets) >> 16;
                visited += segment.scan_home(home as usize, tag as u16, &mut visit);
                buckets_left -= 1;
                tag = ((home + 1) << 16).div_ceil(buckets);
            }
            tag = 0;
            prefix += 1;
            if prefix == 1 << depth {
                return 0;
            }
        }
    }

    /// An entry at a random place, for 64 random bits from `random`. None only if the table is empty.
    pub(super) fn random(&self, mut random: impl FnMut() -> u64) -> Option<EntryPointer> {
        const TRIES_MAX: usize = 64;
        if self.len == 0 {
            return None;
        }
        for _ in 0..TRIES_MAX {
            let bits = random();
            let segment = self.locate(bits)?;
            let bucket = ((bits & 0xFFFF) as usize * segment.buckets()) >> 16;
            let slot = segment.slot(bucket, (bits >> 16 & 7) as usize);
            if slot != 0 {
                return Some(entry_of(slot));
            }
        }
        // A nearly empty table: take the first entry after a random position.
        let mut position = random();
        loop {
            let segment = self.locate(position)?;
            let mut first = None;
            segment.for_each_slot(|slot| first = first.or(Some(slot)));
            if let Some(slot) = first {
                return Some(entry_of(slot));
            }
            position = if segment.depth() == 0 {
                return None;
            } else {
                let step = 1 << (64 - segment.depth());
                (position & !(step - 1)).wrapping_add(step)
            };
        }
    }

    /// Visits every entry.
    pub(super) fn for_each(&self, mut visit: impl FnMut(EntryPointer)) {
        let mut position = Some(0);
        while let Some(at) = position {
            let Some(segment) = self.locate(at) else { return };
            segment.for_each_entry_prefetched(|_, entry| visit(entry));
            position = next_position(at, segment.depth());
        }
    }
}

/// Where the hashes of the next segment begin.
fn next_position(position: u64, depth: u32) -> Option<u64> {
    if depth == 0 { None } else { position.checked_add(1 << (64 - depth)) }
}

impl Segment {
    /// Visits the entries whose home is this bucket and whose tag is at least `tag`.
    fn scan_home(self, home: usize, tag: u16, visit: &mut impl FnMut(EntryPointer)) -> usize {
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
}

/// A table that is being freed, a segment at a time.
pub(super) struct DyingTable {
    table: Table,
    /// The hash at which the next segment to free begins; none when all are freed.
    position: Option<u64>,
}

impl DyingTable {
    pub(super) fn new(table: Table) -> DyingTable {
        let position = if table.root.is_empty() { None } else { Some(0) };
        DyingTable { table, position }
    }

    /// Bytes of segments and directories that are not freed yet.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.bytes
    }

    /// Frees segments until about `budget` entries are gone. Returns what was freed as (entries, bytes of
    /// entries); when no entries are returned, the table is gone.
    pub(super) fn free_some(&mut self, budget: usize) -> (usize, usize) {
        let (mut entries, mut bytes) = (0, 0);
        while entries < budget.max(1)
            && let Some(at) = self.position
            && let Some(segment) = self.table.locate(at)
        {
            segment.for_each_entry_prefetched(|_, entry| {
                bytes += entry.memory_bytes();
                // SAFETY: the table is about to lose this segment, and nobody else has the table.
                unsafe { entry.free() };
            });
            // An empty segment counts as well, so that "none" means the end.
            entries += segment.entries().max(1);
            self.table.bytes -= segment.bytes();
            self.position = next_position(at, segment.depth());
            // SAFETY: `position` moves past it and never comes back, so its nodes are not followed again.
            unsafe { segment.free() };
        }
        if self.position.is_none() {
            free_directories(self.table.root);
            self.table.root = Node::EMPTY;
            self.table.bytes = 0;
            self.table.len = 0;
        }
        (entries, bytes)
    }
}

/// Frees a directory and those below it.
fn free_directories(node: Node) {
    let Some(directory) = node.as_directory() else { return };
    if directory.width() == DIRECTORY_WIDTH_MAX {
        (0..directory.len()).for_each(|index| free_directories(directory.get(index)));
    }
    // SAFETY: the table is going away and its segments are gone.
    unsafe { directory.free() };
}

impl Drop for DyingTable {
    fn drop(&mut self) {
        while self.free_some(usize::MAX).0 > 0 {}
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.root.is_empty() {
            let table = std::mem::replace(self, Table::new());
            drop(DyingTable::new(table));
        }
    }
}
