//! When fields expire.

use super::super::{Data, Target};
use crate::error::CommandError;
use crate::keyspace::EventNames;
use crate::resp::Args;
use crate::types::NEVER;
use crate::types::hash::Edited;

/// The latest deadline of a field, in unix milliseconds: 46 bits.
const DEADLINE_MAX: i64 = (1 << 46) - 1;

/// What is answered for a field that is not there.
const NO_FIELD: i64 = -2;
/// What is answered for a field without a deadline.
const NO_DEADLINE: i64 = -1;

/// A time as a command gives it.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// In milliseconds.
    pub(super) length: i64,
    /// Whether it counts from now rather than from 1970.
    pub(super) from_now: bool,
}

impl Unit {
    pub(super) const SECONDS: Unit = Unit { length: 1000, from_now: true };
    pub(super) const MILLISECONDS: Unit = Unit { length: 1, from_now: true };
    pub(super) const UNIX_SECONDS: Unit = Unit { length: 1000, from_now: false };
    pub(super) const UNIX_MILLISECONDS: Unit = Unit { length: 1, from_now: false };

    /// The unit that an option of HGETEX and HSETEX stands for.
    pub(super) fn of_option(args: &Args<'_>, index: usize) -> Option<Unit> {
        let options = [
            ("EX", Unit::SECONDS),
            ("PX", Unit::MILLISECONDS),
            ("EXAT", Unit::UNIX_SECONDS),
            ("PXAT", Unit::UNIX_MILLISECONDS),
        ];
        options.into_iter().find(|(word, _)| args.is(index, word)).map(|(_, unit)| unit)
    }

    /// The deadline that argument `index` gives.
    pub(super) fn deadline(
        self,
        args: &Args<'_>,
        index: usize,
        now: i64,
        command: &'static str,
    ) -> Result<i64, CommandError> {
        let time = args.integer(index)?;
        if time < 0 {
            return Err(CommandError::NegativeFieldExpire);
        }
        let base = if self.from_now { now } else { 0 };
        let deadline = time.checked_mul(self.length).and_then(|ms| ms.checked_add(base));
        deadline.filter(|&at| at <= DEADLINE_MAX).ok_or(CommandError::InvalidExpire(command))
    }
}

/// The fields behind the word FIELDS and their number, which begins at argument `index`: where the first is.
pub(super) fn parse_fields(
    args: &Args<'_>,
    index: usize,
    not_positive: CommandError,
) -> Result<usize, CommandError> {
    if index >= args.len() || !args.is(index, "FIELDS") {
        return Err(CommandError::FieldsMissing);
    }
    let number = if index + 1 < args.len() { args.integer(index + 1).ok() } else { None };
    let number = number.filter(|&number| number > 0).ok_or(not_positive)?;
    let fields = args.len() - index - 2;
    if usize::try_from(number) == Ok(fields) { Ok(index + 2) } else { Err(CommandError::NumfieldsMismatch) }
}

/// What a deadline must be for another to be set.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    Missing,
    Present,
    Greater,
    Less,
}

impl Condition {
    fn parse(args: &Args<'_>, index: usize) -> Condition {
        match () {
            _ if args.is(index, "NX") => Condition::Missing,
            _ if args.is(index, "XX") => Condition::Present,
            _ if args.is(index, "GT") => Condition::Greater,
            _ if args.is(index, "LT") => Condition::Less,
            _ => Condition::Always,
        }
    }

    /// [`NEVER`] is later than any other.
    fn allows(self, before: i64, deadline: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Missing => before == NEVER,
            Condition::Present => before != NEVER,
            Condition::Greater => deadline > before,
            Condition::Less => deadline < before,
        }
    }
}

/// Answers each field with `answer`, or all with -2. `parse` says where the first of them stands, and what
/// else the command asks for; it comes after the type of the key was judged.
fn answer_fields<P>(
    data: &mut Data<'_>,
    parse: impl Fn(&Args<'_>) -> Result<(usize, P), CommandError>,
    mut answer: impl FnMut(&mut Edited<'_>, &[u8], &P, &mut EventNames) -> i64,
) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let answered = database.edit_hash(&key, |hash, events| {
        let (first, parameters) = parse(args)?;
        reply.array(args.len() - first);
        for index in first..args.len() {
            let answer = answer(hash, args.get(index), &parameters, events);
            reply.integer(answer);
        }
        Ok(())
    })?;
    answered.unwrap_or_else(|| {
        let (first, _) = parse(args)?;
        reply.array(args.len() - first);
        (first..args.len()).for_each(|_| reply.integer(NO_FIELD));
        Ok(())
    })
}

fn set_deadlines(data: &mut Data<'_>, unit: Unit, command: &'static str) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let parse = |args: &Args<'_>| {
        let deadline = unit.deadline(args, 2, now, command)?;
        let condition = Condition::parse(args, 3);
        let fields_at = if matches!(condition, Condition::Always) { 3 } else { 4 };
        let first = parse_fields(args, fields_at, CommandError::NumfieldsNotPositive)?;
        Ok((first, (deadline, condition)))
    };
    answer_fields(data, parse, |hash, name, &(deadline, condition), events| {
        match hash.view().deadline(name) {
            None => NO_FIELD,
            Some(before) if !condition.allows(before, deadline) => 0,
            Some(_) if deadline <= now => {
                hash.remove(name);
                events.add("hdel");
                2
            }
            Some(_) => {
                hash.set_deadline(name, deadline);
                events.add("hexpire");
                1
            }
        }
    })
}

pub(super) fn hexpire(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_deadlines(data, Unit::SECONDS, "hexpire")
}

pub(super) fn hpexpire(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_deadlines(data, Unit::MILLISECONDS, "hpexpire")
}

pub(super) fn hexpireat(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_deadlines(data, Unit::UNIX_SECONDS, "hexpireat")
}

pub(super) fn hpexpireat(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_deadlines(data, Unit::UNIX_MILLISECONDS, "hpexpireat")
}

pub(super) fn hpersist(data: &mut Data<'_>) -> Result<(), CommandError> {
    let parse = |args: &Args<'_>| {
        let first = parse_fields(args, 2, CommandError::FieldCountNotPositive)?;
        Ok((first, ()))
    };
    answer_fields(data, parse, |hash, name, (), events| match hash.view().deadline(name) {
        None => NO_FIELD,
        Some(NEVER) => NO_DEADLINE,
        Some(_) => {
            hash.set_deadline(name, NEVER);
            events.add("hpersist");
            1
        }
    })
}

/// Answers for every field -2, -1 or what `show` makes of its deadline and the time.
fn show_deadlines(data: &mut Data<'_>, show: fn(i64, i64) -> i64) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    let hash = database.find_hash(&key)?;
    let first = parse_fields(args, 2, CommandError::FieldCountNotPositive)?;
    reply.array(args.len() - first);
    for index in first..args.len() {
        reply.integer(match hash.and_then(|hash| hash.deadline(args.get(index))) {
            None => NO_FIELD,
            Some(NEVER) => NO_DEADLINE,
            Some(deadline) => show(deadline, now),
        });
    }
    Ok(())
}

/// Whole seconds, rounded up.
fn seconds(ms: i64) -> i64 {
    (ms + 999) / 1000
}

pub(super) fn httl(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_deadlines(data, |deadline, now| seconds(deadline - now))
}

pub(super) fn hpttl(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_deadlines(data, |deadline, now| deadline - now)
}

pub(super) fn hexpiretime(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_deadlines(data, |deadline, _| seconds(deadline))
}

pub(super) fn hpexpiretime(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_deadlines(data, |deadline, _| deadline)
}
