//! What the golden scripts do not show: chance, changes counted, large hashes.

use std::collections::{BTreeMap, BTreeSet};

use crate::commands::testing::Harness;
use crate::keyspace::Budget;
use crate::types::hash::Limits;

/// Texts of a reply that is an array of bulk strings.
fn texts(reply: &str) -> Vec<String> {
    let words = reply.split("\r\n").filter(|word| !word.starts_with(['*', '$', ':']) && !word.is_empty());
    words.map(str::to_owned).collect()
}

fn set_entries(harness: &mut Harness, entries: usize) {
    harness.keyspaces.iter_mut().for_each(|keyspace| keyspace.limits.hash.entries = entries);
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
        ("HSET h a 1 b 2 c 3", 1),
        ("HSET h a 1", 1),
        ("HSET h a", 0),
        ("HSETNX h a 2", 0),
        ("HSETNX h d x", 1),
        ("HINCRBY h d 1", 0),
        ("HINCRBY h a 1", 1),
        ("HINCRBYFLOAT h d 1", 0),
        ("HINCRBYFLOAT h b 0.5", 1),
        ("HINCRBY missing a x", 0),
        ("HDEL h none", 0),
        ("HDEL missing a", 0),
        ("HGETALL h", 0),
        ("HDEL h a b c d", 1),
        ("EXISTS h", 0),
    ] {
        assert_eq!(changes(&mut harness, line), expected, "{line}");
    }
    assert_eq!(harness.show("DBSIZE"), ":0");
}

#[test]
fn fields_are_drawn_with_the_same_chance() {
    let mut harness = Harness::new();
    for entries in [0, 128] {
        set_entries(&mut harness, entries);
        harness.run("DEL h");
        for n in 0..20 {
            harness.run(&format!("HSET h f{n} {n}"));
        }
        // How many fields each way of asking draws in all, and how often.
        for (line, drawn, calls) in [
            ("HRANDFIELD h", 1, 8_000),
            ("HRANDFIELD h -5", 5, 1_600),
            ("HRANDFIELD h 2", 2, 4_000),
            ("HRANDFIELD h 10", 10, 800),
            ("HRANDFIELD h 19", 19, 400),
        ] {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for _ in 0..calls {
                let found = texts(&harness.run(line));
                assert_eq!(found.len(), drawn, "{line}");
                if !line.contains('-') {
                    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), drawn, "{line}: {found:?}");
                }
                found.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
            }
            let expected = drawn * calls / 20;
            assert_eq!(counts.len(), 20, "{line}");
            // Six times the standard deviation of the binomial distribution.
            let allowed = 6.0 * (expected as f64).sqrt();
            for (name, count) in counts {
                assert!((count as f64 - expected as f64).abs() < allowed, "{line}: {name} {count} times");
            }
        }
    }
    assert_eq!(texts(&harness.run("HRANDFIELD h 1000 WITHVALUES")).len(), 40);
    assert_eq!(harness.show("HRANDFIELD h -100000000"), "-ERR value is out of range");
}

#[test]
fn a_large_hash_is_scanned_in_steps() {
    let mut harness = Harness::new();
    set_entries(&mut harness, 0);
    for n in 0..3_000 {
        harness.run(&format!("HSET h f{n} {n}"));
    }
    let (mut cursor, mut calls, mut found) = ("0".to_owned(), 0, BTreeMap::new());
    loop {
        let words = texts(&harness.run(&format!("HSCAN h {cursor} COUNT 20")));
        assert!(words.len() <= 1 + 2 * 25, "about COUNT fields: {}", words.len());
        cursor = words[0].clone();
        found.extend(words[1..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        calls += 1;
        if cursor == "0" {
            break;
        }
        // The hash grows and shrinks meanwhile.
        let extra = if calls % 60 < 30 { "HSET h" } else { "HDEL h" };
        (0..40).for_each(|n| drop(harness.run(&format!("{extra} extra:{}:{n} x", calls % 30))));
    }
    assert!(calls >= 3_000 / 25, "{calls}");
    assert!((0..3_000).all(|n| found.get(&format!("f{n}")) == Some(&n.to_string())));
}

#[test]
fn the_limits_of_the_configuration_hold() {
    let mut harness = Harness::new();
    harness.keyspaces[0].limits.hash = Limits { entries: 2, value_bytes: 3 };
    let mut encoding = |line: &str| {
        harness.run("DEL h");
        harness.run(line);
        harness.show("OBJECT ENCODING h")
    };
    assert_eq!(encoding("HSET h a 1 b 2"), "$8 listpack");
    assert_eq!(encoding("HSET h a 1 b 2 c 3"), "$9 hashtable");
    assert_eq!(encoding("HSET h abc def"), "$8 listpack");
    assert_eq!(encoding("HSET h abcd 1"), "$9 hashtable");
    assert_eq!(encoding("HSETNX h a 1234"), "$9 hashtable");
}

/// Whatever takes a large hash away, its memory comes back in steps, to the last byte.
#[test]
fn a_large_hash_goes_in_steps() {
    for line in ["DEL h", "UNLINK h", "SET h text", "RENAME s h"] {
        let mut harness = Harness::new();
        harness.run("SET s text");
        for n in 0..20_000 {
            harness.run(&format!("HSET h field:{n} {n}"));
        }
        harness.check_freed_in_steps(line, 100, "DEL h s");
    }
}

#[test]
fn a_field_is_missing_when_its_deadline_has_come() {
    for entries in [0, 128] {
        let mut harness = Harness::new();
        set_entries(&mut harness, entries);
        harness.set_now(1_000_000);
        harness.run("HSET h a 1 b 2 c 3");
        assert_eq!(harness.show("HPEXPIRE h 500 FIELDS 2 a b"), "*2 :1 :1");
        assert_eq!(harness.show("HPTTL h FIELDS 4 a b c d"), "*4 :500 :500 :-1 :-2");
        harness.set_now(1_000_499);
        assert_eq!(harness.show("HLEN h"), ":3");
        assert_eq!(harness.show("HTTL h FIELDS 1 a"), "*1 :1");
        harness.set_now(1_000_500);
        for (line, expected) in [
            ("HGET h a", "$-1"),
            ("HMGET h a b c", "*3 $-1 $-1 $1 3"),
            ("HEXISTS h a", ":0"),
            ("HSTRLEN h a", ":0"),
            ("HLEN h", ":1"),
            ("HGETALL h", "*2 $1 c $1 3"),
            ("HKEYS h", "*1 $1 c"),
            ("HVALS h", "*1 $1 3"),
            ("HSCAN h 0", "*2 $1 0 *2 $1 c $1 3"),
            ("HRANDFIELD h 5", "*1 $1 c"),
            ("HPTTL h FIELDS 2 a c", "*2 :-2 :-1"),
            ("HPERSIST h FIELDS 1 a", "*1 :-2"),
            ("HEXPIRE h 10 FIELDS 1 a", "*1 :-2"),
            ("HDEL h a b", ":0"),
            ("HGETEX h EX 10 FIELDS 1 a", "*1 $-1"),
            ("HSETEX h FXX FIELDS 1 a x", ":0"),
            ("HSETNX h a 7", ":1"),
            ("HINCRBY h b 1", ":1"),
            ("HTTL h FIELDS 2 a b", "*2 :-1 :-1"),
        ] {
            assert_eq!(harness.show(line), expected, "{line}");
        }
    }
}

#[test]
fn a_hash_goes_with_its_last_field() {
    for entries in [0, 128] {
        let mut harness = Harness::new();
        set_entries(&mut harness, entries);
        harness.set_now(1_000_000);
        let lines =
            ["EXISTS h", "TYPE h", "HLEN h", "HGETALL h", "DBSIZE", "KEYS *", "RANDOMKEY", "HGET h a"];
        let missing = [":0", "+none", ":0", "*0", ":0", "*0", "$-1", "$-1"];
        for (line, expected) in lines.into_iter().zip(missing) {
            harness.run("HSET h a 1 b 2");
            harness.run("HPEXPIRE h 10 FIELDS 1 a");
            harness.run("HPEXPIRE h 20 FIELDS 1 b");
            let now = harness.keyspaces[0].now();
            harness.set_now(now + 10);
            assert_eq!(harness.show("HLEN h"), ":1", "{line}");
            harness.set_now(now + 20);
            if line == "DBSIZE" {
                harness.run("EXISTS h");
            }
            assert_eq!(harness.show(line), expected, "{line}");
        }
        harness.run("SET h text");
        assert_eq!(harness.show("GET h"), "$4 text");
    }
}

/// Nobody asks for the fields, and they go all the same, in steps; then the hash does.
#[test]
fn fields_expire_without_being_looked_at() {
    for entries in [0, 100_000] {
        let mut harness = Harness::new();
        set_entries(&mut harness, entries);
        harness.set_now(1_000_000);
        for n in 0..2_000 {
            harness.run(&format!("HSETEX large PX {} FIELDS 1 f{n} v", 5_000 + n % 100));
            harness.run(&format!("HSETEX small:{n} PX {} FIELDS 2 a v b v", 100_000 + n));
        }
        harness.run("HSET large stays v");
        harness.run("HSET small:7 stays v");
        let full = harness.keyspaces[0].memory_bytes();
        let steps = |harness: &mut Harness, now: i64| {
            harness.set_now(now);
            let mut steps = 0;
            while harness.keyspaces[0].step(Budget(50)) {
                steps += 1;
            }
            steps
        };
        assert_eq!(steps(&mut harness, 1_004_000), 0);
        let expected = if entries == 0 { 20..200 } else { 0..200 };
        let taken = steps(&mut harness, 1_006_000);
        assert!(expected.contains(&taken), "{taken}");
        assert_eq!(harness.keyspaces[0].stats().expired_fields, 2_000);
        assert_eq!(harness.keyspaces[0].database(0).len(), 2_001);
        assert!(steps(&mut harness, 1_200_000) > 20);
        let database = harness.keyspaces[0].database(0);
        assert_eq!((database.len(), database.expiring_hashes()), (2, 0));
        assert_eq!(harness.show("HKEYS large"), "*1 $5 stays");
        assert_eq!(harness.show("HKEYS small:7"), "*1 $5 stays");
        harness.run("DEL large small:7");
        while harness.keyspaces[0].step(Budget(50)) {}
        assert!(harness.keyspaces[0].memory_bytes() < full / 100);
        assert_eq!(harness.keyspaces[0].memory_bytes(), 0);
    }
}

/// Whatever becomes of a hash, its fields keep their deadlines, and the wheel finds it where it is.
#[test]
fn deadlines_of_fields_travel_with_their_hash() {
    for (entries, shards) in [(0, 1), (128, 1), (0, 4), (128, 4)] {
        let mut harness = Harness::with_shards(shards, false);
        set_entries(&mut harness, entries);
        harness.set_now(1_000_000);
        harness.run("HSET h a 1 b 2 c 3");
        harness.run("HPEXPIRE h 5000 FIELDS 2 a b");
        assert_eq!(harness.show("COPY h copied"), ":1");
        assert_eq!(harness.show("RENAME h renamed"), "+OK");
        harness.run("EXPIRE copied 1000");
        harness.run("PERSIST copied");
        harness.run("HSET large f v");
        for n in 0..600 {
            harness.run(&format!("HSET copied f{n} v"));
        }
        for key in ["copied", "renamed"] {
            assert_eq!(harness.show(&format!("HPTTL {key} FIELDS 3 a b c")), "*3 :5000 :5000 :-1", "{key}");
        }
        let expiring = |harness: &mut Harness| -> usize {
            harness.keyspaces.iter_mut().map(|keyspace| keyspace.database(0).expiring_hashes()).sum()
        };
        assert_eq!(expiring(&mut harness), 2);
        harness.set_now(1_006_000);
        for keyspace in &mut harness.keyspaces {
            while keyspace.step(Budget(50)) {}
        }
        assert_eq!(expiring(&mut harness), 0);
        let expired: u64 = harness.keyspaces.iter().map(|keyspace| keyspace.stats().expired_fields).sum();
        assert_eq!(expired, 4);
        assert_eq!(harness.show("HGETALL renamed"), "*2 $1 c $1 3");
        assert_eq!(harness.show("HLEN copied"), ":601");
    }
}

#[test]
fn a_hash_that_goes_is_not_expected_to_expire() {
    for line in
        ["DEL h", "SET h x", "FLUSHDB", "HDEL h a b", "HPERSIST h FIELDS 1 a", "HSET h a 2", "RENAME s h"]
    {
        for entries in [0, 128] {
            let mut harness = Harness::new();
            set_entries(&mut harness, entries);
            harness.run("SET s x");
            harness.run("HSET h a 1 b 2");
            harness.run("HEXPIRE h 10 FIELDS 1 a");
            assert_eq!(harness.keyspaces[0].database(0).expiring_hashes(), 1);
            harness.run(line);
            assert_eq!(harness.keyspaces[0].database(0).expiring_hashes(), 0, "{line}");
        }
    }
}

/// Many fields that are due at once do not hold up who asks for one.
#[test]
fn a_look_at_a_field_removes_few_that_are_due() {
    let mut harness = Harness::new();
    set_entries(&mut harness, 0);
    harness.set_now(1_000_000);
    for n in 0..5_000 {
        harness.run(&format!("HSETEX h PX 100 FIELDS 1 f{n} v"));
    }
    harness.run("HSET h stays v");
    harness.set_now(1_000_100);
    let full = harness.keyspaces[0].memory_bytes();
    assert_eq!(harness.show("HGET h f4999"), "$-1");
    assert_eq!(harness.show("HSET h f4999 again"), ":1");
    assert!(harness.keyspaces[0].memory_bytes() > full * 9 / 10);
    assert_eq!(harness.show("HLEN h"), ":2");
    assert!(harness.keyspaces[0].memory_bytes() < full / 5);
}

/// Who watches a hash hears of a field that has expired.
#[test]
fn an_expired_field_changes_its_hash() {
    let mut harness = Harness::new();
    harness.set_now(1_000_000);
    harness.run("HSETEX h PX 100 FIELDS 1 a v");
    harness.run("HSET h b v");
    let keyspace = &mut harness.keyspaces[0];
    let key = keyspace.key(b"h");
    let version = keyspace.database(0).watch(&key);
    assert!(keyspace.database(0).is_unchanged(&key, version));
    keyspace.set_now(1_000_100);
    assert!(!keyspace.database(0).is_unchanged(&key, version));
}
