//! The bitmap commands: strings as arrays of bits and of small integers.
//!
//! | file | |
//! | --- | --- |
//! | `bits.rs` | SETBIT, GETBIT, BITCOUNT, BITPOS |
//! | `combine.rs` | BITOP |
//! | `field.rs` | BITFIELD, BITFIELD_RO |

mod bits;
mod combine;
mod field;
#[cfg(test)]
mod tests;

use super::strings::string_of;
use super::{Command, DataFunction, Group, KeySpec, Run, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::{EntryRef, StringRef};
use crate::resp::number::{IntegerText, parse_integer};

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const CHANGE: u16 = key_flag::RW | key_flag::ACCESS | key_flag::UPDATE;
const READ_FAST: u32 = flag::READONLY | flag::FAST;
const GROW: u32 = flag::WRITE | flag::DENYOOM;

const fn bitmap(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Bitmap).categories(category::BITMAP)
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    bitmap(name, arity, Run::OneShard(function)).keys(READ_KEY)
}

pub const COMMANDS: &[Command] = &[
    one("setbit", 4, bits::setbit).since("2.2.0").flags(GROW).keys(&[KeySpec::one(1, CHANGE)]).docs(
        "Sets or clears a bit of a string, which is created or filled up with zero bytes if need be.",
        "O(1)",
        "key offset value",
    ),
    one("getbit", 3, bits::getbit).since("2.2.0").flags(READ_FAST).docs(
        "Returns a bit of a string.",
        "O(1)",
        "key offset",
    ),
    one("bitcount", -2, bits::bitcount).since("2.6.0").flags(flag::READONLY).docs(
        "Counts the bits of a string that are set.",
        "O(N), N being the length of the range.",
        "key [start end [BYTE | BIT]]",
    ),
    one("bitpos", -3, bits::bitpos).since("2.8.7").flags(flag::READONLY).docs(
        "Finds the first bit of a string that is set, or that is clear.",
        "O(N), N being the length of the range.",
        "key bit [start [end [BYTE | BIT]]]",
    ),
    combine::BITOP,
    one("bitfield", -2, field::bitfield)
        .since("3.2.0")
        .flags(GROW)
        .keys(&[KeySpec::one(1, CHANGE | key_flag::VARIABLE_FLAGS)
            .notes("This command allows both access and modification of the key")])
        .docs(
            "Reads and changes integers of some bits anywhere in a string.",
            "O(1) for each operation.",
            "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
             <SET encoding offset value | INCRBY encoding offset increment> \
             [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
             <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        ),
    one("bitfield_ro", -2, field::bitfield_ro).since("6.0.0").flags(READ_FAST).docs(
        "Reads integers of some bits anywhere in a string.",
        "O(1) for each operation.",
        "key [GET encoding offset [GET encoding offset ...]]",
    ),
];

/// A position of a bit, which must lie in a string of the longest length; `#n` counts fields of `field_bits`.
fn parse_offset(text: &[u8], field_bits: Option<u32>, string_bytes_max: usize) -> Result<u64, CommandError> {
    let (number, scale) = match (field_bits, text) {
        (Some(bits), [b'#', number @ ..]) => (number, bits as i64),
        _ => (text, 1),
    };
    let offset = parse_integer(number).and_then(|number| number.checked_mul(scale));
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset / 8 < string_bytes_max as u64).ok_or(CommandError::BitOffset)
}

/// Hands the bytes of a string to `read`.
fn with_bytes<T>(entry: &EntryRef<'_>, read: impl FnOnce(&[u8]) -> T) -> Result<T, CommandError> {
    Ok(match string_of(entry)? {
        StringRef::Bytes(bytes) => read(bytes),
        StringRef::Int(number) => read(IntegerText::new(number).as_bytes()),
    })
}
