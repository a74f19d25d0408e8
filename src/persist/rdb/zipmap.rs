//! Zipmaps, the small hashes of Redis before 2.6: names and values in one string.
//!
//! ```text
//!   fields, 1 byte │ length, name │ length, unused, value, unused bytes │ … │ FF
//! ```
//!
//! A length is a byte below 254, or 254 and four bytes, little endian. 254 fields or more are not counted in
//! front. The format: `zipmap.c` of Redis. They are only read.

use super::Malformed;
use crate::types::packed::Item;

const END: u8 = 0xFF;
/// In place of a length of one byte: it follows in four. In place of a count: there is none.
const LONG: u8 = 0xFE;

/// Names and values in turn.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    is_value: bool,
    /// How many fields are left, if they were counted.
    left: Option<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Reader<'a>, Malformed> {
        let (&count, rest) = bytes.split_first().ok_or(Malformed)?;
        Ok(Reader { rest, is_value: false, left: (count < LONG).then_some(count) })
    }

    /// The next name or value; none at the end, if that is where it should be.
    fn read(&mut self) -> Result<Option<Item<'a>>, Malformed> {
        if let ([END], false) = (self.rest, self.is_value) {
            return if self.left.unwrap_or(0) == 0 { Ok(None) } else { Err(Malformed) };
        }
        let (length, mut rest) = match self.rest {
            [LONG, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            [length @ ..LONG, rest @ ..] => (usize::from(*length), rest),
            _ => return Err(Malformed),
        };
        let mut unused = 0;
        if self.is_value {
            let (&count, after) = rest.split_first().ok_or(Malformed)?;
            (unused, rest) = (usize::from(count), after);
        } else {
            self.left = match self.left {
                Some(left) => Some(left.checked_sub(1).ok_or(Malformed)?),
                None => None,
            };
        }
        let (text, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        let (_, rest) = rest.split_at_checked(unused).ok_or(Malformed)?;
        self.rest = rest;
        self.is_value = !self.is_value;
        Ok(Some(Item::Bytes(text)))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Item<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
