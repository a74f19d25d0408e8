//! Ziplists, which came before listpacks: a sequence of strings and integers in one string.
//!
//! ```text
//!   bytes, u32 │ last element, u32 │ elements, u16 │ element … │ FF
//!   element   length of the one before: 1 byte, or FE and 4 bytes │ what follows
//!
//!   00nnnnnn bytes              strings of up to 63 bytes
//!   01nnnnnn 1 byte, bytes      strings of up to 16383 bytes, the length big endian
//!   80 4 bytes, bytes           longer strings, the length big endian
//!   C0 D0 E0 F0 FE              integers of 16, 32, 64, 24 and 8 bits, little endian
//!   F1 … FD                     integers from 0 to 12
//! ```
//!
//! The format: `ziplist.c` of Redis. They are only read.

use super::Malformed;
use super::listpack::signed;
use crate::types::packed::Item;

const HEADER_BYTES: usize = 10;
const END: u8 = 0xFF;
/// In place of a length of one byte: it follows in four.
const LONG: u8 = 0xFE;
/// Stands for a number of elements that nobody has counted.
const UNCOUNTED: u16 = u16::MAX;

/// The elements of a ziplist, of which every byte is checked on the way.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes of the element before.
    before: usize,
    /// Where the last element is said to begin.
    tail: usize,
    /// How many are left, if they were counted.
    left: Option<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Reader<'a>, Malformed> {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed)?;
        let word =
            |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        if word(0) != bytes.len() {
            return Err(Malformed);
        }
        let count = u16::from_le_bytes([header[8], header[9]]);
        let left = (count != UNCOUNTED).then_some(count.into());
        Ok(Reader { bytes, at: HEADER_BYTES, before: 0, tail: word(4), left })
    }

    /// The next element; none at the end, if that is where it should be.
    fn read(&mut self) -> Result<Option<Item<'a>>, Malformed> {
        let rest = self.bytes.get(self.at..).ok_or(Malformed)?;
        if let [END] = rest {
            let sound = self.left.unwrap_or(0) == 0 && self.at - self.before == self.tail;
            return if sound { Ok(None) } else { Err(Malformed) };
        }
        let (before, header) = match rest {
            [LONG, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 5),
            [length @ ..LONG, ..] => (usize::from(*length), 1),
            _ => return Err(Malformed),
        };
        let (item, length) = element(&rest[header..]).ok_or(Malformed)?;
        if before != self.before {
            return Err(Malformed);
        }
        self.left = match self.left {
            Some(left) => Some(left.checked_sub(1).ok_or(Malformed)?),
            None => None,
        };
        self.before = header + length;
        self.at += self.before;
        Ok(Some(item))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Item<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The element in front and its bytes, without the length of the one before.
fn element(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let first = *bytes.first()?;
    let text = |header: usize, length: usize| {
        let end = header.checked_add(length)?;
        Some((Item::Bytes(bytes.get(header..end)?), end))
    };
    let integer = |width: usize| Some((Item::Int(signed(bytes.get(1..=width)?)), 1 + width));
    match first {
        0..0x40 => text(1, first.into()),
        0x40..0x80 => text(2, usize::from(first & 0x3F) << 8 | usize::from(*bytes.get(1)?)),
        0x80..0xC0 => text(5, u32::from_be_bytes(*bytes[1..].first_chunk()?) as usize),
        0xC0 => integer(2),
        0xD0 => integer(4),
        0xE0 => integer(8),
        0xF0 => integer(3),
        0xFE => integer(1),
        0xF1..=0xFD => Some((Item::Int(i64::from(first & 0x0F) - 1), 1)),
        _ => None,
    }
}
