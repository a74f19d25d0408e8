//! What the keyspace costs: bytes per key, the worst pause of growth, nanoseconds per operation.
//!
//! `cargo bench --bench keyspace [section ...]`, sections: memory, table, pause, speed, expiry,
//! eviction. Each prints a line per figure. Keys have 19 bytes and values 32, as in the README's comparison
//! with other servers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ahash::RandomState;
use polder::keyspace::{Budget, EvictionPolicy, Expiry, Key, Keyspace, KeyspaceOptions, StringValue};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VALUE: [u8; 32] = [b'x'; 32];
const BATCH: usize = 64;
const NOW_MS: i64 = 1_700_000_000_000;

fn keyspace() -> Keyspace {
    let options = KeyspaceOptions { databases: 16, hasher: RandomState::new(), slots: None };
    let mut keyspace = Keyspace::new(options);
    keyspace.set_now(NOW_MS);
    keyspace
}

fn name(n: u64) -> [u8; 19] {
    let mut name = *b"memtier-00000000000";
    let mut rest = n;
    for digit in name[8..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn set(keyspace: &mut Keyspace, n: u64, value: &[u8], expiry: Expiry) {
    let name = name(n);
    let key = keyspace.key(&name);
    keyspace.database(0).set_string(&key, StringValue::Bytes(value), expiry);
}

fn load(keys: u64) -> Keyspace {
    let mut keyspace = keyspace();
    (0..keys).for_each(|n| set(&mut keyspace, n, &VALUE, Expiry::Clear));
    keyspace
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

fn table_bytes() {
    let mut keyspace = keyspace();
    let (mut worst, mut worst_at) = (0.0, 0);
    let mut next_report = 100_000;
    for n in 0..10_000_000u64 {
        set(&mut keyspace, n, &VALUE, Expiry::Clear);
        if n < 100_000 || n % 1000 != 0 {
            continue;
        }
        // An entry of 8 + 19 + 32 bytes lies in a block of 64.
        let per_key = (keyspace.memory_bytes() - 64 * (n as usize + 1)) as f64 / (n + 1) as f64;
        if per_key > worst {
            (worst, worst_at) = (per_key, n);
        }
        if n >= next_report {
            println!("table: {n} keys: {per_key:.2} bytes of table per key");
            next_report = next_report * 5 / 4;
        }
    }
    println!("table: worst between 100k and 10M keys: {worst:.2} bytes per key, at {worst_at} keys");
}

/// A virtual machine stops for milliseconds now and then, whatever runs on it. So the same is done three
/// times, down to the seeds of the hash, and the shortest time of each step counts.
fn pause() {
    const KEYS: u64 = 10_000_000;
    let mut loading = vec![Duration::MAX; KEYS as usize];
    let mut freeing = vec![Duration::MAX; KEYS as usize / 100];
    let mut flush = Duration::MAX;
    for _ in 0..3 {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let mut keyspace = Keyspace::new(KeyspaceOptions { databases: 16, hasher, slots: None });
        for (n, shortest) in (0..).zip(&mut loading) {
            let before = Instant::now();
            set(&mut keyspace, n, &VALUE, Expiry::Clear);
            *shortest = before.elapsed().min(*shortest);
        }
        let before = Instant::now();
        keyspace.flush_all();
        flush = before.elapsed().min(flush);
        for shortest in &mut freeing {
            let before = Instant::now();
            let left = keyspace.step(Budget(2000));
            *shortest = before.elapsed().min(*shortest);
            if !left {
                break;
            }
        }
    }
    let mut slowest: Vec<_> = (0..).zip(&loading).map(|(n, &elapsed): (u64, _)| (elapsed, n)).collect();
    slowest.sort_unstable_by(|a, b| b.cmp(a));
    for (elapsed, n) in &slowest[..5] {
        println!("pause: loading 10M keys: {elapsed:?} at key {n}");
    }
    for share in [100, 10_000, 1_000_000] {
        println!("pause: one insert in {share} takes {:?} or more", slowest[KEYS as usize / share].0);
    }
    let steps = freeing.iter().filter(|&&elapsed| elapsed < Duration::MAX);
    println!("pause: FLUSHALL of 10M keys: {flush:?}, then {} steps", steps.clone().count());
    println!("pause: the longest of them: {:?}", steps.max());
}

fn operations(keys: u64, prefetch: bool, write: bool) {
    let mut keyspace = load(keys);
    let mut state = 88172645463325252u64;
    let batches = 4_000_000 / BATCH;
    let mut found = 0usize;
    let mut names = [[0u8; 19]; BATCH];
    let mut spent = Duration::ZERO;
    for _ in 0..batches {
        names.iter_mut().for_each(|at| *at = name(random(&mut state) % keys));
        let before = Instant::now();
        let batch: [Key<'_>; BATCH] = std::array::from_fn(|n| keyspace.key(&names[n]));
        let database = keyspace.database(0);
        if prefetch {
            batch.iter().for_each(|key| database.prefetch_bucket(key));
            batch.iter().for_each(|key| database.prefetch_entry(key));
        }
        for key in &batch {
            if write {
                database.set_string(key, StringValue::Bytes(&VALUE), Expiry::Clear);
            } else if let Some(value) = database.find_read(key).and_then(|entry| entry.string()) {
                found += black_box(value).len();
            }
        }
        spent += before.elapsed();
    }
    black_box(found);
    let operation = if write { "SET" } else { "GET" };
    let with = if prefetch { "with" } else { "without" };
    let nanoseconds = spent.as_nanos() as f64 / (batches * BATCH) as f64;
    println!("speed: {operation} of {keys} keys {with} prefetch: {nanoseconds:.1} ns");
}

fn speed() {
    for keys in [100_000, 4_000_000] {
        for write in [false, true] {
            operations(keys, false, write);
            operations(keys, true, write);
        }
    }
}

fn memory() {
    let mut keyspace = keyspace();
    let before = resident_bytes();
    let (mut most, mut least) = (f64::MIN, f64::MAX);
    for n in 1..8_000_001u64 {
        set(&mut keyspace, n, &VALUE, Expiry::Clear);
        if n < 2_000_000 || n % 50_000 != 0 {
            continue;
        }
        let per_key = |bytes: f64| bytes / n as f64;
        let (resident, counted) = (resident_bytes() - before, keyspace.memory_bytes() as f64);
        most = per_key(resident).max(most);
        least = per_key(resident).min(least);
        if n == 5_000_000 {
            println!("memory: 5M keys: {:.1} bytes of RSS per key", per_key(resident));
            println!("memory: 5M keys: {:.1} bytes counted per key", per_key(counted));
            println!("memory: counted is {:.1} % of resident", 100.0 * counted / resident);
        }
    }
    println!("memory: 2M to 8M keys: {least:.1} to {most:.1} bytes of RSS per key");
}

fn expiry() {
    const KEYS: u64 = 1_000_000;
    let mut keyspace = keyspace();
    let before = Instant::now();
    (0..KEYS).for_each(|n| set(&mut keyspace, n, &VALUE, Expiry::At(NOW_MS + 10_000 + (n % 1000) as i64)));
    println!("expiry: SET with a deadline: {:.1} ns", before.elapsed().as_nanos() as f64 / KEYS as f64);
    println!("expiry: {:.1} bytes counted per key", keyspace.memory_bytes() as f64 / KEYS as f64);
    keyspace.set_now(NOW_MS + 12_000);
    let before = Instant::now();
    let mut worst = Duration::ZERO;
    while keyspace.database(0).expires_len() > 0 {
        let step = Instant::now();
        keyspace.step(Budget(2000));
        worst = worst.max(step.elapsed());
    }
    let each = before.elapsed().as_nanos() as f64 / KEYS as f64;
    println!("expiry: 1M keys due at once: {each:.1} ns each, worst step of 2000 {worst:?}");
}

fn eviction() {
    const KEYS: u64 = 1_000_000;
    for policy in EvictionPolicy::ALL {
        if policy == EvictionPolicy::NoEviction {
            continue;
        }
        let mut keyspace = keyspace();
        let mut state = 88172645463325252u64;
        for n in 0..KEYS {
            // Deadlines over all levels of the wheel.
            let ttl_ms = 1_000_000 << (random(&mut state) % 16);
            set(&mut keyspace, n, &VALUE, Expiry::At(NOW_MS + (random(&mut state) % ttl_ms) as i64));
        }
        let before = Instant::now();
        let evicted = (0..KEYS / 10).filter(|_| keyspace.evict_one(policy, 5)).count();
        let each = before.elapsed().as_nanos() as f64 / evicted as f64;
        println!("eviction: {}: {each:.0} ns per key, 5 samples", policy.name());
    }
}

fn main() {
    // As the server does unless `disable-thp no` is configured.
    polder::runtime::process::disable_huge_pages();
    let sections: [(&str, fn()); 6] = [
        ("memory", memory),
        ("table", table_bytes),
        ("pause", pause),
        ("speed", speed),
        ("expiry", expiry),
        ("eviction", eviction),
    ];
    // Cargo adds `--bench` of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for (name, run) in sections {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            run();
        }
    }
}
