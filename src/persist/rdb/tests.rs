//! Values of all kinds there and back, in one piece and in many, whole and damaged.

use proptest::prelude::*;

use super::listpack::Writer;
use super::text::write_length;
use super::{Decoder, Encoder, Input, Malformed, dump, restore, type_number, verify};
use crate::keyspace::{Moved, Value};
use crate::types::hash::{self, Edited};
use crate::types::packed::{End, Item};
use crate::types::stream::{Id, Pending};
use crate::types::{Collection, Encoding, Limits, List, NEVER, Set, SortedSet, Stream, set, sorted_set};

/// Small ones become large early, so that short tests meet both.
fn limits() -> Limits {
    Limits {
        set: set::Limits { integers: 12, entries: 8, member_bytes: 40 },
        hash: hash::Limits { entries: 8, value_bytes: 40 },
        sorted_set: sorted_set::Limits { entries: 8, member_bytes: 40 },
        ..Limits::default()
    }
}

/// Members, or names and what belongs to them.
type Elements = Vec<(Vec<u8>, Vec<u8>)>;

/// What a value holds: its kind, how it is represented, and its elements, in order where they have none.
fn contents(value: Value<'_>) -> (String, Elements) {
    let mut elements = Vec::new();
    let name = match value {
        Value::String(string) => {
            elements.push((string.to_vec(), Vec::new()));
            "string".to_owned()
        }
        Value::List(list) => {
            list.iter().for_each(|element| elements.push((element.to_vec(), Vec::new())));
            "list".to_owned()
        }
        Value::Set(set) => {
            set.for_each(|member| elements.push((member.to_vec(), Vec::new())));
            format!("{:?}", crate::types::Collection::encoding(set))
        }
        Value::SortedSet(set) => {
            for (member, score) in set.iter(0..set.len()) {
                elements.push((member.to_vec(), score.to_bits().to_be_bytes().to_vec()));
            }
            format!("{:?}", crate::types::Collection::encoding(set))
        }
        Value::Hash(hash) => {
            hash.scan_timed(0, usize::MAX, |name, value, deadline| {
                elements.push((name.to_vec(), [&deadline.to_be_bytes(), &value.to_vec()[..]].concat()));
            });
            format!("{:?}", hash.encoding())
        }
        Value::Stream(stream) => {
            stream_contents(stream, &mut elements);
            "stream".to_owned()
        }
    };
    if !matches!(value, Value::List(_) | Value::Stream(_)) {
        elements.sort();
    }
    (name, elements)
}

fn stream_contents(stream: &Stream, elements: &mut Elements) {
    let log = stream.log();
    let numbers = (log.len(), log.last_id(), log.max_deleted_id(), log.entries_added());
    elements.push((format!("{numbers:?}").into_bytes(), Vec::new()));
    for entry in log.range(Id::MIN, Id::MAX) {
        let fields: Vec<_> = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        elements.push((format!("{:?}", entry.id).into_bytes(), format!("{fields:?}").into_bytes()));
    }
    for group in stream.groups().iter() {
        let numbers = format!("{:?}", (group.last_id, group.entries_read));
        elements.push((group.name().to_vec(), numbers.into_bytes()));
        for pending in group.pending_from(Id::MIN) {
            let owner = group.consumer(pending.consumer).name().to_vec();
            let what = format!("{:?}", (pending.id, pending.delivered_ms, pending.deliveries));
            elements.push((owner, what.into_bytes()));
        }
        for consumer in group.consumers() {
            let pending: Vec<Id> = consumer.pending_from(Id::MIN).collect();
            let what = format!("{:?}", (consumer.seen_ms, consumer.active_ms, pending));
            elements.push((consumer.name().to_vec(), what.into_bytes()));
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        2 => (any::<i64>(), 0u32..64).prop_map(|(number, bits)| (number >> bits).to_string().into_bytes()),
        2 => (b'a'..b'd', 0usize..300).prop_map(|(byte, length)| vec![byte; length]),
        1 => "user:[0-9]{1,3}:name".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 60..5000),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-20i32..20).prop_map(f64::from),
        any::<f64>().prop_filter("no score is NaN", |score| !score.is_nan()),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

fn list(elements: &[Vec<u8>]) -> Option<Moved> {
    let mut list = List::new();
    elements.iter().for_each(|element| list.push(End::Back, element, limits().list));
    Moved::of_collection(list)
}

fn set(members: &[Vec<u8>]) -> Option<Moved> {
    let mut set = Set::new();
    members.iter().for_each(|member| {
        set.add(member, limits().set);
    });
    Moved::of_collection(set)
}

fn sorted_set(elements: &[(Vec<u8>, f64)]) -> Option<Moved> {
    let mut set = SortedSet::new();
    elements.iter().for_each(|(member, score)| {
        set.insert(member, *score, limits().sorted_set);
    });
    Moved::of_collection(set)
}

fn hash(fields: &[(Vec<u8>, Vec<u8>, Option<i64>)]) -> Option<Moved> {
    let mut hash = Edited::of_elements(b"");
    for (name, value, deadline) in fields {
        hash.set(name, value, limits().hash);
        hash.set_deadline(name, deadline.unwrap_or(NEVER));
    }
    Moved::of_hash(&mut hash)
}

/// An entry to be added so far behind the one before, or whether an earlier one is deleted.
type Addition = ((u64, u64), Vec<(Vec<u8>, Vec<u8>)>, bool);
/// A group's name, and for each consumer its name and which entries are pending for it.
type Readers = (Vec<u8>, Vec<(Vec<u8>, Vec<prop::sample::Index>)>);

fn stream(additions: &[Addition], groups: &[Readers]) -> Option<Moved> {
    let mut stream = Stream::new();
    let mut ids = Vec::new();
    for ((ms, seq), fields, deletes) in additions {
        let last = stream.log().last_id();
        let id = if *ms > 0 { Id::new(last.ms + ms, *seq) } else { Id::new(last.ms, last.seq + seq + 1) };
        let pairs = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        stream.log_mut().append(id, pairs, limits().stream);
        ids.push(id);
        if *deletes {
            stream.log_mut().delete(ids[ids.len() / 2]);
        }
    }
    for (name, consumers) in groups {
        let last_id = stream.log().last_id();
        stream.groups_mut().create(name, last_id, (consumers.len() % 2 == 0).then_some(7));
        let mut group = stream.groups_mut().edit(name)?;
        for (at_ms, (name, pending)) in consumers.iter().enumerate() {
            let (consumer, _) = group.find_or_create_consumer(name, at_ms as i64);
            for index in pending.iter().filter(|_| !ids.is_empty()) {
                let id = ids[index.index(ids.len())];
                group.set_pending(Pending { id, delivered_ms: 5 + at_ms as i64, deliveries: 1, consumer });
            }
        }
    }
    Moved::of_collection(stream)
}

/// A value of any kind.
fn value() -> impl Strategy<Value = Moved> {
    let numbers = prop::collection::vec(
        (any::<i64>(), 0u32..64).prop_map(|(number, bits)| (number >> bits).to_string().into_bytes()),
        1..20,
    );
    let deadline = prop_oneof![3 => Just(None), 1 => (0i64..1 << 47).prop_map(Some)];
    let names = prop_oneof![Just(b"a".to_vec()), Just(b"b".to_vec()), text()];
    let usual = ("[0-9]{1,3}", text()).prop_map(|(number, text)| {
        vec![(b"sensor".to_vec(), number.into_bytes()), (b"temperature".to_vec(), text)]
    });
    let fields = prop_oneof![2 => usual, 1 => prop::collection::vec((text(), text()), 1..4)];
    let addition = ((0u64..3, 0u64..5), fields, prop::bool::weighted(0.2));
    let indices = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let readers = (names.clone(), prop::collection::vec((names, indices), 0..4));
    let built = prop_oneof![
        (prop::collection::vec(addition, 0..40), prop::collection::vec(readers, 0..3))
            .prop_map(|(additions, groups)| stream(&additions, &groups)),
        text().prop_map(|text| Some(Moved::of_string(text))),
        prop::collection::vec(text(), 1..60).prop_map(|elements| list(&elements)),
        prop::collection::vec(text(), 1..40).prop_map(|members| set(&members)),
        numbers.prop_map(|members| set(&members)),
        prop::collection::vec((text(), score()), 1..40).prop_map(|elements| sorted_set(&elements)),
        prop::collection::vec((text(), text(), Just(None)), 1..20).prop_map(|fields| hash(&fields)),
        prop::collection::vec((text(), text(), deadline), 1..20).prop_map(|fields| hash(&fields)),
    ];
    built.prop_filter_map("no collection is empty", |built| built)
}

/// The value of a payload without version and checksum.
fn written(value: Value<'_>, compress: bool) -> Vec<u8> {
    verify(&dump(value, compress)).expect("the checksum is right").to_vec()
}

/// Reads a value of which more and more bytes are there.
fn read_in_parts(bytes: &[u8], parts: &[usize], budget: usize) -> Result<Moved, Malformed> {
    let mut decoder = Decoder::new(bytes[0], limits())?;
    let (mut read, mut there, mut parts) = (1, 1, parts.iter().cycle());
    loop {
        let is_whole = there == bytes.len();
        let part = &bytes[read..there];
        let mut input = if is_whole { Input::whole(part) } else { Input::part(part) };
        if let Some(moved) = decoder.step(&mut input, budget)? {
            assert_eq!(read + input.position(), bytes.len());
            return Ok(moved);
        }
        read += input.position();
        there = (there + parts.next().unwrap_or(&1)).min(bytes.len());
    }
}

proptest! {
    #[test]
    fn a_value_comes_back(value in value(), compress: bool) {
        let bytes = written(value.value(), compress);
        let back = restore(&bytes, limits()).expect("it is well formed");
        prop_assert_eq!(contents(back.value()), contents(value.value()));
    }

    #[test]
    fn pieces_are_as_the_whole(
        value in value(),
        budget in 1usize..3000,
        parts in prop::collection::vec(1usize..2000, 1..5),
    ) {
        let whole = written(value.value(), true);
        let (mut pieces, mut before) = (Vec::new(), 0);
        let mut encoder = Encoder::new(true);
        while !encoder.step(value.value(), budget, &mut pieces) {
            prop_assert!(pieces.len() > before);
            before = pieces.len();
        }
        prop_assert_eq!(&pieces, &whole);
        let back = read_in_parts(&whole, &parts, budget).expect("it is well formed");
        prop_assert_eq!(contents(back.value()), contents(value.value()));
    }

    #[test]
    fn what_is_cut_or_goes_on_is_refused(value in value(), cut: prop::sample::Index) {
        let mut bytes = written(value.value(), true);
        prop_assert!(restore(&bytes[..cut.index(bytes.len())], limits()).is_err());
        bytes.push(0);
        prop_assert!(restore(&bytes, limits()).is_err());
    }

    #[test]
    fn damage_is_refused_or_gives_another_value(
        value in value(),
        compress: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut payload = dump(value.value(), compress);
        let length = payload.len();
        for (place, byte) in &damage {
            payload[place.index(length)] ^= byte;
        }
        if damage.len() == 1 && damage[0].1 != 0 {
            prop_assert!(verify(&payload).is_none());
        }
        if let Ok(other) = restore(&payload[..length - 10], limits()) {
            let again = restore(&written(other.value(), compress), limits()).expect("it was written here");
            prop_assert_eq!(contents(again.value()).1, contents(other.value()).1);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_a_value(
        type_number in 0u8..28,
        bytes in prop::collection::vec(prop_oneof![0u8..16, any::<u8>()], 0..80),
    ) {
        let bytes = [&[type_number], &bytes[..]].concat();
        if let Ok(value) = restore(&bytes, limits()) {
            let again = restore(&written(value.value(), true), limits()).expect("it was written here");
            prop_assert_eq!(contents(again.value()).1, contents(value.value()).1);
        }
    }
}

/// Payloads of redis-server 7.0.15, rebuilt from their values but for the version.
#[test]
fn the_bytes_that_redis_writes() {
    let strings =
        |elements: &[&str]| elements.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let no_deadline = |name: &str, value: &str| (name.into(), value.into(), None);
    let cases: [(Option<Moved>, &[u8]); 9] = [
        (Some(Moved::of_string(b"7".to_vec())), b"\x00\xc0\x07"),
        (Some(Moved::of_string(b"-300".to_vec())), b"\x00\xc1\xd4\xfe"),
        (Some(Moved::of_string(b"70000".to_vec())), b"\x00\xc2\x70\x11\x01\x00"),
        (Some(Moved::of_string(b"5000000000".to_vec())), b"\x00\x0a5000000000"),
        (Some(Moved::of_string(vec![b'a'; 100])), b"\x00\xc3\x09\x40\x64\x01aa\xe0\x57\x00\x01aa"),
        (list(&strings(&["1", "a"])), b"\x12\x01\x02\x0c\x0c\0\0\0\x02\0\x01\x01\x81a\x02\xff"),
        (set(&strings(&["1", "300"])), b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x01\0\x2c\x01"),
        (sorted_set(&[(b"a".to_vec(), 1.5)]), b"\x11\x0f\x0f\0\0\0\x02\0\x81a\x02\x831.5\x04\xff"),
        (hash(&[no_deadline("f", "v")]), b"\x10\x0d\x0d\0\0\0\x02\0\x81f\x02\x81v\x02\xff"),
    ];
    for (value, bytes) in cases {
        let value = value.expect("no collection is empty");
        let back = restore(bytes, limits()).expect("Redis has written it");
        assert_eq!(contents(back.value()), contents(value.value()));
        let compressed = bytes.get(1) == Some(&0xC3);
        assert_eq!(written(value.value(), true) == bytes, !compressed, "{bytes:?}");
    }
}

/// Its payload said that it was one that Redis 7.2 reads, with a type that came with 7.4.
#[test]
fn a_hash_whose_fields_have_lost_their_deadlines_has_none() {
    let mut hash = Edited::of_elements(b"");
    hash.set(b"f", b"v", limits().hash);
    hash.set_deadline(b"f", 5);
    hash.set_deadline(b"f", NEVER);
    let moved = Moved::of_hash(&mut hash).expect("it has a field");
    assert!(matches!(moved.value(), Value::Hash(hash) if hash.encoding() == Encoding::ListpackEx));
    assert_eq!(written(moved.value(), true), b"\x10\x0d\x0d\0\0\0\x02\0\x81f\x02\x81v\x02\xff");
}

/// Written again it had no deadline.
#[test]
fn a_field_whose_deadline_is_zero_has_one() {
    let payload = b"\x18\0\0\0\0\0\0\0\0\x01\x01\x01f\x01v";
    let value = restore(payload, limits()).expect("it is well formed");
    assert!(matches!(value.value(), Value::Hash(hash) if hash.deadline(b"f") == Some(1)));
    let again = restore(&written(value.value(), true), limits()).expect("it was written here");
    assert_eq!(contents(again.value()), contents(value.value()));
}

#[test]
fn a_set_of_numbers_that_was_texts_stays_one() {
    let mut set = Set::beginning_with(Item::Bytes(b"a"));
    set.add(b"a", limits().set);
    set.add(b"1", limits().set);
    set.remove(b"a");
    let moved = Moved::of_collection(set).expect("it has a member");
    let back = restore(&written(moved.value(), true), limits()).expect("it is well formed");
    assert_eq!(contents(back.value()), ("Listpack".to_owned(), vec![(b"1".to_vec(), Vec::new())]));
}

#[test]
fn a_short_sorted_set_with_a_long_member_lost_the_sign_of_minus_zero() {
    let mut set = SortedSet::large();
    set.insert(b"", -0.0, limits().sorted_set);
    set.insert(&[b'a'; 41], f64::NEG_INFINITY, limits().sorted_set);
    let moved = Moved::of_collection(set).expect("it has members");
    let back = restore(&written(moved.value(), true), limits()).expect("it is well formed");
    assert_eq!(contents(back.value()), contents(moved.value()));
}

#[test]
fn claims_of_a_short_payload_cost_nothing() {
    for bytes in [
        &b"\x00\x81\x00\x00\x00\x00\xff\xff\xff\xff"[..],
        b"\x00\xc3\x05\x80\xff\xff\xff\x00\x00aaaa",
        b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\xc0\x01",
        b"\x04\x80\xff\xff\xff\xff",
        b"\x05\x80\xff\xff\xff\xff\x01a",
        b"\x12\x80\xff\xff\xff\xff",
        b"\x0b\x08\x08\0\0\0\xff\xff\xff\xff",
        b"\x10\x07\xff\xff\xff\xff\xff\xff\xff",
        b"\x06",
        b"\x07\x81",
        b"\x0f\x00",
        b"",
    ] {
        assert!(restore(bytes, Limits::default()).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_large_value_is_written_in_short_pieces() {
    let members: Vec<Vec<u8>> = (0..20_000).map(|number| format!("member:{number}").into_bytes()).collect();
    let scored: Vec<(Vec<u8>, f64)> = members.iter().map(|member| (member.clone(), 1.0)).collect();
    let fields: Vec<_> = members.iter().map(|member| (member.clone(), member.clone(), None)).collect();
    let text = vec![b'\xE0'; 1 << 20];
    let values =
        [list(&members), set(&members), sorted_set(&scored), hash(&fields), Some(Moved::of_string(text))];
    for value in values.into_iter().flatten() {
        const BUDGET: usize = 16 * 1024;
        let (mut encoder, mut out, mut before) = (Encoder::new(true), Vec::new(), 0);
        while !encoder.step(value.value(), BUDGET, &mut out) {
            assert!(out.len() - before < 2 * BUDGET, "{} bytes in one piece", out.len() - before);
            before = out.len();
        }
        let back = restore(&out, limits()).expect("it is well formed");
        assert_eq!(contents(back.value()), contents(value.value()));
    }
}

/// The time of the first entry, the name that entries have in common, and for each whether it does and its value.
type RedisBlock<'a> = (u64, &'a [u8], &'a [(bool, &'a str)]);

/// A stream as Redis writes it: blocks of one listpack each with the names that entries have in common, and groups
/// with consumers, none of whom has anything.
fn stream_bytes(blocks: &[RedisBlock<'_>], groups: &[(&str, &[&str])]) -> Vec<u8> {
    let mut bytes = vec![type_number::STREAM_LISTPACKS_3];
    let text = |text: &[u8], bytes: &mut Vec<u8>| {
        write_length(text.len() as u64, bytes);
        bytes.extend_from_slice(text);
    };
    write_length(blocks.len() as u64, &mut bytes);
    let (mut last, mut count) = (0, 0);
    for (first, name, entries) in blocks {
        let mut listpack = Writer::new();
        [entries.len() as i64, 0, 1].into_iter().for_each(|number| listpack.push_integer(number));
        listpack.push(Item::Bytes(name));
        listpack.push_integer(0);
        for (number, (shares, value)) in entries.iter().enumerate() {
            let (flags, length) = if *shares { (2, 4) } else { (0, 6) };
            [flags, number as i64, 0].into_iter().for_each(|number| listpack.push_integer(number));
            if !shares {
                listpack.push_integer(1);
                listpack.push(Item::Bytes(b"other"));
            }
            listpack.push(Item::Bytes(value.as_bytes()));
            listpack.push_integer(length);
        }
        text(&[first.to_be_bytes(), [0; 8]].concat(), &mut bytes);
        text(&listpack.finish(), &mut bytes);
        (last, count) = (first + entries.len() as u64 - 1, count + entries.len() as u64);
    }
    [count, last, 0, 0, 0, 0, 0, count, groups.len() as u64]
        .into_iter()
        .for_each(|number| write_length(number, &mut bytes));
    for (name, consumers) in groups {
        text(name.as_bytes(), &mut bytes);
        [0, 0, 0, 0, consumers.len() as u64].into_iter().for_each(|number| write_length(number, &mut bytes));
        for consumer in *consumers {
            text(consumer.as_bytes(), &mut bytes);
            bytes.extend_from_slice(&[1; 16]);
            write_length(0, &mut bytes);
        }
    }
    bytes
}

/// A quarter of a megabyte became a gigabyte: each entry got a copy of the names.
#[test]
fn long_names_of_many_entries_are_stored_for_many() {
    let name = vec![b'n'; 50_000];
    let alike = vec![(true, "v"); 1_000];
    let mixed: Vec<(bool, &str)> = (0..1_000).map(|number| (number % 2 == 1, "v")).collect();
    for limit in [1, 100] {
        let mut limits = limits();
        limits.stream.entries = limit;
        for entries in [&alike, &mixed] {
            let bytes = stream_bytes(&[(1, &name, entries), (9_000, b"n", entries)], &[]);
            let moved = restore(&bytes, limits).expect("it is well formed");
            let Value::Stream(stream) = moved.value() else { panic!("it is a stream") };
            let taken = stream.heap_bytes();
            assert!(taken < 2 * bytes.len() + 2_000 * 200, "{taken} bytes of {}", bytes.len());
            let names: Vec<(Id, usize)> = stream
                .log()
                .range(Id::MIN, Id::MAX)
                .map(|entry| (entry.id, entry.fields().map(|(name, _)| name.to_vec().len()).sum()))
                .collect();
            let length = |long, &(shares, _): &(bool, &str)| if shares { long } else { "other".len() };
            let wanted = [(1, 50_000), (9_000, 1)].into_iter().flat_map(|(first, long)| {
                let lengths = entries.iter().map(move |entry| length(long, entry));
                (first..).map(|ms| Id::new(ms, 0)).zip(lengths)
            });
            assert!(names.into_iter().eq(wanted));
            let again = restore(&written(moved.value(), true), limits).expect("it was written here");
            assert!(written(again.value(), true) == written(moved.value(), true));
        }
    }
}

/// Redis reads groups and consumers in any order, and writes them sorted.
#[test]
fn groups_and_consumers_come_in_any_order() {
    let bytes = stream_bytes(&[], &[("b", &["z", "x", "y"]), ("c", &[]), ("a", &["e", "d"])]);
    let moved = restore(&bytes, limits()).expect("it is well formed");
    let sorted = stream_bytes(&[], &[("a", &["d", "e"]), ("b", &["x", "y", "z"]), ("c", &[])]);
    assert_eq!(written(moved.value(), true), sorted);
    let Value::Stream(stream) = moved.value() else { panic!("it is a stream") };
    stream.check_invariants();
    let twice: [&[(&str, &[&str])]; 2] = [&[("a", &["x", "y", "x"])], &[("a", &[]), ("b", &[]), ("a", &[])]];
    for groups in twice {
        assert!(restore(&stream_bytes(&[], groups), limits()).is_err(), "{groups:?}");
    }
}
