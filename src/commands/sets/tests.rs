//! What the golden scripts do not show: shards, chance, changes counted, memory that comes back.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::commands::testing::Harness;
use crate::types::set::Limits;

/// The lines of a reply in order: the members of a set come in any.
fn sorted(reply: &str) -> Vec<String> {
    let mut lines: Vec<String> = reply.split("\r\n").map(str::to_owned).collect();
    lines.sort();
    lines
}

fn members(harness: &mut Harness, line: &str) -> BTreeSet<String> {
    let reply = harness.run(line);
    let words =
        reply.split("\r\n").filter(|word| !word.starts_with(['*', '~', '$', ':']) && !word.is_empty());
    words.map(str::to_owned).collect()
}

fn set_limits(harness: &mut Harness, limits: Limits) {
    harness.keyspaces.iter_mut().for_each(|keyspace| keyspace.limits.set = limits);
}

const ALL_LARGE: Limits = Limits { integers: 0, entries: 0, member_bytes: 0 };
const DEFAULT: Limits = Limits { integers: 512, entries: 128, member_bytes: 64 };

/// Names of keys that several shards share out differently, and some that always share a shard.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "{s}x", "{s}y"];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.to_vec())
}

fn line() -> impl Strategy<Value = String> {
    let member =
        || prop::sample::select(vec!["m", "n", "o", "p", "1", "2", "3", "400", "-70000", "01", "5000000000"]);
    let combine =
        prop::sample::select(vec!["SUNION", "SINTER", "SDIFF", "SINTERCARD 3", "SINTERCARD 2", "SDIFF {s}x"]);
    let store = prop::sample::select(vec!["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"]);
    let scored = prop::sample::select(vec!["ZUNION", "ZINTER", "ZDIFF"]);
    prop_oneof![
        8 => (key(), member(), member()).prop_map(|(key, one, two)| format!("SADD {key} {one} {two}")),
        2 => (key(), member(), member()).prop_map(|(key, one, two)| format!("SREM {key} {one} {two}")),
        1 => key().prop_map(|key| format!("SET {key} text")),
        1 => key().prop_map(|key| format!("ZADD {key} 7 m 8 1 9 z")),
        1 => key().prop_map(|key| format!("DEL {key}")),
        1 => key().prop_map(|key| format!("SPOP {key} 100")),
        1 => key().prop_map(|key| format!("SMEMBERS {key}")),
        2 => (key(), key(), member()).prop_map(|(from, to, member)| format!("SMOVE {from} {to} {member}")),
        4 => (combine, key(), key(), key())
            .prop_map(|(name, one, two, three)| format!("{name} {one} {two} {three}")),
        3 => (store, key(), key(), key())
            .prop_map(|(name, to, one, two)| format!("{name} {to} {one} {two}")),
        1 => (store_of_five(), key()).prop_map(|(line, key)| format!("{line} {key}")),
        1 => (scored, key(), key()).prop_map(|(name, one, two)| format!("{name} 2 {one} {two} WITHSCORES")),
    ]
}

fn store_of_five() -> impl Strategy<Value = String> {
    (key(), key(), key(), key())
        .prop_map(|(to, one, two, three)| format!("SUNIONSTORE {to} {one} {two} {three} {one}"))
}

proptest! {
    #[test]
    fn several_shards_answer_as_one(lines in prop::collection::vec(line(), 1..60), resp3: bool) {
        let mut harnesses = [
            Harness::new(),
            Harness::new(),
            Harness::with_shards(2, false),
            Harness::with_shards(4, false),
            Harness::with_shards(16, true),
        ];
        for (index, harness) in harnesses.iter_mut().enumerate() {
            harness.resp3 = resp3;
            // However they are laid out, too.
            set_limits(harness, if index % 2 == 0 { DEFAULT } else { ALL_LARGE });
        }
        for line in &lines {
            let replies = harnesses.each_mut().map(|harness| sorted(&harness.run(line)));
            prop_assert!(replies.iter().all(|reply| *reply == replies[0]), "{}: {:?}", line, replies);
        }
        let dirty = harnesses.each_ref().map(Harness::dirty);
        prop_assert!(dirty.iter().all(|count| *count == dirty[0]), "changes: {:?}", dirty);
    }
}

#[test]
fn what_changes_nothing_is_no_change() {
    let mut harness = Harness::new();
    for (line, expected) in [
        ("SADD s a b c", 1),
        ("SADD s a", 0),
        ("SADD s a d", 1),
        ("SREM s none", 0),
        ("SREM missing a", 0),
        ("SMEMBERS s", 0),
        ("SPOP missing", 0),
        ("SPOP s 0", 0),
        ("SRANDMEMBER s -100", 0),
        ("SMOVE s s a", 0),
        ("SMOVE s d none", 0),
        ("SMOVE missing d a", 0),
        ("SMOVE s d a", 2),
        ("SADD s a", 1),
        ("SMOVE s d a", 1),
        ("SUNIONSTORE none missing", 0),
        ("SINTERSTORE d s missing", 1),
        ("SUNIONSTORE d s", 1),
        ("SPOP s", 1),
        ("SPOP s 100", 1),
        ("EXISTS s", 0),
    ] {
        let before = harness.dirty();
        harness.run(line);
        assert_eq!(harness.dirty() - before, expected, "{line}");
    }
}

/// Large sets, in batches and beyond: compared with what the standard library makes of them.
#[test]
fn large_sets_are_combined() {
    let multiples =
        |of: usize, count: usize| (0..count).map(|n| (n * of).to_string()).collect::<BTreeSet<_>>();
    let sets = [multiples(2, 700), multiples(3, 900), multiples(5, 65), multiples(1, 3)];
    for (shards, limits) in [(1, DEFAULT), (1, ALL_LARGE), (4, DEFAULT), (4, ALL_LARGE)] {
        let mut harness = Harness::with_shards(shards, false);
        set_limits(&mut harness, limits);
        for (set, name) in sets.iter().zip(["a", "b", "c", "d"]) {
            for member in set {
                harness.run(&format!("SADD {name} {member}"));
            }
        }
        let [a, b, c, d] = &sets;
        assert_eq!(members(&mut harness, "SINTER a b"), a & b);
        assert_eq!(members(&mut harness, "SINTER b a c"), &(a & b) & c);
        assert_eq!(members(&mut harness, "SDIFF a b"), a - b);
        assert_eq!(members(&mut harness, "SDIFF b a c d"), &(&(b - a) - c) - d);
        assert_eq!(members(&mut harness, "SUNION a b"), a | b);
        assert_eq!(members(&mut harness, "SUNION d c b a"), &(&(a | b) | c) | d);
        let common = (a & b).len();
        assert_eq!(harness.show("SINTERCARD 2 a b"), format!(":{common}"));
        for limit in [1, 63, 64, 65, common - 1, common, common + 1] {
            let expected = format!(":{}", limit.min(common));
            assert_eq!(harness.show(&format!("SINTERCARD 2 a b LIMIT {limit}")), expected);
        }
        assert_eq!(harness.show("SUNIONSTORE u a b c"), format!(":{}", (&(a | b) | c).len()));
        assert_eq!(members(&mut harness, "SMEMBERS u"), &(a | b) | c);
    }
}

/// Each of the ways to pop: one by one, the rest kept, all; in every form of a set.
#[test]
fn what_is_popped_is_gone_and_the_rest_stays() {
    for name in ["", "m"] {
        for (size, limits) in [(40, DEFAULT), (40, ALL_LARGE), (700, DEFAULT)] {
            for count in [1, 5, size - 6, size - 1, size, size + 1] {
                let mut harness = Harness::new();
                set_limits(&mut harness, limits);
                let all: BTreeSet<String> = (0..size).map(|n| format!("{name}{n}")).collect();
                let line: Vec<&str> = all.iter().map(String::as_str).collect();
                harness.run(&format!("SADD s {}", line.join(" ")));
                let popped = members(&mut harness, &format!("SPOP s {count}"));
                let rest = members(&mut harness, "SMEMBERS s");
                assert_eq!(popped.len(), count.min(size));
                assert_eq!((&popped | &rest, popped.len() + rest.len()), (all, size));
                assert_eq!(harness.show("EXISTS s"), if rest.is_empty() { ":0" } else { ":1" });
            }
        }
    }
}

#[test]
fn different_members_are_drawn_as_often() {
    for (size, wanted) in [(20usize, 3usize), (20, 12), (200, 10), (200, 120)] {
        let mut harness = Harness::new();
        let names: Vec<String> = (0..size).map(|n| format!("m{n}")).collect();
        harness.run(&format!("SADD s {}", names.join(" ")));
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let rounds = size * 200 / wanted;
        for _ in 0..rounds {
            let drawn = members(&mut harness, &format!("SRANDMEMBER s {wanted}"));
            assert_eq!(drawn.len(), wanted, "each once");
            drawn.into_iter().for_each(|member| *counts.entry(member).or_default() += 1);
        }
        assert_eq!(counts.len(), size);
        // 200 are expected of each, with a deviation of no more than 14.
        assert!(counts.values().all(|count| (120..290).contains(count)), "{counts:?}");
    }
}

#[test]
fn expired_sets_are_missing() {
    let mut harness = Harness::new();
    harness.set_now(1_000);
    harness.run("SADD a x");
    harness.run("SADD b x y");
    harness.run("PEXPIRE a 10");
    harness.set_now(2_000);
    assert_eq!(harness.show("SINTER a b"), "*0");
    assert_eq!(sorted(&harness.run("SUNION a b")), sorted(&harness.run("SMEMBERS b")));
    assert_eq!(harness.show("SMOVE a b x"), ":0");
    assert_eq!(harness.show("SADD a z"), ":1");
    assert_eq!(harness.show("TTL a"), ":-1");
}

/// Whatever takes a large set away, its memory comes back in steps, to the last byte.
#[test]
fn a_large_set_goes_in_steps() {
    for line in [
        "DEL s",
        "UNLINK s",
        "SET s text",
        "SINTERSTORE s none",
        "RENAME t s",
        "SPOP s 20000",
        "SPOP s 19990",
    ] {
        let mut harness = Harness::new();
        harness.run("SET t text");
        for n in 0..20_000 {
            harness.run(&format!("SADD s member:{n}"));
        }
        harness.check_freed_in_steps(line, 20, "DEL s t");
    }
}
