//! MULTI, EXEC, DISCARD, WATCH and UNWATCH: the records, and what the shards of watched keys do. The rest
//! concerns the session and its queue, and stands in `dispatch::exec`.

use super::{Command, Data, DataFunction, Group, KeySpec, Run, TransactionAction, category, flag, key_flag};
use crate::error::CommandError;
use crate::resp::number::parse_integer;

/// What the steps of [`WATCH_STEPS`] are sent as.
pub const STEP_WATCH: u8 = 1;
pub const STEP_CHECK: u8 = 2;
pub const STEP_UNWATCH: u8 = 3;

const WATCH_STEPS: &[DataFunction] = &[watch, check, unwatch];

const FLAGS: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;

const fn transaction(name: &'static str, arity: i16, action: TransactionAction) -> Command {
    Command::new(name, arity, Run::Transaction { action, steps: WATCH_STEPS })
        .group(Group::Transactions)
        .categories(category::TRANSACTION)
}

pub const COMMANDS: &[Command] = &[
    transaction("multi", 1, TransactionAction::Multi)
        .since("1.2.0")
        .flags(FLAGS | flag::FAST | flag::NO_MULTI | flag::ALLOW_BUSY | flag::NOT_QUEUED)
        .docs("Begins a transaction: the commands that follow are queued.", "O(1)", ""),
    transaction("exec", 1, TransactionAction::Exec)
        .since("1.2.0")
        .flags(FLAGS | flag::SKIP_SLOWLOG | flag::NOT_QUEUED)
        .docs(
            "Runs the queued commands, unless a watched key has changed.",
            "That of the commands together.",
            "",
        ),
    transaction("discard", 1, TransactionAction::Discard)
        .since("2.0.0")
        .flags(FLAGS | flag::FAST | flag::ALLOW_BUSY | flag::NOT_QUEUED)
        .docs(
            "Forgets the queued commands and the watched keys.",
            "O(N), N being the number of commands.",
            "",
        ),
    transaction("watch", -2, TransactionAction::Watch)
        .since("2.2.0")
        .flags(FLAGS | flag::FAST | flag::NO_MULTI | flag::ALLOW_BUSY | flag::NOT_QUEUED)
        .keys(&[KeySpec::range(1, -1, 1, key_flag::RO)])
        .docs(
            "Has the next EXEC do nothing if one of the keys changes until then.",
            "O(1) for every key.",
            "key [key ...]",
        ),
    transaction("unwatch", 1, TransactionAction::Unwatch)
        .since("2.2.0")
        .flags(FLAGS | flag::FAST | flag::ALLOW_BUSY)
        .docs("Forgets the watched keys.", "O(1)", ""),
];

/// Argument 1 is a key: answers its version.
fn watch(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(1);
    let version = target.database.watch(&target.key);
    target.reply.integer(version as i64);
    Ok(())
}

/// Argument 2 is the version of the key that is argument 1: answers whether it still has it.
fn check(data: &mut Data<'_>) -> Result<(), CommandError> {
    let version = parse_integer(data.args.get(2)).unwrap_or_default() as u64;
    let target = data.target(1);
    let unchanged = target.database.is_unchanged(&target.key, version);
    target.reply.integer(unchanged as i64);
    Ok(())
}

/// Argument 1 is a key.
fn unwatch(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(1);
    target.database.unwatch(&target.key);
    target.reply.ok();
    Ok(())
}
