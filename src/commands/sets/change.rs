//! SADD, SREM and SMOVE.
//!
//! Between two shards SMOVE goes in hops, which run under the locks of both keys:
//!
//! ```text
//!   source: has it the member?   ┐  ┌─ source: remove
//!   destination: may it be one?  ┴──┴─ destination: add
//! ```

use super::super::{Data, Target};
use crate::error::CommandError;
use crate::transaction::Plan;
use crate::types::Set;

pub(super) fn sadd(data: &mut Data<'_>) -> Result<(), CommandError> {
    let limits = data.keyspace.limits.set;
    let Target { database, key, args, reply } = data.first();
    let count = args.len() - 2;
    let mut set = database.edit_or_create(&key, || Set::expecting(count, args.get(2), limits))?;
    let added = set.change_some(|set| {
        set.expect(count, limits);
        (2..args.len()).filter(|&index| set.add(args.get(index), limits)).count()
    });
    if added > 0 {
        set.notify("sadd");
    }
    reply.integer(added as i64);
    Ok(())
}

pub(super) fn srem(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let mut removed = 0;
    if let Some(mut set) = database.edit::<Set>(&key)? {
        removed = set.change_some(|set| (2..args.len()).filter(|&index| set.remove(args.get(index))).count());
        if removed > 0 {
            set.notify("srem");
        }
    }
    reply.integer(removed as i64);
    Ok(())
}

/// What SMOVE finds at its source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    NoSet,
    NoMember,
    Member,
}

/// What is under argument 1, the member being argument 3.
fn look_at_source(data: &mut Data<'_>) -> Result<Found, CommandError> {
    let Target { database, key, args, .. } = data.target(1);
    Ok(match database.edit::<Set>(&key)? {
        None => Found::NoSet,
        Some(set) if set.contains(args.get(3)) => Found::Member,
        Some(_) => Found::NoMember,
    })
}

pub(super) fn smove(data: &mut Data<'_>) -> Result<(), CommandError> {
    let found = look_at_source(data)?;
    let same = data.args.get(1) == data.args.get(2);
    if found == Found::NoSet || same {
        data.reply.integer(i64::from(found == Found::Member));
        return Ok(());
    }
    let target = data.target(2);
    target.database.edit::<Set>(&target.key)?;
    if found == Found::NoMember {
        data.reply.integer(0);
        return Ok(());
    }
    remove_from_source(data)?;
    add_to_destination(data)?;
    data.reply.integer(1);
    Ok(())
}

fn remove_from_source(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, .. } = data.target(1);
    if let Some(mut set) = database.edit::<Set>(&key)?
        && set.change_some(|set| usize::from(set.remove(args.get(3)))) > 0
    {
        set.notify("srem");
    }
    Ok(())
}

fn add_to_destination(data: &mut Data<'_>) -> Result<(), CommandError> {
    let limits = data.keyspace.limits.set;
    let Target { database, key, args, .. } = data.target(2);
    let mut set = database.edit_or_create(&key, || Set::expecting(1, args.get(3), limits))?;
    if set.change_some(|set| usize::from(set.add(args.get(3), limits))) > 0 {
        set.notify("sadd");
    }
    Ok(())
}

// The steps of a move between two shards.

/// Answers -1 without a set, 1 if it has the member, else 0.
pub(super) fn check_source(data: &mut Data<'_>) -> Result<(), CommandError> {
    let answer = match look_at_source(data)? {
        Found::NoSet => -1,
        Found::NoMember => 0,
        Found::Member => 1,
    };
    data.reply.integer(answer);
    Ok(())
}

/// An error if the destination has another type.
pub(super) fn check_destination(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(2);
    target.database.edit::<Set>(&target.key)?;
    data.reply.integer(1);
    Ok(())
}

pub(super) fn remove(data: &mut Data<'_>) -> Result<(), CommandError> {
    remove_from_source(data)?;
    data.reply.integer(1);
    Ok(())
}

pub(super) fn add(data: &mut Data<'_>) -> Result<(), CommandError> {
    add_to_destination(data)?;
    data.reply.integer(1);
    Ok(())
}

pub(super) fn smove_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    // What is wrong with the source comes first, then that it is missing.
    if plan.hop == 1 && plan.results.first().and_then(|source| source.integer()) == Some(-1) {
        plan.reply.integer(0);
        return Ok(());
    }
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => {
            plan.push(plan.shard_of(1), 0);
            plan.push(plan.shard_of(2), 1);
        }
        1 => {
            if plan.results.first().and_then(|source| source.integer()) == Some(1) {
                plan.push(plan.shard_of(1), 2);
                plan.push(plan.shard_of(2), 3);
            } else {
                plan.reply.integer(0);
            }
        }
        _ => plan.reply.integer(1),
    }
    Ok(())
}
