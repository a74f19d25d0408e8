//! Sorted sets: members, each once, in the order of their scores; equal scores by the members' bytes.
//!
//! ```text
//!   Packed   one block, elements in order, walked          small sets            (packed.rs)
//!   Large    Member ◄─── hash index   member → score       one allocation each   (member.rs)
//!                  ◄─── counting tree  ranks, ranges                             (tree.rs, large.rs)
//! ```
//!
//! A set begins packed and becomes large for good when it outgrows its [`Limits`]. All ranges come down to
//! ranks: a range of scores or members becomes the ranks of its first element and of the one behind its
//! last ([`SortedSet::ranks_by_score`], [`SortedSet::ranks_by_member`]), and ranks are what is counted, visited and
//! removed. In a large set each of these is O(log n) and O(1) for every element it yields.
//!
//! No score is NaN: whoever computes one sees to it.

mod large;
mod member;
mod packed;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;

use super::{Collection, Encoding, Kind, Object};
use crate::runtime::allocator::rounded_bytes;
use large::Large;
use member::Member;
use packed::Packed;
use tree::Item;

/// Up to where a set stays packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of elements.
    pub entries: usize,
    /// Length of a member.
    pub member_bytes: usize,
}

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    pub score: f64,
    pub exclusive: bool,
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberBound<'a> {
    /// Before all members.
    Least,
    Inclusive(&'a [u8]),
    Exclusive(&'a [u8]),
    /// Behind all members.
    Greatest,
}

impl ScoreBound {
    /// Whether a score lies below the range of which this is the lower end.
    fn above(&self, score: f64) -> bool {
        if self.exclusive { score <= self.score } else { score < self.score }
    }

    /// Whether a score lies above the range of which this is the upper end.
    fn below(&self, score: f64) -> bool {
        if self.exclusive { score >= self.score } else { score > self.score }
    }
}

impl MemberBound<'_> {
    /// Whether a member lies below the range of which this is the lower end.
    fn above(&self, member: &[u8]) -> bool {
        match *self {
            MemberBound::Least => false,
            MemberBound::Inclusive(bound) => member < bound,
            MemberBound::Exclusive(bound) => member <= bound,
            MemberBound::Greatest => true,
        }
    }

    /// Whether a member lies above the range of which this is the upper end.
    fn below(&self, member: &[u8]) -> bool {
        match *self {
            MemberBound::Least => true,
            MemberBound::Inclusive(bound) => member > bound,
            MemberBound::Exclusive(bound) => member >= bound,
            MemberBound::Greatest => false,
        }
    }
}

#[derive(Clone)]
pub struct SortedSet(Body);

#[derive(Clone)]
enum Body {
    Packed(Packed),
    Large(Box<Large>),
}

impl Default for SortedSet {
    fn default() -> Self {
        SortedSet::new()
    }
}

impl SortedSet {
    pub fn new() -> SortedSet {
        SortedSet(Body::Packed(Packed::default()))
    }

    /// An empty set that is large already.
    pub fn large() -> SortedSet {
        SortedSet(Body::Large(Box::new(Large::new())))
    }

    /// The same elements, in a packed set if the limits allow it.
    pub fn compacted(self, limits: Limits) -> SortedSet {
        let fits = |(member, _): (&[u8], f64)| member.len() <= limits.member_bytes;
        if self.len() > limits.entries || !self.iter(0..self.len()).all(fits) {
            return self;
        }
        let mut packed = SortedSet::new();
        self.iter(0..self.len()).for_each(|(member, score)| {
            packed.insert(member, score, limits);
        });
        packed
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Body::Packed(packed) => packed.len(),
            Body::Large(large) => large.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// See [`Object::fetch_slot`](crate::types::Object::fetch_slot).
    #[inline]
    pub fn fetch_slot(&self, element: &[u8]) -> Option<u64> {
        match &self.0 {
            Body::Large(large) => Some(large.fetch_slot(element)),
            _ => None,
        }
    }

    #[inline]
    pub fn fetch_element(&self, hash: u64) {
        if let Body::Large(large) = &self.0 {
            large.fetch_element(hash);
        }
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Body::Packed(packed) => packed.find(member).map(|place| place.score),
            Body::Large(large) => large.find(member).map(|member| member.score()),
        }
    }

    /// How many elements come before a member, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Body::Packed(packed) => packed.find(member).map(|place| (place.rank, place.score)),
            Body::Large(large) => {
                let score = large.find(member)?.score();
                Some((large.tree.rank(score, member), score))
            }
        }
    }

    /// Gives a member the score that `decide` makes of its present one, or adds it; `None` leaves
    /// everything as it is. The look-up is done once.
    pub fn update(&mut self, member: &[u8], limits: Limits, decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        match &mut self.0 {
            Body::Packed(packed) => {
                let place = packed.find(member);
                let Some(score) = decide(place.map(|place| place.score)) else { return };
                debug_assert!(!score.is_nan());
                if let Some(place) = place {
                    if place.score == score {
                        return;
                    }
                    packed.remove(place.offset, packed.after(place.offset), 1);
                } else if packed.len() >= limits.entries
                    || member.len() > limits.member_bytes
                    || packed.bytes_with(member.len()) > packed::BLOCK_BYTES_MAX
                {
                    return self.become_large().insert(member, score);
                }
                packed.insert(member, score);
            }
            Body::Large(large) => {
                let found = large.find(member);
                let Some(score) = decide(found.map(|found| found.score())) else { return };
                debug_assert!(!score.is_nan());
                match found {
                    Some(found) if found.score() == score => {}
                    Some(found) => large.set_score(found, score),
                    None => large.insert(member, score),
                }
            }
        }
    }

    /// Adds a member or gives it this score; returns the one it had.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: Limits) -> Option<f64> {
        let mut before = None;
        self.update(member, limits, |present| {
            before = present;
            Some(score)
        });
        before
    }

    #[cold]
    fn become_large(&mut self) -> &mut Large {
        let mut large = Box::new(Large::new());
        self.iter(0..self.len()).for_each(|(member, score)| large.insert(member, score));
        self.0 = Body::Large(large);
        match &mut self.0 {
            Body::Large(large) => large,
            Body::Packed(_) => unreachable!("it has just become large"),
        }
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Body::Packed(packed) => {
                let place = packed.find(member)?;
                packed.remove(place.offset, packed.after(place.offset), 1);
                Some(place.score)
            }
            Body::Large(large) => large.remove(member),
        }
    }

    /// Removes the elements of these ranks, after `visit` has seen them in order.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, mut visit: impl FnMut(&[u8], f64)) {
        let count = ranks.end.min(self.len()).saturating_sub(ranks.start);
        match &mut self.0 {
            Body::Packed(packed) => {
                let start = packed.offset_of(ranks.start);
                let mut end = start;
                for _ in 0..count {
                    let element = packed.at(end);
                    visit(element.member, element.score);
                    end = element.end;
                }
                packed.remove(start, end, count);
            }
            Body::Large(large) => large.remove_ranks(ranks.start, count, &mut visit),
        }
    }

    /// The ranks of the elements with scores from `min` to `max`.
    pub fn ranks_by_score(&self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        self.ranks_between(|score, _| min.above(score), |score, _| !max.below(score))
    }

    /// The ranks of the members from `min` to `max`, provided that all scores are the same. Otherwise of
    /// some of them, which none of several sensible answers is better than; small sets then answer as
    /// those of Redis do when they are walked forward.
    pub fn ranks_by_member(&self, min: MemberBound<'_>, max: MemberBound<'_>) -> Range<usize> {
        self.ranks_between(|_, member| min.above(member), |_, member| !max.below(member))
    }

    /// From the first element that is not `below` to the first behind it that is not `within`.
    fn ranks_between(
        &self,
        below: impl Fn(f64, &[u8]) -> bool,
        within: impl Fn(f64, &[u8]) -> bool,
    ) -> Range<usize> {
        match &self.0 {
            Body::Packed(packed) => {
                let start = packed.count_while(0, below);
                start..start + packed.count_while(packed.offset_of(start), within)
            }
            Body::Large(large) => {
                let start = large.tree.partition_point(|item| below(item.score, item.member.bytes()));
                let end = large.tree.partition_point(|item| within(item.score, item.member.bytes()));
                start..end.max(start)
            }
        }
    }

    /// The elements of these ranks, in order from either end.
    pub fn iter(&self, ranks: Range<usize>) -> Elements<'_> {
        let end = ranks.end.min(self.len());
        Elements { set: self, start: ranks.start.min(end), end, front: Walk::Begin, back: Walk::Begin }
    }

    /// Visits the elements with scores from `min` on and below `max`, in order, until `visit` returns false.
    /// That has to ask for the members it wants: they lie apart from the scores.
    pub fn visit_scores<'s>(&'s self, min: f64, max: f64, mut visit: impl FnMut(f64, MemberOf<'s>) -> bool) {
        let large = match &self.0 {
            Body::Large(large) => large,
            Body::Packed(packed) => {
                let start = packed.count_while(0, |score, _| score < min);
                let mut elements = self.iter(start..self.len());
                let _ = elements.all(|(member, score)| {
                    score < max && visit(score, MemberOf(MemberPlace::Packed(member)))
                });
                return;
            }
        };
        let (mut items, mut rank) = large.tree.leaf_from(|item| item.score < min);
        loop {
            let goes_on = items
                .iter()
                .all(|item| item.score < max && visit(item.score, MemberOf(MemberPlace::Large(item.member))));
            rank += items.len();
            if !goes_on || rank >= large.len() {
                return;
            }
            let (leaf, first) = large.tree.leaf_at(rank);
            items = &leaf[rank - first..];
        }
    }

    /// The element at a rank.
    pub fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.iter(rank..rank.checked_add(1)?).next()
    }

    /// Visits about `count` elements after `cursor` and returns the cursor for the next call, 0 at the end.
    /// What is there from the first call to the last is visited at least once; a packed set is visited
    /// as a whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        match &self.0 {
            Body::Packed(_) => {
                self.iter(0..self.len()).for_each(|(member, score)| visit(member, score));
                0
            }
            Body::Large(large) => large.scan(cursor, count, &mut visit),
        }
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        let mut previous: Option<(&[u8], f64)> = None;
        for (member, score) in self.iter(0..self.len()) {
            if let Some((before, lower)) = previous {
                assert!(lower < score || lower == score && before < member);
            }
            previous = Some((member, score));
        }
        if let Body::Large(large) = &self.0 {
            large.check_invariants();
        }
    }
}

impl Collection for SortedSet {
    kept_as!(SortedSet);

    fn encoding(&self) -> Encoding {
        match &self.0 {
            Body::Packed(_) => Encoding::Listpack,
            Body::Large(_) => Encoding::Skiplist,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Body::Packed(packed) => packed.memory_bytes(),
            Body::Large(large) => rounded_bytes(size_of::<Large>()) + large.memory_bytes(),
        }
    }

    fn parts(&self) -> usize {
        match &self.0 {
            Body::Packed(_) => 1,
            Body::Large(large) => large.len(),
        }
    }

    fn free_some(&mut self, budget: usize) -> usize {
        if let Body::Large(large) = &mut self.0 {
            let freed = large.free_some(budget);
            if freed > 0 {
                return freed;
            }
        }
        *self = SortedSet::new();
        0
    }

    fn removes_key(&self) -> bool {
        self.is_empty()
    }
}

impl std::fmt::Debug for SortedSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let elements = self.iter(0..self.len());
        formatter
            .debug_map()
            .entries(elements.map(|(member, score)| (member.escape_ascii().to_string(), score)))
            .finish()
    }
}

/// A member that is read when it is asked for.
#[derive(Clone, Copy)]
pub struct MemberOf<'s>(MemberPlace<'s>);

#[derive(Clone, Copy)]
enum MemberPlace<'s> {
    Packed(&'s [u8]),
    Large(Member),
}

impl<'s> MemberOf<'s> {
    #[inline]
    pub fn bytes(self) -> &'s [u8] {
        match self.0 {
            MemberPlace::Packed(bytes) => bytes,
            MemberPlace::Large(member) => member.bytes(),
        }
    }
}

/// Elements of a set, with their scores, from either end.
pub struct Elements<'a> {
    set: &'a SortedSet,
    /// Ranks that are left.
    start: usize,
    end: usize,
    front: Walk<'a>,
    back: Walk<'a>,
}

/// Where one end of the iteration stands.
enum Walk<'a> {
    /// Nowhere yet.
    Begin,
    /// At an offset of the block.
    Packed(usize),
    /// In a leaf of the tree: what is left of it at this end.
    Leaf(&'a [Item]),
}

impl<'a> Elements<'a> {
    fn next_large(&mut self, large: &'a Large) -> Item {
        let items = match self.front {
            Walk::Leaf(items) if !items.is_empty() => items,
            _ => {
                let (items, first) = large.tree.leaf_at(self.start);
                &items[self.start - first..]
            }
        };
        self.front = Walk::Leaf(&items[1..]);
        items[0]
    }

    fn last_large(&mut self, large: &'a Large) -> Item {
        let items = match self.back {
            Walk::Leaf(items) if !items.is_empty() => items,
            _ => {
                let (items, first) = large.tree.leaf_at(self.end - 1);
                &items[..self.end - first]
            }
        };
        let last = items.len() - 1;
        self.back = Walk::Leaf(&items[..last]);
        items[last]
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<(&'a [u8], f64)> {
        if self.start >= self.end {
            return None;
        }
        let element = match &self.set.0 {
            Body::Packed(packed) => {
                let offset = match self.front {
                    Walk::Packed(offset) => offset,
                    _ => packed.offset_of(self.start),
                };
                let element = packed.at(offset);
                self.front = Walk::Packed(element.end);
                (element.member, element.score)
            }
            Body::Large(large) => {
                let item = self.next_large(large);
                (item.member.bytes(), item.score)
            }
        };
        self.start += 1;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.start, Some(self.end - self.start))
    }
}

impl<'a> DoubleEndedIterator for Elements<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(&'a [u8], f64)> {
        if self.start >= self.end {
            return None;
        }
        let element = match &self.set.0 {
            Body::Packed(packed) => {
                let end = match self.back {
                    Walk::Packed(end) => end,
                    _ => packed.offset_of(self.end),
                };
                let offset = packed.before(end);
                self.back = Walk::Packed(offset);
                let element = packed.at(offset);
                (element.member, element.score)
            }
            Body::Large(large) => {
                let item = self.last_large(large);
                (item.member.bytes(), item.score)
            }
        };
        self.end -= 1;
        Some(element)
    }
}

impl ExactSizeIterator for Elements<'_> {}
