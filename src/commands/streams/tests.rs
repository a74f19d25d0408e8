//! What the golden scripts do not show: shards, changes counted, the clock, memory that comes back.

use proptest::prelude::*;

use crate::commands::testing::Harness;
use crate::keyspace::Budget;
use crate::types::stream::Limits;

fn set_limits(harness: &mut Harness, limits: Limits) {
    harness.keyspaces.iter_mut().for_each(|keyspace| keyspace.limits.stream = limits);
}

/// Names of keys that several shards share out differently, and some that always share a shard.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "{s}x", "{s}y"];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.to_vec())
}

fn line() -> impl Strategy<Value = String> {
    let id = || (0..12u64, 0..3u64).prop_map(|(ms, seq)| format!("{ms}-{seq}"));
    let after = || prop_oneof![3 => id(), 1 => Just("$".to_owned()), 1 => Just("+".to_owned())];
    let group_id = || prop_oneof![4 => Just(">".to_owned()), 1 => id(), 1 => Just("$".to_owned())];
    let consumer = || prop::sample::select(vec!["alice", "bob"]);
    let count = || prop::sample::select(vec!["", "COUNT 1 ", "COUNT 2 NOACK "]);
    prop_oneof![
        8 => (key(), id(), 0..9u8).prop_map(|(key, id, value)| format!("XADD {key} {id} field {value}")),
        4 => (key(), id()).prop_map(|(key, id)| format!("XADD {key} MAXLEN 5 {id} other x field y")),
        1 => (key(), id()).prop_map(|(key, id)| format!("XDEL {key} {id}")),
        1 => key().prop_map(|key| format!("SET {key} text")),
        1 => key().prop_map(|key| format!("DEL {key}")),
        1 => key().prop_map(|key| format!("XRANGE {key} - +")),
        3 => (key(), id()).prop_map(|(key, id)| format!("XGROUP CREATE {key} g {id} MKSTREAM")),
        3 => (key(), key(), key(), after(), after(), after()).prop_map(|(a, b, c, one, two, three)| {
            format!("XREAD COUNT 3 STREAMS {a} {b} {c} {one} {two} {three}")
        }),
        4 => (key(), key(), consumer(), count(), group_id(), group_id()).prop_map(|(a, b, name, count, one, two)| {
            format!("XREADGROUP GROUP g {name} {count}STREAMS {a} {b} {one} {two}")
        }),
        2 => (key(), id()).prop_map(|(key, id)| format!("XACK {key} g {id}")),
        1 => key().prop_map(|key| format!("XPENDING {key} g")),
        1 => (key(), consumer(), id()).prop_map(|(key, name, id)| format!("XCLAIM {key} g {name} 0 {id} FORCE")),
        1 => (key(), consumer()).prop_map(|(key, name)| format!("XAUTOCLAIM {key} g {name} 0 0 COUNT 2")),
        1 => key().prop_map(|key| format!("XINFO GROUPS {key}")),
    ]
}

proptest! {
    #[test]
    fn several_shards_answer_as_one(lines in prop::collection::vec(line(), 1..80), resp3: bool) {
        let mut harnesses = [
            Harness::new(),
            Harness::with_shards(2, false),
            Harness::with_shards(4, false),
            Harness::with_shards(16, true),
        ];
        for (index, harness) in harnesses.iter_mut().enumerate() {
            harness.resp3 = resp3;
            // However they are laid out, too.
            set_limits(harness, Limits { bytes: 4096, entries: if index % 2 == 0 { 100 } else { 2 } });
        }
        for line in &lines {
            let replies = harnesses.each_mut().map(|harness| harness.run(line));
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
        ("XADD s NOMKSTREAM 1-1 a 1", 0),
        ("XADD s 1-1 a 1", 1),
        ("XADD s 1-1 a 1", 0),
        ("XADD s MAXLEN 1 2-1 a 1", 1),
        ("XTRIM s MAXLEN 5", 0),
        ("XDEL s 9-9", 0),
        ("XDEL none 1-1", 0),
        ("XRANGE s - +", 0),
        ("XREAD STREAMS s 0", 0),
        ("XGROUP CREATE s g 0", 1),
        ("XGROUP CREATE s g 0", 0),
        ("XGROUP CREATE new g $ MKSTREAM", 1),
        ("XREADGROUP GROUP g alice STREAMS new >", 1),
        ("XREADGROUP GROUP g alice STREAMS new >", 0),
        ("XREADGROUP GROUP g alice STREAMS s >", 1),
        ("XREADGROUP GROUP g alice STREAMS s >", 0),
        ("XPENDING s g", 0),
        ("XCLAIM s g alice 1000 2-1", 0),
        ("XCLAIM s g alice 0 2-1", 1),
        ("XACK s g 2-1", 1),
        ("XACK s g 2-1", 0),
        ("XAUTOCLAIM s g alice 0 0", 0),
        ("XGROUP CREATECONSUMER s g alice", 0),
        ("XGROUP DELCONSUMER s g alice", 1),
        ("XGROUP DELCONSUMER s g alice", 0),
        ("XGROUP DESTROY s g", 1),
        ("XGROUP DESTROY s g", 0),
        ("XINFO STREAM s", 0),
        ("XSETID s 9-9", 1),
        ("XTRIM s MAXLEN 0", 1),
        ("XLEN s", 0),
    ] {
        let before = harness.dirty();
        let reply = harness.show(line);
        assert_eq!(harness.dirty() - before, expected, "{line}: {reply}");
    }
}

#[test]
fn ids_and_idle_times_follow_the_clock() {
    let mut harness = Harness::new();
    harness.set_now(1000);
    assert_eq!(harness.show("XADD s * a 1"), "$6 1000-0");
    assert_eq!(harness.show("XADD s * a 1"), "$6 1000-1");
    harness.set_now(900);
    assert_eq!(harness.show("XADD s * a 1"), "$6 1000-2", "never backward");
    harness.set_now(2000);
    assert_eq!(harness.show("XADD s * a 1"), "$6 2000-0");
    harness.run("XGROUP CREATE s g 0");
    harness.run("XREADGROUP GROUP g alice COUNT 1 STREAMS s >");
    harness.set_now(2500);
    assert_eq!(harness.show("XPENDING s g - + 9"), "*1 *4 $6 1000-0 $5 alice :500 :1");
    assert_eq!(harness.show("XPENDING s g IDLE 501 - + 9"), "*0");
    assert_eq!(harness.show("XCLAIM s g bob 501 1000-0 JUSTID"), "*0");
    assert_eq!(harness.show("XAUTOCLAIM s g bob 501 0 JUSTID"), "*3 $3 0-0 *0 *0");
    assert_eq!(harness.show("XAUTOCLAIM s g bob 500 0 JUSTID"), "*3 $3 0-0 *1 $6 1000-0 *0");
    harness.set_now(3000);
    assert_eq!(harness.show("XCLAIM s g bob 0 1000-0 JUSTID IDLE 200"), "*1 $6 1000-0");
    assert_eq!(harness.show("XPENDING s g - + 9"), "*1 *4 $6 1000-0 $3 bob :200 :1");
    assert_eq!(harness.show("XCLAIM s g bob 0 1000-0 JUSTID TIME 5000"), "*1 $6 1000-0");
    assert_eq!(harness.show("XPENDING s g - + 9"), "*1 *4 $6 1000-0 $3 bob :0 :1", "not in the future");
    harness.set_now(3600);
    harness.run("XGROUP CREATECONSUMER s g carol");
    harness.run("XREADGROUP GROUP g bob STREAMS s 99");
    harness.set_now(3700);
    let consumer = |name: &str, pending, idle, inactive: i64| {
        format!(
            "*8 $4 name ${} {name} $7 pending :{pending} $4 idle :{idle} $8 inactive :{inactive}",
            name.len()
        )
    };
    let expected =
        [consumer("alice", 0, 1700, 1700), consumer("bob", 1, 100, 700), consumer("carol", 0, 100, -1)];
    assert_eq!(harness.show("XINFO CONSUMERS s g"), format!("*3 {}", expected.join(" ")));
}

/// The sweep looks at ten entries for each one that it may claim, and goes on from there.
#[test]
fn a_sweep_ends_after_some_looks() {
    let mut harness = Harness::new();
    harness.run("XGROUP CREATE s g $ MKSTREAM");
    for n in 1..=50 {
        harness.run(&format!("XADD s {n}-0 a 1"));
    }
    harness.run("XREADGROUP GROUP g alice STREAMS s >");
    assert_eq!(harness.show("XAUTOCLAIM s g bob 1000 0 COUNT 2"), "*3 $4 21-0 *0 *0");
    assert_eq!(harness.show("XAUTOCLAIM s g bob 1000 21-0 COUNT 5"), "*3 $3 0-0 *0 *0");
}

/// Whatever takes a large stream away, its memory comes back in steps, to the last byte.
#[test]
fn a_large_stream_goes_in_steps() {
    for line in [
        "DEL s",
        "UNLINK s",
        "SET s text",
        "RENAME t s",
        "XTRIM s MAXLEN 10",
        "XTRIM s MINID 90000",
        "XGROUP DESTROY s g",
    ] {
        let mut harness = Harness::new();
        set_limits(&mut harness, Limits { bytes: 4096, entries: 5 });
        harness.run("SET t text");
        harness.run("XGROUP CREATE s g $ MKSTREAM");
        for n in 1..=20_000 {
            harness.run(&format!("XADD s {n}-0 field value"));
        }
        if line.contains('g') {
            harness.run("XREADGROUP GROUP g alice STREAMS s >");
        }
        let full = harness.keyspaces[0].memory_bytes();
        harness.run(line);
        let keyspace = &mut harness.keyspaces[0];
        assert!(keyspace.memory_bytes() > full * 9 / 10, "{line}: it waits to be freed");
        let mut steps = 0;
        while keyspace.step(Budget(100)) {
            steps += 1;
        }
        assert!(steps > 5, "{line}: {steps} steps");
        let left = if line.starts_with("XGROUP") { full / 2 } else { full / 50 };
        assert!(keyspace.memory_bytes() < left, "{line}: {} are left", keyspace.memory_bytes());
        harness.run("DEL s t");
        while harness.keyspaces[0].step(Budget(100)) {}
        assert_eq!(harness.keyspaces[0].memory_bytes(), 0, "{line}");
    }
}

/// Entries that do not fit a block, and those that do not fit a stream.
#[test]
fn large_entries_have_blocks_of_their_own() {
    let mut harness = Harness::new();
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let large = vec![b'x'; 100_000];
    for id in [&b"1-1"[..], b"2-1"] {
        harness.run_arguments(&words(&[b"XADD", b"s", id, b"small", b"1"]));
        harness.run_arguments(&words(&[b"XADD", b"s", &[id, b"0"].concat(), b"large", &large]));
    }
    assert_eq!(harness.show("XLEN s"), ":4");
    assert!(harness.run("XINFO STREAM s").contains("radix-tree-keys\r\n:4\r\n"));
    let reply = harness.run_arguments(&words(&[b"XRANGE", b"s", b"2-10", b"2-10"]));
    assert!(reply.ends_with(&[b"$100000\r\n", &large[..], b"\r\n"].concat()));
}
