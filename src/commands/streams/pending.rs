//! What a consumer group got and has not acknowledged: XACK, XPENDING, XCLAIM, XAUTOCLAIM.

use super::arguments::{check_ids, id, ids, range_end, range_start};
use super::{write_entry, write_id};
use crate::commands::{Data, Target};
use crate::error::{CommandError, StreamError};
use crate::keyspace::{Beside, CollectionMut};
use crate::resp::{Args, Reply, number};
use crate::types::Stream;
use crate::types::stream::{ConsumerNumber, Group, GroupMut, Id, Log, Pending};

/// Entries that XAUTOCLAIM claims if nothing is said.
const CLAIMED: usize = 100;
/// Entries that it looks at for each one that it may claim.
const LOOKS_PER_CLAIM: usize = 10;

fn no_group(args: &Args<'_>) -> CommandError {
    let [key, group] = [1, 2].map(|index| String::from_utf8_lossy(args.get(index)).into_owned());
    StreamError::NoGroup { key, group }.into()
}

fn group<'s>(stream: Option<&'s Stream>, args: &Args<'_>) -> Result<&'s Group, CommandError> {
    stream.and_then(|stream| stream.groups().get(args.get(2))).ok_or_else(|| no_group(args))
}

pub(super) fn xack(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let acknowledged = match database.edit::<Stream>(&key)? {
        Some(mut stream) if stream.groups().get(args.get(2)).is_some() => {
            check_ids(args, 3)?;
            stream.change_beside(|stream| {
                let group = stream.groups_mut().edit(args.get(2));
                let count = group.map_or(0, |mut group| {
                    ids(args, 3..args.len()).filter(|&id| group.acknowledge(id)).count()
                });
                (count, (count > 0).then_some(Beside::Quiet))
            })
        }
        _ => 0,
    };
    reply.integer(acknowledged as i64);
    Ok(())
}

/// The range of XPENDING.
struct Wanted {
    idle_ms_min: i64,
    first: Id,
    last: Id,
    count: usize,
    /// The argument with the consumer's name.
    consumer: Option<usize>,
}

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Option<Wanted>, CommandError> {
        let (mut start, mut idle_ms_min) = (3, 0);
        match args.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(CommandError::Syntax),
        }
        if args.is(3, "IDLE") {
            idle_ms_min = args.integer(4)?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            start = 5;
        }
        let count = usize::try_from(args.integer(start + 2)?).unwrap_or(0);
        let (first, last) = (range_start(args, start)?, range_end(args, start + 1)?);
        let consumer = Some(start + 3).filter(|&index| index < args.len());
        Ok(Some(Wanted { idle_ms_min, first, last, count, consumer }))
    }
}

pub(super) fn xpending(data: &mut Data<'_>) -> Result<(), CommandError> {
    let wanted = Wanted::parse(&data.args)?;
    let now_ms = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    let group = group(database.find::<Stream>(&key)?, args)?;
    match wanted {
        None => write_summary(group, reply),
        Some(wanted) => write_pending(group, &wanted, args, now_ms, reply),
    }
    Ok(())
}

fn write_summary(group: &Group, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let (Some(first), Some(last)) = (group.first_pending(), group.last_pending()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first.id);
    write_id(reply, last.id);
    let busy = || group.consumers().filter(|consumer| consumer.pending_len() > 0);
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
}

fn write_pending(group: &Group, wanted: &Wanted, args: &Args<'_>, now_ms: i64, reply: &mut Reply<'_>) {
    let is_idle = |pending: &&Pending| {
        wanted.idle_ms_min == 0 || now_ms.saturating_sub(pending.delivered_ms) >= wanted.idle_ms_min
    };
    let write = |reply: &mut Reply<'_>, pending: &Pending| {
        reply.array(4);
        write_id(reply, pending.id);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(now_ms.saturating_sub(pending.delivered_ms).max(0));
        reply.integer(pending.deliveries as i64);
    };
    let consumer = match wanted.consumer.map(|index| group.find_consumer(args.get(index))) {
        Some(None) => return reply.array(0),
        consumer => consumer.flatten(),
    };
    reply.array_of(|reply| match consumer {
        Some(consumer) => {
            let ids = group.consumer(consumer).pending_from(wanted.first);
            let own = ids.take_while(|&id| id <= wanted.last).filter_map(|id| group.pending(id));
            own.filter(is_idle).take(wanted.count).map(|pending| write(reply, pending)).count()
        }
        None => {
            let all = group.pending_from(wanted.first).take_while(|pending| pending.id <= wanted.last);
            all.filter(is_idle).take(wanted.count).map(|pending| write(reply, pending)).count()
        }
    });
}

/// A whole number, or what is wrong with it.
fn integer(
    args: &Args<'_>,
    index: usize,
    what: &'static str,
    command: &'static str,
) -> Result<i64, CommandError> {
    let number = number::parse_integer(args.get(index));
    Ok(number.ok_or(StreamError::InvalidNumber { what, command })?)
}

/// What XCLAIM is to do with the entries.
struct Claim {
    idle_ms_min: i64,
    /// The argument behind the last id.
    ids_end: usize,
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    only_ids: bool,
    last_id: Id,
}

impl Claim {
    fn parse(args: &Args<'_>, now_ms: i64) -> Result<Claim, CommandError> {
        const COMMAND: &str = "XCLAIM";
        let mut claim = Claim {
            idle_ms_min: integer(args, 4, "min-idle-time", COMMAND)?.max(0),
            ids_end: (5..args.len())
                .find(|&index| Id::parse(args.get(index), 0).is_none())
                .unwrap_or(args.len()),
            delivered_ms: None,
            deliveries: None,
            force: false,
            only_ids: false,
            last_id: Id::MIN,
        };
        let mut index = claim.ids_end;
        while index < args.len() {
            let has_value = index + 1 < args.len();
            if args.is(index, "FORCE") {
                claim.force = true;
            } else if args.is(index, "JUSTID") {
                claim.only_ids = true;
            } else if has_value && args.is(index, "IDLE") {
                index += 1;
                let idle_ms = integer(args, index, "IDLE option", COMMAND)?;
                claim.delivered_ms = Some(now_ms.wrapping_sub(idle_ms));
            } else if has_value && args.is(index, "TIME") {
                index += 1;
                claim.delivered_ms = Some(integer(args, index, "TIME option", COMMAND)?);
            } else if has_value && args.is(index, "RETRYCOUNT") {
                index += 1;
                claim.deliveries = u64::try_from(integer(args, index, "RETRYCOUNT option", COMMAND)?).ok();
            } else if has_value && args.is(index, "LASTID") {
                index += 1;
                claim.last_id = id(args, index, 0)?;
            } else {
                let option = String::from_utf8_lossy(args.get(index)).into_owned();
                return Err(StreamError::UnknownClaimOption(option).into());
            }
            index += 1;
        }
        Ok(claim)
    }
}

/// A consumer that makes pending entries its own.
struct Claimant<'a> {
    log: &'a Log,
    group: GroupMut<'a>,
    consumer: ConsumerNumber,
    now_ms: i64,
    only_ids: bool,
    changed: bool,
}

impl<'a> Claimant<'a> {
    /// The claimant, with the group and the consumer at arguments 2 and 3.
    fn new(stream: &'a mut Stream, args: &Args<'_>, now_ms: i64, only_ids: bool) -> Option<Claimant<'a>> {
        let (log, groups) = stream.log_and_groups();
        let mut group = groups.edit(args.get(2))?;
        let (consumer, created) = group.find_or_create_consumer(args.get(3), now_ms);
        group.set_seen(consumer, now_ms);
        Some(Claimant { log, group, consumer, now_ms, only_ids, changed: created })
    }

    /// The entry is the consumer's now, and answered.
    fn claim(&mut self, pending: Pending, reply: &mut Reply<'_>) {
        self.group.set_pending(pending);
        self.group.set_active(self.consumer, self.now_ms);
        self.changed = true;
        match self.log.get(pending.id) {
            Some(entry) if !self.only_ids => write_entry(reply, entry),
            _ => write_id(reply, pending.id),
        }
    }

    /// Claims an entry as XCLAIM says it; whether it was.
    fn claim_by_id(&mut self, id: Id, claim: &Claim, reply: &mut Reply<'_>) -> bool {
        if self.log.get(id).is_none() {
            // It was deleted, and is pending no more.
            self.changed |= self.group.acknowledge(id);
            return false;
        }
        let known = self.group.pending(id).copied();
        let idle_ms = known.map_or(i64::MAX, |known| self.now_ms.saturating_sub(known.delivered_ms));
        if known.is_none() && !claim.force || claim.idle_ms_min > 0 && idle_ms < claim.idle_ms_min {
            return false;
        }
        // A time that cannot be is taken for now: clients calculate with clocks of their own.
        let delivered_ms = claim.delivered_ms.filter(|time_ms| (0..=self.now_ms).contains(time_ms));
        let more = u64::from(!claim.only_ids);
        // Entries that were not pending count as delivered once, and again.
        let counted = known.map_or(1, |known| known.deliveries).saturating_add(more);
        let pending = Pending {
            id,
            delivered_ms: delivered_ms.unwrap_or(self.now_ms),
            deliveries: claim.deliveries.unwrap_or(counted),
            consumer: self.consumer,
        };
        self.claim(pending, reply);
        true
    }
}

pub(super) fn xclaim(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now_ms = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    let mut stream = existing_group(database.edit::<Stream>(&key)?, args)?;
    let claim = Claim::parse(args, now_ms)?;
    let created = stream.change_beside(|stream| {
        let Some(mut claimant) = Claimant::new(stream, args, now_ms, claim.only_ids) else {
            return (false, None);
        };
        let created = claimant.changed;
        if claim.last_id > claimant.group.last_id {
            claimant.group.last_id = claim.last_id;
            claimant.changed = true;
        }
        reply.array_of(|reply| {
            ids(args, 5..claim.ids_end).filter(|&id| claimant.claim_by_id(id, &claim, reply)).count()
        });
        (created, claimant.changed.then_some(Beside::Quiet))
    });
    if created {
        stream.notify("xgroup-createconsumer");
    }
    Ok(())
}

/// The stream, in which the group at argument 2 must exist.
fn existing_group<'d>(
    stream: Option<CollectionMut<'d, Stream>>,
    args: &Args<'_>,
) -> Result<CollectionMut<'d, Stream>, CommandError> {
    group(stream.as_deref(), args)?;
    stream.ok_or_else(|| no_group(args))
}

/// COUNT and JUSTID of XAUTOCLAIM.
fn automatic_options(args: &Args<'_>) -> Result<(usize, bool), CommandError> {
    let (mut count, mut only_ids) = (CLAIMED, false);
    let mut index = 6;
    while index < args.len() {
        if args.is(index, "COUNT") && index + 1 < args.len() {
            index += 1;
            let most = i64::MAX / size_of::<Id>() as i64;
            let wanted = number::parse_integer(args.get(index)).filter(|wanted| (1..=most).contains(wanted));
            count = wanted.ok_or(StreamError::CountNotPositive)? as usize;
        } else if args.is(index, "JUSTID") {
            only_ids = true;
        } else {
            return Err(CommandError::Syntax);
        }
        index += 1;
    }
    Ok((count, only_ids))
}

pub(super) fn xautoclaim(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now_ms = data.keyspace.now();
    let idle_ms_min = integer(&data.args, 4, "min-idle-time", "XAUTOCLAIM")?.max(0);
    let first = range_start(&data.args, 5)?;
    let (count, only_ids) = automatic_options(&data.args)?;
    let Target { database, key, args, reply } = data.first();
    let mut stream = existing_group(database.edit::<Stream>(&key)?, args)?;
    let created = stream.change_beside(|stream| {
        let Some(mut claimant) = Claimant::new(stream, args, now_ms, only_ids) else { return (false, None) };
        let created = claimant.changed;
        // The cursor stands first, and is known last.
        let mut claimed = Vec::new();
        let mut sweep = Sweep { idle_ms_min, count, next: Some(first), deleted: Vec::new() };
        sweep.run(&mut claimant, &mut Reply::new(&mut claimed, reply.is_resp3()));
        let next = sweep.next.and_then(|next| claimant.group.first_pending_from(next));
        reply.array(3);
        write_id(reply, next.map_or(Id::MIN, |pending| pending.id));
        reply.encoded(&claimed);
        reply.array(sweep.deleted.len());
        sweep.deleted.iter().for_each(|&id| write_id(reply, id));
        (created, claimant.changed.then_some(Beside::Quiet))
    });
    if created {
        stream.notify("xgroup-createconsumer");
    }
    Ok(())
}

/// The way of XAUTOCLAIM through what is pending.
struct Sweep {
    idle_ms_min: i64,
    count: usize,
    /// From which id on it goes on.
    next: Option<Id>,
    /// The ids of entries that were pending, and no longer exist.
    deleted: Vec<Id>,
}

impl Sweep {
    /// Claims entries and answers them.
    fn run(&mut self, claimant: &mut Claimant<'_>, reply: &mut Reply<'_>) {
        let mut looks = self.count.saturating_mul(LOOKS_PER_CLAIM);
        let mut left = self.count;
        reply.array_of(|reply| {
            let mut claimed = 0;
            while looks > 0
                && left > 0
                && let Some(pending) = self.next.and_then(|next| claimant.group.first_pending_from(next))
            {
                looks -= 1;
                self.next = pending.id.next();
                if claimant.log.get(pending.id).is_none() {
                    claimant.group.acknowledge(pending.id);
                    claimant.changed = true;
                    self.deleted.push(pending.id);
                    left -= 1;
                    continue;
                }
                let now_ms = claimant.now_ms;
                if self.idle_ms_min > 0 && now_ms.saturating_sub(pending.delivered_ms) < self.idle_ms_min {
                    continue;
                }
                let deliveries = pending.deliveries.saturating_add(u64::from(!claimant.only_ids));
                let consumer = claimant.consumer;
                claimant.claim(Pending { delivered_ms: now_ms, deliveries, consumer, ..pending }, reply);
                claimed += 1;
                left -= 1;
            }
            claimed
        });
    }
}
