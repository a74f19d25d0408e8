//! The hash of elements: MurmurHash64A (Austin Appleby, MurmurHash2, in the public domain), with Redis's seed.

use super::{REGISTER_BITS, REGISTERS};

const SEED: u64 = 0xADC8_3B19;
const MULTIPLIER: u64 = 0xC6A4_A793_5BD1_E995;
const SHIFT: u32 = 47;

fn murmur_64a(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, &byte| last << 8 | byte as u64);
        hash = (hash ^ last).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

/// Which register an element is counted in, and what it must be at least.
#[inline]
pub(super) fn register_and_level(element: &[u8]) -> (usize, u8) {
    let hash = murmur_64a(element);
    // A bit behind the 50 ends the zeros where all of them are.
    let rest = hash >> REGISTER_BITS | 1 << (64 - REGISTER_BITS);
    (hash as usize % REGISTERS, rest.trailing_zeros() as u8 + 1)
}
