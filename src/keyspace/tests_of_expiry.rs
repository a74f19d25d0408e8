//! Expiry with time set by hand: exact on access, soon without it, and never much garbage.

use std::collections::HashMap;

use super::tests::{Random, START_MS, get, keyspace, remove, set};
use super::*;

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400 * SECOND_MS;
const YEAR_MS: i64 = 366 * DAY_MS;
/// How long an expired key may stay in DBSIZE: one tick.
const TICK_MS: i64 = 128;

fn finish(keyspace: &mut Keyspace) -> usize {
    let mut steps = 1;
    while keyspace.step(Budget(1000)) {
        steps += 1;
    }
    steps
}

fn set_expiry(keyspace: &mut Keyspace, key: &[u8], at: i64) -> bool {
    let key = keyspace.key(key);
    keyspace.database(0).set_expiry(&key, at)
}

#[test]
fn a_key_expires_to_the_millisecond_when_looked_up() {
    let mut keyspace = keyspace(None);
    for ttl in [1, 127, 128, 129, 1000, 65_536, DAY_MS, 20 * YEAR_MS] {
        let now = keyspace.now();
        set(&mut keyspace, b"key", b"value", Expiry::At(now + ttl));
        keyspace.set_now(now + ttl - 1);
        finish(&mut keyspace);
        let key = keyspace.key(b"key");
        assert_eq!(keyspace.database(0).expiry_of(&key), Some(Some(now + ttl)));
        assert!(get(&mut keyspace, b"key").is_some(), "ttl {ttl}");
        keyspace.set_now(now + ttl);
        assert!(get(&mut keyspace, b"key").is_none(), "ttl {ttl}");
        assert_eq!(keyspace.database(0).len(), 0);
    }
}

#[test]
fn every_operation_finds_an_expired_key_missing() {
    let mut keyspace = keyspace(None);
    let key = keyspace.key(b"key");
    let expired = |keyspace: &mut Keyspace| {
        set(keyspace, b"key", b"value", Expiry::At(keyspace.now() + 1));
        keyspace.set_now(keyspace.now() + 1);
    };
    let operations: [&dyn Fn(&mut Database) -> bool; 11] = [
        &|database| database.find_write(&key).is_some(),
        &|database| database.peek(&key).is_some(),
        &|database| database.string_mut(&key).is_some(),
        &|database| database.remove(&key),
        &|database| database.unlink(&key),
        &|database| database.take(&key).is_some(),
        &|database| database.copy_value(&key).is_some(),
        &|database| database.expiry_of(&key).is_some(),
        &|database| database.set_expiry(&key, i64::MAX),
        &|database| database.persist(&key),
        &|database| database.random().is_some(),
    ];
    for operation in operations {
        expired(&mut keyspace);
        assert!(!operation(keyspace.database(0)));
    }
    expired(&mut keyspace);
    keyspace.database(0).for_each(&mut |_| panic!("it is expired"));
    assert_eq!(keyspace.database(0).scan(0, 10, &mut |_| panic!("it is expired")), 0);
    // KEEPTTL of an expired key keeps nothing.
    set(&mut keyspace, b"key", b"new", Expiry::Keep);
    assert_eq!(keyspace.database(0).expiry_of(&key), Some(None));
    assert_eq!(keyspace.database(0).expires_len(), 0);
    keyspace.database(0).check_invariants();
}

#[test]
fn what_set_does_to_a_deadline() {
    let mut keyspace = keyspace(None);
    let key = keyspace.key(b"key");
    let at = START_MS + 5_000;
    let steps =
        [(Expiry::At(at), Some(at)), (Expiry::Keep, Some(at)), (Expiry::Clear, None), (Expiry::Keep, None)];
    for value in [&b"short"[..], &[b'x'; 2000], b"17"] {
        for (expiry, expected) in steps {
            set(&mut keyspace, b"key", value, expiry);
            assert_eq!(keyspace.database(0).expiry_of(&key), Some(expected));
            assert_eq!(keyspace.database(0).expires_len(), usize::from(expected.is_some()));
            assert_eq!(get(&mut keyspace, b"key").as_deref(), Some(value));
            keyspace.database(0).check_invariants();
        }
    }
    assert!(keyspace.database(0).set_expiry(&key, at));
    assert!(keyspace.database(0).persist(&key));
    assert!(!keyspace.database(0).persist(&key));
}

/// Random deadlines near and far, changed at random, against a model; nobody looks the keys up.
#[test]
fn the_wheel_removes_what_is_due_and_nothing_else() {
    let mut random = Random::new();
    for round in 0..12 {
        let slots = if round % 3 == 0 { Some((0, SLOT_COUNT)) } else { None };
        let mut keyspace = keyspace(slots);
        let mut model: HashMap<usize, Option<i64>> = HashMap::new();
        let spans = [200, 10_000, 70_000, 200_000, DAY_MS, 60 * DAY_MS, 2 * YEAR_MS, 25 * YEAR_MS];
        for _ in 0..400 {
            let now = keyspace.now();
            for _ in 0..random.below(60) {
                let n = random.below(500);
                let name = format!("key:{n}");
                let span = spans[random.below(spans.len())] as usize;
                let deadline = now + 1 + random.below(span) as i64;
                match random.below(6) {
                    0..3 => {
                        set(&mut keyspace, name.as_bytes(), b"value", Expiry::At(deadline));
                        model.insert(n, Some(deadline));
                    }
                    3 => {
                        if set_expiry(&mut keyspace, name.as_bytes(), deadline) {
                            model.insert(n, Some(deadline));
                        } else {
                            model.remove(&n);
                        }
                    }
                    4 => {
                        let key = keyspace.key(name.as_bytes());
                        if keyspace.database(0).persist(&key) {
                            model.insert(n, None);
                        } else if keyspace.database(0).peek(&key).is_none() {
                            model.remove(&n);
                        }
                    }
                    _ => {
                        remove(&mut keyspace, name.as_bytes());
                        model.remove(&n);
                    }
                }
            }
            let span = spans[random.below(spans.len() - 1)] as usize;
            let leap = if random.below(8) == 0 { random.below(span) } else { random.below(400) };
            let now = now + leap as i64;
            keyspace.set_now(now);
            let steps = finish(&mut keyspace);
            assert!(steps < 100, "a leap of {leap} ms took {steps} steps");
            let overdue = keyspace.database(0).len();
            model.retain(|_, deadline| deadline.is_none_or(|deadline| deadline > now - TICK_MS));
            assert!(overdue <= model.len(), "expired keys are gone");
            let live = |deadline: &Option<i64>| deadline.is_none_or(|deadline| deadline > now);
            assert!(overdue >= model.values().filter(|deadline| live(deadline)).count(), "others are not");
            for (n, deadline) in &model {
                let key = format!("key:{n}");
                let key = keyspace.key(key.as_bytes());
                let entry = keyspace.database(0).peek(&key).map(|entry| entry.expiry());
                assert_eq!(entry, live(deadline).then_some(*deadline));
            }
        }
        keyspace.database(0).check_invariants();
    }
}

#[test]
fn deadlines_at_the_ends_of_time() {
    let mut keyspace = keyspace(None);
    set(&mut keyspace, b"never", b"1", Expiry::At(i64::MAX));
    set(&mut keyspace, b"past", b"1", Expiry::At(-5));
    set(&mut keyspace, b"long ago", b"1", Expiry::At(i64::MIN));
    keyspace.set_now(START_MS + TICK_MS);
    finish(&mut keyspace);
    assert_eq!(keyspace.database(0).len(), 1);
    for years in 1..40 {
        keyspace.set_now(START_MS + years * YEAR_MS);
        finish(&mut keyspace);
        assert_eq!(get(&mut keyspace, b"never").as_deref(), Some(&b"1"[..]));
    }
    // Deadlines are kept in their full range after the wheel's end as well.
    let now = keyspace.now();
    set(&mut keyspace, b"late", b"1", Expiry::At(now + 10));
    keyspace.set_now(now + 10);
    assert!(get(&mut keyspace, b"late").is_none());
}

#[test]
fn time_that_goes_back_does_no_harm() {
    let mut keyspace = keyspace(None);
    set(&mut keyspace, b"a", b"1", Expiry::At(START_MS + 1_000));
    keyspace.set_now(START_MS + 500);
    finish(&mut keyspace);
    keyspace.set_now(START_MS - 100_000);
    finish(&mut keyspace);
    set(&mut keyspace, b"b", b"1", Expiry::At(START_MS - 99_000));
    assert!(get(&mut keyspace, b"b").is_some());
    keyspace.set_now(START_MS + 1_000 + TICK_MS);
    finish(&mut keyspace);
    assert_eq!(keyspace.database(0).len(), 0);
}

/// However deadlines are changed, the wheel stays in proportion to the keys that have one.
#[test]
fn storms_of_changes_leave_little_garbage() {
    type Storm<'a> = (&'a str, &'a dyn Fn(&mut Keyspace, usize));
    let storms: [Storm<'_>; 4] = [
        ("extended", &|keyspace, turn| {
            set_expiry(keyspace, b"key", keyspace.now() + DAY_MS + turn as i64);
        }),
        ("shortened", &|keyspace, turn| {
            set_expiry(keyspace, b"key", keyspace.now() + 10 * YEAR_MS - turn as i64 * 200);
        }),
        ("set and removed", &|keyspace, _| {
            set(keyspace, b"key", b"1", Expiry::At(keyspace.now() + DAY_MS));
            remove(keyspace, b"key");
        }),
        ("removed and set", &|keyspace, _| {
            remove(keyspace, b"key");
            set(keyspace, b"key", b"1", Expiry::At(keyspace.now() + DAY_MS));
        }),
    ];
    for (name, storm) in storms {
        let mut keyspace = keyspace(None);
        set(&mut keyspace, b"key", b"1", Expiry::At(START_MS + 12 * YEAR_MS));
        let mut most = 0;
        for turn in 0..200_000 {
            storm(&mut keyspace, turn);
            if turn % 100 == 0 {
                keyspace.set_now(START_MS + turn as i64 / 10);
                keyspace.step(Budget(1000));
                most = most.max(keyspace.memory_bytes());
            }
        }
        assert!(most < 120_000, "{name}: {most} bytes");
        let now = keyspace.now();
        set(&mut keyspace, b"key", b"1", Expiry::At(now + SECOND_MS));
        keyspace.set_now(now + SECOND_MS + TICK_MS);
        finish(&mut keyspace);
        assert_eq!(keyspace.database(0).len(), 0, "{name}: the one live record survived");
        assert_eq!(keyspace.memory_bytes(), 0);
    }
}

/// Sweeps in the middle of everything lose no key.
#[test]
fn sweeps_lose_nothing() {
    let mut random = Random::new();
    let mut keyspace = keyspace(None);
    let mut deadlines: HashMap<usize, i64> = HashMap::new();
    for turn in 0..60_000 {
        let n = random.below(300);
        let name = format!("{n}");
        let now = keyspace.now();
        let deadline = now + 1 + random.below([3_000, 100_000, DAY_MS as usize][n % 3]) as i64;
        if random.below(2) == 0 {
            remove(&mut keyspace, name.as_bytes());
        }
        set(&mut keyspace, name.as_bytes(), b"1", Expiry::At(deadline));
        deadlines.insert(n, deadline);
        if turn % 20 == 0 {
            let now = now + random.below(300) as i64;
            keyspace.set_now(now);
            // Far too little, at times.
            keyspace.step(Budget(random.below(60)));
        }
        if turn % 5_000 == 0 {
            finish(&mut keyspace);
            let now = keyspace.now();
            let live = deadlines.values().filter(|&&deadline| deadline > now).count();
            let due = deadlines.values().filter(|&&deadline| deadline > now - TICK_MS).count();
            assert!((live..=due).contains(&keyspace.database(0).len()));
        }
    }
    keyspace.set_now(keyspace.now() + 2 * DAY_MS);
    finish(&mut keyspace);
    // What a sweep held while its tick passed comes up with the next tick.
    keyspace.set_now(keyspace.now() + 2 * TICK_MS);
    finish(&mut keyspace);
    assert_eq!(keyspace.database(0).len(), 0, "every key came up");
    assert_eq!(keyspace.memory_bytes(), 0);
}

#[test]
fn active_expiry_can_be_switched_off() {
    let mut keyspace = keyspace(None);
    keyspace.set_active_expiry(false);
    (0..100u8).for_each(|n| set(&mut keyspace, &[n], b"1", Expiry::At(START_MS + 10)));
    keyspace.set_now(START_MS + 10_000);
    finish(&mut keyspace);
    assert_eq!(keyspace.database(0).len(), 100);
    assert!(get(&mut keyspace, &[7]).is_none());
    assert_eq!(keyspace.database(0).len(), 99);
    keyspace.set_active_expiry(true);
    finish(&mut keyspace);
    assert_eq!(keyspace.database(0).len(), 0);
    assert_eq!(keyspace.stats().expired_keys, 100);
}

#[test]
fn a_step_is_bounded() {
    let mut keyspace = keyspace(None);
    for n in 0..50_000u32 {
        set(&mut keyspace, &n.to_le_bytes(), b"1", Expiry::At(START_MS + 10));
    }
    keyspace.set_now(START_MS + 1_000);
    let mut before = keyspace.database(0).len();
    while before > 0 {
        keyspace.step(Budget(200));
        let after = keyspace.database(0).len();
        assert!(after < before && before - after <= 200);
        before = after;
    }
}
