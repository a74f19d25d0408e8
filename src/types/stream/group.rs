//! Consumer groups: how far each has read, and what its consumers got and have not acknowledged.
//!
//! ```text
//!   group     pending    1-0 Alice │ 2-0 Bob │ 5-0 Alice │ ...    with time and number of deliveries
//!   consumer  pending    Alice: 1-0 │ 5-0      Bob: 2-0           ids alone
//! ```
//!
//! Groups and consumers are looked up by their names, of which there are few; what is pending may be a lot, and
//! is ordered by id.

use std::ops::{Deref, DerefMut};

use super::Id;
use super::ordered::{Identified, Ordered};

/// The number of a consumer in its group, which may be another's when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerNumber(u32);

/// An entry that a consumer has got and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: Id,
    /// In unix milliseconds.
    pub delivered_ms: i64,
    pub deliveries: u64,
    pub consumer: ConsumerNumber,
}

impl Identified for Pending {
    #[inline]
    fn id(&self) -> Id {
        self.id
    }
}

/// One of those who read as a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked, in unix milliseconds.
    pub seen_ms: i64,
    /// When it last got something, in unix milliseconds; below zero: never.
    pub active_ms: i64,
    pending: Ordered<Id>,
}

impl Consumer {
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries are pending.
    #[inline]
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids of its pending entries from this one on.
    pub fn pending_from(&self, first: Id) -> impl Iterator<Item = Id> {
        self.pending.iter_from(self.pending.ceiling(first)).copied()
    }

    /// The first of its pending entries from this id on.
    pub fn first_pending_from(&self, first: Id) -> Option<Id> {
        self.pending.at(self.pending.ceiling(first)).copied()
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Consumer>() + self.name.len() + self.pending.heap_bytes()
    }
}

/// A consumer group.
#[derive(Debug)]
pub struct Group {
    name: Box<[u8]>,
    /// Up to which entry its consumers have got them.
    pub last_id: Id,
    /// How many entries were read, if that is known.
    pub entries_read: Option<u64>,
    pending: Ordered<Pending>,
    /// By number; a number that is free has none.
    consumers: Vec<Option<Box<Consumer>>>,
    /// The numbers in the order of the names.
    by_name: Vec<u32>,
    free: Vec<u32>,
    /// Bytes of all consumers.
    consumer_bytes: usize,
}

impl Clone for Group {
    /// A copy has no room to spare.
    fn clone(&self) -> Group {
        let consumers = self.consumers.clone();
        let consumer_bytes = consumers.iter().flatten().map(|consumer| consumer.heap_bytes()).sum();
        Group {
            name: self.name.clone(),
            pending: self.pending.clone(),
            consumers,
            by_name: self.by_name.clone(),
            free: self.free.clone(),
            consumer_bytes,
            ..*self
        }
    }
}

impl Group {
    fn new(name: &[u8], last_id: Id, entries_read: Option<u64>) -> Group {
        Group {
            name: name.into(),
            last_id,
            entries_read,
            pending: Ordered::default(),
            consumers: Vec::new(),
            by_name: Vec::new(),
            free: Vec::new(),
            consumer_bytes: 0,
        }
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    fn heap_bytes(&self) -> usize {
        self.name.len()
            + self.pending.heap_bytes()
            + self.consumers.capacity() * size_of::<Option<Box<Consumer>>>()
            + (self.by_name.capacity() + self.free.capacity()) * size_of::<u32>()
            + self.consumer_bytes
    }

    /// About how many allocations there are.
    fn parts(&self) -> usize {
        1 + self.by_name.len() + self.pending.len() / 16
    }

    // Consumers.

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.by_name.iter().map(|&number| self.consumer(ConsumerNumber(number)))
    }

    /// The consumer at a position in the order of the names.
    pub fn consumer_at(&self, position: usize) -> Option<&Consumer> {
        self.by_name.get(position).map(|&number| self.consumer(ConsumerNumber(number)))
    }

    #[inline]
    pub fn consumer(&self, number: ConsumerNumber) -> &Consumer {
        let consumer = self.consumers[number.0 as usize].as_deref();
        consumer.expect("numbers are given out for consumers that are there")
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        let name_of = |number: &u32| self.consumer(ConsumerNumber(*number)).name();
        self.by_name.binary_search_by(|number| name_of(number).cmp(name))
    }

    #[inline]
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.search(name).ok().map(|position| ConsumerNumber(self.by_name[position]))
    }

    /// The consumer with this name, and whether it was created for that.
    #[inline]
    pub fn find_or_create_consumer(&mut self, name: &[u8], now_ms: i64) -> (ConsumerNumber, bool) {
        match self.search(name) {
            Ok(position) => (ConsumerNumber(self.by_name[position]), false),
            Err(position) => (self.create_consumer(name, position, now_ms), true),
        }
    }

    /// Adds a consumer wherever its name belongs. None is to be looked up until they are
    /// [sorted](Group::sort_consumers).
    pub fn push_consumer(&mut self, name: &[u8], now_ms: i64) -> ConsumerNumber {
        self.create_consumer(name, self.by_name.len(), now_ms)
    }

    /// Sorts the consumers by name; `false`: two have the same.
    pub fn sort_consumers(&mut self) -> bool {
        let mut by_name = std::mem::take(&mut self.by_name);
        let name_of = |number: &u32| self.consumer(ConsumerNumber(*number)).name();
        by_name.sort_unstable_by(|one, other| name_of(one).cmp(name_of(other)));
        let differ = by_name.is_sorted_by(|one, other| name_of(one) < name_of(other));
        self.by_name = by_name;
        differ
    }

    fn create_consumer(&mut self, name: &[u8], position: usize, now_ms: i64) -> ConsumerNumber {
        let pending = Ordered::default();
        let consumer = Box::new(Consumer { name: name.into(), seen_ms: now_ms, active_ms: -1, pending });
        self.consumer_bytes += consumer.heap_bytes();
        let number = self.free.pop().unwrap_or(self.consumers.len() as u32);
        match self.consumers.get_mut(number as usize) {
            Some(place) => *place = Some(consumer),
            None => self.consumers.push(Some(consumer)),
        }
        self.by_name.insert(position, number);
        ConsumerNumber(number)
    }

    /// Removes a consumer with all that is pending for it; how much that was, if the consumer was there.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.by_name.remove(self.search(name).ok()?);
        let consumer = self.consumers[number as usize].take()?;
        self.free.push(number);
        self.consumer_bytes -= consumer.heap_bytes();
        consumer.pending.iter().for_each(|&id| {
            self.pending.remove(id);
        });
        Some(consumer.pending_len())
    }

    /// Lets `change` work on a consumer, and counts its memory.
    #[inline]
    fn edit_consumer<R>(&mut self, number: ConsumerNumber, change: impl FnOnce(&mut Consumer) -> R) -> R {
        let consumer = self.consumers[number.0 as usize].as_deref_mut();
        let consumer = consumer.expect("numbers are given out for consumers that are there");
        let before = consumer.pending.heap_bytes();
        let result = change(consumer);
        self.consumer_bytes = self.consumer_bytes + consumer.pending.heap_bytes() - before;
        result
    }

    /// The consumer asks for entries.
    #[inline]
    pub fn set_seen(&mut self, number: ConsumerNumber, now_ms: i64) {
        self.edit_consumer(number, |consumer| consumer.seen_ms = now_ms);
    }

    /// The consumer gets an entry; below zero: it never did.
    #[inline]
    pub fn set_active(&mut self, number: ConsumerNumber, now_ms: i64) {
        self.edit_consumer(number, |consumer| consumer.active_ms = now_ms);
    }

    // What is pending.

    #[inline]
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    #[inline]
    pub fn pending(&self, id: Id) -> Option<&Pending> {
        self.pending.get(id)
    }

    pub fn first_pending(&self) -> Option<&Pending> {
        self.pending.first()
    }

    pub fn last_pending(&self) -> Option<&Pending> {
        self.pending.last()
    }

    /// What is pending first from this id on.
    pub fn first_pending_from(&self, first: Id) -> Option<Pending> {
        self.pending.at(self.pending.ceiling(first)).copied()
    }

    /// What is pending from this id on.
    pub fn pending_from(&self, first: Id) -> impl Iterator<Item = &Pending> {
        self.pending.iter_from(self.pending.ceiling(first))
    }

    /// An entry is pending from now on, as `pending` says it; if it was before, it is no longer with the
    /// consumer that had it.
    #[inline]
    pub fn set_pending(&mut self, pending: Pending) {
        let Pending { id, consumer, .. } = pending;
        if !self.pending.insert(pending)
            && let Some(known) = self.pending.get_mut(id)
        {
            let before = std::mem::replace(known, pending).consumer;
            if before == consumer {
                return;
            }
            self.edit_consumer(before, |consumer| consumer.pending.remove(id));
        }
        self.edit_consumer(consumer, |consumer| consumer.pending.insert(id));
    }

    /// The entry is delivered to its consumer once more.
    pub fn deliver_again(&mut self, id: Id, now_ms: i64) {
        if let Some(pending) = self.pending.get_mut(id) {
            pending.delivered_ms = now_ms;
            pending.deliveries = pending.deliveries.saturating_add(1);
        }
    }

    /// The entry is no longer pending; `false`: it was not.
    #[inline]
    pub fn acknowledge(&mut self, id: Id) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.edit_consumer(pending.consumer, |consumer| consumer.pending.remove(id));
        true
    }

    /// Frees about `budget` parts, returns how many.
    fn free_some(&mut self, budget: usize) -> usize {
        let mut freed = self.pending.free_some(budget, |_| ());
        while freed < budget
            && let Some(last) = self.consumers.last_mut()
        {
            let before = last.as_ref().map_or(0, |consumer| consumer.heap_bytes());
            let some = last.as_mut().map_or(0, |consumer| consumer.pending.free_some(budget - freed, |_| ()));
            if some == 0 {
                self.consumers.pop();
                self.consumer_bytes -= before;
            } else {
                self.consumer_bytes -= before - last.as_ref().map_or(0, |consumer| consumer.heap_bytes());
            }
            freed += some.max(1);
        }
        freed
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        self.pending.check_invariants();
        assert!(self.consumers().map(Consumer::name).is_sorted_by(|a, b| a < b));
        assert_eq!(self.consumers.iter().flatten().count(), self.by_name.len());
        assert_eq!(self.by_name.len() + self.free.len(), self.consumers.len());
        let consumers = self.consumers.iter().flatten();
        assert_eq!(self.consumer_bytes, consumers.map(|consumer| consumer.heap_bytes()).sum());
        assert_eq!(self.pending_len(), self.consumers().map(Consumer::pending_len).sum());
        for pending in self.pending.iter() {
            assert!(self.consumer(pending.consumer).pending.get(pending.id).is_some());
        }
    }
}

/// The consumer groups of a stream, in the order of their names.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<Group>,
    /// Bytes of all groups.
    bytes: usize,
}

impl Clone for Groups {
    /// A copy has no room to spare.
    fn clone(&self) -> Groups {
        let groups = self.groups.clone();
        let bytes = groups.iter().map(|group| group.heap_bytes()).sum();
        Groups { groups, bytes }
    }
}

impl Groups {
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.iter()
    }

    #[inline]
    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.groups.binary_search_by(|group| group.name.as_ref().cmp(name))
    }

    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.search(name).ok().map(|position| &self.groups[position])
    }

    /// The group with this name for a change.
    #[inline]
    pub fn edit(&mut self, name: &[u8]) -> Option<GroupMut<'_>> {
        let position = self.search(name).ok()?;
        let group = &mut self.groups[position];
        Some(GroupMut { bytes_before: group.heap_bytes(), group, bytes: &mut self.bytes })
    }

    /// Adds a group wherever its name belongs. None is to be looked up until they are [sorted](Groups::sort).
    pub fn push(&mut self, name: &[u8], last_id: Id, entries_read: Option<u64>) {
        let group = Group::new(name, last_id, entries_read);
        self.bytes += group.heap_bytes();
        self.groups.push(group);
    }

    /// The group that was added last, for a change.
    pub fn edit_pushed(&mut self) -> Option<GroupMut<'_>> {
        let group = self.groups.last_mut()?;
        Some(GroupMut { bytes_before: group.heap_bytes(), group, bytes: &mut self.bytes })
    }

    /// Sorts the groups by name; `false`: two have the same.
    pub fn sort(&mut self) -> bool {
        self.groups.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.groups.is_sorted_by(|one, other| one.name < other.name)
    }

    /// Adds a group; `false`: there is one with this name.
    pub fn create(&mut self, name: &[u8], last_id: Id, entries_read: Option<u64>) -> bool {
        let Err(position) = self.search(name) else { return false };
        let group = Group::new(name, last_id, entries_read);
        self.bytes += group.heap_bytes();
        self.groups.insert(position, group);
        true
    }

    /// Takes a group out, to be freed.
    pub fn remove(&mut self, name: &[u8]) -> Option<Groups> {
        let group = self.groups.remove(self.search(name).ok()?);
        let bytes = group.heap_bytes();
        self.bytes -= bytes;
        Some(Groups { groups: vec![group], bytes })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<Group>()
    }

    pub(super) fn parts(&self) -> usize {
        self.groups.iter().map(|group| group.parts()).sum()
    }

    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let mut freed = 0;
        while freed < budget
            && let Some(group) = self.groups.last_mut()
        {
            let before = group.heap_bytes();
            let some = group.free_some(budget - freed);
            if some == 0 {
                self.groups.pop();
                self.bytes -= before;
            } else {
                self.bytes -= before - group.heap_bytes();
            }
            freed += some.max(1);
        }
        freed
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        assert!(self.iter().map(Group::name).is_sorted_by(|a, b| a < b));
        assert_eq!(self.bytes, self.iter().map(Group::heap_bytes).sum());
        self.iter().for_each(Group::check_invariants);
    }
}

/// A group that is changed; its memory is counted anew when this goes.
pub struct GroupMut<'a> {
    group: &'a mut Group,
    bytes_before: usize,
    bytes: &'a mut usize,
}

impl Deref for GroupMut<'_> {
    type Target = Group;

    #[inline]
    fn deref(&self) -> &Group {
        self.group
    }
}

impl DerefMut for GroupMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Group {
        self.group
    }
}

impl Drop for GroupMut<'_> {
    fn drop(&mut self) {
        *self.bytes = *self.bytes + self.group.heap_bytes() - self.bytes_before;
    }
}
