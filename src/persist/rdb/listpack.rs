//! Listpacks: a sequence of strings and integers in one string.
//!
//! ```text
//!   bytes, u32 │ elements, u16 │ element … │ FF
//!
//!   0nnnnnnn                    integers from 0 to 127
//!   10nnnnnn bytes              strings of up to 63 bytes
//!   110nnnnn 1 byte             integers of 13 bits
//!   1110nnnn 1 byte, bytes      strings of up to 4095 bytes
//!   F0 4 bytes, bytes           longer strings, the length little endian
//!   F1 … F4                     integers of 16, 24, 32 and 64 bits, little endian
//! ```
//!
//! Behind each element stands its length, to be read from the back: seven bits a byte, the lowest last, and
//! every byte but the first has its high bit set. 65535 elements or more are not counted in front.
//!
//! The format: `listpack.c` of Redis.

use super::Malformed;
use crate::resp::number::parse_integer;
use crate::types::packed::Item;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xFF;
/// Stands for a number of elements that nobody has counted.
const UNCOUNTED: u16 = u16::MAX;

/// A listpack that is being written.
pub(super) struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer { bytes: vec![0; HEADER_BYTES], count: 0 }
    }

    pub(super) fn push(&mut self, item: Item<'_>) {
        match item {
            Item::Int(number) => self.push_integer(number),
            Item::Bytes(bytes) => self.push_text(bytes, &[]),
            Item::Joined(prefix, rest) => self.push_text(prefix, rest),
        }
    }

    /// Adds a text, as the integer that it says if it is one.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.push(parse_integer(bytes).map_or(Item::Bytes(bytes), Item::Int));
    }

    pub(super) fn push_integer(&mut self, number: i64) {
        let start = self.bytes.len();
        let bytes = number.to_le_bytes();
        match number {
            0..128 => self.bytes.push(number as u8),
            -0x1000..0x1000 => self.bytes.extend_from_slice(&[0xC0 | bytes[1] & 0x1F, bytes[0]]),
            _ => {
                let (tag, width) = match number {
                    -0x8000..0x8000 => (0xF1, 2),
                    -0x80_0000..0x80_0000 => (0xF2, 3),
                    -0x8000_0000..0x8000_0000 => (0xF3, 4),
                    _ => (0xF4, 8),
                };
                self.bytes.push(tag);
                self.bytes.extend_from_slice(&bytes[..width]);
            }
        }
        self.end_element(start);
    }

    fn push_text(&mut self, first: &[u8], second: &[u8]) {
        let start = self.bytes.len();
        match first.len() + second.len() {
            length @ ..64 => self.bytes.push(0x80 | length as u8),
            length @ ..4096 => self.bytes.extend_from_slice(&[0xE0 | (length >> 8) as u8, length as u8]),
            length => {
                self.bytes.push(0xF0);
                self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(second);
        self.end_element(start);
    }

    fn end_element(&mut self, start: usize) {
        let length = self.bytes.len() - start;
        let width = backward_bytes(length);
        for index in (0..width).rev() {
            let more = if index + 1 == width { 0 } else { 0x80 };
            self.bytes.push((length >> (7 * index)) as u8 & 0x7F | more);
        }
        self.count += 1;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let total = (self.bytes.len() as u32).to_le_bytes();
        let count = u16::try_from(self.count).unwrap_or(UNCOUNTED).to_le_bytes();
        self.bytes[..4].copy_from_slice(&total);
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count);
        self.bytes
    }
}

/// How many bytes the length behind an element takes. That the largest number of each width takes a byte
/// more is a peculiarity of the format.
fn backward_bytes(length: usize) -> usize {
    match length {
        ..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The elements of a listpack, of which every byte is checked on the way.
pub(super) struct Reader<'a> {
    /// What is left, the end mark included.
    rest: &'a [u8],
    /// How many are left, if they were counted.
    left: Option<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Reader<'a>, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed)?;
        let [a, b, c, d, low, high] = *header;
        if u32::from_le_bytes([a, b, c, d]) as usize != bytes.len() {
            return Err(Malformed);
        }
        let count = u16::from_le_bytes([low, high]);
        Ok(Reader { rest, left: (count != UNCOUNTED).then_some(count.into()) })
    }

    /// The next element; none at the end, if that is where it should be.
    fn read(&mut self) -> Result<Option<Item<'a>>, Malformed> {
        if let [END] = self.rest {
            return if self.left.unwrap_or(0) == 0 { Ok(None) } else { Err(Malformed) };
        }
        let (item, length) = element(self.rest).ok_or(Malformed)?;
        let after = &self.rest[length..];
        let (backward, rest) = after.split_at_checked(backward_bytes(length)).ok_or(Malformed)?;
        let tail = backward.iter().fold(0, |length, &byte| length << 7 | usize::from(byte & 0x7F));
        self.left = match self.left {
            Some(left) => Some(left.checked_sub(1).ok_or(Malformed)?),
            None => None,
        };
        if tail != length {
            return Err(Malformed);
        }
        self.rest = rest;
        Ok(Some(item))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Item<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The element in front and its bytes, without its length behind it.
fn element(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let first = *bytes.first()?;
    let text = |header: usize, length: usize| {
        let end = header.checked_add(length)?;
        Some((Item::Bytes(bytes.get(header..end)?), end))
    };
    let second = || bytes.get(1).map(|&byte| usize::from(byte));
    match first {
        0..0x80 => Some((Item::Int(first.into()), 1)),
        0x80..0xC0 => text(1, (first & 0x3F).into()),
        0xC0..0xE0 => {
            let bits = i64::from(first & 0x1F) << 8 | second()? as i64;
            // The highest of 13 bits is the sign.
            Some((Item::Int(bits << 51 >> 51), 2))
        }
        0xE0..0xF0 => text(2, usize::from(first & 0x0F) << 8 | second()?),
        0xF0 => text(5, u32::from_le_bytes(*bytes[1..].first_chunk()?) as usize),
        0xF1 => Some((Item::Int(signed(bytes.get(1..3)?)), 3)),
        0xF2 => Some((Item::Int(signed(bytes.get(1..4)?)), 4)),
        0xF3 => Some((Item::Int(signed(bytes.get(1..5)?)), 5)),
        0xF4 => Some((Item::Int(signed(bytes.get(1..9)?)), 9)),
        _ => None,
    }
}

/// A signed number of up to 8 bytes, little endian.
pub(super) fn signed(bytes: &[u8]) -> i64 {
    let bits = bytes.iter().rev().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    let unused = (size_of::<i64>() - bytes.len()) as u32 * 8;
    (bits << unused) as i64 >> unused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
        Reader::new(bytes)?.map(|item| item.map(|item| item.to_vec())).collect()
    }

    fn written(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = Writer::new();
        elements.iter().for_each(|element| writer.push_bytes(element));
        writer.finish()
    }

    /// As `LPUSH k a 1` in Redis.
    #[test]
    fn the_bytes_of_a_short_one() {
        let bytes = written(&[b"1".to_vec(), b"a".to_vec()]);
        assert_eq!(bytes, b"\x0c\0\0\0\x02\0\x01\x01\x81a\x02\xff");
        assert_eq!(read(&bytes).unwrap(), [b"1".to_vec(), b"a".to_vec()]);
    }

    #[test]
    fn elements_at_the_edges_of_their_forms() {
        let mut elements: Vec<Vec<u8>> = Vec::new();
        for edge in [0, 127, 4095, 0x7FFF, 0x7F_FFFF, 0x7FFF_FFFF, i64::MAX - 1] {
            for number in [edge, edge + 1, -edge, -edge - 1, -edge - 2 + i64::from(edge > i64::MAX - 9)] {
                elements.push(number.to_string().into_bytes());
            }
        }
        for length in [0, 63, 64, 126, 4095, 4096, 16_380, 16_381, 2_097_145, 2_097_146, 2_097_147] {
            elements.push(vec![b'x'; length]);
        }
        assert_eq!(read(&written(&elements)).unwrap(), elements);
        let many = vec![b"x".to_vec(); 70_000];
        assert_eq!(read(&written(&many)).unwrap().len(), many.len());
    }

    proptest! {
        #[test]
        fn damage_is_noticed_or_harmless(
            elements in prop::collection::vec(
                prop_oneof![any::<i64>().prop_map(|number| number.to_string().into_bytes()),
                    prop::collection::vec(any::<u8>(), 0..80)], 0..20),
            place: usize,
            bits in 1u8..,
            cut: usize,
        ) {
            let mut bytes = written(&elements);
            prop_assert!(read(&bytes[..cut % bytes.len()]).is_err());
            prop_assert_eq!(read(&bytes).unwrap(), elements);
            let place = place % bytes.len();
            bytes[place] ^= bits;
            // Nothing notices another letter in a text; but nothing is read that is not there.
            if let Ok(read) = read(&bytes) {
                prop_assert!(read.iter().map(Vec::len).sum::<usize>() <= bytes.len() * 20);
            }
        }
    }
}
