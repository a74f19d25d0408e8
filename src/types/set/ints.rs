//! A small set of integers: sorted, each of as many bytes as the widest of them needs.
//!
//! ```text
//!   {1, 5, 300}   width 2   01 00 │ 05 00 │ 2C 01
//! ```
//!
//! The form of the [`Block`] is the width, from 1 to 8 bytes. A number that needs more makes all wider.

use super::block::Block;

const WORD_BYTES: usize = size_of::<i64>();

/// How many bytes a number needs.
fn width_of(number: i64) -> usize {
    // One bit for the sign.
    let bits = i64::BITS - (number ^ (number >> 63)).leading_zeros() + 1;
    bits.div_ceil(8) as usize
}

fn width(block: &Block) -> usize {
    block.form() as usize
}

pub(super) fn new() -> Block {
    Block::new(1)
}

/// The number at `index`, which is below the count, in `bytes` of numbers of `width`.
#[inline]
fn read(bytes: &[u8], width: usize, index: usize) -> i64 {
    let end = (index + 1) * width;
    let unused = (WORD_BYTES - width) as u32 * 8;
    match bytes[..end].last_chunk() {
        // The number is the upper part of the word that ends with it.
        Some(word) => i64::from_le_bytes(*word) >> unused,
        None => {
            let mut word = [0; WORD_BYTES];
            word[WORD_BYTES - end..].copy_from_slice(&bytes[..end]);
            i64::from_le_bytes(word) >> unused
        }
    }
}

pub(super) fn get(block: &Block, index: usize) -> i64 {
    read(block.bytes(), width(block), index)
}

/// Where a number is, or where it would have to be put.
pub(super) fn find(block: &Block, number: i64) -> Result<usize, usize> {
    let (bytes, width) = (block.bytes(), width(block));
    let (mut start, mut end) = (0, block.count());
    while start < end {
        let middle = start.midpoint(end);
        match read(bytes, width, middle).cmp(&number) {
            std::cmp::Ordering::Less => start = middle + 1,
            std::cmp::Ordering::Greater => end = middle,
            std::cmp::Ordering::Equal => return Ok(middle),
        }
    }
    Err(start)
}

/// Adds a number; `false` if it is there already.
pub(super) fn add(block: &mut Block, number: i64) -> bool {
    let Err(index) = find(block, number) else { return false };
    if width_of(number) > width(block) {
        widen(block, width_of(number));
    }
    let width = width(block);
    block.insert(index * width, width).copy_from_slice(&number.to_le_bytes()[..width]);
    true
}

#[cold]
fn widen(block: &mut Block, width: usize) {
    let mut wide = Block::with_room(width as u8, (block.count() + 1) * width);
    for number in iter(block) {
        let end = wide.bytes().len();
        wide.insert(end, width).copy_from_slice(&number.to_le_bytes()[..width]);
    }
    *block = wide;
}

pub(super) fn remove_at(block: &mut Block, index: usize) {
    let width = width(block);
    block.remove(index * width, (index + 1) * width);
}

/// The numbers from the lowest to the highest.
pub(super) fn iter(block: &Block) -> impl Iterator<Item = i64> + '_ {
    let (bytes, width) = (block.bytes(), width(block));
    (0..block.count()).map(move |index| read(bytes, width, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_bytes_that_it_needs() {
        let widths = [
            (0, 1),
            (127, 1),
            (-128, 1),
            (128, 2),
            (-129, 2),
            (32_767, 2),
            (32_768, 3),
            (8_388_607, 3),
            (8_388_608, 4),
            (i64::from(i32::MIN), 4),
            (i64::from(i32::MIN) - 1, 5),
            (i64::MAX, 8),
            (i64::MIN, 8),
        ];
        for (number, bytes) in widths {
            assert_eq!(width_of(number), bytes, "{number}");
            let mut block = new();
            assert!(add(&mut block, number) && !add(&mut block, number));
            assert_eq!((get(&block, 0), find(&block, number)), (number, Ok(0)));
            assert_eq!(block.bytes().len(), bytes);
        }
    }

    #[test]
    fn numbers_of_all_widths_stay_in_order() {
        let mut block = new();
        let mut numbers = Vec::new();
        for shift in 0..63 {
            for number in [1i64 << shift, -(1i64 << shift), (1i64 << shift) - 1] {
                assert_eq!(add(&mut block, number), !numbers.contains(&number));
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
                numbers.sort_unstable();
                assert!(iter(&block).eq(numbers.iter().copied()));
            }
        }
        while let Some(number) = numbers.pop() {
            assert_eq!(find(&block, number), Ok(numbers.len()));
            remove_at(&mut block, numbers.len());
            assert_eq!(find(&block, number), Err(numbers.len()));
        }
        assert_eq!((block.count(), block.memory_bytes()), (0, 0));
    }
}
