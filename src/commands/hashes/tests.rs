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
        let full = harness.keyspaces[0].memory_bytes();
        harness.run(line);
        let keyspace = &mut harness.keyspaces[0];
        assert!(keyspace.memory_bytes() > full * 9 / 10, "{line}: it waits to be freed");
        let mut steps = 0;
        while keyspace.step(Budget(100)) {
            steps += 1;
        }
        assert!(steps > 100, "{line}: {steps} steps");
        assert!(keyspace.memory_bytes() < full / 100, "{line}: {} are left", keyspace.memory_bytes());
        harness.run("DEL h s");
        while harness.keyspaces[0].step(Budget(100)) {}
        assert_eq!(harness.keyspaces[0].memory_bytes(), 0, "{line}");
    }
}
