use proptest::prelude::*;

use crate::commands::testing::Harness;

#[test]
fn what_changes_nothing_is_no_change() {
    let mut harness = Harness::new();
    let mut changes = |line: &str| {
        let before = harness.dirty();
        harness.run(line);
        harness.dirty() - before
    };
    assert_eq!(changes("SETBIT k 10 0"), 1, "the key is new");
    assert_eq!(changes("SETBIT k 10 0"), 0);
    assert_eq!(changes("SETBIT k 10 1"), 1);
    assert_eq!(changes("SETBIT k 16 0"), 1, "the string grows");
    assert_eq!(changes("BITFIELD k GET u8 0 SET u4 10 8"), 0);
    assert_eq!(changes("BITFIELD k SET u4 10 9 INCRBY u4 10 1"), 1);
    assert_eq!(changes("BITFIELD k OVERFLOW FAIL INCRBY u4 10 9"), 0);
    assert_eq!(changes("BITFIELD k GET u8 100"), 0);
    assert_eq!(changes("BITOP NOT k missing"), 1, "the key goes");
    assert_eq!(changes("BITOP NOT k missing"), 0);
    assert_eq!(changes("SETRANGE n 5 x"), 1);
}

#[test]
fn nothing_grows_beyond_the_longest_string() {
    let mut harness = Harness::new();
    harness.string_bytes_max = 10;
    assert_eq!(harness.show("SETBIT k 79 1"), ":0");
    assert_eq!(harness.show("SETBIT k 80 1"), "-ERR bit offset is not an integer or out of range");
    assert_eq!(harness.show("GETBIT k 80"), "-ERR bit offset is not an integer or out of range");
    assert_eq!(harness.show("BITFIELD k GET u8 #10"), "-ERR bit offset is not an integer or out of range");
    assert_eq!(harness.show("BITFIELD k GET u8 #9"), "*1 :1");
    assert_eq!(
        harness.show("BITFIELD k GET u8 #9223372036854775807"),
        "-ERR bit offset is not an integer or out of range"
    );
}

#[test]
fn a_string_is_long_at_once_and_counted() {
    let mut harness = Harness::new();
    let empty = harness.keyspaces[0].memory_bytes();
    assert_eq!(harness.show("SETBIT k 80000000 1"), ":0");
    assert_eq!(harness.show("STRLEN k"), ":10000001");
    let full = harness.keyspaces[0].memory_bytes();
    assert!((10_000_001..10_100_000).contains(&(full - empty)), "{}", full - empty);
    harness.run("DEL k");
    while harness.keyspaces[0].step(crate::keyspace::Budget(1000)) {}
    assert!(harness.keyspaces[0].memory_bytes() <= empty + 2048);
}

/// Keys on four shards, two of them on one.
const KEYS: &[&str] = &["a", "b", "c", "d", "{a}x", "missing"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,19}", "[a-zA-Z~!@]{0,40}", Just("\"\"".to_owned())]
}

proptest! {
    #[test]
    fn bitop_over_several_shards_is_bitop_on_one(
        values in prop::collection::vec(value(), 5),
        operation in prop::sample::select(vec!["AND", "OR", "XOR", "NOT"]),
        destination in prop::sample::select(KEYS),
        sources in prop::collection::vec(prop::sample::select(KEYS), 1..6),
    ) {
        let mut one = Harness::new();
        let mut four = Harness::with_shards(4, true);
        let sources = if operation == "NOT" { &sources[..1] } else { &sources[..] };
        let line = format!("BITOP {operation} {destination} {}", sources.join(" "));
        let mut lines: Vec<String> =
            KEYS.iter().zip(&values).map(|(key, value)| format!("SET {key} {value}")).collect();
        lines.push(line);
        lines.extend(KEYS.iter().map(|key| format!("GET {key}")));
        for line in lines {
            prop_assert_eq!(one.run(&line), four.run(&line), "{}", line);
        }
    }

    #[test]
    fn bits_one_by_one_are_a_map(
        sets in prop::collection::vec((0..3000u64, 0..=1u8), 1..60), start in -400..400i64, end in -400..400i64,
    ) {
        let mut harness = Harness::new();
        let mut model: Vec<u8> = Vec::new();
        for (offset, bit) in sets {
            let byte = (offset / 8) as usize;
            if model.len() <= byte {
                model.resize(byte + 1, 0);
            }
            let before = model[byte] >> (7 - offset % 8) & 1;
            model[byte] = model[byte] & !(1 << (7 - offset % 8)) | bit << (7 - offset % 8);
            prop_assert_eq!(harness.show(&format!("SETBIT k {offset} {bit}")), format!(":{before}"));
            prop_assert_eq!(harness.show(&format!("GETBIT k {offset}")), format!(":{bit}"));
        }
        let bits: String = model.iter().map(|byte| format!("{byte:08b}")).collect();
        let ones = bits.matches('1').count();
        prop_assert_eq!(harness.show("BITCOUNT k"), format!(":{ones}"));
        let index = |at: i64| if at < 0 { (at + bits.len() as i64).max(0) } else { at };
        let (from, to) = (index(start), index(end).min(bits.len() as i64 - 1));
        let empty = start < 0 && end < 0 && start > end || from > to;
        let part = if empty { "" } else { &bits[from as usize..=to as usize] };
        let ones = part.matches('1').count();
        prop_assert_eq!(harness.show(&format!("BITCOUNT k {start} {end} BIT")), format!(":{ones}"));
        for sought in ["0", "1"] {
            let part = if from > to { "" } else { &bits[from as usize..=to as usize] };
            let found = part.find(sought).map_or(-1, |place| place as i64 + from);
            let line = format!("BITPOS k {sought} {start} {end} BIT");
            prop_assert_eq!(harness.show(&line), format!(":{found}"), "{}", line);
        }
    }
}
