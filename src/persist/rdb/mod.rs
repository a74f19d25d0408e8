//! Values in the format of Redis's snapshots, which DUMP, MIGRATE, snapshots and replication have in common.
//!
//! ```text
//!   type, 1 byte │ what the type says                     a value              encode.rs, decode.rs
//!                  ├ lengths of 1, 2, 5 or 9 bytes        text.rs, input.rs
//!                  ├ strings: plain, integers, LZF        text.rs, input.rs, lzf.rs
//!                  └ strings that hold a small collection  listpack.rs; older ones: ziplist.rs, zipmap.rs
//!   value │ version, u16 │ CRC-64                          a payload of DUMP    payload.rs
//! ```
//!
//! The format: `rdb.h` and `rdb.c` of Redis 7.2 and 7.4. What is written is of version 11, which Redis 7.2
//! writes, but for hashes with fields that expire, which came with version 12. Whatever Redis has written since
//! 2.6 is read, modules excepted.
//!
//! Both directions go in steps. An [`Encoder`] writes a value piece by piece, a [`Decoder`] builds one from
//! whatever part of its bytes is there: neither holds more than one string besides the value, nor a processor
//! for longer than its budget. What is read is not trusted: lengths and counts allocate nothing before the
//! bytes are there, no element may come twice, and nothing may be left over.

mod decode;
mod encode;
mod input;
mod listpack;
mod lzf;
mod payload;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod ziplist;
mod zipmap;

pub use decode::Decoder;
pub use encode::Encoder;
pub use input::Input;
pub use payload::{dump, restore, verify};

/// The version of what is written.
pub const VERSION: u16 = 11;
/// The version of hashes with fields that expire, and the latest that is read.
pub const VERSION_OF_TIMED_HASHES: u16 = 12;

/// The longest string that is read: the structures note lengths in 32 bits.
const STRING_BYTES_MAX: u64 = crate::types::list::ELEMENT_BYTES_MAX as u64;

/// The latest deadline of a field, in unix milliseconds: Redis keeps it in 48 bits.
const FIELD_DEADLINE_MAX: u64 = (1 << 48) - 2;

/// What was read is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The first byte of a value.
mod type_number {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const SORTED_SET: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores in binary.
    pub const SORTED_SET_2: u8 = 5;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const SORTED_SET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Nodes that are ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const SORTED_SET_LISTPACK: u8 = 17;
    /// Nodes that are listpacks or single elements.
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Fields with deadlines, of the release candidates of Redis 7.4.
    pub const HASH_TIMED_EARLY: u8 = 22;
    pub const HASH_LISTPACK_TIMED_EARLY: u8 = 23;
    /// The first deadline stands in front, the others are relative to it.
    pub const HASH_TIMED: u8 = 24;
    /// The first deadline stands in front, the listpack has all as they are.
    pub const HASH_LISTPACK_TIMED: u8 = 25;
}

/// What a node of a quicklist of the second kind is.
mod container {
    /// One element.
    pub const PLAIN: u64 = 1;
    pub const LISTPACK: u64 = 2;
}
