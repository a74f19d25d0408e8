//! ZADD, ZINCRBY and ZREM.

use super::super::Data;
use super::{parse_score, write_score};
use crate::error::CommandError;
use crate::resp::Args;
use crate::types::SortedSet;

/// What ZADD is to do with members that are there and those that are not.
#[derive(Default)]
struct Options {
    only_if_missing: bool,
    only_if_present: bool,
    only_if_greater: bool,
    only_if_less: bool,
    /// Count the members whose score changed, too.
    count_changed: bool,
    /// Add to the score instead of setting it, and answer it.
    increment: bool,
}

impl Options {
    /// The options from argument 2 on, and where the pairs of score and member begin.
    fn parse(args: &Args<'_>) -> Result<(Options, usize), CommandError> {
        let mut options = Options::default();
        let mut index = 2;
        while index < args.len() {
            // Most often a score stands here.
            match args.get(index).len() {
                2 if args.is(index, "NX") => options.only_if_missing = true,
                2 if args.is(index, "XX") => options.only_if_present = true,
                2 if args.is(index, "GT") => options.only_if_greater = true,
                2 if args.is(index, "LT") => options.only_if_less = true,
                2 if args.is(index, "CH") => options.count_changed = true,
                4 if args.is(index, "INCR") => options.increment = true,
                _ => break,
            }
            index += 1;
        }
        let rest = args.len() - index;
        if rest == 0 || !rest.is_multiple_of(2) {
            return Err(CommandError::Syntax);
        }
        let exclusive = [options.only_if_missing, options.only_if_greater, options.only_if_less];
        if options.only_if_missing && options.only_if_present {
            return Err(CommandError::NxAndXx);
        } else if exclusive.iter().filter(|&&option| option).count() > 1 {
            return Err(CommandError::GtLtAndNx);
        } else if options.increment && rest > 2 {
            return Err(CommandError::IncrementOfSeveral);
        }
        Ok((options, index))
    }
}

/// What came of adding members.
#[derive(Default)]
struct Outcome {
    added: usize,
    updated: usize,
    /// The score of the last member, if the options allowed it one.
    score: Option<f64>,
    /// Infinities met: there is no sum.
    not_a_number: bool,
}

impl Outcome {
    /// The score that a member is to get in place of its present one.
    fn decide(&mut self, present: Option<f64>, score: f64, options: &Options) -> Option<f64> {
        self.score = None;
        let Some(present) = present else {
            if options.only_if_present {
                return None;
            }
            self.score = Some(score);
            self.added += 1;
            return self.score;
        };
        if options.only_if_missing {
            return None;
        }
        let score = if options.increment { present + score } else { score };
        if score.is_nan() {
            self.not_a_number = true;
            return None;
        }
        if options.only_if_greater && score <= present || options.only_if_less && score >= present {
            return None;
        }
        self.score = Some(score);
        self.updated += usize::from(score != present);
        self.score
    }
}

pub(super) fn zadd(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (options, first) = Options::parse(&data.args)?;
    add(data, &options, first)
}

pub(super) fn zincrby(data: &mut Data<'_>) -> Result<(), CommandError> {
    // The words that are options of ZADD are none here, and no increments either.
    let (options, first) = Options::parse(&data.args)?;
    add(data, &Options { increment: true, ..options }, first)
}

/// Adds the pairs of score and member from argument `first` on.
fn add(data: &mut Data<'_>, options: &Options, first: usize) -> Result<(), CommandError> {
    // All scores are judged before anything changes.
    let first_score = parse_score(data.args.get(first))?;
    for index in (first + 2..data.args.len()).step_by(2) {
        parse_score(data.args.get(index))?;
    }
    let limits = data.keyspace.limits.sorted_set;
    let target = data.first();
    let set = if options.only_if_present {
        target.database.edit(&target.key)?
    } else {
        Some(target.database.edit_or_create(&target.key, SortedSet::new)?)
    };
    let (args, mut outcome) = (target.args, Outcome::default());
    if let Some(mut set) = set {
        set.change_some(|set| {
            for index in (first..args.len()).step_by(2) {
                let score =
                    if index == first { first_score } else { parse_score(args.get(index)).unwrap_or(0.0) };
                set.update(args.get(index + 1), limits, |present| outcome.decide(present, score, options));
            }
            outcome.added + outcome.updated
        });
        if outcome.added + outcome.updated > 0 {
            set.notify(if options.increment { "zincr" } else { "zadd" });
        }
    }
    if outcome.not_a_number {
        return Err(CommandError::NanScore);
    }
    match outcome.score {
        Some(score) if options.increment => write_score(score, target.reply),
        None if options.increment => target.reply.null(),
        _ if options.count_changed => target.reply.integer((outcome.added + outcome.updated) as i64),
        _ => target.reply.integer(outcome.added as i64),
    }
    Ok(())
}

pub(super) fn zrem(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let args = target.args;
    let mut removed = 0;
    if let Some(mut set) = target.database.edit::<SortedSet>(&target.key)? {
        removed = set.change_some(|set| {
            (2..args.len()).filter(|&index| set.remove(args.get(index)).is_some()).count()
        });
        if removed > 0 {
            set.notify("zrem");
        }
    }
    target.reply.integer(removed as i64);
    Ok(())
}
