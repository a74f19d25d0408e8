//! Reads values, as far as their bytes are there.

use super::input::{Input, Stop, Text};
use super::listpack::{self, signed};
use super::{FIELD_DEADLINE_MAX, Malformed, container, stream, type_number, ziplist, zipmap};
use crate::keyspace::Moved;
use crate::types::hash::Edited;
use crate::types::packed::{End, Item};
use crate::types::{Limits, List, Set, SortedSet, score};

/// What an element costs besides its bytes, in bytes that could be read meanwhile.
const ELEMENT_COST_BYTES: usize = 64;

/// How the type says that the bytes are to be read.
#[derive(Clone, Copy)]
enum Layout {
    Text,
    /// A string that holds the whole collection.
    Block(Block),
    /// The others: a count, and as many elements.
    List,
    Ziplists,
    Nodes,
    Set,
    SortedSet {
        binary: bool,
    },
    Hash,
    TimedHash {
        relative: bool,
    },
    Stream {
        version: u8,
    },
}

#[derive(Clone, Copy)]
enum Block {
    List,
    Intset,
    Set,
    SortedSetZiplist,
    SortedSet,
    HashZipmap,
    HashZiplist,
    Hash,
    TimedHash { first_in_front: bool },
}

/// What has been built so far.
enum Built {
    Text(Vec<u8>),
    List(List),
    Set(Set),
    SortedSet(SortedSet),
    Hash(Box<Edited<'static>>),
    Stream(Box<stream::Builder>),
}

/// Builds one value.
pub struct Decoder {
    layout: Layout,
    limits: Limits,
    /// Elements that follow, once their count has been read.
    left: Option<u64>,
    /// The first deadline of a field, to which the others are relative.
    first_deadline: u64,
    built: Built,
}

type Read<T> = Result<T, Stop>;

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Stop {
        Stop::Malformed
    }
}

impl Decoder {
    /// For a value with this type, which becomes represented as the limits say.
    pub fn new(type_number: u8, limits: Limits) -> Result<Decoder, Malformed> {
        let layout = match type_number {
            type_number::STRING => Layout::Text,
            type_number::LIST => Layout::List,
            type_number::SET => Layout::Set,
            type_number::SORTED_SET => Layout::SortedSet { binary: false },
            type_number::HASH => Layout::Hash,
            type_number::SORTED_SET_2 => Layout::SortedSet { binary: true },
            type_number::HASH_ZIPMAP => Layout::Block(Block::HashZipmap),
            type_number::LIST_ZIPLIST => Layout::Block(Block::List),
            type_number::SET_INTSET => Layout::Block(Block::Intset),
            type_number::SORTED_SET_ZIPLIST => Layout::Block(Block::SortedSetZiplist),
            type_number::HASH_ZIPLIST => Layout::Block(Block::HashZiplist),
            type_number::LIST_QUICKLIST => Layout::Ziplists,
            type_number::HASH_LISTPACK => Layout::Block(Block::Hash),
            type_number::SORTED_SET_LISTPACK => Layout::Block(Block::SortedSet),
            type_number::LIST_QUICKLIST_2 => Layout::Nodes,
            type_number::SET_LISTPACK => Layout::Block(Block::Set),
            type_number::STREAM_LISTPACKS => Layout::Stream { version: 1 },
            type_number::STREAM_LISTPACKS_2 => Layout::Stream { version: 2 },
            type_number::STREAM_LISTPACKS_3 => Layout::Stream { version: 3 },
            type_number::HASH_TIMED_EARLY => Layout::TimedHash { relative: false },
            type_number::HASH_TIMED => Layout::TimedHash { relative: true },
            type_number::HASH_LISTPACK_TIMED_EARLY => {
                Layout::Block(Block::TimedHash { first_in_front: false })
            }
            type_number::HASH_LISTPACK_TIMED => Layout::Block(Block::TimedHash { first_in_front: true }),
            _ => return Err(Malformed),
        };
        let built = match layout {
            Layout::Text => Built::Text(Vec::new()),
            Layout::List | Layout::Ziplists | Layout::Nodes | Layout::Block(Block::List) => {
                Built::List(List::new())
            }
            // Texts, and among them those of numbers.
            Layout::Block(Block::Set) => Built::Set(Set::beginning_with(Item::Bytes(b""))),
            Layout::Set | Layout::Block(Block::Intset) => Built::Set(Set::new()),
            Layout::Block(Block::SortedSet | Block::SortedSetZiplist) => Built::SortedSet(SortedSet::new()),
            // A packed one would lose the sign of -0 before it is known whether all fits into one.
            Layout::SortedSet { .. } => Built::SortedSet(SortedSet::large()),
            Layout::Stream { version } => Built::Stream(Box::new(stream::Builder::new(version))),
            Layout::Hash | Layout::TimedHash { .. } | Layout::Block(_) => {
                Built::Hash(Box::new(Edited::of_elements(b"")))
            }
        };
        Ok(Decoder { layout, limits, left: None, first_deadline: 0, built })
    }

    /// Reads on, about `budget` bytes, elements counting for more than their own. None: the value is not
    /// complete, and goes on with what follows the input's position; if the budget was not used up, more
    /// bytes are needed.
    pub fn step(&mut self, input: &mut Input<'_>, budget: usize) -> Result<Option<Moved>, Malformed> {
        let start = input.position();
        let mut elements = 0usize;
        while (input.position() - start).saturating_add(elements * ELEMENT_COST_BYTES) < budget {
            let mark = input.position();
            match self.advance(input) {
                Ok(true) => return self.finish().map(Some),
                Ok(false) => elements += 1,
                Err(Stop::Incomplete) => {
                    input.rewind(mark);
                    return Ok(None);
                }
                Err(Stop::Malformed) => return Err(Malformed),
            }
        }
        Ok(None)
    }

    /// Reads one part, or none of it; says whether it was the last.
    fn advance(&mut self, input: &mut Input<'_>) -> Read<bool> {
        match self.layout {
            Layout::Text => {
                self.built = Built::Text(input.text()?.into_vec());
                return Ok(true);
            }
            Layout::Block(block) => {
                if let Block::TimedHash { first_in_front: true } = block {
                    input.u64_le()?;
                }
                let text = input.text()?;
                self.block(block, text.as_ref())?;
                return Ok(true);
            }
            _ => {}
        }
        if let Built::Stream(builder) = &mut self.built {
            return builder.advance(input, self.limits.stream);
        }
        let Some(left) = self.left else {
            if let Layout::TimedHash { relative: true } = self.layout {
                self.first_deadline = input.u64_le()?;
            }
            let count = input.length()?;
            self.left = Some(count);
            self.expect(usize::try_from(count).unwrap_or(usize::MAX));
            // No collection is empty.
            return if count == 0 { Err(Stop::Malformed) } else { Ok(false) };
        };
        self.element(input, left)?;
        self.left = Some(left - 1);
        Ok(left == 1)
    }

    /// Prepares for so many elements; a set does when it meets the first.
    fn expect(&mut self, count: usize) {
        match &mut self.built {
            Built::Hash(hash) => **hash = Edited::expecting(count, self.limits.hash),
            Built::Text(_) | Built::List(_) | Built::Set(_) | Built::SortedSet(_) | Built::Stream(_) => {}
        }
    }

    /// Reads one element of those that are `left`.
    fn element(&mut self, input: &mut Input<'_>, left: u64) -> Read<()> {
        match (&mut self.built, self.layout) {
            (Built::List(_), Layout::Ziplists) => {
                let node = input.text()?;
                self.push_all(ziplist::Reader::new(node.as_ref())?)?;
            }
            (Built::List(_), Layout::Nodes) => {
                let container = input.length()?;
                let node = input.text()?;
                match container {
                    container::LISTPACK => self.push_all(listpack::Reader::new(node.as_ref())?)?,
                    container::PLAIN if !node.as_ref().is_empty() => {
                        self.push_all([Ok(Item::Bytes(node.as_ref()))])?
                    }
                    _ => return Err(Stop::Malformed),
                }
            }
            (Built::List(list), _) => list.push(End::Back, input.text()?.as_ref(), self.limits.list),
            (Built::Set(set), _) => {
                let member = input.text()?;
                if set.is_empty() {
                    let count = usize::try_from(left).unwrap_or(usize::MAX);
                    *set = Set::expecting(count, member.as_ref(), self.limits.set);
                }
                add(set, member.as_ref(), self.limits)?;
            }
            (Built::SortedSet(set), Layout::SortedSet { binary }) => {
                let member = input.text()?;
                let score = if binary { input.binary_score()? } else { input.text_score()? };
                insert(set, member.as_ref(), score, self.limits)?;
            }
            (Built::Hash(hash), layout) => {
                let deadline = match layout {
                    Layout::TimedHash { relative } => {
                        let base = if relative { self.first_deadline } else { 1 };
                        match input.length()? {
                            0 => None,
                            after => Some(base.checked_add(after - 1).ok_or(Stop::Malformed)?),
                        }
                    }
                    _ => None,
                };
                let (name, value) = (input.text()?, input.text()?);
                set_field(hash, name, value.as_ref(), deadline, self.limits)?;
            }
            _ => return Err(Stop::Malformed),
        }
        Ok(())
    }

    fn push_all<'a>(&mut self, elements: impl IntoIterator<Item = Result<Item<'a>, Malformed>>) -> Read<()> {
        let Built::List(list) = &mut self.built else { return Err(Stop::Malformed) };
        for element in elements {
            with_text(element?, |text| list.push(End::Back, text, self.limits.list));
        }
        Ok(())
    }

    /// Reads a string that holds the whole collection.
    fn block(&mut self, block: Block, bytes: &[u8]) -> Read<()> {
        match block {
            Block::List => return self.push_all(ziplist::Reader::new(bytes)?),
            Block::HashZipmap => return self.set_fields(zipmap::Reader::new(bytes)?, false),
            Block::HashZiplist => return self.set_fields(ziplist::Reader::new(bytes)?, false),
            Block::Hash => return self.set_fields(listpack::Reader::new(bytes)?, false),
            Block::TimedHash { .. } => return self.set_fields(listpack::Reader::new(bytes)?, true),
            Block::SortedSetZiplist => return self.insert_all(ziplist::Reader::new(bytes)?),
            Block::SortedSet => return self.insert_all(listpack::Reader::new(bytes)?),
            Block::Intset | Block::Set => {}
        }
        let Built::Set(set) = &mut self.built else { return Err(Stop::Malformed) };
        if let Block::Intset = block {
            return read_intset(set, bytes, self.limits);
        }
        for member in listpack::Reader::new(bytes)? {
            with_text(member?, |text| add(set, text, self.limits))?;
        }
        Ok(())
    }

    fn insert_all<'a>(&mut self, mut items: impl Iterator<Item = Result<Item<'a>, Malformed>>) -> Read<()> {
        let Built::SortedSet(set) = &mut self.built else { return Err(Stop::Malformed) };
        while let Some(member) = items.next().transpose()? {
            let score = match items.next().ok_or(Stop::Malformed)?? {
                Item::Int(number) => number as f64,
                text => with_text(text, score::parse).ok_or(Stop::Malformed)?,
            };
            with_text(member, |member| insert(set, member, score, self.limits))?;
        }
        Ok(())
    }

    fn set_fields<'a>(
        &mut self,
        mut items: impl Iterator<Item = Result<Item<'a>, Malformed>>,
        timed: bool,
    ) -> Read<()> {
        let Built::Hash(hash) = &mut self.built else { return Err(Stop::Malformed) };
        while let Some(name) = items.next().transpose()? {
            let value = items.next().ok_or(Stop::Malformed)??;
            let deadline =
                match timed.then(|| items.next().ok_or(Stop::Malformed)).transpose()?.transpose()? {
                    None | Some(Item::Int(0)) => None,
                    Some(Item::Int(deadline)) => Some(u64::try_from(deadline).map_err(|_| Stop::Malformed)?),
                    Some(_) => return Err(Stop::Malformed),
                };
            with_text(name, |name| {
                let name = Text::Plain(name);
                with_text(value, |value| set_field(hash, name, value, deadline, self.limits))
            })?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Moved, Malformed> {
        let moved = match &mut self.built {
            Built::Text(text) => return Ok(Moved::of_string(std::mem::take(text))),
            Built::Hash(hash) => Moved::of_hash(hash),
            Built::List(list) => Moved::of_collection(std::mem::take(list)),
            Built::Set(set) => Moved::of_collection(std::mem::take(set)),
            Built::SortedSet(set) => {
                Moved::of_collection(std::mem::take(set).compacted(self.limits.sorted_set))
            }
            Built::Stream(builder) => Moved::of_collection(builder.finish()),
        };
        // No collection but a stream is empty.
        moved.ok_or(Malformed)
    }
}

fn with_text<T>(item: Item<'_>, function: impl FnOnce(&[u8]) -> T) -> T {
    match item {
        Item::Bytes(bytes) => function(bytes),
        other => function(&other.to_vec()),
    }
}

/// Adds a member that is not there yet.
fn add(set: &mut Set, member: &[u8], limits: Limits) -> Read<()> {
    if set.add(member, limits.set) { Ok(()) } else { Err(Stop::Malformed) }
}

fn insert(set: &mut SortedSet, member: &[u8], score: f64, limits: Limits) -> Read<()> {
    match set.insert(member, score, limits.sorted_set) {
        None => Ok(()),
        Some(_) => Err(Stop::Malformed),
    }
}

fn set_field(
    hash: &mut Edited<'_>,
    name: Text<'_>,
    value: &[u8],
    deadline: Option<u64>,
    limits: Limits,
) -> Read<()> {
    let name = name.as_ref();
    if !hash.set(name, value, limits.hash) {
        return Err(Stop::Malformed);
    }
    match deadline {
        None => {}
        // 0, which is written for none, is as long ago as 1.
        Some(deadline @ ..=FIELD_DEADLINE_MAX) => hash.set_deadline(name, deadline.max(1) as i64),
        Some(_) => return Err(Stop::Malformed),
    }
    Ok(())
}

/// The width of the numbers, how many they are, and the numbers in order.
fn read_intset(set: &mut Set, bytes: &[u8], limits: Limits) -> Read<()> {
    let (header, numbers) = bytes.split_first_chunk::<8>().ok_or(Stop::Malformed)?;
    let word = |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let (width, count) = (word(0), word(4));
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width) != Some(numbers.len()) {
        return Err(Stop::Malformed);
    }
    let mut before = None;
    for number in numbers.chunks_exact(width).map(signed) {
        if before.is_some_and(|before| before >= number) || !set.add_item(Item::Int(number), limits.set) {
            return Err(Stop::Malformed);
        }
        before = Some(number);
    }
    Ok(())
}
