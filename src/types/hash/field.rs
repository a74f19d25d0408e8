//! A field of a large hash: name, value and perhaps a deadline in one allocation.
//!
//! ```text
//!   0      1              2..4           4..12
//!  +------+--------------+--------------+-----------------+------------+-----------+
//!  | form | name length  | value length | deadline, i64   | name ...   | value ... |
//!  +------+--------------+--------------+-----------------+------------+-----------+
//!           both in 4 bytes if a name     only if the form
//!           has 256 or a value 65536      says so
//! ```
//!
//! A value whose field rounds to the same size class is written where the former one was.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::runtime::allocator::rounded_bytes;
use crate::types::NEVER;
use crate::types::hash_index::Reference;

/// In the form: lengths of 4 bytes.
const LONG: u8 = 1 << 0;
/// In the form: a deadline follows the lengths.
const TIMED: u8 = 1 << 1;

const SHORT_HEAD_BYTES: usize = 4;
const LONG_HEAD_BYTES: usize = 9;
const DEADLINE_BYTES: usize = size_of::<i64>();

/// What follows from the form and the lengths.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    form: u8,
    name: usize,
    value: usize,
}

impl Shape {
    fn new(name: usize, value: usize, timed: bool) -> Shape {
        let short = name <= u8::MAX as usize && value <= u16::MAX as usize;
        Shape { form: if short { 0 } else { LONG } | if timed { TIMED } else { 0 }, name, value }
    }

    /// Where the deadline would be.
    fn head_bytes(self) -> usize {
        if self.form & LONG == 0 { SHORT_HEAD_BYTES } else { LONG_HEAD_BYTES }
    }

    fn name_offset(self) -> usize {
        self.head_bytes() + if self.form & TIMED == 0 { 0 } else { DEADLINE_BYTES }
    }

    fn value_offset(self) -> usize {
        self.name_offset() + self.name
    }

    fn block_bytes(self) -> usize {
        rounded_bytes(self.value_offset() + self.value)
    }
}

/// A pointer to a live field. Whoever holds one has it from the hash that owns the field, and does not keep
/// it beyond a change of that hash; only [`Field::free`] ends a field's life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Field(NonNull<u8>);

impl Field {
    /// `deadline` is [`NEVER`] for a field that has none.
    pub(super) fn allocate(name: &[u8], value: &[u8], deadline: i64) -> Field {
        let shape = Shape::new(name.len(), value.len(), deadline != NEVER);
        let layout = layout(shape.block_bytes());
        // SAFETY: the layout is not empty, a head at least.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let field = Field(block);
        // SAFETY: the block has room for all that the shape counts.
        unsafe {
            field.write_head(shape);
            if deadline != NEVER {
                block.add(shape.head_bytes()).cast::<i64>().write_unaligned(deadline);
            }
            block.add(shape.name_offset()).copy_from_nonoverlapping(NonNull::from(name).cast(), name.len());
            field.write_value(shape, value);
        }
        field
    }

    /// # Safety
    /// The block has room for the shape and the value, which has the length that the shape says.
    unsafe fn write_value(self, shape: Shape, value: &[u8]) {
        // SAFETY: as the caller promises.
        unsafe {
            let place = self.0.add(shape.value_offset());
            place.copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
    }

    /// # Safety
    /// The block has room for the head.
    unsafe fn write_head(self, shape: Shape) {
        // An argument's length is a number of 32 bits.
        debug_assert!(shape.name <= u32::MAX as usize && shape.value <= u32::MAX as usize);
        // SAFETY: as the caller promises.
        unsafe {
            self.0.write(shape.form);
            if shape.form & LONG == 0 {
                self.0.add(1).write(shape.name as u8);
                self.0.add(2).cast::<u16>().write_unaligned(shape.value as u16);
            } else {
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
            let form = self.0.read();
            if form & LONG == 0 {
                let value = self.0.add(2).cast::<u16>().read_unaligned();
                Shape { form, name: self.0.add(1).read() as usize, value: value as usize }
            } else {
                let name = self.0.add(1).cast::<u32>().read_unaligned();
                let value = self.0.add(5).cast::<u32>().read_unaligned();
                Shape { form, name: name as usize, value: value as usize }
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
        self.part(shape.name_offset(), shape.name)
    }

    /// The caller bounds `'a` by its borrow of the hash.
    #[inline]
    pub(super) fn value<'a>(self) -> &'a [u8] {
        let shape = self.shape();
        self.part(shape.value_offset(), shape.value)
    }

    /// When the field expires; [`NEVER`] if it has no deadline.
    #[inline]
    pub(super) fn deadline(self) -> i64 {
        let shape = self.shape();
        if shape.form & TIMED == 0 {
            return NEVER;
        }
        // SAFETY: the form says that a deadline stands there.
        unsafe { self.0.add(shape.head_bytes()).cast::<i64>().read_unaligned() }
    }

    /// Writes another value if the block and what stands before the value stay as they are.
    pub(super) fn set_value(self, value: &[u8]) -> bool {
        let before = self.shape();
        let after = Shape::new(before.name, value.len(), before.form & TIMED != 0);
        if before.form != after.form || before.block_bytes() != after.block_bytes() {
            return false;
        }
        // SAFETY: the block has room for the new shape; whoever changes the hash holds no slice of it.
        unsafe {
            self.write_head(after);
            self.write_value(after, value);
        }
        true
    }

    /// Writes another deadline if there is one.
    pub(super) fn set_deadline(self, deadline: i64) -> bool {
        let shape = self.shape();
        if shape.form & TIMED == 0 || deadline == NEVER {
            return false;
        }
        // SAFETY: the form says that a deadline stands there.
        unsafe { self.0.add(shape.head_bytes()).cast::<i64>().write_unaligned(deadline) };
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
