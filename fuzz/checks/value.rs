//! Any bytes are refused as a value or are one, which is written and read back as it is; the encoder's pieces
//! and the decoder's parts make no difference.

use std::collections::BTreeMap;

use polder::keyspace::{Moved, Value};
use polder::persist::rdb::{Decoder, Encoder, Input, dump, restore, verify};
use polder::types::stream::Id;
use polder::types::{Limits, NEVER};

/// `part`: of how many bytes the decoder learns at a time; `budget`: what both do in a step. Says whether the
/// bytes are a value.
pub fn check(bytes: &[u8], part: usize, budget: usize) -> bool {
    let whole = restore(bytes, Limits::default());
    let in_parts = read_in_parts(bytes, part, budget);
    let (Ok(value), Some(again)) = (&whole, &in_parts) else {
        assert!(whole.is_err() && in_parts.is_none());
        return false;
    };
    let expected = contents(value);
    assert!(contents(again) == expected, "read in parts");
    check_written(value, budget);
    true
}

/// A value is written, in pieces and whole, and read back.
pub fn check_written(value: &Moved, budget: usize) {
    let written = write_in_pieces(value, budget);
    let payload = dump(value.value(), true);
    assert_eq!(verify(&payload), Some(&written[..]));
    let back = restore(&written, Limits::default()).expect("what was written is a value");
    assert!(contents(&back) == contents(value), "written and read");
}

type Text = Vec<u8>;

/// What a value holds; hashes and sets in an order that is not their own.
#[derive(PartialEq)]
enum Contents {
    String(Text),
    List(Vec<Text>),
    Set(Vec<Text>),
    SortedSet(Vec<(Text, u64)>),
    Hash(BTreeMap<Text, (Text, i64)>),
    Stream {
        entries: Vec<(Id, Vec<(Text, Text)>)>,
        numbers: (Id, Id, u64),
        /// The name, the last id, what was read, and what is pending: id, consumer, time, deliveries.
        groups: Vec<(Text, Id, Option<u64>, Vec<(Id, Text, i64, u64)>)>,
        consumers: Vec<(Text, i64, i64)>,
    },
}

fn contents(moved: &Moved) -> Contents {
    match moved.value() {
        Value::String(_) => Contents::String(dump(moved.value(), false)),
        Value::List(list) => Contents::List(list.iter().map(|item| item.to_vec()).collect()),
        Value::Set(set) => {
            let mut members = Vec::new();
            set.for_each(|item| members.push(item.to_vec()));
            members.sort_unstable();
            assert!(members.is_sorted_by(|a, b| a < b), "each member once");
            Contents::Set(members)
        }
        Value::SortedSet(set) => {
            // 0 and -0 are the same score.
            let elements =
                set.iter(0..set.len()).map(|(member, score)| (member.to_vec(), (score + 0.0).to_bits()));
            Contents::SortedSet(elements.collect())
        }
        Value::Hash(hash) => {
            let mut fields = BTreeMap::new();
            hash.for_each(|name, value| {
                let name = name.to_vec();
                let deadline = hash.deadline(&name).unwrap_or(NEVER);
                assert!(fields.insert(name, (value.to_vec(), deadline)).is_none(), "each field once");
            });
            Contents::Hash(fields)
        }
        Value::Stream(stream) => {
            let log = stream.log();
            let entries = log.range(Id::MIN, Id::MAX).map(|entry| {
                (entry.id, entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
            });
            let groups = stream.groups().iter().map(|group| {
                let pending = group.pending_from(Id::MIN).map(|pending| {
                    let consumer = group.consumer(pending.consumer).name().to_vec();
                    (pending.id, consumer, pending.delivered_ms, pending.deliveries)
                });
                (group.name().to_vec(), group.last_id, group.entries_read, pending.collect())
            });
            let consumers = stream.groups().iter().flat_map(|group| {
                group
                    .consumers()
                    .map(|consumer| (consumer.name().to_vec(), consumer.seen_ms, consumer.active_ms))
            });
            Contents::Stream {
                entries: entries.collect(),
                numbers: (log.last_id(), log.max_deleted_id(), log.entries_added()),
                groups: groups.collect(),
                consumers: consumers.collect(),
            }
        }
    }
}

fn write_in_pieces(value: &Moved, budget: usize) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(true), Vec::new());
    while !encoder.step(value.value(), budget, &mut out) {}
    out
}

fn read_in_parts(bytes: &[u8], part: usize, budget: usize) -> Option<Moved> {
    let mut decoder = Decoder::new(*bytes.first()?, Limits::default()).ok()?;
    let (mut read, mut there) = (1, 1);
    loop {
        let slice = &bytes[read..there];
        let mut input = if there == bytes.len() { Input::whole(slice) } else { Input::part(slice) };
        if let Some(value) = decoder.step(&mut input, budget).ok()? {
            return (read + input.position() == bytes.len()).then_some(value);
        }
        read += input.position();
        there = (there + part).min(bytes.len());
    }
}
