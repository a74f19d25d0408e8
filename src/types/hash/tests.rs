//! Hashes against a plain model: a map from name to value.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::types::packed::Item;
use crate::types::packed::tests::element;

/// Values and deadlines by names.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

const SMALL: Limits = Limits { entries: 128, value_bytes: 64 };
const ALWAYS_LARGE: Limits = Limits { entries: 0, value_bytes: 0 };

/// A hash as a database keeps it: as elements as long as they do, and then as a structure.
#[derive(Clone, Debug)]
enum Stored {
    Elements(Vec<u8>),
    Hash(Hash),
}

impl Stored {
    fn new() -> Stored {
        Stored::Elements(Vec::new())
    }

    fn view(&self) -> View<'_> {
        match self {
            Stored::Elements(bytes) => View::of_elements(bytes),
            Stored::Hash(hash) => hash.view(),
        }
    }

    /// Lets `edit` change the hash; says whether it did.
    fn edit(&mut self, edit: impl FnOnce(&mut Edited<'_>)) -> bool {
        let mut edited = match self {
            Stored::Elements(bytes) => Edited::of_elements(bytes),
            Stored::Hash(hash) => Edited::of_hash(hash),
        };
        edit(&mut edited);
        let changed = edited.is_changed();
        let after = match edited.finish() {
            Outcome::Elements(bytes) => Some(Stored::Elements(bytes.to_vec())),
            Outcome::Grown(hash) => Some(Stored::Hash(hash)),
            Outcome::Stored => None,
        };
        drop(edited);
        if let Some(after) = after {
            *self = after;
        }
        changed
    }

    fn set(&mut self, name: &[u8], value: &[u8], limits: Limits) -> bool {
        let mut added = false;
        self.edit(|hash| added = hash.set(name, value, limits));
        added
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        self.edit(|hash| {
            hash.remove(name);
        })
    }

    fn set_deadline(&mut self, name: &[u8], deadline: i64) {
        self.edit(|hash| hash.set_deadline(name, deadline));
    }

    /// The structure, or an empty one.
    fn hash(&mut self) -> &mut Hash {
        if let Stored::Elements(bytes) = self {
            *self = Stored::Hash(Hash::of_elements(bytes));
        }
        match self {
            Stored::Hash(hash) => hash,
            Stored::Elements(_) => unreachable!(),
        }
    }

    fn expire(&mut self, now: i64, budget: usize) -> usize {
        match self {
            Stored::Elements(_) => 0,
            Stored::Hash(hash) => hash.expire(now, budget),
        }
    }
}

fn fields(hash: View<'_>) -> Model {
    let mut fields = Model::new();
    hash.for_each(|name, value| {
        let deadline = hash.deadline(&name.to_vec()).unwrap();
        assert_eq!(fields.insert(name.to_vec(), (value.to_vec(), deadline)), None);
    });
    fields
}

/// All that can be asked of a hash, compared with the model.
fn assert_same(stored: &Stored, model: &Model) {
    if let Stored::Hash(hash) = stored {
        hash.check_invariants();
    }
    let hash = stored.view();
    assert_eq!(&fields(hash), model);
    for (name, (value, deadline)) in model {
        assert_eq!(hash.get(name).map(|value| value.to_vec()).as_ref(), Some(value));
        assert_eq!(hash.deadline(name), Some(*deadline));
    }
    assert!(hash.get(b"no field").is_none() && hash.deadline(b"no field").is_none());
    let mut scanned = BTreeSet::new();
    let next = hash.scan(0, usize::MAX, |name, _| {
        scanned.insert(name.to_vec());
    });
    assert!(next == 0 && scanned.iter().eq(model.keys()));
}

#[derive(Clone, Debug)]
enum Operation {
    Set(Vec<u8>, Vec<u8>),
    SetIfMissing(Vec<u8>, Vec<u8>),
    SetKeeping(Vec<u8>, Vec<u8>),
    Fill(u16, u16),
    Remove(Vec<u8>),
    Expire(Vec<u8>, i64),
    ExpireMany(u16, u16, i64),
    Persist(Vec<u8>),
    /// Time passes, and so many fields that are due are removed.
    Pass(i64, usize),
    Clone,
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => element(),
        1 => prop::sample::select(vec![63usize, 64, 65, 250, 255, 256, 65_535, 65_536, 70_000])
            .prop_map(|length| vec![b'v'; length]),
    ]
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => (0u8..20).prop_map(|number| format!("field:{number}").into_bytes()), 1 => values()]
}

fn operations() -> impl Strategy<Value = Operation> {
    let times = || 0..100i64;
    prop_oneof![
        8 => (names(), values()).prop_map(|(name, value)| Operation::Set(name, value)),
        2 => (names(), values()).prop_map(|(name, value)| Operation::SetIfMissing(name, value)),
        2 => (names(), values()).prop_map(|(name, value)| Operation::SetKeeping(name, value)),
        1 => (0u16..500, 0u16..100).prop_map(|(start, count)| Operation::Fill(start, count)),
        4 => names().prop_map(Operation::Remove),
        4 => (names(), times()).prop_map(|(name, after)| Operation::Expire(name, after)),
        1 => (0u16..500, 0u16..100, times())
            .prop_map(|(start, count, after)| Operation::ExpireMany(start, count, after)),
        2 => names().prop_map(Operation::Persist),
        3 => (times(), 0..40usize).prop_map(|(after, budget)| Operation::Pass(after, budget)),
        1 => Just(Operation::Clone),
    ]
}

/// A hash, its model and the time.
struct Pair {
    hash: Stored,
    model: Model,
    now: i64,
    limits: Limits,
}

impl Pair {
    fn expire(&mut self, name: &[u8], after: i64) {
        let at = self.now + 1 + after;
        if let Some((_, deadline)) = self.model.get_mut(name) {
            *deadline = at;
        }
        self.hash.set_deadline(name, at);
    }

    fn apply(&mut self, operation: &Operation) {
        let Pair { hash, model, limits, .. } = self;
        match operation {
            Operation::Set(name, value) => {
                let added = hash.set(name, value, *limits);
                assert_eq!(added, model.insert(name.clone(), (value.clone(), NEVER)).is_none());
            }
            Operation::SetIfMissing(name, value) => {
                let changed = hash.edit(|hash| {
                    hash.update(name, *limits, Deadline::Keep, |present| {
                        let expected = model.get(name).map(|(value, _)| value);
                        assert_eq!(present.map(|value| value.to_vec()).as_ref(), expected);
                        present.is_none().then_some(value)
                    });
                });
                assert_eq!(changed, !model.contains_key(name));
                model.entry(name.clone()).or_insert_with(|| (value.clone(), NEVER));
            }
            Operation::SetKeeping(name, value) => {
                hash.edit(|hash| hash.update(name, *limits, Deadline::Keep, |_| Some(value)));
                model.entry(name.clone()).or_insert((Vec::new(), NEVER)).0 = value.clone();
            }
            Operation::Fill(start, count) => {
                // All in one edit, as a command sets them.
                hash.edit(|hash| {
                    for number in *start..start + count {
                        let name = format!("field:{number}").into_bytes();
                        hash.set(&name, number.to_string().as_bytes(), *limits);
                        model.insert(name, (number.to_string().into_bytes(), NEVER));
                    }
                });
            }
            Operation::Remove(name) => assert_eq!(hash.remove(name), model.remove(name).is_some()),
            Operation::Expire(name, after) => self.expire(name, *after),
            Operation::ExpireMany(start, count, after) => {
                for number in *start..start + count {
                    self.expire(format!("field:{number}").as_bytes(), after + i64::from(number % 7));
                }
            }
            Operation::Persist(name) => {
                hash.set_deadline(name, NEVER);
                if let Some((_, deadline)) = model.get_mut(name) {
                    *deadline = NEVER;
                }
            }
            Operation::Pass(after, budget) => {
                self.now += after;
                let now = self.now;
                let due = model.values().filter(|(_, deadline)| *deadline <= now).count();
                if due == model.len() && due > 0 {
                    assert!(hash.hash().all_due(now));
                }
                hash.expire(now, *budget);
                model.retain(|_, (_, deadline)| *deadline > now);
            }
            Operation::Clone => {
                let clone = hash.clone();
                let before = std::mem::replace(hash, clone);
                assert_eq!(fields(before.view()), fields(hash.view()));
            }
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
        let mut pair = Pair { hash: Stored::new(), model: Model::new(), now: 0, limits };
        for operation in &operations {
            pair.apply(operation);
        }
        assert_same(&pair.hash, &pair.model);
        let Pair { mut hash, model, now, .. } = pair;
        hash.expire(now, usize::MAX);
        assert_same(&hash, &model);
        prop_assert_eq!(hash.view().len(), model.len());
        let encoding = hash.view().encoding();
        prop_assert!(encoding == Encoding::HashTable || model.len() <= limits.entries);
        let first = model.values().map(|(_, deadline)| *deadline).min().unwrap_or(NEVER);
        if let Stored::Hash(hash) = &hash {
            prop_assert_eq!((hash.first_deadline(), hash.all_due(now)), (first, false));
        } else {
            prop_assert_eq!(first, NEVER);
        }
        for name in model.keys() {
            prop_assert!(hash.remove(name));
        }
        prop_assert!(hash.view().is_empty());
        let hash = hash.hash();
        while hash.free_some(10) > 0 {}
        prop_assert_eq!(hash.heap_bytes(), 0);
    }
}

#[test]
fn it_becomes_large_at_its_limits() {
    let encoding = |fields: usize, name: usize, value: usize| {
        let mut hash = Stored::new();
        for number in 0..fields {
            hash.set(format!("{number:0name$}").as_bytes(), &vec![b'v'; value], SMALL);
        }
        assert_eq!(hash.view().len(), fields);
        hash.view().encoding()
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
    let mut hash = Stored::new();
    assert!(hash.set(b"f", b"short", SMALL));
    assert!(!hash.set(b"f", &[b'l'; 65], SMALL));
    assert_eq!((hash.view().len(), hash.view().encoding()), (1, Encoding::HashTable));
    assert!(!hash.set(b"f", b"short", SMALL));
    assert_eq!(hash.view().get(b"f"), Some(Item::Bytes(b"short")));
    hash.hash().check_invariants();
}

#[test]
fn fields_are_drawn_with_the_same_chance() {
    for (limits, length) in [(SMALL, 50usize), (ALWAYS_LARGE, 50), (ALWAYS_LARGE, 3_000)] {
        let mut hash = Stored::new();
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
            let field = hash.view().draw(&mut below).unwrap();
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
    assert!(Stored::new().view().draw(&mut |_| 0).is_none());
}

#[test]
fn a_large_hash_is_freed_in_steps() {
    let mut hash = Stored::new();
    for number in 0..50_000u32 {
        hash.set(&number.to_le_bytes(), b"value", ALWAYS_LARGE);
    }
    for number in 0..10_000u32 {
        hash.set_deadline(&number.to_le_bytes(), i64::from(number % 100));
    }
    hash.hash().check_invariants();
    let hash = hash.hash();
    let full = hash.heap_bytes();
    let mut steps = 0;
    while hash.free_some(1_000) > 0 {
        steps += 1;
        assert!(hash.heap_bytes() < full);
    }
    assert!((20..60).contains(&steps), "{steps}");
    assert_eq!(hash.heap_bytes(), 0);
}

/// Fields that are due and not removed yet are missing, and can be set anew.
#[test]
fn what_is_due_is_missing_before_it_is_removed() {
    let mut hash = Stored::new();
    for number in 0..100 {
        let name = format!("f{number}").into_bytes();
        hash.set(&name, b"v", ALWAYS_LARGE);
        hash.set_deadline(&name, 1_000 + i64::from(number < 50));
    }
    assert!(!hash.hash().all_due(1_000) && hash.hash().all_due(1_001));
    assert_eq!(hash.expire(999, 10), 0);
    assert_eq!(hash.expire(1_000, 10), 10);
    assert_eq!((hash.view().len(), fields(hash.view()).len()), (90, 50));
    for number in 50..100 {
        let name = format!("f{number}").into_bytes();
        assert!(
            hash.view().get(&name).is_none() && hash.view().deadline(&name).is_none() && !hash.remove(&name)
        );
        assert!(hash.set(&name, b"w", ALWAYS_LARGE), "it is a new field");
        assert_eq!(hash.view().deadline(&name), Some(NEVER));
    }
    hash.hash().check_invariants();
    assert_eq!((hash.view().len(), hash.expire(1_000, usize::MAX)), (100, 0));
    assert_eq!(hash.expire(2_000, usize::MAX), 50);
    assert_eq!((hash.view().len(), hash.hash().first_deadline()), (50, NEVER));
}

/// A hash whose fields never had a deadline takes no byte more for it.
#[test]
fn a_plain_hash_does_not_pay_for_deadlines() {
    let (mut plain, mut timed) = (Stored::new(), Stored::new());
    for number in 0..1_000u32 {
        for hash in [&mut plain, &mut timed] {
            hash.set(&number.to_le_bytes(), b"some value", ALWAYS_LARGE);
        }
        timed.set_deadline(&number.to_le_bytes(), 1_000);
        timed.set_deadline(&number.to_le_bytes(), NEVER);
    }
    assert!(
        timed.hash().heap_bytes() - plain.hash().heap_bytes() <= 100,
        "the order is empty again, its box is left"
    );
}

/// From elements to a block of their own, where that is all that changes.
#[test]
fn elements_go_on_in_a_block() {
    let mut hash = Stored::new();
    let mut model = Model::new();
    for number in 0..100 {
        let (name, value) = (format!("field:{number}").into_bytes(), format!("value {number}").into_bytes());
        hash.set(&name, &value, SMALL);
        model.insert(name, (value, NEVER));
        let Stored::Elements(bytes) = &hash else { break };
        assert!(bytes.len() <= ELEMENTS_BYTES_MAX);
    }
    assert!((20..30).contains(&model.len()), "{}", model.len());
    assert_eq!(hash.view().encoding(), Encoding::Listpack);
    assert_same(&hash, &model);
}
