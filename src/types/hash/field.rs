//! A field of a large hash: name and value in one allocation.
//!
//! ```text
//!   0      1              2..4
//!  +------+--------------+------------------+------------+-----------+
//!  | form | name length  | value length     | name ...   | value ... |   short ones
//!  +------+--------------+------------------+------------+-----------+
//!  | form | name length, u32 | value length, u32 | ...                |   a name from 256, a value from 65536 bytes on
//!  +------+------------------+-------------------+--------------------+
//! ```
//!
//! A value whose field rounds to the same size class is written where the former one was.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::runtime::allocator::rounded_bytes;
use crate::types::hash_index::Reference;

const SHORT: u8 = 0;
const LONG: u8 = 1;
const SHORT_HEAD_BYTES: usize = 4;
const LONG_HEAD_BYTES: usize = 9;

/// Where the parts of a field are.
#[derive(Clone, Copy)]
struct Shape {
    head: usize,
    name: usize,
    value: usize,
}

impl Shape {
    fn new(name: usize, value: usize) -> Shape {
        let short = name <= u8::MAX as usize && value <= u16::MAX as usize;
        Shape { head: if short { SHORT_HEAD_BYTES } else { LONG_HEAD_BYTES }, name, value }
    }

    fn block_bytes(self) -> usize {
        rounded_bytes(self.head + self.name + self.value)
    }
}

/// A pointer to a live field. Whoever holds one has it from the hash that owns the field, and does not keep
/// it beyond a change of that hash; only [`Field::free`] ends a field's life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Field(NonNull<u8>);

impl Field {
    pub(super) fn allocate(name: &[u8], value: &[u8]) -> Field {
        let shape = Shape::new(name.len(), value.len());
        let layout = layout(shape.block_bytes());
        // SAFETY: the layout is not empty, a head at least.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let field = Field(block);
        // SAFETY: the block has room for the head, the name and the value.
        unsafe {
            field.write_head(shape);
            block.add(shape.head).copy_from_nonoverlapping(NonNull::from(name).cast(), name.len());
            field.write_value(shape, value);
        }
        field
    }

    /// # Safety
    /// The block has room for the shape and the value, which has the length that the shape says.
    unsafe fn write_value(self, shape: Shape, value: &[u8]) {
        // SAFETY: as the caller promises.
        unsafe {
            let place = self.0.add(shape.head + shape.name);
            place.copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
    }

    /// # Safety
    /// The block has room for the head.
    unsafe fn write_head(self, shape: Shape) {
        // SAFETY: as the caller promises. Lengths fit: no argument of a command is longer than 32 bits say.
        unsafe {
            if shape.head == SHORT_HEAD_BYTES {
                self.0.write(SHORT);
                self.0.add(1).write(shape.name as u8);
                self.0.add(2).cast::<u16>().write_unaligned(shape.value as u16);
            } else {
                debug_assert!(shape.name <= u32::MAX as usize && shape.value <= u32::MAX as usize);
                self.0.write(LONG);
                self.0.add(1).cast::<u32>().write_unaligned(shape.name as u32);
                self.0.add(5).cast::<u32>().write_unaligned(shape.value as u32);
            }
        }
    }

    /// # Safety
    /// The hash has forgotten the field, and no copy of the pointer is used again.
    pub(super) unsafe fn free(self) {
        let layout = layout(self.shape().block_bytes());
        // SAFETY: the block was allocated with this layout, and by the caller's promise is not used again.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }

    #[inline]
    fn shape(self) -> Shape {
        // SAFETY: a live field has a head.
        unsafe {
            if self.0.read() == SHORT {
                let value = self.0.add(2).cast::<u16>().read_unaligned();
                Shape { head: SHORT_HEAD_BYTES, name: self.0.add(1).read() as usize, value: value as usize }
            } else {
                let name = self.0.add(1).cast::<u32>().read_unaligned();
                let value = self.0.add(5).cast::<u32>().read_unaligned();
                Shape { head: LONG_HEAD_BYTES, name: name as usize, value: value as usize }
            }
        }
    }

    #[inline]
    fn part<'a>(self, offset: usize, length: usize) -> &'a [u8] {
        // SAFETY: the callers take offset and length from the shape of the live field.
        unsafe { std::slice::from_raw_parts(self.0.add(offset).as_ptr(), length) }
    }

    /// The caller bounds `'a` by its borrow of the hash.
    #[inline]
    pub(super) fn name<'a>(self) -> &'a [u8] {
        let shape = self.shape();
        self.part(shape.head, shape.name)
    }

    /// The caller bounds `'a` by its borrow of the hash.
    #[inline]
    pub(super) fn value<'a>(self) -> &'a [u8] {
        let shape = self.shape();
        self.part(shape.head + shape.name, shape.value)
    }

    /// Writes another value if it needs a block of the same size and the same head.
    pub(super) fn set_value(self, value: &[u8]) -> bool {
        let (before, after) = (self.shape(), Shape::new(self.shape().name, value.len()));
        if before.head != after.head || before.block_bytes() != after.block_bytes() {
            return false;
        }
        // SAFETY: the block has room for the new shape; whoever changes the hash holds no slice of it.
        unsafe {
            self.write_head(after);
            self.write_value(after, value);
        }
        true
    }

    /// Bytes that are allocated for the field.
    pub(super) fn memory_bytes(self) -> usize {
        self.shape().block_bytes()
    }

    /// The address, by which the index knows the field.
    #[inline]
    pub(super) fn reference(self) -> Reference {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// # Safety
    /// `reference` is that of a field that still lives.
    #[inline]
    pub(super) unsafe fn of_reference(reference: Reference) -> Field {
        let pointer = std::ptr::with_exposed_provenance_mut(reference as usize);
        // SAFETY: the address of a live block is not null.
        Field(unsafe { NonNull::new_unchecked(pointer) })
    }
}

fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, 1) {
        Ok(layout) => layout,
        // Longer than any slice can be.
        Err(_) => handle_alloc_error(Layout::new::<u8>()),
    }
}
