//! Small hashes: one packed block of names and values, and, where fields have deadlines, a list of those.

use crate::types::packed::{End, Item, Limit, Packed, Wanted};
use crate::types::{NEVER, Registration};

use super::Limits;

/// What a block holds, whatever the limits of the configuration.
const BLOCK: Limit = Limit { bytes: Limit::BYTES_MAX, elements: u32::MAX };

/// A block of elements that lie one after the other.
pub(super) fn of_elements(bytes: &[u8]) -> Packed {
    Packed::of_elements(bytes, BLOCK)
}

/// The number of a field in the block, and its value.
#[inline]
pub(super) fn find<'p>(packed: &'p Packed, name: &[u8]) -> Option<(usize, Item<'p>)> {
    let wanted = Wanted::new(name);
    let (mut items, mut number) = (packed.iter_from(0), 0);
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        if wanted.is(&name) {
            return Some((number, value));
        }
        number += 1;
    }
    None
}

/// Sets the field that was `found`, or adds one; `false` if the block may not hold it.
#[inline]
pub(super) fn set(
    packed: &mut Packed,
    found: Option<usize>,
    name: &[u8],
    value: &[u8],
    limits: Limits,
) -> bool {
    if value.len() > limits.value_bytes {
        return false;
    }
    if let Some(number) = found {
        return packed.replace(number * 2 + 1, value, BLOCK);
    }
    if packed.len() / 2 >= limits.entries || name.len() > limits.value_bytes {
        return false;
    }
    if !packed.push(End::Back, name, BLOCK) {
        return false;
    }
    if packed.push(End::Back, value, BLOCK) {
        return true;
    }
    packed.cut(End::Back, 1);
    false
}

/// Removes a field by its number.
pub(super) fn remove(packed: &mut Packed, number: usize) {
    remove_where(packed, |other| other == number);
}

fn remove_where(packed: &mut Packed, mut remove: impl FnMut(usize) -> bool) {
    let mut index = 0;
    packed.remove_where(|_| {
        index += 1;
        remove((index - 1) / 2)
    });
}

/// A small hash of which fields may have deadlines.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) packed: Packed,
    /// Of the fields in their order; [`NEVER`] for those without.
    deadlines: Vec<i64>,
    first: i64,
    pub(super) registration: Option<Registration>,
}

impl Timed {
    pub(super) fn new(packed: Packed) -> Timed {
        let deadlines = vec![NEVER; packed.len() / 2];
        Timed { packed, deadlines, first: NEVER, registration: None }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.packed.heap_bytes() + self.deadlines.capacity() * size_of::<i64>()
    }

    /// As [`set`]; a deadline goes if it is not kept.
    pub(super) fn set(
        &mut self,
        found: Option<usize>,
        name: &[u8],
        value: &[u8],
        limits: Limits,
        keep_deadline: bool,
    ) -> bool {
        if !set(&mut self.packed, found, name, value, limits) {
            return false;
        }
        match found {
            None => self.deadlines.push(NEVER),
            Some(number) if !keep_deadline => self.set_deadline(number, NEVER),
            Some(_) => {}
        }
        true
    }

    pub(super) fn remove(&mut self, number: usize) {
        remove(&mut self.packed, number);
        self.deadlines.remove(number);
        self.find_first();
    }

    pub(super) fn deadline(&self, number: usize) -> i64 {
        self.deadlines[number]
    }

    pub(super) fn set_deadline(&mut self, number: usize, deadline: i64) {
        self.deadlines[number] = deadline;
        self.find_first();
    }

    fn find_first(&mut self) {
        self.first = self.deadlines.iter().copied().min().unwrap_or(NEVER);
    }

    pub(super) fn first_deadline(&self) -> i64 {
        self.first
    }

    /// Whether every field's deadline has come.
    pub(super) fn all_due(&self, now: i64) -> bool {
        self.first <= now && self.deadlines.iter().all(|&deadline| deadline <= now)
    }

    /// Removes the fields whose deadlines have come, and returns how many.
    pub(super) fn expire(&mut self, now: i64) -> usize {
        if self.first > now {
            return 0;
        }
        let before = self.deadlines.len();
        remove_where(&mut self.packed, |number| self.deadlines[number] <= now);
        self.deadlines.retain(|&deadline| deadline > now);
        self.find_first();
        before - self.deadlines.len()
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.packed.check_invariants();
        assert_eq!(self.deadlines.len() * 2, self.packed.len());
        assert_eq!(self.first, self.deadlines.iter().copied().min().unwrap_or(NEVER));
    }
}
