//! What commands have in common that make their client wait, and WAIT and WAITAOF, which wait for replicas.

use std::ops::Range;

use super::{Command, Data, DataFunction, Group, Run, category, flag};
use crate::error::CommandError;
use crate::keyspace::Kind;
use crate::resp::Args;
use crate::transaction::{Plan, PlanFunction};
use crate::types::long_double::LongDouble;
use crate::types::score;

pub const COMMANDS: &[Command] = &[
    replicas("wait", 3, wait).since("3.0.0").docs(
        "Waits until so many replicas have confirmed the writes before it, and answers how many have.",
        "O(1)",
        "numreplicas timeout",
    ),
    replicas("waitaof", 4, waitaof).since("7.2.0").docs(
        "Waits until the append-only files of so many servers have the writes before it on disk.",
        "O(1)",
        "numlocal numreplicas timeout",
    ),
];

const fn replicas(name: &'static str, arity: i16, function: DataFunction) -> Command {
    Command::new(name, arity, Run::Wait { whole: function, steps: &[], plan: no_plan })
        .group(Group::Generic)
        .flags(flag::BLOCKING)
        .categories(category::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
}

/// These have no keys, so one shard serves the whole.
fn no_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    plan.reply.null();
    Ok(())
}

/// More than any clock shows: the year 2527.
const CLOCK_MS_MAX: i64 = 1 << 44;

/// A timeout in seconds, as milliseconds; 0 is for ever.
pub(super) fn timeout_ms(args: &Args<'_>, index: usize) -> Result<i64, CommandError> {
    let text = args.get(index);
    // What only fits the wider numbers that Redis calculates with is out of range all the same.
    let wide = || LongDouble::parse(text).map(|_| f64::INFINITY);
    let seconds = score::parse(text).or_else(wide);
    let seconds = seconds.ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    let timeout_ms = (seconds * 1000.0).ceil();
    // What a clock that counts milliseconds since 1970 does not reach.
    if timeout_ms >= (i64::MAX - CLOCK_MS_MAX) as f64 {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    if timeout_ms < 0.0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    Ok(timeout_ms as i64)
}

/// A timeout in whole milliseconds; 0 is for ever.
pub(super) fn whole_timeout_ms(args: &Args<'_>, index: usize) -> Result<i64, CommandError> {
    let timeout = args.integer(index);
    let timeout = timeout.map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    if timeout > i64::MAX - CLOCK_MS_MAX {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    Ok(timeout)
}

/// Of the keys at these arguments those that may serve the client: all, unless it has waited; then the first
/// that holds this type, since keys of other types are none that it waits for.
pub(super) fn serving_keys(data: &mut Data<'_>, keys: Range<usize>, kind: Kind) -> Range<usize> {
    if !data.has_waited {
        return keys;
    }
    for index in keys.clone() {
        let target = data.target(index);
        if target.database.peek(&target.key).is_some_and(|entry| entry.kind() == kind) {
            return index..index + 1;
        }
    }
    keys.start..keys.start
}

/// Runs the plan of the command that does not wait; where that answers null, the client waits.
pub(super) fn plan_waiting(
    plan: &mut Plan<'_>,
    timeout_ms: i64,
    inner: PlanFunction,
) -> Result<(), CommandError> {
    let mark = plan.reply.mark();
    inner(plan)?;
    if plan.work.is_empty() && plan.reply.is_null_since(mark) {
        plan.park = Some(timeout_ms);
    }
    Ok(())
}

/// Without replicas there is nobody who could confirm.
fn wait(data: &mut Data<'_>) -> Result<(), CommandError> {
    let wanted = data.args.integer(1)?;
    let timeout_ms = whole_timeout_ms(&data.args, 2)?;
    data.reply.integer(0);
    if wanted > 0 {
        data.park = Some(timeout_ms);
    }
    Ok(())
}

fn waitaof(data: &mut Data<'_>) -> Result<(), CommandError> {
    let local = data.args.integer(1).ok().filter(|local| (0..=1).contains(local));
    let local = local.ok_or(CommandError::text("ERR value is out of range, value must between 0 and 1"))?;
    let wanted = data.args.integer(2).ok().filter(|&wanted| wanted >= 0);
    let wanted = wanted.ok_or(CommandError::OutOfRangePositive)?;
    let timeout_ms = whole_timeout_ms(&data.args, 3)?;
    if local > 0 {
        return Err(CommandError::text(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    data.reply.array(2);
    data.reply.integer(0);
    data.reply.integer(0);
    if wanted > 0 {
        data.park = Some(timeout_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    #[test]
    fn timeouts_are_seconds_with_a_fraction() {
        let parse = |text: &str| with_args(text, |args| timeout_ms(&args, 0));
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("1.5"), Ok(1500));
        assert_eq!(parse("0.0001"), Ok(1), "rounded up: 0 would be for ever");
        assert_eq!(parse("-1").unwrap_err().message(), "ERR timeout is negative");
        for text in ["x", "nan", "\"\"", "1s"] {
            assert_eq!(parse(text).unwrap_err().message(), "ERR timeout is not a float or out of range");
        }
        assert_eq!(parse("1e30").unwrap_err().message(), "ERR timeout is out of range");
    }
}
