//! HSET and its kin, HDEL, and the commands that count in fields.

use super::super::{Data, Target};
use crate::error::CommandError;
use crate::resp::number::{IntegerText, parse_integer};
use crate::types::hash::Deadline;
use crate::types::long_double::LongDouble;
use crate::types::packed::Item;

/// Sets the pairs of field and value from argument 2 on; returns how many fields are new.
fn set_fields(data: &mut Data<'_>, name: &'static str) -> Result<usize, CommandError> {
    if !data.args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name.into()));
    }
    let limits = data.keyspace.limits.hash;
    let Target { database, key, args, .. } = data.first();
    database.edit_or_create_hash(&key, |hash, events| {
        events.add("hset");
        let fields = (2..args.len()).step_by(2);
        fields.filter(|&index| hash.set(args.get(index), args.get(index + 1), limits)).count()
    })
}

pub(super) fn hset(data: &mut Data<'_>) -> Result<(), CommandError> {
    let added = set_fields(data, "hset")?;
    data.reply.integer(added as i64);
    Ok(())
}

pub(super) fn hmset(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_fields(data, "hmset")?;
    data.reply.ok();
    Ok(())
}

pub(super) fn hsetnx(data: &mut Data<'_>) -> Result<(), CommandError> {
    let limits = data.keyspace.limits.hash;
    let Target { database, key, args, reply } = data.first();
    let mut added = false;
    database.edit_or_create_hash(&key, |hash, events| {
        events.add("hset");
        hash.update(args.get(2), limits, Deadline::Keep, |present| {
            added = present.is_none();
            added.then(|| args.get(3))
        });
    })?;
    reply.integer(added as i64);
    Ok(())
}

pub(super) fn hdel(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let removed = database.edit_hash(&key, |hash, events| {
        events.add("hdel");
        (2..args.len()).filter(|&index| hash.remove(args.get(index))).count()
    })?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn integer_of(value: Item<'_>) -> Option<i64> {
    match value {
        Item::Int(number) => Some(number),
        Item::Bytes(bytes) => parse_integer(bytes),
        // An integer is never stored in parts.
        Item::Joined(..) => None,
    }
}

/// Gives field `args[2]` the text that `sum` makes of its value, answers it, and tells it as `event`.
fn count<T: AsRef<[u8]>>(
    data: &mut Data<'_>,
    event: &'static str,
    sum: impl FnOnce(Option<Item<'_>>) -> Result<T, CommandError>,
    mut answer: impl FnMut(&T, &mut crate::resp::Reply<'_>),
) -> Result<(), CommandError> {
    let limits = data.keyspace.limits.hash;
    let Target { database, key, args, reply } = data.first();
    let mut outcome = Ok(());
    database.edit_or_create_hash(&key, |hash, events| {
        events.add(event);
        hash.update(args.get(2), limits, Deadline::Keep, |present| match sum(present) {
            Ok(text) => {
                answer(&text, reply);
                Some(text)
            }
            Err(error) => {
                outcome = Err(error);
                None
            }
        });
    })?;
    outcome
}

pub(super) fn hincrby(data: &mut Data<'_>) -> Result<(), CommandError> {
    let increment = data.args.integer(3)?;
    let sum = |present: Option<Item<'_>>| {
        let value = present.map_or(Some(0), integer_of).ok_or(CommandError::HashValueNotInteger)?;
        let sum = value.checked_add(increment).ok_or(CommandError::Overflow)?;
        Ok(Sum { number: sum, text: IntegerText::new(sum) })
    };
    count(data, "hincrby", sum, |sum, reply| reply.integer(sum.number))
}

/// A number with its text.
struct Sum {
    number: i64,
    text: IntegerText,
}

impl AsRef<[u8]> for Sum {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn float_of(value: Item<'_>) -> Option<LongDouble> {
    match value {
        Item::Int(number) => Some(LongDouble::from_integer(number)),
        Item::Bytes(bytes) => LongDouble::parse(bytes),
        Item::Joined(..) => LongDouble::parse(&value.to_vec()),
    }
}

pub(super) fn hincrbyfloat(data: &mut Data<'_>) -> Result<(), CommandError> {
    let increment = LongDouble::parse(data.args.get(3)).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err(CommandError::IncrementNotFinite);
    }
    let sum = |present: Option<Item<'_>>| {
        let value = present.map_or(Some(LongDouble::ZERO), float_of);
        let sum = value.ok_or(CommandError::HashValueNotFloat)? + increment;
        if sum.is_finite() { Ok(sum.to_text()) } else { Err(CommandError::NanOrInfinity) }
    };
    count(data, "hincrbyfloat", sum, |text, reply| reply.bulk(text))
}
