//! Sorted sets against a plain model: a map from member to score, sorted anew for every question.

use std::collections::BTreeMap;

use ahash::RandomState;
use proptest::prelude::*;

use super::*;
use crate::types::score;

type Model = BTreeMap<Vec<u8>, f64>;

const SMALL: Limits = Limits { entries: 128, member_bytes: 64 };
const ALWAYS_LARGE: Limits = Limits { entries: 0, member_bytes: 0 };

fn in_order(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut elements: Vec<(Vec<u8>, f64)> =
        model.iter().map(|(member, &score)| (member.clone(), score)).collect();
    elements.sort_by(|(a, x), (b, y)| x.partial_cmp(y).unwrap().then_with(|| a.cmp(b)));
    elements
}

fn elements(set: &SortedSet, ranks: Range<usize>) -> Vec<(Vec<u8>, f64)> {
    set.iter(ranks).map(|(member, score)| (member.to_vec(), score)).collect()
}

fn reversed(set: &SortedSet, ranks: Range<usize>) -> Vec<(Vec<u8>, f64)> {
    set.iter(ranks).rev().map(|(member, score)| (member.to_vec(), score)).collect()
}

/// All that can be asked of a set, compared with the model.
fn assert_same(set: &SortedSet, model: &Model) {
    set.check_invariants();
    let expected = in_order(model);
    assert_eq!(set.len(), expected.len());
    assert_eq!(elements(set, 0..set.len()), expected);
    let backwards: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(reversed(set, 0..usize::MAX), backwards);
    for (rank, (member, score)) in expected.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member), Some((rank, *score)));
        assert_eq!(set.at(rank), Some((&member[..], *score)));
    }
    assert_eq!(set.at(expected.len()), None);
}

/// Few scores, so that many are equal, and all kinds of them.
fn scores() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3i32..4).prop_map(f64::from),
        prop::sample::select(vec![
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            0.1,
            -0.5,
            127.0,
            128.0,
            -129.0,
            32768.0,
            -32769.0,
            2147483648.0,
            1.7e12,
            281474976710655.0,
            1e15,
            1e300,
        ]),
        any::<f64>().prop_filter("no score is NaN", |score| !score.is_nan()),
    ]
}

fn members() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u8..40).prop_map(|number| format!("m{number}").into_bytes()),
        prop::collection::vec(prop::sample::select(vec![0u8, b'a', 255]), 0..4),
        prop::sample::select(vec![29usize, 30, 31, 32, 239, 240, 241, 254, 255, 256, 5000])
            .prop_map(|length| vec![b'x'; length]),
    ]
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(Vec<u8>, f64),
    /// Many in a row, ascending or descending.
    Fill(u16, u16, bool),
    Add(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRanks(usize, usize),
    Ranks(ScoreBound, ScoreBound),
    Clone,
}

fn bounds() -> impl Strategy<Value = ScoreBound> {
    (scores(), any::<bool>()).prop_map(|(score, exclusive)| ScoreBound { score, exclusive })
}

fn bound(form: usize, end: &[u8]) -> MemberBound<'_> {
    match form {
        0 => MemberBound::Least,
        1 => MemberBound::Greatest,
        2 => MemberBound::Inclusive(end),
        _ => MemberBound::Exclusive(end),
    }
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (members(), scores()).prop_map(|(member, score)| Operation::Insert(member, score)),
        1 => (0u16..1000, 0u16..300, any::<bool>()).prop_map(|(a, b, up)| Operation::Fill(a, b, up)),
        2 => (members(), scores()).prop_map(|(member, score)| Operation::Add(member, score)),
        4 => members().prop_map(Operation::Remove),
        1 => (0usize..300, 0usize..200).prop_map(|(start, count)| Operation::RemoveRanks(start, count)),
        2 => (bounds(), bounds()).prop_map(|(min, max)| Operation::Ranks(min, max)),
        1 => Just(Operation::Clone),
    ]
}

/// Packed sets lose the sign of zero.
fn without_sign(score: f64) -> f64 {
    if score == 0.0 { 0.0 } else { score }
}

fn apply(set: &mut SortedSet, model: &mut Model, operation: &Operation, limits: Limits) {
    match operation {
        Operation::Insert(member, score) => {
            let score = without_sign(*score);
            assert_eq!(set.insert(member, score, limits), model.insert(member.clone(), score));
        }
        Operation::Fill(start, count, up) => {
            for step in 0..*count {
                let number = start + if *up { step } else { count - step };
                let member = format!("{number:05}").into_bytes();
                set.insert(&member, f64::from(number), limits);
                model.insert(member, f64::from(number));
            }
        }
        Operation::Add(member, more) => {
            let decide = |present: Option<f64>| {
                let sum = present? + more;
                (!sum.is_nan()).then(|| without_sign(sum))
            };
            set.update(member, limits, decide);
            if let Some(sum) = decide(model.get(member).copied()) {
                model.insert(member.clone(), sum);
            }
        }
        Operation::Remove(member) => assert_eq!(set.remove(member), model.remove(member)),
        Operation::RemoveRanks(start, count) => {
            let mut removed = Vec::new();
            set.remove_ranks(*start..start + count, |member, score| removed.push((member.to_vec(), score)));
            let expected: Vec<_> = in_order(model).into_iter().skip(*start).take(*count).collect();
            assert_eq!(removed, expected);
            expected.iter().for_each(|(member, _)| {
                model.remove(member);
            });
        }
        Operation::Ranks(min, max) => {
            let ranks = set.ranks_by_score(*min, *max);
            let inside = |score: f64| !min.above(score) && !max.below(score);
            let expected: Vec<_> = in_order(model).into_iter().filter(|(_, score)| inside(*score)).collect();
            assert_eq!(elements(set, ranks.clone()), expected);
            assert!(reversed(set, ranks).into_iter().rev().eq(expected));
        }
        Operation::Clone => {
            let clone = set.clone();
            clone.check_invariants();
            let before = std::mem::replace(set, clone);
            assert_eq!(elements(&before, 0..before.len()), elements(set, 0..set.len()));
        }
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_model(
        operations in prop::collection::vec(operations(), 1..120),
        limits in prop::sample::select(vec![
            SMALL, ALWAYS_LARGE, Limits { entries: 10, member_bytes: 1 << 20 },
            Limits { entries: 10_000, member_bytes: 10_000 },
        ]),
    ) {
        let (mut set, mut model) = (SortedSet::new(), Model::new());
        for operation in &operations {
            apply(&mut set, &mut model, operation, limits);
            prop_assert_eq!(set.len(), model.len());
        }
        assert_same(&set, &model);
        if set.encoding() == Encoding::Listpack {
            prop_assert!(set.len() <= limits.entries);
        }
    }

    #[test]
    fn ranges_of_members_are_found(
        names in prop::collection::btree_set(members(), 0..150),
        ends in (members(), members()),
        forms in (0usize..4, 0usize..4),
        limits in prop::sample::select(vec![SMALL, ALWAYS_LARGE]),
    ) {
        let mut set = SortedSet::new();
        names.iter().for_each(|name| {
            set.insert(name, 7.0, limits);
        });
        let (min, max) = (bound(forms.0, &ends.0), bound(forms.1, &ends.1));
        let inside = |name: &[u8]| {
            (match min {
                MemberBound::Least => true,
                MemberBound::Greatest => false,
                MemberBound::Inclusive(end) => name >= end,
                MemberBound::Exclusive(end) => name > end,
            }) && match max {
                MemberBound::Least => false,
                MemberBound::Greatest => true,
                MemberBound::Inclusive(end) => name <= end,
                MemberBound::Exclusive(end) => name < end,
            }
        };
        let expected: Vec<Vec<u8>> = names.iter().filter(|name| inside(name)).cloned().collect();
        let ranks = set.ranks_by_member(min, max);
        let found: Vec<Vec<u8>> = set.iter(ranks).map(|(name, _)| name.to_vec()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn both_ends_of_an_iteration_meet(
        length in 0usize..400, start in 0usize..450, end in 0usize..450,
        directions in prop::collection::vec(any::<bool>(), 400),
        limits in prop::sample::select(vec![ALWAYS_LARGE, Limits { entries: 1000, member_bytes: 64 }]),
    ) {
        let mut set = SortedSet::new();
        (0..length).for_each(|n| {
            set.insert(n.to_string().as_bytes(), n as f64, limits);
        });
        let mut elements = set.iter(start..end);
        let (mut front, mut back) = (Vec::new(), Vec::new());
        for forward in directions {
            let expected = elements.len();
            let found = if forward { elements.next() } else { elements.next_back() };
            prop_assert_eq!(found.is_some(), expected > 0);
            if let Some((_, score)) = found {
                if forward { front.push(score as usize) } else { back.push(score as usize) }
            }
        }
        front.extend(back.into_iter().rev());
        prop_assert!(front.into_iter().eq(start.min(length)..end.min(length).max(start.min(length))));
    }
}

/// A small generator whose seed is printed if the test fails.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Random {
        let given = std::env::var("POLDER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(1) >> 32);
        Random { seed, state: seed }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.state >> 33) % bound as u64) as usize
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with POLDER_SEED={}", self.seed);
        }
    }
}

/// Trees of three levels and more, that grow and shrink in every way.
#[test]
fn large_sets_come_and_go() {
    let mut random = Random::new();
    for pattern in 0..6 {
        let (mut set, mut model) = (SortedSet::new(), Model::new());
        for n in 0..12_000usize {
            let (member, score) = match pattern {
                0 => (format!("{:08}", random.below(1 << 26)), random.below(1 << 20) as f64),
                1 => (format!("{n:08}"), n as f64),
                2 => (format!("{:08}", 20_000 - n), -(n as f64)),
                3 => (format!("{:08}", random.below(1 << 26)), random.below(3) as f64),
                4 => (format!("{n:08}"), 0.0),
                _ => (format!("{:08}", random.below(6_000)), random.below(1 << 20) as f64),
            };
            set.insert(member.as_bytes(), score, SMALL);
            model.insert(member.into_bytes(), score);
        }
        assert_same(&set, &model);
        let mut names: Vec<Vec<u8>> = model.keys().cloned().collect();
        while !names.is_empty() {
            for _ in 0..400 {
                let Some(name) = (!names.is_empty()).then(|| names.swap_remove(random.below(names.len())))
                else {
                    break;
                };
                match random.below(3) {
                    0 => {
                        let score = random.below(1 << 20) as f64;
                        assert_eq!(set.insert(&name, score, SMALL), model.insert(name, score));
                    }
                    _ => assert_eq!(set.remove(&name), model.remove(&name)),
                }
            }
            if random.below(4) == 0 && set.len() > 1 {
                let start = [0, set.len() - 1, random.below(set.len())][random.below(3)];
                let count = [1, 10, 500][random.below(3)];
                apply(&mut set, &mut model, &Operation::RemoveRanks(start, count), SMALL);
                names.retain(|name| model.contains_key(name));
            }
            if names.len().is_multiple_of(5) {
                assert_same(&set, &model);
            }
        }
        assert_same(&set, &model);
        set.remove_ranks(0..usize::MAX, |_, _| {});
        assert_eq!((set.len(), set.encoding()), (0, Encoding::Skiplist));
        assert_eq!(set.heap_bytes(), SortedSet(Body::Large(Box::new(Large::new()))).heap_bytes());
    }
}

/// Scores that move a little, as on a board of the best, and a lot.
#[test]
fn scores_change_in_place_and_across_the_tree() {
    let mut random = Random::new();
    let (mut set, mut model) = (SortedSet::new(), Model::new());
    for n in 0..3_000 {
        set.insert(format!("{n}").as_bytes(), f64::from(n % 700), SMALL);
        model.insert(format!("{n}").into_bytes(), f64::from(n % 700));
    }
    for round in 0..30_000 {
        let name = format!("{}", random.below(3_000)).into_bytes();
        let score = match random.below(3) {
            0 => random.below(700) as f64,
            1 => model[&name] + 1.0,
            _ => model[&name] - 0.25,
        };
        assert_eq!(set.insert(&name, score, SMALL), model.insert(name, score));
        if round % 3_000 == 0 {
            assert_same(&set, &model);
        }
    }
    assert_same(&set, &model);
}

#[test]
fn a_set_outgrows_its_limits_for_good() {
    let limits = Limits { entries: 3, member_bytes: 5 };
    let mut set = SortedSet::new();
    for n in 0..3 {
        set.insert(format!("{n}").as_bytes(), 0.0, limits);
        assert_eq!(set.encoding(), Encoding::Listpack);
    }
    set.insert(b"2", 9.0, limits);
    assert_eq!(set.encoding(), Encoding::Listpack, "a score is not one element more");
    set.insert(b"3", 1.0, limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
    set.remove_ranks(0..4, |_, _| {});
    set.insert(b"1", 1.0, limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
    let mut set = SortedSet::new();
    set.insert(b"12345", 0.0, limits);
    assert_eq!(set.encoding(), Encoding::Listpack);
    set.insert(b"123456", 0.0, limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
    assert_eq!(elements(&set, 0..2), [(b"12345".to_vec(), 0.0), (b"123456".to_vec(), 0.0)]);
}

#[test]
fn what_does_not_change_is_left_alone() {
    for limits in [SMALL, ALWAYS_LARGE] {
        let mut set = SortedSet::new();
        set.update(b"a", limits, |present| {
            assert_eq!(present, None);
            None
        });
        assert!(set.is_empty());
        set.insert(b"a", 1.0, limits);
        set.update(b"a", limits, |present| {
            assert_eq!(present, Some(1.0));
            None
        });
        assert_eq!(set.score(b"a"), Some(1.0));
        assert_eq!(set.insert(b"b", 0.0, limits), None);
        assert_eq!(set.insert(b"b", -0.0, limits), Some(0.0));
        assert!(set.score(b"b").is_some_and(f64::is_sign_positive), "zeros are equal");
    }
}

#[test]
fn small_sets_take_little_memory() {
    let mut set = SortedSet::new();
    for n in 0..100u32 {
        set.insert(format!("member:{n:03}").as_bytes(), f64::from(n * 10), SMALL);
    }
    // Ten bytes of member, head and back, and two of score for most.
    assert!((1_300..1_800).contains(&set.heap_bytes()), "{}", set.heap_bytes());
    for n in 0..99u32 {
        set.remove(format!("member:{n:03}").as_bytes());
    }
    assert!(set.heap_bytes() < 40, "{}", set.heap_bytes());
}

/// Redis takes 130 bytes or more for a member of 16 bytes.
#[test]
fn a_member_of_a_large_set_takes_half_of_what_it_takes_in_redis() {
    let mut random = Random::new();
    for ascending in [false, true] {
        let mut set = SortedSet::new();
        for n in 0..200_000usize {
            let score = if ascending { n } else { random.below(1 << 30) };
            set.insert(format!("member:{n:09}").as_bytes(), score as f64, SMALL);
            if n > 1_000 && n % 10_000 == 0 {
                let bytes = set.heap_bytes() as f64 / n as f64;
                assert!(bytes < 72.0, "{bytes} for each of {n}");
            }
        }
    }
}

#[test]
fn a_large_set_is_freed_in_steps() {
    let mut set = SortedSet::new();
    (0..50_000).for_each(|n| {
        set.insert(format!("{n}").as_bytes(), f64::from(n), SMALL);
    });
    let (mut steps, mut before) = (0, set.heap_bytes());
    while set.free_some(500) > 0 {
        steps += 1;
        assert!(set.heap_bytes() < before);
        before = set.heap_bytes();
    }
    assert!((150..400).contains(&steps), "{steps}");
    assert_eq!((set.len(), set.heap_bytes()), (0, 0));
    // A set that is dropped half way is freed to its end: sanitizers and Miri would tell.
    (0..5_000).for_each(|n| {
        set.insert(format!("{n}").as_bytes(), f64::from(n), SMALL);
    });
    assert!(set.free_some(5_000) > 0);
    assert!(set.free_some(1_000) > 0);
}

#[test]
fn a_scan_returns_every_member_that_stays() {
    let mut random = Random::new();
    let mut set = SortedSet::new();
    (0..2_000).for_each(|n| {
        set.insert(format!("stay:{n}").as_bytes(), f64::from(n), SMALL);
    });
    let mut returned = BTreeMap::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 10, |member, score| {
            returned.insert(member.to_vec(), score);
        });
        if cursor == 0 {
            break;
        }
        for _ in 0..random.below(200) {
            set.insert(format!("guest:{}", random.below(10_000)).as_bytes(), 0.0, SMALL);
        }
        for _ in 0..random.below(200) {
            set.remove(format!("guest:{}", random.below(10_000)).as_bytes());
        }
    }
    assert!((0..2_000).all(|n| returned.get(format!("stay:{n}").as_bytes()) == Some(&f64::from(n))));
    let mut small = SortedSet::new();
    (0..100).for_each(|n| {
        small.insert(format!("{n}").as_bytes(), f64::from(n), SMALL);
    });
    let mut count = 0;
    assert_eq!(small.scan(0, 10, |_, _| count += 1), 0);
    assert_eq!(count, 100);
}

/// No insertion, change or removal holds the core for long, whatever the size: counted in what is
/// allocated at once, which no machine is too busy for.
#[test]
fn no_step_allocates_more_than_a_few_nodes() {
    let mut set = SortedSet::new();
    (0..200).for_each(|n| {
        set.insert(format!("{n}").as_bytes(), f64::from(n), SMALL);
    });
    let mut before = set.heap_bytes();
    for n in 200..300_000u32 {
        set.insert(format!("{n}").as_bytes(), f64::from(n.reverse_bits()), SMALL);
        let after = set.heap_bytes();
        // The largest step: a table of the index becomes a branch of sixteen.
        assert!(after.abs_diff(before) < 16_000, "{} bytes at {n}", after.abs_diff(before));
        before = after;
    }
}

#[test]
fn scores_survive_the_block() {
    let mut set = SortedSet::new();
    let limits = Limits { entries: 10_000, member_bytes: 64 };
    let mut scores: Vec<f64> = (0..64)
        .flat_map(|bit| {
            let power = (1u64 << bit) as f64;
            [power, -power, power - 1.0, 1.0 - power, power + 1.0, 1.0 / power, power + 0.5]
        })
        .collect();
    scores.extend([f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324, f64::from(f32::MAX), 0.1]);
    for (n, &score) in scores.iter().enumerate() {
        set.insert(format!("{n}").as_bytes(), score, limits);
    }
    assert_eq!(set.encoding(), Encoding::Listpack);
    set.check_invariants();
    for (n, &score) in scores.iter().enumerate() {
        let found = set.score(format!("{n}").as_bytes());
        assert_eq!(found, Some(score), "{}", score::ScoreText::new(score).as_str());
    }
}
