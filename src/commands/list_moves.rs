//! The commands on several lists: LMOVE, RPOPLPUSH and LMPOP.
//!
//! Where the keys belong to different shards they go in hops, which run under the locks of all keys:
//!
//! ```text
//!   LMOVE   source: is there a list?   ┐
//!           destination: may it be one?┴─ source: pop ── destination: push
//!   LMPOP   each shard: which key is the first that exists? ── shard of the first of them: pop
//! ```
//!
//! [`move_element`] and [`pop_first`] do the whole work on one shard, for commands that wait for elements
//! as well.

use std::ops::Range;

use super::lists::{list, pop_event, pop_one, pop_some, push_event};
use super::{Command, Data, DataFunction, KeySpec, Run, Target, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::Kind;
use crate::resp::Args;
use crate::transaction::{Plan, PlanFunction, Work};
use crate::types::List;
use crate::types::packed::End;

const POPPED: u16 = key_flag::RW | key_flag::ACCESS | key_flag::DELETE;
const MOVED_KEYS: &[KeySpec] = &[KeySpec::one(1, POPPED), KeySpec::one(2, key_flag::RW | key_flag::INSERT)];

const fn moving(whole: DataFunction, steps: &'static [DataFunction], plan: PlanFunction) -> Run {
    Run::Hops { whole, steps, plan }
}

pub const COMMANDS: &[Command] = &[
    list("lmove", 5, moving(lmove, &[check_source, check_destination, lmove_pop, lmove_push], lmove_plan))
        .since("6.2.0")
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(MOVED_KEYS)
        .docs(
            "Moves an element from one list to another and returns it.",
            "O(1)",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        ),
    list(
        "rpoplpush",
        3,
        moving(rpoplpush, &[check_source, check_destination, rpoplpush_pop, rpoplpush_push], move_plan),
    )
    .since("1.2.0")
    .flags(flag::WRITE | flag::DENYOOM)
    .keys(MOVED_KEYS)
    .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")
    .docs(
        "Moves the last element of a list to the beginning of another and returns it.",
        "O(1)",
        "source destination",
    ),
    list("lmpop", -4, Run::Hops { whole: lmpop, steps: POP_STEPS, plan: lmpop_plan })
        .since("7.0.0")
        .flags(flag::WRITE)
        .keys(&[KeySpec::counted(1, POPPED)])
        .docs(
            "Removes elements of the first list that is not empty, and returns its name and them.",
            "O(N+M), N being the number of keys and M the number of elements returned.",
            "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        ),
];

/// The end of a list that argument `index` names.
pub(super) fn end_of(args: &Args<'_>, index: usize) -> Result<End, CommandError> {
    if args.is(index, "LEFT") {
        Ok(End::Front)
    } else if args.is(index, "RIGHT") {
        Ok(End::Back)
    } else {
        Err(CommandError::Syntax)
    }
}

/// Moves an element from an end of the list at argument 1 to an end of the list at argument 2, and answers
/// it. `false`, and no answer: there is no list to take it from.
pub(super) fn move_element(data: &mut Data<'_>, from: End, to: End) -> Result<bool, CommandError> {
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.first();
    let Some(mut source) = database.edit::<List>(&key)? else { return Ok(false) };
    let Some(element) = source.peek(from).map(|item| item.to_vec()) else { return Ok(false) };
    if args.get(1) == args.get(2) {
        let list = source.change();
        list.pop(from, limit);
        list.push(to, &element, limit);
        source.notify(push_event(to));
        source.notify(pop_event(from));
        reply.bulk(&element);
        return Ok(true);
    }
    drop(source);
    // The destination comes first: it may be of another type.
    let Target { database, key, .. } = data.target(2);
    let mut destination = database.edit_or_create(&key, List::new)?;
    destination.change().push(to, &element, limit);
    destination.notify(push_event(to));
    drop(destination);
    let Target { database, key, reply, .. } = data.first();
    if let Some(mut source) = database.edit::<List>(&key)? {
        source.change().pop(from, limit);
        source.notify(pop_event(from));
    }
    reply.bulk(&element);
    Ok(true)
}

fn move_or_null(data: &mut Data<'_>, from: End, to: End) -> Result<(), CommandError> {
    if !move_element(data, from, to)? {
        data.reply.null();
    }
    Ok(())
}

fn lmove(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (from, to) = (end_of(&data.args, 3)?, end_of(&data.args, 4)?);
    move_or_null(data, from, to)
}

fn rpoplpush(data: &mut Data<'_>) -> Result<(), CommandError> {
    move_or_null(data, End::Back, End::Front)
}

// The steps of a move between two shards.

/// Answers whether there is a list to take an element from.
pub(super) fn check_source(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.target(1);
    reply.integer(i64::from(database.edit::<List>(&key)?.is_some()));
    Ok(())
}

/// An error if the destination has another type.
pub(super) fn check_destination(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.target(2);
    reply.integer(i64::from(database.edit::<List>(&key)?.is_some()));
    Ok(())
}

fn pop_source(data: &mut Data<'_>, from: End) -> Result<(), CommandError> {
    let limit = data.keyspace.limits.list;
    let Target { database, key, reply, .. } = data.target(1);
    match database.edit::<List>(&key)? {
        Some(mut list) => pop_one(&mut list, from, limit, reply),
        None => reply.null(),
    }
    Ok(())
}

/// Adds the last argument to the destination, and answers it.
fn push_destination(data: &mut Data<'_>, to: End) -> Result<(), CommandError> {
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.target(2);
    let element = args.get(args.len() - 1);
    let mut list = database.edit_or_create(&key, List::new)?;
    list.change().push(to, element, limit);
    list.notify(push_event(to));
    reply.bulk(element);
    Ok(())
}

pub(super) fn lmove_pop(data: &mut Data<'_>) -> Result<(), CommandError> {
    let from = end_of(&data.args, 3)?;
    pop_source(data, from)
}

pub(super) fn lmove_push(data: &mut Data<'_>) -> Result<(), CommandError> {
    let to = end_of(&data.args, 4)?;
    push_destination(data, to)
}

pub(super) fn rpoplpush_pop(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop_source(data, End::Back)
}

pub(super) fn rpoplpush_push(data: &mut Data<'_>) -> Result<(), CommandError> {
    push_destination(data, End::Front)
}

fn lmove_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    end_of(&plan.args, 3)?;
    end_of(&plan.args, 4)?;
    move_plan(plan)
}

/// The hops of a move, whose steps are: check the source, check the destination, pop, push.
pub(super) fn move_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    match plan.hop {
        0 => {
            plan.push(plan.shard_of(1), 0);
            plan.push(plan.shard_of(2), 1);
        }
        1 => {
            // What is wrong with the source comes first, then that it is missing.
            let [source, destination] = plan.results.as_slice() else { return Ok(()) };
            if source.integer() == Some(0) || (source.integer().is_none() && plan.again) {
                plan.reply.null();
            } else if source.integer().is_none() || destination.integer().is_none() {
                plan.reply_error();
            } else {
                plan.push(plan.shard_of(1), 2);
            }
        }
        2 => {
            let element = plan.results.first().and_then(|result| result.bulk()).map(<[u8]>::to_vec);
            let Some(element) = element else {
                plan.reply.null();
                return Ok(());
            };
            plan.push(plan.shard_of(2), 3);
            if let Some(work) = plan.work.last_mut() {
                work.args.push(element);
            }
        }
        _ => {
            if let Some(result) = plan.results.first() {
                plan.reply.encoded(&result.reply);
            }
        }
    }
    Ok(())
}

/// Removes elements at an end of the first list among the keys at these arguments, and answers its name
/// with the elements in an array, or without a count with one element. `false`, and no answer: there is no
/// list among them.
pub(super) fn pop_first(
    data: &mut Data<'_>,
    keys: Range<usize>,
    end: End,
    count: Option<usize>,
) -> Result<bool, CommandError> {
    let limit = data.keyspace.limits.list;
    for index in keys {
        let Target { database, key, reply, .. } = data.target(index);
        let Some(mut list) = database.edit::<List>(&key)? else { continue };
        reply.array(2);
        reply.bulk(key.bytes);
        match count {
            Some(count) => pop_some(&mut list, end, count, limit, reply),
            None => pop_one(&mut list, end, limit, reply),
        }
        return Ok(true);
    }
    Ok(false)
}

/// What LMPOP is to do, its arguments from the number of keys on.
pub(super) struct PopMany {
    pub(super) keys: Range<usize>,
    pub(super) end: End,
    pub(super) count: usize,
}

impl PopMany {
    /// `numkeys` is the argument with the number of keys.
    pub(super) fn parse(args: &Args<'_>, numkeys: usize) -> Result<PopMany, CommandError> {
        let positive = |index, error: &'static str| {
            let number = args.integer(index).ok().and_then(|number| usize::try_from(number).ok());
            number.filter(|&number| number > 0).ok_or(CommandError::text(error))
        };
        let keys = positive(numkeys, "ERR numkeys should be greater than 0")?;
        let room = args.len() - numkeys - 1;
        if keys >= room {
            return Err(CommandError::Syntax);
        }
        let keys = numkeys + 1..numkeys + 1 + keys;
        let end = end_of(args, keys.end)?;
        let mut count = None;
        let mut index = keys.end + 1;
        while index < args.len() {
            if count.is_some() || !args.is(index, "COUNT") || index + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            count = Some(positive(index + 1, "ERR count should be greater than 0")?);
            index += 2;
        }
        Ok(PopMany { keys, end, count: count.unwrap_or(1) })
    }
}

fn lmpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    let PopMany { keys, end, count } = PopMany::parse(&data.args, 1)?;
    if !pop_first(data, keys, end, Some(count))? {
        data.reply.null_array();
    }
    Ok(())
}

/// What [`plan_pop`] has shards do.
pub(super) const POP_STEPS: &[DataFunction] = &[first_existing, pop_from, first_list];
const STEP_FIRST_LIST: usize = 2;

/// Of one shard's keys: the argument of the first that exists, below zero if it holds no list; 0 if there
/// is none.
pub(super) fn first_existing(data: &mut Data<'_>) -> Result<(), CommandError> {
    let mut first = 0;
    for index in 1..data.args.len() {
        let Target { database, key, .. } = data.target(index);
        if let Some(entry) = database.find_write(&key) {
            let index = index as i64;
            first = if entry.kind() == Kind::List { index } else { -index };
            break;
        }
    }
    data.reply.integer(first);
    Ok(())
}

/// The same for a client that has waited, to whom keys of other types are as good as missing.
pub(super) fn first_list(data: &mut Data<'_>) -> Result<(), CommandError> {
    let keys = 1..data.args.len();
    let is_list = |index: &usize| {
        let Target { database, key, .. } = data.target(*index);
        database.find_write(&key).is_some_and(|entry| entry.kind() == Kind::List)
    };
    let first = keys.into_iter().find(is_list).unwrap_or(0);
    data.reply.integer(first as i64);
    Ok(())
}

/// `name key end [count]`: pops from one list that is known to be there.
pub(super) fn pop_from(data: &mut Data<'_>) -> Result<(), CommandError> {
    let end = end_of(&data.args, 2)?;
    let count = if data.args.len() > 3 { Some(data.args.integer(3)? as usize) } else { None };
    if !pop_first(data, 1..2, end, count)? {
        data.reply.null_array();
    }
    Ok(())
}

fn lmpop_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    let request = PopMany::parse(&plan.args, 1)?;
    plan_pop(plan, request, false)
}

/// Asks every shard for the first of its keys that exists, then pops from the first of them all; `one`
/// element, which is answered alone, or as many as are wanted.
pub(super) fn plan_pop(plan: &mut Plan<'_>, request: PopMany, one: bool) -> Result<(), CommandError> {
    let PopMany { keys, end, count } = request;
    let owners: Vec<(usize, usize)> = keys.map(|index| (index, plan.shard_of(index))).collect();
    // The arguments of a shard's own keys.
    let own = |shard| owners.iter().filter(move |(_, owner)| *owner == shard).map(|(index, _)| *index);
    match plan.hop {
        0 => {
            for shard in 0..plan.route.shards() {
                let mut args = vec![plan.args.get(0).to_vec()];
                args.extend(own(shard).map(|index| plan.args.get(index).to_vec()));
                if args.len() > 1 {
                    let step = if plan.again { STEP_FIRST_LIST } else { 0 };
                    plan.work.push(Work { shard, step, args, moved: None });
                }
            }
        }
        1 => {
            // The positions among the shards' own keys, as positions among all.
            let found = plan.results.iter().filter_map(|result| {
                let position = result.integer().filter(|&position| position != 0)?;
                let nth = position.unsigned_abs() as usize - 1;
                Some((own(result.shard).nth(nth)?, position > 0, result.shard))
            });
            match found.min() {
                None => plan.reply.null_array(),
                Some((_, false, _)) => return Err(CommandError::WrongType),
                Some((index, true, shard)) => {
                    let end = if end == End::Front { "LEFT" } else { "RIGHT" };
                    let count = count.to_string();
                    let words = [plan.args.get(0), plan.args.get(index), end.as_bytes(), count.as_bytes()];
                    let mut args = words.map(<[u8]>::to_vec).to_vec();
                    args.truncate(if one { 3 } else { 4 });
                    plan.work.push(Work { shard, step: 1, args, moved: None });
                }
            }
        }
        _ => {
            if let Some(result) = plan.results.first() {
                plan.reply.encoded(&result.reply);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
