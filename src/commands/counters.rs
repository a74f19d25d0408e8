//! The commands that count in strings: INCR and its kin.

use super::strings::string_of;
use super::{Command, Data, DataFunction, Group, KeySpec, Run, Target, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::{EventClasses, Expiry, StringRef, StringValue};
use crate::resp::number;
use crate::types::long_double::LongDouble;

const COUNTED_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::UPDATE)];

const fn counter(name: &'static str, arity: i16, function: DataFunction) -> Command {
    Command::new(name, arity, Run::OneShard(function))
        .group(Group::String)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .categories(category::STRING)
        .keys(COUNTED_KEY)
}

pub const COMMANDS: &[Command] = &[
    counter("incr", 2, incr).docs(
        "Adds one to the integer value of a key, 0 if it does not exist.",
        "O(1)",
        "key",
    ),
    counter("decr", 2, decr).docs(
        "Takes one from the integer value of a key, 0 if it does not exist.",
        "O(1)",
        "key",
    ),
    counter("incrby", 3, incrby).docs(
        "Adds a number to the integer value of a key, 0 if it does not exist.",
        "O(1)",
        "key increment",
    ),
    counter("decrby", 3, decrby).docs(
        "Takes a number from the integer value of a key, 0 if it does not exist.",
        "O(1)",
        "key decrement",
    ),
    counter("incrbyfloat", 3, incrbyfloat).since("2.6.0").docs(
        "Adds a floating-point number to the value of a key, 0 if it does not exist.",
        "O(1)",
        "key increment(double)",
    ),
];

fn incr(data: &mut Data<'_>) -> Result<(), CommandError> {
    add(data, 1)
}

fn decr(data: &mut Data<'_>) -> Result<(), CommandError> {
    add(data, -1)
}

fn incrby(data: &mut Data<'_>) -> Result<(), CommandError> {
    add(data, data.args.integer(2)?)
}

fn decrby(data: &mut Data<'_>) -> Result<(), CommandError> {
    let decrement = data.args.integer(2)?;
    add(data, decrement.checked_neg().ok_or(CommandError::DecrementOverflow)?)
}

fn integer_of(value: StringRef<'_>) -> Result<i64, CommandError> {
    match value {
        StringRef::Int(number) => Ok(number),
        StringRef::Bytes(bytes) => number::parse_integer(bytes).ok_or(CommandError::NotInteger),
    }
}

#[inline]
fn add(data: &mut Data<'_>, increment: i64) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    if let Some(mut string) = database.string_mut(&key) {
        let sum = integer_of(string.get())?.checked_add(increment).ok_or(CommandError::Overflow)?;
        string.set_int(sum);
        string.notify("incrby");
        reply.integer(sum);
        return Ok(());
    }
    if let Some(entry) = database.peek(&key) {
        // Not a string.
        string_of(&entry)?;
    }
    database.set_string(&key, StringValue::Int(increment), Expiry::Clear);
    database.notify(EventClasses::STRING, "incrby", &key);
    reply.integer(increment);
    Ok(())
}

fn float_of(value: StringRef<'_>) -> Result<LongDouble, CommandError> {
    match value {
        StringRef::Int(number) => Ok(LongDouble::from_integer(number)),
        StringRef::Bytes(bytes) => LongDouble::parse(bytes).ok_or(CommandError::NotFloat),
    }
}

fn incrbyfloat(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let value = match database.find_write(&key) {
        Some(entry) => float_of(string_of(&entry)?)?,
        None => LongDouble::ZERO,
    };
    let increment = LongDouble::parse(args.get(2)).ok_or(CommandError::NotFloat)?;
    let sum = value + increment;
    if !sum.is_finite() {
        return Err(CommandError::NanOrInfinity);
    }
    let text = sum.to_text();
    database.set_string(&key, StringValue::Text(&text), Expiry::Keep);
    database.notify(EventClasses::STRING, "incrbyfloat", &key);
    reply.bulk(&text);
    Ok(())
}
