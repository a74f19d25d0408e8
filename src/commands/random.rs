//! What ZRANDMEMBER and HRANDFIELD have in common.

use crate::error::CommandError;
use crate::resp::Args;

/// Elements that are answered at most when they may repeat: their number bounds nothing else.
const REPEATED_MAX: i64 = 1 << 24;

/// A generator of one call's own: the collection is borrowed from the database, whose generator seeds it.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0xD129_0B26_7F2C_5C29).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((u128::from(mixed ^ mixed >> 29) * bound as u128) >> 64) as usize
    }
}

/// Reads the options from argument 2 on: how many elements, below zero if they may repeat, and whether
/// `word` asks for what belongs to them, too. `None`: one element by itself.
pub(super) fn parse_request(args: &Args<'_>, word: &str) -> Result<Option<(i64, bool)>, CommandError> {
    if args.len() == 2 {
        return Ok(None);
    }
    let count = args.integer(2)?;
    if count == i64::MIN {
        return Err(CommandError::NotNegatable);
    }
    let in_pairs = match args.len() {
        3 => false,
        4 if args.is(3, word) => true,
        _ => return Err(CommandError::Syntax),
    };
    let out_of_range = in_pairs && count.unsigned_abs() > i64::MAX as u64 / 2;
    if out_of_range || count < -REPEATED_MAX {
        return Err(CommandError::OutOfRange);
    }
    Ok(Some((count, in_pairs)))
}
