use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};

const LIMITS: Limits = Limits { integers: 512, entries: 128, member_bytes: 64 };

fn set_of(members: &[&str], limits: Limits) -> Set {
    let mut set = Set::new();
    members.iter().for_each(|member| {
        set.add(member.as_bytes(), limits);
    });
    set
}

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    let mut members = BTreeSet::new();
    set.for_each(|item| assert!(members.insert(item.to_vec()), "each member once"));
    members
}

/// A generator whose numbers the test foresees.
fn draws(mut state: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        ((u128::from(state ^ state >> 33) * bound as u128) >> 64) as usize
    }
}

#[test]
fn a_set_takes_no_more_room_than_other_structures() {
    assert!(size_of::<Set>() <= 48, "{}", size_of::<Set>());
    assert!(size_of::<Object>() <= 48, "{}", size_of::<Object>());
    let mut set = Set::new();
    for number in 0..10 {
        set.add((number * 200_000_000).to_string().as_bytes(), LIMITS);
    }
    assert_eq!((set.len(), set.heap_bytes()), (10, 0));
}

#[test]
fn encodings_change_as_in_redis() {
    let limits = Limits { integers: 4, entries: 3, member_bytes: 5 };
    let encoding = |members: &[&str]| set_of(members, limits).encoding();
    assert_eq!(encoding(&["1", "2", "3", "4"]), Encoding::Intset);
    assert_eq!(encoding(&["1", "2", "3", "4", "5"]), Encoding::HashTable);
    assert_eq!(encoding(&["1", "2", "a"]), Encoding::Listpack);
    assert_eq!(encoding(&["1", "2", "3", "a"]), Encoding::HashTable, "too many for a list");
    assert_eq!(encoding(&["1", "123456", "a"]), Encoding::HashTable, "an integer is too long");
    assert_eq!(encoding(&["1", "-12345", "a"]), Encoding::HashTable, "an integer is too long");
    assert_eq!(encoding(&["1", "abcdef"]), Encoding::HashTable);
    assert_eq!(encoding(&["a", "b", "c", "d"]), Encoding::HashTable);
    assert_eq!(encoding(&["007", "-0", "+1"]), Encoding::Listpack, "no canonical integers");
    let expecting = |count, first: &str| Set::expecting(count, first.as_bytes(), limits).encoding();
    assert_eq!(expecting(4, "1"), Encoding::Intset);
    assert_eq!(expecting(5, "1"), Encoding::HashTable);
    assert_eq!(expecting(3, "a"), Encoding::Listpack);
    assert_eq!(expecting(4, "a"), Encoding::HashTable);
    let mut set = set_of(&["1"], limits);
    set.expect(4, limits);
    assert_eq!(set.encoding(), Encoding::Intset);
    set.expect(5, limits);
    assert_eq!((set.encoding(), set.contains(b"1")), (Encoding::HashTable, true));
}

#[test]
fn members_of_any_length() {
    for limits in [LIMITS, Limits { entries: 0, ..LIMITS }, Limits { member_bytes: 1 << 20, ..LIMITS }] {
        let mut set = Set::new();
        for length in [0, 1, 31, 32, 253, 254, 255, 256, 70_000] {
            let member = vec![b'x'; length];
            assert!(set.add(&member, limits) && !set.add(&member, limits));
            assert!(set.contains(&member) && !set.contains(&vec![b'y'; length + 1]));
        }
        set.check_invariants();
        assert!(set.remove(&vec![b'x'; 254]) && !set.remove(&vec![b'x'; 254]));
        assert_eq!(set.len(), 8);
    }
}

#[test]
fn every_member_is_drawn_as_often() {
    let many = |count: usize, name: &str| (0..count).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    for names in [many(20, ""), many(20, "m"), many(200, "m"), many(3000, "m")] {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let set = set_of(&names, LIMITS);
        let mut below = draws(7);
        let mut counts = std::collections::HashMap::new();
        let rounds = names.len() * 200;
        for _ in 0..rounds {
            *counts.entry(set.draw(&mut below).unwrap().member.to_vec()).or_insert(0usize) += 1;
        }
        assert_eq!(counts.len(), names.len());
        // 200 are expected of each, with a deviation of 14.
        assert!(counts.values().all(|count| (110..300).contains(count)), "{counts:?}");
    }
}

#[test]
fn all_members_are_popped_once() {
    for count in [0usize, 1, 30, 300, 5_000] {
        let mut set = Set::new();
        (0..count).for_each(|n| assert!(set.add(format!("m{n}").as_bytes(), LIMITS)));
        let (mut below, mut popped) = (draws(3), HashSet::new());
        while set.pop(&mut below, |item| assert!(popped.insert(item.to_vec()))) {}
        assert_eq!((popped.len(), set.len(), set.is_empty()), (count, 0, true));
        assert!(set.draw(&mut below).is_none());
    }
}

#[test]
fn a_large_set_is_freed_in_steps() {
    let mut set = Set::new();
    (0..50_000).for_each(|n| assert!(set.add(format!("member:{n}").as_bytes(), LIMITS)));
    let before = set.heap_bytes();
    assert!((50_000 * 24..50_000 * 32).contains(&before), "{before}");
    let mut steps = 0;
    while set.free_some(1_000) > 0 {
        steps += 1;
    }
    assert!((20..60).contains(&steps), "{steps}");
    assert_eq!(set.heap_bytes(), 0);
}

#[test]
fn a_copy_is_a_set_of_its_own() {
    for count in [5usize, 1_000] {
        let mut set = Set::new();
        (0..count).for_each(|n| assert!(set.add(format!("m{n}").as_bytes(), LIMITS)));
        let copy = set.clone();
        assert!(set.remove(b"m1"));
        drop(set);
        copy.check_invariants();
        assert!(copy.contains(b"m1") && copy.len() == count);
    }
}

fn any_member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-40i64..40).prop_map(|number| number.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|number| (number >> (number as u64 % 60)).to_string().into_bytes()),
        2 => "[a-d]{0,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

#[derive(Clone, Debug)]
enum Operation {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    Pop(u64),
    Expect(usize),
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        60 => any_member().prop_map(Operation::Add),
        25 => any_member().prop_map(Operation::Remove),
        10 => any::<u64>().prop_map(Operation::Pop),
        1 => (0usize..30).prop_map(Operation::Expect),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_a_model(
        integers in 0usize..60,
        entries in 0usize..30,
        member_bytes in prop::sample::select(vec![0usize, 2, 64]),
        operations in prop::collection::vec(any_operation(), 0..250),
    ) {
        let limits = Limits { integers, entries, member_bytes };
        let (mut set, mut model) = (Set::new(), BTreeSet::new());
        for operation in operations {
            match operation {
                Operation::Add(member) => {
                    prop_assert_eq!(set.add(&member, limits), model.insert(member));
                }
                Operation::Remove(member) => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                Operation::Pop(seed) => {
                    let mut popped = None;
                    let any = set.pop(&mut draws(seed), |item| popped = Some(item.to_vec()));
                    prop_assert_eq!(any, !model.is_empty());
                    prop_assert!(popped.is_none_or(|member| model.remove(&member)));
                }
                Operation::Expect(count) => set.expect(count, limits),
            }
            prop_assert_eq!(set.len(), model.len());
        }
        set.check_invariants();
        let mut batched = BTreeSet::new();
        set.batches(&mut |batch| {
            batched.extend(batch.iter().map(Item::to_vec));
            set.contains_which(batch, bits_of(batch.len())) == bits_of(batch.len())
        });
        prop_assert_eq!(&batched, &model);
        let numbers: Vec<Item<'_>> = (-30..30).map(Item::Int).collect();
        let which = |number: &Item<'_>| model.contains(&number.to_vec());
        let expected = numbers.iter().map(which).rev().fold(0, |bits, found| bits << 1 | u64::from(found));
        prop_assert_eq!(set.contains_which(&numbers, bits_of(60)), expected);
        prop_assert_eq!(set.contains_which(&numbers, 0xF0F0), expected & 0xF0F0);
        prop_assert_eq!(members(&set), model.clone());
        let mut scanned = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 5, |item| { scanned.insert(item.to_vec()); });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(&scanned, &model);
        prop_assert_eq!(members(&set.clone()), model);
    }
}
