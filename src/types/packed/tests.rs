use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const LIMIT: Limit = Limit { bytes: 4096, elements: 10_000 };

#[derive(Clone, Debug)]
enum Change {
    Push(bool, Vec<u8>),
    Cut(bool, usize),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(Vec<u8>),
    Split(usize),
}

/// Elements that meet all forms: small and large integers, names that begin alike, texts.
pub(in crate::types) fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..200u32).prop_map(|n| format!("item:{n:05}").into_bytes()),
        2 => (-300..20_000i64).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0..400usize).prop_map(|length| vec![b'x'; length]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (any::<bool>(), element()).prop_map(|(back, element)| Change::Push(back, element)),
        2 => (any::<bool>(), 0..4usize).prop_map(|(back, count)| Change::Cut(back, count)),
        1 => (any::<bool>(), 0..60usize).prop_map(|(back, count)| Change::Cut(back, count)),
        2 => (0..100usize, element()).prop_map(|(index, element)| Change::Insert(index, element)),
        2 => (0..100usize, element()).prop_map(|(index, element)| Change::Replace(index, element)),
        1 => element().prop_map(Change::Remove),
        1 => (0..100usize).prop_map(Change::Split),
    ]
}

fn end(back: bool) -> End {
    if back { End::Back } else { End::Front }
}

fn apply(packed: &mut Packed, model: &mut VecDeque<Vec<u8>>, change: Change) {
    match change {
        Change::Push(back, element) => {
            if packed.push(end(back), &element, LIMIT) {
                if back { model.push_back(element) } else { model.push_front(element) }
            } else {
                assert!(packed.used_bytes() + element.len() + 5 > LIMIT.bytes as usize);
            }
        }
        Change::Cut(back, count) => {
            let count = count.min(model.len());
            packed.cut(end(back), count);
            if back { model.truncate(model.len() - count) } else { drop(model.drain(..count)) }
        }
        Change::Insert(index, element) => {
            let index = index.min(model.len());
            if packed.insert(index, &element, LIMIT) {
                model.insert(index, element);
            }
        }
        Change::Replace(index, element) => {
            if index < model.len() && packed.replace(index, &element, LIMIT) {
                model[index] = element;
            }
        }
        Change::Remove(element) => {
            let wanted = Wanted::new(&element);
            let before = model.len();
            model.retain(|other| *other != element);
            assert_eq!(packed.remove_where(|item| wanted.is(item)), before - model.len());
        }
        Change::Split(index) => {
            let tail = packed.split_off(index);
            tail.check_invariants();
            let expected = model.split_off(index.min(model.len()));
            assert_eq!(tail.iter_from(0).map(|item| item.to_vec()).collect::<VecDeque<_>>(), expected);
            // The longer part goes on.
            if expected.len() > model.len() {
                (*packed, *model) = (tail, expected);
            }
        }
    }
}

fn check(packed: &Packed, model: &VecDeque<Vec<u8>>) {
    packed.check_invariants();
    let elements: VecDeque<_> = packed.iter_from(0).map(|item| item.to_vec()).collect();
    assert_eq!(&elements, model);
    for back in [0, 1, model.len() / 2, model.len()] {
        let expected: Vec<_> = model.iter().take(back).rev().cloned().collect();
        assert_eq!(packed.iter_back_from(back).map(|item| item.to_vec()).collect::<Vec<_>>(), expected);
    }
    for index in [0, model.len() / 3, model.len().saturating_sub(1), model.len()] {
        assert_eq!(packed.get(index).map(|item| item.to_vec()).as_ref(), model.get(index));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_block_is_a_sequence(changes in prop::collection::vec(change(), 0..150)) {
        let (mut packed, mut model) = (Packed::new(), VecDeque::new());
        for change in changes {
            apply(&mut packed, &mut model, change);
            check(&packed, &model);
        }
        check(&packed.clone(), &model);
        prop_assert_eq!(packed.clone().bytes.len(), packed.used_bytes());
    }
}

#[test]
fn names_with_numbers_take_little_more_than_their_numbers() {
    for back in [true, false] {
        let mut packed = Packed::new();
        let mut pushed = 0;
        while packed.push(end(back), format!("item:{:07}", 1_000_000 + pushed).as_bytes(), LIMIT) {
            pushed += 1;
        }
        packed.check_invariants();
        assert!(pushed > 650, "{pushed} in a block of 4 KiB");
        assert!(packed.heap_bytes() < 4096 + 2 * (pushed / GROUP) * 2, "{}", packed.heap_bytes());
    }
}

#[test]
fn a_queue_does_not_grow() {
    let mut packed = Packed::new();
    for n in 0..100_000 {
        assert!(packed.push(End::Back, format!("job {n}").as_bytes(), LIMIT));
        if n >= 50 {
            assert_eq!(
                packed.peek(End::Front).map(|item| item.to_vec()),
                Some(format!("job {}", n - 50).into())
            );
            packed.cut(End::Front, 1);
        }
    }
    packed.check_invariants();
    assert!(packed.heap_bytes() < 1500, "{}", packed.heap_bytes());
}

/// A block that had a value of its own size is of ordinary size again before it gets marks.
#[test]
fn marks_address_the_block_after_a_huge_value() {
    let limit = Limit { bytes: Limit::BYTES_MAX, elements: u32::MAX };
    let mut packed = Packed::new();
    assert!(packed.push(End::Front, &vec![b'x'; 100_000], limit));
    assert!(!packed.push(End::Back, b"more", limit));
    assert!(packed.replace(0, &vec![b'x'; 60_000], limit));
    let mut model = VecDeque::from([vec![b'x'; 60_000]]);
    for n in 0..400 {
        let element = format!("e{n}").into_bytes();
        assert!(packed.push(end(n % 3 > 0), &element, limit));
        if n % 3 > 0 { model.push_back(element) } else { model.push_front(element) }
    }
    check(&packed, &model);
}

#[test]
fn memory_comes_back() {
    let mut packed = Packed::new();
    while packed.push(End::Back, b"some element", LIMIT) {}
    assert!(packed.heap_bytes() >= 4096);
    packed.cut(End::Front, packed.len() - 10);
    assert!(packed.heap_bytes() < 300, "{}", packed.heap_bytes());
    packed.cut(End::Back, 10);
    assert_eq!((packed.heap_bytes(), packed.len()), (0, 0));
}
