use super::range_of;
use crate::commands::testing::Harness;
use proptest::prelude::*;

const WRONG_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

#[test]
fn set_and_its_options() {
    let mut harness = Harness::new();
    assert_eq!(harness.show("GET k"), "$-1");
    assert_eq!(harness.show("SET k v"), "+OK");
    assert_eq!(harness.show("GET k"), "$1 v");
    assert_eq!(harness.show("SET k w NX"), "$-1");
    assert_eq!(harness.show("SET k w NX GET"), "$1 v");
    assert_eq!(harness.show("SET k w XX GET"), "$1 v");
    assert_eq!(harness.show("SET new x XX"), "$-1");
    assert_eq!(harness.show("SET new x XX GET"), "$-1");
    assert_eq!(harness.show("SET new x NX GET"), "$-1");
    assert_eq!(harness.show("MGET k new"), "*2 $1 w $1 x");
    assert_eq!(harness.show("SET k v GET GET"), "$1 w");
    assert_eq!(harness.show("SETNX k x"), ":0");
    assert_eq!(harness.show("SETNX n x"), ":1");
    assert_eq!(harness.show("GETSET n y"), "$1 x");
    assert_eq!(harness.show("GETDEL n"), "$1 y");
    assert_eq!(harness.show("GETDEL n"), "$-1");
}

#[test]
fn set_with_a_lifetime() {
    let mut harness = Harness::new();
    harness.set_now(1_000_000);
    for (line, left) in [
        ("SET k v EX 10", 10_000),
        ("SET k v PX 10", 10),
        ("SET k v EXAT 1010", 10_000),
        ("SET k v PXAT 1000010", 10),
        ("SET k v EX 5 EX 10", 10_000),
        ("SETEX k 10 v", 10_000),
        ("PSETEX k 10 v", 10),
        ("SET k v KEEPTTL", 10),
        ("SET k v", -1),
        ("SET k v KEEPTTL", -1),
    ] {
        assert!(harness.show(line).starts_with("+OK"), "{line}");
        assert_eq!(harness.show("PTTL k"), format!(":{left}"), "{line}");
    }
    assert_eq!(harness.show("SET k v PXAT 1"), "+OK");
    assert_eq!(harness.show("EXISTS k"), ":0");
    harness.run("SET k v PX 10");
    harness.set_now(1_000_010);
    assert_eq!(harness.show("SET k w KEEPTTL"), "+OK");
    assert_eq!(harness.show("PTTL k"), ":-1");
}

#[test]
fn wrong_options_are_refused() {
    let mut harness = Harness::new();
    harness.run("SET k v");
    for line in [
        "SET k v EX",
        "SET k v NX XX",
        "SET k v XX NX",
        "SET k v KEEPTTL EX 1",
        "SET k v EX 1 KEEPTTL",
        "SET k v EX 1 PX 1",
        "SET k v PERSIST",
        "SET k v FOO",
        "GETEX k PERSIST EX 1",
        "GETEX k EX 1 PERSIST",
        "GETEX k KEEPTTL",
        "GETEX k NX",
        "GETEX k EX",
        "GETEX missing FOO",
    ] {
        assert_eq!(harness.show(line), SYNTAX, "{line}");
    }
    for (line, command) in [
        ("SET k v EX 0", "set"),
        ("SET k v PX -1", "set"),
        ("SET k v EX 9223372036854775807", "set"),
        ("SET k v PX 9223372036854775807", "set"),
        ("SET k v EX 9223372036854775", "set"),
        ("SETEX k 0 v", "setex"),
        ("PSETEX k -5 v", "psetex"),
        ("GETEX k EX 0", "getex"),
    ] {
        assert_eq!(harness.show(line), format!("-ERR invalid expire time in '{command}' command"), "{line}");
    }
    assert_eq!(harness.show("SET k v EX x"), WRONG_INTEGER);
    assert_eq!(harness.show("SETEX k x v"), WRONG_INTEGER);
    assert_eq!(harness.show("GETEX k PX x"), WRONG_INTEGER);
    assert_eq!(harness.show("GETEX missing PX x"), "$-1");
    assert_eq!(harness.show("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command");
    assert_eq!(harness.show("MSETNX a 1 b"), "-ERR wrong number of arguments for 'msetnx' command");
    assert_eq!(harness.show("GET k"), "$1 v");
}

#[test]
fn getex_changes_the_deadline() {
    let mut harness = Harness::new();
    harness.set_now(1_000_000);
    harness.run("SET k 12");
    for (line, left) in [
        ("GETEX k", -1),
        ("GETEX k EX 10", 10_000),
        ("GETEX k", 10_000),
        ("GETEX k PXAT 1000500", 500),
        ("GETEX k PERSIST", -1),
        ("GETEX k PERSIST PERSIST", -1),
        ("GETEX k EXAT 999", -2),
    ] {
        assert_eq!(harness.show(line), "$2 12", "{line}");
        assert_eq!(harness.show("PTTL k"), format!(":{left}"), "{line}");
    }
    assert_eq!(harness.show("GETEX k"), "$-1");
}

#[test]
fn several_keys_at_once() {
    for shards in [1, 4] {
        let mut harness = Harness::with_shards(shards, false);
        assert_eq!(harness.show("MSET a 1 b 2 a 3"), "+OK");
        assert_eq!(harness.show("GET a"), "$1 3");
        assert_eq!(harness.show("MSETNX c 1 d 2 e 3 a 4"), ":0");
        assert_eq!(harness.show("EXISTS c d e a a"), ":2");
        assert_eq!(harness.show("MSETNX c 1 d 2 e 3 c 4"), ":1");
        assert_eq!(harness.show("GET c"), "$1 4");
        assert_eq!(harness.show("GET d"), "$1 2");
        assert_eq!(harness.show("MSETNX x"), "-ERR wrong number of arguments for 'msetnx' command");
        assert_eq!(harness.show("MSETNX x 1 y"), "-ERR wrong number of arguments for 'msetnx' command");
    }
}

#[test]
fn parts_of_strings() {
    let mut harness = Harness::new();
    harness.run("MSET s Hello n 12345");
    assert_eq!(harness.show("GETRANGE s 1 -2"), "$3 ell");
    assert_eq!(harness.show("SUBSTR n 1 2"), "$2 23");
    assert_eq!(harness.show("GETRANGE missing 0 -1"), "$0 ");
    assert_eq!(harness.show("GETRANGE s x 0"), WRONG_INTEGER);
    assert_eq!(harness.show("SETRANGE s 1 EY"), ":5");
    assert_eq!(harness.show("GET s"), "$5 HEYlo");
    assert_eq!(harness.show("SETRANGE s 7 x"), ":8");
    assert_eq!(harness.run("GET s"), "$8\r\nHEYlo\0\0x\r\n");
    assert_eq!(harness.show("SETRANGE n 1 x"), ":5");
    assert_eq!(harness.show("GET n"), "$5 1x345");
    assert_eq!(harness.show("SETRANGE missing 5 \"\""), ":0");
    assert_eq!(harness.show("EXISTS missing"), ":0");
    assert_eq!(harness.show("SETRANGE new 2 ab"), ":4");
    assert_eq!(harness.run("GET new"), "$4\r\n\0\0ab\r\n");
    assert_eq!(harness.show("SETRANGE digit 0 5"), ":1");
    assert_eq!(harness.show("OBJECT ENCODING digit"), "$3 raw");
    assert_eq!(harness.show("SETRANGE s -1 x"), "-ERR offset is out of range");
    assert_eq!(harness.show("SETRANGE s x x"), WRONG_INTEGER);
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    harness.string_bytes_max = 10;
    assert_eq!(harness.show("SETRANGE s 10 x"), too_long);
    assert_eq!(harness.show("SETRANGE s 9223372036854775807 x"), too_long);
    assert_eq!(harness.show("SETRANGE missing 10 \"\""), ":0");
    assert_eq!(harness.show("APPEND s 123"), too_long);
    assert_eq!(harness.show("APPEND s 12"), ":10");
}

#[test]
fn appending() {
    let mut harness = Harness::new();
    assert_eq!(harness.show("APPEND k 12"), ":2");
    assert_eq!(harness.show("OBJECT ENCODING k"), "$3 int");
    assert_eq!(harness.show("APPEND k 3"), ":3");
    assert_eq!(harness.show("OBJECT ENCODING k"), "$3 raw");
    assert_eq!(harness.show("INCR k"), ":124");
    assert_eq!(harness.show("STRLEN k"), ":3");
    assert_eq!(harness.show("APPEND empty \"\""), ":0");
    assert_eq!(harness.show("EXISTS empty"), ":1");
    assert_eq!(harness.show("STRLEN missing"), ":0");
}

#[test]
fn counters() {
    let mut harness = Harness::new();
    harness.set_now(1_000_000);
    assert_eq!(harness.show("INCR n"), ":1");
    assert_eq!(harness.show("DECRBY n 5"), ":-4");
    harness.run("EXPIRE n 10");
    assert_eq!(harness.show("INCRBY n 14"), ":10");
    assert_eq!(harness.show("INCRBYFLOAT n 0.5"), "$4 10.5");
    assert_eq!(harness.show("PTTL n"), ":10000");
    assert_eq!(harness.show("INCR n"), WRONG_INTEGER);
    assert_eq!(harness.show("INCRBY n x"), WRONG_INTEGER);
    assert_eq!(harness.show("INCRBYFLOAT n x"), "-ERR value is not a valid float");
    assert_eq!(harness.show("INCRBYFLOAT n inf"), "-ERR increment would produce NaN or Infinity");
    harness.run("SET n 9223372036854775807");
    assert_eq!(harness.show("INCR n"), "-ERR increment or decrement would overflow");
    assert_eq!(harness.show("DECRBY n -1"), "-ERR increment or decrement would overflow");
    assert_eq!(harness.show("DECRBY n -9223372036854775808"), "-ERR decrement would overflow");
    assert_eq!(harness.show("GET n"), "$19 9223372036854775807");
    assert_eq!(harness.show("DECR m"), ":-1");
    harness.run("SET zero 010");
    assert_eq!(harness.show("INCR zero"), WRONG_INTEGER);
}

#[test]
fn every_write_counts_as_one_change() {
    let mut harness = Harness::new();
    for (line, changes) in [
        ("SET k 1", 1),
        ("SET k 1 NX", 0),
        ("MSET a 1 b 2", 2),
        ("INCR k", 1),
        ("APPEND k 1", 1),
        ("GETDEL missing", 0),
        ("GETDEL k", 1),
        ("DEL a b c", 2),
        ("GET k", 0),
        ("EXPIRE missing 10", 0),
        ("SET k v EX 10", 1),
        ("GETEX k", 0),
        ("GETEX k PERSIST", 1),
        ("GETEX k PERSIST", 0),
        ("EXPIRE k 10", 1),
        ("PERSIST k", 1),
        ("RENAME k l", 1),
        ("COPY l k", 1),
        ("RENAMENX k l", 0),
        ("MOVE k 1", 1),
        ("SWAPDB 0 1", 1),
    ] {
        let before = harness.dirty();
        harness.run(line);
        assert_eq!(harness.dirty() - before, changes, "{line}");
    }
}

#[test]
fn large_values_are_adopted() {
    let mut harness = Harness::new();
    let value = vec![b'x'; 100_000];
    let arguments = [b"SET".to_vec(), b"k".to_vec(), value.clone()];
    assert_eq!(harness.run_arguments(&arguments), b"+OK\r\n");
    assert_eq!(harness.show("STRLEN k"), ":100000");
    assert!(harness.run("GET k").len() > 100_000);
}

proptest! {
    /// Against the definition: positions from the end count down from the length, the end is included.
    #[test]
    fn a_range_is_what_the_manual_says(start in -12i64..12, end in -12i64..12, length in 0usize..10) {
        let resolve = |index: i64| if index < 0 { (index + length as i64).max(0) } else { index };
        let inside = |position: i64| {
            position >= resolve(start) && position <= resolve(end) && !(start < 0 && end < 0 && start > end)
        };
        let expected: Vec<usize> = (0..length).filter(|&position| inside(position as i64)).collect();
        let found: Vec<usize> = range_of(start, end, length).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_range_leaves_the_string(start: i64, end: i64, length in 0usize..100) {
        let range = range_of(start, end, length);
        prop_assert!(range.start <= range.end && range.end <= length.max(range.start));
    }

    #[test]
    fn setrange_writes_what_getrange_reads(
        start in "[a-z0-9]{0,70}", offset in 0usize..90, value in "[a-z0-9]{1,70}",
    ) {
        let mut harness = Harness::new();
        let mut expected = start.clone().into_bytes();
        if !start.is_empty() {
            harness.run(&format!("SET k {start}"));
        }
        let end = offset + value.len();
        expected.resize(expected.len().max(end), 0);
        expected[offset..end].copy_from_slice(value.as_bytes());
        let reply = harness.show(&format!("SETRANGE k {offset} {value}"));
        prop_assert_eq!(reply, format!(":{}", expected.len()));
        let reply = harness.run("GETRANGE k 0 -1");
        prop_assert_eq!(reply.split_once("\r\n").unwrap().1.as_bytes(), [&expected[..], b"\r\n"].concat());
    }
}
