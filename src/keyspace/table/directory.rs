//! A directory: 2^width nodes, each a segment or a directory of its own.

use std::alloc::dealloc;

use super::segment::{LINE_BYTES, Node, Segment};

/// A directory, not null: a line that counts, then 2^width nodes.
#[derive(Clone, Copy)]
pub(super) struct Directory(pub(super) Node);

/// The line before a directory's nodes.
#[repr(C, align(64))]
struct DirectoryHeader {
    /// Entries that need the directory's full width: deepest segments, and directories below.
    deepest: u32,
}

impl Directory {
    const WIDTH_SHIFT: u32 = 48;

    /// The directory that a node refers to, if it does.
    #[inline]
    pub(super) fn of(node: Node) -> Option<Directory> {
        node.is_directory().then_some(Directory(node))
    }

    pub(super) fn allocate(width: u32) -> Directory {
        let tag = (width as u64) << Directory::WIDTH_SHIFT | Node::DIRECTORY;
        Directory(Node::allocate(Directory::bytes_of(width), tag))
    }

    /// # Safety
    /// No node refers to the directory any more. What its entries refer to is not freed.
    pub(super) unsafe fn free(self) {
        // SAFETY: allocated with this layout in `allocate`.
        unsafe { dealloc(self.0.address(), Node::layout(self.bytes())) }
    }

    const fn bytes_of(width: u32) -> usize {
        LINE_BYTES + (8 << width)
    }

    pub(super) fn bytes(self) -> usize {
        Directory::bytes_of(self.width())
    }

    #[inline]
    pub(super) fn width(self) -> u32 {
        (self.0.0 >> Directory::WIDTH_SHIFT & 0x3F) as u32
    }

    pub(super) fn len(self) -> usize {
        1 << self.width()
    }

    /// Index of the entry for a position whose top `base` bits were used above.
    #[inline]
    pub(super) fn index(self, position: u64, base: u32) -> usize {
        ((position << base) >> (64 - self.width())) as usize
    }

    #[inline]
    pub(super) fn link(self, index: usize) -> *mut Node {
        debug_assert!(index < self.len());
        self.0.address().wrapping_add(LINE_BYTES + index * 8).cast()
    }

    #[inline]
    pub(super) fn get(self, index: usize) -> Node {
        // SAFETY: `index` is below 2^width.
        unsafe { self.link(index).read() }
    }

    pub(super) fn fill(self, from: usize, count: usize, node: Node) {
        for index in from..from + count {
            // SAFETY: callers pass a range below 2^width, and the table is borrowed mutably.
            unsafe { self.link(index).write(node) }
        }
    }

    pub(super) fn deepest(self) -> usize {
        // SAFETY: every directory begins with its header.
        unsafe { (*self.0.address().cast::<DirectoryHeader>()).deepest as usize }
    }

    pub(super) fn set_deepest(self, deepest: usize) {
        // SAFETY: as above, and the table is borrowed mutably.
        unsafe { (*self.0.address().cast::<DirectoryHeader>()).deepest = deepest as u32 }
    }

    /// A directory of two entries.
    pub(super) fn pair(halves: [Segment; 2]) -> Directory {
        let directory = Directory::allocate(1);
        directory.fill(0, 1, halves[0].0);
        directory.fill(1, 1, halves[1].0);
        directory.set_deepest(2);
        directory
    }

    /// A new directory of twice the width. No directory lies below one of less than the full width, so none
    /// of its entries needs the new bit.
    pub(super) fn doubled(self) -> Directory {
        let doubled = Directory::allocate(self.width() + 1);
        for index in 0..self.len() {
            doubled.fill(2 * index, 2, self.get(index));
        }
        doubled
    }

    /// Number of entries that one segment of local depth `depth` takes.
    pub(super) fn span(self, base: u32, depth: u32) -> usize {
        1 << (base + self.width() - depth)
    }
}
