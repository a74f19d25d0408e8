use crate::commands::testing::Harness;

/// Lines and their replies.
fn replies(harness: &mut Harness, cases: &[(&str, &str)]) {
    for (line, reply) in cases {
        assert_eq!(harness.show(line), *reply, "{line}");
    }
}

#[test]
fn pushing_and_popping() {
    let mut harness = Harness::new();
    replies(
        &mut harness,
        &[
            ("LPUSHX l a", ":0"),
            ("RPUSHX l a", ":0"),
            ("EXISTS l", ":0"),
            ("RPUSH l b c", ":2"),
            ("LPUSH l a z", ":4"),
            ("RPUSHX l 10 -7", ":6"),
            ("LRANGE l 0 -1", "*6 $1 z $1 a $1 b $1 c $2 10 $2 -7"),
            ("TYPE l", "+list"),
            ("LPOP l", "$1 z"),
            ("RPOP l 2", "*2 $2 -7 $2 10"),
            ("LPOP l 0", "*0"),
            ("RPOP l 10", "*3 $1 c $1 b $1 a"),
            ("EXISTS l", ":0"),
            ("LPOP l", "$-1"),
            ("LPOP l 0", "*-1"),
            ("LLEN l", ":0"),
        ],
    );
}

#[test]
fn ranges_of_long_lists() {
    let mut harness = Harness::new();
    let elements: Vec<String> = (0..5_000).map(|n| format!("element:{n}")).collect();
    for chunk in elements.chunks(100) {
        harness.run(&format!("RPUSH l {}", chunk.join(" ")));
    }
    assert_eq!(harness.show("OBJECT ENCODING l"), "$9 quicklist");
    for (start, stop) in [(0, 3), (-3, -1), (2_499, 2_501), (4_998, 9_999), (-9_999, 1)] {
        let from_end =
            |index: i64| if index < 0 { (index + 5_000).max(0) } else { index.min(4_999) } as usize;
        let expected: Vec<String> =
            elements[from_end(start)..=from_end(stop)].iter().map(|e| format!("${} {e}", e.len())).collect();
        let expected = format!("*{} {}", expected.len(), expected.join(" "));
        assert_eq!(harness.show(&format!("LRANGE l {start} {stop}")), expected);
    }
    replies(
        &mut harness,
        &[
            ("LINDEX l 2500", "$12 element:2500"),
            ("LINDEX l -1", "$12 element:4999"),
            ("LINDEX l 5000", "$-1"),
            ("LINDEX l -5001", "$-1"),
            ("LPOS l element:4999", ":4999"),
            ("LSET l 2500 x", "+OK"),
            ("LINSERT l AFTER x y", ":5001"),
            ("LRANGE l 2499 2502", "*4 $12 element:2499 $1 x $1 y $12 element:2501"),
            ("LTRIM l 2500 2501", "+OK"),
            ("LRANGE l 0 -1", "*2 $1 x $1 y"),
            ("OBJECT ENCODING l", "$8 listpack"),
            ("LTRIM l 1 0", "+OK"),
            ("EXISTS l", ":0"),
        ],
    );
}

#[test]
fn searching() {
    let mut harness = Harness::new();
    replies(
        &mut harness,
        &[
            ("RPUSH l a b c 1 2 3 c c", ":8"),
            ("LPOS l c", ":2"),
            ("LPOS l 2", ":4"),
            ("LPOS l c RANK -1", ":7"),
            ("LPOS l c RANK 2 COUNT 0", "*2 :6 :7"),
            ("LPOS l c RANK -2 COUNT 5", "*2 :6 :2"),
            ("LPOS l c COUNT 0 MAXLEN 7", "*2 :2 :6"),
            ("LPOS l c RANK -1 COUNT 0 MAXLEN 1", "*1 :7"),
            ("LPOS l c RANK 4", "$-1"),
            ("LPOS l c RANK -9223372036854775807", "$-1"),
            ("LPOS l x COUNT 1", "*0"),
            ("LREM l -2 c", ":2"),
            ("LREM l 0 1", ":1"),
            ("LREM l 1 x", ":0"),
            ("LRANGE l 0 -1", "*5 $1 a $1 b $1 c $1 2 $1 3"),
        ],
    );
}

#[test]
fn the_deadline_stays_and_goes_with_the_key() {
    let mut harness = Harness::new();
    harness.run("RPUSH l a b");
    harness.run("PEXPIRE l 1000");
    harness.run("RPUSH l c");
    harness.run("LPOP l");
    assert_eq!(harness.show("PTTL l"), ":1000");
    harness.run("LPOP l 2");
    harness.run("RPUSH l a");
    assert_eq!(harness.show("PTTL l"), ":-1");
}

#[test]
fn each_change_of_a_list_counts_once() {
    let mut harness = Harness::new();
    let cases = [
        ("RPUSH l a b c", 1),
        ("LPUSHX l z", 1),
        ("LPUSHX missing z", 0),
        ("LSET l 0 y", 1),
        ("LSET l 10 y", 0),
        ("LINSERT l BEFORE a x", 1),
        ("LINSERT l BEFORE missing x", 0),
        ("LREM l 0 missing", 0),
        ("LREM l 0 x", 1),
        ("LTRIM l 0 -1", 1),
        ("LTRIM l 1 -2", 1),
        ("LPOP l 0", 0),
        ("LRANGE l 0 -1", 0),
        ("LPOP l 9", 1),
        ("LPOP l", 0),
    ];
    for (line, changes) in cases {
        let before = harness.dirty();
        harness.run(line);
        assert_eq!(harness.dirty() - before, changes, "{line}");
    }
}

#[test]
fn string_commands_refuse_lists() {
    let mut harness = Harness::new();
    harness.run("RPUSH l a");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for line in [
        "GET l",
        "GETSET l x",
        "SET l x GET",
        "GETDEL l",
        "GETEX l",
        "GETRANGE l 0 1",
        "SETRANGE l 1 x",
        "APPEND l x",
        "STRLEN l",
        "INCR l",
        "INCRBYFLOAT l 1",
        "LSET s 0 x",
        "LPUSH s x",
        "LPUSHX s x",
        "LPOP s",
        "LPOP s 0",
        "LLEN s",
        "LINDEX s 0",
        "LINSERT s BEFORE a b",
        "LRANGE s 0 1",
        "LREM s 0 x",
        "LTRIM s 0 1",
        "LPOS s x",
        "LMOVE s l LEFT LEFT",
        "LMOVE l s LEFT LEFT",
        "LMPOP 2 s l LEFT",
    ] {
        harness.run("SET s text");
        assert_eq!(harness.show(line), wrong, "{line}");
    }
    assert_eq!(harness.show("MGET l s"), "*2 $-1 $4 text");
    assert_eq!(harness.show("LRANGE l 0 -1"), "*1 $1 a");
    assert_eq!(harness.show("SETNX l x"), ":0");
    assert_eq!(harness.show("SET l x"), "+OK");
    assert_eq!(harness.show("TYPE l"), "+string");
}

#[test]
fn lists_travel() {
    for shards in [1, 3] {
        let mut harness = Harness::with_shards(shards, false);
        for destination in ["b", "c", "d", "e"] {
            harness.run("DEL a b c d e");
            harness.run("RPUSH a 1 2 3");
            assert_eq!(harness.show(&format!("COPY a {destination}")), ":1");
            harness.run("RPUSH a 4");
            assert_eq!(harness.show(&format!("LRANGE {destination} 0 -1")), "*3 $1 1 $1 2 $1 3");
            assert_eq!(harness.show(&format!("RENAME a {destination}")), "+OK");
            assert_eq!(harness.show(&format!("LLEN {destination}")), ":4");
            assert_eq!(harness.show(&format!("MOVE {destination} 1")), ":1");
            harness.database = 1;
            assert_eq!(harness.show(&format!("RPOP {destination}")), "$1 4");
            harness.run(&format!("DEL {destination}"));
            harness.database = 0;
        }
    }
}
