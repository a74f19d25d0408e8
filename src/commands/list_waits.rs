//! The commands that wait for elements of lists: BLPOP, BRPOP, BLMPOP, BLMOVE and BRPOPLPUSH.
//!
//! Each tries what its counterpart that does not wait does; where that finds nothing, it answers null and
//! asks to be parked (`Data::park`).

use super::list_moves::{
    POP_STEPS, PopMany, check_destination, check_source, end_of, lmove_pop, lmove_push, move_element,
    move_plan, plan_pop, pop_first, rpoplpush_pop, rpoplpush_push,
};
use super::lists::list;
use super::waiting::{plan_waiting, serving_keys, timeout_ms};
use super::{Command, Data, DataFunction, KeySpec, Run, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::Kind;
use crate::resp::Args;
use crate::transaction::{Plan, PlanFunction};
use crate::types::packed::End;

const POPPED: u16 = key_flag::RW | key_flag::ACCESS | key_flag::DELETE;
const POPPED_KEYS: &[KeySpec] = &[KeySpec::range(1, -2, 1, POPPED)];
const MOVED_KEYS: &[KeySpec] = &[KeySpec::one(1, POPPED), KeySpec::one(2, key_flag::RW | key_flag::INSERT)];

const fn waiting(
    name: &'static str,
    arity: i16,
    whole: DataFunction,
    steps: &'static [DataFunction],
    plan: PlanFunction,
) -> Command {
    list(name, arity, Run::Wait { whole, steps, plan })
}

pub const COMMANDS: &[Command] = &[
    waiting("blpop", -3, blpop, POP_STEPS, blpop_plan)
        .since("2.0.0")
        .flags(flag::WRITE | flag::BLOCKING)
        .keys(POPPED_KEYS)
        .docs(
            "Removes the first element of the first list that is not empty, and waits for one if need be.",
            "O(N), N being the number of keys.",
            "key [key ...] timeout",
        ),
    waiting("brpop", -3, brpop, POP_STEPS, brpop_plan)
        .since("2.0.0")
        .flags(flag::WRITE | flag::BLOCKING)
        .keys(POPPED_KEYS)
        .docs(
            "Removes the last element of the first list that is not empty, and waits for one if need be.",
            "O(N), N being the number of keys.",
            "key [key ...] timeout",
        ),
    waiting("blmpop", -5, blmpop, POP_STEPS, blmpop_plan)
        .since("7.0.0")
        .flags(flag::WRITE | flag::BLOCKING)
        .keys(&[KeySpec::counted(2, POPPED)])
        .docs(
            "Removes elements of the first list that is not empty, and waits for one if need be.",
            "O(N+M), N being the number of keys and M the number of elements returned.",
            "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        ),
    waiting("blmove", 6, blmove, &[check_source, check_destination, lmove_pop, lmove_push], blmove_plan)
        .since("6.2.0")
        .flags(flag::WRITE | flag::DENYOOM | flag::BLOCKING)
        .keys(MOVED_KEYS)
        .docs(
            "Moves an element from one list to another, and waits for one if need be.",
            "O(1)",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        ),
    waiting(
        "brpoplpush",
        4,
        brpoplpush,
        &[check_source, check_destination, rpoplpush_pop, rpoplpush_push],
        brpoplpush_plan,
    )
    .since("2.2.0")
    .flags(flag::WRITE | flag::DENYOOM | flag::BLOCKING)
    .keys(MOVED_KEYS)
    .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")
    .docs(
        "Moves the last element of a list to the beginning of another, and waits for one if need be.",
        "O(1)",
        "source destination timeout",
    ),
];

fn pop_or_wait(data: &mut Data<'_>, end: End) -> Result<(), CommandError> {
    let last = data.args.len() - 1;
    let timeout_ms = timeout_ms(&data.args, last)?;
    let keys = serving_keys(data, 1..last, Kind::List);
    if !pop_first(data, keys, end, None)? {
        data.reply.null_array();
        data.park = Some(timeout_ms);
    }
    Ok(())
}

fn blpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop_or_wait(data, End::Front)
}

fn brpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop_or_wait(data, End::Back)
}

fn blmpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    let PopMany { keys, end, count } = PopMany::parse(&data.args, 2)?;
    let timeout_ms = timeout_ms(&data.args, 1)?;
    let keys = serving_keys(data, keys, Kind::List);
    if !pop_first(data, keys, end, Some(count))? {
        data.reply.null_array();
        data.park = Some(timeout_ms);
    }
    Ok(())
}

fn move_or_wait(data: &mut Data<'_>, from: End, to: End, timeout: usize) -> Result<(), CommandError> {
    let timeout_ms = timeout_ms(&data.args, timeout)?;
    let ready = !serving_keys(data, 1..2, Kind::List).is_empty();
    if !ready || !move_element(data, from, to)? {
        data.reply.null();
        data.park = Some(timeout_ms);
    }
    Ok(())
}

fn blmove(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (from, to) = (end_of(&data.args, 3)?, end_of(&data.args, 4)?);
    move_or_wait(data, from, to, 5)
}

fn brpoplpush(data: &mut Data<'_>) -> Result<(), CommandError> {
    move_or_wait(data, End::Back, End::Front, 3)
}

/// What BLPOP and BRPOP pop: one element, which is answered alone.
fn pop_one_of(args: &Args<'_>, end: End) -> PopMany {
    PopMany { keys: 1..args.len() - 1, end, count: 1 }
}

fn blpop_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    let timeout_ms = timeout_ms(&plan.args, plan.args.len() - 1)?;
    plan_waiting(plan, timeout_ms, |plan| plan_pop(plan, pop_one_of(&plan.args, End::Front), true))
}

fn brpop_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    let timeout_ms = timeout_ms(&plan.args, plan.args.len() - 1)?;
    plan_waiting(plan, timeout_ms, |plan| plan_pop(plan, pop_one_of(&plan.args, End::Back), true))
}

fn blmpop_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    PopMany::parse(&plan.args, 2)?;
    let timeout_ms = timeout_ms(&plan.args, 1)?;
    plan_waiting(plan, timeout_ms, |plan| {
        let request = PopMany::parse(&plan.args, 2)?;
        plan_pop(plan, request, false)
    })
}

fn blmove_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    end_of(&plan.args, 3)?;
    end_of(&plan.args, 4)?;
    let timeout_ms = timeout_ms(&plan.args, 5)?;
    plan_waiting(plan, timeout_ms, move_plan)
}

fn brpoplpush_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    let timeout_ms = timeout_ms(&plan.args, 3)?;
    plan_waiting(plan, timeout_ms, move_plan)
}
