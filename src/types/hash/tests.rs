//! Hashes against a plain model: a map from name to value.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::types::packed::tests::element;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const SMALL: Limits = Limits { entries: 128, value_bytes: 64 };
const ALWAYS_LARGE: Limits = Limits { entries: 0, value_bytes: 0 };

fn fields(hash: &Hash) -> Model {
    let mut fields = Model::new();
    hash.for_each(|name, value| assert_eq!(fields.insert(name.to_vec(), value.to_vec()), None));
    fields
}

/// All that can be asked of a hash, compared with the model.
fn assert_same(hash: &Hash, model: &Model) {
    hash.check_invariants();
    assert_eq!(hash.len(), model.len());
    assert_eq!(&fields(hash), model);
    for (name, value) in model {
        assert_eq!(hash.get(name).map(|value| value.to_vec()).as_ref(), Some(value));
    }
    assert!(hash.get(b"no field").is_none());
    let mut scanned = Model::new();
    let next = hash.scan(0, usize::MAX, |name, value| {
        scanned.insert(name.to_vec(), value.to_vec());
    });
    assert_eq!((next, &scanned), (0, model));
}

#[derive(Clone, Debug)]
enum Operation {
    Set(Vec<u8>, Vec<u8>),
    SetIfMissing(Vec<u8>, Vec<u8>),
    Fill(u16, u16),
    Remove(Vec<u8>),
    Clone,
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => element(),
        1 => prop::sample::select(vec![63usize, 64, 65, 250, 255, 256, 65_535, 65_536, 70_000])
            .prop_map(|length| vec![b'v'; length]),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (values(), values()).prop_map(|(name, value)| Operation::Set(name, value)),
        2 => (values(), values()).prop_map(|(name, value)| Operation::SetIfMissing(name, value)),
        1 => (0u16..500, 0u16..100).prop_map(|(start, count)| Operation::Fill(start, count)),
        4 => values().prop_map(Operation::Remove),
        1 => Just(Operation::Clone),
    ]
}

fn apply(hash: &mut Hash, model: &mut Model, operation: &Operation, limits: Limits) {
    match operation {
        Operation::Set(name, value) => {
            let added = hash.set(name, value, limits);
            assert_eq!(added, model.insert(name.clone(), value.clone()).is_none());
        }
        Operation::SetIfMissing(name, value) => {
            hash.update(name, limits, |present| {
                assert_eq!(present.map(|value| value.to_vec()).as_ref(), model.get(name));
                present.is_none().then_some(value)
            });
            model.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Operation::Fill(start, count) => {
            for number in *start..start + count {
                let name = format!("field:{number}").into_bytes();
                hash.set(&name, number.to_string().as_bytes(), limits);
                model.insert(name, number.to_string().into_bytes());
            }
        }
        Operation::Remove(name) => assert_eq!(hash.remove(name), model.remove(name).is_some()),
        Operation::Clone => {
            let clone = hash.clone();
            clone.check_invariants();
            let before = std::mem::replace(hash, clone);
            assert_eq!(fields(&before), fields(hash));
        }
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_model(
        operations in prop::collection::vec(operations(), 1..120),
        limits in prop::sample::select(vec![
            SMALL, ALWAYS_LARGE, Limits { entries: 10, value_bytes: 1 << 20 },
            Limits { entries: 10_000, value_bytes: 100_000 },
        ]),
    ) {
        let (mut hash, mut model) = (Hash::new(), Model::new());
        for operation in &operations {
            apply(&mut hash, &mut model, operation, limits);
            prop_assert_eq!(hash.len(), model.len());
        }
        assert_same(&hash, &model);
        if hash.encoding() == Encoding::Listpack {
            prop_assert!(hash.len() <= limits.entries);
        }
        let names: Vec<_> = model.keys().cloned().collect();
        for name in names {
            prop_assert!(hash.remove(&name));
        }
        prop_assert!(hash.is_empty());
        let shell = match &hash.0 {
            Body::Packed(_) => 0,
            Body::Large(_) => rounded_bytes(size_of::<Large>()),
        };
        prop_assert_eq!(hash.heap_bytes(), shell);
    }
}

#[test]
fn it_becomes_large_at_its_limits() {
    let encoding = |fields: usize, name: usize, value: usize| {
        let mut hash = Hash::new();
        for number in 0..fields {
            hash.set(format!("{number:0name$}").as_bytes(), &vec![b'v'; value], SMALL);
        }
        assert_eq!(hash.len(), fields);
        hash.encoding()
    };
    assert_eq!(encoding(128, 4, 64), Encoding::Listpack);
    assert_eq!(encoding(129, 4, 4), Encoding::HashTable);
    assert_eq!(encoding(1, 64, 4), Encoding::Listpack);
    assert_eq!(encoding(1, 65, 4), Encoding::HashTable);
    assert_eq!(encoding(1, 4, 65), Encoding::HashTable);
}

/// Another value for a field that is there makes a hash large, too, and leaves it one field.
#[test]
fn a_longer_value_makes_it_large() {
    let mut hash = Hash::new();
    assert!(hash.set(b"f", b"short", SMALL));
    assert!(!hash.set(b"f", &[b'l'; 65], SMALL));
    assert_eq!((hash.len(), hash.encoding()), (1, Encoding::HashTable));
    assert!(!hash.set(b"f", b"short", SMALL));
    assert_eq!(hash.get(b"f"), Some(Item::Bytes(b"short")));
    hash.check_invariants();
}

#[test]
fn fields_are_drawn_with_the_same_chance() {
    for (limits, length) in [(SMALL, 50usize), (ALWAYS_LARGE, 50), (ALWAYS_LARGE, 3_000)] {
        let mut hash = Hash::new();
        for number in 0..length {
            hash.set(format!("f{number}").as_bytes(), number.to_string().as_bytes(), limits);
        }
        let mut state = 7u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((u128::from(state) * bound as u128) >> 64) as usize
        };
        let (mut counts, mut ids) = (vec![0u32; length], BTreeSet::new());
        let expected = 200.0;
        for _ in 0..length * expected as usize {
            let field = hash.draw(&mut below).unwrap();
            let (name, value) = field.pair();
            let number: usize = String::from_utf8(value.to_vec()).unwrap().parse().unwrap();
            assert_eq!(name.to_vec(), format!("f{number}").into_bytes());
            counts[number] += 1;
            ids.insert(field.id());
        }
        assert_eq!(ids.len(), length);
        // Six times the standard deviation of the binomial distribution.
        let allowed = 6.0 * f64::sqrt(expected);
        assert!(counts.iter().all(|&count| (f64::from(count) - expected).abs() < allowed), "{counts:?}");
    }
    assert!(Hash::new().draw(&mut |_| 0).is_none());
}

#[test]
fn a_large_hash_is_freed_in_steps() {
    let mut hash = Hash::new();
    for number in 0..50_000u32 {
        hash.set(&number.to_le_bytes(), b"value", ALWAYS_LARGE);
    }
    hash.check_invariants();
    let full = hash.heap_bytes();
    let mut steps = 0;
    while hash.free_some(1_000) > 0 {
        steps += 1;
        assert!(hash.heap_bytes() < full);
    }
    assert!((20..60).contains(&steps), "{steps}");
    assert_eq!(hash.heap_bytes(), 0);
}
