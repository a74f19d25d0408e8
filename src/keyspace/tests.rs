//! Databases against a model, and the promises that commands rely on.

use std::collections::HashMap;

use super::*;

pub(super) fn keyspace(slots: Option<(u16, u16)>) -> Keyspace {
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    let mut keyspace = Keyspace::new(KeyspaceOptions { databases: 2, hasher, slots });
    keyspace.set_now(1_000_000);
    keyspace
}

fn get(keyspace: &mut Keyspace, key: &[u8]) -> Option<Vec<u8>> {
    let key = keyspace.key(key);
    keyspace.database(0).find_read(&key).and_then(|entry| entry.string().map(|value| value.to_vec()))
}

fn set(keyspace: &mut Keyspace, key: &[u8], value: &[u8], expiry: Expiry) {
    let key = keyspace.key(key);
    keyspace.database(0).set_string(&key, StringValue::Bytes(value), expiry);
}

#[test]
fn many_keys_come_and_go_as_in_a_map() {
    for slots in [None, Some((0, SLOT_COUNT))] {
        let mut keyspace = keyspace(slots);
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut random = 7u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) % below
        };
        for round in 0..6 {
            let growing = round % 2 == 0;
            for _ in 0..60_000 {
                let key = format!("key:{}", next(40_000)).into_bytes();
                if next(10) < if growing { 8 } else { 2 } {
                    let value = vec![b'a' + next(26) as u8; next(600) as usize];
                    set(&mut keyspace, &key, &value, Expiry::Keep);
                    model.insert(key, value);
                } else {
                    let looked_up = keyspace.key(&key);
                    assert_eq!(keyspace.database(0).remove(&looked_up), model.remove(&key).is_some());
                }
            }
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
            let mut scanned = std::collections::HashSet::new();
            let mut cursor = 0;
            loop {
                cursor = keyspace.database(0).scan(cursor, 10, &mut |entry| {
                    scanned.insert(entry.key().to_vec());
                });
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(scanned.len(), model.len());
        }
        for key in model.keys() {
            let key = keyspace.key(key);
            assert!(keyspace.database(0).unlink(&key));
        }
        while keyspace.step(Budget(1000)) {}
        assert_eq!(keyspace.database(0).len(), 0);
        assert_eq!(keyspace.memory_bytes(), 0);
    }
}
