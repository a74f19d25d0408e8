use crate::commands::testing::Harness;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Names of keys on the same shard as `a` and on others.
const DESTINATIONS: [&str; 5] = ["b", "c", "d", "e", "f"];

#[test]
fn elements_move() {
    for shards in [1, 2, 5] {
        for to in DESTINATIONS {
            let mut harness = Harness::with_shards(shards, false);
            let mut show = |line: &str| harness.show(&line.replace("TO", to));
            assert_eq!(show("LMOVE a TO LEFT RIGHT"), "$-1");
            assert_eq!(show("RPOPLPUSH a TO"), "$-1");
            assert_eq!(show("EXISTS a TO"), ":0");
            show("RPUSH a 1 2 3 4 5");
            assert_eq!(show("LMOVE a TO LEFT LEFT"), "$1 1");
            assert_eq!(show("LMOVE a TO LEFT RIGHT"), "$1 2");
            assert_eq!(show("LMOVE a TO RIGHT LEFT"), "$1 5");
            assert_eq!(show("RPOPLPUSH a TO"), "$1 4");
            assert_eq!(show("LRANGE TO 0 -1"), "*4 $1 4 $1 5 $1 1 $1 2");
            assert_eq!(show("LMOVE a TO RIGHT RIGHT"), "$1 3");
            assert_eq!(show("EXISTS a TO"), ":1", "the source is empty");
            assert_eq!(show("LMOVE a TO LEFT UP"), "-ERR syntax error");
        }
    }
}

#[test]
fn nothing_is_lost_to_a_wrong_type() {
    for shards in [1, 2, 5] {
        for to in DESTINATIONS {
            let mut harness = Harness::with_shards(shards, false);
            let mut show = |line: &str| harness.show(&line.replace("TO", to));
            show("SET TO text");
            assert_eq!(show("LMOVE a TO LEFT RIGHT"), "$-1", "a missing source comes first");
            show("RPUSH a 1");
            assert_eq!(show("LMOVE a TO LEFT RIGHT"), WRONG);
            assert_eq!(show("RPOPLPUSH a TO"), WRONG);
            assert_eq!(show("RPOPLPUSH TO a"), WRONG);
            assert_eq!(show("LRANGE a 0 -1"), "*1 $1 1");
        }
    }
}

#[test]
fn a_list_turns() {
    let mut harness = Harness::new();
    harness.run("RPUSH a 1 2 3");
    harness.run("PEXPIRE a 500");
    assert_eq!(harness.show("RPOPLPUSH a a"), "$1 3");
    assert_eq!(harness.show("LMOVE a a LEFT LEFT"), "$1 3");
    assert_eq!(harness.show("LMOVE a a LEFT RIGHT"), "$1 3");
    assert_eq!(harness.show("LRANGE a 0 -1"), "*3 $1 1 $1 2 $1 3");
    harness.run("LTRIM a 0 0");
    assert_eq!(harness.show("LMOVE a a LEFT RIGHT"), "$1 1");
    assert_eq!(harness.show("PTTL a"), ":500", "the key was never gone");
}

#[test]
fn the_first_list_with_elements_is_popped() {
    for shards in [1, 2, 5] {
        let mut harness = Harness::with_shards(shards, false);
        let keys = DESTINATIONS.join(" ");
        assert_eq!(harness.show(&format!("LMPOP 5 {keys} LEFT")), "*-1");
        for (position, key) in DESTINATIONS.iter().enumerate().rev() {
            harness.run(&format!("RPUSH {key} {position} x y"));
            assert_eq!(
                harness.show(&format!("LMPOP 5 {keys} LEFT")),
                format!("*2 $1 {key} *1 $1 {position}")
            );
        }
        assert_eq!(harness.show(&format!("LMPOP 5 {keys} RIGHT COUNT 5")), "*2 $1 b *2 $1 y $1 x");
        assert_eq!(harness.show(&format!("LMPOP 5 {keys} RIGHT COUNT 1")), "*2 $1 c *1 $1 y");
        assert_eq!(harness.show("LMPOP 2 c c LEFT COUNT 3"), "*2 $1 c *1 $1 x");
        harness.run("SET d text");
        assert_eq!(harness.show(&format!("LMPOP 5 {keys} LEFT")), WRONG);
        assert_eq!(harness.show("LMPOP 3 e d f LEFT"), "*2 $1 e *1 $1 x");
    }
}
