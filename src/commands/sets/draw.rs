//! SPOP and SRANDMEMBER: members at random.

use std::collections::HashSet;

use super::super::random::{self, Random};
use super::super::{Data, Target};
use super::read::write_all;
use super::write_item;
use crate::error::CommandError;
use crate::keyspace::CollectionMut;
use crate::resp::{Args, Reply, number};
use crate::types::Set;
use crate::types::packed::Item;
use crate::types::set::Limits;

/// When so many times the members that stay are fewer than those that go, the former are moved.
const MOVE_FACTOR: usize = 5;

/// How many members SPOP is to take; `None`: one, by itself.
fn parse_count(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    match args.len() {
        2 => Ok(None),
        3 => {
            let count = number::parse_integer(args.get(2)).and_then(|count| usize::try_from(count).ok());
            count.map(Some).ok_or(CommandError::OutOfRangePositive)
        }
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn spop(data: &mut Data<'_>) -> Result<(), CommandError> {
    let count = parse_count(&data.args)?;
    let limits = data.keyspace.limits.set;
    let Target { database, key, reply, .. } = data.first();
    let mut random = Random::new(database.random_bits());
    let mut below = |bound: usize| random.below(bound);
    match (database.edit::<Set>(&key)?, count) {
        (None, None) => reply.null(),
        (None, Some(_)) | (Some(_), Some(0)) => reply.set(0),
        (Some(mut set), None) => {
            set.change().pop(&mut below, |member| write_item(member, reply));
            set.notify("spop");
        }
        (Some(mut set), Some(count)) => {
            pop_many(&mut set, count, limits, &mut below, reply);
            set.notify("spop");
        }
    }
    Ok(())
}

fn pop_many(
    set: &mut CollectionMut<'_, Set>,
    count: usize,
    limits: Limits,
    below: &mut dyn FnMut(usize) -> usize,
    reply: &mut Reply<'_>,
) {
    let kept = set.len().saturating_sub(count);
    if kept * MOVE_FACTOR > count {
        reply.set(count);
        for _ in 0..count {
            set.change().pop(below, |member| write_item(member, reply));
        }
        return;
    }
    // What is kept moves to another set, and the former goes as a whole.
    let mut rest: Option<Set> = None;
    for _ in 0..kept {
        set.change().pop(below, |member| {
            rest.get_or_insert_with(|| Set::beginning_with(member)).add_item(member, limits);
        });
    }
    write_all(set, reply);
    let popped = std::mem::replace(set.change(), rest.unwrap_or_default());
    set.bury(popped);
}

pub(super) fn srandmember(data: &mut Data<'_>) -> Result<(), CommandError> {
    if data.args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = random::parse_request(&data.args, "")?.map(|(count, _)| count);
    let Target { database, key, reply, .. } = data.first();
    let mut random = Random::new(database.random_bits());
    let mut below = |bound: usize| random.below(bound);
    match (database.find::<Set>(&key)?, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => match set.draw(&mut below) {
            Some(drawn) => write_item(drawn.member, reply),
            None => reply.null(),
        },
        (Some(set), Some(count)) => write_random(set, count, &mut below, reply),
    }
    Ok(())
}

/// Answers `count` different members or as many as there are; below zero so many that may repeat.
fn write_random(set: &Set, count: i64, below: &mut dyn FnMut(usize) -> usize, reply: &mut Reply<'_>) {
    let (length, wanted) = (set.len(), usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    if count < 0 {
        reply.array(wanted);
        for _ in 0..wanted {
            write_drawn(set.draw(below).map(|drawn| drawn.member), reply);
        }
        return;
    }
    reply.array(wanted.min(length));
    if wanted > length / 4 {
        // Each member with the chance that as many are still wanted as are left.
        let (mut left, mut missing) = (length, wanted.min(length));
        set.for_each(|member| {
            if missing > 0 && below(left) < missing {
                write_item(member, reply);
                missing -= 1;
            }
            left -= 1;
        });
        return;
    }
    // Until there are enough different ones; at least three of four are new.
    let mut drawn = HashSet::with_capacity(wanted);
    while drawn.len() < wanted
        && let Some(member) = set.draw(below)
    {
        if drawn.insert(member.id) {
            write_item(member.member, reply);
        }
    }
}

/// A set that is a value has members.
fn write_drawn(member: Option<Item<'_>>, reply: &mut Reply<'_>) {
    match member {
        Some(member) => write_item(member, reply),
        None => reply.null(),
    }
}
