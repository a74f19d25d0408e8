use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::packed::tests::element;

/// Small blocks, so that a few entries make many.
const LIMITS: Limits = Limits { bytes: 200, entries: 5 };

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(fields: &Fields) -> impl Pairs<'_> {
    fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}

fn to_fields(entry: Entry<'_>) -> (Id, Fields) {
    let fields: Fields = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    assert_eq!(fields.len(), entry.len());
    (entry.id, fields)
}

#[derive(Clone, Debug)]
enum Change {
    /// So many milliseconds and numbers after the last id.
    Append(u64, u64, Fields),
    Delete(usize),
    Trim {
        length: bool,
        position: usize,
        approximate: bool,
        limit: Option<u64>,
    },
    SetLastId(u64),
    /// To that of the last entry, though entries behind it were there and deleted.
    SetBack,
    Clone,
}

fn fields() -> impl Strategy<Value = Fields> {
    let names = prop_oneof![3 => Just(vec![&b"temperature"[..], b"1"]), 1 => Just(vec![&b"x"[..]])];
    prop_oneof![
        4 => (names, prop::collection::vec(element(), 2)).prop_map(|(names, values)| {
            names.into_iter().map(<[u8]>::to_vec).zip(values).collect()
        }),
        1 => prop::collection::vec((element(), element()), 1..5),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let distance = || prop_oneof![4 => 0..3u64, 1 => 55..70u64, 1 => any::<u32>().prop_map(u64::from)];
    let limit = prop_oneof![2 => Just(None), 1 => (1..20u64).prop_map(Some)];
    prop_oneof![
        12 => (distance(), distance(), fields()).prop_map(|(ms, seq, fields)| Change::Append(ms, seq, fields)),
        6 => (0..200usize).prop_map(Change::Delete),
        1 => (any::<bool>(), 0..40usize, any::<bool>(), limit).prop_map(|(length, position, approximate, limit)| {
            Change::Trim { length, position, approximate, limit: limit.filter(|_| approximate) }
        }),
        1 => (0..100u64).prop_map(Change::SetLastId),
        1 => Just(Change::SetBack),
        1 => Just(Change::Clone),
    ]
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<Id, Fields>,
    last_id: Id,
    max_deleted: Id,
    added: u64,
}

fn apply(stream: &mut Stream, model: &mut Model, change: Change) {
    match change {
        Change::Append(ms, seq, fields) => {
            let id = match ms {
                0 => Id::new(model.last_id.ms, model.last_id.seq + seq + 1),
                _ => Id::new(model.last_id.ms + ms, seq),
            };
            stream.log_mut().append(id, pairs(&fields), LIMITS);
            model.entries.insert(id, fields);
            model.last_id = id;
            model.added += 1;
        }
        Change::Delete(index) => {
            let id = model.entries.keys().nth(index).copied();
            assert!(!stream.log_mut().delete(id.map_or(Id::MAX, |id| Id::new(id.ms, u64::MAX))));
            let Some(id) = id else { return };
            assert!(stream.log_mut().delete(id));
            assert!(!stream.log_mut().delete(id), "it is gone");
            model.entries.remove(&id);
            model.max_deleted = model.max_deleted.max(id);
        }
        Change::Trim { length, position, approximate, limit } => {
            let id = model.entries.keys().nth(position).copied().unwrap_or(Id::MAX);
            let threshold = if length { Threshold::Length(position as u64) } else { Threshold::Id(id) };
            let (removed, cut) = stream.trim(Trim { threshold, approximate, limit });
            assert!(cut.is_none_or(|cut| cut.log().block_count() > 0 && removed > 0));
            let wanted = match threshold {
                Threshold::Length(length) => model.entries.len().saturating_sub(length as usize),
                Threshold::Id(id) => model.entries.range(..id).count(),
            };
            if approximate {
                assert!(removed as usize <= wanted && limit.is_none_or(|limit| removed <= limit));
                let rest = wanted - removed as usize;
                assert!(limit.is_some() || rest < LIMITS.entries as usize, "{rest}: less than a block");
            } else {
                assert_eq!(removed as usize, wanted);
            }
            (0..removed).for_each(|_| drop(model.entries.pop_first()));
        }
        Change::SetLastId(distance) => {
            model.last_id.ms += distance;
            stream.log_mut().set_last_id(model.last_id);
        }
        Change::SetBack => {
            model.last_id = model.entries.last_key_value().map_or(Id::MIN, |(&id, _)| id);
            stream.log_mut().set_last_id(model.last_id);
        }
        Change::Clone => *stream = stream.clone(),
    }
}

fn check(stream: &Stream, model: &Model) {
    stream.check_invariants();
    let log = stream.log();
    assert_eq!(log.len(), model.entries.len() as u64);
    let known = (log.last_id(), log.max_deleted_id(), log.entries_added());
    assert_eq!(known, (model.last_id, model.max_deleted, model.added));
    let ids: Vec<Id> = model.entries.keys().copied().collect();
    let bounds = [0, 1, ids.len() / 2, ids.len().saturating_sub(1)].map(|index| ids.get(index).copied());
    for first in bounds.into_iter().flatten().chain([Id::MIN]) {
        for last in bounds.into_iter().flatten().chain([Id::MAX]).filter(|&last| last >= first) {
            let expected = model.entries.range(first..=last).map(|(&id, fields)| (id, fields.clone()));
            assert!(log.range(first, last).map(to_fields).eq(expected.clone()));
            assert!(log.range_back(first, last).map(to_fields).eq(expected.rev()));
        }
        assert_eq!(
            log.get(first).map(to_fields).map(|(_, fields)| fields),
            model.entries.get(&first).cloned()
        );
    }
    let blocks = log.blocks().flat_map(|entries| entries.map(|entry| entry.id));
    assert!(blocks.eq(ids));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_ordered_by_id(changes in prop::collection::vec(change(), 0..150)) {
        let (mut stream, mut model) = (Stream::new(), Model::default());
        for change in changes {
            apply(&mut stream, &mut model, change);
            check(&stream, &model);
        }
        let mut freed = 0;
        loop {
            match stream.free_some(3) {
                0 => break,
                some => freed += some,
            }
        }
        prop_assert!(freed <= model.entries.len() && stream.log().block_count() == 0);
        prop_assert!(stream.heap_bytes() < 1024);
    }

    #[test]
    fn any_entry_comes_back(first in fields(), second in fields(), ms in any::<u64>(), seq in any::<u64>()) {
        let mut log = Log::default();
        log.append(Id::new(0, 1), pairs(&first), Limits::of_settings(0, 0));
        let id = Id::new(ms, seq.saturating_add(2));
        log.append(id, pairs(&second), Limits::of_settings(0, 0));
        let entries: Vec<_> = log.range(Id::MIN, Id::MAX).map(to_fields).collect();
        prop_assert_eq!(entries, vec![(Id::new(0, 1), first), (id, second)]);
    }
}

#[derive(Clone, Debug)]
enum GroupChange {
    Deliver(u64, usize),
    Again(u64),
    Acknowledge(u64),
    DeleteConsumer(usize),
    Clone,
}

fn group_change() -> impl Strategy<Value = GroupChange> {
    prop_oneof![
        8 => (0..60u64, 0..4usize).prop_map(|(id, consumer)| GroupChange::Deliver(id, consumer)),
        2 => (0..60u64).prop_map(GroupChange::Again),
        6 => (0..60u64).prop_map(GroupChange::Acknowledge),
        1 => (0..4usize).prop_map(GroupChange::DeleteConsumer),
        1 => Just(GroupChange::Clone),
    ]
}

const NAMES: [&[u8]; 4] = [b"zoe", b"", b"al", b"alice"];

fn apply_to_group(stream: &mut Stream, model: &mut BTreeMap<u64, (usize, u64)>, change: GroupChange) {
    let mut group = stream.groups_mut().edit(b"group").unwrap();
    match change {
        GroupChange::Deliver(id, consumer) => {
            let (number, _) = group.find_or_create_consumer(NAMES[consumer], 5);
            let (id, pending) = (Id::new(id, 0), id);
            group.set_pending(Pending { id, delivered_ms: 7, deliveries: 1, consumer: number });
            model.insert(pending, (consumer, 1));
        }
        GroupChange::Again(id) => {
            group.deliver_again(Id::new(id, 0), 9);
            model.entry(id).and_modify(|(_, deliveries)| *deliveries += 1);
        }
        GroupChange::Acknowledge(id) => {
            assert_eq!(group.acknowledge(Id::new(id, 0)), model.remove(&id).is_some());
        }
        GroupChange::DeleteConsumer(consumer) => {
            let before = model.len();
            model.retain(|_, (owner, _)| *owner != consumer);
            let deleted = group.delete_consumer(NAMES[consumer]);
            assert_eq!(deleted.unwrap_or(0), before - model.len());
            assert!(group.find_consumer(NAMES[consumer]).is_none());
        }
        GroupChange::Clone => {
            drop(group);
            *stream = stream.clone();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_pending_has_one_consumer(changes in prop::collection::vec(group_change(), 0..200)) {
        let mut stream = Stream::new();
        prop_assert!(stream.groups_mut().create(b"group", Id::MIN, None));
        prop_assert!(!stream.groups_mut().create(b"group", Id::MAX, None));
        let mut model: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for change in changes {
            apply_to_group(&mut stream, &mut model, change);
            stream.check_invariants();
            let group = stream.groups().get(b"group").unwrap();
            let pending: Vec<_> = group
                .pending_from(Id::MIN)
                .map(|pending| (pending.id.ms, group.consumer(pending.consumer).name(), pending.deliveries))
                .collect();
            let expected: Vec<_> =
                model.iter().map(|(&id, &(consumer, deliveries))| (id, NAMES[consumer], deliveries)).collect();
            prop_assert_eq!(pending, expected);
            for consumer in group.consumers() {
                let own = model.iter().filter(|(_, (owner, _))| NAMES[*owner] == consumer.name());
                prop_assert!(consumer.pending_from(Id::MIN).map(|id| id.ms).eq(own.map(|(&id, _)| id)));
            }
        }
        while stream.free_some(3) > 0 {}
        prop_assert!(stream.groups().is_empty());
    }
}

#[test]
fn many_small_entries_take_few_bytes() {
    const ENTRIES: u64 = 1_000_000;
    let limits = crate::types::Limits::default().stream;
    let mut stream = Stream::new();
    for n in 0..ENTRIES {
        let value = format!("value:{n}").into_bytes();
        stream.log_mut().append(
            Id::new(1_700_000_000_000 + n / 3, n % 3),
            pairs(&vec![(b"field".to_vec(), value)]),
            limits,
        );
    }
    stream.check_invariants();
    // A listpack takes 23 bytes for each.
    assert!(stream.heap_bytes() < ENTRIES as usize * 16, "{}", stream.heap_bytes());
    let (removed, cut) =
        stream.trim(Trim { threshold: Threshold::Length(10), approximate: false, limit: None });
    assert_eq!((removed, stream.log().len()), (ENTRIES - 10, 10));
    assert!(stream.heap_bytes() < 10_000, "{}", stream.heap_bytes());
    let mut cut = cut.expect("many blocks");
    assert!(cut.parts() > 5000);
    assert!(cut.free_some(100) < 300, "in steps");
}
