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
//! first call to the last is returned at least once.

use super::{Command, Data, Merge, Run, Split, category, flag};
use crate::error::CommandError;
use crate::glob::glob_match;
use crate::keyspace::{EntryRef, SCAN_CURSOR_BITS};
use crate::resp::Args;
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
    Command::new("scan", -2, Run::Hops { whole: scan, steps: &[scan], plan: scan_plan })
        .since("2.8.0")
        .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special"])
        .docs(
            "Goes through the keys of the database in steps.",
            "O(1) for every call; O(N) until the cursor is 0 again, N being the number of keys.",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        ),
];

/// Below the slot's bits of a cursor.
const POSITION_MASK: u64 = (1 << SCAN_CURSOR_BITS) - 1;
const SLOT_MASK: u64 = 16383;

fn matches(pattern: &[u8], key: &[u8]) -> bool {
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
    fn parse(args: &Args<'_>) -> Result<Filter, CommandError> {
        let mut filter = Filter { pattern: None, kind: None, count: 10 };
        for index in (2..args.len()).step_by(2) {
            if index + 1 == args.len() {
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
fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
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

/// Scans one shard, answering its own cursor; 0 when it has come to its end.
fn scan(data: &mut Data<'_>) -> Result<(), CommandError> {
    let mut cursor = parse_cursor(data.args.get(1))?;
    let filter = Filter::parse(&data.args)?;
    let Data { keyspace, args, reply, database, .. } = data;
    if !keyspace.has_slot_tables() {
        cursor &= POSITION_MASK;
    }
    let database = keyspace.database(*database);
    let mut found: Vec<u8> = Vec::new();
    let mut elements = crate::resp::Reply::new(&mut found, reply.is_resp3());
    let mut next = 0;
    elements.array_of(|elements| {
        let mut count = 0;
        next = database.scan(cursor, filter.count, &mut |entry| {
            if filter.accepts(args, &entry) {
                elements.bulk(entry.key());
                count += 1;
            }
        });
        count
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.encoded(&found);
    Ok(())
}

/// The shard that a cursor points into.
fn shard_of_cursor(cursor: u64, route: Route) -> usize {
    route.shard_of_slot((cursor >> SCAN_CURSOR_BITS & SLOT_MASK) as u16)
}

/// The cursor for the next call, from the one that `shard` answered.
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
    if plan.hop == 0 {
        let cursor = parse_cursor(plan.args.get(1))?;
        plan.push(shard_of_cursor(cursor, plan.route), 0);
        return Ok(());
    }
    if plan.reply_error() {
        return Ok(());
    }
    let Some(result) = plan.results.first() else { return Ok(()) };
    // An array of two: the shard's cursor, and the keys as they are.
    let Some((cursor, keys)) = result.reply.strip_prefix(b"*2\r\n").and_then(split_bulk) else {
        plan.reply.encoded(&result.reply);
        return Ok(());
    };
    let cursor = next_cursor(parse_cursor(cursor)?, result.shard, plan.route);
    plan.reply.array(2);
    plan.reply.bulk(cursor.to_string().as_bytes());
    plan.reply.encoded(keys);
    Ok(())
}

/// A short bulk string at the beginning of `bytes`, and what follows it.
fn split_bulk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = &bytes[bytes.iter().position(|&byte| byte == b'\n')? + 1..];
    let end = body.iter().position(|&byte| byte == b'\r')?;
    Some((&body[..end], body.get(end + 2..)?))
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
        let (_, keys) = scan_once(&mut harness, "SCAN 0 COUNT 100 MATCH b*");
        let (_, more) = scan_once(&mut harness, "SCAN 2305843009213693952 COUNT 100 MATCH b*");
        assert_eq!([keys, more].concat(), ["banana"]);
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
