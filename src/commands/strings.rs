//! The string commands, but for the counters and LCS.

use super::{Command, Data, Group, KeySpec, Merge, Run, Split, Target, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::{EntryRef, EventClasses, Expiry, KeyPlace, Keyspace, StringRef, StringValue};
use crate::resp::number::IntegerText;
use crate::resp::{Args, Reply};
use crate::transaction::{Plan, Work};

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const OVERWRITE_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::OW | key_flag::UPDATE)];
const GETEX_KEY: &[KeySpec] = &[UPDATE_KEY[0].notes("RW and UPDATE because it changes the TTL")];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::UPDATE)];
const READ_FAST: u32 = flag::READONLY | flag::FAST;
const GROW: u32 = flag::WRITE | flag::DENYOOM;

const fn string(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::String).categories(category::STRING)
}

const fn one(name: &'static str, arity: i16, function: super::DataFunction) -> Command {
    string(name, arity, Run::OneShard(function))
}

pub const COMMANDS: &[Command] = &[
    one("get", 2, get).flags(READ_FAST).keys(READ_KEY).docs(
        "Returns the string value of a key.",
        "O(1)",
        "key",
    ),
    one("set", -3, set)
        .flags(GROW)
        .keys(&[KeySpec::one(
            1,
            key_flag::RW | key_flag::ACCESS | key_flag::UPDATE | key_flag::VARIABLE_FLAGS,
        )
        .notes("RW and ACCESS due to the optional `GET` argument")])
        .docs(
            "Sets the string value of a key, whatever it held before, and optionally when it expires.",
            "O(1)",
            "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | KEEPTTL]",
        ),
    one("setnx", 3, setnx)
        .flags(GROW | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::OW | key_flag::INSERT)])
        .deprecated("2.6.12", "`SET` with the `NX` argument")
        .docs("Sets the string value of a key only if the key does not exist.", "O(1)", "key value"),
    one("setex", 4, setex)
        .since("2.0.0")
        .flags(GROW)
        .keys(OVERWRITE_KEY)
        .deprecated("2.6.12", "`SET` with the `EX` argument")
        .docs("Sets the string value of a key and its time to live in seconds.", "O(1)", "key seconds value"),
    one("psetex", 4, psetex)
        .since("2.6.0")
        .flags(GROW)
        .keys(OVERWRITE_KEY)
        .deprecated("2.6.12", "`SET` with the `PX` argument")
        .docs(
            "Sets the string value of a key and its time to live in milliseconds.",
            "O(1)",
            "key milliseconds value",
        ),
    one("getset", 3, getset)
        .flags(GROW | flag::FAST)
        .keys(UPDATE_KEY)
        .deprecated("6.2.0", "`SET` with the `!GET` argument")
        .docs("Sets the string value of a key and returns the one before.", "O(1)", "key value"),
    one("getdel", 2, getdel)
        .since("6.2.0")
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::DELETE)])
        .docs("Returns the string value of a key and deletes the key.", "O(1)", "key"),
    one("getex", -2, getex).since("6.2.0").flags(flag::WRITE | flag::FAST).keys(GETEX_KEY).docs(
        "Returns the string value of a key and optionally changes when it expires.",
        "O(1)",
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
    ),
    one("getrange", 4, getrange).since("2.4.0").flags(flag::READONLY).keys(READ_KEY).docs(
        "Returns a part of the string value of a key.",
        "O(N), N being the length of the part.",
        "key start end",
    ),
    one("substr", 4, getrange).flags(flag::READONLY).keys(READ_KEY).deprecated("2.0.0", "`GETRANGE`").docs(
        "Returns a part of the string value of a key.",
        "O(N), N being the length of the part.",
        "key start end",
    ),
    one("setrange", 4, setrange)
        .since("2.2.0")
        .flags(GROW)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::UPDATE)])
        .docs(
            "Overwrites a part of the string value of a key, filling up with zero bytes before it.",
            "O(M), M being the length of the value argument.",
            "key offset value",
        ),
    one("append", 3, append)
        .since("2.0.0")
        .flags(GROW | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::INSERT)])
        .docs(
            "Appends to the string value of a key, which is created if it does not exist.",
            "O(1) amortized.",
            "key value",
        ),
    one("strlen", 2, strlen).since("2.2.0").flags(READ_FAST).keys(&[KeySpec::one(1, key_flag::RO)]).docs(
        "Returns the length of the string value of a key.",
        "O(1)",
        "key",
    ),
    string(
        "mget",
        -2,
        Run::EachShard { part: mget, split: Split::Keys { stride: 1 }, merge: Merge::Interleave },
    )
    .flags(READ_FAST)
    .keys(&[KeySpec::range(1, -1, 1, key_flag::RO | key_flag::ACCESS)])
    .tips(&["request_policy:multi_shard"])
    .docs(
        "Returns the string values of several keys.",
        "O(N), N being the number of keys.",
        "key [key ...]",
    ),
    string("mset", -3, Run::EachShard { part: mset, split: Split::Keys { stride: 2 }, merge: Merge::Ok })
        .since("1.0.1")
        .flags(GROW)
        .keys(&[KeySpec::range(1, -1, 2, key_flag::OW | key_flag::UPDATE)])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .docs(
            "Sets the string values of several keys.",
            "O(N), N being the number of keys.",
            "key value [key value ...]",
        ),
    string("msetnx", -3, Run::Hops { whole: msetnx, steps: &[count_existing, mset_step], plan: msetnx_plan })
        .since("1.0.1")
        .flags(GROW)
        .keys(&[KeySpec::range(1, -1, 2, key_flag::OW | key_flag::INSERT)])
        .docs(
            "Sets the string values of several keys, if none of them exists.",
            "O(N), N being the number of keys.",
            "key value [key value ...]",
        ),
];

/// The string that an entry holds.
#[inline]
pub(super) fn string_of<'a>(entry: &EntryRef<'a>) -> Result<StringRef<'a>, CommandError> {
    entry.string().ok_or(CommandError::WrongType)
}

#[inline]
pub(super) fn write_string(value: StringRef<'_>, reply: &mut Reply<'_>) {
    match value {
        StringRef::Bytes(bytes) => reply.bulk(bytes),
        StringRef::Int(number) => reply.bulk_integer(number),
    }
}

/// Answers the value of a key, or null.
#[inline]
fn write_value(entry: Option<EntryRef<'_>>, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    match entry {
        Some(entry) => write_string(string_of(&entry)?, reply),
        None => reply.null(),
    }
    Ok(())
}

/// Stores argument `value` under argument 1, adopting its buffer if it has one of its own, and tells it as
/// `event`.
#[inline]
fn store(data: &mut Data<'_>, value: usize, expiry: Expiry, event: &'static str) {
    let owned = data.args.is_owned(value).then(|| data.args.take(value));
    let target = data.first();
    let value = match owned {
        None => StringValue::Bytes(target.args.get(value)),
        Some(bytes) => StringValue::Owned(bytes),
    };
    target.database.set_string(&target.key, value, expiry);
    target.database.notify(EventClasses::STRING, event, &target.key);
    if let Expiry::At(_) = expiry {
        target.database.notify(EventClasses::GENERIC, "expire", &target.key);
    }
}

fn get(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    write_value(target.database.find_read(&target.key), target.reply)
}

/// When a key is to expire, as the options of SET and GETEX say it.
#[derive(Clone, Copy)]
enum Lifetime {
    /// No option: SET makes the key live forever, GETEX changes nothing.
    Unsaid,
    KeepTtl,
    Persist,
    /// The argument with the number, which is read only once the rest of the command has been judged.
    At {
        argument: usize,
        unit: Unit,
    },
}

/// What the number of an expiry option counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

impl Unit {
    fn of_option(args: &Args<'_>, index: usize) -> Option<Unit> {
        match args.get(index).len() {
            2 if args.is(index, "EX") => Some(Unit::Seconds),
            2 if args.is(index, "PX") => Some(Unit::Milliseconds),
            4 if args.is(index, "EXAT") => Some(Unit::UnixSeconds),
            4 if args.is(index, "PXAT") => Some(Unit::UnixMilliseconds),
            _ => None,
        }
    }

    /// The deadline in unix milliseconds; `command` names the command in the error.
    fn deadline(self, number: i64, now: i64, command: &'static str) -> Result<i64, CommandError> {
        let scale = if matches!(self, Unit::Seconds | Unit::UnixSeconds) { 1000 } else { 1 };
        let base = if matches!(self, Unit::Seconds | Unit::Milliseconds) { now } else { 0 };
        let deadline = number.checked_mul(scale).and_then(|ms| ms.checked_add(base));
        deadline.filter(|_| number > 0).ok_or(CommandError::InvalidExpire(command))
    }
}

/// The options of SET and GETEX.
struct Options {
    lifetime: Lifetime,
    only_if_missing: bool,
    only_if_present: bool,
    get: bool,
}

impl Options {
    const NONE: Options =
        Options { lifetime: Lifetime::Unsaid, only_if_missing: false, only_if_present: false, get: false };

    /// The options of SET, from argument 3 on.
    #[inline]
    fn of_set(args: &Args<'_>) -> Result<Options, CommandError> {
        if args.len() == 3 { Ok(Options::NONE) } else { Options::parse(args, 3, true) }
    }

    fn parse(args: &Args<'_>, from: usize, set: bool) -> Result<Options, CommandError> {
        let mut options = Options::NONE;
        let mut index = from;
        while index < args.len() {
            if let Some(unit) = Unit::of_option(args, index) {
                // The same unit may be given twice, the last number counts.
                match options.lifetime {
                    Lifetime::Unsaid => {}
                    Lifetime::At { unit: before, .. } if before == unit => {}
                    _ => return Err(CommandError::Syntax),
                }
                index += 1;
                if index == args.len() {
                    return Err(CommandError::Syntax);
                }
                options.lifetime = Lifetime::At { argument: index, unit };
            } else if set && args.is(index, "NX") && !options.only_if_present {
                options.only_if_missing = true;
            } else if set && args.is(index, "XX") && !options.only_if_missing {
                options.only_if_present = true;
            } else if set && args.is(index, "GET") {
                options.get = true;
            } else if set
                && args.is(index, "KEEPTTL")
                && matches!(options.lifetime, Lifetime::Unsaid | Lifetime::KeepTtl)
            {
                options.lifetime = Lifetime::KeepTtl;
            } else if !set
                && args.is(index, "PERSIST")
                && matches!(options.lifetime, Lifetime::Unsaid | Lifetime::Persist)
            {
                options.lifetime = Lifetime::Persist;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }

    /// The new deadline in unix milliseconds, if the options name one.
    fn deadline(
        &self,
        args: &Args<'_>,
        now: i64,
        command: &'static str,
    ) -> Result<Option<i64>, CommandError> {
        match self.lifetime {
            Lifetime::At { argument, unit } => unit.deadline(args.integer(argument)?, now, command).map(Some),
            _ => Ok(None),
        }
    }
}

fn set(data: &mut Data<'_>) -> Result<(), CommandError> {
    let options = Options::of_set(&data.args)?;
    let expiry = match options.lifetime {
        Lifetime::Unsaid => Expiry::Clear,
        Lifetime::KeepTtl => Expiry::Keep,
        _ => options.deadline(&data.args, data.keyspace.now(), "set")?.map_or(Expiry::Clear, Expiry::At),
    };
    if options.get {
        let target = data.first();
        write_value(target.database.find_read(&target.key), target.reply)?;
    }
    if options.only_if_missing || options.only_if_present {
        let target = data.first();
        let found = target.database.find_write(&target.key).is_some();
        if found == options.only_if_missing {
            if !options.get {
                data.reply.null();
            }
            return Ok(());
        }
    }
    store(data, 2, expiry, "set");
    if !options.get {
        data.reply.ok();
    }
    Ok(())
}

fn setnx(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let missing = target.database.find_write(&target.key).is_none();
    if missing {
        store(data, 2, Expiry::Clear, "set");
    }
    data.reply.integer(missing as i64);
    Ok(())
}

fn set_with_lifetime(data: &mut Data<'_>, unit: Unit, command: &'static str) -> Result<(), CommandError> {
    let deadline = unit.deadline(data.args.integer(2)?, data.keyspace.now(), command)?;
    store(data, 3, Expiry::At(deadline), "set");
    data.reply.ok();
    Ok(())
}

fn setex(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_with_lifetime(data, Unit::Seconds, "setex")
}

fn psetex(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_with_lifetime(data, Unit::Milliseconds, "psetex")
}

fn getset(data: &mut Data<'_>) -> Result<(), CommandError> {
    get(data)?;
    store(data, 2, Expiry::Clear, "set");
    Ok(())
}

fn getdel(data: &mut Data<'_>) -> Result<(), CommandError> {
    get(data)?;
    let target = data.first();
    target.database.remove(&target.key);
    Ok(())
}

fn getex(data: &mut Data<'_>) -> Result<(), CommandError> {
    let options = Options::parse(&data.args, 2, false)?;
    let now = data.keyspace.now();
    let target = data.first();
    let Some(entry) = target.database.find_read(&target.key) else {
        target.reply.null();
        return Ok(());
    };
    let value = string_of(&entry)?;
    let deadline = options.deadline(target.args, now, "getex")?;
    write_string(value, target.reply);
    match (options.lifetime, deadline) {
        (Lifetime::Persist, _) => {
            let had_deadline = target.database.persist(&target.key);
            if had_deadline {
                target.database.notify(EventClasses::GENERIC, "persist", &target.key);
            }
        }
        (_, Some(deadline)) if deadline <= now => {
            target.database.remove(&target.key);
        }
        (_, Some(deadline)) => {
            target.database.set_expiry(&target.key, deadline);
            target.database.notify(EventClasses::GENERIC, "expire", &target.key);
        }
        _ => {}
    }
    Ok(())
}

/// The bytes of `start..=end`, each counted from the end if below zero, in a string of `length`.
fn range_of(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let length = length as i64;
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_end = |index: i64| if index < 0 { index.saturating_add(length).max(0) } else { index };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

fn getrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (start, end) = (data.args.integer(2)?, data.args.integer(3)?);
    let target = data.first();
    let Some(entry) = target.database.find_read(&target.key) else {
        target.reply.bulk(b"");
        return Ok(());
    };
    match string_of(&entry)? {
        StringRef::Bytes(bytes) => target.reply.bulk(&bytes[range_of(start, end, bytes.len())]),
        StringRef::Int(number) => {
            let text = IntegerText::new(number);
            let bytes = text.as_bytes();
            target.reply.bulk(&bytes[range_of(start, end, bytes.len())]);
        }
    }
    Ok(())
}

fn setrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    let offset = data.args.integer(2)?;
    if offset < 0 {
        return Err(CommandError::OffsetOutOfRange);
    }
    let string_bytes_max = data.string_bytes_max;
    let Target { database, key, args, reply } = data.first();
    let value = args.get(3);
    let length = match database.find_write(&key) {
        Some(entry) => Some(string_of(&entry)?.len()),
        None => None,
    };
    if value.is_empty() {
        reply.integer(length.unwrap_or(0) as i64);
        return Ok(());
    }
    let end = (offset as usize).saturating_add(value.len());
    if end > string_bytes_max {
        return Err(CommandError::StringTooLong);
    }
    let mut string = database.string_of_length(&key, end)?;
    string.as_mut_slice()[offset as usize..end].copy_from_slice(value);
    string.notify("setrange");
    reply.integer(string.len() as i64);
    Ok(())
}

fn append(data: &mut Data<'_>) -> Result<(), CommandError> {
    let string_bytes_max = data.string_bytes_max;
    let Target { database, key, args, reply } = data.first();
    let tail = args.get(2);
    if let Some(mut string) = database.string_mut(&key) {
        if string.len().saturating_add(tail.len()) > string_bytes_max {
            return Err(CommandError::StringTooLong);
        }
        reply.integer(string.append(tail) as i64);
        string.notify("append");
        return Ok(());
    }
    if database.peek(&key).is_some() {
        return Err(CommandError::WrongType);
    }
    reply.integer(tail.len() as i64);
    store(data, 2, Expiry::Clear, "append");
    Ok(())
}

fn strlen(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let length = match target.database.find_read(&target.key) {
        Some(entry) => string_of(&entry)?.len(),
        None => 0,
    };
    target.reply.integer(length as i64);
    Ok(())
}

/// Keys of one command whose buckets and entries are fetched before the first of them is looked at.
const FETCHED_KEYS: usize = 16;

/// Where the keys of a command are, which stand from argument 1 on.
struct KeyPlaces<'a> {
    /// All of them, and what they need is fetched; empty if nobody has looked.
    known: &'a [KeyPlace],
    /// Arguments from one key to the next.
    stride: usize,
    fetched: [KeyPlace; FETCHED_KEYS],
}

impl<'a> KeyPlaces<'a> {
    fn new(known: &'a [KeyPlace], stride: usize) -> Self {
        KeyPlaces { known, stride, fetched: [KeyPlace::default(); FETCHED_KEYS] }
    }

    /// Of the key at argument `first` and those after it, at most [`FETCHED_KEYS`] if they have to be fetched
    /// first.
    #[inline(always)]
    fn fetch(
        &mut self,
        keyspace: &mut Keyspace,
        database: usize,
        args: &Args<'_>,
        first: usize,
    ) -> &[KeyPlace] {
        if let Some(known) = self.known.get((first - 1) / self.stride..).filter(|known| !known.is_empty()) {
            return known;
        }
        let positions = || (first..args.len()).step_by(self.stride);
        for (place, index) in self.fetched.iter_mut().zip(positions()) {
            let key = keyspace.key(args.get(index));
            *place = key.place();
            keyspace.database(database).prefetch_bucket(&key);
        }
        for (place, index) in self.fetched.iter().zip(positions()) {
            keyspace.database(database).prefetch_entry(&place.key(args.get(index)));
        }
        &self.fetched
    }
}

fn mget(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Data { keyspace, args, reply, database, known_keys, .. } = data;
    reply.array(args.len() - 1);
    let mut places = KeyPlaces::new(known_keys, 1);
    let mut first = 1;
    while first < args.len() {
        let places = places.fetch(keyspace, *database, args, first);
        for (place, index) in places.iter().zip(first..args.len()) {
            let key = place.key(args.get(index));
            match keyspace.database(*database).find_read(&key).and_then(|entry| entry.string()) {
                Some(value) => write_string(value, reply),
                None => reply.null(),
            }
        }
        first += places.len();
    }
    Ok(())
}

/// Sets the pairs from argument 1 on.
fn set_pairs(data: &mut Data<'_>) {
    let Data { keyspace, args, database, known_keys, .. } = data;
    let mut places = KeyPlaces::new(known_keys, 2);
    let mut first = 1;
    while first < args.len() {
        let places = places.fetch(keyspace, *database, args, first);
        for (place, index) in places.iter().zip((first..args.len()).step_by(2)) {
            let owned = args.is_owned(index + 1).then(|| args.take(index + 1));
            let key = place.key(args.get(index));
            let value = match owned {
                None => StringValue::Bytes(args.get(index + 1)),
                Some(bytes) => StringValue::Owned(bytes),
            };
            let database = keyspace.database(*database);
            database.set_string(&key, value, Expiry::Clear);
            database.notify(EventClasses::STRING, "set", &key);
        }
        first += 2 * places.len();
    }
}

fn mset(data: &mut Data<'_>) -> Result<(), CommandError> {
    if data.args.len().is_multiple_of(2) {
        return Err(CommandError::Arity("mset".into()));
    }
    set_pairs(data);
    data.reply.ok();
    Ok(())
}

fn any_exists(data: &mut Data<'_>) -> bool {
    let Data { keyspace, args, database, .. } = data;
    (1..args.len()).step_by(2).any(|index| {
        let key = keyspace.key(args.get(index));
        keyspace.database(*database).find_write(&key).is_some()
    })
}

fn msetnx(data: &mut Data<'_>) -> Result<(), CommandError> {
    if data.args.len().is_multiple_of(2) {
        return Err(CommandError::Arity("msetnx".into()));
    }
    let free = !any_exists(data);
    if free {
        set_pairs(data);
    }
    data.reply.integer(free as i64);
    Ok(())
}

/// The first step of MSETNX: 1 if a key of the shard's pairs exists, else 0.
fn count_existing(data: &mut Data<'_>) -> Result<(), CommandError> {
    let exists = any_exists(data);
    data.reply.integer(exists as i64);
    Ok(())
}

/// The second step of MSETNX.
fn mset_step(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_pairs(data);
    data.reply.integer(1);
    Ok(())
}

const MSETNX_SET: usize = 1;

/// Each shard's pairs, first to see whether a key exists, then to set them.
fn msetnx_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.args.len().is_multiple_of(2) {
        return Err(CommandError::Arity("msetnx".into()));
    }
    if plan.hop > MSETNX_SET {
        plan.reply.integer(1);
        return Ok(());
    }
    if plan.results.iter().any(|result| result.integer() != Some(0)) {
        plan.reply.integer(0);
        return Ok(());
    }
    let mut parts: Vec<Option<Vec<Vec<u8>>>> = vec![None; plan.route.shards()];
    for index in (1..plan.args.len()).step_by(2) {
        let key = plan.args.get(index);
        let part = parts[plan.route.shard_of(key)].get_or_insert_with(|| vec![plan.args.get(0).to_vec()]);
        part.push(key.to_vec());
        part.push(plan.args.get(index + 1).to_vec());
    }
    for (shard, args) in parts.into_iter().enumerate() {
        if let Some(args) = args {
            plan.work.push(Work { shard, step: plan.hop, args, moved: None });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
