//! KEYS and SCAN.
//!
//! A SCAN cursor says on which shard the scan is and where in it:
//!
//! ```text
//!   bit 62..48   a hash slot of the shard: its first one, or with a table per slot the one being scanned
//!   bit 47..0    the position in the table, 0 at its beginning
//! ```
//!
//! The shards are scanned one after the other. A shard that ends hands over to the next one's first slot,
//! the last one to cursor 0, so that each shard gives its own guarantee: a key that is there from the
//! first call to the last is returned at least once. A call whose COUNT is not used up when its shard ends
//! goes on with the next one.

use super::{Command, Data, Merge, Run, Split, category, flag};
use crate::error::CommandError;
use crate::glob::glob_match;
use crate::keyspace::{EntryRef, SCAN_CURSOR_BITS};
use crate::resp::{Args, Reply};
use crate::transaction::{Plan, Route};

pub const COMMANDS: &[Command] = &[
    Command::new(
        "keys",
        2,
        Run::EachShard { part: keys, split: Split::Everywhere, merge: Merge::Concatenate },
    )
    .flags(flag::READONLY)
    .categories(category::KEYSPACE | category::DANGEROUS)
    .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
    .docs(
        "Returns all keys that match a pattern.",
        "O(N), N being the number of keys in the database.",
        "pattern",
    ),
    Command::new("scan", -2, Run::Hops { whole: scan, steps: &[scan_step], plan: scan_plan })
        .since("2.8.0")
        .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .docs(
            "Goes through the keys of the database in steps.",
            "O(1) for every call; O(N) until the cursor is 0 again, N being the number of keys.",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        ),
];

/// Below the slot's bits of a cursor.
const POSITION_MASK: u64 = (1 << SCAN_CURSOR_BITS) - 1;
const SLOT_MASK: u64 = 16383;
/// Keys that a call of SCAN looks at.
const COUNT_DEFAULT: usize = 10;

pub(super) fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob_match(pattern, key, false)
}

fn keys(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Data { keyspace, args, reply, database, .. } = data;
    let pattern = args.get(1);
    let database = keyspace.database(*database);
    reply.array_of(|reply| {
        let mut count = 0;
        database.for_each(&mut |entry| {
            if matches(pattern, entry.key()) {
                reply.bulk(entry.key());
                count += 1;
            }
        });
        count
    });
    Ok(())
}

/// What SCAN is to return.
struct Filter {
    /// The argument that holds the pattern.
    pattern: Option<usize>,
    /// The argument that names the type.
    kind: Option<usize>,
    count: usize,
}

impl Filter {
    /// The options among the first `end` arguments.
    fn parse(args: &Args<'_>, end: usize) -> Result<Filter, CommandError> {
        let mut filter = Filter { pattern: None, kind: None, count: COUNT_DEFAULT };
        for index in (2..end).step_by(2) {
            if index + 1 == end {
                return Err(CommandError::Syntax);
            } else if args.is(index, "COUNT") {
                let count = args.integer(index + 1)?;
                filter.count =
                    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if args.is(index, "MATCH") {
                filter.pattern = Some(index + 1);
            } else if args.is(index, "TYPE") {
                filter.kind = Some(index + 1);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(filter)
    }

    fn accepts(&self, args: &Args<'_>, entry: &EntryRef<'_>) -> bool {
        self.pattern.is_none_or(|pattern| matches(args.get(pattern), entry.key()))
            && self
                .kind
                .is_none_or(|kind| args.get(kind).eq_ignore_ascii_case(entry.kind().name().as_bytes()))
    }
}

/// Reads a cursor as C's `strtoul` does: nothing is 0, a minus sign counts down from 2^64.
pub(super) fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] if !digits.is_empty() => (true, digits),
        [b'+', digits @ ..] if !digits.is_empty() => (false, digits),
        digits => (false, digits),
    };
    let mut value: u64 = 0;
    for &byte in digits {
        let digit = byte.is_ascii_digit().then(|| (byte - b'0') as u64).ok_or(CommandError::InvalidCursor)?;
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit))
            .ok_or(CommandError::InvalidCursor)?;
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// How far a call of SCAN has come, on its way from shard to shard.
#[derive(Default)]
struct Progress {
    cursor: u64,
    /// Keys looked at, whether they are returned or not: what COUNT limits.
    visited: usize,
    /// How many keys `keys` holds.
    found: usize,
    /// Bulk strings, encoded.
    keys: Vec<u8>,
}

impl Progress {
    const HEADER_BYTES: usize = 24;

    fn encode(&self) -> Vec<u8> {
        let header = [self.cursor, self.visited as u64, self.found as u64].map(u64::to_le_bytes);
        [header.as_flattened(), &self.keys].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Progress> {
        let (header, keys) = bytes.split_at_checked(Progress::HEADER_BYTES)?;
        let field = |index: usize| header[index * 8..index * 8 + 8].try_into().map_or(0, u64::from_le_bytes);
        Some(Progress {
            cursor: field(0),
            visited: field(1) as usize,
            found: field(2) as usize,
            keys: keys.to_vec(),
        })
    }

    /// Goes on where the cursor points to on this shard; its cursor then is the shard's own, 0 at the end.
    fn advance(&mut self, data: &mut Data<'_>, filter: &Filter) {
        let Data { keyspace, args, database, .. } = data;
        if !keyspace.has_slot_tables() {
            self.cursor &= POSITION_MASK;
        }
        let Progress { visited, found, keys, .. } = self;
        let mut elements = Reply::new(keys, false);
        let count = filter.count.saturating_sub(*visited);
        self.cursor = keyspace.database(*database).scan(self.cursor, count, &mut |entry| {
            *visited += 1;
            if filter.accepts(args, &entry) {
                *found += 1;
                elements.bulk(entry.key());
            }
        });
    }

    fn answer(&self, reply: &mut Reply<'_>) {
        reply.array(2);
        reply.bulk(self.cursor.to_string().as_bytes());
        reply.array(self.found);
        reply.encoded(&self.keys);
    }
}

/// The only shard.
fn scan(data: &mut Data<'_>) -> Result<(), CommandError> {
    let mut progress = Progress { cursor: parse_cursor(data.args.get(1))?, ..Progress::default() };
    let filter = Filter::parse(&data.args, data.args.len())?;
    progress.advance(data, &filter);
    progress.answer(&mut data.reply);
    Ok(())
}

/// One of several shards: the progress so far is the last argument, the one then the answer.
fn scan_step(data: &mut Data<'_>) -> Result<(), CommandError> {
    let last = data.args.len() - 1;
    let filter = Filter::parse(&data.args, last)?;
    let mut progress = Progress::decode(data.args.get(last)).unwrap_or_default();
    progress.advance(data, &filter);
    data.reply.bulk(&progress.encode());
    Ok(())
}

/// The shard that a cursor points into.
fn shard_of_cursor(cursor: u64, route: Route) -> usize {
    route.shard_of_slot((cursor >> SCAN_CURSOR_BITS & SLOT_MASK) as u16)
}

/// The cursor for what follows, from the one that `shard` answered.
fn next_cursor(answered: u64, shard: usize, route: Route) -> u64 {
    let first_slot = |shard: usize| (route.slots_of(shard).0 as u64) << SCAN_CURSOR_BITS;
    match answered {
        0 if shard + 1 == route.shards() => 0,
        0 => first_slot(shard + 1),
        _ if answered > POSITION_MASK => answered,
        _ => answered | first_slot(shard),
    }
}

fn scan_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    let filter = Filter::parse(&plan.args, plan.args.len());
    let progress = match plan.results.first() {
        None => Progress { cursor: parse_cursor(plan.args.get(1))?, ..Progress::default() },
        Some(result) => {
            let mut progress = result.bulk().and_then(Progress::decode).unwrap_or_default();
            let ended = progress.cursor == 0;
            progress.cursor = next_cursor(progress.cursor, result.shard, plan.route);
            // A call on a small database is to see all of it, as it would with one shard.
            if !ended || progress.cursor == 0 || progress.visited >= filter?.count {
                progress.answer(&mut plan.reply);
                return Ok(());
            }
            progress
        }
    };
    plan.push(shard_of_cursor(progress.cursor, plan.route), 0);
    if let Some(work) = plan.work.last_mut() {
        work.args.push(progress.encode());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Cursor and keys of a reply of SCAN.
    fn scan_once(harness: &mut Harness, line: &str) -> (String, Vec<String>) {
        let reply = harness.run(line);
        let mut words = reply.split("\r\n").filter(|word| !word.starts_with(['*', '$']));
        let cursor = words.next().unwrap().to_owned();
        (cursor, words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    #[test]
    fn every_key_of_every_shard_is_returned() {
        for (shards, slot_tables) in [(1, false), (1, true), (3, false), (3, true), (16, true)] {
            let mut harness = Harness::with_shards(shards, slot_tables);
            let mut expected = BTreeSet::new();
            for number in 0..500 {
                harness.run(&format!("SET key:{number} v"));
                expected.insert(format!("key:{number}"));
            }
            let mut found = BTreeSet::new();
            let mut cursor = "0".to_owned();
            let mut calls = 0;
            loop {
                let (next, keys) = scan_once(&mut harness, &format!("SCAN {cursor} COUNT 7"));
                found.extend(keys);
                cursor = next;
                calls += 1;
                if cursor == "0" {
                    break;
                }
                assert!(calls < 5000, "a scan of {shards} shards that does not end");
            }
            assert_eq!(found, expected, "{shards} shards, table per slot: {slot_tables}");
            assert!(calls > 20);
        }
    }

    #[test]
    fn what_is_returned_can_be_filtered() {
        let mut harness = Harness::with_shards(2, false);
        harness.run("MSET apple 1 banana 2 cherry 3");
        let found = scan_once(&mut harness, "SCAN 0 COUNT 100 MATCH b*");
        assert_eq!(found, ("0".to_owned(), vec!["banana".to_owned()]));
        let (_, keys) = scan_once(&mut harness, "SCAN 0 COUNT 100 TYPE hash");
        assert_eq!(keys, [""; 0]);
        let mut single = Harness::new();
        single.run("MSET apple 1 banana 2");
        assert_eq!(scan_once(&mut single, "SCAN 0 TYPE foo TYPE STRING").1.len(), 2);
        single.set_now(10);
        single.run("PEXPIRE apple 5");
        single.set_now(20);
        assert_eq!(scan_once(&mut single, "SCAN 0").1, ["banana"]);
        assert_eq!(single.show("KEYS *"), "*1 $6 banana");
        assert_eq!(single.show("KEYS a*"), "*0");
    }

    #[test]
    fn wrong_options_are_refused() {
        for shards in [1, 2] {
            let mut harness = Harness::with_shards(shards, false);
            for line in ["SCAN a", "SCAN 18446744073709551616", "SCAN 0x1", "SCAN -"] {
                assert_eq!(harness.show(line), "-ERR invalid cursor", "{line}");
            }
            for line in ["SCAN 0 MATCH", "SCAN 0 COUNT 0", "SCAN 0 COUNT -5", "SCAN 0 FOO bar"] {
                assert_eq!(harness.show(line), "-ERR syntax error", "{line}");
            }
            assert_eq!(harness.show("SCAN 0 COUNT x"), "-ERR value is not an integer or out of range");
            assert_eq!(harness.show("SCAN \"\" COUNT 1").split(' ').count(), 4);
        }
    }

    proptest! {
        #[test]
        fn any_cursor_is_answered(cursor: u64, shards in 1usize..4, slot_tables: bool) {
            let mut harness = Harness::with_shards(shards, slot_tables);
            for number in 0..50 {
                harness.run(&format!("SET key:{number} v"));
            }
            let reply = harness.run(&format!("SCAN {cursor}"));
            prop_assert!(reply.starts_with('*'));
        }
    }
}
