//! An entry: one allocation that holds a key, its small value, its deadline and its access clock.
//!
//! ```text
//!   0        1       2        3         4..6      6..8
//!  +--------+-------+--------+---------+---------+--------------+
//!  | form   | flags | key    | counter | minutes | inline value |   header, 8 bytes
//!  |        |       | length |  access clock     | length       |
//!  +--------+-------+--------+---------+---------+--------------+
//!  | deadline, i64 unix ms         | wheel tick, u32            |   only with the flag EXPIRES
//!  +-------------------------------+----------------------------+
//!  | key length, u32               |                                only if `key length` is 255
//!  +-------------------------------+
//!  | key bytes ...   | payload: i64 | value bytes | (pointer, length, capacity) of a heap string
//!  |                 |          | pointer to an object (a list and the like) | elements of a small hash
//!  +-----------------+---------------------------------------------
//! ```
//!
//! Nothing behind the header is aligned: a 19-byte key with a 32-byte value takes 59 bytes and so a 64-byte
//! block. The size of a block is the entry's size rounded up by [`block_bytes`] to the classes in which
//! allocators deal anyway; it is always derivable from the header, and a new value whose entry rounds to
//! the same block is written in place.
//!
//! What this does not do: it knows nothing of tables, of time or of which of two values is to be kept.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::string_value::StringRef;
use crate::types::hash::{ELEMENTS_BYTES_MAX, View};
use crate::types::{Encoding, Kind, Object};

/// The longest value that is kept inside its entry. Larger ones have a heap block of their own, which can
/// grow without moving the entry.
pub const INLINE_VALUE_BYTES_MAX: usize = 448;

/// Strings up to this length that were never modified in place are called `embstr` by OBJECT ENCODING.
const EMBEDDED_NAME_BYTES_MAX: usize = 44;

const HEADER_BYTES: usize = 8;
const EXPIRY_BYTES: usize = 12;
const LONG_KEY: u8 = 255;
const LONG_KEY_BYTES: usize = 4;
const INTEGER_BYTES: usize = size_of::<i64>();
const HEAP_BYTES: usize = size_of::<HeapString>();
const OBJECT_BYTES: usize = size_of::<*mut Object>();
const ADDRESS_BITS: u32 = 48;

/// The payload that a new entry is to carry.
pub(super) enum Payload<'a> {
    Int(i64),
    Inline(&'a [u8]),
    Heap(Vec<u8>),
    Object(Box<Object>),
    /// A hash that is nothing but its elements, up to [`ELEMENTS_BYTES_MAX`].
    Hash(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// Chooses the representation of bytes that are not an integer.
    #[inline]
    pub(super) fn text(bytes: &'a [u8]) -> Payload<'a> {
        if bytes.len() <= INLINE_VALUE_BYTES_MAX {
            Payload::Inline(bytes)
        } else {
            Payload::Heap(bytes.to_vec())
        }
    }

    #[inline]
    fn form(&self) -> Form {
        match self {
            Payload::Int(_) => Form::Int,
            Payload::Inline(_) => Form::Inline,
            Payload::Heap(_) => Form::Heap,
            Payload::Object(_) => Form::Object,
            Payload::Hash(_) => Form::Hash,
        }
    }

    /// Bytes that the payload takes inside the entry.
    #[inline]
    fn len(&self) -> usize {
        match self {
            Payload::Int(_) => INTEGER_BYTES,
            Payload::Inline(bytes) => bytes.len(),
            Payload::Heap(_) => HEAP_BYTES,
            Payload::Object(_) => OBJECT_BYTES,
            Payload::Hash(elements) => elements.len(),
        }
    }
}

/// When a key expires and where the wheel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at_unix_ms: i64,
    pub(super) tick: u32,
}

/// What the payload is: the type of the value and how it is represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Form {
    Int = 0,
    Inline = 1,
    Heap = 2,
    Object = 3,
    Hash = 4,
}

const _: () = assert!(INLINE_VALUE_BYTES_MAX <= u16::MAX as usize && ELEMENTS_BYTES_MAX <= u16::MAX as usize);

const FLAG_EXPIRES: u8 = 1 << 0;
/// The string was modified in place, so OBJECT ENCODING calls it raw whatever its length.
const FLAG_RAW: u8 = 1 << 1;
/// The sweep of the wheel in which the entry was last recorded; see `expiry`.
const FLAG_GENERATION: u8 = 1 << 2;
/// The value is a hash with fields that expire.
const FLAG_FIELDS_EXPIRE: u8 = 1 << 3;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Header {
    form: Form,
    flags: u8,
    key_length: u8,
    /// LFU: the logarithmic counter. LRU: the low byte of the clock.
    counter: u8,
    /// LFU: minutes of the last decay. LRU: the high half of the clock.
    minutes: u16,
    /// Length of an inline value or of the elements of a hash; 0 for the other forms.
    value_length: u16,
}

/// The parts of a `Vec<u8>`, as they lie (unaligned) in an entry.
#[derive(Clone, Copy)]
#[repr(C)]
struct HeapString {
    pointer: *mut u8,
    length: usize,
    capacity: usize,
}

impl HeapString {
    fn of(bytes: Vec<u8>) -> HeapString {
        let mut bytes = ManuallyDrop::new(bytes);
        HeapString { pointer: bytes.as_mut_ptr(), length: bytes.len(), capacity: bytes.capacity() }
    }

    /// # Safety
    /// The caller becomes the owner: no other `Vec` may be made of these parts.
    unsafe fn into_vec(self) -> Vec<u8> {
        // SAFETY: the parts come from a Vec<u8> that was forgotten in `of`, and the caller owns them alone.
        unsafe { Vec::from_raw_parts(self.pointer, self.length, self.capacity) }
    }
}

/// Size of the block for an entry of `bytes`: multiples of 16 up to 128, then four classes per doubling.
const fn block_bytes(bytes: usize) -> usize {
    if bytes <= 128 {
        return (bytes + 15) & !15;
    }
    let step = if bytes <= 8192 { 1 << ((bytes - 1).ilog2() - 2) } else { 1024 };
    (bytes + step - 1) & !(step - 1)
}

#[inline]
const fn entry_bytes(key_length: usize, expires: bool, payload_length: usize) -> usize {
    let mut bytes = HEADER_BYTES + key_length + payload_length;
    if expires {
        bytes += EXPIRY_BYTES;
    }
    if key_length >= LONG_KEY as usize {
        bytes += LONG_KEY_BYTES;
    }
    bytes
}

/// A pointer to a live entry. Whoever holds one has obtained it from the table that owns the entry and
/// does not keep it across anything that could free it; only [`EntryPointer::free`] ends an entry's life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryPointer(NonNull<u8>);

impl EntryPointer {
    /// A new entry, not yet owned by any table.
    #[inline]
    pub(super) fn allocate(
        key: &[u8],
        deadline: Option<Deadline>,
        payload: Payload<'_>,
        clock: u32,
    ) -> EntryPointer {
        let bytes = entry_bytes(key.len(), deadline.is_some(), payload.len());
        let layout = Self::layout(bytes);
        // SAFETY: the layout is not empty, a header at least.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let address = block.as_ptr().expose_provenance();
        assert!(address >> ADDRESS_BITS == 0, "an address beyond 48 bits does not fit a slot");
        let entry = EntryPointer(block);
        let header = Header {
            form: payload.form(),
            flags: if deadline.is_some() { FLAG_EXPIRES } else { 0 },
            key_length: key.len().min(LONG_KEY as usize) as u8,
            counter: clock as u8,
            minutes: (clock >> 8) as u16,
            value_length: 0,
        };
        // SAFETY: the block has room for header, deadline, long key length and key: `entry_bytes` counted them.
        unsafe {
            block.cast::<Header>().write(header);
            if let Some(deadline) = deadline {
                entry.write_deadline(deadline);
            }
            if key.len() >= LONG_KEY as usize {
                entry.at(entry.key_offset() - LONG_KEY_BYTES).cast::<u32>().write_unaligned(key.len() as u32);
            }
            entry.at(entry.key_offset()).copy_from_nonoverlapping(key.as_ptr(), key.len());
        }
        entry.write_payload(payload);
        entry
    }

    /// Frees the entry and the heap block of its value.
    ///
    /// # Safety
    /// No table refers to the entry any more, and no copy of the pointer is used again.
    #[inline]
    pub(super) unsafe fn free(self) {
        self.drop_heap();
        // SAFETY: the caller's promise covers the shell as well.
        unsafe { self.free_shell() };
    }

    /// Frees the entry, but not the heap block that it may refer to.
    ///
    /// # Safety
    /// As for `free`; and the heap block, if any, has got another owner.
    unsafe fn free_shell(self) {
        let layout = Self::layout(self.bytes());
        // SAFETY: the block was allocated with the layout that follows from its size.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }

    #[inline]
    fn layout(bytes: usize) -> Layout {
        let block = block_bytes(bytes);
        debug_assert!(block <= isize::MAX as usize - 7);
        // SAFETY: 8 is a power of two, and no key is near isize::MAX long.
        unsafe { Layout::from_size_align_unchecked(block, 8) }
    }

    /// The address, for a slot of the table.
    #[inline]
    pub(super) fn address(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// The entry whose `address` a slot holds.
    ///
    /// # Safety
    /// `address` came from [`EntryPointer::address`] and the entry has not been freed.
    #[inline]
    pub(super) unsafe fn from_address(address: u64) -> EntryPointer {
        // SAFETY: the address of a live block is not null; its provenance was exposed by `address`.
        EntryPointer(unsafe {
            NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address as usize))
        })
    }

    #[inline]
    fn at(self, offset: usize) -> *mut u8 {
        self.0.as_ptr().wrapping_add(offset)
    }

    #[inline]
    fn header(self) -> Header {
        // SAFETY: every live entry begins with a header, aligned to 8.
        unsafe { self.0.cast::<Header>().read() }
    }

    #[inline]
    fn set_header(self, header: Header) {
        // SAFETY: as in `header`; entries are changed by the thread that owns their table alone.
        unsafe { self.0.cast::<Header>().write(header) }
    }

    #[inline]
    fn key_offset(self) -> usize {
        let header = self.header();
        HEADER_BYTES
            + if header.flags & FLAG_EXPIRES != 0 { EXPIRY_BYTES } else { 0 }
            + if header.key_length == LONG_KEY { LONG_KEY_BYTES } else { 0 }
    }

    #[inline]
    fn key_length(self) -> usize {
        let short = self.header().key_length;
        if short < LONG_KEY {
            return short as usize;
        }
        // SAFETY: a key length of 255 says that four bytes of length stand before the key.
        unsafe { self.at(self.key_offset() - LONG_KEY_BYTES).cast::<u32>().read_unaligned() as usize }
    }

    #[inline]
    pub(super) fn key<'a>(self) -> &'a [u8] {
        // SAFETY: the key's bytes lie there; callers do not let the slice outlive the entry.
        unsafe { std::slice::from_raw_parts(self.at(self.key_offset()), self.key_length()) }
    }

    /// Whether this is the entry's key. Keys are mostly short, so they are compared here, eight bytes at a
    /// time, and not by a call.
    #[inline]
    pub(super) fn key_is(self, key: &[u8]) -> bool {
        let own = self.key();
        if own.len() != key.len() {
            return false;
        }
        let (Some(own_last), Some(key_last)) = (own.last_chunk::<8>(), key.last_chunk::<8>()) else {
            return own.iter().zip(key).all(|(a, b)| a == b);
        };
        let (own_chunks, _) = own.as_chunks::<8>();
        let (key_chunks, _) = key.as_chunks::<8>();
        own_last == key_last && own_chunks.iter().zip(key_chunks).all(|(a, b)| a == b)
    }

    #[inline]
    fn payload_offset(self) -> usize {
        self.key_offset() + self.key_length()
    }

    #[inline]
    fn payload_length(self) -> usize {
        match self.header().form {
            Form::Int => INTEGER_BYTES,
            Form::Inline | Form::Hash => self.header().value_length as usize,
            Form::Heap => HEAP_BYTES,
            Form::Object => OBJECT_BYTES,
        }
    }

    fn bytes(self) -> usize {
        self.payload_offset() + self.payload_length()
    }

    /// Bytes of the entry's own block and of what its value has beside it.
    #[inline]
    pub(super) fn memory_bytes(self) -> usize {
        block_bytes(self.bytes()) + self.heap_bytes()
    }

    /// Bytes of the string's heap block or of the object, 0 if the value lies in the entry.
    #[inline]
    pub(super) fn heap_bytes(self) -> usize {
        match self.header().form {
            Form::Int | Form::Inline | Form::Hash => 0,
            Form::Heap => self.heap().capacity,
            Form::Object => self.object().map_or(0, Object::memory_bytes),
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self.object() {
            Some(object) => object.kind(),
            None if self.header().form == Form::Hash => Kind::Hash,
            None => Kind::String,
        }
    }

    pub(super) fn encoding(self) -> Encoding {
        if let Some(object) = self.object() {
            return object.encoding();
        }
        let header = self.header();
        let short = header.value_length as usize <= EMBEDDED_NAME_BYTES_MAX;
        match header.form {
            Form::Int => Encoding::Int,
            Form::Inline if header.flags & FLAG_RAW == 0 && short => Encoding::EmbeddedString,
            Form::Hash => Encoding::Listpack,
            _ => Encoding::Raw,
        }
    }

    /// The value if it is a string.
    #[inline]
    pub(super) fn string<'a>(self) -> Option<StringRef<'a>> {
        let payload = self.at(self.payload_offset());
        Some(match self.header().form {
            // SAFETY: the form says that eight bytes of integer lie there.
            Form::Int => StringRef::Int(unsafe { payload.cast::<i64>().read_unaligned() }),
            // SAFETY: the form says that `value_length` bytes lie there; callers bound the lifetime.
            Form::Inline => StringRef::Bytes(unsafe {
                std::slice::from_raw_parts(payload, self.header().value_length as usize)
            }),
            Form::Heap => {
                let heap = self.heap();
                // SAFETY: the parts of a live Vec.
                StringRef::Bytes(unsafe { std::slice::from_raw_parts(heap.pointer, heap.length) })
            }
            Form::Object | Form::Hash => return None,
        })
    }

    /// The elements of a hash that is nothing else.
    #[inline]
    pub(super) fn elements<'a>(self) -> Option<&'a [u8]> {
        let header = self.header();
        let place = self.at(self.payload_offset());
        (header.form == Form::Hash).then(|| {
            // SAFETY: the form says that `value_length` bytes lie there; callers bound the lifetime.
            unsafe { std::slice::from_raw_parts(place, header.value_length as usize) }
        })
    }

    /// The value if it is a hash.
    #[inline]
    pub(super) fn hash<'a>(self) -> Option<View<'a>> {
        match self.elements() {
            Some(elements) => Some(View::of_elements(elements)),
            None => match self.object() {
                Some(Object::Hash(hash)) => Some(hash.view()),
                _ => None,
            },
        }
    }

    fn object_pointer(self) -> *mut Object {
        debug_assert!(self.header().form == Form::Object);
        // SAFETY: the form says that a pointer to an object lies there.
        unsafe { self.at(self.payload_offset()).cast::<*mut Object>().read_unaligned() }
    }

    /// The value if it is not a string.
    #[inline]
    pub(super) fn object<'a>(self) -> Option<&'a Object> {
        // SAFETY: a live entry owns its object; callers bound the lifetime by their borrow of the database.
        (self.header().form == Form::Object).then(|| unsafe { &*self.object_pointer() })
    }

    /// The value for change in place if it is not a string.
    #[inline]
    pub(super) fn object_mut<'a>(self) -> Option<&'a mut Object> {
        // SAFETY: as in `object`; callers hold the database exclusively while they use it.
        (self.header().form == Form::Object).then(|| unsafe { &mut *self.object_pointer() })
    }

    /// A string's bytes for change in place; none for an integer, which has no bytes.
    pub(super) fn bytes_mut<'a>(self) -> Option<&'a mut [u8]> {
        let (pointer, length) = match self.header().form {
            Form::Int => return None,
            Form::Inline => (self.at(self.payload_offset()), self.header().value_length as usize),
            Form::Heap => (self.heap().pointer, self.heap().length),
            Form::Object | Form::Hash => return None,
        };
        // SAFETY: as in `string`; callers hold the database exclusively while they use the slice.
        Some(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
    }

    fn heap(self) -> HeapString {
        debug_assert!(self.header().form == Form::Heap);
        // SAFETY: the form says that the parts of a Vec lie there.
        unsafe { self.at(self.payload_offset()).cast::<HeapString>().read_unaligned() }
    }

    fn drop_heap(self) {
        match self.header().form {
            Form::Int | Form::Inline | Form::Hash => {}
            // SAFETY: the payload is overwritten or its entry freed next, so this is the one owner.
            Form::Heap => drop(unsafe { self.heap().into_vec() }),
            // SAFETY: the same.
            Form::Object => drop(unsafe { Box::from_raw(self.object_pointer()) }),
        }
    }

    /// Writes a payload into the place of the former one, for which the block has room.
    #[inline]
    fn write_payload(self, payload: Payload<'_>) {
        debug_assert!(!matches!(payload, Payload::Inline(bytes) if bytes.len() > INLINE_VALUE_BYTES_MAX));
        let value_length = match &payload {
            Payload::Inline(bytes) | Payload::Hash(bytes) => bytes.len() as u16,
            Payload::Int(_) | Payload::Heap(_) | Payload::Object(_) => 0,
        };
        self.set_header(Header { form: payload.form(), value_length, ..self.header() });
        let place = self.at(self.payload_offset());
        // SAFETY: the callers made sure that the block has room for this payload.
        unsafe {
            match payload {
                Payload::Int(number) => place.cast::<i64>().write_unaligned(number),
                Payload::Inline(bytes) | Payload::Hash(bytes) => {
                    place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                Payload::Heap(bytes) => place.cast::<HeapString>().write_unaligned(HeapString::of(bytes)),
                Payload::Object(object) => {
                    place.cast::<*mut Object>().write_unaligned(Box::into_raw(object));
                }
            }
        }
    }

    /// Takes the value out of an entry that is about to be freed or overwritten. What has memory of its own
    /// leaves as many inline bytes as its parts took, so that the block keeps its size.
    pub(super) fn take_payload<'a>(self) -> Payload<'a> {
        let (payload, left) = match self.header().form {
            // SAFETY: the form changes in the same breath, so nobody else makes a Vec of these parts.
            Form::Heap => (Payload::Heap(unsafe { self.heap().into_vec() }), HEAP_BYTES),
            // SAFETY: the same, for the box.
            Form::Object => (Payload::Object(unsafe { Box::from_raw(self.object_pointer()) }), OBJECT_BYTES),
            Form::Int | Form::Inline | Form::Hash => {
                return match (self.string(), self.elements()) {
                    (Some(StringRef::Int(number)), _) => Payload::Int(number),
                    (Some(StringRef::Bytes(bytes)), _) => Payload::Inline(bytes),
                    (None, elements) => Payload::Hash(elements.unwrap_or_default()),
                };
            }
        };
        self.set_header(Header { form: Form::Inline, value_length: left as u16, ..self.header() });
        payload
    }

    /// Gives the entry a new value, in place if the block allows, and says where the entry is now: if it
    /// moved, the old block is gone and the caller's slot must be told.
    ///
    /// # Safety
    /// The caller writes the result into the only slot that refers to the entry. `payload` does not
    /// borrow from this entry.
    #[inline]
    pub(super) unsafe fn replace_payload(self, payload: Payload<'_>) -> EntryPointer {
        let fixed = self.payload_offset();
        let same_block = block_bytes(fixed + payload.len()) == block_bytes(fixed + self.payload_length());
        if same_block {
            self.drop_heap();
            self.write_payload(payload);
            return self;
        }
        let new = self.rebuilt(self.deadline(), payload);
        // SAFETY: by the caller's promise nobody refers to the old block once the slot is written.
        unsafe { self.free() };
        new
    }

    /// Gives the entry a new value and a deadline or none, and says where the entry is now.
    ///
    /// # Safety
    /// As for `replace_payload`.
    pub(super) unsafe fn replace(self, deadline: Option<Deadline>, payload: Payload<'_>) -> EntryPointer {
        if deadline.is_some() != self.expires() {
            let new = self.rebuilt(deadline, payload);
            // SAFETY: by the caller's promise nobody refers to the old block once the slot is written.
            unsafe { self.free() };
            return new;
        }
        if let Some(deadline) = deadline {
            // SAFETY: the entry has a deadline, so it has room for one.
            unsafe { self.write_deadline(deadline) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.replace_payload(payload) }
    }

    /// Writes a value over that of an entry without a heap block, if both take the same block.
    #[inline]
    pub(super) fn overwrite_in_place(self, payload: &Payload<'_>) -> bool {
        let header = self.header();
        let fixed = self.payload_offset();
        let former = match header.form {
            Form::Int => INTEGER_BYTES,
            Form::Inline | Form::Hash => header.value_length as usize,
            Form::Heap | Form::Object => return false,
        };
        let payload = match *payload {
            Payload::Int(number) => Payload::Int(number),
            Payload::Inline(bytes) => Payload::Inline(bytes),
            Payload::Hash(elements) => Payload::Hash(elements),
            Payload::Heap(_) | Payload::Object(_) => return false,
        };
        let length = payload.len();
        if length != former && block_bytes(fixed + length) != block_bytes(fixed + former) {
            return false;
        }
        self.set_header(Header { flags: header.flags & !FLAG_RAW, ..header });
        self.write_payload(payload);
        true
    }

    /// Another block with this entry's key, clock and flags.
    fn rebuilt(self, deadline: Option<Deadline>, payload: Payload<'_>) -> EntryPointer {
        let new = EntryPointer::allocate(self.key(), deadline, payload, self.clock());
        let kept = self.header().flags & !FLAG_EXPIRES;
        new.set_header(Header { flags: new.header().flags | kept, ..new.header() });
        new
    }

    /// Gives the entry a deadline or takes it away, and says where the entry is now.
    ///
    /// # Safety
    /// The caller writes the result into the only slot that refers to the entry.
    pub(super) unsafe fn replace_deadline(self, deadline: Option<Deadline>) -> EntryPointer {
        if let (Some(deadline), true) = (deadline, self.expires()) {
            // SAFETY: the flag says that the entry has room for a deadline.
            unsafe { self.write_deadline(deadline) };
            return self;
        }
        if deadline.is_none() && !self.expires() {
            return self;
        }
        let payload = self.take_payload();
        let new = self.rebuilt(deadline, payload);
        // SAFETY: by the caller's promise nobody refers to the old block; its heap block has moved over.
        unsafe { self.free_shell() };
        new
    }

    /// Lets `change` work on the value as a growable buffer. The value must be on the heap.
    pub(super) fn with_heap<R>(self, change: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        if self.header().form != Form::Heap {
            return None;
        }
        // SAFETY: the parts are written back below before anyone can read them again; should `change`
        // unwind, the Vec is not dropped (ManuallyDrop) and the old parts stay, at worst stale: release
        // builds abort on panic.
        let mut bytes = ManuallyDrop::new(unsafe { self.heap().into_vec() });
        let result = change(&mut bytes);
        let parts = HeapString::of(ManuallyDrop::into_inner(bytes));
        // SAFETY: the form says that the parts of a Vec lie there.
        unsafe { self.at(self.payload_offset()).cast::<HeapString>().write_unaligned(parts) };
        Some(result)
    }

    /// Sets the length of an inline value if that leaves the block as it is; new bytes are zero.
    pub(super) fn resize_inline(self, length: usize) -> bool {
        if self.header().form != Form::Inline || length > INLINE_VALUE_BYTES_MAX {
            return false;
        }
        let (offset, before) = (self.payload_offset(), self.header().value_length as usize);
        if block_bytes(offset + length) != block_bytes(offset + before) {
            return false;
        }
        if length > before {
            // SAFETY: the block is as large as `block_bytes(offset + length)`.
            unsafe { self.at(offset + before).write_bytes(0, length - before) };
        }
        self.set_header(Header { value_length: length as u16, ..self.header() });
        true
    }

    #[inline]
    pub(super) fn expires(self) -> bool {
        self.header().flags & FLAG_EXPIRES != 0
    }

    #[inline]
    pub(super) fn deadline(self) -> Option<Deadline> {
        if !self.expires() {
            return None;
        }
        // SAFETY: the flag says that deadline and tick follow the header.
        unsafe {
            let at_unix_ms = self.at(HEADER_BYTES).cast::<i64>().read_unaligned();
            let tick = self.at(HEADER_BYTES + 8).cast::<u32>().read_unaligned();
            Some(Deadline { at_unix_ms, tick })
        }
    }

    /// # Safety
    /// The entry has room for a deadline: its flag EXPIRES is set.
    unsafe fn write_deadline(self, deadline: Deadline) {
        // SAFETY: the caller's promise.
        unsafe {
            self.at(HEADER_BYTES).cast::<i64>().write_unaligned(deadline.at_unix_ms);
            self.at(HEADER_BYTES + 8).cast::<u32>().write_unaligned(deadline.tick);
        }
    }

    /// Notes the tick at which the wheel now has the entry.
    pub(super) fn set_tick(self, tick: u32) {
        if let Some(deadline) = self.deadline() {
            // SAFETY: the entry has a deadline, so it has room for one.
            unsafe { self.write_deadline(Deadline { tick, ..deadline }) };
        }
    }

    /// Whether the deadline has come, or those of all fields of a hash.
    #[inline]
    pub(super) fn expired(self, now_unix_ms: i64) -> bool {
        self.deadline().is_some_and(|deadline| deadline.at_unix_ms <= now_unix_ms)
            || self.fields_expire() && self.all_fields_expired(now_unix_ms)
    }

    #[cold]
    fn all_fields_expired(self, now_unix_ms: i64) -> bool {
        matches!(self.object(), Some(Object::Hash(fields)) if fields.all_due(now_unix_ms))
    }

    /// Whether the value is a hash with fields that expire.
    #[inline]
    pub(super) fn fields_expire(self) -> bool {
        self.header().flags & FLAG_FIELDS_EXPIRE != 0
    }

    pub(super) fn set_fields_expire(self, fields_expire: bool) {
        self.set_flag(FLAG_FIELDS_EXPIRE, fields_expire);
    }

    #[inline]
    pub(super) fn clock(self) -> u32 {
        let header = self.header();
        header.counter as u32 | (header.minutes as u32) << 8
    }

    #[inline]
    pub(super) fn set_clock(self, clock: u32) {
        self.set_header(Header { counter: clock as u8, minutes: (clock >> 8) as u16, ..self.header() });
    }

    pub(super) fn raw(self) -> bool {
        self.header().flags & FLAG_RAW != 0
    }

    pub(super) fn set_raw(self, raw: bool) {
        self.set_flag(FLAG_RAW, raw);
    }

    pub(super) fn generation(self) -> bool {
        self.header().flags & FLAG_GENERATION != 0
    }

    pub(super) fn set_generation(self, generation: bool) {
        self.set_flag(FLAG_GENERATION, generation);
    }

    fn set_flag(self, flag: u8, set: bool) {
        let before = self.header();
        let flags = if set { before.flags | flag } else { before.flags & !flag };
        self.set_header(Header { flags, ..before });
    }
}
