//! When fields expire.

use super::super::{Data, Target};
use crate::error::CommandError;
use crate::keyspace::CollectionMut;
use crate::resp::{Args, Reply};
use crate::types::{Hash, NEVER};

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

/// Answers each field from argument `first` on with `answer`, which says whether it changed the hash; or all
/// with -2.
fn answer_fields(
    hash: Option<CollectionMut<'_, Hash>>,
    args: &Args<'_>,
    first: usize,
    reply: &mut Reply<'_>,
    mut answer: impl FnMut(&mut Hash, &[u8]) -> (i64, bool),
) {
    reply.array(args.len() - first);
    let Some(mut hash) = hash else {
        return (first..args.len()).for_each(|_| reply.integer(NO_FIELD));
    };
    hash.change_some(|hash| {
        let mut changes = 0;
        for index in first..args.len() {
            let (answer, changed) = answer(hash, args.get(index));
            reply.integer(answer);
            changes += usize::from(changed);
        }
        changes
    });
}

fn set_deadlines(data: &mut Data<'_>, unit: Unit, command: &'static str) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    // The type is judged before the other arguments.
    let hash = database.edit::<Hash>(&key)?;
    let deadline = unit.deadline(args, 2, now, command)?;
    let condition = Condition::parse(args, 3);
    let fields_at = if matches!(condition, Condition::Always) { 3 } else { 4 };
    let first = parse_fields(args, fields_at, CommandError::NumfieldsNotPositive)?;
    answer_fields(hash, args, first, reply, |hash, name| match hash.deadline(name) {
        None => (NO_FIELD, false),
        Some(before) if !condition.allows(before, deadline) => (0, false),
        Some(_) if deadline <= now => {
            hash.remove(name);
            (2, true)
        }
        Some(_) => {
            hash.set_deadline(name, deadline);
            (1, true)
        }
    });
    Ok(())
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
    let Target { database, key, args, reply } = data.first();
    let hash = database.edit::<Hash>(&key)?;
    let first = parse_fields(args, 2, CommandError::FieldCountNotPositive)?;
    answer_fields(hash, args, first, reply, |hash, name| match hash.deadline(name) {
        None => (NO_FIELD, false),
        Some(NEVER) => (NO_DEADLINE, false),
        Some(_) => {
            hash.set_deadline(name, NEVER);
            (1, true)
        }
    });
    Ok(())
}

/// Answers for every field -2, -1 or what `show` makes of its deadline and the time.
fn show_deadlines(data: &mut Data<'_>, show: fn(i64, i64) -> i64) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    let hash = database.find::<Hash>(&key)?;
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
