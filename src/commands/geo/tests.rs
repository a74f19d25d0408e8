use proptest::prelude::*;

use crate::commands::testing::Harness;

#[test]
fn the_manuals_example() {
    let mut harness = Harness::new();
    let add = "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";
    assert_eq!(harness.show(add), ":2");
    assert_eq!(harness.show("GEODIST Sicily Palermo Catania"), "$11 166274.1516");
    assert_eq!(harness.show("GEORADIUS Sicily 15 37 100 km"), "*1 $7 Catania");
    assert_eq!(
        harness.show("GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST"),
        "*2 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 190.4424"
    );
}

#[test]
fn what_changes_nothing_is_no_change() {
    let mut harness = Harness::new();
    let mut changes = |line: &str| {
        let before = harness.dirty();
        harness.run(line);
        harness.dirty() - before
    };
    assert_eq!(changes("GEOADD k 1 2 a"), 1);
    assert_eq!(changes("GEOADD k 1 2 a"), 0);
    assert_eq!(changes("GEOADD k NX 3 4 a"), 0);
    assert_eq!(changes("GEOADD k XX 3 4 b"), 0);
    assert_eq!(changes("GEOADD missing XX 3 4 b"), 0);
    assert_eq!(changes("GEOADD k XX 3 4 a"), 1);
    assert_eq!(changes("GEOADD k 1 2 b 181 0 c"), 0, "all or nothing");
    assert_eq!(changes("GEORADIUS k 3 4 1 m STORE stored"), 1);
    assert_eq!(changes("GEORADIUS k 50 4 1 m STORE stored"), 1, "the key goes");
    assert_eq!(changes("GEORADIUS k 50 4 1 m STORE stored"), 0);
}

#[test]
fn the_option_that_counts_says_where_to_store() {
    for shards in [1, 4] {
        let mut harness = Harness::with_shards(shards, true);
        harness.run("GEOADD a 1 2 x 1 2.001 y");
        // Words that are keys, and an option that a later one takes the place of.
        assert_eq!(harness.show("GEORADIUS a 1 2 1 km STOREDIST store STORE b"), ":2");
        assert_eq!(harness.show("EXISTS store b"), ":1");
        assert_eq!(harness.show("ZCARD b"), ":2");
        assert_eq!(harness.show("GEORADIUS a 1 2 1 km STORE c STORE storedist"), ":2");
        assert_eq!(harness.show("EXISTS c"), ":0");
        assert_eq!(harness.show("ZCARD storedist"), ":2");
        assert_eq!(harness.show("GEORADIUSBYMEMBER a x 1 km STORE c STOREDIST d"), ":2");
        assert_eq!(harness.show("ZSCORE d x"), "$1 0");
        assert_eq!(
            harness.show("GEORADIUSBYMEMBER a x 1 km COUNT store STORE c"),
            "-ERR value is not an integer or out of range"
        );
    }
}

/// Keys on four shards, two of them on one.
const KEYS: &[&str] = &["a", "b", "c", "d", "{a}x", "missing"];

proptest! {
    #[test]
    fn several_shards_answer_and_store_as_one_does(
        places in prop::collection::vec((0..4usize, -20..20i32, -20..20i32), 1..40),
        searches in prop::collection::vec((
            prop::sample::select(KEYS), prop::sample::select(KEYS), -20..20i32, -20..20i32, 1..4000u32,
            prop::sample::select(vec!["", "STOREDIST", "COUNT 3", "DESC COUNT 2", "FROMMEMBER m1", "WITHDIST"]),
        ), 1..10),
    ) {
        let mut one = Harness::new();
        let mut four = Harness::with_shards(4, true);
        let mut lines: Vec<String> = places.iter().enumerate()
            .map(|(index, (key, x, y))| format!("GEOADD {} {x} {y} m{index}", KEYS[*key])).collect();
        for (destination, source, x, y, radius, option) in searches {
            let from = if option.starts_with("FROM") { "" } else { &format!("FROMLONLAT {x} {y}") };
            lines.push(format!("GEOSEARCHSTORE {destination} {source} {from} BYRADIUS {radius} km {option}"));
            lines.push(format!("ZRANGE {destination} 0 -1 WITHSCORES"));
            if option != "STOREDIST" && !option.starts_with("FROM") {
                lines.push(format!("GEORADIUS {source} {x} {y} {radius} km {option} STORE {destination}"));
                lines.push(format!("ZRANGE {destination} 0 -1 WITHSCORES"));
            }
        }
        for line in lines {
            prop_assert_eq!(one.run(&line), four.run(&line), "{}", line);
        }
    }
}
