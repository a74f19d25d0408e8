//! A member of a large set: one allocation.
//!
//! ```text
//!  +--------------+-----------+
//!  | length       | bytes ... |   up to 254 bytes
//!  +--------------+-----------+
//!  | 255 | u64    | bytes ... |   longer ones
//!  +-----+--------+-----------+
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::runtime::allocator::rounded_bytes;
use crate::types::hash_index::Reference;

const LONG: u8 = 255;
const SHORT_HEAD_BYTES: usize = 1;
const LONG_HEAD_BYTES: usize = SHORT_HEAD_BYTES + size_of::<u64>();

/// A pointer to a live member. Whoever holds one has it from the set that owns the member, and does not
/// keep it beyond a change of that set; only [`Member::free`] ends a member's life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Member(NonNull<u8>);

impl Member {
    pub(super) fn allocate(bytes: &[u8]) -> Member {
        let head = if bytes.len() < LONG as usize { SHORT_HEAD_BYTES } else { LONG_HEAD_BYTES };
        let layout = Self::layout(head + bytes.len());
        // SAFETY: the layout is not empty, a head at least.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the block has room for the head and the bytes.
        unsafe {
            if head == SHORT_HEAD_BYTES {
                block.write(bytes.len() as u8);
            } else {
                block.write(LONG);
                block.add(SHORT_HEAD_BYTES).cast::<u64>().write_unaligned(bytes.len() as u64);
            }
            block.add(head).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        Member(block)
    }

    /// # Safety
    /// The set has forgotten the member, and no copy of the pointer is used again.
    pub(super) unsafe fn free(self) {
        let (offset, length) = self.span();
        // SAFETY: the block was allocated with this layout, and by the caller's promise is not used again.
        unsafe { dealloc(self.0.as_ptr(), Self::layout(offset + length)) }
    }

    fn layout(bytes: usize) -> Layout {
        match Layout::from_size_align(bytes, 1) {
            Ok(layout) => layout,
            // Longer than any slice can be.
            Err(_) => handle_alloc_error(Layout::new::<u8>()),
        }
    }

    /// Where the bytes begin and how many they are.
    #[inline]
    fn span(self) -> (usize, usize) {
        // SAFETY: a live member has a head.
        unsafe {
            match self.0.read() {
                LONG => {
                    let length = self.0.add(SHORT_HEAD_BYTES).cast::<u64>().read_unaligned();
                    (LONG_HEAD_BYTES, length as usize)
                }
                length => (SHORT_HEAD_BYTES, length as usize),
            }
        }
    }

    /// The member's bytes. The caller bounds `'a` by its borrow of the set.
    #[inline]
    pub(super) fn bytes<'a>(self) -> &'a [u8] {
        let (offset, length) = self.span();
        // SAFETY: a live member has so many bytes there, and they never change.
        unsafe { std::slice::from_raw_parts(self.0.add(offset).as_ptr(), length) }
    }

    #[inline]
    pub(super) fn address(self) -> *const u8 {
        self.0.as_ptr()
    }

    /// Bytes that are allocated for the member.
    pub(super) fn memory_bytes(self) -> usize {
        let (offset, length) = self.span();
        rounded_bytes(offset + length)
    }

    /// The address, by which the index knows the member.
    #[inline]
    pub(super) fn reference(self) -> Reference {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// # Safety
    /// `reference` is that of a member that still lives.
    #[inline]
    pub(super) unsafe fn of_reference(reference: Reference) -> Member {
        let pointer = std::ptr::with_exposed_provenance_mut(reference as usize);
        // SAFETY: the address of a live block is not null.
        Member(unsafe { NonNull::new_unchecked(pointer) })
    }
}
