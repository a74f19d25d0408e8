//! The bytes of a small set, with what they mean: in the structure itself as long as they are few.
//!
//! Ten integers of four bytes each need no allocation of their own.

use crate::runtime::allocator::rounded_bytes;

/// With three bytes more and the kind, a set takes 48 bytes. So does an [`crate::types::Object`], which keeps its own
/// kind in the same byte.
const INLINE_BYTES: usize = 44;

/// Bytes, a number of elements, and their form, which is the owner's affair.
#[derive(Clone)]
pub(super) enum Block {
    Inline { form: u8, count: u8, length: u8, bytes: [u8; INLINE_BYTES] },
    Heap { form: u8, count: u32, bytes: Vec<u8> },
}

impl Block {
    pub(super) fn new(form: u8) -> Block {
        Block::Inline { form, count: 0, length: 0, bytes: [0; INLINE_BYTES] }
    }

    /// An empty block with room for so many bytes.
    pub(super) fn with_room(form: u8, room: usize) -> Block {
        if room <= INLINE_BYTES {
            return Block::new(form);
        }
        Block::Heap { form, count: 0, bytes: Vec::with_capacity(rounded_bytes(room)) }
    }

    #[inline]
    pub(super) fn form(&self) -> u8 {
        match self {
            Block::Inline { form, .. } | Block::Heap { form, .. } => *form,
        }
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Block::Inline { count, .. } => *count as usize,
            Block::Heap { count, .. } => *count as usize,
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Block::Inline { length, bytes, .. } => &bytes[..*length as usize],
            Block::Heap { bytes, .. } => bytes,
        }
    }

    /// Bytes allocated.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Block::Inline { .. } => 0,
            Block::Heap { bytes, .. } => rounded_bytes(bytes.capacity()),
        }
    }

    /// Makes a gap of `length` bytes at `at` for one more element, which the caller writes into it.
    pub(super) fn insert(&mut self, at: usize, length: usize) -> &mut [u8] {
        if let Block::Inline { form, count, length: used, bytes } = self
            && *used as usize + length > INLINE_BYTES
        {
            let mut moved = Vec::with_capacity(rounded_bytes(*used as usize + length));
            moved.extend_from_slice(&bytes[..*used as usize]);
            *self = Block::Heap { form: *form, count: u32::from(*count), bytes: moved };
        }
        match self {
            Block::Inline { count, length: used, bytes, .. } => {
                bytes.copy_within(at..*used as usize, at + length);
                *count += 1;
                *used += length as u8;
                &mut bytes[at..at + length]
            }
            Block::Heap { count, bytes, .. } => {
                let used = bytes.len();
                if used + length > bytes.capacity() {
                    // In the sizes that the allocator deals in: small sets are many.
                    bytes.reserve_exact(rounded_bytes(used + length) - used);
                }
                bytes.resize(used + length, 0);
                bytes.copy_within(at..used, at + length);
                *count += 1;
                &mut bytes[at..at + length]
            }
        }
    }

    /// Removes one element, which takes the bytes from `start` to `end`.
    pub(super) fn remove(&mut self, start: usize, end: usize) {
        match self {
            Block::Inline { count, length, bytes, .. } => {
                bytes.copy_within(end..*length as usize, start);
                *count -= 1;
                *length -= (end - start) as u8;
            }
            Block::Heap { form, count, bytes } => {
                bytes.drain(start..end);
                *count -= 1;
                if bytes.len() <= INLINE_BYTES / 2 {
                    let mut block = Block::new(*form);
                    if let Block::Inline { count: few, length, bytes: room, .. } = &mut block {
                        // An element takes a byte at least.
                        *few = *count as u8;
                        *length = bytes.len() as u8;
                        room[..bytes.len()].copy_from_slice(bytes);
                    }
                    *self = block;
                } else if bytes.len() < bytes.capacity() / 2 {
                    bytes.shrink_to(rounded_bytes(bytes.len()));
                }
            }
        }
    }
}
