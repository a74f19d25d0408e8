use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::types::packed::tests::element;

/// Small blocks, so that a few elements make many.
const LIMIT: Limit = Limit { bytes: 160, elements: 12 };

#[derive(Clone, Debug)]
enum Change {
    Push(bool, Vec<u8>),
    Pop(bool),
    Cut(bool, usize),
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    Remove(bool, usize, usize),
    Clone,
}

fn change() -> impl Strategy<Value = Change> {
    let element = || prop_oneof![3 => element(), 1 => (0..5u8).prop_map(|n| vec![b'a' + n])];
    prop_oneof![
        12 => (any::<bool>(), element()).prop_map(|(back, element)| Change::Push(back, element)),
        2 => any::<bool>().prop_map(Change::Pop),
        1 => (any::<bool>(), 0..80usize).prop_map(|(back, count)| Change::Cut(back, count)),
        4 => (0..300usize, element()).prop_map(|(index, element)| Change::Insert(index, element)),
        3 => (0..300usize, element()).prop_map(|(index, element)| Change::Set(index, element)),
        2 => (any::<bool>(), 0..300usize, 1..4usize).prop_map(|(back, index, count)| Change::Remove(back, index, count)),
        1 => Just(Change::Clone),
    ]
}

fn end(back: bool) -> End {
    if back { End::Back } else { End::Front }
}

fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, change: Change) {
    match change {
        Change::Push(back, element) => {
            list.push(end(back), &element, LIMIT);
            if back { model.push_back(element) } else { model.push_front(element) }
        }
        Change::Pop(back) => {
            let expected = if back { model.pop_back() } else { model.pop_front() };
            assert_eq!(list.peek(end(back)).map(|item| item.to_vec()), expected);
            list.pop(end(back), LIMIT);
        }
        Change::Cut(back, count) => {
            list.cut(end(back), count, LIMIT).check_invariants();
            let count = count.min(model.len());
            if back { model.truncate(model.len() - count) } else { drop(model.drain(..count)) }
        }
        Change::Insert(index, element) => {
            list.insert(index, &element, LIMIT);
            model.insert(index.min(model.len()), element);
        }
        Change::Set(index, element) => {
            assert_eq!(list.set(index, &element, LIMIT), index < model.len());
            if let Some(place) = model.get_mut(index) {
                *place = element;
            }
        }
        Change::Remove(back, index, count) => {
            let Some(wanted) = model.get(index).cloned() else { return };
            let matches = (0..model.len()).filter(|&index| model[index] == wanted);
            let mut matches: Vec<usize> = matches.collect();
            if back {
                matches.reverse();
            }
            matches.truncate(count);
            matches.sort_unstable();
            assert_eq!(list.remove(end(back), count, &Wanted::new(&wanted), LIMIT), matches.len());
            matches.iter().rev().for_each(|&index| drop(model.remove(index)));
        }
        Change::Clone => *list = list.clone(),
    }
}

fn check(list: &List, model: &VecDeque<Vec<u8>>) {
    list.check_invariants();
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    let elements: VecDeque<_> = list.iter().map(|item| item.to_vec()).collect();
    assert_eq!(&elements, model);
    for index in [0, 1, model.len() / 2, model.len().saturating_sub(1), model.len()] {
        let expected: Vec<_> = model.iter().take(index).rev().cloned().collect();
        assert_eq!(list.iter_back_from(index).map(|item| item.to_vec()).collect::<Vec<_>>(), expected);
        let expected: Vec<_> = model.iter().skip(index).cloned().collect();
        assert_eq!(list.iter_from(index).map(|item| item.to_vec()).collect::<Vec<_>>(), expected);
        assert_eq!(list.get(index).map(|item| item.to_vec()).as_ref(), model.get(index));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_a_sequence(changes in prop::collection::vec(change(), 0..300)) {
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for change in changes {
            apply(&mut list, &mut model, change);
            check(&list, &model);
        }
        while list.free_some(3) > 0 {}
        prop_assert_eq!(list.len(), 0);
    }
}

#[test]
fn encodings_follow_the_limit() {
    let limit = limit_of_setting(-2);
    let mut list = List::new();
    for n in 0..4000 {
        list.push(End::Back, format!("{n} is unlike the others").as_bytes(), limit);
        let expected = if n < 300 { Some(Encoding::Listpack) } else { None };
        assert!(expected.is_none_or(|expected| list.encoding() == expected), "{n}");
    }
    assert_eq!(list.encoding(), Encoding::Quicklist);
    // Half of the limit is what it takes to become small again.
    while list.encoding() == Encoding::Quicklist {
        list.pop(End::Front, limit);
    }
    assert!((100..200).contains(&list.len()), "{}", list.len());
    list.set(0, &[b'x'; 8192], limit);
    assert_eq!(list.encoding(), Encoding::Quicklist);

    let counted = limit_of_setting(3);
    let mut list = List::new();
    (0..3).for_each(|_| list.push(End::Back, b"x", counted));
    assert_eq!(list.encoding(), Encoding::Listpack);
    list.push(End::Back, b"x", counted);
    assert_eq!(list.encoding(), Encoding::Quicklist);
    list.pop(End::Back, counted);
    list.pop(End::Back, counted);
    assert_eq!(list.encoding(), Encoding::Quicklist);
    list.pop(End::Back, counted);
    assert_eq!(list.encoding(), Encoding::Listpack);
}

#[test]
fn settings_of_the_limit() {
    let bytes = [-1, -2, -3, -4, -5, -6, i32::MIN].map(|setting| limit_of_setting(setting).bytes);
    assert_eq!(bytes, [4096, 8192, 16_384, 32_768, 65_536, 65_536, 65_536]);
    let elements = [0, 1, 128, i32::MAX].map(|setting| limit_of_setting(setting).elements);
    assert_eq!(elements, [1, 1, 128, i32::MAX as u32]);
    assert_eq!(limit_of_setting(128).bytes, 8192);
}

#[test]
fn many_small_elements_take_few_bytes() {
    const ELEMENTS: usize = 1_000_000;
    let limit = limit_of_setting(-2);
    let mut list = List::new();
    (0..ELEMENTS).for_each(|n| list.push(End::Back, n.to_string().as_bytes(), limit));
    list.check_invariants();
    // A listpack takes 5 bytes for each.
    assert!(list.heap_bytes() < ELEMENTS * 7 / 2, "{}", list.heap_bytes());
    let mut list = List::new();
    (0..ELEMENTS).for_each(|n| list.push(End::Front, format!("element:{n}").as_bytes(), limit));
    // A listpack takes 16 bytes for each.
    assert!(list.heap_bytes() < ELEMENTS * 7, "{}", list.heap_bytes());
    assert_eq!(list.get(ELEMENTS / 3).map(|item| item.to_vec()), Some(b"element:666666".to_vec()));
}
