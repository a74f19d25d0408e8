//! Values that are not strings, beside those that are: types, memory, removal, and their end in steps.

use std::collections::HashMap;

use super::tests::{Random, START_MS, get, keyspace, set};
use super::*;
use crate::error::CommandError;
use crate::types::packed::{End, Limit};
use crate::types::{Limits, List};

fn limit() -> Limit {
    Limits::default().list
}

fn push(keyspace: &mut Keyspace, key: &[u8], element: &[u8]) -> Result<usize, CommandError> {
    let key = keyspace.key(key);
    let mut list = keyspace.database(0).edit_or_create(&key, List::new)?;
    list.change().push(End::Back, element, limit());
    Ok(list.len())
}

fn pop(keyspace: &mut Keyspace, key: &[u8]) -> Result<bool, CommandError> {
    let key = keyspace.key(key);
    let list = keyspace.database(0).edit::<List>(&key)?;
    Ok(list.map(|mut list| list.change().pop(End::Front, limit())).is_some())
}

fn long_list(elements: usize) -> List {
    let mut list = List::new();
    (0..elements).for_each(|n| list.push(End::Back, format!("element {n}").as_bytes(), limit()));
    list
}

#[test]
fn a_collection_has_its_type() {
    let mut keyspace = keyspace(None);
    assert_eq!(push(&mut keyspace, b"list", b"one"), Ok(1));
    assert_eq!(push(&mut keyspace, b"list", b"two"), Ok(2));
    set(&mut keyspace, b"string", b"text", Expiry::Clear);
    assert_eq!(push(&mut keyspace, b"string", b"one"), Err(CommandError::WrongType));
    let (list, string, missing) = (keyspace.key(b"list"), keyspace.key(b"string"), keyspace.key(b"missing"));
    let database = keyspace.database(0);
    assert!(database.string_mut(&list).is_none());
    assert_eq!(database.find::<List>(&string).err(), Some(CommandError::WrongType));
    assert_eq!(database.find::<List>(&missing).map(|list| list.is_some()), Ok(false));
    assert!(database.edit::<List>(&missing).is_ok_and(|list| list.is_none()));
    assert_eq!(database.find::<List>(&list).map(|list| list.map(List::len)), Ok(Some(2)));
    let entry = database.peek(&list).expect("the list is there");
    assert_eq!((entry.kind(), entry.string()), (Kind::List, None));
    assert_eq!(database.len(), 2);
    assert_eq!(database.stats(), Stats { hits: 2, misses: 1, ..Stats::default() });
    set(&mut keyspace, b"list", b"text", Expiry::Clear);
    assert_eq!(get(&mut keyspace, b"list"), Some(b"text".to_vec()));
    keyspace.database(0).check_invariants();
}

#[test]
fn an_empty_collection_is_no_value() {
    let mut keyspace = keyspace(None);
    let key = keyspace.key(b"list");
    assert_eq!(push(&mut keyspace, b"list", b"one"), Ok(1));
    assert_eq!(keyspace.dirty(), 1);
    assert_eq!(pop(&mut keyspace, b"list"), Ok(true));
    assert_eq!((keyspace.dirty(), keyspace.database(0).len()), (2, 0));
    drop(keyspace.database(0).edit_or_create(&key, List::new));
    assert_eq!((keyspace.dirty(), keyspace.database(0).len()), (2, 0), "nothing came of it");
    keyspace.database(0).set_collection(&key, long_list(3), "stored");
    assert_eq!((keyspace.dirty(), keyspace.database(0).len()), (3, 1));
    assert!(keyspace.database(0).edit::<List>(&key).is_ok_and(|list| list.is_some()));
    assert_eq!(keyspace.dirty(), 3, "a look is no change");
    keyspace.database(0).set_collection(&key, List::new(), "stored");
    assert_eq!((keyspace.dirty(), keyspace.database(0).len()), (4, 0));
    keyspace.database(0).check_invariants();
}

/// A key's model: a string or the elements of a list.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
}

fn value_of(keyspace: &mut Keyspace, database: usize, key: &[u8]) -> Option<Model> {
    let key = keyspace.key(key);
    let entry = keyspace.database(database).peek(&key)?;
    match entry.collection::<List>() {
        Some(list) => Some(Model::List(list.iter().map(|element| element.to_vec()).collect())),
        None => entry.string().map(|string| Model::String(string.to_vec())),
    }
}

/// Strings and lists overwrite, replace and follow each other, with and without deadlines; memory is counted
/// to the byte.
#[test]
fn strings_and_collections_take_each_other_s_place() {
    let mut random = Random::new();
    let mut keyspace = keyspace(None);
    let mut model: HashMap<u8, Model> = HashMap::new();
    for turn in 0..30_000u32 {
        let n = random.below(12) as u8;
        let name = [n; 30];
        let key = keyspace.key(&name);
        let text = vec![b'x'; [3, 200, 2_000][random.below(3)]];
        match random.below(12) {
            0 => {
                keyspace.database(0).set_string(&key, StringValue::Bytes(&text), Expiry::Keep);
                model.insert(n, Model::String(text));
            }
            1..6 => {
                let pushed = push(&mut keyspace, &name, &text);
                match model.entry(n).or_insert(Model::List(Vec::new())) {
                    Model::String(_) => assert_eq!(pushed, Err(CommandError::WrongType)),
                    Model::List(list) => {
                        list.push(text);
                        assert_eq!(pushed, Ok(list.len()));
                    }
                }
            }
            6..8 => {
                let popped = pop(&mut keyspace, &name);
                match model.get_mut(&n) {
                    None => assert_eq!(popped, Ok(false)),
                    Some(Model::String(_)) => assert_eq!(popped, Err(CommandError::WrongType)),
                    Some(Model::List(list)) => {
                        assert_eq!(popped, Ok(true));
                        list.remove(0);
                        if list.is_empty() {
                            model.remove(&n);
                        }
                    }
                }
            }
            8 => {
                let other = [(n + 1) % 12; 30];
                let taken = keyspace.database(0).take(&key);
                assert_eq!(taken.is_some(), model.contains_key(&n));
                if let Some(taken) = taken {
                    let other_key = keyspace.key(&other);
                    keyspace.database(0).insert(&other_key, taken.clone());
                    keyspace.database(1).insert(&other_key, taken);
                    let value = model.remove(&n).expect("it was taken");
                    assert_eq!(value_of(&mut keyspace, 1, &other), Some(value.clone()));
                    model.insert(other[0], value);
                }
            }
            9 => {
                let list = long_list(random.below(200));
                let elements: Vec<_> = list.iter().map(|element| element.to_vec()).collect();
                keyspace.database(0).set_collection(&key, list, "stored");
                if elements.is_empty() {
                    model.remove(&n)
                } else {
                    model.insert(n, Model::List(elements))
                };
            }
            10 if random.below(2) == 0 => {
                keyspace.database(0).set_expiry(&key, START_MS + 1_000_000 + i64::from(turn));
            }
            10 => drop(keyspace.database(0).persist(&key)),
            _ => {
                let there = model.remove(&n).is_some();
                let database = keyspace.database(0);
                let removed = if turn % 2 == 0 { database.unlink(&key) } else { database.remove(&key) };
                assert_eq!(removed, there);
            }
        }
        assert_eq!(value_of(&mut keyspace, 0, &name).as_ref(), model.get(&n));
        if turn % 64 == 0 {
            keyspace.database(0).check_invariants();
            keyspace.database(1).check_invariants();
            keyspace.step(Budget(100));
        }
    }
    keyspace.flush_all();
    while keyspace.step(Budget(100)) {}
    assert_eq!(keyspace.memory_bytes(), 0);
}

/// Whatever takes a large collection away, no single step frees it all.
#[test]
fn large_collections_are_freed_in_steps() {
    type Remove = fn(&mut Keyspace, &Key<'_>);
    let ways: [Remove; 7] = [
        |keyspace, key| assert!(keyspace.database(0).remove(key)),
        |keyspace, key| assert!(keyspace.database(0).unlink(key)),
        |keyspace, key| keyspace.database(0).set_string(key, StringValue::Int(1), Expiry::Clear),
        |keyspace, key| keyspace.database(0).set_collection(key, long_list(1), "stored"),
        |keyspace, key| {
            let mut list = keyspace.database(0).edit::<List>(key).ok().flatten().expect("the list is there");
            let rest = std::mem::take(list.change());
            list.bury(rest);
        },
        |keyspace, key| {
            keyspace.database(0).set_expiry(key, START_MS + 1);
            keyspace.set_now(START_MS + 1);
            assert!(keyspace.database(0).find_read(key).is_none());
        },
        |keyspace, _| keyspace.flush_all(),
    ];
    for remove in ways {
        let mut keyspace = keyspace(None);
        let key = keyspace.key(b"list");
        keyspace.database(0).set_collection(&key, long_list(100_000), "stored");
        let full = keyspace.memory_bytes();
        remove(&mut keyspace, &key);
        keyspace.database(0).check_invariants();
        assert!(keyspace.memory_bytes() > full - 1_000, "still held by the graveyard");
        let (mut before, mut steps) = (keyspace.memory_bytes(), 0);
        while keyspace.step(Budget(10)) {
            let now = keyspace.memory_bytes();
            assert!(before - now.min(before) < full / 5, "a step freed {} of {full}", before - now);
            (before, steps) = (now, steps + 1);
        }
        assert!(steps > 5, "{steps}");
        assert!(keyspace.memory_bytes() < 1_000);
        keyspace.database(0).check_invariants();
    }
}
