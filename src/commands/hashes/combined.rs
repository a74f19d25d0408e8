//! The commands that do two things with fields at once: HGETEX, HGETDEL, HSETEX.

use super::super::{Data, Target};
use super::expire::{Unit, parse_fields};
use super::read::write_item_or_null;
use crate::error::CommandError;
use crate::keyspace::EventNames;
use crate::resp::Args;
use crate::types::NEVER;
use crate::types::hash::{Deadline, Edited, View};

/// Answers the value of every field, and lets `change` do something with those that are there. `parse` says
/// where the first of them stands, and what else the command asks for; it comes after the type of the key was
/// judged.
fn answer_values<P>(
    data: &mut Data<'_>,
    parse: impl Fn(&Args<'_>) -> Result<(usize, P), CommandError>,
    mut change: impl FnMut(&mut Edited<'_>, &[u8], &P, &mut EventNames),
) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let answered = database.edit_hash(&key, |hash, events| {
        let (first, parameters) = parse(args)?;
        reply.array(args.len() - first);
        for index in first..args.len() {
            let name = args.get(index);
            let value = hash.view().get(name);
            let found = value.is_some();
            write_item_or_null(value, reply);
            if found {
                change(hash, name, &parameters, events);
            }
        }
        Ok(())
    })?;
    answered.unwrap_or_else(|| {
        let (first, _) = parse(args)?;
        reply.array(args.len() - first);
        (first..args.len()).for_each(|_| reply.null());
        Ok(())
    })
}

pub(super) fn hgetdel(data: &mut Data<'_>) -> Result<(), CommandError> {
    let parse = |args: &Args<'_>| {
        let first = parse_fields(args, 2, CommandError::FieldCountNotPositive)?;
        Ok((first, ()))
    };
    answer_values(data, parse, |hash, name, (), events| {
        hash.remove(name);
        events.add("hdel");
    })
}

pub(super) fn hgetex(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let parse = |args: &Args<'_>| {
        let (deadline, fields_at) = match Unit::of_option(args, 2) {
            Some(unit) => (Some(unit.deadline(args, 3, now, "hgetex")?), 4),
            None if args.is(2, "PERSIST") => (Some(NEVER), 3),
            None => (None, 2),
        };
        let first = parse_fields(args, fields_at, CommandError::FieldCountNotPositive)?;
        Ok((first, deadline))
    };
    answer_values(data, parse, |hash, name, &deadline, events| match deadline {
        None => {}
        Some(deadline) if deadline <= now => {
            hash.remove(name);
            events.add("hdel");
        }
        Some(deadline) => {
            hash.set_deadline(name, deadline);
            events.add(if deadline == NEVER { "hpersist" } else { "hexpire" });
        }
    })
}

/// The options of HSETEX, and the argument with the first field.
struct SetOptions {
    only_if_missing: bool,
    only_if_present: bool,
    keep_deadline: bool,
    deadline: Option<i64>,
    first: usize,
}

impl SetOptions {
    fn parse(args: &Args<'_>, now: i64) -> Result<SetOptions, CommandError> {
        let mut options = SetOptions {
            only_if_missing: false,
            only_if_present: false,
            keep_deadline: false,
            deadline: None,
            first: 0,
        };
        let mut index = 2;
        while index < args.len() {
            let condition = options.only_if_missing || options.only_if_present;
            let expiry = options.keep_deadline || options.deadline.is_some();
            if args.is(index, "FIELDS") {
                options.first = index + 2;
                return SetOptions::check_fields(args, index).map(|()| options);
            } else if let Some(unit) = Unit::of_option(args, index) {
                if expiry {
                    return Err(CommandError::SeveralFieldExpiries);
                }
                index += 1;
                if index == args.len() {
                    return Err(CommandError::MissingExpire);
                }
                options.deadline = Some(unit.deadline(args, index, now, "hsetex")?);
            } else if args.is(index, "KEEPTTL") {
                if expiry {
                    return Err(CommandError::SeveralFieldExpiries);
                }
                options.keep_deadline = true;
            } else if args.is(index, "FXX") || args.is(index, "FNX") {
                if condition {
                    return Err(CommandError::FnxAndFxx);
                }
                options.only_if_present = args.is(index, "FXX");
                options.only_if_missing = args.is(index, "FNX");
            } else {
                let word = String::from_utf8_lossy(args.get(index)).into_owned();
                return Err(CommandError::UnknownArgument(word));
            }
            index += 1;
        }
        // No field is named at all.
        Err(CommandError::Arity("hsetex".into()))
    }

    /// Judges what follows the word FIELDS, which is argument `index`.
    fn check_fields(args: &Args<'_>, index: usize) -> Result<(), CommandError> {
        let arity = CommandError::Arity("hsetex".into());
        if index + 3 >= args.len() {
            return Err(arity);
        }
        let number = args.integer(index + 1).ok().and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|&number| number > 0).ok_or(CommandError::InvalidFieldCount)?;
        if number.checked_mul(2) == Some(args.len() - index - 2) { Ok(()) } else { Err(arity) }
    }

    /// Whether the fields that are there and those that are not are as they have to be.
    fn allow(&self, hash: View<'_>, args: &Args<'_>) -> bool {
        let mut fields = (self.first..args.len()).step_by(2).map(|index| hash.get(args.get(index)).is_some());
        if self.only_if_missing {
            !fields.any(|there| there)
        } else {
            !self.only_if_present || fields.all(|there| there)
        }
    }
}

pub(super) fn hsetex(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let options = SetOptions::parse(&data.args, now)?;
    let limits = data.keyspace.limits.hash;
    let Target { database, key, args, reply } = data.first();
    let set = database.edit_or_create_hash(&key, |hash, events| {
        if !options.allow(hash.view(), args) {
            return false;
        }
        events.add("hset");
        for index in (options.first..args.len()).step_by(2) {
            let (name, value) = (args.get(index), args.get(index + 1));
            let deadline = if options.keep_deadline { Deadline::Keep } else { Deadline::Clear };
            hash.update(name, limits, deadline, |_| Some(value));
            match options.deadline {
                None => {}
                Some(deadline) if deadline <= now => {
                    hash.remove(name);
                    events.add("hdel");
                }
                Some(deadline) => {
                    hash.set_deadline(name, deadline);
                    events.add("hexpire");
                }
            }
        }
        true
    })?;
    reply.integer(set as i64);
    Ok(())
}
