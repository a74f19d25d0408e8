//! A small set of texts: one after the other as they came, found by walking. How each is written:
//! `types/packed/item.rs`.

use super::block::Block;
use crate::types::packed::{Encoded, Item, Wanted, decode};

/// The form of a [`Block`] of texts; integers have theirs.
pub(super) const FORM: u8 = 0;

/// No block becomes larger.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 30;

pub(super) fn new() -> Block {
    Block::new(FORM)
}

/// The bytes that a member takes, from the first to the one behind the last.
#[inline]
pub(super) fn find(block: &Block, member: &Wanted<'_>) -> Option<(usize, usize)> {
    let bytes = block.bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (item, next) = decode(bytes, at);
        if member.is(&item) {
            return Some((at, next));
        }
        at = next;
    }
    None
}

/// Adds a member that is not there.
pub(super) fn push(block: &mut Block, member: &[u8]) {
    let encoded = Encoded::new(member, b"");
    let end = block.bytes().len();
    encoded.write(block.insert(end, encoded.len()));
}

/// The bytes that the member at `index` takes; there is one.
pub(super) fn place(block: &Block, index: usize) -> (usize, usize) {
    let bytes = block.bytes();
    let start = (0..index).fold(0, |at, _| decode(bytes, at).1);
    (start, decode(bytes, start).1)
}

pub(super) fn at(block: &Block, start: usize) -> Item<'_> {
    decode(block.bytes(), start).0
}

pub(super) fn iter(block: &Block) -> impl Iterator<Item = Item<'_>> {
    let bytes = block.bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == bytes.len() {
            return None;
        }
        let (item, next) = decode(bytes, at);
        at = next;
        Some(item)
    })
}
