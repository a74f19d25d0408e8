//! Bytes on their way in: lengths, numbers and strings, as far as they are there.

use super::text::{COMPRESSED, INTEGER_8, INTEGER_16, INTEGER_32};
use super::{STRING_BYTES_MAX, lzf};
use crate::resp::number::IntegerText;
use crate::types::score;

/// Why reading stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes that follow are not there yet.
    Incomplete,
    Malformed,
}

/// Bytes of a value, all of them or those that are there so far.
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    is_whole: bool,
}

/// A string that was read.
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Integer(IntegerText),
    Decompressed(Vec<u8>),
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Text::Plain(bytes) => bytes,
            Text::Integer(text) => text.as_bytes(),
            Text::Decompressed(bytes) => bytes,
        }
    }
}

impl Text<'_> {
    pub(super) fn into_vec(self) -> Vec<u8> {
        match self {
            Text::Decompressed(bytes) => bytes,
            _ => self.as_ref().to_vec(),
        }
    }
}

impl<'a> Input<'a> {
    /// Nothing comes behind these bytes.
    pub fn whole(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0, is_whole: true }
    }

    /// More may come behind these bytes.
    pub fn part(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0, is_whole: false }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    pub(super) fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let missing = if self.is_whole { Stop::Malformed } else { Stop::Incomplete };
        let (taken, _) = self.bytes[self.at..].split_at_checked(count).ok_or(missing)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N)?.try_into().map_err(|_| Stop::Malformed)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u64_le(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length; the first byte of a string that says something else is not one.
    pub(super) fn length(&mut self) -> Result<u64, Stop> {
        let first = self.byte()?;
        self.length_after(first)
    }

    fn length_after(&mut self, first: u8) -> Result<u64, Stop> {
        match first {
            0..0x40 => Ok(first.into()),
            0x40..0x80 => Ok(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            0x80 => self.array().map(|bytes| u32::from_be_bytes(bytes).into()),
            0x81 => self.array().map(u64::from_be_bytes),
            _ => Err(Stop::Malformed),
        }
    }

    /// The length of a string, which is not too long.
    fn string_length(&mut self, first: u8) -> Result<usize, Stop> {
        let length = self.length_after(first)?;
        if length <= STRING_BYTES_MAX { Ok(length as usize) } else { Err(Stop::Malformed) }
    }

    pub(super) fn text(&mut self) -> Result<Text<'a>, Stop> {
        let integer = |number: i64| Text::Integer(IntegerText::new(number));
        Ok(match self.byte()? {
            INTEGER_8 => integer(i8::from_le_bytes(self.array()?).into()),
            INTEGER_16 => integer(i16::from_le_bytes(self.array()?).into()),
            INTEGER_32 => integer(i32::from_le_bytes(self.array()?).into()),
            COMPRESSED => {
                let first = self.byte()?;
                let compressed_length = self.string_length(first)?;
                let first = self.byte()?;
                let length = self.string_length(first)?;
                let compressed = self.take(compressed_length)?;
                Text::Decompressed(lzf::decompress(compressed, length).ok_or(Stop::Malformed)?)
            }
            first => {
                let length = self.string_length(first)?;
                Text::Plain(self.take(length)?)
            }
        })
    }

    /// A score in binary.
    pub(super) fn binary_score(&mut self) -> Result<f64, Stop> {
        let score = f64::from_bits(self.u64_le()?);
        if score.is_nan() { Err(Stop::Malformed) } else { Ok(score) }
    }

    /// A score as text behind its length; three lengths stand for what is no number.
    pub(super) fn text_score(&mut self) -> Result<f64, Stop> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Err(Stop::Malformed),
            length => score::parse(self.take(length as usize)?).ok_or(Stop::Malformed),
        }
    }
}
