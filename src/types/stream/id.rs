//! The id of an entry: milliseconds since 1970 and a number within the millisecond.

use crate::resp::number::{INTEGER_TEXT_BYTES, IntegerText};

/// No text of an id is longer, zeros and blanks in front of its numbers included.
const TEXT_BYTES_MAX: usize = 127;

/// The id of an entry. Ids are ordered by time, then by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub ms: u64,
    pub seq: u64,
}

impl Id {
    /// Below that of any entry.
    pub const MIN: Id = Id { ms: 0, seq: 0 };
    pub const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    pub const fn new(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    /// The id behind this one, unless it is the last.
    #[inline]
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one, unless it is the first.
    pub fn previous(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `milliseconds-number`, or only milliseconds, to which `number` is added.
    pub fn parse(text: &[u8], number: u64) -> Option<Id> {
        let (ms, seq) = split(text)?;
        let seq = seq.map_or(Some(number), parse_unsigned)?;
        Some(Id { ms: parse_unsigned(ms)?, seq })
    }

    /// Reads `milliseconds-*`, the id of which only the time is said.
    pub fn parse_time(text: &[u8]) -> Option<u64> {
        match split(text)? {
            (ms, Some(b"*")) => parse_unsigned(ms),
            _ => None,
        }
    }

    /// `milliseconds-number`.
    #[inline]
    pub fn text(self) -> IdText {
        let mut text = IdText { buffer: [0; IdText::BYTES_MAX], length: 0 };
        text.push(IntegerText::unsigned(self.ms).as_bytes());
        text.push(b"-");
        text.push(IntegerText::unsigned(self.seq).as_bytes());
        text
    }
}

/// What stands before the first `-`, and what behind it.
#[inline]
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    match text.iter().position(|&byte| byte == b'-') {
        Some(dash) => Some((&text[..dash], Some(&text[dash + 1..]))),
        None => Some((text, None)),
    }
}

/// An unsigned integer as C's `strtoull` reads it: with blanks, a plus sign and zeros in front, if need be.
#[inline]
fn parse_unsigned(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The text of an id, on the stack.
#[derive(Clone, Copy)]
pub struct IdText {
    buffer: [u8; IdText::BYTES_MAX],
    length: u8,
}

impl IdText {
    const BYTES_MAX: usize = 2 * INTEGER_TEXT_BYTES + 1;

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let start = self.length as usize;
        self.buffer[start..start + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u8;
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.length as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_redis_reads_them() {
        let parse = |text: &str| Id::parse(text.as_bytes(), 7);
        assert_eq!(parse("5-6"), Some(Id::new(5, 6)));
        assert_eq!(parse("5"), Some(Id::new(5, 7)));
        assert_eq!(parse("0-0"), Some(Id::MIN));
        assert_eq!(parse("18446744073709551615-18446744073709551615"), Some(Id::MAX));
        assert_eq!(parse("007-+08"), Some(Id::new(7, 8)));
        assert_eq!(parse(" 7- 8"), Some(Id::new(7, 8)));
        for text in ["", "-", "+", "-5", "5-", "5-x", "5-6-7", "5--6", "18446744073709551616", "1-*", "5 "] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Id::parse(&[b'0'; 128], 0), None);
        assert_eq!(Id::parse(&[b'0'; 127], 0), Some(Id::MIN));
        assert_eq!(Id::parse_time(b"12-*"), Some(12));
        assert_eq!([&b"12"[..], b"*", b"-*", b"12-3"].map(Id::parse_time), [None; 4]);
    }

    #[test]
    fn texts_are_written() {
        for id in [Id::MIN, Id::MAX, Id::new(1_700_000_000_000, 1), Id::new(100, 99), Id::new(9, 10)] {
            assert_eq!(id.text().as_bytes(), format!("{}-{}", id.ms, id.seq).as_bytes());
            assert_eq!(Id::parse(id.text().as_bytes(), 0), Some(id));
        }
    }

    #[test]
    fn neighbours() {
        assert_eq!(Id::new(1, u64::MAX).next(), Some(Id::new(2, 0)));
        assert_eq!(Id::new(2, 0).previous(), Some(Id::new(1, u64::MAX)));
        assert_eq!((Id::MAX.next(), Id::MIN.previous()), (None, None));
    }
}
