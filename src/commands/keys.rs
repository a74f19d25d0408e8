//! Commands on keys of any type.

use super::{Command, Data, DataFunction, KeySpec, Merge, Run, Split, category, flag, hashed_key, key_flag};
use crate::error::CommandError;
use crate::keyspace::{EventClasses, StringRef};
use crate::resp::Args;
use crate::transaction::Plan;

const READ_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, key_flag::RO)];
const DELETE_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, key_flag::RM | key_flag::DELETE)];
const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const RANDOM: &[&str] = &["nondeterministic_output"];
const TAKEN: u16 = key_flag::RW | key_flag::ACCESS | key_flag::DELETE;

const fn key_command(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).categories(category::KEYSPACE)
}

/// A command that counts something over its keys.
const fn counting(name: &'static str, part: DataFunction) -> Command {
    key_command(name, -2, Run::EachShard { part, split: Split::Keys { stride: 1 }, merge: Merge::Sum })
        .tips(SUM_OF_SHARDS)
}

pub const COMMANDS: &[Command] = &[
    counting("del", del).flags(flag::WRITE).keys(DELETE_KEYS).docs(
        "Deletes keys.",
        "O(N), N being the number of keys; large values are freed in steps afterwards.",
        "key [key ...]",
    ),
    counting("unlink", unlink).since("4.0.0").flags(flag::WRITE | flag::FAST).keys(DELETE_KEYS).docs(
        "Deletes keys and frees their values afterwards.",
        "O(1) for each key; the values are freed in steps afterwards.",
        "key [key ...]",
    ),
    counting("exists", exists).flags(flag::READONLY | flag::FAST).keys(READ_KEYS).docs(
        "Returns how many of the keys exist.",
        "O(N), N being the number of keys.",
        "key [key ...]",
    ),
    counting("touch", touch).since("3.2.1").flags(flag::READONLY | flag::FAST).keys(READ_KEYS).docs(
        "Counts the existing keys and has them count as accessed now.",
        "O(N), N being the number of keys.",
        "key [key ...]",
    ),
    key_command("type", 2, Run::OneShard(type_of))
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RO)])
        .docs("Returns the type of the value of a key.", "O(1)", "key"),
    key_command("randomkey", 1, Run::Hops { whole: randomkey, steps: &[draw], plan: randomkey_plan })
        .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"])
        .docs("Returns a key chosen at random.", "O(1)", ""),
    key_command(
        "rename",
        3,
        Run::Hops { whole: rename, steps: &[take_source, insert_destination], plan: rename_plan },
    )
    .flags(flag::WRITE)
    .keys(&[KeySpec::one(1, TAKEN), KeySpec::one(2, key_flag::OW | key_flag::UPDATE)])
    .docs(
        "Renames a key, replacing the destination.",
        "O(1); a replaced large value is freed in steps.",
        "key newkey",
    ),
    key_command(
        "renamenx",
        3,
        Run::Hops {
            whole: renamenx,
            steps: &[source_exists, destination_exists, take_source, insert_destination],
            plan: renamenx_plan,
        },
    )
    .flags(flag::WRITE | flag::FAST)
    .keys(&[KeySpec::one(1, TAKEN), KeySpec::one(2, key_flag::OW | key_flag::INSERT)])
    .docs("Renames a key, if the destination does not exist.", "O(1)", "key newkey"),
    key_command(
        "copy",
        -3,
        Run::Hops { whole: copy, steps: &[copy_source, copy_destination], plan: copy_plan },
    )
    .since("6.2.0")
    .flags(flag::WRITE | flag::DENYOOM)
    .keys(&[
        KeySpec::one(1, key_flag::RO | key_flag::ACCESS),
        KeySpec::one(2, key_flag::OW | key_flag::UPDATE),
    ])
    .docs(
        "Copies the value of a key to another key, perhaps of another database.",
        "O(N), N being the number of elements; O(1) for strings.",
        "source destination [DB destination-db] [REPLACE]",
    ),
    key_command("move", 3, Run::OneShard(move_key))
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::UPDATE)])
        .docs("Moves a key to another database, if it does not exist there.", "O(1)", "key db"),
    Command::container("object", OBJECT).since("2.2.3").docs(
        "Holds the commands that look at how a value is stored.",
        "Depends on the subcommand.",
        "",
    ),
];

const OBJECT_KEY: &[KeySpec] = &[KeySpec::one(2, key_flag::RO)];

const fn object(name: &'static str, function: DataFunction) -> Command {
    key_command(name, 3, Run::OneShard(function))
        .since("2.2.3")
        .flags(flag::READONLY)
        .keys(OBJECT_KEY)
        .tips(RANDOM)
}

const OBJECT: &[Command] = &[
    object("object|encoding", object_encoding).docs(
        "Returns how the value of a key is stored.",
        "O(1)",
        "key",
    ),
    object("object|freq", object_freq).since("4.0.0").docs(
        "Returns the logarithmic access frequency of a key.",
        "O(1)",
        "key",
    ),
    object("object|idletime", object_idletime).docs(
        "Returns for how many seconds a key has not been accessed.",
        "O(1)",
        "key",
    ),
    object("object|refcount", object_refcount).docs(
        "Returns the number of references to the value of a key.",
        "O(1)",
        "key",
    ),
    key_command("object|help", 2, Run::OneShard(object_help))
        .since("6.2.0")
        .flags(flag::LOADING | flag::STALE)
        .docs("Returns a text about the subcommands.", "O(1)", ""),
];

/// Counts the keys for which `count` says so.
#[inline]
fn count_keys(
    data: &mut Data<'_>,
    count: impl Fn(&mut crate::keyspace::Database, &crate::keyspace::Key<'_>) -> bool,
) -> Result<(), CommandError> {
    let first = data.first();
    let mut total = count(first.database, &first.key) as i64;
    for index in 2..data.args.len() {
        let target = data.target(index);
        total += count(target.database, &target.key) as i64;
    }
    data.reply.integer(total);
    Ok(())
}

fn del(data: &mut Data<'_>) -> Result<(), CommandError> {
    count_keys(data, |database, key| database.remove(key))
}

fn unlink(data: &mut Data<'_>) -> Result<(), CommandError> {
    count_keys(data, |database, key| database.unlink(key))
}

fn exists(data: &mut Data<'_>) -> Result<(), CommandError> {
    count_keys(data, |database, key| database.find_untouched(key).is_some())
}

fn touch(data: &mut Data<'_>) -> Result<(), CommandError> {
    count_keys(data, |database, key| database.find_read(key).is_some())
}

fn type_of(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let entry = target.database.find_untouched(&target.key);
    target.reply.status(entry.map_or("none", |entry| entry.kind().name()));
    Ok(())
}

fn randomkey(data: &mut Data<'_>) -> Result<(), CommandError> {
    match data.keyspace.database(data.database).random() {
        Some(entry) => data.reply.bulk(entry.key()),
        None => data.reply.null(),
    }
    Ok(())
}

/// Of one shard: how many keys it has, a random number, and a key chosen at random; nothing without keys.
fn draw(data: &mut Data<'_>) -> Result<(), CommandError> {
    let database = data.keyspace.database(data.database);
    let mut drawn = Vec::new();
    drawn.extend_from_slice(&(database.len() as u64).to_le_bytes());
    drawn.extend_from_slice(&database.random_bits().to_le_bytes());
    match database.random() {
        Some(entry) => drawn.extend_from_slice(entry.key()),
        None => drawn.clear(),
    }
    data.reply.bulk(&drawn);
    Ok(())
}

/// Chooses among the keys that the shards have drawn, each with the weight of its shard's size.
fn randomkey_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.hop == 0 {
        (0..plan.route.shards()).for_each(|shard| plan.push(shard, 0));
        return Ok(());
    }
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let drawn: Vec<&[u8]> =
        plan.results.iter().filter_map(|result| result.bulk()).filter(|bytes| bytes.len() >= 16).collect();
    let total: u64 = drawn.iter().map(|bytes| number(&bytes[..8])).sum();
    if total == 0 {
        plan.reply.null();
        return Ok(());
    }
    // Shards may draw the same numbers: turned before they meet, they do not cancel out.
    let mut left =
        drawn.iter().fold(0u64, |bits, bytes| bits.rotate_left(23) ^ number(&bytes[8..16])) % total;
    for bytes in drawn {
        let weight = number(&bytes[..8]);
        if left < weight {
            plan.reply.bulk(&bytes[16..]);
            return Ok(());
        }
        left -= weight;
    }
    Ok(())
}

fn rename(data: &mut Data<'_>) -> Result<(), CommandError> {
    let source = data.first();
    let same = source.args.get(1) == source.args.get(2);
    if same {
        source.database.find_write(&source.key).ok_or(CommandError::NoSuchKey)?;
    } else {
        let moved = source.database.take(&source.key).ok_or(CommandError::NoSuchKey)?;
        let destination = data.target(2);
        destination.database.insert(&destination.key, moved);
        let source = data.first();
        source.database.notify(EventClasses::GENERIC, "rename_from", &source.key);
        let destination = data.target(2);
        destination.database.notify(EventClasses::GENERIC, "rename_to", &destination.key);
    }
    data.reply.ok();
    Ok(())
}

fn renamenx(data: &mut Data<'_>) -> Result<(), CommandError> {
    let source = data.first();
    source.database.find_write(&source.key).ok_or(CommandError::NoSuchKey)?;
    let destination = data.target(2);
    let free = destination.database.find_write(&destination.key).is_none();
    if free {
        rename(data)?;
        data.reply.truncate(data.reply.mark() - b"+OK\r\n".len());
    }
    data.reply.integer(free as i64);
    Ok(())
}

/// Answers whether argument `index` is a key that exists.
fn answer_exists(data: &mut Data<'_>, index: usize) -> Result<(), CommandError> {
    let target = data.target(index);
    let exists = target.database.find_write(&target.key).is_some();
    target.reply.integer(exists as i64);
    Ok(())
}

fn source_exists(data: &mut Data<'_>) -> Result<(), CommandError> {
    answer_exists(data, 1)
}

fn destination_exists(data: &mut Data<'_>) -> Result<(), CommandError> {
    answer_exists(data, 2)
}

/// Takes the source out, to be handed on.
fn take_source(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(1);
    let moved = target.database.take(&target.key).ok_or(CommandError::NoSuchKey)?;
    target.database.notify(EventClasses::GENERIC, "rename_from", &target.key);
    data.moved = Some(moved);
    data.reply.integer(1);
    Ok(())
}

/// Puts what was taken under the destination.
fn insert_destination(data: &mut Data<'_>) -> Result<(), CommandError> {
    if let Some(moved) = data.moved.take() {
        let target = data.target(2);
        target.database.insert(&target.key, moved);
        target.database.notify(EventClasses::GENERIC, "rename_to", &target.key);
    }
    data.reply.integer(1);
    Ok(())
}

/// Sends what the last hop took on to the shard of the destination.
fn push_moved(plan: &mut Plan<'_>, step: usize) {
    let moved = plan.results.iter_mut().find_map(|result| result.moved.take());
    plan.push(plan.shard_of(2), step);
    if let Some(work) = plan.work.last_mut() {
        work.moved = moved;
    }
}

fn rename_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => plan.push(plan.shard_of(1), 0),
        1 => push_moved(plan, 1),
        _ => plan.reply.ok(),
    }
    Ok(())
}

fn renamenx_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => {
            plan.push(plan.shard_of(1), 0);
            plan.push(plan.shard_of(2), 1);
        }
        1 => match (plan.results[0].integer(), plan.results[1].integer()) {
            (Some(1), Some(0)) => plan.push(plan.shard_of(1), 2),
            (Some(1), _) => plan.reply.integer(0),
            _ => return Err(CommandError::NoSuchKey),
        },
        2 => push_moved(plan, 3),
        _ => plan.reply.integer(1),
    }
    Ok(())
}

/// The index of a database in argument `index`.
fn database_of(args: &Args<'_>, index: usize, count: usize) -> Result<usize, CommandError> {
    let number = i32::try_from(args.integer(index)?).map_err(|_| {
        CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    usize::try_from(number).ok().filter(|&number| number < count).ok_or(CommandError::DatabaseOutOfRange)
}

/// Where COPY copies to.
struct CopyTo {
    database: usize,
    replace: bool,
}

impl CopyTo {
    fn parse(data: &Data<'_>) -> Result<CopyTo, CommandError> {
        let args = &data.args;
        let mut to = CopyTo { database: data.database, replace: false };
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "REPLACE") {
                to.replace = true;
            } else if args.is(index, "DB") && index + 1 < args.len() {
                index += 1;
                to.database = database_of(args, index, data.keyspace.database_count())?;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if to.database == data.database && args.get(1) == args.get(2) {
            return Err(CommandError::SameObject);
        }
        Ok(to)
    }
}

fn copy(data: &mut Data<'_>) -> Result<(), CommandError> {
    copy_source(data)?;
    if data.moved.is_some() {
        data.reply.truncate(data.reply.mark() - b":1\r\n".len());
        copy_destination(data)?;
    }
    Ok(())
}

/// Copies the value of the source, to be handed on; 0 if there is none.
fn copy_source(data: &mut Data<'_>) -> Result<(), CommandError> {
    CopyTo::parse(data)?;
    let target = data.target(1);
    let exists = target.database.find_read(&target.key).is_some();
    let moved = if exists { target.database.copy_value(&target.key) } else { None };
    data.reply.integer(moved.is_some() as i64);
    data.moved = moved;
    Ok(())
}

/// Puts the copy under the destination, if that is free or to be replaced.
fn copy_destination(data: &mut Data<'_>) -> Result<(), CommandError> {
    let to = CopyTo::parse(data)?;
    let moved = data.moved.take();
    let key = data.keyspace.key(data.args.get(2));
    let database = data.keyspace.database(to.database);
    let free = to.replace || database.find_write(&key).is_none();
    let copied = match moved {
        Some(moved) if free => {
            database.insert(&key, moved);
            database.notify(EventClasses::GENERIC, "copy_to", &key);
            true
        }
        _ => false,
    };
    data.reply.integer(copied as i64);
    Ok(())
}

fn copy_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    let copied = plan.results.first().and_then(|result| result.integer());
    match plan.hop {
        0 => plan.push(plan.shard_of(1), 0),
        1 if copied == Some(1) => push_moved(plan, 1),
        _ => plan.reply.integer(copied.unwrap_or(0)),
    }
    Ok(())
}

fn move_key(data: &mut Data<'_>) -> Result<(), CommandError> {
    let to = database_of(&data.args, 2, data.keyspace.database_count())?;
    if to == data.database {
        return Err(CommandError::SameObject);
    }
    let key_slot = data.key_slot;
    let Data { keyspace, args, reply, database, key_hash, .. } = data;
    let key = hashed_key(keyspace, args.get(1), *key_hash, key_slot);
    let found = keyspace.database(*database).find_write(&key).is_some();
    let free = keyspace.database(to).find_write(&key).is_none();
    let moved = if found && free { keyspace.database(*database).take(&key) } else { None };
    reply.integer(moved.is_some() as i64);
    if let Some(moved) = moved {
        keyspace.database(to).insert(&key, moved);
        keyspace.database(*database).notify(EventClasses::GENERIC, "move_from", &key);
        keyspace.database(to).notify(EventClasses::GENERIC, "move_to", &key);
    }
    Ok(())
}

fn object_encoding(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(2);
    match target.database.find_untold(&target.key) {
        Some(entry) => target.reply.bulk(entry.encoding().name().as_bytes()),
        None => target.reply.null(),
    }
    Ok(())
}

/// What REFCOUNT answers of the integers that Redis shares among all keys; clients know them by it.
const SHARED_REFERENCES: i64 = i32::MAX as i64;
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

fn object_refcount(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(2);
    match target.database.find_untold(&target.key).map(|entry| entry.string()) {
        Some(Some(StringRef::Int(number))) if SHARED_INTEGERS.contains(&number) => {
            target.reply.integer(SHARED_REFERENCES);
        }
        Some(_) => target.reply.integer(1),
        None => target.reply.null(),
    }
    Ok(())
}

/// What the policies that this is not about have in common with it.
const CLOCK_NOTE: &str = "Please note that when switching between policies at runtime LRU and LFU data will \
                          take some time to adjust.";

fn object_freq(data: &mut Data<'_>) -> Result<(), CommandError> {
    let counts = data.keyspace.counts_frequency();
    let target = data.target(2);
    match target.database.peek(&target.key) {
        None => target.reply.null(),
        Some(_) if !counts => {
            return Err(CommandError::text(format!(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. {CLOCK_NOTE}"
            )));
        }
        Some(entry) => target.reply.integer(target.database.frequency(&entry) as i64),
    }
    Ok(())
}

fn object_idletime(data: &mut Data<'_>) -> Result<(), CommandError> {
    let counts = data.keyspace.counts_frequency();
    let target = data.target(2);
    match target.database.peek(&target.key) {
        None => target.reply.null(),
        Some(_) if counts => {
            return Err(CommandError::text(format!(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. {CLOCK_NOTE}"
            )));
        }
        Some(entry) => target.reply.integer(target.database.idle_seconds(&entry) as i64),
    }
    Ok(())
}

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];

fn object_help(data: &mut Data<'_>) -> Result<(), CommandError> {
    data.reply.array(OBJECT_HELP.len());
    OBJECT_HELP.iter().for_each(|line| data.reply.status(line));
    Ok(())
}

#[cfg(test)]
mod tests;
