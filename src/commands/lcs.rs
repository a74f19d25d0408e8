//! LCS: the longest common subsequence of two strings.
//!
//! The textbook table, where `length(i, j)` is the answer for the first `i` and `j` bytes:
//!
//! ```text
//!   length(i, j) = length(i-1, j-1) + 1                        where the bytes are the same
//!                  max(length(i-1, j), length(i, j-1))         where they are not
//! ```
//!
//! Only two rows of it exist at a time; of each cell one bit is kept, which says from where its maximum
//! came, and by which the way back from the end is found. Of equally long subsequences the way back
//! chooses one: matches are taken wherever they can be, else a byte of the second string is given up
//! unless giving up one of the first is better. Clients see that choice, so it is Redis's.

use super::strings::string_of;
use super::{Command, Data, Group, KeySpec, Run, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::StringRef;
use crate::resp::{Args, Reply};
use crate::transaction::Plan;

pub const COMMANDS: &[Command] = &[Command::new(
    "lcs",
    -3,
    Run::Hops { whole: lcs, steps: &[fetch_second, lcs_with_second], plan: lcs_plan },
)
.group(Group::String)
.since("7.0.0")
.flags(flag::READONLY)
.categories(category::STRING)
.keys(&[KeySpec::range(1, 1, 1, key_flag::RO | key_flag::ACCESS)])
.docs(
    "Finds the longest common subsequence of two strings.",
    "O(N*M), N and M being the lengths of the strings.",
    "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
)];

/// A byte of the table's cells; Redis refuses tables of such cells beyond the longest string.
const CELL_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, Default)]
struct Options {
    length_only: bool,
    ranges: bool,
    with_lengths: bool,
    length_min: usize,
}

impl Options {
    /// The options among the first `count` arguments.
    fn parse(args: &Args<'_>, count: usize) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = 3;
        while index < count {
            if args.is(index, "LEN") {
                options.length_only = true;
            } else if args.is(index, "IDX") {
                options.ranges = true;
            } else if args.is(index, "WITHMATCHLEN") {
                options.with_lengths = true;
            } else if args.is(index, "MINMATCHLEN") && index + 1 < count {
                index += 1;
                options.length_min = args.integer(index)?.max(0) as usize;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if options.length_only && options.ranges {
            return Err(CommandError::text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// The value of the key at argument `index`, empty if it does not exist.
fn fetch(data: &mut Data<'_>, index: usize) -> Result<Vec<u8>, CommandError> {
    let target = data.target(index);
    let Some(entry) = target.database.find_read(&target.key) else { return Ok(Vec::new()) };
    match string_of(&entry) {
        Ok(StringRef::Bytes(bytes)) => Ok(bytes.to_vec()),
        Ok(number) => Ok(number.to_vec()),
        Err(_) => Err(CommandError::text("ERR The specified keys must contain string values")),
    }
}

fn lcs(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (first, second) = (fetch(data, 1)?, fetch(data, 2)?);
    let options = Options::parse(&data.args, data.args.len())?;
    answer(&first, &second, options, data.string_bytes_max, &mut data.reply)
}

/// First step: the shard of the second key answers its value.
fn fetch_second(data: &mut Data<'_>) -> Result<(), CommandError> {
    let value = fetch(data, 2)?;
    data.reply.bulk(&value);
    Ok(())
}

/// Second step: the shard of the first key has the second value as its last argument.
fn lcs_with_second(data: &mut Data<'_>) -> Result<(), CommandError> {
    let first = fetch(data, 1)?;
    let last = data.args.len() - 1;
    let options = Options::parse(&data.args, last)?;
    let second = data.args.take(last);
    answer(&first, &second, options, data.string_bytes_max, &mut data.reply)
}

fn lcs_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => plan.push(plan.shard_of(2), 0),
        1 => {
            let second = plan.results.first().and_then(|result| result.bulk()).unwrap_or_default().to_vec();
            plan.push(plan.shard_of(1), 1);
            if let Some(work) = plan.work.last_mut() {
                work.args.push(second);
            }
        }
        _ => {
            if let Some(result) = plan.results.first() {
                plan.reply.encoded(&result.reply);
            }
        }
    }
    Ok(())
}

fn answer(
    first: &[u8],
    second: &[u8],
    options: Options,
    bytes_max: usize,
    reply: &mut Reply<'_>,
) -> Result<(), CommandError> {
    let cells = (first.len() + 1).saturating_mul(second.len() + 1);
    if cells.saturating_mul(CELL_BYTES) > bytes_max {
        return Err(CommandError::text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    if options.length_only {
        reply.integer(fill(first, second, |_, _| {}) as i64);
        return Ok(());
    }
    let matches = matches_of(first, second);
    if !options.ranges {
        let text: Vec<u8> = matches.iter().rev().map(|&(position, _)| first[position]).collect();
        reply.bulk(&text);
        return Ok(());
    }
    let length = matches.len();
    reply.map(2);
    reply.bulk(b"matches");
    let ranges: Vec<Range> =
        ranges_of(&matches).into_iter().filter(|range| range.length >= options.length_min).collect();
    reply.array(ranges.len());
    for range in ranges {
        reply.array(2 + options.with_lengths as usize);
        for start in [range.first, range.second] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + range.length - 1) as i64);
        }
        if options.with_lengths {
            reply.integer(range.length as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(length as i64);
    Ok(())
}

/// Computes the table row by row and returns the length of the subsequence. Calls `up` with the row and
/// column of each cell whose maximum came from the row above alone.
fn fill(first: &[u8], second: &[u8], mut up: impl FnMut(usize, usize)) -> usize {
    let mut above = vec![0u32; second.len() + 1];
    let mut row = above.clone();
    for (i, &left) in first.iter().enumerate() {
        for (j, &right) in second.iter().enumerate() {
            row[j + 1] = if left == right {
                above[j] + 1
            } else {
                if above[j + 1] > row[j] {
                    up(i, j);
                }
                above[j + 1].max(row[j])
            };
        }
        std::mem::swap(&mut above, &mut row);
    }
    above[second.len()] as usize
}

/// The positions in both strings of the bytes of the subsequence, the last one first.
fn matches_of(first: &[u8], second: &[u8]) -> Vec<(usize, usize)> {
    let columns = second.len();
    let mut ups = vec![0u64; (first.len() * columns).div_ceil(64)];
    let length = fill(first, second, |i, j| {
        let cell = i * columns + j;
        ups[cell / 64] |= 1 << (cell % 64);
    });
    let mut matches = Vec::with_capacity(length);
    let (mut i, mut j) = (first.len(), second.len());
    while i > 0 && j > 0 {
        if first[i - 1] == second[j - 1] {
            i -= 1;
            j -= 1;
            matches.push((i, j));
            continue;
        }
        let cell = (i - 1) * columns + j - 1;
        if ups[cell / 64] >> (cell % 64) & 1 == 1 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    matches
}

/// Bytes that match side by side: where they begin in both strings, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: usize,
    second: usize,
    length: usize,
}

/// Joins neighbouring matches; the last range first.
fn ranges_of(matches: &[(usize, usize)]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for &(first, second) in matches {
        match ranges.last_mut() {
            Some(range) if range.first == first + 1 && range.second == second + 1 => {
                *range = Range { first, second, length: range.length + 1 };
            }
            _ => ranges.push(Range { first, second, length: 1 }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Harness;
    use proptest::prelude::*;

    #[test]
    fn the_manuals_example() {
        let mut harness = Harness::new();
        harness.run("MSET a ohmytext b mynewtext");
        assert_eq!(harness.run("LCS a b"), "$6\r\nmytext\r\n");
        assert_eq!(harness.run("LCS a b LEN"), ":6\r\n");
        assert_eq!(
            harness.show("LCS a b IDX"),
            "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"
        );
        assert_eq!(
            harness.show("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"),
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"
        );
        assert_eq!(harness.show("LCS a missing"), "$0 ");
        assert_eq!(harness.show("LCS a missing IDX"), "*4 $7 matches *0 $3 len :0");
    }

    #[test]
    fn wrong_options_are_refused() {
        let mut harness = Harness::new();
        assert_eq!(
            harness.show("LCS a b LEN IDX"),
            "-ERR If you want both the length and indexes, please just use IDX."
        );
        assert_eq!(harness.show("LCS a b MINMATCHLEN"), "-ERR syntax error");
        assert_eq!(harness.show("LCS a b MINMATCHLEN x"), "-ERR value is not an integer or out of range");
        assert_eq!(harness.show("LCS a b FOO"), "-ERR syntax error");
        harness.string_bytes_max = 100;
        harness.run("MSET a ohmytext b mynewtext");
        assert_eq!(
            harness.show("LCS a b"),
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
        );
    }

    fn naive(first: &[u8], second: &[u8]) -> usize {
        match (first, second) {
            ([.., left], [.., right]) => {
                let (shorter_first, shorter_second) =
                    (&first[..first.len() - 1], &second[..second.len() - 1]);
                if left == right {
                    naive(shorter_first, shorter_second) + 1
                } else {
                    naive(shorter_first, second).max(naive(first, shorter_second))
                }
            }
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn the_length_is_the_longest_and_the_matches_are_one_of_it(
            first in "[abc]{0,9}", second in "[abc]{0,9}",
        ) {
            let (first, second) = (first.as_bytes(), second.as_bytes());
            let matches = matches_of(first, second);
            prop_assert_eq!(matches.len(), naive(first, second));
            prop_assert_eq!(matches.len(), fill(first, second, |_, _| {}));
            for (index, &(i, j)) in matches.iter().enumerate() {
                prop_assert_eq!(first[i], second[j]);
                if let Some(&(i_before, j_before)) = matches.get(index + 1) {
                    prop_assert!(i_before < i && j_before < j);
                }
            }
            let total: usize = ranges_of(&matches).iter().map(|range| range.length).sum();
            prop_assert_eq!(total, matches.len());
        }
    }
}
