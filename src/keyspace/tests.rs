//! Databases against a model, and the promises that commands rely on.
//!
//! Every random test prints its seed when it fails; `POLDER_SEED=n cargo test keyspace` replays it.

use std::collections::{HashMap, HashSet};

use super::*;

/// A small generator whose seed is printed if the test fails.
pub(super) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    pub(super) fn new() -> Random {
        let given = std::env::var("POLDER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(1) >> 32);
        Random { seed, state: seed }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (database::next_random(&mut self.state) % bound as u64) as usize
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with POLDER_SEED={}", self.seed);
        }
    }
}

pub(super) const START_MS: i64 = 1_700_000_000_000;

pub(super) fn keyspace(slots: Option<(u16, u16)>) -> Keyspace {
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    let mut keyspace = Keyspace::new(KeyspaceOptions { databases: 2, hasher, slots });
    keyspace.set_now(START_MS);
    keyspace
}

pub(super) fn get(keyspace: &mut Keyspace, key: &[u8]) -> Option<Vec<u8>> {
    let key = keyspace.key(key);
    keyspace.database(0).find_read(&key).and_then(|entry| entry.string().map(|value| value.to_vec()))
}

pub(super) fn set(keyspace: &mut Keyspace, key: &[u8], value: &[u8], expiry: Expiry) {
    let key = keyspace.key(key);
    keyspace.database(0).set_string(&key, StringValue::Bytes(value), expiry);
}

pub(super) fn remove(keyspace: &mut Keyspace, key: &[u8]) -> bool {
    let key = keyspace.key(key);
    keyspace.database(0).remove(&key)
}

fn scan_all(keyspace: &mut Keyspace, count: usize) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = keyspace.database(0).scan(cursor, count, &mut |entry| found.push(entry.key().to_vec()));
        if cursor == 0 {
            return found;
        }
    }
}

#[test]
fn many_keys_come_and_go_as_in_a_map() {
    for slots in [None, Some((0, SLOT_COUNT))] {
        let mut random = Random::new();
        let mut keyspace = keyspace(slots);
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for round in 0..6 {
            let growing = round % 2 == 0;
            for _ in 0..60_000 {
                let key = format!("key:{}", random.below(40_000)).into_bytes();
                if random.below(20) < if growing { 16 } else { 1 } {
                    let value = vec![b'0' + random.below(26) as u8; random.below(600)];
                    let expiry = if random.below(4) == 0 { Expiry::At(i64::MAX) } else { Expiry::Keep };
                    set(&mut keyspace, &key, &value, expiry);
                    model.insert(key, value);
                } else {
                    assert_eq!(remove(&mut keyspace, &key), model.remove(&key).is_some());
                }
            }
            keyspace.database(0).check_invariants();
            assert_eq!(keyspace.database(0).len(), model.len());
            for (key, value) in &model {
                assert_eq!(get(&mut keyspace, key).as_ref(), Some(value));
            }
            let mut seen = 0;
            keyspace.database(0).for_each(&mut |entry| {
                assert!(model.contains_key(entry.key()));
                seen += 1;
            });
            assert_eq!(seen, model.len());
            let scanned = scan_all(&mut keyspace, 10);
            assert_eq!(scanned.len(), model.len(), "a scan of a table at rest returns each key once");
            for _ in 0..1000 {
                let key = keyspace.database(0).random().map(|entry| entry.key().to_vec());
                assert!(key.is_some_and(|key| model.contains_key(&key)));
            }
        }
        for key in model.keys() {
            let key = keyspace.key(key);
            assert!(keyspace.database(0).unlink(&key));
        }
        while keyspace.step(Budget(1000)) {}
        assert_eq!(keyspace.database(0).len(), 0);
        assert_eq!(keyspace.memory_bytes(), 0, "an empty database holds nothing");
    }
}

#[test]
fn tables_of_any_size_grow_and_shrink() {
    let mut keyspace = keyspace(None);
    let name = |n: usize| format!("{n}").into_bytes();
    for n in 0..3000 {
        set(&mut keyspace, &name(n), b"", Expiry::Clear);
        if n < 600 || n % 50 == 0 {
            keyspace.database(0).check_invariants();
        }
    }
    let full = keyspace.memory_bytes();
    for n in 0..3000 {
        assert!(remove(&mut keyspace, &name(n)));
        if n > 2400 || n % 50 == 0 {
            keyspace.database(0).check_invariants();
        }
        if n == 2700 {
            assert!(keyspace.memory_bytes() < full / 4, "memory comes back");
        }
    }
    assert_eq!(keyspace.memory_bytes(), 0);
}

/// The guarantee of SCAN: what is there from the first call to the last is returned.
#[test]
fn a_scan_returns_every_key_that_stays() {
    let mut random = Random::new();
    for round in 0..150 {
        let slots = if round % 5 == 0 { Some((100, 200)) } else { None };
        let mut keyspace = keyspace(slots);
        // Keys of one slot each where there are slots: hash tags whose slots the shard owns.
        let tags: Vec<String> = (0..50_000)
            .map(|n| format!("{{{n}}}"))
            .filter(|tag| slots.is_some() && (100..300).contains(&slot_of(tag.as_bytes())))
            .collect();
        let name = |n: usize| {
            let tag = if tags.is_empty() { "" } else { &tags[n % tags.len()] };
            format!("{tag}key:{n}").into_bytes()
        };
        let bound = [20, 300, 3_000, 20_000][random.below(4)];
        let mut present: HashSet<usize> = (0..bound).filter(|_| random.below(2) == 0).collect();
        for &n in &present {
            set(&mut keyspace, &name(n), b"value", Expiry::Clear);
        }
        let mut stayed = present.clone();
        let mut returned = HashSet::new();
        let (mut cursor, mut calls, mut growing) = (0, 0, random.below(2) == 0);
        loop {
            let count = 1 + random.below(40);
            let before = cursor;
            cursor = keyspace.database(0).scan(cursor, count, &mut |entry| {
                returned.insert(entry.key().to_vec());
            });
            if cursor == 0 {
                break;
            }
            assert!(cursor < 1 << 63);
            assert_ne!(cursor, before, "every call gets further");
            calls += 1;
            if calls > 20_000 {
                growing = false;
            }
            if random.below(20) == 0 {
                growing = !growing;
            }
            // At first whole generations of the table pass; later it comes to rest, so that the scan ends.
            for _ in 0..random.below(if calls < 400 { bound / 4 + 2 } else { 2 }) {
                let n = random.below(bound * 2);
                if growing && present.insert(n) {
                    set(&mut keyspace, &name(n), b"value", Expiry::Clear);
                } else if !growing && present.remove(&n) {
                    assert!(remove(&mut keyspace, &name(n)));
                    stayed.remove(&n);
                }
            }
        }
        keyspace.database(0).check_invariants();
        for n in stayed {
            assert!(returned.contains(&name(n)), "key {n} of {bound} was there all the time, round {round}");
        }
    }
}

#[test]
fn any_number_may_be_given_as_a_cursor() {
    let mut keyspace = keyspace(None);
    let mut random = Random::new();
    (0..5_000).for_each(|n: u32| set(&mut keyspace, &n.to_le_bytes(), b"", Expiry::Clear));
    for _ in 0..20_000 {
        let cursor = database::next_random(&mut random.state) >> random.below(64);
        keyspace.database(0).scan(cursor, 10, &mut |_| {});
    }
}

#[test]
fn keys_of_one_slot_are_listed() {
    let mut keyspace = keyspace(Some((0, SLOT_COUNT)));
    let slot = slot_of(b"tag");
    for n in 0..1000 {
        set(&mut keyspace, format!("{{tag}}{n}").as_bytes(), b"1", Expiry::Clear);
        set(&mut keyspace, format!("{n}").as_bytes(), b"1", Expiry::Clear);
    }
    let database = keyspace.database(0);
    assert!(database.count_in_slot(slot) >= 1000);
    let mut listed = HashSet::new();
    database.keys_in_slot(slot, 700, &mut |entry| assert!(listed.insert(entry.key().to_vec())));
    assert_eq!(listed.len(), 700);
    database.keys_in_slot(slot, 5000, &mut |entry| {
        listed.insert(entry.key().to_vec());
    });
    assert_eq!(listed.len(), database.count_in_slot(slot));
    keyspace.flush_all();
    assert_eq!(keyspace.database(0).count_in_slot(slot), 0);
    while keyspace.step(Budget(10)) {}
    assert_eq!(keyspace.memory_bytes(), 0);
}

#[test]
fn integers_are_recognised_as_set_does() {
    for text in ["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "1234567890123456789"] {
        assert_eq!(parse_integer(text.as_bytes()).map(|number| number.to_string()), Some(text.to_string()));
    }
    for text in
        ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809"]
    {
        assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(parse_integer(b"99999999999999999999999"), None);
}

#[test]
fn encodings_are_named_as_the_reference_names_them() {
    let mut keyspace = keyspace(None);
    let mut encoding = |value: StringValue<'_>, change: &dyn Fn(&mut StringMut<'_>)| {
        let key = keyspace.key(b"key");
        let database = keyspace.database(0);
        database.set_string(&key, value, Expiry::Clear);
        if let Some(mut string) = database.string_mut(&key) {
            change(&mut string);
        }
        keyspace.database(0).check_invariants();
        keyspace.database(0).peek(&key).map(|entry| entry.encoding().name())
    };
    let nothing = |_: &mut StringMut<'_>| {};
    assert_eq!(encoding(StringValue::Bytes(b"12345"), &nothing), Some("int"));
    assert_eq!(encoding(StringValue::Owned(b"12345".to_vec()), &nothing), Some("int"));
    assert_eq!(encoding(StringValue::Text(b"12345"), &nothing), Some("embstr"));
    assert_eq!(encoding(StringValue::Bytes(&[b'a'; 44]), &nothing), Some("embstr"));
    assert_eq!(encoding(StringValue::Bytes(&[b'a'; 45]), &nothing), Some("raw"));
    assert_eq!(encoding(StringValue::Owned(vec![b'a'; 4500]), &nothing), Some("raw"));
    assert_eq!(encoding(StringValue::Int(7), &|string| string.set_int(8)), Some("int"));
    assert_eq!(encoding(StringValue::Int(7), &|string| string.set_text(b"8.5")), Some("embstr"));
    let append = |string: &mut StringMut<'_>| assert_eq!(string.append(b"0"), 2);
    assert_eq!(encoding(StringValue::Int(7), &append), Some("raw"));
}

/// Changes in place against a `Vec<u8>`, through all sizes and representations.
#[test]
fn strings_change_in_place_as_a_vec() {
    let mut random = Random::new();
    let mut keyspace = keyspace(None);
    let mut model: Vec<Vec<u8>> = vec![Vec::new(); 20];
    for n in 0..model.len() {
        set(&mut keyspace, &[n as u8], b"", Expiry::Clear);
    }
    for turn in 0..40_000 {
        let n = random.below(model.len());
        // Half of the keys are long enough to have an extended length.
        let bytes = [n as u8; 300];
        let bytes = &bytes[..if n.is_multiple_of(2) { 1 } else { 250 + n }];
        let key = keyspace.key(bytes);
        let database = keyspace.database(0);
        if database.peek(&key).is_none() {
            model[n].clear();
            database.set_string(&key, StringValue::Bytes(b""), Expiry::Clear);
        }
        let bound = [4, 60, 700][random.below(3)];
        let tail = vec![turn as u8; random.below(bound)];
        match random.below(9) {
            0..4 => {
                model[n].extend_from_slice(&tail);
                let length = database.string_mut(&key).map(|mut string| string.append(&tail));
                assert_eq!(length, Some(model[n].len()));
            }
            4 => {
                let length = random.below(model[n].len() + 200);
                model[n].resize(length, 0);
                database.string_mut(&key).into_iter().for_each(|mut string| string.resize(length));
            }
            5 => {
                model[n] = turn.to_string().into_bytes();
                database.string_mut(&key).into_iter().for_each(|mut string| string.set_int(turn));
            }
            6 => {
                model[n].clone_from(&tail);
                database.set_string(&key, StringValue::Owned(tail), Expiry::Keep);
            }
            7 => {
                model[n].reverse();
                database.string_mut(&key).into_iter().for_each(|mut string| string.as_mut_slice().reverse());
            }
            _ if random.below(2) == 0 => assert!(database.set_expiry(&key, START_MS + 1 + turn)),
            _ => drop(database.persist(&key)),
        }
        assert_eq!(get(&mut keyspace, bytes).as_ref(), Some(&model[n]));
        if turn % 64 == 0 {
            keyspace.database(0).check_invariants();
        }
    }
}

#[test]
fn values_move_between_keys_and_databases() {
    let mut keyspace = keyspace(None);
    for (value, encoding) in
        [(b"12".to_vec(), "int"), (b"text".to_vec(), "embstr"), (vec![b'x'; 100_000], "raw")]
    {
        let (from, to) = (keyspace.key(b"from"), keyspace.key(b"to"));
        keyspace.database(0).set_string(&from, StringValue::Bytes(&value), Expiry::At(START_MS + 10));
        let copy = keyspace.database(0).copy_value(&from);
        let moved = keyspace.database(0).take(&from);
        assert!(keyspace.database(0).take(&from).is_none());
        let (Some(copy), Some(moved)) = (copy, moved) else { panic!("the key is there") };
        assert_eq!(moved.expiry(), Some(START_MS + 10));
        keyspace.database(1).insert(&to, moved);
        keyspace.database(1).insert(&from, copy);
        for key in [&from, &to] {
            let entry = keyspace.database(1).find_read(key).map(|entry| {
                assert_eq!(entry.encoding().name(), encoding);
                assert_eq!(entry.expiry(), Some(START_MS + 10));
                entry.string().map(|string| string.to_vec())
            });
            assert_eq!(entry, Some(Some(value.clone())));
        }
        keyspace.database(0).check_invariants();
        keyspace.database(1).check_invariants();
    }
    assert_eq!((keyspace.database(0).len(), keyspace.database(1).len()), (0, 2));
    keyspace.swap(0, 1);
    assert_eq!((keyspace.database(0).len(), keyspace.database(1).len()), (2, 0));
}

#[test]
fn statistics_tell_hits_from_misses() {
    let mut keyspace = keyspace(None);
    set(&mut keyspace, b"here", b"1", Expiry::At(START_MS + 5));
    let (here, missing) = (keyspace.key(b"here"), keyspace.key(b"missing"));
    assert!(keyspace.database(0).find_read(&here).is_some());
    assert!(keyspace.database(0).find_read(&missing).is_none());
    assert!(keyspace.database(0).find_write(&missing).is_none());
    assert!(keyspace.database(0).peek(&missing).is_none());
    keyspace.set_now(START_MS + 5);
    assert!(keyspace.database(0).peek(&here).is_none());
    assert_eq!(keyspace.database(0).len(), 1);
    assert!(keyspace.database(0).find_read(&here).is_none());
    assert_eq!(keyspace.database(0).len(), 0);
    let stats = Stats { hits: 1, misses: 2, expired_keys: 1, ..Stats::default() };
    assert_eq!(keyspace.stats(), stats);
    keyspace.reset_stats();
    assert_eq!(keyspace.stats(), Stats::default());
    assert_eq!(keyspace.dirty(), 1);
}

#[test]
fn a_look_without_touch_leaves_the_clock() {
    let mut keyspace = keyspace(None);
    set(&mut keyspace, b"key", b"1", Expiry::Clear);
    let key = keyspace.key(b"key");
    let idle = |keyspace: &mut Keyspace| {
        let database = keyspace.database(0);
        database.peek(&key).map(|entry| database.idle_seconds(&entry))
    };
    keyspace.set_now(START_MS + 70_000);
    assert_eq!(idle(&mut keyspace), Some(70));
    keyspace.set_no_touch(true);
    assert!(keyspace.database(0).find_read(&key).is_some());
    assert_eq!(idle(&mut keyspace), Some(70));
    keyspace.set_no_touch(false);
    assert!(keyspace.database(0).find_read(&key).is_some());
    assert_eq!(idle(&mut keyspace), Some(0));
}

#[test]
fn huge_values_are_freed_in_a_step_of_their_own() {
    let mut keyspace = keyspace(None);
    let huge = vec![b'x'; 4 << 20];
    set(&mut keyspace, b"removed", &huge, Expiry::Clear);
    set(&mut keyspace, b"overwritten", &huge, Expiry::Clear);
    let full = keyspace.memory_bytes();
    assert!(remove(&mut keyspace, b"removed"));
    set(&mut keyspace, b"overwritten", b"small", Expiry::Clear);
    assert!(keyspace.memory_bytes() > full - 1000, "still held by the graveyard");
    while keyspace.step(Budget(1)) {}
    assert!(keyspace.memory_bytes() < 1000);
    keyspace.database(0).check_invariants();
}
