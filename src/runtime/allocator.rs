//! The global allocator, and what each thread holds of it.
//!
//! Every block is counted with the size that the allocator really sets aside, in a counter of the thread:
//! no shared counter, no atomic. A block that is freed on another core than it came from is subtracted
//! there, so one thread's number alone can be off (even below zero); the sum over all threads is right.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use libmimalloc_sys::{mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

/// [`MiMalloc`] with a count per thread.
pub struct CountingAllocator;

thread_local! {
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// What the calling thread allocated minus what it freed, in bytes.
#[inline]
pub fn thread_held_bytes() -> i64 {
    HELD_BYTES.get()
}

unsafe extern "C" {
    /// Of mimalloc: frees what the calling thread's heap does not use.
    safe fn mi_collect(force: bool);
}

/// Gives memory back to the system that the calling thread has freed.
pub fn give_back() {
    mi_collect(true);
}

/// The bytes that the allocator sets aside for a request: its size classes, four to each power of two.
#[inline(always)]
pub const fn rounded_bytes(size: usize) -> usize {
    if size <= 64 {
        return if size <= 8 { 8 } else { (size + 15) & !15 };
    }
    let shift = (usize::BITS - (size - 1).leading_zeros()) as usize - 3;
    (size + (1 << shift) - 1) >> shift << shift
}

const CACHE_LINE_BYTES: usize = 64;

/// Fetches the cache line at an address, should there be one.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on memory, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Fetches the first cache lines of some bytes.
#[inline(always)]
pub fn prefetch_lines(bytes: &[u8], lines_max: usize) {
    for line in bytes.chunks(CACHE_LINE_BYTES).take(lines_max) {
        prefetch(line.as_ptr());
    }
}

#[inline(always)]
fn count(bytes: i64) {
    // After a thread's locals are gone (its very end) nobody reads the count any more.
    let _ = HELD_BYTES.try_with(|held| held.set(held.get() + bytes));
}

/// Whether every block of such a size is aligned so, whoever asks. The allocator's functions for aligned blocks
/// do not know that: when their page is full they ask for `size + align - 1` instead, which takes a block of the
/// next size class for nearly every request.
#[inline(always)]
fn is_aligned_anyway(size: usize, align: usize) -> bool {
    align <= 8 || (align == 16 && size > 8)
}

// SAFETY: hands every call through to the allocator underneath, with the same arguments, or without the alignment
// where that is the block's own.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        count(rounded_bytes(size) as i64);
        if is_aligned_anyway(size, layout.align()) {
            // SAFETY: any size will do.
            return unsafe { mi_malloc(size) }.cast();
        }
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(rounded_bytes(layout.size()) as i64));
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        count(rounded_bytes(size) as i64);
        if is_aligned_anyway(size, layout.align()) {
            // SAFETY: any size will do.
            return unsafe { mi_zalloc(size) }.cast();
        }
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(rounded_bytes(new_size) as i64 - rounded_bytes(layout.size()) as i64);
        if is_aligned_anyway(new_size, layout.align()) {
            // SAFETY: the block is this allocator's, as the caller promises.
            return unsafe { mi_realloc(pointer.cast(), new_size) }.cast();
        }
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn mi_usable_size(block: *const u8) -> usize;
    }

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn the_count_follows_what_is_allocated() {
        let before = thread_held_bytes();
        let block = vec![0u8; 100_000];
        let held = thread_held_bytes() - before;
        assert!((100_000..125_000).contains(&held), "{held}");
        drop(block);
        assert_eq!(thread_held_bytes(), before);
    }

    #[test]
    fn small_blocks_are_aligned_and_no_larger_than_counted() {
        for align in [1, 2, 4, 8, 16] {
            for size in (align..400).chain([1000, 5000, 70_000]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // More than a page of each, since the first block of a page shows nothing.
                // SAFETY: the layout is sound and not empty.
                let alloc = |_| unsafe { CountingAllocator.alloc(layout) };
                let blocks: Vec<*mut u8> = (0..600).map(alloc).collect();
                for &block in &blocks {
                    assert!(!block.is_null() && (block as usize).is_multiple_of(align), "{size} {align}");
                    // SAFETY: the block has just come from there.
                    let usable = unsafe { mi_usable_size(block) };
                    assert!(usable >= size, "{size} {align}");
                    if size < 5000 {
                        assert_eq!(usable, rounded_bytes(size), "{size} {align}");
                    }
                }
                for block in blocks {
                    // SAFETY: it was allocated with this layout, and is not used any more.
                    unsafe { CountingAllocator.dealloc(block, layout) };
                }
            }
        }
    }

    #[test]
    fn sizes_round_up_by_at_most_a_quarter() {
        for size in 1..10_000usize {
            let rounded = rounded_bytes(size);
            assert!(rounded >= size && (size < 64 || rounded <= size + size / 4 + 1), "{size} → {rounded}");
        }
    }
}
