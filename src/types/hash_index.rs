//! A hash index: from a hash to references, 48 bits each, of what a collection keeps elsewhere.
//!
//! ```text
//!   hash    0110 1011 ...
//!            │    └──────────────┐
//!   Branch  [0..15]──► Branch  [0..15]──► Table   up to 1024 references, open addressing
//! ```
//!
//! A table grows by about a quarter at a time. Full at [`TABLE_LENGTH_MAX`], it becomes a branch of sixteen
//! tables, chosen by the next four bits of the hash; a branch that has lost most of its references
//! becomes a table again. So no step is longer than one small table, whatever the size of the whole, and
//! nothing is ever as large as to be felt when it is allocated or freed.
//!
//! A slot holds a reference and, above it, the sixteen bits of the hash that follow those of the branches:
//! the tag. It says where in the table the reference belongs, and is compared before the caller is asked;
//! a table that grows, shrinks or is merged needs no other part of the hash.
//!
//! The caller hashes with a key of its own: a hash that clients can foresee would let them fill one table.
//! Even then everything works, but slowly: the last four levels of the hash are one table of any size.

use crate::runtime::allocator::{prefetch, rounded_bytes};

/// What a collection finds its elements by: an address or a number, not 0 and below 2^48.
pub type Reference = u64;

/// Bits of a cursor of [`HashIndex::scan`].
pub const CURSOR_BITS: u32 = 48;

/// With one more, a table becomes a branch.
const TABLE_LENGTH_MAX: usize = 1024;
/// With fewer, a branch becomes a table.
const BRANCH_LENGTH_MIN: usize = 256;
const TABLE_SLOTS_MIN: usize = 8;

const BRANCH_BITS: u32 = 4;
const BRANCH_WIDTH: usize = 1 << BRANCH_BITS;
const REFERENCE_BITS: u32 = 48;
const TAG_BITS: u32 = 16;
/// Here the tag is what is left of the hash.
const DEPTH_MAX: u32 = (u64::BITS - TAG_BITS) / BRANCH_BITS;

/// The index. It does not know which hash belongs to a reference: the caller says with each call.
#[derive(Default)]
pub struct HashIndex {
    root: Node,
    length: usize,
    bytes: usize,
}

enum Node {
    Table(Table),
    Branch(Box<Branch>),
}

struct Branch {
    children: [Node; BRANCH_WIDTH],
    length: usize,
}

/// References by their tags, with linear probing; 0 is an empty slot.
#[derive(Default)]
struct Table {
    slots: Box<[u64]>,
    length: u32,
}

impl Default for Node {
    fn default() -> Self {
        Node::Table(Table::default())
    }
}

const fn tag_of(slot: u64) -> u64 {
    slot >> REFERENCE_BITS
}

const fn reference_of(slot: u64) -> Reference {
    slot & ((1 << REFERENCE_BITS) - 1)
}

/// The tag of a hash in a table at `depth`.
const fn tag_at(hash: u64, depth: u32) -> u64 {
    hash << (depth * BRANCH_BITS) >> (u64::BITS - TAG_BITS)
}

/// Which child of a branch at `depth` a hash belongs to.
const fn child_at(hash: u64, depth: u32) -> usize {
    (hash << (depth * BRANCH_BITS) >> (u64::BITS - BRANCH_BITS)) as usize
}

/// Bytes that the slots of a table take.
const fn table_bytes(slots: usize) -> usize {
    if slots == 0 { 0 } else { rounded_bytes(slots * size_of::<u64>()) }
}

impl HashIndex {
    pub fn new() -> HashIndex {
        HashIndex::default()
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// The reference with this hash that `matches`.
    #[inline]
    pub fn find(&self, hash: u64, mut matches: impl FnMut(Reference) -> bool) -> Option<Reference> {
        let (mut node, mut depth) = (&self.root, 0);
        let table = loop {
            match node {
                Node::Table(table) => break table,
                Node::Branch(branch) => node = &branch.children[child_at(hash, depth)],
            }
            depth += 1;
        };
        let position = table.position(tag_at(hash, depth), &mut matches)?;
        Some(reference_of(table.slots[position]))
    }

    /// Adds a reference that is not in the index. `hash_of` says the hash of one that is.
    pub fn insert(&mut self, hash: u64, reference: Reference, hash_of: impl Fn(Reference) -> u64) {
        assert!(reference != 0 && reference >> REFERENCE_BITS == 0, "a reference has 48 bits");
        self.length += 1;
        let (mut node, mut depth) = (&mut self.root, 0);
        loop {
            if let Node::Table(table) = node
                && table.length as usize >= TABLE_LENGTH_MAX
                && depth < DEPTH_MAX
            {
                *node = table.split(depth, &hash_of, &mut self.bytes);
            }
            match node {
                Node::Table(table) => {
                    return table.insert(tag_at(hash, depth), reference, &mut self.bytes);
                }
                Node::Branch(branch) => {
                    branch.length += 1;
                    node = &mut branch.children[child_at(hash, depth)];
                }
            }
            depth += 1;
        }
    }

    /// Removes the reference with this hash that `matches`.
    pub fn remove(&mut self, hash: u64, mut matches: impl FnMut(Reference) -> bool) -> Option<Reference> {
        let removed = self.root.remove(hash, 0, &mut matches, &mut self.bytes)?;
        self.length -= 1;
        Some(removed)
    }

    /// Exchanges a reference with this hash for another of the same hash.
    pub fn replace(&mut self, hash: u64, from: Reference, to: Reference) {
        assert!(to != 0 && to >> REFERENCE_BITS == 0, "a reference has 48 bits");
        let (mut node, mut depth) = (&mut self.root, 0);
        let table = loop {
            match node {
                Node::Table(table) => break table,
                Node::Branch(branch) => node = &mut branch.children[child_at(hash, depth)],
            }
            depth += 1;
        };
        if let Some(position) = table.position(tag_at(hash, depth), &mut |other| other == from) {
            table.slots[position] = tag_of(table.slots[position]) << REFERENCE_BITS | to;
        }
    }

    /// Visits every reference.
    pub fn for_each(&self, mut visit: impl FnMut(Reference)) {
        self.root.for_each(&mut visit);
    }

    /// A reference, each with the same chance. `below` draws a number below its argument.
    pub fn random(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Reference> {
        if self.length == 0 {
            return None;
        }
        let mut node = &self.root;
        loop {
            match node {
                Node::Table(table) => return Some(table.random(below)),
                Node::Branch(branch) => {
                    let mut nth = below(branch.length);
                    let child = branch.children.iter().find(|child| {
                        let within = nth < child.len();
                        nth = nth.wrapping_sub(if within { 0 } else { child.len() });
                        within
                    });
                    node = child?;
                }
            }
        }
    }

    /// Removes about `budget` references, a table at a time, and hands them over; returns how many, none at
    /// the end. What is left is good for nothing but being drained or freed.
    pub fn drain_some(&mut self, budget: usize, mut visit: impl FnMut(Reference)) -> usize {
        let mut drained = 0;
        while drained < budget.max(1) {
            let Some(slots) = self.root.take_table() else {
                *self = HashIndex::new();
                break;
            };
            self.bytes -= table_bytes(slots.len());
            for &slot in slots.iter().filter(|&&slot| slot != 0) {
                visit(reference_of(slot));
                drained += 1;
            }
        }
        drained
    }

    /// Visits about `count` references in the order of their hashes from `cursor` on, and returns the
    /// cursor for the next call, 0 at the end. A reference that is there from the first call to the last
    /// is visited at least once, however the index changes meanwhile.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Reference)) -> u64 {
        let mut cursor = cursor & ((1 << CURSOR_BITS) - 1);
        let mut left = count.max(1);
        let mut slots = Vec::new();
        loop {
            let hash = cursor << (u64::BITS - CURSOR_BITS);
            let (mut node, mut depth) = (&self.root, 0);
            let table = loop {
                match node {
                    Node::Table(table) => break table,
                    Node::Branch(branch) => node = &branch.children[child_at(hash, depth)],
                }
                depth += 1;
            };
            // Tags that differ only beyond the bits of a cursor are one group: it is visited as a whole.
            let beyond = (depth * BRANCH_BITS + TAG_BITS).saturating_sub(CURSOR_BITS);
            let first = tag_at(hash, depth) >> beyond;
            let group = |slot: u64| tag_of(slot) >> beyond;
            slots.clear();
            slots.extend(table.slots.iter().filter(|&&slot| slot != 0 && group(slot) >= first));
            slots.sort_unstable();
            for (index, &slot) in slots.iter().enumerate() {
                if left == 0 && group(slot) != group(slots[index - 1]) {
                    let prefix = cursor & !(u64::MAX >> 16 >> (depth * BRANCH_BITS));
                    return prefix | group(slot) << (CURSOR_BITS - TAG_BITS + beyond - depth * BRANCH_BITS);
                }
                visit(reference_of(slot));
                left = left.saturating_sub(1);
            }
            // The first hash behind the table.
            let width = (CURSOR_BITS).saturating_sub(depth * BRANCH_BITS);
            cursor = ((cursor >> width) + 1) << width;
            if cursor >> CURSOR_BITS != 0 {
                return 0;
            }
            if left == 0 {
                return cursor;
            }
        }
    }

    /// Visits every reference until `visit` returns false, and says whether it never did.
    pub fn all(&self, mut visit: impl FnMut(Reference) -> bool) -> bool {
        self.root.all(&mut visit)
    }

    /// Fetches into the cache where references with this hash are sought first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let (mut node, mut depth) = (&self.root, 0);
        while let Node::Branch(branch) = node {
            node = &branch.children[child_at(hash, depth)];
            depth += 1;
        }
        if let Node::Table(table) = node
            && !table.slots.is_empty()
        {
            prefetch(table.slots[table.home(tag_at(hash, depth))..].as_ptr().cast());
        }
    }

    /// Fetches what a reference with this hash refers to, which is an address. Where it is sought has been
    /// fetched.
    #[inline]
    pub fn prefetch_referent(&self, hash: u64) {
        if let Some(reference) = self.find(hash, |_| true) {
            prefetch(std::ptr::with_exposed_provenance(reference as usize));
        }
    }

    /// Frees tables until about `budget` slots are gone, and says whether some are left. What is left is
    /// good for nothing but being freed.
    pub fn free_some(&mut self, budget: usize) -> bool {
        let mut left = budget.max(1);
        while left > 0 {
            let Some(slots) = self.root.take_table() else {
                *self = HashIndex::new();
                return false;
            };
            self.bytes -= table_bytes(slots.len());
            left = left.saturating_sub(slots.len().max(TABLE_SLOTS_MIN));
        }
        true
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self, hash_of: impl Fn(Reference) -> u64) {
        let mut bytes = 0;
        assert_eq!(self.root.check_invariants(0, 0, &hash_of, &mut bytes), self.length);
        assert_eq!(bytes, self.bytes);
    }
}

impl Node {
    fn all(&self, visit: &mut impl FnMut(Reference) -> bool) -> bool {
        match self {
            Node::Table(table) => {
                table.slots.iter().filter(|&&slot| slot != 0).all(|&slot| visit(reference_of(slot)))
            }
            Node::Branch(branch) => branch.children.iter().all(|child| child.all(visit)),
        }
    }

    fn remove(
        &mut self,
        hash: u64,
        depth: u32,
        matches: &mut impl FnMut(Reference) -> bool,
        bytes: &mut usize,
    ) -> Option<Reference> {
        let branch = match self {
            Node::Table(table) => return table.remove(tag_at(hash, depth), matches, bytes),
            Node::Branch(branch) => branch,
        };
        let removed = branch.children[child_at(hash, depth)].remove(hash, depth + 1, matches, bytes)?;
        branch.length -= 1;
        if branch.length < BRANCH_LENGTH_MIN {
            *self = Node::Table(branch.merged(bytes));
        }
        Some(removed)
    }

    fn len(&self) -> usize {
        match self {
            Node::Table(table) => table.length as usize,
            Node::Branch(branch) => branch.length,
        }
    }

    fn for_each(&self, visit: &mut impl FnMut(Reference)) {
        match self {
            Node::Table(table) => {
                table.slots.iter().filter(|&&slot| slot != 0).for_each(|&slot| visit(reference_of(slot)));
            }
            Node::Branch(branch) => branch.children.iter().for_each(|child| child.for_each(visit)),
        }
    }

    /// Takes the slots of the last table away; `None` if there is none.
    fn take_table(&mut self) -> Option<Box<[u64]>> {
        match self {
            Node::Table(table) if table.slots.is_empty() => None,
            Node::Table(table) => Some(std::mem::take(table).slots),
            Node::Branch(branch) => {
                let taken = branch.children.iter_mut().rev().find_map(Node::take_table);
                if taken.is_none() {
                    *self = Node::default();
                }
                taken
            }
        }
    }

    #[cfg(test)]
    fn check_invariants(
        &self,
        depth: u32,
        prefix: u64,
        hash_of: &impl Fn(Reference) -> u64,
        bytes: &mut usize,
    ) -> usize {
        let prefix_bits = depth * BRANCH_BITS;
        match self {
            Node::Table(table) => {
                *bytes += table_bytes(table.slots.len());
                let mut length = 0;
                for &slot in table.slots.iter().filter(|&&slot| slot != 0) {
                    let hash = hash_of(reference_of(slot));
                    assert_eq!(tag_of(slot), tag_at(hash, depth));
                    assert_eq!(hash.checked_shr(u64::BITS - prefix_bits).unwrap_or(0), prefix);
                    let found = table.position(tag_of(slot), &mut |other| other == reference_of(slot));
                    assert!(found.is_some(), "every reference is reached from its place");
                    length += 1;
                }
                assert_eq!(length, table.length as usize);
                assert!(length <= TABLE_LENGTH_MAX || depth == DEPTH_MAX);
                length
            }
            Node::Branch(branch) => {
                *bytes += rounded_bytes(size_of::<Branch>());
                let length = branch.children.iter().zip(0..).map(|(child, index)| {
                    child.check_invariants(depth + 1, prefix << BRANCH_BITS | index, hash_of, bytes)
                });
                let length = length.sum();
                assert_eq!(length, branch.length);
                assert!(length >= BRANCH_LENGTH_MIN);
                length
            }
        }
    }
}

impl Branch {
    /// One table with the references of all children, which are tables: a branch among them would have
    /// more references than this one.
    fn merged(&mut self, bytes: &mut usize) -> Table {
        *bytes -= rounded_bytes(size_of::<Branch>());
        let mut table = Table::with_room(self.length, bytes);
        for (child, index) in self.children.iter_mut().zip(0..) {
            let Node::Table(child) = child else { continue };
            for &slot in child.slots.iter().filter(|&&slot| slot != 0) {
                let tag = index << (TAG_BITS - BRANCH_BITS) | tag_of(slot) >> BRANCH_BITS;
                table.put(tag << REFERENCE_BITS | reference_of(slot));
            }
            *bytes -= table_bytes(child.slots.len());
        }
        table
    }
}

impl Table {
    /// The number of slots for `length` references and some more.
    fn slots_for(length: usize) -> usize {
        let slots = (length + length / 4 + 1).max(TABLE_SLOTS_MIN);
        rounded_bytes(slots * size_of::<u64>()) / size_of::<u64>()
    }

    fn with_room(length: usize, bytes: &mut usize) -> Table {
        let slots = vec![0; Table::slots_for(length)].into_boxed_slice();
        *bytes += table_bytes(slots.len());
        Table { slots, length: 0 }
    }

    /// Where references with this tag are sought first.
    #[inline]
    fn home(&self, tag: u64) -> usize {
        (tag as usize * self.slots.len()) >> TAG_BITS
    }

    #[inline]
    fn after(&self, position: usize) -> usize {
        if position + 1 == self.slots.len() { 0 } else { position + 1 }
    }

    /// The slot of the reference with this tag that `matches`.
    #[inline]
    fn position(&self, tag: u64, matches: &mut impl FnMut(Reference) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut position = self.home(tag);
        loop {
            let slot = self.slots[position];
            if slot == 0 {
                return None;
            }
            if tag_of(slot) == tag && matches(reference_of(slot)) {
                return Some(position);
            }
            position = self.after(position);
        }
    }

    /// One of the references; there are some. Slots are drawn until one is full, every fourth at least.
    fn random(&self, below: &mut dyn FnMut(usize) -> usize) -> Reference {
        loop {
            let slot = self.slots[below(self.slots.len())];
            if slot != 0 {
                return reference_of(slot);
            }
        }
    }

    /// Puts a slot into the first free place; there is one.
    #[inline]
    fn put(&mut self, slot: u64) {
        let mut position = self.home(tag_of(slot));
        while self.slots[position] != 0 {
            position = self.after(position);
        }
        self.slots[position] = slot;
        self.length += 1;
    }

    fn insert(&mut self, tag: u64, reference: Reference, bytes: &mut usize) {
        // At least a fifth stays empty, so that chains stay short.
        if (self.length as usize + 1) * 5 > self.slots.len() * 4 {
            self.resize(self.length as usize + 1, bytes);
        }
        self.put(tag << REFERENCE_BITS | reference);
    }

    fn resize(&mut self, length: usize, bytes: &mut usize) {
        let mut table = Table::with_room(length, bytes);
        self.slots.iter().filter(|&&slot| slot != 0).for_each(|&slot| table.put(slot));
        *bytes -= table_bytes(self.slots.len());
        *self = table;
    }

    fn remove(
        &mut self,
        tag: u64,
        matches: &mut impl FnMut(Reference) -> bool,
        bytes: &mut usize,
    ) -> Option<Reference> {
        let mut hole = self.position(tag, matches)?;
        let removed = reference_of(self.slots[hole]);
        // What stands behind the hole moves up, unless that would take it before its home.
        let mut position = hole;
        loop {
            position = self.after(position);
            let slot = self.slots[position];
            if slot == 0 {
                break;
            }
            let home = self.home(tag_of(slot));
            let stays = if hole <= position {
                hole < home && home <= position
            } else {
                hole < home || home <= position
            };
            if !stays {
                self.slots[hole] = slot;
                hole = position;
            }
        }
        self.slots[hole] = 0;
        self.length -= 1;
        if self.length == 0 {
            *bytes -= table_bytes(self.slots.len());
            *self = Table::default();
        } else if (self.length as usize) < self.slots.len() / 4 && self.slots.len() > TABLE_SLOTS_MIN {
            self.resize(self.length as usize, bytes);
        }
        Some(removed)
    }

    /// A branch with the references of this full table.
    fn split(&mut self, depth: u32, hash_of: &impl Fn(Reference) -> u64, bytes: &mut usize) -> Node {
        let mut lengths = [0; BRANCH_WIDTH];
        let child_of = |slot: u64| (tag_of(slot) >> (TAG_BITS - BRANCH_BITS)) as usize;
        let slots = || self.slots.iter().copied().filter(|&slot| slot != 0);
        slots().for_each(|slot| lengths[child_of(slot)] += 1);
        let mut tables = lengths.map(|length| Table::with_room(length, bytes));
        for slot in slots() {
            let reference = reference_of(slot);
            let tag = tag_at(hash_of(reference), depth + 1);
            tables[child_of(slot)].put(tag << REFERENCE_BITS | reference);
        }
        *bytes += rounded_bytes(size_of::<Branch>());
        *bytes -= table_bytes(self.slots.len());
        Node::Branch(Box::new(Branch { children: tables.map(Node::Table), length: self.length as usize }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashSet};

    /// Hashes of references 1, 2, 3 …: spread over all bits, or alike in all but a few.
    fn hash_with(mask: u64) -> impl Fn(Reference) -> u64 {
        move |reference| reference.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) & mask
    }

    const MASKS: [u64; 5] = [u64::MAX, 0, 0xFFFF, 0xFFF0_0000_0000_0000, 0x0000_0000_FFFF_0003];

    #[test]
    fn references_come_and_go() {
        for mask in MASKS {
            let hash_of = hash_with(mask);
            let count = if mask == u64::MAX { 60_000 } else { 3_000 };
            let mut index = HashIndex::new();
            for reference in 1..=count {
                index.insert(hash_of(reference), reference, &hash_of);
                if reference % 997 == 0 {
                    index.check_invariants(&hash_of);
                }
            }
            for reference in 1..=count + 10 {
                let found = index.find(hash_of(reference), |other| other == reference);
                assert_eq!(found, (reference <= count).then_some(reference));
            }
            for reference in 1..=count {
                assert_eq!(index.remove(hash_of(reference), |other| other == reference), Some(reference));
                assert_eq!(index.remove(hash_of(reference), |other| other == reference), None);
                if reference % 997 == 0 {
                    index.check_invariants(&hash_of);
                }
            }
            assert_eq!((index.len(), index.memory_bytes()), (0, 0));
        }
    }

    #[test]
    fn a_reference_takes_about_eleven_bytes() {
        let hash_of = hash_with(u64::MAX);
        let mut index = HashIndex::new();
        for reference in 1..=300_000u64 {
            index.insert(hash_of(reference), reference, &hash_of);
            if reference > 10_000 && reference % 10_000 == 0 {
                let bytes = index.memory_bytes() as f64 / reference as f64;
                assert!((10.0..13.0).contains(&bytes), "{bytes} for {reference}");
            }
        }
    }

    #[test]
    fn it_is_freed_in_steps() {
        let hash_of = hash_with(u64::MAX);
        let mut index = HashIndex::new();
        (1..=100_000).for_each(|reference| index.insert(hash_of(reference), reference, &hash_of));
        let mut steps = 0;
        while index.free_some(1_000) {
            steps += 1;
            assert!(index.memory_bytes() > 0);
        }
        assert!((60..200).contains(&steps), "{steps}");
        assert_eq!(index.memory_bytes(), 0);
    }

    /// The guarantee of SCAN, while the index grows and shrinks.
    #[test]
    fn a_scan_returns_every_reference_that_stays() {
        for (round, mask) in MASKS.iter().flat_map(|mask| (0..6).map(move |round| (round, *mask))) {
            let hash_of = hash_with(mask);
            let stay = [20u64, 300, 3_000][round % 3];
            let bound = if round < 3 { 4 * stay } else { 2 * stay };
            let mut index = HashIndex::new();
            (1..=stay).for_each(|reference| index.insert(hash_of(reference), reference, &hash_of));
            let (mut cursor, mut calls, mut guests) = (0, 0u64, BTreeMap::new());
            let mut returned = HashSet::new();
            loop {
                let before = cursor;
                cursor = index.scan(cursor, 7, |reference| {
                    returned.insert(reference);
                });
                assert!(cursor >> CURSOR_BITS == 0 && (cursor > before || cursor == 0));
                calls += 1;
                if cursor == 0 {
                    break;
                }
                // In waves, so that tables split and merge between the calls.
                for step in 0..60 {
                    let guest = stay + 1 + (calls * 60 + step) % bound;
                    if (calls / 40) % 2 == 0 {
                        if guests.insert(guest, ()).is_none() {
                            index.insert(hash_of(guest), guest, &hash_of);
                        }
                    } else if let Some((guest, ())) = guests.pop_first() {
                        index.remove(hash_of(guest), |other| other == guest);
                    }
                }
            }
            index.check_invariants(&hash_of);
            assert!((1..=stay).all(|reference| returned.contains(&reference)));
            assert!(mask != u64::MAX || calls > stay / 7);
        }
    }

    #[test]
    fn a_scan_at_rest_returns_each_reference_once() {
        let hash_of = hash_with(u64::MAX);
        let mut index = HashIndex::new();
        (1..=20_000).for_each(|reference| index.insert(hash_of(reference), reference, &hash_of));
        let (mut cursor, mut returned) = (0, Vec::new());
        loop {
            let before = returned.len();
            cursor = index.scan(cursor, 10, |reference| returned.push(reference));
            assert!(returned.len() - before < 20, "COUNT is kept to");
            if cursor == 0 {
                break;
            }
        }
        returned.sort_unstable();
        assert!(returned.into_iter().eq(1..=20_000));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(
            mask in prop::sample::select(MASKS.to_vec()),
            operations in prop::collection::vec((any::<bool>(), 1u64..400), 0..1500),
        ) {
            let hash_of = hash_with(mask);
            let mut index = HashIndex::new();
            let mut model = HashSet::new();
            for (add, reference) in operations {
                let hash = hash_of(reference);
                let found = index.find(hash, |other| other == reference);
                prop_assert_eq!(found.is_some(), model.contains(&reference));
                if add && model.insert(reference) {
                    index.insert(hash, reference, &hash_of);
                } else if !add && model.remove(&reference) {
                    prop_assert_eq!(index.remove(hash, |other| other == reference), Some(reference));
                }
                prop_assert_eq!(index.len(), model.len());
            }
            index.check_invariants(&hash_of);
            let mut scanned = HashSet::new();
            prop_assert_eq!(index.scan(0, usize::MAX, |reference| { scanned.insert(reference); }), 0);
            prop_assert_eq!(scanned, model);
        }

        #[test]
        fn any_cursor_is_taken(cursor: u64, count in 0usize..50) {
            let hash_of = hash_with(u64::MAX);
            let mut index = HashIndex::new();
            (1..=5_000).for_each(|reference| index.insert(hash_of(reference), reference, &hash_of));
            let next = index.scan(cursor, count, |_| {});
            prop_assert!(next == 0 || next > cursor & ((1 << CURSOR_BITS) - 1));
        }
    }
}
