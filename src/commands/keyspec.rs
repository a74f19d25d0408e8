//! Which arguments of a command line are keys, from the command's key specifications.
//!
//! ```text
//!   ZUNIONSTORE total 2 a b WEIGHTS 1 2       specs: (index 1, range 0) and (index 2, count)
//!               ^^^^^ . ^ ^                   keys:  1; 3, 4
//! ```
//!
//! A specification says where its search begins (at an index, after a word) and how keys follow from
//! there (a range, a count). Routing, COMMAND GETKEYS and ACL use the positions found here; COMMAND INFO
//! shows the older, coarser form of [`legacy_range`].
//!
//! Specifications that cannot be evaluated ([`Begin::Unknown`]) are passed over; [`reads_anywhere`] tells whether
//! a command line has keys of that sort.

use super::{Begin, Command, Find, KeySpec, flag, geo, key_flag, sort};
use crate::resp::{Args, number};

/// A key on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPosition {
    /// Which argument.
    pub index: usize,
    /// Bits of [`key_flag`].
    pub flags: u16,
}

/// Appends the positions of all keys, in the order of the specifications. A command line whose count of
/// keys does not fit its arguments has none: the command itself will refuse it.
pub fn find_keys(command: &Command, args: &Args<'_>, keys: &mut Vec<KeyPosition>) {
    let start = keys.len();
    for spec in command.keys {
        let Some((first, last, step)) = range_of(spec, args) else {
            keys.truncate(start);
            return;
        };
        let flags = flags_of(spec, args);
        let last = last.min(args.len() as i64 - 1);
        let mut index = first;
        while index <= last {
            keys.push(KeyPosition { index: index as usize, flags });
            index += step;
        }
    }
}

/// Whether a command line names keys by a pattern: any key of any shard may be one that it reads.
pub fn reads_anywhere(command: &Command, args: &Args<'_>) -> bool {
    command.keys.iter().any(|spec| spec.begin == Begin::Unknown) && sort::has_pattern(args)
}

/// The position of the first key, if there is one.
#[inline]
pub fn first_key(command: &Command, args: &Args<'_>) -> Option<usize> {
    match command.keys.first()? {
        // All but a few commands: no search.
        KeySpec { begin: Begin::Index(index), find: Find::Range { .. }, .. } => {
            Some(*index as usize).filter(|&index| index < args.len())
        }
        _ => match only_range(command, args) {
            Some(positions) => positions.into_iter().next(),
            None => {
                let mut keys = Vec::new();
                find_keys(command, args, &mut keys);
                keys.first().map(|key| key.index)
            }
        },
    }
}

/// The positions of all keys of a command that only has one specification; an empty range where they are not
/// where it says.
#[inline]
pub fn only_range(command: &Command, args: &Args<'_>) -> Option<impl Iterator<Item = usize> + use<>> {
    let [spec] = command.keys else { return None };
    // A step is at least 1, and no key stands before the first argument.
    let (first, last, step) = range_of(spec, args).unwrap_or((1, 0, 1));
    let last = last.min(args.len() as i64 - 1);
    let end = if first <= last { last as usize + 1 } else { first as usize };
    Some((first as usize..end).step_by(step as usize))
}

/// The positions that COMMAND GETKEYS shows, or the error that it answers; `args` is the inner command
/// line, whose arity has been checked.
pub fn keys_for_client(command: &Command, args: &Args<'_>) -> Result<Vec<KeyPosition>, &'static str> {
    if command.keys.is_empty() {
        return Err("ERR The command has no key arguments");
    }
    let mut keys = Vec::new();
    find_keys(command, args, &mut keys);
    if keys.is_empty() && command.flags & flag::NO_MANDATORY_KEYS == 0 {
        return Err("ERR Invalid arguments specified for command");
    }
    Ok(keys)
}

/// First, last and step; an empty range where the specification does not apply, `None` where the line
/// cannot be right.
fn range_of(spec: &KeySpec, args: &Args<'_>) -> Option<(i64, i64, i64)> {
    const NOTHING: (i64, i64, i64) = (1, 0, 1);
    let count = args.len() as i64;
    let first = match spec.begin {
        Begin::Index(index) => index as i64,
        // Options that may be given several times, and of which the last counts; their words may be keys, too.
        Begin::Keyword { word: word @ (geo::STORE | geo::STORE_DISTANCE), from } => {
            match geo::store_position(args, from as usize, word) {
                Some(index) => index as i64,
                None => return Some(NOTHING),
            }
        }
        Begin::Keyword { word, from } => match after_keyword(args, word, from) {
            Some(index) => index as i64,
            None => return Some(NOTHING),
        },
        Begin::StoreOption => {
            let position = sort::store_position(args).map(|position| position as i64);
            return Some(position.map_or(NOTHING, |position| (position, position, 1)));
        }
        Begin::Unknown => return Some(NOTHING),
    };
    match spec.find {
        Find::Range { last, step, limit } => {
            let last = match last {
                0.. => first + last as i64,
                _ if limit <= 1 => count + last as i64,
                _ => first + (count - first) / limit as i64 + last as i64,
            };
            Some((first, last, step as i64))
        }
        Find::Count { count: count_offset, first: first_offset, step } => {
            let position = first + count_offset as i64;
            if position >= count {
                return None;
            }
            let keys = number::parse_integer(args.get(position as usize))?;
            let first = first + first_offset as i64;
            let room = (count - first + step as i64 - 1) / step as i64;
            if keys < 0 || keys > room {
                return None;
            }
            Some((first, first + (keys - 1) * step as i64, step as i64))
        }
        Find::Unknown => Some(NOTHING),
    }
}

/// The index after `word`, sought forward from `from`, or backward from the end if `from` is below zero.
fn after_keyword(args: &Args<'_>, word: &str, from: i16) -> Option<usize> {
    let found = if from >= 0 {
        (from as usize..args.len()).find(|&index| args.is(index, word))
    } else {
        let start = args.len().checked_sub(from.unsigned_abs() as usize)?;
        (1..=start).rev().find(|&index| args.is(index, word))
    };
    found.map(|index| index + 1)
}

/// Only SET with GET reads the key that it overwrites.
fn flags_of(spec: &KeySpec, args: &Args<'_>) -> u16 {
    if spec.flags & key_flag::VARIABLE_FLAGS == 0 {
        return spec.flags;
    }
    if args.is(0, "SET") && !(3..args.len()).any(|index| args.is(index, "GET")) {
        return key_flag::OW | key_flag::UPDATE;
    }
    spec.flags & !key_flag::VARIABLE_FLAGS
}

/// What COMMAND INFO shows besides the specifications: one range that covers as many of them as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LegacyRange {
    pub first: i64,
    /// Below zero: from the end of the arguments.
    pub last: i64,
    pub step: i64,
    /// Some keys lie outside the range: the flag `movablekeys`.
    pub movable: bool,
}

/// The range of specifications that stand at fixed places side by side.
pub fn legacy_range(specs: &[KeySpec]) -> LegacyRange {
    let mut range = LegacyRange::default();
    for spec in specs {
        let (Begin::Index(index), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
            range.movable = true;
            continue;
        };
        let index = index as i64;
        let last = if last < 0 { last as i64 } else { index + last as i64 };
        if range.first == 0 {
            range = LegacyRange { first: index, last, step: step as i64, ..range };
        } else if step == 1 && range.step == 1 && range.last == index - 1 {
            range.last = last;
        } else {
            range.movable = true;
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;
    use crate::commands::{Data, Run};
    use crate::error::CommandError;

    fn nothing(_: &mut Data<'_>) -> Result<(), CommandError> {
        Ok(())
    }

    const RO: u16 = key_flag::RO;

    const fn spec(begin: Begin, find: Find) -> KeySpec {
        KeySpec { begin, find, flags: RO, notes: "" }
    }

    fn positions(keys: &'static [KeySpec], line: &str) -> Vec<usize> {
        let command = Command::new("test", -1, Run::OneShard(nothing)).keys(keys);
        with_args(line, |args| {
            let mut found = Vec::new();
            find_keys(&command, &args, &mut found);
            let first = first_key(&command, &args);
            let found: Vec<usize> = found.iter().map(|key| key.index).collect();
            assert_eq!(first, found.first().copied(), "{line}");
            found
        })
    }

    #[test]
    fn ranges_reach_from_an_index() {
        const PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, RO)];
        assert_eq!(positions(PAIRS, "mset a 1 b 2"), [1, 3]);
        const BUT_LAST: &[KeySpec] = &[KeySpec::range(1, -2, 1, RO)];
        assert_eq!(positions(BUT_LAST, "blpop a b 0"), [1, 2]);
        const BOTH: &[KeySpec] = &[KeySpec::range(1, 1, 1, RO)];
        assert_eq!(positions(BOTH, "lcs a b LEN"), [1, 2]);
        const TWO: &[KeySpec] = &[KeySpec::one(1, RO), KeySpec::one(2, RO)];
        assert_eq!(positions(TWO, "rename a b"), [1, 2]);
        const SECOND: &[KeySpec] = &[KeySpec::one(2, RO)];
        assert_eq!(positions(SECOND, "object help"), []);
    }

    #[test]
    fn counts_must_fit() {
        const SPECS: &[KeySpec] =
            &[KeySpec::one(1, RO), spec(Begin::Index(2), Find::Count { count: 0, first: 1, step: 1 })];
        assert_eq!(positions(SPECS, "zunionstore d 2 a b WEIGHTS 1 2"), [1, 3, 4]);
        let command = Command::new("test", -1, Run::OneShard(nothing)).keys(SPECS);
        for line in ["z d 3 a b", "z d x a b", "z d -1 a b", "z d 9223372036854775807 a", "z d"] {
            with_args(line, |args| {
                let mut found = Vec::new();
                find_keys(&command, &args, &mut found);
                assert_eq!(found, [], "{line}");
                assert!(keys_for_client(&command, &args).is_err());
            });
        }
    }

    #[test]
    fn words_are_sought_from_either_end() {
        const STREAMS: &[KeySpec] =
            &[spec(Begin::Keyword { word: "STREAMS", from: 1 }, Find::Range { last: -1, step: 1, limit: 2 })];
        assert_eq!(positions(STREAMS, "xread count 2 streams a b 1 2"), [4, 5]);
        assert_eq!(positions(STREAMS, "xread count 2"), []);
        const MIGRATE: &[KeySpec] = &[
            KeySpec::one(3, RO),
            spec(Begin::Keyword { word: "KEYS", from: -2 }, Find::Range { last: -1, step: 1, limit: 0 }),
        ];
        assert_eq!(positions(MIGRATE, "migrate h 1 x 0 10 keys a b"), [3, 7, 8]);
        assert_eq!(positions(MIGRATE, "migrate h 1 x 0 10"), [3]);
    }

    #[test]
    fn set_without_get_overwrites_only() {
        let set = crate::commands::strings::COMMANDS.iter().find(|command| command.name == "set").unwrap();
        let flags = |line: &str| with_args(line, |args| keys_for_client(set, &args).unwrap()[0].flags);
        assert_eq!(flags("set a b"), key_flag::OW | key_flag::UPDATE);
        assert_eq!(flags("set a b nx get"), key_flag::RW | key_flag::ACCESS | key_flag::UPDATE);
    }

    #[test]
    fn the_legacy_range_covers_neighbours() {
        let range = |specs: &[KeySpec]| {
            let range = legacy_range(specs);
            (range.first, range.last, range.step, range.movable)
        };
        assert_eq!(range(&[]), (0, 0, 0, false));
        assert_eq!(range(&[KeySpec::range(1, -1, 2, RO)]), (1, -1, 2, false));
        assert_eq!(range(&[KeySpec::one(1, RO), KeySpec::one(2, RO)]), (1, 2, 1, false));
        assert_eq!(range(&[KeySpec::one(1, RO), spec(Begin::Unknown, Find::Unknown)]), (1, 1, 1, true));
        assert_eq!(range(&[KeySpec::one(2, RO), KeySpec::range(3, -1, 1, RO)]), (2, -1, 1, false));
    }
}
