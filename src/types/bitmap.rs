//! Bits of a byte string. Bit 0 is the highest bit of the first byte, and behind the end all bits are 0.
//!
//! Whole strings are worked on in wide words. Counting uses the processor's own instruction where it has one,
//! which is asked once; the loop is the same, and the compiler makes it twice.

use std::ops::Range;

/// As much of all sources is combined before the next part: the result's part stays in the first-level cache.
const BLOCK_BYTES: usize = 8 * 1024;

/// How many bits are 1.
#[inline]
pub fn count(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { count_avx2(bytes) };
    }
    count_words(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn count_avx2(bytes: &[u8]) -> u64 {
    count_words(bytes)
}

#[inline(always)]
fn count_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let of_words: u64 = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones() as u64).sum();
    let of_rest: u64 = rest.iter().map(|byte| byte.count_ones() as u64).sum();
    of_words + of_rest
}

/// How many of the bits in a range are 1; the range is not empty and lies in the string.
pub fn count_range(bytes: &[u8], bits: Range<u64>) -> u64 {
    let last_bit = bits.end - 1;
    let (first, last) = ((bits.start / 8) as usize, (last_bit / 8) as usize);
    let before = bytes[first] & !(0xFF >> (bits.start % 8));
    let behind = bytes[last] & (0x7F >> (last_bit % 8));
    count(&bytes[first..=last]) - (before.count_ones() + behind.count_ones()) as u64
}

/// The first bit in a range that is `bit`; the range is not empty and lies in the string.
pub fn find(bytes: &[u8], bit: bool, bits: Range<u64>) -> Option<u64> {
    let (first, end) = ((bits.start / 8) as usize, bits.end.div_ceil(8) as usize);
    // Of a byte XOR this, the bits sought are 1.
    let other = if bit { 0 } else { 0xFF };
    let place_in = |byte: u8| (byte.leading_zeros() < 8).then_some(byte.leading_zeros() as u64);
    let found = match place_in((bytes[first] ^ other) & (0xFF >> (bits.start % 8))) {
        Some(place) => first as u64 * 8 + place,
        None => {
            let index = first + 1 + first_unlike(&bytes[first + 1..end], other)?;
            index as u64 * 8 + place_in(bytes[index] ^ other)?
        }
    };
    (found < bits.end).then_some(found)
}

/// The index of the first byte that is not `other`.
fn first_unlike(bytes: &[u8], other: u8) -> Option<usize> {
    const BLOCK: usize = 64;
    let pattern = u64::from_ne_bytes([other; 8]);
    let unlike = |block: &&[u8; BLOCK]| {
        let (words, _) = block.as_chunks::<8>();
        words.iter().fold(0, |unlike, word| unlike | (u64::from_ne_bytes(*word) ^ pattern)) != 0
    };
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let start = blocks.iter().take_while(|block| !unlike(block)).count() * BLOCK;
    bytes[start..].iter().position(|&byte| byte != other).map(|index| start + index)
}

/// How several strings become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    And,
    Or,
    Xor,
}

/// Combines strings, the shorter ones filled up with zero bytes: as long as the longest. `buffer` is used for the
/// result if it fits.
pub fn combine(operation: Operation, sources: &[&[u8]], buffer: Vec<u8>) -> Vec<u8> {
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = fitting(buffer, length);
    let Some((first, others)) = sources.split_first() else { return result };
    for start in (0..length).step_by(BLOCK_BYTES) {
        let end = length.min(start + BLOCK_BYTES);
        let part = |source: &&[u8]| start.min(source.len())..end.min(source.len());
        result.extend_from_slice(&first[part(first)]);
        result.resize(end, 0);
        for other in others {
            apply(operation, &mut result[start..], &other[part(other)]);
        }
    }
    result
}

fn apply(operation: Operation, result: &mut [u8], other: &[u8]) {
    let (common, rest) = result.split_at_mut(other.len());
    let pairs = common.iter_mut().zip(other);
    match operation {
        Operation::And => {
            pairs.for_each(|(byte, other)| *byte &= other);
            rest.fill(0);
        }
        Operation::Or => pairs.for_each(|(byte, other)| *byte |= other),
        Operation::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
    }
}

/// The opposite of every bit. `buffer` is used for the result if it fits.
pub fn invert(source: &[u8], buffer: Vec<u8>) -> Vec<u8> {
    let mut result = fitting(buffer, source.len());
    result.extend(source.iter().map(|byte| !byte));
    result
}

/// An empty vector for so many bytes: `buffer` if it is neither too small nor much too large.
fn fitting(mut buffer: Vec<u8>, length: usize) -> Vec<u8> {
    if (length..=length.saturating_mul(2)).contains(&buffer.capacity()) {
        buffer.clear();
        return buffer;
    }
    Vec::with_capacity(length)
}

/// The widest field, in bits.
pub const FIELD_BITS_MAX: u32 = 64;

/// An integer of some bits anywhere in a string, the highest bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it begins, in bits.
    pub offset: u64,
    /// 1 to 64, or to 63 without a sign.
    pub bits: u32,
    pub signed: bool,
}

/// What becomes of a number that a field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The low bits stay.
    Wrap,
    /// The nearest number that it can hold.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Field {
    /// How long a string must be to hold the field, in bytes.
    pub fn end_bytes(self) -> usize {
        (self.offset + self.bits as u64).div_ceil(8) as usize
    }

    /// The bytes that the field touches, 9 at most, at the end of a big-endian number; and how far its lowest
    /// bit lies from the end of them.
    fn window(self, bytes: &[u8]) -> (u128, u32) {
        let (start, end) = ((self.offset / 8) as usize, self.end_bytes());
        let window = (start..end)
            .fold(0u128, |window, index| window << 8 | bytes.get(index).copied().unwrap_or(0) as u128);
        (window, (end as u64 * 8 - self.offset) as u32 - self.bits)
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    /// The field's number. The string may be too short.
    pub fn get(self, bytes: &[u8]) -> i64 {
        let (window, shift) = self.window(bytes);
        self.wrapped((window >> shift) as u64)
    }

    /// Writes the low bits of a number. The string is long enough.
    pub fn set(self, bytes: &mut [u8], number: i64) {
        let (window, shift) = self.window(bytes);
        let mask = self.mask() << shift;
        let mut window = window & !mask | ((number as u128) << shift) & mask;
        for byte in bytes[(self.offset / 8) as usize..self.end_bytes()].iter_mut().rev() {
            *byte = window as u8;
            window >>= 8;
        }
    }

    /// The number that is left of one when the field has held it.
    fn wrapped(self, number: u64) -> i64 {
        let unused = FIELD_BITS_MAX - self.bits;
        if self.signed { (number << unused) as i64 >> unused } else { (number << unused >> unused) as i64 }
    }

    /// The smallest and the largest number that it holds.
    fn limits(self) -> (i128, i128) {
        if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// What is to be written for `number`; `None` where that fails.
    pub fn fit(self, number: i64, overflow: Overflow) -> Option<i64> {
        if !self.signed {
            // Numbers below zero count as the large ones with the same bits, as Redis has it.
            return self.fit_wide(i128::from(number as u64), overflow);
        }
        let (_, max) = self.limits();
        let too_far = self.bits < FIELD_BITS_MAX && max - i128::from(number) > i128::from(i64::MAX);
        if too_far && overflow == Overflow::Saturate {
            // So near to the smallest of all integers Redis sees a large one.
            return Some(max as i64);
        }
        self.fit_wide(i128::from(number), overflow)
    }

    /// What is to be written for the sum of the field's number and another.
    pub fn fit_sum(self, number: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        self.fit_wide(i128::from(number) + i128::from(increment), overflow)
    }

    fn fit_wide(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.limits();
        if (min..=max).contains(&number) {
            return Some(number as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.wrapped(number as u64)),
            Overflow::Saturate => Some(number.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], index: u64) -> bool {
        bytes.get((index / 8) as usize).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
    }

    /// Long runs of the same bit, between which words of any bits lie.
    fn runs() -> impl Strategy<Value = Vec<u8>> {
        let run = (prop_oneof![Just(0u8), Just(0xFF), any::<u8>()], 0..150usize);
        prop::collection::vec(run, 0..8).prop_map(|runs| {
            runs.into_iter().flat_map(|(byte, count)| std::iter::repeat_n(byte, count)).collect()
        })
    }

    #[test]
    fn the_processors_instruction_counts_as_the_portable_loop_does() {
        let bytes: Vec<u8> =
            (0..5000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for start in 0..40 {
            for end in [start, start + 1, start + 7, start + 8, start + 63, start + 200, 4999, 5000] {
                let part = &bytes[start..end];
                let naive: u64 = part.iter().map(|byte| byte.count_ones() as u64).sum();
                assert_eq!(count_words(part), naive);
                assert_eq!(count(part), naive);
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                    // SAFETY: just detected.
                    assert_eq!(unsafe { count_avx2(part) }, naive);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn ranges_are_counted_and_searched_bit_by_bit(
            bytes in runs(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), sought: bool,
        ) {
            prop_assume!(!bytes.is_empty());
            let bits = bytes.len() * 8;
            let (a, b) = (a.index(bits) as u64, b.index(bits) as u64);
            let range = a.min(b)..a.max(b) + 1;
            let ones = range.clone().filter(|&index| bit(&bytes, index)).count() as u64;
            prop_assert_eq!(count_range(&bytes, range.clone()), ones);
            let first = range.clone().find(|&index| bit(&bytes, index) == sought);
            prop_assert_eq!(find(&bytes, sought, range), first);
        }

        #[test]
        fn strings_combine_bit_by_bit(sources in prop::collection::vec(runs(), 0..5)) {
            let views: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let length = views.iter().map(|view| view.len()).max().unwrap_or(0);
            for (operation, fold) in [
                (Operation::And, (|a, b| a & b) as fn(u8, u8) -> u8),
                (Operation::Or, |a, b| a | b),
                (Operation::Xor, |a, b| a ^ b),
            ] {
                let result = combine(operation, &views, vec![7; 300]);
                prop_assert_eq!(result.len(), length);
                for (index, &byte) in result.iter().enumerate() {
                    let bytes = views.iter().map(|view| view.get(index).copied().unwrap_or(0));
                    prop_assert_eq!(Some(byte), bytes.reduce(fold));
                }
            }
        }

        #[test]
        fn a_field_is_read_and_written_bit_by_bit(
            bytes in prop::collection::vec(any::<u8>(), 0..20), offset in 0..100u64, bits in 1..=64u32,
            signed: bool, number: i64,
        ) {
            let field = Field { offset, bits: if signed { bits } else { bits.min(63) }, signed };
            let places = offset..offset + field.bits as u64;
            let naive = places.clone().fold(0u128, |sum, index| sum << 1 | bit(&bytes, index) as u128) as i128;
            let negative = signed && bit(&bytes, offset);
            let naive = if negative { naive - (1i128 << field.bits) } else { naive };
            prop_assert_eq!(field.get(&bytes) as i128, naive);

            let mut changed = bytes.clone();
            changed.resize(changed.len().max(field.end_bytes()), 0);
            field.set(&mut changed, number);
            prop_assert_eq!(field.get(&changed), field.wrapped(number as u64));
            for index in 0..changed.len() as u64 * 8 {
                if !places.contains(&index) {
                    prop_assert_eq!(bit(&changed, index), bit(&bytes, index));
                }
            }
        }

        #[test]
        fn what_does_not_fit_wraps_saturates_or_fails(
            bits in 1..=64u32, signed: bool, number: i64, increment: i64,
        ) {
            let field = Field { offset: 0, bits: if signed { bits } else { bits.min(63) }, signed };
            let number = field.wrapped(number as u64);
            let sum = number as i128 + increment as i128;
            let (min, max) = field.limits();
            let wrapped = sum.rem_euclid(1 << field.bits);
            let wrapped = if wrapped > max { wrapped - (1 << field.bits) } else { wrapped };
            prop_assert_eq!(field.fit_sum(number, increment, Overflow::Wrap), Some(wrapped as i64));
            let nearest = sum.max(min).min(max) as i64;
            prop_assert_eq!(field.fit_sum(number, increment, Overflow::Saturate), Some(nearest));
            let fitting = (min <= sum && sum <= max).then_some(sum as i64);
            prop_assert_eq!(field.fit_sum(number, increment, Overflow::Fail), fitting);
            prop_assert_eq!(field.fit(number, Overflow::Fail), Some(number));
        }
    }
}
