//! The commands on the entries of one stream.

use super::arguments::{AddOrTrim, NewId, check_ids, id, ids, range_end, range_start};
use super::{unsigned, write_entry, write_id};
use crate::commands::{Data, Target};
use crate::error::{CommandError, StreamError};
use crate::keyspace::{Beside, CollectionMut};
use crate::resp::Args;
use crate::types::Stream;
use crate::types::stream::{ENTRY_BYTES_MAX, Id, Log, Trim};

/// The id that an entry gets; it must be above all that were given out.
fn new_id(log: &Log, wanted: NewId, now_ms: i64) -> Result<Id, StreamError> {
    let last = log.last_id();
    if last == Id::MAX {
        return Err(StreamError::IdsExhausted);
    }
    let id = match wanted {
        NewId::Now => log.next_id(unsigned(now_ms)),
        NewId::Of(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| Id::new(ms, seq)),
        NewId::Of(ms) => Some(Id::new(ms, 0)),
        NewId::Exactly(id) => Some(id),
    };
    id.filter(|&id| id > last).ok_or(StreamError::IdNotAbove)
}

/// The fields and values of an entry are within what a stream can store.
fn fits(args: &Args<'_>, fields: usize) -> bool {
    (fields..args.len()).map(|index| args.get(index).len()).sum::<usize>() <= ENTRY_BYTES_MAX
}

pub(super) fn xadd(data: &mut Data<'_>) -> Result<(), CommandError> {
    let limits = data.keyspace.limits.stream;
    let AddOrTrim { trim, create, id, fields } = AddOrTrim::parse(&data.args, true, limits)?;
    let count = data.args.len().saturating_sub(fields);
    if count < 2 || !count.is_multiple_of(2) {
        return Err(CommandError::Arity("xadd".into()));
    }
    if id == NewId::Exactly(Id::MIN) {
        return Err(StreamError::IdZero.into());
    }
    let fits = fits(&data.args, fields);
    let now_ms = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    // A stream that is not there takes any id, so that none is created in vain.
    let mut stream = if create && fits {
        database.edit_or_create(&key, Stream::new)?
    } else {
        match database.edit::<Stream>(&key)? {
            Some(stream) => stream,
            None if create => return Err(StreamError::EntryTooLarge.into()),
            None => {
                reply.null();
                return Ok(());
            }
        }
    };
    let id = new_id(stream.log(), id, now_ms)?;
    if !fits {
        return Err(StreamError::EntryTooLarge.into());
    }
    let pairs = (0..count / 2).map(|pair| (args.get(fields + 2 * pair), args.get(fields + 2 * pair + 1)));
    stream.change().log_mut().append(id, pairs, limits);
    stream.notify("xadd");
    if let Some(trim) = trim {
        trim_stream(&mut stream, trim);
    }
    write_id(reply, id);
    Ok(())
}

/// Removes entries from the beginning of a stream; how many.
fn trim_stream(stream: &mut CollectionMut<'_, Stream>, trim: Trim) -> u64 {
    let mut cut = None;
    let removed = stream.reduce(|stream| {
        let (removed, rest) = stream.trim(trim);
        cut = rest;
        removed as usize
    });
    if removed > 0 {
        stream.notify("xtrim");
    }
    if let Some(cut) = cut {
        stream.bury(cut);
    }
    removed as u64
}

pub(super) fn xtrim(data: &mut Data<'_>) -> Result<(), CommandError> {
    let parsed = AddOrTrim::parse(&data.args, false, data.keyspace.limits.stream)?;
    let Target { database, key, reply, .. } = data.first();
    let removed = match (database.edit::<Stream>(&key)?, parsed.trim) {
        (Some(mut stream), Some(trim)) => trim_stream(&mut stream, trim),
        _ => 0,
    };
    reply.integer(removed as i64);
    Ok(())
}

pub(super) fn xdel(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let deleted = match database.edit::<Stream>(&key)? {
        Some(mut stream) => {
            check_ids(args, 2)?;
            let deleted = stream
                .reduce(|stream| ids(args, 2..args.len()).filter(|&id| stream.log_mut().delete(id)).count());
            if deleted > 0 {
                stream.notify("xdel");
            }
            deleted
        }
        None => 0,
    };
    reply.integer(deleted as i64);
    Ok(())
}

pub(super) fn xsetid(data: &mut Data<'_>) -> Result<(), CommandError> {
    let args = &data.args;
    let last_id = id(args, 2, 0)?;
    let (mut added, mut max_deleted) = (None, Id::MIN);
    let mut index = 3;
    while index < args.len() {
        let has_value = index + 1 < args.len();
        if has_value && args.is(index, "ENTRIESADDED") {
            let count = args.integer(index + 1)?;
            added = Some(u64::try_from(count).map_err(|_| StreamError::EntriesAddedNegative)?);
        } else if has_value && args.is(index, "MAXDELETEDID") {
            max_deleted = id(args, index + 1, 0)?;
            if last_id < max_deleted {
                return Err(StreamError::IdBelowGivenDeleted.into());
            }
        } else {
            return Err(CommandError::Syntax);
        }
        index += 2;
    }
    let Target { database, key, reply, .. } = data.first();
    let mut stream = database.edit::<Stream>(&key)?.ok_or(CommandError::NoSuchKey)?;
    let log = stream.log();
    if last_id < log.max_deleted_id() {
        return Err(StreamError::IdBelowDeleted.into());
    }
    if log.last_entry_id().is_some_and(|top| last_id < top) {
        return Err(StreamError::IdBelowTop.into());
    }
    if !log.is_empty() && added.is_some_and(|added| added < log.len()) {
        return Err(StreamError::EntriesAddedTooFew.into());
    }
    stream.change_beside(|stream| {
        let log = stream.log_mut();
        log.set_last_id(last_id);
        if let Some(added) = added {
            log.set_entries_added(added);
        }
        if max_deleted != Id::MIN {
            log.set_max_deleted_id(max_deleted);
        }
        ((), Some(Beside::Quiet))
    });
    stream.notify("xsetid");
    reply.ok();
    Ok(())
}

pub(super) fn xlen(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    let length = database.find::<Stream>(&key)?.map_or(0, |stream| stream.log().len());
    reply.integer(length as i64);
    Ok(())
}

/// The option COUNT, if it is there.
fn count(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    let mut count = None;
    let mut index = 4;
    while index < args.len() {
        if !args.is(index, "COUNT") || index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        count = Some(args.integer(index + 1)?.max(0));
        index += 2;
    }
    Ok(count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
}

fn range(data: &mut Data<'_>, back: bool) -> Result<(), CommandError> {
    let (first, last) = if back { (3, 2) } else { (2, 3) };
    let (first, last) = (range_start(&data.args, first)?, range_end(&data.args, last)?);
    let count = count(&data.args)?;
    let Target { database, key, reply, .. } = data.first();
    let Some(stream) = database.find::<Stream>(&key)? else {
        reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    let count = count.unwrap_or(usize::MAX);
    reply.array_of(|reply| {
        let write = |entry| write_entry(reply, entry);
        match back {
            false => stream.log().range(first, last).take(count).map(write).count(),
            true => stream.log().range_back(first, last).take(count).map(write).count(),
        }
    });
    Ok(())
}

pub(super) fn xrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, false)
}

pub(super) fn xrevrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, true)
}
