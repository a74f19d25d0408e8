//! What the golden scripts do not show: shards, chance, changes counted, what blocking forms will call.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{End, Shape, pop_first};
use crate::commands::Data;
use crate::commands::testing::{Harness, with_args};
use crate::resp::Reply;
use crate::shard::batch::NO_KEY;
use crate::types::sorted_set::Limits;

/// Members of a reply that is an array of bulk strings.
fn members(reply: &str) -> Vec<String> {
    let words = reply.split("\r\n").filter(|word| !word.starts_with(['*', '$', ':']) && !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Sets `zset-max-listpack-entries` on all shards.
fn set_entries(harness: &mut Harness, entries: usize) {
    harness.keyspaces.iter_mut().for_each(|keyspace| keyspace.limits.sorted_set.entries = entries);
}

/// Names of keys that several shards share out differently, and some that always share a shard.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "{s}x", "{s}y"];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.to_vec())
}

fn line() -> impl Strategy<Value = String> {
    let score = prop::sample::select(vec!["0", "1", "2", "-1", "0.5", "inf", "-inf"]);
    let member = prop::sample::select(vec!["m", "n", "o", "p", "q", "r"]);
    let end = prop::sample::select(vec!["MIN", "MAX"]);
    let options = prop::sample::select(vec![
        "",
        "WITHSCORES",
        "WEIGHTS 2 -1",
        "AGGREGATE MIN",
        "AGGREGATE MAX WEIGHTS 0 1",
        "WEIGHTS x 1",
        "FOO",
    ]);
    let combine = prop::sample::select(vec!["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"]);
    let store = prop::sample::select(vec!["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]);
    let range = prop::sample::select(vec![
        "0 -1",
        "1 2 REV",
        "-inf (2 BYSCORE",
        "2 0 BYSCORE REV LIMIT 1 1",
        "x y",
        "5 9",
    ]);
    prop_oneof![
        6 => (key(), score, member).prop_map(|(key, score, member)| format!("ZADD {key} {score} {member}")),
        1 => key().prop_map(|key| format!("SET {key} text")),
        1 => key().prop_map(|key| format!("DEL {key}")),
        1 => key().prop_map(|key| format!("ZRANGE {key} 0 -1 WITHSCORES")),
        2 => (combine, key(), key(), options.clone())
            .prop_map(|(name, one, two, options)| format!("{name} 2 {one} {two} {options}")),
        2 => (store, key(), key(), key(), options)
            .prop_map(|(name, to, one, two, options)| format!("{name} {to} 2 {one} {two} {options}")),
        2 => (key(), key(), range).prop_map(|(to, from, range)| format!("ZRANGESTORE {to} {from} {range}")),
        1 => (key(), key(), key(), end, 1..4)
            .prop_map(|(one, two, three, end, count)| format!("ZMPOP 3 {one} {two} {three} {end} COUNT {count}")),
    ]
}

proptest! {
    #[test]
    fn several_shards_answer_as_one(lines in prop::collection::vec(line(), 1..60), resp3: bool, large: bool) {
        let mut harnesses = [
            Harness::new(),
            Harness::with_shards(2, false),
            Harness::with_shards(4, false),
            Harness::with_shards(16, true),
        ];
        for harness in &mut harnesses {
            harness.resp3 = resp3;
            set_entries(harness, if large { 0 } else { 128 });
        }
        for line in &lines {
            let replies = harnesses.each_mut().map(|harness| harness.show(line));
            prop_assert!(replies.iter().all(|reply| *reply == replies[0]), "{}: {:?}", line, replies);
        }
        let dirty = harnesses.each_ref().map(Harness::dirty);
        prop_assert!(dirty.iter().all(|count| *count == dirty[0]), "changes: {:?}", dirty);
    }
}

#[test]
fn what_changes_nothing_is_no_change() {
    let mut harness = Harness::new();
    let changes = |harness: &mut Harness, line: &str| {
        let before = harness.dirty();
        harness.run(line);
        harness.dirty() - before
    };
    for (line, expected) in [
        ("ZADD z 1 a 2 b 3 c", 1),
        ("ZADD z 1 a", 0),
        ("ZADD z XX 1 none", 0),
        ("ZADD missing XX 1 a", 0),
        ("ZADD z GT 0 a", 0),
        ("ZADD z 2 a", 1),
        ("ZADD z INCR 0 a", 0),
        ("ZINCRBY z inf a", 1),
        ("ZINCRBY z -inf a", 0),
        ("ZREM z none", 0),
        ("ZREM missing a", 0),
        ("ZRANGE z 0 -1", 0),
        ("ZPOPMIN missing", 0),
        ("ZPOPMIN z 0", 0),
        ("ZMPOP 1 missing MIN", 0),
        ("ZREMRANGEBYSCORE z 100 200", 0),
        ("ZREMRANGEBYRANK z 0 0", 1),
        ("ZUNIONSTORE d 1 missing", 0),
        ("ZUNIONSTORE d 1 z", 1),
        ("ZRANGESTORE d missing 0 -1", 1),
        ("ZPOPMAX z 10", 1),
        ("EXISTS z", 0),
    ] {
        assert_eq!(changes(&mut harness, line), expected, "{line}");
    }
    assert_eq!(harness.show("DBSIZE"), ":0");
}

#[test]
fn members_are_drawn_with_the_same_chance() {
    let mut harness = Harness::new();
    for entries in [0, 128] {
        set_entries(&mut harness, entries);
        harness.run("DEL z");
        for n in 0..20 {
            harness.run(&format!("ZADD z {n} m{n}"));
        }
        // How many members each way of asking draws in all, and how often.
        for (line, drawn, calls) in [
            ("ZRANDMEMBER z", 1, 8_000),
            ("ZRANDMEMBER z -5", 5, 1_600),
            ("ZRANDMEMBER z 2", 2, 4_000),
            ("ZRANDMEMBER z 10", 10, 800),
            ("ZRANDMEMBER z 19", 19, 400),
        ] {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for _ in 0..calls {
                let found = members(&harness.run(line));
                assert_eq!(found.len(), drawn, "{line}");
                if !line.contains('-') {
                    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), drawn, "{line}: {found:?}");
                }
                found.into_iter().for_each(|member| *counts.entry(member).or_default() += 1);
            }
            let expected = drawn * calls / 20;
            assert_eq!(counts.len(), 20, "{line}");
            // Six times the standard deviation of the binomial distribution.
            let allowed = 6.0 * (expected as f64).sqrt();
            for (member, count) in counts {
                assert!((count as f64 - expected as f64).abs() < allowed, "{line}: {member} {count} times");
            }
        }
    }
    assert_eq!(members(&harness.run("ZRANDMEMBER z 1000")).len(), 20);
    assert_eq!(harness.show("ZRANDMEMBER z -100000000"), "-ERR value is out of range");
}

#[test]
fn a_large_set_is_scanned_in_steps() {
    let mut harness = Harness::new();
    set_entries(&mut harness, 0);
    for n in 0..3_000 {
        harness.run(&format!("ZADD z {n} m{n}"));
    }
    let (mut cursor, mut calls, mut found) = ("0".to_owned(), 0, BTreeMap::new());
    loop {
        let words = members(&harness.run(&format!("ZSCAN z {cursor} COUNT 20")));
        assert!(words.len() <= 1 + 2 * 25, "about COUNT members: {}", words.len());
        cursor = words[0].clone();
        found.extend(words[1..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert!(calls >= 3_000 / 25, "{calls}");
    assert!((0..3_000).all(|n| found.get(&format!("m{n}")) == Some(&n.to_string())));
    assert_eq!(found.len(), 3_000);
}

#[test]
fn the_limits_of_the_configuration_hold() {
    let mut harness = Harness::new();
    harness.keyspaces[0].limits.sorted_set = Limits { entries: 2, member_bytes: 3 };
    let mut encoding = |line: &str| {
        harness.run("DEL z");
        harness.run(line);
        harness.show("OBJECT ENCODING z")
    };
    assert_eq!(encoding("ZADD z 1 a 2 b"), "$8 listpack");
    assert_eq!(encoding("ZADD z 1 a 2 b 3 c"), "$8 skiplist");
    assert_eq!(encoding("ZADD z 1 abc"), "$8 listpack");
    assert_eq!(encoding("ZINCRBY z 1 abcd"), "$8 skiplist");
}

/// What BZPOPMIN and BZMPOP will call.
#[test]
fn the_first_set_that_exists_is_popped_in_any_shape() {
    let mut harness = Harness::new();
    let mut pop = |line: &str, end, count, shape, resp3| {
        harness.run("DEL s z");
        harness.run("SET s text");
        harness.run("ZADD z 1 a 2 b 3 c");
        with_args(line, |args| {
            let mut out = Vec::new();
            let last = args.len();
            let mut data = Data {
                keyspace: &mut harness.keyspaces[0],
                database: 0,
                args,
                key_hash: 0,
                key_slot: NO_KEY,
                reply: Reply::new(&mut out, resp3),
                moved: None,
                string_bytes_max: 1 << 29,
                has_waited: false,
                park: None,
                waits_as: None,
                known_keys: &[],
            };
            let popped = pop_first(&mut data, 1..last, end, count, shape);
            popped.map(|popped| (popped, String::from_utf8(out).unwrap().replace("\r\n", " ")))
        })
    };
    let mut ok = |line, end, count, shape, resp3| pop(line, end, count, shape, resp3).unwrap();
    let (nothing, popped) = ((false, String::new()), |text: &str| (true, text.to_owned()));
    assert_eq!(ok("x none nothing", End::Min, 1, Shape::KeyAndElement, false), nothing);
    assert_eq!(ok("x none z s", End::Min, 1, Shape::KeyAndElement, false), popped("*3 $1 z $1 a $1 1 "));
    assert_eq!(ok("x z", End::Max, 1, Shape::KeyAndElement, true), popped("*3 $1 z $1 c ,3 "));
    assert_eq!(
        ok("x z", End::Max, 2, Shape::KeyAndElements, false),
        popped("*2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2 ")
    );
    assert_eq!(ok("x z", End::Min, 1, Shape::Element, false), popped("*2 $1 a $1 1 "));
    assert_eq!(ok("x z", End::Min, 9, Shape::Elements, false), popped("*6 $1 a $1 1 $1 b $1 2 $1 c $1 3 "));
    assert!(pop("x none s z", End::Min, 1, Shape::Element, false).is_err());
}

/// Sums that a different order of adding would round otherwise: from the smallest set to the largest.
#[test]
fn scores_are_added_from_the_smallest_set_on() {
    for shards in [1, 4] {
        let mut harness = Harness::with_shards(shards, false);
        harness.run("ZADD a 0.1 m 1 x 1 y");
        harness.run("ZADD b 0.2 m 1 x");
        harness.run("ZADD c 0.3 m");
        let expected = format!("{}", (0.3 + 0.2) + 0.1);
        for line in ["ZUNION 3 a b c WITHSCORES", "ZINTER 3 b c a WITHSCORES"] {
            let words = members(&harness.run(line));
            let position = words.iter().position(|word| word == "m").unwrap();
            assert_eq!(words[position + 1], expected, "{line}");
        }
        assert_ne!(expected, format!("{}", (0.1 + 0.2) + 0.3));
    }
}

#[test]
fn expired_sets_are_missing() {
    let mut harness = Harness::new();
    harness.set_now(1_000);
    harness.run("ZADD a 1 x");
    harness.run("ZADD b 1 x");
    harness.run("PEXPIRE a 10");
    harness.set_now(2_000);
    assert_eq!(harness.show("ZUNION 2 a b WITHSCORES"), "*2 $1 x $1 1");
    assert_eq!(harness.show("ZINTERCARD 2 a b"), ":0");
    assert_eq!(harness.show("ZADD a INCR 5 x"), "$1 5");
    assert_eq!(harness.show("TTL a"), ":-1");
}

/// Whatever takes a large set away, its memory comes back in steps, to the last byte.
#[test]
fn a_large_set_goes_in_steps() {
    for line in
        ["DEL z", "UNLINK z", "SET z text", "ZUNIONSTORE z 1 none", "ZRANGESTORE z z 0 0", "RENAME s z"]
    {
        let mut harness = Harness::new();
        harness.run("SET s text");
        for n in 0..20_000 {
            harness.run(&format!("ZADD z {n} member:{n}"));
        }
        harness.check_freed_in_steps(line, 100, "DEL z s");
    }
}
