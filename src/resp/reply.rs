//! Replies: every command writes its answer through a [`Reply`], in RESP2 or RESP3.
//!
//! A reply is bytes in a buffer that belongs to someone else: to the connection, or to the batch that
//! takes it back to the shard of the connection. Types that only RESP3 has are written as what RESP2
//! clients expect in their place.

use crate::error::CommandError;
use crate::resp::number::{IntegerText, digit_pair};

/// A letter, the longest number, a line end.
const HEADER_BYTES_MAX: usize = 1 + 20 + 2;

/// Writes one reply (and its nested elements) to the end of a buffer.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    resp3: bool,
}

impl<'a> Reply<'a> {
    #[inline(always)]
    pub fn new(out: &'a mut Vec<u8>, resp3: bool) -> Self {
        Reply { out, resp3 }
    }

    /// Whether the client speaks RESP3.
    #[inline(always)]
    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// HELLO and RESET answer in the protocol that they switch to.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    #[inline(always)]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status line; `text` has no line end in it.
    pub fn status(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn error(&mut self, error: &CommandError) {
        self.error_line(&error.message());
    }

    /// An error line that begins with its code; line ends in it become spaces.
    pub fn error_line(&mut self, text: &str) {
        self.out.push(b'-');
        self.out.extend(text.bytes().map(|byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.bulk_joined(bytes, &[]);
    }

    /// A bulk string that lies in two parts.
    #[inline]
    pub fn bulk_joined(&mut self, first: &[u8], second: &[u8]) {
        let length = first.len() + second.len();
        // Room for all of it at once: what follows does not grow the buffer.
        self.out.reserve(length + HEADER_BYTES_MAX + 2);
        self.header(b'$', length as i64);
        self.out.extend_from_slice(first);
        if !second.is_empty() {
            self.out.extend_from_slice(second);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string that holds the decimal text of `value`.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(IntegerText::new(value).as_bytes());
    }

    #[inline(always)]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The null of commands that otherwise answer an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Announces `count` elements, which the caller writes next.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.header(b'*', count as i64);
    }

    /// Announces `count` pairs of key and value; a flat array of twice as many in RESP2.
    pub fn map(&mut self, count: usize) {
        if self.resp3 { self.header(b'%', count as i64) } else { self.header(b'*', count as i64 * 2) }
    }

    /// Announces `count` members without an order; an array in RESP2.
    pub fn set(&mut self, count: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, count as i64);
    }

    /// Announces an out-of-band message of `count` elements; an array in RESP2.
    pub fn push(&mut self, count: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, count as i64);
    }

    /// A floating-point number: a bulk string in RESP2. `text` is its shortest exact form.
    pub fn double_text(&mut self, text: &str) {
        if self.resp3 {
            self.out.push(b',');
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// A truth value; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        if self.resp3 {
            self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.integer(value as i64);
        }
    }

    /// Text for people, with a three-letter format; a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, bytes: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        if self.resp3 {
            self.header(b'=', bytes.len() as i64 + 4);
            self.out.extend_from_slice(format.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(bytes);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(bytes);
        }
    }

    /// Bytes that are a complete, encoded reply already.
    pub fn encoded(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// How many bytes the buffer holds: a mark for [`Reply::truncate`].
    pub fn mark(&self) -> usize {
        self.out.len()
    }

    /// Whether one of the nulls is all that was written since `mark`.
    pub fn is_null_since(&self, mark: usize) -> bool {
        matches!(&self.out[mark..], b"$-1\r\n" | b"*-1\r\n" | b"_\r\n")
    }

    /// Takes back what was written since `mark`.
    pub fn truncate(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    /// Writes an array whose count is known only afterwards: `write` returns how many elements it wrote.
    pub fn array_of(&mut self, write: impl FnOnce(&mut Reply<'_>) -> usize) {
        self.counted(b'*', write);
    }

    /// Writes members without an order, whose count is known only afterwards, as [`Reply::array_of`] does.
    pub fn set_of(&mut self, write: impl FnOnce(&mut Reply<'_>) -> usize) {
        self.counted(if self.resp3 { b'~' } else { b'*' }, write);
    }

    fn counted(&mut self, kind: u8, write: impl FnOnce(&mut Reply<'_>) -> usize) {
        let start = self.out.len();
        let count = write(self);
        self.insert_header(start, kind, count);
    }

    /// Announces `count` pairs, each of which is an array of two in RESP2 and an entry of a map in RESP3.
    #[inline]
    pub fn pairs(&mut self, count: usize) {
        self.header(if self.resp3 { b'%' } else { b'*' }, count as i64);
    }

    /// As [`Reply::pairs`], for pairs that were written since `mark`.
    pub fn insert_pairs(&mut self, mark: usize, count: usize) {
        self.insert_header(mark, if self.resp3 { b'%' } else { b'*' }, count);
    }

    fn insert_header(&mut self, start: usize, kind: u8, count: usize) {
        let header_start = self.out.len();
        self.header(kind, count as i64);
        let header_bytes = self.out.len() - header_start;
        self.out[start..].rotate_right(header_bytes);
    }

    #[inline(always)]
    fn header(&mut self, kind: u8, value: i64) {
        match value {
            0..10 => self.out.extend_from_slice(&[kind, b'0' + value as u8, b'\r', b'\n']),
            10..100 => {
                let [tens, ones] = digit_pair(value as usize);
                self.out.extend_from_slice(&[kind, tens, ones, b'\r', b'\n']);
            }
            _ => self.long_header(kind, value),
        }
    }

    #[inline]
    fn long_header(&mut self, kind: u8, value: i64) {
        let text = IntegerText::new(value);
        self.out.reserve(text.as_bytes().len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}
