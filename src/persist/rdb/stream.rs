//! Streams: their entries in listpacks, what is known of all that there ever were, and the consumer groups.
//!
//! ```text
//!   blocks │ id of the first entry, 16 bytes big endian │ listpack │ …
//!   entries │ last id │ first id │ highest deleted id │ entries ever added
//!   groups  │ name │ last id │ entries read
//!             pending   │ id │ time, 8 bytes │ deliveries │ …
//!             consumers │ name │ seen, 8 bytes │ active, 8 bytes │ pending │ id │ …
//!
//!   listpack:  entries │ deleted │ fields │ name … │ 0            of the first entry
//!              flags │ ms │ seq │ value … │ length                as many fields with these names
//!              flags │ ms │ seq │ fields │ name │ value … │ length
//! ```
//!
//! Version 1, of Redis 5, ends after the last id and knows nothing of entries read; version 2, of Redis 7.0, has
//! no time at which a consumer was active. Version 3 is written.

use super::encode::{Encoder, Place};
use super::input::{Input, Stop};
use super::listpack::{Reader, Writer};
use super::text::write_length;
use super::{Malformed, type_number};
use crate::types::Stream;
use crate::types::packed::Item;
use crate::types::stream::{ConsumerNumber, ENTRY_BYTES_MAX, Entry, Id, Limits, Pending, RestoredNames};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// In place of a number of entries read.
const UNKNOWN: u64 = u64::MAX;

/// What comes next of a stream.
#[derive(Clone, Copy)]
pub(super) enum StreamPlace {
    /// The block that begins at this id or behind it.
    Block(Id),
    /// The numbers behind the blocks.
    Numbers,
    /// The head of this group.
    Group(usize),
    /// What is pending in this group, from an id on.
    Pending(usize, Id),
    /// The head of this consumer of this group.
    Consumer(usize, usize),
    /// What is pending for it, from an id on.
    ConsumerPending(usize, usize, Id),
}

impl Encoder {
    pub(super) fn stream(&mut self, stream: &Stream, limit: usize, out: &mut Vec<u8>) -> Place {
        let Place::Stream(place) = self.place() else {
            out.push(type_number::STREAM_LISTPACKS_3);
            write_length(stream.log().block_count() as u64, out);
            return Place::Stream(StreamPlace::Block(Id::MIN));
        };
        let next = match place {
            StreamPlace::Block(from) => self.block(stream, from, out),
            StreamPlace::Numbers => write_numbers(stream, out),
            StreamPlace::Group(number) => self.group(stream, number, out),
            StreamPlace::Pending(number, from) => write_pending(stream, number, from, limit, out),
            StreamPlace::Consumer(number, consumer) => self.consumer(stream, number, consumer, out),
            StreamPlace::ConsumerPending(number, consumer, from) => {
                write_pending_of_consumer(stream, number, consumer, from, limit, out)
            }
        };
        next.map_or(Place::End, Place::Stream)
    }

    fn block(&mut self, stream: &Stream, from: Id, out: &mut Vec<u8>) -> Option<StreamPlace> {
        let entries: Vec<Entry<'_>> = stream.log().block_from(from).collect();
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Some(StreamPlace::Numbers);
        };
        write_length(16, out);
        write_id(first.id, out);
        self.text(&listpack(&entries, first.id), out);
        Some(last.id.next().map_or(StreamPlace::Numbers, StreamPlace::Block))
    }

    fn group(&mut self, stream: &Stream, number: usize, out: &mut Vec<u8>) -> Option<StreamPlace> {
        let group = stream.groups().iter().nth(number)?;
        self.text(group.name(), out);
        write_id_as_lengths(group.last_id, out);
        write_length(group.entries_read.unwrap_or(UNKNOWN), out);
        write_length(group.pending_len() as u64, out);
        Some(StreamPlace::Pending(number, Id::MIN))
    }

    fn consumer(
        &mut self,
        stream: &Stream,
        number: usize,
        position: usize,
        out: &mut Vec<u8>,
    ) -> Option<StreamPlace> {
        let group = stream.groups().iter().nth(number)?;
        if position == 0 {
            write_length(group.consumers().len() as u64, out);
        }
        let Some(consumer) = group.consumer_at(position) else {
            return next_group(stream, number);
        };
        self.text(consumer.name(), out);
        out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
        out.extend_from_slice(&consumer.active_ms.to_le_bytes());
        write_length(consumer.pending_len() as u64, out);
        Some(StreamPlace::ConsumerPending(number, position, Id::MIN))
    }
}

fn next_group(stream: &Stream, number: usize) -> Option<StreamPlace> {
    (number + 1 < stream.groups().len()).then_some(StreamPlace::Group(number + 1))
}

fn write_id(id: Id, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.ms.to_be_bytes());
    out.extend_from_slice(&id.seq.to_be_bytes());
}

fn write_id_as_lengths(id: Id, out: &mut Vec<u8>) {
    write_length(id.ms, out);
    write_length(id.seq, out);
}

/// Entries relative to the first of them.
fn listpack(entries: &[Entry<'_>], first: Id) -> Vec<u8> {
    let mut listpack = Writer::new();
    let named = entries.iter().find(|entry| entry.shares_names()).or(entries.first());
    listpack.push_integer(entries.len() as i64);
    listpack.push_integer(0);
    listpack.push_integer(named.map_or(0, |entry| entry.len() as i64));
    named.into_iter().flat_map(|entry| entry.fields()).for_each(|(name, _)| listpack.push(name));
    listpack.push_integer(0);
    for entry in entries {
        let (ms, seq) = (entry.id.ms.wrapping_sub(first.ms), entry.id.seq.wrapping_sub(first.seq));
        listpack.push_integer(if entry.shares_names() { SAME_FIELDS } else { 0 });
        listpack.push_integer(ms as i64);
        listpack.push_integer(seq as i64);
        if entry.shares_names() {
            entry.fields().for_each(|(_, value)| listpack.push(value));
            listpack.push_integer(entry.len() as i64 + 3);
        } else {
            listpack.push_integer(entry.len() as i64);
            for (name, value) in entry.fields() {
                listpack.push(name);
                listpack.push(value);
            }
            listpack.push_integer(2 * entry.len() as i64 + 4);
        }
    }
    listpack.finish()
}

fn write_numbers(stream: &Stream, out: &mut Vec<u8>) -> Option<StreamPlace> {
    let log = stream.log();
    write_length(log.len(), out);
    write_id_as_lengths(log.last_id(), out);
    write_id_as_lengths(log.first_entry_id().unwrap_or(Id::MIN), out);
    write_id_as_lengths(log.max_deleted_id(), out);
    write_length(log.entries_added(), out);
    write_length(stream.groups().len() as u64, out);
    (!stream.groups().is_empty()).then_some(StreamPlace::Group(0))
}

fn write_pending(
    stream: &Stream,
    number: usize,
    from: Id,
    limit: usize,
    out: &mut Vec<u8>,
) -> Option<StreamPlace> {
    let group = stream.groups().iter().nth(number)?;
    for pending in group.pending_from(from) {
        if out.len() >= limit {
            return Some(StreamPlace::Pending(number, pending.id));
        }
        write_id(pending.id, out);
        out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
        write_length(pending.deliveries, out);
    }
    Some(StreamPlace::Consumer(number, 0))
}

fn write_pending_of_consumer(
    stream: &Stream,
    number: usize,
    position: usize,
    from: Id,
    limit: usize,
    out: &mut Vec<u8>,
) -> Option<StreamPlace> {
    let group = stream.groups().iter().nth(number)?;
    let consumer = group.consumer_at(position)?;
    for id in consumer.pending_from(from) {
        if out.len() >= limit {
            return Some(StreamPlace::ConsumerPending(number, position, id));
        }
        write_id(id, out);
    }
    match position + 1 < group.consumers().len() {
        true => Some(StreamPlace::Consumer(number, position + 1)),
        false => next_group(stream, number),
    }
}

/// What comes next of a stream that is being read; numbers are of what is left, the present one included.
#[derive(Clone, Copy)]
enum Next {
    BlockCount,
    Block(u64),
    Numbers,
    Group(u64),
    Pending { groups: u64, left: u64 },
    ConsumerCount { groups: u64 },
    Consumer { groups: u64, left: u64 },
    ConsumerPending { groups: u64, consumers: u64, left: u64, consumer: ConsumerNumber },
}

/// Builds a stream.
pub(super) struct Builder {
    version: u8,
    stream: Stream,
    next: Next,
    /// What is pending in the group that is being read, by id: the time, the deliveries, and whether a consumer has it.
    pending: Vec<(Id, i64, u64, bool)>,
    /// How much of that no consumer has.
    unowned: usize,
    /// Of the last consumer's pending entries.
    before: Option<Id>,
}

type Read<T> = Result<T, Stop>;

impl Builder {
    pub(super) fn new(version: u8) -> Builder {
        Builder {
            version,
            stream: Stream::new(),
            next: Next::BlockCount,
            pending: Vec::new(),
            unowned: 0,
            before: None,
        }
    }

    pub(super) fn finish(&mut self) -> Stream {
        std::mem::take(&mut self.stream)
    }

    /// Reads one part, or none of it; says whether it was the last.
    pub(super) fn advance(&mut self, input: &mut Input<'_>, limits: Limits) -> Read<bool> {
        let next = match self.next {
            Next::BlockCount => blocks_left(input.length()?),
            Next::Block(left) => {
                let first = id_of_text(input)?;
                let block = input.text()?;
                self.block(first, block.as_ref(), limits)?;
                blocks_left(left - 1)
            }
            Next::Numbers => return self.numbers(input),
            Next::Group(groups) => self.group(input, groups)?,
            Next::Pending { groups, left } => {
                let (id, at_ms) = (read_id(input)?, input.u64_le()? as i64);
                let deliveries = input.length()?;
                if self.pending.last().is_some_and(|&(before, ..)| before >= id) {
                    return Err(Stop::Malformed);
                }
                self.pending.push((id, at_ms, deliveries, false));
                self.unowned += 1;
                pending_left(groups, left - 1)
            }
            Next::ConsumerCount { groups } => match input.length()? {
                0 => return self.group_is_read(groups),
                left => Next::Consumer { groups, left },
            },
            Next::Consumer { groups, left } => return self.consumer(input, groups, left),
            Next::ConsumerPending { groups, consumers, left, consumer } => {
                self.pending_of_consumer(read_id(input)?, consumer)?;
                return self.consumer_left(groups, consumers, left - 1, consumer);
            }
        };
        self.next = next;
        Ok(false)
    }

    fn block(&mut self, first: Id, bytes: &[u8], limits: Limits) -> Read<()> {
        let mut items = Items(Reader::new(bytes)?);
        let (live, deleted) = (items.count()?, items.count()?);
        let names = (0..items.count()?).map(|_| items.text()).collect::<Read<Vec<_>>>()?;
        if items.number()? != 0 {
            return Err(Stop::Malformed);
        }
        let mut found = (0, 0);
        let (names_bytes, mut restored) = (bytes_of(&names), RestoredNames::new(&names));
        let (mut own_names, mut values) = (Vec::new(), Vec::new());
        for _ in 0..live.saturating_add(deleted) {
            let flags = items.number()?;
            let (ms, seq) = (items.number()? as u64, items.number()? as u64);
            let id = Id::new(first.ms.wrapping_add(ms), first.seq.wrapping_add(seq));
            let same = flags & SAME_FIELDS != 0;
            let count = if same { names.len() as u64 } else { items.count()? };
            own_names.clear();
            values.clear();
            for _ in 0..count {
                if !same {
                    own_names.push(items.text()?);
                }
                values.push(items.text()?);
            }
            // For those who read backwards: how many elements the entry has in front of this one.
            let length = if same { count + 3 } else { 2 * count + 4 };
            if items.number()? as u64 != length {
                return Err(Stop::Malformed);
            }
            if flags & DELETED != 0 {
                found.1 += 1;
                continue;
            }
            found.0 += 1;
            let of_names = if same { names_bytes } else { bytes_of(&own_names) };
            let bytes = of_names + bytes_of(&values);
            let names = if same { &names } else { &own_names };
            let log = self.stream.log_mut();
            if id <= log.last_id() || names.is_empty() || bytes > ENTRY_BYTES_MAX {
                return Err(Stop::Malformed);
            }
            let pairs = names.iter().map(Vec::as_slice).zip(values.iter().map(Vec::as_slice));
            log.append_restored(id, pairs, same, &mut restored, limits);
        }
        if found != (live, deleted) || !items.is_empty() {
            return Err(Stop::Malformed);
        }
        Ok(())
    }

    fn numbers(&mut self, input: &mut Input<'_>) -> Read<bool> {
        let (length, last_id) = (input.length()?, read_id_of_lengths(input)?);
        let (max_deleted_id, added) = match self.version {
            1 => (Id::MIN, length),
            _ => {
                // The first id, which the entries tell.
                read_id_of_lengths(input)?;
                (read_id_of_lengths(input)?, input.length()?)
            }
        };
        let groups = input.length()?;
        let log = self.stream.log_mut();
        if length != log.len() || last_id < log.last_id() {
            return Err(Stop::Malformed);
        }
        log.set_last_id(last_id);
        log.set_max_deleted_id(max_deleted_id);
        log.set_entries_added(added);
        self.next = Next::Group(groups);
        Ok(groups == 0)
    }

    fn group(&mut self, input: &mut Input<'_>, groups: u64) -> Read<Next> {
        let (name, last_id) = (input.text()?, read_id_of_lengths(input)?);
        let entries_read = match self.version {
            1 => self.stream.log().entries_up_to(last_id),
            _ => Some(input.length()?).filter(|&count| count != UNKNOWN),
        };
        let left = input.length()?;
        self.stream.groups_mut().push(name.as_ref(), last_id, entries_read);
        self.pending.clear();
        self.unowned = 0;
        Ok(pending_left(groups, left))
    }

    fn consumer(&mut self, input: &mut Input<'_>, groups: u64, consumers: u64) -> Read<bool> {
        let name = input.text()?;
        let seen_ms = input.u64_le()? as i64;
        let active_ms = if self.version < 3 { seen_ms } else { input.u64_le()? as i64 };
        let left = input.length()?;
        let mut group = self.stream.groups_mut().edit_pushed().ok_or(Stop::Malformed)?;
        let consumer = group.push_consumer(name.as_ref(), seen_ms);
        group.set_active(consumer, active_ms);
        drop(group);
        self.before = None;
        self.consumer_left(groups, consumers, left, consumer)
    }

    fn pending_of_consumer(&mut self, id: Id, consumer: ConsumerNumber) -> Read<()> {
        let position = self.pending.binary_search_by_key(&id, |&(id, ..)| id).map_err(|_| Stop::Malformed)?;
        let (_, delivered_ms, deliveries, owned) = &mut self.pending[position];
        if std::mem::replace(owned, true) || self.before.is_some_and(|before| before >= id) {
            return Err(Stop::Malformed);
        }
        let pending = Pending { id, delivered_ms: *delivered_ms, deliveries: *deliveries, consumer };
        self.before = Some(id);
        self.unowned -= 1;
        let mut group = self.stream.groups_mut().edit_pushed().ok_or(Stop::Malformed)?;
        group.set_pending(pending);
        Ok(())
    }

    fn consumer_left(
        &mut self,
        groups: u64,
        consumers: u64,
        left: u64,
        consumer: ConsumerNumber,
    ) -> Read<bool> {
        if left == 0 && consumers == 1 {
            return self.group_is_read(groups);
        }
        self.next = match left {
            0 => Next::Consumer { groups, left: consumers - 1 },
            left => Next::ConsumerPending { groups, consumers, left, consumer },
        };
        Ok(false)
    }

    fn group_is_read(&mut self, groups: u64) -> Read<bool> {
        // In whatever order they come, none has its place among many looked for.
        let all = self.stream.groups_mut();
        let differ = all.edit_pushed().is_some_and(|mut group| group.sort_consumers());
        if self.unowned > 0 || !differ || groups == 1 && !all.sort() {
            return Err(Stop::Malformed);
        }
        self.next = Next::Group(groups - 1);
        Ok(groups == 1)
    }
}

fn bytes_of(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).sum()
}

fn blocks_left(left: u64) -> Next {
    if left == 0 { Next::Numbers } else { Next::Block(left) }
}

fn pending_left(groups: u64, left: u64) -> Next {
    if left == 0 { Next::ConsumerCount { groups } } else { Next::Pending { groups, left } }
}

fn id_of(bytes: &[u8]) -> Option<Id> {
    let (ms, seq) = bytes.split_first_chunk::<8>()?;
    Some(Id::new(u64::from_be_bytes(*ms), u64::from_be_bytes(seq.try_into().ok()?)))
}

fn read_id(input: &mut Input<'_>) -> Read<Id> {
    id_of(input.take(16)?).ok_or(Stop::Malformed)
}

fn id_of_text(input: &mut Input<'_>) -> Read<Id> {
    id_of(input.text()?.as_ref()).ok_or(Stop::Malformed)
}

fn read_id_of_lengths(input: &mut Input<'_>) -> Read<Id> {
    Ok(Id::new(input.length()?, input.length()?))
}

/// The elements of a listpack, one after the other.
struct Items<'a>(Reader<'a>);

impl<'a> Items<'a> {
    fn item(&mut self) -> Read<Item<'a>> {
        Ok(self.0.next().ok_or(Malformed)??)
    }

    fn number(&mut self) -> Read<i64> {
        match self.item()? {
            Item::Int(number) => Ok(number),
            _ => Err(Stop::Malformed),
        }
    }

    fn count(&mut self) -> Read<u64> {
        u64::try_from(self.number()?).map_err(|_| Stop::Malformed)
    }

    fn text(&mut self) -> Read<Vec<u8>> {
        Ok(self.item()?.to_vec())
    }

    fn is_empty(&mut self) -> bool {
        self.0.next().is_none()
    }
}
