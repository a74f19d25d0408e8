//! One element of a block: how it is written and read.
//!
//! ```text
//!   first byte   then                              what
//!   0nnnnnnn                                       integers 0..128
//!   110nnnnn     1 byte                            integers from 128 on, 13 bits
//!   1110nnnn     2 bytes                           integers after those, 20 bits
//!   11110nnn     3 bytes                           integers after those, 27 bits
//!   F8           2 bytes                           any other integer, little endian
//!   F9           4 bytes
//!   FA           8 bytes
//!   100lllll     bytes                             strings of up to 31 bytes
//!   FB           length - 32, bytes                strings of up to 287 bytes
//!   FC           length (2 bytes), bytes
//!   FD           length (4 bytes), bytes
//!   101lllll     shared, bytes                     `shared` bytes of the block's base, then up to 31 more
//!   FE           shared, length (2 bytes), bytes   `shared` bytes of the base, then more
//! ```
//!
//! A text that is the canonical form of an integer is always written as one, so that a text and an integer
//! are never equal. Nothing is written behind an element: who goes backwards finds its way by the marks of
//! the block.

use crate::resp::number::{IntegerText, parse_integer};

const SHORT_BYTES_MAX: usize = 31;
const MEDIUM_BYTES_MAX: usize = SHORT_BYTES_MAX + 1 + u8::MAX as usize;
const BITS_13_MIN: i64 = 128;
const BITS_20_MIN: i64 = BITS_13_MIN + (1 << 13);
const BITS_27_MIN: i64 = BITS_20_MIN + (1 << 20);
const INTEGER_MAX: i64 = BITS_27_MIN + (1 << 27) - 1;

const TEXT_TAG: u8 = 0x80;
const SHARED_TAG: u8 = 0xA0;
const BITS_13_TAG: u8 = 0xC0;
const BITS_20_TAG: u8 = 0xE0;
const BITS_27_TAG: u8 = 0xF0;
const INTEGER_16: u8 = 0xF8;
const INTEGER_32: u8 = 0xF9;
const INTEGER_64: u8 = 0xFA;
const TEXT_MEDIUM: u8 = 0xFB;
const TEXT_16: u8 = 0xFC;
const TEXT_32: u8 = 0xFD;
const SHARED_16: u8 = 0xFE;

/// The longest prefix that an element can share with the base.
pub(super) const SHARED_BYTES_MAX: usize = u8::MAX as usize;
/// Shorter prefixes are not worth their byte.
pub(super) const SHARED_BYTES_MIN: usize = 2;

/// An element as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    /// A text in two parts: what it has in common with others, and the rest.
    Joined(&'a [u8], &'a [u8]),
}

impl Item<'_> {
    /// Length as text.
    pub fn len(&self) -> usize {
        match self {
            Item::Int(number) => IntegerText::new(*number).as_bytes().len(),
            Item::Bytes(bytes) => bytes.len(),
            Item::Joined(prefix, rest) => prefix.len() + rest.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Item::Int(number) => out.extend_from_slice(IntegerText::new(*number).as_bytes()),
            Item::Bytes(bytes) => out.extend_from_slice(bytes),
            Item::Joined(prefix, rest) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(rest);
            }
        }
    }

    /// The text in a buffer of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.len());
        self.write(&mut text);
        text
    }
}

/// What elements are compared with, its form as an integer found once.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    bytes: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Wanted<'a> {
    pub fn new(bytes: &'a [u8]) -> Wanted<'a> {
        Wanted { bytes, integer: parse_integer(bytes) }
    }

    #[inline]
    pub fn is(&self, item: &Item<'_>) -> bool {
        match item {
            Item::Int(number) => self.integer == Some(*number),
            Item::Bytes(bytes) => self.bytes == *bytes,
            Item::Joined(prefix, rest) => {
                self.bytes.len() == prefix.len() + rest.len()
                    && self.bytes.starts_with(prefix)
                    && self.bytes.ends_with(rest)
            }
        }
    }
}

/// The longest header; an integer is all header.
const HEADER_BYTES_MAX: usize = 9;

/// An element on its way into a block.
pub(in crate::types) struct Encoded<'a> {
    header: [u8; HEADER_BYTES_MAX],
    header_length: u8,
    text: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// `base` is what the block's elements may share a prefix with.
    #[inline]
    pub(in crate::types) fn new(element: &'a [u8], base: &[u8]) -> Encoded<'a> {
        if let Some(number) = parse_integer(element) {
            return Encoded::integer(number);
        }
        let shared = if base.is_empty() { 0 } else { shared_length(element, base) };
        if shared >= SHARED_BYTES_MIN {
            let text = &element[shared..];
            if text.len() <= SHORT_BYTES_MAX {
                return Encoded::with_header(&[SHARED_TAG | text.len() as u8, shared as u8], text);
            }
            if let (Ok(length), true) = (u16::try_from(text.len()), shared > SHARED_BYTES_MIN) {
                let [low, high] = length.to_le_bytes();
                return Encoded::with_header(&[SHARED_16, shared as u8, low, high], text);
            }
        }
        match element.len() {
            length @ 0..=SHORT_BYTES_MAX => Encoded::with_header(&[TEXT_TAG | length as u8], element),
            length @ ..=MEDIUM_BYTES_MAX => {
                Encoded::with_header(&[TEXT_MEDIUM, (length - SHORT_BYTES_MAX - 1) as u8], element)
            }
            length => match u16::try_from(length) {
                Ok(length) => {
                    let [low, high] = length.to_le_bytes();
                    Encoded::with_header(&[TEXT_16, low, high], element)
                }
                Err(_) => {
                    let [a, b, c, d] = (length as u32).to_le_bytes();
                    Encoded::with_header(&[TEXT_32, a, b, c, d], element)
                }
            },
        }
    }

    #[inline]
    fn integer(number: i64) -> Encoded<'a> {
        match number {
            0..BITS_13_MIN => Encoded::with_header(&[number as u8], &[]),
            BITS_13_MIN..BITS_20_MIN => {
                let [low, high, ..] = (number - BITS_13_MIN).to_le_bytes();
                Encoded::with_header(&[BITS_13_TAG | high, low], &[])
            }
            BITS_20_MIN..BITS_27_MIN => {
                let [low, middle, high, ..] = (number - BITS_20_MIN).to_le_bytes();
                Encoded::with_header(&[BITS_20_TAG | high, low, middle], &[])
            }
            BITS_27_MIN..=INTEGER_MAX => {
                let [a, b, c, d, ..] = (number - BITS_27_MIN).to_le_bytes();
                Encoded::with_header(&[BITS_27_TAG | d, a, b, c], &[])
            }
            _ => {
                let (tag, bytes) = match number {
                    -0x8000..0x8000 => (INTEGER_16, 2),
                    -0x8000_0000..0x8000_0000 => (INTEGER_32, 4),
                    _ => (INTEGER_64, 8),
                };
                let mut header = [0; HEADER_BYTES_MAX];
                header[0] = tag;
                header[1..].copy_from_slice(&number.to_le_bytes());
                Encoded { header, header_length: 1 + bytes, text: &[] }
            }
        }
    }

    #[inline]
    fn with_header(bytes: &[u8], text: &'a [u8]) -> Encoded<'a> {
        let mut header = [0; HEADER_BYTES_MAX];
        header[..bytes.len()].copy_from_slice(bytes);
        Encoded { header, header_length: bytes.len() as u8, text }
    }

    /// Bytes in the block.
    #[inline]
    pub(in crate::types) fn len(&self) -> usize {
        self.header_length as usize + self.text.len()
    }

    /// Fills `place`, which has exactly the length.
    #[inline]
    pub(in crate::types) fn write(&self, place: &mut [u8]) {
        let (header, text) = place.split_at_mut(self.header_length as usize);
        header.copy_from_slice(&self.header[..self.header_length as usize]);
        text.copy_from_slice(self.text);
    }
}

/// How many bytes two texts have in common at their beginning, as far as an element can say so.
#[inline]
pub(super) fn shared_length(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take(SHARED_BYTES_MAX).take_while(|(a, b)| a == b).count()
}

/// What the header of an element says.
#[derive(Clone, Copy)]
enum Head {
    Int(i64),
    Text { header: usize, length: usize },
    Shared { header: usize, shared: usize, length: usize },
}

#[inline]
fn little_endian(bytes: &[u8], at: usize, count: usize) -> u64 {
    bytes[at..at + count].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The header at `at` and the bytes that header and text take together.
#[inline]
fn head(bytes: &[u8], at: usize) -> (Head, usize) {
    let tag = bytes[at];
    let number = |count| little_endian(bytes, at + 1, count);
    let (head, size) = match tag {
        0..TEXT_TAG => (Head::Int(i64::from(tag)), 1),
        TEXT_TAG..SHARED_TAG => {
            let length = (tag & 0x1F) as usize;
            (Head::Text { header: 1, length }, 1 + length)
        }
        SHARED_TAG..BITS_13_TAG => {
            let length = (tag & 0x1F) as usize;
            (Head::Shared { header: 2, shared: bytes[at + 1] as usize, length }, 2 + length)
        }
        BITS_13_TAG..BITS_20_TAG => {
            (Head::Int(BITS_13_MIN + (i64::from(tag & 0x1F) << 8 | number(1) as i64)), 2)
        }
        BITS_20_TAG..BITS_27_TAG => {
            (Head::Int(BITS_20_MIN + (i64::from(tag & 0x0F) << 16 | number(2) as i64)), 3)
        }
        BITS_27_TAG..INTEGER_16 => {
            (Head::Int(BITS_27_MIN + (i64::from(tag & 0x07) << 24 | number(3) as i64)), 4)
        }
        INTEGER_16 => (Head::Int(i64::from(number(2) as i16)), 3),
        INTEGER_32 => (Head::Int(i64::from(number(4) as i32)), 5),
        INTEGER_64 => (Head::Int(number(8) as i64), 9),
        TEXT_MEDIUM => {
            let length = SHORT_BYTES_MAX + 1 + number(1) as usize;
            (Head::Text { header: 2, length }, 2 + length)
        }
        TEXT_16 => {
            let length = number(2) as usize;
            (Head::Text { header: 3, length }, 3 + length)
        }
        TEXT_32 => {
            let length = number(4) as usize;
            (Head::Text { header: 5, length }, 5 + length)
        }
        SHARED_16.. => {
            let length = little_endian(bytes, at + 2, 2) as usize;
            (Head::Shared { header: 4, shared: bytes[at + 1] as usize, length }, 4 + length)
        }
    };
    (head, size)
}

/// Where the element after the one at `at` begins.
#[inline]
pub(in crate::types) fn after(bytes: &[u8], at: usize) -> usize {
    at + head(bytes, at).1
}

/// The element at `at` and where the next one begins. The base stands at the beginning of `bytes`.
#[inline]
pub(in crate::types) fn decode(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let (head, size) = head(bytes, at);
    let text = |header: usize, length: usize| &bytes[at + header..at + header + length];
    let item = match head {
        Head::Int(number) => Item::Int(number),
        Head::Text { header, length } => Item::Bytes(text(header, length)),
        Head::Shared { header, shared, length } => Item::Joined(&bytes[..shared], text(header, length)),
    };
    (item, at + size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(element: &[u8], base: &[u8]) -> usize {
        let encoded = Encoded::new(element, base);
        let mut bytes = base.to_vec();
        bytes.resize(base.len() + encoded.len(), 0);
        encoded.write(&mut bytes[base.len()..]);
        let (item, next) = decode(&bytes, base.len());
        assert_eq!((item.to_vec().as_slice(), item.len()), (element, element.len()));
        assert_eq!((next, after(&bytes, base.len())), (bytes.len(), bytes.len()));
        assert!(Wanted::new(element).is(&item));
        assert!(!Wanted::new(b"another").is(&item));
        encoded.len()
    }

    #[test]
    fn integers_take_as_few_bytes_as_they_can() {
        let edges = [
            (0, 1),
            (127, 1),
            (128, 2),
            (BITS_20_MIN - 1, 2),
            (BITS_20_MIN, 3),
            (BITS_27_MIN - 1, 3),
            (BITS_27_MIN, 4),
            (INTEGER_MAX, 4),
            (INTEGER_MAX + 1, 5),
            (-1, 3),
            (-0x8000, 3),
            (-0x8001, 5),
            (i64::from(i32::MAX), 5),
            (i64::from(i32::MIN), 5),
            (i64::from(i32::MAX) + 1, 9),
            (i64::MAX, 9),
            (i64::MIN, 9),
        ];
        for (number, bytes) in edges {
            assert_eq!(round_trip(number.to_string().as_bytes(), b""), bytes, "{number}");
        }
        assert_eq!(round_trip(b"007", b""), 4, "no canonical integer");
        assert_eq!(round_trip(b"-0", b""), 3);
    }

    #[test]
    fn texts_of_all_lengths() {
        for length in [0, 1, 31, 32, 287, 288, 65_535, 65_536, 70_000] {
            let header = match length {
                0..32 => 1,
                32..288 => 2,
                288..65_536 => 3,
                _ => 5,
            };
            assert_eq!(round_trip(&vec![b'x'; length], b""), header + length);
        }
    }

    #[test]
    fn a_prefix_in_common_is_not_stored_again() {
        assert_eq!(round_trip(b"item:0017", b"item:00"), 2 + 2);
        assert_eq!(round_trip(b"item:00", b"item:00"), 2);
        assert_eq!(round_trip(b"it", b"item:00"), 2);
        assert_eq!(round_trip(b"i", b"item:00"), 2, "one byte is not worth it");
        assert_eq!(round_trip(b"17", b"17 pieces"), 1, "integers stay integers");
        let long = [b"item:".to_vec(), vec![b'x'; 1000]].concat();
        assert_eq!(round_trip(&long, b"item:00"), 4 + 1000);
        assert_eq!(round_trip(&vec![b'y'; 400], &[b'y'; 255]), 4 + 145);
        assert_eq!(round_trip(&vec![b'y'; 70_000], &[b'y'; 255]), 5 + 70_000);
        assert!(!Wanted::new(b"item").is(&Item::Joined(b"ite", b"tem")));
    }
}
