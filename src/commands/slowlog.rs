//! SLOWLOG: what took long, newest first, from the logs of all shards.

use super::client::{gather, merge_ok};
use super::help::{help, subcommand_syntax};
use super::{Command, Group, Here, Next, Part, Run, flag};
use crate::error::CommandError;
use crate::metrics::slowlog::SlowCommand;
use crate::resp::Args;
use crate::resp::number::parse_integer;
use crate::shard::Report;

const FLAGS: u32 = flag::ADMIN | flag::LOADING | flag::STALE;

const fn record(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Server).since("2.2.12").flags(FLAGS)
}

pub const COMMANDS: &[Command] = &[Command::container("slowlog", SUBCOMMANDS)
    .group(Group::Server)
    .since("2.2.12")
    .docs("A container for commands about the log of slow commands.", "Depends on the subcommand.", "")];

const SUBCOMMANDS: &[Command] = &[
    record("slowlog|get", -2, Run::Gather { check: check_get, part: get, merge: merge_get })
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .docs("Returns the entries of the log.", "O(N) where N is the number of entries returned", "[count]"),
    record("slowlog|help", 2, Run::Here(help)).since("6.2.0").flags(flag::LOADING | flag::STALE).docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    record("slowlog|len", 2, Run::Gather { check: gather, part: len, merge: merge_sum })
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .docs("Returns the number of entries in the log.", "O(1)", ""),
    record("slowlog|reset", 2, Run::Gather { check: gather, part: reset, merge: merge_ok })
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs(
            "Removes all entries from the log.",
            "O(N) where N is the number of entries in the slowlog",
            "",
        ),
];

/// Entries that GET shows unasked.
const SHOWN: usize = 10;

fn parse_count(args: &Args<'_>) -> Result<usize, CommandError> {
    match args.len() {
        2 => Ok(SHOWN),
        3 => match parse_integer(args.get(2)) {
            Some(-1) => Ok(usize::MAX),
            Some(count) if count >= 0 => Ok(count as usize),
            _ => Err(CommandError::text("ERR count should be greater than or equal to -1")),
        },
        _ => Err(subcommand_syntax(args)),
    }
}

fn check_get(here: &mut Here<'_>) -> Result<Next, CommandError> {
    parse_count(&here.args)?;
    Ok(Next::Gather)
}

fn get(part: &mut Part<'_>) -> Report {
    let count = parse_count(&part.args).unwrap_or(0);
    Report::SlowCommands(part.shard.slowlog.entries().take(count).cloned().collect())
}

fn merge_get(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let count = parse_count(&here.args)?;
    let mut entries: Vec<SlowCommand> = Vec::new();
    for report in reports {
        if let Report::SlowCommands(commands) = report {
            entries.extend(commands);
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.unix_ms, entry.id)));
    let most = count.min(here.shard.config.slowlog_max_len as usize);
    entries.truncate(most);
    here.reply.array(entries.len());
    for entry in entries {
        here.reply.array(6);
        here.reply.integer(entry.id as i64);
        here.reply.integer(entry.unix_ms / 1000);
        here.reply.integer(entry.duration_us as i64);
        here.reply.array(entry.arguments.len());
        entry.arguments.iter().for_each(|argument| here.reply.bulk(argument));
        here.reply.bulk(entry.client.as_bytes());
        here.reply.bulk(&entry.client_name);
    }
    Ok(())
}

fn len(part: &mut Part<'_>) -> Report {
    Report::Count(part.shard.slowlog.len() as u64)
}

/// For commands whose shards count.
pub fn merge_sum(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let count = |report: &Report| if let Report::Count(count) = report { *count } else { 0 };
    here.reply.integer(reports.iter().map(count).sum::<u64>() as i64);
    Ok(())
}

fn reset(part: &mut Part<'_>) -> Report {
    part.shard.slowlog.clear();
    Report::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    #[test]
    fn counts_begin_at_minus_one() {
        let parse = |line: &str| with_args(line, |args| parse_count(&args));
        assert_eq!(parse("slowlog get"), Ok(SHOWN));
        assert_eq!(parse("slowlog get -1"), Ok(usize::MAX));
        assert_eq!(parse("slowlog get 0"), Ok(0));
        for line in ["slowlog get -2", "slowlog get x"] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.message(), "ERR count should be greater than or equal to -1");
        }
        assert_eq!(
            parse("slowlog get 1 2").unwrap_err().message(),
            "ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP."
        );
    }
}
