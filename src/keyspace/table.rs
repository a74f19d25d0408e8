//! The table from keys to entries: extendible hashing over small segments.
//!
//! A 64-bit hash is used from both ends. Its top half becomes a position, whose top bits choose a segment
//! through a directory; its low 16 bits, the tag, choose the place within the segment and stand in the slot
//! beside the entry's address.
//!
//! ```text
//!   hash       |  position's half (bits 32..64)       |      ...      |  tag (low 16 bits)  |
//!   position   |  directory index (top `depth` bits)  |
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
//! **Positions are skewed on purpose.** Were they uniform as hashes are, all segments would be equally full,
//! grow from one size to the next and split within the same few per cent of the table's growth; every
//! allocator then sits on half-empty pages of the former size, some 10 % of all memory at times, and inserts
//! slow down in waves. [`position_of`] makes one end of the table twice as dense as the other, evenly on a
//! logarithmic scale, so that at any time all sizes are in use, each reuses what others free, and one insert
//! in some 55 grows a segment, always.
//!
//! **Shrinking** is the reverse with some slack: a segment below half load is rebuilt smaller, two small
//! buddies merge (slots only again), a directory none of whose entries needs its last bit is halved.
//!
//! **Order.** The table is ordered by (position's prefix, tag), whatever the sizes of segments: tags do not change
//! when segments are rebuilt. A scan cursor is a place in that order; see [`Table::scan`].
//!
//! What this does not do: it knows keys only through their entries, and neither time nor values.

mod directory;
mod dying;
mod segment;

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;

use self::directory::Directory;
pub(super) use self::dying::DyingTable;
pub(super) use self::segment::Place;
use self::segment::{BUCKET_SLOTS, BUCKETS_MAX, Node, SEGMENT_BUCKETS, Segment, entry_of, slot_of};
use super::entry::EntryPointer;

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

/// A directory of this width does not double any more; its entries get directories of their own. In tests
/// it is small, so that they meet directories below directories.
const DIRECTORY_WIDTH_MAX: u32 = if cfg!(test) { 3 } else { 16 };
/// The deepest local depth, so that a scan cursor has room for the prefix.
const DEPTH_MAX: u32 = 31;

/// A scan cursor takes this many bits: 32 of prefix and 16 of tag. The bits above are the caller's.
pub const SCAN_CURSOR_BITS: u32 = 48;

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
        self.segment_at(position_of(hash))
    }

    /// The segment for a position: none only if the table is empty.
    #[inline]
    fn segment_at(&self, position: u64) -> Option<Segment> {
        let mut node = self.root;
        let mut base = 0;
        while let Some(directory) = Directory::of(node) {
            node = directory.get(directory.index(position, base));
            base += directory.width();
        }
        node.as_segment()
    }

    /// The place of the entry with this key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.locate(hash)?.find(hash, |entry| entry.key_is(key))
    }

    /// The place of the first entry with this hash's tag and prefix that `matches`.
    pub(super) fn find_where(&self, hash: u64, matches: impl FnMut(EntryPointer) -> bool) -> Option<Place> {
        self.locate(hash)?.find(hash, matches)
    }

    /// First stage of a batch: asks for the bucket.
    #[inline]
    pub(super) fn prefetch_bucket(&self, hash: u64) {
        if let Some(segment) = self.locate(hash) {
            segment.prefetch_bucket(hash);
        }
    }

    /// Second stage: reads the bucket and asks for the entries whose tag matches.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) {
        if let Some(segment) = self.locate(hash) {
            segment.prefetch_entry(hash);
        }
    }

    /// Adds an entry whose key is not in the table.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, entry: EntryPointer, hasher: &RandomState) -> Place {
        let slot = slot_of(hash, entry);
        loop {
            if let Some(segment) = self.locate(hash) {
                let entries = segment.entries();
                if entries < FULL * segment.buckets()
                    && let Some(place) = segment.place(slot)
                {
                    segment.set_entries(entries + 1);
                    self.len += 1;
                    return place;
                }
            }
            self.grow(position_of(hash), hasher);
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
            self.shrink(position_of(hash), segment);
        }
        entry
    }

    /// Makes room in the segment for `position`: a larger segment or two.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, position: u64, hasher: &RandomState) {
        let Some(old) = self.segment_at(position) else {
            self.root = Segment::allocate(SEGMENT_BUCKETS[0], 0).0;
            self.bytes += Segment::bytes_of(SEGMENT_BUCKETS[0]);
            return;
        };
        if !self.resize(position, old, old.buckets() + 1, BUCKETS_MAX) {
            self.split(position, old, hasher);
        }
    }

    /// Rebuilds a segment with at least `least` and at most `most` buckets; nothing happens if the slots
    /// do not fit within their distance.
    fn resize(&mut self, position: u64, old: Segment, least: usize, most: usize) -> bool {
        for buckets in SEGMENT_BUCKETS.into_iter().filter(|buckets| (least..=most).contains(buckets)) {
            let new = Segment::allocate(buckets, old.depth());
            if old.copy_into(new) {
                self.replace(position, new);
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

    /// Finds the innermost directory for a position.
    fn innermost(&mut self, position: u64) -> Innermost {
        let mut at = Innermost { link: &mut self.root, base: 0 };
        let mut node = self.root;
        while let Some(directory) = Directory::of(node) {
            let index = directory.index(position, at.base);
            node = directory.get(index);
            if node.is_directory() {
                at = Innermost { link: directory.link(index), base: at.base + directory.width() };
            }
        }
        at
    }

    /// Lets every node that refers to the segment for `position` refer to `new`, which has its depth or one less.
    fn replace(&mut self, position: u64, new: Segment) {
        let Innermost { link, base } = self.innermost(position);
        // SAFETY: `link` points to the root or into a live directory of this table.
        match Directory::of(unsafe { link.read() }) {
            // SAFETY: the same link.
            None => unsafe { link.write(new.0) },
            Some(directory) => {
                let span = directory.span(base, new.depth());
                directory.fill(directory.index(position, base) & !(span - 1), span, new.0);
            }
        }
    }

    /// Splits a full segment by the next bit of the position.
    fn split(&mut self, position: u64, old: Segment, hasher: &RandomState) {
        let depth = old.depth() + 1;
        assert!(depth <= DEPTH_MAX, "more than 441 keys share 31 bits of their hash and many their tags");
        let mut halves = [Segment::allocate(SPLIT_BUCKETS, depth), Segment::allocate(SPLIT_BUCKETS, depth)];
        let half_of = |entry: EntryPointer| {
            let position = position_of(hash_key(hasher, entry.key()));
            (position >> (64 - depth) & 1) as usize
        };
        let mut counts = [0, 0];
        let mut overflow = false;
        old.for_each_entry_prefetched(|slot, entry| {
            let half = half_of(entry);
            counts[half] += 1;
            overflow |= halves[half].place(slot).is_none();
        });
        if overflow || counts.iter().any(|&count| count > FULL * SPLIT_BUCKETS) {
            // All too uneven for small halves: take the largest, in which anything fits that did before.
            for half in &mut halves {
                // SAFETY: no node refers to it yet.
                unsafe { half.free() };
                *half = Segment::allocate(BUCKETS_MAX, depth);
            }
            old.for_each_slot(|slot| {
                let half = half_of(entry_of(slot));
                assert!(
                    halves[half].place(slot).is_some(),
                    "a part of a segment fits a segment of the same size"
                );
            });
        }
        for (half, count) in halves.into_iter().zip(counts) {
            half.set_entries(count);
            self.bytes += half.bytes();
        }
        self.link_halves(position, depth, halves);
        self.bytes -= old.bytes();
        // SAFETY: `link_halves` wrote over every node that referred to the old segment.
        unsafe { old.free() };
    }

    /// Puts two halves in the place of the segment for `position`, deepening the directory if needed.
    fn link_halves(&mut self, position: u64, depth: u32, halves: [Segment; 2]) {
        let Innermost { link, base } = self.innermost(position);
        // SAFETY: `link` points to the root or into a live directory of this table.
        let Some(mut directory) = Directory::of(unsafe { link.read() }) else {
            let directory = Directory::pair(halves);
            self.bytes += directory.bytes();
            // SAFETY: the same link.
            unsafe { link.write(directory.0) };
            return;
        };
        if depth > base + directory.width() {
            if directory.width() == DIRECTORY_WIDTH_MAX {
                // The new directory takes the entry of one deepest segment, so `deepest` stays.
                let index = directory.index(position, base);
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
        let first = directory.index(position, base) & !(2 * span - 1);
        directory.fill(first, span, halves[0].0);
        directory.fill(first + span, span, halves[1].0);
        if span == 1 {
            directory.set_deepest(directory.deepest() + 2);
        }
    }

    /// Gives memory back after a deletion left a segment sparse.
    #[cold]
    #[inline(never)]
    fn shrink(&mut self, position: u64, segment: Segment) {
        let entries = segment.entries();
        if entries <= MERGE_ENTRIES_MAX / 2 && entries.is_multiple_of(MERGE_EVERY) && self.merge(position) {
            while self.merge(position) {}
        } else if segment.buckets() > 1 {
            let least = entries.div_ceil(DENSE).max(1);
            self.resize(position, segment, least, segment.buckets() - 1);
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

    /// Merges the segment for `position` with its buddy if both are small.
    fn merge(&mut self, position: u64) -> bool {
        let Innermost { link, base } = self.innermost(position);
        // SAFETY: `link` points to the root or into a live directory of this table.
        let Some(directory) = Directory::of(unsafe { link.read() }) else { return false };
        let index = directory.index(position, base);
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
                self.replace(position, merged);
                self.bytes += merged.bytes();
                for old in [segment, buddy] {
                    self.bytes -= old.bytes();
                    // SAFETY: `replace` wrote over every node that referred to either.
                    unsafe { old.free() };
                }
                if span == 1 {
                    directory.set_deepest(directory.deepest() - 2);
                }
                self.halve_while_possible(position);
                return true;
            }
            // SAFETY: no node was made to refer to it.
            unsafe { merged.free() };
        }
        false
    }

    /// Halves a directory as long as no entry needs its last bit; at width 0 its one entry takes its place.
    fn halve_while_possible(&mut self, position: u64) {
        loop {
            let Innermost { link, base } = self.innermost(position);
            // SAFETY: `link` points to the root or into a live directory of this table.
            let Some(old) = Directory::of(unsafe { link.read() }) else { return };
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
    /// A cursor says what has been covered: all keys whose position's prefix is smaller than `prefix` (of `depth`
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
            let Some(segment) = self.segment_at(position) else { return 0 };
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
            let slot = segment.random_slot(bits);
            if slot != 0 {
                return Some(entry_of(slot));
            }
        }
        // A nearly empty table: take the first entry after a random position.
        let mut position = random();
        loop {
            let segment = self.segment_at(position)?;
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

    /// Visits up to `count` entries that lie together at a random place: neighbours by hash, so as good as any
    /// others, and cheaper than as many places.
    pub(super) fn sample(
        &self,
        count: usize,
        mut random: impl FnMut() -> u64,
        mut visit: impl FnMut(EntryPointer),
    ) {
        let bits = random();
        let visited = self.locate(bits).map_or(0, |segment| segment.sample(bits, count, &mut visit));
        if visited == 0
            && let Some(entry) = self.random(random)
        {
            visit(entry);
        }
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self, hasher: &RandomState) {
        let (mut len, mut bytes) = (0, 0);
        let mut position = Some(0);
        while let Some(at) = position {
            let Some(segment) = self.segment_at(at) else { break };
            assert_eq!(at & (u64::MAX >> segment.depth()), 0, "segments are aligned to their size");
            segment.check(|tag, entry| {
                let hash = hash_key(hasher, entry.key());
                assert_eq!(hash as u16, tag);
                assert!(self.locate(hash) == Some(segment), "an entry lies in the segment of its hash");
            });
            len += segment.entries();
            bytes += segment.bytes();
            position = next_position(at, segment.depth());
        }
        assert_eq!(len, self.len);
        assert_eq!(bytes + self.check_directory(self.root, 0), self.bytes);
        assert_eq!(self.root.is_empty(), self.len == 0);
    }

    /// Verifies a directory and those below, and returns their bytes.
    #[cfg(test)]
    fn check_directory(&self, node: Node, base: u32) -> usize {
        let Some(directory) = Directory::of(node) else { return 0 };
        let (mut bytes, mut deepest) = (directory.bytes(), 0);
        for index in 0..directory.len() {
            let node = directory.get(index);
            match node.as_segment() {
                Some(segment) => {
                    let depth = segment.depth();
                    assert!((base + 1..=base + directory.width()).contains(&depth) || directory.width() == 0);
                    let first = index & !(directory.span(base, depth) - 1);
                    assert!(directory.get(first) == node, "a segment's entries are neighbours");
                    deepest += usize::from(depth == base + directory.width());
                }
                None => {
                    assert_eq!(directory.width(), DIRECTORY_WIDTH_MAX);
                    bytes += self.check_directory(node, base + directory.width());
                    deepest += 1;
                }
            }
        }
        assert_eq!(deepest, directory.deepest());
        assert!(deepest > 0, "a directory that nobody needs is halved");
        bytes
    }

    /// Visits every entry.
    pub(super) fn for_each(&self, mut visit: impl FnMut(EntryPointer)) {
        let mut position = Some(0);
        while let Some(at) = position {
            let Some(segment) = self.segment_at(at) else { return };
            segment.for_each_entry_prefetched(|_, entry| visit(entry));
            position = next_position(at, segment.depth());
        }
    }
}

/// The hash of a key.
#[inline]
pub(super) fn hash_key(hasher: &RandomState, key: &[u8]) -> u64 {
    // Unlike `hash_one`, which would hash the length as well: keys are hashed whole, never joined.
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

/// The place of a hash in the table's order: with u in 0..1 for the top half of the hash, about log2(1 + u),
/// approximated by u + 11/32 u (1 - u). Only the top half of the result is used.
#[inline]
fn position_of(hash: u64) -> u64 {
    let upper = hash >> 32;
    let bulge = (upper * ((1 << 32) - upper)) >> 32;
    (upper + ((bulge * 11) >> 5)) << 32
}

/// Where the positions of the next segment begin.
fn next_position(position: u64, depth: u32) -> Option<u64> {
    if depth == 0 { None } else { position.checked_add(1 << (64 - depth)) }
}
