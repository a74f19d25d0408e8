use crate::commands::testing::Harness;
use crate::keyspace::AccessClock;

#[test]
fn keys_are_counted_and_deleted() {
    for shards in [1, 3] {
        let mut harness = Harness::with_shards(shards, false);
        harness.run("MSET a 1 b 2 c 3");
        assert_eq!(harness.show("EXISTS a b c a x"), ":4");
        assert_eq!(harness.show("TOUCH a b x"), ":2");
        assert_eq!(harness.show("DEL a a x"), ":1");
        assert_eq!(harness.show("UNLINK b c"), ":2");
        assert_eq!(harness.show("DBSIZE"), ":0");
        assert_eq!(harness.show("TYPE a"), "+none");
        harness.run("SET a 1");
        assert_eq!(harness.show("TYPE a"), "+string");
    }
}

/// Every pair of names, so that sources and destinations lie on the same shard and on different ones.
#[test]
fn renaming() {
    for shards in [1, 2, 5] {
        for destination in ["b", "c", "d", "e", "f"] {
            let mut harness = Harness::with_shards(shards, false);
            harness.set_now(1_000_000);
            assert_eq!(harness.show(&format!("RENAME a {destination}")), "-ERR no such key");
            assert_eq!(harness.show(&format!("RENAMENX a {destination}")), "-ERR no such key");
            harness.run("SET a 1 PX 500");
            assert_eq!(harness.show(&format!("RENAME a {destination}")), "+OK");
            assert_eq!(harness.show("EXISTS a"), ":0");
            assert_eq!(harness.show(&format!("GET {destination}")), "$1 1");
            assert_eq!(harness.show(&format!("PTTL {destination}")), ":500");
            harness.run("SET a 2");
            assert_eq!(harness.show(&format!("RENAMENX a {destination}")), ":0");
            assert_eq!(harness.show(&format!("RENAME a {destination}")), "+OK");
            assert_eq!(harness.show(&format!("GET {destination}")), "$1 2");
            assert_eq!(harness.show(&format!("PTTL {destination}")), ":-1");
            assert_eq!(harness.show(&format!("RENAMENX {destination} a")), ":1");
            assert_eq!(harness.show("GET a"), "$1 2");
            assert_eq!(harness.show("DBSIZE"), ":1");
        }
    }
}

#[test]
fn renaming_a_key_to_itself() {
    let mut harness = Harness::new();
    assert_eq!(harness.show("RENAME a a"), "-ERR no such key");
    assert_eq!(harness.show("RENAMENX a a"), "-ERR no such key");
    harness.run("SET a 1");
    assert_eq!(harness.show("RENAME a a"), "+OK");
    assert_eq!(harness.show("RENAMENX a a"), ":0");
    assert_eq!(harness.show("GET a"), "$1 1");
}

#[test]
fn copying() {
    for shards in [1, 2, 5] {
        for destination in ["b", "c", "d", "e", "f"] {
            let mut harness = Harness::with_shards(shards, false);
            harness.set_now(1_000_000);
            assert_eq!(harness.show(&format!("COPY a {destination}")), ":0");
            harness.run("SET a 1 PX 500");
            assert_eq!(harness.show(&format!("COPY a {destination}")), ":1");
            assert_eq!(harness.show(&format!("COPY a {destination}")), ":0");
            assert_eq!(harness.show(&format!("PTTL {destination}")), ":500");
            harness.run("SET a 2");
            assert_eq!(harness.show(&format!("COPY a {destination} REPLACE")), ":1");
            assert_eq!(harness.show(&format!("GET {destination}")), "$1 2");
            assert_eq!(harness.show(&format!("COPY a {destination} DB 3")), ":1");
            assert_eq!(harness.show(&format!("COPY a {destination} DB 3 REPLACE REPLACE")), ":1");
            assert_eq!(harness.show(&format!("COPY a {destination} DB 16")), "-ERR DB index is out of range");
            assert_eq!(harness.show(&format!("COPY a {destination} DB")), "-ERR syntax error");
            assert_eq!(harness.show(&format!("COPY a {destination} FOO")), "-ERR syntax error");
            assert_eq!(
                harness.show(&format!("COPY a {destination} DB x")),
                "-ERR value is not an integer or out of range"
            );
            harness.database = 3;
            assert_eq!(harness.show(&format!("GET {destination}")), "$1 2");
            assert_eq!(harness.show("DBSIZE"), ":1");
        }
    }
}

#[test]
fn copying_onto_itself() {
    let mut harness = Harness::new();
    let same = "-ERR source and destination objects are the same";
    assert_eq!(harness.show("COPY a a"), same);
    assert_eq!(harness.show("COPY a a DB 0"), same);
    assert_eq!(harness.show("COPY a a DB 1"), ":0");
    harness.run("SET a 1");
    assert_eq!(harness.show("COPY a a DB 1"), ":1");
}

#[test]
fn moving_between_databases() {
    let mut harness = Harness::new();
    harness.set_now(1_000_000);
    assert_eq!(harness.show("MOVE a 1"), ":0");
    harness.run("SET a 1 PX 500");
    assert_eq!(harness.show("MOVE a 1"), ":1");
    assert_eq!(harness.show("EXISTS a"), ":0");
    harness.run("SET a 2");
    assert_eq!(harness.show("MOVE a 1"), ":0");
    assert_eq!(harness.show("MOVE a 0"), "-ERR source and destination objects are the same");
    assert_eq!(harness.show("MOVE a 16"), "-ERR DB index is out of range");
    assert_eq!(harness.show("MOVE a -1"), "-ERR DB index is out of range");
    assert_eq!(harness.show("MOVE a x"), "-ERR value is not an integer or out of range");
    assert_eq!(
        harness.show("MOVE a 99999999999"),
        "-ERR value is out of range, value must between -2147483648 and 2147483647"
    );
    harness.database = 1;
    assert_eq!(harness.show("GET a"), "$1 1");
    assert_eq!(harness.show("PTTL a"), ":500");
}

#[test]
fn random_keys_come_from_all_shards() {
    for shards in [1, 4] {
        let mut harness = Harness::with_shards(shards, false);
        assert_eq!(harness.show("RANDOMKEY"), "$-1");
        let mut left: std::collections::BTreeSet<String> =
            (0..20).map(|number| format!("k{number}")).collect();
        for key in &left {
            harness.run(&format!("SET {key} v"));
        }
        for _ in 0..2000 {
            let reply = harness.show("RANDOMKEY");
            let (_, key) = reply.split_once(' ').unwrap();
            assert!(key.starts_with('k'));
            left.remove(key);
        }
        assert!(left.is_empty(), "never chosen: {left:?}");
    }
}

#[test]
fn looking_at_values() {
    let mut harness = Harness::new();
    harness.set_now(1_700_000_000_000);
    harness.run("MSET small 7 large 123456 short text");
    harness.run_arguments(&[b"SET".to_vec(), b"long".to_vec(), vec![b'x'; 45]]);
    assert_eq!(harness.show("OBJECT ENCODING small"), "$3 int");
    assert_eq!(harness.show("OBJECT ENCODING short"), "$6 embstr");
    assert_eq!(harness.show("OBJECT ENCODING long"), "$3 raw");
    assert_eq!(harness.show("OBJECT ENCODING missing"), "$-1");
    assert_eq!(harness.show("OBJECT REFCOUNT small"), ":2147483647");
    assert_eq!(harness.show("OBJECT REFCOUNT large"), ":1");
    assert_eq!(harness.show("OBJECT REFCOUNT missing"), "$-1");
    harness.set_now(1_700_000_100_000);
    assert_eq!(harness.show("OBJECT IDLETIME small"), ":100");
    harness.run("GET small");
    assert_eq!(harness.show("OBJECT IDLETIME small"), ":0");
    assert!(harness.show("OBJECT FREQ small").starts_with("-ERR An LFU maxmemory policy is not selected"));
    assert_eq!(harness.show("OBJECT FREQ missing"), "$-1");
    assert!(harness.show("OBJECT HELP").starts_with("*15 +OBJECT <subcommand> "));
    assert_eq!(harness.show("OBJECT FOO x"), "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
    assert_eq!(
        harness.show("OBJECT ENCODING"),
        "-ERR wrong number of arguments for 'object|encoding' command"
    );
}

#[test]
fn uses_are_counted_under_lfu_policies() {
    let mut harness = Harness::new();
    harness.keyspaces[0].set_access_clock(AccessClock::Frequency { log_factor: 0, decay_minutes: 1 });
    harness.run("SET k v");
    let before: i64 = harness.show("OBJECT FREQ k")[1..].parse().unwrap();
    harness.run("GET k");
    harness.run("OBJECT ENCODING k");
    assert_eq!(harness.show("OBJECT FREQ k"), format!(":{}", before + 1));
    assert!(
        harness.show("OBJECT IDLETIME k").starts_with("-ERR An LFU maxmemory policy is selected, idle time")
    );
}
