//! The store as a whole, over the wire: eviction under each policy, expiry under load, what SCAN
//! promises while the tables grow and shrink, and what keys, connections and idle cores cost.

mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use support::client::{Client, Reply, encode};
use support::random::{Random, seed};
use support::server::Server;

const MEGABYTE: i64 = 1 << 20;

/// Commands that are sent before their replies are read.
const PIPELINE: usize = 500;

fn info(client: &mut Client, field: &str) -> i64 {
    let text = client.run("INFO everything").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field).and_then(|rest| rest.strip_prefix(':')));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("INFO has no number {field}"))
}

/// Sends the commands in pipelines and returns how many replies were errors.
fn load(client: &mut Client, commands: impl Iterator<Item = Vec<Vec<u8>>>) -> usize {
    let mut errors = 0;
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let mut bytes = Vec::new();
        let mut count = 0;
        for command in commands.by_ref().take(PIPELINE) {
            bytes.extend_from_slice(&encode(&command));
            count += 1;
        }
        client.send(&bytes).expect("the server reads");
        errors += (0..count).filter(|_| client.read().expect("a reply").is_error()).count();
    }
    errors
}

fn set(key: String, value: &[u8]) -> Vec<Vec<u8>> {
    vec![b"SET".to_vec(), key.into_bytes(), value.to_vec()]
}

fn set_with_expiry(key: String, value: &[u8], seconds: u64) -> Vec<Vec<u8>> {
    let mut command = set(key, value);
    command.extend([b"EX".to_vec(), seconds.to_string().into_bytes()]);
    command
}

/// How many of the keys exist.
fn existing(client: &mut Client, keys: impl Iterator<Item = String>) -> i64 {
    let mut words = vec!["EXISTS".to_string()];
    words.extend(keys);
    client.command(&words).integer()
}

// Eviction.

const MAXMEMORY: i64 = 64 * MEGABYTE;

/// About 120 MB: twice what is allowed.
const EVICTION_KEYS: usize = 100_000;

/// Waits until the condition holds, for five seconds.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "not within five seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn server_with_policy(shards: usize, policy: &str) -> Server {
    Server::polder(shards, &["--maxmemory", &MAXMEMORY.to_string(), "--maxmemory-policy", policy])
}

#[test]
fn each_policy_of_all_keys_stays_within_the_limit() {
    for shards in [1, 4] {
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
            let server = server_with_policy(shards, policy);
            let mut client = server.client();
            let value = [b'v'; 1_000];
            let errors =
                load(&mut client, (0..EVICTION_KEYS).map(|number| set(format!("key:{number}"), &value)));
            // Eviction goes on for a moment after the last write.
            let (mut used, mut evicted, mut left) = (0, 0, 0);
            eventually("evicted and left make all", || {
                used = info(&mut client, "used_memory");
                evicted = info(&mut client, "evicted_keys");
                left = client.run("DBSIZE").integer();
                evicted + left == EVICTION_KEYS as i64
            });
            println!(
                "{policy}, {shards} shards: {errors} errors, {used} bytes, {evicted} evicted, {left} left"
            );
            assert_eq!(errors, 0, "{policy}: every write finds room");
            assert!(used <= MAXMEMORY + MAXMEMORY / 10, "{policy}: {used} bytes are used");
            assert!(left > EVICTION_KEYS as i64 / 5, "{policy}: no more is evicted than must be: {left}");
        }
    }
}

#[test]
fn policies_of_volatile_keys_leave_the_others() {
    for shards in [1, 4] {
        for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
            let server = server_with_policy(shards, policy);
            let mut client = server.client();
            let value = [b'v'; 1_000];
            let stay = |number: usize| format!("stay:{number}");
            assert_eq!(load(&mut client, (0..10_000).map(|number| set(stay(number), &value))), 0);
            let go = (0..EVICTION_KEYS).map(|number| {
                set_with_expiry(format!("go:{number}"), &value, 10_000 + (number % 1_000) as u64)
            });
            assert_eq!(load(&mut client, go), 0, "{policy}, {shards} shards: volatile keys make room");
            assert_eq!(existing(&mut client, (0..10_000).map(stay)), 10_000, "{policy}: keys for ever stay");
            assert!(info(&mut client, "evicted_keys") > 0);
        }
    }
}

#[test]
fn without_a_key_to_evict_writes_are_refused() {
    for policy in ["noeviction", "volatile-lru", "volatile-ttl"] {
        let server = server_with_policy(2, policy);
        let mut client = server.client();
        let value = [b'v'; 1_000];
        let errors = load(&mut client, (0..EVICTION_KEYS).map(|number| set(format!("key:{number}"), &value)));
        assert!(errors > 0, "{policy}: some writes are refused");
        assert_eq!(client.run("EXISTS key:0"), Reply::Integer(1), "{policy}: nothing was evicted");
        assert_eq!(info(&mut client, "evicted_keys"), 0);
        assert_eq!(client.run("DBSIZE").integer() + errors as i64, EVICTION_KEYS as i64);
        // A buffer that is freed may leave room for a few more.
        let mut more = (0..1_000).map(|number| client.command(&set(format!("more:{number}"), &value)));
        let refused = more.find(Reply::is_error).map(|reply| reply.text());
        assert_eq!(refused.as_deref(), Some("OOM command not allowed when used memory > 'maxmemory'."));
        drop(more);
        // Room made by hand is room.
        assert_eq!(client.run("FLUSHALL"), Reply::ok());
        assert_eq!(client.run("SET k v"), Reply::ok());
    }
}

/// Keys that are read all the time survive those that were written once.
#[test]
fn used_keys_survive() {
    for shards in [1, 4] {
        for policy in ["allkeys-lru", "allkeys-lfu"] {
            let server = server_with_policy(shards, policy);
            let mut client = server.client();
            let value = [b'v'; 1_000];
            let hot = |number: usize| format!("hot:{number}");
            load(&mut client, (0..500).map(|number| set(hot(number), &value)));
            load(&mut client, (0..30_000).map(|number| set(format!("cold:{number}"), &value)));
            // The clock of LRU ticks in seconds.
            std::thread::sleep(Duration::from_millis(2_200));
            for round in 0..40 {
                load(&mut client, (0..500).map(|number| vec![b"GET".to_vec(), hot(number).into_bytes()]));
                let new = (0..1_000).map(|number| set(format!("new:{round}:{number}"), &value));
                assert_eq!(load(&mut client, new), 0);
            }
            let survivors = existing(&mut client, (0..500).map(hot));
            println!("{policy}, {shards} shards: {survivors} of 500 used keys survive");
            assert!(info(&mut client, "evicted_keys") > 5_000, "much is evicted");
            assert!(survivors >= 400, "{policy}: only {survivors} of 500 used keys survive");
        }
    }
}

/// The sooner a key would expire, the sooner it is evicted.
#[test]
fn volatile_ttl_evicts_the_nearest_first() {
    let server = server_with_policy(2, "volatile-ttl");
    let mut client = server.client();
    let value = [b'v'; 1_000];
    load(&mut client, (0..5_000).map(|number| set_with_expiry(format!("late:{number}"), &value, 90_000)));
    load(&mut client, (0..90_000).map(|number| set_with_expiry(format!("soon:{number}"), &value, 1_000)));
    let late = existing(&mut client, (0..5_000).map(|number| format!("late:{number}")));
    assert!(late >= 4_500, "{late} of 5000 late keys are left");
}

// Expiry.

#[test]
fn expired_keys_are_gone_within_a_second_under_load() {
    for shards in [1, 4] {
        let server = Server::polder(shards, &[]);
        let mut client = server.client();
        let keys = 60_000;
        let started = Instant::now();
        let volatile = (0..keys).map(|number| {
            let mut command = set(format!("short:{number}"), b"v");
            command.extend([b"PX".to_vec(), (1_000 + number % 500).to_string().into_bytes()]);
            command
        });
        assert_eq!(load(&mut client, volatile), 0);
        load(&mut client, (0..1_000).map(|number| set(format!("stay:{number}"), b"v")));
        let loaded = Instant::now();
        // Load goes on while they expire.
        while loaded.elapsed() < Duration::from_millis(1_500) {
            load(
                &mut client,
                (0..1_000).map(|number| vec![b"GET".to_vec(), format!("stay:{number}").into_bytes()]),
            );
        }
        let all_due = Instant::now();
        loop {
            load(
                &mut client,
                (0..500).map(|number| vec![b"GET".to_vec(), format!("stay:{number}").into_bytes()]),
            );
            let left = client.run("DBSIZE").integer();
            if left == 1_000 {
                break;
            }
            assert!(all_due.elapsed() < Duration::from_secs(1), "{left} keys a second after all were due");
        }
        println!("{shards} shards: gone {:?} after the load began", started.elapsed());
        assert_eq!(info(&mut client, "expired_keys"), keys);
    }
}

// SCAN.

/// A key that is there from the beginning of a scan to its end is returned; one that never was is not.
#[test]
fn scan_keeps_its_promise_while_the_tables_grow_and_shrink() {
    let seed = seed("store", "scan_keeps_its_promise");
    for shards in [1, 4] {
        let server = Server::polder(shards, &[]);
        let mut random = Random::new(seed);
        for growing in [true, false] {
            let mut client = server.client();
            client.run("FLUSHALL");
            let stay: HashSet<String> = (0..2_000).map(|number| format!("stay:{number}")).collect();
            load(&mut client, stay.iter().map(|key| set(key.clone(), b"v")));
            if !growing {
                load(&mut client, (0..40_000).map(|number| set(format!("go:{number}"), b"v")));
            }
            let mut found = HashSet::new();
            let mut cursor = "0".to_string();
            let mut next = 0;
            loop {
                let count = (1 + random.below(40)).to_string();
                let reply = client.command(&["SCAN", &cursor, "COUNT", &count]);
                found.extend(reply.items()[1].items().iter().map(Reply::text));
                cursor = reply.items()[0].text();
                if cursor == "0" {
                    break;
                }
                let change = (next..next + 200).filter(|number| *number < 40_000).map(|number| {
                    let key = format!("go:{number}");
                    if growing { set(key, b"v") } else { vec![b"DEL".to_vec(), key.into_bytes()] }
                });
                load(&mut client, change);
                next += 200;
                assert!(next < 40_000_000, "the scan does not end");
            }
            let lost: Vec<&String> = stay.iter().filter(|key| !found.contains(*key)).collect();
            assert!(lost.is_empty(), "growing: {growing}, {shards} shards: {} keys are lost", lost.len());
            assert!(found.iter().all(|key| key.starts_with("stay:") || key.starts_with("go:")));
        }
    }
}

#[test]
fn a_match_of_a_scan_is_found_among_many() {
    for shards in [1, 4] {
        let server = Server::polder(shards, &[]);
        let mut client = server.client();
        load(&mut client, (0..50_000).map(|number| set(format!("key:{number}"), b"v")));
        let mut cursor = "0".to_string();
        let mut found = HashSet::new();
        let mut calls = 0;
        loop {
            let reply = client.command(&["SCAN", &cursor, "MATCH", "key:4999?", "COUNT", "1000"]);
            found.extend(reply.items()[1].items().iter().map(Reply::text));
            cursor = reply.items()[0].text();
            calls += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found.len(), 10);
        assert!((40..=80).contains(&calls), "COUNT 1000 over 50,000 keys takes {calls} calls");
    }
}

// What it costs.

#[test]
fn the_largest_pause_while_keys_are_loaded() {
    for shards in [1, 4] {
        let server = Server::polder(shards, &[]);
        let mut client = server.client();
        let mut worst = Duration::ZERO;
        for block in 0..2_000 {
            let started = Instant::now();
            load(&mut client, (0..250).map(|number| set(format!("key:{block}:{number}"), b"v")));
            worst = worst.max(started.elapsed());
        }
        println!("{shards} shards: the slowest of 2,000 pipelines of 250 SETs took {worst:?}");
        // This machine does other things as well; a table that is copied whole would take far longer.
        assert!(worst < Duration::from_millis(250), "{worst:?}");
        assert_eq!(client.run("DBSIZE"), Reply::Integer(500_000));
        let started = Instant::now();
        assert_eq!(client.run("FLUSHALL ASYNC"), Reply::ok());
        assert_eq!(client.run("PING").text(), "PONG");
        assert!(
            started.elapsed() < Duration::from_millis(250),
            "FLUSHALL ASYNC took {:?}",
            started.elapsed()
        );
    }
}

/// 19-byte keys with 32-byte values, counted as the resident set of the process.
#[test]
fn memory_per_key() {
    let server = Server::polder(1, &[]);
    let mut client = server.client();
    let keys = 1_000_000;
    let before = server.resident_bytes();
    load(&mut client, (0..keys).map(|number| set(format!("key:{number:015}"), &[b'v'; 32])));
    let each = server.resident_bytes().saturating_sub(before) as f64 / keys as f64;
    let counted = info(&mut client, "used_memory") as f64 / keys as f64;
    println!("{each:.1} bytes of resident memory per key, {counted:.1} counted");
    // The goal of 85 bytes is for 5M keys at rest; here the table may have just grown.
    assert!(each < 110.0, "{each:.1} bytes per key");
}

#[test]
fn an_idle_server_sleeps() {
    // SAFETY: sysconf takes and returns integers.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    for shards in [1, 4] {
        let server = Server::polder(shards, &[]);
        let mut client = server.client();
        load(&mut client, (0..1_000).map(|number| set(format!("key:{number}"), b"v")));
        let cpu_ticks = || {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", server.process_id())).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
            number(11) + number(12)
        };
        std::thread::sleep(Duration::from_millis(500));
        let before = cpu_ticks();
        std::thread::sleep(Duration::from_secs(4));
        let used = (cpu_ticks() - before) / ticks_per_second / 4.0 * 100.0;
        println!("{shards} shards use {used:.2} % of a core when idle");
        // Ticks are 10 ms: the goal of 0.5 % per core is finer than what can be seen here.
        assert!(used <= 1.0 + 0.5 * shards as f64, "{used:.2} %");
    }
}
