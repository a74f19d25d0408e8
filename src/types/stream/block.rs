//! A block: some entries of a stream, one behind the other in one allocation.
//!
//! ```text
//!   number of fields │ name │ ... │ entry │ entry │ ...
//!   └ of the first entry ───────┘ └ the fields are in most blocks the same
//!
//!   entry, of those fields:  head │ value │ value │ ...
//!   entry, of other fields:  head │ number of fields │ name │ value │ name │ ...
//!
//!   head   1 byte   bit 0: deleted   bit 1: of other fields   bits 2 to 7: the way from the id before
//!     0..=58    so many milliseconds later, number 0; if 0, in the same millisecond the next number
//!     59        the same id, of the first entry
//!     60        in the same millisecond; then the number's distance
//!     61        number 0; then the milliseconds' distance
//!     62        then the milliseconds' distance, then the number
//! ```
//!
//! Distances and counts are written in groups of seven bits, the lowest first, names and values as elements
//! of packed blocks are (`packed/item.rs`). So an entry that follows soon takes a byte and its values.
//!
//! Entries are never moved within a block: one that is deleted is marked, and goes when no entry of its block
//! is left. Those at the beginning are passed over by [`Block::start`].

use super::Id;
use super::ordered::Identified;
use crate::types::packed::{Encoded, Item, Wanted, after, decode};

const DELETED: u8 = 1;
const OTHER_FIELDS: u8 = 2;
const WAY_SHIFT: u32 = 2;
const MS_STEP_MAX: u64 = 58;
const WAY_SAME: u8 = 59;
const WAY_SEQ: u8 = 60;
const WAY_MS: u8 = 61;
const WAY_BOTH: u8 = 62;

/// The longest number: 64 bits in groups of seven.
const NUMBER_BYTES_MAX: usize = 10;
/// The longest head of an entry with its distances and its count.
const HEAD_BYTES_MAX: usize = 1 + 3 * NUMBER_BYTES_MAX;
/// The longest header of a name or value, see `packed/item.rs`.
const ITEM_HEAD_BYTES_MAX: usize = 9;

/// What a block may hold; a single entry may be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub bytes: u32,
    pub entries: u32,
}

impl Limits {
    /// The largest block, for it is searched from its beginning.
    pub const BYTES_MAX: u32 = 1 << 16;
    /// The most entries of a block.
    pub const ENTRIES_MAX: u32 = 1 << 16;

    /// The limits as the configuration says them, where 0 is the largest there is.
    pub fn of_settings(bytes: u64, entries: u64) -> Limits {
        let limit = |setting: u64, most: u32| match u32::try_from(setting) {
            Ok(0) | Err(_) => most,
            Ok(setting) => setting.min(most),
        };
        Limits { bytes: limit(bytes, Limits::BYTES_MAX), entries: limit(entries, Limits::ENTRIES_MAX) }
    }
}

/// Names and values of an entry to be, in order.
pub trait Pairs<'a>: Iterator<Item = (&'a [u8], &'a [u8])> + ExactSizeIterator + Clone {}

impl<'a, T: Iterator<Item = (&'a [u8], &'a [u8])> + ExactSizeIterator + Clone> Pairs<'a> for T {}

/// Some entries of a stream.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The id of the first entry that it got.
    first: Id,
    /// The id before the entry at `start`.
    before: Id,
    bytes: Vec<u8>,
    /// Where the first entry is that is not deleted.
    start: u32,
    /// Where the last entry is, even if it is deleted.
    last: u32,
    /// Entries that are there, and those that are deleted.
    live: u32,
    deleted: u32,
}

impl Identified for Block {
    #[inline]
    fn id(&self) -> Id {
        self.first
    }
}

impl Block {
    /// A block with its first entry. `room`: how many bytes it is likely to become.
    pub(super) fn new<'a>(id: Id, pairs: impl Pairs<'a>, room: usize) -> Block {
        let most = NUMBER_BYTES_MAX + HEAD_BYTES_MAX + bytes_max(pairs.clone());
        let mut bytes = Vec::with_capacity(room.max(most));
        push_number(&mut bytes, pairs.len() as u64);
        pairs.clone().for_each(|(name, _)| push_item(&mut bytes, name));
        let start = bytes.len() as u32;
        bytes.push(WAY_SAME << WAY_SHIFT);
        pairs.for_each(|(_, value)| push_item(&mut bytes, value));
        Block { first: id, before: id, bytes, start, last: start, live: 1, deleted: 0 }
    }

    /// Adds an entry whose id comes after `last`, that of the block's last one; `false`: it would exceed the
    /// limits.
    #[inline]
    pub(super) fn push<'a>(&mut self, last: Id, id: Id, pairs: impl Pairs<'a>, limits: Limits) -> bool {
        let text: usize = pairs.clone().map(|(name, value)| name.len() + value.len()).sum();
        if self.is_full(text, limits) {
            return false;
        }
        let same = self.has_fields(pairs.clone());
        self.write(last, id, pairs, (same, text), limits);
        true
    }

    /// Adds an entry of a stream that is being restored, which has the names of the block if it `shares` them;
    /// `false`: the block has enough. That is not before its entries take as much as its names, `names_bytes`:
    /// few bytes that are restored are not to become many.
    pub(super) fn push_restored<'a>(
        &mut self,
        last: Id,
        id: Id,
        pairs: impl Pairs<'a>,
        (shares, names_bytes): (bool, usize),
        limits: Limits,
    ) -> bool {
        let text: usize = match shares {
            true => pairs.clone().map(|(_, value)| value.len()).sum(),
            false => pairs.clone().map(|(name, value)| name.len() + value.len()).sum(),
        };
        if self.bytes.len() + text >= 2 * names_bytes && self.is_full(text, limits) {
            return false;
        }
        let bytes = u32::try_from(2 * names_bytes).unwrap_or(u32::MAX).max(limits.bytes);
        self.write(last, id, pairs, (shares, text), Limits { bytes, ..limits });
        true
    }

    /// Whether an entry of so many bytes would exceed the limits.
    #[inline]
    fn is_full(&self, text: usize, limits: Limits) -> bool {
        self.bytes.len() + text >= limits.bytes as usize || self.live + self.deleted >= limits.entries
    }

    /// Writes an entry behind the last one, of the block's names if `same`; `text` says about how many bytes.
    #[inline]
    fn write<'a>(
        &mut self,
        last: Id,
        id: Id,
        pairs: impl Pairs<'a>,
        (same, text): (bool, usize),
        limits: Limits,
    ) {
        self.reserve(HEAD_BYTES_MAX + text + 2 * pairs.len() * ITEM_HEAD_BYTES_MAX, limits);
        self.last = self.bytes.len() as u32;
        push_head(&mut self.bytes, if same { 0 } else { OTHER_FIELDS }, last, id);
        if same {
            pairs.for_each(|(_, value)| push_item(&mut self.bytes, value));
        } else {
            push_number(&mut self.bytes, pairs.len() as u64);
            for (name, value) in pairs {
                push_item(&mut self.bytes, name);
                push_item(&mut self.bytes, value);
            }
        }
        self.live += 1;
    }

    /// Makes room for `more` bytes.
    #[inline]
    fn reserve(&mut self, more: usize, limits: Limits) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let grown = (needed + needed / 4).min(limits.bytes as usize).max(needed);
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
    }

    /// Whether the first entry had the names of these fields.
    #[inline]
    fn has_fields<'a>(&self, pairs: impl Pairs<'a>) -> bool {
        let (count, mut at) = number(&self.bytes, 0);
        count == pairs.len() as u64
            && pairs.into_iter().all(|(name, _)| {
                let (item, next) = decode(&self.bytes, at);
                at = next;
                match item {
                    Item::Bytes(bytes) => bytes == name,
                    item => Wanted::new(name).is(&item),
                }
            })
    }

    /// Gives back the room of a block that gets no more entries.
    pub(super) fn close(&mut self) {
        if self.bytes.capacity() - self.bytes.len() > self.bytes.len() / 16 {
            self.bytes.shrink_to_fit();
        }
    }

    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes in use.
    pub(super) fn used_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Entries that are not deleted.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.live
    }

    /// The id of the last entry, even if it is deleted.
    pub(super) fn last_id(&self) -> Id {
        self.steps().last().map_or(self.before, |step| step.id)
    }

    /// Marks the entry with this id as deleted, if it is there.
    pub(super) fn delete(&mut self, id: Id) -> bool {
        let found = self.steps().find(|step| step.id >= id);
        let Some(Step { at, deleted: false, .. }) = found.filter(|step| step.id == id) else { return false };
        self.mark_deleted(at);
        self.advance();
        true
    }

    /// Deletes entries from the beginning on, until one is to stay; returns how many.
    pub(super) fn delete_until(&mut self, mut stays: impl FnMut(Id) -> bool) -> u32 {
        let mut count = 0;
        while self.live > 0 {
            let Some(step) = self.steps().next().filter(|step| !stays(step.id)) else { break };
            self.mark_deleted(step.at);
            count += 1;
            self.advance();
        }
        count
    }

    fn mark_deleted(&mut self, at: u32) {
        self.bytes[at as usize] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
    }

    /// Goes to the first entry that is not deleted.
    fn advance(&mut self) {
        let (mut start, mut before) = (self.start, self.before);
        let mut steps = self.steps();
        while let Some(step) = steps.next().filter(|step| step.deleted) {
            start = steps.at as u32;
            // The first entry says that its id is the same as that before it, which it then is for the next.
            before = step.id;
        }
        (self.start, self.before) = (start, before);
    }

    #[inline]
    fn steps(&self) -> Steps<'_> {
        Steps { bytes: &self.bytes, at: self.start as usize, before: self.before, fields: self.fields() }
    }

    #[inline]
    fn fields(&self) -> Names {
        let (count, at) = number(&self.bytes, 0);
        Names { count: count as u32, at: at as u32 }
    }

    /// The entries that are not deleted.
    #[inline]
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries(self.steps())
    }

    /// The last entry, whose id is `last`, unless it is deleted.
    pub(super) fn last_entry(&self, last: Id) -> Option<Entry<'_>> {
        let at = self.last as usize;
        let is_deleted = self.bytes[at] & DELETED != 0;
        let steps = Steps { bytes: &self.bytes, at, before: Id::MIN, fields: self.fields() };
        let entry = if is_deleted { None } else { Entries(steps).next() };
        entry.map(|entry| Entry { id: last, ..entry })
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert!(self.live > 0);
        let entries: Vec<_> = self.entries().collect();
        assert_eq!(entries.len(), self.live as usize);
        assert!(entries.iter().map(|entry| entry.id).is_sorted_by(|a, b| a < b));
        assert!(self.steps().next().is_some_and(|step| !step.deleted));
        assert!(entries[0].id >= self.first);
        assert_eq!(self.steps().last().map(|step| step.at), Some(self.last));
    }
}

/// At most how many bytes names and values take.
fn bytes_max<'a>(pairs: impl Pairs<'a>) -> usize {
    pairs.map(|(name, value)| name.len() + value.len() + 2 * ITEM_HEAD_BYTES_MAX).sum()
}

#[inline]
fn push_item(bytes: &mut Vec<u8>, text: &[u8]) {
    let item = Encoded::new(text, &[]);
    let at = bytes.len();
    bytes.resize(at + item.len(), 0);
    item.write(&mut bytes[at..]);
}

#[inline]
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The number at `at`, and what is behind it.
#[inline]
fn number(bytes: &[u8], mut at: usize) -> (u64, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return (number, at);
        }
        shift += 7;
    }
}

#[inline]
fn push_head(bytes: &mut Vec<u8>, flags: u8, last: Id, id: Id) {
    let ms = id.ms - last.ms;
    let mut head = |way: u8| bytes.push(flags | way << WAY_SHIFT);
    match (ms, id.seq) {
        (0, seq) if seq - last.seq == 1 => head(0),
        (0, seq) => {
            head(WAY_SEQ);
            push_number(bytes, seq - last.seq);
        }
        (1..=MS_STEP_MAX, 0) => head(ms as u8),
        (_, 0) => {
            head(WAY_MS);
            push_number(bytes, ms);
        }
        (_, seq) => {
            head(WAY_BOTH);
            push_number(bytes, ms);
            push_number(bytes, seq);
        }
    }
}

/// The names of a block's first entry: how many, and where they begin.
#[derive(Clone, Copy, Debug)]
struct Names {
    count: u32,
    at: u32,
}

/// An entry as it is met on the way through a block.
struct Step {
    id: Id,
    at: u32,
    deleted: bool,
    /// Where the fields are, and their own names if they have some.
    fields: usize,
    own: Option<u32>,
}

/// The way through a block, deleted entries included.
struct Steps<'a> {
    bytes: &'a [u8],
    at: usize,
    before: Id,
    fields: Names,
}

impl Iterator for Steps<'_> {
    type Item = Step;

    #[inline]
    fn next(&mut self) -> Option<Step> {
        let bytes = self.bytes;
        let at = self.at;
        let head = *bytes.get(at)?;
        let Id { ms, seq } = self.before;
        let mut next = at + 1;
        let id = match head >> WAY_SHIFT {
            0 => Id { ms, seq: seq + 1 },
            WAY_SAME => self.before,
            WAY_SEQ => {
                let (distance, end) = number(bytes, next);
                next = end;
                Id { ms, seq: seq + distance }
            }
            WAY_MS => {
                let (distance, end) = number(bytes, next);
                next = end;
                Id { ms: ms + distance, seq: 0 }
            }
            WAY_BOTH => {
                let (distance, end) = number(bytes, next);
                let (seq, end) = number(bytes, end);
                next = end;
                Id { ms: ms + distance, seq }
            }
            step => Id { ms: ms + u64::from(step), seq: 0 },
        };
        let mut items = self.fields.count as usize;
        let mut own = None;
        if head & OTHER_FIELDS != 0 {
            let (count, end) = number(bytes, next);
            next = end;
            own = Some(count as u32);
            items = 2 * count as usize;
        }
        let fields = next;
        for _ in 0..items {
            next = after(bytes, next);
        }
        self.at = next;
        self.before = id;
        Some(Step { id, at: at as u32, deleted: head & DELETED != 0, fields, own })
    }
}

/// The entries of a block that are not deleted.
pub(super) struct Entries<'a>(Steps<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let step = self.0.by_ref().find(|step| !step.deleted)?;
        let names = if step.own.is_some() { None } else { Some(self.0.fields.at as usize) };
        let count = step.own.unwrap_or(self.0.fields.count);
        Some(Entry { id: step.id, bytes: self.0.bytes, count, names, at: step.fields })
    }
}

/// An entry where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: Id,
    bytes: &'a [u8],
    count: u32,
    /// Where its names are, unless they are with its values.
    names: Option<usize>,
    at: usize,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// No entry is without fields.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether its names are those of the first entry of its block.
    pub fn shares_names(&self) -> bool {
        self.names.is_some()
    }

    /// The names and values in order.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let Entry { bytes, mut names, mut at, .. } = *self;
        (0..self.count).map(move |_| {
            let from = names.unwrap_or(at);
            let (name, behind) = decode(bytes, from);
            if let Some(names) = &mut names {
                *names = behind;
            } else {
                at = behind;
            }
            let (value, behind) = decode(bytes, at);
            at = behind;
            (name, value)
        })
    }
}
