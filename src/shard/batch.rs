//! What travels between shards: a flat buffer of commands one way, a flat buffer of replies back.
//!
//! All commands that one turn of a core has for another go into one [`Batch`], whatever connections they
//! come from; the executing shard fills in the replies and sends the same batch back. The origin recycles
//! it, so that in a steady state nothing is allocated.
//!
//! ```text
//!   item:  command u16 │ step u8 │ flags u8 │ database u16 │ arguments u32 │ slot u16 │ hash u64
//!          │ length u32 per argument │ the bytes of the arguments
//! ```

use crate::keyspace::Moved;
use crate::resp::{Args, Span};
use crate::runtime::latch::Latch;

use super::locks::Intent;
use super::queue::TransactionId;
use super::report::Report;

/// In place of a slot: the item has no key.
pub const NO_KEY: u16 = u16::MAX;

/// The fixed part of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemHeader {
    /// Position in the command table.
    pub command: u16,
    /// Which step of a command of several hops; 0 otherwise.
    pub step: u8,
    pub resp3: bool,
    pub no_touch: bool,
    /// The client waits if its command finds nothing.
    pub parks: bool,
    /// Another command of the same EXEC follows: nobody is served until all have run.
    pub exec_goes_on: bool,
    pub database: u16,
    pub arguments: u32,
    /// The hash slot of the first key where tables are kept by slot, else 0; or [`NO_KEY`].
    pub slot: u16,
    /// The hash of the first key.
    pub hash: u64,
}

const HEADER_BYTES: usize = 20;
const RESP3: u8 = 1;
const NO_TOUCH: u8 = 2;
const PARKS: u8 = 4;
const EXEC_GOES_ON: u8 = 8;
/// An argument with this bit in its length is a vector of its own; the rest is its number.
const OWNED: u32 = 1 << 31;

/// Something that cannot be written as reply bytes: a value on the move, or a report.
pub enum Extra {
    Moved(Moved),
    Report(Box<Report>),
}

/// How a batch is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchKind {
    /// Each group when nothing that is locked is in its way.
    #[default]
    Plain,
    /// All of it as one shard's share of a transaction, once that has its locks.
    Share,
    /// At once: a hop of a transaction that has its locks.
    Hop,
}

/// Neighbouring items that one session waits for; nothing comes between them.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub first: u32,
    pub count: u32,
    /// Where its intents end; they begin where those of the group before end.
    pub intents_end: u32,
    /// The origin's number of the wait.
    pub wait: u32,
    /// It met a conflict, or its client waits for elements: its replies come later, in a batch of their own.
    pub deferred: bool,
}

/// Commands for another shard, and their replies.
#[derive(Default)]
pub struct Batch {
    /// The shard that made it and gets it back.
    pub origin: u16,
    /// The shard that runs it.
    pub target: u16,
    /// The origin's number for it.
    pub number: u32,
    pub kind: BatchKind,
    /// Of a share, whose it is.
    pub transaction: TransactionId,
    /// Counts the answers of all shares.
    pub latch: Latch,
    /// A share that need not ask again once it has its locks.
    pub run_when_granted: bool,
    /// Whether an item writes.
    pub writes: bool,
    /// What its items are going to do with which keys.
    pub intents: Vec<Intent>,
    /// Its items by who waits for them, in order; they cover all items.
    pub groups: Vec<Group>,
    items: Vec<u8>,
    count: u32,
    /// Big arguments, moved instead of copied.
    owned: Vec<Vec<u8>>,
    /// What goes along with an item, by its number.
    pub extras_in: Vec<(u32, Extra)>,
    pub replies: Vec<u8>,
    /// Where each item's reply ends in `replies`.
    ends: Vec<usize>,
    /// What comes back besides the reply, by the number of the item.
    pub extras_out: Vec<(u32, Extra)>,
    /// Items that took long, and how many clock ticks; the origin knows whose they are.
    pub slow: Vec<(u32, u64)>,
}

/// Batches that grew beyond this give their memory back when they are recycled.
const RECYCLED_BYTES_MAX: usize = 256 * 1024;

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many items were put; the number of the next one.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Begins an item; its arguments follow through [`ItemWriter::argument`].
    #[inline]
    pub fn begin(&mut self, header: ItemHeader) -> ItemWriter<'_> {
        let start = self.items.len();
        let lengths = header.arguments as usize * 4;
        self.items.reserve(HEADER_BYTES + lengths);
        self.items.extend_from_slice(&header.encode());
        self.items.resize(start + HEADER_BYTES + lengths, 0);
        self.count += 1;
        ItemWriter { batch: self, next_length: start + HEADER_BYTES }
    }

    /// Reads the item at `position`: its header, the spans of its arguments (relative to
    /// [`Batch::item_buffer`]) and where the next one begins. `None` at the end.
    #[inline]
    pub fn read(&self, position: usize, spans: &mut Vec<Span>) -> Option<(ItemHeader, usize)> {
        let header = ItemHeader::decode(self.items.get(position..position + HEADER_BYTES)?);
        let lengths = position + HEADER_BYTES;
        let mut start = lengths + header.arguments as usize * 4;
        for argument in 0..header.arguments as usize {
            let at = lengths + argument * 4;
            let length = u32::from_le_bytes(self.items[at..at + 4].try_into().unwrap_or_default());
            if length & OWNED != 0 {
                spans.push(Span::owned((length & !OWNED) as usize));
            } else {
                spans.push(Span::new(start, length as usize));
                start += length as usize;
            }
        }
        Some((header, start))
    }

    /// Copies of the arguments of item `item`, its name first; those that moved are empty.
    pub fn arguments_of(&self, item: u32) -> Vec<Vec<u8>> {
        let mut spans = Vec::new();
        let mut position = 0;
        for _ in 0..=item {
            spans.clear();
            match self.read(position, &mut spans) {
                Some((_, next)) => position = next,
                None => return Vec::new(),
            }
        }
        let mut owned = self.owned.clone();
        let args = Args::new(&self.items, &spans, &mut owned);
        args.iter().map(<[u8]>::to_vec).collect()
    }

    /// The header of the item at `position` and where the next one begins, without its arguments.
    #[inline]
    pub fn peek(&self, position: usize) -> Option<ItemHeader> {
        Some(ItemHeader::decode(self.items.get(position..position + HEADER_BYTES)?))
    }

    /// What the spans of [`Batch::read`] refer to, and a place for the replies.
    #[inline]
    pub fn parts(&mut self) -> (&[u8], &mut [Vec<u8>], &mut Vec<u8>) {
        (&self.items, &mut self.owned, &mut self.replies)
    }

    /// Marks the end of an item's reply.
    #[inline]
    pub fn end_reply(&mut self) {
        self.ends.push(self.replies.len());
    }

    /// The replies of items `first` to `last` (exclusive).
    #[inline]
    pub fn replies_of(&self, first: u32, last: u32) -> &[u8] {
        let start = if first == 0 { 0 } else { self.ends[first as usize - 1] };
        let end = if last == 0 { 0 } else { self.ends[last as usize - 1] };
        &self.replies[start..end]
    }

    /// The one reply of an item.
    #[inline(always)]
    pub fn reply(&self, item: u32) -> &[u8] {
        self.replies_of(item, item + 1)
    }

    /// What item `item` brought back besides its reply.
    pub fn take_extra(&mut self, item: u32) -> Option<Extra> {
        let position = self.extras_out.iter().position(|(number, _)| *number == item)?;
        Some(self.extras_out.swap_remove(position).1)
    }

    /// How many clock ticks item `item` took, if that was long.
    pub fn take_slow(&mut self, item: u32) -> Option<u64> {
        let position = self.slow.iter().position(|(number, _)| *number == item)?;
        Some(self.slow.swap_remove(position).1)
    }

    /// What goes along with item `item`.
    pub fn take_extra_in(&mut self, item: u32) -> Option<Extra> {
        let position = self.extras_in.iter().position(|(number, _)| *number == item)?;
        Some(self.extras_in.swap_remove(position).1)
    }

    /// Ends a group with the items and intents put since the last one.
    pub fn end_group(&mut self, wait: u32) {
        let first = self.groups.last().map_or(0, |group| group.first + group.count);
        let (count, intents_end) = (self.count - first, self.intents.len() as u32);
        self.groups.push(Group { first, count, intents_end, wait, deferred: false });
    }

    /// Makes an empty batch the answer to one wait, whose item was in another.
    pub fn answer_one(&mut self, wait: u32, reply: &[u8]) {
        self.count = 1;
        self.replies.extend_from_slice(reply);
        self.end_reply();
        self.end_group(wait);
    }

    /// The intents of group `index`.
    pub fn intents_of(&self, index: usize) -> &[Intent] {
        let start = if index == 0 { 0 } else { self.groups[index - 1].intents_end };
        &self.intents[start as usize..self.groups[index].intents_end as usize]
    }

    /// Forgets the replies, to be run again.
    pub fn forget_replies(&mut self) {
        self.replies.clear();
        self.ends.clear();
        self.slow.clear();
    }

    /// Empty again, for the next use; keeps its buffers while they are of ordinary size.
    pub fn clear(&mut self) {
        for buffer in [&mut self.items, &mut self.replies] {
            buffer.clear();
            if buffer.capacity() > RECYCLED_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        self.count = 0;
        self.kind = BatchKind::Plain;
        self.transaction = TransactionId::NONE;
        self.run_when_granted = false;
        self.writes = false;
        self.intents.clear();
        self.groups.clear();
        self.owned.clear();
        self.extras_in.clear();
        self.extras_out.clear();
        self.slow.clear();
        self.ends.clear();
    }
}

/// Takes the arguments of an item, in order, exactly as many as its header says.
pub struct ItemWriter<'a> {
    batch: &'a mut Batch,
    next_length: usize,
}

impl ItemWriter<'_> {
    #[inline]
    pub fn argument(&mut self, bytes: &[u8]) {
        self.put_length(bytes.len() as u32);
        self.batch.items.extend_from_slice(bytes);
    }

    /// An argument of a command: a big one is a vector already, and moves.
    #[inline]
    pub fn argument_of(&mut self, args: &mut Args<'_>, position: usize) {
        if args.is_owned(position) {
            self.owned_argument(args.take(position));
        } else {
            self.argument(args.get(position));
        }
    }

    /// An argument that is a vector already: moved, not copied.
    pub fn owned_argument(&mut self, bytes: Vec<u8>) {
        self.put_length(OWNED | self.batch.owned.len() as u32);
        self.batch.owned.push(bytes);
    }

    #[inline(always)]
    fn put_length(&mut self, length: u32) {
        self.batch.items[self.next_length..self.next_length + 4].copy_from_slice(&length.to_le_bytes());
        self.next_length += 4;
    }
}

impl ItemHeader {
    /// Whether it is a command in one step whose key has been looked at.
    #[inline(always)]
    pub fn is_whole_with_key(&self) -> bool {
        self.step == 0 && self.slot != NO_KEY && self.command != u16::MAX
    }

    /// Of a command without a key, from a client that speaks RESP2.
    pub fn new(command: u16, database: u16) -> Self {
        ItemHeader {
            command,
            step: 0,
            resp3: false,
            no_touch: false,
            parks: false,
            exec_goes_on: false,
            database,
            arguments: 0,
            slot: NO_KEY,
            hash: 0,
        }
    }

    #[inline(always)]
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..2].copy_from_slice(&self.command.to_le_bytes());
        bytes[2] = self.step;
        let flags = [
            (self.resp3, RESP3),
            (self.no_touch, NO_TOUCH),
            (self.parks, PARKS),
            (self.exec_goes_on, EXEC_GOES_ON),
        ];
        bytes[3] = flags.iter().fold(0, |bits, &(set, bit)| bits | if set { bit } else { 0 });
        bytes[4..6].copy_from_slice(&self.database.to_le_bytes());
        bytes[6..10].copy_from_slice(&self.arguments.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.slot.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.hash.to_le_bytes());
        bytes
    }

    #[inline(always)]
    fn decode(bytes: &[u8]) -> Self {
        let field = |start: usize, length: usize| {
            bytes[start..start + length].iter().rev().fold(0u64, |value, &byte| value << 8 | byte as u64)
        };
        ItemHeader {
            command: field(0, 2) as u16,
            step: bytes[2],
            resp3: bytes[3] & RESP3 != 0,
            no_touch: bytes[3] & NO_TOUCH != 0,
            parks: bytes[3] & PARKS != 0,
            exec_goes_on: bytes[3] & EXEC_GOES_ON != 0,
            database: field(4, 2) as u16,
            arguments: field(6, 4) as u32,
            slot: field(10, 2) as u16,
            hash: field(12, 8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of many large replies: 128 values of a pipeline may have half a gigabyte each.
    #[test]
    fn replies_of_more_than_four_gigabytes() {
        // Zeros that nobody looks at are no memory.
        let mut batch = Batch { replies: vec![0; (4 << 30) + 100], ..Batch::default() };
        batch.replies.truncate((4 << 30) + 10);
        batch.end_reply();
        batch.replies.extend_from_slice(b"+OK\r\n");
        batch.end_reply();
        assert_eq!(batch.reply(0).len(), (4 << 30) + 10);
        assert_eq!(batch.reply(1), b"+OK\r\n");
    }

    #[test]
    fn items_come_out_as_they_went_in() {
        let mut batch = Batch::default();
        let header = ItemHeader {
            command: 513,
            step: 2,
            resp3: true,
            no_touch: false,
            parks: true,
            exec_goes_on: false,
            database: 15,
            arguments: 3,
            slot: 16383,
            hash: 0x0123_4567_89ab_cdef,
        };
        let mut writer = batch.begin(header);
        writer.argument(b"SET");
        writer.argument(b"");
        writer.owned_argument(b"big".to_vec());
        let other = ItemHeader { arguments: 1, resp3: false, no_touch: true, ..header };
        batch.begin(other).argument(b"PING");

        let mut spans = Vec::new();
        let (read, next) = batch.read(0, &mut spans).unwrap();
        assert_eq!(read, header);
        let (bytes, owned, _) = batch.parts();
        let args = Args::new(bytes, &spans, owned);
        assert_eq!(args.iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"", b"big"]);
        spans.clear();
        let (read, next) = batch.read(next, &mut spans).unwrap();
        assert_eq!(read, other);
        assert!(batch.read(next, &mut spans).is_none());
    }
}
