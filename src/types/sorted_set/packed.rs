//! A small sorted set: one block with its elements in order.
//!
//! ```text
//!   element   head, 1 byte         score              length      member   back
//!             low 3 bits: form     0 to 8 bytes       0, 1 or 5   bytes    1 or 5
//!             high 5: length
//!
//!   (3, "abc")   0b00011_000       03                             61 62 63 05
//! ```
//!
//! Most scores are small integers, so they take as few bytes as they need. The length of a member stands in
//! the head up to 30; then in a byte of its own, or in four behind the byte 255. `back` is the number of
//! bytes of the element before it, written so that it can be read from behind: the block is walked in
//! either direction. Nothing is found but by walking; limits on count and lengths keep that short.

use crate::runtime::allocator::rounded_bytes;
use crate::types::score;

/// The largest block, in bytes; nothing in it is longer.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 30;

/// The form of a score: the bits below a member's length in the head.
const FORM_BITS: u32 = 3;
const FORM_I8: u8 = 0;
const FORM_I16: u8 = 1;
const FORM_I32: u8 = 2;
const FORM_I48: u8 = 3;
const FORM_F32: u8 = 4;
const FORM_F64: u8 = 5;
/// Bytes of a score, by its form.
const SCORE_BYTES: [usize; 8] = [1, 2, 4, 6, 4, 8, 0, 0];

/// In the head: the length follows.
const LENGTH_FOLLOWS: u8 = 31;
/// Where one byte says a length: four bytes say it.
const LONG: u8 = 255;

#[derive(Clone, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    length: u32,
}

/// An element of the block.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) member: &'a [u8],
    pub(super) score: f64,
    /// Where the next one begins.
    pub(super) end: usize,
}

/// Where an element is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) rank: usize,
    pub(super) score: f64,
}

impl Packed {
    pub(super) fn len(&self) -> usize {
        self.length as usize
    }

    /// Bytes allocated for the block.
    pub(super) fn memory_bytes(&self) -> usize {
        if self.bytes.capacity() == 0 { 0 } else { rounded_bytes(self.bytes.capacity()) }
    }

    /// Bytes that the block would have with one more member of this length.
    pub(super) fn bytes_with(&self, member_length: usize) -> usize {
        // Head, the longest score, lengths before and behind.
        self.bytes.len() + member_length + 1 + 8 + 5 + 5
    }

    /// The offset behind the last element.
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The element at `offset`, which is below [`Packed::end`].
    #[inline]
    pub(super) fn at(&self, offset: usize) -> Element<'_> {
        let head = self.bytes[offset];
        let (form, length) = (head & ((1 << FORM_BITS) - 1), head >> FORM_BITS);
        let mut position = offset + 1;
        let score = read_score(form, &self.bytes[position..]);
        position += SCORE_BYTES[form as usize];
        let length = match length {
            LENGTH_FOLLOWS => {
                position += 1;
                match self.bytes[position - 1] {
                    LONG => {
                        position += 4;
                        read_u32(&self.bytes[position - 4..])
                    }
                    length => length as usize,
                }
            }
            length => length as usize,
        };
        let member = &self.bytes[position..position + length];
        let back = if position + length - offset < LONG as usize { 1 } else { 5 };
        Element { member, score, end: position + length + back }
    }

    /// Where the element before `end` begins; `end` is not 0.
    #[inline]
    pub(super) fn before(&self, end: usize) -> usize {
        match self.bytes[end - 1] {
            LONG => end - 5 - read_u32(&self.bytes[end - 5..]),
            length => end - 1 - length as usize,
        }
    }

    /// Where the element at `offset` ends and the next begins.
    #[inline]
    pub(super) fn after(&self, offset: usize) -> usize {
        self.at(offset).end
    }

    /// The offset of the element at `rank`, or [`Packed::end`]: walked from the nearer end.
    pub(super) fn offset_of(&self, rank: usize) -> usize {
        let behind = self.len().saturating_sub(rank);
        if behind < rank {
            (0..behind).fold(self.end(), |offset, _| self.before(offset))
        } else {
            (0..rank).fold(0, |offset, _| self.after(offset))
        }
    }

    pub(super) fn find(&self, member: &[u8]) -> Option<Place> {
        let (mut offset, mut rank) = (0, 0);
        while offset < self.bytes.len() {
            let element = self.at(offset);
            if element.member == member {
                return Some(Place { offset, rank, score: element.score });
            }
            offset = element.end;
            rank += 1;
        }
        None
    }

    /// The number of elements from `start` on up to the first for which `before` does not hold.
    pub(super) fn count_while(&self, start: usize, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut offset, mut count) = (start, 0);
        while offset < self.bytes.len() {
            let element = self.at(offset);
            if !before(element.score, element.member) {
                break;
            }
            offset = element.end;
            count += 1;
        }
        count
    }

    /// Adds an element that is not in the block; member and block are within [`BLOCK_BYTES_MAX`].
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let mut offset = 0;
        while offset < self.bytes.len() {
            let other = self.at(offset);
            if other.score > score || other.score == score && other.member > member {
                break;
            }
            offset = other.end;
        }
        let mut frame = Frame::new(score, member.len());
        let body = frame.head_bytes() + member.len();
        frame.set_back(body);
        let total = body + frame.back().len();
        let old = self.bytes.len();
        self.reserve(total);
        self.bytes.resize(old + total, 0);
        self.bytes.copy_within(offset..old, offset + total);
        let gap = &mut self.bytes[offset..offset + total];
        gap[..frame.head_bytes()].copy_from_slice(frame.head());
        gap[frame.head_bytes()..body].copy_from_slice(member);
        gap[body..].copy_from_slice(frame.back());
        self.length += 1;
    }

    /// Room in the sizes that the allocator deals in: small sets are many.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(rounded_bytes(needed) - self.bytes.len());
        }
    }

    /// Removes `count` elements, which take the bytes from `start` to `end`.
    pub(super) fn remove(&mut self, start: usize, end: usize, count: usize) {
        self.bytes.drain(start..end);
        self.length -= count as u32;
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(rounded_bytes(self.bytes.len().max(1)));
        }
    }
}

/// What stands around a member.
struct Frame {
    head: [u8; 14],
    head_bytes: u8,
    back: [u8; 5],
    back_start: u8,
}

impl Frame {
    fn new(score: f64, length: usize) -> Frame {
        let mut frame = Frame { head: [0; 14], head_bytes: 1, back: [0; 5], back_start: 4 };
        let form = frame.push_score(score);
        let in_head = if length < LENGTH_FOLLOWS as usize {
            length as u8
        } else {
            if length < LONG as usize {
                frame.push(&[length as u8]);
            } else {
                frame.push(&[LONG]);
                frame.push(&(length as u32).to_le_bytes());
            }
            LENGTH_FOLLOWS
        };
        frame.head[0] = in_head << FORM_BITS | form;
        frame
    }

    fn push(&mut self, bytes: &[u8]) {
        let start = self.head_bytes as usize;
        self.head[start..start + bytes.len()].copy_from_slice(bytes);
        self.head_bytes += bytes.len() as u8;
    }

    /// The shortest form. Zero loses its sign, as it does in the small sets of Redis.
    fn push_score(&mut self, score: f64) -> u8 {
        let form = match score::integer_of(score) {
            Some(integer) => match integer {
                -0x80..0x80 => FORM_I8,
                -0x8000..0x8000 => FORM_I16,
                -0x8000_0000..0x8000_0000 => FORM_I32,
                -0x8000_0000_0000..0x8000_0000_0000 => FORM_I48,
                _ => FORM_F64,
            },
            None if f64::from(score as f32) == score => FORM_F32,
            None => FORM_F64,
        };
        match form {
            FORM_F32 => self.push(&(score as f32).to_le_bytes()),
            FORM_F64 => self.push(&score.to_le_bytes()),
            _ => self.push(&(score as i64).to_le_bytes()[..SCORE_BYTES[form as usize]]),
        }
        form
    }

    fn set_back(&mut self, bytes: usize) {
        if bytes < LONG as usize {
            self.back[4] = bytes as u8;
        } else {
            self.back = [0, 0, 0, 0, LONG];
            self.back[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
            self.back_start = 0;
        }
    }

    fn head_bytes(&self) -> usize {
        self.head_bytes as usize
    }

    fn head(&self) -> &[u8] {
        &self.head[..self.head_bytes()]
    }

    fn back(&self) -> &[u8] {
        &self.back[self.back_start as usize..]
    }
}

#[inline]
fn read_score(form: u8, bytes: &[u8]) -> f64 {
    let mut word = [0u8; 8];
    let length = SCORE_BYTES[form as usize];
    word[..length].copy_from_slice(&bytes[..length]);
    let word = u64::from_le_bytes(word);
    match form {
        FORM_F64 => f64::from_bits(word),
        FORM_F32 => f64::from(f32::from_bits(word as u32)),
        _ => {
            // The sign is that of the highest byte that is there.
            let shift = 64 - 8 * length as u32;
            ((word << shift) as i64 >> shift) as f64
        }
    }
}

fn read_u32(bytes: &[u8]) -> usize {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}
