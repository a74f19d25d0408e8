//! Bytes drive a structure and a plain one, which have to agree all the time: the first says which structure,
//! the second its limits, the others what happens to it. What is left in the end is written and read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use polder::keyspace::{Moved, Value};
use polder::persist::rdb::{dump, verify};
use polder::types::hash::{Deadline, Edited, Hash, Outcome, View};
use polder::types::packed::{End, Limit, Packed, Wanted};
use polder::types::stream::{Id, Stream, Threshold, Trim};
use polder::types::{Collection, List, NEVER, Set, SortedSet, hash, set, sorted_set, stream};

use super::{Choices, value};

const OPERATIONS_MAX: usize = 300;
/// More elements are compared only now and then.
const COMPARED_MAX: usize = 40;

type Text = Vec<u8>;

pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(6) {
        0 => packed(&mut choices),
        1 => list(&mut choices),
        2 => set(&mut choices),
        3 => hash(&mut choices),
        4 => sorted_set(&mut choices),
        _ => stream(&mut choices),
    }
}

/// Calls `operate` until the choices are used up, with whether to compare everything.
fn drive(choices: &mut Choices<'_>, mut operate: impl FnMut(&mut Choices<'_>, bool)) {
    for number in 0..OPERATIONS_MAX {
        if choices.is_empty() {
            break;
        }
        operate(choices, number % 16 == 15);
    }
}

/// What is left is written and read, and then freed in steps.
fn end<T: Collection + Clone>(collection: T) {
    if let Some(moved) = Moved::of_collection(collection.clone()) {
        value::check_written(&moved, 50);
    }
    let mut collection = collection;
    while collection.free_some(3) > 0 {}
}

fn end_of(back: bool) -> End {
    if back { End::Back } else { End::Front }
}

fn limit_of(choices: &mut Choices<'_>) -> Limit {
    Limit { bytes: choices.pick(&[4096, 64, 300, 65_536]), elements: choices.pick(&[10_000, 3, 40]) }
}

fn packed(choices: &mut Choices<'_>) {
    let limit = limit_of(choices);
    let (mut packed, mut model) = (Packed::new(), VecDeque::<Text>::new());
    drive(choices, |choices, compare| {
        match choices.below(10) {
            0..4 => {
                let (back, element) = (choices.flag(), choices.text());
                let was_empty = model.is_empty();
                let pushed = packed.push(end_of(back), &element, limit);
                assert!(pushed || !was_empty);
                match (pushed, back) {
                    (false, _) => {}
                    (true, true) => model.push_back(element),
                    (true, false) => model.push_front(element),
                }
            }
            4 => {
                let (back, count) = (choices.flag(), choices.below(20).min(model.len()));
                packed.cut(end_of(back), count);
                if back { model.truncate(model.len() - count) } else { drop(model.drain(..count)) }
            }
            5 => {
                let (index, element) = (usize::from(choices.byte()), choices.text());
                if packed.insert(index, &element, limit) {
                    model.insert(index.min(model.len()), element);
                }
            }
            6 if !model.is_empty() => {
                let (index, element) = (choices.below(model.len()), choices.text());
                if packed.replace(index, &element, limit) {
                    model[index] = element;
                }
            }
            7 if !model.is_empty() => {
                let (back, count) = (choices.flag(), choices.below(4));
                let wanted = model[choices.below(model.len())].clone();
                let removed = packed.remove(end_of(back), count, &Wanted::new(&wanted));
                assert_eq!(removed, remove_from(&mut model, back, count, &wanted));
            }
            8 => {
                let (index, keep_tail) = (usize::from(choices.byte()), choices.flag());
                let tail = packed.split_off(index);
                let model_tail = model.split_off(index.min(model.len()));
                compare_packed(&tail, &model_tail);
                compare_packed(&packed, &model);
                if keep_tail {
                    (packed, model) = (tail, model_tail);
                }
            }
            _ => {
                let (period, mut index) = (choices.below(5) + 1, 0);
                packed.remove_where(|_| {
                    index += 1;
                    index % period == 0
                });
                let mut index = 0;
                model.retain(|_| {
                    index += 1;
                    index % period != 0
                });
                packed = packed.clone();
            }
        }
        if compare || model.len() < COMPARED_MAX {
            compare_packed(&packed, &model);
        }
    });
    compare_packed(&packed, &model);
}

/// Removes up to `count` elements from an end on; returns how many.
fn remove_from(model: &mut VecDeque<Text>, back: bool, count: usize, wanted: &Text) -> usize {
    let mut found: Vec<usize> = (0..model.len()).filter(|&index| model[index] == *wanted).collect();
    if !back {
        found.reverse();
    }
    let chosen = found.split_off(found.len().saturating_sub(count));
    let mut sorted = chosen;
    sorted.sort_unstable();
    sorted.iter().rev().for_each(|&index| drop(model.remove(index)));
    sorted.len()
}

fn compare_packed(packed: &Packed, model: &VecDeque<Text>) {
    assert_eq!((packed.len(), packed.is_empty()), (model.len(), model.is_empty()));
    assert!(packed.iter_from(0).map(|item| item.to_vec()).eq(model.iter().cloned()));
    assert!(packed.iter_back_from(usize::MAX).map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
    for index in [0, model.len() / 3, model.len() / 2 + 1, model.len().saturating_sub(1), model.len()] {
        assert_eq!(packed.get(index).map(|item| item.to_vec()).as_ref(), model.get(index));
        assert!(packed.iter_from(index).map(|item| item.to_vec()).eq(model.iter().skip(index).cloned()));
    }
}

fn list(choices: &mut Choices<'_>) {
    let limit = limit_of(choices);
    let (mut list, mut model) = (List::new(), VecDeque::<Text>::new());
    let compare_all = |list: &List, model: &VecDeque<Text>| {
        assert_eq!(list.len(), model.len());
        assert!(list.iter().map(|item| item.to_vec()).eq(model.iter().cloned()));
        assert!(list.iter_back_from(usize::MAX).map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
        let middle = model.len() / 2;
        assert_eq!(list.get(middle).map(|item| item.to_vec()).as_ref(), model.get(middle));
    };
    drive(choices, |choices, compare| {
        match choices.below(10) {
            0..4 => {
                let (back, element) = (choices.flag(), choices.text());
                list.push(end_of(back), &element, limit);
                if back { model.push_back(element) } else { model.push_front(element) }
            }
            4 => {
                let back = choices.flag();
                let expected = if back { model.pop_back() } else { model.pop_front() };
                assert_eq!(list.peek(end_of(back)).map(|item| item.to_vec()), expected);
                list.pop(end_of(back), limit);
            }
            5 => {
                let (back, count) = (choices.flag(), choices.below(30));
                let count = count.min(model.len());
                // Some of what goes may be freed at once.
                assert!(list.cut(end_of(back), count, limit).len() <= count);
                assert_eq!(list.len() + count, model.len());
                if back { model.truncate(model.len() - count) } else { drop(model.drain(..count)) }
            }
            6 => {
                let (index, element) = (usize::from(choices.byte()), choices.text());
                list.insert(index, &element, limit);
                model.insert(index.min(model.len()), element);
            }
            7 => {
                let (index, element) = (usize::from(choices.byte()), choices.text());
                assert_eq!(list.set(index, &element, limit), index < model.len());
                if let Some(place) = model.get_mut(index) {
                    *place = element;
                }
            }
            8 if !model.is_empty() => {
                let (back, count) = (choices.flag(), 1 + choices.below(4));
                let wanted = model[choices.below(model.len())].clone();
                let removed = list.remove(end_of(back), count, &Wanted::new(&wanted), limit);
                assert_eq!(removed, remove_from(&mut model, back, count, &wanted));
            }
            _ => list = list.clone(),
        }
        if compare || model.len() < COMPARED_MAX {
            compare_all(&list, &model);
        }
    });
    compare_all(&list, &model);
    end(list);
}

fn set(choices: &mut Choices<'_>) {
    let limits = set::Limits {
        integers: choices.pick(&[512, 0, 5]),
        entries: choices.pick(&[128, 0, 5]),
        member_bytes: choices.pick(&[64, 1, 1 << 20]),
    };
    let (mut set, mut model) = (Set::new(), BTreeSet::<Text>::new());
    let only_integers = choices.flag();
    let member = |choices: &mut Choices<'_>| {
        if only_integers { choices.integer().to_string().into_bytes() } else { choices.text() }
    };
    let compare_all = |set: &Set, model: &BTreeSet<Text>| {
        let (mut visited, mut scanned) = (BTreeSet::new(), BTreeSet::new());
        set.for_each(|item| assert!(visited.insert(item.to_vec())));
        assert_eq!((&visited, set.len()), (model, model.len()));
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 7, |item| {
                scanned.insert(item.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&scanned, model);
        assert!(model.iter().all(|member| set.contains(member)));
    };
    drive(choices, |choices, compare| {
        match choices.below(8) {
            0..4 => {
                let member = member(choices);
                assert_eq!(set.add(&member, limits), model.insert(member));
            }
            4 => {
                let member = member(choices);
                assert_eq!(set.remove(&member), model.remove(&member));
            }
            5 => {
                let member = member(choices);
                assert_eq!(set.contains(&member), model.contains(&member));
            }
            6 => {
                let mut state = u64::from(choices.byte());
                let mut popped = None;
                // Draws go on until they hit, so it has to be a sequence that reaches everything.
                let mut below = |bound: usize| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) as usize % bound
                };
                let some = set.pop(&mut below, |item| popped = Some(item.to_vec()));
                assert_eq!(some, !model.is_empty());
                assert!(popped.is_none_or(|member| model.remove(&member)));
            }
            _ => {
                set.expect(choices.below(200), limits);
                set = set.clone();
            }
        }
        if compare || model.len() < COMPARED_MAX {
            compare_all(&set, &model);
        }
    });
    compare_all(&set, &model);
    end(set);
}

/// A hash as a database keeps it: as elements as long as they do, and then as a structure.
enum Stored {
    Elements(Text),
    Hash(Hash),
}

impl Stored {
    fn view(&self) -> View<'_> {
        match self {
            Stored::Elements(bytes) => View::of_elements(bytes),
            Stored::Hash(hash) => hash.view(),
        }
    }

    fn edit<T>(&mut self, edit: impl FnOnce(&mut Edited<'_>) -> T) -> T {
        let mut edited = match self {
            Stored::Elements(bytes) => Edited::of_elements(bytes),
            Stored::Hash(hash) => Edited::of_hash(hash),
        };
        let result = edit(&mut edited);
        let after = match edited.finish() {
            Outcome::Elements(bytes) => Some(Stored::Elements(bytes.to_vec())),
            Outcome::Grown(hash) => Some(Stored::Hash(hash)),
            Outcome::Stored => None,
        };
        drop(edited);
        if let Some(after) = after {
            *self = after;
        }
        result
    }
}

fn hash(choices: &mut Choices<'_>) {
    let limits =
        hash::Limits { entries: choices.pick(&[512, 0, 5]), value_bytes: choices.pick(&[64, 1, 100_000]) };
    let (mut stored, mut model) = (Stored::Elements(Vec::new()), BTreeMap::<Text, (Text, i64)>::new());
    let mut now = 0;
    let compare_all = |stored: &Stored, model: &BTreeMap<Text, (Text, i64)>| {
        let (view, mut fields) = (stored.view(), BTreeMap::new());
        view.for_each(|name, value| {
            let deadline = view.deadline(&name.to_vec()).expect("it is there");
            assert!(fields.insert(name.to_vec(), (value.to_vec(), deadline)).is_none());
        });
        assert_eq!(&fields, model);
        assert!(
            model.iter().all(|(name, (value, _))| view.get(name).is_some_and(|item| item.to_vec() == *value))
        );
    };
    drive(choices, |choices, compare| {
        match choices.below(9) {
            0..3 => {
                let (name, value) = (choices.text(), choices.text());
                let added = stored.edit(|hash| hash.set(&name, &value, limits));
                assert_eq!(added, model.insert(name, (value, NEVER)).is_none());
            }
            3 => {
                let (name, value) = (choices.text(), choices.text());
                stored.edit(|hash| hash.update(&name, limits, Deadline::Keep, |_| Some(&value)));
                model.entry(name).or_insert((Vec::new(), NEVER)).0 = value;
            }
            4 | 5 => {
                let name = choices.text();
                assert_eq!(stored.edit(|hash| hash.remove(&name)), model.remove(&name).is_some());
            }
            6 => {
                let at = if choices.below(4) == 0 { NEVER } else { now + 1 + i64::from(choices.byte()) };
                let name = choices.text();
                stored.edit(|hash| hash.set_deadline(&name, at));
                if let Some((_, deadline)) = model.get_mut(&name) {
                    *deadline = at;
                }
            }
            7 => {
                now += i64::from(choices.byte());
                let budget = choices.pick(&[0, 1, 3, usize::MAX]);
                if let Stored::Hash(hash) = &mut stored {
                    hash.expire(now, budget);
                }
                model.retain(|_, (_, deadline)| *deadline > now);
            }
            _ => {
                if let Stored::Hash(hash) = &mut stored {
                    *hash = hash.clone();
                }
            }
        }
        if compare || model.len() < COMPARED_MAX {
            compare_all(&stored, &model);
        }
    });
    compare_all(&stored, &model);
    if let Stored::Hash(mut hash) = stored {
        hash.expire(now, usize::MAX);
        assert_eq!(hash.view().len(), model.len());
        if !model.is_empty() {
            let payload = dump(Value::Hash(hash.view()), true);
            let written = verify(&payload).expect("it is a payload");
            assert!(value::check(written, 100, 50), "what was written is a value");
        }
        while hash.free_some(3) > 0 {}
    }
}

fn sorted_set(choices: &mut Choices<'_>) {
    let limits = sorted_set::Limits {
        entries: choices.pick(&[128, 0, 5, 10_000]),
        member_bytes: choices.pick(&[64, 1, 100_000]),
    };
    let (mut set, mut model) = (SortedSet::new(), BTreeMap::<Text, f64>::new());
    let in_order = |model: &BTreeMap<Text, f64>| {
        let mut elements: Vec<(Text, f64)> =
            model.iter().map(|(member, &score)| (member.clone(), score)).collect();
        elements.sort_by(|(a, x), (b, y)| (x + 0.0).total_cmp(&(y + 0.0)).then_with(|| a.cmp(b)));
        elements
    };
    let compare_all = |set: &SortedSet, model: &BTreeMap<Text, f64>| {
        let expected = in_order(model);
        let elements = || set.iter(0..set.len()).map(|(member, score)| (member.to_vec(), score));
        assert!(
            elements().eq(expected.iter().cloned()) && elements().rev().eq(expected.iter().rev().cloned())
        );
        for (rank, (member, score)) in expected.iter().enumerate() {
            assert_eq!(set.rank(member), Some((rank, *score)));
            assert_eq!(set.at(rank), Some((&member[..], *score)));
        }
    };
    drive(choices, |choices, compare| {
        match choices.below(8) {
            0..5 => {
                let score = match choices.below(4) {
                    0 => f64::from_bits(choices.word()),
                    1 => choices.pick(&[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e17, 0.1]),
                    _ => choices.integer() as f64,
                };
                let member = choices.text();
                if !score.is_nan() {
                    assert_eq!(set.insert(&member, score, limits), model.insert(member, score));
                }
            }
            5 => {
                let member = choices.text();
                assert_eq!(set.remove(&member), model.remove(&member));
            }
            6 => {
                let (start, count) = (choices.below(40), choices.below(10));
                let mut removed = Vec::new();
                let start = start.min(model.len());
                set.remove_ranks(start..start + count, |member, score| {
                    removed.push((member.to_vec(), score))
                });
                let expected: Vec<_> = in_order(&model).into_iter().skip(start).take(count).collect();
                assert_eq!(removed, expected);
                model.retain(|member, _| !expected.iter().any(|(gone, _)| gone == member));
            }
            _ => set = set.clone(),
        }
        if compare || model.len() < COMPARED_MAX {
            compare_all(&set, &model);
        }
    });
    compare_all(&set, &model);
    end(set);
}

type Fields = Vec<(Text, Text)>;

fn stream(choices: &mut Choices<'_>) {
    let limits =
        stream::Limits { bytes: choices.pick(&[4096, 200, 65_536]), entries: choices.pick(&[100, 5, 1]) };
    let (mut stream, mut model, mut last) = (Stream::new(), BTreeMap::<Id, Fields>::new(), Id::MIN);
    let compare_all = |stream: &Stream, model: &BTreeMap<Id, Fields>| {
        let log = stream.log();
        let fields = |entry: stream::Entry<'_>| {
            (
                entry.id,
                entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Fields>(),
            )
        };
        assert_eq!(log.len(), model.len() as u64);
        assert_eq!(log.first_entry_id(), model.keys().next().copied());
        assert_eq!(log.last_entry_id(), model.keys().next_back().copied());
        let middle = model.keys().nth(model.len() / 2).copied().unwrap_or(Id::MIN);
        for (from, to) in [(Id::MIN, Id::MAX), (middle, Id::MAX), (Id::MIN, middle)] {
            let expected = model.range(from..=to).map(|(&id, fields)| (id, fields.clone()));
            assert!(log.range(from, to).map(fields).eq(expected.clone()));
            assert!(log.range_back(from, to).map(fields).eq(expected.rev()));
        }
        assert_eq!(log.get(middle).is_some(), model.contains_key(&middle));
    };
    drive(choices, |choices, compare| {
        match choices.below(8) {
            0..5 => {
                let distance = if choices.below(8) == 0 { choices.word() } else { choices.below(70) as u64 };
                let id = match choices.below(3) {
                    0 => last.ms.checked_add(distance.max(1)).map(|ms| Id::new(ms, 0)),
                    1 => last.ms.checked_add(distance.max(1)).map(|ms| Id::new(ms, distance)),
                    _ => last.seq.checked_add(distance.max(1)).map(|seq| Id::new(last.ms, seq)),
                };
                let Some(id) = id else { return };
                let names = choices.below(4);
                let fields: Fields = match names {
                    0 => (0..1 + choices.below(3)).map(|_| (choices.text(), choices.text())).collect(),
                    _ => (0..names).map(|number| (vec![b'a' + number as u8], choices.text())).collect(),
                };
                let pairs = fields.iter().map(|(name, value)| (&name[..], &value[..]));
                stream.log_mut().append(id, pairs, limits);
                model.insert(id, fields);
                last = id;
            }
            5 => {
                let known = model.keys().nth(choices.below(COMPARED_MAX)).copied();
                let id = known.unwrap_or(Id::new(u64::from(choices.byte()), 1));
                assert_eq!(stream.log_mut().delete(id), model.remove(&id).is_some());
            }
            6 => {
                let position = choices.below(20);
                let at = model.keys().nth(position).copied().unwrap_or(last);
                let (by_length, approximate) = (choices.flag(), choices.flag());
                let threshold =
                    if by_length { Threshold::Length(position as u64) } else { Threshold::Id(at) };
                let limit = (approximate && choices.flag()).then(|| choices.below(10) as u64);
                let wanted = match threshold {
                    Threshold::Length(most) => model.len().saturating_sub(most as usize),
                    Threshold::Id(id) => model.range(..id).count(),
                };
                let (removed, _) = stream.trim(Trim { threshold, approximate, limit });
                assert!(removed as usize <= wanted && limit.is_none_or(|limit| removed <= limit));
                assert!(approximate || removed as usize == wanted);
                (0..removed).for_each(|_| drop(model.pop_first()));
            }
            _ => stream = stream.clone(),
        }
        if compare || model.len() < COMPARED_MAX {
            compare_all(&stream, &model);
        }
    });
    compare_all(&stream, &model);
    end(stream);
}
