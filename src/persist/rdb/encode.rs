//! Writes values, piece by piece.
//!
//! Small collections become one string that holds a listpack or an intset, as they lie in Redis; large ones a
//! count and their elements; lists the blocks that they lie in. A sorted set begins with its greatest element:
//! who reads it puts each in front of the others.

use super::listpack::Writer;
use super::lzf::Compressor;
use super::stream::StreamPlace;
use super::text::{write_integer, write_length, write_short, write_text};
use super::{container, type_number};
use crate::keyspace::{StringRef, Value};
use crate::types::hash::View;
use crate::types::packed::{Item, Packed};
use crate::types::score::ScoreText;
use crate::types::{Collection, Encoding, List, NEVER, Set, SortedSet};

/// What an element costs besides its bytes, in bytes that could be written meanwhile.
const ELEMENT_COST_BYTES: usize = 64;
/// As many elements of a hash table are visited in one go.
const ELEMENTS_MAX: usize = 1024;
/// An element of this size is a list's node of its own: no listpack could hold it with others.
const PLAIN_BYTES_MIN: usize = 1 << 30;

/// Writes one value after the other.
pub struct Encoder {
    place: Place,
    /// Made when it is first needed.
    compressor: Option<Compressor>,
    compress: bool,
}

/// What comes next of the present value.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Begin,
    /// The byte of a string, the block of a list; of a sorted set how many elements are left.
    Number(usize),
    /// The cursor of a hash table.
    Cursor(u64),
    Stream(StreamPlace),
    End,
}

impl Encoder {
    /// `compress`: long strings, where that makes them shorter.
    pub fn new(compress: bool) -> Encoder {
        Encoder { place: Place::Begin, compressor: None, compress }
    }

    /// Appends about `budget` bytes of a value, elements counting for more than their own, and says whether it
    /// is complete. The next call begins with the next value.
    ///
    /// The value must be the same in every call until it is complete: whoever changes it in between has it
    /// written to its end before. Of a hash, no field may be due.
    pub fn step(&mut self, value: Value<'_>, budget: usize, out: &mut Vec<u8>) -> bool {
        let limit = out.len().saturating_add(budget.max(1));
        while out.len() < limit {
            self.place = match value {
                Value::String(string) => self.string(string, limit, out),
                Value::List(list) => self.list(list, out),
                Value::Set(set) => self.set(set, limit, out),
                Value::SortedSet(set) => self.sorted_set(set, limit, out),
                Value::Hash(hash) => self.hash(hash, limit, out),
                Value::Stream(stream) => self.stream(stream, limit, out),
            };
            if let Place::End = self.place {
                self.place = Place::Begin;
                return true;
            }
        }
        false
    }

    fn compressor(&mut self) -> Option<&mut Compressor> {
        self.compress.then(|| self.compressor.get_or_insert_with(Compressor::new))
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        // An integer, or too short to be compressed: no need for a compressor.
        let compressor =
            if text.len() < super::text::COMPRESSED_BYTES_MIN { None } else { self.compressor() };
        write_text(text, compressor, out);
    }

    fn item(&mut self, item: Item<'_>, out: &mut Vec<u8>) {
        match item {
            Item::Int(number) => write_integer(number, out),
            Item::Bytes(bytes) => self.text(bytes, out),
            Item::Joined(..) => self.text(&item.to_vec(), out),
        }
    }

    /// A long string goes in pieces.
    fn string(&mut self, string: StringRef<'_>, limit: usize, out: &mut Vec<u8>) -> Place {
        let bytes = match string {
            StringRef::Int(number) => {
                out.push(type_number::STRING);
                write_integer(number, out);
                return Place::End;
            }
            StringRef::Bytes(bytes) => bytes,
        };
        let start = match self.place {
            Place::Number(start) => start,
            _ => {
                out.push(type_number::STRING);
                if write_short(bytes, self.compressor(), out) {
                    return Place::End;
                }
                write_length(bytes.len() as u64, out);
                0
            }
        };
        let end = bytes.len().min(start.saturating_add(limit.saturating_sub(out.len()).max(1)));
        out.extend_from_slice(&bytes[start..end]);
        if end == bytes.len() { Place::End } else { Place::Number(end) }
    }

    fn list(&mut self, list: &List, out: &mut Vec<u8>) -> Place {
        let number = match self.place {
            Place::Number(number) => number,
            _ => {
                out.push(type_number::LIST_QUICKLIST_2);
                write_length(list.blocks() as u64, out);
                0
            }
        };
        match list.blocks_from(number).next() {
            Some(block) => self.node(block, out),
            None => return Place::End,
        }
        if number + 1 == list.blocks() { Place::End } else { Place::Number(number + 1) }
    }

    /// A block of a list.
    fn node(&mut self, block: &Packed, out: &mut Vec<u8>) {
        if block.len() == 1
            && let Some(element) = block.get(0)
            && element.len() >= PLAIN_BYTES_MIN
        {
            write_length(container::PLAIN, out);
            return self.item(element, out);
        }
        write_length(container::LISTPACK, out);
        let mut listpack = Writer::new();
        block.iter_from(0).for_each(|element| listpack.push(element));
        self.text(&listpack.finish(), out);
    }

    fn set(&mut self, set: &Set, limit: usize, out: &mut Vec<u8>) -> Place {
        let cursor = match (self.place, set.encoding()) {
            (Place::Cursor(cursor), _) => cursor,
            (_, Encoding::Intset) => return self.intset(set, out),
            (_, Encoding::Listpack) => {
                let mut listpack = Writer::new();
                set.for_each(|member| listpack.push(member));
                out.push(type_number::SET_LISTPACK);
                self.text(&listpack.finish(), out);
                return Place::End;
            }
            _ => {
                out.push(type_number::SET);
                write_length(set.len() as u64, out);
                0
            }
        };
        let count = elements_within(limit.saturating_sub(out.len()), set.heap_bytes(), set.len());
        match set.scan(cursor, count, |member| self.item(member, out)) {
            0 => Place::End,
            cursor => Place::Cursor(cursor),
        }
    }

    /// Integers in order, all as wide as the widest needs: 2, 4 or 8 bytes. In front their width and number.
    fn intset(&mut self, set: &Set, out: &mut Vec<u8>) -> Place {
        let mut width = 2;
        set.for_each(|member| {
            if let Item::Int(number) = member {
                width = width.max(match number {
                    -0x8000..0x8000 => 2u32,
                    -0x8000_0000..0x8000_0000 => 4,
                    _ => 8,
                });
            }
        });
        let mut intset = Vec::with_capacity(8 + set.len() * width as usize);
        intset.extend_from_slice(&width.to_le_bytes());
        intset.extend_from_slice(&(set.len() as u32).to_le_bytes());
        set.for_each(|member| {
            if let Item::Int(number) = member {
                intset.extend_from_slice(&number.to_le_bytes()[..width as usize]);
            }
        });
        out.push(type_number::SET_INTSET);
        self.text(&intset, out);
        Place::End
    }

    fn sorted_set(&mut self, set: &SortedSet, limit: usize, out: &mut Vec<u8>) -> Place {
        let end = match (self.place, set.encoding()) {
            (Place::Number(left), _) => left,
            (_, Encoding::Listpack) => {
                let mut listpack = Writer::new();
                for (member, score) in set.iter(0..set.len()) {
                    listpack.push_bytes(member);
                    listpack.push_bytes(ScoreText::new(score).as_bytes());
                }
                out.push(type_number::SORTED_SET_LISTPACK);
                self.text(&listpack.finish(), out);
                return Place::End;
            }
            _ => {
                out.push(type_number::SORTED_SET_2);
                write_length(set.len() as u64, out);
                set.len()
            }
        };
        let count = elements_within(limit.saturating_sub(out.len()), set.heap_bytes(), set.len());
        let start = end.saturating_sub(count);
        for (member, score) in set.iter(start..end).rev() {
            self.text(member, out);
            out.extend_from_slice(&score.to_bits().to_le_bytes());
        }
        if start == 0 { Place::End } else { Place::Number(start) }
    }

    fn hash(&mut self, hash: View<'_>, limit: usize, out: &mut Vec<u8>) -> Place {
        let first = hash.first_deadline();
        let cursor = match (self.place, hash.encoding()) {
            (Place::Cursor(cursor), _) => cursor,
            // Also one whose fields have lost their deadlines: its version says that it has none.
            (_, Encoding::Listpack | Encoding::ListpackEx) if first == NEVER => {
                let mut listpack = Writer::new();
                hash.for_each(|name, value| {
                    listpack.push(name);
                    listpack.push(value);
                });
                out.push(type_number::HASH_LISTPACK);
                self.text(&listpack.finish(), out);
                return Place::End;
            }
            (_, Encoding::Listpack | Encoding::ListpackEx) => return self.timed_listpack(hash, out),
            _ => {
                if first == NEVER {
                    out.push(type_number::HASH);
                } else {
                    out.push(type_number::HASH_TIMED);
                    out.extend_from_slice(&first.to_le_bytes());
                }
                write_length(hash.len() as u64, out);
                0
            }
        };
        let count = elements_within(limit.saturating_sub(out.len()), hash.heap_bytes(), hash.len());
        let next = hash.scan_timed(cursor, count, |name, value, deadline| {
            if first != NEVER {
                // 0 says that there is none.
                let after_first = if deadline == NEVER { 0 } else { (deadline - first) as u64 + 1 };
                write_length(after_first, out);
            }
            self.item(name, out);
            self.item(value, out);
        });
        if next == 0 { Place::End } else { Place::Cursor(next) }
    }

    /// Names, values and deadlines, the first deadline first; 0 stands for none.
    fn timed_listpack(&mut self, hash: View<'_>, out: &mut Vec<u8>) -> Place {
        let mut fields = Vec::with_capacity(hash.len());
        hash.scan_timed(0, usize::MAX, |name, value, deadline| fields.push((name, value, deadline)));
        fields.sort_by_key(|&(_, _, deadline)| deadline);
        let mut listpack = Writer::new();
        for (name, value, deadline) in fields {
            listpack.push(name);
            listpack.push(value);
            listpack.push_integer(if deadline == NEVER { 0 } else { deadline });
        }
        out.push(type_number::HASH_LISTPACK_TIMED);
        out.extend_from_slice(&hash.first_deadline().to_le_bytes());
        self.text(&listpack.finish(), out);
        Place::End
    }
}

/// How many elements of a collection of `count` elements in `bytes` a budget is for.
fn elements_within(budget: usize, bytes: usize, count: usize) -> usize {
    (budget / (bytes / count.max(1) + ELEMENT_COST_BYTES)).clamp(1, ELEMENTS_MAX)
}
