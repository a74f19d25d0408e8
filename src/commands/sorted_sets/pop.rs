//! ZPOPMIN, ZPOPMAX and ZMPOP, and BZPOPMIN, BZPOPMAX and BZMPOP, which wait for elements.

use std::ops::Range;

use super::super::Data;
use super::super::waiting::{plan_waiting, serving_keys, timeout_ms};
use super::{write_elements, write_score};
use crate::error::CommandError;
use crate::resp::{Args, Reply, number};
use crate::transaction::{Plan, PlanFunction, Work};
use crate::types::{Kind, SortedSet};

/// From which end elements are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Min,
    Max,
}

/// How elements that were taken are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[member, score, …]`, in RESP3 in pairs: ZPOPMIN with a count.
    Elements,
    /// `[member, score]`: ZPOPMIN without one.
    Element,
    /// `[key, [[member, score], …]]`: ZMPOP and BZMPOP.
    KeyAndElements,
    /// `[key, member, score]`: BZPOPMIN.
    KeyAndElement,
}

/// Takes up to `count` elements, at least one, from the first of these keys that exists, and answers them.
/// `false`: none of them exists, and nothing is answered.
pub fn pop_first(
    data: &mut Data<'_>,
    keys: impl IntoIterator<Item = usize>,
    end: End,
    count: usize,
    shape: Shape,
) -> Result<bool, CommandError> {
    for position in keys {
        let target = data.target(position);
        if let Some(mut set) = target.database.edit::<SortedSet>(&target.key)? {
            let length = set.len();
            let count = count.min(length);
            let ranks = match end {
                End::Min => 0..count,
                End::Max => length - count..length,
            };
            let elements = set.iter(ranks.clone());
            match end {
                End::Min => write_popped(elements, count, shape, target.key.bytes, target.reply),
                End::Max => write_popped(elements.rev(), count, shape, target.key.bytes, target.reply),
            }
            set.change_some(|set| {
                set.remove_ranks(ranks, |_, _| {});
                count
            });
            set.notify(match end {
                End::Min => "zpopmin",
                End::Max => "zpopmax",
            });
            return Ok(true);
        }
    }
    Ok(false)
}

fn write_popped<'e>(
    mut elements: impl Iterator<Item = (&'e [u8], f64)>,
    count: usize,
    shape: Shape,
    key: &[u8],
    reply: &mut Reply<'_>,
) {
    match shape {
        Shape::Elements => write_elements(elements, count, true, reply),
        Shape::Element | Shape::KeyAndElement => {
            let Some((member, score)) = elements.next() else { return };
            if shape == Shape::KeyAndElement {
                reply.array(3);
                reply.bulk(key);
            } else {
                reply.array(2);
            }
            reply.bulk(member);
            write_score(score, reply);
        }
        Shape::KeyAndElements => {
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
            for (member, score) in elements {
                reply.array(2);
                reply.bulk(member);
                write_score(score, reply);
            }
        }
    }
}

pub(super) fn zpopmin(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop(data, End::Min)
}

pub(super) fn zpopmax(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop(data, End::Max)
}

fn pop(data: &mut Data<'_>, end: End) -> Result<(), CommandError> {
    let (count, shape) = match data.args.len() {
        2 => (1, Shape::Element),
        3 => {
            let count = number::parse_integer(data.args.get(2)).and_then(|count| usize::try_from(count).ok());
            (count.ok_or(CommandError::OutOfRangePositive)?, Shape::Elements)
        }
        _ => return Err(CommandError::Syntax),
    };
    if count == 0 {
        // The type counts all the same.
        let target = data.first();
        target.database.edit::<SortedSet>(&target.key)?;
        target.reply.array(0);
    } else if !pop_first(data, [1], end, count, shape)? {
        data.reply.array(0);
    }
    Ok(())
}

/// What ZMPOP and BZMPOP are asked for.
struct Request {
    /// How many keys stand behind their number.
    keys: usize,
    end: End,
    count: usize,
}

impl Request {
    /// The arguments from the number of keys on, which is argument `position`.
    fn parse(args: &Args<'_>, position: usize) -> Result<Request, CommandError> {
        let positive = |index: usize| {
            let number = number::parse_integer(args.get(index)).filter(|&number| number > 0)?;
            usize::try_from(number).ok()
        };
        let keys = positive(position).ok_or(CommandError::NumkeysNotPositive)?;
        let word = (position + 1).checked_add(keys).filter(|&word| word < args.len());
        let word = word.ok_or(CommandError::Syntax)?;
        let end = match () {
            _ if args.is(word, "MIN") => End::Min,
            _ if args.is(word, "MAX") => End::Max,
            _ => return Err(CommandError::Syntax),
        };
        let mut request = Request { keys, end, count: 1 };
        let (mut index, mut counted) = (word + 1, false);
        while index < args.len() {
            if counted || !args.is(index, "COUNT") || index + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            request.count = positive(index + 1).ok_or(CommandError::CountNotPositive)?;
            counted = true;
            index += 2;
        }
        Ok(request)
    }
}

pub(super) fn zmpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, 1)?;
    if !pop_first(data, 2..2 + request.keys, request.end, request.count, Shape::KeyAndElements)? {
        data.reply.null_array();
    }
    Ok(())
}

/// `name key end [count]`: pops from one sorted set that is known to be there.
pub(super) fn pop_from(data: &mut Data<'_>) -> Result<(), CommandError> {
    let end = if data.args.is(2, "MIN") { End::Min } else { End::Max };
    let (count, shape) = match data.args.len() {
        3 => (1, Shape::KeyAndElement),
        _ => (data.args.integer(3)? as usize, Shape::KeyAndElements),
    };
    if !pop_first(data, [1], end, count, shape)? {
        data.reply.null_array();
    }
    Ok(())
}

// The same, waiting for elements.

fn pop_or_wait(data: &mut Data<'_>, end: End) -> Result<(), CommandError> {
    let last = data.args.len() - 1;
    let timeout_ms = timeout_ms(&data.args, last)?;
    let keys = serving_keys(data, 1..last, Kind::SortedSet);
    if !pop_first(data, keys, end, 1, Shape::KeyAndElement)? {
        data.reply.null_array();
        data.park = Some(timeout_ms);
    }
    Ok(())
}

pub(super) fn bzpopmin(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop_or_wait(data, End::Min)
}

pub(super) fn bzpopmax(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop_or_wait(data, End::Max)
}

pub(super) fn bzmpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, 2)?;
    let timeout_ms = timeout_ms(&data.args, 1)?;
    let keys = serving_keys(data, 3..3 + request.keys, Kind::SortedSet);
    if !pop_first(data, keys, request.end, request.count, Shape::KeyAndElements)? {
        data.reply.null_array();
        data.park = Some(timeout_ms);
    }
    Ok(())
}

fn plan_waiting_pop(plan: &mut Plan<'_>, inner: PlanFunction) -> Result<(), CommandError> {
    let timeout_ms = timeout_ms(&plan.args, plan.args.len() - 1)?;
    plan_waiting(plan, timeout_ms, inner)
}

pub(super) fn bzpopmin_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    plan_waiting_pop(plan, |plan| plan_pop(plan, 1..plan.args.len() - 1, End::Min, None))
}

pub(super) fn bzpopmax_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    plan_waiting_pop(plan, |plan| plan_pop(plan, 1..plan.args.len() - 1, End::Max, None))
}

pub(super) fn bzmpop_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    Request::parse(&plan.args, 2)?;
    let timeout_ms = timeout_ms(&plan.args, 1)?;
    plan_waiting(plan, timeout_ms, |plan| {
        let request = Request::parse(&plan.args, 2)?;
        plan_pop(plan, 3..3 + request.keys, request.end, Some(request.count))
    })
}

/// One shard's keys, in order: which is the first that exists, from 1 on, below zero if it is no sorted set;
/// 0 if none does.
pub(super) fn first_existing(data: &mut Data<'_>) -> Result<(), CommandError> {
    let mut first = 0;
    for index in 1..data.args.len() {
        let target = data.target(index);
        if let Some(entry) = target.database.find_write(&target.key) {
            first = if entry.kind() == Kind::SortedSet { index as i64 } else { -(index as i64) };
            break;
        }
    }
    data.reply.integer(first);
    Ok(())
}

/// The same for a client that has waited, to whom keys of other types are as good as missing.
pub(super) fn first_sorted_set(data: &mut Data<'_>) -> Result<(), CommandError> {
    let keys = 1..data.args.len();
    let is_sorted_set = |index: &usize| {
        let target = data.target(*index);
        target.database.find_write(&target.key).is_some_and(|entry| entry.kind() == Kind::SortedSet)
    };
    let first = keys.into_iter().find(is_sorted_set).unwrap_or(0);
    data.reply.integer(first as i64);
    Ok(())
}

pub(super) fn zmpop_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    let request = Request::parse(&plan.args, 1)?;
    plan_pop(plan, 2..2 + request.keys, request.end, Some(request.count))
}

/// Asks every shard for the first of its keys that exists, then has the first of them all popped: as many
/// elements as ZMPOP is asked for, or without a count one, as BZPOPMIN answers it.
fn plan_pop(
    plan: &mut Plan<'_>,
    keys: Range<usize>,
    end: End,
    count: Option<usize>,
) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => {
            for shard in 0..plan.route.shards() {
                let own = keys.clone().filter(|&position| plan.shard_of(position) == shard);
                let words = std::iter::once(0).chain(own).map(|index| plan.args.get(index).to_vec());
                let args: Vec<Vec<u8>> = words.collect();
                if args.len() > 1 {
                    let step = if plan.again { super::STEP_FIRST_SORTED_SET } else { 0 };
                    plan.work.push(Work { shard, step, args, moved: None });
                }
            }
        }
        1 => {
            let first = plan.results.iter().filter_map(|result| {
                let answer = result.integer().filter(|&answer| answer != 0)?;
                let mut own = keys.clone().filter(|&position| plan.shard_of(position) == result.shard);
                let position = own.nth(answer.unsigned_abs() as usize - 1)?;
                Some((position, answer > 0))
            });
            match first.min() {
                None => plan.reply.null_array(),
                Some((_, false)) => return Err(CommandError::WrongType),
                Some((position, true)) => {
                    let word = if end == End::Min { "MIN" } else { "MAX" };
                    let words = [plan.args.get(0), plan.args.get(position), word.as_bytes()];
                    let mut args: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).to_vec();
                    args.extend(count.map(|count| count.to_string().into_bytes()));
                    let shard = plan.shard_of(position);
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
