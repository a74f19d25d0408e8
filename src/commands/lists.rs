//! The commands on one list. Those on several are in `list_moves`.

use super::{Command, Data, DataFunction, Group, KeySpec, Run, Target, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::CollectionMut;
use crate::resp::{Args, Reply};
use crate::types::List;
use crate::types::list::ELEMENT_BYTES_MAX;
use crate::types::packed::{End, Item, Limit, Wanted};

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const GROWING_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::INSERT)];
const SHRINKING_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::DELETE)];
const POPPED_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::DELETE)];
const GROW: u32 = flag::WRITE | flag::DENYOOM;

pub(super) const fn list(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::List).categories(category::LIST)
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    list(name, arity, Run::OneShard(function))
}

pub const COMMANDS: &[Command] = &[
    one("lpush", -3, lpush).flags(GROW | flag::FAST).keys(GROWING_KEY).docs(
        "Puts elements at the beginning of a list, which is created if it does not exist.",
        "O(1) for each element.",
        "key element [element ...]",
    ),
    one("rpush", -3, rpush).flags(GROW | flag::FAST).keys(GROWING_KEY).docs(
        "Puts elements at the end of a list, which is created if it does not exist.",
        "O(1) for each element.",
        "key element [element ...]",
    ),
    one("lpushx", -3, lpushx).since("2.2.0").flags(GROW | flag::FAST).keys(GROWING_KEY).docs(
        "Puts elements at the beginning of a list, if it exists.",
        "O(1) for each element.",
        "key element [element ...]",
    ),
    one("rpushx", -3, rpushx).since("2.2.0").flags(GROW | flag::FAST).keys(GROWING_KEY).docs(
        "Puts elements at the end of a list, if it exists.",
        "O(1) for each element.",
        "key element [element ...]",
    ),
    one("lpop", -2, lpop).flags(flag::WRITE | flag::FAST).keys(POPPED_KEY).docs(
        "Removes elements at the beginning of a list and returns them.",
        "O(N), N being the number of elements returned.",
        "key [count]",
    ),
    one("rpop", -2, rpop).flags(flag::WRITE | flag::FAST).keys(POPPED_KEY).docs(
        "Removes elements at the end of a list and returns them.",
        "O(N), N being the number of elements returned.",
        "key [count]",
    ),
    one("llen", 2, llen).flags(flag::READONLY | flag::FAST).keys(&[KeySpec::one(1, key_flag::RO)]).docs(
        "Returns the length of a list.",
        "O(1)",
        "key",
    ),
    one("lindex", 3, lindex).flags(flag::READONLY).keys(READ_KEY).docs(
        "Returns the element of a list with this index.",
        "O(N), N being the length of the list, in steps of thousands of elements.",
        "key index",
    ),
    one("lset", 4, lset).flags(GROW).keys(&[KeySpec::one(1, key_flag::RW | key_flag::UPDATE)]).docs(
        "Sets the element of a list with this index.",
        "O(N), N being the length of the list, in steps of thousands of elements.",
        "key index element",
    ),
    one("linsert", 5, linsert).since("2.2.0").flags(GROW).keys(GROWING_KEY).docs(
        "Inserts an element before or after another one.",
        "O(N), N being the number of elements before the other one.",
        "key <BEFORE | AFTER> pivot element",
    ),
    one("lrange", 4, lrange).flags(flag::READONLY).keys(READ_KEY).docs(
        "Returns the elements of a list from one index to another.",
        "O(N), N being the number of elements returned.",
        "key start stop",
    ),
    one("lrem", 4, lrem).flags(flag::WRITE).keys(SHRINKING_KEY).docs(
        "Removes elements of a list that are equal to a value.",
        "O(N), N being the length of the list.",
        "key count element",
    ),
    one("ltrim", 4, ltrim).flags(flag::WRITE).keys(SHRINKING_KEY).docs(
        "Removes the elements of a list outside of a range.",
        "O(1); many elements are freed in steps afterwards.",
        "key start stop",
    ),
    one("lpos", -3, lpos).since("6.0.6").flags(flag::READONLY).keys(READ_KEY).docs(
        "Returns at which indexes a list has elements that are equal to a value.",
        "O(N), N being the number of elements compared.",
        "key element [RANK rank(integer)] [COUNT num-matches(integer)] [MAXLEN len(integer)]",
    ),
];

pub(in crate::commands) fn write_item(item: Item<'_>, reply: &mut Reply<'_>) {
    match item {
        Item::Int(number) => reply.bulk_integer(number),
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Joined(prefix, rest) => reply.bulk_joined(prefix, rest),
    }
}

/// The elements from argument `index` on can be stored.
fn check_elements(args: &Args<'_>, index: usize) -> Result<(), CommandError> {
    let fit = (index..args.len()).all(|index| args.get(index).len() <= ELEMENT_BYTES_MAX);
    if fit { Ok(()) } else { Err(CommandError::ElementTooLarge) }
}

fn push_all(list: &mut CollectionMut<'_, List>, end: End, args: &Args<'_>, limit: Limit) -> i64 {
    let list = list.change();
    (2..args.len()).for_each(|index| list.push(end, args.get(index), limit));
    list.len() as i64
}

fn push(data: &mut Data<'_>, end: End) -> Result<(), CommandError> {
    check_elements(&data.args, 2)?;
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.first();
    let mut list = database.edit_or_create(&key, List::new)?;
    reply.integer(push_all(&mut list, end, args, limit));
    list.notify(push_event(end));
    Ok(())
}

fn lpush(data: &mut Data<'_>) -> Result<(), CommandError> {
    push(data, End::Front)
}

fn rpush(data: &mut Data<'_>) -> Result<(), CommandError> {
    push(data, End::Back)
}

fn push_if_present(data: &mut Data<'_>, end: End) -> Result<(), CommandError> {
    check_elements(&data.args, 2)?;
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.first();
    let length = match database.edit::<List>(&key)? {
        Some(mut list) => {
            list.notify(push_event(end));
            push_all(&mut list, end, args, limit)
        }
        None => 0,
    };
    reply.integer(length);
    Ok(())
}

fn lpushx(data: &mut Data<'_>) -> Result<(), CommandError> {
    push_if_present(data, End::Front)
}

fn rpushx(data: &mut Data<'_>) -> Result<(), CommandError> {
    push_if_present(data, End::Back)
}

/// The event of a pop.
pub(super) fn pop_event(end: End) -> &'static str {
    if end == End::Front { "lpop" } else { "rpop" }
}

/// The event of a push.
pub(super) fn push_event(end: End) -> &'static str {
    if end == End::Front { "lpush" } else { "rpush" }
}

/// Removes the element at an end, having answered it.
pub(super) fn pop_one(list: &mut CollectionMut<'_, List>, end: End, limit: Limit, reply: &mut Reply<'_>) {
    if let Some(item) = list.peek(end) {
        write_item(item, reply);
    }
    list.change().pop(end, limit);
    list.notify(pop_event(end));
}

/// Removes up to `count` elements at an end, having answered them in an array.
pub(super) fn pop_some(
    list: &mut CollectionMut<'_, List>,
    end: End,
    count: usize,
    limit: Limit,
    reply: &mut Reply<'_>,
) {
    let count = count.min(list.len());
    reply.array(count);
    match end {
        End::Front => list.iter().take(count).for_each(|item| write_item(item, reply)),
        End::Back => list.iter_back_from(list.len()).take(count).for_each(|item| write_item(item, reply)),
    }
    if count > 0 {
        let popped = list.change().cut(end, count, limit);
        list.notify(pop_event(end));
        list.bury(popped);
    }
}

fn pop(data: &mut Data<'_>, end: End, name: &'static str) -> Result<(), CommandError> {
    let count = match data.args.len() {
        2 => None,
        3 => {
            let count = data.args.integer(2).ok().and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(CommandError::OutOfRangePositive)?)
        }
        _ => return Err(CommandError::Arity(name.into())),
    };
    let limit = data.keyspace.limits.list;
    let Target { database, key, reply, .. } = data.first();
    match (database.edit::<List>(&key)?, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.null_array(),
        (Some(mut list), None) => pop_one(&mut list, end, limit, reply),
        (Some(mut list), Some(count)) => pop_some(&mut list, end, count, limit, reply),
    }
    Ok(())
}

fn lpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop(data, End::Front, "lpop")
}

fn rpop(data: &mut Data<'_>) -> Result<(), CommandError> {
    pop(data, End::Back, "rpop")
}

fn llen(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    reply.integer(database.find::<List>(&key)?.map_or(0, List::len) as i64);
    Ok(())
}

/// The index that counts from the end if it is below zero; none before the first element.
fn index_of(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(length as i64)? } else { index };
    usize::try_from(index).ok()
}

fn lindex(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let Some(list) = database.find::<List>(&key)? else {
        reply.null();
        return Ok(());
    };
    match index_of(args.integer(2)?, list.len()).and_then(|index| list.get(index)) {
        Some(item) => write_item(item, reply),
        None => reply.null(),
    }
    Ok(())
}

fn lset(data: &mut Data<'_>) -> Result<(), CommandError> {
    check_elements(&data.args, 3)?;
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.first();
    let mut list = database.edit::<List>(&key)?.ok_or(CommandError::NoSuchKey)?;
    let index = index_of(args.integer(2)?, list.len()).filter(|&index| index < list.len());
    let index = index.ok_or(CommandError::IndexOutOfRange)?;
    list.change().set(index, args.get(3), limit);
    list.notify("lset");
    reply.ok();
    Ok(())
}

fn linsert(data: &mut Data<'_>) -> Result<(), CommandError> {
    let after = if data.args.is(2, "AFTER") {
        true
    } else if data.args.is(2, "BEFORE") {
        false
    } else {
        return Err(CommandError::Syntax);
    };
    check_elements(&data.args, 4)?;
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.first();
    let Some(mut list) = database.edit::<List>(&key)? else {
        reply.integer(0);
        return Ok(());
    };
    let pivot = Wanted::new(args.get(3));
    let Some(index) = list.iter().position(|item| pivot.is(&item)) else {
        reply.integer(-1);
        return Ok(());
    };
    list.change().insert(index + usize::from(after), args.get(4), limit);
    list.notify("linsert");
    reply.integer(list.len() as i64);
    Ok(())
}

/// Index and number of the elements from `start` to `stop`, each counted from the end if below zero.
fn range_of(start: i64, stop: i64, length: usize) -> (usize, usize) {
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(length - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start) as usize + 1) }
}

fn lrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (start, stop) = (data.args.integer(2)?, data.args.integer(3)?);
    let Target { database, key, reply, .. } = data.first();
    let Some(list) = database.find::<List>(&key)? else {
        reply.array(0);
        return Ok(());
    };
    let (first, count) = range_of(start, stop, list.len());
    reply.array(count);
    list.iter_from(first).take(count).for_each(|item| write_item(item, reply));
    Ok(())
}

fn lrem(data: &mut Data<'_>) -> Result<(), CommandError> {
    let count = data.args.integer(2)?;
    let limit = data.keyspace.limits.list;
    let Target { database, key, args, reply } = data.first();
    let removed = match database.edit::<List>(&key)? {
        Some(mut list) => {
            let end = if count < 0 { End::Back } else { End::Front };
            let count_max = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
            let wanted = Wanted::new(args.get(3));
            let removed = list.change_some(|list| list.remove(end, count_max, &wanted, limit));
            if removed > 0 {
                list.notify("lrem");
            }
            removed
        }
        None => 0,
    };
    reply.integer(removed as i64);
    Ok(())
}

fn ltrim(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (start, stop) = (data.args.integer(2)?, data.args.integer(3)?);
    let limit = data.keyspace.limits.list;
    let Target { database, key, reply, .. } = data.first();
    if let Some(mut list) = database.edit::<List>(&key)? {
        let length = list.len();
        let (first, count) = range_of(start, stop, length);
        let behind = length - first - count;
        // Who watches the key is told even if nothing is removed, as in Redis.
        for (end, count) in [(End::Back, behind), (End::Front, first)] {
            let cut = list.change().cut(end, count, limit);
            list.bury(cut);
        }
        list.notify("ltrim");
    }
    reply.ok();
    Ok(())
}

/// What LPOS looks for.
struct Search {
    /// How many matches are passed over.
    skip: u64,
    from: End,
    /// How many are answered at most, in an array; none: the first, by itself.
    count: Option<usize>,
    /// How many elements are compared at most.
    compared_max: usize,
}

impl Search {
    fn parse(args: &Args<'_>) -> Result<Search, CommandError> {
        let mut search = Search { skip: 0, from: End::Front, count: None, compared_max: usize::MAX };
        for index in (3..args.len()).step_by(2) {
            if index + 1 == args.len() {
                return Err(CommandError::Syntax);
            } else if args.is(index, "RANK") {
                let rank = args.integer(index + 1)?;
                (search.skip, search.from) = Search::parse_rank(rank)?;
            } else if args.is(index, "COUNT") {
                let count = Search::parse_count(args, index + 1, "ERR COUNT can't be negative")?;
                search.count = Some(if count == 0 { usize::MAX } else { count });
            } else if args.is(index, "MAXLEN") {
                let length = Search::parse_count(args, index + 1, "ERR MAXLEN can't be negative")?;
                search.compared_max = if length == 0 { usize::MAX } else { length };
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(search)
    }

    /// How many matches are passed over, and from which end on.
    fn parse_rank(rank: i64) -> Result<(u64, End), CommandError> {
        match rank {
            0 => Err(CommandError::text(
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                 negative to start from the end of the list",
            )),
            i64::MIN => Err(CommandError::text(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            )),
            1.. => Ok((rank as u64 - 1, End::Front)),
            _ => Ok((rank.unsigned_abs() - 1, End::Back)),
        }
    }

    fn parse_count(args: &Args<'_>, index: usize, error: &'static str) -> Result<usize, CommandError> {
        let count = args.integer(index).ok().and_then(|count| usize::try_from(count).ok());
        count.ok_or(CommandError::text(error))
    }

    /// Calls `found` with the indexes of the matches.
    fn run(&self, list: &List, wanted: &Wanted<'_>, found: impl FnMut(usize)) {
        let length = list.len();
        let matches = |(index, item): (usize, Item<'_>)| wanted.is(&item).then_some(index);
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let (compared, count) = (self.compared_max, self.count.unwrap_or(1));
        match self.from {
            End::Front => {
                let items = list.iter().take(compared).enumerate();
                items.filter_map(matches).skip(skip).take(count).for_each(found);
            }
            End::Back => {
                let items = list.iter_back_from(length).take(compared).enumerate();
                let items = items.map(|(nth, item)| (length - 1 - nth, item));
                items.filter_map(matches).skip(skip).take(count).for_each(found);
            }
        }
    }
}

fn lpos(data: &mut Data<'_>) -> Result<(), CommandError> {
    let search = Search::parse(&data.args)?;
    let Target { database, key, args, reply } = data.first();
    let list = database.find::<List>(&key)?;
    let wanted = Wanted::new(args.get(2));
    if search.count.is_some() {
        reply.array_of(|reply| {
            let mut count = 0;
            if let Some(list) = list {
                search.run(list, &wanted, |index| {
                    reply.integer(index as i64);
                    count += 1;
                });
            }
            count
        });
        return Ok(());
    }
    let mut first = None;
    if let Some(list) = list {
        search.run(list, &wanted, |index| first = Some(index));
    }
    match first {
        Some(index) => reply.integer(index as i64),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
