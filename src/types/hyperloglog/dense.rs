//! The dense form: 6 bits for each register, the lowest bits of the first byte first.
//!
//! All registers at once go by eights: 6 bytes become 8 by halving the pieces three times, and back.

use super::{REGISTERS, Registers};

const BITS: usize = 6;
const MASK: u8 = (1 << BITS) - 1;

pub(super) const BYTES: usize = REGISTERS * BITS / 8;

/// Registers that are taken apart or put together as one.
pub(super) const GROUP: usize = 8;

/// The register's number and the next one's, if that begins in the same two bytes.
fn window(bytes: &[u8], register: usize) -> (u16, usize) {
    let bit = register * BITS;
    let next = bytes.get(bit / 8 + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([bytes[bit / 8], next]), bit % 8)
}

pub(super) fn get(bytes: &[u8], register: usize) -> u8 {
    let (window, shift) = window(bytes, register);
    (window >> shift) as u8 & MASK
}

pub(super) fn set(bytes: &mut [u8], register: usize, level: u8) {
    let (window, shift) = window(bytes, register);
    let window = window & !((MASK as u16) << shift) | ((level & MASK) as u16) << shift;
    let [first, next] = window.to_le_bytes();
    let byte = register * BITS / 8;
    bytes[byte] = first;
    if let Some(place) = bytes.get_mut(byte + 1) {
        *place = next;
    }
}

/// Eight registers of 48 bits, one in a byte each.
#[inline(always)]
fn spread(group: u64) -> [u8; GROUP] {
    let by_24 = group & 0xFF_FFFF | (group & 0xFFFF_FF00_0000) << 8;
    let by_12 = by_24 & 0x0000_0FFF_0000_0FFF | (by_24 & 0x00FF_F000_00FF_F000) << 4;
    let by_6 = by_12 & 0x003F_003F_003F_003F | (by_12 & 0x0FC0_0FC0_0FC0_0FC0) << 2;
    by_6.to_le_bytes()
}

/// The opposite of [`spread`].
#[inline(always)]
fn gather(registers: [u8; GROUP]) -> u64 {
    let by_8 = u64::from_le_bytes(registers) & 0x3F3F_3F3F_3F3F_3F3F;
    let by_16 = by_8 & 0x003F_003F_003F_003F | (by_8 & 0x3F00_3F00_3F00_3F00) >> 2;
    let by_32 = by_16 & 0x0000_0FFF_0000_0FFF | (by_16 & 0x0FFF_0000_0FFF_0000) >> 4;
    by_32 & 0xFF_FFFF | (by_32 & 0x00FF_FFFF_0000_0000) >> 8
}

/// All registers, eight at a time.
#[inline(always)]
pub(super) fn groups(bytes: &[u8]) -> impl Iterator<Item = [u8; GROUP]> {
    let (groups, _) = bytes.as_chunks::<BITS>();
    groups.iter().map(|&[a, b, c, d, e, f]| spread(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])))
}

pub(super) fn merge_into(bytes: &[u8], registers: &mut Registers) {
    let (own, _) = registers.as_chunks_mut::<GROUP>();
    for (own, group) in own.iter_mut().zip(groups(bytes)) {
        own.iter_mut().zip(group).for_each(|(own, level)| *own = level.max(*own));
    }
}

/// Appends the registers.
pub(super) fn pack(registers: &Registers, bytes: &mut Vec<u8>) {
    bytes.reserve(BYTES);
    let (groups, _) = registers.as_chunks::<GROUP>();
    groups.iter().for_each(|&group| bytes.extend_from_slice(&gather(group).to_le_bytes()[..BITS]));
}
