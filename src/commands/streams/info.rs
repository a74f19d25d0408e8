//! XINFO.

use super::{write_entry, write_id};
use crate::commands::help::subcommand_syntax;
use crate::commands::{Data, Target};
use crate::error::{CommandError, StreamError};
use crate::resp::{Args, Reply};
use crate::types::Stream;
use crate::types::stream::{Consumer, Group, Id, Log};

/// How much of each list XINFO STREAM FULL shows if nothing is said.
const SHOWN: i64 = 10;

/// How many entries a group has not got yet; `None` if that cannot be told.
fn lag(log: &Log, group: &Group) -> Option<i64> {
    let read = match group.entries_read {
        _ if log.entries_added() == 0 => Some(0),
        Some(read) if !log.has_gaps_from(group.last_id) => Some(read),
        _ => log.entries_up_to(group.last_id),
    };
    Some((log.entries_added() as i64).wrapping_sub(read? as i64))
}

fn integer_or_null(reply: &mut Reply<'_>, number: Option<i64>) {
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

fn integer(reply: &mut Reply<'_>, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn id(reply: &mut Reply<'_>, name: &str, id: Id) {
    reply.bulk(name.as_bytes());
    write_id(reply, id);
}

fn text(reply: &mut Reply<'_>, name: &str, text: &[u8]) {
    reply.bulk(name.as_bytes());
    reply.bulk(text);
}

/// How far a group is.
fn write_progress(reply: &mut Reply<'_>, log: &Log, group: &Group) {
    id(reply, "last-delivered-id", group.last_id);
    reply.bulk(b"entries-read");
    integer_or_null(reply, group.entries_read.map(|read| read as i64));
    reply.bulk(b"lag");
    integer_or_null(reply, lag(log, group));
}

/// What XINFO STREAM is asked for: how much of each list with FULL, 0 being all.
fn parse_full(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    let count = match args.len() {
        3 => return Ok(None),
        4 if args.is(3, "FULL") => SHOWN,
        6 if args.is(3, "FULL") && args.is(4, "COUNT") => match args.integer(5)? {
            ..0 => SHOWN,
            count => count,
        },
        _ => return Err(subcommand_syntax(args)),
    };
    Ok(Some(if count == 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) }))
}

pub(super) fn stream(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.target(2);
    let stream = database.find::<Stream>(&key)?.ok_or(CommandError::NoSuchKey)?;
    let full = parse_full(args)?;
    let log = stream.log();
    reply.map(if full.is_some() { 9 } else { 10 });
    integer(reply, "length", log.len() as i64);
    integer(reply, "radix-tree-keys", log.block_count() as i64);
    // There is no radix tree: one node for the whole, and one for each block.
    integer(reply, "radix-tree-nodes", log.block_count() as i64 + 1);
    id(reply, "last-generated-id", log.last_id());
    id(reply, "max-deleted-entry-id", log.max_deleted_id());
    integer(reply, "entries-added", log.entries_added() as i64);
    id(reply, "recorded-first-entry-id", log.first_entry_id().unwrap_or(Id::MIN));
    if let Some(count) = full {
        write_full(reply, stream, count);
        return Ok(());
    }
    integer(reply, "groups", stream.groups().len() as i64);
    let first = log.range(Id::MIN, Id::MAX).next();
    let last = log.last_entry_id().and_then(|id| log.get(id));
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, entry),
            None => reply.null(),
        }
    }
    Ok(())
}

fn write_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    let log = stream.log();
    reply.bulk(b"entries");
    reply.array_of(|reply| {
        log.range(Id::MIN, Id::MAX).take(count).map(|entry| write_entry(reply, entry)).count()
    });
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for group in stream.groups().iter() {
        reply.map(7);
        text(reply, "name", group.name());
        write_progress(reply, log, group);
        integer(reply, "pel-count", group.pending_len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(count));
        for pending in group.pending_from(Id::MIN).take(count) {
            reply.array(4);
            write_id(reply, pending.id);
            reply.bulk(group.consumer(pending.consumer).name());
            reply.integer(pending.delivered_ms);
            reply.integer(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers().len());
        group.consumers().for_each(|consumer| write_consumer(reply, group, consumer, count));
    }
}

fn write_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    text(reply, "name", consumer.name());
    integer(reply, "seen-time", consumer.seen_ms);
    integer(reply, "active-time", consumer.active_ms);
    integer(reply, "pel-count", consumer.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(count));
    for pending in consumer.pending_from(Id::MIN).take(count).filter_map(|id| group.pending(id)) {
        reply.array(3);
        write_id(reply, pending.id);
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries as i64);
    }
}

pub(super) fn groups(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.target(2);
    let stream = database.find::<Stream>(&key)?.ok_or(CommandError::NoSuchKey)?;
    reply.array(stream.groups().len());
    for group in stream.groups().iter() {
        reply.map(6);
        text(reply, "name", group.name());
        integer(reply, "consumers", group.consumers().len() as i64);
        integer(reply, "pending", group.pending_len() as i64);
        write_progress(reply, stream.log(), group);
    }
    Ok(())
}

pub(super) fn consumers(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now_ms = data.keyspace.now();
    let Target { database, key, args, reply } = data.target(2);
    let stream = database.find::<Stream>(&key)?.ok_or(CommandError::NoSuchKey)?;
    let Some(group) = stream.groups().get(args.get(3)) else {
        let [key, group] = [2, 3].map(|index| String::from_utf8_lossy(args.get(index)).into_owned());
        return Err(StreamError::NoGroupOfKey { key, group }.into());
    };
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        reply.map(4);
        text(reply, "name", consumer.name());
        integer(reply, "pending", consumer.pending_len() as i64);
        integer(reply, "idle", now_ms.saturating_sub(consumer.seen_ms).max(0));
        let inactive = if consumer.active_ms < 0 { -1 } else { now_ms.saturating_sub(consumer.active_ms) };
        integer(reply, "inactive", inactive);
    }
    Ok(())
}
