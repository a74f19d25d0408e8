//! The arguments of one command, as views into the bytes they arrived in.
//!
//! Nothing is copied to run a command: an argument is a [`Span`] of the buffer that the engine received
//! into, or of the batch in which a command travels to another shard. The exception are arguments of
//! [`BIG_ARGUMENT_BYTES`] and more that arrived in pieces: they are collected in a vector of their own,
//! which a command may [take](Args::take) and keep, so that a large value is copied once on its way in.

use crate::error::CommandError;
use crate::resp::number;

/// From this size on an argument that arrives in pieces is collected in a vector of its own.
pub const BIG_ARGUMENT_BYTES: usize = 32 * 1024;

/// Marks a span that is an index into the owned arguments.
const OWNED: u32 = u32::MAX;

/// A stretch of a buffer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    #[inline(always)]
    pub fn new(start: usize, length: usize) -> Self {
        debug_assert!(start < OWNED as usize && length <= u32::MAX as usize);
        Span { start: start as u32, length: length as u32 }
    }

    /// The argument is number `index` of the owned ones.
    pub fn owned(index: usize) -> Self {
        Span { start: OWNED, length: index as u32 }
    }

    /// The same stretch after `offset` bytes before it went away.
    pub fn rebased(self, offset: usize) -> Self {
        if self.start == OWNED { self } else { Span { start: self.start - offset as u32, ..self } }
    }
}

/// The arguments of one command; argument 0 is its name.
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    owned: &'a mut [Vec<u8>],
}

impl<'a> Args<'a> {
    #[inline(always)]
    pub fn new(bytes: &'a [u8], spans: &'a [Span], owned: &'a mut [Vec<u8>]) -> Self {
        Args { bytes, spans, owned }
    }

    /// How many arguments there are, the name included.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty, reason = "a command has at least its name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Argument `index`; `index` must be below [`Args::len`].
    #[inline(always)]
    pub fn get(&self, index: usize) -> &[u8] {
        let span = self.spans[index];
        if span.start == OWNED {
            &self.owned[span.length as usize]
        } else {
            &self.bytes[span.start as usize..span.start as usize + span.length as usize]
        }
    }

    /// All arguments in order, the name first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The arguments from `count` on, as a command line of their own; there are more than `count`.
    pub fn skip(&mut self, count: usize) -> Args<'_> {
        Args { bytes: self.bytes, spans: &self.spans[count..], owned: self.owned }
    }

    /// Argument `index` as a vector to keep: without a copy where it arrived as one.
    pub fn take(&mut self, index: usize) -> Vec<u8> {
        let span = self.spans[index];
        if span.start == OWNED {
            std::mem::take(&mut self.owned[span.length as usize])
        } else {
            self.get(index).to_vec()
        }
    }

    /// Whether [`Args::take`] of argument `index` costs no copy.
    #[inline(always)]
    pub fn is_owned(&self, index: usize) -> bool {
        self.spans[index].start == OWNED
    }

    /// Whether argument `index` is `word`, which is in upper case, in any case.
    #[inline(always)]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Argument `index` as a signed integer in Redis's strict form (no sign `+`, no leading zero).
    #[inline]
    pub fn integer(&self, index: usize) -> Result<i64, CommandError> {
        number::parse_integer(self.get(index)).ok_or(CommandError::NotInteger)
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];
    #[inline(always)]
    fn index(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}
