//! Sets: members, each once, without an order.
//!
//! ```text
//!   ints     sorted integers of equal width, found by halving     small sets of integers (block.rs, ints.rs)
//!   texts    one after the other, walked                          other small sets       (block.rs, texts.rs)
//!   Large    Member ◄─── hash index                               one allocation each    (member.rs, large.rs)
//! ```
//!
//! A set begins with integers, if its first member is one, or texts, and becomes large for good when it
//! outgrows its [`Limits`]. As in Redis, a set that is known to become large is so at once ([`Set::expecting`]).

mod block;
mod ints;
mod large;
mod member;
#[cfg(test)]
mod tests;
mod texts;

use super::packed::{Item, Wanted};
use super::{Collection, Encoding, Kind, Object};
use crate::resp::number::{IntegerText, parse_integer};
use crate::runtime::allocator::rounded_bytes;
use block::Block;
use large::Large;

/// Up to where a set stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of members that are all integers.
    pub integers: usize,
    /// Number of other members.
    pub entries: usize,
    /// Length of one of them.
    pub member_bytes: usize,
}

/// Whatever the configuration says, no more integers lie in one block.
const INTEGERS_MAX: usize = 1 << 30;

#[derive(Clone)]
pub struct Set(Body);

#[derive(Clone)]
enum Body {
    Small(Block),
    Large(Box<Large>),
}

/// A member that was drawn at random, until the set changes.
#[derive(Clone, Copy)]
pub struct Drawn<'s> {
    /// No other member of the set has the same.
    pub id: u64,
    pub member: Item<'s>,
}

impl Default for Set {
    fn default() -> Self {
        Set::new()
    }
}

/// As many members are looked up together, one for each bit of a word.
pub const BATCH: usize = u64::BITS as usize;

/// The numbers of the bits that are set, from the lowest on.
pub fn bits(word: u64) -> impl Iterator<Item = usize> {
    let mut left = word;
    std::iter::from_fn(move || {
        let lowest = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (lowest < BATCH).then_some(lowest)
    })
}

/// The bits of a batch of `count` members.
pub fn bits_of(count: usize) -> u64 {
    if count == 0 { 0 } else { u64::MAX >> (BATCH - count) }
}

/// The member as text.
#[inline]
fn with_text<T>(item: Item<'_>, function: impl FnOnce(&[u8]) -> T) -> T {
    match item {
        Item::Int(number) => function(IntegerText::new(number).as_bytes()),
        Item::Bytes(bytes) => function(bytes),
        Item::Joined(..) => function(&item.to_vec()),
    }
}

impl Set {
    /// An empty set.
    pub fn new() -> Set {
        Set(Body::Small(ints::new()))
    }

    /// An empty set that begins as a small one of `first`'s kind.
    pub fn beginning_with(first: Item<'_>) -> Set {
        Set(Body::Small(if let Item::Int(_) = first { ints::new() } else { texts::new() }))
    }

    /// An empty set that is to get `count` members, `first` to begin with.
    pub fn expecting(count: usize, first: &[u8], limits: Limits) -> Set {
        if parse_integer(first).is_some() && count <= limits.integers.min(INTEGERS_MAX) {
            Set(Body::Small(ints::new()))
        } else if count <= limits.entries {
            Set(Body::Small(texts::new()))
        } else {
            Set(Body::Large(Box::new(Large::new())))
        }
    }

    /// Prepares the set for `count` more members: if they alone would make it large, it becomes so.
    #[inline]
    pub fn expect(&mut self, count: usize, limits: Limits) {
        if let Body::Small(block) = &self.0
            && count
                > if block.form() == texts::FORM { limits.entries } else { limits.integers.min(INTEGERS_MAX) }
        {
            self.become_large();
        }
    }

    /// Whether every member has an allocation of its own, in which it lies as text.
    pub fn is_large(&self) -> bool {
        matches!(self.0, Body::Large(_))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Body::Small(block) => block.count(),
            Body::Large(large) => large.len(),
        }
    }

    #[inline]
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

    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Body::Large(large) => large.contains(member),
            Body::Small(block) if block.form() == texts::FORM => {
                texts::find(block, &Wanted::new(member)).is_some()
            }
            Body::Small(block) => {
                parse_integer(member).is_some_and(|number| ints::find(block, number).is_ok())
            }
        }
    }

    /// As [`Set::contains`], for a member of another set.
    pub fn contains_item(&self, member: Item<'_>) -> bool {
        match (&self.0, member) {
            (Body::Small(block), Item::Int(number)) if block.form() != texts::FORM => {
                ints::find(block, number).is_ok()
            }
            _ => with_text(member, |text| self.contains(text)),
        }
    }

    /// Adds a member; `false` if it is there already.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: Limits) -> bool {
        match &mut self.0 {
            Body::Large(large) => large.add(member),
            Body::Small(block) if block.form() == texts::FORM => {
                if texts::find(block, &Wanted::new(member)).is_some() {
                    return false;
                }
                self.add_text(member, limits);
                true
            }
            Body::Small(block) => match parse_integer(member) {
                Some(number) => self.add_integer(number, limits),
                None => {
                    if limits.member_bytes >= longest_text(block) {
                        self.become_texts();
                    } else {
                        self.become_large();
                    }
                    self.add_text(member, limits);
                    true
                }
            },
        }
    }

    /// As [`Set::add`], for a member of another set.
    pub fn add_item(&mut self, member: Item<'_>, limits: Limits) -> bool {
        match (&self.0, member) {
            (Body::Small(block), Item::Int(number)) if block.form() != texts::FORM => {
                self.add_integer(number, limits)
            }
            _ => with_text(member, |text| self.add(text, limits)),
        }
    }

    fn add_integer(&mut self, number: i64, limits: Limits) -> bool {
        let Body::Small(block) = &mut self.0 else { return false };
        let added = ints::add(block, number);
        if added && block.count() > limits.integers.min(INTEGERS_MAX) {
            self.become_large();
        }
        added
    }

    /// Adds a member that is not there to a set that does not hold integers in a block.
    fn add_text(&mut self, member: &[u8], limits: Limits) {
        if let Body::Small(block) = &mut self.0 {
            if block.count() < limits.entries
                && member.len() <= limits.member_bytes
                && block.bytes().len() + member.len() < texts::BLOCK_BYTES_MAX
            {
                return texts::push(block, member);
            }
            self.become_large();
        }
        if let Body::Large(large) = &mut self.0 {
            large.add(member);
        }
    }

    #[cold]
    fn become_texts(&mut self) {
        if let Body::Small(block) = &self.0 {
            let mut texts = texts::new();
            ints::iter(block).for_each(|number| texts::push(&mut texts, IntegerText::new(number).as_bytes()));
            self.0 = Body::Small(texts);
        }
    }

    #[cold]
    fn become_large(&mut self) {
        let mut large = Large::new();
        self.for_each(|item| {
            with_text(item, |text| large.add(text));
        });
        self.0 = Body::Large(Box::new(large));
    }

    /// Removes a member; `false` if it is not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Body::Large(large) => large.remove(member),
            Body::Small(block) if block.form() == texts::FORM => {
                let Some((start, end)) = texts::find(block, &Wanted::new(member)) else { return false };
                block.remove(start, end);
                true
            }
            Body::Small(block) => {
                let index = parse_integer(member).and_then(|number| ints::find(block, number).ok());
                index.map(|index| ints::remove_at(block, index)).is_some()
            }
        }
    }

    /// Visits all members.
    pub fn for_each<'s>(&'s self, mut visit: impl FnMut(Item<'s>)) {
        match &self.0 {
            Body::Large(large) => large.for_each(|bytes| visit(Item::Bytes(bytes))),
            Body::Small(block) if block.form() == texts::FORM => texts::iter(block).for_each(visit),
            Body::Small(block) => ints::iter(block).map(Item::Int).for_each(visit),
        }
    }

    /// Visits all members, up to [`BATCH`] at a time, until `visit` returns false.
    pub fn batches<'s>(&'s self, visit: &mut dyn FnMut(&[Item<'s>]) -> bool) {
        if let Body::Large(large) = &self.0 {
            return large.batches(visit);
        }
        let mut items = [Item::Int(0); BATCH];
        let (mut count, mut goes_on) = (0, true);
        self.for_each(|item| {
            if goes_on {
                items[count] = item;
                count += 1;
                if count == BATCH {
                    goes_on = visit(&items);
                    count = 0;
                }
            }
        });
        if goes_on && count > 0 {
            visit(&items[..count]);
        }
    }

    /// Which of some members, up to [`BATCH`] and only those whose bits are in `among`, are in the set: their
    /// bits.
    pub fn contains_which(&self, members: &[Item<'_>], among: u64) -> u64 {
        match &self.0 {
            Body::Large(large) => large.contains_which(members, among),
            Body::Small(_) => bits(among)
                .map(|index| u64::from(self.contains_item(members[index])) << index)
                .fold(0, |found, bit| found | bit),
        }
    }

    /// Visits about `count` members after `cursor` and returns the cursor for the next call, 0 at the end.
    /// What is there from the first call to the last is visited at least once; a small set is visited as a
    /// whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match &self.0 {
            Body::Large(large) => large.scan(cursor, count, |bytes| visit(Item::Bytes(bytes))),
            Body::Small(_) => {
                self.for_each(visit);
                0
            }
        }
    }

    /// A member, each with the same chance; `None` of an empty set. `below` draws a number below its argument.
    pub fn draw(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Drawn<'_>> {
        match &self.0 {
            Body::Large(large) => {
                let id = large.random(below)?;
                Some(Drawn { id, member: Item::Bytes(large.bytes_of(id)) })
            }
            Body::Small(block) => {
                if block.count() == 0 {
                    return None;
                }
                let index = below(block.count());
                let member = match block.form() {
                    texts::FORM => texts::at(block, texts::place(block, index).0),
                    _ => Item::Int(ints::get(block, index)),
                };
                Some(Drawn { id: index as u64, member })
            }
        }
    }

    /// Removes a random member after `visit` has seen it; `false` if the set is empty.
    pub fn pop(&mut self, below: &mut dyn FnMut(usize) -> usize, visit: impl FnOnce(Item<'_>)) -> bool {
        let Some(Drawn { id, member }) = self.draw(below) else { return false };
        visit(member);
        match &mut self.0 {
            Body::Large(large) => large.remove_reference(id),
            Body::Small(block) if block.form() == texts::FORM => {
                let (start, end) = texts::place(block, id as usize);
                block.remove(start, end);
            }
            Body::Small(block) => ints::remove_at(block, id as usize),
        }
        true
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        let mut count = 0;
        self.for_each(|item| {
            assert!(self.contains_item(item));
            assert!(with_text(item, |text| self.contains(text)));
            count += 1;
        });
        assert_eq!(count, self.len());
        match &self.0 {
            Body::Large(large) => large.check_invariants(),
            Body::Small(block) if block.form() != texts::FORM => {
                assert_eq!(block.bytes().len(), block.count() * block.form() as usize);
                assert!(ints::iter(block).is_sorted());
            }
            Body::Small(_) => {}
        }
    }
}

/// The length of the longest text among integers: that of the lowest or of the highest.
fn longest_text(block: &Block) -> usize {
    let length = |index| IntegerText::new(ints::get(block, index)).as_bytes().len();
    match block.count() {
        0 => 0,
        count => length(0).max(length(count - 1)),
    }
}

impl Collection for Set {
    kept_as!(Set);

    fn encoding(&self) -> Encoding {
        match &self.0 {
            Body::Large(_) => Encoding::HashTable,
            Body::Small(block) if block.form() == texts::FORM => Encoding::Listpack,
            Body::Small(_) => Encoding::Intset,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Body::Small(block) => block.memory_bytes(),
            Body::Large(large) => rounded_bytes(size_of::<Large>()) + large.memory_bytes(),
        }
    }

    fn parts(&self) -> usize {
        match &self.0 {
            Body::Small(_) => 1,
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
        *self = Set::new();
        0
    }

    fn removes_key(&self) -> bool {
        self.is_empty()
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut set = formatter.debug_set();
        self.for_each(|member| {
            set.entry(&member.to_vec().escape_ascii().to_string());
        });
        set.finish()
    }
}
