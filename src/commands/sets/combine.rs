//! SUNION, SINTER, SDIFF, and what stores or counts their results.
//!
//! ```text
//!   one shard owns all keys     look up, combine, answer or store                 whole
//!   several do                  fetch each set from its shard           hop 1     fetch
//!                               combine at the connection's shard                 plan
//!                               store where the destination lives       hop 2     store_members
//! ```
//!
//! Every input is a [`Source`]. Members go through the inputs in batches, a bit for each of them, so that what
//! they are compared with can be fetched from memory side by side. Nothing is copied on the way: a result
//! goes straight into the reply or into the set that is to be stored.

use std::cell::OnceCell;
use std::collections::HashSet;

use ahash::RandomState;

use super::super::{Command, Data, Run};
use super::flat::Flat;
use super::{set, write_item};
use crate::commands::set_algebra::{Operation, Outcome};
use crate::error::CommandError;
use crate::keyspace::{Key, Keyspace};
use crate::resp::{Args, Reply, number};
use crate::transaction::{Plan, Work};
use crate::types::Set;
use crate::types::packed::Item;
use crate::types::set::{BATCH, Limits, bits, bits_of};

/// Sets that a member of a union is looked up in at most; of more, all members are gathered in a table.
const UNION_LOOKUPS_MAX: usize = 2;

/// A command of this family.
#[derive(Clone, Copy)]
struct Form {
    operation: Operation,
    outcome: Outcome,
}

/// The record of a command: `FORM` is a constant, which the functions close over.
macro_rules! command {
    ($arity:expr, $name:expr, $operation:ident, $outcome:ident) => {{
        const FORM: Form = Form { operation: Operation::$operation, outcome: Outcome::$outcome };
        set(
            $name,
            $arity,
            Run::Hops {
                whole: |data| whole(data, FORM, $name),
                steps: &[fetch, |data| store_members(data, $name)],
                plan: |plan| plan_hop(plan, FORM),
            },
        )
    }};
}

pub(super) const SUNION: Command = command!(-2, "sunion", Union, Answered);
pub(super) const SINTER: Command = command!(-2, "sinter", Intersection, Answered);
pub(super) const SDIFF: Command = command!(-2, "sdiff", Difference, Answered);
pub(super) const SINTERCARD: Command = command!(-3, "sintercard", Intersection, Counted);
pub(super) const SUNIONSTORE: Command = command!(-3, "sunionstore", Union, Stored);
pub(super) const SINTERSTORE: Command = command!(-3, "sinterstore", Intersection, Stored);
pub(super) const SDIFFSTORE: Command = command!(-3, "sdiffstore", Difference, Stored);

/// What a command line asks for.
struct Request {
    /// The arguments that hold the keys to combine.
    keys: std::ops::Range<usize>,
    /// As many are counted at most.
    limit: usize,
}

impl Request {
    fn parse(args: &Args<'_>, form: Form) -> Result<Request, CommandError> {
        match form.outcome {
            Outcome::Answered => Ok(Request { keys: 1..args.len(), limit: usize::MAX }),
            Outcome::Stored => Ok(Request { keys: 2..args.len(), limit: usize::MAX }),
            Outcome::Counted => Request::parse_counted(args),
        }
    }

    fn parse_counted(args: &Args<'_>) -> Result<Request, CommandError> {
        let count = number::parse_integer(args.get(1)).and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|&count| count > 0).ok_or(CommandError::NumkeysNotPositive)?;
        if count > args.len() - 2 {
            return Err(CommandError::NumkeysTooLarge);
        }
        let mut request = Request { keys: 2..2 + count, limit: usize::MAX };
        for index in (2 + count..args.len()).step_by(2) {
            if !args.is(index, "LIMIT") || index + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            let limit =
                number::parse_integer(args.get(index + 1)).and_then(|limit| usize::try_from(limit).ok());
            request.limit = match limit.ok_or(CommandError::LimitNegative)? {
                0 => usize::MAX,
                limit => limit,
            };
        }
        Ok(request)
    }
}

/// One of the sets that are combined.
enum Source<'a> {
    Missing,
    Stored(&'a Set),
    Fetched(Fetched<'a>),
}

/// The members of a set of another shard. They are looked up in a table made when the first one is.
struct Fetched<'a> {
    members: Vec<Item<'a>>,
    table: OnceCell<HashSet<Item<'a>, RandomState>>,
}

/// The same member in the same form, wherever it comes from.
fn canonical(member: Item<'_>) -> Item<'_> {
    match member {
        Item::Bytes(bytes) => number::parse_integer(bytes).map_or(member, Item::Int),
        _ => member,
    }
}

impl<'a> Fetched<'a> {
    fn new(flat: &'a Flat) -> Fetched<'a> {
        let members = flat.iter().map(|bytes| canonical(Item::Bytes(bytes))).collect();
        Fetched { members, table: OnceCell::new() }
    }
}

impl<'a> Source<'a> {
    fn len(&self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Stored(set) => set.len(),
            Source::Fetched(fetched) => fetched.members.len(),
        }
    }

    /// Which members of a batch, of those whose bits are in `among`, are in the set: their bits.
    fn contains_which(&self, members: &[Item<'a>], among: u64) -> u64 {
        match self {
            Source::Missing => 0,
            Source::Stored(set) => set.contains_which(members, among),
            Source::Fetched(Fetched { members: own, table }) => {
                let table = table.get_or_init(|| own.iter().copied().collect());
                let is_there = |index: usize| table.contains(&canonical(members[index]));
                bits(among).filter(|&index| is_there(index)).fold(0, |found, index| found | 1 << index)
            }
        }
    }

    /// Visits all members in batches, until `visit` returns false.
    fn batches(&self, visit: &mut dyn FnMut(&[Item<'a>]) -> bool) {
        match self {
            Source::Missing => {}
            Source::Stored(set) => {
                let set: &'a Set = set;
                set.batches(visit);
            }
            Source::Fetched(fetched) => {
                let _ = fetched.members.chunks(BATCH).all(visit);
            }
        }
    }
}

/// Hands each member of the result to `take`, until it returns false.
fn combine<'a>(operation: Operation, mut sources: Vec<Source<'a>>, take: &mut dyn FnMut(Item<'a>) -> bool) {
    match operation {
        Operation::Difference => {
            if let Some((first, others)) = sources.split_first_mut() {
                // The largest has the best chance to rule a member out.
                others.sort_by_key(|source| std::cmp::Reverse(source.len()));
                without(first, others, take);
            }
        }
        Operation::Intersection => {
            sources.sort_by_key(Source::len);
            if let Some((first, others)) = sources.split_first() {
                intersection(first, others, take);
            }
        }
        Operation::Union => {
            sources.sort_by_key(|source| std::cmp::Reverse(source.len()));
            union(&sources, take);
        }
    }
}

fn intersection<'a>(first: &Source<'a>, others: &[Source<'a>], take: &mut dyn FnMut(Item<'a>) -> bool) {
    first.batches(&mut |members| {
        let common =
            others.iter().fold(bits_of(members.len()), |left, other| other.contains_which(members, left));
        bits(common).all(|index| take(members[index]))
    });
}

/// The members of the first that are in none of the others; whether `take` always returned true.
fn without<'a>(first: &Source<'a>, others: &[Source<'a>], take: &mut dyn FnMut(Item<'a>) -> bool) -> bool {
    let mut goes_on = true;
    first.batches(&mut |members| {
        let left = others.iter().fold(bits_of(members.len()), |left, other| {
            if left == 0 { 0 } else { left & !other.contains_which(members, left) }
        });
        goes_on = bits(left).all(|index| take(members[index]));
        goes_on
    });
    goes_on
}

/// The sources from the largest to the smallest.
fn union<'a>(sources: &[Source<'a>], take: &mut dyn FnMut(Item<'a>) -> bool) {
    if sources.len() <= UNION_LOOKUPS_MAX + 1 {
        // A member is new if no source before has it.
        let _ = (0..sources.len()).all(|index| without(&sources[index], &sources[..index], take));
        return;
    }
    let mut seen: HashSet<Item<'a>, RandomState> = HashSet::default();
    for source in sources {
        source.batches(&mut |members| {
            members.iter().all(|&member| !seen.insert(canonical(member)) || take(member))
        });
    }
}

/// One shard owns all keys.
fn whole(data: &mut Data<'_>, form: Form, name: &'static str) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, form)?;
    for position in request.keys.clone() {
        // Judges the types, and removes what has expired.
        let target = data.target(position);
        target.database.find::<Set>(&target.key)?;
    }
    let Data { keyspace, args, reply, database, .. } = data;
    let keyspace: &mut Keyspace = keyspace;
    let limits = keyspace.limits.set;
    let keys: Vec<Key<'_>> = request.keys.map(|position| keyspace.key(args.get(position))).collect();
    let stored = keyspace.database(*database);
    let sources = keys.iter().map(|key| {
        stored.peek(key).and_then(|entry| entry.collection()).map_or(Source::Missing, Source::Stored)
    });
    let sources = sources.collect();
    if form.outcome != Outcome::Stored {
        answer(form, sources, request.limit, reply);
        return Ok(());
    }
    // Built before it is stored: the destination may be one of the inputs.
    let mut set = Set::new();
    combine(form.operation, sources, &mut |member| {
        set.add_item(member, limits);
        true
    });
    store(data, set, name);
    Ok(())
}

/// Answers the result, or how many members it has.
fn answer(form: Form, sources: Vec<Source<'_>>, limit: usize, reply: &mut Reply<'_>) {
    let mut count = 0;
    if form.outcome == Outcome::Counted {
        combine(form.operation, sources, &mut |_| {
            count += 1;
            count < limit
        });
        return reply.integer(count as i64);
    }
    reply.set_of(|reply| {
        combine(form.operation, sources, &mut |member| {
            count += 1;
            write_item(member, reply);
            true
        });
        count
    });
}

/// Stores a set under argument 1, whatever was there before, and answers its size; `name` is the command's.
fn store(data: &mut Data<'_>, set: Set, name: &'static str) {
    let count = set.len();
    let target = data.target(1);
    target.database.set_collection(&target.key, set, name);
    target.reply.integer(count as i64);
}

/// Hands on the members of the set under argument 1.
fn fetch(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(1);
    let set = target.database.find::<Set>(&target.key)?;
    let members = set.map(Flat::of).unwrap_or_default();
    target.reply.null();
    data.moved = Some(members.into_moved());
    Ok(())
}

/// Stores the members that were handed on under argument 1.
fn store_members(data: &mut Data<'_>, name: &'static str) -> Result<(), CommandError> {
    let members = Flat::of_moved(data.moved.take());
    let limits: Limits = data.keyspace.limits.set;
    let mut set = Set::new();
    members.iter().for_each(|member| {
        set.add(member, limits);
    });
    store(data, set, name);
    Ok(())
}

fn plan_hop(plan: &mut Plan<'_>, form: Form) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    let request = Request::parse(&plan.args, form)?;
    match plan.hop {
        0 => {
            for position in request.keys {
                let args = [0, position].map(|index| plan.args.get(index).to_vec()).to_vec();
                plan.work.push(Work { shard: plan.shard_of(position), step: 0, args, moved: None });
            }
        }
        1 => {
            let fetched = plan.results.iter_mut().map(|result| Flat::of_moved(result.moved.take()));
            let fetched: Vec<Flat> = fetched.collect();
            let sources = fetched.iter().map(|flat| Source::Fetched(Fetched::new(flat))).collect();
            if form.outcome != Outcome::Stored {
                answer(form, sources, request.limit, &mut plan.reply);
                return Ok(());
            }
            let mut members = Flat::default();
            combine(form.operation, sources, &mut |member| {
                members.push(member);
                true
            });
            let args = [0, 1].map(|index| plan.args.get(index).to_vec()).to_vec();
            let moved = Some(members.into_moved());
            plan.work.push(Work { shard: plan.shard_of(1), step: 1, args, moved });
        }
        _ => {
            if let Some(result) = plan.results.first() {
                plan.reply.encoded(&result.reply);
            }
        }
    }
    Ok(())
}
